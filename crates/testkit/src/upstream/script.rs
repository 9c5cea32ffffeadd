//! Scripts: how a scripted upstream behaves, and which of its endpoints fail.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::xrpc::{Nonces, XrpcReply};

/// Fault of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    #[default]
    None,
    /// Responds with this status and `Retry-After: 7`.
    Status(u16),
    /// Responds with this OAuth error.
    OAuth(&'static str),
    /// Responds with this status and this text in `error`, which need not be a known code.
    Error(u16, &'static str),
    /// Responds with 200 and a web page.
    Html,
    /// Responds with this status and a web page.
    Page(u16),
    /// Never responds.
    Silence,
    /// Responds correctly after this delay.
    Late(Duration),
    /// Responds with this many bytes of JSON.
    Huge(usize),
    /// Redirects to this URL.
    Redirect(&'static str),
    /// Does what it was asked, and closes the connection instead of responding.
    HangUp,
}

/// As it is written by hand: `none`, a status, a code of OAuth, `STATUS:ERROR`, `html`, `html:STATUS`, `silence`, `late:MS`,
/// `huge:BYTES`, `redirect:URL` or `hang-up`.
impl FromStr for Fault {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, anyhow::Error> {
        let status = |text: &str| {
            text.parse().ok().filter(|status| (200..1000).contains(status)).context("expected a status")
        };
        // The scripts of tests hold `'static` texts; the few that are typed by hand are leaked.
        let leaked = |text: &str| -> &'static str { text.to_owned().leak() };
        let (kind, value) = text.split_once(':').unwrap_or((text, ""));
        Ok(match kind {
            "none" => Self::None,
            "html" if value.is_empty() => Self::Html,
            "html" => Self::Page(status(value)?),
            "silence" => Self::Silence,
            "hang-up" => Self::HangUp,
            "late" => Self::Late(Duration::from_millis(value.parse().context("expected late:MS")?)),
            "huge" => Self::Huge(value.parse().context("expected huge:BYTES")?),
            "redirect" => Self::Redirect(leaked(value)),
            digits if digits.starts_with(|c: char| c.is_ascii_digit()) => match value {
                "" => Self::Status(status(digits)?),
                error => Self::Error(status(digits)?, leaked(error)),
            },
            code if !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') => {
                Self::OAuth(leaked(code))
            }
            _ => bail!("unknown fault"),
        })
    }
}

/// Behavior of the upstream; without faults by default.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own that a test turns on")]
pub struct Script {
    /// Fault of the directory of DID documents.
    pub directory: Fault,
    /// Fault of the metadata.
    pub metadata: Fault,
    /// Fault of the PAR endpoint.
    pub par: Fault,
    /// Fault of the token endpoint.
    pub token: Fault,
    /// Fault of the revocation endpoint.
    pub revoke: Fault,
    /// Fault of handle resolution.
    pub handles: Fault,
    /// Status and JSON body with which the token endpoint refuses every request.
    pub refuses: Option<(u16, Value)>,
    /// The same for the next request only.
    pub refuses_once: Option<(u16, Value)>,
    /// Edits token responses after the tokens were issued.
    pub edits_tokens: Option<fn(&mut Value)>,
    /// The `sub` of token responses, instead of the requested account.
    pub sub: Option<String>,
    /// The `iss` of callbacks, instead of its own.
    pub iss: Option<String>,
    /// Parameters added to callbacks, or replacing theirs. With an `error` there is no `code`.
    pub callback: Vec<(&'static str, String)>,
    /// Errors with which callbacks answer a `prompt`, by its value; the empty value is for requests without
    /// one.
    pub prompts: Vec<(&'static str, &'static str)>,
    /// Whether these errors answer the pushed request instead of the callback.
    pub prompts_at_par: bool,
    /// The PDS that DID documents name, instead of itself.
    pub pds: Option<String>,
    /// The authorization servers that its protected resource metadata names, instead of itself.
    pub authorization_servers: Option<Vec<String>>,
    /// The handle that DID documents show, instead of the account's.
    pub also_known_as: Option<String>,
    /// The scope of token responses, instead of the requested one.
    pub scope: Option<String>,
    /// The only scopes that it supports, like a server that predates the permission grammar: it refuses
    /// requests and client documents with others. `None`: it accepts all.
    pub knows: Option<Vec<&'static str>>,
    /// Error and description for unsupported scopes, instead of those of the reference implementation.
    pub unknown_scope: Option<(&'static str, &'static str)>,
    /// Status and `error` with which it refuses a code or refresh token that is not valid, instead of 400
    /// `invalid_grant`.
    pub dead_grant: Option<(u16, &'static str)>,
    /// Members that responses to a refresh omit.
    pub refresh_omits: Vec<&'static str>,
    /// Lifetime of access tokens in seconds, instead of an hour.
    pub expires_in: Option<i64>,
    /// Whether users deny from now on.
    pub deny: bool,
    /// Fault of the XRPC methods.
    pub xrpc: Fault,
    /// Their response, instead of `{"ok":true}`.
    pub answer: Option<XrpcReply>,
    /// DPoP nonces that they accept.
    pub nonces: Nonces,
    /// Whether they refuse every token.
    pub refuses_tokens: bool,
    /// How they refuse a token.
    pub token_refusal: TokenRefusal,
    /// Whether they accept tokens of other servers, as a PDS behind a separate authorization server does.
    pub takes_foreign_tokens: bool,
    /// How long the token endpoint delays a response after it has issued the tokens.
    pub holds_answer: Option<Duration>,
    /// How far its clock is ahead of ours, in seconds. `None`: it does not check the time of proofs.
    pub clock_offset: Option<i64>,
    /// Whether all accounts are taken down: their sessions are deleted, and nobody can sign in.
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
