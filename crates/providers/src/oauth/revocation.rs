//! The request that gives access back (RFC 7009, or as the definition says).

use causeway_types::Secret;
use url::Url;

use super::authentication::Proof;
use super::token_request::TokenContext;
use crate::definition::oauth::OauthClient;
use crate::definition::request::{ClientAuthentication, RequestBody};
use crate::definition::rule::CredentialKind;
use crate::fields::Known;
use crate::json::{Document, is_null};
use crate::relay::CallCredential;
use crate::request::{Draft, ProviderRequest, RequestError};
use crate::rules::Described;
use crate::values::http::Method;

/// Tokens that are given back.
#[derive(Clone, Copy, Debug)]
pub struct RevokedTokens<'a> {
    /// The access token.
    pub access_token: &'a Secret,
    /// The refresh token, if there is one.
    pub refresh_token: Option<&'a Secret>,
}

/// The outcome of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// Access has ended, or had ended before.
    Done,
    /// There is nothing to send: the provider has no endpoint for it, or no token that it takes.
    NotPossible,
    /// The provider refused, and would again.
    Refused {
        /// The status.
        status: u16,
    },
    /// A later try may succeed.
    Passing {
        /// Seconds to wait, when the provider said so.
        retry_after: Option<u64>,
    },
}

impl TokenContext<'_> {
    /// The request that gives tokens back; `None` if there is nowhere to send it, or no token that the definition names.
    /// `discovered` is the revocation endpoint of the metadata.
    pub(crate) fn revocation(
        &self,
        discovered: Option<&Url>,
        tokens: &RevokedTokens<'_>,
        proof: Proof<'_>,
    ) -> Result<Option<ProviderRequest>, RequestError> {
        let definition = &self.client.revocation;
        let token = tokens.refresh_token.unwrap_or(tokens.access_token);
        let client_id = self.registered.client_id;
        let own = [
            ("token", Some(token.expose())),
            ("access_token", Some(tokens.access_token.expose())),
            ("refresh_token", tokens.refresh_token.map(Secret::expose)),
            ("client_id", Some(client_id)),
            ("client_secret", proof.secret.map(Secret::expose)),
        ];
        let known = Known::new(self.fields, &own);
        let needs_refresh_token = || {
            let mut templates = definition.parameters.values();
            templates.any(|template| template.fields().any(|name| name.as_str() == "refresh_token"))
        };
        let url = match (&definition.url, discovered) {
            (Some(url), _) => url.fill(|name| known.value_of(name))?,
            (None, Some(discovered)) => discovered.clone(),
            (None, None) => return Ok(None),
        };
        if tokens.refresh_token.is_none() && needs_refresh_token() {
            return Ok(None);
        }
        let mut draft = Draft::new(definition.method, url, definition.body);
        if definition.parameters.is_empty() {
            let hint = if tokens.refresh_token.is_some() { "refresh_token" } else { "access_token" };
            draft.parameters.set("token", token.expose());
            draft.parameters.set("token_type_hint", hint);
        } else {
            draft.parameters.fill(&definition.parameters, known)?;
        }
        // Without a body of its own, a call of the API rather than of an endpoint of OAuth.
        if definition.method == Method::Delete && definition.body == RequestBody::Query {
            let extras = self.client.extras.zip(proof.secret);
            let secrets = [("token", tokens.access_token)];
            let credential = CallCredential {
                secrets: &secrets,
                account: None,
                client_id: Some(client_id),
                extras,
                fields: self.fields,
            };
            credential.add_extras(&mut draft.parameters)?;
        }
        // A definition with parameters of its own and no authentication has named all of them.
        let is_complete = definition.authentication == Some(ClientAuthentication::None);
        if !is_complete || definition.parameters.is_empty() {
            let method = self.authentication(definition.authentication);
            draft.authenticate(method, client_id, proof, &self.client.token_request.rename)?;
        }
        Ok(Some(draft.finish()))
    }
}

/// Whether an answer to a revocation refuses our secret (RFC 7009 section 2.2.1).
pub(super) fn refuses_client(status: u16, body: &[u8]) -> bool {
    let document = Document::json(body);
    let error = document.as_ref().and_then(|document| document.root().get("error")?.as_str());
    status == 401 || (status == 400 && error == Some("invalid_client"))
}

