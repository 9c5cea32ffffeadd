//! Answers of token endpoints (RFC 6749 section 5.1). What was issued is read first, whatever else is wrong with the
//! answer, because a credential was spent for it. Flaws are reported beside it.

use causeway_domain::session::{Credentials, UpstreamAccess};
use causeway_types::{Secret, Timestamp};
use serde_json::Value;
use thiserror::Error;

use super::account::Account;
use super::capture::{CaptureError, capture_token};
use super::expiry::{End, end};
use super::refusal::{Judged, Refusal, for_log};
use super::scope::granted;
use crate::definition::account::Identity;
use crate::definition::answer::{AnswerFields, Credential};
use crate::definition::oauth::OauthClient;
use crate::fields::FieldValues;
use crate::json::{Document, text_of};
use crate::values::seconds::Seconds;

/// The credentials that a token endpoint issued.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenAnswer {
    /// The user's tokens; `None`: only those of pages came.
    pub user: Option<Tokens>,
    /// The tokens of managed accounts.
    pub pages: Vec<PageTokens>,
    /// The account of the user, where this answer names it.
    pub account: Option<Account>,
    /// The values that later addresses contain.
    pub captured: FieldValues,
    /// The ID token (OpenID Connect Core section 3.1.3.3). It is not verified yet.
    pub id_token: Option<Secret>,
    /// Faults of the answer.
    pub flaws: Vec<Flaw>,
}

/// An access token and what came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access_token: Secret,
    /// The refresh token; `None`: none came, and an old one goes on.
    pub refresh_token: Option<Secret>,
    /// When they were issued.
    pub issued_at: Timestamp,
    /// When the access token ends; `None`: it has no known end.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends, where the answer says it.
    pub refresh_expires_at: Option<Timestamp>,
    /// The granted scopes; `None`: the answer does not say, and the old ones go on.
    pub scope: Option<Vec<String>>,
}

/// The tokens of a managed account, such as a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageTokens {
    /// The account; `None`: the answer does not name it.
    pub account: Option<Account>,
    /// Its tokens.
    pub tokens: Tokens,
}

/// A fault of an answer that brought tokens. No value is in the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Flaw {
    /// There is no access token of the user.
    #[error("there is no access token of the user")]
    NoUserToken,
    /// The account of the user is not named, although the definition says where.
    #[error("the account is not named")]
    NoAccount,
    /// The account of a page is not named.
    #[error("a managed account is not named")]
    NoPageAccount,
    /// The tokens are bound to a key, which we do not have.
    #[error("token_type is DPoP")]
    Bound,
    /// A captured value.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The end of a token cannot be believed, and the definition's default counts.
    #[error("the end of the {0} cannot be read")]
    Expiry(&'static str),
    /// The answer ended early: a refresh token may have been in the rest, and the old one spent for it.
    #[error("the answer ends early")]
    Truncated,
    /// The answer has an error besides: at most 64 characters, without the secrets that were sent.
    #[error("there is an error besides: {0}")]
    Error(String),
}

impl Flaw {
    /// Whether a sign-in with this flaw fails, and its tokens are given back. A renewal goes on.
    pub fn ends_sign_in(&self) -> bool {
        match self {
            Self::NoUserToken | Self::NoAccount | Self::Bound | Self::Truncated | Self::Capture(_) => true,
            Self::NoPageAccount | Self::Expiry(_) | Self::Error(_) => false,
        }
    }
}

/// The request that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenStep {
    /// The redemption of a code.
    Code,
    /// The exchange of a short-lived token.
    Exchange,
    /// A renewal.
    Refresh,
}

/// An answer of a token endpoint as it came.
#[derive(Clone, Copy)]
pub(crate) struct Received<'a> {
    /// The status.
    pub(crate) status: u16,
    /// Seconds to wait, by its headers.
    pub(crate) retry_after: Option<u64>,
    /// The body.
    pub(crate) body: &'a [u8],
    /// When it came.
    pub(crate) at: Timestamp,
}

