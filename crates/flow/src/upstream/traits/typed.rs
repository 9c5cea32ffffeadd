//! Sign-ins on a page of ours, at providers that know nothing but a form.

use causeway_domain::session::SessionHead;
use causeway_providers::FormFieldType;
use causeway_providers::form::Typed;
use causeway_types::{BrowserSessionId, ClientId, Secret, SessionKind, TenantId, TenantUser};
use serde_json::{Map, Value};

use super::redeemed::Redeemed;

/// A form to fill in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInForm {
    /// The origin that what is typed is sent to.
    pub origin: String,
    /// The fields.
    pub fields: Vec<SignInField>,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInField {
    /// The site's name for it.
    pub name: String,
    /// The text beside the input; `None`: that of its type.
    pub label: Option<String>,
    /// Its type.
    pub kind: FormFieldType,
}

/// A sign-in with what a user typed.
#[derive(Clone, Copy, Debug)]
pub struct FormRequest<'a> {
    /// The tenant.
    pub tenant_id: &'a TenantId,
    /// The client.
    pub client_id: &'a ClientId,
    /// The client's user.
    pub user: &'a TenantUser,
    /// The kind of the connection.
    pub kind: SessionKind,
    /// The browser of the user.
    pub browser: &'a BrowserSessionId,
    /// The fingerprint of the device, where the client knows it.
    pub fingerprint: Option<&'a str>,
    /// Values of the definition's parameters.
    pub parameters: &'a Map<String, Value>,
    /// The text that was typed.
    pub typed: &'a Typed,
    /// The step that the site asked for; `None`: the sign-in begins.
    pub step: Option<&'a Secret>,
}

impl FormRequest<'_> {
    /// The fingerprint of the device: the client's, or else that of the browser.
    pub fn device(&self) -> String {
        self.fingerprint
            .map_or_else(|| SessionHead::fingerprint_of(self.client_id, self.browser), str::to_owned)
    }
}

/// The provider's answer to a form.
#[derive(Debug)]
pub enum FormAnswer {
    /// The user is signed in.
    Done(Redeemed),
    /// The provider asks for more.
    Asks {
        /// The fields.
        form: SignInForm,
        /// State for the next step. Nothing that was typed is in it.
        step: Secret,
    },
}
