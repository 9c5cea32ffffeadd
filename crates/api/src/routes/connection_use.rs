//! `POST /api/connections/{connection_id}/refresh`, `…/verify` and `…/credential`: connections that a client uses.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::connection::verify::Liveness;
use causeway_flow::connection::{export, refresh, verify};
use causeway_types::{Timestamp, UpstreamSessionId};

use super::relay::{CAUSEWAY_ACCOUNT, one_header};
use crate::bodies::connection_use::{ConnectionCredential, RefreshedConnection, VerifiedConnection};
use crate::error::ApiError;
use crate::http::answer::with_nonce;
use crate::http::headers::json_no_store;
use crate::http::tenant_client::require_tenant_client;
use crate::state::AppState;

pub(crate) async fn refresh(
    req: HttpRequest,
    id: Path<String>,
    state: Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let (entered, id) = (require_tenant_client(&req, &state).await?, UpstreamSessionId::new(id.into_inner()));
    let outcome = refresh::refresh(&state.ctx, &entered.client, &id).await.map(|head| {
        let body = RefreshedConnection {
            connection_id: head.session_id.as_str(),
            state: head.state,
            iteration: head.iteration,
        };
        json_no_store(StatusCode::OK, &body)
    });
    Ok(with_nonce(outcome.map_err(ApiError::from), entered.dpop_nonce))
}

pub(crate) async fn verify(
    req: HttpRequest,
    id: Path<String>,
    state: Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let (entered, id) = (require_tenant_client(&req, &state).await?, UpstreamSessionId::new(id.into_inner()));
    let outcome = verify::verify(&state.ctx, &entered.client, &id).await.map(|liveness| {
        let status = match liveness {
            Liveness::Live => "live",
            Liveness::ReauthRequired => "reauth_required",
            Liveness::Unknown => "unknown",
        };
        json_no_store(StatusCode::OK, &VerifiedConnection { connection_id: id.as_str(), status })
    });
    Ok(with_nonce(outcome.map_err(ApiError::from), entered.dpop_nonce))
}

pub(crate) async fn credential(
    req: HttpRequest,
    id: Path<String>,
    state: Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let (entered, id) = (require_tenant_client(&req, &state).await?, UpstreamSessionId::new(id.into_inner()));
    let outcome = async {
        let account = one_header(&req, &CAUSEWAY_ACCOUNT)?;
        let live = export::export(&state.ctx, &entered.client, &id, account).await?;
        let credentials = &live.credentials;
        let body = ConnectionCredential {
            connection_id: live.head.session_id.as_str(),
            access_token: credentials.access.secret().expose(),
            scope: &credentials.scope,
            expires_at: credentials.expires_at.map(Timestamp::as_secs),
            expires_in: credentials.expires_at.map(|end| end.since(state.ctx.now())),
        };
        Ok(json_no_store(StatusCode::OK, &body))
    };
    Ok(with_nonce(outcome.await, entered.dpop_nonce))
}
