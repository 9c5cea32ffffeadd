//! Types of the inputs of a sign-in form.

use schemars::JsonSchema;
use serde::Deserialize;

/// The type of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum FormFieldType {
    /// A text.
    #[default]
    Text,
    /// An email address.
    Email,
    /// A password, which is used once and stored nowhere.
    Password,
    /// A one-time password.
    Otp,
}
