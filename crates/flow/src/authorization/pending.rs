//! Authorization requests that wait in a browser: finding them, and ending them without a grant.

use causeway_domain::authorization::{AuthRequest, AuthRequestStage};
use causeway_store::authorization::auth_requests;
use causeway_store::authorization::device_codes;
use causeway_store::authorization::par;
use causeway_store::events::{self, EventKind};
use causeway_store::operations::admin;
use causeway_store::operations::audit::{AuditEvent, insert_audit_event};
use causeway_store::sessions;
use causeway_types::{AuthRequestId, BrowserSessionId, ErrorCode};

use crate::authorization::remembered;
use crate::authorization::response::ClientAnswer;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::trace;
use crate::upstream::revocation;

/// Finds a request of this browser that has not expired, decided or not.
pub(crate) async fn find(
    ctx: &Ctx,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
) -> Result<Option<AuthRequest>, Internal> {
    let (id, browser, now) = (id.clone(), browser.clone(), ctx.now());
    let found = ctx
        .store()
        .read(move |c| auth_requests::find_auth_request(c, &id, &browser, now).map_err(Internal::from))
        .await?;
    trace::correlate(found.as_ref().and_then(|request| request.correlation_id.as_ref()));
    Ok(found)
}

/// Ends a request without a grant, and revokes a session that was made for it upstream; returns the error for
/// the client. `None`: the request has changed since it was read.
pub(crate) async fn refuse(
    ctx: &Ctx,
    request: &AuthRequest,
    event: AuditEvent,
    code: ErrorCode,
    text: &str,
) -> Result<Option<ClientAnswer>, Internal> {
    if !end(ctx, request, event).await? {
        return Ok(None);
    }
    if let AuthRequestStage::Consent { session_id } = &request.stage {
        revocation::revoke_soon(ctx, session_id).await;
    }
    Ok(Some(ClientAnswer::with_error(request, ctx.issuer(), code, text)))
}

/// Ends a request without a grant, unless it has changed since it was read: consumes its pushed request,
/// denies its device code, and ends a session that was made for it. `event` is the audit event to record.
pub(crate) async fn end(ctx: &Ctx, request: &AuthRequest, event: AuditEvent) -> Result<bool, Internal> {
    let (request, now) = (request.clone(), ctx.now());
    let event = event.of_client(&request.client_id);
    ctx.store()
        .write(move |c| {
            if !auth_requests::decide_auth_request(c, &request.id, &request.stage)? {
                return Ok(false);
            }
            if let Some(uri) = &request.request_uri {
                par::consume_par_request(c, uri)?;
            }
            if let Some(code) = &request.device_code {
                device_codes::deny_device_code(c, code, Some(&request.id))?;
            }
            let mut event = event.clone();
            if let AuthRequestStage::Consent { session_id } = &request.stage {
                sessions::end_session(c, session_id, now)?;
                if let Some(session) = admin::find_session(c, &request.tenant_id, session_id)? {
                    // A user who says no wants to be asked the next time.
                    remembered::forget(c, &session)?;
                    event = event.of_session(&session);
                }
            }
            let correlation_id = request.correlation_id.as_ref();
            events::note_sign_in(c, &request.client_id, correlation_id, EventKind::Failed, now)?;
            insert_audit_event(c, &event)?;
            Ok(true)
        })
        .await
}
