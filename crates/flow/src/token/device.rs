//! The token requests of a device (RFC 8628 sections 3.4 and 3.5).

use std::sync::Arc;

use causeway_domain::client::GrantType;
use causeway_domain::device::{DeviceAuthorization, DeviceStage};
use causeway_domain::secret::{DeviceCode, PlainToken};
use causeway_domain::{Resources, Timestamp, TokenHash};
use causeway_store::AnyConnection;
use causeway_store::authorization::device_codes;

use crate::client::authenticated::AuthenticatedClient;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::issuer_keys;
use crate::resource::user_claims::Asking;
use crate::token::issue::{IssuedTokens, NewTokens, TokenError, TokenRefusal};
use crate::token::jwt_access;
use crate::token::resolved_grant::{self, Authorization, ResolvedGrant};

/// The parameters of the request.
#[derive(Debug, Default)]
pub struct PollParams {
    /// The device's code.
    pub device_code: Option<PlainToken<DeviceCode>>,
    /// The resources of the access token, among those that the device named at the beginning (RFC 8707
    /// section 2.2).
    pub resource: Vec<String>,
}

/// Answers a poll: with tokens, once, after the user has agreed. The client has been authenticated and its
/// key proven.
///
/// # Errors
/// [`TokenError`]: mostly that the user has not decided yet.
#[tracing::instrument(name = "flow.device.poll", skip_all, fields(client_id = %caller.client.client_id))]
pub async fn poll(
    ctx: &Ctx,
    caller: &AuthenticatedClient,
    params: PollParams,
) -> Result<IssuedTokens, TokenError> {
    if !caller.client.allows(GrantType::DeviceCode) {
        return Err(TokenRefusal::Grant.into());
    }
    caller.check_binding()?;
    let code = params.device_code.ok_or(TokenRefusal::NoDeviceCode)?.hash();
    let attempt = Arc::new(DeviceCodeGrant {
        ctx: ctx.clone(),
        caller: caller.clone(),
        resources: Resources::parse(&params.resource).map_err(|_| TokenRefusal::Target)?,
        now: ctx.now(),
    });
    let keys = issuer_keys::current(ctx).await?;
    let (this, hash) = (Arc::clone(&attempt), code.clone());
    let claims =
        resolved_grant::preview(ctx, &caller.client, move |c| Ok(this.evaluate(c, &hash)?.ok())).await?;
    let pair = NewTokens::make(ctx, caller, attempt.now, claims.as_ref()).await?;
    let is_ready = claims.is_some() || !jwt_access::is_wanted(&caller.client);
    let fresh = is_ready.then(|| pair.clone());
    let grant = ctx
        .store()
        .write(move |c| {
            attempt.caller.consume::<TokenError>(c)?;
            Ok::<_, TokenError>(attempt.run(c, &code, fresh.as_ref())?)
        })
        .await??;
    tracing::info!(session = %grant.session.session_id, "a device has its tokens");
    Ok(grant.answer(ctx, &caller.client, &keys, pair, Asking::Pds).await?)
}

struct DeviceCodeGrant {
    ctx: Ctx,
    caller: AuthenticatedClient,
    /// The resources of the access token; none: everything that was granted.
    resources: Resources,
    now: Timestamp,
}

impl DeviceCodeGrant {
    /// Evaluates the device code and resolves the grant behind it.
    fn evaluate(
        &self,
        c: &mut AnyConnection,
        hash: &TokenHash<DeviceCode>,
    ) -> Result<Result<ResolvedGrant, TokenRefusal>, Internal> {
        let Some(device) = device_codes::find_device_code(c, hash)? else {
            return Ok(Err(TokenRefusal::DeviceCode));
        };
        let resources = match self.check(&device) {
            Ok(resources) => resources,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let grant = match device.stage {
            DeviceStage::Pending | DeviceStage::Claimed { .. } => return Ok(Err(TokenRefusal::Pending)),
            DeviceStage::Denied => return Ok(Err(TokenRefusal::Denied)),
            DeviceStage::Used => return Ok(Err(TokenRefusal::DeviceCode)),
            DeviceStage::Approved(grant) => grant,
        };
        let session = resolved_grant::find_session(c, &self.caller.client, &grant.session_id, self.now)?;
        let Some(session) = session else { return Ok(Err(TokenRefusal::SessionEnded)) };
        Ok(Ok(ResolvedGrant {
            session,
            session_iteration: Some(grant.session_iteration),
            access: Authorization::at(&self.ctx, &grant.scope, resources),
            granted: Authorization { scope: grant.scope, resources: device.resources },
            nonce: None,
        }))
    }

    /// Checks everything that must be right before the user's decision is revealed; returns the resources of
    /// the access token.
    fn check(&self, device: &DeviceAuthorization) -> Result<Resources, TokenRefusal> {
        let client = &self.caller.client;
        if device.client_id != client.client_id || device.tenant_id != client.tenant_id {
            return Err(TokenRefusal::DeviceCode);
        }
        if device.dpop_jkt.is_some() && device.dpop_jkt != self.caller.dpop_jkt {
            return Err(TokenRefusal::DeviceKey);
        }
        if device.expires_at <= self.now {
            return Err(TokenRefusal::DeviceExpired);
        }
        device.resources.narrow(&self.resources, self.ctx.issuer()).ok_or(TokenRefusal::Target)
    }

    /// Evaluates and consumes the code and issues the tokens, in one transaction. `pair` is `None` when its
    /// access token has to be signed and there was nothing to sign.
    fn run(
        &self,
        c: &mut AnyConnection,
        hash: &TokenHash<DeviceCode>,
        pair: Option<&NewTokens>,
    ) -> Result<Result<ResolvedGrant, TokenRefusal>, Internal> {
        let grant = match self.evaluate(c, hash)? {
            Ok(grant) => grant,
            Err(TokenRefusal::Pending) => {
                let in_time = device_codes::note_poll(c, hash, self.now)?;
                return Ok(Err(if in_time { TokenRefusal::Pending } else { TokenRefusal::SlowDown }));
            }
            Err(refusal) => return Ok(Err(refusal)),
        };
        // The user agreed a moment ago, after the preview: the next poll gets the tokens.
        let Some(pair) = pair else { return Ok(Err(TokenRefusal::Pending)) };
        if !device_codes::consume_device_code(c, hash, self.now)? {
            // Another poll was first, between the read and the update.
            return Ok(Err(TokenRefusal::DeviceCode));
        }
        pair.insert(c, &self.caller.client, &grant, None)?;
        Ok(Ok(grant))
    }
}
