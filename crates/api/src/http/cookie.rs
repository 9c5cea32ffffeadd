//! The only cookie: it identifies a browser and holds nothing else.

use actix_web::HttpRequest;
use actix_web::http::header::{COOKIE, HeaderMap};
use causeway_types::secret::{Browser, PlainToken, TokenKind as _};
use causeway_types::{BrowserSessionId, SystemRng};
use cookie::time::Duration;
use cookie::{Cookie, SameSite};

use crate::state::AppState;

/// How long a browser stores it: a year.
const MAX_AGE: Duration = Duration::days(365);

/// A browser, already known or new.
pub(crate) struct BrowserCookie {
    /// The browser's id.
    pub(crate) id: BrowserSessionId,
    /// The `Set-Cookie` value for a new browser.
    pub(crate) set: Option<String>,
}

const fn name(secure: bool) -> &'static str {
    if secure { "__Host-causeway" } else { "causeway" }
}

/// Whether a value has the form of our cookie's.
fn is_ours(value: &str) -> bool {
    value.strip_prefix(Browser::PREFIX).is_some_and(|random| random.len() == 43)
}

/// The browser that sent this request, if it is known.
pub(crate) fn known(req: &HttpRequest, state: &AppState) -> Option<BrowserSessionId> {
    secret(req, state).map(|secret| BrowserSessionId::of(&secret))
}

/// The secret that identifies the browser.
pub(crate) fn secret(req: &HttpRequest, state: &AppState) -> Option<PlainToken<Browser>> {
    read(req.headers(), state.secure)
}

/// Reads the cookie as it stands there: its value needs no decoding.
fn read(headers: &HeaderMap, secure: bool) -> Option<PlainToken<Browser>> {
    let lines = headers.get_all(COOKIE).filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(Cookie::split_parse).filter_map(Result::ok);
    let ours = cookies.find(|cookie| cookie.name() == name(secure) && is_ours(cookie.value()))?;
    Some(PlainToken::presented(ours.value()))
}

/// The `Set-Cookie` value.
fn set(secret: &PlainToken<Browser>, secure: bool) -> String {
    // Lax: the way back from a PDS is a top-level GET from another site.
    let cookie = Cookie::build((name(secure), secret.expose()))
        .path("/")
        .max_age(MAX_AGE)
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure);
    cookie.build().to_string()
}

/// The browser that sent this request; a new one gets a cookie.
pub(crate) fn known_or_new(req: &HttpRequest, state: &AppState) -> BrowserCookie {
    with_form_token(req, state).0
}

/// The same, with the token that forms of a page for this browser carry.
pub(crate) fn with_form_token(req: &HttpRequest, state: &AppState) -> (BrowserCookie, String) {
    if let Some(secret) = secret(req, state) {
        return (BrowserCookie { id: BrowserSessionId::of(&secret), set: None }, secret.form_token());
    }
    let secret = PlainToken::<Browser>::random(&SystemRng);
    let set = set(&secret, state.secure);
    (BrowserCookie { id: BrowserSessionId::of(&secret), set: Some(set) }, secret.form_token())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn browser(letter: &str) -> String {
        format!("{}{}", Browser::PREFIX, letter.repeat(43))
    }

    /// The prefix requires `Secure`, the path `/`, and no domain.
    #[test]
    fn what_a_browser_is_told_to_keep() {
        let secret = PlainToken::presented(browser("a"));
        for (secure, name, attributes) in [
            (false, "causeway", &["HttpOnly", "Max-Age=31536000", "Path=/", "SameSite=Lax"][..]),
            (true, "__Host-causeway", &["HttpOnly", "Max-Age=31536000", "Path=/", "SameSite=Lax", "Secure"]),
        ] {
            let cookie = set(&secret, secure);
            let (pair, rest) = cookie.split_once("; ").unwrap();
            assert_eq!(pair, format!("{name}={}", browser("a")));
            let mut parts: Vec<&str> = rest.split("; ").collect();
            parts.sort_unstable();
            assert_eq!(parts, attributes);
        }
    }

    #[test]
    fn what_a_browser_sends() {
        let (a, b) = (browser("a"), browser("b"));
        let encoded = format!("{}{}", Browser::PREFIX, "%61".repeat(43));
        let short = format!("{}%61{}", Browser::PREFIX, "a".repeat(40));
        for (lines, found) in [
            (vec![format!("__Host-causeway={a}")], Some(&a)),
            (vec![format!("x=y; __Host-causeway={a};z")], Some(&a)),
            (vec!["x=y".to_owned(), format!("__Host-causeway={b}")], Some(&b)),
            (vec![format!("__Host-causeway={a}"), format!("__Host-causeway={b}")], Some(&a)),
            (vec![format!("__Host-causeway=; __Host-causeway={b}")], Some(&b)),
            (vec![format!("__Host-causeway={encoded}")], None),
            (vec![format!("__Host-causeway={short}")], Some(&short)),
            (vec![format!("__Host-causeway=\"{a}\"")], None),
            (vec![format!("%5F_Host-causeway={a}")], None),
            (vec![format!("__host-causeway={a}")], None),
            (vec![format!("causeway={a}")], None),
            (vec![format!("\u{2000}__Host-causeway={a}")], None),
            (vec![], None),
        ] {
            let mut req = TestRequest::get();
            for line in &lines {
                req = req.append_header((COOKIE, line.as_bytes()));
            }
            let secret = read(req.to_http_request().headers(), true);
            assert_eq!(secret.as_ref().map(PlainToken::expose), found.map(String::as_str), "{lines:?}");
        }
    }
}
