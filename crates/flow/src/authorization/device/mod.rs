//! The device authorization grant (RFC 8628): a device that cannot show a browser gets a code, and the user
//! confirms it in their own browser, signs in there and agrees. The device gets its tokens by
//! [`crate::token::grants::device`].
//!
//! Nothing that is shown in the browser gives the device anything before the user has seen which client asks
//! and has confirmed the code (section 5.4), and consent is requested as in any other sign-in.

pub(crate) mod user_code_limit;

use causeway_domain::TooMany;
use causeway_domain::authorization::device::{
    DEVICE_CODE_SECONDS, DeviceAuthorization, DeviceStage, POLL_INTERVAL_SECONDS, UserCode,
};
use causeway_domain::authorization::{AuthRequest, AuthRequestStage};
use causeway_domain::client::Client;
use causeway_store::authorization::auth_requests;
use causeway_store::authorization::device_codes;
use causeway_store::clients;
use causeway_store::{AnyConnection, StoreError};
use causeway_types::secret::{DeviceCode, PlainToken};
use causeway_types::{
    AuthRequestId, BrowserSessionId, CodeVerifier, CorrelationId, ErrorCode, GrantType, Jkt, TenantId,
    Timestamp,
};
use schemars::JsonSchema;
use url::Url;

use crate::authorization::device::user_code_limit::Guess;
use crate::authorization::new_request::ValidRequest;
use crate::authorization::resources;
use crate::client::authenticated::{AuthenticatedClient, Replayed};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::token::id_token::ensure_keys;
use crate::upstream::connect::failure::SignInError;
use crate::upstream::connect::sign_in;

/// The parameters of a device's request (section 3.1).
#[derive(Debug, Default, JsonSchema)]
pub struct DeviceParams {
    /// Scopes, separated by spaces.
    pub scope: Option<String>,
    /// The resource that the access token is for (RFC 8707); may be repeated.
    #[schemars(with = "Vec<Url>", default)]
    pub resource: Vec<String>,
    /// The thumbprint of the key to bind the tokens to. A proof beside the request names it, too.
    pub dpop_jkt: Option<String>,
}

