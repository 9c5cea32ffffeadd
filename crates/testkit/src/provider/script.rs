//! Scripts: which habits a scripted provider has, and which of its endpoints fail.

use std::time::Duration;

use serde_json::{Value, json};

use crate::upstream::{Fault, XrpcReply};

/// Habits and faults of a provider; by default it is a plain one.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own that a test turns on")]
pub struct ProviderScript {
    /// Fault of the token endpoint.
    pub token: Fault,
    /// Fault of the API.
    pub api: Fault,
    /// Fault of a page of the list of accounts, by its number from 1 on.
    pub page: Option<(usize, Fault)>,
    /// Fault of the metadata.
    pub metadata: Fault,
    /// Fault of the revocation endpoint.
    pub revoke: Fault,
    /// Fault of the registration of apps.
    pub register: Fault,
    /// Encoding of token responses.
    pub shape: TokenShape,
    /// Whether errors come with status 200.
    pub errors_at_200: bool,
    /// Status and JSON body with which the token endpoint refuses every request.
    pub refuses: Option<(u16, Value)>,
    /// Status and error for a code or a token that is not valid.
    pub dead_grant: (u16, &'static str),
    /// Whether token requests have to be JSON.
    pub wants_json: bool,
    /// Whether the client authenticates in the header, in parameters, or either.
    pub authentication: Authentication,
    /// How the end of an access token is written.
    pub expiry: ExpiryShape,
    /// Lifetime of access tokens in seconds.
    pub expires_in: i64,
    /// How often a refresh token works.
    pub rotation: Rotation,
    /// Whether the access token itself is renewed, and no refresh token is issued.
    pub refreshes_access_token: bool,
    /// Whether a code brings a token that lives for an hour, to be exchanged for one that lives long.
    pub short_lived: bool,
    /// Members that token responses to a refresh omit.
    pub refresh_omits: Vec<&'static str>,
    /// Edits token responses after the tokens were issued.
    pub edits_tokens: Option<fn(&mut Value)>,
    /// The bot whose tokens come with those of the user.
    pub bot: Option<Bot>,
    /// How long the token endpoint holds a response after it has issued the tokens.
    pub holds_answer: Option<Duration>,
    /// Whether a revocation ends everything that the user granted, and not that token alone.
    pub revokes_grant: bool,
    /// Whether users deny.
    pub deny: bool,
    /// The user who approves.
    pub user: String,
    /// Further parameters of callbacks.
    pub callback: Vec<(&'static str, String)>,
    /// The parameter of callbacks with the code.
    pub code_parameter: &'static str,
    /// The accounts that the user manages.
    pub pages: Vec<ManagedPage>,
    /// Number of accounts on a page of the list.
    pub page_size: usize,
    /// Whether calls need `appsecret_proof`.
    pub wants_proof: bool,
    /// Status, code and subcode of the Graph API's error for every call.
    pub graph_error: Option<(u16, i64, Option<i64>)>,
    /// The answer to ordinary calls that were accepted; `{origin}` in headers is the provider's.
    pub answer: Option<XrpcReply>,
    /// The issuer in metadata and ID tokens, instead of its own.
    pub issuer: Option<String>,
}

/// Encoding of token responses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenShape {
    /// JSON, with the tokens at its root.
    #[default]
    Json,
    /// A form.
    Form,
    /// JSON in which the response to a code has the user's tokens in `authed_user`.
    Nested,
}

/// Where the client authenticates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Authentication {
    /// In the header or in parameters.
    #[default]
    Either,
    /// In the header.
    Basic,
    /// In parameters.
    Post,
}

/// How the end of an access token is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum ExpiryShape {
    /// `expires_in`, in seconds.
    #[default]
    Seconds,
    /// `expires_in`, in seconds, as a string.
    Text,
    /// `expires_in`, in milliseconds.
    Milliseconds,
    /// `expires_at`, in seconds since 1970.
    Unix,
    /// Nothing.
    Missing,
    /// `expires_in` with this value.
    Value(Value),
}

/// How often a refresh token works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rotation {
    /// Once. Reuse ends everything that came from it.
    #[default]
    SingleUse,
    /// Again and again; responses have no other one.
    Reusable,
}

/// A bot whose tokens come with those of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bot {
    /// Its id.
    pub id: &'static str,
}

/// An account that the user manages.
#[derive(Debug, Clone, PartialEq)]
pub struct ManagedPage {
    /// Its id.
    pub id: String,
    /// The member `tasks`; `None`: there is none.
    pub tasks: Option<Value>,
}

impl ManagedPage {
    /// Five pages, whose tasks are a list, the same as a string, garbage, missing, and null.
    pub fn in_four_shapes() -> Vec<Self> {
        let tasks = [
            Some(json!(["MANAGE", "CREATE_CONTENT"])),
            Some(json!("[\"MANAGE\"]")),
            Some(json!("MANAGE;CREATE")),
            None,
            Some(Value::Null),
        ];
        let with_id = |(index, tasks)| Self { id: format!("page-{}", index + 1), tasks };
        tasks.into_iter().enumerate().map(with_id).collect()
    }
}

impl Default for ProviderScript {
    fn default() -> Self {
        Self {
            token: Fault::None,
            api: Fault::None,
            page: None,
            metadata: Fault::None,
            revoke: Fault::None,
            register: Fault::None,
            shape: TokenShape::default(),
            errors_at_200: false,
            refuses: None,
            dead_grant: (400, "invalid_grant"),
            wants_json: false,
            authentication: Authentication::default(),
            expiry: ExpiryShape::default(),
            expires_in: 3600,
            rotation: Rotation::default(),
            refreshes_access_token: false,
            short_lived: false,
            refresh_omits: Vec::new(),
            edits_tokens: None,
            bot: None,
            holds_answer: None,
            revokes_grant: false,
            deny: false,
            user: "scripted-user".to_owned(),
            callback: Vec::new(),
            code_parameter: "code",
            pages: ManagedPage::in_four_shapes(),
            page_size: 2,
            wants_proof: false,
            graph_error: None,
            answer: None,
            issuer: None,
        }
    }
}
