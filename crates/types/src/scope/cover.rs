//! Coverage of scope values by a set, and the intersection of two sets.

use super::account::{AccountAction, AccountAttr};
use super::fixed::Transition;
use super::include::IncludeScope;
use super::names::Names;
use super::repo::RepoAction;
use super::rpc::Audience;
use super::value::ScopeValue;
use super::{AccountScope, MediaRange, RpcScope, Scope};
use crate::nsid::Nsid;

/// The methods that `transition:generic` leaves out and `transition:chat.bsky` is about.
const CHAT: &str = "chat.bsky.";

impl Scope {
    /// Whether the set allows all that a value allows, be it by several values together: `repo:*` covers
    /// `repo:app.bsky.feed.post?action=create`, and so does `transition:generic`. The transition scopes
    /// mean what they mean in a PDS.
    pub fn covers(&self, value: &ScopeValue) -> bool {
        if self.has(value) {
            return true;
        }
        match value {
            ScopeValue::Repo(repo) => {
                let collections = repo.collections().each();
                repo.actions().all(|action| {
                    collections.iter().all(|collection| self.covers_records(action, *collection))
                })
            }
            ScopeValue::Rpc(rpc) => {
                rpc.methods().each().into_iter().all(|method| self.covers_calls(method, rpc.audience()))
            }
            ScopeValue::Blob(blob) => blob.accept().all(|range| self.covers_files(range)),
            ScopeValue::Account(account) => self.covers_account(account.attr, account.action),
            ScopeValue::Transition(Transition::Email) => {
                self.covers_account(AccountAttr::Email, AccountAction::Read)
            }
            ScopeValue::Identity(identity) => self.iter().any(|own| match own {
                ScopeValue::Identity(own) => own.permits(identity.attr),
                _ => false,
            }),
            ScopeValue::Include(include) => {
                let named = self.iter().any(|own| match own {
                    ScopeValue::Include(own) => own.covers(include),
                    _ => false,
                });
                // Whatever is in the set: records, and calls in its own namespace.
                let chat = include.nsid().is_within(CHAT);
                let coarse = self.has_transition(Transition::Generic)
                    && (!chat || self.has_transition(Transition::ChatBsky));
                named || coarse
            }
            ScopeValue::Atproto
            | ScopeValue::Transition(_)
            | ScopeValue::Own(_)
            | ScopeValue::Resource(_) => false,
        }
    }

