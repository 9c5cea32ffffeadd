//! The messages of a client, as far as they tell what to answer in the place of the server (JSON-RPC 2.0, MCP).

use serde::Deserialize;
use serde_json::{Map, Value};

/// The beginning of our own `requestState`: it never reaches the server.
pub(super) const OWN_STATE: &str = "causeway.";

/// A body: one message, or several in revision 2025-03-26.
#[derive(Clone, Debug)]
pub(super) struct Messages {
    all: Vec<Message>,
    is_batch: bool,
}

/// One message.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Message {
    /// The identifier that the answer has; `None`: none is expected.
    #[serde(default)]
    pub(super) id: Option<Value>,
    /// The method; `None`: it is an answer to the server.
    #[serde(default)]
    pub(super) method: Option<String>,
    #[serde(default)]
    params: Params,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    name: Option<Value>,
    protocol_version: Option<Value>,
    request_state: Option<Value>,
    input_responses: Option<Value>,
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Meta {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    protocol_version: Option<Value>,
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<Value>,
}

/// How a client is told that its user has to open a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revision {
    /// By a result that asks for input: 2026-07-28 and later.
    InputRequired,
    /// By the error for elicitation of a URL: 2025-11-25.
    UrlElicitation,
    /// By an error of ours: before, or unknown.
    Other,
}

impl Revision {
    fn of(version: &str) -> Self {
        match version {
            "2025-11-25" => Self::UrlElicitation,
            // Revisions are dates.
            later if later >= "2026-07-28" && later.starts_with('2') => Self::InputRequired,
            _ => Self::Other,
        }
    }
}

/// A client's answer to what our own result asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resumed {
    /// The value that it was given to bring back.
    pub(super) state: String,
    /// Whether the user agreed to open the page.
    pub(super) is_accepted: bool,
}

impl Messages {
    /// Reads a body; `None`: it is not one of messages.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let is_batch = body.trim_ascii_start().starts_with(b"[");
        let all = if is_batch {
            serde_json::from_slice(body).ok()?
        } else {
            vec![serde_json::from_slice(body).ok()?]
        };
        Some(Self { all, is_batch })
    }

    /// Each message.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Message> {
        self.all.iter()
    }

    /// Answers each request with what `answer` makes of it; `None`: there is no request among the messages.
    pub(super) fn answer(&self, answer: impl Fn(&Message) -> Map<String, Value>) -> Option<Value> {
        let requests = self.all.iter().filter(|message| message.method.is_some());
        let answers = requests.filter_map(|message| {
            let mut object = Map::new();
            object.insert("jsonrpc".to_owned(), "2.0".into());
            object.insert("id".to_owned(), message.id.clone().filter(|id| !id.is_null())?);
            object.extend(answer(message));
            Some(Value::Object(object))
        });
        let mut answers: Vec<Value> = answers.collect();
        if self.is_batch && !answers.is_empty() { Some(Value::Array(answers)) } else { answers.pop() }
    }
}

impl Message {
    /// The revision by which the client reads its answer; `header` is `MCP-Protocol-Version`.
    pub(super) fn revision(&self, header: Option<&str>) -> Revision {
        let of_meta = self.params.meta.as_ref().and_then(|meta| meta.protocol_version.as_ref());
        // `initialize` asks for one, and has no header.
        let said = of_meta.or(self.params.protocol_version.as_ref()).and_then(Value::as_str);
        said.or(header).map_or(Revision::Other, Revision::of)
    }

    /// Whether the client says what it is capable of, and that it cannot ask its user to open a page.
    pub(super) fn cannot_ask(&self) -> bool {
        let capabilities = self.params.meta.as_ref().and_then(|meta| meta.capabilities.as_ref());
        capabilities.is_some_and(|capabilities| capabilities.pointer("/elicitation/url").is_none())
    }

    /// The tool that is called.
    pub(super) fn tool(&self) -> Option<&str> {
        if self.method.as_deref() == Some("tools/call") { self.params.name.as_ref()?.as_str() } else { None }
    }

