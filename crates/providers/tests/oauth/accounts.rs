//! The account of a connection, and the accounts that it manages.

use std::time::Duration;

use causeway_outbound::HttpError;
use causeway_outbound::budget::{Budget, Budgets};
use causeway_outbound::testing::Reply;
use causeway_providers::oauth::{ApiError, DiscoveryError, Extent, Listing};
use causeway_types::Secret;
use serde_json::{Value, json};

use crate::provider::{Provider, client_with, patient_client};

async fn listed(provider: &Provider) -> Listing {
    let token = Secret::new("user-token");
    let secrets = [("token", &token)];
    provider.client.managed_accounts(provider.oauth(), &provider.credential(&secrets)).await
}

const ACCOUNTS: &str = "/v24.0/me/accounts";
const SECOND: &str = "/v24.0/1/accounts";

fn pages(facebook: &Provider, second: Reply) {
    let next = format!("{}{SECOND}?access_token=leaked&limit=1&after=x", facebook.upstream.origin);
    let page = |id: &str, paging: Value| json!({"data": [{"id": id, "access_token": format!("t-{id}")}], "paging": paging});
    facebook.upstream.on(ACCOUNTS, &page("1", json!({ "next": next })));
    facebook.upstream.script_path(SECOND, [second]);
}

#[tokio::test]
async fn pages_are_read_to_the_end_with_the_credential_set_anew() {
    let facebook = Provider::of("facebook").await;
    pages(&facebook, Reply::json(200, &json!({"data": [{"id": "2", "access_token": "t-2"}]})));
    let listing = listed(&facebook).await;
    assert_eq!(listing.extent, Extent::Complete);
    let found: Vec<_> =
        listing.accounts.iter().map(|page| (&*page.subject, page.token.as_ref().unwrap().expose())).collect();
    assert_eq!(found, [("1", "t-1"), ("2", "t-2")]);
    for path in [ACCOUNTS, SECOND] {
        let seen = facebook.last(path);
        assert_eq!(seen.headers["authorization"], "Bearer user-token");
        assert!(
            seen.target.contains("appsecret_proof=") && !seen.target.contains("leaked"),
            "{}",
            seen.target
        );
    }
    assert!(facebook.last(SECOND).target.contains("limit=1&after=x"));
}

/// A listing that failed says nothing about what it did not reach.
#[tokio::test]
async fn a_failed_page_makes_a_partial_listing() {
    for (reply, error) in [
        (Reply::html(502), ApiError::Status { status: 502, retry_after: None }),
        (
            Reply::json(400, &json!({"error": {"code": 4}})).header("retry-after", "9"),
            ApiError::Status { status: 400, retry_after: Some(9) },
        ),
        (Reply::json(400, &json!({"error": {"code": 190}})), ApiError::Refused { status: 400 }),
        (
            Reply::json(400, &json!({"error": {"code": 190, "error_subcode": 459}})),
            ApiError::ActionRequired { status: 400 },
        ),
        (Reply::html(200), ApiError::Malformed("it is not JSON")),
        (
            Reply::json(200, &json!({"error": {"code": 100}})),
            ApiError::Malformed("there is no list of accounts"),
        ),
        (Reply::hang_up(), ApiError::Http(causeway_outbound::HttpError::Interrupted)),
    ] {
        let facebook = Provider::of("facebook").await;
        pages(&facebook, reply);
        let listing = listed(&facebook).await;
        assert_eq!((listing.extent, listing.accounts.len()), (Extent::Partial(error), 1));
    }
}

/// A list whose pages lead to one another ends.
#[tokio::test]
async fn a_circle_of_pages_ends() {
    let facebook = Provider::of("facebook").await;
    let next = format!("{}{SECOND}", facebook.upstream.origin);
    pages(&facebook, Reply::json(200, &json!({"data": [], "paging": {"next": next}})));
    let listing = listed(&facebook).await;
    assert_eq!(listing.extent, Extent::Partial(ApiError::Malformed("the list does not end")));
}

