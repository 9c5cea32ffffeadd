//! Email addresses as apps receive them.

use email_address::{EmailAddress as Parsed, Options};

/// An email address: an addr-spec (RFC 5322 section 3.4.1) in ASCII, of 254 characters at most (RFC 5321
/// section 4.5.3.1.3), without control characters. An address in a PDS's response is untrusted text.
///
/// ```
/// use causeway_types::EmailAddress;
/// assert!(EmailAddress::parse("alice@mail.example").is_some());
/// assert!(EmailAddress::parse("Alice <alice@mail.example>").is_none());
/// assert!(EmailAddress::parse("alice@mail.example\r\nBcc: bob@mail.example").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The longest address, in characters.
    pub const MAX_LEN: usize = 254;

    /// Takes an address as it is; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let printable = text.bytes().all(|b| matches!(b, b' '..=b'~'));
        let options = Options::default().without_display_text();
        let holds =
            text.len() <= Self::MAX_LEN && printable && Parsed::parse_with_options(text, options).is_ok();
        holds.then(|| Self(text.to_owned()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_type!(EmailAddress: "an email address such as alice@mail.example");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::assert_text_type;

    #[test]
    fn conversions() {
        assert_text_type::<EmailAddress>(&["alice@mail.example", "Alice@mail.example"], &["alice", ""]);
    }

    #[test]
    fn addresses_and_other_texts() {
        let long = format!("alice@{}example", "a.".repeat(120));
        assert!(long.len() > 250 && long.len() <= 254, "{}", long.len());
        for good in [
            "alice@mail.example",
            "alice+tag@sub.mail.example",
            "o'brien@mail.example",
            "\"a b\"@mail.example",
            "alice@[127.0.0.1]",
            &long,
        ] {
            assert_eq!(EmailAddress::parse(good).as_ref().map(EmailAddress::as_str), Some(good));
        }
        let tags = "x".repeat(100_000);
        for bad in [
            "",
            "@",
            "alice",
            "alice@",
            "@mail.example",
            "alice@@mail.example",
            "alice@mail.example,bob@mail.example",
            "alice@mail.example bob@mail.example",
            "Alice <alice@mail.example>",
            "<alice@mail.example>",
            " alice@mail.example",
            "alice@mail.example\n",
            "alice@mail.example\r\nBcc: bob@mail.example",
            "al\0ice@mail.example",
            "\"al\tice\"@mail.example",
            "\"al\r\n ice\"@mail.example",
            "älice@mail.example",
            "alice@mäil.example",
            "alice@mail.example\u{202e}",
            &format!("aa{long}"),
            &format!("{tags}@mail.example"),
            &format!("alice@{tags}"),
        ] {
            let shown: String = bad.chars().take(80).collect();
            assert_eq!(EmailAddress::parse(bad), None, "{shown:?}");
        }
    }
}
