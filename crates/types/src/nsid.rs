//! Names of record types, methods and permission sets in the AT Protocol.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// Not a namespaced identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an NSID: an NSID is a name such as app.bsky.feed.post")]
pub struct NsidError;

/// A namespaced identifier, case kept (atproto specification "Namespaced Identifiers").
///
/// Two that differ in case only are equal: a PDS finds a method by its name without regard to case, so a rule that is
/// about one spelling has to be about all of them. Equality, order and hash go by [`Nsid::folded`], and so do
/// [`Nsid::is`] and [`Nsid::is_within`].
///
/// ```
/// use causeway_types::Nsid;
/// assert!(Nsid::parse("app.bsky.feed.post").is_ok());
/// assert_eq!(Nsid::parse("app.bsky.feed.post"), Nsid::parse("APP.bsky.feed.Post"));
/// assert!(Nsid::parse("app.bsky").is_err());
/// assert!(Nsid::parse("app.bsky.*").is_err());
/// ```
#[derive(Clone, Debug)]
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

    /// The bytes of the name in lower case: the basis of every comparison of names.
    fn folded(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }

    /// Whether this is the name `name`.
    pub fn is(&self, name: &str) -> bool {
        self.folded().eq(name.bytes().map(|byte| byte.to_ascii_lowercase()))
    }

    /// Whether this name is in a group or below it; `group` ends with a dot: `app.bsky.feed.post` is within
    /// `app.bsky.` and within `app.bsky.feed.`.
    pub fn is_within(&self, group: &str) -> bool {
        let mut own = self.folded();
        let is_below = group.bytes().all(|byte| own.next() == Some(byte.to_ascii_lowercase()));
        is_below && group.ends_with('.') && own.next().is_some()
    }

    /// The name in lower case, for tables of names.
    pub fn to_lower(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Whether `other` is in the group of this name or below it: `app.example.authFull` has authority
    /// over `app.example.post` and `app.example.feed.post`, not over `app.other.post` (atproto
    /// specification "Permissions", "Namespace Authority").
    pub fn has_authority_over(&self, other: &Self) -> bool {
        self.0.rfind('.').is_some_and(|dot| other.is_within(&self.0[..=dot]))
    }
}

impl PartialEq for Nsid {
    fn eq(&self, other: &Self) -> bool {
        self.folded().eq(other.folded())
    }
}

impl Eq for Nsid {}

impl PartialOrd for Nsid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Nsid {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl Hash for Nsid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|byte| state.write_u8(byte));
        state.write_u8(0xff);
    }
}

text_type!(Nsid, NsidError);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::assert_text_type;

    #[test]
    fn conversions() {
        assert_text_type::<Nsid>(&["app.bsky.feed.post", "A.b.C"], &["", "app.bsky", "app.bsky.*"]);
    }

    #[test]
    fn what_an_nsid_is() {
        let long = format!("a.{}.name", "b".repeat(64));
        for bad in [
            "", "a", "a.b", "a..c", ".a.b.c", "a.b.c.", "1a.b.c", "a.b.1c", "a.b.c-d", "a.-b.c", "a.b-.c",
            "a.b.*", "a.b.ü", "a.b.c d", &long,
        ] {
            assert_eq!(Nsid::parse(bad), Err(NsidError), "{bad}");
        }
        let domain = format!("a.{}", vec!["b".repeat(62); 4].join("."));
        let longest = format!("{domain}.{}", "c".repeat(63));
        assert_eq!((longest.len(), Nsid::parse(&longest).is_ok()), (Nsid::MAX_LENGTH, true));
        assert_eq!(Nsid::parse(&format!("a{longest}")), Err(NsidError));
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

    #[test]
    fn case_says_nothing() {
        let nsid = |text| Nsid::parse(text).unwrap();
        let (one, other) = (nsid("chat.bsky.convo.listConvos"), nsid("CHAT.Bsky.convo.LISTCONVOS"));
        assert_eq!(other.to_lower(), "chat.bsky.convo.listconvos");
        assert_eq!(one, other);
        assert_eq!(one.cmp(&other), Ordering::Equal);
        let hash = |nsid: &Nsid| {
            std::hash::BuildHasher::hash_one(
                &std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default(),
                nsid,
            )
        };
        assert_eq!(hash(&one), hash(&other));
        assert!(other.is("chat.bsky.Convo.listConvos") && !other.is("chat.bsky.convo.listConvo"));
        assert!(
            other.is_within("chat.bsky.") && !other.is_within("chat.bsky") && !other.is_within("chat.bs.")
        );
        assert!(!nsid("a.b.c").is_within("a.b.c.") && !nsid("a.b.c").is_within(""));
        assert!(nsid("app.Example.auth").has_authority_over(&nsid("APP.example.post")));
        assert_eq!(other.to_string(), "CHAT.Bsky.convo.LISTCONVOS", "as it was written");
        assert!(nsid("a.b.Z") > nsid("a.b.a") && nsid("a.b.c") < nsid("a.b.c.d"));
    }
}
