//! Static files, built into the binary.

/// The style sheet of every page.
pub const CSS: &str = include_str!("../../assets/causeway.css");
/// The script of the demo page.
pub const DEMO_JS: &str = include_str!("../../assets/demo.js");
/// The script that submits the form of an answer.
pub(super) const FORM_POST_JS: &str = include_str!("../../assets/form-post.js");
/// The mark, used as favicon and in the header.
pub const FAVICON_SVG: &str = include_str!("../../assets/favicon.svg");

const CSS_PATH: &str = "/assets/causeway.css";
const DEMO_JS_PATH: &str = "/assets/demo.js";
const FORM_POST_JS_PATH: &str = "/assets/form-post.js";
const FAVICON_PATH: &str = "/assets/favicon.svg";

/// A static file and where it is served.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// The absolute path, without a query.
    pub path: &'static str,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The file.
    pub body: &'static str,
}

/// Every static file. Pages link them with `?v=` and a hash of the content, so that they may be cached for
/// long; without the query they should be revalidated.
pub const ASSETS: &[Asset] = &[
    Asset { path: CSS_PATH, content_type: "text/css; charset=utf-8", body: CSS },
    Asset { path: DEMO_JS_PATH, content_type: "text/javascript; charset=utf-8", body: DEMO_JS },
    Asset { path: FORM_POST_JS_PATH, content_type: "text/javascript; charset=utf-8", body: FORM_POST_JS },
    Asset { path: FAVICON_PATH, content_type: "image/svg+xml", body: FAVICON_SVG },
];

/// `$path?v=<hash of $body>` as a constant.
macro_rules! versioned {
    ($path:ident, $body:ident) => {{
        const LEN: usize = $path.len() + QUERY.len() + DIGITS;
        const BYTES: [u8; LEN] = with_version($path, $body);
        match str::from_utf8(&BYTES) {
            Ok(href) => href,
            Err(_) => $path,
        }
    }};
}

/// The style sheet as pages link it.
pub const CSS_HREF: &str = versioned!(CSS_PATH, CSS);
/// The demo script as the demo page links it.
pub const DEMO_JS_HREF: &str = versioned!(DEMO_JS_PATH, DEMO_JS);
/// The script of an answer's form as its page links it.
pub const FORM_POST_JS_HREF: &str = versioned!(FORM_POST_JS_PATH, FORM_POST_JS);
/// The mark as pages link it.
pub const FAVICON_HREF: &str = versioned!(FAVICON_PATH, FAVICON_SVG);

const QUERY: &str = "?v=";
const DIGITS: usize = 16;

const fn with_version<const LEN: usize>(path: &str, body: &str) -> [u8; LEN] {
    let mut out = [0; LEN];
    let mut at = 0;
    while at < path.len() {
        out[at] = path.as_bytes()[at];
        at += 1;
    }
    let mut query = 0;
    while query < QUERY.len() {
        out[at] = QUERY.as_bytes()[query];
        at += 1;
        query += 1;
    }
    let digest = fnv1a(body.as_bytes()).to_be_bytes();
    let mut digit = 0;
    while digit < DIGITS {
        let byte = digest[digit / 2];
        let nibble = if digit % 2 == 0 { byte >> 4 } else { byte & 15 };
        out[at] = b"0123456789abcdef"[nibble as usize];
        at += 1;
        digit += 1;
    }
    out
}

/// FNV-1a, 64 bits: tells versions of our own files apart, nothing more.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_follows_the_content() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(CSS_HREF, format!("/assets/causeway.css?v={:016x}", fnv1a(CSS.as_bytes())));
        assert_ne!(with_version::<26>("/x.css", "a"), with_version::<26>("/x.css", "b"));
    }
}
