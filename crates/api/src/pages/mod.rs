//! The pages that users see, rendered on the server with askama.
//!
//! Each page is a plain struct with a `render` function: no HTTP types, no I/O, and every value that comes
//! from outside is escaped by the template. The words live in [`text`], one table a language; the caller says
//! which one ([`Lang`]). Nothing here needs inline script or style; the only script is [`DEMO_JS`] on the demo page.
//!
//! The sign-in and consent forms answer with redirects that leave this origin, which browsers refuse under
//! `form-action 'self'`: serve those two pages without a `form-action` directive.

mod account;
mod assets;
mod choose;
mod device;
mod host;
mod lang;
mod logout;
mod problem;
mod scope_words;
mod text;
mod time;

use askama::Template;
use causeway_domain::{ResourceScopes, Scope};
use causeway_flow::ClientAnswer;
use causeway_flow::upstream::atproto::sign_in::SignInTrouble;

pub use self::account::{AccountCard, AccountNotice, AccountPage, AppLine};
pub use self::assets::{
    ASSETS, Asset, CSS, CSS_HREF, DEMO_JS, DEMO_JS_HREF, FAVICON_HREF, FAVICON_SVG, FORM_POST_JS_HREF,
};
pub use self::choose::ChoosePage;
pub use self::device::{
    DEVICE_ACTION, DEVICE_CONFIRM_ACTION, DeviceConfirmPage, DeviceDonePage, DevicePage, DeviceTrouble,
};
pub use self::host::{asking_host, client_host, client_name, device_host, host_of, identity_host};
pub use self::lang::Lang;
pub use self::logout::{LOGOUT_ACTION, LogoutAccount, LogoutPage, SignedOutPage};
pub use self::problem::Problem;
pub use self::scope_words::{ScopeGroup, ScopeItem, ScopeLine};
use self::text::{ProblemWords, Text};

/// Where the consent form posts to.
pub const CONSENT_ACTION: &str = "/oauth/consent";
/// Where the sign-in form posts to, unless the caller says otherwise.
pub const SIGN_IN_ACTION: &str = "/oauth/sign-in";

/// Data that every template gets besides its own page.
#[derive(Clone, Copy)]
struct Shell {
    text: &'static Text,
    css: &'static str,
    demo_js: &'static str,
    icon: &'static str,
}

impl Shell {
    const fn of(lang: Lang) -> Self {
        Self { text: lang.text(), css: CSS_HREF, demo_js: DEMO_JS_HREF, icon: FAVICON_HREF }
    }
}

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
    /// Whether the user can choose not to be asked again.
    pub may_remember: bool,
    /// Names the pending authorization request; sent back in the hidden field `request`.
    pub request: String,
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

/// Brings an answer to the client by a form (OAuth 2.0 Form Post Response Mode): a script sends it on,
/// and without scripts there is a button. The form leads to the client: serve it without `form-action`.
pub struct FormPostPage {
    /// The redirect URI.
    pub action: String,
    /// The fields. They may hold a code.
    pub fields: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPostView<'a> {
    shell: Shell,
    page: &'a FormPostPage,
    script: &'static str,
}

impl FormPostPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        FormPostView { shell: Shell::of(lang), page: self, script: FORM_POST_JS_HREF }.render()
    }
}

/// Says what happened and what to do about it.
#[derive(Clone)]
pub struct ErrorPage {
    /// The HTTP status that the page is sent with.
    pub status: u16,
    /// The problem.
    pub problem: Problem,
    /// Details for the developers of the app that is at fault, in English.
    pub detail: Option<String>,
    /// The error code, as an OAuth client would see it.
    pub code: String,
    /// The request id, for finding the request in the log.
    pub request_id: String,
    /// Where the user may go on to.
    pub onward: Option<Onward>,
}

/// A link or form that leads on to an app with an answer for it; the user need not trust the app.
#[derive(Clone)]
pub struct Onward {
    /// The host that it leads to.
    pub host: String,
    /// The address.
    pub address: String,
    /// The fields of a form that leads there; `None`: a link.
    pub fields: Option<Vec<(&'static str, String)>>,
}

impl Onward {
    /// A link.
    pub fn to(address: String) -> Self {
        Self { host: host_of(&address), address, fields: None }
    }

    /// A link or form for an answer.
    pub fn of(answer: ClientAnswer) -> Self {
        match answer {
            ClientAnswer::Redirect(address) => Self::to(address),
            ClientAnswer::FormPost { action, fields, .. } => {
                Self { fields: Some(fields), ..Self::to(action) }
            }
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorView<'a> {
    shell: Shell,
    page: &'a ErrorPage,
    words: ProblemWords,
}

impl ErrorPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        let words = (lang.text().error.problem)(self.problem);
        ErrorView { shell: Shell::of(lang), page: self, words }.render()
    }
}

/// The page at `/` in demo mode: a whole sign-in as an ordinary public client, run by [`DEMO_JS`].
#[derive(Clone)]
pub struct DemoPage {
    /// This server's issuer, an origin.
    pub issuer: String,
    /// The public client whose redirect URI is the issuer with a slash.
    pub client_id: String,
}

#[derive(Template)]
#[template(path = "demo.html")]
struct DemoView<'a> {
    shell: Shell,
    page: &'a DemoPage,
}

impl DemoPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        DemoView { shell: Shell::of(lang), page: self }.render()
    }
}

/// The page at `/` when the demo is off.
#[derive(Clone)]
pub struct HomePage {
    /// This server's issuer, an origin.
    pub issuer: String,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomeView<'a> {
    shell: Shell,
    page: &'a HomePage,
}

impl HomePage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        HomeView { shell: Shell::of(lang), page: self }.render()
    }
}

/// A client as pages show it.
struct Client<'a> {
    name: String,
    host: &'a str,
    /// Whether the redirect URI leads to this very device.
    on_this_device: bool,
}

impl<'a> Client<'a> {
    /// Characters of a name that are shown; a longer one would push the rest of the page out of sight.
    const NAME_CHARS: usize = 60;

    /// Shows a client without a readable name by its host, if that is known.
    fn new(name: &str, host: &'a str) -> Self {
        let mut shown = name.chars().filter(|c| !is_invisible(*c)).collect::<String>().trim().to_owned();
        if let Some((end, _)) = shown.char_indices().nth(Self::NAME_CHARS) {
            shown.truncate(end);
            shown.push('…');
        }
        let name = match (shown.contains(char::is_alphanumeric), host) {
            (true, _) => shown,
            (false, "") => "?".to_owned(),
            (false, host) => host.to_owned(),
        };
        Self { name, host, on_this_device: is_loopback(host) }
    }
}

/// Characters that show nothing and can make a name read as another: controls, direction marks, and what has
/// no width. The joiners stay: Persian and emoji need them.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a redirect host, with or without a port, is the user's own device.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]") || host == "::1"
}

#[cfg(test)]
mod tests;
