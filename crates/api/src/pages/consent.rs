//! The consent page, and scopes as pages list them.

use askama::Template;
use causeway_domain::resource::ResourceScopes;
use causeway_types::Scope;

use super::lang::Lang;
use super::scope_words::{self, ScopeGroup};
use super::shell::{Client, Shell};

/// Where the consent form posts to.
pub const CONSENT_ACTION: &str = "/oauth/consent";

/// The scopes that a client asks for.
#[derive(Clone, Default)]
pub struct AskedScopes {
    /// In plain words, by kind.
    pub groups: Vec<ScopeGroup>,
    /// The values as they are on the wire.
    pub values: Vec<String>,
}

impl AskedScopes {
    /// A scope in words. `contents` is the scope that the authorization server granted: it lists the contents
    /// of permission sets. The words for resource scopes are the operator's.
    pub fn new(lang: Lang, scope: &Scope, contents: &Scope, resource_scopes: &ResourceScopes) -> Self {
        Self {
            groups: scope_words::describe(scope, contents, resource_scopes, &lang.text().scopes),
            values: scope.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Asks the user to consent to the client's request. The form posts `request` and `decision` (`allow` or
/// `deny`), and `remember=yes` where that is offered, to [`CONSENT_ACTION`].
#[derive(Clone)]
pub struct ConsentPage {
    /// The name that the client gave itself; not to be trusted.
    pub client_name: String,
    /// The host of the redirect URI: where the user returns to.
    pub client_host: String,
    /// The host that is the client's identity, if it has one: its document is there.
    pub identity: Option<String>,
    /// Whether it is this client that asks, as far as it has an identity.
    pub verified: bool,
    /// The handle, if it is verified in both directions.
    pub handle: Option<String>,
    /// The account.
    pub did: String,
    /// The host of the account's PDS.
    pub pds_host: String,
    /// The scopes that the client asks for.
    pub scopes: AskedScopes,
    /// Whether a device waits for the answer: the user goes back to it, not to an address.
    pub device: bool,
    /// The MCP servers that the client is to use.
    pub servers: Vec<ConsentServer>,
    /// Whether the user can choose not to be asked again.
    pub may_remember: bool,
    /// Names the pending authorization request; sent back in the hidden field `request`.
    pub request: String,
}

/// An MCP server that a client asks to use.
#[derive(Clone)]
pub struct ConsentServer {
    /// Its name.
    pub title: String,
    /// Whether the user has connected it; if not, the user goes there next.
    pub is_connected: bool,
}

/// Items of a line that are shown at once; the rest is behind a click.
const SHOWN: usize = 6;

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentView<'a> {
    shell: Shell,
    client: Client<'a>,
    page: &'a ConsentPage,
    action: &'static str,
    /// The identity, if it is verified.
    verified: Option<&'a str>,
}

impl ConsentPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        let mut client = Client::new(&self.client_name, &self.client_host);
        if let Some(identity) = self.identity.as_ref().filter(|_| client.name == client.host) {
            client.name.clone_from(identity);
        }
        let verified = self.identity.as_deref().filter(|_| self.verified);
        ConsentView { shell: Shell::of(lang), client, page: self, action: CONSENT_ACTION, verified }.render()
    }
}
