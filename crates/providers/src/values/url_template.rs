//! Addresses with fields.

use std::fmt;

use url::{Host, Position, Url};

use super::fill::{FillError, encoded, refuse_dot_segments, required};
use super::name::FieldName;
use super::template::Template;
use super::text::{Text, text};
use crate::error::Fault;

/// An https address with fields (http on loopback only): in the path and the query, as the whole host
/// (`https://{host}/token`), or as the whole origin (`{instance_url}/token`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate {
    template: Template,
    authority: Authority,
    /// The part after the authority: empty, or from `/` or `?` on.
    rest: Template,
}

/// Scheme, host and port of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Authority {
    /// As they are.
    Fixed(String),
    /// A field is the host, between these.
    Host { scheme: String, name: FieldName, port: String },
    /// A field is all of them, and perhaps the beginning of the path.
    Origin(FieldName),
}

/// Influence of a field on the host that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open<'a> {
    Host(&'a FieldName),
    Origin(&'a FieldName),
}

impl UrlTemplate {
    /// The template.
    pub(crate) fn template(&self) -> &Template {
        &self.template
    }

    /// The field that decides which host is called, if the definition leaves that open.
    pub(crate) fn open(&self) -> Option<Open<'_>> {
        self.authority.open()
    }

    /// The address with `value_of` each field in its place. A value in the path or the query is percent-encoded; the
    /// value of a host is a host, and that of an origin an https address. Whether they are among the allowed ones is not
    /// checked here.
    ///
    /// # Errors
    /// A field without a value, or a value that leads to another path or host.
    pub fn fill<'a>(&self, value_of: impl Fn(&FieldName) -> Option<&'a str>) -> Result<Url, FillError> {
        let mut base = self.authority.fill(&value_of)?;
        let rest = self.rest.try_fill(|name| required(name, value_of(name)).map(encoded))?;
        refuse_dot_segments(path(&rest))?;
        let expected = Url::parse(&base).map_err(|_| FillError::OtherHost)?;
        if rest.starts_with('/') && base.ends_with('/') {
            base.pop();
        }
        let filled = Url::parse(&format!("{base}{rest}")).map_err(|_| FillError::OtherHost)?;
        if has_same_authority(&filled, &expected) { Ok(filled) } else { Err(FillError::OtherHost) }
    }
}

impl Authority {
    fn open(&self) -> Option<Open<'_>> {
        match self {
            Self::Fixed(_) => None,
            Self::Host { name, .. } => Some(Open::Host(name)),
            Self::Origin(name) => Some(Open::Origin(name)),
        }
    }

    fn fill<'a>(&self, value_of: impl Fn(&FieldName) -> Option<&'a str>) -> Result<String, FillError> {
        match self {
            Self::Fixed(text) => Ok(text.clone()),
            Self::Host { scheme, name, port } => {
                let host = Host::parse(required(name, value_of(name))?);
                let host = host.map_err(|_| FillError::NotAHost(name.clone()))?;
                Ok(format!("{scheme}{host}{port}"))
            }
            Self::Origin(name) => parse_address(required(name, value_of(name))?)
                .map(String::from)
                .ok_or_else(|| FillError::NotAnAddress(name.clone())),
        }
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
        if text.contains('\\') {
            return Err(Fault::new(format!("{text:?} has a backslash"), "write /, or %5C inside a value"));
        }
        let (authority, rest) = split(text)?;
        if refuse_dot_segments(path(rest)).is_err() {
            let problem = format!("{text:?} has a segment . or ..");
            return Err(Fault::new(problem, "write the path that it leads to"));
        }
        let with = |value: &str| check(text, &sample(&template, authority.open(), value));
        let (one, other) = (with("x")?, with("y")?);
        if !has_same_authority(&one, &other) {
            return Err(part_of_the_host(text));
        }
        Ok(Self { rest: Template::parse(rest)?, template, authority })
    }
}

/// A host, which may be a field, and a port.
const HTTPS: &str = "https://([^/?#\\\\{}@ ]+|\\{[a-z][a-z0-9_]*\\}(:[0-9]+)?)";
const LOOPBACK: &str = "http://(localhost|127\\.0\\.0\\.1|\\[::1\\])(:[0-9]+)?";
const FIELD: &str = "\\{[a-z][a-z0-9_]*\\}";

