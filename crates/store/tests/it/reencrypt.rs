//! Re-encryption of values encrypted by an old key, beside concurrent writers.

use std::collections::BTreeSet;

use causeway_domain::connection::{ConnectSession, PendingConnection, Registration};
use causeway_domain::session::{SessionHead, UpstreamRequest};
use causeway_store::authorization::auth_requests;
use causeway_store::connections::{connect_flows, connect_sessions, pending, registrations, users};
use causeway_store::encryption::columns::{ENCRYPTED_COLUMNS, EncryptedColumn};
use causeway_store::encryption::keyring::{EncryptionError, EncryptionKeyRing};
use causeway_store::encryption::reencrypt::{self, OldValue, Place};
use causeway_store::events::{self, Webhook, deliveries, order};
use causeway_store::operations::keys;
use causeway_store::sessions::{self, upstream_requests};
use causeway_store::{AnyConnection, StoreError};
use causeway_types::secret::Connect;
use causeway_types::{ConnectSessionId, PlainToken, Secret, SessionKind, SessionState, SystemRng, TenantId};
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, RunQueryDsl as _, sql_query};

use crate::common::{
    NOW, World, auth_request, bearer, on_each, other_session, signing_key, token_set, upstream_request,
};
use crate::exercise;

/// An old key, and a ring that has it below a new one.
struct Rings {
    old: EncryptionKeyRing,
    both: EncryptionKeyRing,
    new: EncryptionKeyRing,
}

impl Rings {
    fn fresh() -> Self {
        let (old, new) = (EncryptionKeyRing::generate(&SystemRng), EncryptionKeyRing::generate(&SystemRng));
        Self {
            both: EncryptionKeyRing::parse(&format!("{new}{old}")).unwrap(),
            old: EncryptionKeyRing::parse(&old).unwrap(),
            new: EncryptionKeyRing::parse(&new).unwrap(),
        }
    }
}

fn column(name: &str) -> EncryptedColumn {
    *ENCRYPTED_COLUMNS.iter().find(|column| column.name() == name).unwrap()
}

/// Everything in a column that the ring's first key has not encrypted, read a row at a time.
async fn old_values(world: &World, ring: &EncryptionKeyRing, column: EncryptedColumn) -> Vec<OldValue> {
    let (mut after, mut all) = (Some(Place::default()), Vec::new());
    while let Some(place) = after {
        let ring = ring.clone();
        let page = world.read(move |c| reencrypt::list_old_values(c, &ring, column, &place, 1)).await;
        assert!(page.rows <= 1);
        all.extend(page.old);
        after = page.next;
    }
    all
}

/// Re-encrypts values; returns how many were replaced, and which cannot be decrypted.
async fn reencrypt_values(
    world: &World,
    ring: &EncryptionKeyRing,
    values: Vec<OldValue>,
) -> (usize, Vec<(String, EncryptionError)>) {
    let (mut swaps, mut unreadable) = (Vec::new(), Vec::new());
    for value in values {
        let row = value.row();
        match value.reencrypt(ring) {
            Ok(swap) => swaps.push(swap),
            Err(error) => unreadable.push((row, error)),
        }
    }
    (world.write(move |c| reencrypt::swap_encrypted(c, &swaps)).await, unreadable)
}

async fn reencrypt_all(world: &World, ring: &EncryptionKeyRing) -> (usize, Vec<(String, EncryptionError)>) {
    let (mut swapped, mut unreadable) = (0, Vec::new());
    for column in ENCRYPTED_COLUMNS {
        let values = old_values(world, ring, *column).await;
        let (more, failed) = reencrypt_values(world, ring, values).await;
        swapped += more;
        unreadable.extend(failed);
    }
    (swapped, unreadable)
}

fn webhook(secret: &str) -> Webhook {
    Webhook { url: "https://app.example/hook".to_owned(), secret: Secret::new(secret) }
}

/// The rows behind everything that is ever encrypted.
struct Filled {
    session: SessionHead,
    /// At another provider.
    other: SessionHead,
    upstream: UpstreamRequest,
    registration: Registration,
    pending: PendingConnection,
}

