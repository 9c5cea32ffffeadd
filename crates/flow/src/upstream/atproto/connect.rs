//! Sign-in at a user's authorization server: identity resolution, then a pushed request there (atproto OAuth
//! specification, "Authorization Requests"); and the proof that its answer can be trusted.
//!
//! The `sub` of a token answer is a claim of a server that may be hostile. It is trusted only when the
//! callback's `iss` is the issuer that this request was sent to (RFC 9207 section 2.4), and the DID's own
//! document leads to a PDS whose authorization server is that issuer (atproto OAuth specification, "Identity
//! Authentication"). If an account was named, it must be that one.

use async_trait::async_trait;
use causeway_atproto::{CodeExchange, Identity, PushRequest, ResolveError, TokenAnswer, UpstreamTokenError};
use causeway_domain::session::{
    AtprotoBinding, AtprotoPending, Binding, HANDLE_SECONDS, OtherKind, Pending, UpstreamBinding,
};
use causeway_jose::EcKey;
use causeway_outbound::HttpError;
use causeway_types::{CodeVerifier, Did, Handle, Prompt, Scope, Secret, SignInInput, TenantId, Timestamp};

use crate::error::Internal;
use crate::upstream::atproto::adapter::{Atproto, credentials_of, give_back};
use crate::upstream::atproto::answer::AtprotoAnswer;
use crate::upstream::atproto::scope_fallback::{self, Outgoing, PushError};
use crate::upstream::connect::failure::{ConnectFailure, SignInError};
use crate::upstream::connect::required::Required;
use crate::upstream::traits::{
    BeginRequest, Begun, CallbackParams, Completion, ConnectError, Connected, NewAccount, NewConnection,
    NoAnswer, Redeemed, SignInRequest,
};

#[async_trait]
impl Connected for Atproto {
    /// Resolves the account or server that was named, and pushes a request to its authorization server.
    async fn begin(&self, request: &BeginRequest<'_>) -> Result<Begun, SignInError> {
        let client = request.client;
        let state = request.state.clone();
        let request = request.sign_in().map_err(Internal::from)?;
        let input = SignInInput::parse(request.named)?;
        let target = self.client.resolve(&input).await.map_err(SignInError::Resolve)?;
        let dpop = EcKey::generate().map_err(Internal::from)?;
        let verifier = CodeVerifier::random(&*self.rng);
        let login_hint = match (&input, &target.identity) {
            (SignInInput::Handle(handle), _) => Some(handle.to_string()),
            (_, Some(identity)) => Some(identity.did.to_string()),
            (_, None) => None,
        };
        let push = PushRequest {
            redirect_uri: self.profile.redirect_uri().to_owned(),
            scope: request.scope.clone(),
            state,
            code_challenge: verifier.challenge(),
            login_hint,
            prompt: None,
        };
        let pds = target.identity.as_ref().map(|identity| identity.pds.as_str());
        let mut required = request.required;
        let (upstream, pushed) = loop {
            let prompt = match required {
                None => first_prompt(request, target.identity.is_some()),
                Some(required) => Some(prompt_again(request, required)),
            };
            let push =
                PushRequest { prompt: prompt.map(|prompt| prompt.as_str().to_owned()), ..push.clone() };
            let outgoing = Outgoing { client, server: &target.server, pds, dpop: &dpop, push };
            match scope_fallback::push(self, outgoing).await {
                Err(PushError::Upstream(error)) if required.is_none() => {
                    let parsed = error.oauth_error().and_then(Required::parse);
                    required = Some(parsed.ok_or(SignInError::Upstream(error))?);
                }
                pushed => break pushed?,
            }
        };
        let pending = AtprotoPending {
            upstream,
            typed_handle: match input {
                SignInInput::Handle(handle) => Some(handle),
                _ => None,
            },
            expected_did: target.identity.map(|identity| identity.did),
            nonce: pushed.dpop_nonce.unwrap_or_default(),
            pkce_verifier: verifier,
            dpop_private_key: dpop.private_jwk(),
            dpop_jkt: dpop.thumbprint().to_owned(),
        };
        Ok(Begun {
            url: pushed.authorize_url,
            pending: Pending::Atproto(Box::new(pending)),
            asked_again: required.is_some(),
            registration_id: None,
        })
    }

