//! The tools that the operator lets a client call: others are neither listed nor called.

mod events;

use causeway_domain::client::Client;
use causeway_outbound::HttpError;
use serde_json::Value;

use self::events::filtered_events;
use crate::ctx::Ctx;
use crate::operations::trace;
use crate::upstream::relay::{RelayAnswer, RelayError};

/// Maximum bytes of an answer, or of an event, whose tools are filtered.
const CAP: usize = 4 * 1024 * 1024;

/// The tools of one server that a client may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolFilter(Vec<String>);

impl ToolFilter {
    /// Those that the operator has entered; `None`: the client may call all.
    pub(super) fn of(client: &Client, provider: &str) -> Option<Self> {
        client.entitlements.mcp_tools.get(provider).cloned().map(Self)
    }

    /// Whether the client may call this one.
    pub(super) fn allows(&self, tool: &str) -> bool {
        self.0.iter().any(|allowed| allowed == tool)
    }

    /// Takes tools that the client may not call out of an answer.
    pub(super) async fn filter(self, ctx: &Ctx, answer: RelayAnswer) -> Result<RelayAnswer, RelayError> {
        let budget = ctx.budgets().answers.of(trace::origin().1);
        if answer.is_of_type("text/event-stream") {
            if answer.header("content-encoding").is_some() {
                return Err(HttpError::NotJson.into());
            }
            return Ok(answer.map_stream(|stream| filtered_events(self, budget, stream)));
        }
        if !answer.is_of_type("application/json") {
            return Ok(answer);
        }
        let empty = answer.with_body(bytes::Bytes::new());
        let body = answer.read(CAP, &budget).await?;
        Ok(empty.with_body(self.without_others(&body).map_or(body, Into::into)))
    }

    /// The text of messages without other tools; `None`: it lists none.
    fn without_others(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut message: Value = serde_json::from_slice(text).ok()?;
        let is_changed = match &mut message {
            Value::Array(batch) => {
                let changed = batch.iter_mut().map(|one| self.strip(one)).filter(|is_changed| *is_changed);
                changed.count() > 0
            }
            one => self.strip(one),
        };
        is_changed.then(|| serde_json::to_vec(&message).ok())?
    }

    fn strip(&self, message: &mut Value) -> bool {
        let Some(Value::Array(tools)) = message.pointer_mut("/result/tools") else { return false };
        let before = tools.len();
        tools.retain(|tool| {
            let name = tool.get("name").and_then(Value::as_str);
            name.is_some_and(|name| self.allows(name))
        });
        tools.len() != before
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    pub(super) fn filter() -> ToolFilter {
        ToolFilter(vec!["read".to_owned()])
    }

    #[test]
    fn others_are_not_listed() {
        let list = json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "read"}, {"name": "write"}, {}]}});
        let left: Value =
            serde_json::from_slice(&filter().without_others(list.to_string().as_bytes()).unwrap()).unwrap();
        assert_eq!(left["result"]["tools"], json!([{"name": "read"}]));
        for other in [
            json!({"id": 1, "result": {"content": []}}),
            json!({"id": 1, "result": {"tools": [{"name": "read"}]}}),
        ] {
            assert_eq!(filter().without_others(other.to_string().as_bytes()), None, "{other}");
        }
        let batch = json!([{"id": 1, "result": {}}, list]);
        let left: Value =
            serde_json::from_slice(&filter().without_others(batch.to_string().as_bytes()).unwrap()).unwrap();
        assert_eq!(left[1]["result"]["tools"], json!([{"name": "read"}]));
    }
}
