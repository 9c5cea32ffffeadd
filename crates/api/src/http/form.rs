//! Parameters of a query or a form: each name at most once (RFC 6749 section 3.1) but `resource` (RFC 8707
//! section 2), UTF-8 only.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::Payload;
use causeway_flow::upstream::traits::CallbackParams;
use causeway_outbound::budget::{Budget, Exhausted, Held};
use causeway_types::Secret;
use causeway_types::secret::{PlainToken, TokenKind};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::http::json::{self, JsonError};
use crate::http::request;

/// The largest body that a form endpoint reads, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// Why parameters could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InputError {
    #[error("the parameter {0} was sent more than once")]
    Duplicate(String),
    #[error("the parameter {0} is not known at this endpoint")]
    Unknown(String),
    #[error("the request has more than {MAX_PARAMS} parameters")]
    TooMany,
    #[error("parameters must be percent-encoded UTF-8 without control characters")]
    Encoding,
    #[error("the body must be of the type {0}")]
    ContentType(&'static str),
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body has more members than this server reads: send less at once")]
    Dense,
    #[error("there is not enough memory for the body at the moment: try again in a moment")]
    NoRoom,
    #[error("the body did not arrive completely")]
    Incomplete,
    #[error("the body did not arrive within {} seconds", BODY_TIMEOUT.as_secs())]
    Slow,
    #[error("the body is not the JSON that this endpoint expects: {0}")]
    Json(String),
    #[error("the body must be a JSON object whose values are strings, with each name once")]
    NotStrings,
}

impl From<Exhausted> for InputError {
    fn from(exhausted: Exhausted) -> Self {
        match exhausted {
            Exhausted::Part => Self::Dense,
            Exhausted::Whole => Self::NoRoom,
        }
    }
}

/// Memory budget of one body and everything made from it, in bytes.
const MAX_HELD: usize = 16 * 1024 * 1024;
/// Factor by which a body is charged: the body itself, its parsed form, and the form that is sent on.
const TIMES: usize = 3;
/// Maximum time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The most parameters that a request may have.
const MAX_PARAMS: usize = 64;

/// The one parameter that may be sent several times.
const REPEATABLE: &str = "resource";

