//! Connections: the heads of sessions at providers, with the user whose access they are.

use causeway_types::{IdentityId, RegistrationId, SessionKind, TenantUser, Timestamp, UserId, UserNamespace};
use serde_json::{Map, Value};

use crate::session::SessionHead;

/// The place of a connection among those of its tenant, provider and session kind. Each holds one live credential of a
/// user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The user.
    pub user: TenantUser,
    /// The account where the provider allows a user several, else empty.
    pub account_slot: String,
    /// The fingerprint of the device where the definition binds connections to one, else empty.
    pub device_slot: String,
}

impl Slot {
    /// The place of a session that began with a sign-in of ours instead of a connect session: it is its client's user of
    /// the account's own name, with one background session, and a device session for each sign-in. `None`: the names are
    /// no names of users.
    pub fn of_sign_in(head: &SessionHead) -> Option<Self> {
        let namespace = UserNamespace::of_client(&head.client_id)?;
        let user = TenantUser { namespace, user_id: UserId::parse(head.subject())? };
        let device_slot = match head.kind {
            SessionKind::Device => head.session_id.as_str().to_owned(),
            SessionKind::Background => String::new(),
        };
        Some(Self { user, account_slot: String::new(), device_slot })
    }
}

/// One user's access at one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The session that is kept; its identifier is the connection's.
    pub head: SessionHead,
    /// Its place.
    pub slot: Slot,
    /// Our registration at its issuer.
    pub registration_id: Option<RegistrationId>,
    /// The account at the provider.
    pub identity_id: Option<IdentityId>,
    /// Values of the definition's parameters, such as the host of an instance. No secret.
    pub parameters: Map<String, Value>,
    /// Captures from the provider's answers. No secret.
    pub metadata: Map<String, Value>,
    /// When the user was confirmed to be the one who finished the authorization; `None`: not yet, and nothing uses the
    /// connection.
    pub confirmed_at: Option<Timestamp>,
    /// When its credentials were last renewed.
    pub refreshed_at: Option<Timestamp>,
    /// The outcome of the latest renewal, if it failed.
    pub last_error: Option<LastError>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// A failed renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// A short code. No part of the provider's answer that could hold a secret.
    pub code: String,
    /// When it failed.
    pub at: Timestamp,
}
