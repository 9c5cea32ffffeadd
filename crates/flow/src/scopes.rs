//! Which scopes a client may ask for, what a person's own server is asked for, and what is granted.
//!
//! A server takes a request only for scopes that our client document names, by their very text. So the
//! ceiling is compared by what it allows, and what goes upstream is made of what the document names.

use causeway_domain::Scope;
use causeway_domain::client::{Client, GrantType};
use causeway_domain::scope::{AccountAction, AccountAttr, AccountScope, OwnScope, ScopeValue, Transition};

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

/// Which scopes a client may ask for, and what a person's own server is asked for.
#[derive(Clone, Debug)]
pub struct ScopePolicy {
    ceiling: Scope,
    declares: Declares,
    supported: Scope,
}

impl ScopePolicy {
    pub(crate) fn new(ceiling: Scope, declares: Declares) -> Self {
        let own = [
            OwnScope::Openid,
            OwnScope::Profile,
            OwnScope::Email,
            OwnScope::OfflineAccess,
            OwnScope::BackgroundAccess,
        ];
        let email = ceiling.covers(&EMAIL);
        let own = own.into_iter().filter(|own| email || *own != OwnScope::Email).map(ScopeValue::Own);
        let supported = ceiling.iter().cloned().chain(own).collect();
        Self { ceiling, declares, supported }
    }

