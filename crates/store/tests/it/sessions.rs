//! Heads, iterations, leases.

use causeway_domain::session::{Binding, Cooldown, Credentials, HandleCheck, SessionHead, UpstreamAccess};
use causeway_store::sessions::upkeep::{self, FailedRefresh, VerifiedAccount};
use causeway_store::sessions::{self, Lease, LeaseClaim};
use causeway_store::{AnyConnection, StoreError, clients};
use causeway_types::{Handle, Scope, Secret, SessionKind, SessionState};

use crate::common::{NOW, World, bearer, client, on_each, other_session, session, token_set};

impl World {
    async fn head(&self, session: &SessionHead) -> SessionHead {
        let (tenant, id, kind) = (session.tenant_id.clone(), session.session_id.clone(), session.kind);
        self.read(move |c| sessions::find_session(c, &tenant, &id, kind)).await.unwrap()
    }

    async fn take_lease(&self, session: &SessionHead, now: i64, until: i64) -> Option<Lease> {
        let id = session.session_id.clone();
        self.write(move |c| {
            let claim = LeaseClaim { holder: "me", node: None, now: NOW.plus(now), until: NOW.plus(until) };
            sessions::acquire_lease(c, &id, claim)
        })
        .await
    }

    async fn lease(&self, session: &SessionHead, now: i64, until: i64) -> Option<i64> {
        self.take_lease(session, now, until).await.map(|lease| lease.fence)
    }

    async fn advance(&self, session: &SessionHead, from: i64) -> bool {
        let (id, ring) = (session.session_id.clone(), self.ring.clone());
        let set = token_set(&(from + 1).to_string());
        self.write(move |c| sessions::advance_session(c, &ring, &id, from, &set, NOW.plus(5))).await
    }
}

/// A lease tells whether the one before was released or expired.
#[test]
fn a_lease_that_was_never_given_back() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let first = world.take_lease(&session, 0, 30).await.unwrap();
        assert!(!first.taken_over, "the first one");
        assert_eq!(world.take_lease(&session, 29, 60).await, None, "held");
        let second = world.take_lease(&session, 30, 60).await.unwrap();
        assert!(second.taken_over && second.fence > first.fence, "{second:?}");
        let (id, fence) = (session.session_id.clone(), second.fence);
        assert!(world.write(move |c| sessions::release_lease(c, &id, fence)).await);
        assert!(!world.take_lease(&session, 100, 160).await.unwrap().taken_over, "given back");
    });
}

#[test]
fn an_old_fence_brings_no_bad_news() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let old = world.lease(&session, 0, 30).await.unwrap();
        assert_eq!(world.lease(&session, 29, 60).await, None, "held");
        let renew = |fence, until| {
            let (world, id) = (world.clone(), session.session_id.clone());
            async move { world.write(move |c| sessions::renew_lease(c, &id, fence, NOW.plus(until))).await }
        };
        assert!(renew(old, 40).await);
        assert_eq!(world.lease(&session, 39, 60).await, None, "renewed");
        let new = world.lease(&session, 40, 60).await.unwrap();
        assert!(new > old);
        assert!(!renew(old, 99).await, "lost");
        let require_reauth = |iteration, fence| {
            let (world, id) = (world.clone(), session.session_id.clone());
            async move { world.write(move |c| sessions::require_reauth(c, &id, iteration, fence)).await }
        };
        assert!(!require_reauth(1, old).await, "the old holder woke up too late");
        assert_eq!(world.head(&session).await.state, SessionState::Active);
        let id = session.session_id.clone();
        assert!(!world.write(move |c| sessions::release_lease(c, &id, old)).await);
        assert_eq!(world.lease(&session, 59, 60).await, None, "still held by the new one");
        assert!(!require_reauth(2, new).await, "another iteration");
        assert!(require_reauth(1, new).await);
        let id = session.session_id.clone();
        assert!(world.write(move |c| sessions::release_lease(c, &id, new)).await);
        assert!(!renew(new, 99).await, "given back");
    });
}

