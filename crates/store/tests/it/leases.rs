//! Leases of dead servers.

use causeway_domain::session::SessionHead;
use causeway_store::operations::nodes;
use causeway_store::sessions as rows;
use causeway_store::sessions::{self, Lease, LeaseClaim};
use causeway_store::testing::stop_hearts;
use causeway_types::NodeId;

use crate::common::{NOW, World, on_each};

impl World {
    async fn beat(&self, node: &NodeId) {
        let node = node.clone();
        self.write(move |c| nodes::beat(c, &node)).await;
    }

    async fn lease_for(&self, node: Option<&NodeId>, session: &SessionHead) -> Option<Lease> {
        let (node, id) = (node.cloned(), session.session_id.clone());
        self.write(move |c| {
            let claim = LeaseClaim { holder: "me", node: node.as_ref(), now: NOW, until: NOW.plus(120) };
            sessions::acquire_lease(c, &id, claim)
        })
        .await
    }
}

/// A lease is valid while its server sends heartbeats, and void as soon as they stop, whatever its expiry.
#[test]
fn a_lease_ends_with_its_server() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let (one, two) = (NodeId::new("node_one"), NodeId::new("node_two"));
        world.beat(&one).await;
        world.beat(&two).await;
        let first = world.lease_for(Some(&one), &session).await.unwrap();
        assert_eq!(world.lease_for(Some(&two), &session).await, None, "{}: held", world.kind);
        // After a server was killed: on the embedded database the next one deletes its row, otherwise its
        // heartbeat ages.
        if world.kind == "sqlite" {
            let next = two.clone();
            world.write(move |c| nodes::forget_others(c, &next)).await;
        } else {
            world.write(stop_hearts).await;
            world.beat(&two).await;
        }
        let second = world.lease_for(Some(&two), &session).await.unwrap();
        assert!(second.taken_over && second.fence > first.fence, "{second:?}");
        assert_eq!(world.lease_for(Some(&one), &session).await, None, "held by one that lives");
        let (id, fence) = (session.session_id.clone(), second.fence);
        assert!(world.write(move |c| rows::release_lease(c, &id, fence)).await);
        assert!(!world.lease_for(Some(&two), &session).await.unwrap().taken_over, "given back");
        let gone = two.clone();
        world.write(move |c| nodes::leave(c, &gone)).await;
        assert!(world.lease_for(Some(&one), &session).await.unwrap().taken_over, "it has stopped");
    });
}

/// The lease of a holder without a heartbeat is valid until it expires.
#[test]
fn a_lease_without_a_server_lasts() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        assert!(world.lease_for(None, &session).await.is_some());
        world.beat(&NodeId::new("node_two")).await;
        assert_eq!(world.lease_for(Some(&NodeId::new("node_two")), &session).await, None);
    });
}
