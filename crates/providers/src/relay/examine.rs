//! The meaning of answers to ordinary calls for the credential that they were made with.

use crate::definition::relay::Relay;
use crate::definition::rule::{CredentialKind, WaitScope};
use crate::json::Document;
use crate::rules::{Described, has_status};

/// An answer to a call.
#[derive(Clone, Copy)]
pub struct CallAnswer<'a> {
    /// The status.
    pub status: u16,
    /// Seconds to wait before another call, by the answer's headers.
    pub retry_after: Option<u64>,
    /// The body, where [`needs_body`] says so and it is JSON of at most 64 KiB; `None` otherwise.
    pub body: Option<&'a [u8]>,
    /// The owner of the credential.
    pub credential: CredentialKind,
}

/// The meaning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerMeaning {
    /// Nothing: it is for the caller alone.
    Pass,
    /// The provider does not take the credential any more.
    Refused,
    /// 401 of a provider whose definition has no rule for refused credentials (RFC 9110 section 15.5.2): it may be about
    /// the credential, or about the call.
    Unauthorized,
    /// The user has to do something at the provider; the credential stays.
    ActionRequired,
    /// Calls have to wait.
    Wait {
        /// The party whose calls have to wait.
        scope: WaitScope,
        /// For how many seconds, when the provider said so.
        retry_after: Option<u64>,
    },
}

/// Whether the body of an answer with this status tells more than the status.
pub fn needs_body(relay: &Relay, status: u16) -> bool {
    let waits = relay.wait.iter().map(|wait| &wait.rule);
    let mut rules = relay.refused.iter().chain(&relay.action_required).chain(waits);
    rules.any(|rule| !rule.tests.is_empty() && has_status(rule, status))
}

/// Examines an answer by the rules of the definition.
pub fn examine(relay: &Relay, answer: &CallAnswer<'_>) -> AnswerMeaning {
    let document = answer.body.and_then(Document::json);
    let CallAnswer { status, retry_after, credential, .. } = *answer;
    let described = Described { status, document: document.as_ref(), credential };
    if described.is_one_of(&relay.action_required) {
        return AnswerMeaning::ActionRequired;
    }
    if described.is_one_of(&relay.refused) {
        return AnswerMeaning::Refused;
    }
    if status == 401 && relay.refused.is_empty() {
        return AnswerMeaning::Unauthorized;
    }
    match relay.wait.iter().find(|wait| described.is(&wait.rule)) {
        Some(wait) => AnswerMeaning::Wait { scope: wait.scope, retry_after },
        None => AnswerMeaning::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{built_in, relay};

    fn meaning(relay: &Relay, status: u16, body: &str, credential: CredentialKind) -> AnswerMeaning {
        let body = Some(body.as_bytes());
        examine(relay, &CallAnswer { status, retry_after: Some(7), body, credential })
    }

    fn wait(scope: WaitScope) -> AnswerMeaning {
        AnswerMeaning::Wait { scope, retry_after: Some(7) }
    }

    #[test]
    fn a_graph_api_says_it_by_numbers() {
        use AnswerMeaning::{ActionRequired, Pass, Refused};
        let facebook = built_in("facebook").relay.unwrap();
        for (status, code, subcode, expected) in [
            (400, 190, 463, Refused),
            (401, 190, 0, Refused),
            (400, 102, 0, Refused),
            (400, 190, 459, ActionRequired),
            (400, 190, 490, ActionRequired),
            (200, 190, 0, Pass),
            (400, 4, 0, wait(WaitScope::App)),
            (400, 17, 0, wait(WaitScope::User)),
            (400, 32, 0, wait(WaitScope::Account)),
            (403, 10, 0, Pass),
            (401, 200, 0, Pass),
        ] {
            let body = format!(r#"{{"error":{{"code":{code},"error_subcode":{subcode}}}}}"#);
            assert_eq!(meaning(&facebook, status, &body, CredentialKind::User), expected, "{status} {body}");
        }
    }

    #[test]
    fn others_say_it_in_words_at_any_status() {
        use AnswerMeaning::{Pass, Refused};
        let slack = built_in("slack").relay.unwrap();
        let salesforce = built_in("salesforce").relay.unwrap();
        for (relay, status, body, expected) in [
            (&slack, 200, r#"{"ok":false,"error":"token_expired"}"#, Refused),
            (&slack, 200, r#"{"ok":false,"error":"channel_not_found"}"#, Pass),
            (&slack, 200, "token_expired", Pass),
            (&salesforce, 401, r#"[{"errorCode":"INVALID_SESSION_ID"}]"#, Refused),
            (&salesforce, 401, r#"[{"errorCode":"OTHER"}]"#, Pass),
        ] {
            assert_eq!(meaning(relay, status, body, CredentialKind::User), expected, "{body}");
        }
    }

    #[test]
    fn where_no_rule_says_it_401_may_refuse() {
        let plain = relay("wait = [{ status = [429], scope = \"user\" }]");
        for (status, expected) in [
            (401, AnswerMeaning::Unauthorized),
            (403, AnswerMeaning::Pass),
            (200, AnswerMeaning::Pass),
            (429, wait(WaitScope::User)),
        ] {
            assert_eq!(meaning(&plain, status, "", CredentialKind::User), expected, "{status}");
        }
    }

    #[test]
    fn a_rule_may_be_for_one_kind_of_credential() {
        let relay = relay("refused = [{ json = \"/code\", equals = [190], credential = \"page\" }]");
        let of = |kind| meaning(&relay, 400, r#"{"code":190}"#, kind);
        assert_eq!(
            (of(CredentialKind::Page), of(CredentialKind::User)),
            (AnswerMeaning::Refused, AnswerMeaning::Pass)
        );
    }

    #[test]
    fn bodies_are_read_only_where_they_tell() {
        let slack = built_in("slack").relay.unwrap();
        assert!(needs_body(&slack, 200) && !needs_body(&slack, 401));
        let facebook = built_in("facebook").relay.unwrap();
        assert!(needs_body(&facebook, 400) && needs_body(&facebook, 500), "a checkpoint has no status");
        assert!(!needs_body(&built_in("github").relay.unwrap(), 401));
        assert!(!needs_body(&relay("wait = [{ status = [429], scope = \"user\" }]"), 429));
    }
}
