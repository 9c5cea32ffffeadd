//! The migration that lets sessions be at other providers than AT Protocol servers.

use causeway_store::engine::migrate;
use causeway_store::sessions;
use causeway_store::testing::{TestDatabase, find_number};
use causeway_types::{TenantId, UpstreamSessionId};
use diesel::prelude::*;
use diesel::sql_query;

use crate::migrations::{execute, steps, with};

const UPSTREAM_PROVIDERS: &str = "20261130080000_upstream_providers";

/// Sessions that are there are at AT Protocol servers, and keep what refers to them; those at other providers are
/// nothing that the version before could read.
#[test]
fn sessions_at_providers() {
    let steps = steps();
    let since = steps.iter().position(|name| name == UPSTREAM_PROVIDERS).unwrap();
    for database in TestDatabase::each_empty() {
        let url = database.url();
        migrate::up(url).unwrap();
        migrate::down(url, steps.len() - since).unwrap();
        execute(
            url,
            "INSERT INTO upstream_session (session_id, client_id, did, session_kind, state, browser_id, iteration, \
             issuer, pds, upstream_client_id, upstream_auth, upstream_redirect_uri, created_at, last_used_at) \
             VALUES ('us', 'c', 'did:plc:z72i7hdynmk6r22z27h6tvur', 'device', 'active', 'b', 101, 'i', 'p', 'x', \
             '{\"method\":\"none\"}', 'r', 1, 1); \
             INSERT INTO iteration_history (session_id, due_at) VALUES ('us', 5); \
             INSERT INTO refresh_refusal (session_id, answer, since) VALUES ('us', 'invalid_client', 5);",
        );
        migrate::up(url).unwrap();
        let tenant = TenantId::default_tenant();
        let find = |id: &str| {
            let id = UpstreamSessionId::new(id);
            with(url, |c| sessions::find_session_of_token(c, &tenant, &id)).unwrap()
        };
        let found = find("us").unwrap();
        assert_eq!(found.atproto().unwrap().upstream.issuer, "i", "{:?}", database.kind());
        assert_eq!(found.subject(), "did:plc:z72i7hdynmk6r22z27h6tvur");
        execute(
            url,
            "INSERT INTO upstream_session (session_id, client_id, provider, subject, binding, session_kind, state, \
             browser_id, iteration, created_at, last_used_at) \
             VALUES ('other', 'c', 'example', 'u', '{}', 'device', 'active', 'b', 1, 1, 1); \
             INSERT INTO upstream_credential VALUES ('other', 1, 'encrypted', 1, NULL, 'read');",
        );
        assert_eq!(find("other").map(|head| head.provider().to_owned()).as_deref(), Some("example"));
        let mixed = "UPDATE upstream_session SET did = NULL WHERE session_id = 'us'";
        assert!(with(url, |c| Ok(sql_query(mixed).execute(c)?)).is_err(), "an AT Protocol session has a DID");

        migrate::down(url, steps.len() - since).unwrap();
        migrate::up(url).unwrap();
        assert_eq!((find("us"), find("other")), (Some(found), None));
        let kept = "SELECT COUNT(*) AS number FROM refresh_refusal JOIN iteration_history USING (session_id)";
        assert_eq!(with(url, |c| find_number(c, kept)).unwrap(), 1, "what refers to the session stays");
    }
}
