//! Session access for a client that authenticates as itself and presents no token of ours.
//!
//! A client that is trusted like this server (`allow_session_export`) may call the PDS itself: it gets the
//! session's upstream access token, and a proof by the session's key for each call. The key never leaves this
//! server. Each use is recorded as an audit event before it is answered, and in the log with the target
//! `audit`.

use causeway_domain::session::{AccountSession, OtherKind};
use causeway_jose::{DpopClaims, EcKey, dpop_proof};
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::{StoreError, sessions};
use causeway_types::{ClientType, Did, ErrorCode, Handle, SessionKind, UpstreamSessionId};
use schemars::JsonSchema;
use url::Url;

use crate::client::authenticated::{AuthenticatedClient, Replayed};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::upstream::atproto::handles;
use crate::upstream::keeper::{self, UsableSession};
use crate::upstream::session::SessionError;

/// The methods that XRPC has.
const METHODS: [&str; 3] = ["GET", "HEAD", "POST"];
/// The longest server nonce that is put into a proof, in bytes.
const MAX_NONCE_BYTES: usize = 512;

/// Why a client does not get what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A client that does not authenticate.
    #[error("this endpoint is for clients that authenticate")]
    PublicClient,
    /// The client is not entitled to session export.
    #[error("this client is not allowed session export: ask the operator of this server")]
    NotAllowed,
    /// Unknown, ended, or another client's: one text for all on purpose.
    #[error("this client has no such session")]
    NotFound,
    /// A look-up parameter is missing or malformed.
    #[error("{0}")]
    Question(&'static str),
    /// A proof for a method that XRPC does not have.
    #[error("htm must be GET, HEAD or POST")]
    Htm,
    /// A proof for a server other than the session's PDS, or for another endpoint.
    #[error("htu must be the URL of an XRPC method at the session's PDS: {pds}/xrpc/METHOD")]
    Htu {
        /// The origin of the PDS.
        pds: String,
    },
    /// A nonce that no server can have issued.
    #[error("nonce must be the value of the PDS's last DPoP-Nonce header")]
    Nonce,
    /// The session cannot be used.
    #[error(transparent)]
    Session(SessionError),
    /// A one-use value was presented again.
    #[error(transparent)]
    Replayed(#[from] Replayed),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl ExportError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::PublicClient | Self::NotAllowed => ErrorCode::UnauthorizedClient,
            Self::NotFound => ErrorCode::NotFound,
            Self::Question(_) | Self::Htm | Self::Htu { .. } | Self::Nonce => ErrorCode::InvalidRequest,
            Self::Session(error) => error.code(),
            Self::Replayed(replayed) => replayed.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

impl From<OtherKind> for ExportError {
    fn from(error: OtherKind) -> Self {
        Self::Internal(error.into())
    }
}

impl From<StoreError> for ExportError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<SessionError> for ExportError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Ended => Self::NotFound,
            SessionError::Internal(error) => Self::Internal(error),
            error => Self::Session(error),
        }
    }
}

/// The parameters by which a client looks up a session.
#[derive(Debug, Default, JsonSchema)]
pub struct Question {
    /// The user's DID.
    pub sub: Option<String>,
    /// The kind of the session.
    #[schemars(with = "Option<SessionKind>")]
    pub session_kind: Option<String>,
    /// The browser or app of a device session, by the client's name for it; the most recently used one if left out.
    pub fingerprint: Option<String>,
}

/// A session that a client has found.
#[derive(Debug)]
pub struct FoundSession {
    /// The session.
    pub session: AccountSession,
    /// The handle of its account; `None`: none that verifies.
    pub handle: Option<Handle>,
}