    /// Whether `other` covers every value of this set.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|value| other.covers(value))
    }

    /// The part of this set that `other` allows too: for a grant, the part of the request that was granted.
    ///
    /// A permission set stays by its name when `other` has the name, or something that the set may
    /// contain: authorization servers answer with the contents. See [`Scope::resolved_by`].
    #[must_use]
    pub fn bounded_by(&self, other: &Self) -> Self {
        let mut bounded = Self::default();
        for value in self.iter() {
            let kept = match value {
                ScopeValue::Include(include) => other.iter().any(|granted| match granted {
                    ScopeValue::Include(granted) => granted.covers(include),
                    granted => include.may_contain(granted),
                }),
                value => other.covers(value),
            };
            if kept {
                bounded.insert(value.clone());
            } else if !matches!(value, ScopeValue::Include(_)) {
                other.iter().filter_map(|granted| meet(value, granted)).for_each(|part| bounded.insert(part));
            }
        }
        bounded
    }

    /// As [`Scope::bounded_by`], with the contents of permission sets, as the authorization server found
    /// them, beside their names: what a token with this scope is good for at that server.
    #[must_use]
    pub fn resolved_by(&self, granted: &Self) -> Self {
        let mut resolved = self.bounded_by(granted);
        for value in self.iter() {
            if let ScopeValue::Include(include) = value {
                let contents = granted.iter().filter(|granted| include.may_contain(granted));
                contents.for_each(|value| resolved.insert(value.clone()));
            }
        }
        resolved
    }

    /// The least of this set that covers a value: a few values, as narrow as there are. `None` when
    /// the whole set does not cover it.
    pub fn least_covering(&self, value: &ScopeValue) -> Option<Self> {
        if !self.covers(value) {
            return None;
        }
        let alone = |own: &ScopeValue| Self(vec![own.clone()]);
        let mut whole = self.iter().filter(|own| alone(own).covers(value));
        if let Some(first) = whole.next() {
            // Whatever was passed over is not narrower than the one that stays: covering is transitive.
            let narrowest =
                whole.fold(first, |best, next| if alone(best).covers(next) { next } else { best });
            return Some(alone(narrowest));
        }
        let part = |own: &&ScopeValue| matches!(own, ScopeValue::Transition(_)) || meet(value, own).is_some();
        let parts: Self = self.iter().filter(part).cloned().collect();
        let mut least = parts.clone();
        for candidate in parts.iter() {
            let without: Self = least.iter().filter(|own| *own != candidate).cloned().collect();
            if without.covers(value) {
                least = without;
            }
        }
        Some(least)
    }

    pub(super) fn has_transition(&self, transition: Transition) -> bool {
        self.has(&ScopeValue::Transition(transition))
    }

    pub(super) fn covers_records(&self, action: RepoAction, collection: Option<&Nsid>) -> bool {
        self.iter().any(|own| match own {
            ScopeValue::Transition(Transition::Generic) => true,
            ScopeValue::Repo(own) => own.permits_names(action, collection),
            _ => false,
        })
    }

    fn covers_calls(&self, method: Option<&Nsid>, audience: &Audience) -> bool {
        let named = self.iter().any(|own| match own {
            ScopeValue::Rpc(own) => own.permits_range(method, audience),
            _ => false,
        });
        named || self.transition_covers_call(method)
    }

    /// Whether the transition scopes allow a method; `None` stands for every method.
    pub(super) fn transition_covers_call(&self, method: Option<&Nsid>) -> bool {
        let generic = self.has_transition(Transition::Generic);
        let chat = self.has_transition(Transition::ChatBsky);
        match method {
            None => generic && chat,
            Some(method) if method.is_within(CHAT) => chat,
            Some(_) => generic,
        }
    }

    pub(super) fn covers_files(&self, range: &MediaRange) -> bool {
        self.iter().any(|own| match own {
            ScopeValue::Transition(Transition::Generic) => true,
            ScopeValue::Blob(own) => own.permits(range),
            _ => false,
        })
    }

    pub(super) fn covers_account(&self, attr: AccountAttr, action: AccountAction) -> bool {
        self.iter().any(|own| match own {
            ScopeValue::Transition(Transition::Email) => EMAIL.permits(attr, action),
            ScopeValue::Account(own) => own.permits(attr, action),
            _ => false,
        })
    }
}

/// The permission behind `transition:email`.
const EMAIL: AccountScope = AccountScope { attr: AccountAttr::Email, action: AccountAction::Read };

/// The intersection of two values, as far as one value can express it; `None` grants nothing, never more. The granted one
/// does not cover the other, which would be the intersection itself: so there is nothing to do for values that only cover
/// one another, such as those about an account.
fn meet(asked: &ScopeValue, granted: &ScopeValue) -> Option<ScopeValue> {
    use ScopeValue::{Blob, Repo, Rpc, Transition as Coarse};
    if Scope(vec![asked.clone()]).covers(granted) {
        return Some(granted.clone());
    }
    match (asked, granted) {
        (Repo(asked), Repo(granted)) => asked.meet(granted).map(Repo),
        (Rpc(asked), Rpc(granted)) => asked.meet(granted).map(Rpc),
        (Blob(asked), Blob(granted)) => asked.meet(granted).map(Blob),
        (Rpc(rpc), Coarse(coarse)) | (Coarse(coarse), Rpc(rpc)) => only_coarse(rpc, *coarse).map(Rpc),
        _ => None,
    }
}

/// The methods that a transition scope allows too.
fn only_coarse(rpc: &RpcScope, coarse: Transition) -> Option<RpcScope> {
    let set = Scope(vec![ScopeValue::Transition(coarse)]);
    rpc.only_methods(|method| set.transition_covers_call(Some(method)))
}

impl IncludeScope {
    /// Whether the set can contain a value: records and methods of its own namespace, at any service
    /// or at the one that is named here.
    pub fn may_contain(&self, value: &ScopeValue) -> bool {
        let own = |names: &Names| match names {
            Names::Any => false,
            Names::Only(names) => names.iter().all(|name| self.nsid().has_authority_over(name)),
        };
        match value {
            ScopeValue::Repo(repo) => own(repo.collections()),
            ScopeValue::Rpc(rpc) => {
                own(rpc.methods())
                    && match rpc.audience() {
                        Audience::Any => true,
                        Audience::Only(service) => self.audience() == Some(service),
                    }
            }
            _ => false,
        }
    }
}
