//! The text of JSON values, taken apart without a tree.

/// A member of an object, or an item of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Child<'a> {
    /// The name with its quotes, as it is written; `None`: an item of a list.
    pub(crate) name: Option<&'a str>,
    /// The text before the value: white space, and the name with its colon.
    pub(crate) before: &'a str,
    /// The value.
    pub(crate) value: &'a str,
    /// The white space after the value.
    pub(crate) after: &'a str,
}

impl Child<'_> {
    /// The name without escapes; `None` for an item, and for a name that cannot be read.
    pub(crate) fn plain_name(&self) -> Option<String> {
        serde_json::from_str(self.name?).ok()
    }
}

/// The children of an object or a list, in their order. Where the text is not JSON, they end there. A value that is left
/// out is empty.
pub(crate) struct Children<'a> {
    text: &'a str,
    at: usize,
    /// Where the last value ended.
    end: usize,
    is_object: bool,
}

impl<'a> Children<'a> {
    /// The children of a value; `None` if it is neither an object nor a list. White space before it is not skipped.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        let is_object = match text.as_bytes().first()? {
            b'{' => true,
            b'[' => false,
            _ => return None,
        };
        Some(Self { text, at: 1, end: 1, is_object })
    }

    /// Whether the value is an object.
    pub(crate) fn is_object(&self) -> bool {
        self.is_object
    }

    /// Whether the text goes on behind the value of the last child.
    pub(crate) fn has_rest(&self) -> bool {
        self.end < self.text.len()
    }

    /// Whether the object or the list ends where the children do.
    pub(crate) fn is_closed(&self) -> bool {
        let at = skip_white_space(self.text, self.at);
        self.text.as_bytes().get(at) == Some(if self.is_object { &b'}' } else { &b']' })
    }

    /// Skips commas that nothing stands before.
    fn skip_commas(&mut self) {
        self.at = skip_white_space(self.text, self.at);
        while self.text.as_bytes().get(self.at) == Some(&b',') {
            self.at = skip_white_space(self.text, self.at + 1);
        }
    }

    /// The empty value at a position where one is left out.
    fn left_out(&self) -> Option<&'a str> {
        matches!(self.text.as_bytes().get(self.at), Some(b',' | b'}')).then(|| &self.text[self.at..self.at])
    }

    /// The next value from the current position on.
    fn value(&mut self) -> Option<&'a str> {
        let start = skip_white_space(self.text, self.at);
        let length = length_of_value(self.text.as_bytes().get(start..)?);
        self.at = start + length;
        (length > 0).then(|| &self.text[start..self.at])
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = Child<'a>;

    fn next(&mut self) -> Option<Child<'a>> {
        let start = self.at;
        self.skip_commas();
        let mut value = self.value()?;
        let mut name = None;
        if self.is_object {
            self.at = skip_white_space(self.text, self.at);
            if self.text.as_bytes().get(self.at) != Some(&b':') {
                return None;
            }
            self.at += 1;
            name = Some(value);
            value = self.value().or_else(|| self.left_out())?;
        }
        let end = self.at;
        self.end = end;
        self.at = skip_white_space(self.text, end);
        let (before, after) = (&self.text[start..end - value.len()], &self.text[end..self.at]);
        if self.text.as_bytes().get(self.at) == Some(&b',') {
            self.at += 1;
        }
        Some(Child { name, before, value, after })
    }
}

fn skip_white_space(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Length of the value that a text begins with, at most to the end of the text; 0 if it begins with none.
fn length_of_value(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at += length_of_string(&text[at..]),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            _ if depth > 0 => at += 1,
            // A number, true, false or null.
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// Length of the string that a text begins with, including both quotes.
fn length_of_string(text: &[u8]) -> usize {
    let mut at = 1;
    loop {
        match text.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') => return at + 1,
            Some(_) => at += 1,
            None => return text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<(String, &str)> {
        let children = Children::of(text).unwrap();
        children.map(|child| (child.plain_name().unwrap_or_default(), child.value)).collect()
    }

    #[test]
    fn children_are_found_however_they_are_laid_out() {
        let text =
            "{ \"a\" :[1 , \"x,]\\\"\", {\"b\":[]}],\n\"\\u0062\" : -1.5e3,\"c\":null , \"d\":{\"a\":{}} }";
        let expected =
            [("a", "[1 , \"x,]\\\"\", {\"b\":[]}]"), ("b", "-1.5e3"), ("c", "null"), ("d", "{\"a\":{}}")];
        assert_eq!(parts(text), expected.map(|(name, value)| (name.to_owned(), value)));
        let items: Vec<&str> =
            Children::of("[1 , \"x,]\", {}, [ ] ]").unwrap().map(|item| item.value).collect();
        assert_eq!(items, ["1", "\"x,]\"", "{}", "[ ]"]);
        for (text, expected) in [
            ("{\"a\":,\"b\":2}", &[("a", ""), ("b", "2")][..]),
            ("{\"b\":2,\"a\": }", &[("b", "2"), ("a", "")]),
            ("{,\"a\":1,,\"b\":2}", &[("a", "1"), ("b", "2")]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            assert_eq!(parts(text), expected, "{text}");
        }
        assert!(parts("{ }").is_empty() && parts("[]").is_empty());
        assert!(Children::of("1").is_none() && Children::of("").is_none());
    }

    #[test]
    fn a_child_knows_all_of_its_text() {
        let around = Children::of("{ \"a\": 1 ,\"b\":2}").unwrap().map(|child| (child.before, child.after));
        assert_eq!(around.collect::<Vec<_>>(), [(" \"a\": ", " "), ("\"b\":", "")]);
    }

    #[test]
    fn children_end_where_the_text_is_not_json() {
        for (text, names) in [
            ("{\"a\":1,}", 1),
            ("{\"a\":1,\"b\"}", 1),
            ("{\"a\":1,\"b\":", 1),
            ("{\"a\":1,\"b\":\"x", 2),
            ("{\"a\":1", 1),
            ("{\"a\":{\"b\":1", 1),
            ("{", 0),
            ("{\"", 0),
            ("{\"a\\", 0),
        ] {
            assert_eq!(parts(text).len(), names, "{text}");
        }
    }
}