/// Finds a live session of an authenticated client: the background session of an account, or its device session
/// in the browser of this fingerprint, or else the one that was used last.
///
/// # Errors
/// [`ExportError`].
#[tracing::instrument(name = "flow.sessions.find", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn find(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    question: Question,
) -> Result<FoundSession, ExportError> {
    enter(ctx, authenticated).await?;
    let kind = question.session_kind.as_deref().and_then(SessionKind::parse);
    let kind = kind.ok_or(ExportError::Question("session_kind must be device or background"))?;
    let did = question.sub.as_deref().and_then(|sub| Did::parse(sub).ok());
    let did = did.ok_or(ExportError::Question("sub must be the DID of an account"))?;
    if kind == SessionKind::Background && question.fingerprint.is_some() {
        return Err(ExportError::Question("a background session has no fingerprint"));
    }
    let (client, now) = (&authenticated.client, ctx.now());
    let (tenant, client_id) = (client.tenant_id.clone(), client.client_id.clone());
    let live = ctx
        .store()
        .read(move |c| {
            sessions::list_live_sessions_at_client(c, &tenant, &client_id, &did, kind, now)
                .map_err(Internal::from)
        })
        .await?;
    let wanted = question.fingerprint;
    let is_wanted = |found: &AccountSession| wanted.is_none() || found.head.fingerprint() == wanted;
    let session = live.into_iter().find(is_wanted).ok_or(ExportError::NotFound)?;
    let handle = handles::shown(ctx, &session.head).await;
    Ok(FoundSession { session, handle })
}

/// The upstream tokens of a session.
#[derive(Debug)]
pub struct ExportedTokens {
    /// The session with its credentials.
    pub live: UsableSession,
    /// The handle of its account; `None`: none that verifies.
    pub handle: Option<Handle>,
}

/// The upstream tokens of a session, refreshed first if necessary.
///
/// # Errors
/// [`ExportError`].
#[tracing::instrument(name = "flow.export.tokens", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn tokens(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    id: &UpstreamSessionId,
) -> Result<ExportedTokens, ExportError> {
    let found = find_exportable(ctx, authenticated, id).await?;
    let live = keeper::use_session(ctx, &found.head).await?;
    write_down(ctx, &live, "session_export").await?;
    log_use(authenticated, &live, "upstream access token exported");
    let handle = handles::shown(ctx, &live.head).await;
    Ok(ExportedTokens { live, handle })
}

/// The request that a proof is for.
#[derive(Debug, Default, JsonSchema)]
pub struct ProofParams {
    /// The method of the request (RFC 9449 section 4.2).
    pub htm: Option<String>,
    /// The URL of the request, at the session's PDS.
    #[schemars(with = "Option<Url>")]
    pub htu: Option<String>,
    /// The latest DPoP nonce of the PDS.
    pub nonce: Option<String>,
}

/// A proof by a session's key, and the session that it goes with.
#[derive(Debug)]
pub struct SignedProof {
    /// The value of the `DPoP` header.
    pub proof: String,
    /// The session. The proof names the access token of this iteration.
    pub live: UsableSession,
}

/// Signs a proof (RFC 9449 section 4.2) for one call of an XRPC method at the session's PDS, with the
/// session's access token. The authorization server may have the same origin: nothing is signed for it.
///
/// # Errors
/// [`ExportError`].
#[tracing::instrument(name = "flow.export.proof", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn proof(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    id: &UpstreamSessionId,
    params: ProofParams,
) -> Result<SignedProof, ExportError> {
    let found = find_exportable(ctx, authenticated, id).await?;
    let htm = params.htm.filter(|htm| METHODS.contains(&htm.as_str())).ok_or(ExportError::Htm)?;
    let nonce = params.nonce.as_deref();
    if nonce
        .is_some_and(|nonce| nonce.len() > MAX_NONCE_BYTES || !nonce.bytes().all(|b| b.is_ascii_graphic()))
    {
        return Err(ExportError::Nonce);
    }
    let pds = &found.head.atproto()?.upstream.pds;
    let htu = xrpc_address(pds, params.htu.as_deref().unwrap_or_default())
        .ok_or_else(|| ExportError::Htu { pds: pds.clone() })?;
    let live = keeper::look_up(ctx, &found.head).await?;
    let bound = live.credentials.dpop_bound()?;
    let key = EcKey::from_private_jwk(&bound.key).map_err(Internal::from)?;
    let claims = DpopClaims {
        htm: &htm,
        htu: &htu,
        jti: &ctx.rng().base64url::<16>(),
        iat: ctx.now(),
        nonce,
        access_token: Some(&bound.token),
    };
    let proof = dpop_proof(&key, &claims).map_err(Internal::from)?;
    write_down(ctx, &live, "proof_signed").await?;
    log_use(authenticated, &live, "DPoP proof signed");
    Ok(SignedProof { proof, live })
}

