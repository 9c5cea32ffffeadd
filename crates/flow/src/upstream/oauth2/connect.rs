//! How accounts at these providers are connected: discovery, the authorization request, the code, and whose account it is.

use std::collections::BTreeMap;

use async_trait::async_trait;
use causeway_domain::connection::Registration;
use causeway_domain::session::{Binding, Pending};
use causeway_providers::oauth::{
    Account, ApiError, Ask, Authorization, CodeRedemption, DiscoveryError, Extent, IdTokenRules, Issued,
    RefusalMeaning, SecretInUse, TokenAnswer, TokenError, authorization_url, capture_callback,
    missing_scopes, requested_scopes, verify_id_token,
};
use causeway_providers::relay::CallCredential;
use causeway_providers::{Accounts, CaptureSource, Definition, FieldValues, Identity, Kind, OauthClient};
use causeway_types::{CodeVerifier, Rng, Secret, TenantId};
use serde_json::{Map, Value};

use super::OauthProvider;
use super::binding::OauthBinding;
use super::kept::Bound;
use super::managed::managed;
use super::registrations::registered;
use super::servers::{Server, metadata_of, wants_refresh_token};
use super::stored::{Answer, Authorizing, Kept, Named, owned};
use crate::error::Internal;
use crate::upstream::connect::failure::{AskAgain, ConnectFailure, SignInError};
use crate::upstream::traits::{
    AskedOffer, BeginRequest, Begun, CallbackParams, Completion, ConnectError, ConnectRequest, Connected,
    NewAccount, NewConnection, NoAnswer, Offer, OfferError, Redeemed,
};

/// The code by which an issuer does not know a client, or its secret (RFC 6749 section 5.2).
const INVALID_CLIENT: &str = "invalid_client";
/// The scope of OpenID Connect, by which an ID token is issued.
const OPENID: &str = "openid";

#[async_trait]
impl Connected for OauthProvider {
    /// Discovers the server before the browser leaves, and finds our registration there.
    async fn begin(&self, request: &BeginRequest<'_>) -> Result<Begun, SignInError> {
        let connect = request.connect().map_err(Internal::from)?;
        let fields = fields_of(connect.parameters);
        let server = self.server(&fields).await?;
        self.begin_at(request, &fields, server).await
    }

    fn is_second(&self, pending: &Pending) -> bool {
        authorizing_of(pending).is_ok_and(|authorizing| authorizing.is_second)
    }

    async fn redeem(&self, completion: &Completion<'_>) -> Result<Redeemed, ConnectError> {
        let client = self.client_definition()?;
        let authorizing = authorizing_of(completion.pending)?;
        let code = self.code(client, &authorizing, completion.answer)?;
        let parameters = captured_parameters(client, completion.answer);
        let captured = capture_callback(&client.captures, &parameters).map_err(|error| {
            tracing::warn!(%error, provider = self.name, "the callback cannot be used");
            ConnectFailure::Malformed
        })?;
        let mut fields: FieldValues = authorizing.parameters.iter().map(pair).collect();
        fields.extend(captured);
        let token_endpoint = match &authorizing.token_endpoint {
            Some(discovered) => discovered.clone(),
            None => self.token_endpoint(&fields)?,
        };
        let found = self.registrations.find(completion.tenant_id, &authorizing.registration_id).await?;
        let registration = found.ok_or(ConnectFailure::Misconfigured)?;
        let verifier = if authorizing.is_open() { None } else { Some(verifier_of(&authorizing)?) };
        let binding = OauthBinding {
            registration_id: registration.registration_id.clone(),
            client_id: registration.client_id.as_str().to_owned(),
            issuer: authorizing.issuer,
            authorization_endpoint: authorizing.authorization_endpoint,
            token_endpoint,
            revocation_endpoint: authorizing.revocation_endpoint,
            introspection_endpoint: authorizing.introspection_endpoint,
            resource: authorizing.resource,
            requested_scopes: authorizing.scopes,
            fields: owned(&fields),
        };
        let bound = Bound { binding, registration };
        let answer = match &verifier {
            None => Answer::open(self.clock.now()),
            Some(verifier) => {
                let scopes = &bound.binding.requested_scopes;
                let redemption = CodeRedemption { code: &code, verifier, scopes };
                let issued = self.client.redeem(&bound.context(client, &fields), &redemption).await;
                Answer::from(&self.issued(completion.tenant_id, &bound.registration, issued).await?)
            }
        };
        let kept =
            Kept { binding: bound.binding, jwks_uri: authorizing.jwks_uri, nonce: authorizing.nonce, answer };
        Ok(kept.to_redeemed()?)
    }

