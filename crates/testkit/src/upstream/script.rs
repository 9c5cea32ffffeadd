//! Scripts: what a scripted upstream does, and what is wrong with it.

use std::time::Duration;

use serde_json::Value;

use super::xrpc::{Nonces, XrpcReply};

/// What is wrong with an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It answers with this status, and `Retry-After: 7`.
    Status(u16),
    /// It answers with this OAuth error.
    OAuth(&'static str),
    /// It answers with this status and this text in `error`, whatever that is.
    Error(u16, &'static str),
    /// It answers 200 with a web page.
    Html,
    /// It answers with this status and a web page.
    Page(u16),
    /// It does not answer.
    Silence,
    /// All is well, but it takes this long.
    Late(Duration),
    /// It answers with this many bytes of JSON.
    Huge(usize),
    /// It redirects.
    Redirect(&'static str),
    /// It does what it was asked and hangs up instead of answering.
    HangUp,
}

/// What the upstream does. Everything is well by default.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own that a test turns on")]
pub struct Script {
    /// What is wrong with the directory of DID documents.
    pub directory: Fault,
    /// What is wrong with the metadata.
    pub metadata: Fault,
    /// What is wrong with the PAR endpoint.
    pub par: Fault,
    /// What is wrong with the token endpoint.
    pub token: Fault,
    /// What is wrong with the revocation endpoint.
    pub revoke: Fault,
    /// What is wrong with the resolution of handles.
    pub handles: Fault,
    /// With what the token endpoint refuses every request, in words of its own: a status and a JSON body.
    pub refuses: Option<(u16, Value)>,
    /// The same for the next request alone.
    pub refuses_once: Option<(u16, Value)>,
    /// What becomes of token answers when the server has done what it was asked.
    pub edits_tokens: Option<fn(&mut Value)>,
    /// The `sub` of token answers, instead of the account that was asked for.
    pub sub: Option<String>,
    /// The `iss` of callbacks, instead of its own.
    pub iss: Option<String>,
    /// Parameters of callbacks, beside its own or instead of them. With an `error` there is no `code`.
    pub callback: Vec<(&'static str, String)>,
    /// The errors with which callbacks answer a `prompt`, by its value, empty where there is none.
    pub prompts: Vec<(&'static str, &'static str)>,
    /// They come when the request is pushed, and not in the callback.
    pub prompts_at_par: bool,
    /// The PDS that DID documents name, instead of itself.
    pub pds: Option<String>,
    /// The authorization servers that its PDS names, instead of itself.
    pub authorization_servers: Option<Vec<String>>,
    /// The handle that DID documents show, instead of the account's.
    pub also_known_as: Option<String>,
    /// The scope of token answers, instead of what was asked for.
    pub scope: Option<String>,
    /// The only scopes that it knows, as a server from before the permission grammar: it refuses requests
    /// and client documents with others. `None`: it takes all.
    pub knows: Option<Vec<&'static str>>,
    /// The error and its explanation for the others, instead of the ones of the reference implementation.
    pub unknown_scope: Option<(&'static str, &'static str)>,
    /// Status and `error` with which it refuses a code or refresh token that is not live, instead of 400
    /// `invalid_grant`.
    pub dead_grant: Option<(u16, &'static str)>,
    /// Members that answers to a refresh lack.
    pub refresh_omits: Vec<&'static str>,
    /// Seconds that access tokens live, instead of an hour.
    pub expires_in: Option<i64>,
    /// How often the person clicks "deny" from now on.
    pub deny: bool,
    /// What is wrong with the methods.
    pub xrpc: Fault,
    /// What they answer, instead of `{"ok":true}`.
    pub answer: Option<XrpcReply>,
    /// Which DPoP nonces they take.
    pub nonces: Nonces,
    /// Its methods take no token, new or old.
    pub refuses_tokens: bool,
    /// How they refuse a token.
    pub token_refusal: TokenRefusal,
    /// Its methods take tokens of other servers: it is a PDS behind one of those.
    pub takes_foreign_tokens: bool,
    /// How long the token endpoint keeps an answer back when it has done what it was asked.
    pub holds_answer: Option<Duration>,
    /// How far its clock is ahead of ours, in seconds. Without one it does not look at the time of proofs.
    pub clock_offset: Option<i64>,
    /// All accounts were taken down: their sessions are deleted, and nobody signs in.
    pub takedown: bool,
}

/// The form in which methods refuse an access token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenRefusal {
    /// 401 with the challenge of RFC 9449 section 7.1.
    #[default]
    Challenge,
    /// 401 with a challenge whose parameter is a bare token: `DPoP error=invalid_token` (RFC 9110 section 11.2 allows both).
    Unquoted,
    /// 400 without a challenge, and this XRPC error: `ExpiredToken`, `InvalidToken`.
    Xrpc(&'static str),
}
