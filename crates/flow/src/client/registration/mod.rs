//! Managing a registration (RFC 7592), and who may make one (RFC 7591 section 3).

pub mod create;

use std::net::IpAddr;

use causeway_domain::client::{Client, ClientMetadata, ValidClientMetadata};
use causeway_store::clients as rows;
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_types::secret::{ClientSecret, PlainToken, Registration};
use causeway_types::{ClientId, ErrorCode, Rng, Secret, Timestamp};

use crate::client::purge;
use crate::client::registration::create::{RegisterError, Registered};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::operations::limits::{self, RateLimitedAction};
use causeway_domain::TooMany;

/// The policy for dynamic client registration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RegistrationPolicy {
    /// Anybody may register.
    #[default]
    Open,
    /// Only with the initial access token.
    Token(Secret),
    /// Nobody may register.
    Off,
}

/// Why a registration request was refused.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// Only the operator registers clients.
    #[error("this server does not register clients: ask its operator to register one")]
    Off,
    /// The initial access token is missing or wrong.
    #[error("registration requires the initial access token of this server: Authorization: Bearer TOKEN")]
    InitialToken,
    /// Unknown client or wrong token: one text for both, on purpose (RFC 7592 section 2).
    #[error("the registration access token is wrong, or the client was deleted")]
    Token,
    /// The body names another client, or has another secret.
    #[error("client_id and client_secret must be those that were registered")]
    Differs,
    /// The client is described by its own metadata document.
    #[error("this client is described by its client document: change the document instead")]
    Document,
    /// Too many requests.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The metadata is invalid.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl RegistrationError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Off => ErrorCode::AccessDenied,
            Self::InitialToken | Self::Token => ErrorCode::InvalidToken,
            Self::Differs | Self::Document => ErrorCode::InvalidClientMetadata,
            Self::TooMany(_) => ErrorCode::TemporarilyUnavailable,
            Self::Register(error) => error.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Checks whether a request with this initial access token may register a client.
///
/// # Errors
/// [`RegistrationError::Off`], [`RegistrationError::InitialToken`] or [`RegistrationError::TooMany`].
pub fn check_initial_token(
    ctx: &Ctx,
    token: Option<&Secret>,
    address: Option<IpAddr>,
) -> Result<(), RegistrationError> {
    match ctx.registration() {
        RegistrationPolicy::Open => Ok(limits::acquire(ctx, RateLimitedAction::Registration, None, address)?),
        RegistrationPolicy::Token(wanted) => {
            // The right token is accepted regardless of earlier failures from its address.
            if token == Some(wanted) {
                return Ok(());
            }
            limits::acquire(ctx, RateLimitedAction::FailedAuthentication, None, address)?;
            Err(RegistrationError::InitialToken)
        }
        RegistrationPolicy::Off => Err(RegistrationError::Off),
    }
}

/// Finds the client behind a registration access token (RFC 7592 section 2.1). `address` is the source
/// address of the request, if known.
///
/// # Errors
/// [`RegistrationError::Token`] or [`RegistrationError::TooMany`]; comparison takes constant time.
#[tracing::instrument(name = "flow.registration", skip_all, fields(%client_id))]
pub async fn find(
    ctx: &Ctx,
    client_id: &ClientId,
    token: &PlainToken<Registration>,
    address: Option<IpAddr>,
) -> Result<Client, RegistrationError> {
    limits::check_client(ctx, RateLimitedAction::FailedAuthentication, client_id, address)?;
    let (tenant, id) = (ctx.tenant().clone(), client_id.clone());
    let found = ctx.store().read::<_, Internal, _>(move |c| Ok(rows::find_client(c, &tenant, &id)?)).await?;
    let Some(client) = found else {
        limits::acquire(ctx, RateLimitedAction::FailedAuthentication, Some(client_id), address)?;
        return Err(RegistrationError::Token);
    };
    if client.registration_access_token.as_ref().is_some_and(|hash| hash.matches(token)) {
        return Ok(client);
    }
    limits::count(ctx, RateLimitedAction::FailedAuthentication, client_id, address);
    Err(RegistrationError::Token)
}

