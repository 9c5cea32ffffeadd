//! Names of hosts.

use std::fmt;

use url::Host;

use super::text::{Text, text};
use crate::error::Fault;

/// A host (`api.example.com`), or every host below a domain (`*.example.com`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    domain: String,
    below: bool,
}

impl HostPattern {
    /// Returns whether a host is one of these. Letters are compared without regard to case.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        if self.below {
            let labels = host.strip_suffix(&self.domain).and_then(|labels| labels.strip_suffix('.'));
            return labels.is_some_and(|labels| is_domain(labels, 1));
        }
        host == self.domain
    }
}

impl Text for HostPattern {
    const NOUN: &'static str = "a host, or *.DOMAIN";

    fn parse(text: &str) -> Result<Self, Fault> {
        let (domain, below) = text.strip_prefix("*.").map_or((text, false), |domain| (domain, true));
        if !is_domain(domain, 2) {
            let problem = format!("{text:?} is not a host or *.DOMAIN");
            return Err(Fault::new(problem, "write api.example.com, or *.example.com"));
        }
        Ok(Self { domain: domain.to_owned(), below })
    }
}

text!(HostPattern, { "pattern": "^(\\*\\.)?([a-z0-9-]+\\.)+[a-z0-9-]+$" });

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.domain)
    }
}

/// The end that a host must have, such as `.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSuffix {
    domain: String,
}

impl HostSuffix {
    /// The host that an entry means: its labels under the domain, whether or not it ends with it. `None` if it is no
    /// host below the domain.
    pub fn host_of(&self, entry: &str) -> Option<String> {
        let entry = entry.trim().to_ascii_lowercase();
        let labels = entry.strip_suffix(&self.domain).map_or(Some(&*entry), |rest| rest.strip_suffix('.'))?;
        is_domain(labels, 1).then(|| format!("{labels}.{}", self.domain))
    }

    /// Returns whether a host is one of those, and written in full.
    pub(crate) fn contains(&self, host: &str) -> bool {
        self.host_of(host).as_deref() == Some(host)
    }
}

impl Text for HostSuffix {
    const NOUN: &'static str = "the end of a host";

    fn parse(text: &str) -> Result<Self, Fault> {
        let domain = text.strip_prefix('.').filter(|domain| is_domain(domain, 2)).ok_or_else(|| {
            let problem = format!("{text:?} is not the end of a host");
            Fault::new(problem, "begin with a dot and name a domain, such as .example.com")
        })?;
        Ok(Self { domain: domain.to_owned() })
    }
}

text!(HostSuffix, { "pattern": "^(\\.[a-z0-9-]+){2,}$" });

impl fmt::Display for HostSuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".{}", self.domain)
    }
}

/// Returns whether a text is the name of a host with its domain, in lower case.
pub(crate) fn is_host(text: &str) -> bool {
    is_domain(text, 2)
}

/// Returns whether a text is a domain of at least so many labels, in lower case, and no IP address.
fn is_domain(text: &str, labels: usize) -> bool {
    let label = |label: &str| {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=63).contains(&label.len())
            && label.chars().all(legal)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253
        && text.split('.').count() >= labels
        && text.split('.').all(label)
        && (labels == 1 || matches!(Host::parse(text), Ok(Host::Domain(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_host_or_every_host_below_a_domain() {
        let below = HostPattern::parse("*.salesforce.com").unwrap();
        assert!(below.matches("acme.my.salesforce.com") && below.matches("NA1.salesforce.com"));
        for other in
            ["salesforce.com", "evilsalesforce.com", "a.salesforce.com.evil.example", ".salesforce.com", ""]
        {
            assert!(!below.matches(other), "{other}");
        }
        let one = HostPattern::parse("api.example.com").unwrap();
        assert!(one.matches("api.example.com") && !one.matches("x.api.example.com"));
        for bad in [
            "",
            "*",
            "*.com",
            "*.*.com",
            "a.*.com",
            "com",
            "10.0.0.1",
            "A.example",
            "https://a.example",
            "a_b.c",
        ] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn entries_stay_below_the_suffix() {
        let suffix = HostSuffix::parse(".myshopify.com").unwrap();
        for (entry, host) in [
            ("acme", Some("acme.myshopify.com")),
            (" Acme.myshopify.com ", Some("acme.myshopify.com")),
            ("a.b", Some("a.b.myshopify.com")),
            ("evil.example/", None),
            ("acme.myshopify.com.evil.example?", None),
            ("evil.example#", None),
            ("a@b", None),
            ("evilmyshopify.com", None),
            ("", None),
            (".myshopify.com", None),
            ("myshopify.com", None),
        ] {
            assert_eq!(suffix.host_of(entry).as_deref(), host, "{entry}");
        }
        assert!(suffix.contains("acme.myshopify.com"));
        for other in ["acme", "Acme.myshopify.com", "myshopify.com", "acme.example", ""] {
            assert!(!suffix.contains(other), "{other}");
        }
        assert!(HostSuffix::parse("myshopify.com").is_err() && HostSuffix::parse(".com").is_err());
    }
}
