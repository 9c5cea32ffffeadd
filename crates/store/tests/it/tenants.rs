//! Tenants, users, identities, registrations and access: what is stored comes back, and what is deleted does not.

use std::sync::Arc;

use causeway_domain::connection::{
    ConnectSession, ConnectionAccess, GrantedBy, LastError, ManagedAccount, Registration, RegistrationState,
};
use causeway_store::connections::heads::{self, ConnectionFilter};
use causeway_store::connections::sweep::sweep_deleted;
use causeway_store::connections::{
    access, connect_sessions, identities, managed_accounts, pending, registrations, tenants, users,
};
use causeway_store::engine::isolation::TENANT_TABLES;
use causeway_store::testing::{count_rows, find_number};
use causeway_store::{AnyConnection, PageRequest, StoreError, sessions};
use causeway_types::secret::{Connect, PlainToken};
use causeway_types::{
    ConnectSessionId, IdentityId, ManagedAccountId, Secret, SessionKind, SessionState, SystemRng, TenantId,
    Timestamp, UserId,
};
use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use diesel::{RunQueryDsl as _, sql_query};

use crate::common::{NOW, World, bearer, on_each};
use crate::exercise::{
    insert_plain, nothing, object, page_of, pending as pending_of, tenant_with_everything, user,
};
use crate::plans::{Statements, note, plan};

#[test]
fn tenants_and_their_clients() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        world
            .write(move |c| {
                let (acme, client) = (&owned.tenant_id, &owned.client.client_id);
                assert_eq!(tenants::find_tenant(c, acme)?.unwrap().name, "A tenant");
                let first = tenants::list_tenants(c, &PageRequest::first(1))?;
                let after = PageRequest { after: first.next, limit: 1 };
                let second = tenants::list_tenants(c, &after)?;
                let ids: Vec<_> = first.items.iter().chain(&second.items).map(|one| &one.tenant_id).collect();
                assert_eq!(ids, [acme, &TenantId::default_tenant()]);
                assert_eq!(second.next, None);
                // A client that registers acts in its own tenant, and nowhere else.
                assert!(tenants::find_tenant_of_client(c, acme, client)?.is_some());
                let elsewhere = TenantId::default_tenant();
                assert!(tenants::find_tenant_of_client(c, &elsewhere, client)?.is_none());
                assert!(tenants::insert_tenant_client(c, &elsewhere, client, NOW)?);
                assert!(!tenants::insert_tenant_client(c, &elsewhere, client, NOW)?);
                let of_client = |c: &mut AnyConnection| {
                    let page = tenants::list_tenants_of_client(c, client, &PageRequest::first(9))?;
                    Ok::<_, StoreError>(page.items.into_iter().map(|it| it.tenant_id).collect::<Vec<_>>())
                };
                assert_eq!(of_client(c)?, [acme.clone(), elsewhere]);
                assert!(tenants::delete_tenant(c, acme, NOW)?);
                assert!(!tenants::delete_tenant(c, acme, NOW)?);
                assert!(tenants::find_tenant_of_client(c, acme, client)?.is_none());
                assert!(tenants::find_tenant(c, acme)?.is_none());
                assert_eq!(of_client(c)?, [TenantId::default_tenant()]);
                let next = tenants::find_tenant_after(c, "")?;
                assert_eq!(next.as_ref(), Some(acme), "its rows are still to be erased");
                Ok(())
            })
            .await;
    });
}

