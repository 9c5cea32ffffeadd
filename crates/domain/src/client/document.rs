//! Clients without a registration: their `client_id` is the address of a document that describes them
//! (draft-ietf-oauth-client-id-metadata-document), or, for development on one's own machine, contains
//! their metadata (atproto OAuth specification, "Localhost Client Development").

use causeway_types::{GrantType, Scope, TokenEndpointAuthMethod};
use serde_json::Value;
use url::{Host, Url};

use super::left_out::is_left_out;
use super::metadata::ClientMetadata;
use super::metadata_error::ClientMetadataError;

/// The longest `client_id` of these kinds, in bytes: it is part of keys and indexes.
const MAX_BYTES: usize = 1024;
/// The start of the `client_id` of a client under development.
const LOOPBACK: &str = "http://localhost";

/// Why a `client_id` or the document behind it does not describe a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientDocumentError {
    /// Longer than `MAX_BYTES`.
    #[error("client_id is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not an address that a document can be at (section 3 of the draft).
    #[error(
        "client_id is not the URL of a client document: use https with a path, in the shortest \
         form, without a fragment, user name, password, dot segments or default port"
    )]
    Url,
    /// Plain http.
    #[error("client_id must be an https URL; http://localhost, without a port, is for development")]
    PlainHttp,
    /// A client for development that is not one.
    #[error("client_id http://localhost accepts only redirect_uri and scope in its query")]
    LoopbackForm,
    /// Its answers would leave the machine.
    #[error(
        "redirect_uri of a client_id http://localhost must be on http://127.0.0.1 or http://[::1]: {0:?} is not"
    )]
    LoopbackRedirect(String),
    /// Not a JSON object.
    #[error("the client document is not a JSON object with the members of client metadata")]
    Form,
    /// The document describes another client.
    #[error("client_id in the client document is not the URL that it was fetched from")]
    OtherClient,
    /// An authentication method or secret that a public document must not have.
    #[error(
        "a client document is public: token_endpoint_auth_method must be none or private_key_jwt, and it \
         must not hold a client_secret"
    )]
    SharedSecret,
    /// It does not use the response type `code`.
    #[error("response_types in the client document must contain code")]
    NoCode,
    /// Anything else in it.
    #[error("the client document is invalid: {0}")]
    Metadata(#[from] ClientMetadataError),
}

/// The kind of client that a `client_id` denotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientName {
    /// Nothing: it was registered, or is unknown.
    Opaque,
    /// It is the address of its document.
    Document(Url),
    /// It is its own description.
    Loopback(ClientMetadata),
}

impl ClientName {
    /// Reads a `client_id`. `dev_mode`: a document may be at a plain http loopback address.
    ///
    /// # Errors
    /// [`ClientDocumentError`] when it is a web address, but not one that describes a client.
    ///
    /// ```
    /// use causeway_domain::client::ClientName;
    /// let read = |id| ClientName::read(id, false);
    /// assert_eq!(read("cw_client_1"), Ok(ClientName::Opaque));
    /// assert!(matches!(read("https://app.example/client.json"), Ok(ClientName::Document(_))));
    /// assert!(matches!(read("http://localhost"), Ok(ClientName::Loopback(_))));
    /// assert!(read("https://app.example/a/../client.json").is_err());
    /// ```
    pub fn read(client_id: &str, dev_mode: bool) -> Result<Self, ClientDocumentError> {
        let is_web = ["https://", "http://"].iter().any(|scheme| client_id.starts_with(scheme));
        if !is_web {
            return Ok(Self::Opaque);
        }
        if client_id.len() > MAX_BYTES {
            return Err(ClientDocumentError::TooLong);
        }
        let url = Url::parse(client_id).map_err(|_| ClientDocumentError::Url)?;
        if let Some(rest) = client_id.strip_prefix(LOOPBACK)
            && (rest.is_empty() || rest.starts_with(['/', '?', '#']))
        {
            return loopback(&url).map(Self::Loopback);
        }
        if url.scheme() == "http" && !(dev_mode && is_loopback_address(&url)) {
            return Err(ClientDocumentError::PlainHttp);
        }
        // Whatever a parser would change is refused: dot segments, default ports, a missing path, capitals
        // in the host, backslashes. So one client has one name.
        let anonymous = url.username().is_empty() && url.password().is_none();
        if url.as_str() != client_id || !anonymous || url.fragment().is_some() || !url.has_host() {
            return Err(ClientDocumentError::Url);
        }
        Ok(Self::Document(url))
    }
}

