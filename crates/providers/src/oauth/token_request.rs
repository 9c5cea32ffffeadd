//! Requests for tokens: of a code, of a short-lived token, and of a renewal.

use causeway_types::{CodeVerifier, Secret};
use url::Url;

use super::authentication::{Proof, name_of};
use super::registered::RegisteredClient;
use crate::definition::oauth::{OauthClient, Pkce};
use crate::definition::refresh::Renewal;
use crate::definition::request::{ClientAuthentication, Exchange, RequestBody};
use crate::fields::{FieldValues, Known};
use crate::request::{Draft, ProviderRequest, RequestError};
use crate::values::http::Method;

/// Whom tokens are requested from, and as whom. A connection remembers all of it.
#[derive(Clone, Copy, Debug)]
pub struct TokenContext<'a> {
    /// The definition.
    pub client: &'a OauthClient,
    /// Our registration.
    pub registered: RegisteredClient<'a>,
    /// The token endpoint.
    pub token_endpoint: &'a Url,
    /// The issuer; `None`: the provider has none.
    pub issuer: Option<&'a str>,
    /// The resource that the tokens are for (RFC 8707). It is unused where the provider does not take it.
    pub resource: Option<&'a str>,
    /// Values that the user entered or that were captured.
    pub fields: &'a FieldValues,
}

/// A returned code, with what proves that the request was ours (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
#[derive(Clone, Copy, Debug)]
pub struct CodeRedemption<'a> {
    /// The code: works once.
    pub code: &'a Secret,
    /// The verifier of the request. It is unused where the provider does not know PKCE.
    pub verifier: &'a CodeVerifier,
    /// The scopes of the request.
    pub scopes: &'a [String],
}

/// Input of a renewal.
#[derive(Clone, Copy, Debug)]
pub struct RenewalTokens<'a> {
    /// The access token.
    pub access_token: &'a Secret,
    /// The refresh token, if there is one.
    pub refresh_token: Option<&'a Secret>,
    /// The granted scopes, separated by spaces.
    pub scope: &'a str,
}

