//! Logging out: the question, and the result.

use askama::Template;

use super::error::Onward;
use super::lang::Lang;
use super::shell::{Client, Shell};

/// Where the question's form posts to.
pub const LOGOUT_ACTION: &str = "/oauth/logout/confirm";

/// Asks whether to sign out of an app. The form posts `decision` (`sign-out` or `stay`) and the request's
/// parameters to [`LOGOUT_ACTION`]; its answer may lead to the client: serve it without `form-action`.
#[derive(Clone)]
pub struct LogoutPage {
    /// The name that the client gave itself; not to be trusted.
    pub client_name: String,
    /// Where the user goes afterwards, or where the client's answers go.
    pub client_host: String,
    /// The accounts that it is about.
    pub accounts: Vec<LogoutAccount>,
    /// Proves that the form was made for this browser.
    pub form_token: String,
    /// The parameters of the request.
    pub fields: Vec<(&'static str, String)>,
}

/// An account that may be signed out.
#[derive(Clone)]
pub struct LogoutAccount {
    /// The account.
    pub did: String,
    /// The handle, if it is verified in both directions.
    pub handle: Option<String>,
}

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutView<'a> {
    shell: Shell,
    client: Client<'a>,
    page: &'a LogoutPage,
    action: &'static str,
}

impl LogoutPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        let client = Client::new(&self.client_name, &self.client_host);
        LogoutView { shell: Shell::of(lang), client, page: self, action: LOGOUT_ACTION }.render()
    }
}

/// Says that the user is signed out of an app, when the app names no address to return to, or none that they
/// are sent to without being asked.
#[derive(Clone)]
pub struct SignedOutPage {
    /// The name that the client gave itself; not to be trusted.
    pub client_name: String,
    /// Where its answers go; `None`: the client has been deleted.
    pub client_host: Option<String>,
    /// Where the user may go on to: a link.
    pub onward: Option<Onward>,
}

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutView<'a> {
    shell: Shell,
    client: Option<Client<'a>>,
    onward: Option<&'a Onward>,
}

impl SignedOutPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        let client = self.client_host.as_deref().map(|host| Client::new(&self.client_name, host));
        SignedOutView { shell: Shell::of(lang), client, onward: self.onward.as_ref() }.render()
    }
}
