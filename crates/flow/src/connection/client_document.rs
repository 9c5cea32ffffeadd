//! Our documents for servers that take the address of one for a `client_id` (OAuth Client ID Metadata Document). Each has the
//! one redirect URI of its registration, and follows from its name alone: no tenant is looked up, and none can be guessed.

use causeway_types::RegistrationId;
use serde_json::{Value, json};

use crate::ctx::Ctx;
use crate::upstream::oauth2::client_document::{document_address, is_public};
use crate::upstream::oauth2::dynamic_registration::CLIENT_NAME;
use crate::upstream::oauth2::registrations::registration_redirect_uri;

/// The longest name of a registration, in bytes.
const LONGEST: usize = 64;

/// The document of a registration; `None`: there is none of that name, or nobody elsewhere could fetch it.
pub fn of(ctx: &Ctx, registration_id: &str) -> Option<Value> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_name = (1..=LONGEST).contains(&registration_id.len()) && registration_id.bytes().all(is_part);
    if !is_name || !is_public(ctx.issuer()) {
        return None;
    }
    let id = RegistrationId::new(registration_id);
    Some(json!({
        "client_id": document_address(ctx.issuer(), &id),
        "client_name": CLIENT_NAME,
        "client_uri": ctx.issuer(),
        "redirect_uris": [registration_redirect_uri(ctx.issuer(), &id)],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "web",
        "token_endpoint_auth_method": "none",
    }))
}
