//! Deletion of a client: effective at once, while its rows are deleted in small steps.

use causeway_domain::client::Client;
use causeway_domain::session::SessionHead;
use causeway_store::PageRequest;
use causeway_store::clients::{self, Purged};
use causeway_store::operations::admin::{self, SessionFilter};
use causeway_store::sessions;
use causeway_store::testing::count_rows;
use causeway_store::tokens;
use causeway_types::{SessionKind, SessionState, SystemRng, UpstreamSessionId};

use crate::common::{NOW, World, access_token, client, on_each, refresh_token, session, token_set};

/// A client with as many sessions, each with a pair of tokens.
async fn client_with_sessions(world: &World, count: usize) -> (Client, Vec<SessionHead>) {
    let row = client();
    let began = |second: usize| SessionHead {
        session_id: UpstreamSessionId::issued(&SystemRng, NOW.plus(second.try_into().unwrap()).into()),
        ..session(&row, SessionKind::Device, SessionState::Active)
    };
    let heads: Vec<_> = (0..count).map(began).collect();
    let (ring, owner, all) = (world.ring.clone(), row.clone(), heads.clone());
    world
        .write(move |c| {
            clients::insert_client(c, &owner)?;
            for head in &all {
                sessions::insert_session(c, &ring, head, &token_set("1"))?;
                let access = access_token(head);
                tokens::insert_access_token(c, &access)?;
                tokens::insert_refresh_token(c, &refresh_token(head, &access, None))?;
            }
            Ok(())
        })
        .await;
    (row, heads)
}

#[test]
fn it_is_gone_at_once_and_its_rows_go_in_steps() {
    const LIMIT: i64 = 10;
    on_each(|world| async move {
        let (gone, heads) = client_with_sessions(&world, 35).await;
        let (stays, others) = client_with_sessions(&world, 3).await;
        let row = gone.clone();
        world
            .write(move |c| {
                assert!(clients::delete_client(c, &row.tenant_id, &row.client_id, NOW)?);
                assert!(clients::find_client(c, &row.tenant_id, &row.client_id)?.is_none());
                assert!(!clients::update_client(c, &row)?, "nobody brings it back");
                Ok(())
            })
            .await;
        assert_eq!(
            world.read(|c| count_rows(c, "oauth_access_token")).await,
            38,
            "the request touches no row of it"
        );
        let mut ended = 0;
        loop {
            let Purged { sessions, rows } =
                world.write(|c| clients::purge_deleted_clients(c, NOW, LIMIT)).await;
            assert!(sessions + rows <= 10, "{sessions} {rows}");
            ended += sessions;
            if sessions + rows == 0 {
                break;
            }
        }
        assert_eq!(ended, 35);
        for table in ["oauth_client", "oauth_access_token", "oauth_refresh_token"] {
            let left = world.read(move |c| count_rows(c, table)).await;
            assert_eq!(left, if table == "oauth_client" { 1 } else { 3 }, "{table}");
        }
        let due = world.write(|c| sessions::claim_due_revocations(c, NOW, NOW.plus(60), 100)).await;
        let mut due: Vec<_> = due.into_iter().map(|due| due.head.session_id).collect();
        let mut expected: Vec<_> = heads.into_iter().map(|head| head.session_id).collect();
        due.sort();
        expected.sort();
        assert_eq!(due, expected, "they are still to be revoked at their PDSes");
        let live = SessionFilter { client_id: Some(stays.client_id.clone()), ..SessionFilter::default() };
        let live = world
            .read(move |c| admin::list_sessions(c, &stays.tenant_id, &live, &PageRequest::first(10)))
            .await;
        assert_eq!(live.items.len(), others.len());
        // The name is free again.
        world.write(move |c| clients::insert_client(c, &gone)).await;
    });
}

/// A page goes on where the one before ended, whatever ended or began meanwhile: none is looked at twice.
#[test]
fn sessions_are_listed_and_ended_in_pages() {
    on_each(|world| async move {
        let (owner, heads) = client_with_sessions(&world, 25).await;
        client_with_sessions(&world, 2).await;
        let of_client =
            SessionFilter { client_id: Some(owner.client_id.clone()), ..SessionFilter::default() };
        let (mut seen, mut next) = (Vec::<UpstreamSessionId>::new(), None);
        for expected in [10, 10, 5] {
            let (page, filter, tenant) =
                (PageRequest { after: next, limit: 10 }, of_client.clone(), owner.tenant_id.clone());
            let found = world.read(move |c| admin::list_sessions(c, &tenant, &filter, &page)).await;
            assert_eq!(found.items.len(), expected);
            seen.extend(found.items.into_iter().map(|head| head.session_id));
            next = found.next;
        }
        assert_eq!(next, None);
        let began_last: Vec<_> = heads.into_iter().rev().map(|head| head.session_id).collect();
        assert_eq!(seen, began_last);
        let (mut ended, mut pages, mut next) = (0, 0, None);
        loop {
            let (page, filter, tenant) =
                (PageRequest { after: next, limit: 10 }, of_client.clone(), owner.tenant_id.clone());
            let done = world.write(move |c| admin::end_sessions(c, &tenant, &filter, &page, NOW)).await;
            ended += done.items.len();
            pages += 1;
            next = done.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!((ended, pages), (25, 3));
    });
}

#[test]
fn clients_and_acts_are_listed_in_pages() {
    use causeway_store::operations::audit::{
        Actor, AuditEvent, AuditFilter, insert_audit_event, list_audit_events,
    };
    on_each(|world| async move {
        let rows: Vec<Client> =
            (0..7).map(|age| Client { created_at: NOW.plus(-(age / 3)), ..client() }).collect();
        let mut expected: Vec<_> =
            rows.iter().map(|row| (-row.created_at.as_secs(), row.client_id.clone())).collect();
        expected.sort();
        let tenant = rows[0].tenant_id.clone();
        let event = AuditEvent::new(tenant.clone(), NOW, Actor::Operator, "looked", "ok");
        world
            .write(move |c| {
                for row in &rows {
                    clients::insert_client(c, row)?;
                    insert_audit_event(c, &event.clone().of_client(&row.client_id))?;
                }
                insert_audit_event(c, &event)
            })
            .await;
        let (mut seen, mut next) = (Vec::new(), None);
        loop {
            let (page, tenant) = (PageRequest { after: next, limit: 2 }, tenant.clone());
            let found = world.read(move |c| clients::list_clients(c, &tenant, &page)).await;
            seen.extend(found.items.into_iter().map(|row| (-row.created_at.as_secs(), row.client_id)));
            next = found.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);
        let (mut events, mut next) = (0, None);
        loop {
            let (page, tenant) = (PageRequest { after: next, limit: 3 }, tenant.clone());
            let filter = AuditFilter { event: Some("looked".to_owned()), ..AuditFilter::default() };
            let found = world.read(move |c| list_audit_events(c, &tenant, &filter, &page)).await;
            events += found.items.len();
            next = found.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(events, 8);
        // A place that nobody gave out is behind everything.
        let page = PageRequest { after: Some("nonsense".to_owned()), limit: 3 };
        assert!(world.read(move |c| clients::list_clients(c, &tenant, &page)).await.items.is_empty());
    });
}
