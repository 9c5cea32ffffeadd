//! Calls of a provider's API that we make ourselves: whose account it is, and what it manages.

use std::collections::BTreeMap;

use causeway_outbound::HttpError;
use thiserror::Error;
use url::Url;

use crate::definition::oauth::OauthClient;
use crate::definition::request::RequestBody;
use crate::definition::rule::CredentialKind;
use crate::relay::{AnswerMeaning, CallAnswer, CallCredential, examine, inject_what_is_known, is_placed};
use crate::request::{Draft, ProviderRequest, RequestError, set_header};
use crate::values::http::{HeaderName, Method};
use crate::values::template::Template;
use crate::values::url_template::UrlTemplate;

/// Why a call of ours brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApiError {
    /// The request cannot be made.
    #[error("the request cannot be made: {0}")]
    Request(#[from] RequestError),
    /// There is no answer.
    #[error("no answer from the provider: {0}")]
    Http(#[from] HttpError),
    /// The provider does not take the credential.
    #[error("the provider responded with {status}, and does not take the credential")]
    Refused {
        /// The status.
        status: u16,
    },
    /// The user has to do something at the provider.
    #[error("the provider responded with {status}: the user has to do something there")]
    ActionRequired {
        /// The status.
        status: u16,
    },
    /// The provider gave another answer than what was asked for.
    #[error("the provider responded with {status}")]
    Status {
        /// The status.
        status: u16,
        /// Seconds to wait before another try, when the provider said so.
        retry_after: Option<u64>,
    },
    /// The answer lacks what the definition says is there.
    #[error("the answer is not what the definition says: {0}")]
    Malformed(&'static str),
}

/// A GET with a credential. It goes where the definition of the call places it, else where relayed calls have it, else
/// into `Authorization` (RFC 6750 section 2.1).
pub(super) fn api_call(
    client: &OauthClient,
    url: &UrlTemplate,
    headers: &BTreeMap<HeaderName, Template>,
    credential: &CallCredential<'_>,
) -> Result<ProviderRequest, RequestError> {
    let address = credential.with_known(|known| url.fill(|name| known.value_of(name)))?;
    let is_placed = is_placed(headers.values().chain([url.template()]));
    with_credential(client, address, is_placed, headers, credential)
}

/// The same for an address that is known already, such as that of a further page.
pub(super) fn with_credential(
    client: &OauthClient,
    url: Url,
    is_placed: bool,
    headers: &BTreeMap<HeaderName, Template>,
    credential: &CallCredential<'_>,
) -> Result<ProviderRequest, RequestError> {
    let mut draft = Draft::new(Method::Get, url, RequestBody::Query);
    let inject = client.relay.as_ref().map(|relay| &relay.inject);
    match inject {
        _ if is_placed => credential.add_extras(&mut draft.parameters)?,
        Some(inject) => {
            inject_what_is_known(inject, credential)?.apply(&mut draft.url, &mut draft.headers);
        }
        None => {
            let token = credential.secrets.first().map(|(_, token)| token.expose()).unwrap_or_default();
            let bearer = zeroize::Zeroizing::new(format!("Bearer {token}"));
            set_header(&mut draft.headers, "Authorization", &bearer)?;
            credential.add_extras(&mut draft.parameters)?;
        }
    }
    credential.with_known(|known| draft.set_headers(headers, known))?;
    Ok(draft.finish())
}

/// Judges an answer to such a call: by the rules for ordinary answers, and by its status.
pub(super) fn judge(
    client: &OauthClient,
    status: u16,
    retry_after: Option<u64>,
    body: &[u8],
) -> Result<(), ApiError> {
    let answer = CallAnswer { status, retry_after, body: Some(body), credential: CredentialKind::User };
    let meaning = match &client.relay {
        Some(relay) => examine(relay, &answer),
        None if status == 401 => AnswerMeaning::Refused,
        None => AnswerMeaning::Pass,
    };
    match meaning {
        AnswerMeaning::Refused | AnswerMeaning::Unauthorized => Err(ApiError::Refused { status }),
        AnswerMeaning::ActionRequired => Err(ApiError::ActionRequired { status }),
        AnswerMeaning::Pass if (200..300).contains(&status) => Ok(()),
        AnswerMeaning::Pass | AnswerMeaning::Wait { .. } => Err(ApiError::Status { status, retry_after }),
    }
}

#[cfg(test)]
mod tests {
    use causeway_types::Secret;

    use super::*;
    use crate::fields::FieldValues;
    use crate::oauth::identity::{identity_request, read_identity};
    use crate::testing::{built_in, client};

    const REFRESH: &str = "[refresh]\npolicy = \"none\"\n[identity]\nsubject = \"/id\"\n";

    /// The address and the header `Authorization` of a request for the identity.
    fn asked(client: &OauthClient, fields: &FieldValues) -> (String, Option<String>) {
        let token = Secret::new("t");
        let credential = CallCredential {
            secrets: &[("token", &token)],
            account: None,
            client_id: Some("id"),
            extras: None,
            fields,
        };
        let request = identity_request(client, &credential).unwrap().unwrap();
        let header = request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        (request.url.to_string(), header)
    }

    #[test]
    fn the_credential_goes_where_calls_have_it_unless_the_definition_places_it() {
        let none = FieldValues::default();
        let bearer = || Some("Bearer t".to_owned());
        for (lines, url, header) in [
            ("url = \"https://a.example/me\"", "https://a.example/me", bearer()),
            ("url = \"https://a.example/me/{token}?app={client_id}\"", "https://a.example/me/t?app=id", None),
            (
                "url = \"https://a.example/me\"\nheaders = { Authorization = \"OAuth {token}\" }",
                "https://a.example/me",
                Some("OAuth t".to_owned()),
            ),
            (
                "url = \"https://a.example/me\"\n[relay]\norigins = [\"https://a.example\"]\ninject = { query = { key = \"{token}\" } }",
                "https://a.example/me?key=t",
                None,
            ),
        ] {
            assert_eq!(
                asked(&client(&format!("{REFRESH}{lines}")), &none),
                (url.to_owned(), header),
                "{lines}"
            );
        }
        let zoho = include_str!("../../tests/definitions/zoho.toml");
        let zoho = crate::Definition::parse("zoho.toml", zoho).unwrap().kind.oauth().unwrap().clone();
        let fields = FieldValues::from_iter([("accounts_server", "https://accounts.zoho.eu")]);
        let expected =
            ("https://accounts.zoho.eu/oauth/user/info".to_owned(), Some("Zoho-oauthtoken t".to_owned()));
        assert_eq!(asked(&zoho, &fields), expected);
    }

    #[test]
    fn accounts_are_read_from_their_places() {
        let read = |name: &str, body: &str| {
            read_identity(&built_in(name), body.as_bytes()).map(|account| (account.subject, account.name))
        };
        let some = |subject: &str, name: Option<&str>| Ok((subject.to_owned(), name.map(str::to_owned)));
        assert_eq!(read("github", r#"{"id":583231,"login":"octocat"}"#), some("583231", Some("octocat")));
        assert_eq!(read("x", r#"{"data":{"id":"9","username":null}}"#), some("9", None));
        let no_id = Err(ApiError::Malformed("the account has no id"));
        for bad in [r#"{"id":null}"#, r#"{"id":""}"#, r#"{"id":{}}"#, "{}"] {
            assert_eq!(read("github", bad), no_id, "{bad}");
        }
        assert_eq!(read("github", r#"{"id":583231,"login":"oc"#), Err(ApiError::Malformed("it ends early")));
        assert_eq!(read("github", r#"{"id":583231,"login":"\ud83d"}"#), some("583231", None));
        assert_eq!(read("github", "<html>"), Err(ApiError::Malformed("it is not JSON")));
    }

    #[test]
    fn answers_are_judged_as_those_to_ordinary_calls() {
        let facebook = built_in("facebook");
        let judged = |status, body: &str| judge(&facebook, status, Some(7), body.as_bytes());
        assert_eq!(judged(200, "{}"), Ok(()));
        assert_eq!(judged(400, r#"{"error":{"code":190}}"#), Err(ApiError::Refused { status: 400 }));
        let checkpoint = r#"{"error":{"code":190,"error_subcode":459}}"#;
        assert_eq!(judged(400, checkpoint), Err(ApiError::ActionRequired { status: 400 }));
        let passing = |status| Err(ApiError::Status { status, retry_after: Some(7) });
        assert_eq!(
            (judged(400, r#"{"error":{"code":4}}"#), judged(503, "<html>")),
            (passing(400), passing(503))
        );
        let plain = client(&format!("{REFRESH}url = \"https://a.example/me\""));
        assert_eq!(judge(&plain, 401, None, b""), Err(ApiError::Refused { status: 401 }));
    }
}