impl TokenContext<'_> {
    /// How the client authenticates.
    pub(crate) fn authentication(&self, of_step: Option<ClientAuthentication>) -> ClientAuthentication {
        of_step.or(self.registered.authentication).unwrap_or(self.client.token_request.authentication)
    }

    /// The request that redeems a code.
    pub(crate) fn redemption(
        &self,
        redemption: &CodeRedemption<'_>,
        proof: Proof<'_>,
    ) -> Result<ProviderRequest, RequestError> {
        let definition = &self.client.token_request;
        let RegisteredClient { client_id, redirect_uri, .. } = self.registered;
        let scope = redemption.scopes.join(&self.client.scopes.separator);
        let own = [
            ("client_id", Some(client_id)),
            ("client_secret", proof.secret.map(Secret::expose)),
            ("redirect_uri", Some(redirect_uri)),
            ("scope", Some(&*scope)),
            ("code", Some(redemption.code.expose())),
        ];
        let known = Known::new(self.fields, &own);
        let mut draft = Draft::new(definition.method, self.token_endpoint.clone(), definition.body);
        let mut set =
            |name: &str, value: &str| draft.parameters.set(name_of(name, &definition.rename), value);
        set("grant_type", "authorization_code");
        set("code", redemption.code.expose());
        set("redirect_uri", redirect_uri);
        if self.client.pkce == Pkce::S256 {
            set("code_verifier", redemption.verifier.expose());
        }
        if let Some(resource) = self.resource.filter(|_| self.client.resource) {
            set("resource", resource);
        }
        draft.set_headers(&definition.headers, known)?;
        draft.authenticate(self.authentication(None), client_id, proof, &definition.rename)?;
        draft.parameters.fill(&definition.parameters, known)?;
        Ok(draft.finish())
    }

    /// The request that exchanges a short-lived token for one that lives long.
    pub(crate) fn exchange(
        &self,
        exchange: &Exchange,
        access_token: &Secret,
        proof: Proof<'_>,
    ) -> Result<ProviderRequest, RequestError> {
        let own = [
            ("access_token", Some(access_token.expose())),
            ("client_id", Some(self.registered.client_id)),
            ("client_secret", proof.secret.map(Secret::expose)),
        ];
        let known = Known::new(self.fields, &own);
        let url = exchange.url.fill(|name| known.value_of(name))?;
        let mut draft = Draft::new(exchange.method, url, RequestBody::Form);
        draft.parameters.fill(&exchange.parameters, known)?;
        Ok(draft.finish())
    }

    /// The request that renews credentials.
    pub(crate) fn renewal(
        &self,
        tokens: &RenewalTokens<'_>,
        proof: Proof<'_>,
    ) -> Result<ProviderRequest, RequestError> {
        let refresh = self.client.refresh.as_ref().ok_or(RequestError::NoRenewal)?;
        let (definition, request) = (&self.client.token_request, &refresh.request);
        let RegisteredClient { client_id, redirect_uri, .. } = self.registered;
        let scope = tokens.scope.split_whitespace().collect::<Vec<_>>().join(&self.client.scopes.separator);
        let own = [
            ("access_token", Some(tokens.access_token.expose())),
            ("refresh_token", tokens.refresh_token.map(Secret::expose)),
            ("client_id", Some(client_id)),
            ("client_secret", proof.secret.map(Secret::expose)),
            ("redirect_uri", Some(redirect_uri)),
            ("scope", Some(&*scope)),
        ];
        let known = Known::new(self.fields, &own);
        let url = match &request.url {
            Some(url) => url.fill(|name| known.value_of(name))?,
            None => self.token_endpoint.clone(),
        };
        let method = request.method.unwrap_or(definition.method);
        // A definition whose token request is a GET has its parameters in the address; a POST for the refresh alone has not.
        let body = match (definition.method, method) {
            (Method::Get, Method::Post) => RequestBody::Form,
            _ => definition.body,
        };
        let mut draft = Draft::new(method, url, body);
        draft.set_headers(&definition.headers, known)?;
        match refresh.renewal {
            Renewal::RefreshToken { .. } => {
                let token = tokens.refresh_token.ok_or(RequestError::NoRefreshToken)?;
                let mut set =
                    |name: &str, value: &str| draft.parameters.set(name_of(name, &definition.rename), value);
                set("grant_type", "refresh_token");
                set("refresh_token", token.expose());
                if request.send_scope && !scope.is_empty() {
                    set("scope", &scope);
                }
                if let Some(resource) = self.resource.filter(|_| self.client.resource) {
                    set("resource", resource);
                }
                let method = self.authentication(request.authentication);
                draft.authenticate(method, client_id, proof, &definition.rename)?;
            }
            // Its parameters are all in the definition.
            Renewal::AccessToken { .. } => {
                if let Some(method) = request.authentication {
                    draft.authenticate(method, client_id, proof, &definition.rename)?;
                }
            }
        }
        draft.parameters.fill(&request.parameters, known)?;
        Ok(draft.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::ClientCredential;
    use crate::testing::{built_in, client, map, parameters};

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn context<'a>(client: &'a OauthClient, endpoint: &'a Url, fields: &'a FieldValues) -> TokenContext<'a> {
        let registered = RegisteredClient {
            client_id: "id",
            redirect_uri: "https://us.example/cb",
            authentication: None,
            credential: ClientCredential::None,
        };
        TokenContext { client, registered, token_endpoint: endpoint, issuer: None, resource: None, fields }
    }

    /// Makes a request in the context of a definition.
    fn made(
        client: &OauthClient,
        make: impl Fn(&TokenContext<'_>, Proof<'_>) -> Result<ProviderRequest, RequestError>,
    ) -> Result<ProviderRequest, RequestError> {
        let (endpoint, fields) = (Url::parse("https://a.example/token").unwrap(), FieldValues::default());
        let secret = Secret::new("secret");
        make(&context(client, &endpoint, &fields), Proof { secret: Some(&secret), assertion: None })
    }

    fn redeemed(client: &OauthClient) -> ProviderRequest {
        let (code, verifier) = (Secret::new("c"), CodeVerifier::parse(VERIFIER).unwrap());
        let redemption = CodeRedemption { code: &code, verifier: &verifier, scopes: &["a".to_owned()] };
        made(client, |context, proof| context.redemption(&redemption, proof)).unwrap()
    }

    fn renewed(client: &OauthClient, refresh_token: Option<&str>) -> Result<ProviderRequest, RequestError> {
        let (access, refresh) = (Secret::new("at"), refresh_token.map(Secret::new));
        let tokens = RenewalTokens { access_token: &access, refresh_token: refresh.as_ref(), scope: "a b" };
        made(client, |context, proof| context.renewal(&tokens, proof))
    }

    #[test]
    fn a_code_is_redeemed_as_the_definition_says() {
        let x = redeemed(&built_in("x"));
        let basic = x.headers.get("authorization").unwrap().to_str().unwrap();
        assert_eq!(basic, "Basic aWQ6c2VjcmV0");
        let plain =
            [("grant_type", "authorization_code"), ("code", "c"), ("redirect_uri", "https://us.example/cb")];
        let mut expected = map(&plain);
        expected.insert("code_verifier".to_owned(), VERIFIER.to_owned());
        assert_eq!(parameters(&x), (map(&[]), expected));

        let tiktok = parameters(&redeemed(&built_in("tiktok"))).1;
        let mut expected = map(&plain);
        expected.extend(map(&[("client_key", "id"), ("client_secret", "secret")]));
        assert_eq!(tiktok, expected, "by its own name, and without PKCE");

        let notion = redeemed(&built_in("notion"));
        assert_eq!(notion.headers.get("content-type").unwrap(), "application/json");
        assert_eq!(notion.headers.get("notion-version").unwrap(), "2025-09-03");
        assert_eq!(parameters(&notion).1, map(&plain));
    }

    #[test]
    fn parameters_go_where_the_definition_says() {
        let tables = "[refresh]\npolicy = \"none\"\n[identity]\nfrom = \"none\"\n[token_request]\n\
                      token_endpoint_auth_method = \"client_secret_post\"\nparameters = { audience = \"api-{scope}\" }\n";
        for (line, in_address) in [("body = \"query\"", true), ("method = \"GET\"", true), ("", false)] {
            let request = redeemed(&client(&format!("{tables}{line}")));
            let (address, body) = parameters(&request);
            let (full, empty) = if in_address { (address, body) } else { (body, address) };
            assert!(empty.is_empty() && request.body.is_none() == in_address, "{line}");
            assert_eq!((full["client_secret"].as_str(), full["audience"].as_str()), ("secret", "api-a"));
        }
    }

    #[test]
    fn a_refresh_token_is_sent_with_what_the_provider_wants_besides() {
        let plain = [("grant_type", "refresh_token"), ("refresh_token", "rt")];
        assert_eq!(parameters(&renewed(&built_in("x"), Some("rt")).unwrap()).1, map(&plain));
        let microsoft = parameters(&renewed(&built_in("microsoft"), Some("rt")).unwrap()).1;
        assert_eq!(microsoft["scope"], "a b");
        let salesforce = parameters(&renewed(&built_in("salesforce"), Some("rt")).unwrap()).1;
        assert!(!salesforce.contains_key("scope"), "it refuses one");
        let odd = include_str!("../../tests/definitions/odd.toml");
        let odd = crate::Definition::parse("odd.toml", odd).unwrap().kind.oauth().unwrap().clone();
        let request = renewed(&odd, Some("rt")).unwrap();
        assert_eq!(request.url.as_str(), "https://odd.example/renew");
        assert_eq!(parameters(&request).1["redirect_uri"], "https://us.example/cb");
        assert_eq!(renewed(&odd, None).unwrap_err(), RequestError::NoRefreshToken);
        assert_eq!(renewed(&built_in("facebook"), Some("rt")).unwrap_err(), RequestError::NoRenewal);
    }

    #[test]
    fn an_access_token_is_exchanged_with_the_parameters_of_the_definition_alone() {
        for (name, grant) in [("instagram", "ig_refresh_token"), ("threads", "th_refresh_token")] {
            let request = renewed(&built_in(name), None).unwrap();
            assert_eq!(request.method, Method::Get);
            assert!(request.url.path().ends_with("/refresh_access_token") && request.body.is_none());
            assert_eq!(parameters(&request).0, map(&[("grant_type", grant), ("access_token", "at")]));
            assert!(request.headers.get("authorization").is_none());
        }
    }

    #[test]
    fn a_short_lived_token_is_exchanged() {
        let facebook = built_in("facebook");
        let exchange = facebook.exchange.as_ref().unwrap();
        let token = Secret::new("short");
        let request = made(&facebook, |context, proof| context.exchange(exchange, &token, proof)).unwrap();
        let expected = [
            ("grant_type", "fb_exchange_token"),
            ("client_id", "id"),
            ("client_secret", "secret"),
            ("fb_exchange_token", "short"),
        ];
        assert_eq!((request.method, parameters(&request).0), (Method::Get, map(&expected)));
    }

    /// The token endpoint of a connection may be at a captured address.
    #[test]
    fn a_refresh_goes_to_the_stored_endpoint_and_no_secret_is_in_debug_output() {
        let request = renewed(&built_in("x"), Some("rt-secret")).unwrap();
        assert_eq!(request.url.as_str(), "https://a.example/token");
        assert!(!format!("{request:?}").contains("secret"));
    }
}
