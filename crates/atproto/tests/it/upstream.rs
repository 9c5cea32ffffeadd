//! The scripted server as a PDS, and a client that trusts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_atproto::{AtprotoClient, AtprotoConfig};
use causeway_domain::Clock;
use causeway_outbound::{HttpClient, HttpConfig};
use causeway_types::{SystemRng, Timestamp};
use serde_json::{Value, json};

pub(crate) use causeway_outbound::testing::{Reply, Seen, Upstream};

pub(crate) const ALICE: &str = "did:plc:z72i7hdynmk6r22z27h6tvur";
pub(crate) const BOB: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

/// The JWTs of a request.
pub(crate) trait Signed {
    /// The claims of the DPoP proof.
    fn proof(&self) -> Value;

    /// The claims of the client assertion.
    fn assertion(&self) -> Value;
}

impl Signed for Seen {
    fn proof(&self) -> Value {
        claims(&self.headers["dpop"])
    }

    fn assertion(&self) -> Value {
        claims(&self.form["client_assertion"])
    }
}

fn claims(jwt: &str) -> Value {
    let payload = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// A server of accounts.
pub(crate) trait Accounts: Sized {
    /// A directory, handle resolver, PDS and authorization server in one, with Alice's account.
    async fn good() -> Self;

    /// A client in development mode that looks everything up here.
    fn client(&self) -> AtprotoClient {
        self.client_at(&Arc::new(TestClock::default()))
    }

    /// The same, by this clock.
    fn client_at(&self, clock: &Arc<TestClock>) -> AtprotoClient;
}

impl Accounts for Upstream {
    async fn good() -> Self {
        let upstream = Self::empty().await;
        let origin = upstream.origin.clone();
        upstream.on("/xrpc/com.atproto.identity.resolveHandle", &json!({ "did": ALICE }));
        upstream.on(&format!("/{ALICE}"), &did_document(ALICE, "alice.test", &origin));
        upstream.on(
            "/.well-known/oauth-protected-resource",
            &json!({ "resource": origin, "authorization_servers": [origin] }),
        );
        upstream.on("/.well-known/oauth-authorization-server", &server_document(&origin));
        upstream
    }

    fn client_at(&self, clock: &Arc<TestClock>) -> AtprotoClient {
        let http = HttpConfig {
            dev_mode: true,
            total_timeout: Duration::from_millis(1500),
            idle_timeout: Duration::from_millis(1500),
            ..HttpConfig::default()
        };
        let config = AtprotoConfig { plc_url: self.url(), handle_resolver: Some(self.url()) };
        let http = HttpClient::new(&http).unwrap();
        AtprotoClient::new(http, config, clock.clone(), Arc::new(SystemRng))
    }
}

pub(crate) fn did_document(did: &str, handle: &str, pds: &str) -> Value {
    json!({
        "id": did,
        "alsoKnownAs": [format!("at://{handle}")],
        "service": [{ "id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": pds }],
    })
}

pub(crate) fn server_document(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth/authorize"),
        "token_endpoint": format!("{issuer}/oauth/token"),
        "pushed_authorization_request_endpoint": format!("{issuer}/oauth/par"),
        "revocation_endpoint": format!("{issuer}/oauth/revoke"),
        "scopes_supported": ["atproto", "transition:generic"],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "authorization_response_iss_parameter_supported": true,
        "require_pushed_authorization_requests": true,
        "client_id_metadata_document_supported": true,
    })
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl Default for TestClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_700_000_000))
    }
}

impl TestClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}
