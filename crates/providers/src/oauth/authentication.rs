//! Client authentication in requests (RFC 6749 section 2.3, RFC 7523 section 2.2).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_types::Secret;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::definition::request::ClientAuthentication;
use crate::request::{Draft, RequestError, set_header};

/// The assertion type of RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The parts of a request that authenticate us as the client.
#[derive(Clone, Copy, Default)]
pub(crate) struct Proof<'a> {
    /// The secret.
    pub(crate) secret: Option<&'a Secret>,
    /// The signed assertion.
    pub(crate) assertion: Option<&'a Secret>,
}

impl Draft {
    /// Adds the client's id and its authentication. Parameters go where the others go, under the names that the provider
    /// has for them.
    ///
    /// # Errors
    /// [`RequestError::NoCredential`].
    pub(crate) fn authenticate(
        &mut self,
        method: ClientAuthentication,
        client_id: &str,
        proof: Proof<'_>,
        renamed: &BTreeMap<String, String>,
    ) -> Result<(), RequestError> {
        let secret = || proof.secret.ok_or(RequestError::NoCredential("client secret"));
        if method == ClientAuthentication::ClientSecretBasic {
            return set_header(&mut self.headers, "Authorization", &basic(client_id, secret()?));
        }
        self.parameters.set(name_of("client_id", renamed), client_id);
        match method {
            ClientAuthentication::ClientSecretBasic | ClientAuthentication::None => {}
            ClientAuthentication::ClientSecretPost => {
                self.parameters.set(name_of("client_secret", renamed), secret()?.expose());
            }
            ClientAuthentication::PrivateKeyJwt => {
                let assertion = proof.assertion.ok_or(RequestError::NoCredential("key"))?;
                self.parameters.set("client_assertion_type", JWT_BEARER);
                self.parameters.set("client_assertion", assertion.expose());
            }
        }
        Ok(())
    }
}

/// The name that a provider has for a parameter of OAuth.
pub(crate) fn name_of<'a>(name: &'a str, renamed: &'a BTreeMap<String, String>) -> &'a str {
    renamed.get(name).map_or(name, String::as_str)
}

/// Credentials for HTTP Basic, each form-encoded before (RFC 6749 section 2.3.1).
fn basic(client_id: &str, secret: &Secret) -> Zeroizing<String> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let (id, secret) = (encoded(client_id), Zeroizing::new(encoded(secret.expose())));
    let pair = Zeroizing::new(format!("{id}:{}", *secret));
    Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::definition::request::RequestBody;
    use crate::values::http::Method;

    fn authenticated(
        method: ClientAuthentication,
        secret: &str,
        renamed: &[(&str, &str)],
    ) -> (String, String) {
        let mut draft =
            Draft::new(Method::Post, Url::parse("https://a.example/t").unwrap(), RequestBody::Form);
        let renamed = renamed
            .iter()
            .map(|(name, new)| ((*name).to_owned(), (*new).to_owned()))
            .collect::<BTreeMap<_, _>>();
        let (secret, assertion) = (Secret::new(secret), Secret::new("signed"));
        let proof = Proof { secret: Some(&secret), assertion: Some(&assertion) };
        draft.authenticate(method, "our:id", proof, &renamed).unwrap();
        let request = draft.finish();
        let header = request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        (header.unwrap_or_default(), String::from_utf8(request.body.unwrap().to_vec()).unwrap())
    }

    /// RFC 6749 section 2.3.1: both are form-encoded, so that a colon in the id does not end it.
    #[test]
    fn basic_credentials_are_form_encoded() {
        let (header, body) = authenticated(ClientAuthentication::ClientSecretBasic, "p&s +%/\u{fc}", &[]);
        let decoded = STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(decoded).unwrap(), "our%3Aid:p%26s+%2B%25%2F%C3%BC");
        assert_eq!(body, "");
    }

    #[test]
    fn other_methods_are_parameters_by_the_names_of_the_provider() {
        use ClientAuthentication::{ClientSecretPost, None, PrivateKeyJwt};
        for (method, renamed, expected) in [
            (None, &[][..], "client_id=our%3Aid"),
            (ClientSecretPost, &[], "client_id=our%3Aid&client_secret=s"),
            (ClientSecretPost, &[("client_id", "client_key")], "client_key=our%3Aid&client_secret=s"),
            (
                PrivateKeyJwt,
                &[],
                "client_id=our%3Aid&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3A\
                 jwt-bearer&client_assertion=signed",
            ),
        ] {
            assert_eq!(
                authenticated(method, "s", renamed),
                (String::new(), expected.to_owned()),
                "{method:?}"
            );
        }
    }

    #[test]
    fn without_a_credential_nothing_is_made() {
        for (method, missing) in [
            (ClientAuthentication::ClientSecretBasic, "client secret"),
            (ClientAuthentication::ClientSecretPost, "client secret"),
            (ClientAuthentication::PrivateKeyJwt, "key"),
        ] {
            let mut draft =
                Draft::new(Method::Post, Url::parse("https://a.example/t").unwrap(), RequestBody::Form);
            let made = draft.authenticate(method, "id", Proof::default(), &BTreeMap::new());
            assert_eq!(made, Err(RequestError::NoCredential(missing)));
        }
    }
}
