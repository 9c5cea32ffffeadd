//! Whether a scope allows one thing, as a PDS would decide it.

use super::account::{AccountAction, AccountAttr, IdentityAttr};
use super::blob::MediaRange;
use super::fixed::Transition;
use super::repo::RepoAction;
use super::value::ScopeValue;
use super::{Names, Scope};
use crate::nsid::Nsid;

/// Permission sets allow nothing by their name alone: see [`Scope::resolved_by`].
impl Scope {
    /// Whether it allows to create, update or delete a record of a collection.
    pub fn permits_repo(&self, action: RepoAction, collection: &Nsid) -> bool {
        self.covers_records(action, Some(collection))
    }

    /// Whether it allows to call a method of a service, given as `did:web:api.bsky.app#bsky_appview`.
    pub fn permits_rpc(&self, method: &Nsid, service: &str) -> bool {
        let named = self.iter().any(|own| match own {
            ScopeValue::Rpc(own) => own.permits(method, service),
            _ => false,
        });
        named || self.transition_covers_call(Some(method))
    }

    /// Whether it allows a service token that names no method (`com.atproto.server.getServiceAuth`
    /// without `lxm`). A PDS gives such a token for `transition:generic` too.
    pub fn permits_any_rpc(&self, service: &str) -> bool {
        self.iter().any(|own| match own {
            ScopeValue::Transition(Transition::Generic) => true,
            ScopeValue::Rpc(own) => *own.methods() == Names::Any && own.audience().contains(service),
            _ => false,
        })
    }

    /// Whether it allows to upload a file of a media type; parameters of the type don't count.
    pub fn permits_blob(&self, media_type: &str) -> bool {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let concrete = |range: &MediaRange| !range.as_str().ends_with("/*");
        self.has_transition(Transition::Generic)
            || MediaRange::parse(essence).filter(concrete).is_some_and(|range| self.covers_files(&range))
    }

    /// Whether it allows to see or change a part of the account.
    pub fn permits_account(&self, attr: AccountAttr, action: AccountAction) -> bool {
        self.covers_account(attr, action)
    }

    /// Whether it allows changing a part of the user's identity.
    pub fn permits_identity(&self, attr: IdentityAttr) -> bool {
        self.iter().any(|own| match own {
            ScopeValue::Identity(own) => own.permits(attr),
            _ => false,
        })
    }
}