    /// The answer to what we asked for, if it is one.
    pub(super) fn resumed(&self) -> Option<Resumed> {
        let state = self.params.request_state.as_ref()?.as_str()?.strip_prefix(OWN_STATE)?;
        let responses = self.params.input_responses.as_ref().and_then(Value::as_object);
        let is_accepted = responses.is_some_and(|responses| {
            responses
                .values()
                .any(|response| response.get("action").and_then(Value::as_str) == Some("accept"))
        });
        Some(Resumed { state: state.to_owned(), is_accepted })
    }
}

/// A body without our own state and the answers to what we asked for, as the server is to see it; `None`: it has none of them.
pub(super) fn without_own_state(body: &[u8]) -> Option<Vec<u8>> {
    let mut message: Value = serde_json::from_slice(body).ok()?;
    let params = message.get_mut("params")?.as_object_mut()?;
    params.get("requestState")?.as_str()?.strip_prefix(OWN_STATE)?;
    params.remove("requestState");
    params.remove("inputResponses");
    serde_json::to_vec(&message).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(message: &Value) -> Message {
        Messages::read(message.to_string().as_bytes()).unwrap().all.remove(0)
    }

    #[test]
    fn revisions() {
        let plain = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        let initialize =
            json!({"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}});
        let stateless = json!({"id": 1, "method": "tools/call", "params": {
            "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}});
        for (message, header, revision) in [
            (&plain, None, Revision::Other),
            (&plain, Some("2025-06-18"), Revision::Other),
            (&plain, Some("2025-11-25"), Revision::UrlElicitation),
            (&plain, Some("2026-07-28"), Revision::InputRequired),
            (&plain, Some("2027-01-01"), Revision::InputRequired),
            (&plain, Some("draft"), Revision::Other),
            (&initialize, None, Revision::UrlElicitation),
            (&stateless, None, Revision::InputRequired),
        ] {
            assert_eq!(read(message).revision(header), revision, "{message} {header:?}");
        }
    }

    #[test]
    fn our_own_state_comes_back_and_goes_no_further() {
        let sent = json!({"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {
            "name": "echo", "arguments": {"n": 1.50}, "requestState": "causeway.s-1",
            "inputResponses": {"connect": {"action": "accept"}}}});
        let resumed = Resumed { state: "s-1".to_owned(), is_accepted: true };
        assert_eq!(read(&sent).resumed(), Some(resumed));
        let passed: Value =
            serde_json::from_slice(&without_own_state(sent.to_string().as_bytes()).unwrap()).unwrap();
        assert_eq!(passed["params"], json!({"name": "echo", "arguments": {"n": 1.50}}));
        let theirs =
            json!({"id": 1, "method": "tools/call", "params": {"requestState": "s", "inputResponses": {}}});
        assert_eq!(read(&theirs).resumed(), None);
        assert_eq!(without_own_state(theirs.to_string().as_bytes()), None, "it is the server's");
    }

    #[test]
    fn each_request_is_answered_with_its_id() {
        let answer = |body: &Value| {
            let messages = Messages::read(body.to_string().as_bytes())?;
            messages.answer(|_| Map::from_iter([("result".to_owned(), json!({}))]))
        };
        let result = |id: Value| json!({"jsonrpc": "2.0", "id": id, "result": {}});
        assert_eq!(answer(&json!({"id": "a", "method": "ping"})), Some(result(json!("a"))));
        assert_eq!(answer(&json!({"id": 0, "method": "ping"})), Some(result(json!(0))));
        assert_eq!(answer(&json!({"method": "notifications/initialized"})), None);
        assert_eq!(answer(&json!({"id": 1, "result": {}})), None, "an answer");
        let batch = json!([{"id": 1, "method": "ping"}, {"method": "x"}, {"id": 2, "method": "ping"}]);
        assert_eq!(answer(&batch), Some(json!([result(json!(1)), result(json!(2))])));
        assert_eq!(answer(&json!("nonsense")), None);
    }
}
