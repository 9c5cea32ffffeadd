//! The keys that our own tokens are signed with: made at the first start, rotated by the operator,
//! possibly in another process beside this one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use causeway_jose::{JwkSet, SigningKey};
use causeway_store::operations::keys::{self, StoredKey};
use causeway_types::{SigningAlg, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::ctx::Ctx;
use crate::error::Internal;

/// How long cached keys are used: a rotation is seen everywhere within a second.
const LIFETIME: Duration = Duration::from_millis(500);
/// Seconds that a key stays published after it stopped signing: longer than anything that it signed lives.
pub const PUBLISHED_SECONDS: i64 = 86_400;

/// How long a new key is published before it signs, while there is an older one: no server may meet a signature before
/// every other one publishes its key. Counted by each process from when it first sees the key, whatever the clocks of
/// the others say.
const LEAD: Duration = Duration::from_secs(2);
/// How far the clocks of servers on one database may be apart, in seconds: so long a key that was rotated out may still
/// sign in place of a new one.
const CLOCKS_DIFFER_SECONDS: i64 = 300;

/// The keys as they are now.
#[derive(Debug, Default)]
pub struct KeySet {
    signing: BTreeMap<SigningAlg, SigningKey>,
    published: Vec<SigningKey>,
    /// When this process first saw each of them.
    seen: BTreeMap<String, Instant>,
    /// The algorithms whose live key is published for less than [`LEAD`], and has no older one to stand in for it.
    young: BTreeSet<SigningAlg>,
    verifying: Option<JwkSet>,
}

impl KeySet {
    /// The key that signs with this algorithm.
    fn signing(&self, alg: SigningAlg) -> Result<&SigningKey, Internal> {
        self.signing.get(&alg).ok_or(Internal::Inconsistent("no live signing key after creating one"))
    }

    /// Signs; an RSA signature takes most of a millisecond, so it is made off the async workers.
    pub(crate) async fn sign(
        &self,
        alg: SigningAlg,
        typ: &'static str,
        claims: Value,
    ) -> Result<String, Internal> {
        let key = self.signing(alg)?;
        match alg {
            SigningAlg::Es256 => Ok(key.sign(typ, &claims)?),
            SigningAlg::Rs256 => {
                let key = key.clone();
                Ok(tokio::task::spawn_blocking(move || key.sign(typ, &claims)).await??)
            }
        }
    }

    /// The public keys for checking our own signatures; `None`: nothing was ever signed.
    pub(crate) const fn verifying(&self) -> Option<&JwkSet> {
        self.verifying.as_ref()
    }

    /// The public keys that our signatures verify with (RFC 7517 section 5).
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.published.iter().map(SigningKey::published_jwk).collect::<Vec<_>>() })
    }
}

/// The keys that were read a moment ago.
#[derive(Debug, Default)]
pub(crate) struct IssuerKeys {
    recent: Mutex<Option<(Arc<KeySet>, Instant)>>,
    reading: tokio::sync::Mutex<()>,
}

impl IssuerKeys {
    fn recent(&self) -> Option<Arc<KeySet>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.as_ref().filter(|(_, since)| since.elapsed() < LIFETIME).map(|(keys, _)| Arc::clone(keys))
    }

    fn forget(&self) {
        if let Some((_, since)) = &mut *self.recent.lock().unwrap_or_else(PoisonError::into_inner) {
            // Read again, reusing what was already parsed.
            *since = since.checked_sub(LIFETIME).unwrap_or(*since);
        }
    }

    fn latest(&self) -> Option<Arc<KeySet>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.as_ref().map(|(keys, _)| Arc::clone(keys))
    }
}

/// The name that a key of ours is stored under.
pub const fn purpose(alg: SigningAlg) -> &'static str {
    match alg {
        SigningAlg::Rs256 => "issuer_rs256",
        SigningAlg::Es256 => "issuer_es256",
    }
}

/// Our current keys. There may be none before the first signature is needed: see [`ensure`].
///
/// # Errors
/// When the database does not answer, or a stored key cannot be opened.
pub(crate) async fn current(ctx: &Ctx) -> Result<Arc<KeySet>, Internal> {
    recent_or_read(ctx, |_| true).await
}