    async fn redeem(&self, completion: &Completion<'_>) -> Result<Redeemed, ConnectError> {
        let pending = completion.pending.atproto().map_err(Internal::from)?;
        let code = read_answer(completion.answer, &pending.upstream.issuer)?;
        let dpop = EcKey::from_private_jwk(&pending.dpop_private_key).map_err(Internal::from)?;
        let server = match self.client.server_by_issuer(&pending.upstream.issuer).await {
            Ok(server) => server,
            Err(error) => {
                tracing::warn!(%error, "the issuer's metadata cannot be fetched");
                return Err(ConnectFailure::Unavailable.into());
            }
        };
        let me = self
            .profile
            .identity(&pending.upstream)
            .ok_or(Internal::Inconsistent("the client key of this sign-in is not loaded"))?;
        let exchange = CodeExchange {
            code: &code,
            verifier: &pending.pkce_verifier,
            redirect_uri: &pending.upstream.redirect_uri,
            nonce: Some(pending.nonce.as_str()).filter(|nonce| !nonce.is_empty()),
        };
        let answer = self.client.exchange_code(&server, &me, &dpop, &exchange).await;
        let answer = answer.map_err(|error| not_exchanged(&error))?;
        let upstream = pending.upstream.clone();
        Ok(Redeemed::Atproto(Box::new(AtprotoAnswer { server, upstream, dpop, answer })))
    }

    /// Proves the identity.
    async fn identify(
        &self,
        completion: &Completion<'_>,
        redeemed: &Redeemed,
    ) -> Result<NewConnection, ConnectError> {
        let pending = completion.pending.atproto()?;
        let AtprotoAnswer { answer, .. } = own(redeemed)?;
        self.prove(completion, pending, answer).await.map_err(ConnectError::from)
    }

    async fn give_back(&self, _: &TenantId, redeemed: &Redeemed) -> Result<(), NoAnswer> {
        let AtprotoAnswer { server, upstream, dpop, answer } = own(redeemed).map_err(NoAnswer::because)?;
        let me = self.profile.identity(upstream);
        let me = me.ok_or_else(|| NoAnswer::because("the client key of this sign-in is not loaded"))?;
        give_back(&self.client, server, &me, dpop, answer).await;
        Ok(())
    }
}

fn own(redeemed: &Redeemed) -> Result<&AtprotoAnswer, OtherKind> {
    match redeemed {
        Redeemed::Atproto(answer) => Ok(answer),
        Redeemed::Other(_) => Err(OtherKind),
    }
}

impl Atproto {
    /// The account that a sign-in's tokens are for, once it is proven.
    async fn prove(
        &self,
        completion: &Completion<'_>,
        pending: &AtprotoPending,
        answer: &TokenAnswer,
    ) -> Result<NewConnection, ConnectFailure> {
        let (sub, scope) = subject_and_scope(answer).map_err(|problem| {
            tracing::warn!(problem, "the tokens of a sign-in cannot be used");
            ConnectFailure::Malformed
        })?;
        let is_expected = pending.expected_did.as_ref().is_none_or(|expected| expected == sub);
        let is_required = completion.subjects.is_empty() || completion.subjects.contains(&sub.as_str());
        if !is_expected || !is_required {
            return Err(ConnectFailure::OtherAccount);
        }
        let identity = self.prove_identity(&pending.upstream.issuer, sub).await?;
        let now = self.clock.now();
        let key = (&pending.dpop_private_key, &*pending.dpop_jkt);
        let (handle, verified_at) = first_handle(pending, completion.begun_at, &identity, now);
        let pds = identity.pds.origin().ascii_serialization();
        Ok(NewConnection {
            binding: Binding::Atproto(AtprotoBinding {
                did: identity.did,
                handle,
                verified_at,
                upstream: UpstreamBinding { pds, ..pending.upstream.clone() },
            }),
            credentials: credentials_of(answer, scope.to_string(), key, now),
            account: NewAccount::default(),
        })
    }

