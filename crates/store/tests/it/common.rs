//! Rows to test with.

use std::fmt::Debug;
use std::future::Future;

use causeway_domain::authorization::{AuthRequest, AuthRequestStage, AuthorizationCode, ParRequest};
use causeway_domain::client::{Client, ClientOrigin, Entitlements, PkcePolicy};
use causeway_domain::session::{
    AtprotoBinding, AtprotoPending, Binding, Cooldown, Credentials, DpopBound, OtherBinding, Pending,
    SessionHead, UpstreamAccess, UpstreamAuth, UpstreamBinding, UpstreamRequest,
};
use causeway_domain::token::{AccessSubject, AccessToken, RefreshToken, User};
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::operations::keys::StoredKey;
use causeway_store::testing::TestDatabase;
use causeway_store::{AnyConnection, Store, StoreError, clients, sessions};
use causeway_types::{
    AuthRequestId, BrowserSessionId, ClientId, CodeVerifier, CorrelationId, Did, GrantType, Handle, Jkt,
    OauthState, PlainToken, Prompts, RedirectUri, RequestUri, Resource, Resources, ResponseMode, Scope,
    Secret, SessionKind, SessionState, SystemRng, TenantId, Timestamp, TokenEndpointAuthMethod, TokenHash,
    TokenKind, UpstreamClientId, UpstreamSessionId,
};

pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000);

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs a test on a fresh database of each kind.
pub(crate) fn on_each<F, Fut>(test: F)
where
    F: Fn(World) -> Fut,
    Fut: Future<Output = ()>,
{
    for database in TestDatabase::each() {
        runtime().block_on(async {
            eprintln!("on {}", database.kind());
            let world = World { kind: database.kind(), store: database.store().await, ring: ring() };
            test(world.clone()).await;
            world.store.close().await;
        });
    }
}

pub(crate) fn ring() -> EncryptionKeyRing {
    EncryptionKeyRing::parse(&EncryptionKeyRing::generate(&SystemRng)).unwrap()
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) kind: &'static str,
    pub(crate) store: Store,
    pub(crate) ring: EncryptionKeyRing,
}

