//! Calls to a user's PDS (atproto specification "HTTP API (XRPC)"): tokens that are bound to a key, and accounts that
//! move.

use async_trait::async_trait;
use causeway_atproto::{XrpcCall, XrpcRefusal, XrpcSignError, nonce_of, xrpc_refusal};
use causeway_jose::EcKey;
use causeway_outbound::HttpError;
use causeway_outbound::header::{
    ACCEPT_ENCODING, DATE, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH,
};
use causeway_types::scope::{AccountAction, AccountAttr, OwnScope, ScopeValue};
use causeway_types::{Nsid, Scope};
use url::Url;

use crate::error::Internal;
use crate::upstream::atproto::adapter::{Atproto, granted_scope};
use crate::upstream::atproto::permission;
use crate::upstream::relay::error::{CallError, RelayError, Resend};
use crate::upstream::relay::request::{PROXY, RelayRequest};
use crate::upstream::traits::{
    Answer, Called, Injected, Permit, PermitRequest, RefusedAgain, Strip, Verdict,
};
use crate::upstream::usable::UsableSession;

/// The method whose answer identifies the user, with their email address if the *session* may see it. It needs no
/// permission.
const GET_SESSION: &str = "com.atproto.server.getSession";
/// The members of that answer that are about the email address.
const EMAIL: [&str; 3] = ["email", "emailConfirmed", "emailAuthFactor"];
/// Request headers that could make an answer come encoded, or without a body.
const MAKE_UNREADABLE: [HeaderName; 3] = [ACCEPT_ENCODING, IF_MODIFIED_SINCE, IF_NONE_MATCH];
/// The method whose answer is a file, which may be a web page.
const GET_BLOB: &str = "com.atproto.sync.getBlob";
/// The error code of a server that demands another nonce (RFC 9449 section 8).
const USE_DPOP_NONCE: &str = "use_dpop_nonce";

#[async_trait]
impl Called for Atproto {
    async fn permit(
        &self,
        call: &PermitRequest<'_>,
        request: &mut RelayRequest,
    ) -> Result<Permit, RelayError> {
        let PermitRequest { scope, live, .. } = *call;
        permission::check(scope, &granted_scope(&live.credentials)?, request)?;
        let nsid = request.nsid()?;
        let accept = request.header("accept").flatten().unwrap_or_default();
        let may_be_page = accept.to_ascii_lowercase().contains("text/html") || nsid.is(GET_BLOB);
        let strip = if hides_email(scope, nsid) { Strip::Members(&EMAIL) } else { Strip::Nothing };
        if strip != Strip::Nothing {
            request.headers.retain(|(name, _)| !MAKE_UNREADABLE.contains(name));
        }
        Ok(Permit { strip, may_be_page, refused_again: RefusedAgain::Error })
    }

    /// A method that shows whether token and nonce are accepted.
    fn probe(&self, live: &UsableSession) -> Result<Option<RelayRequest>, Internal> {
        if self.client.has_fresh_nonce(&pds_of(live)?) {
            return Ok(None);
        }
        let nsid = Nsid::parse(GET_SESSION);
        let nsid = nsid.map_err(|_| Internal::Inconsistent("the name of a method is invalid"))?;
        Ok(Some(RelayRequest::query(nsid)))
    }

    /// The token, and a proof with the nonce that was demanded, or else with the newest one.
    fn inject(
        &self,
        live: &UsableSession,
        request: &RelayRequest,
        challenge: Option<&str>,
        headers: &mut HeaderMap,
    ) -> Result<Injected, CallError> {
        let bound = live.credentials.dpop_bound()?;
        let pds = pds_of(live)?;
        let dpop = EcKey::from_trusted_jwk(&bound.key).map_err(Internal::from)?;
        let call = XrpcCall {
            pds: &pds,
            method: &request.method,
            nsid: request.nsid()?,
            access_token: &bound.token,
            dpop: &dpop,
        };
        let nonce = challenge.map(str::to_owned).or_else(|| self.client.xrpc_nonce(&pds));
        let mut url =
            self.client.sign_xrpc(&call, nonce.as_deref(), headers).map_err(|error| match error {
                XrpcSignError::Sign(error) => CallError::Internal(error.into()),
                XrpcSignError::Header(_) => HttpError::Blocked("the access token cannot be sent").into(),
            })?;
        url.set_query(Some(request.query.as_str()).filter(|query| !query.is_empty()));
        Ok(Injected { url, challenge: nonce, may_redirect: false, shows_path: true, body: None })
    }

    /// Errors about our credentials come with status 400 or 401, and their body may tell.
    fn examine(&self, request: &RelayRequest, answer: Answer<'_>) -> Verdict {
        let Answer { url, status, headers, body } = answer;
        let Ok(nsid) = request.nsid() else { return Verdict::Pass };
        // Once an answer: while its body was read, another one may have brought a newer nonce.
        let given = match body {
            None => self.client.note_nonce(url, headers),
            Some(_) => nonce_of(headers),
        };
        if status != 400 && status != 401 {
            return Verdict::Pass;
        }
        let Some(body) = body else { return Verdict::ReadBody };
        let is_proxied = request.header(PROXY).is_some();
        match xrpc_refusal(nsid, is_proxied, status, headers, body) {
            None => Verdict::Pass,
            Some(XrpcRefusal::UseNonce) => Verdict::Challenge { error: USE_DPOP_NONCE, value: given },
            Some(XrpcRefusal::InvalidToken) => Verdict::CredentialsRefused,
            Some(XrpcRefusal::InvalidProof(error)) => {
                let date = headers.get(DATE).and_then(|date| date.to_str().ok());
                let now = self.clock.now().as_secs();
                tracing::warn!(error, date, now, "the PDS does not accept our DPoP proof");
                Verdict::Refused(error)
            }
        }
    }

    /// When the PDS refuses the session's token, the cached identity of the account is dropped, so that its DID
    /// document is resolved again before the session is renewed.
    async fn second_chance(&self, live: &UsableSession, error: &CallError) -> Option<Resend> {
        let account = live.head.atproto().ok()?;
        match error {
            CallError::CredentialsRefused => {
                self.client.forget(&account.did);
                Some(Resend::Token)
            }
            CallError::Refused(_) | CallError::Http(HttpError::Unreachable(_)) => {
                self.has_moved(live).await.then_some(Resend::Moved)
            }
            _ => None,
        }
    }
}

impl Atproto {
    /// Whether the account has left the PDS of the session, for another one or for none. `false` when that cannot
    /// be found out.
    async fn has_moved(&self, live: &UsableSession) -> bool {
        let Ok(account) = live.head.atproto() else { return false };
        match self.client.resolve_did_lately(&account.did).await {
            Ok(identity) => identity.pds.origin().ascii_serialization() != account.upstream.pds,
            Err(error) => error.is_gone(),
        }
    }
}

fn pds_of(live: &UsableSession) -> Result<Url, Internal> {
    let account = live.head.atproto()?;
    Url::parse(&account.upstream.pds).map_err(|_| Internal::Inconsistent("the PDS of a session is not a URL"))
}

/// Whether the answer has to be narrowed to what the token's scope covers: a PDS gives it to every session.
fn hides_email(token: &Scope, nsid: &Nsid) -> bool {
    let covers = token.permits_account(AccountAttr::Email, AccountAction::Read)
        || token.has(&ScopeValue::Own(OwnScope::Email));
    nsid.is(GET_SESSION) && !covers
}