/// A deleted tenant is not revived: what was begun before its deletion comes to nothing.
#[test]
fn nothing_is_added_to_a_deleted_tenant() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let (ring, store) = (world.ring.clone(), owned.store(&world));
        let tenant = owned.tenant_id.clone();
        let deleted = world.write(move |c| tenants::delete_tenant(c, &tenant, NOW)).await;
        assert!(deleted);
        let (row, now) = (owned.clone(), NOW.plus(1));
        let found = store.write(move |scope| {
            assert!(users::delete_user(scope, &row.user, NOW)?);
            let (c, token) = (scope.connection(), row.connect.hash());
            assert_eq!(connect_sessions::find_connect_session(c, &token, now)?, None);
            assert_eq!(connect_sessions::consume_connect_session(c, &token, now)?, None);
            pending::consume_pending(c, &ring, &row.state.hash(), &row.pending.browser_id, now)
        });
        assert_eq!(found.await.unwrap(), None, "{}", world.kind);
        let again = PlainToken::<Connect>::issued(&SystemRng, NOW.into()).hash();
        let session = ConnectSession {
            token: again,
            connect_session_id: ConnectSessionId::issued(&SystemRng, NOW.into()),
            ..owned.connect_session.clone()
        };
        let begun = pending_of(&owned.client, "18");
        let (head, slot) = owned.another(SessionKind::Device, SessionState::Active, "another");
        let slot = causeway_domain::connection::Slot { user: user(&owned.client, "18"), ..slot };
        let (ring, rung) = (world.ring.clone(), world.ring.clone());
        let added = [
            store
                .write(move |scope| connect_sessions::insert_connect_session(scope.connection(), &session))
                .await,
            store.write(move |scope| pending::insert_pending(scope.connection(), &ring, &begun)).await,
            store.write(move |scope| insert_plain(scope, &rung, &head, &slot)).await,
        ];
        for added in added {
            assert!(matches!(added, Err(StoreError::Constraint(_))), "{}: {added:?}", world.kind);
        }
        let back = store.read(move |scope| users::find_user(scope, &owned.user));
        assert_eq!(back.await.unwrap(), None, "{}", world.kind);
    });
}

#[test]
fn users_of_a_tenant() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let ring = world.ring.clone();
        let store = owned.store(&world);
        let done = store.write(move |scope| {
            let mut wanted = vec![owned.user.clone()];
            for name in ["a.b", "18", "é"] {
                wanted.push(user(&owned.client, name));
                users::put_user(scope, wanted.last().unwrap(), NOW.plus(1))?;
            }
            users::put_user(scope, &owned.user, NOW.plus(9))?;
            assert_eq!(users::find_user(scope, &owned.user)?, Some(NOW), "known already");
            wanted.sort();
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let page = users::list_users(scope, None, &PageRequest { after, limit: 1 })?;
                listed.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            listed.sort();
            assert_eq!(listed, wanted);
            let gone = user(&owned.client, "18");
            assert!(users::delete_user(scope, &gone, NOW)?);
            assert!(!users::delete_user(scope, &gone, NOW)?);
            assert_eq!(users::find_user(scope, &gone)?, None);
            let (head, slot) = owned.another(SessionKind::Device, SessionState::Active, "gone");
            let slot = causeway_domain::connection::Slot { user: gone.clone(), ..slot };
            let refused = insert_plain(scope, &ring, &head, &slot);
            assert!(matches!(refused, Err(StoreError::Constraint(_))), "{refused:?}");
            assert_eq!(users::find_user(scope, &gone)?, None, "a connection brings nobody back");
            users::put_user(scope, &gone, NOW.plus(7))?;
            assert_eq!(users::find_user(scope, &gone)?, Some(NOW.plus(7)), "back again");
            Ok::<_, StoreError>(())
        });
        done.await.unwrap();
        let long = format!(
            "INSERT INTO tenant_user (tenant_id, namespace, user_id, created_at) VALUES ('acme', 'n', '{}', 1)",
            "x".repeat(256)
        );
        let put = store.write(move |scope| Ok(sql_query(&long).execute(scope.connection())?));
        assert!(matches!(put.await, Err(StoreError::Constraint(_))), "{}", world.kind);
        assert!(UserId::parse(&"x".repeat(256)).is_none());
    });
}

