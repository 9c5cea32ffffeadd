//! Constraints of the tables of connections, whatever the code does.

use causeway_domain::connection::{CredentialOwner, Slot};
use causeway_store::connections::credentials::{self, CredentialFilter};
use causeway_store::connections::{heads, managed_accounts};
use causeway_store::{PageRequest, StoreError, sessions};
use causeway_types::{CredentialId, SessionKind, SessionState, SystemRng};
use diesel::{RunQueryDsl as _, sql_query};

use crate::common::{NOW, World, bearer, on_each};
use crate::exercise::{Owned, insert_page, insert_plain, page_of, tenant_with_everything};

/// The outcome of a statement in a tenant.
async fn execute(world: &World, owned: &Owned, sql: &str) -> Result<usize, StoreError> {
    let sql = sql.to_owned();
    owned.store(world).write(move |scope| Ok(sql_query(&sql).execute(scope.connection())?)).await
}

fn is_refused<T: std::fmt::Debug>(result: &Result<T, StoreError>, sql: &str) {
    assert!(matches!(result, Err(StoreError::Constraint(_))), "{sql}: {result:?}");
}

/// A copy of a credential with some columns changed.
fn copy_of(credential_id: &str, changes: &[(&str, &str)]) -> String {
    const COLUMNS: [&str; 19] = [
        "credential_id",
        "tenant_id",
        "session_id",
        "iteration",
        "namespace",
        "user_id",
        "provider",
        "session_kind",
        "account_slot",
        "device_slot",
        "credential_kind",
        "social_identity_id",
        "managed_account_id",
        "payload",
        "state",
        "created_at",
        "updated_at",
        "granted_scope",
        "deleted_at",
    ];
    let changed = |column: &&str| changes.iter().find(|(name, _)| name == column).map(|(_, value)| *value);
    let kept: Vec<_> = COLUMNS.iter().filter(|column| changed(column) != Some("")).copied().collect();
    let values: Vec<_> = kept.iter().map(|column| changed(column).unwrap_or(column)).collect();
    format!(
        "INSERT INTO upstream_credential ({}) SELECT {} FROM upstream_credential WHERE credential_id = '{credential_id}'",
        kept.join(", "),
        values.join(", "),
    )
}

#[test]
fn a_credential_has_a_kind_and_a_page_credential_an_account() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let id = owned.head.session_id.as_str();
        let elsewhere = ("account_slot", "'elsewhere'");
        let account = format!("'{}'", owned.page.managed_account_id);
        let new = ("credential_id", "'new'");
        let allowed = copy_of(id, &[new, elsewhere]);
        assert_eq!(execute(&world, &owned, &allowed).await.unwrap(), 1, "the copies differ in what is wrong");
        for wrong in [
            ("credential_kind", ""),
            ("credential_kind", "NULL"),
            ("credential_kind", "'bot'"),
            ("credential_kind", "'page'"),
            ("managed_account_id", account.as_str()),
            ("account_slot", ""),
            ("device_slot", ""),
            ("tenant_id", "''"),
            ("tenant_id", ""),
        ] {
            let changes = [("credential_id", "'wrong'"), wrong, ("account_slot", "'third'")];
            let sql = copy_of(id, if wrong.0 == "account_slot" { &changes[..2] } else { &changes });
            let result = execute(&world, &owned, &sql).await;
            // What names no tenant is refused by PostgreSQL before the constraint is looked at.
            if wrong.0 == "tenant_id" {
                assert!(result.is_err(), "{sql}");
            } else {
                is_refused(&result, &sql);
            }
        }
    });
}

