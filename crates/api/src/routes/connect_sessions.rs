//! `POST /api/connect-sessions`, `GET /api/connect-sessions/{connect_session_id}` and `POST /api/connections/confirm`: what
//! a client does so that its user connects an account.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_domain::connection::Connection;
use causeway_flow::connection::confirm;
use causeway_flow::connection::connect_session::{self, ConnectSessionParams};
use causeway_flow::connection::tenant_client::TenantClient;
use causeway_types::secret::{ConnectCode, PlainToken};
use causeway_types::{ConnectSessionId, ErrorCode, Timestamp};

use crate::bodies::connect::{
    ConfirmRequest, ConfirmedConnection, ConfirmedConnections, ConnectSessionRequest, ConnectSessionState,
    NewConnectSession, ShownConnectSession,
};
use crate::error::ApiError;
use crate::http::answer::with_nonce;
use crate::http::form::{InputError, read_json};
use crate::http::headers::json_no_store;
use crate::http::tenant_client::{Entered, require_tenant_client};
use crate::state::AppState;

pub(crate) async fn create(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let Entered { client, dpop_nonce } = require_tenant_client(&req, &state).await?;
    Ok(with_nonce(make(&req, &state, payload, &client).await, dpop_nonce))
}

async fn make(
    req: &HttpRequest,
    state: &AppState,
    payload: Payload,
    client: &TenantClient,
) -> Result<HttpResponse, ApiError> {
    let asked: ConnectSessionRequest = read_json(req, payload).await.map_err(unreadable)?;
    let params = ConnectSessionParams {
        user_id: asked.user_id,
        providers: asked.providers,
        session_kinds: asked.session_kind.into(),
        return_uri: asked.return_uri,
        state: asked.state,
        scopes: asked.scopes,
        parameters: asked.parameters,
        force_reauth: asked.force_reauth,
        fingerprint: asked.fingerprint,
        connection_id: asked.connection_id,
    };
    let made = connect_session::create(&state.ctx, client, params).await?;
    let body = NewConnectSession {
        connect_session_id: made.connect_session_id.as_str(),
        connect_url: format!("{}/connect/{}", state.ctx.issuer(), made.token.expose()),
        expires_at: made.expires_at.as_secs(),
    };
    Ok(json_no_store(StatusCode::CREATED, &body))
}

pub(crate) async fn show(
    req: HttpRequest,
    id: Path<String>,
    state: Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let Entered { client, dpop_nonce } = require_tenant_client(&req, &state).await?;
    let id = ConnectSessionId::new(id.into_inner());
    let outcome = connect_session::show(&state.ctx, &client, &id).await.map(|shown| {
        let outcome = shown.outcome.as_ref();
        let body = ShownConnectSession {
            connect_session_id: shown.session.connect_session_id.as_str(),
            user_id: shown.session.user.user_id.as_str(),
            state: match outcome {
                Some(_) => ConnectSessionState::Finished,
                None if shown.is_expired => ConnectSessionState::Expired,
                None => ConnectSessionState::Open,
            },
            outcome: outcome.map(|outcome| outcome.outcome.as_str()),
            connection_id: outcome.and_then(|outcome| Some(outcome.connection_id.as_ref()?.as_str())),
            expires_at: shown.session.expires_at.as_secs(),
            finished_at: outcome.map(|outcome| Timestamp::as_secs(outcome.finished_at)),
        };
        json_no_store(StatusCode::OK, &body)
    });
    Ok(with_nonce(outcome.map_err(ApiError::from), dpop_nonce))
}

pub(crate) async fn confirm(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let Entered { client, dpop_nonce } = require_tenant_client(&req, &state).await?;
    Ok(with_nonce(confirmed(&req, &state, payload, &client).await, dpop_nonce))
}

async fn confirmed(
    req: &HttpRequest,
    state: &AppState,
    payload: Payload,
    client: &TenantClient,
) -> Result<HttpResponse, ApiError> {
    let ConfirmRequest { connect_code, user_id } = read_json(req, payload).await.map_err(unreadable)?;
    let code = PlainToken::<ConnectCode>::presented(connect_code);
    let connections = confirm::confirm(&state.ctx, client, &code, &user_id).await?;
    let first = connections.first().ok_or_else(ApiError::not_found)?;
    let several = if connections.len() > 1 { &*connections } else { &[] };
    let body = ConfirmedConnections {
        first: ConfirmedConnection::of(first),
        connections: several.iter().map(ConfirmedConnection::of).collect(),
    };
    Ok(json_no_store(StatusCode::OK, &body))
}

impl<'a> ConfirmedConnection<'a> {
    fn of(connection: &'a Connection) -> Self {
        let head = &connection.head;
        Self {
            connection_id: head.session_id.as_str(),
            provider: head.provider(),
            user_id: connection.slot.user.user_id.as_str(),
            session_kind: head.kind,
            state: head.state,
            account_ref: head.subject(),
        }
    }
}

/// Another JSON than the endpoint expects is a request that cannot be served; it is about no client's metadata.
fn unreadable(error: InputError) -> ApiError {
    match error {
        InputError::Json(_) => ApiError::bad_request(ErrorCode::InvalidRequest, &error),
        error => error.into(),
    }
}