#[test]
fn registrations_keep_their_secrets_encrypted() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let dump = world.read(causeway_store::testing::dump_text).await;
        assert!(!dump.contains("canary"), "{}: {dump}", world.kind);
        let ring = world.ring.clone();
        let store = owned.store(&world);
        let done = store.write(move |scope| {
            let first = owned.registration.clone();
            let id = &first.registration_id;
            let find = |scope: &mut _| registrations::find_registration(scope, &ring, id);
            assert_eq!(find(scope)?, Some(first.clone()), "comes back whole");
            let current = |scope: &mut _| {
                registrations::find_current_registration(scope, &ring, "example", "https://id.example")
            };
            let second = Registration {
                registration_id: causeway_types::RegistrationId::random(&SystemRng),
                created_at: NOW.plus(1),
                ..first.clone()
            };
            registrations::insert_registration(scope, &ring, &second)?;
            assert_eq!(current(scope)?, Some(second.clone()), "the newest");
            assert!(registrations::delete_registration(scope, &second.registration_id, NOW)?);
            assert!(!registrations::delete_registration(scope, &second.registration_id, NOW)?);
            // Each change is of one thing, and of what it was decided on.
            let gone = &second.registration_id;
            let (active, broken) = (RegistrationState::Active, RegistrationState::Misconfigured);
            assert!(!registrations::change_state(scope, gone, active, broken, NOW)?);
            assert!(!registrations::promote_next_secret(scope, &ring, gone, None, NOW)?);
            let next = Secret::new("canary-later");
            assert!(!registrations::set_next_secret(scope, &ring, id, &next, NOW)?, "one waits");
            assert!(registrations::promote_next_secret(scope, &ring, id, None, NOW.plus(2))?);
            assert!(!registrations::promote_next_secret(scope, &ring, id, None, NOW.plus(3))?, "once");
            let rotated = Registration {
                client_secret: first.next_secret.clone(),
                next_secret: None,
                expires_at: None,
                updated_at: NOW.plus(2),
                ..first.clone()
            };
            assert_eq!((find(scope)?.as_ref(), current(scope)?.as_ref()), (Some(&rotated), Some(&rotated)));
            assert!(registrations::set_next_secret(scope, &ring, id, &next, NOW.plus(4))?);
            assert!(registrations::change_state(scope, id, active, broken, NOW.plus(5))?);
            assert!(!registrations::change_state(scope, id, active, broken, NOW.plus(6))?, "it has moved on");
            assert!(registrations::change_state(
                scope,
                id,
                broken,
                RegistrationState::Superseded,
                NOW.plus(7)
            )?);
            let old = Registration {
                next_secret: Some(next),
                state: RegistrationState::Superseded,
                updated_at: NOW.plus(7),
                ..rotated
            };
            assert_eq!((find(scope)?, current(scope)?), (Some(old), None), "it stays for its credentials");
            Ok::<_, StoreError>(())
        });
        done.await.unwrap();
    });
}

