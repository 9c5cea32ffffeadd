//! Registration of a client (RFC 7591), and of an app at an instance.

use causeway_outbound::HttpError;
use causeway_types::{Secret, Timestamp, TokenEndpointAuthMethod};
use serde_json::Value;
use thiserror::Error;
use url::Url;

use super::client::{ProviderClient, Reply};
use super::refusal::for_log;
use crate::definition::request::RequestBody;
use crate::json::Document;
use crate::request::{Draft, ProviderRequest};
use crate::values::http::Method;

/// A client to register.
#[derive(Clone, Copy, Debug)]
pub struct ClientToRegister<'a> {
    /// The registration endpoint, or the address of an instance that registers apps.
    pub endpoint: &'a Url,
    /// The form in which the endpoint takes it.
    pub form: RegistrationForm,
    /// The name that users see.
    pub name: &'a str,
    /// The website of the client.
    pub uri: &'a str,
    /// Its one redirect URI.
    pub redirect_uri: &'a str,
    /// The scopes that it will ask for.
    pub scopes: &'a [String],
    /// The authentication methods that the server names; `None`: it names none, and takes `client_secret_basic`.
    pub methods: Option<&'a [String]>,
}

/// Forms in which registrations are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationForm {
    /// Client metadata as JSON (RFC 7591 section 2).
    Metadata,
    /// The form of an instance's API for apps, as Mastodon has it.
    Instance,
}

/// A registered client (RFC 7591 section 3.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationAnswer {
    /// Its `client_id`.
    pub client_id: String,
    /// Its secret, if it has one.
    pub client_secret: Option<Secret>,
    /// How it authenticates: as the answer says, else `client_secret_basic` if there is a secret.
    pub authentication: TokenEndpointAuthMethod,
    /// When the secret expires; `None`: never.
    pub secret_expires_at: Option<Timestamp>,
    /// The token that manages the registration (RFC 7592 section 3).
    pub access_token: Option<Secret>,
    /// The address at which it is managed.
    pub client_uri: Option<Url>,
}

/// Why a client was not registered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegistrationError {
    /// The server refused it (RFC 7591 section 3.2.2).
    #[error("the server refused the registration with {status} {}", .code.as_deref().unwrap_or("and no error code"))]
    Refused {
        /// The status.
        status: u16,
        /// The error code, without control characters.
        code: Option<String>,
    },
    /// The answer cannot be used.
    #[error("the answer to the registration {0}")]
    Malformed(&'static str),
    /// There is no complete answer. Trying again may leave a client that nobody uses.
    #[error("no answer to the registration: {0}")]
    Http(#[from] HttpError),
}

impl RegistrationError {
    /// Whether a later try may succeed.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500..),
            Self::Malformed(_) => false,
            Self::Http(_) => true,
        }
    }
}

/// The methods of clients with a secret that we can use.
const WITH_SECRET: [TokenEndpointAuthMethod; 2] =
    [TokenEndpointAuthMethod::ClientSecretBasic, TokenEndpointAuthMethod::ClientSecretPost];

impl ClientToRegister<'_> {
    /// The first method with a secret in the server's own order, in which it tends to name what it does best; without a
    /// secret only where it names no other.
    fn method(&self) -> TokenEndpointAuthMethod {
        let methods = self.methods.unwrap_or_default();
        let with_secret = |name: &String| WITH_SECRET.into_iter().find(|method| method.as_str() == name);
        let none = || {
            let is_named = methods.iter().any(|name| name == TokenEndpointAuthMethod::None.as_str());
            is_named.then_some(TokenEndpointAuthMethod::None)
        };
        let found = methods.iter().find_map(with_secret).or_else(none);
        found.unwrap_or(TokenEndpointAuthMethod::ClientSecretBasic)
    }

    fn request(&self) -> ProviderRequest {
        let scope = self.scopes.join(" ");
        match self.form {
            RegistrationForm::Metadata => {
                let mut draft = Draft::new(Method::Post, self.endpoint.clone(), RequestBody::Json);
                let list = |values: &[&str]| Value::from(values.to_vec());
                let mut metadata = vec![
                    ("client_name", Value::from(self.name)),
                    ("client_uri", Value::from(self.uri)),
                    ("redirect_uris", list(&[self.redirect_uri])),
                    ("grant_types", list(&["authorization_code", "refresh_token"])),
                    ("response_types", list(&["code"])),
                    ("application_type", Value::from("web")),
                    ("token_endpoint_auth_method", Value::from(self.method().as_str())),
                ];
                if !scope.is_empty() {
                    metadata.push(("scope", Value::from(scope)));
                }
                draft.json =
                    Some(metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
                draft.finish()
            }
            RegistrationForm::Instance => {
                let mut draft = Draft::new(Method::Post, self.endpoint.clone(), RequestBody::Form);
                draft.parameters.set("client_name", self.name);
                draft.parameters.set("redirect_uris", self.redirect_uri);
                draft.parameters.set("website", self.uri);
                draft.parameters.set("scopes", scope);
                draft.finish()
            }
        }
    }
}

