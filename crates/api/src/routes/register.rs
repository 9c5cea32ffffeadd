//! `POST /oauth/register` (RFC 7591).

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_domain::client::{ClientMetadata, GrantType};
use causeway_domain::{PlainToken, RedirectUri, Scope};
use causeway_flow::register::{self, Registered};
use serde::Serialize;

use crate::error::ApiError;
use crate::http::form::{InputError, read_body, require_type};
use crate::http::headers::json_no_store;
use crate::state::AppState;

/// The client information response (RFC 7591 section 3.2.1).
#[derive(Serialize)]
struct Answer<'a> {
    client_id: &'a str,
    client_id_issued_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    /// 0: it does not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<i64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_name: &'a str,
    redirect_uris: &'a [RedirectUri],
    grant_types: &'a [GrantType],
    response_types: [&'static str; 1],
    token_endpoint_auth_method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a Scope>,
    #[serde(flatten)]
    metadata: &'a serde_json::Map<String, serde_json::Value>,
}

pub(crate) async fn register(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    require_type(&req, "application/json")?;
    let body = read_body(&req, payload).await?;
    let metadata: ClientMetadata =
        serde_json::from_slice(&body).map_err(|error| InputError::Json(error.to_string()))?;
    let Registered { client, client_secret } = register::register(&state.ctx, metadata).await?;
    let answer = Answer {
        client_id: client.client_id.as_str(),
        client_id_issued_at: client.created_at.as_secs(),
        client_secret: client_secret.as_ref().map(PlainToken::expose),
        client_secret_expires_at: client_secret.as_ref().map(|_| 0),
        client_name: &client.client_name,
        redirect_uris: &client.redirect_uris,
        grant_types: &client.grant_types,
        response_types: ["code"],
        token_endpoint_auth_method: client.token_endpoint_auth_method.as_str(),
        scope: client.scope.as_ref(),
        metadata: &client.metadata,
    };
    Ok(json_no_store(StatusCode::CREATED, &answer))
}
