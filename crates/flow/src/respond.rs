//! The answer to a client's authorization request: a redirect (RFC 6749 sections 4.1.2 and 4.1.2.1).

use causeway_domain::ErrorCode;
use causeway_domain::grant::AuthRequest;
use causeway_domain::secret::{Code, PlainToken};
use url::form_urlencoded;

/// Where the browser goes with the answer. It may carry a code: it is not for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientRedirect(String);

impl ClientRedirect {
    /// The success: `code`, `state`, `iss`.
    pub(crate) fn with_code(request: &AuthRequest, issuer: &str, code: &PlainToken<Code>) -> Self {
        Self::build(&request.redirect_uri, issuer, request.state.as_deref(), &[("code", code.expose())])
    }

    /// The refusal: `error`, `error_description`, `state`, `iss`.
    pub(crate) fn with_error(
        request: &AuthRequest,
        issuer: &str,
        code: ErrorCode,
        description: &str,
    ) -> Self {
        Self::error_to(&request.redirect_uri, issuer, request.state.as_deref(), code, description)
    }

    /// A refusal before there is a stored request.
    pub(crate) fn error_to(
        redirect_uri: &str,
        issuer: &str,
        state: Option<&str>,
        code: ErrorCode,
        description: &str,
    ) -> Self {
        let params = [("error", code.as_str()), ("error_description", description)];
        Self::build(redirect_uri, issuer, state, &params)
    }

    /// Adds to the URI byte for byte as it was registered: a parser would normalise it.
    fn build(redirect_uri: &str, issuer: &str, state: Option<&str>, params: &[(&str, &str)]) -> Self {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(params);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", issuer);
        let separator = if redirect_uri.contains('?') { '&' } else { '?' };
        Self(format!("{redirect_uri}{separator}{}", query.finish()))
    }

    /// The address, for the `Location` header.
    pub fn location(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ClientRedirect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientRedirect({}?…)", self.0.split('?').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_registered_query() {
        let to = |uri| {
            ClientRedirect::error_to(uri, "https://as.example", Some("a b&c"), ErrorCode::AccessDenied, "no")
                .0
        };
        assert_eq!(
            to("https://app.example/cb?x=%20"),
            "https://app.example/cb?x=%20&error=access_denied&error_description=no&state=a+b%26c&iss=https%3A%2F%2Fas.example"
        );
        assert!(to("com.example.app:/cb").starts_with("com.example.app:/cb?error=access_denied&"));
    }
}