/// A refresh from the head's iteration is accepted, with or without the lease.
#[test]
fn a_late_answer_counts_while_the_head_stands_still() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let old = world.lease(&session, 0, 30).await.unwrap();
        let new = world.lease(&session, 30, 60).await.unwrap();
        assert!(new > old);
        let id = session.session_id.clone();
        assert!(world.write(move |c| sessions::require_reauth(c, &id, 1, new)).await);
        assert!(world.advance(&session, 1).await, "the old holder's answer is the only one that works");
        let head = world.head(&session).await;
        assert_eq!((head.iteration, head.state), (2, SessionState::Active));
        assert!(!world.advance(&session, 1).await, "the head has moved");
        assert_eq!(world.lease(&session, 59, 90).await, None, "the lease is as it was");
        let id = session.session_id.clone();
        assert!(world.write(move |c| sessions::end_session(c, &id, NOW)).await);
        assert!(!world.advance(&session, 2).await, "over");
        assert_eq!(world.head(&session).await.iteration, 2);
    });
}

/// Failures are counted by the holder of the lease, and cleared by the next success.
#[test]
fn a_failed_refresh_makes_a_pause() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let fence = world.lease(&session, 0, 30).await.unwrap();
        let fail = |iteration, fence| {
            let (world, id) = (world.clone(), session.session_id.clone());
            let pause = |before: Cooldown| before.after_failure(NOW, None, 0);
            async move {
                world
                    .write(move |c| {
                        let failed =
                            FailedRefresh { session_id: &id, iteration, fence, refused_with: None, at: NOW };
                        let failures = upkeep::note_refresh_failure(c, failed, pause)?;
                        Ok(failures.map(|failures| failures.cooldown))
                    })
                    .await
            }
        };
        assert_eq!(world.head(&session).await.cooldown, Cooldown::default());
        let first = Cooldown { failures: 1, not_before: Some(NOW.plus(2)) };
        assert_eq!(fail(1, fence).await, Some(first));
        assert_eq!(world.head(&session).await.cooldown, first);
        assert_eq!((fail(1, fence + 1).await, fail(2, fence).await), (None, None), "not the holder's head");
        let second = Cooldown { failures: 2, not_before: Some(NOW.plus(4)) };
        assert_eq!(fail(1, fence).await, Some(second));
        assert_eq!(world.head(&session).await.cooldown, second);
        assert!(world.advance(&session, 1).await);
        assert_eq!(world.head(&session).await.cooldown, Cooldown::default());
    });
}

#[test]
fn a_binding_is_verified_again() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let id = session.session_id.clone();
        let note = |handle, at| {
            let (world, id) = (world.clone(), id.clone());
            let verified =
                VerifiedAccount { pds: "https://pds2.example".to_owned(), handle, at: NOW.plus(at) };
            async move { world.write(move |c| upkeep::note_verified(c, &id, &verified)).await }
        };
        note(HandleCheck::Unknown, 86_399).await;
        let head = world.head(&session).await;
        let account = head.atproto().unwrap();
        assert_eq!((account.upstream.pds.as_str(), account.verified_at), ("https://pds2.example", NOW));
        assert_eq!(account.handle, session.atproto().unwrap().handle, "it could not be asked");
        let other = Handle::parse("other.example").unwrap();
        note(HandleCheck::Verified(other.clone()), 80).await;
        let head = world.head(&session).await;
        let account = head.atproto().unwrap();
        assert_eq!((&account.handle, account.verified_at), (&Some(other.clone()), NOW.plus(80)));
        note(HandleCheck::Unknown, 80 + 86_400).await;
        let head = world.head(&session).await;
        let account = head.atproto().unwrap();
        assert_eq!((&account.handle, account.verified_at), (&None, NOW.plus(80 + 86_400)), "not for ever");
        note(HandleCheck::Verified(other), 99_000).await;
        note(HandleCheck::None, 99_001).await;
        let head = world.head(&session).await;
        let account = head.atproto().unwrap();
        assert_eq!((&account.handle, account.verified_at), (&None, NOW.plus(99_001)));
        assert_eq!(account.upstream.issuer, session.atproto().unwrap().upstream.issuer);
    });
}

