//! Connecting an account at a provider: who asks for what, and the result.

use askama::Template;

use super::lang::Lang;
use super::shell::{Client, Shell};

/// A provider that the user may choose.
#[derive(Clone)]
pub struct ConnectOffer {
    /// Its name in the form.
    pub name: String,
    /// Its name for users to read.
    pub title: String,
    /// The host that users are sent to, where the title does not say it.
    pub host: Option<String>,
    /// The scopes that are requested, in the provider's own words.
    pub scopes: Vec<String>,
}

/// Asks the user to connect an account. The form posts `form_token`, and `provider` or `decision=deny`, to the address of
/// the page.
#[derive(Clone)]
pub struct ConnectPage {
    /// The name that the client gave itself; not to be trusted unless it is verified.
    pub client_name: String,
    /// The host of the client.
    pub client_host: String,
    /// The host that is the client's identity, if it has one.
    pub identity: Option<String>,
    /// Whether somebody vouches for the client.
    pub is_verified: bool,
    /// The host that the user returns to; `None`: nowhere.
    pub return_host: Option<String>,
    /// The providers to choose from.
    pub offers: Vec<ConnectOffer>,
    /// Whether the client uses the account while the user is away.
    pub is_background: bool,
    /// Whether an account is connected again.
    pub is_reconnection: bool,
    /// Proves that the form was made for this browser.
    pub form_token: String,
}

#[derive(Template)]
#[template(path = "connect.html")]
struct ConnectView<'a> {
    shell: Shell,
    client: Client<'a>,
    page: &'a ConnectPage,
}

impl ConnectPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        let client = Client::new(&self.client_name, &self.client_host);
        ConnectView { shell: Shell::of(lang), client, page: self }.render()
    }
}

/// Says that the account is connected, to a user who returns nowhere.
#[derive(Clone)]
pub struct ConnectDonePage {
    /// The provider's name for users to read.
    pub provider: String,
}

#[derive(Template)]
#[template(path = "connect_done.html")]
struct ConnectDoneView<'a> {
    shell: Shell,
    page: &'a ConnectDonePage,
}

impl ConnectDonePage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        ConnectDoneView { shell: Shell::of(lang), page: self }.render()
    }
}