    async fn exchange(
        &self,
        completion: &Completion<'_>,
        redeemed: &Redeemed,
    ) -> Result<Option<Redeemed>, ConnectError> {
        let client = self.client_definition()?;
        if client.exchange.is_none() {
            return Ok(None);
        }
        let kept = Kept::read(redeemed)?;
        let (bound, kept) = self.bound_of(completion.tenant_id, kept).await?;
        let Some(tokens) = kept.answer.tokens() else { return Ok(None) };
        let fields = bound.binding.field_values();
        let exchanged = self.client.exchange(&bound.context(client, &fields), &tokens.access_token).await;
        let Some(exchanged) = exchanged.transpose() else { return Ok(None) };
        let second = self.issued(completion.tenant_id, &bound.registration, exchanged).await?;
        let mut answer = Answer::from(&kept.answer.to_token_answer().exchanged(second));
        answer.flaw = answer.flaw.or(kept.answer.flaw);
        Ok(Some(Kept { answer, ..kept }.to_redeemed()?))
    }

    async fn identify(
        &self,
        completion: &Completion<'_>,
        redeemed: &Redeemed,
    ) -> Result<NewConnection, ConnectError> {
        let client = self.client_definition()?;
        let (bound, kept) = self.bound_of(completion.tenant_id, Kept::read(redeemed)?).await?;
        if let Some(flaw) = &kept.answer.flaw {
            tracing::warn!(flaw, provider = self.name, "the tokens of an authorization cannot be used");
            return Err(ConnectFailure::Malformed.into());
        }
        let tokens = kept.answer.tokens().ok_or(ConnectFailure::Malformed)?;
        let granted = tokens.scope.as_deref();
        if !missing_scopes(&client.scopes.required, granted).is_empty() {
            return Err(ConnectFailure::ScopeMissing.into());
        }
        let Identified { account, issuer } = self.account(client, &bound, &kept, completion.subjects).await?;
        let mut binding = bound.binding.clone();
        let captured = &kept.answer.captured;
        binding.fields.extend(captured.iter().map(|(name, value)| (name.clone(), value.clone())));
        binding.issuer = issuer.clone().or(binding.issuer);
        let fields = binding.field_values();
        let listing = self
            .client
            .managed_accounts(
                client,
                &credential(client, &bound, &[("token", &tokens.access_token)], &fields),
            )
            .await;
        if let Extent::Partial(error) = &listing.extent {
            tracing::warn!(%error, provider = self.name, "the managed accounts were not listed completely");
        }
        for account in &listing.without_tasks {
            tracing::warn!(account, provider = self.name, "the tasks of a managed account cannot be read");
        }
        let requested = binding.requested_scopes.join(" ");
        let credentials = tokens.credentials(None, &requested);
        let own_issuer = issuer.unwrap_or_else(|| binding.token_endpoint.origin().ascii_serialization());
        let account_slot = match (client.accounts, &client.identity) {
            // An account that nobody names has the one place that there is.
            (Accounts::One, _) | (Accounts::Many, Identity::None) => String::new(),
            (Accounts::Many, _) => format!("{own_issuer} {}", account.subject),
        };
        Ok(NewConnection {
            binding: Binding::Other(binding.to_stored(&self.name, &account.subject)?),
            account: NewAccount {
                issuer: own_issuer,
                display_name: account.name,
                account_slot,
                device_slot: String::new(),
                is_complete: listing.extent == Extent::Complete,
                managed: managed(&kept.answer, listing, &credentials.scope),
                metadata: captured
                    .iter()
                    .map(|(name, value)| (name.clone(), value.as_str().into()))
                    .collect(),
            },
            credentials,
        })
    }