#[test]
fn advancing_wipes_the_secrets_before() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let set = |iteration| {
            let (world, ring, id) = (world.clone(), world.ring.clone(), session.session_id.clone());
            async move { world.read(move |c| sessions::find_token_set(c, &ring, &id, iteration)).await }
        };
        assert_eq!(set(1).await, Some(token_set("1")));
        assert!(world.advance(&session, 1).await);
        assert_eq!(set(1).await, None);
        assert_eq!(set(2).await, Some(token_set("2")));
        let head = world.head(&session).await;
        assert_eq!((head.iteration, head.last_used_at), (2, NOW.plus(5)));
        assert!(world.advance(&session, 2).await);
        assert_eq!((set(2).await, set(3).await), (None, Some(token_set("3"))));
    });
}

#[test]
fn a_session_changes_state_by_compare_and_swap() {
    on_each(|world| async move {
        let client = client();
        let session = session(&client, SessionKind::Background, SessionState::Pending);
        let (row, ring) = (session.clone(), world.ring.clone());
        world.write(move |c| sessions::insert_session(c, &ring, &row, &token_set("1"))).await;
        assert_eq!(world.head(&session).await, session, "comes back whole");
        let id = session.session_id.clone();
        let (tenant, kind) = (session.tenant_id.clone(), session.kind);
        let steps = world
            .write(move |c| {
                let touch = |c: &mut AnyConnection, now| {
                    let used_at = |c: &mut AnyConnection| {
                        let found = sessions::find_session(c, &tenant, &id, kind)?;
                        Ok::<_, StoreError>(found.map(|head| head.last_used_at))
                    };
                    let before = used_at(c)?;
                    sessions::touch_session(c, &id, now)?;
                    Ok::<_, StoreError>(used_at(c)? != before)
                };
                Ok([
                    sessions::require_reauth(c, &id, 1, 0)?, // pending: no
                    sessions::activate_session(c, &id, &Scope::atproto(), None, NOW.plus(1))?,
                    sessions::activate_session(c, &id, &Scope::atproto(), None, NOW.plus(2))?,
                    touch(c, NOW.plus(60))?, // 59 s: no
                    touch(c, NOW.plus(61))?,
                    sessions::require_reauth(c, &id, 2, 0)?, // another iteration: no
                    sessions::require_reauth(c, &id, 1, 0)?,
                    touch(c, NOW.plus(999))?, // not active: no
                    sessions::end_session(c, &id, NOW.plus(99))?,
                    sessions::end_session(c, &id, NOW.plus(100))?,
                ])
            })
            .await;
        assert_eq!(steps, [false, true, false, false, true, false, true, false, true, false]);
        assert_eq!(world.lease(&session, 200, 300).await, None, "an ended session is not refreshed");
    });
}

