//! `GET /api/session`, `POST /api/session/refresh` and `POST /api/session/sign-in`: the upstream session behind
//! a token.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::Internal;
use causeway_flow::upstream::keeper;
use causeway_flow::upstream::session::{self, SessionView};
use causeway_types::Timestamp;

use crate::bodies::session::{Session, SignInPrompt};
use crate::error::ApiError;
use crate::http::access::require_access;
use crate::http::answer::with_nonce;
use crate::http::headers::json_no_store;
use crate::state::AppState;

pub(crate) async fn show(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    let bearer = require_access(&req, &state, None).await?;
    let view = session::view(&state.ctx, &bearer, None).await;
    Ok(with_nonce(answer(&view), bearer.dpop_nonce))
}

pub(crate) async fn refresh(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    let bearer = require_access(&req, &state, None).await?;
    let outcome = match keeper::refresh_upstream(&state.ctx, &bearer).await {
        Ok(head) => answer(&session::view(&state.ctx, &bearer, Some(head)).await),
        Err(error) => Err(error.into()),
    };
    Ok(with_nonce(outcome, bearer.dpop_nonce))
}

/// For an app whose user has just asked to sign in again: unlike the errors of calls, it always has the URL.
pub(crate) async fn sign_in(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    let bearer = require_access(&req, &state, None).await?;
    let outcome = session::prompt(&state.ctx, &bearer)
        .map(|sign_in_url| json_no_store(StatusCode::OK, &SignInPrompt { sign_in_url }));
    Ok(with_nonce(outcome.map_err(ApiError::from), bearer.dpop_nonce))
}

fn answer(view: &SessionView) -> Result<HttpResponse, ApiError> {
    let head = &view.head;
    let account = head.atproto().map_err(Internal::from)?;
    let body = Session {
        sub: &account.did,
        handle: view.handle.as_ref(),
        pds: &account.upstream.pds,
        session_id: head.session_id.as_str(),
        session_iteration: view.session_iteration,
        head_iteration: head.iteration,
        session_kind: head.kind,
        session_state: view.state,
        fingerprint: head.fingerprint(),
        scope: &view.scope,
        token_expires_at: view.token_expires_at.as_secs(),
        session_expires_at: head.idle_end().map(Timestamp::as_secs),
    };
    Ok(json_no_store(StatusCode::OK, &body))
}
