//! The scopes that a client may request, those requested from the authorization server, and those granted.
//!
//! An authorization server accepts only scopes that our client document lists, compared as text. So the
//! maximum scope is compared by what it allows, and the upstream scope is built from the document's values.

#[cfg(test)]
mod tests;

use causeway_domain::client::{Client, Entitlement, ValidClientMetadata};
use causeway_domain::resource::ResourceScopes;
use causeway_types::scope::{AccountAction, AccountAttr, AccountScope, OwnScope, ScopeValue, Transition};
use causeway_types::{GrantType, Resources, Scope};

/// The scopes that our client document lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declares {
    /// Those of each request: the `client_id` of the loopback client is its document.
    Asked,
    /// The maximum scope: one document for all clients.
    Maximum,
    /// Those that the client registered, within the maximum scope: a document of its own.
    Registered,
}

/// The upstream scope for the email address.
pub(crate) const EMAIL: ScopeValue =
    ScopeValue::Account(AccountScope { attr: AccountAttr::Email, action: AccountAction::Read });

/// Scopes of this server itself that can be granted.
const OWN: [OwnScope; 5] = [
    OwnScope::Openid,
    OwnScope::Profile,
    OwnScope::Email,
    OwnScope::OfflineAccess,
    OwnScope::BackgroundAccess,
];

/// The policy for scopes that a client may request, and for those requested upstream.
#[derive(Clone, Debug)]
pub struct ScopePolicy {
    max_scope: Scope,
    declares: Declares,
    supported: Scope,
    resource_scopes: ResourceScopes,
}

impl ScopePolicy {
    pub(crate) fn new(max_scope: Scope, declares: Declares, resource_scopes: ResourceScopes) -> Self {
        let email = max_scope.covers(&EMAIL);
        let is_for_all = |own: &OwnScope| match own {
            OwnScope::Email => email,
            own => *own != OwnScope::BackgroundAccess,
        };
        let own = OWN.into_iter().filter(is_for_all).map(ScopeValue::Own);
        let supported = max_scope.iter().cloned().chain(own).collect();
        Self { max_scope, declares, supported, resource_scopes }
    }

    /// The scopes that every client may be granted, as far as they can be listed: narrower atproto scopes may
    /// be requested too. Stock clients request all of them by default, so those that only few may have are
    /// not listed: `background_access`, and the scopes of resources, which the resources list themselves.
    pub const fn supported(&self) -> &Scope {
        &self.supported
    }

    /// The scopes that the operator declares for resources.
    pub const fn resource_scopes(&self) -> &ResourceScopes {
        &self.resource_scopes
    }

    /// The scopes that identify the user and keep them signed in. Some clients (those of MCP among them)
    /// request everything that a resource lists: were all scopes listed, each would ask users for their email
    /// address, their messages and the right to write in their name. A client that needs more names it; the
    /// server's own metadata lists it.
    pub fn of_resource(&self) -> impl Iterator<Item = &ScopeValue> {
        const MODEST: [OwnScope; 3] = [OwnScope::Openid, OwnScope::Profile, OwnScope::OfflineAccess];
        self.supported.iter().filter(|value| match value {
            ScopeValue::Own(own) => MODEST.contains(own),
            value => **value == ScopeValue::Atproto,
        })
    }

    /// Resolves the scope of a request for `asked`. Every request identifies the user: `atproto` is added to
    /// one without `openid`. Unknown scopes, and those that the client may not have, are left out, since
    /// stock clients request everything that some document lists; RFC 6749 section 3.3 allows this, and the
    /// token response shows it. Nothing else is added: some clients treat a scope that they did not request
    /// as an error.
    ///
    /// # Errors
    /// The reason, when a value is malformed, or when none is available and not all are optional.
    pub(crate) fn admit(&self, asked: &str, client: &Client, resources: &Resources) -> Result<Scope, String> {
        let asked = Scope::parse_asked(asked).map_err(|error| error.to_string())?;
        let (available, missing): (Vec<_>, Vec<_>) =
            asked.iter().partition(|value| self.is_available(value, client, resources));
        let refused: Vec<_> =
            missing.into_iter().filter(|value| !is_optional(value)).map(ToString::to_string).collect();
        if available.is_empty() && !refused.is_empty() {
            let within_reach = self.within_reach(client, resources);
            return Err(format!(
                "not available to this client: {} (available: {within_reach})",
                refused.join(" ")
            ));
        }
        let says_who = asked.has(&ScopeValue::Own(OwnScope::Openid));
        let who = (!says_who).then_some(ScopeValue::Atproto);
        Ok(who.into_iter().chain(available.into_iter().cloned()).collect())
    }

    /// Whether a client can be granted a value in a token for these resources.
    fn is_available(&self, value: &ScopeValue, client: &Client, resources: &Resources) -> bool {
        match value {
            ScopeValue::Own(own) => self.has_own(*own, client),
            ScopeValue::Resource(name) => {
                may_ask(client, value) && self.resource_scopes.is_of(name, resources)
            }
            value => may_ask(client, value) && self.can_deliver(value, client),
        }
    }