    async fn give_back(&self, tenant_id: &TenantId, redeemed: &Redeemed) -> Result<(), NoAnswer> {
        self.give_back_kept(tenant_id, redeemed).await
    }

    fn offer(&self, asked: &AskedOffer<'_>) -> Result<Offer, OfferError> {
        let client = self.oauth().ok_or(OfferError::NotOffered)?;
        let definition = &self.definition;
        let parameters = offered_parameters(definition, asked)?;
        let scopes = requested_scopes(&client.scopes, asked.scopes, true);
        let host = definition.chosen_host(&fields_of(&parameters));
        Ok(Offer { title: definition.title.clone(), host, scopes, parameters, form: None })
    }
}

/// An account, and the issuer that it was named by.
struct Identified {
    account: Account,
    issuer: Option<String>,
}

impl OauthProvider {
    /// Prepares an authorization at a server whose endpoints are known.
    pub(crate) async fn begin_at(
        &self,
        request: &BeginRequest<'_>,
        fields: &FieldValues,
        server: Server,
    ) -> Result<Begun, SignInError> {
        let connect = request.connect().map_err(Internal::from)?;
        let client = self.client_definition()?;
        let (scopes, with_offline) = scopes_of(client, connect, &server);
        let registration = self.registration(connect.tenant_id, &server, fields, &scopes).await?;
        let is_openid =
            matches!(self.definition.kind, Kind::Oidc(_)) || scopes.iter().any(|scope| scope == OPENID);
        let authorizing = Authorizing {
            registration_id: registration.registration_id.clone(),
            issuer: server.issuer,
            names_issuer: server.names_issuer,
            authorization_endpoint: server.authorization,
            token_endpoint: server.token,
            revocation_endpoint: server.revocation,
            introspection_endpoint: server.introspection,
            jwks_uri: server.keys,
            resource: server.resource,
            scopes,
            with_offline,
            parameters: owned(fields),
            verifier: Secret::new(CodeVerifier::random(&*self.rng).expose()),
            nonce: is_openid.then(|| (&*self.rng as &dyn Rng).base64url::<16>()),
            is_second: connect.again.is_some(),
        };
        let forced = connect.force_reauth || connect.again == Some(AskAgain::ForceReauth);
        let verifier = verifier_of(&authorizing)?;
        let url = authorization_url(
            client,
            &Authorization {
                endpoint: &authorizing.authorization_endpoint,
                registered: &registered(&registration),
                state: request.state.as_str(),
                scopes: &authorizing.scopes,
                verifier: &verifier,
                nonce: authorizing.nonce.as_deref(),
                resource: authorizing.resource.as_deref(),
                ask: if forced { Ask::Reauthenticate } else { Ask::Nothing },
                fields,
            },
        );
        let url = url.map_err(|error| {
            tracing::warn!(%error, provider = self.name, "the authorization request cannot be made");
            ConnectFailure::Misconfigured
        })?;
        Ok(Begun {
            url,
            pending: Pending::Other { provider: self.name.clone(), data: authorizing.to_secret()? },
            asked_again: authorizing.is_second,
            registration_id: Some(registration.registration_id),
        })
    }

    /// The code, if the answer is one of the server that was asked.
    fn code(
        &self,
        client: &OauthClient,
        authorizing: &Authorizing,
        answer: &CallbackParams,
    ) -> Result<Secret, ConnectFailure> {
        if !self.is_from(authorizing, answer.iss.as_deref()) {
            return Err(ConnectFailure::Issuer);
        }
        match answer.error.as_deref() {
            Some("access_denied") => return Err(ConnectFailure::Declined),
            Some("temporarily_unavailable") => return Err(ConnectFailure::Unavailable),
            Some("invalid_scope") if authorizing.with_offline && !authorizing.is_second => {
                return Err(ConnectFailure::AskAgain(AskAgain::WithoutOffline));
            }
            Some("invalid_client" | "unauthorized_client" | "invalid_scope") => {
                return Err(ConnectFailure::Misconfigured);
            }
            Some(_) => return Err(ConnectFailure::Refused),
            None => {}
        }
        let code = match &*client.authorization.code_parameter {
            "code" => answer.code.clone(),
            name => answer.others.get(name).cloned(),
        };
        code.ok_or(ConnectFailure::Refused)
    }

