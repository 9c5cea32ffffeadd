//! The `WWW-Authenticate` header (RFC 9110 section 11.6.1): every parameter is limited to the characters that
//! it may hold (RFC 6750 section 3), whatever its source.

use causeway_flow::resource::dpop;
use causeway_types::{ErrorCode, TokenType, WireText};

use crate::documents::MCP_SCOPE;
use crate::http::request;

/// One challenge.
#[derive(Debug)]
pub(super) struct Challenge(String);

impl Challenge {
    /// A challenge of this scheme.
    pub(super) fn new(scheme: &str, realm: &str) -> Self {
        let mut this = Self(scheme.to_owned());
        this.0.push_str(" realm=\"");
        this.0.push_str(WireText::new(realm).as_str());
        this.0.push('"');
        this
    }

    /// A challenge for access to a resource (RFC 9728 section 5.1, RFC 9449 section 7.1).
    pub(super) fn of(scheme: TokenType) -> Self {
        let mut this = Self::new(scheme.as_str(), "causeway");
        this.add("resource_metadata", &WireText::new(&request::resource_metadata_url()));
        if request::is_protected() {
            this.name_scope(MCP_SCOPE);
        }
        if scheme == TokenType::Dpop {
            this.add("algs", &WireText::new(&dpop::ALGORITHMS.join(" ")));
        }
        this
    }

    /// Adds the error of the last attempt.
    pub(super) fn because(mut self, code: ErrorCode, description: &WireText) -> Self {
        self.add("error", &WireText::new(code.as_str()));
        self.add("error_description", description);
        self
    }

    /// Names the required scope; one that cannot be named unchanged is left out.
    pub(super) fn name_scope(&mut self, scope: &str) {
        if let Some(scope) = WireText::unchanged(scope) {
            self.add("scope", &scope);
        }
    }

    /// The header's value.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn add(&mut self, name: &str, value: &WireText) {
        self.0.extend([", ", name, "=\"", value.as_str(), "\""]);
    }
}