text!(UrlTemplate, { "pattern": format!("^({HTTPS}|{LOOPBACK}|{FIELD})([/?][^ #\\\\]*)?$") });

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
        let rest = url.rest.to_string();
        if !rest.is_empty() {
            let origin = text.strip_suffix(&rest).unwrap_or(text);
            return Err(Fault::new(
                format!("{text:?} is more than an origin"),
                format!("write {origin}, and paths into prefixes"),
            ));
        }
        Ok(Self(url))
    }
}

text!(OriginTemplate, { "pattern": format!("^({HTTPS}|{LOOPBACK}|{FIELD})$") });

impl fmt::Display for OriginTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The authority of an address, and what comes after it. The slashes are counted here: a parser of URLs takes
/// `https:/{host}` and `https:///{host}` for addresses of that host.
fn split(text: &str) -> Result<(Authority, &str), Fault> {
    let end = |text: &str| text.find(['/', '?']).unwrap_or(text.len());
    if let Some(field) = text.strip_prefix('{') {
        let (name, rest) = field.split_once('}').ok_or_else(|| part_of_the_host(text))?;
        if end(rest) > 0 {
            return Err(part_of_the_host(text));
        }
        return Ok((Authority::Origin(FieldName::parse(name)?), rest));
    }
    let scheme = ["https://", "http://"].into_iter().find(|scheme| text.starts_with(scheme));
    let after = scheme.map_or("", |scheme| &text[scheme.len()..]);
    let (host, rest) = after.split_at(end(after));
    let Some(scheme) = scheme.filter(|_| !host.is_empty()) else {
        let problem = format!("{text:?} does not begin with https:// and a host");
        return Err(Fault::new(problem, EXAMPLE));
    };
    if !host.contains('{') {
        return Ok((Authority::Fixed(format!("{scheme}{host}")), rest));
    }
    let field = host.strip_prefix('{').and_then(|field| field.split_once('}'));
    let (name, port) = field.ok_or_else(|| part_of_the_host(text))?;
    let is_port = port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    if !port.is_empty() && !is_port {
        return Err(part_of_the_host(text));
    }
    let (scheme, port) = (scheme.to_owned(), port.to_owned());
    Ok((Authority::Host { scheme, name: FieldName::parse(name)?, port }, rest))
}

/// The part before a query.
fn path(rest: &str) -> &str {
    rest.split_once('?').map_or(rest, |(path, _)| path)
}

/// The refusal of a field whose value could choose another domain.
fn part_of_the_host(text: &str) -> Fault {
    let problem = format!("{text:?} has a field as a part of its host");
    let fix =
        "let a field be the whole host, and restrict it: allowed_suffix of a parameter, allow of a capture";
    Fault::new(problem, fix)
}

/// An address with one value for every field but the one that may decide about the host.
fn sample(template: &Template, open: Option<Open<'_>>, value: &str) -> String {
    let value_of = |name: &FieldName| match open {
        Some(Open::Host(open)) if open == name => "x.example",
        Some(Open::Origin(open)) if open == name => "https://x.example",
        _ => value,
    };
    template.fill(|name| Some(value_of(name))).unwrap_or_default()
}

const EXAMPLE: &str = "write an address such as https://auth.example.com/token";

/// Checks an address whose fields have values.
fn check(text: &str, sample: &str) -> Result<Url, Fault> {
    let url = Url::parse(sample)
        .map_err(|error| Fault::new(format!("{text:?} is not a URL ({error})"), EXAMPLE))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new(format!("{text:?} has a user name or password"), EXAMPLE));
    }
    if !is_https(&url) {
        let fix = format!("write https://{}", text.trim_start_matches("http://"));
        return Err(Fault::new(format!("{text:?} is http"), fix));
    }
    Ok(url)
}

/// An address without user name, query and fragment that is https, or on this machine.
pub(crate) fn parse_address(value: &str) -> Option<Url> {
    let url = Url::parse(value).ok()?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && !value.contains('\\');
    (is_plain && is_https(&url)).then_some(url)
}

