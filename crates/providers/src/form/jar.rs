//! Cookies of a site (RFC 6265), kept between its answers.
//!
//! The crate `cookie` reads `Set-Cookie`. What follows from it is here, because no crate has what sessions need that several
//! servers use at once: time from the server's clock, and cookies that know with which iteration of the session they came,
//! so that a late answer never puts an old value over a newer one. There is no list of public suffixes: cookies of a jar
//! are sent to the origins of one definition and to nobody else, so that one for a suffix reaches no other site. Names
//! without a dot are refused all the same.

use std::fmt;

use causeway_outbound::header::{HeaderMap, SET_COOKIE};
use causeway_types::Timestamp;
use cookie::Cookie as Parsed;
use serde::{Deserialize, Serialize};
use url::{Host, Url};
use zeroize::{Zeroize, Zeroizing};

/// The most cookies of a site.
const MOST: usize = 100;
/// The longest name and value together, in bytes.
const LONGEST: usize = 4096;
/// Iterations for which the deletion of a cookie is remembered.
const REMEMBERED: i64 = 2;

/// The cookies of one session.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CookieJar(Vec<Cookie>);

/// A cookie, or the memory of one that was deleted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cookie {
    #[serde(flatten)]
    change: Change,
    /// The iteration of the session with which it came.
    iteration: i64,
}

/// The change of one cookie by an answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    name: String,
    /// The value; `None`: it is deleted.
    value: Option<String>,
    /// The host, or with `subdomains` a domain.
    domain: String,
    subdomains: bool,
    path: String,
    secure: bool,
    /// When it ends, in seconds since 1970; `None`: with the session.
    expires_at: Option<i64>,
}

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CookieJar({})", self.0.len())
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

/// The cookies that an answer sets or deletes (RFC 6265 section 5.3). Those that it may not are left out.
pub fn changes(url: &Url, headers: &HeaderMap, now: Timestamp) -> Vec<Change> {
    let texts = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    texts.take(MOST).filter_map(|text| Change::read(url, text, now)).collect()
}

impl Change {
    fn read(url: &Url, text: &str, now: Timestamp) -> Option<Self> {
        let parsed = Parsed::parse(text).ok()?;
        let (name, value) = (parsed.name(), parsed.value());
        let is_text = |text: &str| text.bytes().all(|byte| byte >= b' ' && byte != 0x7f);
        if name.is_empty() || name.len() + value.len() > LONGEST || !is_text(name) || !is_text(value) {
            return None;
        }
        let host = url.host_str()?.to_ascii_lowercase();
        let (domain, subdomains) = match parsed.domain().map(|it| it.trim_matches('.').to_ascii_lowercase()) {
            None => (host, false),
            Some(domain) if domain.is_empty() || domain == host => (host, !domain.is_empty() && is_name(url)),
            Some(domain) if is_name(url) && domain.contains('.') && is_below(&host, &domain) => {
                (domain, true)
            }
            Some(_) => return None,
        };
        let is_https = url.scheme() == "https";
        let secure = parsed.secure().unwrap_or(false);
        let path = parsed.path().filter(|path| path.starts_with('/'));
        let is_host_only = secure && !subdomains && path == Some("/");
        if (secure && !is_https)
            || (name.starts_with("__Secure-") && !secure)
            || (name.starts_with("__Host-") && !is_host_only)
        {
            return None;
        }
        // `Max-Age` has precedence over `Expires` (section 5.3, step 3).
        let expires_at = match (parsed.max_age(), parsed.expires_datetime()) {
            (Some(age), _) => Some(now.as_secs().saturating_add(age.whole_seconds())),
            (None, Some(at)) => Some(at.unix_timestamp()),
            (None, None) => None,
        };
        let is_over = expires_at.is_some_and(|at| at <= now.as_secs());
        Some(Self {
            name: name.to_owned(),
            value: (!is_over).then(|| value.to_owned()),
            domain,
            subdomains,
            path: path.map_or_else(|| default_path(url), str::to_owned),
            secure,
            expires_at: expires_at.filter(|_| !is_over),
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.domain, &self.path) == (&other.name, &other.domain, &other.path)
    }

    /// Whether it goes along with a request (section 5.4).
    fn fits(&self, url: &Url, now: Timestamp) -> bool {
        let Some(host) = url.host_str().map(str::to_ascii_lowercase) else { return false };
        let is_host = host == self.domain || (self.subdomains && is_below(&host, &self.domain));
        let is_path = url
            .path()
            .strip_prefix(&*self.path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'));
        let lives = self.expires_at.is_none_or(|end| end > now.as_secs());
        is_host && is_path && lives && (!self.secure || url.scheme() == "https")
    }
}

/// Whether the host is a name, and no address.
fn is_name(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Domain(_)))
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// The path of a cookie that names none (section 5.1.4).
fn default_path(url: &Url) -> String {
    match url.path().rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(end) => url.path()[..end].to_owned(),
    }
}

