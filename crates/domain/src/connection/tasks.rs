//! Lists in the answers of providers, in whatever form they arrive.

use serde_json::Value;

/// A list of texts was expected, and something else arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of texts")]
pub struct GarbledTasks;

/// Reads a list of texts: a list, a list as JSON in a text, or nothing at all.
///
/// # Errors
/// [`GarbledTasks`]: it is anything else. Callers warn and go on with an empty list: no sign-in fails for it.
pub fn read_tasks(value: Option<&Value>) -> Result<Vec<String>, GarbledTasks> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            let text = |item: &Value| item.as_str().map(str::to_owned).ok_or(GarbledTasks);
            items.iter().map(text).collect()
        }
        Some(Value::String(text)) if text.trim().is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| GarbledTasks),
        Some(_) => Err(GarbledTasks),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_in_any_form() {
        let list = Ok(vec!["CREATE".to_owned(), "é,\"".to_owned()]);
        assert_eq!(read_tasks(Some(&json!(["CREATE", "é,\""]))), list);
        assert_eq!(read_tasks(Some(&json!("[\"CREATE\", \"é,\\\"\"]"))), list);
        for none in [None, Some(json!(null)), Some(json!("")), Some(json!("[]")), Some(json!([]))] {
            assert_eq!(read_tasks(none.as_ref()), Ok(Vec::new()), "{none:?}");
        }
        for garbage in [json!("CREATE"), json!({"a": 1}), json!(1), json!([1]), json!("{}"), json!("[1]")] {
            assert_eq!(read_tasks(Some(&garbage)), Err(GarbledTasks), "{garbage}");
        }
    }
}
