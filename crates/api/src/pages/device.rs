//! Connecting a device (RFC 8628 section 3.3): the code, the confirmation, and the result.

use askama::Template;

use super::lang::Lang;
use super::notice::DeviceTrouble;
use super::shell::{Client, Shell};

/// Where the form for the code posts to.
pub const DEVICE_ACTION: &str = "/device";
/// Where the form that confirms it posts to.
pub const DEVICE_CONFIRM_ACTION: &str = "/device/confirm";

/// Asks for the code that a device shows. The form posts `user_code` to [`DEVICE_ACTION`].
#[derive(Clone)]
pub struct DevicePage {
    /// The initial value of the field.
    pub user_code: String,
    /// The problem with the last attempt.
    pub trouble: Option<DeviceTrouble>,
    /// Proves that the form was made for this browser.
    pub form_token: String,
}

#[derive(Template)]
#[template(path = "device.html")]
struct DeviceView<'a> {
    shell: Shell,
    page: &'a DevicePage,
    error: Option<&'static str>,
    action: &'static str,
}

impl DevicePage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        let error = self.trouble.map(lang.text().device.trouble);
        DeviceView { shell: Shell::of(lang), page: self, error, action: DEVICE_ACTION }.render()
    }
}

/// Shows the client and the code to compare. The form posts `user_code` and `decision` (`continue` or `deny`)
/// to [`DEVICE_CONFIRM_ACTION`].
#[derive(Clone)]
pub struct DeviceConfirmPage {
    /// The name that the client gave itself; not to be trusted.
    pub client_name: String,
    /// The host that is the client's identity; empty: its origin is not known.
    pub client_host: String,
    /// The code, as the device shows it.
    pub user_code: String,
    /// Proves that the form was made for this browser.
    pub form_token: String,
}

#[derive(Template)]
#[template(path = "device_confirm.html")]
struct DeviceConfirmView<'a> {
    shell: Shell,
    client: Client<'a>,
    page: &'a DeviceConfirmPage,
    action: &'static str,
}

impl DeviceConfirmPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        let client = Client::new(&self.client_name, &self.client_host);
        DeviceConfirmView { shell: Shell::of(lang), client, page: self, action: DEVICE_CONFIRM_ACTION }
            .render()
    }
}

/// Sends the user back to the device.
#[derive(Clone, Copy)]
pub struct DeviceDonePage {
    /// Whether the user agreed.
    pub connected: bool,
}

#[derive(Template)]
#[template(path = "device_done.html")]
struct DeviceDoneView {
    shell: Shell,
    connected: bool,
}

impl DeviceDonePage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        DeviceDoneView { shell: Shell::of(lang), connected: self.connected }.render()
    }
}
