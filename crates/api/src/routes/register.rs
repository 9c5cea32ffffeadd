//! `POST /oauth/register` (RFC 7591), and `GET|PUT|DELETE /oauth/register/{client_id}` (RFC 7592).

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_domain::client::{Client, ClientMetadata};
use causeway_flow::client::registration::create::{self, Registered};
use causeway_flow::client::registration::{self, RegistrationError};
use causeway_types::secret::Registration;
use causeway_types::{ClientId, GrantType, PlainToken, Secret};

use crate::bodies::oauth::RegisteredClient;
use crate::error::ApiError;
use crate::http::form::read_json;
use crate::http::headers::json_no_store;
use crate::http::request;
use crate::state::AppState;

pub(crate) async fn register(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    registration::check_initial_token(
        &state.ctx,
        presented(&req).map(Secret::new).as_ref(),
        request::address(),
    )?;
    let metadata = read_metadata(&req, payload).await?;
    let registered = create::register(&state.ctx, metadata).await?;
    Ok(answer(&state, StatusCode::CREATED, &registered))
}

pub(crate) async fn show(
    req: HttpRequest,
    state: Data<AppState>,
    client_id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (client, token) = find(&req, &state, client_id).await?;
    let registered = Registered { client, client_secret: None, registration_access_token: Some(token) };
    Ok(answer(&state, StatusCode::OK, &registered))
}

pub(crate) async fn update(
    req: HttpRequest,
    state: Data<AppState>,
    client_id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (client, token) = find(&req, &state, client_id).await?;
    let metadata = read_metadata(&req, payload).await?;
    let updated = registration::update(&state.ctx, client, metadata).await?;
    Ok(answer(&state, StatusCode::OK, &Registered { registration_access_token: Some(token), ..updated }))
}

pub(crate) async fn delete(
    req: HttpRequest,
    state: Data<AppState>,
    client_id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (client, _) = find(&req, &state, client_id).await?;
    registration::delete(&state.ctx, &client).await?;
    Ok(HttpResponse::NoContent().insert_header((CACHE_CONTROL, "no-store")).finish())
}

/// Finds the managed client and returns it with its registration access token: every answer repeats the token
/// (RFC 7592 section 3), and we store only its hash.
async fn find(
    req: &HttpRequest,
    state: &AppState,
    client_id: Path<String>,
) -> Result<(Client, PlainToken<Registration>), ApiError> {
    let token = PlainToken::presented(presented(req).ok_or(RegistrationError::Token)?);
    let client_id = ClientId::new(client_id.into_inner());
    let client = registration::find(&state.ctx, &client_id, &token, request::address()).await?;
    Ok((client, token))
}

/// The bearer token of the header.
fn presented(req: &HttpRequest) -> Option<String> {
    let header = req.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

async fn read_metadata(req: &HttpRequest, payload: Payload) -> Result<ClientMetadata, ApiError> {
    Ok(read_json(req, payload).await?)
}

fn answer(state: &AppState, status: StatusCode, registered: &Registered) -> HttpResponse {
    let Registered { client, client_secret, registration_access_token } = registered;
    let answer = RegisteredClient {
        client_id: client.client_id.as_str(),
        client_id_issued_at: client.created_at.as_secs(),
        client_secret: client_secret.as_ref().map(PlainToken::expose),
        client_secret_expires_at: client_secret.as_ref().map(|_| 0),
        client_name: &client.client_name,
        redirect_uris: &client.redirect_uris,
        grant_types: &client.grant_types,
        response_types: if client.allows(GrantType::AuthorizationCode) { &["code"] } else { &[] },
        token_endpoint_auth_method: client.token_endpoint_auth_method.as_str(),
        scope: client.scope.as_ref(),
        jwks: client.jwks.as_ref(),
        registration_client_uri: format!("{}/oauth/register/{}", state.ctx.issuer(), client.client_id),
        registration_access_token: registration_access_token.as_ref().map(PlainToken::expose),
        metadata: &client.metadata,
    };
    json_no_store(status, &answer)
}