    /// Whether an answer names the issuer that was asked, where that is known (RFC 9207 section 2.4).
    fn is_from(&self, authorizing: &Authorizing, iss: Option<&str>) -> bool {
        match (&authorizing.issuer, iss) {
            (Some(issuer), Some(iss)) => {
                let metadata = metadata_of(
                    issuer.clone(),
                    authorizing.authorization_endpoint.clone(),
                    authorizing.authorization_endpoint.clone(),
                );
                match self.discovery() {
                    Some((discovery, _)) => metadata.takes_issuer(discovery, iss),
                    None => issuer == iss,
                }
            }
            (Some(_), None) => !authorizing.names_issuer,
            (None, _) => true,
        }
    }

    /// The answer of a token endpoint; a refusal is noted where it is about our registration.
    async fn issued(
        &self,
        tenant_id: &TenantId,
        registration: &Registration,
        issued: Result<Issued, TokenError>,
    ) -> Result<TokenAnswer, ConnectError> {
        match issued {
            Ok(issued) => {
                self.note_accepted(tenant_id, registration, issued.secret).await;
                Ok(issued.answer)
            }
            Err(error) => {
                let description = match &error {
                    TokenError::Refused(refusal) => refusal.description.as_deref(),
                    _ => None,
                };
                tracing::warn!(%error, description, provider = self.name, "the provider issued nothing for a code");
                Err(match error.meaning() {
                    RefusalMeaning::Misconfigured => {
                        self.note_misconfigured(tenant_id, registration, &error).await;
                        ConnectFailure::Misconfigured
                    }
                    // A user who brings a code that is none causes that, too: it says nothing about the registration.
                    RefusalMeaning::Request => ConnectFailure::Misconfigured,
                    RefusalMeaning::Over | RefusalMeaning::ActionRequired | RefusalMeaning::NotRenewable => {
                        ConnectFailure::Refused
                    }
                    RefusalMeaning::Wait(_) | RefusalMeaning::Passing => ConnectFailure::Unavailable,
                }
                .into())
            }
        }
    }

    /// Notes which secret of a registration the provider took, and that it takes it again.
    pub(super) async fn note_accepted(
        &self,
        tenant_id: &TenantId,
        registration: &Registration,
        secret: SecretInUse,
    ) {
        if let Err(error) = self.registrations.note_accepted(tenant_id, registration, secret).await {
            tracing::warn!(%error, provider = self.name, "the state of a registration was not stored");
        }
    }

