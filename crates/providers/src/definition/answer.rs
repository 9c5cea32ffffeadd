//! Answers of the token endpoint.

use schemars::JsonSchema;
use serde::Deserialize;

use super::refresh::{RawTokenErrors, TokenErrors};
use super::rule::RawRule;
use crate::check::Check;
use crate::values::pointer::JsonPointer;

/// Rules for reading the answers of the token endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The encoding.
    pub format: AnswerFormat,
    /// The places in the answer to a code.
    pub code: AnswerFields,
    /// The places in the answer to a refresh.
    pub refresh: AnswerFields,
    /// Separator of the scopes in an answer.
    pub scope_separator: String,
    /// The place of the error code. An answer that has it is an error, whatever its status.
    pub error: JsonPointer,
    /// The place of the error's description.
    pub error_description: JsonPointer,
    /// Meanings of errors at every step, beside those of RFC 6749.
    pub errors: TokenErrors,
}

/// The encoding of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum AnswerFormat {
    /// JSON.
    #[default]
    Json,
    /// A form: read as an object of strings.
    Form,
}

/// Places of the tokens and their details in an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerFields {
    /// The access token.
    pub access_token: JsonPointer,
    /// The refresh token.
    pub refresh_token: JsonPointer,
    /// The granted scope.
    pub scope: JsonPointer,
    /// The end of the access token.
    pub expires: Expiry,
    /// The end of the refresh token.
    pub refresh_expires: Option<Expiry>,
}

/// Place of the end of a token in an answer, and its unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Expiry {
    /// The place.
    pub json: JsonPointer,
    /// Unit in which it is written.
    pub unit: ExpiryUnit,
}

/// Units and formats for the end of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ExpiryUnit {
    /// Seconds from now.
    #[default]
    Seconds,
    /// Milliseconds from now.
    Milliseconds,
    /// Seconds since 1970.
    Unix,
    /// Milliseconds since 1970.
    UnixMilliseconds,
    /// A date and time of ISO 8601.
    Iso8601,
    /// The place has a JWT, whose `exp` it is.
    Jwt,
}

/// A further credential in the answer to a code, such as that of a bot: it belongs to a managed account and lives by
/// itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// The place of the managed account's id.
    pub account: JsonPointer,
    /// The place of its name.
    pub name: Option<JsonPointer>,
    /// Places of the tokens in the answer.
    pub fields: AnswerFields,
}

/// `[answer]`: rules for reading the answers of the token endpoint.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Answer")]
pub(crate) struct RawAnswer {
    /// The encoding [default: json]
    format: Option<AnswerFormat>,
    /// The access token [default: /access_token]
    access_token: Option<JsonPointer>,
    /// The refresh token [default: /refresh_token]
    refresh_token: Option<JsonPointer>,
    /// The granted scope [default: /scope]
    scope: Option<JsonPointer>,
    /// Separator of scopes in answers [default: as in requests]
    scope_separator: Option<String>,
    /// The end of the access token [default: /expires_in in seconds]
    expires: Option<RawExpiry>,
    /// The end of the refresh token [default: unknown]
    refresh_expires: Option<RawExpiry>,
    /// The error code [default: /error]
    error: Option<JsonPointer>,
    /// The error's description [default: /error_description]
    error_description: Option<JsonPointer>,
    /// Places in the answer to a refresh that differ from those in the answer to a code
    refresh: Option<RawAnswerFields>,
    /// Errors at every step that mean that the user has to connect again, beside those of RFC 6749
    #[serde(default)]
    over: Vec<RawRule>,
    /// Errors at every step that mean that the user has to do something at the provider
    #[serde(default)]
    action_required: Vec<RawRule>,
    /// Errors at every step that mean that the registration is at fault
    #[serde(default)]
    misconfigured: Vec<RawRule>,
    /// Errors at every step that ask to wait
    #[serde(default)]
    wait: Vec<RawRule>,
}

/// Places in an answer.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AnswerFields")]
pub(crate) struct RawAnswerFields {
    /// The access token
    access_token: Option<JsonPointer>,
    /// The refresh token
    refresh_token: Option<JsonPointer>,
    /// The granted scope
    scope: Option<JsonPointer>,
    /// The end of the access token
    expires: Option<RawExpiry>,
    /// The end of the refresh token
    refresh_expires: Option<RawExpiry>,
}

/// The end of a token.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Expiry")]
pub(crate) struct RawExpiry {
    /// The place
    #[schemars(required)]
    json: Option<JsonPointer>,
    /// Unit in which it is written [default: seconds]
    unit: Option<ExpiryUnit>,
}

