//! How far a client is trusted, by the way in which it became known here.

use causeway_domain::client::{Client, ClientOrigin};

/// Whether the operator has entered the client: one that registered itself has a registration access token.
pub(crate) fn is_the_operators(client: &Client) -> bool {
    matches!(client.origin, ClientOrigin::Registered) && client.registration_access_token.is_none()
}

/// Whether somebody vouches for a client: the operator, or the owner of the https address of its document.
pub(crate) fn is_vouched_for(client: &Client) -> bool {
    is_the_operators(client) || matches!(client.origin, ClientOrigin::Document { .. })
}
