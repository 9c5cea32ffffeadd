//! The list of all columns with encrypted values.
//!
//! Nothing is encrypted except for a column of this list: no other file can create a [`EncryptedColumn`]. So code
//! that goes through all of them, such as re-encryption, misses none.

use diesel::Column;

use crate::engine::isolation::TENANT_TABLES;
use crate::schema;

/// A column that holds encrypted values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncryptedColumn {
    name: &'static str,
    table: &'static str,
    column: &'static str,
    key: &'static [&'static str],
}

impl EncryptedColumn {
    /// `table.column`.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Its table.
    pub const fn table(self) -> &'static str {
        self.table
    }

    /// Its name in the table.
    pub const fn column(self) -> &'static str {
        self.column
    }

    /// Whether its rows are read tenant by tenant.
    pub fn is_of_tenant(self) -> bool {
        TENANT_TABLES.contains(&self.table)
    }

    /// The table's primary key: a text, and for token sets the number of the iteration.
    pub const fn key(self) -> &'static [&'static str] {
        self.key
    }
}

/// One line a column: the name that the code has for it, its table and column, and the table's primary key.
macro_rules! encrypted_columns {
    ($($name:ident: $table:ident . $column:ident by $($key:ident),+;)+) => {
        $(pub(crate) const $name: EncryptedColumn = EncryptedColumn {
            name: concat!(stringify!($table), ".", stringify!($column)),
            table: stringify!($table),
            column: <schema::$table::$column as Column>::NAME,
            key: &[$(<schema::$table::$key as Column>::NAME),+],
        };)+

        /// All of them.
        pub const ENCRYPTED_COLUMNS: &[EncryptedColumn] = &[$($name),+];
    };
}

encrypted_columns! {
    PRIVATE_JWK: signing_key.private_jwk by kid;
    DPOP_KEY: oauth_atp_session.dpop_key by session_id, iteration;
    ACCESS_TOKEN: oauth_atp_session.access_token by session_id, iteration;
    REFRESH_TOKEN: oauth_atp_session.refresh_token by session_id, iteration;
    PKCE_VERIFIER: oauth_atp_request.pkce_verifier by oauth_state;
    DPOP_PRIVATE_KEY: oauth_atp_request.dpop_private_key by oauth_state;
    PAYLOAD: upstream_credential.payload by credential_id;
    PENDING_PAYLOAD: upstream_pending.payload by state;
    REGISTRATION_SECRET: provider_registration.client_secret by registration_id;
    NEXT_REGISTRATION_SECRET: provider_registration.next_secret by registration_id;
    REGISTRATION_ACCESS_TOKEN: provider_registration.registration_access_token by registration_id;
    CONNECT_FLOW_TOKEN: connect_session.flow_token by token;
    WEBHOOK_SECRET: event_subscription.webhook_secret by client_id;
}