impl ProviderClient {
    /// Registers a client.
    ///
    /// # Errors
    /// [`RegistrationError`].
    #[tracing::instrument(name = "provider.register", skip_all, fields(host = client.endpoint.host_str()))]
    pub async fn register(
        &self,
        client: &ClientToRegister<'_>,
    ) -> Result<RegistrationAnswer, RegistrationError> {
        read(&self.send_for_tokens(client.request()).await?)
    }
}

fn read(reply: &Reply) -> Result<RegistrationAnswer, RegistrationError> {
    let Reply { status, body, .. } = reply;
    let document = Document::json(body);
    let text = |name: &str| document.as_ref()?.root().get(name)?.as_str().filter(|text| !text.is_empty());
    if !(200..300).contains(status) {
        let code = text("error").map(|code| for_log(code, 64, &[]));
        return Err(RegistrationError::Refused { status: *status, code });
    }
    let missing = RegistrationError::Malformed("has no client_id");
    let client_id = text("client_id").ok_or(missing)?.to_owned();
    let client_secret = text("client_secret").map(Secret::new);
    let authentication = match (text("token_endpoint_auth_method"), &client_secret) {
        (Some(method), _) => TokenEndpointAuthMethod::parse(method)
            .filter(|method| *method == TokenEndpointAuthMethod::None || WITH_SECRET.contains(method))
            .ok_or(RegistrationError::Malformed("names an authentication method that we did not ask for"))?,
        (None, Some(_)) => TokenEndpointAuthMethod::ClientSecretBasic,
        (None, None) => TokenEndpointAuthMethod::None,
    };
    if authentication.has_secret() && client_secret.is_none() {
        return Err(RegistrationError::Malformed("has no client_secret"));
    }
    let end = document.as_ref().and_then(|it| it.root().get("client_secret_expires_at")?.as_i64());
    Ok(RegistrationAnswer {
        client_id,
        client_secret,
        authentication,
        secret_expires_at: end.filter(|end| *end > 0).map(Timestamp),
        access_token: text("registration_access_token").map(Secret::new),
        client_uri: text("registration_client_uri").and_then(|url| Url::parse(url).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client<'a>(
        endpoint: &'a Url,
        form: RegistrationForm,
        methods: Option<&'a [String]>,
        scopes: &'a [String],
    ) -> ClientToRegister<'a> {
        let redirect_uri = "https://us.example/connect/callback/r1";
        ClientToRegister {
            endpoint,
            form,
            name: "Us",
            uri: "https://us.example",
            redirect_uri,
            scopes,
            methods,
        }
    }

    fn body_of(request: &ProviderRequest) -> String {
        String::from_utf8(request.body.clone().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn client_metadata_in_json() {
        let (endpoint, scopes) =
            (Url::parse("https://as.example/register").unwrap(), ["a".to_owned(), "b".to_owned()]);
        let request = client(&endpoint, RegistrationForm::Metadata, None, &scopes).request();
        let body: Value = serde_json::from_str(&body_of(&request)).unwrap();
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(body["redirect_uris"], serde_json::json!(["https://us.example/connect/callback/r1"]));
        assert_eq!((&body["application_type"], &body["scope"]), (&Value::from("web"), &Value::from("a b")));
        assert_eq!(body["token_endpoint_auth_method"], "client_secret_basic");
    }

    #[test]
    fn the_first_method_that_the_server_names() {
        let endpoint = Url::parse("https://as.example/register").unwrap();
        for (named, method) in [
            (vec!["private_key_jwt", "client_secret_post"], TokenEndpointAuthMethod::ClientSecretPost),
            (vec!["client_secret_post", "client_secret_basic"], TokenEndpointAuthMethod::ClientSecretPost),
            (vec!["none", "client_secret_basic"], TokenEndpointAuthMethod::ClientSecretBasic),
            (vec!["none"], TokenEndpointAuthMethod::None),
            (vec!["tls_client_auth"], TokenEndpointAuthMethod::ClientSecretBasic),
        ] {
            let named: Vec<_> = named.into_iter().map(str::to_owned).collect();
            assert_eq!(client(&endpoint, RegistrationForm::Metadata, Some(&named), &[]).method(), method);
        }
    }

    #[test]
    fn an_app_of_an_instance() {
        let (endpoint, scopes) =
            (Url::parse("https://social.example/api/v1/apps").unwrap(), ["read".to_owned()]);
        let request = client(&endpoint, RegistrationForm::Instance, None, &scopes).request();
        assert_eq!(
            body_of(&request),
            "client_name=Us&redirect_uris=https%3A%2F%2Fus.example%2Fconnect%2Fcallback%2Fr1\
             &website=https%3A%2F%2Fus.example&scopes=read"
        );
    }
}
