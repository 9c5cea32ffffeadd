//! `/relay/{connection_id}/{path}`: calls of a provider's API with the credential of a connection, for clients that
//! authenticate themselves.

use std::pin::pin;

use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRANSFER_ENCODING};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::connection::relay;
use causeway_flow::connection::tenant_client::TenantClient;
use causeway_flow::upstream::relay::{
    KEPT_BYTES, KEPT_WRITES_BYTES, Method as RelayMethod, RelayBody, RelayRequest, RelayTarget, Repeats,
    Waits,
};
use causeway_types::{ErrorCode, UpstreamSessionId};

use crate::error::ApiError;
use crate::http::answer::with_nonce;
use crate::http::tenant_client::require_tenant_client;
use crate::http::upload::{self, Keeping};
use crate::http::{relay_headers, relayed};
use crate::state::AppState;

/// The header that names a managed account.
pub(crate) const CAUSEWAY_ACCOUNT: HeaderName = HeaderName::from_static("causeway-account");
/// The header that names one of the provider's origins.
const CAUSEWAY_ORIGIN: HeaderName = HeaderName::from_static("causeway-origin");
/// The header that allows a call with effects to be sent again.
const CAUSEWAY_RETRY: HeaderName = HeaderName::from_static("causeway-retry");

pub(crate) async fn call(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let entered = require_tenant_client(&req, &state).await?;
    let outcome = pass_on(&req, &state, payload, &entered.client).await;
    Ok(with_nonce(outcome, entered.dpop_nonce))
}

async fn pass_on(
    req: &HttpRequest,
    state: &AppState,
    payload: Payload,
    client: &TenantClient,
) -> Result<HttpResponse, ApiError> {
    // As it was sent: the router has decoded it.
    let (id, path) = connection_and_path(req.uri().path()).ok_or_else(ApiError::not_found)?;
    let account = one_header(req, &CAUSEWAY_ACCOUNT)?;
    let origin = one_header(req, &CAUSEWAY_ORIGIN)?.map(str::to_owned);
    let repeats = match one_header(req, &CAUSEWAY_RETRY)? {
        None => Repeats::Safe,
        Some(value) if value.eq_ignore_ascii_case("unsafe") => Repeats::Any,
        Some(_) => return Err(invalid("Causeway-Retry must be unsafe, or left out")),
    };
    let open = relay::open(&state.ctx, client, &UpstreamSessionId::new(id), account).await?;
    let has_body = has_body(req);
    let more = open.passing_headers().clone();
    let headers = relay_headers::of_request(&relay_headers::PROVIDER, &more.request, req.headers(), has_body);
    let headers = headers.map_err(|error| ApiError::bad_request(ErrorCode::InvalidRequest, &error))?;
    let (body, mut pump) = if has_body {
        let content_type = req.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_read = open.reads_body(content_type);
        let bytes = if is_read { KEPT_WRITES_BYTES } else { KEPT_BYTES };
        upload::read(req, payload, Keeping { bytes, or_stream: !is_read }).await?
    } else {
        (RelayBody::Empty, None)
    };
    let method = RelayMethod::from_bytes(req.method().as_str().as_bytes());
    let request = RelayRequest {
        method: method.map_err(|_| invalid("the method is not one of HTTP"))?,
        target: RelayTarget::Path { path: path.to_owned(), origin },
        query: req.query_string().to_owned(),
        headers,
        body,
        repeats,
        waits: Waits::Usual,
    };
    let answer = relayed::while_pumping(&mut pump, pin!(open.call(&state.ctx, request))).await?;
    let headers = relay_headers::of_answer(&relay_headers::PROVIDER, &more.answer, answer.headers());
    Ok(relayed::render(answer, headers, pump))
}

/// The connection, and the path at the provider from its slash on.
fn connection_and_path(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/relay/")?;
    let slash = rest.find('/')?;
    Some(rest.split_at(slash))
}

/// Whether a request has a body. One of GET and HEAD means nothing (RFC 9110 section 9.3.1).
fn has_body(req: &HttpRequest) -> bool {
    let announces = || {
        req.headers().contains_key(TRANSFER_ENCODING)
            || req.headers().get(CONTENT_LENGTH).is_some_and(|length| length != "0")
    };
    match *req.method() {
        Method::GET | Method::HEAD => false,
        Method::DELETE => announces(),
        _ => true,
    }
}

/// A header's value, which may come once.
pub(super) fn one_header<'a>(req: &'a HttpRequest, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut values = req.headers().get_all(name);
    match (values.next().map(|value| value.to_str()), values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value)),
        _ => Err(invalid(&format!("the header {name} must have one value"))),
    }
}

fn invalid(text: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, text)
}

#[cfg(test)]
mod tests {
    use super::connection_and_path;

    #[test]
    fn the_path_is_taken_as_it_was_sent() {
        for (path, taken) in [
            ("/relay/c/me", Some(("c", "/me"))),
            ("/relay/c/", Some(("c", "/"))),
            ("/relay/c/a%2Fb//../%00", Some(("c", "/a%2Fb//../%00"))),
            ("/relay/c", None),
            ("/relay//me", Some(("", "/me"))),
        ] {
            assert_eq!(connection_and_path(path), taken, "{path}");
        }
    }
}