/// Returns whether two addresses have the same scheme, user name, host and port.
fn has_same_authority(one: &Url, other: &Url) -> bool {
    one[..Position::BeforePath] == other[..Position::BeforePath]
}

fn is_https(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
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
    use regex::Regex;
    use schemars::{JsonSchema, SchemaGenerator};

    use super::*;

    /// The pattern of the JSON Schema.
    fn schema<T: JsonSchema>() -> Regex {
        let schema = T::json_schema(&mut SchemaGenerator::default());
        Regex::new(schema.get("pattern").unwrap().as_str().unwrap()).unwrap()
    }

    fn refusal(text: &str) -> String {
        let Fault { problem, fix } = UrlTemplate::parse(text).unwrap_err();
        format!("{problem}; {fix}")
    }

    #[test]
    fn a_field_may_be_the_host_the_origin_or_a_part_of_the_path() {
        for (text, authority) in [
            ("https://a.example/{tenant}/token?x={y}", None),
            ("https://a.example?x={y}", None),
            ("https://{host}/token", Some(("host", true))),
            ("https://{host}:8443/token", Some(("host", true))),
            ("{instance_url}/token", Some(("instance_url", false))),
            ("{issuer}", Some(("issuer", false))),
            ("http://127.0.0.1:9000/token", None),
        ] {
            let url = UrlTemplate::parse(text).unwrap();
            let open = url.open().map(|open| match open {
                Open::Host(name) => (name.as_str(), true),
                Open::Origin(name) => (name.as_str(), false),
            });
            assert_eq!(open, authority, "{text}");
            assert_eq!(url.to_string(), text);
            assert!(schema::<UrlTemplate>().is_match(text), "{text}");
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
            assert!(!schema::<UrlTemplate>().is_match(text), "{text}");
        }
        // To a parser of URLs, the host of each is the value.
        for text in [
            "https:///{host}/token",
            "https:////{host}/token",
            "https:/{host}/token",
            "https:{host}/token",
            "http:///{host}/token",
            "HTTPS:///{host}/token",
            "https://?{host}",
        ] {
            assert!(refusal(text).contains("does not begin with https:// and a host"), "{text}");
            assert!(!schema::<UrlTemplate>().is_match(text), "{text}");
        }
        for text in [
            "https:\\\\{host}/token",
            "https://\\{host}/token",
            "https:/\\{host}/token",
            "https://a.example\\{path}",
            "{instance_url}\\{path}",
        ] {
            assert!(refusal(text).contains("backslash"), "{text}");
            assert!(!schema::<UrlTemplate>().is_match(text), "{text}");
        }
        assert!(refusal("https://{user}@a.example/").contains("part of its host"));
        assert!(refusal("https://user@a.example/").contains("user name"));
    }

    /// A mistake that `split` overlooks would still be found: two values lead to two hosts.
    #[test]
    fn two_values_that_lead_to_two_hosts_are_noticed() {
        let is_same = |text: &str| {
            let template = Template::parse(text).unwrap();
            let [one, other] = ["x", "y"].map(|value| Url::parse(&sample(&template, None, value)).unwrap());
            has_same_authority(&one, &other)
        };
        assert!(is_same("https://a.example/{x}?{x}"));
        for text in [
            "https:///{x}/",
            "https:{x}/",
            "https://{x}@a.example/",
            "https://u:{x}@a.example/",
            "https://a.{x}/",
            "http{x}://a.example/",
        ] {
            assert!(!is_same(text), "{text}");
        }
    }

    fn filled(text: &str, values: &[(&str, &str)]) -> Result<String, FillError> {
        let value_of = |name: &FieldName| {
            values.iter().find(|(known, _)| *known == name.as_str()).map(|(_, value)| *value)
        };
        UrlTemplate::parse(text).unwrap().fill(value_of).map(String::from)
    }

    #[test]
    fn values_become_one_segment_or_one_parameter() {
        for (text, values, url) in [
            (
                "https://a.example/{x}/token",
                &[("x", "contoso.com")][..],
                "https://a.example/contoso.com/token",
            ),
            (
                "https://a.example/{x}/token",
                &[("x", "../b?c#d%2e")],
                "https://a.example/..%2Fb%3Fc%23d%252e/token",
            ),
            ("https://a.example/{x}/token", &[("x", "\\\u{fc} ")], "https://a.example/%5C%C3%BC%20/token"),
            ("https://a.example/me?x={x}&y=1", &[("x", "1&y=2")], "https://a.example/me?x=1%26y%3D2&y=1"),
            ("https://{x}/a", &[("x", "B.example")], "https://b.example/a"),
            ("https://{x}:8443/{x}", &[("x", "b.example")], "https://b.example:8443/b.example"),
            ("{x}/a", &[("x", "https://b.example")], "https://b.example/a"),
            ("{x}/a", &[("x", "https://b.example/realm/")], "https://b.example/realm/a"),
        ] {
            assert_eq!(filled(text, values).as_deref(), Ok(url), "{text}");
        }
    }

    #[test]
    fn values_do_not_lead_to_another_path_or_host() {
        let name = || FieldName::parse("x").unwrap();
        for (text, values, error) in [
            ("https://a.example/{x}/token", &[("x", ".")][..], FillError::DotSegment),
            ("https://a.example/{x}/token", &[("x", "..")], FillError::DotSegment),
            ("https://a.example/{x}{y}?z", &[("x", "."), ("y", ".")], FillError::DotSegment),
            ("https://a.example/%2E{x}", &[("x", ".")], FillError::DotSegment),
            ("https://a.example/{x}/token", &[("x", "")], FillError::Missing(name())),
            ("https://a.example/{x}/token", &[], FillError::Missing(name())),
            ("https://{x}/a", &[("x", "b.example/c")], FillError::NotAHost(name())),
            ("https://{x}/a", &[("x", "b.example:80")], FillError::NotAHost(name())),
            ("https://{x}/a", &[("x", "u@b.example")], FillError::NotAHost(name())),
            ("{x}/a", &[("x", "http://b.example")], FillError::NotAnAddress(name())),
            ("{x}/a", &[("x", "https://u@b.example")], FillError::NotAnAddress(name())),
            ("{x}/a", &[("x", "https://b.example?c")], FillError::NotAnAddress(name())),
            ("{x}/a", &[("x", "https://b.example#c")], FillError::NotAnAddress(name())),
            ("{x}/a", &[("x", "https:\\\\b.example")], FillError::NotAnAddress(name())),
        ] {
            assert_eq!(filled(text, values), Err(error), "{text} {values:?}");
        }
    }

    #[test]
    fn only_https_leaves_the_machine() {
        assert_eq!(
            refusal("http://a.example/token"),
            "\"http://a.example/token\" is http; write https://a.example/token"
        );
        assert!(refusal("http://127.0.0.1.evil.example/").contains("is http"));
        assert!(refusal("ftp://a.example/").contains("does not begin with https://"));
        assert!(refusal("/token").contains("does not begin with https://"));
        assert!(refusal("https://a b.example/").contains("percent-encode"));
        assert!(refusal("https://a.example:x/").contains("not a URL"));
        assert!(refusal("https://a.example/#x").contains("fragment"));
        for text in ["https://a.example/../x", "https://a.example/v1/%2E", "{url}/.."] {
            assert!(refusal(text).contains("has a segment . or .."), "{text}");
        }
        assert!(refusal("https://a.example/a b").contains("percent-encode"));
    }

    #[test]
    fn an_origin_has_no_path() {
        for text in ["https://a.example", "https://a.example:8443", "{instance_url}", "https://{host}"] {
            assert!(OriginTemplate::parse(text).is_ok(), "{text}");
            assert!(schema::<OriginTemplate>().is_match(text), "{text}");
        }
        for text in [
            "https://a.example/",
            "https://a.example/v1",
            "https://a.example?x=1",
            "https://a.example\\v1",
            "{instance_url}/v1",
            "{instance_url}\\v1",
        ] {
            assert!(OriginTemplate::parse(text).is_err(), "{text}");
            assert!(!schema::<OriginTemplate>().is_match(text), "{text}");
        }
        let fix = OriginTemplate::parse("https://a.example/v1").unwrap_err().fix;
        assert_eq!(fix, "write https://a.example, and paths into prefixes");
    }
}
