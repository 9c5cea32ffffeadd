//! The authorization request (RFC 6749 section 4.1.1).

use std::fmt;

use causeway_types::CodeVerifier;
use url::Url;

use super::authentication::name_of;
use super::registered::RegisteredClient;
use crate::definition::oauth::{OauthClient, Pkce};
use crate::fields::{FieldValues, Known};
use crate::request::{Parameters, RequestError};

/// Input of an authorization request.
#[derive(Clone, Copy)]
pub struct Authorization<'a> {
    /// The authorization endpoint.
    pub endpoint: &'a Url,
    /// Our registration.
    pub registered: &'a RegisteredClient<'a>,
    /// The value that has to come back.
    pub state: &'a str,
    /// The scopes, as [`requested_scopes`](super::requested_scopes) gives them. Empty: the parameter is left out.
    pub scopes: &'a [String],
    /// The PKCE verifier. It is unused where the provider does not know PKCE.
    pub verifier: &'a CodeVerifier,
    /// The value that has to be in the ID token; OpenID Connect only.
    pub nonce: Option<&'a str>,
    /// The resource that the tokens are for (RFC 8707). It is unused where the provider does not take it.
    pub resource: Option<&'a str>,
    /// Questions that the user is asked again.
    pub ask: Ask,
    /// Values that the user entered.
    pub fields: &'a FieldValues,
}

impl fmt::Debug for Authorization<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("endpoint", &self.endpoint.as_str())
            .field("client_id", &self.registered.client_id)
            .field("scopes", &self.scopes)
            .field("ask", &self.ask)
            .finish_non_exhaustive()
    }
}

/// A question that a provider asks its user although it knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ask {
    /// What it wants.
    #[default]
    Nothing,
    /// To sign in again, or which account to use.
    Reauthenticate,
    /// Which managed accounts to add.
    MoreAccounts,
}