    /// Whether a value can be requested from the authorization server, given what our client document lists.
    fn can_deliver(&self, value: &ScopeValue, client: &Client) -> bool {
        if self.declares == Declares::Asked {
            return self.max_scope.covers(value);
        }
        let declared = self.declared(Some(client));
        match value {
            // Only the authorization server can resolve a permission set, and only when it is requested by
            // name.
            ScopeValue::Include(_) => declared.has(value),
            value => declared.covers(value),
        }
    }

    /// The scopes that a client may request, as far as they can be listed.
    fn within_reach(&self, client: &Client, resources: &Resources) -> Scope {
        let registered = client.scope.as_ref().unwrap_or(&self.supported);
        let listed = registered.iter().cloned().chain(OWN.map(ScopeValue::Own));
        let available = listed.filter(|value| self.is_available(value, client, resources));
        [ScopeValue::Atproto].into_iter().chain(available).collect()
    }

    /// Narrows the scope in a self-registered client's metadata to what it can have (RFC 7591 section 3.2.1).
    /// `known`: the client before the change.
    ///
    /// # Errors
    /// The values that no client can have, when nothing else remains.
    pub(crate) fn registrable(
        &self,
        metadata: &ValidClientMetadata,
        known: Option<&Client>,
    ) -> Result<Option<Scope>, String> {
        let Some(named) = &metadata.scope else { return Ok(None) };
        let can_have = |value: &&ScopeValue| match value {
            ScopeValue::Own(OwnScope::BackgroundAccess) => {
                known.is_some_and(|client| client.has_entitlement(Entitlement::BackgroundAccess))
            }
            ScopeValue::Own(OwnScope::OfflineAccess) => {
                metadata.grant_types.contains(&GrantType::RefreshToken)
            }
            ScopeValue::Own(OwnScope::Email) => self.max_scope.covers(&EMAIL),
            ScopeValue::Own(OwnScope::Address | OwnScope::Phone) => false,
            ScopeValue::Own(OwnScope::Openid | OwnScope::Profile) => true,
            ScopeValue::Resource(name) => self.resource_scopes.find(name).is_some(),
            value => self.max_scope.covers(value),
        };
        let (available, missing): (Vec<_>, Vec<_>) = named.iter().partition(can_have);
        let refused: Vec<_> =
            missing.into_iter().filter(|value| !is_optional(value)).map(ToString::to_string).collect();
        match (available.is_empty(), refused.is_empty()) {
            (false, _) => Ok(Some(available.into_iter().cloned().collect())),
            // A scope of which nothing remains must not become one without limits.
            (true, true) => Ok(Some(Scope::atproto())),
            (true, false) => Err(refused.join(" ")),
        }
    }

    /// The maximum scope that any client can be granted upstream.
    pub(crate) const fn max_scope(&self) -> &Scope {
        &self.max_scope
    }

    /// The scope that the full client document for a client lists; without a client, that for all of them.
    pub(crate) fn declared(&self, client: Option<&Client>) -> Scope {
        match (self.declares, client.and_then(|client| client.scope.as_ref())) {
            (Declares::Registered, Some(registered)) => {
                wanted(registered).into_iter().filter(|value| self.max_scope.covers(value)).collect()
            }
            _ => self.max_scope.clone(),
        }
    }

    /// The scope to request upstream: each value as the client requested it if our document lists it,
    /// otherwise the least value of the document that covers it.
    pub(crate) fn upstream(&self, client: &Client, asked: &Scope) -> Scope {
        let wanted = wanted(asked).into_iter().filter(|value| self.max_scope.covers(value));
        if self.declares == Declares::Asked {
            return wanted.collect();
        }
        let declared = self.declared(Some(client));
        // Spelled as in the document: names that differ in case are equal here, but not in the text that the
        // authorization server compares.
        let spelled = |value: &ScopeValue| declared.iter().find(|own| *own == value).cloned();
        let named = |value: ScopeValue| match spelled(&value) {
            Some(own) => Scope::from_iter([own]),
            None if matches!(value, ScopeValue::Include(_)) => Scope::default(),
            None => declared.least_covering(&value).unwrap_or_default(),
        };
        wanted.flat_map(named).collect()
    }

    /// The same for an authorization server that knows the transition scopes only. `listed` are those that
    /// its metadata lists.
    pub(crate) fn upstream_coarse(&self, asked: &Scope, listed: &[String]) -> Scope {
        let there_is = |transition: Transition| {
            listed.iter().any(|name| name == transition.as_str())
                && self.max_scope.covers(&ScopeValue::Transition(transition))
        };
        let all = Transition::ALL.iter().copied().filter(|transition| there_is(*transition));
        let coarse: Scope =
            [ScopeValue::Atproto].into_iter().chain(all.map(ScopeValue::Transition)).collect();
        let chat = ScopeValue::Transition(Transition::ChatBsky);
        let generic = ScopeValue::Transition(Transition::Generic);
        let mut least: Scope = wanted(asked)
            .into_iter()
            .filter(|value| !matches!(value, ScopeValue::Include(_)))
            .filter_map(|value| coarse.least_covering(&value))
            .flatten()
            .collect();
        // There, access to direct messages is of no use without it.
        if least.has(&chat) && coarse.has(&generic) {
            least.insert(generic);
        }
        least
    }

