//! Tenants, clients and browsers are told apart in the query; corrupt rows are errors.

use causeway_domain::authorization::AuthRequestStage;
use causeway_store::authorization::auth_requests;
use causeway_store::authorization::codes;
use causeway_store::authorization::par;
use causeway_store::clients;
use causeway_store::sessions;
use causeway_store::sessions::upstream_requests;
use causeway_store::tokens;
use causeway_store::{PageRequest, StoreError};
use causeway_types::{BrowserSessionId, SessionKind, SessionState, TenantId, UpstreamSessionId};
use diesel::connection::SimpleConnection as _;
use diesel::{RunQueryDsl as _, sql_query};

use crate::common::{
    NOW, access_token, auth_request, client, code, on_each, par_request, refresh_token, session, token_set,
    upstream_request,
};

#[test]
fn another_tenants_rows_are_not_found() {
    on_each(|world| async move {
        let (client, session) = world.client_and_session().await;
        let ours = TenantId::default_tenant();
        let theirs = TenantId::new("theirs");
        world
            .write(move |c| {
                assert_eq!(clients::find_client(c, &ours, &client.client_id)?, Some(client.clone()));
                assert_eq!(clients::find_client(c, &theirs, &client.client_id)?, None);
                assert_eq!(
                    clients::list_clients(c, &ours, &PageRequest::first(10))?.items,
                    std::slice::from_ref(&client)
                );
                assert!(clients::list_clients(c, &theirs, &PageRequest::first(10))?.items.is_empty());
                let id = &session.session_id;
                assert!(sessions::find_session(c, &ours, id, SessionKind::Device)?.is_some());
                assert!(sessions::find_session(c, &ours, id, SessionKind::Background)?.is_none());
                assert!(sessions::find_session(c, &theirs, id, SessionKind::Device)?.is_none());
                assert!(!clients::delete_client(c, &theirs, &client.client_id, NOW)?);
                assert!(clients::find_client(c, &ours, &client.client_id)?.is_some());
                Ok(())
            })
            .await;
    });
}

#[test]
fn deleting_a_client_ends_everything_of_it() {
    on_each(|world| async move {
        let (gone, session_of_gone) = world.client_and_session().await;
        let (stays, session_of_stays) = world.client_and_session().await;
        let ring = world.ring.clone();
        world
            .write(move |c| {
                let mut rows = Vec::new();
                for (client, session) in [(&gone, &session_of_gone), (&stays, &session_of_stays)] {
                    let access = access_token(session);
                    let refresh = refresh_token(session, &access, None);
                    let (code, par, request) = (code(session), par_request(client), auth_request(client));
                    let upstream = upstream_request(&request);
                    tokens::insert_access_token(c, &access)?;
                    tokens::insert_refresh_token(c, &refresh)?;
                    codes::insert_code(c, &code)?;
                    par::insert_par_request(c, &par)?;
                    auth_requests::insert_auth_request(c, &request)?;
                    upstream_requests::insert_upstream_request(c, &ring, &upstream)?;
                    rows.push((client.clone(), access, refresh, code, par, request, upstream));
                }
                assert!(clients::delete_client(c, &gone.tenant_id, &gone.client_id, NOW)?);
                assert!(!clients::delete_client(c, &gone.tenant_id, &gone.client_id, NOW)?);
                for (index, (client, access, refresh, code, par, request, _)) in rows.iter().enumerate() {
                    let there = index == 1;
                    assert_eq!(tokens::find_access_token(c, &access.token)?.is_some(), there);
                    assert_eq!(tokens::find_refresh_token(c, &refresh.token)?.is_some(), there);
                    assert_eq!(codes::find_code(c, &code.code)?.is_some(), there);
                    let par = par::find_par_request(c, &client.client_id, &par.request_uri, NOW)?;
                    assert_eq!(par.is_some(), there);
                    let found = auth_requests::find_auth_request(c, &request.id, &request.browser_id, NOW)?;
                    assert_eq!(found.is_some(), there);
                }
                while !clients::purge_deleted_clients(c, NOW, 10)?.is_done() {}
                for (index, (.., upstream)) in rows.iter().enumerate() {
                    let (state, browser) = (&upstream.oauth_state, &upstream.browser_id);
                    let away = upstream_requests::consume_upstream_request(c, &ring, state, browser, NOW)?;
                    assert_eq!(away.is_some(), index == 1);
                }
                let due = sessions::claim_due_revocations(c, NOW, NOW.plus(60), 10)?;
                assert_eq!(due.len(), 1, "the upstream tokens are still to be revoked");
                assert_eq!(due[0].head.session_id, session_of_gone.session_id);
                assert!(sessions::find_token_set(c, &ring, &due[0].head.session_id, 1)?.is_some());
                Ok(())
            })
            .await;
    });
}