impl CookieJar {
    /// Takes over what an answer to `iteration` of the session changes, on to the cookies as they are. A cookie that came
    /// with a later iteration stays.
    pub fn merge(&mut self, changes: &[Change], iteration: i64, now: Timestamp) {
        for change in changes {
            match self.0.iter_mut().find(|own| own.change.is_same(change)) {
                Some(own) if own.iteration > iteration => {}
                Some(own) => *own = Cookie { change: change.clone(), iteration },
                None => self.0.push(Cookie { change: change.clone(), iteration }),
            }
        }
        self.0.retain(|own| match own.change.value {
            Some(_) => own.change.expires_at.is_none_or(|end| end > now.as_secs()),
            None => own.iteration >= iteration - REMEMBERED,
        });
        let surplus = self.0.len().saturating_sub(MOST);
        self.0.drain(..surplus);
    }

    /// The header `Cookie` of a request; `None`: no cookie goes along.
    pub fn header(&self, url: &Url, now: Timestamp) -> Option<Zeroizing<String>> {
        let mut fitting: Vec<_> =
            self.0.iter().map(|own| &own.change).filter(|own| own.fits(url, now)).collect();
        fitting.sort_by_key(|own| std::cmp::Reverse(own.path.len()));
        let pairs = fitting.iter().filter_map(|own| Some(format!("{}={}", own.name, own.value.as_ref()?)));
        let header = Zeroizing::new(pairs.collect::<Vec<_>>().join("; "));
        (!header.is_empty()).then_some(header)
    }