#[test]
fn identities_and_what_they_manage() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let store = owned.store(&world);
        let done = store.write(move |scope| {
            let known = owned.identity.clone();
            assert_eq!(identities::find_identity(scope, &known.identity_id)?, Some(known.clone()));
            let again = causeway_domain::connection::SocialIdentity {
                identity_id: IdentityId::issued(&SystemRng, NOW.into()),
                display_name: None,
                updated_at: NOW.plus(5),
                ..known.clone()
            };
            assert_eq!(
                identities::find_or_insert_identity(scope, &again)?,
                known.identity_id,
                "the same account"
            );
            let found = identities::list_identities_of_user(scope, &owned.user, 9)?;
            assert_eq!(found, std::slice::from_ref(&known), "as it was");

            // A list round-trips; a complete listing that misses an account makes it unavailable, and it returns.
            let accounts =
                |scope: &mut _| managed_accounts::list_managed_accounts(scope, &known.identity_id, 9);
            assert_eq!(accounts(scope)?, std::slice::from_ref(&owned.page));
            let other = page_of(&known, "page-2");
            let listed = ManagedAccount { updated_at: NOW.plus(10), tasks: Vec::new(), ..other };
            managed_accounts::put_managed_account(scope, &listed)?;
            let missed = managed_accounts::note_unlisted(scope, &known.identity_id, NOW.plus(10))?;
            assert_eq!(missed, std::slice::from_ref(&owned.page.managed_account_id));
            let mut both = accounts(scope)?;
            both.sort_by(|a, b| a.subject.cmp(&b.subject));
            assert_eq!(
                both.iter().map(|one| one.unavailable_at).collect::<Vec<_>>(),
                [Some(NOW.plus(10)), None]
            );
            assert_eq!(both[1], listed);
            assert!(managed_accounts::note_unlisted(scope, &known.identity_id, NOW.plus(10))?.is_empty());
            let back = ManagedAccount {
                managed_account_id: ManagedAccountId::issued(&SystemRng, NOW.into()),
                updated_at: NOW.plus(20),
                ..owned.page.clone()
            };
            let id = managed_accounts::put_managed_account(scope, &back)?;
            assert_eq!(id, owned.page.managed_account_id, "as the same row");
            let found = managed_accounts::find_managed_account(scope, &known.identity_id, &id)?.unwrap();
            assert_eq!((found.unavailable_at, &found.tasks), (None, &owned.page.tasks));

            sql_query("UPDATE managed_account SET tasks = 'garbage' WHERE tenant_id = 'acme'")
                .execute(scope.connection())?;
            assert!(accounts(scope)?.iter().all(|one| one.tasks.is_empty()), "garbage is an empty list");
            assert_eq!(managed_accounts::delete_managed_accounts(scope, &known.identity_id, NOW)?, 2);
            assert!(accounts(scope)?.is_empty());
            assert!(identities::delete_identity(scope, &known.identity_id, NOW)?);
            assert!(!identities::delete_identity(scope, &known.identity_id, NOW)?);
            assert_eq!(identities::find_identity(scope, &known.identity_id)?, None);
            assert_eq!(
                identities::find_or_insert_identity(scope, &again)?,
                again.identity_id,
                "uniqueness is of live ones"
            );
            Ok::<_, StoreError>(())
        });
        done.await.unwrap();
    });
}

#[test]
fn access_is_granted_and_withdrawn() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let store = owned.store(&world);
        let done = store.write(move |scope| {
            let (connection, client) = (&owned.head.session_id, &owned.client.client_id);
            let granted = access::list_access(scope, connection, 9)?;
            assert_eq!(granted.len(), 1);
            assert_eq!(granted[0].granted_by, GrantedBy::Creation, "the first grant stays");
            assert!(access::has_access(scope, connection, client)?);
            assert!(!access::has_access(scope, &nothing(), client)?);
            assert!(access::delete_access(scope, connection, client, NOW)?);
            assert!(!access::delete_access(scope, connection, client, NOW)?);
            assert!(!access::has_access(scope, connection, client)?);
            assert!(access::list_access(scope, connection, 9)?.is_empty());
            let again = ConnectionAccess { granted_by: GrantedBy::User, ..granted[0].clone() };
            access::put_access(scope, &again)?;
            assert_eq!(access::list_access(scope, connection, 9)?, [again]);
            Ok::<_, StoreError>(())
        });
        done.await.unwrap();
    });
}

