//! The tools that the operator lets a client call: others are neither listed nor called.

use bytes::Bytes;
use causeway_domain::client::Client;
use causeway_outbound::HttpError;
use causeway_outbound::budget::{Budget, Held};
use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use serde_json::Value;

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

type Parts = BoxStream<'static, Result<Bytes, HttpError>>;

/// The events of a stream, without tools that the client may not call.
fn filtered_events(filter: ToolFilter, budget: Budget, parts: Parts) -> Parts {
    let state = Some((Events { filter, budget, begun: None }, parts));
    unfold(state, |state| async move {
        let (mut events, mut parts) = state?;
        match parts.next().await {
            Some(Ok(part)) => match events.push(&part) {
                Ok(passed) => Some((Ok(passed), Some((events, parts)))),
                Err(error) => Some((Err(error), None)),
            },
            Some(Err(error)) => Some((Err(error), None)),
            // An event without its end is none.
            None => None,
        }
    })
    .filter(|part| {
        let is_there = !matches!(part, Ok(part) if part.is_empty());
        async move { is_there }
    })
    .boxed()
}

/// The event that has begun.
struct Events {
    filter: ToolFilter,
    budget: Budget,
    begun: Option<Held>,
}

impl Events {
    /// Adds a part; returns the events that are complete.
    fn push(&mut self, part: &[u8]) -> Result<Bytes, HttpError> {
        const NO_ROOM: HttpError = HttpError::NoRoom { sent: true };
        let mut begun = match self.begun.take() {
            Some(begun) => begun,
            None => Held::new(&self.budget, 2).map_err(|_| NO_ROOM)?,
        };
        if begun.len() + part.len() > CAP {
            return Err(HttpError::TooLarge);
        }
        begun.extend(part).map_err(|_| NO_ROOM)?;
        let (mut passed, mut from) = (Vec::new(), 0);
        while let Some(length) = end_of_event(&begun[from..]) {
            let event = &begun[from..from + length];
            match self.without_others(event) {
                Some(filtered) => passed.extend_from_slice(&filtered),
                None => passed.extend_from_slice(event),
            }
            from += length;
        }
        if from < begun.len() {
            let mut rest = Held::new(&self.budget, 2).map_err(|_| NO_ROOM)?;
            rest.extend(&begun[from..]).map_err(|_| NO_ROOM)?;
            self.begun = Some(rest);
        }
        Ok(passed.into())
    }

    /// An event without other tools; `None`: it lists none.
    fn without_others(&self, event: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(event).ok()?;
        let lines = || text.split(['\r', '\n']).filter(|line| !line.is_empty());
        let values: Vec<&str> = lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|value| value.strip_prefix(' ').unwrap_or(value))
            .collect();
        let filtered = self.filter.without_others(values.join("\n").as_bytes())?;
        let mut written = Vec::with_capacity(filtered.len() + 64);
        for line in lines().filter(|line| !line.starts_with("data:")) {
            written.extend_from_slice(line.as_bytes());
            written.push(b'\n');
        }
        written.extend_from_slice(b"data: ");
        written.extend_from_slice(&filtered);
        written.extend_from_slice(b"\n\n");
        Some(written)
    }
}

/// The length of the first event, with the empty line at its end.
fn end_of_event(text: &[u8]) -> Option<usize> {
    let ends: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];
    let find = |end: &[u8]| text.windows(end.len()).position(|part| part == end).map(|at| at + end.len());
    ends.into_iter().filter_map(find).min()
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

#[cfg(test)]
mod event_tests {
    use super::tests::filter;
    use super::*;

    fn pushed(parts: &[&str]) -> String {
        let mut events = Events { filter: filter(), budget: Budget::new(100_000), begun: None };
        let passed: Vec<u8> = parts.iter().flat_map(|part| events.push(part.as_bytes()).unwrap()).collect();
        String::from_utf8(passed).unwrap()
    }

    #[test]
    fn events_pass_when_they_are_complete() {
        let ping = "id: 1\nevent: message\ndata: {\"method\":\"x\"}\n\n";
        assert_eq!(pushed(&[ping, ": ping\n\n", "data: begun"]), format!("{ping}: ping\n\n"));
        assert_eq!(pushed(&["data: {\r\ndata: \r\n", "\r\n"]), "data: {\r\ndata: \r\n\r\n");
        let list = "id: 2\ndata: {\"id\":1,\"result\":{\"tools\":[{\"name\":\"read\"},\ndata: {\"name\":\"write\"}]}}\n\n";
        let (begin, end) = list.split_at(20);
        let left = "id: 2\ndata: {\"id\":1,\"result\":{\"tools\":[{\"name\":\"read\"}]}}\n\n";
        assert_eq!(pushed(&[begin, end]), left);
    }

    #[test]
    fn an_event_without_an_end_is_bounded() {
        let mut events = Events { filter: filter(), budget: Budget::new(100 * CAP), begun: None };
        let part = vec![b'x'; CAP];
        assert!(events.push(&part).is_ok());
        assert!(matches!(events.push(b"x"), Err(HttpError::TooLarge)));
    }
}
