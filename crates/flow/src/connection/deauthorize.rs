//! Requests that a provider signs: a user has removed our app there, or wants their data deleted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_domain::connection::Registration;
use causeway_jose::hmac_sha256;
use causeway_providers::signed_request::read_signed_request;
use causeway_store::connections::heads;
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_types::{ErrorCode, RegistrationId, Secret, TenantId};

pub use causeway_providers::signed_request::SignedRequestError;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::upstream::revocation;

/// Connections that are ended in one transaction.
const BATCH: i64 = 100;

/// Why such a request is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum DeauthorizeError {
    /// There is no such registration, or it has no connections.
    #[error("there is no such registration")]
    NotFound,
    /// It is not signed by the registration.
    #[error(transparent)]
    Signed(#[from] SignedRequestError),
    /// The confirmation code is of no request.
    #[error("there is no such confirmation code")]
    Code,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl DeauthorizeError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound | Self::Code => ErrorCode::NotFound,
            Self::Signed(_) => ErrorCode::InvalidRequest,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Ends every connection of the account that a signed request is about, at the registration that signed it. Once they have
/// ended, the same request changes nothing. Returns the code by which the outcome is asked for.
///
/// # Errors
/// [`DeauthorizeError`].
#[tracing::instrument(name = "flow.connection.deauthorize", skip_all, fields(registration = %registration_id))]
pub async fn deauthorize(
    ctx: &Ctx,
    provider: &str,
    registration_id: &RegistrationId,
    signed_request: &str,
) -> Result<String, DeauthorizeError> {
    let found = find(ctx, provider, registration_id).await?;
    let subject = read_signed_request(signed_request, &found.secret)?;
    let (id, account, now) = (registration_id.clone(), subject.clone(), ctx.now());
    let event = audit::event(ctx, Actor::User, "connection_deauthorized", "ok");
    let event = AuditEvent { tenant_id: found.tenant_id.clone(), ..event };
    loop {
        let (id, account, event) = (id.clone(), account.clone(), event.clone());
        let store = ctx.store().in_tenant(&found.tenant_id);
        let ended = store
            .write(move |scope| {
                let live = heads::list_connections_of_account(scope, &id, &account, BATCH)?;
                for head in &live {
                    heads::end_connection(scope, &head.session_id, now)?;
                    insert_audit_event(scope.connection(), &event.clone().of_session(head))?;
                }
                Ok::<_, Internal>(live.len())
            })
            .await?;
        if ended == 0 {
            break;
        }
        tracing::info!(ended, "connections were ended: the user has removed the app at the provider");
        revocation::revoke_due_soon(ctx);
    }
    confirmation_code(&found.secret, &subject).map_err(DeauthorizeError::from)
}

/// Whether everything of the account behind a confirmation code has ended.
///
/// # Errors
/// [`DeauthorizeError`].
pub async fn is_done(
    ctx: &Ctx,
    provider: &str,
    registration_id: &RegistrationId,
    code: &str,
) -> Result<bool, DeauthorizeError> {
    let found = find(ctx, provider, registration_id).await?;
    let subject = code.split_once('.').and_then(|(subject, _)| URL_SAFE_NO_PAD.decode(subject).ok());
    let subject =
        subject.and_then(|subject| String::from_utf8(subject).ok()).ok_or(DeauthorizeError::Code)?;
    let own = Secret::new(confirmation_code(&found.secret, &subject)?);
    if own != Secret::new(code) {
        return Err(DeauthorizeError::Code);
    }
    let (id, store) = (registration_id.clone(), ctx.store().in_tenant(&found.tenant_id));
    let live = store.read(move |scope| {
        heads::list_connections_of_account(scope, &id, &subject, 1).map_err(Internal::from)
    });
    Ok(live.await?.is_empty())
}

/// A registration, and the tenant that it belongs to.
struct Found {
    tenant_id: TenantId,
    secret: Secret,
}

async fn find(
    ctx: &Ctx,
    provider: &str,
    registration_id: &RegistrationId,
) -> Result<Found, DeauthorizeError> {
    let id = registration_id.clone();
    let tenant =
        ctx.store().find(move |c| heads::find_tenant_of_registration(c, &id).map_err(Internal::from)).await?;
    let tenant_id = tenant.ok_or(DeauthorizeError::NotFound)?;
    let registration = ctx.registrations().find(&tenant_id, registration_id).await?;
    let is_of_provider = |registration: &Registration| registration.provider == provider;
    let secret = registration.filter(is_of_provider).and_then(|registration| registration.client_secret);
    Ok(Found { tenant_id, secret: secret.ok_or(DeauthorizeError::NotFound)? })
}

/// The code for the outcome of a request about an account: the same for each request.
fn confirmation_code(secret: &Secret, subject: &str) -> Result<String, Internal> {
    let message = format!("causeway data deletion\0{subject}");
    let mac = hmac_sha256(secret.expose().as_bytes(), message.as_bytes())?;
    Ok(format!("{}.{}", URL_SAFE_NO_PAD.encode(subject), URL_SAFE_NO_PAD.encode(&mac[..16])))
}
