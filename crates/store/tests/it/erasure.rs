//! Erasure of what belongs to a deleted tenant or user.

use causeway_domain::connection::Erasure;
use causeway_store::connections::erasure::{self, Erased};
use causeway_store::connections::{heads, identities, registrations, users};
use causeway_store::{PageRequest, StoreError, sessions};
use causeway_types::{SessionKind, SessionState, UpstreamSessionId};

use crate::common::{NOW, World, on_each};
use crate::exercise::{Owned, insert_plain, tenant_with_everything};

/// Each step of an erasure, until nothing is left to do.
async fn steps(world: &World, owned: &Owned, whose: Erasure) -> Vec<Erased> {
    let mut steps = Vec::new();
    loop {
        let (whose, at) = (whose.clone(), NOW.plus(10));
        let store = owned.store(world);
        steps.push(store.write(move |scope| erasure::erase(scope, &whose, at, 1)).await.unwrap());
        if steps.last().is_some_and(Erased::is_done) {
            return steps;
        }
    }
}

async fn find(world: &World, owned: &Owned, id: &UpstreamSessionId) -> Option<SessionState> {
    let id = id.clone();
    let store = owned.store(world);
    let found = store.read(move |scope| heads::find_connection(scope, &id)).await;
    found.unwrap().map(|connection| connection.head.state)
}

/// One row a step: connections first, registrations once no revocation needs them.
#[test]
fn a_tenant_is_erased_step_by_step() {
    on_each(|world| async move {
        let (owned, other) =
            (tenant_with_everything(&world, "acme").await, tenant_with_everything(&world, "globex").await);
        let all = steps(&world, &owned, Erasure::Tenant).await;
        assert!(all.iter().filter(|step| step.connections > 0).all(|step| step.rows == 0));
        assert!(all[0].connections == 1 && all.len() == 3, "{all:?}");
        assert!(all.last().unwrap().waits, "its registration revokes the connection: {all:?}");
        assert_eq!(find(&world, &owned, &owned.head.session_id).await, None);
        let (id, row) = (owned.head.session_id.clone(), owned.clone());
        let ring = world.ring.clone();
        owned
            .store(&world)
            .write::<_, StoreError, _>(move |scope| {
                let registration = &row.registration.registration_id;
                assert!(registrations::find_registration(scope, &ring, registration)?.is_some());
                assert!(identities::find_identity(scope, &row.identity.identity_id)?.is_none());
                assert!(users::list_users(scope, None, &PageRequest::first(9))?.items.is_empty());
                sessions::complete_revocation(scope.connection(), &id, 1)
            })
            .await
            .unwrap();
        assert!(!steps(&world, &owned, Erasure::Tenant).await.last().unwrap().waits);
        assert_eq!(find(&world, &other, &other.head.session_id).await, Some(SessionState::Active));
    });
}

/// A user who came back before the erasure was done keeps what they have connected since.
#[test]
fn a_user_who_is_back_keeps_what_is_new() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let (user, back) = (owned.user.clone(), NOW.plus(5));
        owned
            .store(&world)
            .write::<_, StoreError, _>(move |scope| {
                assert!(users::delete_user(scope, &user, NOW.plus(4))?);
                users::put_user(scope, &user, back)
            })
            .await
            .unwrap();
        let (mut head, slot) = owned.another(SessionKind::Background, SessionState::Active, "new");
        (head.created_at, head.last_used_at) = (back, back);
        let (ring, id) = (world.ring.clone(), head.session_id.clone());
        owned.store(&world).write(move |scope| insert_plain(scope, &ring, &head, &slot)).await.unwrap();
        steps(&world, &owned, Erasure::User(owned.user.clone())).await;
        assert_eq!(find(&world, &owned, &owned.head.session_id).await, None);
        assert_eq!(find(&world, &owned, &id).await, Some(SessionState::Active));
    });
}