/// The address that a user is sent to.
///
/// # Errors
/// [`RequestError::NoValue`], for a parameter of the definition.
pub fn authorization_url(client: &OauthClient, request: &Authorization<'_>) -> Result<Url, RequestError> {
    let definition = &client.authorization;
    let scope = request.scopes.join(&client.scopes.separator);
    let RegisteredClient { client_id, redirect_uri, .. } = *request.registered;
    let own =
        [("client_id", Some(client_id)), ("redirect_uri", Some(redirect_uri)), ("scope", Some(&*scope))];
    let known = Known::new(request.fields, &own);

    let mut parameters = Parameters::default();
    let mut set = |name: &str, value: &str| parameters.set(name_of(name, &definition.rename), value);
    set("response_type", "code");
    set("client_id", client_id);
    set("redirect_uri", redirect_uri);
    set("state", request.state);
    if !scope.is_empty() {
        set("scope", &scope);
    }
    if client.pkce == Pkce::S256 {
        set("code_challenge", request.verifier.challenge().as_str());
        set("code_challenge_method", "S256");
    }
    if let Some(nonce) = request.nonce {
        set("nonce", nonce);
    }
    if let Some(resource) = request.resource.filter(|_| client.resource) {
        set("resource", resource);
    }
    parameters.fill(&definition.parameters, known)?;
    match request.ask {
        Ask::Nothing => {}
        Ask::Reauthenticate => parameters.fill(&definition.force_reauth, known)?,
        Ask::MoreAccounts => parameters.fill(&definition.add_accounts, known)?,
    }
    let mut url = request.endpoint.clone();
    parameters.append_to(&mut url);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use causeway_types::Secret;

    use super::*;
    use crate::oauth::ClientCredential;
    use crate::testing::{built_in, client, map};

    #[test]
    fn no_secret_is_in_debug_output() {
        let verifier = CodeVerifier::parse(VERIFIER).unwrap();
        let registered = RegisteredClient {
            client_id: "id",
            redirect_uri: "https://us.example/cb",
            authentication: None,
            credential: ClientCredential::None,
        };
        let request = Authorization {
            endpoint: &Url::parse("https://a.example/authorize").unwrap(),
            registered: &registered,
            state: "secret-state",
            scopes: &[],
            verifier: &verifier,
            nonce: Some("secret-nonce"),
            resource: None,
            ask: Ask::Nothing,
            fields: &FieldValues::default(),
        };
        let text = format!("{request:?}");
        assert!(!text.contains("secret") && !text.contains(VERIFIER) && text.contains("a.example"), "{text}");
    }

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn asked(
        client: &OauthClient,
        endpoint: &str,
        scopes: &[&str],
        ask: Ask,
    ) -> std::collections::BTreeMap<String, String> {
        let secret = Secret::new("never in a URL");
        let registered = RegisteredClient {
            client_id: "our-id",
            redirect_uri: "https://causeway.example/connect/x/callback",
            authentication: None,
            credential: ClientCredential::Secret { current: &secret, next: None },
        };
        let request = Authorization {
            endpoint: &Url::parse(endpoint).unwrap(),
            registered: &registered,
            state: "s&t",
            scopes: &scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>(),
            verifier: &CodeVerifier::parse(VERIFIER).unwrap(),
            nonce: None,
            resource: Some("https://api.example"),
            ask,
            fields: &FieldValues::default(),
        };
        let url = authorization_url(client, &request).unwrap();
        assert!(!url.as_str().contains("never"));
        url.query_pairs().into_owned().collect()
    }

    const COMMON: [(&str, &str); 3] = [
        ("response_type", "code"),
        ("redirect_uri", "https://causeway.example/connect/x/callback"),
        ("state", "s&t"),
    ];

    fn common(further: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
        let mut all = map(&COMMON);
        all.extend(map(further));
        all
    }

    #[test]
    fn a_plain_request_has_what_the_rfcs_want() {
        let lines = "[refresh]\npolicy = \"none\"\n[identity]\nfrom = \"none\"";
        let expected = [
            ("client_id", "our-id"),
            ("scope", "a b"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("tenant", "1"),
        ];
        let found = asked(&client(lines), "https://a.example/authorize?tenant=1", &["a", "b"], Ask::Nothing);
        assert_eq!(found, common(&expected));
        let with_resource = client(&format!("resource = true\npkce = \"none\"\n{lines}"));
        let expected = [("client_id", "our-id"), ("resource", "https://api.example")];
        let found = asked(&with_resource, "https://a.example/authorize", &[], Ask::Nothing);
        assert_eq!(found, common(&expected), "no scope, no challenge");
    }

    #[test]
    fn names_and_further_parameters_are_the_definitions() {
        let tiktok = asked(&built_in("tiktok"), "https://a.example/", &["a", "b"], Ask::Nothing);
        assert_eq!(tiktok, common(&[("client_key", "our-id"), ("scope", "a,b")]));
        let slack = asked(&built_in("slack"), "https://a.example/", &["users:read"], Ask::Nothing);
        let expected = [("client_id", "our-id"), ("user_scope", "users:read"), ("scope", "chat:write")];
        assert_eq!(slack, common(&expected));
    }

    #[test]
    fn asking_again_takes_the_place_of_what_is_always_asked() {
        let google = |ask| {
            let found = asked(&built_in("google"), "https://a.example/", &["openid"], ask);
            (found["prompt"].clone(), found["access_type"].clone())
        };
        assert_eq!(google(Ask::Nothing), ("consent".to_owned(), "offline".to_owned()));
        assert_eq!(google(Ask::Reauthenticate), ("consent select_account".to_owned(), "offline".to_owned()));
        let facebook = |ask| asked(&built_in("facebook"), "https://a.example/", &[], ask).remove("auth_type");
        assert_eq!(facebook(Ask::Nothing), None);
        assert_eq!(facebook(Ask::Reauthenticate).as_deref(), Some("reauthenticate"));
        assert_eq!(facebook(Ask::MoreAccounts).as_deref(), Some("rerequest"));
    }
}