impl World {
    /// Runs a closure that must not fail.
    pub(crate) async fn write<T, F>(&self, f: F) -> T
    where
        F: FnMut(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
        T: Send + Debug + 'static,
    {
        self.store.write(f).await.unwrap()
    }

    pub(crate) async fn read<T, F>(&self, f: F) -> T
    where
        F: FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
        T: Send + Debug + 'static,
    {
        self.store.read(f).await.unwrap()
    }

    /// A client with an active session.
    pub(crate) async fn client_and_session(&self) -> (Client, SessionHead) {
        let client = client();
        let session = session(&client, SessionKind::Device, SessionState::Active);
        let (row, head, ring) = (client.clone(), session.clone(), self.ring.clone());
        self.write(move |c| {
            clients::insert_client(c, &row)?;
            sessions::insert_session(c, &ring, &head, &token_set("1"))
        })
        .await;
        (client, session)
    }
}

pub(crate) fn hash<K: TokenKind>() -> TokenHash<K> {
    PlainToken::issued(&SystemRng, NOW.into()).hash()
}

pub(crate) fn did() -> Did {
    Did::parse("did:plc:z72i7hdynmk6r22z27h6tvur").unwrap()
}

pub(crate) fn resources() -> Resources {
    Resources::parse(&["https://api.example/v1", "urn:example:api"]).unwrap()
}

pub(crate) fn client() -> Client {
    Client {
        client_id: ClientId::random(&SystemRng),
        tenant_id: TenantId::default_tenant(),
        origin: ClientOrigin::Registered,
        client_secret: Some(hash()),
        client_name: "Ünïted".to_owned(),
        redirect_uris: vec![RedirectUri::from_stored("https://app.example/cb")],
        grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        scope: Some(Scope::parse("atproto transition:generic").unwrap()),
        token_endpoint_auth_method: TokenEndpointAuthMethod::ClientSecretBasic,
        access_token_expiration: Client::DEFAULT_ACCESS_TOKEN_EXPIRATION,
        refresh_token_expiration: Client::DEFAULT_REFRESH_TOKEN_EXPIRATION,
        registration_access_token: Some(hash()),
        jwks: Some(serde_json::json!({"keys": [{"kty": "EC"}]})),
        entitlements: Entitlements {
            session_export: true,
            pkce: PkcePolicy::Nonce,
            allowed_resources: vec![Resource::parse("urn:example:api").unwrap()],
            ..Entitlements::default()
        },
        metadata: serde_json::Map::from_iter([("client_uri".to_owned(), "https://app.example".into())]),
        created_at: NOW,
        updated_at: NOW,
    }
}

pub(crate) fn binding() -> UpstreamBinding {
    UpstreamBinding {
        issuer: "https://pds.example".to_owned(),
        pds: "https://pds.example".to_owned(),
        client_id: UpstreamClientId::new("https://causeway.example/oauth-client-metadata.json"),
        auth: UpstreamAuth::PrivateKeyJwt { kid: "kid-1".to_owned() },
        redirect_uri: "https://causeway.example/oauth/atp/callback".to_owned(),
    }
}

pub(crate) fn session(client: &Client, kind: SessionKind, state: SessionState) -> SessionHead {
    SessionHead {
        session_id: UpstreamSessionId::issued(&SystemRng, NOW.into()),
        tenant_id: client.tenant_id.clone(),
        client_id: client.client_id.clone(),
        kind,
        state,
        browser_id: BrowserSessionId::new("browser"),
        iteration: 1,
        binding: Binding::Atproto(AtprotoBinding {
            did: did(),
            handle: Some(Handle::parse("alice.example.com").unwrap()),
            verified_at: NOW,
            upstream: binding(),
        }),
        created_at: NOW,
        last_used_at: NOW,
        cooldown: Cooldown::default(),
        correlation_id: Some(CorrelationId::new("c_1")),
    }
}

/// A session at a provider that is not an AT Protocol server.
pub(crate) fn other_session(client: &Client, kind: SessionKind, state: SessionState) -> SessionHead {
    SessionHead {
        binding: Binding::Other(OtherBinding {
            provider: "example".to_owned(),
            subject: "user-17".to_owned(),
            data: r#"{"issuer":"https://id.example"}"#.to_owned(),
            idle_seconds: None,
        }),
        ..session(client, kind, state)
    }
}

/// Inserts an access token of a session at another provider, which names no user.
pub(crate) fn insert_userless_token(
    c: &mut AnyConnection,
    name: &str,
    session: &SessionHead,
) -> Result<(), StoreError> {
    let insert = format!(
        "INSERT INTO oauth_access_token (token, client_id, session_id, session_iteration, created_at, expires_at) \
         VALUES ('{name}', '{}', '{}', 1, {NOW}, {})",
        session.client_id,
        session.session_id,
        NOW.plus(99 * 86_400),
    );
    diesel::RunQueryDsl::execute(diesel::sql_query(insert), c)?;
    Ok(())
}

pub(crate) fn bearer(mark: &str) -> Credentials {
    Credentials { access: UpstreamAccess::Bearer(Secret::new(format!("bearer-{mark}"))), ..token_set(mark) }
}

pub(crate) fn token_set(mark: &str) -> Credentials {
    Credentials {
        access: UpstreamAccess::DpopBound(DpopBound {
            token: Secret::new(format!("upstream-access-{mark}")),
            key: Secret::new(r#"{"kty":"EC"}"#),
            jkt: "jkt".to_owned(),
        }),
        refresh_token: Some(Secret::new(format!("upstream-refresh-{mark}"))),
        created_at: NOW,
        expires_at: Some(NOW.plus(3600)),
        scope: "atproto".to_owned(),
    }
}

pub(crate) fn code(session: &SessionHead) -> AuthorizationCode {
    AuthorizationCode {
        code: hash(),
        client_id: session.client_id.clone(),
        did: session.atproto().unwrap().did.clone(),
        session_id: session.session_id.clone(),
        session_iteration: session.iteration,
        redirect_uri: "https://app.example/cb".to_owned(),
        scope: Scope::atproto(),
        resources: resources(),
        code_challenge: Some(CodeVerifier::random(&SystemRng).challenge()),
        nonce: Some("n".to_owned()),
        dpop_jkt: Some(Jkt::new("jkt-of-code")),
        created_at: NOW,
        expires_at: NOW.plus(60),
        used_at: None,
    }
}

pub(crate) fn access_token(session: &SessionHead) -> AccessToken {
    AccessToken {
        token: hash(),
        client_id: session.client_id.clone(),
        subject: AccessSubject::User(User {
            did: session.atproto().unwrap().did.clone(),
            session_id: session.session_id.clone(),
            session_iteration: Some(session.iteration),
        }),
        scope: Scope::atproto(),
        resources: resources(),
        dpop_jkt: Some(Jkt::new("jkt-of-access")),
        created_at: NOW,
        expires_at: NOW.plus(3600),
        revoked: false,
        first_used_at: None,
    }
}

pub(crate) fn refresh_token(
    session: &SessionHead,
    access: &AccessToken,
    parent: Option<&RefreshToken>,
) -> RefreshToken {
    RefreshToken {
        token: hash(),
        access_token: access.token.clone(),
        client_id: session.client_id.clone(),
        did: session.atproto().unwrap().did.clone(),
        session_id: session.session_id.clone(),
        session_iteration: Some(session.iteration),
        scope: Scope::atproto(),
        resources: resources(),
        dpop_jkt: Some(Jkt::new("jkt-of-refresh")),
        created_at: NOW,
        expires_at: Some(NOW.plus(7200)),
        parent: parent.map(|parent| parent.token.clone()),
        used_at: None,
        revoked: None,
    }
}

pub(crate) fn auth_request(client: &Client) -> AuthRequest {
    AuthRequest {
        id: AuthRequestId::issued(&SystemRng, NOW.into()),
        tenant_id: client.tenant_id.clone(),
        client_id: client.client_id.clone(),
        redirect_uri: "https://app.example/cb".to_owned(),
        scope: Scope::atproto(),
        resources: resources(),
        state: Some("xyz".to_owned()),
        code_challenge: Some(CodeVerifier::random(&SystemRng).challenge()),
        nonce: None,
        login_hint: Some("alice.example.com".to_owned()),
        response_mode: ResponseMode::FormPost,
        prompt: Prompts::parse("login consent").unwrap(),
        max_age: Some(300),
        dpop_jkt: Some(Jkt::new("jkt-of-request")),
        required_subs: Vec::new(),
        ui_locales: Some("de-AT en".to_owned()),
        browser_id: BrowserSessionId::new("browser"),
        request_uri: None,
        device_code: Some(hash()),
        correlation_id: Some(CorrelationId::new("c_1")),
        stage: AuthRequestStage::SignIn,
        created_at: NOW,
        expires_at: NOW.plus(900),
    }
}

pub(crate) fn par_request(client: &Client) -> ParRequest {
    ParRequest {
        request_uri: RequestUri::issued(&SystemRng, NOW.into()),
        client_id: client.client_id.clone(),
        authorization_request: r#"{"scope":"atproto"}"#.to_owned(),
        correlation_id: Some(CorrelationId::new("c_1")),
        auth_request_id: None,
        created_at: NOW,
        expires_at: NOW.plus(300),
    }
}

pub(crate) fn upstream_request(request: &AuthRequest) -> UpstreamRequest {
    UpstreamRequest {
        oauth_state: OauthState::random(&SystemRng),
        auth_request_id: request.id.clone(),
        browser_id: request.browser_id.clone(),
        pending: Pending::Atproto(Box::new(AtprotoPending {
            upstream: binding(),
            expected_did: Some(did()),
            typed_handle: Some(Handle::parse("alice.example.com").unwrap()),
            nonce: "dpop-nonce".to_owned(),
            pkce_verifier: CodeVerifier::random(&SystemRng),
            dpop_private_key: Secret::new(r#"{"kty":"EC","d":"canary"}"#),
            dpop_jkt: "jkt".to_owned(),
        })),
        asked_again: true,
        created_at: NOW,
        expires_at: NOW.plus(900),
    }
}

pub(crate) fn signing_key(kid: &str, retired_at: Option<Timestamp>) -> StoredKey {
    StoredKey {
        kid: kid.to_owned(),
        purpose: "client_assertion".to_owned(),
        alg: "ES256".to_owned(),
        public_jwk: "{}".to_owned(),
        private_jwk: Secret::new("canary"),
        created_at: NOW,
        retired_at,
    }
}
