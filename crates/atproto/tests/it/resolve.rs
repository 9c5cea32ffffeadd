//! From sign-in input to the server that can sign the user in.

use std::sync::Arc;

use causeway_atproto::{AtprotoClient, ResolveError, Target};
use causeway_outbound::HttpError;
use causeway_types::{Did, Handle, SignInInput};
use serde_json::json;

use crate::upstream::{ALICE, Accounts as _, BOB, Reply, TestClock, Upstream, did_document, server_document};

const RESOLVE_HANDLE: &str = "/xrpc/com.atproto.identity.resolveHandle";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const SERVER: &str = "/.well-known/oauth-authorization-server";

async fn resolve(client: &AtprotoClient, input: &str) -> Result<Target, ResolveError> {
    client.resolve(&SignInInput::parse(input).unwrap()).await
}

fn alice() -> Did {
    Did::parse(ALICE).unwrap()
}

#[tokio::test]
async fn a_handle_a_did_and_a_server_lead_to_the_same_place() {
    let upstream = Upstream::good().await;
    let by_handle = resolve(&upstream.client(), "@Alice.test").await.unwrap();
    let identity = by_handle.identity.clone().unwrap();
    assert_eq!(identity.did, alice());
    assert_eq!(identity.handle, Handle::parse("alice.test").ok());
    assert_eq!(identity.pds, upstream.url());
    assert_eq!(by_handle.server.issuer, upstream.origin);

    assert_eq!(resolve(&upstream.client(), ALICE).await.unwrap(), by_handle);
    let by_server = resolve(&upstream.client(), &upstream.origin).await.unwrap();
    assert_eq!(by_server, Target { identity: None, server: by_handle.server });
}

#[tokio::test]
async fn a_handle_has_to_be_claimed_by_its_account() {
    let upstream = Upstream::good().await;
    upstream.on(&format!("/{ALICE}"), &did_document(ALICE, "other.test", &upstream.origin));
    assert_eq!(resolve(&upstream.client(), "alice.test").await, Err(ResolveError::HandleMismatch));
}

#[tokio::test]
async fn an_account_shows_no_handle_that_is_not_its_own() {
    let upstream = Upstream::good().await;
    upstream.on(RESOLVE_HANDLE, &json!({ "did": BOB }));
    let identity = upstream.client().resolve_did(&alice()).await.unwrap();
    assert_eq!((identity.did, identity.handle), (alice(), None));

    for reply in
        [Reply::json(400, &json!({})), Reply::html(503), Reply::json(200, &json!({ "did": "did:x" }))]
    {
        upstream.script_path(RESOLVE_HANDLE, [reply]);
        assert_eq!(upstream.client().resolve_did(&alice()).await.unwrap().handle, None);
    }
}

#[tokio::test]
async fn a_handle_that_could_not_be_checked_is_checked_again() {
    let upstream = Upstream::good().await;
    let client = upstream.client();
    upstream.script_path(RESOLVE_HANDLE, [Reply::html(503), Reply::json(200, &json!({ "did": ALICE }))]);
    assert_eq!(client.resolve_did(&alice()).await.unwrap().handle, None);
    assert!(client.resolve_did(&alice()).await.unwrap().handle.is_some());
}

#[tokio::test]
async fn what_does_not_exist_is_told_apart_from_what_does_not_answer() {
    let upstream = Upstream::good().await;
    let document = format!("/{ALICE}");
    for (path, reply, expected) in [
        (RESOLVE_HANDLE, Reply::json(400, &json!({})), ResolveError::HandleNotFound),
        (RESOLVE_HANDLE, Reply::html(502), HttpError::Status { status: 502, retry_after: None }.into()),
        (RESOLVE_HANDLE, Reply::html(200), HttpError::NotJson.into()),
        (&document, Reply::json(404, &json!({})), ResolveError::DidNotFound),
        (&document, Reply::json(410, &json!({})), ResolveError::DidDeactivated),
        (&document, Reply::hang_up(), HttpError::Interrupted.into()),
        (
            &document,
            Reply::json(200, &did_document(BOB, "alice.test", &upstream.origin)),
            ResolveError::DidDocument("it is the document of another DID"),
        ),
        (
            &document,
            Reply::json(200, &json!({ "id": ALICE, "alsoKnownAs": ["at://alice.test"] })),
            ResolveError::NoPds,
        ),
    ] {
        let upstream = Upstream::good().await;
        upstream.script_path(path, [reply]);
        assert_eq!(resolve(&upstream.client(), "alice.test").await, Err(expected.clone()));
        let definite = matches!(
            expected,
            ResolveError::HandleNotFound
                | ResolveError::DidNotFound
                | ResolveError::DidDeactivated
                | ResolveError::NoPds
        );
        assert_eq!(expected.is_upstream_fault(), !definite, "{expected}");
    }
}

#[tokio::test]
async fn a_did_web_is_its_own_directory() {
    let upstream = Upstream::good().await;
    let did = Did::parse(&format!("did:web:localhost%3A{}", upstream.url().port().unwrap())).unwrap();
    upstream.on("/.well-known/did.json", &did_document(did.as_str(), "alice.test", &upstream.origin));
    upstream.on(RESOLVE_HANDLE, &json!({ "did": did }));
    let identity = upstream.client().resolve_did(&did).await.unwrap();
    assert_eq!((identity.did, identity.handle), (did, Handle::parse("alice.test").ok()));
}