/// Replaces a client's own metadata (RFC 7592 section 2.2). Its identifier and its tokens stay; a secret is
/// returned if it needs one now and had none.
///
/// # Errors
/// [`RegistrationError`].
#[tracing::instrument(name = "flow.registration.update", skip_all, fields(client_id = %client.client_id))]
pub async fn update(
    ctx: &Ctx,
    client: Client,
    metadata: ClientMetadata,
) -> Result<Registered, RegistrationError> {
    let said = |name: &str| {
        let text = metadata.other.get(name).and_then(serde_json::Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    let same_secret = said("client_secret").is_none_or(|secret| {
        let presented = PlainToken::<ClientSecret>::presented(secret.to_owned());
        client.client_secret.as_ref().is_some_and(|hash| hash.matches(&presented))
    });
    if said("client_id") != Some(client.client_id.as_str()) || !same_secret {
        return Err(RegistrationError::Differs);
    }
    let valid = create::check(ctx, metadata, Some(&client))?;
    let event = audit::event(ctx, Actor::Client, "client_updated", "ok");
    let updated = replace(ctx, client, valid, event).await?;
    tracing::info!("client updated its registration");
    Ok(updated)
}

/// Applies new metadata to a client, which keeps what the operator has granted it; returns its secret as well if it needs one now and had none.
pub(crate) fn changed(
    client: &Client,
    valid: ValidClientMetadata,
    rng: &dyn Rng,
    now: Timestamp,
) -> (Client, Option<PlainToken<ClientSecret>>) {
    let needed = valid.new_secret(rng);
    let hash = match (&needed, &client.client_secret) {
        (None, _) => None,
        (Some(_), Some(hash)) => Some(hash.clone()),
        (Some(fresh), None) => Some(fresh.hash()),
    };
    let changed = Client {
        created_at: client.created_at,
        registration_access_token: client.registration_access_token.clone(),
        access_token_expiration: client.access_token_expiration,
        refresh_token_expiration: client.refresh_token_expiration,
        entitlements: client.entitlements.clone(),
        ..valid.into_client(client.client_id.clone(), client.tenant_id.clone(), hash, now)
    };
    (changed, needed.filter(|_| client.client_secret.is_none()))
}

/// Replaces a client's own metadata and records the audit event `event`.
async fn replace(
    ctx: &Ctx,
    client: Client,
    valid: ValidClientMetadata,
    event: AuditEvent,
) -> Result<Registered, RegistrationError> {
    let (updated, fresh) = changed(&client, valid, ctx.rng(), ctx.now());
    let row = updated.clone();
    let event = event.of_client(&row.client_id);
    let found = ctx
        .store()
        .write(move |c| {
            let found = rows::update_client(c, &row)?;
            if found {
                insert_audit_event(c, &event)?;
            }
            Ok::<_, Internal>(found)
        })
        .await?;
    if !found {
        return Err(RegistrationError::Token);
    }
    Ok(Registered { client: updated, client_secret: fresh, registration_access_token: None })
}

/// Deletes a client (RFC 7592 section 2.3): its tokens stop working at once, its sessions are revoked at the
/// authorization servers of the accounts.
///
/// # Errors
/// When the database does not answer: nothing was deleted then.
#[tracing::instrument(name = "flow.registration.delete", skip_all, fields(client_id = %client.client_id))]
pub async fn delete(ctx: &Ctx, client: &Client) -> Result<(), Internal> {
    let (tenant, client_id, now) = (client.tenant_id.clone(), client.client_id.clone(), ctx.now());
    let event = audit::event(ctx, Actor::Client, "client_deleted", "ok").of_client(&client_id);
    let deleted = ctx
        .store()
        .write(move |c| {
            let deleted = rows::delete_client(c, &tenant, &client_id, now)?;
            if deleted {
                insert_audit_event(c, &event)?;
            }
            Ok::<_, Internal>(deleted)
        })
        .await?;
    if deleted {
        purge::purge_soon(ctx);
        tracing::info!("client deleted its registration");
    }
    Ok(())
}