#[test]
fn an_authorization_request_belongs_to_its_browser_and_is_decided_once() {
    on_each(|world| async move {
        let client = client();
        let request = auth_request(&client);
        let session = session(&client, SessionKind::Device, SessionState::Pending);
        let ring = world.ring.clone();
        world
            .write(move |c| {
                clients::insert_client(c, &client)?;
                sessions::insert_session(c, &ring, &session, &token_set("1"))?;
                auth_requests::insert_auth_request(c, &request)?;
                let find = |c: &mut _, browser: &BrowserSessionId, seconds| {
                    auth_requests::find_auth_request(c, &request.id, browser, NOW.plus(seconds))
                };
                assert_eq!(find(c, &request.browser_id, 899)?, Some(request.clone()));
                assert_eq!(find(c, &request.browser_id, 900)?, None);
                assert_eq!(find(c, &BrowserSessionId::new("another"), 0)?, None);
                let consent = AuthRequestStage::Consent { session_id: session.session_id.clone() };
                let another = AuthRequestStage::Consent { session_id: UpstreamSessionId::new("another") };
                let decide = |c: &mut _, from| auth_requests::decide_auth_request(c, &request.id, from);
                assert!(!decide(c, &consent)?, "nobody has signed in");
                let steps = [
                    auth_requests::begin_consent(c, &request.id, &session.session_id)?,
                    auth_requests::begin_consent(c, &request.id, &session.session_id)?,
                ];
                assert_eq!(steps, [true, false]);
                let stage = find(c, &request.browser_id, 0)?.map(|found| found.stage);
                assert_eq!(stage.as_ref(), Some(&consent));
                assert!(!decide(c, &AuthRequestStage::SignIn)?, "somebody has signed in since");
                assert!(!decide(c, &another)?, "somebody else has signed in since");
                assert!(decide(c, &consent)?);
                assert!(!decide(c, &consent)?);
                assert!(!auth_requests::begin_consent(c, &request.id, &session.session_id)?);
                let decided = AuthRequestStage::Decided { session_id: Some(session.session_id.clone()) };
                assert!(!decide(c, &decided)?);
                let stage = find(c, &request.browser_id, 0)?.map(|found| found.stage);
                assert_eq!(stage, Some(decided));

                let early = auth_request(&client);
                auth_requests::insert_auth_request(c, &early)?;
                assert!(auth_requests::decide_auth_request(c, &early.id, &AuthRequestStage::SignIn)?);
                let found = auth_requests::find_auth_request(c, &early.id, &early.browser_id, NOW)?;
                let stage = found.map(|found| found.stage);
                assert_eq!(stage, Some(AuthRequestStage::Decided { session_id: None }));
                Ok(())
            })
            .await;
    });
}

#[test]
fn corrupt_rows_are_errors_that_name_the_column() {
    on_each(|world| async move {
        let (client, session) = world.client_and_session().await;
        for (sql, table, column) in [
            ("UPDATE oauth_client SET grant_types = 'x'", "oauth_client", "grant_types"),
            ("UPDATE oauth_client SET client_secret = NULL", "oauth_client", "client_secret"),
            ("UPDATE upstream_session SET state = 'x'", "upstream_session", "state"),
            ("UPDATE upstream_session SET did = 'x'", "upstream_session", "did"),
        ] {
            let (tenant, client_id, session_id) =
                (client.tenant_id.clone(), client.client_id.clone(), session.session_id.clone());
            let result: Result<(), StoreError> = world
                .store
                .write(move |c| {
                    c.batch_execute(sql)?;
                    clients::find_client(c, &tenant, &client_id)?;
                    sessions::find_session(c, &tenant, &session_id, SessionKind::Device)?;
                    Ok(())
                })
                .await;
            match result {
                Err(StoreError::Corrupt { table: t, column: col }) => assert_eq!((t, col), (table, column)),
                other => panic!("{sql}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_reader_cannot_write() {
    on_each(|world| async move {
        let row = client();
        let result = world.store.read(move |c| clients::insert_client(c, &row)).await;
        assert!(result.is_err(), "{}", world.kind);
        assert!(world.store.ping().await.is_ok());
    });
}

/// A lookup by key cannot write, its panic is an error, and it waits its turn when every connection is taken.
#[test]
fn a_lookup_is_a_read() {
    on_each(|world| async move {
        let (row, store) = (client(), world.store.clone());
        let result = store.find(move |c| clients::insert_client(c, &row)).await;
        assert!(result.is_err(), "{}", world.kind);
        let panicked = store.find(|_| -> Result<(), StoreError> { panic!("on purpose") }).await;
        assert!(matches!(panicked, Err(StoreError::Panicked)), "{}: {panicked:?}", world.kind);

        let mut many = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let store = store.clone();
            many.spawn(async move {
                store.find(|c| Ok::<_, StoreError>(sql_query("SELECT 1").execute(c)?)).await
            });
        }
        assert!(many.join_all().await.iter().all(Result::is_ok), "{}", world.kind);
        let (client, _) = world.client_and_session().await;
        let (tenant, id) = (client.tenant_id.clone(), client.client_id.clone());
        let found = store.find(move |c| clients::find_client(c, &tenant, &id)).await.unwrap();
        assert_eq!(found, Some(client), "{}: what was committed is seen", world.kind);
    });
}
