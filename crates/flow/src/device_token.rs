//! A device comes for its tokens (RFC 8628 sections 3.4 and 3.5).

use causeway_domain::client::GrantType;
use causeway_domain::device::{DeviceAuthorization, DeviceGrant, DeviceStage};
use causeway_domain::secret::{DeviceCode, PlainToken};
use causeway_domain::session::SessionHead;
use causeway_domain::{Resources, Timestamp, TokenHash};
use causeway_store::{AnyConnection, device_codes, sessions};

use crate::access_jwt::{self, Facts};
use crate::caller::Caller;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::id_token;
use crate::tokens::{FreshPair, IssuedTokens, Subject, TokenError, TokenRefusal};

/// The parameters of the request.
#[derive(Debug, Default)]
pub struct PollParams {
    /// The device's code.
    pub device_code: Option<PlainToken<DeviceCode>>,
    /// Where the access token is to be used, of what the device named at the beginning (RFC 8707 section 2.2).
    pub resource: Vec<String>,
}

/// What the transaction came to.
enum Outcome {
    Granted { grant: DeviceGrant, session: SessionHead },
    Refused(TokenRefusal),
}

/// Answers a poll: once the person has agreed, with tokens, once. The client has been authenticated and its key
/// proven.
///
/// # Errors
/// [`TokenError`]: mostly that the person has not decided yet.
#[tracing::instrument(name = "flow.device.poll", skip_all, fields(client_id = %caller.client.client_id))]
pub async fn poll(ctx: &Ctx, caller: &Caller, params: PollParams) -> Result<IssuedTokens, TokenError> {
    if !caller.client.allows(GrantType::DeviceCode) {
        return Err(TokenRefusal::Grant.into());
    }
    caller.check_binding()?;
    let code = params.device_code.ok_or(TokenRefusal::NoDeviceCode)?.hash();
    let attempt = Attempt {
        caller: caller.clone(),
        resources: Resources::parse(&params.resource).map_err(|_| TokenRefusal::Target)?,
        issuer: ctx.issuer().to_owned(),
        now: ctx.now(),
    };
    let issuer = id_token::Issuer::prepare(ctx).await?;
    let facts = attempt.foresee(ctx, &code).await?;
    let pair = FreshPair::make(ctx, caller, attempt.now, facts.as_ref()).await?;
    let fresh = pair.clone();
    let outcome = ctx
        .store()
        .write(move |c| {
            attempt.caller.consume::<TokenError>(c)?;
            Ok::<_, TokenError>(attempt.run(c, &code, &fresh)?)
        })
        .await?;
    match outcome {
        Outcome::Granted { grant, session } => {
            tracing::info!(session = %grant.session_id, "a device has its tokens");
            let subject = id_token::Subject {
                client: &caller.client,
                session: &session,
                scope: &grant.scope,
                nonce: None,
                access_token: pair.access_token(),
            };
            let id_token = issuer.issue(ctx, subject).await?;
            Ok(pair.issued(grant.scope, grant.did, id_token))
        }
        Outcome::Refused(refusal) => Err(refusal.into()),
    }
}

#[derive(Clone)]
struct Attempt {
    caller: Caller,
    /// What the access token is for; none: everything that was granted.
    resources: Resources,
    issuer: String,
    now: Timestamp,
}

impl Attempt {
    /// What the access token will say, for a client whose tokens are signed; `None` as long as there is none.
    async fn foresee(&self, ctx: &Ctx, hash: &TokenHash<DeviceCode>) -> Result<Option<Facts>, Internal> {
        if !access_jwt::is_wanted(&self.caller.client) {
            return Ok(None);
        }
        let (this, hash) = (self.clone(), hash.clone());
        ctx.store()
            .read(move |c| {
                let Some(device) = device_codes::find_device_code(c, &hash)? else { return Ok(None) };
                let (Ok(resources), DeviceStage::Approved(grant)) = (this.check(&device), device.stage)
                else {
                    return Ok(None);
                };
                let tenant = &this.caller.client.tenant_id;
                let session = sessions::find_session_of_token(c, tenant, &grant.session_id)?;
                Ok(session.map(|session| Facts {
                    sub: grant.did.to_string(),
                    scope: grant.scope,
                    resources,
                    auth_time: Some(session.created_at),
                }))
            })
            .await
    }

    /// Everything that must be right before anything is said about the person's decision; gives what the access
    /// token will be for.
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
        device.resources.narrow(&self.resources, &self.issuer).ok_or(TokenRefusal::Target)
    }

    /// One transaction: look, decide, consume, grant.
    fn run(
        &self,
        c: &mut AnyConnection,
        hash: &TokenHash<DeviceCode>,
        pair: &FreshPair,
    ) -> Result<Outcome, Internal> {
        let refused = |refusal| Ok(Outcome::Refused(refusal));
        let Some(device) = device_codes::find_device_code(c, hash)? else {
            return refused(TokenRefusal::DeviceCode);
        };
        let resources = match self.check(&device) {
            Ok(resources) => resources,
            Err(refusal) => return refused(refusal),
        };
        let grant = match device.stage {
            DeviceStage::Pending | DeviceStage::Claimed { .. } => {
                let in_time = device_codes::note_poll(c, hash, self.now)?;
                return refused(if in_time { TokenRefusal::Pending } else { TokenRefusal::SlowDown });
            }
            DeviceStage::Denied => return refused(TokenRefusal::Denied),
            DeviceStage::Used => return refused(TokenRefusal::DeviceCode),
            DeviceStage::Approved(grant) => grant,
        };
        let tenant = &self.caller.client.tenant_id;
        let session = sessions::find_session_of_token(c, tenant, &grant.session_id)?;
        let Some(session) = session.filter(|session| session.is_alive_at(self.now)) else {
            return refused(TokenRefusal::SessionEnded);
        };
        if !device_codes::consume_device_code(c, hash, self.now)? {
            // Another poll was first, between the look and the swap.
            return refused(TokenRefusal::DeviceCode);
        }
        let subject = Subject {
            client: &self.caller.client,
            did: &grant.did,
            session_id: &grant.session_id,
            session_iteration: Some(grant.session_iteration),
            access_scope: &grant.scope,
            refresh_scope: &grant.scope,
            access_resources: &resources,
            refresh_resources: &device.resources,
            parent: None,
        };
        pair.insert(c, &subject)?;
        Ok(Outcome::Granted { grant, session })
    }
}
