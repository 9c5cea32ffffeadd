//! Connecting an account at a provider: who asks for what, and the result.

use askama::Template;
use causeway_flow::upstream::traits::FormFieldType;

use super::lang::Lang;
use super::shell::{Client, Shell};
use super::text::Connect;

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
    /// The form that is filled in here; `None`: the user is sent to the provider.
    pub form: Option<ConnectForm>,
}

/// A form whose contents are sent to a site.
#[derive(Clone)]
pub struct ConnectForm {
    /// The origin of the site.
    pub origin: String,
    /// The fields.
    pub fields: Vec<ConnectField>,
    /// The step that it answers; `None`: the sign-in begins.
    pub step: Option<String>,
    /// Why what was typed before did not do.
    pub trouble: Option<ConnectTrouble>,
}

/// A field of such a form.
#[derive(Clone)]
pub struct ConnectField {
    /// The site's name for it.
    pub name: String,
    /// The text beside the input; `None`: that of its type.
    pub label: Option<String>,
    /// Its type.
    pub kind: FormFieldType,
}

/// Why a site did not sign a user in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ConnectTrouble {
    /// It did not accept what was typed.
    Refused,
    /// It does not answer now.
    Unavailable,
    /// Its answer cannot be used.
    Unusable,
}

impl ConnectField {
    /// The type of the input, and what browsers may fill in.
    fn input(&self) -> (&'static str, &'static str) {
        match self.kind {
            FormFieldType::Text => ("text", "off"),
            FormFieldType::Email => ("email", "off"),
            FormFieldType::Password => ("password", "off"),
            FormFieldType::Otp => ("text", "one-time-code"),
        }
    }

    fn label<'a>(&'a self, text: &'a Connect) -> &'a str {
        self.label.as_deref().unwrap_or(match self.kind {
            FormFieldType::Text => text.label_text,
            FormFieldType::Email => text.label_email,
            FormFieldType::Password => text.label_password,
            FormFieldType::Otp => text.label_otp,
        })
    }
}

impl ConnectForm {
    fn trouble<'a>(&self, text: &'a Connect) -> Option<&'a str> {
        self.trouble.map(|trouble| match trouble {
            ConnectTrouble::Refused => text.refused,
            ConnectTrouble::Unavailable => text.unavailable,
            ConnectTrouble::Unusable => text.unusable,
        })
    }
}

/// Asks the user to connect an account. The form posts `form_token`, and `provider` or `decision=deny`, to the address of
/// the page.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a line of the page")]
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
    /// Whether the client uses the account while the user is there.
    pub is_device: bool,
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

impl ConnectPage {
    /// Whether every provider has a form here: nothing leads elsewhere.
    fn is_all_here(&self) -> bool {
        self.offers.iter().all(|offer| offer.form.is_some())
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