/// Everything that is ever encrypted, by the ring of this world.
async fn fill(world: &World) -> Filled {
    let (client, session) = world.client_and_session().await;
    let other = other_session(&client, SessionKind::Device, SessionState::Active);
    let request = auth_request(&client);
    let upstream = upstream_request(&request);
    let (registration, pending) = (exercise::registration(), exercise::pending(&client, "account-1"));
    let pending =
        PendingConnection { registration_id: Some(registration.registration_id.clone()), ..pending };
    let (row, ring) = (registration.clone(), world.ring.clone());
    let (user, awaited) = (pending.user.clone(), pending.clone());
    let token = PlainToken::<Connect>::issued(&SystemRng, NOW.into());
    let connect_session = ConnectSession {
        token: token.hash(),
        connect_session_id: ConnectSessionId::issued(&SystemRng, NOW.into()),
        tenant_id: client.tenant_id.clone(),
        client_id: client.client_id.clone(),
        user: user.clone(),
        providers: vec!["example".to_owned()],
        session_kinds: vec![SessionKind::Device],
        scopes: None,
        parameters: serde_json::Map::new(),
        return_uri: None,
        state: None,
        force_reauth: false,
        fingerprint: None,
        connection_id: None,
        correlation_id: None,
        created_at: NOW,
        expires_at: NOW.plus(1800),
    };
    let store = world.store.in_tenant(&client.tenant_id);
    let stored = store.write(move |scope| {
        users::put_user(scope, &user, NOW)?;
        registrations::insert_registration(scope, &ring, &row)?;
        pending::insert_pending(scope.connection(), &ring, &awaited)?;
        let (tenant_id, c) = (connect_session.tenant_id.clone(), scope.connection());
        connect_sessions::insert_connect_session(c, &connect_session)?;
        let history = connect_flows::FlowHistory::default();
        connect_flows::put_flow(c, &ring, (&tenant_id, "flow"), &token, history)
    });
    stored.await.unwrap();
    let (row, head, ring) = (upstream.clone(), other.clone(), world.ring.clone());
    world
        .write(move |c| {
            sessions::insert_session(c, &ring, &head, &bearer("1"))?;
            auth_requests::insert_auth_request(c, &request)?;
            upstream_requests::insert_upstream_request(c, &ring, &row)?;
            assert!(keys::insert_signing_key(c, &ring, &signing_key("k", None))?);
            let hook = webhook("told");
            assert!(events::subscribe(c, &ring, &client.tenant_id, &client.client_id, Some(&hook), NOW)?);
            Ok(())
        })
        .await;
    Filled { session, other, upstream, registration, pending }
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    of: String,
    #[diesel(sql_type = Text)]
    name: String,
}

/// Every column of the database as it is, and the columns of its primary keys in their order.
fn columns(c: &mut AnyConnection, keys_only: bool) -> Result<Vec<Name>, StoreError> {
    let query = match (&*c, keys_only) {
        (AnyConnection::Sqlite(_), false) => {
            "SELECT t.name AS of, p.name AS name FROM sqlite_master t JOIN pragma_table_info(t.name) p \
             WHERE t.type = 'table'"
        }
        (AnyConnection::Sqlite(_), true) => {
            "SELECT t.name AS of, p.name AS name FROM sqlite_master t JOIN pragma_table_info(t.name) p \
             WHERE t.type = 'table' AND p.pk > 0 ORDER BY t.name, p.pk"
        }
        (AnyConnection::Postgres(_), false) => {
            "SELECT table_name::text AS of, column_name::text AS name FROM information_schema.columns \
             WHERE table_schema = 'public'"
        }
        (AnyConnection::Postgres(_), true) => {
            "SELECT k.table_name::text AS of, k.column_name::text AS name \
             FROM information_schema.key_column_usage k \
             JOIN information_schema.table_constraints t USING (constraint_schema, constraint_name) \
             WHERE t.constraint_type = 'PRIMARY KEY' ORDER BY k.table_name, k.ordinal_position"
        }
    };
    Ok(sql_query(query).load(c)?)
}

