//! Single-use values.

use causeway_domain::client::ReplayKey;
use causeway_store::StoreError;
use causeway_store::authorization::replay::{consume_once, consume_shared};
use causeway_store::operations::sweep::sweep_expired;
use causeway_types::{ClientId, Jkt};

use crate::common::{NOW, on_each};

fn proof(jkt: &str, jti: &str) -> ReplayKey {
    ReplayKey::dpop_proof(&Jkt::new(jkt), jti, NOW.plus(300))
}

#[test]
fn once_until_it_is_swept() {
    on_each(|world| async move {
        world
            .write(|c| {
                assert!(consume_once(c, &proof("k", "j"))?);
                assert!(!consume_once(c, &proof("k", "j"))?);
                // Another name, another key, another purpose: another thing.
                assert!(consume_once(c, &proof("k", "i"))?);
                assert!(consume_once(c, &proof("l", "j"))?);
                assert!(consume_once(c, &ReplayKey::assertion(&ClientId::new("k"), "j", NOW.plus(300)))?);
                // Changing the expiry does not allow a second use.
                assert!(!consume_once(c, &ReplayKey::dpop_proof(&Jkt::new("k"), "j", NOW.plus(301)))?);
                sweep_expired(c, NOW.plus(299), 10)?;
                assert!(!consume_once(c, &proof("k", "j"))?);
                assert_eq!(sweep_expired(c, NOW.plus(300), 10)?.deleted, 4);
                assert!(consume_once(c, &proof("k", "j"))?);
                Ok(())
            })
            .await;
    });
}

/// A value consumed in a transaction that failed is not used up.
#[test]
fn a_failed_transaction_uses_nothing_up() {
    on_each(|world| async move {
        let failed = world
            .store
            .write(|c| {
                assert!(consume_once(c, &proof("k", "j"))?);
                Err::<(), _>(StoreError::Conflict("test"))
            })
            .await;
        assert!(failed.is_err());
        assert!(world.write(|c| consume_once(c, &proof("k", "j"))).await);
    });
}

/// Among processes that share a database one gets it; an embedded database is one process'.
#[test]
fn shared_means_shared() {
    on_each(|world| async move {
        let shared = world.kind == "postgres";
        assert_eq!(world.store.is_shared(), shared);
        assert!(consume_shared(&world.store, proof("k", "j")).await.unwrap());
        assert_eq!(consume_shared(&world.store, proof("k", "j")).await.unwrap(), !shared);
        assert_eq!(world.write(|c| consume_once(c, &proof("k", "j"))).await, !shared);
    });
}
