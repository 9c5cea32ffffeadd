//! The sign-in page.

use askama::Template;
use causeway_flow::upstream::connect::SignInTrouble;

use super::lang::Lang;
use super::shell::{Client, Shell};

/// Where the sign-in form posts to, unless the caller says otherwise.
pub const SIGN_IN_ACTION: &str = "/oauth/sign-in";

/// Asks for the account to sign in with. The form posts `request`, `identifier` and, for the cancel button,
/// `decision=deny` to [`SignInPage::action`].
#[derive(Clone)]
pub struct SignInPage {
    /// The name that the client gave itself; not to be trusted.
    pub client_name: String,
    /// The host of the redirect URI: where the user returns to.
    pub client_host: String,
    /// The initial value of the field.
    pub identifier: String,
    /// The host where the account in the field signs in: the button leads there.
    pub server_host: Option<String>,
    /// The problem with the last attempt.
    pub error: Option<SignInTrouble>,
    /// Names the pending authorization request; sent back in the hidden field `request`.
    pub request: String,
    /// Where the form posts to, see [`SIGN_IN_ACTION`].
    pub action: &'static str,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInView<'a> {
    shell: Shell,
    client: Client<'a>,
    page: &'a SignInPage,
    error: Option<&'static str>,
}

impl SignInPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        let client = Client::new(&self.client_name, &self.client_host);
        let error = self.error.map(lang.text().sign_in.trouble);
        SignInView { shell: Shell::of(lang), client, page: self, error }.render()
    }
}