    /// Resolves the DID's own document, bypassing the cache, to the issuer that answered.
    async fn prove_identity(&self, issuer: &str, sub: &Did) -> Result<Identity, ConnectFailure> {
        let unavailable_or = |error: ResolveError, otherwise: ConnectFailure| {
            tracing::warn!(%error, "the account cannot be resolved");
            if error.is_upstream_fault() { ConnectFailure::Unavailable } else { otherwise }
        };
        let find = async || {
            let identity = self.client.resolve_did_fresh(sub).await.map_err(|error| match error {
                ResolveError::DidTooLong => ConnectFailure::LongDid,
                error => unavailable_or(error, ConnectFailure::ForeignAccount),
            })?;
            let server = self.client.server_of_pds(&identity.pds).await;
            let server = server.map_err(|error| unavailable_or(error, ConnectFailure::ForeignAccount))?;
            Ok::<_, ConnectFailure>((server.issuer == issuer).then_some(identity))
        };
        if let Some(identity) = find().await? {
            return Ok(identity);
        }
        // The cached authorization server of its PDS may be outdated.
        self.client.forget(sub);
        find().await?.ok_or(ConnectFailure::ForeignAccount)
    }
}

/// The `prompt` for the authorization server. A user who has named an account on our page has already selected one.
fn first_prompt(request: &SignInRequest<'_>, names_account: bool) -> Option<Prompt> {
    if request.login {
        Some(Prompt::Login)
    } else {
        let is_chosen = names_account && request.is_chosen;
        (request.select_account && !is_chosen).then_some(Prompt::SelectAccount)
    }
}

/// The `prompt` for a second attempt. Account selection is never repeated: where no user is signed in, a PDS
/// answers it with an error instead of showing a login.
fn prompt_again(request: &SignInRequest<'_>, required: Required) -> Prompt {
    if required == Required::Consent && !request.login { Prompt::Consent } else { Prompt::Login }
}

/// The code, if the answer comes from the server that was asked.
fn read_answer(answer: &CallbackParams, issuer: &str) -> Result<Secret, ConnectFailure> {
    if answer.iss.as_deref() != Some(issuer) {
        return Err(ConnectFailure::Issuer);
    }
    match answer.error.as_deref() {
        Some("access_denied") => Err(ConnectFailure::Declined),
        Some("temporarily_unavailable") => Err(ConnectFailure::Unavailable),
        Some(error) => Err(Required::parse(error).map_or(ConnectFailure::Refused, ConnectFailure::Required)),
        None => answer.code.clone().ok_or(ConnectFailure::Refused),
    }
}

fn not_exchanged(error: &UpstreamTokenError) -> ConnectError {
    tracing::warn!(%error, "the upstream code was not exchanged");
    match error {
        UpstreamTokenError::OAuth { .. } => ConnectFailure::Refused.into(),
        UpstreamTokenError::Malformed(_)
        | UpstreamTokenError::Http(HttpError::NotJson | HttpError::TooLarge | HttpError::Redirected) => {
            ConnectFailure::Malformed.into()
        }
        UpstreamTokenError::Http(_) => ConnectFailure::Unavailable.into(),
        UpstreamTokenError::Sign(error) => ConnectError::Internal((*error).into()),
    }
}

/// The account and the scope that a sign-in's tokens are for; an error says why they cannot be used. Unlike
/// at a refresh, there are no earlier values to fall back on.
fn subject_and_scope(answer: &TokenAnswer) -> Result<(&Did, &Scope), &'static str> {
    if let Some(flaw) = answer.flaw {
        return Err(flaw);
    }
    let sub = answer.sub.as_ref().ok_or("sub is missing")?;
    Ok((sub, answer.scope.as_ref().ok_or("scope is missing or malformed")?))
}

/// The initial handle of a session and the time of its verification. When the handle cannot be resolved now,
/// the typed one serves, which was verified when the sign-in began; without that one, it is looked up again
/// soon.
fn first_handle(
    pending: &AtprotoPending,
    begun_at: Timestamp,
    identity: &Identity,
    now: Timestamp,
) -> (Option<Handle>, Timestamp) {
    if !identity.handle_unknown {
        return (identity.handle.clone(), now);
    }
    let is_expected = pending.expected_did.as_ref() == Some(&identity.did);
    match pending.typed_handle.clone().filter(|_| is_expected) {
        Some(handle) => (Some(handle), begun_at),
        None => (None, now.plus(-HANDLE_SECONDS)),
    }
}
