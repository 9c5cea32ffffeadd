//! The operator's creation and changes of clients, by the same rules at the command line and over HTTP.

use causeway_domain::client::{
    Client, ClientMetadata, ClientMetadataError, ClientOrigin, ClientTerms, ClientTermsError, PkcePolicy,
    ValidClientMetadata, members,
};
use causeway_domain::resource::ResourceScopes;
use causeway_store::StoreError;
use causeway_store::clients::{self, Purged};
use causeway_store::operations::audit::insert_audit_event;
use causeway_types::secret::PlainToken;
use causeway_types::{ClientId, Rng, Scope, TokenEndpointAuthMethod};
use serde_json::{Map, Value, json};

use super::context::Operator;
use crate::authorization::scopes;
use crate::client::purge;
use crate::client::registration::create::{self, RegisterError, Registered};
use crate::client::registration::{self, RegistrationError};
use crate::error::Internal;

/// Settings of the server that limit the operator's clients.
#[derive(Clone, Copy, Debug)]
pub struct ClientRules<'a> {
    /// The widest scope that any client can be granted at PDSes.
    pub maximum_scope: &'a Scope,
    /// The scopes of resources.
    pub resource_scopes: &'a ResourceScopes,
    /// The server's own origin, which no client's addresses may lead to; `None`: not known.
    pub issuer: Option<&'a str>,
}

/// A client as the operator describes it: its own metadata, and the terms that only the operator sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientDescription {
    metadata: ClientMetadata,
    terms: ClientTerms,
}

impl ClientDescription {
    /// Reads a document with the members of RFC 7591 section 2 and those of [`ClientTerms`].
    ///
    /// # Errors
    /// The first [`ClientTermsError`] found.
    pub fn read(mut metadata: ClientMetadata) -> Result<Self, ClientTermsError> {
        let terms = ClientTerms::take_from(&mut metadata)?;
        // A document that was read here and is sent back has null for absent members.
        metadata.other.retain(|_, value| !value.is_null());
        Ok(Self { metadata, terms })
    }

    /// Validates the description. Its scope must be within the rules, or the one that the client had
    /// `before`: a maximum that was lowered since must not block a change of something else.
    fn check(
        self,
        rules: ClientRules<'_>,
        before: Option<&Client>,
    ) -> Result<(ValidClientMetadata, ClientTerms), ClientMetadataError> {
        let valid = create::check_alone(self.metadata, rules.issuer)?;
        let had = before.and_then(|client| client.scope.as_ref());
        if let Some(scope) = valid.scope.as_ref().filter(|scope| Some(*scope) != had) {
            scopes::admit_of_operator(rules.maximum_scope, rules.resource_scopes, scope)
                .map_err(ClientMetadataError::ScopeNotGranted)?;
        }
        let is_public = valid.token_endpoint_auth_method == TokenEndpointAuthMethod::None;
        if is_public && self.terms.session_export == Some(true) {
            return Err(ClientMetadataError::PublicSessionExport);
        }
        if is_public && self.terms.pkce == Some(PkcePolicy::Nonce) {
            return Err(ClientMetadataError::PublicPkce);
        }
        Ok((valid, self.terms))
    }
}

