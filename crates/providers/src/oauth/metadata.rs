//! Metadata of authorization servers (RFC 8414, OpenID Connect Discovery 1.0).

use serde_json::Value;
use thiserror::Error;
use url::{Host, Url};

use crate::definition::oauth::Discovery;
use crate::json::Document;
use crate::values::url_template::UrlTemplate;

/// Metadata of an authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerMetadata {
    /// The issuer, as the server writes it. With an `issuer_pattern` it may have a field in place of a segment.
    pub issuer: String,
    /// The authorization endpoint.
    pub authorization_endpoint: Url,
    /// The token endpoint.
    pub token_endpoint: Url,
    /// The revocation endpoint (RFC 7009).
    pub revocation_endpoint: Option<Url>,
    /// The introspection endpoint (RFC 7662), which is never relayed to.
    pub introspection_endpoint: Option<Url>,
    /// The registration endpoint (RFC 7591).
    pub registration_endpoint: Option<Url>,
    /// The keys of ID tokens.
    pub jwks_uri: Option<Url>,
    /// The scopes that the server names.
    pub scopes_supported: Option<Vec<String>>,
    /// How clients may authenticate. The default is `client_secret_basic`.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// The PKCE methods; `None`: the server names none.
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// Whether authorization responses name their issuer (RFC 9207 section 3).
    pub authorization_response_iss_parameter_supported: bool,
    /// Whether a URL may be a `client_id` whose document the server reads.
    pub client_id_metadata_document_supported: bool,
}

/// A fault of metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// The issuer is another one (RFC 8414 section 3.3).
    #[error("its issuer is another one")]
    Issuer,
    /// An endpoint is missing that is needed.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// An address is neither https, nor http on this machine where that is allowed, or has a user name.
    #[error("its {0} is not an https address without user name and fragment")]
    Address(&'static str),
}

/// Where the metadata of an issuer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WellKnown {
    /// Of an OpenID Connect provider: behind the issuer, then between host and path.
    Oidc,
    /// Of an authorization server: RFC 8414, then the two forms of OpenID Connect.
    OAuth,
}

/// The addresses at which the metadata of an issuer may be, in the order in which they are asked (RFC 8414 sections 3.1
/// and 5, OpenID Connect Discovery section 4).
pub fn well_known(issuer: &Url, order: WellKnown) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let at = |path: String| {
        let mut url = issuer.clone();
        url.set_path(&path);
        url.set_query(None);
        url.set_fragment(None);
        url
    };
    let between = |name: &str| at(format!("/.well-known/{name}{path}"));
    let behind = at(format!("{path}/.well-known/openid-configuration"));
    let mut addresses = match order {
        WellKnown::Oidc => vec![behind, between("openid-configuration")],
        WellKnown::OAuth => {
            vec![between("oauth-authorization-server"), between("openid-configuration"), behind]
        }
    };
    addresses.dedup();
    addresses
}

impl ServerMetadata {
    /// Checks metadata. `issuer` is the one that was asked for; `pattern` is that of the issuer in metadata where it differs.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub fn read(
        document: &Document,
        pattern: Option<&UrlTemplate>,
        issuer: &Url,
        allow_loopback: bool,
    ) -> Result<Self, MetadataError> {
        let root = document.root();
        let found = root.get("issuer").and_then(Value::as_str).ok_or(MetadataError::Missing("issuer"))?;
        if !is_same_issuer(found, issuer) && !pattern.is_some_and(|pattern| fits(pattern, found, true)) {
            return Err(MetadataError::Issuer);
        }
        let address = |name| address(root, name, allow_loopback);
        let required = |name| address(name)?.ok_or(MetadataError::Missing(name));
        let list = |name: &str| {
            let items = root.get(name)?.as_array()?;
            Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
        let is = |name: &str| root.get(name).and_then(Value::as_bool).unwrap_or_default();
        Ok(Self {
            issuer: found.to_owned(),
            authorization_endpoint: required("authorization_endpoint")?,
            token_endpoint: required("token_endpoint")?,
            revocation_endpoint: address("revocation_endpoint")?,
            introspection_endpoint: address("introspection_endpoint")?,
            registration_endpoint: address("registration_endpoint")?,
            jwks_uri: address("jwks_uri")?,
            scopes_supported: list("scopes_supported"),
            token_endpoint_auth_methods_supported: list("token_endpoint_auth_methods_supported"),
            code_challenge_methods_supported: list("code_challenge_methods_supported"),
            authorization_response_iss_parameter_supported: is(
                "authorization_response_iss_parameter_supported",
            ),
            client_id_metadata_document_supported: is("client_id_metadata_document_supported"),
        })
    }

    /// Whether a token may name this issuer: the server's own, or one that fits the definition's pattern if the metadata
    /// leaves its fields open. Such an issuer is bound to the connection from then on.
    pub fn takes_issuer(&self, discovery: &Discovery, issuer: &str) -> bool {
        let pattern = discovery.issuer_pattern.as_ref().filter(|pattern| pattern.to_string() == self.issuer);
        match pattern {
            Some(pattern) => fits(pattern, issuer, false),
            None => self.issuer == issuer,
        }
    }
}

