//! Parts of all pages: the frame around them, and a client as they show it.

use super::assets::{CSS_HREF, DEMO_JS_HREF, FAVICON_HREF};
use super::lang::Lang;
use super::text::Text;

/// Data that every template gets besides its own page.
#[derive(Clone, Copy)]
pub(super) struct Shell {
    pub(super) text: &'static Text,
    pub(super) css: &'static str,
    pub(super) demo_js: &'static str,
    pub(super) icon: &'static str,
}

impl Shell {
    /// In this language.
    pub(super) const fn of(lang: Lang) -> Self {
        Self { text: lang.text(), css: CSS_HREF, demo_js: DEMO_JS_HREF, icon: FAVICON_HREF }
    }
}

/// A client as pages show it.
pub(super) struct Client<'a> {
    /// The name, as it is shown.
    pub(super) name: String,
    /// The host.
    pub(super) host: &'a str,
    /// Whether the redirect URI leads to this very device.
    pub(super) on_this_device: bool,
}

impl<'a> Client<'a> {
    /// Characters of a name that are shown; a longer one would push the rest of the page out of sight.
    const NAME_CHARS: usize = 60;

    /// Shows a client without a readable name by its host, if that is known.
    pub(super) fn new(name: &str, host: &'a str) -> Self {
        let mut shown = name.chars().filter(|c| !is_invisible(*c)).collect::<String>().trim().to_owned();
        if let Some((end, _)) = shown.char_indices().nth(Self::NAME_CHARS) {
            shown.truncate(end);
            shown.push('…');
        }
        let name = match (shown.contains(char::is_alphanumeric), host) {
            (true, _) => shown,
            (false, "") => "?".to_owned(),
            (false, host) => host.to_owned(),
        };
        Self { name, host, on_this_device: is_loopback(host) }
    }
}

/// Characters that show nothing and can make a name read as another: controls, direction marks, and what has
/// no width. The joiners stay: Persian and emoji need them.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a redirect host, with or without a port, is the user's own device.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]") || host == "::1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_plays_tricks() {
        let name = |name: &str| Client::new(name, "h.example").name;
        assert_eq!(name("\u{202e}knaB\u{200b} x\n"), "knaB x");
        assert_eq!(name("\u{200b}\u{2066}"), "h.example");
        assert_eq!(name("\u{200d}\u{3000}\u{200d}"), "h.example");
        assert_eq!(name(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(name(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }

    #[test]
    fn loopback_hosts() {
        for host in ["localhost", "localhost:3000", "127.0.0.1", "127.0.0.1:1", "[::1]:8080", "[::1]", "::1"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["localhost.evil.example", "127.0.0.1.evil.example:80", "evil.example", "com.example.app", ""]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