#[test]
fn an_ended_session_is_revoked_upstream_sooner_or_later() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let due = |seconds| {
            let world = world.clone();
            // Nobody keeps what is taken until now.
            let now = NOW.plus(seconds);
            async move { world.write(move |c| sessions::claim_due_revocations(c, now, now, 10)).await }
        };
        let kids = || {
            let world = world.clone();
            async move { world.read(sessions::live_upstream_kids).await }
        };
        assert_eq!(due(1000).await, []);
        let id = session.session_id.clone();
        assert!(world.write(move |c| sessions::end_session(c, &id, NOW.plus(10))).await);
        let claimed = due(10).await.pop().unwrap();
        assert_eq!((due(9).await.len(), due(10).await.len()), (0, 1));
        assert_eq!(kids().await, ["kid-1"], "the revocation still needs the key");
        let postpone = || {
            let (world, claimed) = (world.clone(), claimed.clone());
            async move { world.write(move |c| sessions::postpone_revocation(c, &claimed, NOW.plus(70))).await }
        };
        assert_eq!((postpone().await, postpone().await), (Some(1), None), "one failure is counted once");
        assert_eq!((due(69).await.len(), due(70).await.len()), (0, 1));
        let (id, ring) = (session.session_id.clone(), world.ring.clone());
        let before = world.read(move |c| sessions::find_token_set(c, &ring, &id, 1)).await;
        assert!(before.is_some(), "the secrets stay until then");
        let (id, ring) = (session.session_id.clone(), world.ring.clone());
        let after = world
            .write(move |c| {
                sessions::complete_revocation(c, &id, 1)?;
                sessions::find_token_set(c, &ring, &id, 1)
            })
            .await;
        assert_eq!((after, due(9999).await), (None, vec![]));
        assert!(kids().await.is_empty());
    });
}

/// Tokens that arrive after the session has ended are revoked in place of those that were spent for them.
#[test]
fn tokens_that_come_too_late_are_revoked() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let (id, ring) = (session.session_id.clone(), world.ring.clone());
        world
            .write(move |c| {
                let late = |c: &mut _| {
                    sessions::enqueue_revocation(c, &ring, &id, 1, &token_set("late"), NOW.plus(20))
                };
                assert!(!late(c)?, "it lives");
                sessions::end_session(c, &id, NOW.plus(10))?;
                let spent = sessions::claim_revocation(c, &id, NOW.plus(10), NOW.plus(9999))?.unwrap();
                assert!(late(c)?);
                assert!(!late(c)?, "once");
                assert_eq!(
                    sessions::postpone_revocation(c, &spent, NOW.plus(99_999))?,
                    None,
                    "not theirs any more"
                );
                let claim = |c: &mut _, at| {
                    let due = sessions::claim_due_revocations(c, NOW.plus(at), NOW.plus(at + 1), 10)?;
                    Ok::<_, StoreError>(due.into_iter().map(|due| due.head).collect::<Vec<_>>())
                };
                let due = claim(c, 20)?;
                assert_eq!(due.iter().map(|head| head.iteration).collect::<Vec<_>>(), [2]);
                assert_eq!(due[0].state, SessionState::Ended);
                assert_eq!(sessions::find_token_set(c, &ring, &id, 1)?, None);
                // Revoking the spent tokens meanwhile does not complete it.
                sessions::complete_revocation(c, &id, 1)?;
                assert_eq!(claim(c, 21)?.len(), 1);
                assert_eq!(sessions::find_token_set(c, &ring, &id, 2)?, Some(token_set("late")));
                sessions::complete_revocation(c, &id, 2)?;
                assert_eq!(claim(c, 99_999)?, []);
                assert_eq!(sessions::find_token_set(c, &ring, &id, 2)?, None);
                Ok(())
            })
            .await;
    });
}

/// One background session lives for a tenant, client and account: the schema holds it, too.
#[test]
fn one_background_session_lives() {
    on_each(|world| async move {
        let client = client();
        let heads: Vec<_> =
            (0..3).map(|_| session(&client, SessionKind::Background, SessionState::Pending)).collect();
        let mut device = session(&client, SessionKind::Device, SessionState::Active);
        device.client_id = client.client_id.clone();
        let (ring, rows) = (world.ring.clone(), [heads.clone(), vec![device.clone()]].concat());
        world
            .write(move |c| {
                clients::insert_client(c, &client)?;
                rows.iter().try_for_each(|head| sessions::insert_session(c, &ring, head, &token_set("1")))
            })
            .await;
        let take = |head: &SessionHead, supersede: bool| {
            let (store, head) = (world.store.clone(), head.clone());
            async move {
                store
                    .write::<_, StoreError, _>(move |c| {
                        let ended =
                            if supersede { sessions::supersede_background(c, &head, NOW)? } else { vec![] };
                        sessions::activate_session(c, &head.session_id, &Scope::atproto(), None, NOW)?;
                        Ok(ended)
                    })
                    .await
            }
        };
        assert!(take(&heads[0], true).await.unwrap().is_empty());
        assert!(matches!(take(&heads[1], false).await, Err(StoreError::Constraint(_))), "{}", world.kind);
        assert_eq!(take(&heads[1], true).await.unwrap(), [heads[0].session_id.clone()]);
        let states = [&heads[0], &heads[1], &heads[2], &device];
        for (head, state) in states.into_iter().zip(["ended", "active", "pending", "active"]) {
            assert_eq!(world.head(head).await.state.as_str(), state);
        }
    });
}