#[test]
fn one_user_credential_is_live_in_a_place() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let (second, slot) = owned.another(SessionKind::Background, SessionState::Active, "");
        let insert = |head: &causeway_domain::session::SessionHead, slot: &Slot| {
            let (ring, head, slot) = (world.ring.clone(), head.clone(), slot.clone());
            let store = owned.store(&world);
            async move { store.write(move |scope| insert_plain(scope, &ring, &head, &slot)).await }
        };
        is_refused(&insert(&second, &slot).await, "a second one");
        // Each of the columns makes it another place.
        let (device, _) = owned.another(SessionKind::Device, SessionState::Active, "");
        insert(&device, &slot).await.unwrap();
        let (account, other_account) = owned.another(SessionKind::Background, SessionState::Active, "b");
        insert(&account, &other_account).await.unwrap();
        let on_device = Slot { device_slot: "d".to_owned(), ..owned.slot.clone() };
        let (at_device, _) = owned.another(SessionKind::Background, SessionState::Active, "");
        insert(&at_device, &on_device).await.unwrap();
        // One that nobody has confirmed takes nobody's place, until it is activated.
        let (pending, _) = owned.another(SessionKind::Background, SessionState::Pending, "");
        insert(&pending, &slot).await.unwrap();
        let id = pending.session_id.clone();
        let confirm = || {
            let (store, id) = (owned.store(&world), id.clone());
            async move { store.write(move |scope| heads::confirm_connection(scope, &id, NOW)).await }
        };
        is_refused(&confirm().await, "activation");
        let (find, ended) = (pending.session_id.clone(), owned.head.session_id.clone());
        let store = owned.store(&world);
        let superseded = store.write(move |scope| {
            let waiting = heads::find_connection(scope, &find)?.unwrap();
            assert_eq!(waiting.confirmed_at, None);
            let live = heads::find_superseded(scope, &waiting)?;
            assert!(heads::end_connection(scope, &ended, NOW)?);
            assert_eq!(heads::find_superseded(scope, &waiting)?, None);
            Ok::<_, StoreError>(live)
        });
        assert_eq!(superseded.await.unwrap().as_ref(), Some(&owned.head.session_id));
        assert!(confirm().await.unwrap());
        let find = pending.session_id.clone();
        let store = owned.store(&world);
        let confirmed = store.read(move |scope| heads::find_connection(scope, &find)).await;
        assert_eq!(confirmed.unwrap().unwrap().confirmed_at, Some(NOW), "{}", world.kind);
        // What ended first is still to be revoked.
        let (ring, id) = (world.ring.clone(), owned.head.session_id.clone());
        let due = world.write(move |c| {
            let claimed = sessions::claim_revocation(c, &id, NOW, NOW.plus(60))?.unwrap();
            sessions::find_credentials(c, &ring, &claimed.head)
        });
        assert_eq!(due.await, Some(bearer("user")));
        is_refused(&insert(&second, &slot).await, "a second one again");
    });
}

/// A connection takes the access of another authorization of the same account alone, at the same issuer; what it had is
/// due for revocation.
#[test]
fn a_connection_is_connected_again_with_its_account() {
    use causeway_domain::connection::SocialIdentity;
    use causeway_store::connections::{identities, reconnect};
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let (own, _) = owned.another(SessionKind::Background, SessionState::Pending, "");
        let (others, _) = owned.another(SessionKind::Background, SessionState::Pending, "");
        let replaced = causeway_types::UpstreamSessionId::issued(&SystemRng, NOW.into());
        let (row, ring, id, wanted) = (owned.clone(), world.ring.clone(), replaced.clone(), own.clone());
        let store = owned.store(&world);
        let done = store.write(move |scope| {
            let elsewhere = SocialIdentity {
                identity_id: causeway_types::IdentityId::issued(&SystemRng, NOW.into()),
                issuer: "https://other.example".to_owned(),
                ..row.identity.clone()
            };
            identities::find_or_insert_identity(scope, &elsewhere)?;
            let empty = serde_json::Map::new();
            for (head, identity) in [(&wanted, &row.identity), (&others, &elsewhere)] {
                let new = heads::NewConnection {
                    head,
                    slot: &row.slot,
                    registration_id: None,
                    identity_id: Some(&identity.identity_id),
                    parameters: &empty,
                    metadata: &empty,
                };
                heads::insert_connection(scope, &ring, &new, &bearer(head.session_id.as_str()))?;
            }
            let (old, later) = (&row.head.session_id, NOW.plus(5));
            assert!(
                !reconnect::reconnect(scope, &ring, old, &others.session_id, &id, later)?,
                "another account"
            );
            assert!(reconnect::reconnect(scope, &ring, old, &wanted.session_id, &id, later)?);
            assert!(!reconnect::reconnect(scope, &ring, old, &wanted.session_id, &id, later)?, "once");
            heads::find_connection(scope, old)
        });
        let connection = done.await.unwrap().unwrap();
        assert_eq!((connection.head.state, connection.head.iteration), (SessionState::Active, 2));
        let (ring, head) = (world.ring.clone(), connection.head.clone());
        let due = world.write(move |c| {
            let now = sessions::find_credentials(c, &ring, &head)?;
            let claimed = sessions::claim_due_revocations(c, NOW.plus(9), NOW.plus(60), 9)?;
            let due: Vec<_> = claimed.iter().map(|claimed| claimed.head.session_id.clone()).collect();
            Ok((now, due, sessions::find_credentials(c, &ring, &claimed[0].head)?))
        });
        let expected = (Some(bearer(own.session_id.as_str())), vec![replaced], Some(bearer("user")));
        assert_eq!(due.await, expected, "{}", world.kind);
    });
}

