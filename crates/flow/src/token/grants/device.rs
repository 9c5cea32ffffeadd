//! The token requests of a device (RFC 8628 sections 3.4 and 3.5).

use causeway_domain::authorization::device::{DeviceAuthorization, DeviceStage};
use causeway_store::AnyConnection;
use causeway_store::authorization::device_codes;
use causeway_types::secret::{DeviceCode, PlainToken};
use causeway_types::{GrantType, Resources, TokenHash};
use schemars::JsonSchema;
use url::Url;

use crate::client::authenticated::AuthenticatedClient;
use crate::ctx::Ctx;
use crate::resource::user_claims::Asking;
use crate::token::issue::{Grant, Outcome, issue};
use crate::token::new_tokens::{IssuedTokens, NewTokens};
use crate::token::refusal::{DeviceRefusal, TokenError, TokenRefusal};
use crate::token::request::{TokenRequest, check_grant_type};
use crate::token::resolved_grant::{Authorization, ResolvedGrant, UserGrant};

/// The parameters of the request.
#[derive(Debug, Default, JsonSchema)]
pub struct PollParams {
    /// The device's code, for device_code (RFC 8628 section 3.4).
    #[schemars(with = "Option<String>")]
    pub device_code: Option<PlainToken<DeviceCode>>,
    /// The resources of the access token, among those that the device named at the beginning (RFC 8707
    /// section 2.2).
    #[schemars(with = "Vec<Url>", default)]
    pub resource: Vec<String>,
}

/// Answers a poll: with tokens, once, after the user has agreed. The client has been authenticated and its
/// key proven.
///
/// # Errors
/// [`TokenError`]: mostly that the user has not decided yet.
#[tracing::instrument(name = "flow.device.poll", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn poll(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    params: PollParams,
) -> Result<IssuedTokens, TokenError> {
    check_grant_type(authenticated, GrantType::DeviceCode)?;
    let grant = DeviceCodeGrant {
        code: params.device_code.ok_or(DeviceRefusal::Missing)?.hash(),
        resources: Resources::parse(&params.resource).map_err(|_| TokenRefusal::Target)?,
    };
    issue(ctx, authenticated, grant).await
}

struct DeviceCodeGrant {
    code: TokenHash<DeviceCode>,
    /// The resources of the access token; none: everything that was granted.
    resources: Resources,
}

impl Grant for DeviceCodeGrant {
    const ID_TOKEN: Option<Asking> = Some(Asking::Pds);

    fn evaluate(&self, request: &TokenRequest, c: &mut AnyConnection) -> Result<ResolvedGrant, TokenError> {
        let device = device_codes::find_device_code(c, &self.code)?.ok_or(DeviceRefusal::Unknown)?;
        let resources = self.check(request, &device)?;
        let grant = match device.stage {
            DeviceStage::Pending | DeviceStage::Claimed { .. } => return Err(DeviceRefusal::Pending.into()),
            DeviceStage::Denied => return Err(DeviceRefusal::Denied.into()),
            DeviceStage::Used => return Err(DeviceRefusal::Unknown.into()),
            DeviceStage::Approved(grant) => grant,
        };
        let access = request.authorization(&grant.scope, resources);
        let user = UserGrant {
            did: grant.did,
            session: request.find_session(c, &grant.session_id)?,
            session_iteration: Some(grant.session_iteration),
            granted: Some(Authorization { scope: grant.scope, resources: device.resources }),
            parent: None,
            nonce: None,
        };
        Ok(ResolvedGrant { user: Some(user), access })
    }

    fn consume(
        &self,
        request: &TokenRequest,
        c: &mut AnyConnection,
        tokens: &NewTokens,
    ) -> Result<Outcome, TokenError> {
        let resolved = match self.evaluate(request, c) {
            Err(TokenError::Refused(TokenRefusal::Device(DeviceRefusal::Pending))) => {
                let in_time = device_codes::note_poll(c, &self.code, request.now)?;
                return Err(if in_time { DeviceRefusal::Pending } else { DeviceRefusal::SlowDown }.into());
            }
            evaluated => evaluated?,
        };
        if !tokens.is_ready() {
            // The user agreed a moment ago, after the preview: the next poll gets the tokens.
            return Err(DeviceRefusal::Pending.into());
        }
        if !device_codes::consume_device_code(c, &self.code, request.now)? {
            // Another poll was first, between the read and the update.
            return Err(DeviceRefusal::Unknown.into());
        }
        Ok(Outcome::Granted(resolved))
    }

    fn log(grant: &ResolvedGrant) {
        if let Some(UserGrant { session, .. }) = &grant.user {
            tracing::info!(session = %session.session_id, "tokens issued to a device");
        }
    }
}

impl DeviceCodeGrant {
    /// Checks everything that must be right before the user's decision is revealed; returns the resources of
    /// the access token.
    fn check(&self, request: &TokenRequest, device: &DeviceAuthorization) -> Result<Resources, TokenRefusal> {
        let client = request.client();
        if device.client_id != client.client_id || device.tenant_id != client.tenant_id {
            return Err(DeviceRefusal::Unknown.into());
        }
        if device.dpop_jkt.is_some() && device.dpop_jkt != request.authenticated.dpop_jkt {
            return Err(DeviceRefusal::Key.into());
        }
        if device.expires_at <= request.now {
            return Err(DeviceRefusal::Expired.into());
        }
        device.resources.narrow(&self.resources, request.ctx.issuer()).ok_or(TokenRefusal::Target)
    }
}
