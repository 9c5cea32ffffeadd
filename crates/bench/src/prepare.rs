//! Prepares the database: a client, and users who have just consented.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_domain::authorization::AuthorizationCode;
use causeway_domain::client::{Client, ClientMetadata};
use causeway_domain::session::{
    AtprotoBinding, Binding, Cooldown, Credentials, DpopBound, SessionHead, UpstreamAccess, UpstreamAuth,
    UpstreamBinding,
};
use causeway_domain::{Clock as _, SystemClock};
use causeway_jose::EcKey;
use causeway_store::authorization::codes;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::engine::migrate;
use causeway_store::{AnyConnection, DatabaseUrl, Store, StoreError, StoreOptions, clients, sessions};
use causeway_types::secret::Code;
use causeway_types::{
    BrowserSessionId, CodeVerifier, Did, Handle, PlainToken, Resources, Rng as _, Scope, Secret, SessionKind,
    SessionState, SigningAlg, SystemRng, TenantId, UpstreamClientId, UpstreamSessionId,
};
use diesel::connection::SimpleConnection as _;

use crate::server::KEY_FILE;

/// The client's redirect URI.
pub(crate) const REDIRECT_URI: &str = "https://app.example/callback";
/// Scope that the client requests and is granted.
pub(crate) const SCOPE: &str = "atproto transition:generic";
/// The same for a client that speaks OpenID Connect.
const OPENID_SCOPE: &str = "openid atproto transition:generic";
/// Scope in the client's registration.
const REGISTERED_SCOPE: &str = OPENID_SCOPE;

/// Codes written per transaction.
const CHUNK: usize = 500;
/// Codes live longer than any run.
const LIFETIME_SECONDS: i64 = 86_400;

/// Prepared data that requests are made from.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Codes, each of a separate session.
    pub(crate) plain: PreparedCodes,
    /// Codes whose redemption is answered with an id_token signed RS256.
    pub(crate) openid: PreparedCodes,
    /// The same, signed ES256.
    pub(crate) openid_es256: PreparedCodes,
    /// Codes of aged sessions, one for each age requested.
    pub(crate) aged: PreparedCodes,
}

/// Codes of one client.
#[derive(Debug)]
pub(crate) struct PreparedCodes {
    /// The client's `Authorization` header: it authenticates with a secret, by HTTP Basic.
    pub(crate) authorization: String,
    /// The PKCE verifier behind every code.
    pub(crate) verifier: CodeVerifier,
    /// The codes.
    pub(crate) codes: Vec<String>,
}

/// How much to prepare.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Number of codes without id_token.
    pub(crate) codes: usize,
    /// Number of codes with id_token signed RS256.
    pub(crate) openid: usize,
    /// Number of codes with id_token signed ES256.
    pub(crate) openid_es256: usize,
    /// Iterations of the aged sessions.
    pub(crate) ages: Vec<i64>,
}

/// Migrates the database and inserts clients and codes, each with its session at the PDS `pds`. The
/// encryption key is written to `directory`.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn prepare(
    url: &DatabaseUrl,
    directory: &Path,
    pds: &str,
    wanted: &Wanted,
) -> Result<Prepared> {
    migrate::up(url)?;
    let ring = create_ring(&directory.join(KEY_FILE))?;
    let store = Store::open(url, StoreOptions::default()).await?;
    let dpop = EcKey::generate()?;
    let source = Source { store, ring, dpop, pds };
    let rs256 = source.client(SigningAlg::Rs256).await?;
    let es256 = source.client(SigningAlg::Es256).await?;
    let prepared = Prepared {
        plain: source.codes(&rs256, SCOPE, wanted.codes).await?,
        openid: source.codes(&rs256, OPENID_SCOPE, wanted.openid).await?,
        openid_es256: source.codes(&es256, OPENID_SCOPE, wanted.openid_es256).await?,
        aged: source.aged(&rs256, &wanted.ages).await?,
    };
    source.store.close().await;
    Ok(prepared)
}

/// A client and how it authenticates.
struct NewClient {
    client: Client,
    authorization: String,
    verifier: CodeVerifier,
}

impl NewClient {
    fn with(&self, codes: Vec<String>) -> PreparedCodes {
        PreparedCodes { authorization: self.authorization.clone(), verifier: self.verifier.clone(), codes }
    }
}

/// The database, and what every session in it has in common.
struct Source<'a> {
    store: Store,
    ring: EncryptionKeyRing,
    dpop: EcKey,
    pds: &'a str,
}

impl Source<'_> {
    async fn client(&self, alg: SigningAlg) -> Result<NewClient> {
        let (client, authorization) = new_client(alg)?;
        let row = client.clone();
        self.store.write(move |c| clients::insert_client(c, &row)).await?;
        Ok(NewClient { client, authorization, verifier: CodeVerifier::random(&SystemRng) })
    }

    async fn codes(&self, of: &NewClient, scope: &str, count: usize) -> Result<PreparedCodes> {
        let mut codes = Vec::with_capacity(count);
        while codes.len() < count {
            let mut rows = Vec::with_capacity(CHUNK);
            for _ in 0..CHUNK.min(count - codes.len()) {
                let code = PlainToken::<Code>::issued(&SystemRng, SystemClock.unix_millis());
                rows.push(new_grant(&of.client, self.pds, &code, &of.verifier, scope)?);
                codes.push(code.expose().to_owned());
            }
            let (ring, dpop) = (self.ring.clone(), self.dpop.clone());
            let written = self.store.write(move |c| {
                rows.iter().try_for_each(|(session, code)| {
                    sessions::insert_session(c, &ring, session, &token_set(&dpop, session))?;
                    codes::insert_code(c, code)
                })
            });
            written.await.map_err(|error: StoreError| error)?;
        }
        Ok(of.with(codes))
    }

    async fn aged(&self, of: &NewClient, ages: &[i64]) -> Result<PreparedCodes> {
        let mut codes = Vec::new();
        for age in ages {
            let code = PlainToken::<Code>::issued(&SystemRng, SystemClock.unix_millis());
            let (mut session, mut row) = new_grant(&of.client, self.pds, &code, &of.verifier, SCOPE)?;
            (session.iteration, row.session_iteration) = (*age, *age);
            codes.push(code.expose().to_owned());
            let (ring, dpop) = (self.ring.clone(), self.dpop.clone());
            let written = self.store.write::<_, StoreError, _>(move |c| {
                sessions::insert_session(c, &ring, &session, &token_set(&dpop, &session))?;
                insert_past(c, &session)?;
                codes::insert_code(c, &row)
            });
            written.await?;
        }
        Ok(of.with(codes))
    }
}