    /// Notes that a provider does not take a registration.
    pub(super) async fn note_misconfigured(
        &self,
        tenant_id: &TenantId,
        registration: &Registration,
        error: &TokenError,
    ) {
        if matches!(error, TokenError::Refused(refusal) if refusal.code.as_deref() == Some(INVALID_CLIENT)) {
            match self.registrations.note_refused(tenant_id, registration).await {
                Ok(true) => tracing::warn!(
                    provider = self.name,
                    registration = %registration.registration_id,
                    "the issuer does not know this registration any more: the next authorization registers anew"
                ),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, provider = self.name, "a refusal was not stored"),
            }
        }
        match self.registrations.note_misconfigured(tenant_id, registration).await {
            Ok(true) => tracing::error!(
                provider = self.name,
                tenant = %tenant_id,
                registration = %registration.registration_id,
                "the provider does not accept this registration: correct it with `causeway providers secret`; \
                 connections stay, and are not refreshed until then"
            ),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, provider = self.name, "the state of a registration was not stored");
            }
        }
    }

    /// Kept tokens with our registration as it is now.
    pub(super) async fn bound_of(&self, tenant_id: &TenantId, kept: Kept) -> Result<(Bound, Kept), Internal> {
        let found = self.registrations.find(tenant_id, &kept.binding.registration_id).await?;
        let registration =
            found.ok_or(Internal::Inconsistent("the registration of an authorization is missing"))?;
        Ok((Bound { binding: kept.binding.clone(), registration }, kept))
    }

    /// The account that tokens are for.
    async fn account(
        &self,
        client: &OauthClient,
        bound: &Bound,
        kept: &Kept,
        subjects: &[&str],
    ) -> Result<Identified, ConnectFailure> {
        let unnamed = ConnectFailure::Malformed;
        match &client.identity {
            Identity::TokenAnswer { .. } => {
                let account = kept.answer.account.as_ref().map(Named::account);
                Ok(Identified { account: account.ok_or(unnamed)?, issuer: None })
            }
            Identity::IdToken { .. } => self.named_by_id_token(client, bound, kept).await,
            Identity::Url { .. } => {
                let tokens = kept.answer.tokens().ok_or(ConnectFailure::Malformed)?;
                let mut fields = bound.binding.field_values();
                fields.extend(kept.answer.captured.iter().map(pair).collect());
                let secrets = [("token", &tokens.access_token)];
                let found = self.client.identity(client, &credential(client, bound, &secrets, &fields)).await;
                let found = found.map_err(|error| {
                    tracing::warn!(%error, provider = self.name, "the account was not found out");
                    not_told(&error)
                })?;
                Ok(Identified { account: found.ok_or(unnamed)?, issuer: None })
            }
            // The connection itself stands for the account.
            Identity::None => {
                let known = subjects.first().map(|&subject| subject.to_owned());
                let subject = known.unwrap_or_else(|| (&*self.rng as &dyn Rng).base64url::<16>());
                Ok(Identified { account: Account { subject, name: None }, issuer: None })
            }
        }
    }

    /// Verifies the ID token (OpenID Connect Core section 3.1.3.7).
    async fn named_by_id_token(
        &self,
        client: &OauthClient,
        bound: &Bound,
        kept: &Kept,
    ) -> Result<Identified, ConnectFailure> {
        let (Some((discovery, _)), Some(issuer), Some(jwks_uri), Some(token)) =
            (self.discovery(), &kept.binding.issuer, &kept.jwks_uri, &kept.answer.id_token)
        else {
            tracing::warn!(provider = self.name, "there is no ID token, or nothing to verify it with");
            return Err(ConnectFailure::Malformed);
        };
        let keys = self.client.keys(jwks_uri).await.map_err(|error| {
            tracing::warn!(%error, provider = self.name, "the keys of the issuer cannot be used");
            match error {
                DiscoveryError::Unknown(_) => ConnectFailure::Unavailable,
                _ => ConnectFailure::Misconfigured,
            }
        })?;
        // It is judged as of when it came: an answer may be kept for days until it is given back.
        let issued_at = kept.answer.tokens().map_or_else(|| self.clock.now(), |tokens| tokens.issued_at);
        let metadata = metadata_of(
            issuer.clone(),
            kept.binding.authorization_endpoint.clone(),
            kept.binding.token_endpoint.clone(),
        );
        let rules = IdTokenRules {
            metadata: &metadata,
            discovery,
            keys: &keys,
            client_id: bound.registration.client_id.as_str(),
            nonce: kept.nonce.as_deref(),
            now: issued_at,
        };
        let verified = verify_id_token(client, token, &rules).map_err(|error| {
            tracing::warn!(%error, provider = self.name, "the ID token is not believed");
            ConnectFailure::Malformed
        })?;
        Ok(Identified { account: verified.account, issuer: Some(verified.issuer) })
    }

    /// The account that tokens are for, to give them back; `None`: nobody can find it out.
    ///
    /// # Errors
    /// [`NoAnswer`]: not now.
    pub(super) async fn subject(&self, bound: &Bound, kept: &Kept) -> Result<Option<String>, NoAnswer> {
        if let Some(named) = &kept.answer.account {
            return Ok(Some(named.subject.clone()));
        }
        let Some(client) = self.oauth().filter(|client| client.identity != Identity::None) else {
            return Ok(None);
        };
        match self.account(client, bound, kept, &[]).await {
            Ok(found) => Ok(Some(found.account.subject)),
            Err(ConnectFailure::Unavailable) => Err(NoAnswer::because("the account cannot be found out now")),
            Err(_) => Ok(None),
        }
    }
}

