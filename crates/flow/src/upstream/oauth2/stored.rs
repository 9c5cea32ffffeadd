//! Data of an authorization that has secrets: while the user is at the provider, and from the provider's answer until it
//! is judged. It is encrypted where it is stored.

use std::collections::BTreeMap;

use causeway_providers::FieldValues;
use causeway_providers::oauth::{Account, PageTokens, TokenAnswer, Tokens};
use causeway_types::{RegistrationId, Secret, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use super::binding::OauthBinding;
use crate::error::Internal;
use crate::upstream::traits::Redeemed;

/// An authorization while the user is at the provider.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Authorizing {
    /// Our registration.
    pub(super) registration_id: RegistrationId,
    /// The issuer as its metadata writes it, which may have fields.
    pub(super) issuer: Option<String>,
    /// Whether its answers name it (RFC 9207 section 3).
    pub(super) names_issuer: bool,
    /// The authorization endpoint.
    pub(super) authorization_endpoint: Url,
    /// The token endpoint of the metadata; `None`: that of the definition.
    pub(super) token_endpoint: Option<Url>,
    /// The revocation endpoint of the metadata.
    pub(super) revocation_endpoint: Option<Url>,
    /// The introspection endpoint of the metadata.
    #[serde(default)]
    pub(super) introspection_endpoint: Option<Url>,
    /// The keys of ID tokens.
    pub(super) jwks_uri: Option<Url>,
    /// The resource that tokens are requested for (RFC 8707).
    #[serde(default)]
    pub(super) resource: Option<String>,
    /// The requested scopes.
    pub(super) scopes: Vec<String>,
    /// Whether the scope for refresh tokens is among them without having been asked for.
    pub(super) with_offline: bool,
    /// Values of the definition's parameters.
    pub(super) parameters: BTreeMap<String, String>,
    /// The PKCE verifier.
    #[serde(serialize_with = "expose")]
    pub(super) verifier: Secret,
    /// The value that has to be in the ID token.
    pub(super) nonce: Option<String>,
    /// Whether it is the second attempt.
    pub(super) is_second: bool,
}

/// Tokens that a provider issued, until they are judged.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Where it came from.
    pub(super) binding: OauthBinding,
    /// The keys of ID tokens.
    pub(super) jwks_uri: Option<Url>,
    /// The value that has to be in the ID token.
    pub(super) nonce: Option<String>,
    /// The answer.
    pub(super) answer: Answer,
}

/// The answer of a token endpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) user: Option<Issued>,
    pub(super) pages: Vec<IssuedForPage>,
    pub(super) account: Option<Named>,
    pub(super) captured: BTreeMap<String, String>,
    #[serde(serialize_with = "expose_some")]
    pub(super) id_token: Option<Secret>,
    /// The flaw for which it cannot be used.
    pub(super) flaw: Option<String>,
}

/// Tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Issued {
    #[serde(serialize_with = "expose")]
    access_token: Secret,
    #[serde(serialize_with = "expose_some")]
    refresh_token: Option<Secret>,
    issued_at: i64,
    expires_at: Option<i64>,
    refresh_expires_at: Option<i64>,
    scope: Option<Vec<String>>,
}

/// The tokens of a managed account.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IssuedForPage {
    pub(super) account: Option<Named>,
    pub(super) tokens: Issued,
}

/// An account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Named {
    pub(super) subject: String,
    pub(super) name: Option<String>,
}

impl Authorizing {
    /// One at a server without authorization: the user is back at once, with nothing.
    pub(crate) fn open(registration_id: &RegistrationId, server: &Url, fields: &FieldValues) -> Self {
        Self {
            registration_id: registration_id.clone(),
            issuer: None,
            names_issuer: false,
            authorization_endpoint: server.clone(),
            token_endpoint: Some(server.clone()),
            revocation_endpoint: None,
            introspection_endpoint: None,
            jwks_uri: None,
            resource: None,
            scopes: Vec::new(),
            with_offline: false,
            parameters: owned(fields),
            verifier: Secret::new(""),
            nonce: None,
            is_second: false,
        }
    }

    /// Whether it is at a server without authorization.
    pub(super) fn is_open(&self) -> bool {
        self.verifier.expose().is_empty()
    }

    /// The text that is encrypted.
    pub(crate) fn to_secret(&self) -> Result<Secret, Internal> {
        written(self)
    }