    /// What a client may be granted, as far as it can be listed: narrower atproto scopes may be asked
    /// for too.
    pub fn supported(&self) -> &Scope {
        &self.supported
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

    /// What any client may ask for.
    fn within_reach(&self) -> Scope {
        let special = ScopeValue::Own(OwnScope::BackgroundAccess);
        self.supported.iter().filter(|value| **value != special).cloned().collect()
    }

    /// What a request for `asked` is about, or why it is refused. Every request is about who somebody is: one that
    /// does not say `openid` is about `atproto`. Scopes of OpenID Connect that are not to be had here are left out,
    /// which RFC 6749 section 3.3 provides for: stock clients send them by habit. Nothing else is added: some
    /// take a scope that they did not ask for as an error.
    pub(crate) fn admit(&self, asked: &str, client: &Client) -> Result<Scope, String> {
        let asked = Scope::parse_asked(asked).map_err(|error| error.to_string())?;
        let declared = (self.declares != Declares::Asked).then(|| self.declared(Some(client)));
        let can_deliver = |value: &ScopeValue| match (&declared, value) {
            (None, value) => self.ceiling.covers(value),
            // What is in the set is known only to a server that is asked for it by its name.
            (Some(declared), ScopeValue::Include(_)) => declared.has(value),
            (Some(declared), value) => declared.covers(value),
        };
        let says_who = asked.has(&ScopeValue::Own(OwnScope::Openid));
        let mut admitted = if says_who { Scope::default() } else { Scope::atproto() };
        let mut refused = Vec::new();
        for value in asked.iter() {
            match value {
                ScopeValue::Own(OwnScope::BackgroundAccess) if !client.allows_background_access() => {
                    refused.push(value.to_string());
                }
                ScopeValue::Own(own) if !self.has_own(*own, client) => {}
                ScopeValue::Own(_) => admitted.insert(value.clone()),
                value if may_ask(client, value) && can_deliver(value) => {
                    admitted.insert(value.clone());
                }
                value => refused.push(value.to_string()),
            }
        }
        if refused.is_empty() {
            Ok(admitted)
        } else {
            let within_reach = self.within_reach();
            let allowed = client.scope.as_ref().unwrap_or(&within_reach);
            Err(format!("not available to this client: {} (within reach: {allowed})", refused.join(" ")))
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
        ScopeValue::Own(_) => None,
        value => Some(value.clone()),
    };
    [ScopeValue::Atproto].into_iter().chain(asked.iter().filter_map(of)).collect()
}

/// Whether a registration may name these scopes, or those that no client can be granted.
pub(crate) fn admit_registration(ceiling: &Scope, scope: &Scope) -> Result<(), String> {
    let refused: Vec<_> = scope
        .iter()
        .filter(|value| value.is_atproto() && !ceiling.covers(value))
        .map(ToString::to_string)
        .collect();
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
    let known = |value: &&ScopeValue| value.is_atproto() || granted.has(value);
    let narrowed: Scope = asked.iter().filter(known).cloned().collect();
    if narrowed.is_empty() {
        Some(granted.clone())
    } else {
        narrowed.is_subset_of(&with_atproto(granted)).then_some(narrowed)
    }
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

#[cfg(test)]
mod tests {
    use causeway_domain::client::ClientMetadata;
    use causeway_domain::{ClientId, TenantId, Timestamp};

    use super::*;

    const CEILING: &str = "atproto transition:generic transition:email";
    const LISTED: [&str; 4] = ["atproto", "transition:generic", "transition:email", "transition:chat.bsky"];

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    fn policy(ceiling: &str, declares: Declares) -> ScopePolicy {
        ScopePolicy::new(scope(ceiling), declares)
    }

    fn client(registered: Option<&str>) -> Client {
        let metadata = ClientMetadata {
            redirect_uris: vec!["https://app.example/cb".to_owned()],
            scope: registered.map(str::to_owned),
            grant_types: Some(vec!["authorization_code".to_owned(), "refresh_token".to_owned()]),
            ..ClientMetadata::default()
        };
        let (id, tenant) = (ClientId::new("c"), TenantId::default_tenant());
        metadata.validate().unwrap().into_client(id, tenant, None, Timestamp(0))
    }

    fn listed() -> Vec<String> {
        LISTED.map(str::to_owned).to_vec()
    }

    #[test]
    fn admits_within_ceiling_and_registration() {
        let policy = policy(CEILING, Declares::Ceiling);
        let anything = client(None);
        let registered = client(Some("atproto transition:generic"));
        let admit = |asked, client| policy.admit(asked, client).map(|scope| scope.to_string());
        assert_eq!(admit("", &anything).as_deref(), Ok("atproto"));
        assert_eq!(admit("transition:email", &anything).as_deref(), Ok("atproto transition:email"));
        assert_eq!(admit("repo:a.b.c", &registered).as_deref(), Ok("atproto repo:a.b.c"));
        assert_eq!(
            admit("transition:email", &registered),
            Err("not available to this client: transition:email (within reach: atproto transition:generic)"
                .to_owned())
        );
        assert!(admit("transition:chat.bsky identity:*", &anything).is_err_and(|error| {
            error.starts_with("not available to this client: transition:chat.bsky identity:* (")
        }));
        assert!(admit("nonsense", &anything).is_err_and(|error| error.contains("nonsense is not a scope")));
    }

    #[test]
    fn what_is_between_us_and_the_client() {
        let with_email = policy(CEILING, Declares::Ceiling);
        let without = policy("atproto transition:generic", Declares::Ceiling);
        let all = "openid profile email offline_access address phone";
        let admit = |policy: &ScopePolicy, asked, registered| {
            policy.admit(asked, &client(registered)).map(|scope| scope.to_string())
        };
        assert_eq!(admit(&with_email, all, None).as_deref(), Ok("openid profile email offline_access"));
        assert_eq!(admit(&without, all, None).as_deref(), Ok("openid profile offline_access"));
        assert_eq!(admit(&with_email, "openid email", Some("atproto")).as_deref(), Ok("openid"));
        assert_eq!(admit(&with_email, "openid atproto", None).as_deref(), Ok("openid atproto"));
        assert_eq!(admit(&with_email, "openid groups notes:read", None).as_deref(), Ok("openid"));
        assert!(admit(&with_email, "openid transition:nonsense", None).is_err());
        assert!(admit(&with_email, "openid repo:nonsense", None).is_err());
        let mut once = client(None);
        once.grant_types = vec![GrantType::AuthorizationCode];
        let admitted = with_email.admit("openid offline_access", &once).unwrap();
        assert_eq!(admitted.to_string(), "openid", "it gets no refresh token");
        assert_eq!(admit(&with_email, "email", Some("atproto email")).as_deref(), Ok("atproto email"));
        assert!(admit(&with_email, "background_access", None).is_err());
        let mut automation = client(None);
        automation.metadata.insert("allow_background_access".to_owned(), true.into());
        let admitted = with_email.admit("background_access", &automation).unwrap();
        assert_eq!(admitted.to_string(), "atproto background_access");
        assert_eq!(
            with_email.supported().to_string(),
            "atproto transition:generic transition:email openid profile email offline_access background_access"
        );
        assert!(!without.supported().contains("email"));
    }

    #[test]
    fn upstream_by_what_the_document_names() {
        use Declares::{Asked, Ceiling, Registered};
        let upstream = |declares, ceiling, registered, asked| {
            policy(ceiling, declares).upstream(&client(registered), &scope(asked)).to_string()
        };
        let narrow = "openid repo:a.b.c?action=create blob:image/png email";
        assert_eq!(
            upstream(Asked, CEILING, None, narrow),
            "atproto repo:a.b.c?action=create blob:image/png account:email"
        );
        assert_eq!(upstream(Ceiling, CEILING, None, narrow), "atproto transition:generic transition:email");
        assert_eq!(
            upstream(
                Ceiling,
                "atproto transition:generic repo:a.b.c account:email transition:email",
                None,
                narrow
            ),
            "atproto repo:a.b.c transition:generic account:email"
        );
        assert_eq!(
            upstream(Registered, CEILING, Some("repo:a.b.c blob:*/* email"), narrow),
            "atproto repo:a.b.c blob:*/* account:email"
        );
        assert_eq!(
            upstream(Registered, CEILING, Some("repo:a.b.fooBar"), "repo:A.b.FOObar"),
            "atproto repo:a.b.fooBar"
        );
        assert_eq!(
            upstream(Registered, CEILING, None, narrow),
            "atproto transition:generic transition:email"
        );
        assert_eq!(upstream(Asked, "atproto", None, "openid email repo:a.b.c"), "atproto");
        assert_eq!(
            upstream(Registered, "atproto repo:a.b.c", Some("repo:a.b.c repo:a.b.d"), "repo:a.b.d"),
            "atproto"
        );
    }

    /// Only a server that is asked for a set by its name tells what is in it.
    #[test]
    fn permission_sets_go_by_their_name() {
        let admits = |declares, ceiling, registered| {
            policy(ceiling, declares).admit("include:a.b.auth", &client(registered)).is_ok()
        };
        assert!(admits(Declares::Asked, CEILING, None));
        assert!(!admits(Declares::Ceiling, CEILING, None));
        assert!(admits(Declares::Ceiling, "atproto include:a.b.auth", None));
        assert!(admits(Declares::Registered, CEILING, Some("include:a.b.auth")));
        assert!(!admits(Declares::Registered, CEILING, None));
        assert!(!admits(Declares::Asked, "atproto", None));
    }

    #[test]
    fn coarse_by_what_the_server_lists() {
        let coarse = |ceiling, asked, listed: &[String]| {
            policy(ceiling, Declares::Ceiling).upstream_coarse(&scope(asked), listed).to_string()
        };
        let all = "atproto transition:generic transition:email transition:chat.bsky";
        let narrow = "openid repo:a.b.c email identity:handle include:a.b.auth";
        assert_eq!(coarse(all, narrow, &listed()), "atproto transition:generic transition:email");
        assert_eq!(coarse(all, narrow, &listed()[..2]), "atproto transition:generic");
        assert_eq!(coarse("atproto repo:*", narrow, &listed()), "atproto");
        assert_eq!(coarse("atproto account:email", "email", &listed()), "atproto transition:email");
        assert_eq!(coarse(all, "openid", &listed()), "atproto");
        assert_eq!(
            coarse(all, "rpc:chat.bsky.convo.getLog?aud=*", &listed()),
            "atproto transition:chat.bsky transition:generic"
        );
    }

    #[test]
    fn a_grant_keeps_what_is_ours_to_give() {
        let grant = |asked, granted| grantable(&scope(asked), &scope(granted)).to_string();
        assert_eq!(
            grant("atproto openid repo:a.b.c email", "atproto transition:generic transition:email"),
            "atproto openid repo:a.b.c email"
        );
        assert_eq!(grant("atproto openid email profile", "atproto"), "atproto openid profile");
        assert_eq!(grant("atproto email", "atproto account:email?action=manage"), "atproto email");
        assert_eq!(grant("openid transition:generic", "transition:generic"), "openid transition:generic");
    }

    #[test]
    fn a_grant_has_what_it_covers() {
        let has = |granted, asked| has_all(&scope(granted), &scope(asked));
        assert!(has("atproto openid transition:generic", "atproto openid repo:a.b.c offline_access"));
        assert!(!has("atproto openid", "atproto openid profile"));
        assert!(!has("atproto repo:a.b.c", "atproto repo:*"));
    }

    #[test]
    fn a_refresh_narrows_by_meaning() {
        let narrowed = |granted, asked| narrow(&scope(granted), &scope(asked)).map(|scope| scope.to_string());
        let granted = "atproto openid transition:generic";
        assert_eq!(narrowed(granted, "").as_deref(), Some(granted));
        assert_eq!(narrowed(granted, "phone email").as_deref(), Some(granted));
        assert_eq!(narrowed(granted, "atproto repo:a.b.c").as_deref(), Some("atproto repo:a.b.c"));
        assert_eq!(narrowed(granted, "openid atproto email").as_deref(), Some("openid atproto"));
        assert_eq!(narrowed(granted, "atproto account:email"), None);
        assert_eq!(narrowed("atproto repo:a.b.c", "atproto repo:*"), None);
        assert_eq!(
            narrowed("atproto include:a.b.auth", "include:a.b.auth").as_deref(),
            Some("include:a.b.auth")
        );
        assert_eq!(narrowed("atproto repo:a.b.c", "include:a.b.auth"), None);
    }
}