/// The URL of an XRPC method at this PDS, without query; `None` for any other URL.
fn xrpc_address(pds: &str, htu: &str) -> Option<String> {
    let (pds, mut htu) = (Url::parse(pds).ok()?, Url::parse(htu).ok()?);
    let plain = htu.username().is_empty() && htu.password().is_none();
    let nsid = htu.path().strip_prefix("/xrpc/")?;
    if !plain || htu.origin() != pds.origin() || causeway_types::Nsid::parse(nsid).is_err() {
        return None;
    }
    htu.set_query(None);
    htu.set_fragment(None);
    Some(htu.into())
}

/// Admits a client that authenticates, and consumes its assertion and proof.
async fn enter(ctx: &Ctx, authenticated: &AuthenticatedClient) -> Result<(), ExportError> {
    if authenticated.client.client_type() == ClientType::Public {
        return Err(ExportError::PublicClient);
    }
    authenticated.consume_alone::<ExportError>(ctx).await
}

/// A live session of a client that is entitled to session export. The identifier fixes the kind.
async fn find_exportable(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    id: &UpstreamSessionId,
) -> Result<AccountSession, ExportError> {
    enter(ctx, authenticated).await?;
    let client = &authenticated.client;
    if !client.allows_session_export() {
        tracing::warn!(target: "audit", client_id = %client.client_id, session = %id, "session export refused");
        // Without the session: it is not known whether the one that the client named exists.
        let event =
            audit::event(ctx, Actor::Client, "session_export", "refused").of_client(&client.client_id);
        record(ctx, event).await?;
        return Err(ExportError::NotAllowed);
    }
    let (tenant, client_id, id, now) =
        (client.tenant_id.clone(), client.client_id.clone(), id.clone(), ctx.now());
    let found = ctx
        .store()
        .read(move |c| {
            sessions::find_live_session_of_client(c, &tenant, &client_id, &id, now).map_err(Internal::from)
        })
        .await?;
    found.ok_or(ExportError::NotFound)
}

/// Stores the audit event of an export before the client gets it: without the row there is no answer.
async fn write_down(ctx: &Ctx, live: &UsableSession, event: &str) -> Result<(), StoreError> {
    let event = audit::event(ctx, Actor::Client, event, "ok").of_session(&live.head);
    record(ctx, event.with("session_iteration", live.head.iteration)).await
}

async fn record(ctx: &Ctx, event: AuditEvent) -> Result<(), StoreError> {
    ctx.store().write(move |c| insert_audit_event(c, &event)).await
}

fn log_use(authenticated: &AuthenticatedClient, live: &UsableSession, what: &'static str) {
    tracing::info!(
        target: "audit",
        client_id = %authenticated.client.client_id,
        session = %live.head.session_id,
        session.kind = live.head.kind.as_str(),
        session.iteration = live.head.iteration,
        did = live.head.subject(),
        "{what}"
    );
}

#[cfg(test)]
mod tests {
    use super::xrpc_address;

    #[test]
    fn proofs_are_for_methods_of_the_own_server_alone() {
        let pds = "https://pds.example";
        let good = "https://pds.example/xrpc/com.atproto.repo.createRecord";
        for htu in
            [good, &format!("{good}?a=b"), &format!("{good}#a"), &good.replace(".example/", ".example:443/")]
        {
            assert_eq!(xrpc_address(pds, htu).as_deref(), Some(good), "{htu}");
        }
        for htu in [
            "",
            "/xrpc/com.atproto.repo.createRecord",
            "https://pds.example/oauth/token",
            "https://pds.example/xrpc/",
            "https://pds.example/xrpc/com.atproto.x/../../oauth/token",
            "https://pds.example/xrpc/com.atproto.x/more",
            "https://pds.example/xrpc/%2e%2e/oauth/token",
            "http://pds.example/xrpc/com.atproto.repo.createRecord",
            "https://pds.example:8443/xrpc/com.atproto.repo.createRecord",
            "https://evil.example/xrpc/com.atproto.repo.createRecord",
            "https://pds.example.evil.example/xrpc/com.atproto.repo.createRecord",
            "https://me:you@pds.example/xrpc/com.atproto.repo.createRecord",
        ] {
            assert_eq!(xrpc_address(pds, htu), None, "{htu}");
        }
    }
}
