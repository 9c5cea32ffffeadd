//! Text within the characters that OAuth's errors may hold.

use crate::ParseError;

/// The longest text, in characters.
const MAX_CHARS: usize = 1024;

/// Text for an `error_description` (RFC 6749 section 5.2) or a quoted parameter of a challenge (RFC 6750 section
/// 3): printable ASCII without `"` and `\`, of 1024 characters at most. No other text can be constructed.
///
/// ```
/// use causeway_types::WireText;
/// assert_eq!(WireText::new("scope \"é\\x\" is\nunknown").as_str(), "scope '??x' is?unknown");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireText(String);

impl WireText {
    /// Takes a text: a quotation mark becomes an apostrophe, any other character that may not be there a question
    /// mark, and what is too long ends in `...`.
    pub fn new(text: &str) -> Self {
        let mut tame: String = text.chars().take(MAX_CHARS).map(replace).collect();
        if text.chars().nth(MAX_CHARS).is_some() {
            tame.truncate(MAX_CHARS - 3);
            tame.push_str("...");
        }
        Self(tame)
    }

    /// Takes a text that would mean something else if it were changed; `None` if it would be.
    pub fn unchanged(text: &str) -> Option<Self> {
        Some(Self::new(text)).filter(|tame| tame.as_str() == text)
    }

    fn parse(text: &str) -> Result<Self, ParseError> {
        Self::unchanged(text)
            .ok_or(ParseError::new("printable ASCII without quotation marks and backslashes"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_type!(WireText, ParseError);

/// RFC 6749 section 5.2: `%x20-21 / %x23-5B / %x5D-7E`.
const fn replace(c: char) -> char {
    match c {
        ' ' | '!' | '#'..='[' | ']'..='~' => c,
        '"' => '\'',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::tests::assert_text_type;

    #[test]
    fn conversions() {
        assert_text_type::<WireText>(&["", "scope 'x' is unknown"], &["\"", "é", "a\\b", "a\nb"]);
    }

    #[test]
    fn a_quotation_mark_becomes_an_apostrophe() {
        assert_eq!(WireText::new("scope \"é\\x\" is\nunknown").as_str(), "scope '??x' is?unknown");
    }

    #[test]
    fn long_texts_end_in_dots() {
        let just = "x".repeat(MAX_CHARS);
        assert_eq!(WireText::new(&just).as_str(), just);
        let long = WireText::new(&"é".repeat(MAX_CHARS + 1));
        assert_eq!(long.as_str(), format!("{}...", "?".repeat(MAX_CHARS - 3)));
        assert_eq!(WireText::unchanged(&just).map(|text| text.0), Some(just));
        for changed in ["a\"", "é", "\t", "\u{7f}", "a\\b"] {
            assert_eq!(WireText::unchanged(changed), None, "{changed:?}");
        }
    }

    proptest! {
        #[test]
        fn keeps_to_its_characters(text in any::<String>()) {
            let tame = WireText::new(&text);
            prop_assert!(tame.as_str().bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
            prop_assert_eq!(WireText::new(tame.as_str()), tame, "what is allowed stays");
        }
    }
}