/// Reads the answer to a revocation.
pub(super) fn read_revocation(
    client: &OauthClient,
    status: u16,
    retry_after: Option<u64>,
    body: &[u8],
) -> Revoked {
    let document = Document::json(body);
    let described = Described { status, document: document.as_ref(), credential: CredentialKind::User };
    let waits = client.relay.iter().flat_map(|relay| &relay.wait);
    let has_to_wait = waits.into_iter().any(|wait| described.is(&wait.rule));
    let member = document.as_ref().and_then(|document| document.root().get("error"));
    let error = member.and_then(|error| error.as_str());
    // What is not known any more has ended (RFC 7009 section 2.2); not every provider says so with 200.
    let has_ended = error.is_some_and(|error| {
        ["invalid_token", "token_revoked", "token_expired", "invalid_grant"].contains(&error)
    });
    match status {
        408 | 429 | 500.. => Revoked::Passing { retry_after },
        _ if has_to_wait => Revoked::Passing { retry_after },
        _ if has_ended => Revoked::Done,
        200..300 if is_null(member) => Revoked::Done,
        _ => Revoked::Refused { status },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::FieldValues;
    use crate::oauth::{ClientCredential, RegisteredClient};
    use crate::testing::{built_in, map, parameters};

    fn revoked(
        client: &OauthClient,
        discovered: Option<&str>,
        refresh_token: Option<&str>,
    ) -> Option<ProviderRequest> {
        let secret = Secret::new("s");
        let registered = RegisteredClient {
            client_id: "id",
            redirect_uri: "https://us.example/cb",
            authentication: None,
            credential: ClientCredential::Secret { current: &secret, next: None },
        };
        let endpoint = Url::parse("https://a.example/token").unwrap();
        let fields =
            FieldValues::from_iter([("login_host", "login.salesforce.com"), ("instance", "m.example")]);
        let context = TokenContext {
            client,
            registered,
            token_endpoint: &endpoint,
            issuer: None,
            resource: None,
            fields: &fields,
        };
        let (access, refresh) = (Secret::new("at"), refresh_token.map(Secret::new));
        let tokens = RevokedTokens { access_token: &access, refresh_token: refresh.as_ref() };
        let discovered = discovered.map(|url| Url::parse(url).unwrap());
        let proof = Proof { secret: Some(&secret), assertion: None };
        context.revocation(discovered.as_ref(), &tokens, proof).unwrap()
    }

    #[test]
    fn plain_revocations_are_those_of_the_rfc() {
        let salesforce = built_in("salesforce");
        let request = revoked(&salesforce, None, Some("rt")).unwrap();
        assert_eq!(request.url.as_str(), "https://login.salesforce.com/services/oauth2/revoke");
        assert!(request.headers.contains_key("authorization"));
        assert_eq!(parameters(&request).1, map(&[("token", "rt"), ("token_type_hint", "refresh_token")]));
        let mastodon = parameters(&revoked(&built_in("mastodon"), None, None).unwrap()).1;
        let expected = [
            ("token", "at"),
            ("token_type_hint", "access_token"),
            ("client_id", "id"),
            ("client_secret", "s"),
        ];
        assert_eq!(mastodon, map(&expected));
        let google = revoked(&built_in("google"), Some("https://oauth2.example/revoke"), Some("rt")).unwrap();
        assert_eq!(google.url.as_str(), "https://oauth2.example/revoke");
        assert!(revoked(&built_in("google"), None, Some("rt")).is_none(), "there is no endpoint");
    }

    #[test]
    fn others_are_as_the_definition_says() {
        let github = revoked(&built_in("github"), None, Some("rt")).unwrap();
        assert_eq!(
            (github.method, github.url.as_str()),
            (Method::Delete, "https://api.github.com/applications/id/grant")
        );
        assert!(github.headers.contains_key("authorization"));
        assert_eq!(parameters(&github).1, map(&[("access_token", "at")]));

        let facebook = revoked(&built_in("facebook"), None, None).unwrap();
        assert_eq!((facebook.method, facebook.body.is_none()), (Method::Delete, true));
        let query = parameters(&facebook).0;
        assert_eq!(
            (query["access_token"].as_str(), query["appsecret_proof"].len(), query.len()),
            ("at", 64, 2)
        );

        let tiktok = revoked(&built_in("tiktok"), None, Some("rt")).unwrap();
        let expected = [("client_key", "id"), ("client_secret", "s"), ("token", "at")];
        assert_eq!(parameters(&tiktok).1, map(&expected));

        let hubspot = built_in("hubspot");
        assert_eq!(parameters(&revoked(&hubspot, None, Some("rt")).unwrap()).1["token"], "rt");
        assert!(revoked(&hubspot, None, None).is_none(), "only refresh tokens are revoked there");
    }

    #[test]
    fn what_has_ended_before_is_done() {
        for (status, body, expected) in [
            (200, "", Revoked::Done),
            (204, "", Revoked::Done),
            (200, r#"{"ok":true,"revoked":true}"#, Revoked::Done),
            (400, r#"{"error":"invalid_token"}"#, Revoked::Done),
            (200, r#"{"ok":false,"error":"token_revoked"}"#, Revoked::Done),
            (200, r#"{"ok":false,"error":"internal"}"#, Revoked::Refused { status: 200 }),
            (400, r#"{"error":"unsupported_token_type"}"#, Revoked::Refused { status: 400 }),
            (401, r#"{"error":"invalid_client"}"#, Revoked::Refused { status: 401 }),
            (404, "", Revoked::Refused { status: 404 }),
            (200, r#"{"error":{"code":1}}"#, Revoked::Refused { status: 200 }),
            (200, r#"{"error":7}"#, Revoked::Refused { status: 200 }),
            (200, r#"{"error":null}"#, Revoked::Done),
            (503, r#"{"error":"invalid_token"}"#, Revoked::Passing { retry_after: Some(7) }),
            (429, "", Revoked::Passing { retry_after: Some(7) }),
            (503, "<html>", Revoked::Passing { retry_after: Some(7) }),
        ] {
            let read = read_revocation(&built_in("slack"), status, Some(7), body.as_bytes());
            assert_eq!(read, expected, "{status} {body}");
        }
        let busy = r#"{"error":{"code":4}}"#;
        let read = read_revocation(&built_in("facebook"), 400, Some(7), busy.as_bytes());
        assert_eq!(read, Revoked::Passing { retry_after: Some(7) }, "by the rules of its API");
    }
}
