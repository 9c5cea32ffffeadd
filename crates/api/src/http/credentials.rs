//! Client credentials of a request (RFC 6749 section 2.3), and access tokens (RFC 6750 section 2, RFC 9449
//! section 7.1).

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_flow::client::assertion::ASSERTION_TYPE;
use causeway_flow::client::authentication::{ClientProof, Credentials};
use causeway_types::secret::{Access, PlainToken};
use causeway_types::{ClientId, Secret, TokenType};

use crate::bodies::forms::ClientCredentials;
use crate::http::form::{Params, decode, take_fields};
use crate::http::request;

/// Why credentials could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CredentialsError {
    #[error("client_id is missing: name the client in the body, or authenticate with HTTP Basic")]
    Missing,
    #[error("the Authorization header is not HTTP Basic with form-encoded client_id and client_secret")]
    Basic,
    #[error("the request authenticates the client in more than one way: use one")]
    Several,
    #[error("client_id in the body is not the one in the Authorization header")]
    Differ,
    #[error("client_assertion needs client_assertion_type={ASSERTION_TYPE}")]
    AssertionType,
    #[error("client_assertion is missing beside client_assertion_type")]
    NoAssertion,
}

/// Takes the client's credentials out of a request.
pub(crate) fn client_credentials(
    req: &HttpRequest,
    params: &mut Params,
) -> Result<Credentials, CredentialsError> {
    let sent = take_fields!(params => ClientCredentials {
        client_id, client_secret, client_assertion_type, client_assertion,
    });
    let assertion = client_assertion(sent.client_assertion_type, sent.client_assertion)?;
    let (id, secret) = (sent.client_id, sent.client_secret);
    let mut headers = req.headers().get_all(AUTHORIZATION);
    let header = headers.next();
    let ways = [header.is_some(), headers.next().is_some(), secret.is_some(), assertion.is_some()];
    if ways.into_iter().filter(|used| *used).count() > 1 {
        return Err(CredentialsError::Several);
    }
    if let Some(header) = header {
        return basic_credentials(header, id);
    }
    let address = request::address();
    let proof = match (secret, assertion) {
        (_, Some(assertion)) => {
            let proof = ClientProof::Assertion(assertion);
            return Ok(Credentials { client_id: id.map(ClientId::new), proof, address });
        }
        (Some(secret), None) => ClientProof::Post(PlainToken::presented(secret)),
        (None, None) => ClientProof::None,
    };
    Ok(Credentials { client_id: Some(ClientId::new(id.ok_or(CredentialsError::Missing)?)), proof, address })
}

/// The assertion of a request (RFC 7521 section 4.2).
fn client_assertion(
    kind: Option<String>,
    assertion: Option<Secret>,
) -> Result<Option<Secret>, CredentialsError> {
    match (kind, assertion) {
        (None, None) => Ok(None),
        (Some(kind), Some(assertion)) if kind == ASSERTION_TYPE => Ok(Some(assertion)),
        (_, Some(_)) => Err(CredentialsError::AssertionType),
        (Some(_), None) => Err(CredentialsError::NoAssertion),
    }
}

fn basic_credentials(header: &HeaderValue, id: Option<String>) -> Result<Credentials, CredentialsError> {
    let (basic_id, basic_secret) =
        header.to_str().ok().and_then(parse_basic).ok_or(CredentialsError::Basic)?;
    if id.is_some_and(|id| id != basic_id) {
        return Err(CredentialsError::Differ);
    }
    // Some libraries write a public client's name into the header, with an empty secret.
    let proof = match basic_secret.as_str() {
        "" => ClientProof::None,
        _ => ClientProof::Basic(PlainToken::presented(basic_secret)),
    };
    Ok(Credentials { client_id: Some(ClientId::new(basic_id)), proof, address: request::address() })
}

/// Both halves are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn parse_basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((decode(id.as_bytes()).ok()?, decode(secret.as_bytes()).ok()?))
}

/// How a request presents an access token.
#[derive(Debug)]
pub(crate) enum Presented {
    /// Not at all.
    Nothing,
    /// Once.
    Token(TokenType, PlainToken<Access>),
    /// In a way that cannot be read, or in more than one.
    Malformed(&'static str),
}

/// The access token of a request: in the header, or in a form body (`body`), never in the query.
pub(crate) fn access_token(req: &HttpRequest, body: Option<String>) -> Presented {
    let mut headers = req.headers().get_all(AUTHORIZATION);
    let header = headers.next();
    if headers.next().is_some() {
        return Presented::Malformed("more than one Authorization header");
    }
    match (header, body) {
        (None, None) => Presented::Nothing,
        (None, Some(token)) => Presented::Token(TokenType::Bearer, PlainToken::presented(token)),
        (Some(_), Some(_)) => Presented::Malformed("the access token was sent in more than one way"),
        (Some(header), None) => {
            let parts = header.to_str().ok().and_then(|value| value.split_once(' '));
            let known = parts.and_then(|(scheme, token)| {
                let schemes = [TokenType::Bearer, TokenType::Dpop];
                let scheme = schemes.into_iter().find(|known| scheme.eq_ignore_ascii_case(known.as_str()))?;
                Some(Presented::Token(scheme, PlainToken::presented(token.trim())))
            });
            known.unwrap_or(Presented::Malformed(
                "the Authorization header must be Bearer ACCESS_TOKEN, or DPoP ACCESS_TOKEN for a bound token",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn basic_is_form_decoded() {
        let header = format!("Basic {}", STANDARD.encode("a%3Ab+c:p%40s%3Ds"));
        assert_eq!(parse_basic(&header), Some(("a:b c".to_owned(), "p@s=s".to_owned())));
        for bad in ["Basic", "Basic !", "Bearer abc", &format!("Basic {}", STANDARD.encode("no-colon"))] {
            assert_eq!(parse_basic(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_basic_header_is_read_or_refused(header in "([Bb]asic |Bearer )?.{0,80}", bytes in any::<Vec<u8>>()) {
            let _ = parse_basic(&header);
            let _ = parse_basic(&format!("Basic {}", STANDARD.encode(&bytes)));
        }

        #[test]
        fn what_a_client_encodes_is_what_we_read(id in "[^\\p{Cc}]{0,20}", secret in "[^\\p{Cc}]{0,20}") {
            let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let header = format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(&id), encode(&secret))));
            prop_assert_eq!(parse_basic(&header), Some((id, secret)));
        }
    }
}
