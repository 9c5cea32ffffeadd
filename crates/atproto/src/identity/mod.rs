//! Accounts: from a handle or a DID to the account's PDS (atproto specifications "Handle" and "DID").

mod did;
mod handle;

use std::sync::Arc;

use causeway_domain::Clock;
use causeway_outbound::{HttpClient, TtlCache};
use causeway_types::{Did, Handle};
use url::Url;

use crate::error::ResolveError;

/// A resolved account: its DID, handle and PDS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub did: Did,
    /// Its handle, verified in both directions; `None` when it has none that verifies.
    pub handle: Option<Handle>,
    /// Whether its handle could not be checked: `handle` is then `None` and says nothing.
    pub handle_unknown: bool,
    /// The origin of its PDS.
    pub pds: Url,
}

/// How recent a cached result has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    Cached,
    /// Cached results less than this many seconds old.
    Younger(i64),
    Fresh,
}

impl Freshness {
    const fn seconds(self) -> i64 {
        match self {
            Self::Cached => i64::MAX,
            Self::Younger(seconds) => seconds,
            Self::Fresh => 0,
        }
    }
}

/// Resolves handles and DIDs.
pub(crate) struct IdentityResolver {
    http: HttpClient,
    clock: Arc<dyn Clock>,
    plc_url: Url,
    handle_resolver: Option<Url>,
    dids: TtlCache<Handle, Did>,
    identities: TtlCache<Did, Identity>,
}

impl IdentityResolver {
    pub(crate) fn new(
        http: HttpClient,
        clock: Arc<dyn Clock>,
        plc_url: Url,
        handle_resolver: Option<Url>,
    ) -> Self {
        let (dids, identities) = (TtlCache::new(), TtlCache::new());
        Self { http, clock, plc_url, handle_resolver, dids, identities }
    }

    /// Resolves a handle to its account: the handle leads to a DID, whose document, which is always fetched,
    /// leads back to the handle.
    pub(crate) async fn by_handle(
        &self,
        handle: &Handle,
        freshness: Freshness,
    ) -> Result<Identity, ResolveError> {
        let did = self.did_of(handle, freshness).await?;
        let account = self.account(&did).await?;
        if account.claimed_handle.as_ref() != Some(handle) {
            return Err(ResolveError::HandleMismatch);
        }
        let identity =
            Identity { did, handle: Some(handle.clone()), handle_unknown: false, pds: account.pds };
        self.identities.put(identity.did.clone(), identity.clone(), self.clock.now());
        Ok(identity)
    }

    /// Resolves a DID to its PDS, and to its handle if that verifies.
    pub(crate) async fn by_did(&self, did: &Did, freshness: Freshness) -> Result<Identity, ResolveError> {
        if let Some(identity) = self.identities.get_younger(did, self.clock.now(), freshness.seconds()) {
            return Ok(identity);
        }
        let account = self.account(did).await?;
        let verified = match &account.claimed_handle {
            Some(handle) => self.did_of(handle, freshness).await.map(|owner| owner == *did),
            None => Ok(false),
        };
        let definite = !matches!(&verified, Err(error) if error.is_upstream_fault());
        let handle = account.claimed_handle.filter(|_| verified == Ok(true));
        let identity = Identity { did: did.clone(), handle, handle_unknown: !definite, pds: account.pds };
        // A handle that could not be checked is checked again next time.
        if definite {
            self.identities.put(did.clone(), identity.clone(), self.clock.now());
        }
        Ok(identity)
    }

    /// Drops the cached identity of an account and returns it.
    pub(crate) fn forget(&self, did: &Did) -> Option<Identity> {
        self.dids.forget_value(did);
        self.identities.forget(did)
    }
}
