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
mod connect;
mod consent;
mod data_deletion;
mod device;
mod error;
mod form_post;
mod home;
mod host;
mod lang;
mod logout;
mod notice;
mod problem;
mod scope_words;
mod shell;
mod sign_in;
mod text;
mod time;

pub use self::account::{AccountCard, AccountPage, AppLine};
pub use self::assets::{
    ASSETS, Asset, CSS, CSS_HREF, DEMO_JS, DEMO_JS_HREF, FAVICON_HREF, FAVICON_SVG, FORM_POST_JS_HREF,
};
pub use self::choose::ChoosePage;
pub use self::connect::{
    ConnectDonePage, ConnectField, ConnectForm, ConnectOffer, ConnectPage, ConnectTrouble,
};
pub use self::consent::{AskedScopes, CONSENT_ACTION, ConsentPage, ConsentServer};
pub use self::data_deletion::DataDeletionPage;
pub use self::device::{DEVICE_ACTION, DEVICE_CONFIRM_ACTION, DeviceConfirmPage, DeviceDonePage, DevicePage};
pub use self::error::{ErrorPage, Onward};
pub use self::form_post::FormPostPage;
pub use self::home::{DemoPage, HomePage};
pub use self::host::{asking_host, client_host, client_name, device_host, host_of, identity_host};
pub use self::lang::Lang;
pub use self::logout::{LOGOUT_ACTION, LogoutAccount, LogoutPage, SignedOutPage};
pub use self::notice::{AccountNotice, DeviceTrouble};
pub use self::problem::{NotConnected, Problem};
pub use self::scope_words::{ScopeGroup, ScopeItem, ScopeLine};
pub use self::sign_in::{SIGN_IN_ACTION, SignInPage};

#[cfg(test)]
mod tests;
