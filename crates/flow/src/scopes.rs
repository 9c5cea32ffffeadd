//! Which scopes a client may ask for, what a person's own server is asked for, and what is granted.
//!
//! A server takes a request only for scopes that our client document names, by their very text. So the
//! ceiling is compared by what it allows, and what goes upstream is made of what the document names.

#[cfg(test)]
mod tests;

use causeway_domain::client::{Client, GrantType, Leave, ValidClientMetadata};
use causeway_domain::scope::{AccountAction, AccountAttr, AccountScope, OwnScope, ScopeValue, Transition};
use causeway_domain::{ResourceScopes, Resources, Scope};

/// What our client document at a person's server names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declares {
    /// Whatever a request asks for: the loopback client carries its document in its name.
    Asked,
    /// The ceiling: one document for all clients.
    Ceiling,
    /// What the client registered, up to the ceiling: a document of its own.
    Registered,
}

/// What the email address takes upstream.
pub(crate) const EMAIL: ScopeValue =
    ScopeValue::Account(AccountScope { attr: AccountAttr::Email, action: AccountAction::Read });

/// Scopes between us and a client that somebody can have.
const OWN: [OwnScope; 5] = [
    OwnScope::Openid,
    OwnScope::Profile,
    OwnScope::Email,
    OwnScope::OfflineAccess,
    OwnScope::BackgroundAccess,
];

/// Which scopes a client may ask for, and what a person's own server is asked for.
#[derive(Clone, Debug)]
pub struct ScopePolicy {
    ceiling: Scope,
    declares: Declares,
    supported: Scope,
    resource_scopes: ResourceScopes,
}

impl ScopePolicy {
    pub(crate) fn new(ceiling: Scope, declares: Declares, resource_scopes: ResourceScopes) -> Self {
        let email = ceiling.covers(&EMAIL);
        let is_for_all = |own: &OwnScope| match own {
            OwnScope::Email => email,
            own => *own != OwnScope::BackgroundAccess,
        };
        let own = OWN.into_iter().filter(is_for_all).map(ScopeValue::Own);
        let supported = ceiling.iter().cloned().chain(own).collect();
        Self { ceiling, declares, supported, resource_scopes }
    }

    /// What every client may be granted, as far as it can be listed: narrower atproto scopes may be asked for too. Stock
    /// clients ask for all of it when nobody names scopes, so what few may have is not in it: `background_access`, and
    /// the scopes of resources, which the resources list themselves.
    pub const fn supported(&self) -> &Scope {
        &self.supported
    }

    /// The scopes that the operator declares for resources.
    pub const fn resource_scopes(&self) -> &ResourceScopes {
        &self.resource_scopes
    }

    /// What is enough to know who somebody is, and to stay signed in. Some clients (those of MCP among them) ask for
    /// all that a resource lists: were all of it here, each would ask people for their mail address, their messages
    /// and the right to write in their name. Who needs more names it, and finds it in the server's own metadata.
    pub fn of_resource(&self) -> impl Iterator<Item = &ScopeValue> {
        const MODEST: [OwnScope; 3] = [OwnScope::Openid, OwnScope::Profile, OwnScope::OfflineAccess];
        self.supported.iter().filter(|value| match value {
            ScopeValue::Own(own) => MODEST.contains(own),
            value => **value == ScopeValue::Atproto,
        })
    }

