//! Which scopes a client may ask for, and what reaches the person's own server.

use causeway_domain::Scope;
use causeway_domain::scope::ScopeValue;

/// Which scopes a client may ask for, and what reaches the person's own server.
#[derive(Clone, Debug)]
pub struct ScopePolicy {
    ceiling: Scope,
}

impl ScopePolicy {
    pub(crate) fn new(ceiling: Scope) -> Self {
        Self { ceiling }
    }

    /// What of a request is about scopes that this server grants. Those of OpenID Connect, which stock
    /// clients send by habit, are not granted yet, and leaving them out of the grant is what RFC 6749
    /// section 3.3 provides for.
    pub(crate) fn without_habitual(requested: &Scope) -> Scope {
        requested.iter().filter(|value| value.is_atproto()).cloned().collect()
    }

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
        for value in Self::without_habitual(&requested).iter() {
            if self.ceiling.covers(value)
                && registered.is_none_or(|own| own.covers(value) || *value == ScopeValue::Atproto)
            {
                admitted.insert(value.clone());
            } else {
                refused.push(value.to_string());
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
        let policy = ScopePolicy::new(Scope::parse("atproto transition:generic transition:email").unwrap());
        let registered = Scope::parse("atproto transition:generic").unwrap();
        let admit = |asked, own| policy.admit(asked, own).map(|scope| scope.to_string());
        assert_eq!(admit("", None).as_deref(), Ok("atproto"));
        assert_eq!(admit("openid profile offline_access", None).as_deref(), Ok("atproto"));
        assert_eq!(admit("transition:email", None).as_deref(), Ok("atproto transition:email"));
        assert_eq!(admit("repo:a.b.c", Some(&registered)).as_deref(), Ok("atproto repo:a.b.c"));
        assert!(admit("transition:email", Some(&registered)).is_err());
        assert_eq!(
            admit("transition:chat.bsky identity:*", None),
            Err("not available to this client: transition:chat.bsky identity:*".to_owned())
        );
        assert!(admit("nonsense", None).is_err_and(|error| error.contains("nonsense is not a scope")));
    }
}