/// A due session is claimed by one caller, through an index, and an ended one is not due any more.
#[test]
fn due_refreshes_are_taken_once() {
    on_each(|world| async move {
        let client = client();
        let (background, ring) =
            (session(&client, SessionKind::Background, SessionState::Active), world.ring.clone());
        let device = session(&client, SessionKind::Device, SessionState::Active);
        let (id, other) = (background.session_id.clone(), device.session_id.clone());
        world
            .write(move |c| {
                clients::insert_client(c, &client)?;
                for head in [&background, &device] {
                    sessions::insert_session(c, &ring, head, &token_set("1"))?;
                    upkeep::schedule_refresh(c, &head.session_id, NOW.plus(100))?;
                }
                let claim = |c: &mut _, now: i64| {
                    let taken = upkeep::claim_due_refreshes(c, NOW.plus(now), NOW.plus(now + 50), 10)?;
                    Ok::<_, StoreError>(taken.into_iter().map(|head| head.session_id).collect::<Vec<_>>())
                };
                assert!(claim(c, 99)?.is_empty());
                assert_eq!(claim(c, 100)?, std::slice::from_ref(&id), "no device session");
                assert!(claim(c, 149)?.is_empty(), "taken");
                assert_eq!(claim(c, 150)?, std::slice::from_ref(&id));
                sessions::end_session(c, &id, NOW.plus(160))?;
                upkeep::schedule_refresh(c, &id, NOW.plus(170))?;
                assert!(claim(c, 999)?.is_empty(), "over");
                assert!(upkeep::may_prompt(c, &other, NOW)? && upkeep::note_prompt(c, &other, NOW)?);
                assert!(
                    !upkeep::may_prompt(c, &other, NOW.plus(299))?
                        && !upkeep::note_prompt(c, &other, NOW.plus(299))?
                );
                assert!(
                    upkeep::may_prompt(c, &other, NOW.plus(300))?
                        && upkeep::note_prompt(c, &other, NOW.plus(300))?
                );
                Ok(())
            })
            .await;
    });
}

/// Two servers claim at the same moment: each ended session is claimed by one of them, and due again when
/// that one dies.
#[test]
fn due_revocations_are_shared() {
    on_each(|world| async move {
        let (client, ring) = (client(), world.ring.clone());
        world
            .write(move |c| {
                clients::insert_client(c, &client)?;
                for _ in 0..40 {
                    let head = session(&client, SessionKind::Device, SessionState::Active);
                    sessions::insert_session(c, &ring, &head, &token_set("1"))?;
                    sessions::end_session(c, &head.session_id, NOW)?;
                }
                Ok(())
            })
            .await;
        let claims: Vec<_> = (0..8)
            .map(|_| {
                let store = world.store.clone();
                let claim = |c: &mut _| sessions::claim_due_revocations(c, NOW, NOW.plus(120), 8);
                tokio::spawn(async move { store.write::<_, StoreError, _>(claim).await.unwrap() })
            })
            .collect();
        let mut claimed = Vec::new();
        for claim in claims {
            claimed.extend(claim.await.unwrap().into_iter().map(|due| due.head.session_id));
        }
        claimed.sort();
        let given = claimed.len();
        claimed.dedup();
        assert_eq!((given, claimed.len()), (40, 40), "{}", world.kind);
        let again = |at: i64| {
            let world = world.clone();
            async move {
                world
                    .write(move |c| sessions::claim_due_revocations(c, NOW.plus(at), NOW.plus(999), 99))
                    .await
            }
        };
        assert_eq!((again(119).await.len(), again(120).await.len()), (0, 40));
    });
}

