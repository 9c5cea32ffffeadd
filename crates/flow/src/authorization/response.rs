//! The answer to a client's authorization request (RFC 6749 sections 4.1.2 and 4.1.2.1).

use causeway_domain::authorization::AuthRequest;
use causeway_types::secret::{Code, PlainToken};
use causeway_types::{ErrorCode, ResponseMode, WireText};
use url::form_urlencoded;

/// How the browser takes the answer to the client. It may carry a code: never log it.
#[derive(Clone, PartialEq, Eq)]
pub enum ClientAnswer {
    /// A redirect to this address.
    Redirect(String),
    /// A form that the browser posts (OAuth 2.0 Form Post Response Mode).
    FormPost {
        /// The redirect URI.
        action: String,
        /// The form's fields.
        fields: Vec<(&'static str, String)>,
        /// The user's preferred languages, as the client requested them.
        ui_locales: Option<String>,
    },
}

/// The destination and form of an answer.
#[derive(Clone, Copy)]
pub(crate) struct ReplyTo<'a> {
    pub(crate) redirect_uri: &'a str,
    pub(crate) mode: ResponseMode,
    pub(crate) state: Option<&'a str>,
    pub(crate) issuer: &'a str,
    pub(crate) ui_locales: Option<&'a str>,
}

impl<'a> ReplyTo<'a> {
    fn of(request: &'a AuthRequest, issuer: &'a str) -> Self {
        let (redirect_uri, state) = (&request.redirect_uri, request.state.as_deref());
        let ui_locales = request.ui_locales.as_deref();
        Self { redirect_uri, mode: request.response_mode, state, issuer, ui_locales }
    }
}

impl ClientAnswer {
    /// The success: `code`, `state`, `iss`.
    pub(crate) fn with_code(request: &AuthRequest, issuer: &str, code: &PlainToken<Code>) -> Self {
        Self::build(ReplyTo::of(request, issuer), vec![("code", code.expose().to_owned())])
    }

    /// The success of a request that a device waits for: the browser gets no code.
    pub(crate) fn of_device(request: &AuthRequest) -> Self {
        Self::Redirect(request.redirect_uri.clone())
    }

    /// The refusal: `error`, `error_description`, `state`, `iss`.
    pub(crate) fn with_error(
        request: &AuthRequest,
        issuer: &str,
        code: ErrorCode,
        description: &str,
    ) -> Self {
        Self::error_to(ReplyTo::of(request, issuer), code, description)
    }

    /// Its destination: the redirect URI, with the response parameters if it is a redirect.
    pub fn address(&self) -> &str {
        match self {
            Self::Redirect(address) | Self::FormPost { action: address, .. } => address,
        }
    }

    /// A refusal before there is a stored request.
    pub(crate) fn error_to(to: ReplyTo<'_>, code: ErrorCode, description: &str) -> Self {
        let (code, description) = (code.as_str().to_owned(), WireText::new(description).to_string());
        Self::build(to, vec![("error", code), ("error_description", description)])
    }

    /// Appends to the URI byte for byte as it was registered: a parser would normalize it.
    fn build(to: ReplyTo<'_>, mut fields: Vec<(&'static str, String)>) -> Self {
        if let Some(state) = to.state {
            fields.push(("state", state.to_owned()));
        }
        fields.push(("iss", to.issuer.to_owned()));
        let redirect_uri = to.redirect_uri;
        let separator = match to.mode {
            ResponseMode::FormPost => {
                let ui_locales = to.ui_locales.map(str::to_owned);
                return Self::FormPost { action: redirect_uri.to_owned(), fields, ui_locales };
            }
            ResponseMode::Fragment => '#',
            ResponseMode::Query if redirect_uri.contains('?') => '&',
            ResponseMode::Query => '?',
        };
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        Self::Redirect(format!("{redirect_uri}{separator}{query}"))
    }
}

impl std::fmt::Debug for ClientAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Redirect(to) => write!(f, "Redirect({}…)", to.split(['?', '#']).next().unwrap_or_default()),
            Self::FormPost { action, .. } => write!(f, "FormPost({action})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(redirect_uri: &str, mode: ResponseMode) -> ClientAnswer {
        let (state, issuer) = (Some("a b&c"), "https://as.example");
        let to = ReplyTo { redirect_uri, mode, state, issuer, ui_locales: None };
        ClientAnswer::error_to(to, ErrorCode::AccessDenied, "no")
    }

    #[test]
    fn keeps_the_registered_query() {
        let params = "error=access_denied&error_description=no&state=a+b%26c&iss=https%3A%2F%2Fas.example";
        for (uri, mode, prefix) in [
            ("https://app.example/cb?x=%20", ResponseMode::Query, "https://app.example/cb?x=%20&"),
            ("com.example.app:/cb", ResponseMode::Query, "com.example.app:/cb?"),
            ("https://app.example/cb?x=%20", ResponseMode::Fragment, "https://app.example/cb?x=%20#"),
        ] {
            assert_eq!(to(uri, mode), ClientAnswer::Redirect(format!("{prefix}{params}")));
        }
    }

    #[test]
    fn a_form_carries_the_values_as_they_are() {
        let ClientAnswer::FormPost { action, fields, .. } =
            to("https://app.example/cb?x=1", ResponseMode::FormPost)
        else {
            panic!("no form");
        };
        assert_eq!(action, "https://app.example/cb?x=1");
        assert!(fields.contains(&("state", "a b&c".to_owned())));
    }
}