fn holds_encrypted(c: &mut AnyConnection, Name { of, name }: &Name) -> Result<bool, StoreError> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        found: i64,
    }
    let query =
        format!("SELECT COUNT(*) AS found FROM \"{of}\" WHERE CAST(\"{name}\" AS TEXT) LIKE 'v1.%.%'");
    Ok(sql_query(query).get_result::<Count>(c)?.found > 0)
}

/// The list of encrypted columns is what the store encrypts, and their keys are the tables' own.
#[test]
fn no_encrypted_column_is_forgotten() {
    on_each(|world| async move {
        fill(&world).await;
        let (encrypted, keys) = world
            .read(|c| {
                let mut encrypted = BTreeSet::new();
                for name in columns(c, false)? {
                    if holds_encrypted(c, &name)? {
                        encrypted.insert(format!("{}.{}", name.of, name.name));
                    }
                }
                let keys = columns(c, true)?;
                Ok((encrypted, keys.into_iter().map(|key| (key.of, key.name)).collect::<Vec<_>>()))
            })
            .await;
        let listed: BTreeSet<_> = ENCRYPTED_COLUMNS.iter().map(|column| column.name().to_owned()).collect();
        assert_eq!(encrypted, listed, "{}", world.kind);
        for column in ENCRYPTED_COLUMNS {
            let own: Vec<_> =
                keys.iter().filter(|(of, _)| of == column.table()).map(|(_, name)| name).collect();
            assert_eq!(own, column.key(), "{}", column.name());
        }
    });
}

/// Every value, and nothing is lost: the new key alone opens what the old one had encrypted.
#[test]
fn everything_comes_under_the_new_key() {
    on_each(|mut world| async move {
        let rings = Rings::fresh();
        world.ring = rings.old.clone();
        let Filled { session, other, upstream, registration, pending } = fill(&world).await;
        let elsewhere = exercise::tenant_with_registration(&world, "acme").await;
        // A token set whose secrets are wiped stays as it is.
        let (id, ring) = (session.session_id.clone(), rings.old.clone());
        assert!(
            world.write(move |c| sessions::advance_session(c, &ring, &id, 1, &token_set("2"), NOW)).await
        );

        let (swapped, unreadable) = reencrypt_all(&world, &rings.both).await;
        let all = ENCRYPTED_COLUMNS.len() + 3;
        assert_eq!((swapped, unreadable), (all, vec![]), "{}: in every tenant", world.kind);
        assert_eq!(reencrypt_all(&world, &rings.both).await.0, 0, "done is done");

        let (new, client) = (rings.new.clone(), session.client_id.clone());
        let tenant = session.tenant_id.clone();
        world
            .write(move |c| {
                assert_eq!(sessions::find_token_set(c, &new, &session.session_id, 2)?, Some(token_set("2")));
                assert_eq!(sessions::find_token_set(c, &new, &session.session_id, 1)?, None);
                assert_eq!(sessions::find_credentials(c, &new, &other)?, Some(bearer("1")));
                let keys = keys::list_signing_keys(c, &new, "client_assertion")?;
                assert_eq!(keys, [signing_key("k", None)]);
                let (state, browser) = (&upstream.oauth_state, &upstream.browser_id);
                let found = upstream_requests::consume_upstream_request(c, &new, state, browser, NOW)?;
                let found = found.unwrap();
                let (found, sent) = (found.pending.atproto().unwrap(), upstream.pending.atproto().unwrap());
                assert_eq!(found.pkce_verifier.expose(), sent.pkce_verifier.expose());
                assert_eq!(found.dpop_private_key, sent.dpop_private_key);
                assert_eq!(told(c, &new, &session)?, "told");
                assert_eq!(client, session.client_id);
                let (state, browser) = (&pending.state, &pending.browser_id);
                let found = pending::consume_pending(c, &new, state, browser, NOW)?;
                assert_eq!(found.as_ref(), Some(&pending));
                Ok(())
            })
            .await;
        for (tenant, registration) in [(&tenant, &registration), (&TenantId::new("acme"), &elsewhere)] {
            let (new, id) = (rings.new.clone(), registration.registration_id.clone());
            let store = world.store.in_tenant(tenant);
            let found = store.read(move |scope| registrations::find_registration(scope, &new, &id)).await;
            assert_eq!(found.unwrap().as_ref(), Some(registration));
        }
    });
}

