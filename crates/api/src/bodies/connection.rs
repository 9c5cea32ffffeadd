//! Bodies about connections.

use causeway_domain::connection::{
    Connection, CredentialOwner, CredentialRecord, ManagedAccount, SocialIdentity,
};
use causeway_flow::connection::show::ConnectionDetails;
use causeway_types::{
    ClientId, CredentialId, CredentialKind, ManagedAccountId, SessionKind, SessionState, Timestamp,
    UpstreamSessionId, UserId, UserNamespace,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A user's access at a provider.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ConnectionSummary<'a> {
    /// The connection.
    connection_id: &'a UpstreamSessionId,
    /// The provider.
    provider: &'a str,
    /// The user, by the client's own name.
    user_id: &'a UserId,
    /// The party whose name for the user this is: a client_id, did, or one that the tenant's clients share.
    user_namespace: &'a UserNamespace,
    /// Interactive (device) or for automation (background).
    session_kind: SessionKind,
    /// Whether the connection can be used.
    state: SessionState,
    /// The user's account, by the provider's own identifier.
    account_ref: &'a str,
    /// Unix time at which it was made.
    created_at: Timestamp,
    /// Unix time of the last use.
    last_used_at: Timestamp,
    /// Unix time of the last renewal of its credentials; null: none yet.
    refreshed_at: Option<Timestamp>,
    /// The code of the last renewal, if that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
    /// Unix time of that failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error_at: Option<Timestamp>,
}

impl<'a> ConnectionSummary<'a> {
    /// A connection as it is at `now`.
    pub(crate) fn at(connection: &'a Connection, now: Timestamp) -> Self {
        let Connection { head, slot, refreshed_at, last_error, .. } = connection;
        Self {
            connection_id: &head.session_id,
            provider: head.provider(),
            user_id: &slot.user.user_id,
            user_namespace: &slot.user.namespace,
            session_kind: head.kind,
            state: head.state_at(now),
            account_ref: head.subject(),
            created_at: head.created_at,
            last_used_at: head.last_used_at,
            refreshed_at: *refreshed_at,
            last_error: last_error.as_ref().map(|error| &*error.code),
            last_error_at: last_error.as_ref().map(|error| error.at),
        }
    }
}

/// A page of connections.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Connections<'a> {
    /// The connections.
    pub(crate) connections: Vec<ConnectionSummary<'a>>,
    /// The value of cursor for the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<&'a str>,
}

/// A connection with what belongs to it, without secrets.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ConnectionDetail<'a> {
    #[serde(flatten)]
    summary: ConnectionSummary<'a>,
    /// The account at the provider; null: the provider does not say whose it is.
    identity: Option<Identity<'a>>,
    /// The accounts that it manages, such as pages.
    managed_accounts: Vec<Managed<'a>>,
    /// The credentials, without secrets: the user's own, and one for each managed account that has one.
    credentials: Vec<Credential<'a>>,
    /// The scope that the provider granted, in its own words.
    scope: &'a str,
    /// Scopes that were requested and not granted.
    missing_scopes: &'a [String],
}

impl<'a> ConnectionDetail<'a> {
    /// A connection as it is at `now`.
    pub(crate) fn at(details: &'a ConnectionDetails, now: Timestamp) -> Self {
        Self {
            summary: ConnectionSummary::at(&details.connection, now),
            identity: details.identity.as_ref().map(Identity::from),
            managed_accounts: details.managed_accounts.iter().map(Managed::from).collect(),
            credentials: details.credentials.iter().map(Credential::from).collect(),
            scope: details.user_credential().map_or("", |credential| &credential.granted_scope),
            missing_scopes: &details.missing_scopes,
        }
    }
}

/// An account at a provider.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Identity<'a> {
    /// The issuer that the account is of.
    issuer: &'a str,
    /// The account, by the provider's own identifier.
    subject: &'a str,
    /// Its name for users to read.
    display_name: Option<&'a str>,
}

impl<'a> From<&'a SocialIdentity> for Identity<'a> {
    fn from(identity: &'a SocialIdentity) -> Self {
        let SocialIdentity { issuer, subject, display_name, .. } = identity;
        Self { issuer, subject, display_name: display_name.as_deref() }
    }
}

/// An account that the user's account manages.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Managed<'a> {
    /// Its identifier here.
    managed_account_id: &'a ManagedAccountId,
    /// The account, by the provider's own identifier.
    subject: &'a str,
    /// Its name for users to read.
    name: Option<&'a str>,
    /// The provider's category of it.
    category: Option<&'a str>,
    /// The provider's names of what the user may do with it.
    tasks: &'a [String],
    /// Unix time since when the provider does not list it any more; null: it does.
    unavailable_at: Option<Timestamp>,
}

impl<'a> From<&'a ManagedAccount> for Managed<'a> {
    fn from(account: &'a ManagedAccount) -> Self {
        Self {
            managed_account_id: &account.managed_account_id,
            subject: &account.subject,
            name: account.name.as_deref(),
            category: account.category.as_deref(),
            tasks: &account.tasks,
            unavailable_at: account.unavailable_at,
        }
    }
}

/// A credential, without its secrets.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShownCredential")]
pub(crate) struct Credential<'a> {
    /// Its identifier.
    credential_id: &'a CredentialId,
    /// The user's own, or that of a managed account (page).
    kind: CredentialKind,
    /// The managed account; absent: it is the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_account_id: Option<&'a ManagedAccountId>,
    /// Whether it can be used: that of a page outlives the user's own.
    state: SessionState,
    /// The account, by the provider's own identifier.
    account_ref: Option<&'a str>,
    /// Unix time at which the provider issued it.
    created_at: Timestamp,
    /// Unix time at which it ends unless it is renewed; null: the provider did not say.
    expires_at: Option<Timestamp>,
}

impl<'a> From<&'a CredentialRecord> for Credential<'a> {
    fn from(record: &'a CredentialRecord) -> Self {
        let managed_account_id = match &record.owner {
            CredentialOwner::User => None,
            CredentialOwner::Page(account) => Some(account),
        };
        Self {
            credential_id: &record.credential_id,
            kind: record.owner.kind(),
            managed_account_id,
            state: record.state,
            account_ref: record.account_ref.as_deref(),
            created_at: record.created_at,
            expires_at: record.expires_at,
        }
    }
}

/// A client that a connection is shared with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
pub(crate) struct ShareWith {
    /// A client_id.
    #[schemars(with = "ClientId")]
    pub(crate) client_id: String,
}