#[tokio::test]
async fn server_metadata_has_to_hold_up() {
    let faults = |origin: &str| {
        let mut foreign = server_document(origin);
        foreign["issuer"] = json!("http://evil.example");
        let mut disowned = server_document(origin);
        disowned["protected_resources"] = json!(["http://other.example"]);
        [
            (RESOURCE, json!({ "resource": origin, "authorization_servers": [origin, "http://b.example"] })),
            (RESOURCE, json!({ "resource": origin, "authorization_servers": [] })),
            (RESOURCE, json!({ "resource": "http://b.example", "authorization_servers": [origin] })),
            (RESOURCE, json!({ "resource": origin, "authorization_servers": [format!("{origin}/path")] })),
            (SERVER, foreign),
            (SERVER, disowned),
        ]
    };
    for fault in 0..6 {
        let upstream = Upstream::good().await;
        let (path, document) = faults(&upstream.origin)[fault].clone();
        upstream.on(path, &document);
        for input in ["alice.test", &upstream.origin] {
            let outcome = resolve(&upstream.client(), input).await;
            assert!(matches!(outcome, Err(ResolveError::ServerMetadata(_))), "{document}: {outcome:?}");
        }
    }
}

/// Issuers compare exactly: one that is not an origin to the letter is refused even where it agrees with itself.
#[tokio::test]
async fn an_issuer_is_an_origin_to_the_letter() {
    let upstream = Upstream::good().await;
    let issuer = format!("{}/", upstream.origin);
    upstream.on(RESOURCE, &json!({ "resource": upstream.origin, "authorization_servers": [issuer] }));
    let mut document = server_document(&upstream.origin);
    document["issuer"] = json!(issuer);
    upstream.on(SERVER, &document);
    let outcome = resolve(&upstream.client(), "alice.test").await;
    assert!(matches!(outcome, Err(ResolveError::ServerMetadata(_))), "{outcome:?}");
}

#[tokio::test]
async fn an_entryway_is_a_server_without_a_pds() {
    let upstream = Upstream::good().await;
    upstream.script_path(RESOURCE, [Reply::json(404, &json!({}))]);
    assert_eq!(resolve(&upstream.client(), &upstream.origin).await.unwrap().server.issuer, upstream.origin);
    // An account's PDS has to say which server is its own.
    let outcome = resolve(&upstream.client(), "alice.test").await;
    assert_eq!(outcome, Err(HttpError::Status { status: 404, retry_after: None }.into()));
}

#[tokio::test]
async fn what_is_known_is_asked_again_after_minutes_or_on_demand() {
    let upstream = Upstream::good().await;
    let clock = Arc::new(TestClock::default());
    let client = upstream.client_at(&clock);
    let document = format!("/{ALICE}");
    let asked = || [RESOLVE_HANDLE, &document, RESOURCE, SERVER].map(|path| upstream.seen(path).len());

    resolve(&client, "alice.test").await.unwrap();
    resolve(&client, "alice.test").await.unwrap();
    client.resolve_did(&alice()).await.unwrap();
    client.resolve_did_lately(&alice()).await.unwrap();
    assert_eq!(asked(), [1, 2, 1, 1], "a sign-in always reads the document");

    let moved = did_document(ALICE, "alice.test", "http://moved.example");
    upstream.on(&document, &moved);
    assert_eq!(client.resolve_did(&alice()).await.unwrap().pds, upstream.url());
    assert_eq!(client.resolve_did_fresh(&alice()).await.unwrap().pds.as_str(), "http://moved.example/");
    assert_eq!(asked(), [2, 3, 1, 1]);

    clock.advance(59);
    client.resolve_did_lately(&alice()).await.unwrap();
    assert_eq!(asked(), [2, 3, 1, 1]);
    clock.advance(1);
    client.resolve_did_lately(&alice()).await.unwrap();
    client.resolve_did(&alice()).await.unwrap();
    assert_eq!(asked()[1], 4);

    clock.advance(240);
    client.server_of_pds(&upstream.url()).await.unwrap();
    assert_eq!(asked()[2..], [2, 2]);
}

/// Something does not match, or was refused: the whole way is walked again, before its time.
#[tokio::test]
async fn what_is_forgotten_is_asked_again() {
    let upstream = Upstream::good().await;
    let client = upstream.client();
    let document = format!("/{ALICE}");
    let asked = || [RESOLVE_HANDLE, &document, RESOURCE, SERVER].map(|path| upstream.seen(path).len());
    for n in 1..=2 {
        for _ in 0..2 {
            let identity = client.resolve_did(&alice()).await.unwrap();
            client.server_of_pds(&identity.pds).await.unwrap();
            assert_eq!(asked(), [n; 4]);
        }
        client.forget(&alice());
        client.forget(&Did::parse(BOB).unwrap());
    }
}

#[tokio::test]
async fn a_handle_that_changed_hands_is_looked_up_again() {
    let upstream = Upstream::good().await;
    let client = upstream.client();
    resolve(&client, "alice.test").await.unwrap();
    upstream.on(&format!("/{ALICE}"), &did_document(ALICE, "new.test", &upstream.origin));
    upstream.on(&format!("/{BOB}"), &did_document(BOB, "alice.test", &upstream.origin));
    upstream.on(RESOLVE_HANDLE, &json!({ "did": BOB }));
    // Alice's new handle is seen first; then the old one is no longer hers, and the stale answer is not used.
    client.resolve_did_fresh(&alice()).await.unwrap();
    let target = resolve(&client, "alice.test").await.unwrap();
    assert_eq!(target.identity.unwrap().did.as_str(), BOB);
}
