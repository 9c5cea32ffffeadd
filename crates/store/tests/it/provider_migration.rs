//! The migrations that let sessions be at other providers than AT Protocol servers, and give them tenants and users.

use causeway_store::engine::migrate;
use causeway_store::sessions;
use causeway_store::testing::{TestDatabase, find_number};
use causeway_types::{SessionKind, SessionState, TenantId, UpstreamSessionId};
use diesel::prelude::*;
use diesel::sql_query;

use crate::common::{World, bearer, client, other_session, ring, runtime};
use crate::migrations::{OF_TENANT, execute, steps, with};

const UPSTREAM_PROVIDERS: &str = "20261130080000_upstream_providers";
const TENANTS: &str = "20261130100000_tenants";

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
            "INSERT INTO tenant_user (tenant_id, namespace, user_id, created_at) VALUES ('default', 'c', 'u', 1); \
             INSERT INTO upstream_session (session_id, client_id, provider, subject, binding, session_kind, state, \
             browser_id, iteration, created_at, last_used_at, namespace, user_id, account_slot, device_slot) \
             VALUES ('other', 'c', 'example', 'u', '{}', 'device', 'active', 'b', 1, 1, 1, 'c', 'u', '', '');",
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

/// The session of a sign-in keeps its credentials, which open before and after; everything else of connections is nothing
/// that the version before knows.
#[test]
fn credentials_stay_readable() {
    let steps = steps();
    let since = steps.iter().position(|name| name == TENANTS).unwrap();
    for database in TestDatabase::each_empty() {
        let url = database.url();
        migrate::up(url).unwrap();
        let (client, ring) = (client(), ring());
        let kinds = [SessionKind::Device, SessionKind::Background];
        let heads = kinds.map(|kind| other_session(&client, kind, SessionState::Active));
        runtime().block_on(async {
            let world = World { kind: database.kind(), store: database.store().await, ring: ring.clone() };
            let (row, heads, ring) = (client.clone(), heads.clone(), ring.clone());
            world
                .write(move |c| {
                    causeway_store::clients::insert_client(c, &row)?;
                    heads.iter().try_for_each(|head| sessions::insert_session(c, &ring, head, &bearer("1")))
                })
                .await;
            world.store.close().await;
        });
        for _ in 0..2 {
            let reverted = migrate::down(url, steps.len() - since).unwrap();
            assert_eq!(reverted.len(), steps.len() - since);
            let kept =
                "SELECT COUNT(*) AS number FROM upstream_credential JOIN upstream_session USING (session_id)";
            assert_eq!(with(url, |c| find_number(c, kept)).unwrap(), 2, "{}", database.kind());
            migrate::up(url).unwrap();
            for head in &heads {
                let found = with(url, |c| {
                    let found = sessions::find_session(c, &head.tenant_id, &head.session_id, head.kind)?;
                    Ok((found, sessions::find_credentials(c, &ring, head)?))
                });
                assert_eq!(found.unwrap(), (Some(head.clone()), Some(bearer("1"))), "{}", database.kind());
            }
        }
        // Two users' background sessions for one account are one too many for the version before.
        execute(
            url,
            "INSERT INTO oauth_client (client_id, client_name, redirect_uris, grant_types, response_types, \
             token_endpoint_auth_method, client_type, created_at, updated_at) \
             VALUES ('c', 'a', '[]', '[]', '[]', 'none', 'public', 1, 1)",
        );
        execute(url, OF_TENANT);
        execute(
            url,
            "INSERT INTO upstream_session (session_id, client_id, provider, subject, binding, session_kind, state, \
             browser_id, iteration, created_at, last_used_at, namespace, user_id, account_slot, device_slot) \
             VALUES ('third', 'c', 'example', 'u', '{}', 'background', 'active', 'b', 1, 1, 1, 'c', '17', 'b', '')",
        );
        migrate::down(url, steps.len() - since).unwrap();
        let left = "SELECT COUNT(*) AS number FROM upstream_session WHERE client_id = 'c'";
        assert_eq!(with(url, |c| find_number(c, left)).unwrap(), 1, "{}", database.kind());
        migrate::up(url).unwrap();
    }
}