/// Parameters by name; empty values count as left out (RFC 6749 section 3.1). They may be secrets:
/// there is no `Debug`.
#[derive(Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `application/x-www-form-urlencoded` text.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, InputError> {
        let mut params: Vec<(String, String)> = Vec::new();
        for pair in text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            if params.len() == MAX_PARAMS {
                return Err(InputError::TooMany);
            }
            if name != REPEATABLE && params.iter().any(|(known, _)| *known == name) {
                return Err(InputError::Duplicate(name.chars().take(64).collect()));
            }
            params.push((name, value));
        }
        Ok(Self(params))
    }

    /// The parameters of a request's query.
    pub(crate) fn of_query(req: &HttpRequest) -> Result<Self, InputError> {
        Self::parse(req.query_string().as_bytes())
    }

    /// Reads the named parameters of a query that another server wrote and a browser delivered: there is
    /// no one to report an error to. Other parameters and control characters are ignored; a parameter that is
    /// sent twice with different values counts as left out.
    pub(crate) fn of_answer(req: &HttpRequest, names: &[&str]) -> Self {
        let mut params: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(req.query_string().as_bytes()) {
            if !names.contains(&&*name) {
                continue;
            }
            let value: String = value.chars().filter(|c| !c.is_control()).collect();
            match params.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) if *known == value => {}
                Some((_, known)) => known.clear(),
                None => params.push((name.into_owned(), value)),
            }
        }
        Self(params)
    }

    /// Reads the whole query that a provider wrote and a browser delivered, whatever its parameters are called; otherwise
    /// as [`Params::of_answer`].
    pub(crate) fn of_callback(req: &HttpRequest) -> CallbackParams {
        let pairs = url::form_urlencoded::parse(req.query_string().as_bytes()).take(MAX_PARAMS);
        let names: Vec<String> = pairs.map(|(name, _)| name.into_owned()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut params = Self::of_answer(req, &names);
        CallbackParams {
            state: params.take("state"),
            code: params.take("code").map(Secret::new),
            iss: params.take("iss"),
            error: params.take("error"),
            others: params.0.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
        }
    }

    /// The parameters of a request's body.
    pub(crate) async fn of_body(req: &HttpRequest, payload: Payload) -> Result<Self, InputError> {
        require_type(req, "application/x-www-form-urlencoded")?;
        let body = read_body(req, payload).await?;
        let params = Self::parse(&body)?;
        request::hold(body.into_share());
        Ok(params)
    }

    /// The parameters of a request's body, which may also be a JSON object of strings.
    pub(crate) async fn of_json_or_form(req: &HttpRequest, payload: Payload) -> Result<Self, InputError> {
        if require_type(req, "application/json").is_err() {
            return Self::of_body(req, payload).await;
        }
        let mut body = read_body(req, payload).await?;
        let object: BTreeMap<String, String> = json::read(&mut body).map_err(|error| match error {
            JsonError::Form(_) => InputError::NotStrings,
            JsonError::Exhausted(exhausted) => exhausted.into(),
        })?;
        request::hold(body.into_share());
        if object.len() > MAX_PARAMS {
            return Err(InputError::TooMany);
        }
        if object.iter().any(|(name, value)| has_controls(name) || has_controls(value)) {
            return Err(InputError::Encoding);
        }
        Ok(Self(object.into_iter().collect()))
    }

    /// Removes a parameter and returns its value.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        // `remove` keeps the order, which matters for `resource`.
        Some(self.0.remove(at).1).filter(|value| !value.is_empty())
    }

    /// Removes the parameters whose names begin with a text, and returns them without it.
    pub(crate) fn take_beginning(&mut self, beginning: &str) -> Vec<(String, String)> {
        let (taken, rest) =
            std::mem::take(&mut self.0).into_iter().partition(|(name, _)| name.starts_with(beginning));
        self.0 = rest;
        let taken: Vec<(String, String)> = taken;
        let short = |(name, value): (String, String)| (name[beginning.len()..].to_owned(), value);
        taken.into_iter().map(short).filter(|(_, value)| !value.is_empty()).collect()
    }

    /// Removes and returns the values of `resource`, in their order.
    pub(crate) fn take_resources(&mut self) -> Vec<String> {
        let (resources, rest) =
            std::mem::take(&mut self.0).into_iter().partition(|(name, _)| name == REPEATABLE);
        self.0 = rest;
        let resources: Vec<(String, String)> = resources;
        resources.into_iter().map(|(_, value)| value).filter(|value| !value.is_empty()).collect()
    }

    /// Refuses parameters that were not taken, where an unknown one would change the meaning of the request.
    pub(crate) fn refuse_rest(self) -> Result<(), InputError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(InputError::Unknown(name.chars().take(64).collect())),
        }
    }

    /// The parameters as a query, for a redirect.
    pub(crate) fn to_query(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

/// A field of a type that parameters are read into.
pub(crate) trait Field {
    /// Takes the parameter of this name.
    fn take(params: &mut Params, name: &str) -> Self;
}

impl Field for Option<String> {
    fn take(params: &mut Params, name: &str) -> Self {
        params.take(name)
    }
}

impl Field for Option<Secret> {
    fn take(params: &mut Params, name: &str) -> Self {
        params.take(name).map(Secret::new)
    }
}

impl<K: TokenKind> Field for Option<PlainToken<K>> {
    fn take(params: &mut Params, name: &str) -> Self {
        params.take(name).map(PlainToken::presented)
    }
}

/// The values of the one parameter that may be sent several times.
impl Field for Vec<String> {
    fn take(params: &mut Params, _: &str) -> Self {
        params.take_resources()
    }
}

/// Reads parameters into a type: each field from the parameter of its name. The description of the API derives the
/// parameters from the same type, so the two cannot differ.
macro_rules! take_fields {
    ($params:expr => $type:ident { $($field:ident),+ $(,)? }) => {
        $type { $($field: $crate::http::form::Field::take($params, stringify!($field))),+ }
    };
}
pub(crate) use take_fields;

/// Checks a request's media type, parameters such as `charset` aside.
pub(crate) fn require_type(req: &HttpRequest, wanted: &'static str) -> Result<(), InputError> {
    let given = req.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    if given.eq_ignore_ascii_case(wanted) { Ok(()) } else { Err(InputError::ContentType(wanted)) }
}

/// Reads a body: up to [`MAX_BODY`], for at most [`BODY_TIMEOUT`].
async fn read_body(req: &HttpRequest, payload: Payload) -> Result<Held, InputError> {
    read_body_up_to(req, payload, MAX_BODY).await
}

/// Reads a JSON body of at most [`MAX_BODY`] bytes.
pub(crate) async fn read_json<T: DeserializeOwned>(
    req: &HttpRequest,
    payload: Payload,
) -> Result<T, InputError> {
    require_type(req, "application/json")?;
    let mut body = read_body(req, payload).await?;
    let read = json::read(&mut body).map_err(|error| match error {
        JsonError::Form(error) => InputError::Json(error.to_string()),
        JsonError::Exhausted(exhausted) => exhausted.into(),
    })?;
    request::hold(body.into_share());
    Ok(read)
}

/// Reads a body of at most `cap` bytes, for at most [`BODY_TIMEOUT`].
pub(crate) async fn read_body_up_to(
    req: &HttpRequest,
    payload: Payload,
    cap: usize,
) -> Result<Held, InputError> {
    let announced =
        req.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > cap as u64) {
        return Err(InputError::TooLarge(cap));
    }
    let budget = request::budget().part(MAX_HELD);
    timeout(BODY_TIMEOUT, read_all(payload, cap, &budget, announced)).await.map_err(|_| InputError::Slow)?
}