#[test]
fn of_those_who_connect_at_once_one_wins() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (head, slot) = owned.another(SessionKind::Device, SessionState::Active, "raced");
            let (store, ring) = (owned.store(&world), world.ring.clone());
            all.spawn(
                async move { store.write(move |scope| insert_plain(scope, &ring, &head, &slot)).await },
            );
        }
        let outcomes = all.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{}", world.kind);
        for outcome in outcomes.into_iter().filter(Result::is_err) {
            is_refused(&outcome, "one of the others");
        }
    });
}

#[test]
fn three_pages_are_three_live_credentials() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let (row, ring) = (owned.clone(), world.ring.clone());
        let store = owned.store(&world);
        let pages = store.write(move |scope| {
            let mut pages = Vec::new();
            for subject in ["page-2", "page-3"] {
                let page = page_of(&row.identity, subject);
                managed_accounts::put_managed_account(scope, &page)?;
                pages.push(insert_page(scope, &ring, &row, &page.managed_account_id)?);
            }
            let filter = CredentialFilter { session_id: Some(row.head.session_id.clone()), deleted: false };
            let listed = credentials::list_credentials(scope, &filter, &PageRequest::first(10))?.items;
            assert_eq!(listed.len(), 4, "the user's, and three pages'");
            assert_eq!(listed.iter().filter(|one| one.owner == CredentialOwner::User).count(), 1);
            Ok::<_, StoreError>(pages)
        });
        let page = pages.await.unwrap().pop().unwrap();
        let (row, ring) = (owned.clone(), world.ring.clone());
        let store = owned.store(&world);
        let again = store.write(move |scope| insert_page(scope, &ring, &row, &row.page.managed_account_id));
        is_refused(&again.await, "a second one of a page");
        // The refusal of the user's credential, or of one page's, leaves the other pages alone.
        let (id, lease) = (owned.head.session_id.clone(), owned.head.iteration);
        assert!(world.write(move |c| sessions::require_reauth(c, &id, lease, 0)).await);
        let row = owned.clone();
        let store = owned.store(&world);
        let states = store.write(move |scope| {
            assert!(credentials::require_reauth(scope, &page, 1, NOW)?);
            assert!(!credentials::require_reauth(scope, &page, 1, NOW)?);
            let all = CredentialFilter { session_id: Some(row.head.session_id.clone()), deleted: true };
            let listed = credentials::list_credentials(scope, &all, &PageRequest::first(10))?.items;
            Ok::<_, StoreError>(listed.iter().map(|one| (one.owner.kind(), one.state)).collect::<Vec<_>>())
        });
        let states = states.await.unwrap();
        let count = |state| states.iter().filter(|(_, found)| *found == state).count();
        assert_eq!((count(SessionState::Active), count(SessionState::ReauthRequired)), (2, 2), "{states:?}");
        // The explicit end of the parent ends them in the same transaction.
        let (id, store) = (owned.head.session_id.clone(), owned.store(&world));
        assert!(store.write(move |scope| heads::end_connection(scope, &id, NOW)).await.unwrap());
        let filter = CredentialFilter { session_id: Some(owned.head.session_id.clone()), deleted: false };
        let store = owned.store(&world);
        let live =
            store.read(move |scope| credentials::list_credentials(scope, &filter, &PageRequest::first(10)));
        assert!(live.await.unwrap().items.is_empty(), "{}", world.kind);
        let id = owned.head.session_id.clone();
        world.write(move |c| sessions::complete_revocation(c, &id, 1)).await;
        let left = world.read(|c| {
            let left = "SELECT COUNT(*) AS number FROM upstream_credential WHERE payload <> ''";
            causeway_store::testing::find_number(c, left)
        });
        assert_eq!(left.await, 0, "no secret is left when the revocation is settled");
    });
}

/// An answer to an older iteration changes nothing.
#[test]
fn a_page_credential_is_renewed_by_its_own_iteration() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let (row, ring) = (owned.clone(), world.ring.clone());
        let store = owned.store(&world);
        let done = store.write(move |scope| {
            let (session, page) = (&row.head.session_id, &row.page.managed_account_id);
            let (record, secrets) = credentials::find_page_credential(scope, &ring, session, page)?.unwrap();
            assert_eq!(secrets, bearer("page"));
            let id: &CredentialId = &record.credential_id;
            let later = NOW.plus(5);
            assert!(credentials::require_reauth(scope, id, 1, later)?);
            assert!(credentials::renew_credential(scope, &ring, id, 1, &bearer("new"), later)?);
            assert!(!credentials::renew_credential(scope, &ring, id, 1, &bearer("old"), later)?);
            let (record, secrets) = credentials::find_page_credential(scope, &ring, session, page)?.unwrap();
            assert_eq!((record.iteration, record.state, secrets), (2, SessionState::Active, bearer("new")));
            assert!(!credentials::erase_payload(scope, id)?, "it is live");
            assert!(credentials::delete_credential(scope, id, later)?);
            assert!(!credentials::delete_credential(scope, id, later)?);
            assert!(credentials::find_page_credential(scope, &ring, session, page)?.is_none());
            let late = credentials::renew_credential(scope, &ring, id, 2, &bearer("late"), later)?;
            assert!(!late, "what is deleted gets no secrets any more");
            assert!(credentials::erase_payload(scope, id)?);
            // Its place is free.
            insert_page(scope, &ring, &row, page)
        });
        done.await.unwrap();
    });
}