/// Why a device's request was rejected.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The client did not register this grant.
    #[error("this client is not registered for the grant urn:ietf:params:oauth:grant-type:device_code")]
    Grant,
    /// A scope that is malformed or not available.
    #[error("scope: {0}")]
    Scope(String),
    /// A resource that is malformed or not available.
    #[error("{0}")]
    Target(String),
    /// A `dpop_jkt` that is malformed, or not that of the request's proof (RFC 9449 section 10.1).
    #[error("dpop_jkt must be the SHA-256 thumbprint, in base64url, of the key in the DPoP proof")]
    DpopJkt,
    /// A one-use value was presented again.
    #[error(transparent)]
    Replayed(#[from] Replayed),
    /// The client was deleted a moment ago.
    #[error("this client was deleted")]
    Client,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl DeviceError {
    /// The code of RFC 6749 section 5.2.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Grant => ErrorCode::UnauthorizedClient,
            Self::Scope(_) => ErrorCode::InvalidScope,
            Self::Target(_) => ErrorCode::InvalidTarget,
            Self::DpopJkt => ErrorCode::InvalidRequest,
            Self::Replayed(replayed) => replayed.code(),
            Self::Client => ErrorCode::InvalidClient,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

impl From<StoreError> for DeviceError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// An accepted request: the only copy of its codes.
#[derive(Debug)]
pub struct Begun {
    /// The code that the device polls with.
    pub device_code: PlainToken<DeviceCode>,
    /// The code that it shows to the user.
    pub user_code: UserCode,
    /// Seconds that both live.
    pub expires_in: i64,
    /// Seconds between polls.
    pub interval: i64,
}

/// Begins a device authorization for an authenticated client (section 3.1).
///
/// # Errors
/// [`DeviceError`].
#[tracing::instrument(name = "flow.device", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn begin(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    params: DeviceParams,
) -> Result<Begun, DeviceError> {
    let client = &authenticated.client;
    if !client.allows(GrantType::DeviceCode) {
        return Err(DeviceError::Grant);
    }
    let dpop_jkt = bound_key(authenticated, params.dpop_jkt.as_deref())?;
    let asked = params.scope.as_deref().unwrap_or_default();
    let resources = resources::admit(ctx, client, &params.resource).map_err(DeviceError::Target)?;
    let scope = ctx.scopes().admit(asked, client, &resources).map_err(DeviceError::Scope)?;
    ensure_keys(ctx, client, &scope).await?;
    let now = ctx.now();
    let (device_code, user_code) =
        (PlainToken::issued(ctx.rng(), ctx.unix_millis()), UserCode::random(ctx.rng()));
    let row = DeviceAuthorization {
        device_code: device_code.hash(),
        user_code: user_code.hash(),
        tenant_id: client.tenant_id.clone(),
        client_id: client.client_id.clone(),
        scope,
        resources,
        dpop_jkt,
        stage: DeviceStage::Pending,
        created_at: now,
        expires_at: now.plus(DEVICE_CODE_SECONDS),
    };
    let once = authenticated.clone();
    let kept = ctx
        .store()
        .write(move |c| {
            once.consume::<DeviceError>(c)?;
            Ok::<_, DeviceError>(device_codes::insert_device_code(c, &row)?)
        })
        .await;
    match kept {
        Err(DeviceError::Internal(error)) if error.is_dangling() => return Err(DeviceError::Client),
        done => done?,
    }
    tracing::info!("device authorization started");
    let (expires_in, interval) = (DEVICE_CODE_SECONDS, POLL_INTERVAL_SECONDS);
    Ok(Begun { device_code, user_code, expires_in, interval })
}

/// The key that polls have to prove possession of: that of the request's proof, or the one that the request
/// names.
fn bound_key(authenticated: &AuthenticatedClient, named: Option<&str>) -> Result<Option<Jkt>, DeviceError> {
    if authenticated.contradicts(named) {
        return Err(DeviceError::DpopJkt);
    }
    match &authenticated.dpop_jkt {
        Some(proven) => Ok(Some(proven.clone())),
        None => named.map(|jkt| Jkt::parse(jkt).ok_or(DeviceError::DpopJkt)).transpose(),
    }
}

/// Why a typed user code is rejected.
#[derive(Debug, thiserror::Error)]
pub enum UserCodeError {
    /// Unknown, expired, confirmed in another browser, or decided: one text for all on purpose.
    #[error("this code is wrong, has expired, or was already used")]
    Unknown,
    /// Too many wrong ones.
    #[error("too many wrong codes")]
    TooMany {
        /// Seconds after which there is another try.
        retry_after: u64,
    },
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<StoreError> for UserCodeError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// The code and the client that the user has to confirm.
#[derive(Debug)]
pub struct DeviceQuestion {
    /// The code, as the device shows it.
    pub user_code: UserCode,
    /// The client that asks.
    pub client: Client,
}

/// Finds the client behind a typed user code. Changes nothing.
///
/// # Errors
/// [`UserCodeError`].
#[tracing::instrument(name = "flow.device.question", skip_all)]
pub async fn find_question(
    ctx: &Ctx,
    typed: &str,
    guess: Guess<'_>,
) -> Result<DeviceQuestion, UserCodeError> {
    let user_code = guessed(ctx, typed, guess)?;
    let found = Lookup::new(ctx, &user_code, guess.browser);
    let client = ctx
        .store()
        .read(move |c| {
            let (device, _) = found.run(c)?;
            clients::find_client(c, &device.tenant_id, &device.client_id)?.ok_or(UserCodeError::Unknown)
        })
        .await?;
    ctx.user_code_limit().release(&guess);
    Ok(DeviceQuestion { user_code, client })
}

/// Confirms the code: a sign-in for it begins in this browser, which ends by sending it to `return_to`. From
/// then on the code works in no other browser; in this one it leads to the same sign-in.
///
/// # Errors
/// [`UserCodeError`].
#[tracing::instrument(name = "flow.device.confirm", skip_all)]
pub async fn confirm(
    ctx: &Ctx,
    typed: &str,
    guess: Guess<'_>,
    return_to: &str,
    ui_locales: Option<String>,
) -> Result<AuthRequest, UserCodeError> {
    let user_code = guessed(ctx, typed, guess)?;
    let found = Lookup::new(ctx, &user_code, guess.browser);
    let id = AuthRequestId::issued(ctx.rng(), ctx.unix_millis());
    // It never yields a code.
    let code_challenge = Some(CodeVerifier::random(ctx.rng()).challenge());
    let correlation_id = CorrelationId::random(ctx.rng());
    let return_to = return_to.to_owned();
    let request = ctx
        .store()
        .write(move |c| {
            let (device, begun) = found.run(c)?;
            if let Some(begun) = begun {
                return Ok(begun);
            }
            let client = clients::find_client(c, &device.tenant_id, &device.client_id)?
                .ok_or(UserCodeError::Unknown)?;
            let contents = ValidRequest {
                redirect_uri: return_to.clone(),
                scope: device.scope,
                resources: device.resources,
                code_challenge: code_challenge.clone(),
                max_age: client.default_max_age(),
                ui_locales: ui_locales.clone(),
                ..ValidRequest::default()
            };
            let mut request = contents.begin(id.clone(), &client, &found.browser, found.now);
            request.expires_at = request.expires_at.min(device.expires_at);
            request.device_code = Some(device.device_code.clone());
            request.correlation_id = Some(correlation_id.clone());
            if !device_codes::claim_device_code(c, &device.device_code, &request.id, found.now)? {
                return Err(UserCodeError::Unknown);
            }
            auth_requests::insert_auth_request(c, &request)?;
            Ok(request)
        })
        .await?;
    ctx.user_code_limit().release(&guess);
    tracing::info!(auth_request = %request.id, "device code confirmed by the user");
    Ok(request)
}

/// Denies the code: the device gets nothing.
///
/// # Errors
/// [`UserCodeError`].
#[tracing::instrument(name = "flow.device.deny", skip_all)]
pub async fn deny(ctx: &Ctx, typed: &str, guess: Guess<'_>) -> Result<(), UserCodeError> {
    let user_code = guessed(ctx, typed, guess)?;
    let found = Lookup::new(ctx, &user_code, guess.browser);
    let begun = ctx
        .store()
        .write(move |c| {
            let (device, begun) = found.run(c)?;
            if begun.is_none() && !device_codes::deny_device_code(c, &device.device_code, None)? {
                return Err(UserCodeError::Unknown);
            }
            Ok(begun)
        })
        .await?;
    if let Some(request) = begun {
        sign_in::cancel(ctx, &request.id, guess.browser).await.map_err(|error| match error {
            SignInError::Internal(error) => UserCodeError::Internal(error),
            _ => UserCodeError::Unknown,
        })?;
    }
    ctx.user_code_limit().release(&guess);
    tracing::info!("device code denied by the user");
    Ok(())
}

/// Counts a guess, and parses the typed code.
fn guessed(ctx: &Ctx, typed: &str, guess: Guess<'_>) -> Result<UserCode, UserCodeError> {
    ctx.user_code_limit().acquire(&guess, ctx.now()).map_err(|TooMany { retry_after }| {
        tracing::warn!("too many wrong user codes");
        UserCodeError::TooMany { retry_after }
    })?;
    UserCode::parse(typed).ok_or(UserCodeError::Unknown)
}

/// A look-up of a user code in a browser.
struct Lookup {
    tenant: TenantId,
    user_code: String,
    browser: BrowserSessionId,
    now: Timestamp,
}

impl Lookup {
    fn new(ctx: &Ctx, user_code: &UserCode, browser: &BrowserSessionId) -> Self {
        let (tenant, user_code) = (ctx.tenant().clone(), user_code.hash());
        Self { tenant, user_code, browser: browser.clone(), now: ctx.now() }
    }

    /// An unconfirmed code, or the sign-in that this browser has begun for it.
    fn run(
        &self,
        c: &mut AnyConnection,
    ) -> Result<(DeviceAuthorization, Option<AuthRequest>), UserCodeError> {
        let device = device_codes::find_user_code(c, &self.tenant, &self.user_code, self.now)?
            .ok_or(UserCodeError::Unknown)?;
        let begun = match &device.stage {
            DeviceStage::Pending => None,
            DeviceStage::Claimed { auth_request_id } => {
                let request = auth_requests::find_auth_request(c, auth_request_id, &self.browser, self.now)?
                    .filter(|request| !matches!(request.stage, AuthRequestStage::Decided { .. }));
                Some(request.ok_or(UserCodeError::Unknown)?)
            }
            DeviceStage::Approved(_) | DeviceStage::Denied | DeviceStage::Used => {
                return Err(UserCodeError::Unknown);
            }
        };
        Ok((device, begun))
    }
}