/// Checks the values of a definition's parameters.
///
/// # Errors
/// [`OfferError`].
pub(crate) fn offered_parameters(
    definition: &Definition,
    asked: &AskedOffer<'_>,
) -> Result<Map<String, Value>, OfferError> {
    let known = |name: &String| definition.parameters.iter().any(|known| known.name.as_str() == name);
    if let Some(name) = asked.parameters.keys().find(|name| !known(name)) {
        return Err(OfferError::Unknown(name.chars().take(64).collect()));
    }
    let mut parameters = Map::new();
    for parameter in &definition.parameters {
        let name = parameter.name.as_str().to_owned();
        let given = asked.parameters.get(&name);
        let is_given = given.is_some_and(|given| !given.is_null());
        match parameter.value_of(given.and_then(Value::as_str)) {
            Some(value) if !is_given || given.is_some_and(Value::is_string) => {
                parameters.insert(name, value.into());
            }
            None if !is_given => return Err(OfferError::Missing(name)),
            _ => return Err(OfferError::Value { name, expected: parameter.value.to_string() }),
        }
    }
    Ok(parameters)
}

/// The requested scopes, and whether the one for refresh tokens was added.
fn scopes_of(client: &OauthClient, connect: &ConnectRequest<'_>, server: &Server) -> (Vec<String>, bool) {
    let with_offline = connect.again != Some(AskAgain::WithoutOffline);
    let of_server = connect.scopes.is_empty() && client.scopes.default.is_empty();
    let asked = if of_server { &*server.scopes } else { connect.scopes };
    let mut scopes = requested_scopes(&client.scopes, asked, with_offline);
    let own = client.scopes.offline.as_ref();
    let offline = own.or(server.offline.as_ref().filter(|_| wants_refresh_token(client)));
    let Some(offline) = offline else { return (scopes, false) };
    if !with_offline {
        // The server lists it as one of its own, too.
        scopes.retain(|scope| scope != offline || connect.scopes.contains(scope));
        return (scopes, false);
    }
    if !scopes.contains(offline) {
        scopes.push(offline.clone());
    }
    (scopes, !connect.scopes.contains(offline))
}

fn authorizing_of(pending: &Pending) -> Result<Authorizing, Internal> {
    match pending {
        Pending::Other { data, .. } => Authorizing::read(data),
        Pending::Atproto(_) => Err(Internal::Inconsistent("the authorization is at an AT Protocol server")),
    }
}

fn verifier_of(authorizing: &Authorizing) -> Result<CodeVerifier, Internal> {
    CodeVerifier::parse(authorizing.verifier.expose())
        .map_err(|_| Internal::Inconsistent("a stored PKCE verifier is malformed"))
}

/// The values of a definition's parameters, for templates.
pub(crate) fn fields_of(parameters: &Map<String, Value>) -> FieldValues {
    parameters.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
}

/// The parameters of a callback that the definition captures.
fn captured_parameters(client: &OauthClient, answer: &CallbackParams) -> BTreeMap<String, String> {
    let names = client.captures.iter().filter_map(|capture| match &capture.source {
        CaptureSource::Callback(name) => Some(name),
        CaptureSource::Token(_) => None,
    });
    names.filter_map(|name| Some((name.clone(), answer.others.get(name)?.expose().to_owned()))).collect()
}

fn pair<'a>((name, value): (&'a String, &'a String)) -> (&'a str, &'a str) {
    (name, value)
}

/// The credential of a call of ours.
fn credential<'a>(
    client: &OauthClient,
    bound: &'a Bound,
    secrets: &'a [(&'a str, &'a Secret)],
    fields: &'a FieldValues,
) -> CallCredential<'a> {
    CallCredential {
        secrets,
        account: None,
        client_id: Some(bound.registration.client_id.as_str()),
        extras: client.extras.zip(bound.registration.client_secret.as_ref()),
        fields,
    }
}

fn not_told(error: &ApiError) -> ConnectFailure {
    match error {
        ApiError::Http(_) | ApiError::Status { status: 429 | 500.., .. } => ConnectFailure::Unavailable,
        ApiError::Request(_) => ConnectFailure::Misconfigured,
        _ => ConnectFailure::Malformed,
    }
}