/// Applies `cap` to the bytes that arrive, not to the announced length.
async fn read_all(
    mut payload: Payload,
    cap: usize,
    budget: &Budget,
    announced: Option<u64>,
) -> Result<Held, InputError> {
    let mut body = Held::new(budget, TIMES)?.expecting(announced);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| InputError::Incomplete)?;
        if body.len() + chunk.len() > cap {
            return Err(InputError::TooLarge(cap));
        }
        body.extend(&chunk)?;
    }
    Ok(body)
}

/// Decodes `+` and `%XX`; anything that is not UTF-8 afterwards is refused, never replaced.
pub(crate) fn decode(text: &[u8]) -> Result<String, InputError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
                let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                    return Err(InputError::Encoding);
                };
                out.push(u8::try_from(high * 16 + low).map_err(|_| InputError::Encoding)?);
            }
            other => out.push(*other),
        }
    }
    let text = String::from_utf8(out).map_err(|_| InputError::Encoding)?;
    if has_controls(&text) { Err(InputError::Encoding) } else { Ok(text) }
}

/// Whether a text has control characters: no specified parameter does, databases refuse NUL, and a log entry
/// is one line.
pub(crate) fn has_controls(text: &str) -> bool {
    text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest as _;
    use actix_web::dev;
    use actix_web::error::PayloadError;
    use actix_web::test::TestRequest;
    use actix_web::web::Bytes;

    use super::*;

    #[test]
    fn reads_and_refuses() {
        let mut params = Params::parse(b"a=1+2&b=%C3%A9&c=&d").unwrap();
        assert_eq!(params.take("a").as_deref(), Some("1 2"));
        assert_eq!(params.take("b").as_deref(), Some("é"));
        assert_eq!((params.take("c"), params.take("d"), params.take("e")), (None, None, None));
        assert_eq!(Params::parse(b"a=1&%61=2").err(), Some(InputError::Duplicate("a".to_owned())));
        let mut params = Params::parse(b"resource=urn:a:b&a=1&resource=&resource=urn:c:d").unwrap();
        assert_eq!(params.take_resources(), ["urn:a:b", "urn:c:d"]);
        assert_eq!((params.take("a").as_deref(), params.take_resources()), (Some("1"), Vec::new()));
        for bad in [&b"a=%ff"[..], b"a=%4", b"a=%zz", b"\xff=1", b"a=%00", b"a=x%0Ay"] {
            assert_eq!(Params::parse(bad).err(), Some(InputError::Encoding), "{bad:?}");
        }
    }

    #[test]
    fn answers_of_others_are_cleaned() {
        let query =
            "code=a%0Ab&state=s&state=s&iss=x&iss=y&iss=&error_description=%0A&%ff=1&junk=%00&error=e%ff";
        let req = TestRequest::with_uri(&format!("/callback?{query}")).to_http_request();
        let mut params = Params::of_answer(&req, &["state", "code", "iss", "error"]);
        assert_eq!(
            (params.take("code").as_deref(), params.take("state").as_deref()),
            (Some("ab"), Some("s"))
        );
        assert_eq!(params.take("iss"), None, "it says two things");
        assert_eq!(params.take("error").as_deref(), Some("e\u{fffd}"));
        assert_eq!(params.0.len(), 0);
    }

    /// A body that never comes: neither its announcement nor its silence is waited for.
    #[tokio::test(start_paused = true)]
    async fn slow_and_large_bodies_end() {
        let silence = || futures_util::stream::pending::<Result<Bytes, PayloadError>>();
        for (announced, error) in [("70000", InputError::TooLarge(MAX_BODY)), ("5", InputError::Slow)] {
            let req = TestRequest::post().insert_header((CONTENT_LENGTH, announced)).to_http_request();
            let mut stream: dev::Payload = dev::Payload::Stream { payload: Box::pin(silence()) };
            let payload = Payload::from_request(&req, &mut stream).await.unwrap();
            assert_eq!(read_body(&req, payload).await.err(), Some(error));
        }
    }
}
