//! Answers of token endpoints that bring no token.

use causeway_types::Secret;

use crate::definition::answer::Answer;
use crate::definition::refresh::TokenErrors;
use crate::definition::rule::{CredentialKind, Rule, WaitScope};
use crate::json::Document;
use crate::rules::Described;

/// An answer that brings no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The consequence.
    pub meaning: RefusalMeaning,
    /// The status.
    pub status: u16,
    /// The provider's error code: at most 64 characters.
    pub code: Option<String>,
    /// The provider's description: at most 200 characters, without control characters and without the secrets that were
    /// sent.
    pub description: Option<String>,
    /// Seconds to wait before another try, when the provider said so.
    pub retry_after: Option<u64>,
}

/// The consequence of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalMeaning {
    /// The grant has ended: the user has to connect again.
    Over,
    /// The user has to do something at the provider; the credentials stay.
    ActionRequired,
    /// The registration or the definition is at fault; connections stay, and no user is asked.
    Misconfigured,
    /// The request is not accepted. A definition at fault makes such requests, and so does a code that somebody made up:
    /// connections stay, and no user is asked.
    Request,
    /// There is nothing to renew with. Nothing was sent, and the credentials live until they end.
    NotRenewable,
    /// Calls have to wait; everything stays.
    Wait(WaitScope),
    /// Nothing is known: everything stays, and a later try may succeed.
    Passing,
}

/// The codes by which a grant has ended (RFC 6749 section 5.2, OpenID Connect Core section 3.1.2.6).
const OVER: [&str; 4] = ["invalid_grant", "interaction_required", "consent_required", "login_required"];
/// The codes of RFC 6749 section 5.2 by which the registration is at fault.
const MISCONFIGURED: [&str; 2] = ["invalid_client", "unauthorized_client"];
/// Those by which the request is not accepted.
const REQUEST: [&str; 3] = ["invalid_scope", "unsupported_grant_type", "invalid_request"];

/// An answer without a token, and what is needed to judge it.
pub(super) struct Judged<'a> {
    /// How answers are read.
    pub(super) answer: &'a Answer,
    /// What errors mean beside those of RFC 6749: at every step, and where credentials are renewed.
    pub(super) errors: [Option<&'a TokenErrors>; 2],
    /// The status.
    pub(super) status: u16,
    /// Seconds to wait, by the answer's headers.
    pub(super) retry_after: Option<u64>,
    /// The content, if it can be read.
    pub(super) document: Option<&'a Document>,
    /// The secrets of the request, which the description may repeat.
    pub(super) secrets: &'a [&'a Secret],
}

impl Judged<'_> {
    /// Judges the answer: by its code, the definition's rules first. With a status that may pass, only a rule that names
    /// the status and a place in the answer counts, or one that asks to wait.
    pub(super) fn refusal(&self) -> Refusal {
        let text = |place, most| {
            self.document.and_then(|it| it.text(place)).map(|text| for_log(&text, most, self.secrets))
        };
        Refusal {
            meaning: self.by_rules().or_else(|| self.by_code()).unwrap_or(RefusalMeaning::Passing),
            status: self.status,
            code: text(&self.answer.error, 64),
            description: text(&self.answer.error_description, 200),
            retry_after: self.retry_after,
        }
    }

    fn by_rules(&self) -> Option<RefusalMeaning> {
        let credential = CredentialKind::User;
        let described = Described { status: self.status, document: self.document, credential };
        // An action that is required is a special case of what would otherwise be over.
        let is_one_of = |rules: fn(&TokenErrors) -> &Vec<Rule>| {
            let mut rules = self.errors.iter().flatten().flat_map(|errors| rules(errors));
            rules.any(|rule| described.is(rule) && (!self.may_pass() || is_exact(rule)))
        };
        if is_one_of(|errors| &errors.action_required) {
            return Some(RefusalMeaning::ActionRequired);
        }
        if is_one_of(|errors| &errors.over) {
            return Some(RefusalMeaning::Over);
        }
        if is_one_of(|errors| &errors.misconfigured) {
            return Some(RefusalMeaning::Misconfigured);
        }
        let mut waits = self.errors.iter().flatten().flat_map(|errors| &errors.wait);
        let wait = waits.find(|wait| described.is(&wait.rule))?;
        Some(RefusalMeaning::Wait(wait.scope))
    }

    /// Whether the status says that the server, or something before it, is at fault for the moment: then its words are
    /// not relied on.
    fn may_pass(&self) -> bool {
        matches!(self.status, 429 | 500..)
    }

    /// By the codes of RFC 6749, which a provider may have besides its own.
    fn by_code(&self) -> Option<RefusalMeaning> {
        let document = self.document.filter(|_| !self.may_pass())?;
        let own = document.text(&self.answer.error);
        let standard = document.root().get("error").and_then(|error| error.as_str());
        own.as_deref().into_iter().chain(standard).find_map(|code| {
            let is_one_of = |codes: &[&str]| codes.contains(&code);
            if is_one_of(&OVER) {
                Some(RefusalMeaning::Over)
            } else if is_one_of(&MISCONFIGURED) {
                Some(RefusalMeaning::Misconfigured)
            } else if is_one_of(&REQUEST) {
                Some(RefusalMeaning::Request)
            } else {
                None
            }
        })
    }
}

