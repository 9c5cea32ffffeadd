//! The client name that pages show.

use super::metadata_error::ClientMetadataError;

/// A longer name is refused.
const MAX_CHARS: usize = 100;

/// Reads a name: white space of any kind becomes one space, and characters that are invisible or reverse the
/// text are removed, so that two names that look the same are the same. Empty: the client has no name.
///
/// # Errors
/// [`ClientMetadataError::BlankName`] when none of it is visible, [`ClientMetadataError::LongName`].
pub(super) fn read(text: &str) -> Result<String, ClientMetadataError> {
    let shown: String = text.chars().filter(|c| c.is_whitespace() || !is_invisible(*c)).collect();
    let name = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() && !text.is_empty() {
        return Err(ClientMetadataError::BlankName);
    }
    if name.chars().count() > MAX_CHARS { Err(ClientMetadataError::LongName(MAX_CHARS)) } else { Ok(name) }
}

/// Control characters, what Unicode has as default ignorable (bidirectional controls, joiners, fillers, variation selectors,
/// tags), other format characters, and the empty Braille pattern.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_see() {
        for (text, name) in [
            ("", ""),
            (" App ", "App"),
            ("한글", "한글"),
            ("Ünïcode 🎈", "Ünïcode 🎈"),
            ("\u{200d}a", "a"),
            ("Ba\u{ad}nk\u{200b} of\u{2060} X\u{fe0f}", "Bank of X"),
            ("evil\u{202e}knab", "evilknab"),
            ("evil\u{61c}\u{2066}x\u{2069}", "evilx"),
            ("two\u{2028}lines\u{2029}\n and\u{a0}\u{3000}more", "two lines and more"),
            ("bell\u{7}\u{0}\u{9b}", "bell"),
            ("tag\u{e0041}\u{e007f}", "tag"),
            ("\u{3164}Notes\u{115f}", "Notes"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(name), "{text:?}");
        }
        for blank in ["   ", "\u{3164}", "\u{115f} \u{1160}", "\u{2800}\u{200b}\u{feff}", "\u{202e}"] {
            assert_eq!(read(blank), Err(ClientMetadataError::BlankName), "{blank:?}");
        }
        assert_eq!(read(&"x".repeat(MAX_CHARS)), Ok("x".repeat(MAX_CHARS)));
        assert_eq!(read(&"x".repeat(MAX_CHARS + 1)), Err(ClientMetadataError::LongName(MAX_CHARS)));
    }
}