    /// Whether there is a living cookie of this name.
    pub fn has(&self, name: &str, now: Timestamp) -> bool {
        self.0.iter().map(|own| &own.change).any(|own| {
            own.name == name && own.value.is_some() && own.expires_at.is_none_or(|end| end > now.as_secs())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn set(jar: &mut CookieJar, iteration: i64, url: &str, lines: &[&str]) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }
        jar.merge(&changes(&url.parse().unwrap(), &headers, NOW), iteration, NOW);
    }

    fn sent(jar: &CookieJar, url: &str, later: i64) -> String {
        jar.header(&url.parse().unwrap(), NOW.plus(later)).map(|text| text.to_string()).unwrap_or_default()
    }

    fn jar(url: &str, lines: &[&str]) -> CookieJar {
        let mut jar = CookieJar::default();
        set(&mut jar, 1, url, lines);
        jar
    }

    #[test]
    fn where_a_cookie_goes() {
        for (line, to, goes) in [
            ("a=1", "https://www.site.example/x", true),
            ("a=1", "https://site.example/x", false),
            ("a=1", "https://a.www.site.example/x", false),
            ("a=1; Domain=site.example", "https://site.example/x", true),
            ("a=1; Domain=.Site.Example", "https://api.site.example/x", true),
            ("a=1; Domain=site.example", "https://evilsite.example/x", false),
            ("a=1; Domain=other.example", "https://other.example/x", false),
            ("a=1; Domain=example", "https://site.example/x", false),
            ("a=1; Domain=api.site.example", "https://api.site.example/x", false),
            ("a=1; Path=/app", "https://www.site.example/app", true),
            ("a=1; Path=/app", "https://www.site.example/app/x", true),
            ("a=1; Path=/app", "https://www.site.example/apple", false),
            ("a=1; Path=/app", "https://www.site.example/", false),
            ("a=1; Path=app", "https://www.site.example/x", true),
            ("a=1; Secure", "http://www.site.example/x", false),
            ("__Secure-a=1", "https://www.site.example/x", false),
            ("__Host-a=1; Secure; Path=/", "https://www.site.example/x", true),
            ("__Host-a=1; Secure; Path=/; Domain=site.example", "https://www.site.example/x", false),
            ("=1", "https://www.site.example/x", false),
        ] {
            let jar = jar("https://www.site.example/login", &[line]);
            assert_eq!(!sent(&jar, to, 0).is_empty(), goes, "{line} {to}");
        }
        let deep = jar("https://a.example/deep/login", &["a=1", "b=2; Path=/"]);
        assert_eq!(sent(&deep, "https://a.example/deep/x", 0), "a=1; b=2", "the longer path first");
        assert_eq!(sent(&deep, "https://a.example/x", 0), "b=2");
        let address = jar("http://127.0.0.1:1/", &["a=1; Domain=0.0.1", "b=1; Domain=127.0.0.1"]);
        assert_eq!(sent(&address, "http://127.0.0.1:2/", 0), "b=1");
    }

    #[test]
    fn when_a_cookie_ends() {
        let past = "Thu, 01 Jan 1970 00:00:01 GMT";
        let future = "Fri, 01 Jan 2038 00:00:00 GMT";
        for (line, at_once, later) in [
            ("a=1".to_owned(), true, true),
            ("a=1; Max-Age=60".to_owned(), true, false),
            (format!("a=1; Max-Age=60; Expires={past}"), true, false),
            (format!("a=1; Max-Age=0; Expires={future}"), false, false),
            ("a=1; Max-Age=-5".to_owned(), false, false),
            (format!("a=1; Expires={past}"), false, false),
            (format!("a=1; Expires={future}"), true, true),
            ("a=1; Expires=yesterday".to_owned(), true, true),
        ] {
            let jar = jar("https://a.example/", &[&line]);
            let url = "https://a.example/";
            assert_eq!(
                (!sent(&jar, url, 0).is_empty(), !sent(&jar, url, 60).is_empty()),
                (at_once, later),
                "{line}"
            );
        }
        let mut deleted = jar("https://a.example/", &["a=1", "b=1"]);
        set(&mut deleted, 1, "https://a.example/", &["a=; Max-Age=0"]);
        assert_eq!(sent(&deleted, "https://a.example/", 0), "b=1");
    }

    /// Answers arrive in another order than they were made.
    #[test]
    fn a_newer_cookie_stays() {
        let url = "https://a.example/";
        let mut jar = jar(url, &["sid=1", "lang=en"]);
        set(&mut jar, 2, url, &["sid=2", "gone=; Max-Age=0"]);
        set(&mut jar, 1, url, &["sid=old", "lang=de", "gone=1"]);
        assert_eq!(sent(&jar, url, 0), "sid=2; lang=de");
        set(&mut jar, 2, url, &["sid=3"]);
        assert_eq!(sent(&jar, url, 0), "sid=3; lang=de");
    }

    #[test]
    fn a_jar_is_bounded() {
        let mut jar = CookieJar::default();
        for number in 0..300 {
            set(&mut jar, 1, "https://a.example/", &[&format!("c{number}=1")]);
        }
        assert_eq!(jar.0.len(), MOST);
        assert!(jar.has("c299", NOW) && !jar.has("c0", NOW));
        set(&mut jar, 1, "https://a.example/", &[&format!("long={}", "x".repeat(LONGEST))]);
        assert!(!jar.has("long", NOW));
    }

    #[test]
    fn kept_as_json_and_shown_to_nobody() {
        let jar = jar("https://a.example/", &["a=canary; Max-Age=60"]);
        let text = serde_json::to_string(&jar).unwrap();
        assert_eq!(serde_json::from_str::<CookieJar>(&text).unwrap(), jar);
        assert!(!format!("{jar:?} {:?}", jar.0[0].change).contains("canary"));
    }
}
