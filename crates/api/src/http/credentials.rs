//! Client credentials of a request (RFC 6749 section 2.3), and bearer tokens (RFC 6750 section 2).

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_domain::ClientId;
use causeway_domain::secret::{Access, PlainToken};
use causeway_flow::clients::{ClientProof, Credentials};

use crate::http::form::{Params, decode};

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
}

/// Takes the client's credentials out of a request.
pub(crate) fn client_credentials(
    req: &HttpRequest,
    params: &mut Params,
) -> Result<Credentials, CredentialsError> {
    let id = params.take("client_id");
    let secret = params.take("client_secret");
    let mut headers = req.headers().get_all(AUTHORIZATION);
    let header = headers.next();
    if headers.next().is_some() {
        return Err(CredentialsError::Several);
    }
    let Some(header) = header else {
        let client_id = ClientId::new(id.ok_or(CredentialsError::Missing)?);
        let proof =
            secret.map_or(ClientProof::None, |secret| ClientProof::Post(PlainToken::presented(secret)));
        return Ok(Credentials { client_id, proof });
    };
    if secret.is_some() {
        return Err(CredentialsError::Several);
    }
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
    Ok(Credentials { client_id: ClientId::new(basic_id), proof })
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
    Token(PlainToken<Access>),
    /// In a way that cannot be read, or in more than one.
    Malformed(&'static str),
}

/// The access token of a request: in the header, or in a form body (`body`), never in the query.
pub(crate) fn bearer_token(req: &HttpRequest, body: Option<String>) -> Presented {
    let mut headers = req.headers().get_all(AUTHORIZATION);
    let header = headers.next();
    if headers.next().is_some() {
        return Presented::Malformed("more than one Authorization header");
    }
    match (header, body) {
        (None, None) => Presented::Nothing,
        (None, Some(token)) => Presented::Token(PlainToken::presented(token)),
        (Some(_), Some(_)) => Presented::Malformed("the access token was sent in more than one way"),
        (Some(header), None) => match header.to_str().ok().and_then(|value| value.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Presented::Token(PlainToken::presented(token.trim()))
            }
            _ => Presented::Malformed("the Authorization header must be: Bearer ACCESS_TOKEN"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_form_decoded() {
        let header = format!("Basic {}", STANDARD.encode("a%3Ab+c:p%40s%3Ds"));
        assert_eq!(parse_basic(&header), Some(("a:b c".to_owned(), "p@s=s".to_owned())));
        for bad in ["Basic", "Basic !", "Bearer abc", &format!("Basic {}", STANDARD.encode("no-colon"))] {
            assert_eq!(parse_basic(bad), None, "{bad}");
        }
    }
}