/// `[[credentials]]`: a further credential in the answer to a code, such as that of a bot.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Credential")]
pub(crate) struct RawCredential {
    /// The id of the managed account
    #[schemars(required)]
    account: Option<JsonPointer>,
    /// Its name
    name: Option<JsonPointer>,
    /// Its access token
    #[schemars(required)]
    access_token: Option<JsonPointer>,
    /// Its refresh token
    refresh_token: Option<JsonPointer>,
    /// Its granted scope
    scope: Option<JsonPointer>,
    /// The end of its access token
    expires: Option<RawExpiry>,
    /// The end of its refresh token
    refresh_expires: Option<RawExpiry>,
}

impl RawAnswer {
    pub(crate) fn check(self, request_separator: &str, check: &mut Check<'_, '_>) -> Option<Answer> {
        let standard = AnswerFields {
            access_token: JsonPointer::member("access_token"),
            refresh_token: JsonPointer::member("refresh_token"),
            scope: JsonPointer::member("scope"),
            expires: Expiry { json: JsonPointer::member("expires_in"), unit: ExpiryUnit::Seconds },
            refresh_expires: None,
        };
        let code = RawAnswerFields {
            access_token: self.access_token,
            refresh_token: self.refresh_token,
            scope: self.scope,
            expires: self.expires,
            refresh_expires: self.refresh_expires,
        };
        let code = code.check("answer", &standard, check);
        let refresh = match (self.refresh, &code) {
            (Some(raw), Some(code)) => raw.check("answer.refresh", code, check),
            (Some(raw), None) => raw.check("answer.refresh", &standard, check),
            (None, code) => code.clone(),
        };
        let errors = RawTokenErrors {
            over: self.over,
            action_required: self.action_required,
            misconfigured: self.misconfigured,
            wait: self.wait,
        };
        let errors = errors.check("answer", check);
        Some(Answer {
            format: self.format.unwrap_or_default(),
            code: code?,
            refresh: refresh?,
            scope_separator: self.scope_separator.unwrap_or_else(|| request_separator.to_owned()),
            error: self.error.unwrap_or_else(|| JsonPointer::member("error")),
            error_description: self
                .error_description
                .unwrap_or_else(|| JsonPointer::member("error_description")),
            errors: errors?,
        })
    }
}

impl RawAnswerFields {
    /// The places; those that are not named are as in `others`.
    fn check(self, key: &str, others: &AnswerFields, check: &mut Check<'_, '_>) -> Option<AnswerFields> {
        let expires = match self.expires {
            Some(raw) => raw.check(&format!("{key}.expires"), check),
            None => Some(others.expires.clone()),
        };
        let refresh_expires = match self.refresh_expires {
            Some(raw) => raw.check(&format!("{key}.refresh_expires"), check).map(Some),
            None => Some(others.refresh_expires.clone()),
        };
        Some(AnswerFields {
            access_token: self.access_token.unwrap_or_else(|| others.access_token.clone()),
            refresh_token: self.refresh_token.unwrap_or_else(|| others.refresh_token.clone()),
            scope: self.scope.unwrap_or_else(|| others.scope.clone()),
            expires: expires?,
            refresh_expires: refresh_expires?,
        })
    }
}

impl RawExpiry {
    fn check(self, key: &str, check: &mut Check<'_, '_>) -> Option<Expiry> {
        let fix = "name the place, such as json = \"/expires_at\"";
        let json = check.required(&format!("{key}.json"), self.json, fix)?;
        Some(Expiry { json, unit: self.unit.unwrap_or_default() })
    }
}

/// Checks `[[credentials]]`. Their places that are not named are those of the user's credential, except for its tokens.
pub(crate) fn credentials(
    raw: Vec<RawCredential>,
    user: &AnswerFields,
    check: &mut Check<'_, '_>,
) -> Option<Vec<Credential>> {
    let checked: Vec<_> = raw
        .into_iter()
        .enumerate()
        .map(|(index, raw)| raw.check(&format!("credentials[{index}]"), user, check))
        .collect();
    checked.into_iter().collect()
}

impl RawCredential {
    fn check(self, key: &str, user: &AnswerFields, check: &mut Check<'_, '_>) -> Option<Credential> {
        let account = check.required(
            &format!("{key}.account"),
            self.account,
            "name the place of the managed account's id, such as account = \"/bot_user_id\"",
        );
        let fix = "name the place of its token, such as access_token = \"/access_token\"";
        if check.required(&format!("{key}.access_token"), self.access_token.as_ref(), fix)
            == Some(&user.access_token)
        {
            let problem = "is the same place as the user's access token";
            check.report(
                &format!("{key}.access_token"),
                problem,
                "name another place, or set answer.access_token",
            );
        }
        let fields = RawAnswerFields {
            access_token: self.access_token,
            refresh_token: self.refresh_token,
            scope: self.scope,
            expires: self.expires,
            refresh_expires: self.refresh_expires,
        };
        Some(Credential { fields: fields.check(key, user, check)?, account: account?, name: self.name })
    }
}