/// Whether metadata names the issuer that was asked for: byte for byte, or without the slash that makes a URL of a host.
fn is_same_issuer(found: &str, issuer: &Url) -> bool {
    let issuer = issuer.as_str();
    found == issuer || (issuer.strip_suffix('/') == Some(found) && issuer.matches('/').count() == 3)
}

/// Whether a text is the pattern with one segment in place of each field, or (`with_fields`) the pattern itself.
fn fits(pattern: &UrlTemplate, text: &str, with_fields: bool) -> bool {
    let pattern = pattern.to_string();
    if with_fields && pattern == text {
        return true;
    }
    let is_value = |text: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !text.is_empty() && text.bytes().all(legal) && !matches!(text, "." | "..")
    };
    let (mut own, mut parts) = (text.split('/'), pattern.split('/'));
    loop {
        match (own.next(), parts.next()) {
            (None, None) => return true,
            (Some(segment), Some(part)) => {
                let is_field = part.starts_with('{') && part.ends_with('}');
                if if is_field { !is_value(segment) } else { segment != part } {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// An address in metadata that may be called, or be in a `Location`.
fn address(root: &Value, name: &'static str, allow_loopback: bool) -> Result<Option<Url>, MetadataError> {
    let Some(value) = root.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let url = value.as_str().and_then(|text| Url::parse(text).ok());
    url.filter(|url| is_plain(url, allow_loopback)).map(Some).ok_or(MetadataError::Address(name))
}

/// Whether an address that was found may be called, or be in a `Location`: https without user name and fragment, or http on
/// this machine where that is allowed.
pub(crate) fn is_plain(url: &Url, allow_loopback: bool) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(host)) => host == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback && allow_loopback);
    is_safe && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::values::text::Text as _;

    const ISSUER: &str = "https://a.example/tenant";

    fn discovery(pattern: Option<&str>) -> Discovery {
        let template = |text: &str| UrlTemplate::parse(text).unwrap();
        Discovery { issuer: template(ISSUER), issuer_pattern: pattern.map(template) }
    }

    fn document(changes: &[(&str, Value)]) -> Value {
        let mut document = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://login.example/authorize",
            "token_endpoint": "https://a.example/token",
            "jwks_uri": "https://a.example/keys",
        });
        for (name, value) in changes {
            document[*name] = value.clone();
        }
        document
    }

    fn read(
        changes: &[(&str, Value)],
        pattern: Option<&str>,
        allow_loopback: bool,
    ) -> Result<ServerMetadata, MetadataError> {
        let document = Document::json(document(changes).to_string().as_bytes()).unwrap();
        let discovery = discovery(pattern);
        ServerMetadata::read(
            &document,
            discovery.issuer_pattern.as_ref(),
            &Url::parse(ISSUER).unwrap(),
            allow_loopback,
        )
    }

    #[test]
    fn well_known_addresses_are_those_of_the_specifications() {
        let addresses = |issuer: &str, order| -> Vec<String> {
            well_known(&Url::parse(issuer).unwrap(), order).into_iter().map(String::from).collect()
        };
        assert_eq!(
            addresses("https://a.example/t/1", WellKnown::OAuth),
            [
                "https://a.example/.well-known/oauth-authorization-server/t/1",
                "https://a.example/.well-known/openid-configuration/t/1",
                "https://a.example/t/1/.well-known/openid-configuration",
            ]
        );
        assert_eq!(
            addresses("https://a.example/t/1/", WellKnown::Oidc),
            [
                "https://a.example/t/1/.well-known/openid-configuration",
                "https://a.example/.well-known/openid-configuration/t/1",
            ]
        );
        assert_eq!(
            addresses("https://a.example", WellKnown::OAuth),
            [
                "https://a.example/.well-known/oauth-authorization-server",
                "https://a.example/.well-known/openid-configuration",
            ]
        );
    }

    #[test]
    fn the_issuer_is_the_one_that_was_asked_for() {
        assert_eq!(read(&[], None, false).unwrap().issuer, ISSUER);
        for other in [
            "https://a.example/tenant/",
            "https://a.example",
            "https://A.example/tenant",
            "https://evil.example",
            "",
        ] {
            assert_eq!(read(&[("issuer", json!(other))], None, false), Err(MetadataError::Issuer), "{other}");
        }
        assert_eq!(read(&[("issuer", json!(null))], None, false), Err(MetadataError::Missing("issuer")));
        let root = Url::parse("https://a.example").unwrap();
        assert!(is_same_issuer("https://a.example", &root) && is_same_issuer("https://a.example/", &root));
    }

    #[test]
    fn a_pattern_leaves_segments_open_and_nothing_else() {
        let pattern = "https://login.example/{tenantid}/v2.0";
        let with = |issuer: &str| read(&[("issuer", json!(issuer))], Some(pattern), false);
        let template = with(pattern).unwrap();
        let concrete = with("https://login.example/9188040d/v2.0").unwrap();
        for bad in [
            "https://login.example/v2.0",
            "https://login.example//v2.0",
            "https://login.example/a/b/v2.0",
            "https://login.example/../v2.0",
            "https://login.example/a%2fb/v2.0",
            "https://evil.example/9188040d/v2.0",
            "https://login.example/9188040d/v2.0/",
            "https://login.example/9188040d/v2.0?x",
            "https://login.example/{other}/v2.0",
        ] {
            assert_eq!(with(bad), Err(MetadataError::Issuer), "{bad}");
        }
        let discovery = discovery(Some(pattern));
        for (metadata, issuer, is_taken) in [
            (&template, "https://login.example/9188040d/v2.0", true),
            (&template, "https://login.example/other/v2.0", true),
            (&template, "https://evil.example/9188040d/v2.0", false),
            (&template, pattern, false),
            (&concrete, "https://login.example/9188040d/v2.0", true),
            (&concrete, "https://login.example/other/v2.0", false),
        ] {
            assert_eq!(metadata.takes_issuer(&discovery, issuer), is_taken, "{issuer}");
        }
    }

    #[test]
    fn addresses_are_safe_to_send_users_and_secrets_to() {
        for name in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "revocation_endpoint",
            "registration_endpoint",
        ] {
            for bad in [
                json!("http://a.example/x"),
                json!("https://user@a.example/x"),
                json!("https://:password@a.example/x"),
                json!("https://a.example/x#y"),
                json!("javascript:alert(1)"),
                json!("http://127.0.0.1.evil.example/"),
                json!("/relative"),
                json!(7),
            ] {
                assert_eq!(
                    read(&[(name, bad.clone())], None, true),
                    Err(MetadataError::Address(name)),
                    "{bad}"
                );
            }
            let loopback = json!("http://127.0.0.1:9000/x");
            assert!(read(&[(name, loopback.clone())], None, true).is_ok());
            assert_eq!(read(&[(name, loopback)], None, false), Err(MetadataError::Address(name)));
        }
        for name in ["authorization_endpoint", "token_endpoint"] {
            assert_eq!(read(&[(name, json!(null))], None, false), Err(MetadataError::Missing(name)));
        }
        assert_eq!(read(&[("jwks_uri", json!(null))], None, false).unwrap().jwks_uri, None);
    }
}