/// Whether a rule names both a status and a place in the answer.
fn is_exact(rule: &Rule) -> bool {
    !rule.status.is_empty() && !rule.tests.is_empty()
}

/// A text of the provider for the log: at most so many characters, without control characters and the secrets that were
/// sent.
pub(super) fn for_log(text: &str, most: usize, secrets: &[&Secret]) -> String {
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
        text = text.replace(secret.expose(), "[redacted]");
    }
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::oauth::OauthClient;
    use crate::testing::{built_in, plain_client};

    fn refusal(client: &OauthClient, status: u16, body: &str) -> Refusal {
        let document = Document::json(body.as_bytes());
        let secret = Secret::new("1//refresh");
        let judged = Judged {
            answer: &client.answer,
            errors: [Some(&client.answer.errors), client.refresh.as_ref().map(|refresh| &refresh.errors)],
            status,
            retry_after: None,
            document: document.as_ref(),
            secrets: &[&secret],
        };
        judged.refusal()
    }

    #[test]
    fn codes_of_the_rfc_count_unless_the_status_may_pass() {
        use RefusalMeaning::{Misconfigured, Over, Passing, Request};
        let client = plain_client("");
        for (code, meaning) in [
            ("invalid_grant", Over),
            ("interaction_required", Over),
            ("consent_required", Over),
            ("login_required", Over),
            ("invalid_client", Misconfigured),
            ("unauthorized_client", Misconfigured),
            ("invalid_scope", Request),
            ("unsupported_grant_type", Request),
            ("invalid_request", Request),
            ("server_error", Passing),
            ("temporarily_unavailable", Passing),
            ("slow_down", Passing),
            ("anything_else", Passing),
        ] {
            for status in [200, 400, 401, 403] {
                let found = refusal(&client, status, &format!("{{\"error\":\"{code}\"}}"));
                assert_eq!((found.meaning, found.code.as_deref()), (meaning, Some(code)), "{status} {code}");
            }
            for status in [429, 500, 503] {
                let found = refusal(&client, status, &format!("{{\"error\":\"{code}\"}}"));
                assert_eq!((found.meaning, found.code.as_deref()), (Passing, Some(code)), "{status} {code}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_keeps_everything() {
        let client = plain_client("");
        for (status, body) in [
            (200, ""),
            (200, "{}"),
            (200, "<html>invalid_grant</html>"),
            (400, "<html>invalid_grant</html>"),
            (400, "invalid_grant"),
            (400, "{\"error\":{\"message\":\"invalid_grant\"}}"),
            (400, "{\"error_description\":\"invalid_grant\"}"),
            (401, "[]"),
            (404, ""),
            (429, ""),
            (502, "<html>"),
        ] {
            assert_eq!(refusal(&client, status, body).meaning, RefusalMeaning::Passing, "{status} {body}");
        }
    }

    #[test]
    fn the_words_of_a_provider_come_first() {
        use RefusalMeaning::{ActionRequired, Misconfigured, Over, Passing, Wait};
        let exact = r#"{"error":"unauthorized_client","error_description":"Old refresh token used."}"#;
        let exact_online = "[refresh]\npolicy = \"refresh_token\"\nrotation = \"single_use\"\nover = [{ status = [401], \
                            json = \"/error\", equals = [\"unauthorized_client\"], and = [{ json = \
                            \"/error_description\", contains = [\"Old refresh token used.\"] }] }]\n";
        let all = "[answer]\nerror = \"/status\"\n[refresh]\npolicy = \"refresh_token\"\nrotation = \"reusable\"\n\
                   over = [{ json = \"/status\", equals = [\"DEAD\", \"TERMS\"] }, \
                   { status = [503], json = \"/status\", equals = [\"GONE\"] }, { status = [502] }]\n\
                   action_required = [{ json = \"/status\", equals = [\"TERMS\"] }]\n\
                   misconfigured = [{ json = \"/status\", equals = [\"SECRET\"] }]\n\
                   wait = [{ status = [429], scope = \"app\" }, { json = \"/status\", equals = [\"SLOW\"], scope = \"user\" }]\n";
        let identity = "[identity]\nfrom = \"none\"\n";
        let exact_online = crate::testing::client(&format!("{exact_online}{identity}"));
        let all = crate::testing::client(&format!("{all}{identity}"));
        for (client, status, body, meaning) in [
            (&exact_online, 401, exact, Over),
            (&exact_online, 400, exact, Misconfigured),
            (&built_in("github"), 200, r#"{"error":"bad_refresh_token"}"#, Over),
            (&built_in("github"), 200, r#"{"error":"incorrect_client_credentials"}"#, Misconfigured),
            (&built_in("google"), 400, r#"{"error":"invalid_grant","error_subtype":"invalid_rapt"}"#, Over),
            (&built_in("hubspot"), 400, r#"{"status":"BAD_REFRESH_TOKEN","message":"missing"}"#, Over),
            (
                &built_in("microsoft"),
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS7000222: expired"}"#,
                Misconfigured,
            ),
            (
                &built_in("microsoft"),
                400,
                r#"{"error":"invalid_grant","error_description":"AADSTS7000215: Invalid client secret"}"#,
                Misconfigured,
            ),
            (&built_in("microsoft"), 400, r#"{"error":"x","suberror":"bad_token"}"#, Over),
            (&built_in("slack"), 200, r#"{"ok":false,"error":"invalid_refresh_token"}"#, Over),
            (&built_in("slack"), 200, r#"{"ok":false,"error":"internal_error"}"#, Passing),
            (&built_in("instagram"), 400, r#"{"error":{"code":190,"message":"x"}}"#, Over),
            (&built_in("atlassian"), 403, r#"{"error":"invalid_grant"}"#, Over),
            (&all, 200, r#"{"status":"DEAD"}"#, Over),
            (&all, 503, r#"{"status":"DEAD"}"#, Passing),
            (&all, 503, r#"{"status":"GONE"}"#, Over),
            (&all, 503, r#"{"status":"SECRET"}"#, Passing),
            (&all, 503, r#"{"status":"SLOW"}"#, Wait(WaitScope::User)),
            (&all, 200, r#"{"status":"TERMS"}"#, ActionRequired),
            (&all, 200, r#"{"status":"SECRET"}"#, Misconfigured),
            (&all, 200, r#"{"status":"SLOW"}"#, Wait(WaitScope::User)),
            (&all, 429, "", Wait(WaitScope::App)),
            (&all, 502, "", Passing),
            (&all, 400, r#"{"status":"invalid_grant"}"#, Over),
            (&all, 400, r#"{"status":"error","error":"invalid_grant"}"#, Over),
        ] {
            assert_eq!(refusal(client, status, body).meaning, meaning, "{status} {body}");
        }
    }

    #[test]
    fn texts_are_fit_for_a_log() {
        let body = format!(
            r#"{{"error":"{}","error_description":"token 1//refresh is\u000a unknown {}"}}"#,
            "e".repeat(100),
            "x".repeat(300)
        );
        let found = refusal(&plain_client(""), 400, &body);
        assert_eq!(found.code.unwrap().len(), 64);
        let description = found.description.unwrap();
        assert!(description.starts_with("token [redacted] is unknown xx") && description.len() == 200);
        let broken = r#"{"error":"x","error_description":"1//re\u0000fresh"}"#;
        assert_eq!(refusal(&plain_client(""), 400, broken).description.as_deref(), Some("[redacted]"));
    }
}