/// Our keys, created if there are none yet, which takes a moment: `serve` calls this alongside its first
/// requests, and a sign-in that will need a signature calls it when it begins.
///
/// # Errors
/// When the database does not answer, or a stored key cannot be opened.
pub async fn ensure(ctx: &Ctx) -> Result<Arc<KeySet>, Internal> {
    let is_complete = |keys: &KeySet| keys.signing.len() == SigningAlg::ALL.len();
    let keys = recent_or_read(ctx, is_complete).await?;
    if is_complete(&keys) {
        return Ok(keys);
    }
    for alg in SigningAlg::ALL.iter().copied().filter(|alg| !keys.signing.contains_key(alg)) {
        make(ctx, alg).await?;
    }
    ctx.issuer_keys().forget();
    current(ctx).await
}

async fn recent_or_read(ctx: &Ctx, suffices: impl Fn(&KeySet) -> bool) -> Result<Arc<KeySet>, Internal> {
    let cache = ctx.issuer_keys();
    if let Some(keys) = cache.recent().filter(|keys| suffices(keys)) {
        return Ok(keys);
    }
    // One task reads for all that wait.
    let _reading = cache.reading.lock().await;
    if let Some(keys) = cache.recent().filter(|keys| suffices(keys)) {
        return Ok(keys);
    }
    let since = Instant::now();
    let keys = Arc::new(read(ctx, cache.latest()).await?);
    *cache.recent.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(&keys), since));
    Ok(keys)
}

async fn read(ctx: &Ctx, before: Option<Arc<KeySet>>) -> Result<KeySet, Internal> {
    let (now, instant) = (ctx.now(), Instant::now());
    let mut keys = KeySet::default();
    for (alg, stored) in list(ctx).await? {
        if stored.retired_at.is_some_and(|at| at.plus(PUBLISHED_SECONDS) <= now) {
            continue;
        }
        let known = before.iter().flat_map(|keys| &keys.published).find(|key| key.kid() == stored.kid);
        let key = match known {
            Some(key) => key.clone(),
            None => SigningKey::from_private_jwk(alg, &stored.private_jwk)?,
        };
        let seen = before.as_ref().and_then(|keys| keys.seen.get(&stored.kid)).copied().unwrap_or(instant);
        // The live key of an algorithm comes first, then the one before it.
        let signs = match (keys.signing.contains_key(&alg), stored.retired_at) {
            (false, None) => true,
            (true, Some(retired_at)) => {
                let is_last = now.since(retired_at) < CLOCKS_DIFFER_SECONDS;
                is_last && keys.young.remove(&alg)
            }
            _ => false,
        };
        if signs {
            if stored.retired_at.is_none() && instant.duration_since(seen) < LEAD {
                keys.young.insert(alg);
            }
            keys.signing.insert(alg, key.clone());
        }
        keys.seen.insert(stored.kid, seen);
        keys.published.push(key);
    }
    keys.verifying = JwkSet::parse(&keys.jwks()).ok();
    Ok(keys)
}

pub(crate) async fn list(ctx: &Ctx) -> Result<Vec<(SigningAlg, StoredKey)>, Internal> {
    let ring = ctx.ring();
    ctx.store()
        .read(move |c| {
            let mut all = Vec::new();
            for &alg in SigningAlg::ALL {
                let keys = keys::list_signing_keys(c, &ring, purpose(alg))?;
                all.extend(keys.into_iter().map(|key| (alg, key)));
            }
            Ok(all)
        })
        .await
}

/// Makes a key where there is none. Of several processes that start at once, one's key is kept and all use it.
async fn make(ctx: &Ctx, alg: SigningAlg) -> Result<(), Internal> {
    let key = fresh(alg, ctx.now()).await?;
    let (ring, kid) = (ctx.ring(), key.kid.clone());
    if ctx.store().write(move |c| keys::insert_signing_key(c, &ring, &key).map_err(Internal::from)).await? {
        tracing::info!(alg = alg.as_str(), kid, "signing key created");
    }
    Ok(())
}

/// A key that is stored nowhere yet.
///
/// # Errors
/// When the cryptographic library fails.
pub async fn fresh(alg: SigningAlg, now: Timestamp) -> Result<StoredKey, Internal> {
    let key = tokio::task::spawn_blocking(move || SigningKey::generate(alg)).await??;
    Ok(StoredKey {
        kid: key.kid().to_owned(),
        purpose: purpose(alg).to_owned(),
        alg: alg.as_str().to_owned(),
        public_jwk: key.published_jwk().to_string(),
        private_jwk: key.private_jwk(),
        created_at: now,
        retired_at: None,
    })
}