#[test]
fn connections_are_listed_by_client_user_provider_and_state() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let ring = world.ring.clone();
        let store = owned.store(&world);
        let done = store.write(move |scope| {
            let found = heads::find_connection(scope, &owned.head.session_id)?.unwrap();
            assert_eq!((&found.head, &found.slot), (&owned.head, &owned.slot), "comes back whole");
            assert_eq!(found.registration_id.as_ref(), Some(&owned.registration.registration_id));
            assert_eq!(found.identity_id.as_ref(), Some(&owned.identity.identity_id));
            assert_eq!((found.parameters, found.metadata), (object("parameter"), object("capture")));
            assert_eq!((found.confirmed_at, found.refreshed_at), (Some(NOW), None));
            let (pending, slot) = owned.another(SessionKind::Device, SessionState::Pending, "p");
            insert_plain(scope, &ring, &pending, &slot)?;
            let (second, mut slot) = owned.another(SessionKind::Device, SessionState::Active, "s");
            slot.user = user(&owned.client, "18");
            insert_plain(scope, &ring, &second, &slot)?;
            let mut ids = |filter: ConnectionFilter| {
                let page = heads::list_connections(scope, &filter, &PageRequest::first(9))?;
                Ok::<_, StoreError>(
                    page.items
                        .into_iter()
                        .map(|one| one.head.session_id)
                        .collect::<std::collections::BTreeSet<_>>(),
                )
            };
            let of = |heads: &[&causeway_domain::session::SessionHead]| {
                heads.iter().map(|head| head.session_id.clone()).collect::<std::collections::BTreeSet<_>>()
            };
            let all = ConnectionFilter::default();
            assert_eq!(ids(all.clone())?, of(&[&owned.head, &second]), "unconfirmed ones are not seen");
            let state = Some(SessionState::Pending);
            assert_eq!(ids(ConnectionFilter { state, ..all.clone() })?, of(&[]), "whatever is asked for");
            let user = Some(slot.user.clone());
            assert_eq!(ids(ConnectionFilter { user, ..all.clone() })?, of(&[&second]));
            let provider = Some("other".to_owned());
            assert!(ids(ConnectionFilter { provider, ..all.clone() })?.is_empty());
            let client = Some(owned.client.client_id.clone());
            let by_client = ConnectionFilter { client_id: client, ..all };
            assert_eq!(ids(by_client.clone())?.len(), 2);
            access::delete_access(scope, &second.session_id, &owned.client.client_id, NOW)?;
            let page = heads::list_connections(scope, &by_client, &PageRequest::first(9))?;
            assert_eq!(page.items.len(), 1, "not those of others");

            // The outcome of a renewal is stored with it.
            let id = &owned.head.session_id;
            let refused = LastError { code: "invalid_grant".to_owned(), at: NOW.plus(3) };
            assert!(heads::note_error(scope, id, 1, &refused)?);
            assert!(!heads::note_error(scope, id, 2, &refused)?);
            assert_eq!(heads::find_connection(scope, id)?.unwrap().last_error, Some(refused));
            let renewed = (id, 1, &bearer("2"));
            let c = scope.connection();
            assert!(sessions::advance_session(c, &ring, renewed.0, renewed.1, renewed.2, NOW.plus(4))?);
            let found = heads::find_connection(scope, id)?.unwrap();
            assert_eq!((found.refreshed_at, found.last_error), (Some(NOW.plus(4)), None));
            Ok::<_, StoreError>(())
        });
        done.await.unwrap();
    });
}

