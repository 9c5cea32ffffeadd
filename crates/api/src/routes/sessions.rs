//! `GET|POST /api/sessions`, `GET|POST /api/sessions/{session_id}` and `POST /api/sessions/{session_id}/dpop-proof`:
//! sessions for a client that authenticates as itself.
//!
//! A POST is for clients that authenticate in the body; nothing is changed by it. Credentials are never taken
//! from a query.

use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::client::authenticated::AuthenticatedClient;
use causeway_flow::upstream::export::{self, ExportedTokens, FoundSession, ProofParams, Question};
use causeway_types::{Timestamp, UpstreamSessionId};

use crate::bodies::session::{self as bodies, ExportedSession, SessionProof};
use crate::error::ApiError;
use crate::http::answer::with_nonce;
use crate::http::client_auth::identify;
use crate::http::form::{Params, take_fields};
use crate::http::headers::json_no_store;
use crate::state::AppState;

pub(crate) async fn find(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (authenticated, mut params) = enter(&req, &state, payload).await?;
    let question = take_fields!(&mut params => Question { sub, session_kind, fingerprint });
    let found = export::find(&state.ctx, &authenticated, question).await;
    let outcome = found.and_then(|FoundSession { session, handle }| {
        let head = &session.head;
        let account = head.atproto()?;
        let body = bodies::FoundSession {
            session_id: head.session_id.as_str(),
            session_kind: head.kind,
            session_state: head.state_at(state.ctx.now()),
            fingerprint: head.fingerprint(),
            sub: &account.did,
            handle: handle.as_ref(),
            pds: &account.upstream.pds,
            scope: &session.granted,
            head_iteration: head.iteration,
            last_used_at: head.last_used_at.as_secs(),
            session_expires_at: head.idle_end().map(Timestamp::as_secs),
        };
        Ok(json_no_store(StatusCode::OK, &body))
    });
    Ok(with_nonce(outcome.map_err(ApiError::from), authenticated.dpop_nonce))
}

pub(crate) async fn show(
    req: HttpRequest,
    id: Path<String>,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (authenticated, _) = enter(&req, &state, payload).await?;
    let id = UpstreamSessionId::new(id.into_inner());
    let exported = export::tokens(&state.ctx, &authenticated, &id).await;
    let outcome = exported.and_then(|ExportedTokens { live, handle }| {
        let (head, credentials) = (&live.head, &live.credentials);
        let (account, bound) = (head.atproto()?, credentials.dpop_bound()?);
        let body = ExportedSession {
            session_id: head.session_id.as_str(),
            session_kind: head.kind,
            sub: &account.did,
            handle: handle.as_ref(),
            pds: &account.upstream.pds,
            head_iteration: head.iteration,
            access_token: bound.token.expose(),
            token_type: "DPoP",
            dpop_jkt: &bound.jkt,
            scope: &credentials.scope,
            expires_at: credentials.expires_at.map(Timestamp::as_secs),
            expires_in: credentials.expires_at.map(|end| end.since(state.ctx.now())),
        };
        Ok(json_no_store(StatusCode::OK, &body))
    });
    Ok(with_nonce(outcome.map_err(ApiError::from), authenticated.dpop_nonce))
}

pub(crate) async fn dpop_proof(
    req: HttpRequest,
    id: Path<String>,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (authenticated, mut params) = enter(&req, &state, payload).await?;
    let id = UpstreamSessionId::new(id.into_inner());
    let params = take_fields!(&mut params => ProofParams { htm, htu, nonce });
    let outcome = export::proof(&state.ctx, &authenticated, &id, params).await.map(|signed| {
        let body = SessionProof { dpop_proof: &signed.proof, head_iteration: signed.live.head.iteration };
        json_no_store(StatusCode::OK, &body)
    });
    Ok(with_nonce(outcome.map_err(ApiError::from), authenticated.dpop_nonce))
}

/// Authenticates the client; its parameters are in the query of a GET, and in the body of a POST.
async fn enter(
    req: &HttpRequest,
    state: &AppState,
    payload: Payload,
) -> Result<(AuthenticatedClient, Params), ApiError> {
    if req.method() == Method::GET {
        let authenticated = identify(req, state, &mut Params::default()).await?;
        return Ok((authenticated, Params::of_query(req)?));
    }
    let mut params = Params::of_json_or_form(req, payload).await?;
    let authenticated = identify(req, state, &mut params).await?;
    Ok((authenticated, params))
}