impl Operator<'_> {
    /// Registers a client.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn create_client(
        &self,
        rng: &dyn Rng,
        rules: ClientRules<'_>,
        description: ClientDescription,
    ) -> Result<Registered, RegisterError> {
        let (valid, terms) = description.check(rules, None)?;
        let client_secret = valid.new_secret(rng);
        let hash = client_secret.as_ref().map(PlainToken::hash);
        let (tenant, now, event) = self.about("client_created");
        let mut client = valid.into_client(ClientId::random(rng), tenant, hash, now);
        terms.apply_to(&mut client);
        let (row, event) = (client.clone(), event.of_client(&client.client_id));
        self.store
            .write(move |c| {
                clients::insert_client(c, &row)?;
                insert_audit_event(c, &event).map_err(Internal::from)
            })
            .await?;
        Ok(Registered { client, client_secret, registration_access_token: None })
    }

    /// Replaces a client's metadata; terms that the description leaves out stay. Its identifier and its
    /// tokens stay; a secret is returned if it needs one now and had none. `None`: there is no such client.
    ///
    /// # Errors
    /// [`RegistrationError`].
    pub async fn update_client(
        &self,
        rng: &dyn Rng,
        rules: ClientRules<'_>,
        client_id: &ClientId,
        description: ClientDescription,
    ) -> Result<Option<Registered>, RegistrationError> {
        let Some(before) = self.find_client(client_id).await? else { return Ok(None) };
        if before.origin != ClientOrigin::Registered {
            return Err(RegistrationError::Document);
        }
        let (valid, terms) = description.check(rules, Some(&before)).map_err(RegisterError::from)?;
        let (mut client, client_secret) = registration::changed(&before, valid, rng, self.by.at);
        terms.apply_to(&mut client);
        let found = self.replace_client(&client, "client_updated").await.map_err(Internal::from)?;
        Ok(found.then_some(Registered { client, client_secret, registration_access_token: None }))
    }

    /// Replaces a client's row and records the audit event `event`; `false`: the client was deleted.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn replace_client(&self, client: &Client, event: &str) -> Result<bool, StoreError> {
        let (row, event) = (client.clone(), self.audit_event(event).of_client(&client.client_id));
        self.store
            .write(move |c| {
                let found = clients::update_client(c, &row)?;
                if found {
                    insert_audit_event(c, &event)?;
                }
                Ok(found)
            })
            .await
    }

    /// Deletes a client: it and its tokens stop working at once, [`Operator::purge`] does the rest. `false`:
    /// there is no such client.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_client(&self, client_id: &ClientId) -> Result<bool, StoreError> {
        let (tenant, now, event) = self.about("client_deleted");
        let (id, event) = (client_id.clone(), event.of_client(client_id));
        self.store
            .write(move |c| {
                let deleted = clients::delete_client(c, &tenant, &id, now)?;
                if deleted {
                    insert_audit_event(c, &event)?;
                }
                Ok(deleted)
            })
            .await
    }

    /// Takes one step in purging deleted clients: ends a batch of sessions, or deletes a batch of rows.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn purge(&self) -> Result<Purged, StoreError> {
        purge::step(self.store, self.by.at).await
    }

    /// Finds a client in its current state.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_client(&self, client_id: &ClientId) -> Result<Option<Client>, Internal> {
        let (tenant, client_id) = (self.by.tenant_id.clone(), client_id.clone());
        self.store.read(move |c| clients::find_client(c, &tenant, &client_id).map_err(Internal::from)).await
    }
}

/// A client's own metadata as a document that can be read again; defaults apply to what is left out.
pub fn client_document(client: &Client) -> Map<String, Value> {
    let mut document = client.metadata.clone();
    let known = json!({
        "redirect_uris": client.redirect_uris,
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "grant_types": client.grant_types,
        "client_name": client.client_name,
        "scope": client.scope,
        "jwks": client.jwks,
    });
    document.extend(members(known));
    document.retain(|_, value| !value.is_null());
    document
}

/// Everything known about a client, including the defaults that apply. Read as a [`ClientDescription`],
/// without its `client_id`, it describes the same client.
pub fn shown_client(client: &Client) -> Value {
    let defaults = json!({
        "client_uri": null,
        "scope": null,
        "jwks": null,
        "jwks_uri": null,
        "token_endpoint_auth_signing_alg": null,
        "dpop_bound_access_tokens": client.dpop_bound_access_tokens(),
        "dpop_nonce_policy": client.dpop_nonce_policy(),
        "access_token_format": client.access_token_format(),
        "id_token_signed_response_alg": client.id_token_signed_response_alg().as_str(),
        "userinfo_signed_response_alg": null,
        "introspection_signed_response_alg": null,
        "require_pushed_authorization_requests": client.wants(members::REQUIRE_PUSHED_AUTHORIZATION_REQUESTS),
        "require_signed_request_object": client.wants(members::REQUIRE_SIGNED_REQUEST_OBJECT),
        "post_logout_redirect_uris": [],
        "backchannel_logout_uri": null,
        "backchannel_logout_session_required": null,
    });
    let ours = json!({
        "client_id": client.client_id,
        "origin": client.origin.as_str(),
        "created_at": client.created_at,
        "updated_at": client.updated_at,
    });
    members(defaults)
        .chain(client_document(client))
        .chain(ClientTerms::shown(client))
        .chain(members(ours))
        .collect::<Map<_, _>>()
        .into()
}

fn members(object: Value) -> impl Iterator<Item = (String, Value)> {
    let members = if let Value::Object(members) = object { members } else { Map::new() };
    members.into_iter()
}