/// Inserts the iterations before the session's current one, with their tokens wiped.
fn insert_past(c: &mut AnyConnection, session: &SessionHead) -> Result<(), StoreError> {
    let (id, last, now) = (&session.session_id, session.iteration - 1, session.created_at);
    c.batch_execute(&format!(
        "WITH RECURSIVE past(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM past WHERE n < {last})
         INSERT INTO oauth_atp_session (session_id, iteration, session_created_at, atp_oauth_state, signing_key_jkt,
             dpop_key, access_token_scopes, session_exchanged_at)
         SELECT '{id}', n, {now}, '', '', '', 'atproto', {now} FROM past"
    ))?;
    Ok(())
}

fn create_ring(path: &Path) -> Result<EncryptionKeyRing> {
    let text = EncryptionKeyRing::generate(&SystemRng);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(EncryptionKeyRing::parse(&text)?)
}

fn new_client(alg: SigningAlg) -> Result<(Client, String)> {
    let metadata = ClientMetadata {
        redirect_uris: vec![REDIRECT_URI.to_owned()],
        grant_types: Some(vec!["authorization_code".to_owned(), "refresh_token".to_owned()]),
        client_name: Some("Benchmark".to_owned()),
        scope: Some(REGISTERED_SCOPE.to_owned()),
        other: serde_json::Map::from_iter([("id_token_signed_response_alg".to_owned(), alg.as_str().into())]),
        ..ClientMetadata::default()
    };
    let metadata = metadata.validate()?;
    let secret = metadata.new_secret(&SystemRng).context("a client with a secret")?;
    let client_id = causeway_types::ClientId::random(&SystemRng);
    let authorization =
        format!("Basic {}", STANDARD.encode(format!("{}:{}", client_id.as_str(), secret.expose())));
    let hash = Some(secret.hash());
    Ok((metadata.into_client(client_id, TenantId::default_tenant(), hash, SystemClock.now()), authorization))
}

fn new_grant(
    client: &Client,
    pds: &str,
    code: &PlainToken<Code>,
    verifier: &CodeVerifier,
    scope: &str,
) -> Result<(SessionHead, AuthorizationCode)> {
    let (now, did) = (SystemClock.now(), new_did()?);
    let session = SessionHead {
        session_id: UpstreamSessionId::issued(&SystemRng, now.into()),
        tenant_id: client.tenant_id.clone(),
        client_id: client.client_id.clone(),
        kind: SessionKind::Device,
        state: SessionState::Active,
        browser_id: BrowserSessionId::new("browser"),
        iteration: 1,
        binding: Binding::Atproto(AtprotoBinding {
            did: did.clone(),
            handle: Some(Handle::parse("alice.example.com")?),
            verified_at: now,
            upstream: UpstreamBinding {
                issuer: pds.to_owned(),
                pds: pds.to_owned(),
                client_id: UpstreamClientId::new("http://localhost"),
                auth: UpstreamAuth::None,
                redirect_uri: "http://127.0.0.1/oauth/atp/callback".to_owned(),
            },
        }),
        created_at: now,
        last_used_at: now,
        correlation_id: None,
        cooldown: Cooldown::default(),
    };
    let code = AuthorizationCode {
        code: code.hash(),
        client_id: session.client_id.clone(),
        did,
        session_id: session.session_id.clone(),
        session_iteration: session.iteration,
        redirect_uri: REDIRECT_URI.to_owned(),
        scope: Scope::parse(scope)?,
        resources: Resources::default(),
        code_challenge: Some(verifier.challenge()),
        nonce: None,
        dpop_jkt: None,
        created_at: now,
        expires_at: now.plus(LIFETIME_SECONDS),
        used_at: None,
    };
    Ok((session, code))
}

/// A random DID: 24 characters of base32.
fn new_did() -> Result<Did> {
    let mut bytes = [0; 24];
    SystemRng.fill(&mut bytes);
    let alphabet = b"abcdefghijklmnopqrstuvwxyz234567";
    let name = bytes.iter().filter_map(|byte| alphabet.get(usize::from(byte % 32)).copied().map(char::from));
    Ok(Did::parse(&format!("did:plc:{}", name.collect::<String>()))?)
}

/// Credentials whose refresh token is the DID of its user: the loopback PDS stores no state.
fn token_set(dpop: &EcKey, session: &SessionHead) -> Credentials {
    let now = session.created_at;
    Credentials {
        access: UpstreamAccess::DpopBound(DpopBound {
            token: Secret::new("upstream-access"),
            key: dpop.private_jwk(),
            jkt: dpop.thumbprint().to_owned(),
        }),
        refresh_token: Some(Secret::new(session.subject())),
        created_at: now,
        expires_at: Some(now.plus(LIFETIME_SECONDS)),
        scope: "atproto".to_owned(),
    }
}