/// Deleted rows are swept when nothing refers to them any more, and other tenants' are left alone.
#[test]
fn deleted_rows_are_swept_in_their_tenant() {
    on_each(|world| async move {
        let acme = tenant_with_everything(&world, "acme").await;
        let globex = tenant_with_everything(&world, "globex").await;
        let count = |world: World| async move {
            let counts = |c: &mut AnyConnection| {
                TENANT_TABLES.iter().map(|table| count_rows(c, table)).collect::<Result<Vec<_>, _>>()
            };
            world.read(counts).await.into_iter().sum::<i64>()
        };
        let before = count(world.clone()).await;
        for owned in [&acme, &globex] {
            let row = owned.clone();
            let store = owned.store(&world);
            let deleted = store.write(move |scope| {
                let id = &row.head.session_id;
                assert!(heads::end_connection(scope, id, NOW)?);
                managed_accounts::delete_managed_accounts(scope, &row.identity.identity_id, NOW)?;
                identities::delete_identity(scope, &row.identity.identity_id, NOW)?;
                registrations::delete_registration(scope, &row.registration.registration_id, NOW)?;
                access::delete_access(scope, id, &row.client.client_id, NOW)?;
                users::delete_user(scope, &row.user, NOW)?;
                Ok::<_, StoreError>(())
            });
            deleted.await.unwrap();
        }
        let sweep = |until: Timestamp| {
            let store = acme.store(&world);
            async move { store.write(move |scope| sweep_deleted(scope, until, 9)).await.unwrap() }
        };
        assert_eq!(sweep(NOW.plus(-1)).await, 0, "too young");
        assert_eq!(sweep(NOW).await, 1, "access; the rest is referred to, or its revocation is due");
        let id = acme.head.session_id.clone();
        world.write(move |c| sessions::complete_revocation(c, &id, 1)).await;
        assert_eq!(sweep(NOW).await, 3, "the credentials and the page");
        let statements = "DELETE FROM upstream_pending WHERE tenant_id = 'acme'; \
            DELETE FROM connect_session WHERE tenant_id = 'acme'; DELETE FROM upstream_session WHERE tenant_id = 'acme'";
        world.write(move |c| Ok(c.batch_execute(statements)?)).await;
        assert_eq!(sweep(NOW).await, 3, "the identity, the registration and the user");
        assert_eq!(
            count(world.clone()).await,
            before - 7,
            "{}: the other tenant's are all there",
            world.kind
        );
    });
}

/// On SQLite nothing but the statement itself keeps tenants apart.
#[test]
fn every_statement_on_a_tenants_table_names_the_tenant() {
    on_each(|world| async move {
        let statements = Statements::default();
        let noted = Arc::clone(&statements);
        let traced = world.write(move |c| {
            let note = note(Arc::clone(&noted));
            if let AnyConnection::Sqlite(conn) = c {
                conn.set_instrumentation(note);
            }
            Ok(())
        });
        traced.await;
        if world.kind != "sqlite" {
            return;
        }
        let owned = tenant_with_everything(&world, "acme").await;
        crate::exercise::use_everything(&world, &owned).await;
        let statements = std::mem::take(&mut *statements.lock().unwrap());
        let of_tenants: Vec<_> = statements
            .iter()
            .map(|(sql, _)| sql.replace('`', ""))
            .filter(|sql| TENANT_TABLES.iter().any(|table| sql.contains(table)))
            .collect();
        for table in TENANT_TABLES {
            for verb in ["SELECT", "INSERT", "UPDATE"] {
                let is_of = |sql: &&String| sql.starts_with(verb) && sql.contains(table);
                assert!(of_tenants.iter().any(|sql| is_of(&sql)), "no {verb} on {table}");
            }
        }
        for sql in of_tenants {
            let condition = if sql.starts_with("INSERT") {
                Some(sql.as_str())
            } else {
                sql.split_once("WHERE").map(|parts| parts.1)
            };
            assert!(condition.is_some_and(|text| text.contains("tenant_id")), "{sql}");
        }
    });
}