/// Reads an answer of a token endpoint. `secrets` are those of the request.
///
/// # Errors
/// The [`Refusal`], if there is no token in it.
pub(crate) fn read_token_answer(
    client: &OauthClient,
    step: TokenStep,
    received: Received<'_>,
    secrets: &[&Secret],
) -> Result<TokenAnswer, Refusal> {
    let document = Document::read(client.answer.format, received.body);
    let is_success = (200..300).contains(&received.status);
    if let Some(document) = document.as_ref().filter(|_| is_success) {
        let mut reader = Reader { client, document, secrets, now: received.at, flaws: Vec::new() };
        if let Some(answer) = reader.answer(step) {
            return Ok(answer);
        }
    }
    let judged = Judged {
        answer: &client.answer,
        errors: [Some(&client.answer.errors), client.refresh.as_ref().map(|refresh| &refresh.errors)],
        status: received.status,
        retry_after: received.retry_after,
        document: document.as_ref(),
        secrets,
    };
    Err(judged.refusal())
}

struct Reader<'a> {
    client: &'a OauthClient,
    document: &'a Document,
    secrets: &'a [&'a Secret],
    now: Timestamp,
    flaws: Vec<Flaw>,
}

impl Reader<'_> {
    fn answer(&mut self, step: TokenStep) -> Option<TokenAnswer> {
        let is_code = step == TokenStep::Code;
        let fields = match step {
            TokenStep::Code | TokenStep::Exchange => &self.client.answer.code,
            TokenStep::Refresh => &self.client.answer.refresh,
        };
        let user = self.tokens(fields);
        let credentials: &[Credential] = if is_code { &self.client.credentials } else { &[] };
        let pages: Vec<_> = credentials.iter().filter_map(|credential| self.page(credential)).collect();
        if user.is_none() && pages.is_empty() {
            return None;
        }
        let account = match &self.client.identity {
            Identity::TokenAnswer { subject, name } => Account::read(self.document, subject, name.as_ref()),
            Identity::Url { .. } | Identity::IdToken { .. } | Identity::None => None,
        };
        let is_named = account.is_some() || !matches!(self.client.identity, Identity::TokenAnswer { .. });
        let (captured, errors) = capture_token(&self.client.captures, self.document);
        // Only the answer to a code has to have everything: what is missing later goes on as it was.
        let errors = errors.into_iter().filter(|error| is_code || !matches!(error, CaptureError::Missing(_)));
        self.flaws.extend(errors.map(Flaw::from));
        let type_of = |name: &str| self.document.root().get(name).and_then(Value::as_str);
        let flaws = [
            (user.is_none(), Flaw::NoUserToken),
            (is_code && !is_named, Flaw::NoAccount),
            (pages.iter().any(|page| page.account.is_none()), Flaw::NoPageAccount),
            (self.document.is_truncated(), Flaw::Truncated),
            (type_of("token_type").is_some_and(|name| name.eq_ignore_ascii_case("dpop")), Flaw::Bound),
        ];
        self.flaws.extend(flaws.into_iter().filter(|(is_there, _)| *is_there).map(|(_, flaw)| flaw));
        if let Some(error) = self.document.text(&self.client.answer.error) {
            self.flaws.push(Flaw::Error(for_log(&error, 64, self.secrets)));
        }
        let id_token = type_of("id_token").filter(|token| !token.is_empty()).map(Secret::new);
        Some(TokenAnswer { user, pages, account, captured, id_token, flaws: std::mem::take(&mut self.flaws) })
    }

    fn page(&mut self, credential: &Credential) -> Option<PageTokens> {
        let mut tokens = self.tokens(&credential.fields)?;
        // Where the definition names no place for the account's, the place is that of the user's.
        if credential.fields.refresh_token == self.client.answer.code.refresh_token {
            tokens.refresh_token = None;
        }
        let account = Account::read(self.document, &credential.account, credential.name.as_ref());
        Some(PageTokens { account, tokens })
    }

    /// The tokens at these places; `None` if there is no access token.
    fn tokens(&mut self, fields: &AnswerFields) -> Option<Tokens> {
        let token = |pointer| match self.document.get(pointer) {
            Some(Value::String(token)) if !token.is_empty() => Some(Secret::new(token.as_str())),
            _ => None,
        };
        let access_token = token(&fields.access_token)?;
        let refresh_token = token(&fields.refresh_token);
        let value = self.document.get(&fields.expires.json);
        let default = self.client.lifetime.access_token;
        let expires_at = self.end(end(value, fields.expires.unit, self.now), default, "access token");
        let refresh_expires_at = fields.refresh_expires.as_ref().and_then(|expiry| {
            let found = end(self.document.get(&expiry.json), expiry.unit, self.now);
            self.end(found, None, "refresh token")
        });
        let scope = self.document.get(&fields.scope).map(|scope| self.scope(scope)).unwrap_or_default();
        Some(Tokens {
            access_token,
            refresh_token,
            issued_at: self.now,
            expires_at,
            refresh_expires_at,
            scope: (!scope.is_empty()).then_some(scope),
        })
    }

    fn end(&mut self, found: End, default: Option<Seconds>, token: &'static str) -> Option<Timestamp> {
        if found == End::Malformed {
            self.flaws.push(Flaw::Expiry(token));
        }
        match found {
            End::At(at) => Some(at),
            End::Unsaid | End::Malformed => default.map(|life| self.now.plus(life.as_i64())),
        }
    }

    /// Scopes in a string or a list.
    fn scope(&self, value: &Value) -> Vec<String> {
        let split = |text: String| granted(&text, &self.client.answer.scope_separator);
        match value {
            Value::Array(items) => items.iter().filter_map(text_of).flat_map(split).collect(),
            other => text_of(other).map(split).unwrap_or_default(),
        }
    }
}