/// The webhook secret for the next delivery to the client of a session.
fn told(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    session: &SessionHead,
) -> Result<String, StoreError> {
    let (id, kind) = (&session.session_id, events::EventKind::Completed);
    events::note_session(c, id, kind, NOW)?;
    order::order_events(c)?;
    let due = deliveries::claim_webhooks(c, ring, &session.client_id, NOW, NOW.plus(60), 1)?;
    Ok(due.first().unwrap().webhook.secret.expose().to_owned())
}

/// Between the read of a value and its swap a server refreshes, consumes and replaces: its changes stay.
#[test]
fn a_change_meanwhile_is_never_overwritten() {
    on_each(|mut world| async move {
        let rings = Rings::fresh();
        world.ring = rings.old.clone();
        let Filled { session, other, upstream, registration, pending } = fill(&world).await;
        let mut seen = Vec::new();
        for column in ENCRYPTED_COLUMNS.iter().filter(|column| column.table() != "signing_key") {
            seen.extend(old_values(&world, &rings.both, *column).await);
        }
        assert_eq!(seen.len(), ENCRYPTED_COLUMNS.len() - 1);
        let (row, ring) = (registration.clone(), rings.both.clone());
        let store = world.store.in_tenant(&session.tenant_id);
        let updated = store.write(move |scope| {
            let (state, browser) = (&pending.state, &pending.browser_id);
            assert!(pending::consume_pending(scope.connection(), &ring, state, browser, NOW)?.is_some());
            registrations::promote_next_secret(scope, &ring, &row.registration_id, None, NOW)
        });
        assert!(updated.await.unwrap());
        let (head, ring) = (session.clone(), rings.both.clone());
        world
            .write(move |c| {
                assert!(sessions::advance_session(c, &ring, &head.session_id, 1, &token_set("2"), NOW)?);
                assert!(sessions::advance_session(c, &ring, &other.session_id, 1, &bearer("2"), NOW)?);
                let (state, browser) = (&upstream.oauth_state, &upstream.browser_id);
                assert!(
                    upstream_requests::consume_upstream_request(c, &ring, state, browser, NOW)?.is_some()
                );
                let token = PlainToken::<Connect>::issued(&SystemRng, NOW.into());
                let history = connect_flows::FlowHistory::default();
                connect_flows::put_flow(c, &ring, (&head.tenant_id, "flow"), &token, history)?;
                let hook = webhook("another");
                events::subscribe(c, &ring, &head.tenant_id, &head.client_id, Some(&hook), NOW).map(drop)
            })
            .await;

        let (swapped, unreadable) = reencrypt_values(&world, &rings.both, seen).await;
        // Nothing has changed the access token of the registration.
        assert_eq!((swapped, unreadable), (1, vec![]), "{}", world.kind);
        let new = rings.new.clone();
        world
            .write(move |c| {
                assert_eq!(sessions::find_token_set(c, &new, &session.session_id, 1)?, None, "still wiped");
                assert_eq!(sessions::find_token_set(c, &new, &session.session_id, 2)?, Some(token_set("2")));
                assert_eq!(told(c, &new, &session)?, "another");
                Ok(())
            })
            .await;
        let (swapped, unreadable) = reencrypt_all(&world, &rings.both).await;
        assert_eq!((swapped, unreadable), (1, vec![]), "the signing key; wiped rows stay wiped");
    });
}