/// Pages that come slowly, each within its own deadline, hold nobody up for ever.
#[tokio::test]
async fn a_slow_list_ends() {
    let mut facebook = Provider::of("facebook").await;
    facebook.client = patient_client(Duration::from_millis(200));
    let page = |number: usize| {
        let next = format!("{}{SECOND}?after={number}", facebook.upstream.origin);
        let body = json!({"data": [{"id": number.to_string()}], "paging": {"next": next}});
        Reply::json(200, &body).late(Duration::from_millis(100))
    };
    facebook.upstream.script_path(ACCOUNTS, [page(0)]);
    facebook.upstream.script_path(SECOND, (1..=30).map(page));
    let listing = listed(&facebook).await;
    assert_eq!(listing.extent, Extent::Partial(ApiError::Http(HttpError::Timeout)));
    assert!((2..30).contains(&listing.accounts.len()), "what came before is kept");
}

/// The organisation is chosen in each call, but not in the one that lists them.
#[tokio::test]
async fn xero_lists_organisations_without_one() {
    let xero = Provider::of("xero").await;
    xero.upstream.on("/connections", &json!([{"tenantId": "org-1", "tenantName": "Acme"}]));
    let listing = listed(&xero).await;
    assert_eq!(
        (listing.accounts[0].subject.as_str(), listing.accounts[0].name.as_deref()),
        ("org-1", Some("Acme"))
    );
    let seen = xero.last("/connections");
    assert!(
        seen.headers["authorization"] == "Bearer user-token" && !seen.headers.contains_key("xero-tenant-id")
    );
}

#[tokio::test]
async fn an_account_is_asked_for_with_the_new_token() {
    let github = Provider::of("github").await;
    github.upstream.on("/user", &json!({"id": 583_231, "login": "octocat"}));
    let token = Secret::new("ghu");
    let secrets = [("token", &token)];
    let account =
        github.client.identity(github.oauth(), &github.credential(&secrets)).await.unwrap().unwrap();
    assert_eq!((account.subject.as_str(), account.name.as_deref()), ("583231", Some("octocat")));
    assert_eq!(github.last("/user").headers["authorization"], "Bearer ghu");
    github.upstream.script_path("/user", [Reply::json(401, &json!({"message": "Bad credentials"}))]);
    let refused = github.client.identity(github.oauth(), &github.credential(&secrets)).await;
    assert_eq!(refused, Err(ApiError::Refused { status: 401 }));
    let slack = Provider::of("slack").await;
    assert_eq!(slack.client.identity(slack.oauth(), &slack.credential(&secrets)).await, Ok(None));
}

/// No flood of accounts keeps anybody from signing in: documents have room of their own, and a cap.
#[tokio::test]
async fn accounts_and_documents_have_room_apart() {
    let mut github = Provider::of("github").await;
    let token = Secret::new("ghu");
    let secrets = [("token", &token)];
    github.upstream.on("/user", &json!({"id": 1, "bio": "x".repeat(70_000)}));
    github.upstream.on("/keys", &json!({"keys": [], "x": "x".repeat(70_000)}));
    let keys = github.upstream.url().join("/keys").unwrap();
    let too_large = Err(DiscoveryError::Unknown(HttpError::TooLarge));
    assert_eq!(github.client.keys(&keys).await.map(drop), too_large);

    let budgets = Budgets { documents: Budget::new(0), ..Budgets::default() };
    github.client = client_with(budgets, Duration::from_secs(5));
    assert!(github.client.identity(github.oauth(), &github.credential(&secrets)).await.is_ok());
    github.upstream.on("/keys", &json!({"keys": []}));
    let no_room = Err(DiscoveryError::Unknown(HttpError::NoRoom { sent: true }));
    assert_eq!(github.client.keys(&keys).await.map(drop), no_room);
}