/// A head and its user's credential change together or not at all.
#[test]
fn a_head_without_its_credential_is_an_error() {
    use causeway_store::connections::credentials::delete_credential;
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let (pending, slot) = owned.another(SessionKind::Device, SessionState::Pending, "p");
        let (row, ring, waiting) = (owned.clone(), world.ring.clone(), pending.clone());
        let store = owned.store(&world);
        let lost = store.write(move |scope| {
            insert_plain(scope, &ring, &waiting, &slot)?;
            for head in [&row.head, &waiting] {
                assert!(delete_credential(scope, &CredentialId::first_of(&head.session_id), NOW)?);
            }
            Ok::<_, StoreError>(())
        });
        lost.await.unwrap();
        let (id, ring) = (owned.head.session_id.clone(), world.ring.clone());
        let renewed =
            world.store.write(move |c| sessions::advance_session(c, &ring, &id, 1, &bearer("2"), NOW));
        assert!(matches!(renewed.await, Err(StoreError::Corrupt { .. })), "{}", world.kind);
        let id = owned.head.session_id.clone();
        let refused = world.store.write(move |c| sessions::require_reauth(c, &id, 1, 0));
        assert!(matches!(refused.await, Err(StoreError::Corrupt { .. })), "{}", world.kind);
        let (id, store) = (pending.session_id.clone(), owned.store(&world));
        let confirmed = store.write(move |scope| heads::confirm_connection(scope, &id, NOW));
        assert!(matches!(confirmed.await, Err(StoreError::Corrupt { .. })), "{}", world.kind);
    });
}

/// Each foreign key among these tables holds the tenant.
#[test]
fn no_row_leads_to_another_tenant() {
    on_each(|world| async move {
        let acme = tenant_with_everything(&world, "acme").await;
        let globex = tenant_with_everything(&world, "globex").await;
        let theirs = [
            ("upstream_credential", "session_id", globex.head.session_id.as_str()),
            ("upstream_credential", "social_identity_id", globex.identity.identity_id.as_str()),
            ("upstream_credential", "namespace", globex.user.namespace.as_str()),
            ("upstream_session", "namespace", globex.user.namespace.as_str()),
            ("upstream_session", "registration_id", globex.registration.registration_id.as_str()),
            ("upstream_session", "social_identity_id", globex.identity.identity_id.as_str()),
            ("social_identity", "namespace", globex.user.namespace.as_str()),
            ("managed_account", "social_identity_id", globex.identity.identity_id.as_str()),
            ("connection_access", "connection_id", globex.head.session_id.as_str()),
            ("connection_access", "client_id", globex.client.client_id.as_str()),
            ("connect_session", "client_id", globex.client.client_id.as_str()),
            ("connect_session", "namespace", globex.user.namespace.as_str()),
            ("connect_session", "connection_id", globex.head.session_id.as_str()),
            ("upstream_pending", "client_id", globex.client.client_id.as_str()),
            ("upstream_pending", "namespace", globex.user.namespace.as_str()),
            ("upstream_pending", "registration_id", globex.registration.registration_id.as_str()),
            ("upstream_pending", "connect_session_id", globex.connect_session.connect_session_id.as_str()),
        ];
        for (table, column, id) in theirs {
            let sql = format!("UPDATE {table} SET {column} = '{id}' WHERE tenant_id = 'acme'");
            is_refused(&execute(&world, &acme, &sql).await, &sql);
        }
        let page = format!(
            "UPDATE upstream_credential SET managed_account_id = '{}' WHERE tenant_id = 'acme' \
             AND credential_kind = 'page'",
            globex.page.managed_account_id
        );
        is_refused(&execute(&world, &acme, &page).await, &page);
        let own = format!(
            "UPDATE upstream_session SET social_identity_id = '{}' WHERE tenant_id = 'acme'",
            acme.identity.identity_id
        );
        assert_eq!(execute(&world, &acme, &own).await.unwrap(), 1);
    });
}