/// A list of 1,000 of many reads an index, in the order of the list.
#[test]
fn a_list_of_connections_reads_an_index() {
    use causeway_store::connections::credentials::{CredentialFilter, list_credentials};
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let statements = Statements::default();
        let noted = Arc::clone(&statements);
        let row = owned.clone();
        let store = owned.store(&world);
        let listed = store.write(move |scope| {
            let (note, user) = (note(Arc::clone(&noted)), &row.user);
            if let AnyConnection::Postgres(conn) = scope.connection() {
                conn.batch_execute(&crowd(&row.client.client_id, user))?;
                conn.set_instrumentation(note);
            } else if let AnyConnection::Sqlite(conn) = scope.connection() {
                conn.set_instrumentation(note);
            }
            let client_id = Some(row.client.client_id.clone());
            for filter in [
                ConnectionFilter::default(),
                ConnectionFilter { user: Some(user.clone()), ..ConnectionFilter::default() },
                ConnectionFilter { client_id, ..ConnectionFilter::default() },
            ] {
                for after in [None, Some("us_5".to_owned())] {
                    heads::list_connections(scope, &filter, &PageRequest { after, limit: 1000 })?;
                }
            }
            let after = Some("uc_5".to_owned());
            list_credentials(scope, &CredentialFilter::default(), &PageRequest { after, limit: 1000 })?;
            users::list_users(scope, None, &PageRequest::first(1000))?;
            Ok::<_, StoreError>(())
        });
        listed.await.unwrap();
        let statements = std::mem::take(&mut *statements.lock().unwrap());
        assert!(statements.len() >= 8, "{statements:#?}");
        let kind = world.kind;
        world
            .write(move |c| {
                if let AnyConnection::Postgres(conn) = c {
                    conn.batch_execute("SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off")?;
                }
                for (sql, binds) in statements.iter().filter(|(sql, _)| sql.contains("LIMIT")) {
                    let plan = plan(c, sql, binds)?;
                    let scans = plan.lines().any(|line| line.contains("SCAN ") && !line.contains("USING"));
                    let sorts = plan.contains("USE TEMP B-TREE FOR ORDER BY") || plan.contains("Sort Key");
                    assert!(!scans && !plan.contains("Seq Scan") && !sorts, "{kind}: {sql}\n{plan}");
                }
                find_number(c, "SELECT COUNT(*) AS number FROM upstream_session")
            })
            .await;
    });
}

/// Many connections of a tenant, among as many sessions that are none.
fn crowd(client_id: &causeway_types::ClientId, user: &causeway_types::TenantUser) -> String {
    let (namespace, user_id) = (&user.namespace, &user.user_id);
    format!(
        "INSERT INTO upstream_session (session_id, tenant_id, client_id, did, session_kind, state, browser_id, iteration,
            issuer, pds, upstream_client_id, upstream_auth, upstream_redirect_uri, created_at, last_used_at)
         SELECT 'us_' || n, 'acme', '{client_id}', 'd', 'device', 'active', 'b', 1, 'i', 'p', 'x', '{{}}', 'r', 1, 1
         FROM generate_series(1, 20000) AS n;
         INSERT INTO upstream_session (session_id, tenant_id, client_id, provider, subject, binding, session_kind, state,
            browser_id, iteration, created_at, last_used_at, namespace, user_id, account_slot, device_slot)
         SELECT 'us_c' || n, 'acme', '{client_id}', 'example', 'u', '{{}}', 'device', 'active', 'b', 1, 1, 1,
            '{namespace}', '{user_id}', n::text, '' FROM generate_series(1, 20000) AS n;
         INSERT INTO upstream_credential (credential_id, tenant_id, session_id, iteration, namespace, user_id, provider,
            session_kind, account_slot, device_slot, credential_kind, payload, state, created_at, updated_at,
            granted_scope)
         SELECT 'uc_' || n, 'acme', 'us_c' || n, 1, '{namespace}', '{user_id}', 'example', 'device', n::text, '', 'user',
            '', 'active', 1, 1, '' FROM generate_series(1, 20000) AS n;
         INSERT INTO connection_access (tenant_id, client_id, connection_id, granted_by, created_at)
         SELECT 'acme', '{client_id}', 'us_c' || n, 'creation', 1 FROM generate_series(1, 20000) AS n;
         INSERT INTO tenant_user (tenant_id, namespace, user_id, created_at)
         SELECT 'acme', 'n', n::text, 1 FROM generate_series(1, 20000) AS n;
         ANALYZE;"
    )
}
