//! Answers in the place of the server's: the user has to do something first. Their status is 200 and never 401, at which SDKs
//! give up that have just refreshed their token.

use serde_json::{Map, Value, json};

use super::message::{Message, Messages, OWN_STATE, Revision};
use crate::connection::mcp::Prompt;

/// The error code of revision 2025-11-25 for an elicitation of a URL.
const URL_ELICITATION_REQUIRED: i64 = -32042;
/// Our own: the user has to open a page. Codes from -32000 to -32019 are each implementation's.
pub(super) const CONNECT_REQUIRED: i64 = -32010;
/// Our own: the client may not call this tool.
pub(super) const TOOL_NOT_ALLOWED: i64 = -32011;
/// Our own: the user cannot connect at the moment.
pub(super) const NOT_CONNECTABLE: i64 = -32012;
/// The methods to which a result that asks for input is an answer.
const MAY_REQUIRE_INPUT: [&str; 3] = ["tools/call", "resources/read", "prompts/get"];

/// The action that the user has to take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    /// The page to open.
    pub(super) prompt: &'a Prompt,
    /// The text, for the client and its user.
    pub(super) text: &'a str,
    /// Whether the user was asked and has not agreed: the client is not to ask again by itself.
    pub(super) is_declined: bool,
}

/// Answers each request of a body with what its user has to do; `None`: there is no request among the messages.
pub(super) fn connect(messages: &Messages, version: Option<&str>, request: Request<'_>) -> Option<Value> {
    messages.answer(|message| connect_answer(message, version, request))
}

fn connect_answer(message: &Message, version: Option<&str>, request: Request<'_>) -> Map<String, Value> {
    let Request { prompt, text, is_declined } = request;
    let (url, id) = (prompt.connect_url.as_str(), prompt.connect_session_id.as_str());
    let may_require_input =
        message.method.as_deref().is_some_and(|method| MAY_REQUIRE_INPUT.contains(&method));
    match message.revision(version) {
        Revision::InputRequired if may_require_input && !is_declined && !message.cannot_ask() => {
            let params = json!({"mode": "url", "message": text, "url": url});
            let asked = json!({"connect": {"method": "elicitation/create", "params": params}});
            member(
                "result",
                json!({
                    "resultType": "input_required",
                    "inputRequests": asked,
                    "requestState": format!("{OWN_STATE}{id}"),
                }),
            )
        }
        Revision::UrlElicitation if !is_declined => {
            let elicitation = json!({"mode": "url", "elicitationId": id, "url": url, "message": text});
            let data = json!({"elicitations": [elicitation], "connect_url": url});
            error(URL_ELICITATION_REQUIRED, text, Some(data))
        }
        _ => error(CONNECT_REQUIRED, &format!("{text}: {url}"), Some(json!({"connect_url": url}))),
    }
}

/// Answers each request with an error.
pub(super) fn refuse(messages: &Messages, code: i64, text: &str) -> Option<Value> {
    messages.answer(|_| error(code, text, None))
}

/// The body of an answer to no request of a body: to a notification, or where there is no body.
pub(super) fn refuse_without_id(code: i64, text: &str, connect_url: Option<&str>) -> Value {
    let data = connect_url.map(|url| json!({"connect_url": url}));
    let mut object = Map::from_iter([("jsonrpc".to_owned(), "2.0".into()), ("id".to_owned(), Value::Null)]);
    object.extend(error(code, text, data));
    Value::Object(object)
}

fn error(code: i64, text: &str, data: Option<Value>) -> Map<String, Value> {
    let mut error = json!({"code": code, "message": text});
    if let Some(data) = data {
        error["data"] = data;
    }
    member("error", error)
}

fn member(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}
