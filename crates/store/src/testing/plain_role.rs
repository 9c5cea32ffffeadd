//! A role of PostgreSQL such as servers work as: no superuser, no `BYPASSRLS`, owner of nothing.

use diesel::connection::SimpleConnection as _;
use url::Url;

use super::{TestDatabase, connect, url_of};
use crate::engine::url::DatabaseUrl;

/// Shared by all test databases of a server.
const ROLE: &str = "causeway_test_plain";
const PASSWORD: &str = "plain";

impl TestDatabase {
    /// The same PostgreSQL database, for a role that may read and write its rows and nothing else. A superuser, for whom
    /// row-level security does not hold, proves nothing about it.
    ///
    /// # Panics
    /// When the role cannot be made, or the database is no PostgreSQL database.
    pub fn as_plain_role(&self) -> DatabaseUrl {
        let DatabaseUrl::Postgres(url) = &self.url else { panic!("not a PostgreSQL database") };
        let mut admin = connect(&url_of("postgres")).expect("the server answers");
        let create = format!(
            "BEGIN; SELECT pg_advisory_xact_lock(31415927);
             DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
                 CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'; END IF; END $$; COMMIT"
        );
        admin.batch_execute(&create).expect("a role can be made");
        let mut owner = connect(url).expect("a test database opens");
        let grant = format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE};
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {ROLE}"
        );
        owner.batch_execute(&grant).expect("its tables can be granted");
        let mut url = Url::parse(url).expect("the address of a test database");
        url.set_username(ROLE).expect("an address with a host");
        url.set_password(Some(PASSWORD)).expect("an address with a host");
        DatabaseUrl::Postgres(url.into())
    }
}
