//! Addresses with fields.

use std::fmt;

use url::{Host, Url};

use super::name::FieldName;
use super::template::Template;
use super::text::{Text, text};
use crate::error::Fault;

/// An https address with fields (http on loopback only): in the path and the query, as the whole host
/// (`https://{host}/token`), or as the whole origin (`{instance_url}/token`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate {
    template: Template,
    authority: Option<(FieldName, Authority)>,
}

/// Which part of the authority a field stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    Host,
    Origin,
}

impl UrlTemplate {
    /// The template.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The field that decides which host is called, if the definition leaves that open.
    pub(crate) fn authority(&self) -> Option<&(FieldName, Authority)> {
        self.authority.as_ref()
    }
}

impl Text for UrlTemplate {
    const NOUN: &'static str = "an https address";

    fn parse(text: &str) -> Result<Self, Fault> {
        let template = Template::parse(text)?;
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic()) {
            let problem = format!("{text:?} contains {bad:?}");
            return Err(Fault::new(problem, "percent-encode it"));
        }
        if text.contains('#') {
            return Err(Fault::new(format!("{text:?} has a fragment"), "remove the part from # on"));
        }
        let authority = authority(text)?;
        let sample = match (text.split_once('}'), &authority) {
            (Some((_, rest)), Some((_, Authority::Origin))) => format!("https://x{rest}"),
            _ => text.to_owned(),
        };
        let sample = Template::parse(&sample)?.fill(|_| Some("x")).unwrap_or_default();
        check(text, &sample)?;
        Ok(Self { template, authority })
    }
}

text!(UrlTemplate, { "pattern": "^(https://|http://(localhost|127\\.0\\.0\\.1|\\[::1\\])[:/]|\\{[a-z][a-z0-9_]*\\})[^ #]*$" });

impl fmt::Display for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.template.fmt(f)
    }
}

/// An https origin, which may be a field or have one as its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginTemplate(UrlTemplate);

impl OriginTemplate {
    /// The origin as an address without a path.
    pub fn url(&self) -> &UrlTemplate {
        &self.0
    }
}

impl Text for OriginTemplate {
    const NOUN: &'static str = "an https origin";

    fn parse(text: &str) -> Result<Self, Fault> {
        let url = UrlTemplate::parse(text)?;
        let after = text.split_once("://").map_or(text, |(_, after)| after);
        if let Some(end) = after.find(['/', '?']) {
            let origin = &text[..text.len() - after.len() + end];
            return Err(Fault::new(
                format!("{text:?} is more than an origin"),
                format!("write {origin}, and paths into prefixes"),
            ));
        }
        Ok(Self(url))
    }
}

text!(OriginTemplate, { "pattern": "^(https://|http://(localhost|127\\.0\\.0\\.1|\\[::1\\])(:|$)|\\{[a-z][a-z0-9_]*\\}$)[^ #/?]*$" });

impl fmt::Display for OriginTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The field in the authority, which is the whole host or the whole origin: part of a name would let its value choose
/// another domain.
fn authority(text: &str) -> Result<Option<(FieldName, Authority)>, Fault> {
    let whole = || {
        let problem = format!("{text:?} has a field as a part of its host");
        let fix = "let a field be the whole host, and restrict it: allowed_suffix of a parameter, allow of a capture";
        Fault::new(problem, fix)
    };
    if let Some(rest) = text.strip_prefix('{') {
        let (name, rest) = rest.split_once('}').ok_or_else(whole)?;
        if !rest.is_empty() && !rest.starts_with(['/', '?']) {
            return Err(whole());
        }
        return Ok(Some((FieldName::parse(name)?, Authority::Origin)));
    }
    let after = text.split_once("://").map_or(text, |(_, after)| after);
    let authority = &after[..after.find(['/', '?']).unwrap_or(after.len())];
    if !authority.contains('{') {
        return Ok(None);
    }
    let (name, rest) =
        authority.strip_prefix('{').and_then(|field| field.split_once('}')).ok_or_else(whole)?;
    let is_port = rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    if !rest.is_empty() && !is_port {
        return Err(whole());
    }
    Ok(Some((FieldName::parse(name)?, Authority::Host)))
}

/// Checks an address whose fields have values.
fn check(text: &str, sample: &str) -> Result<(), Fault> {
    let example = "write an address such as https://auth.example.com/token";
    let url = Url::parse(sample)
        .map_err(|error| Fault::new(format!("{text:?} is not a URL ({error})"), example))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new(format!("{text:?} has a user name or password"), example));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => {
            let fix = format!("write https://{}", text.trim_start_matches("http://"));
            Err(Fault::new(format!("{text:?} is http"), fix))
        }
        _ => Err(Fault::new(format!("{text:?} is not https"), example)),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let Fault { problem, fix } = UrlTemplate::parse(text).unwrap_err();
        format!("{problem}; {fix}")
    }

    #[test]
    fn a_field_may_be_the_host_the_origin_or_a_part_of_the_path() {
        for (text, authority) in [
            ("https://a.example/{tenant}/token?x={y}", None),
            ("https://{host}/token", Some(("host", Authority::Host))),
            ("https://{host}:8443/token", Some(("host", Authority::Host))),
            ("{instance_url}/token", Some(("instance_url", Authority::Origin))),
            ("{issuer}", Some(("issuer", Authority::Origin))),
            ("http://127.0.0.1:9000/token", None),
        ] {
            let url = UrlTemplate::parse(text).unwrap();
            assert_eq!(url.authority().map(|(name, part)| (name.as_str(), *part)), authority, "{text}");
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn a_value_cannot_choose_another_domain() {
        for text in [
            "https://{shop}.example.com/token",
            "https://api.{domain}/token",
            "{url}.example.com",
            "{url}@evil.example/",
            "https://{a}{b}/",
            "https://{host}:x/",
        ] {
            assert!(refusal(text).contains("as a part of its host"), "{text}");
        }
        assert!(refusal("https://{user}@a.example/").contains("part of its host"));
        assert!(refusal("https://user@a.example/").contains("user name"));
    }

    #[test]
    fn only_https_leaves_the_machine() {
        assert_eq!(
            refusal("http://a.example/token"),
            "\"http://a.example/token\" is http; write https://a.example/token"
        );
        assert!(refusal("http://127.0.0.1.evil.example/").contains("is http"));
        assert!(refusal("ftp://a.example/").contains("not https"));
        assert!(refusal("/token").contains("not a URL"));
        assert!(refusal("https://a.example/#x").contains("fragment"));
        assert!(refusal("https://a.example/a b").contains("percent-encode"));
    }

    #[test]
    fn an_origin_has_no_path() {
        for text in ["https://a.example", "https://a.example:8443", "{instance_url}", "https://{host}"] {
            assert!(OriginTemplate::parse(text).is_ok(), "{text}");
        }
        for text in
            ["https://a.example/", "https://a.example/v1", "https://a.example?x=1", "{instance_url}/v1"]
        {
            assert!(OriginTemplate::parse(text).is_err(), "{text}");
        }
        let fix = OriginTemplate::parse("https://a.example/v1").unwrap_err().fix;
        assert_eq!(fix, "write https://a.example, and paths into prefixes");
    }
}
