//! The account chooser: for a browser that knows several accounts, or when the app asks for it.

use askama::Template;

use super::lang::Lang;
use super::logout::LogoutAccount;
use super::shell::{Client, Shell};
use super::sign_in::SIGN_IN_ACTION;

/// Asks which account to sign in with. Its forms post `request` and `identifier` (a DID), or `decision` (`other`
/// or `deny`), to [`SIGN_IN_ACTION`]; the answer leaves this origin: serve it without `form-action`.
#[derive(Clone)]
pub struct ChoosePage {
    /// The name that the client gave itself; not to be trusted.
    pub client_name: String,
    /// The host of the redirect URI: where the user returns to.
    pub client_host: String,
    /// The accounts that this browser knows.
    pub accounts: Vec<LogoutAccount>,
    /// Names the pending authorization request; sent back in the hidden field `request`.
    pub request: String,
}

#[derive(Template)]
#[template(path = "choose.html")]
struct ChooseView<'a> {
    shell: Shell,
    client: Client<'a>,
    page: &'a ChoosePage,
    action: &'static str,
}

impl ChoosePage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        let client = Client::new(&self.client_name, &self.client_host);
        ChooseView { shell: Shell::of(lang), client, page: self, action: SIGN_IN_ACTION }.render()
    }
}