/// Sessions are refreshed as fast as they can be, while everything is re-encrypted again and again.
#[test]
fn refreshes_race_with_it() {
    const REFRESHES: i64 = 30;
    on_each(|mut world| async move {
        let rings = Rings::fresh();
        world.ring = rings.old.clone();
        let mut refreshing = Vec::new();
        let mut all = Vec::new();
        for _ in 0..4 {
            let (_, session) = world.client_and_session().await;
            all.push(session.session_id.clone());
            let world = world.clone();
            refreshing.push(tokio::spawn(async move {
                for iteration in 1..=REFRESHES {
                    // As a server that has not got the new ring yet.
                    let (id, ring) = (session.session_id.clone(), world.ring.clone());
                    let set = token_set(&(iteration + 1).to_string());
                    let advance =
                        move |c: &mut _| sessions::advance_session(c, &ring, &id, iteration, &set, NOW);
                    assert!(world.write(advance).await);
                }
            }));
        }
        while refreshing.iter().any(|one| !one.is_finished()) {
            assert_eq!(reencrypt_all(&world, &rings.both).await.1, []);
        }
        for one in refreshing {
            one.await.unwrap();
        }
        reencrypt_all(&world, &rings.both).await;
        for id in all {
            let new = rings.new.clone();
            let found: Vec<_> = world
                .read(move |c| {
                    let sets = 1..=REFRESHES + 1;
                    sets.map(|iteration| sessions::find_token_set(c, &new, &id, iteration)).collect()
                })
                .await;
            let (last, wiped) = found.split_last().unwrap();
            assert_eq!(last, &Some(token_set("31")), "{}", world.kind);
            assert!(wiped.iter().all(Option::is_none), "{}: a wiped secret came back", world.kind);
        }
    });
}

/// Interrupted after one value, it goes on with the rest: what is done is not even read again.
#[test]
fn an_interruption_costs_nothing() {
    on_each(|mut world| async move {
        let rings = Rings::fresh();
        world.ring = rings.old.clone();
        for _ in 0..3 {
            world.client_and_session().await;
        }
        let tokens = column("oauth_atp_session.access_token");
        let mut values = old_values(&world, &rings.both, tokens).await;
        assert_eq!(values.len(), 3);
        values.truncate(1);
        assert_eq!(reencrypt_values(&world, &rings.both, values).await, (1, vec![]));
        let ring = rings.both.clone();
        let page =
            world.read(move |c| reencrypt::list_old_values(c, &ring, tokens, &Place::default(), 10)).await;
        assert_eq!((page.rows, page.current, page.old.len()), (3, 1, 2), "{}", world.kind);
        assert!(page.next.is_none());
        assert_eq!(reencrypt_all(&world, &rings.both).await, (8, vec![]));
    });
}

/// Values that no key of the ring opens are reported and left as they are.
#[test]
fn what_does_not_open_stays() {
    on_each(|mut world| async move {
        let (rings, foreign) = (Rings::fresh(), Rings::fresh());
        world.ring = foreign.old.clone();
        let (_, lost) = world.client_and_session().await;
        world.ring = rings.old.clone();
        let (_, broken) = world.client_and_session().await;
        let sql = format!(
            "UPDATE oauth_atp_session SET refresh_token = dpop_key, dpop_key = 'nonsense' \
             WHERE session_id = '{}'",
            broken.session_id
        );
        world.write(move |c| Ok(c.batch_execute(&sql)?)).await;
        let dump = world.read(causeway_store::testing::dump_text).await;

        let (swapped, mut unreadable) = reencrypt_all(&world, &rings.both).await;
        assert_eq!(swapped, 1, "the one value that opens");
        let (lost, broken) = (format!("{}/1", lost.session_id), format!("{}/1", broken.session_id));
        let key = |(row, error): &(String, EncryptionError)| (row.clone(), error.to_string());
        unreadable.sort_by_key(key);
        let mut expected = vec![
            (lost.clone(), EncryptionError::UnknownKey),
            (lost.clone(), EncryptionError::UnknownKey),
            (lost, EncryptionError::UnknownKey),
            (broken.clone(), EncryptionError::Malformed),
            (broken, EncryptionError::Broken),
        ];
        expected.sort_by_key(key);
        assert_eq!(unreadable, expected, "{}", world.kind);
        let after = world.read(causeway_store::testing::dump_text).await;
        let words = |dump: &str| dump.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(words(&dump).difference(&words(&after)).count(), 1, "nothing else was touched");
    });
}