    /// Whether a client can be granted a scope of this server itself.
    fn has_own(&self, own: OwnScope, client: &Client) -> bool {
        match own {
            OwnScope::Openid | OwnScope::Profile => true,
            OwnScope::OfflineAccess => client.allows(GrantType::RefreshToken),
            OwnScope::Email => {
                let registered = client
                    .scope
                    .as_ref()
                    .is_none_or(|scope| scope.has(&ScopeValue::Own(own)) || scope.covers(&EMAIL));
                registered && self.max_scope.covers(&EMAIL)
            }
            OwnScope::BackgroundAccess => client.allows_background_access(),
            OwnScope::Address | OwnScope::Phone => false,
        }
    }
}

/// Whether a value is within the scope that the client registered.
fn may_ask(client: &Client, value: &ScopeValue) -> bool {
    *value == ScopeValue::Atproto || client.scope.as_ref().is_none_or(|own| own.covers(value))
}

/// The upstream meaning of a request: always `atproto`, and those of its values that are in atproto's
/// grammar.
fn wanted(asked: &Scope) -> Scope {
    let of = |value: &ScopeValue| match value {
        ScopeValue::Own(OwnScope::Email) => Some(EMAIL),
        ScopeValue::Own(_) | ScopeValue::Resource(_) => None,
        value => Some(value.clone()),
    };
    [ScopeValue::Atproto].into_iter().chain(asked.iter().filter_map(of)).collect()
}

/// Whether an unavailable value can be left out of a request: stock clients send such values by habit, or
/// copy them from elsewhere.
fn is_optional(value: &ScopeValue) -> bool {
    match value {
        ScopeValue::Own(own) => *own != OwnScope::BackgroundAccess,
        value => !value.is_atproto(),
    }
}

/// Checks that the operator may give a client these scopes; otherwise returns those that no client can be
/// granted.
pub(crate) fn admit_of_operator(
    max_scope: &Scope,
    resource_scopes: &ResourceScopes,
    scope: &Scope,
) -> Result<(), String> {
    let is_refused = |value: &&ScopeValue| match value {
        ScopeValue::Own(_) => false,
        ScopeValue::Resource(name) => resource_scopes.find(name).is_none(),
        value => !max_scope.covers(value),
    };
    let refused: Vec<_> = scope.iter().filter(is_refused).map(ToString::to_string).collect();
    if refused.is_empty() { Ok(()) } else { Err(refused.join(" ")) }
}

/// The scope to grant: the requested one, as far as the authorization server granted it.
pub(crate) fn grantable(asked: &Scope, granted: &Scope) -> Scope {
    let email = granted.permits_account(AccountAttr::Email, AccountAction::Read);
    let own = asked.iter().filter(|value| match value {
        ScopeValue::Own(OwnScope::Email) => email,
        value => !value.is_atproto(),
    });
    asked.bounded_by(&granted.iter().chain(own).cloned().collect())
}

/// Whether a grant covers the requested scope. `offline_access` (which allows nothing) and `atproto` (every
/// grant identifies the user) are never missing.
pub(crate) fn has_all(granted: &Scope, asked: &Scope) -> bool {
    let is_in_all =
        |value: &ScopeValue| [ScopeValue::Atproto, ScopeValue::Own(OwnScope::OfflineAccess)].contains(value);
    asked.iter().all(|value| is_in_all(value) || granted.covers(value))
}

/// The scope of a refreshed access token; `None` when more is requested than was granted. Some libraries send
/// the scope of the first request again, including values that were left out of the grant; a request with
/// nothing but such values counts as one without a scope.
pub(crate) fn narrow(granted: &Scope, asked: &Scope) -> Option<Scope> {
    let narrowed = without_others(asked, granted, |value| !value.is_atproto());
    if narrowed.is_empty() {
        Some(granted.clone())
    } else {
        narrowed.is_subset_of(&with_atproto(granted)).then_some(narrowed)
    }
}

/// A scope that is requested later, without those scopes of resources that were not granted: they may be
/// unknown here.
pub(crate) fn known_in(granted: &Scope, asked: &Scope) -> Scope {
    without_others(asked, granted, |value| matches!(value, ScopeValue::Resource(_)))
}

fn without_others(asked: &Scope, granted: &Scope, may_go: impl Fn(&ScopeValue) -> bool) -> Scope {
    asked.iter().filter(|value| !may_go(value) || granted.has(value)).cloned().collect()
}

/// Adds `atproto` to a scope with `openid`: here they mean the same, but only `atproto` is known upstream.
pub(crate) fn with_atproto(scope: &Scope) -> Scope {
    let mut scope = scope.clone();
    if scope.has(&ScopeValue::Own(OwnScope::Openid)) {
        scope.insert(ScopeValue::Atproto);
    }
    scope
}
