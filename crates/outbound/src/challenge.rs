//! The challenges of an answer (RFC 9110 section 11.6.1), by the grammar: several in one header or in several, schemes
//! and names of parameters without regard to case, values as tokens or quoted.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// The schemes whose `error` is about a token or its proof (RFC 6750 section 3, RFC 9449 section 7.1).
const SCHEMES: [&str; 2] = ["dpop", "bearer"];

/// The `error` values of the DPoP and Bearer challenges, in order.
pub fn errors(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(WWW_AUTHENTICATE).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(errors_in).collect()
}

/// The parameters of each Bearer challenge, in order, by their names in lower case.
pub fn bearer(headers: &HeaderMap) -> Vec<BTreeMap<String, String>> {
    let mut challenges = Vec::new();
    for line in headers.get_all(WWW_AUTHENTICATE).into_iter().filter_map(|line| line.to_str().ok()) {
        let (mut reader, mut is_bearer) = (Reader(line), false);
        while let Some(item) = reader.next() {
            match item {
                Item::Scheme(scheme) => {
                    is_bearer = scheme.eq_ignore_ascii_case("bearer");
                    if is_bearer {
                        challenges.push(BTreeMap::new());
                    }
                }
                Item::Parameter(name, value) => {
                    if let Some(challenge) = challenges.last_mut().filter(|_| is_bearer) {
                        // A name may be there once (RFC 9110 section 11.2): the first one counts.
                        challenge.entry(name.to_ascii_lowercase()).or_insert(value);
                    }
                }
            }
        }
    }
    challenges
}

fn errors_in(line: &str) -> Vec<String> {
    let mut reader = Reader(line);
    let (mut errors, mut is_for_tokens) = (Vec::new(), false);
    while let Some(item) = reader.next() {
        match item {
            Item::Scheme(scheme) => {
                is_for_tokens = SCHEMES.iter().any(|own| scheme.eq_ignore_ascii_case(own));
            }
            Item::Parameter(name, value) => {
                if is_for_tokens && name.eq_ignore_ascii_case("error") {
                    errors.push(value);
                }
            }
        }
    }
    errors
}

/// A part of a challenge header.
enum Item<'a> {
    Scheme(&'a str),
    Parameter(&'a str, String),
}

/// The rest of a header.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// The next scheme or parameter; what is neither is passed over.
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            self.0 = self.0.trim_start_matches([' ', '\t', ',']);
            if self.0.is_empty() {
                return None;
            }
            let name = self.token();
            if name.is_empty() {
                self.pass_over();
            } else if let Some(value) = self.value() {
                return Some(Item::Parameter(name, value));
            } else {
                self.pass_token68();
                return Some(Item::Scheme(name));
            }
        }
    }

    /// RFC 9110 section 5.6.2.
    fn token(&mut self) -> &'a str {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.0.find(|c| !is_part(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        token
    }

    /// The value of a parameter whose name was read; `None` when it was the name of a scheme.
    fn value(&mut self) -> Option<String> {
        let rest = trim(self.0).strip_prefix('=')?;
        self.0 = trim(rest);
        match self.0.strip_prefix('"') {
            Some(quoted) => {
                self.0 = quoted;
                Some(self.quoted())
            }
            None => Some(self.token().to_owned()),
        }
    }

    /// The rest of a quoted string (RFC 9110 section 5.6.4).
    fn quoted(&mut self) -> String {
        let mut value = String::new();
        let mut chars = self.0.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => value.extend(chars.next()),
                c => value.push(c),
            }
        }
        self.0 = chars.as_str();
        value
    }

    /// Passes over the one value that a scheme may have instead of parameters (`token68`).
    fn pass_token68(&mut self) {
        let rest = trim(self.0);
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        let after = trim(rest.trim_start_matches(is_part).trim_start_matches('='));
        if after.is_empty() || after.starts_with(',') {
            self.0 = after;
        }
    }

    /// Passes over what belongs nowhere, up to the next comma.
    fn pass_over(&mut self) {
        self.0 = match self.0.strip_prefix('"') {
            Some(quoted) => {
                self.0 = quoted;
                self.quoted();
                self.0
            }
            None => self.0.find(',').map_or("", |comma| &self.0[comma..]),
        };
    }
}

fn trim(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn by_the_grammar() {
        for (header, expected) in [
            (r#"DPoP error="invalid_token""#, &["invalid_token"][..]),
            ("DPoP error=invalid_token", &["invalid_token"]),
            ("dpop ERROR=invalid_token", &["invalid_token"]),
            ("DPOP Error = \"invalid_token\" , realm=x", &["invalid_token"]),
            (
                r#"DPoP algs="ES256 ES384", error=use_dpop_nonce, error_description="a, b=\"c\""#,
                &["use_dpop_nonce"],
            ),
            (r#"DPoP error_description="error=\"x\", error=\"y\"", error="z""#, &["z"]),
            (r#"DPoP realm="a\\", error="z""#, &["z"]),
            ("Bearer, DPoP error=z", &["z"]),
            ("Bearer realm=\"a\", DPoP error=z", &["z"]),
            (
                "Negotiate, Basic realm=x, Bearer error=invalid_token, DPoP error=use_dpop_nonce",
                &["invalid_token", "use_dpop_nonce"],
            ),
            ("Negotiate YWJj/+==, DPoP error=z", &["z"]),
            ("NTLM YWJj,DPoP error=z", &["z"]),
            (",, DPoP ,error=z,", &["z"]),
            ("DPoP\terror=z", &["z"]),
            ("DPoP error=\"z", &["z"]),
            ("DPoP error=", &[]),
            (r#"DPoP error="inv\alid_token""#, &["invalid_token"]),
            (r#""quoted, DPoP error=x", DPoP error=z"#, &["z"]),
            ("=, @, DPoP error=z", &["z"]),
            ("Basic error=z", &[]),
            ("DPoP realm=x, Digest error=z", &[]),
            ("error=z", &[]),
            ("DPoP my_error=z, x-error=z", &[]),
            ("", &[]),
        ] {
            assert_eq!(errors_in(header), expected, "{header}");
        }
    }

    #[test]
    fn of_several_headers() {
        let lines = ["Basic realm=x", "Bearer error=a", "DPoP error=b"];
        let headers = lines.into_iter().map(|line| (WWW_AUTHENTICATE, line.parse().unwrap()));
        assert_eq!(errors(&headers.collect()), ["a", "b"]);
    }

    #[test]
    fn parameters_of_bearer_challenges() {
        let lines = [
            r#"Basic realm=x, Bearer Resource_Metadata="https://a.example/b", scope="a b", scope=c, DPoP scope=d"#,
            "bearer error=insufficient_scope",
        ];
        let headers = lines.into_iter().map(|line| (WWW_AUTHENTICATE, line.parse().unwrap()));
        let pairs = |of: &[(&str, &str)]| -> BTreeMap<String, String> {
            of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(
            bearer(&headers.collect()),
            [
                pairs(&[("resource_metadata", "https://a.example/b"), ("scope", "a b")]),
                pairs(&[("error", "insufficient_scope")]),
            ]
        );
    }

    proptest! {
        #[test]
        fn anything_is_read_to_its_end(header in "[ -~\t]{0,60}", like in "(DPoP|Bearer|error|,|=|\"|\\\\| |x|/){0,20}") {
            let _ = errors_in(&header);
            let _ = errors_in(&like);
        }

        #[test]
        fn a_value_is_read_as_it_was_written(value in "[ -~]{0,40}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(errors_in(&format!("DPoP a=b, error=\"{quoted}\", c=d")), [value]);
        }
    }
}