fn is_loopback_address(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

/// The client that `http://localhost` and its query describe.
fn loopback(url: &Url) -> Result<ClientMetadata, ClientDocumentError> {
    use ClientDocumentError as E;
    if url.path() != "/" || url.fragment().is_some() {
        return Err(E::LoopbackForm);
    }
    let (mut redirect_uris, mut scope) = (Vec::new(), None);
    for (name, value) in url.query_pairs() {
        match (&*name, &scope) {
            ("redirect_uri", _) => redirect_uris.push(value.into_owned()),
            ("scope", None) => scope = Some(value.into_owned()),
            _ => return Err(E::LoopbackForm),
        }
    }
    if redirect_uris.is_empty() {
        redirect_uris = vec!["http://127.0.0.1/".to_owned(), "http://[::1]/".to_owned()];
    }
    for uri in &redirect_uris {
        let stays = uri.starts_with("http://") && Url::parse(uri).is_ok_and(|url| is_loopback_address(&url));
        if !stays {
            return Err(E::LoopbackRedirect(uri.chars().take(200).collect()));
        }
    }
    Ok(ClientMetadata {
        redirect_uris,
        token_endpoint_auth_method: Some(TokenEndpointAuthMethod::None.as_str().to_owned()),
        grant_types: Some(OF_LOOPBACK.map(|grant| grant.as_str().to_owned()).to_vec()),
        scope: scope.filter(|scope| !scope.trim().is_empty()).or_else(|| Some(Scope::ATPROTO.to_owned())),
        ..ClientMetadata::default()
    })
}

/// The grant types of clients under development.
const OF_LOOPBACK: [GrantType; 3] =
    [GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::DeviceCode];

/// Reads the document of the client at this address. It was written for many servers, so grant types,
/// response types and scopes that we do not support are left out.
///
/// # Errors
/// [`ClientDocumentError`] when it is about another client, or makes it one with a shared secret.
pub fn read_document(client_id: &str, document: Value) -> Result<ClientMetadata, ClientDocumentError> {
    use ClientDocumentError as E;
    let has = |name: &str| document.get(name).is_some_and(|value| !is_left_out(value));
    if document.get("client_id").and_then(Value::as_str) != Some(client_id) {
        return Err(if document.is_object() { E::OtherClient } else { E::Form });
    }
    if has("client_secret") || has("client_secret_expires_at") {
        return Err(E::SharedSecret);
    }
    let mut metadata: ClientMetadata = serde_json::from_value(document).map_err(|_| E::Form)?;
    metadata.leave_out_empty();
    let none = TokenEndpointAuthMethod::None;
    let method = metadata.token_endpoint_auth_method.take();
    match method.as_deref().map_or(Some(none), TokenEndpointAuthMethod::parse) {
        Some(method) if !method.has_secret() => {
            metadata.token_endpoint_auth_method = Some(method.as_str().to_owned());
        }
        _ => return Err(E::SharedSecret),
    }
    if let Some(grants) = &mut metadata.grant_types {
        grants.retain(|name| GrantType::parse(name).is_some());
    }
    if metadata.response_types.take().is_some_and(|types| types.iter().all(|name| name != "code")) {
        return Err(E::NoCode);
    }
    if let Some(scope) = &metadata.scope {
        let known = Scope::from_stored(scope).map_err(ClientMetadataError::from)?;
        // A scope with no known value left must not become an unlimited one.
        let named = if known.is_empty() { Scope::atproto() } else { known };
        metadata.scope = Some(named.to_string());
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "https://app.example/client.json";

    fn read(id: &str) -> Result<ClientName, ClientDocumentError> {
        ClientName::read(id, false)
    }

    #[test]
    fn addresses_of_documents() {
        for good in
            [ID, "https://app.example/", "https://app.example:8443/a/b?c=d", "https://[2606:4700::1111]/c"]
        {
            assert!(matches!(read(good), Ok(ClientName::Document(_))), "{good}");
        }
        for bad in [
            "https://app.example",
            "https://app.example/client.json#x",
            "https://app.example/client.json#",
            "https://user@app.example/client.json",
            "https://user:pw@app.example/client.json",
            "https://app.example/a/../client.json",
            "https://app.example/./client.json",
            "https://app.example/a/%2e%2e/client.json",
            "https://app.example/a/%2E/client.json",
            "https://app.example:443/client.json",
            "https://APP.example/client.json",
            "https://app.example\\client.json",
            "https:///client.json",
            "https://app.example/a b",
            "https://app.example/\u{e9}",
            "https://\u{e9}.example/client.json",
        ] {
            assert_eq!(read(bad), Err(ClientDocumentError::Url), "{bad}");
        }
        for bad in ["http://app.example/client.json", "http://127.0.0.1/client.json", "http://localhost:80/c"]
        {
            assert_eq!(read(bad), Err(ClientDocumentError::PlainHttp), "{bad}");
        }
        let of_length = |length: usize| format!("https://app.example/{}", "x".repeat(length - 20));
        assert!(matches!(read(&of_length(MAX_BYTES)), Ok(ClientName::Document(_))));
        assert_eq!(read(&of_length(MAX_BYTES + 1)), Err(ClientDocumentError::TooLong));
        for opaque in ["", "cw_client_1", "causeway-demo", "ftp://app.example/x", "HTTPS://app.example/c"] {
            assert_eq!(read(opaque), Ok(ClientName::Opaque), "{opaque}");
        }
    }

    #[test]
    fn plain_http_only_on_loopback_and_in_development() {
        let read = |id| ClientName::read(id, true);
        assert!(matches!(read("http://127.0.0.1:5000/client.json"), Ok(ClientName::Document(_))));
        assert_eq!(read("http://app.example/client.json"), Err(ClientDocumentError::PlainHttp));
        assert_eq!(read("http://localhost:5000/client.json"), Err(ClientDocumentError::PlainHttp));
    }

    #[test]
    fn clients_under_development() {
        let metadata = |id| match read(id) {
            Ok(ClientName::Loopback(metadata)) => metadata,
            other => panic!("{id}: {other:?}"),
        };
        for bare in ["http://localhost", "http://localhost/", "http://localhost?scope="] {
            assert_eq!(metadata(bare).redirect_uris, ["http://127.0.0.1/", "http://[::1]/"]);
            assert_eq!(metadata(bare).scope.as_deref(), Some("atproto"));
        }
        let full = metadata(
            "http://localhost?redirect_uri=http%3A%2F%2F127.0.0.1%3A3000%2Fcb&redirect_uri=http://[::1]/cb\
             &scope=atproto%20transition:generic",
        );
        assert_eq!(full.redirect_uris, ["http://127.0.0.1:3000/cb", "http://[::1]/cb"]);
        assert_eq!(full.scope.as_deref(), Some("atproto transition:generic"));
        assert_eq!(full.validate().unwrap().token_endpoint_auth_method, TokenEndpointAuthMethod::None);
        for bad in [
            "http://localhost/app",
            "http://localhost?name=x",
            "http://localhost?scope=atproto&scope=atproto",
            "http://localhost#x",
        ] {
            assert_eq!(read(bad), Err(ClientDocumentError::LoopbackForm), "{bad}");
        }
        for bad in [
            "https://evil.example/",
            "http://localhost/cb",
            "http://127.0.0.1.evil.example/",
            "http://evil.example/",
            "https://127.0.0.1/",
            "javascript:alert(1)",
            "com.example.app:/cb",
        ] {
            let id = format!("http://localhost?redirect_uri={bad}");
            assert!(matches!(read(&id), Err(ClientDocumentError::LoopbackRedirect(_))), "{bad}");
        }
        for other in ["http://localhost.evil.example/", "http://localhost@evil.example/"] {
            assert_eq!(read(other), Err(ClientDocumentError::PlainHttp), "{other}");
        }
    }

    #[test]
    fn documents_are_public() {
        let document = |name: &str, value: Value| {
            let mut document = json!({"client_id": ID, "redirect_uris": ["https://app.example/cb"]});
            document[name] = value;
            read_document(ID, document)
        };
        let plain = document("client_name", json!("App")).unwrap();
        assert_eq!(plain.token_endpoint_auth_method.as_deref(), Some("none"));
        for (name, value) in [
            ("token_endpoint_auth_method", json!("client_secret_basic")),
            ("token_endpoint_auth_method", json!("client_secret_post")),
            ("token_endpoint_auth_method", json!("client_secret_jwt")),
            ("client_secret", json!("s")),
            ("client_secret_expires_at", json!(0)),
        ] {
            assert_eq!(
                document(name, value.clone()),
                Err(ClientDocumentError::SharedSecret),
                "{name} {value}"
            );
        }
        for other in
            [json!("https://app.example/Client.json"), json!("https://app.example/client.json/"), json!(1)]
        {
            assert_eq!(document("client_id", other), Err(ClientDocumentError::OtherClient));
        }
        for none in [json!([]), json!("x"), json!(null)] {
            assert_eq!(read_document(ID, none), Err(ClientDocumentError::Form));
        }
        assert_eq!(document("redirect_uris", json!("x")), Err(ClientDocumentError::Form));
        assert_eq!(document("response_types", json!(["token"])), Err(ClientDocumentError::NoCode));
    }

    /// One document serves many servers.
    #[test]
    fn what_we_do_not_have_is_left_out() {
        let document = json!({
            "client_id": ID, "redirect_uris": ["https://app.example/cb"], "allow_background_access": true,
            "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:saml2-bearer"],
            "response_types": ["code", "token"], "scope": "atproto somebody:elses",
        });
        let valid = read_document(ID, document).unwrap().validate().unwrap();
        assert_eq!(valid.grant_types, [GrantType::AuthorizationCode]);
        assert!(
            !valid.metadata.contains_key("allow_background_access")
                && !valid.metadata.contains_key("client_id")
        );
        assert!(valid.scope.unwrap().contains("atproto"));
        for (scope, known) in
            [("repo:nonsense", Some("atproto")), ("repo:nonsense openid", Some("openid")), ("", None)]
        {
            let document =
                json!({"client_id": ID, "redirect_uris": ["https://app.example/cb"], "scope": scope});
            assert_eq!(read_document(ID, document).unwrap().scope.as_deref(), known, "{scope}");
        }
    }
}