    /// Reads it.
    pub(super) fn read(text: &Secret) -> Result<Self, Internal> {
        read(text)
    }
}

impl Kept {
    /// The text that is encrypted.
    pub(super) fn to_redeemed(&self) -> Result<Redeemed, Internal> {
        written(self).map(Redeemed::Other)
    }

    /// Reads it.
    pub(super) fn read(redeemed: &Redeemed) -> Result<Self, Internal> {
        read(redeemed.other()?)
    }
}

impl Answer {
    /// The answer of a server without authorization, as of `now`: an access token that is empty, and is never sent.
    pub(super) fn open(now: Timestamp) -> Self {
        let user = Issued {
            access_token: Secret::new(""),
            refresh_token: None,
            issued_at: now.as_secs(),
            expires_at: None,
            refresh_expires_at: None,
            scope: None,
        };
        let (account, id_token, flaw) = (None, None, None);
        Self { user: Some(user), pages: Vec::new(), account, captured: BTreeMap::new(), id_token, flaw }
    }

    /// The tokens of the user, as the OAuth client has them.
    pub(super) fn tokens(&self) -> Option<Tokens> {
        self.user.as_ref().map(Issued::tokens)
    }

    /// The answer, as the OAuth client has it. Its flaws are judged already.
    pub(super) fn to_token_answer(&self) -> TokenAnswer {
        TokenAnswer {
            user: self.tokens(),
            pages: self.pages.iter().map(IssuedForPage::page).collect(),
            account: self.account.as_ref().map(Named::account),
            captured: self.captured.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            id_token: self.id_token.clone(),
            flaws: Vec::new(),
        }
    }
}

impl From<&TokenAnswer> for Answer {
    fn from(answer: &TokenAnswer) -> Self {
        let flaw = answer.flaws.iter().find(|flaw| flaw.ends_sign_in()).map(ToString::to_string);
        let page = |page: &PageTokens| IssuedForPage {
            account: page.account.as_ref().map(Named::from),
            tokens: Issued::from(&page.tokens),
        };
        Self {
            user: answer.user.as_ref().map(Issued::from),
            pages: answer.pages.iter().map(page).collect(),
            account: answer.account.as_ref().map(Named::from),
            captured: owned(&answer.captured),
            id_token: answer.id_token.clone(),
            flaw,
        }
    }
}

impl From<&Tokens> for Issued {
    fn from(tokens: &Tokens) -> Self {
        Self {
            access_token: tokens.access_token.clone(),
            refresh_token: tokens.refresh_token.clone(),
            issued_at: tokens.issued_at.as_secs(),
            expires_at: tokens.expires_at.map(Timestamp::as_secs),
            refresh_expires_at: tokens.refresh_expires_at.map(Timestamp::as_secs),
            scope: tokens.scope.clone(),
        }
    }
}

impl Issued {
    /// The tokens, as the OAuth client has them.
    pub(super) fn tokens(&self) -> Tokens {
        Tokens {
            access_token: self.access_token.clone(),
            refresh_token: self.refresh_token.clone(),
            issued_at: Timestamp(self.issued_at),
            expires_at: self.expires_at.map(Timestamp),
            refresh_expires_at: self.refresh_expires_at.map(Timestamp),
            scope: self.scope.clone(),
        }
    }
}

impl IssuedForPage {
    fn page(&self) -> PageTokens {
        PageTokens { account: self.account.as_ref().map(Named::account), tokens: self.tokens.tokens() }
    }
}

impl From<&Account> for Named {
    fn from(account: &Account) -> Self {
        Self { subject: account.subject.clone(), name: account.name.clone() }
    }
}

impl Named {
    /// The account, as the OAuth client has it.
    pub(super) fn account(&self) -> Account {
        Account { subject: self.subject.clone(), name: self.name.clone() }
    }
}

/// Values by name, to be stored.
pub(super) fn owned(fields: &FieldValues) -> BTreeMap<String, String> {
    fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn written(value: &impl Serialize) -> Result<Secret, Internal> {
    serde_json::to_string(value)
        .map(Secret::new)
        .map_err(|_| Internal::Inconsistent("an authorization cannot be written"))
}

fn read<T: DeserializeOwned>(text: &Secret) -> Result<T, Internal> {
    serde_json::from_str(text.expose())
        .map_err(|_| Internal::Inconsistent("a stored authorization cannot be read"))
}

/// Writes a secret into a text that is a secret itself.
fn expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn expose_some<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}
