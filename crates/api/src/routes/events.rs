//! `GET|POST /api/events`: events of a client's sign-ins and sessions, as server-sent events (HTML
//! Living Standard section 9.2).

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::operations::events::{self, Listener};
use causeway_types::ErrorCode;
use futures_util::stream;
use tokio::time::timeout;

use crate::error::ApiError;
use crate::http::client_auth::identify;
use crate::http::form::Params;
use crate::state::AppState;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Interval of the keep-alive lines: proxies close silent connections.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Authenticates with HTTP Basic: credentials are never in a query.
pub(crate) async fn get(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    open(&req, &state, Params::default()).await
}

/// Authenticates as a client does at the other endpoints.
pub(crate) async fn post(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let params = Params::of_body(&req, payload).await?;
    open(&req, &state, params).await
}

async fn open(req: &HttpRequest, state: &AppState, mut params: Params) -> Result<HttpResponse, ApiError> {
    let last = match req.headers().get(LAST_EVENT_ID) {
        None => None,
        Some(id) => Some(id.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(|| {
            let text = "Last-Event-ID must be the id of an event, or 0 for all stored events";
            ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, text)
        })?),
    };
    let authenticated = identify(req, state, &mut params).await?;
    let listener = events::listen(&state.ctx, &authenticated, last).await?;
    let told = stream::unfold(listener, next);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(told))
}

async fn next(mut listener: Listener) -> Option<(Result<Bytes, std::convert::Infallible>, Listener)> {
    let Ok(events) = timeout(KEEP_ALIVE, listener.next()).await else {
        return Some((Ok(Bytes::from_static(b":\n\n")), listener));
    };
    let mut text = String::new();
    for event in events? {
        // Numbers, our own words and identifiers: no line of it ends early.
        let data = serde_json::to_string(&event).unwrap_or_default();
        text.extend(["id: ", &event.id.to_string(), "\nevent: ", &event.event, "\ndata: ", &data, "\n\n"]);
    }
    Some((Ok(Bytes::from(text)), listener))
}
