//! Device authorizations: each step once, on both databases.

use causeway_domain::authorization::device::{
    DEVICE_CODE_SECONDS, DeviceAuthorization, DeviceGrant, DeviceStage,
};
use causeway_domain::session::SessionHead;
use causeway_store::authorization::device_codes as devices;
use causeway_types::{AuthRequestId, Jkt, Scope, SystemRng, TenantId};

use crate::common::{NOW, hash, on_each, resources};

fn device(session: &SessionHead, user_code: &str) -> DeviceAuthorization {
    DeviceAuthorization {
        device_code: hash(),
        user_code: user_code.to_owned(),
        tenant_id: session.tenant_id.clone(),
        client_id: session.client_id.clone(),
        scope: Scope::parse("atproto transition:generic").unwrap(),
        resources: resources(),
        dpop_jkt: Some(Jkt::new("jkt-of-device")),
        stage: DeviceStage::Pending,
        created_at: NOW,
        expires_at: NOW.plus(DEVICE_CODE_SECONDS),
    }
}

fn grant(session: &SessionHead) -> DeviceGrant {
    DeviceGrant {
        did: session.atproto().unwrap().did.clone(),
        session_id: session.session_id.clone(),
        session_iteration: 3,
        scope: Scope::atproto(),
    }
}

#[test]
fn each_step_once() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        world
            .write(move |c| {
                let mut device = device(&session, "one");
                let code = device.device_code.clone();
                devices::insert_device_code(c, &device)?;
                assert_eq!(devices::find_device_code(c, &code)?.as_ref(), Some(&device));
                let find =
                    |c: &mut _, now| devices::find_user_code(c, &TenantId::default_tenant(), "one", now);
                assert_eq!(find(c, NOW)?.as_ref(), Some(&device));
                assert_eq!(find(c, device.expires_at)?, None, "expired");
                let other = TenantId::new("other");
                assert_eq!(devices::find_user_code(c, &other, "one", NOW)?, None, "another tenant's");

                let [first, second] = [(); 2].map(|()| AuthRequestId::issued(&SystemRng, NOW.into()));
                let granted = grant(&session);
                assert!(
                    !devices::approve_device_code(c, &code, &first, &granted, NOW)?,
                    "nobody has claimed it"
                );
                assert!(!devices::consume_device_code(c, &code, NOW)?);
                assert!(!devices::claim_device_code(c, &code, &first, device.expires_at)?, "expired");
                assert!(devices::claim_device_code(c, &code, &first, NOW)?);
                assert!(!devices::claim_device_code(c, &code, &second, NOW)?);
                assert!(!devices::deny_device_code(c, &code, None)?);
                assert!(!devices::deny_device_code(c, &code, Some(&second))?);
                assert!(!devices::approve_device_code(c, &code, &second, &granted, NOW)?);
                assert!(!devices::approve_device_code(c, &code, &first, &granted, device.expires_at)?);
                assert!(!devices::consume_device_code(c, &code, NOW)?);
                assert!(devices::approve_device_code(c, &code, &first, &granted, NOW)?);
                assert!(!devices::approve_device_code(c, &code, &first, &granted, NOW)?);
                assert!(!devices::deny_device_code(c, &code, Some(&first))?);
                device.stage = DeviceStage::Approved(granted);
                assert_eq!(devices::find_device_code(c, &code)?.as_ref(), Some(&device));
                assert!(!devices::consume_device_code(c, &code, device.expires_at)?, "expired");
                assert!(devices::consume_device_code(c, &code, NOW)?);
                assert!(!devices::consume_device_code(c, &code, NOW)?);
                assert_eq!(
                    devices::find_device_code(c, &code)?.map(|device| device.stage),
                    Some(DeviceStage::Used)
                );
                Ok(())
            })
            .await;
    });
}

#[test]
fn a_poll_that_comes_too_early_lengthens_the_interval() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        world
            .write(move |c| {
                let device = device(&session, "two");
                devices::insert_device_code(c, &device)?;
                // The interval is 5 at first, and counts from the poll before, in time or not.
                for (at, in_time) in
                    [(0, true), (5, true), (9, false), (18, false), (33, true), (48, true), (62, false)]
                {
                    assert_eq!(devices::note_poll(c, &device.device_code, NOW.plus(at))?, in_time, "{at}");
                }
                assert!(devices::deny_device_code(c, &device.device_code, None)?);
                assert!(!devices::deny_device_code(c, &device.device_code, None)?);
                Ok(())
            })
            .await;
    });
}