impl TokenAnswer {
    /// Whether the refresh token of the request may be spent although no other was received: the provider may have issued
    /// one in the part of the answer that is missing. A later refusal of the old one says nothing about the grant then.
    pub fn old_refresh_token_may_be_spent(&self) -> bool {
        let came = self.user.as_ref().is_some_and(|tokens| tokens.refresh_token.is_some());
        !came && self.flaws.contains(&Flaw::Truncated)
    }

    /// The answer with that to the exchange of its short-lived token. What the second one lacks goes on.
    #[must_use]
    pub fn exchanged(mut self, second: Self) -> Self {
        if let Some(mut tokens) = second.user {
            if let Some(first) = self.user {
                tokens.refresh_token = tokens.refresh_token.or(first.refresh_token);
                tokens.refresh_expires_at = tokens.refresh_expires_at.or(first.refresh_expires_at);
                tokens.scope = tokens.scope.or(first.scope);
            }
            self.user = Some(tokens);
            self.flaws.retain(|flaw| *flaw != Flaw::NoUserToken);
        }
        self.account = second.account.or(self.account);
        self.id_token = second.id_token.or(self.id_token);
        self.captured.extend(second.captured);
        self.pages.extend(second.pages);
        self.flaws.extend(second.flaws);
        self
    }
}

impl Tokens {
    /// The credentials of a session. A refresh token and a scope that did not come go on (RFC 6749 sections 5.1 and 6).
    pub fn credentials(self, old_refresh_token: Option<&Secret>, old_scope: &str) -> Credentials {
        Credentials {
            access: UpstreamAccess::Bearer(self.access_token),
            refresh_token: self.refresh_token.or_else(|| old_refresh_token.cloned()),
            created_at: self.issued_at,
            expires_at: self.expires_at,
            scope: self.scope.map_or_else(|| old_scope.to_owned(), |scope| scope.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests;
