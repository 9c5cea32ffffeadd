//! Discovery of issuers and their keys.

use causeway_jose::{EcKey, sign_jwt};
use causeway_outbound::HttpError;
use causeway_outbound::testing::{Reply, Upstream};
use causeway_providers::oauth::{
    DiscoveryError, IdTokenError, IdTokenRules, MetadataError, ServerMetadata, WellKnown, verify_id_token,
};
use causeway_providers::{Definition, Discovery, FieldValues, Kind};
use causeway_types::Secret;
use serde_json::{Map, Value, json};

use crate::provider::{NOW, Provider};

const OAUTH: &str = "/.well-known/oauth-authorization-server/t";
const BETWEEN: &str = "/.well-known/openid-configuration/t";
const BEHIND: &str = "/t/.well-known/openid-configuration";

fn metadata(issuer: &str, origin: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{origin}/authorize"),
        "token_endpoint": format!("{origin}/token"),
        "jwks_uri": format!("{origin}/keys"),
    })
}

fn discovery(origin: &str) -> Discovery {
    let text = format!(
        "kind = \"oidc\"\ntitle = \"T\"\nissuer = \"{origin}/t\"\nscopes = [\"openid\"]\n[refresh]\npolicy = \"none\"\n"
    );
    let definition = Definition::parse("t", &text).unwrap_or_else(|error| panic!("{error}"));
    let Kind::Oidc(oidc) = definition.kind else { panic!("kind") };
    oidc.discovery
}

async fn discover(upstream: &Upstream, order: WellKnown) -> Result<ServerMetadata, DiscoveryError> {
    let client = crate::provider::patient_client(std::time::Duration::from_secs(5));
    client.discover(&discovery(&upstream.origin), order, &FieldValues::default()).await
}

/// 4xx and what is not JSON mean that there is none: the next address is asked.
#[tokio::test]
async fn what_is_absent_is_looked_for_elsewhere() {
    let upstream = Upstream::empty().await;
    let good = metadata(&format!("{}/t", upstream.origin), &upstream.origin);
    upstream.script_path(OAUTH, [Reply::json(401, &json!({"error": "invalid_token"}))]);
    upstream.script_path(BETWEEN, [Reply::html(200)]);
    upstream.on(BEHIND, &good);
    assert!(discover(&upstream, WellKnown::OAuth).await.is_ok());
    assert_eq!([OAUTH, BETWEEN, BEHIND].map(|path| upstream.seen(path).len()), [1, 1, 1]);
    assert!(discover(&upstream, WellKnown::Oidc).await.is_ok());
    assert_eq!(
        [OAUTH, BETWEEN, BEHIND].map(|path| upstream.seen(path).len()),
        [1, 1, 2],
        "behind the issuer first"
    );
    upstream.script_path(BEHIND, [Reply::new(404, "text/plain", "")]);
    assert_eq!(discover(&upstream, WellKnown::OAuth).await, Err(DiscoveryError::Absent));
}

/// A failure that may pass stops discovery: nothing is fallen back to.
#[tokio::test]
async fn what_may_pass_stops_discovery() {
    let upstream = Upstream::empty().await;
    upstream.on(BEHIND, &metadata(&format!("{}/t", upstream.origin), &upstream.origin));
    for (reply, error) in [
        (Reply::html(503), HttpError::Status { status: 503, retry_after: None }),
        (
            Reply::html(429).header("retry-after", "7"),
            HttpError::Status { status: 429, retry_after: Some(7) },
        ),
        (Reply::hang_up(), HttpError::Interrupted),
    ] {
        upstream.script_path(OAUTH, [reply]);
        assert_eq!(discover(&upstream, WellKnown::OAuth).await, Err(DiscoveryError::Unknown(error)));
    }
    assert!(upstream.seen(BEHIND).is_empty());
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_used() {
    let upstream = Upstream::empty().await;
    upstream.on(OAUTH, &metadata("https://evil.example", &upstream.origin));
    upstream.on(BEHIND, &metadata(&format!("{}/t", upstream.origin), &upstream.origin));
    let found = discover(&upstream, WellKnown::OAuth).await;
    assert_eq!(found, Err(DiscoveryError::Invalid(MetadataError::Issuer)));
    assert!(upstream.seen(BEHIND).is_empty());
}

/// Microsoft: the metadata of `common` has a field in its issuer, and each ID token the tenant of its user.
#[tokio::test]
async fn an_id_token_names_the_tenant_of_its_user() {
    let microsoft = Provider::with("microsoft", &[("tenant", "common")]).await;
    let (origin, key) = (&microsoft.upstream.origin, EcKey::generate().unwrap());
    let Kind::Oidc(oidc) = &microsoft.definition.kind else { panic!("kind") };
    let template = format!("{origin}/{{tenantid}}/v2.0");
    microsoft.upstream.on("/common/v2.0/.well-known/openid-configuration", &metadata(&template, origin));
    microsoft.upstream.on("/keys", &json!({"keys": [key.public_jwk()]}));
    let client = &microsoft.client;
    let found = client.discover(&oidc.discovery, WellKnown::Oidc, &microsoft.fields).await.unwrap();
    assert_eq!(found.issuer, template);
    let keys = client.keys(found.jwks_uri.as_ref().unwrap()).await.unwrap();
    let rules = IdTokenRules {
        metadata: &found,
        discovery: &oidc.discovery,
        keys: &keys,
        client_id: "our-id",
        nonce: Some("n"),
        now: NOW,
    };
    let verify = |issuer: String| {
        let claims =
            json!({"iss": issuer, "aud": "our-id", "sub": "u", "exp": NOW.as_secs() + 60, "nonce": "n"});
        let token = Secret::new(sign_jwt(&key, Map::new(), &claims).unwrap());
        verify_id_token(microsoft.oauth(), &token, &rules).map(|verified| verified.issuer)
    };
    let tenant = format!("{origin}/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0");
    assert_eq!(verify(tenant.clone()), Ok(tenant));
    for other in [template.clone(), "https://evil.example/x/v2.0".to_owned(), format!("{origin}/a/b/v2.0")] {
        assert_eq!(verify(other), Err(IdTokenError::Issuer));
    }
}

#[tokio::test]
async fn keys_are_absent_unknown_or_invalid() {
    let upstream = Upstream::empty().await;
    let client = crate::provider::patient_client(std::time::Duration::from_secs(5));
    let url = upstream.url().join("/keys").unwrap();
    assert_eq!(client.keys(&url).await.unwrap_err(), DiscoveryError::Absent);
    upstream.script_path("/keys", [Reply::html(500)]);
    assert!(matches!(client.keys(&url).await, Err(DiscoveryError::Unknown(_))));
    upstream.on("/keys", &json!({"keys": []}));
    assert!(matches!(client.keys(&url).await, Err(DiscoveryError::Keys(_))));
}
