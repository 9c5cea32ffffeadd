//! Limits that a document is checked against before the library parses it. Its parser recurses into nested brackets,
//! and a stack overflow ends the whole process; its validation rules, including the complexity limits, traverse a
//! fragment again at each place that spreads it.

/// The longest document, in bytes. Records go into variables, which are not part of it.
const MAX_BYTES: usize = 128 * 1024;
/// How deep brackets may be nested. Fields may be nested 16 deep, each with arguments of some depth.
const MAX_NESTING: usize = 64;
/// The longest name, in bytes: errors repeat names.
const MAX_NAME: usize = 255;

/// Why a document is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OutOfBounds {
    #[error("query is longer than {MAX_BYTES} bytes: send values as variables")]
    Long,
    #[error("query nests brackets more than {MAX_NESTING} deep")]
    Deep,
    #[error("query has a name of more than {MAX_NAME} bytes")]
    Name,
}

/// Checks the brackets and names of a document (GraphQL specification sections 2.1.8 and 2.1.9), skipping strings
/// and comments.
pub(super) fn check(document: &str) -> Result<(), OutOfBounds> {
    if document.len() > MAX_BYTES {
        return Err(OutOfBounds::Long);
    }
    let mut depth = 0_usize;
    let mut rest = document.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match first {
            b'"' => after_string(rest),
            b'#' => after(tail, |byte| matches!(byte, b'\n' | b'\r')),
            b'[' | b'{' | b'(' => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Err(OutOfBounds::Deep);
                }
                tail
            }
            b']' | b'}' | b')' => {
                depth = depth.saturating_sub(1);
                tail
            }
            first if is_of_name(*first) => {
                let length = rest.iter().take_while(|byte| is_of_name(**byte)).count();
                if length > MAX_NAME {
                    return Err(OutOfBounds::Name);
                }
                rest.get(length..).unwrap_or_default()
            }
            _ => tail,
        };
    }
    Ok(())
}

const fn is_of_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// The text after the first byte that ends a token.
fn after(text: &[u8], ends: impl Fn(u8) -> bool) -> &[u8] {
    text.iter().position(|byte| ends(*byte)).and_then(|end| text.get(end + 1..)).unwrap_or_default()
}

/// The text after a string (section 2.9.4): a block string, or one line. An unterminated string extends to the end of
/// its line, so that it cannot hide the text after it.
fn after_string(text: &[u8]) -> &[u8] {
    const BLOCK: &[u8] = b"\"\"\"";
    if let Some(mut inside) = text.strip_prefix(BLOCK) {
        while let [_, tail @ ..] = inside {
            if let Some(escaped) = inside.strip_prefix(b"\\\"\"\"") {
                inside = escaped;
            } else if let Some(outside) = inside.strip_prefix(BLOCK) {
                return outside;
            } else {
                inside = tail;
            }
        }
        return inside;
    }
    let mut inside = text.get(1..).unwrap_or_default();
    loop {
        inside = match inside {
            [b'"' | b'\n' | b'\r', tail @ ..] => return tail,
            [b'\\', _, tail @ ..] | [_, tail @ ..] => tail,
            [] => return inside,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_bounded_in_every_place() {
        let nested =
            |open: &str, close: &str, depth| format!("{}{}", open.repeat(depth), close.repeat(depth));
        for (open, close) in [("[", "]"), ("{", "}"), ("(", ")"), ("[{(", ")}]")] {
            let each = open.len();
            assert_eq!(check(&nested(open, close, 63 / each)), Ok(()), "{open}");
            assert_eq!(check(&nested(open, close, 66 / each)), Err(OutOfBounds::Deep), "{open}");
        }
        for place in ["{a(b:X)}", "{a @include(if: X)}", "query($x: T = X) {a}"] {
            assert_eq!(
                check(&place.replace('X', &nested("[", "]", 2_000))),
                Err(OutOfBounds::Deep),
                "{place}"
            );
        }
        assert_eq!(check(&"{a}".repeat(1_000)), Ok(()), "beside each other");
        assert_eq!(check(&" ".repeat(MAX_BYTES + 1)), Err(OutOfBounds::Long));
        assert_eq!(check(&format!("{{{}}}", "a".repeat(MAX_NAME))), Ok(()));
        assert_eq!(check(&format!("{{{}}}", "a".repeat(MAX_NAME + 1))), Err(OutOfBounds::Name));
    }

    #[test]
    fn brackets_and_names_in_text_do_not_count() {
        let word = "a".repeat(1_000);
        assert_eq!(check(&format!("# {word}\n{{a(b: \"{word}\")}}")), Ok(()));
        let many = "[".repeat(1_000);
        for text in [
            format!("{{a(b: \"{many}\")}}"),
            format!("{{a(b: \"\\\"{many}\")}}"),
            format!("{{a(b: \"\"\"{many}\\\"\"\"\n\"{many}\"\"\")}}"),
            format!("# {many}\n{{a}}"),
        ] {
            assert_eq!(check(&text), Ok(()), "{text}");
        }
        // Strings and comments end with their line: the text after that counts.
        for text in
            [format!("\"x\n{many}"), format!("#\n{many}"), format!("\"\" {many}"), format!("\"\\\\\" {many}")]
        {
            assert_eq!(check(&text), Err(OutOfBounds::Deep), "{text}");
        }
    }
}
