//! What every verb needs, composed once.

use std::sync::Arc;

use causeway_atproto::AtprotoClient;
use causeway_domain::{Clock, Rng, Scope, TenantId, Timestamp};
use causeway_store::Store;
use causeway_store::seal::SealingKeyRing;

use crate::session::Flights;
use crate::upstream::UpstreamProfile;

/// The parts that a server is composed of.
#[derive(Debug)]
pub struct CtxParts {
    /// The database.
    pub store: Store,
    /// The keys that seal other people's secrets.
    pub ring: Arc<SealingKeyRing>,
    /// The way to people's own servers.
    pub atproto: AtprotoClient,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Our issuer identifier: an origin.
    pub issuer: String,
    /// Who we are to people's own servers.
    pub upstream: UpstreamProfile,
    /// The widest scope that we declare to them.
    pub ceiling: Scope,
}

/// The context of every verb. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Ctx(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: CtxParts,
    tenant: TenantId,
    scopes: ScopePolicy,
    flights: Flights,
}

impl Ctx {
    /// Composes a context.
    pub fn new(parts: CtxParts) -> Self {
        let scopes = ScopePolicy { ceiling: parts.ceiling.clone() };
        Self(Arc::new(Inner {
            parts,
            tenant: TenantId::default_tenant(),
            scopes,
            flights: Flights::default(),
        }))
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.0.parts.store
    }

    /// Our issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.0.parts.issuer
    }

    /// Who we are to people's own servers.
    pub fn upstream(&self) -> &UpstreamProfile {
        &self.0.parts.upstream
    }

    /// What may be asked for.
    pub fn scopes(&self) -> &ScopePolicy {
        &self.0.scopes
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.0.parts.clock.now()
    }

    pub(crate) fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    pub(crate) fn ring(&self) -> Arc<SealingKeyRing> {
        Arc::clone(&self.0.parts.ring)
    }

    pub(crate) fn atproto(&self) -> &AtprotoClient {
        &self.0.parts.atproto
    }

    pub(crate) fn rng(&self) -> &dyn Rng {
        &*self.0.parts.rng
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.0.flights
    }
}

/// Which scopes a client may ask for, and what reaches the person's own server.
#[derive(Clone, Debug)]
pub struct ScopePolicy {
    ceiling: Scope,
}

impl ScopePolicy {
    /// Scopes of OpenID Connect that stock clients send by habit. They are not granted yet, and
    /// leaving them out of the grant is what RFC 6749 section 3.3 provides for.
    const HABITUAL: [&str; 6] = ["openid", "profile", "email", "offline_access", "address", "phone"];

    /// Everything that a client may be granted.
    pub fn supported(&self) -> &Scope {
        &self.ceiling
    }

    /// What a request for `requested` is about, or the values that this server does not grant.
    /// Every request is about `atproto` at least: it is who somebody is.
    pub(crate) fn admit(&self, requested: &str, registered: Option<&Scope>) -> Result<Scope, String> {
        let requested = Scope::parse(requested).map_err(|error| error.to_string())?;
        let mut admitted = Scope::atproto();
        let mut refused = Vec::new();
        for token in requested.iter().filter(|token| !Self::HABITUAL.contains(token)) {
            if self.ceiling.contains(token)
                && registered.is_none_or(|own| own.contains(token) || token == Scope::ATPROTO)
            {
                admitted.insert(token);
            } else {
                refused.push(token);
            }
        }
        if refused.is_empty() {
            Ok(admitted)
        } else {
            Err(format!("not available to this client: {}", refused.join(" ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_within_ceiling_and_registration() {
        let policy =
            ScopePolicy { ceiling: Scope::parse("atproto transition:generic transition:email").unwrap() };
        let registered = Scope::parse("atproto transition:generic").unwrap();
        let admit = |asked, own| policy.admit(asked, own).map(|scope| scope.to_string());
        assert_eq!(admit("", None).as_deref(), Ok("atproto"));
        assert_eq!(admit("openid profile offline_access", None).as_deref(), Ok("atproto"));
        assert_eq!(admit("transition:email", None).as_deref(), Ok("atproto transition:email"));
        assert!(admit("transition:email", Some(&registered)).is_err());
        assert_eq!(
            admit("transition:chat.bsky nonsense", None),
            Err("not available to this client: transition:chat.bsky nonsense".to_owned())
        );
    }
}