    /// Resolves what a request for `asked` is about. Every request is about who somebody is: one that does not say
    /// `openid` is about `atproto`. What the client may not have, and what nobody knows here, is left out, which RFC 6749
    /// section 3.3 provides for, and the token answer tells: stock clients ask for all that some document lists. Nothing
    /// else is added: some take a scope that they did not ask for as an error.
    ///
    /// # Errors
    /// The reason when a value is malformed, or when nothing remains of what is known here.
    pub(crate) fn admit(&self, asked: &str, client: &Client, resources: &Resources) -> Result<Scope, String> {
        let asked = Scope::parse_asked(asked).map_err(|error| error.to_string())?;
        let (available, missing): (Vec<_>, Vec<_>) =
            asked.iter().partition(|value| self.is_available(value, client, resources));
        let refused: Vec<_> =
            missing.into_iter().filter(|value| !is_optional(value)).map(ToString::to_string).collect();
        if available.is_empty() && !refused.is_empty() {
            let within_reach = self.within_reach(client, resources);
            return Err(format!(
                "not available to this client: {} (within reach: {within_reach})",
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

    /// Whether a person's server can be asked for a value by what our document there names.
    fn can_deliver(&self, value: &ScopeValue, client: &Client) -> bool {
        if self.declares == Declares::Asked {
            return self.ceiling.covers(value);
        }
        let declared = self.declared(Some(client));
        match value {
            // What is in the set is known only to a server that is asked for it by its name.
            ScopeValue::Include(_) => declared.has(value),
            value => declared.covers(value),
        }
    }

    /// What a client may ask for, as far as it can be listed.
    fn within_reach(&self, client: &Client, resources: &Resources) -> Scope {
        let registered = client.scope.as_ref().unwrap_or(&self.supported);
        let listed = registered.iter().cloned().chain(OWN.map(ScopeValue::Own));
        let available = listed.filter(|value| self.is_available(value, client, resources));
        [ScopeValue::Atproto].into_iter().chain(available).collect()
    }

    /// The scope that a client which registers itself can have, of the one that it names (RFC 7591 section 3.2.1).
    /// `known`: the client as it was before.
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
                known.is_some_and(|client| client.has_leave(Leave::BackgroundAccess))
            }
            ScopeValue::Own(OwnScope::OfflineAccess) => {
                metadata.grant_types.contains(&GrantType::RefreshToken)
            }
            ScopeValue::Own(OwnScope::Email) => self.ceiling.covers(&EMAIL),
            ScopeValue::Own(OwnScope::Address | OwnScope::Phone) => false,
            ScopeValue::Own(OwnScope::Openid | OwnScope::Profile) => true,
            ScopeValue::Resource(name) => self.resource_scopes.find(name).is_some(),
            value => self.ceiling.covers(value),
        };
        let (available, missing): (Vec<_>, Vec<_>) = named.iter().partition(can_have);
        let refused: Vec<_> =
            missing.into_iter().filter(|value| !is_optional(value)).map(ToString::to_string).collect();
        match (available.is_empty(), refused.is_empty()) {
            (false, _) => Ok(Some(available.into_iter().cloned().collect())),
            // A scope of which nothing is known here is not one without bounds.
            (true, true) => Ok(Some(Scope::atproto())),
            (true, false) => Err(refused.join(" ")),
        }
    }

    /// The most that any client can be granted at people's servers.
    pub(crate) const fn ceiling(&self) -> &Scope {
        &self.ceiling
    }

    /// What the full client document for a client names; without a client, that for all of them.
    pub(crate) fn declared(&self, client: Option<&Client>) -> Scope {
        match (self.declares, client.and_then(|client| client.scope.as_ref())) {
            (Declares::Registered, Some(registered)) => {
                wanted(registered).into_iter().filter(|value| self.ceiling.covers(value)).collect()
            }
            _ => self.ceiling.clone(),
        }
    }

    /// What a person's server is asked for: each value as the client asked for it where our document
    /// names it, otherwise the least that the document names and that covers it.
    pub(crate) fn upstream(&self, client: &Client, asked: &Scope) -> Scope {
        let wanted = wanted(asked).into_iter().filter(|value| self.ceiling.covers(value));
        if self.declares == Declares::Asked {
            return wanted.collect();
        }
        let declared = self.declared(Some(client));
        // As the document spells it: names that differ in case are equal here, and not in the text that a server compares.
        let spelled = |value: &ScopeValue| declared.iter().find(|own| *own == value).cloned();
        let named = |value: ScopeValue| match spelled(&value) {
            Some(own) => Scope::from_iter([own]),
            None if matches!(value, ScopeValue::Include(_)) => Scope::default(),
            None => declared.least_covering(&value).unwrap_or_default(),
        };
        wanted.flat_map(named).collect()
    }

    /// The same for a server that knows the transition scopes only. `listed` are those that it says it
    /// supports.
    pub(crate) fn upstream_coarse(&self, asked: &Scope, listed: &[String]) -> Scope {
        let there_is = |transition: Transition| {
            listed.iter().any(|name| name == transition.as_str())
                && self.ceiling.covers(&ScopeValue::Transition(transition))
        };
        let all = Transition::ALL.into_iter().filter(|transition| there_is(*transition));
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
        // Direct messages are of no use there without it.
        if least.has(&chat) && coarse.has(&generic) {
            least.insert(generic);
        }
        least
    }

    /// Whether a value that is between us and the client is to be had.
    fn has_own(&self, own: OwnScope, client: &Client) -> bool {
        match own {
            OwnScope::Openid | OwnScope::Profile => true,
            OwnScope::OfflineAccess => client.allows(GrantType::RefreshToken),
            OwnScope::Email => {
                let registered = client
                    .scope
                    .as_ref()
                    .is_none_or(|scope| scope.has(&ScopeValue::Own(own)) || scope.covers(&EMAIL));
                registered && self.ceiling.covers(&EMAIL)
            }
            OwnScope::BackgroundAccess => client.allows_background_access(),
            OwnScope::Address | OwnScope::Phone => false,
        }
    }
}

/// Whether it is within what the client registered.
fn may_ask(client: &Client, value: &ScopeValue) -> bool {
    *value == ScopeValue::Atproto || client.scope.as_ref().is_none_or(|own| own.covers(value))
}

/// What a request means to a person's own server: always `atproto`, and what of it is the grammar's.
fn wanted(asked: &Scope) -> Scope {
    let of = |value: &ScopeValue| match value {
        ScopeValue::Own(OwnScope::Email) => Some(EMAIL),
        ScopeValue::Own(_) | ScopeValue::Resource(_) => None,
        value => Some(value.clone()),
    };
    [ScopeValue::Atproto].into_iter().chain(asked.iter().filter_map(of)).collect()
}

/// Whether a request is as good without a value that is not to be had: what stock clients send by habit, or copy from
/// elsewhere.
fn is_optional(value: &ScopeValue) -> bool {
    match value {
        ScopeValue::Own(own) => *own != OwnScope::BackgroundAccess,
        value => !value.is_atproto(),
    }
}

/// Whether the operator may give a client these scopes; otherwise those that no client can be granted.
pub(crate) fn admit_of_operator(
    ceiling: &Scope,
    resource_scopes: &ResourceScopes,
    scope: &Scope,
) -> Result<(), String> {
    let is_refused = |value: &&ScopeValue| match value {
        ScopeValue::Own(_) => false,
        ScopeValue::Resource(name) => resource_scopes.find(name).is_none(),
        value => !ceiling.covers(value),
    };
    let refused: Vec<_> = scope.iter().filter(is_refused).map(ToString::to_string).collect();
    if refused.is_empty() { Ok(()) } else { Err(refused.join(" ")) }
}

/// What is granted: what was asked for, as far as the person's server granted it.
pub(crate) fn grantable(asked: &Scope, granted: &Scope) -> Scope {
    let email = granted.permits_account(AccountAttr::Email, AccountAction::Read);
    let own = asked.iter().filter(|value| match value {
        ScopeValue::Own(OwnScope::Email) => email,
        value => !value.is_atproto(),
    });
    asked.bounded_by(&granted.iter().chain(own).cloned().collect())
}

/// Whether a grant has all that is asked for now. `offline_access` allows nothing and is missing from none; nor is
/// `atproto`: every grant says who somebody is.
pub(crate) fn has_all(granted: &Scope, asked: &Scope) -> bool {
    let is_in_all =
        |value: &ScopeValue| [ScopeValue::Atproto, ScopeValue::Own(OwnScope::OfflineAccess)].contains(value);
    asked.iter().all(|value| is_in_all(value) || granted.covers(value))
}

/// What a refresh asks the new access token to be for, or that it asks for more than was granted. Some
/// libraries send the scope of the first request again, with what was left out of the grant; a request that
/// names nothing else names nothing.
pub(crate) fn narrow(granted: &Scope, asked: &Scope) -> Option<Scope> {
    let narrowed = without_others(asked, granted, |value| !value.is_atproto());
    if narrowed.is_empty() {
        Some(granted.clone())
    } else {
        narrowed.is_subset_of(&with_atproto(granted)).then_some(narrowed)
    }
}

/// A scope that is asked for later, without the scopes of resources that were not granted: nobody knows them here.
pub(crate) fn known_in(granted: &Scope, asked: &Scope) -> Scope {
    without_others(asked, granted, |value| matches!(value, ScopeValue::Resource(_)))
}

fn without_others(asked: &Scope, granted: &Scope, may_go: impl Fn(&ScopeValue) -> bool) -> Scope {
    asked.iter().filter(|value| !may_go(value) || granted.has(value)).cloned().collect()
}

/// The same, with `atproto` beside `openid`: between us and a client they say the same, and people's servers know only the
/// first.
pub(crate) fn with_atproto(scope: &Scope) -> Scope {
    let mut scope = scope.clone();
    if scope.has(&ScopeValue::Own(OwnScope::Openid)) {
        scope.insert(ScopeValue::Atproto);
    }
    scope
}