/// Sixteen processes claim at the same moment: each session is claimed by one of them, and none is left.
#[test]
fn due_refreshes_are_shared() {
    on_each(|world| async move {
        let (client, ring) = (client(), world.ring.clone());
        world
            .write(move |c| {
                clients::insert_client(c, &client)?;
                for n in 0..40 {
                    let mut head = session(&client, SessionKind::Background, SessionState::Active);
                    if let Binding::Atproto(account) = &mut head.binding {
                        account.did = causeway_types::Did::parse(&format!("did:web:{n}.example")).unwrap();
                    }
                    sessions::insert_session(c, &ring, &head, &token_set("1"))?;
                    upkeep::schedule_refresh(c, &head.session_id, NOW)?;
                }
                Ok(())
            })
            .await;
        let claims: Vec<_> = (0..16)
            .map(|_| {
                let store = world.store.clone();
                let claim = |c: &mut _| upkeep::claim_due_refreshes(c, NOW, NOW.plus(900), 8);
                tokio::spawn(async move { store.write::<_, StoreError, _>(claim).await.unwrap() })
            })
            .collect();
        let mut claimed = Vec::new();
        for claim in claims {
            claimed.extend(claim.await.unwrap().into_iter().map(|head| head.session_id));
        }
        claimed.sort();
        let given = claimed.len();
        claimed.dedup();
        assert_eq!((given, claimed.len()), (40, 40), "{}", world.kind);
    });
}

/// Each kind of credentials comes back as it was stored, in the place of those before, and goes with its session.
#[test]
fn credentials_at_other_providers() {
    on_each(|world| async move {
        let (client, _) = world.client_and_session().await;
        let ring = world.ring.clone();
        world
            .write(move |c| {
                let mut head = other_session(&client, SessionKind::Device, SessionState::Active);
                let (id, browser) = (head.session_id.clone(), head.browser_id.clone());
                sessions::insert_session(c, &ring, &head, &bearer("1"))?;
                let read = sessions::find_session(c, &head.tenant_id, &id, head.kind)?;
                assert_eq!(read, Some(head.clone()), "comes back whole");
                let jar = UpstreamAccess::CookieJar(Secret::new(r#"[{"name":"sid"}]"#));
                let jar = Credentials { access: jar, refresh_token: None, expires_at: None, ..bearer("2") };
                for (from, next) in [(1, token_set("2")), (2, jar)] {
                    assert!(sessions::advance_session(c, &ring, &id, from, &next, NOW)?);
                    assert_eq!(sessions::find_credentials(c, &ring, &head)?, None, "{from} is gone");
                    head.iteration = from + 1;
                    assert_eq!(sessions::find_credentials(c, &ring, &head)?, Some(next));
                }
                // Nobody signed in with it: it is not among the sessions of a browser.
                let live = sessions::list_live_sessions_of_browser(c, &head.tenant_id, &browser, NOW)?;
                assert!(live.iter().all(|session| session.head.session_id != id));
                assert!(sessions::end_session(c, &id, NOW)?, "at whatever provider");
                assert!(clients::delete_client(c, &client.tenant_id, &client.client_id, NOW)?);
                while !clients::purge_deleted_clients(c, NOW, 9)?.is_done() {}
                sessions::complete_revocation(c, &id, 3)?;
                assert_eq!(sessions::find_credentials(c, &ring, &head)?, None);
                Ok(())
            })
            .await;
    });
}
