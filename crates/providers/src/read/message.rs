//! Messages of deserializers, in words for the author of the file.

use crate::error::Fault;
use crate::nearest::suggest;

/// The fault behind a message: ours, or one of those that derived implementations write (`serde::de::Error`).
pub(super) fn fault(message: &str) -> Fault {
    if let Some(fault) = Fault::from_message(message) {
        return fault;
    }
    // Names stand in backticks: first the unknown one, then those that are known.
    let mut names = message.split('`').skip(1).step_by(2);
    let first = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    if message.starts_with("unknown field") {
        return Fault::new("unknown key", suggest(first, known));
    }
    if message.starts_with("unknown variant") {
        return Fault::new(format!("unknown value {first:?}"), suggest(first, known));
    }
    if let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        let found = match found {
            "sequence" => "a list".to_owned(),
            "map" => "a table".to_owned(),
            value => format!("the {}", value.replace('`', "")),
        };
        let expected = expected.replace("sequence", "list").replace("map", "table");
        return Fault::new(format!("is {found} where {expected} is expected"), format!("write {expected}"));
    }
    Fault::new(message.replace('\n', ", "), "see the page \"Add a provider\" of the documentation")
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn messages_of_deserializers_become_advice() {
        let unknown = fault("unknown field `polcy`, expected `policy` or `grace`");
        assert_eq!(unknown.fix, "did you mean policy?");
        let variant = fault("unknown variant `forms`, expected one of `form`, `json`, `query`");
        assert_eq!((&*variant.problem, &*variant.fix), ("unknown value \"forms\"", "did you mean form?"));
        let list = fault("invalid type: map, expected a sequence");
        assert_eq!((&*list.problem, &*list.fix), ("is a table where a list is expected", "write a list"));
        let kind = fault("invalid type: integer `5`, expected a string");
        assert_eq!(kind.problem, "is the integer 5 where a string is expected");
    }
}
