//! Values of hidden inputs in pages. This is no parser of HTML: it finds `<input>` tags as browsers do, outside of comments
//! and scripts, and reads their attributes. A library that builds a tree would read a megabyte of markup for one value.

/// The value of the input with this name; `None`: the page has none.
pub(super) fn input_value(page: &str, name: &str) -> Option<String> {
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        if let Some(skipped) = hidden_part(rest) {
            rest = skipped;
            continue;
        }
        let Some(attributes) = tag(rest, "input") else {
            rest = &rest[1..];
            continue;
        };
        let (found, after) = read_attributes(attributes);
        let attribute = |wanted: &str| {
            found.iter().find(|(own, _)| own.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
        };
        if attribute("name") == Some(name) {
            return Some(attribute("value").unwrap_or_default().to_owned());
        }
        rest = after;
    }
    None
}

/// The text after a comment, a script or a style sheet that begins here; nothing, if it does not end.
fn hidden_part(text: &str) -> Option<&str> {
    let end = if text.starts_with("<!--") {
        "-->"
    } else if tag(text, "script").is_some() {
        "</script"
    } else if tag(text, "style").is_some() {
        "</style"
    } else if tag(text, "textarea").is_some() {
        "</textarea"
    } else {
        return None;
    };
    let at = find_ignoring_case(text, end);
    Some(at.map_or("", |at| &text[at + end.len()..]))
}

fn find_ignoring_case(text: &str, wanted: &str) -> Option<usize> {
    text.as_bytes().windows(wanted.len()).position(|part| part.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// The text after the name of a tag that begins here.
fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.strip_prefix('<')?;
    let own = rest.get(..name.len())?;
    let after = &rest[name.len()..];
    let ends = after.starts_with(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>');
    (own.eq_ignore_ascii_case(name) && ends).then_some(after)
}

/// The attributes of a tag, and what follows it.
fn read_attributes(text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return (found, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (found, after);
        }
        let is_end = |c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/');
        // A name may begin with "=".
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let end = rest[first..].find(is_end).map_or(rest.len(), |end| first + end);
        let (name, after) = rest.split_at(end);
        rest = after.trim_start();
        let Some(value) = rest.strip_prefix('=') else {
            found.push((name.to_owned(), String::new()));
            continue;
        };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
        let (value, after) = if let Some(quote) = quote {
            value[1..].split_once(quote).unwrap_or((&value[1..], ""))
        } else {
            let end = value.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(value.len());
            value.split_at(end)
        };
        found.push((name.to_owned(), decoded(value)));
        rest = after;
    }
}

/// A text with its character references replaced: the numeric ones, and the five that XML knows.
fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference = rest.split_once(';').map(|(name, after)| (&name[1..], after));
        if let Some((character, after)) = reference.and_then(|(name, after)| Some((character(name)?, after)))
        {
            out.push(character);
            rest = after;
        } else {
            out.push('&');
            rest = &rest[1..];
        }
    }
    out + rest
}

fn character(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        name => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::input_value;

    #[test]
    fn inputs_are_found_by_name() {
        for (page, value) in [
            (
                r#"<form><input type="hidden" name="_token" value="a&amp;b&#x27;&#39;&quot;"></form>"#,
                Some("a&b''\""),
            ),
            ("<INPUT NAME=_token VALUE=abc>", Some("abc")),
            ("<input value = 'a b' name = '_token' />", Some("a b")),
            ("<input disabled name='_token'>", Some("")),
            ("<!-- <input name=_token value=x> --><input name=_token value=y>", Some("y")),
            ("<script>'<input name=_token value=x>'</script><input name=_token value=y>", Some("y")),
            ("<textarea><input name=_token value=x></textarea>", None),
            ("<input name=\"a>b\" value=x><input name=_token value=\"y>z\">", Some("y>z")),
            ("<inputs name=_token value=x>", None),
            ("<input name=other value=x>", None),
            ("<input name=_token value=\"x", Some("x")),
            ("<input", None),
            ("<input =", None),
            ("< <é <input name=_token value=é&nope;>", Some("é&nope;")),
        ] {
            assert_eq!(input_value(page, "_token").as_deref(), value, "{page}");
        }
    }
}
