//! Names of record types, methods and permission sets in the AT Protocol.

use std::fmt;

/// Not a namespaced identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an NSID: an NSID is a name such as app.bsky.feed.post")]
pub struct NsidError;

/// A namespaced identifier, case kept (atproto specification "Namespaced Identifiers").
///
/// ```
/// use causeway_domain::Nsid;
/// assert!(Nsid::parse("app.bsky.feed.post").is_ok());
/// assert!(Nsid::parse("app.bsky").is_err());
/// assert!(Nsid::parse("app.bsky.*").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nsid(String);

impl Nsid {
    /// The longest one: 253 characters of a domain, a dot, 63 of a name.
    pub const MAX_LENGTH: usize = 317;

    /// Parses an NSID: at least three parts, of which the last is a name.
    ///
    /// # Errors
    /// [`NsidError`].
    pub fn parse(value: &str) -> Result<Self, NsidError> {
        let part = |part: &str| {
            (1..=63).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        let letter_first = |part: &str| part.starts_with(|c: char| c.is_ascii_alphabetic());
        let (authority, name) = value.rsplit_once('.').ok_or(NsidError)?;
        let valid = value.len() <= Self::MAX_LENGTH
            && authority.contains('.')
            && authority.split('.').all(part)
            && part(name)
            && letter_first(authority)
            && letter_first(name)
            && !name.contains('-');
        if valid { Ok(Self(value.to_owned())) } else { Err(NsidError) }
    }

    /// The NSID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `other` is in the group of this name or below it: `app.example.authFull` has authority
    /// over `app.example.post` and `app.example.feed.post`, not over `app.other.post` (atproto
    /// specification "Permissions", "Namespace Authority").
    pub fn has_authority_over(&self, other: &Self) -> bool {
        let group = self.0.rfind('.').map_or("", |dot| &self.0[..=dot]);
        !group.is_empty() && other.0.len() > group.len() && other.0.starts_with(group)
    }
}

impl fmt::Display for Nsid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_nsid_is() {
        let long = format!("a.{}.name", "b".repeat(64));
        for bad in [
            "", "a", "a.b", "a..c", ".a.b.c", "a.b.c.", "1a.b.c", "a.b.1c", "a.b.c-d", "a.-b.c", "a.b-.c",
            "a.b.*", "a.b.ü", "a.b.c d", &long,
        ] {
            assert_eq!(Nsid::parse(bad), Err(NsidError), "{bad}");
        }
        for good in
            ["a.b.c", "com.example.fooBar", "net.users.bob.ping", "a-0.b-1.c", "a.0.c", "cn.8.lex.stuff"]
        {
            assert_eq!(Nsid::parse(good).map(|nsid| nsid.to_string()).as_deref(), Ok(good));
        }
    }

    #[test]
    fn authority_is_the_group_and_what_is_below_it() {
        let nsid = |text| Nsid::parse(text).unwrap();
        let set = nsid("app.example.authFull");
        for below in ["app.example.post", "app.example.feed.post", "app.example.feed.a.b"] {
            assert!(set.has_authority_over(&nsid(below)), "{below}");
        }
        for beside in ["app.examples.post", "app.other.post", "com.example.post"] {
            assert!(!set.has_authority_over(&nsid(beside)), "{beside}");
        }
        assert!(!nsid("app.example.feed.auth").has_authority_over(&nsid("app.example.post")));
    }
}
