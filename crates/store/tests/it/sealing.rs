//! Sealed rows cannot be swapped, and keys rotate.

use causeway_domain::{Secret, SystemRng};
use causeway_store::keys::{self, StoredKey};
use causeway_store::seal::{SealError, SealingKeyRing};
use causeway_store::{StoreError, sessions};
use diesel::connection::SimpleConnection as _;

use crate::common::{NOW, on_each, token_set};

#[test]
fn swapped_rows_do_not_open() {
    on_each(|world| async move {
        let (_, one) = world.client_and_session().await;
        let (_, two) = world.client_and_session().await;
        let sql = format!(
            "UPDATE oauth_atp_session SET access_token = \
             (SELECT access_token FROM oauth_atp_session WHERE session_id = '{}') WHERE session_id = '{}'",
            two.session_id, one.session_id
        );
        world.write(move |c| Ok(c.batch_execute(&sql)?)).await;
        let ring = world.ring.clone();
        let opened = world.store.read(move |c| sessions::find_token_set(c, &ring, &one.session_id, 1)).await;
        assert!(
            matches!(opened, Err(StoreError::Seal { error: SealError::Broken, .. })),
            "{}: {opened:?}",
            world.kind
        );
        let sql = format!(
            "UPDATE oauth_atp_session SET refresh_token = access_token WHERE session_id = '{}'",
            two.session_id
        );
        let ring = world.ring.clone();
        let opened = world
            .store
            .write(move |c| {
                c.batch_execute(&sql)?;
                sessions::find_token_set(c, &ring, &two.session_id, 1)
            })
            .await;
        assert!(matches!(opened, Err(StoreError::Seal { error: SealError::Broken, .. })), "{opened:?}");
    });
}

#[test]
fn a_rotated_ring_opens_old_rows() {
    on_each(|mut world| async move {
        let (old, new) = (SealingKeyRing::generate(&SystemRng), SealingKeyRing::generate(&SystemRng));
        world.ring = SealingKeyRing::parse(&old).unwrap();
        let (_, session) = world.client_and_session().await;
        let find = |text: String| {
            let (world, id) = (world.clone(), session.session_id.clone());
            let ring = SealingKeyRing::parse(&text).unwrap();
            async move { world.store.read(move |c| sessions::find_token_set(c, &ring, &id, 1)).await }
        };
        assert_eq!(find(format!("{new}{old}")).await.unwrap(), Some(token_set("1")));
        let refused = find(new).await;
        assert!(matches!(refused, Err(StoreError::Seal { error: SealError::UnknownKey, .. })), "{refused:?}");
    });
}

#[test]
fn signing_keys_are_sealed() {
    on_each(|world| async move {
        assert!(!world.read(keys::has_sealed_rows).await);
        let key = StoredKey {
            kid: "thumbprint".to_owned(),
            purpose: "client_assertion".to_owned(),
            alg: "ES256".to_owned(),
            public_jwk: "{}".to_owned(),
            private_jwk: Secret::new("canary"),
            created_at: NOW,
            retired_at: None,
        };
        let (row, ring) = (key.clone(), world.ring.clone());
        world.write(move |c| keys::insert_signing_key(c, &ring, &row)).await;
        assert!(world.read(keys::has_sealed_rows).await);
        let ring = world.ring.clone();
        assert_eq!(world.read(move |c| keys::list_signing_keys(c, &ring, "client_assertion")).await, [key]);
        let ring = world.ring.clone();
        assert!(world.read(move |c| keys::list_signing_keys(c, &ring, "other")).await.is_empty());
    });
}
