//! Encrypted rows cannot be swapped, and keys rotate.

use causeway_store::StoreError;
use causeway_store::encryption::keyring::{EncryptionError, EncryptionKeyRing};
use causeway_store::encryption::reencrypt;
use causeway_store::operations::keys::{self, StoredKey};
use causeway_store::sessions;
use causeway_types::SystemRng;
use diesel::connection::SimpleConnection as _;

use crate::common::{NOW, World, on_each, signing_key, token_set};

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
            matches!(opened, Err(StoreError::Encrypt { error: EncryptionError::Broken, .. })),
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
        assert!(
            matches!(opened, Err(StoreError::Encrypt { error: EncryptionError::Broken, .. })),
            "{opened:?}"
        );
    });
}

#[test]
fn a_rotated_ring_opens_old_rows() {
    on_each(|mut world| async move {
        let (old, new) = (EncryptionKeyRing::generate(&SystemRng), EncryptionKeyRing::generate(&SystemRng));
        world.ring = EncryptionKeyRing::parse(&old).unwrap();
        let (_, session) = world.client_and_session().await;
        let find = |text: String| {
            let (world, id) = (world.clone(), session.session_id.clone());
            let ring = EncryptionKeyRing::parse(&text).unwrap();
            async move { world.store.read(move |c| sessions::find_token_set(c, &ring, &id, 1)).await }
        };
        assert_eq!(find(format!("{new}{old}")).await.unwrap(), Some(token_set("1")));
        let refused = find(new).await;
        assert!(
            matches!(refused, Err(StoreError::Encrypt { error: EncryptionError::UnknownKey, .. })),
            "{refused:?}"
        );
    });
}

/// A signing key is tried first, then a token set; a database without either takes any ring.
#[test]
fn another_ring_is_found_out() {
    on_each(|mut world| async move {
        let (own, other) = (EncryptionKeyRing::generate(&SystemRng), EncryptionKeyRing::generate(&SystemRng));
        world.ring = EncryptionKeyRing::parse(&own).unwrap();
        let key = |text: &str| text.lines().last().unwrap().to_owned();
        let name = |text: &str| key(text).split(':').next().unwrap().to_owned();
        let same_name = key(&other).replacen(&name(&other), &name(&own), 1);
        let tried = async |world: &World, text: &str| {
            let ring = EncryptionKeyRing::parse(text).unwrap();
            match world.store.read(move |c| keys::try_ring(c, &ring)).await {
                Ok(()) => None,
                Err(StoreError::Encrypt { error, .. }) => Some(error),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(tried(&world, &other).await, None);
        world.client_and_session().await;
        for round in ["a token set", "a signing key"] {
            assert_eq!(tried(&world, &own).await, None, "{round}");
            assert_eq!(tried(&world, &format!("{other}{own}")).await, None, "{round}");
            assert_eq!(tried(&world, &other).await, Some(EncryptionError::UnknownKey), "{round}");
            assert_eq!(tried(&world, &same_name).await, Some(EncryptionError::Broken), "{round}");
            let ring = world.ring.clone();
            world.write(move |c| keys::insert_signing_key(c, &ring, &signing_key("k", None)).map(drop)).await;
        }
    });
}

#[test]
fn signing_keys_are_encrypted_and_one_signs() {
    on_each(|world| async move {
        assert!(!world.read(reencrypt::has_encrypted_rows).await);
        let ring = world.ring.clone();
        world
            .write(move |c| {
                let live = signing_key("live", None);
                let older = StoredKey { created_at: NOW.plus(-9), ..signing_key("older", Some(NOW)) };
                // Made later, retired all the same.
                let newer = StoredKey { created_at: NOW.plus(9), ..signing_key("newer", Some(NOW)) };
                let elsewhere =
                    StoredKey { purpose: "id_token".to_owned(), ..signing_key("elsewhere", None) };
                for key in [&older, &live, &newer, &elsewhere] {
                    assert!(keys::insert_signing_key(c, &ring, key)?, "{}", key.kid);
                }
                assert!(!keys::insert_signing_key(c, &ring, &signing_key("second", None))?, "one signs");
                assert!(!keys::insert_signing_key(c, &ring, &older)?, "its name is taken");
                let listed = keys::list_signing_keys(c, &ring, "client_assertion")?;
                assert_eq!(listed, [live, newer, older]);
                assert!(keys::list_signing_keys(c, &ring, "other")?.is_empty());
                Ok(())
            })
            .await;
        assert!(world.read(reencrypt::has_encrypted_rows).await);
        let dump = world.read(causeway_store::testing::dump_text).await;
        assert!(dump.contains("v1.") && !dump.contains("canary"), "{dump}");
    });
}
