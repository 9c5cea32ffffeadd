//! Scopes that the operator declares for resources (RFC 8707), each with a text that users read.

use causeway_types::resource::ResourceError;
use causeway_types::scope::{ResourceScope, ScopeValue};
use causeway_types::{Resource, Resources, Scope};

/// The longest text, in characters.
const MAX_TEXT_CHARS: usize = 200;

/// A scope of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredScope {
    /// The resource.
    pub resource: Resource,
    /// The scope's name, as clients and the resource know it.
    pub name: ResourceScope,
    /// Its description on the consent page.
    pub text: String,
}

/// Why a scope of a resource cannot be declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclaredScopeError {
    /// A part is missing.
    #[error("{0:?} is not the URI of a resource, the name of a scope and a description, separated by spaces")]
    Form(String),
    /// The first part.
    #[error("{0:?}: {1}")]
    Resource(String, ResourceError),
    /// The second part.
    #[error(
        "{0:?} cannot be the name of a resource's scope: it is not a scope token, or begins like a scope of this server"
    )]
    Name(String),
    /// The third part.
    #[error("the description of {0:?} is longer than {MAX_TEXT_CHARS} characters or has control characters")]
    Text(String),
    /// Two of one name: consent to one would be consent to the other.
    #[error("{0} is declared twice: each scope belongs to one resource")]
    Twice(ResourceScope),
}

impl DeclaredScope {
    /// Reads `URI NAME TEXT`.
    ///
    /// ```
    /// use causeway_domain::resource::DeclaredScope;
    /// let declared = DeclaredScope::parse("https://mcp.example/ notes:read Read your notes")?;
    /// assert_eq!((declared.name.as_str(), declared.text.as_str()), ("notes:read", "Read your notes"));
    /// # Ok::<(), causeway_domain::resource::DeclaredScopeError>(())
    /// ```
    ///
    /// # Errors
    /// [`DeclaredScopeError`]; never [`DeclaredScopeError::Twice`].
    pub fn parse(line: &str) -> Result<Self, DeclaredScopeError> {
        use DeclaredScopeError as E;
        let mut parts = line.trim().splitn(3, char::is_whitespace);
        let (Some(resource), Some(name), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(E::Form(line.to_owned()));
        };
        let resource = Resource::parse(resource).map_err(|error| E::Resource(resource.to_owned(), error))?;
        let scope = ResourceScope::parse(name).ok_or_else(|| E::Name(name.to_owned()))?;
        let text = text.trim();
        if text.chars().count() > MAX_TEXT_CHARS || text.chars().any(char::is_control) {
            return Err(E::Text(name.to_owned()));
        }
        if text.is_empty() {
            Err(E::Form(line.to_owned()))
        } else {
            Ok(Self { resource, name: scope, text: text.to_owned() })
        }
    }
}

/// All scopes that the operator declares for resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceScopes(Vec<DeclaredScope>);

impl ResourceScopes {
    /// Reads one scope a line, each as [`DeclaredScope::parse`] does.
    ///
    /// # Errors
    /// The first [`DeclaredScopeError`] found.
    pub fn parse<T: AsRef<str>>(lines: &[T]) -> Result<Self, DeclaredScopeError> {
        let mut declared = Self::default();
        for line in lines {
            let scope = DeclaredScope::parse(line.as_ref())?;
            if declared.find(&scope.name).is_some() {
                return Err(DeclaredScopeError::Twice(scope.name));
            }
            declared.0.push(scope);
        }
        Ok(declared)
    }

    /// The scope of this name.
    pub fn find(&self, name: &ResourceScope) -> Option<&DeclaredScope> {
        self.0.iter().find(|declared| declared.name == *name)
    }

    /// Whether a token for these resources may carry this scope of one of them.
    pub fn is_of(&self, name: &ResourceScope, resources: &Resources) -> bool {
        self.find(name)
            .is_some_and(|declared| resources.iter().any(|named| named.is_same(&declared.resource)))
    }

    /// The part of a scope that a token for these resources carries: without the scopes of others.
    #[must_use]
    pub fn within(&self, scope: &Scope, resources: &Resources) -> Scope {
        let belongs = |value: &&ScopeValue| match value {
            ScopeValue::Resource(name) => self.is_of(name, resources),
            _ => true,
        };
        scope.iter().filter(belongs).cloned().collect()
    }

    /// The scopes of resources that a scope names.
    pub fn named_in<'a>(&'a self, scope: &Scope) -> impl Iterator<Item = &'a DeclaredScope> {
        self.0.iter().filter(|declared| scope.has(&declared.name.clone().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTES: &str = "https://notes.example/mcp notes:read Read your notes, all of them";
    const MAIL: &str = "https://mail.example mail:send  Send mail ";

    #[test]
    fn declared_once_and_whole() {
        let declared = ResourceScopes::parse(&[NOTES, MAIL]).unwrap();
        let mail = declared.find(&ResourceScope::parse("mail:send").unwrap()).unwrap();
        assert_eq!((mail.resource.as_str(), mail.text.as_str()), ("https://mail.example", "Send mail"));
        for bad in [
            "",
            "https://notes.example/mcp",
            "https://notes.example/mcp notes:read",
            "https://notes.example/mcp notes:read  ",
            "/mcp notes:read Read",
            "https://notes.example/mcp repo:read Read",
            "https://notes.example/mcp transition:notes Read",
            "https://notes.example/mcp openid Read",
            "https://notes.example/mcp notes\\read Read",
            "https://notes.example/mcp notes:read Read\u{7}",
        ] {
            assert!(DeclaredScope::parse(bad).is_err(), "{bad}");
        }
        let of_length =
            |length: usize| DeclaredScope::parse(&format!("https://a.example a:b {}", "é".repeat(length)));
        assert!(of_length(MAX_TEXT_CHARS).is_ok());
        assert_eq!(of_length(MAX_TEXT_CHARS + 1), Err(DeclaredScopeError::Text("a:b".to_owned())));
        let twice = ResourceScopes::parse(&[NOTES, "https://mail.example notes:read Read"]);
        assert!(matches!(twice, Err(DeclaredScopeError::Twice(_))), "{twice:?}");
    }

    #[test]
    fn each_token_carries_what_is_of_its_resources() {
        let declared = ResourceScopes::parse(&[NOTES, MAIL]).unwrap();
        let granted = Scope::parse_asked("atproto notes:read mail:send gone:x").unwrap();
        let within =
            |resources: &[&str]| declared.within(&granted, &Resources::parse(resources).unwrap()).to_string();
        assert_eq!(within(&[]), "atproto");
        assert_eq!(within(&["https://notes.example/mcp"]), "atproto notes:read");
        assert_eq!(
            within(&["https://notes.example/mcp/"]),
            "atproto notes:read",
            "a slash at the end is none"
        );
        assert_eq!(
            within(&["https://mail.example", "https://notes.example/mcp"]),
            "atproto notes:read mail:send"
        );
        assert_eq!(within(&["https://notes.example"]), "atproto");
        let named =
            |scope: &Scope| declared.named_in(scope).map(|one| one.name.to_string()).collect::<Vec<_>>();
        assert_eq!(named(&granted), ["notes:read", "mail:send"]);
        assert_eq!(named(&Scope::parse_asked("atproto mail:send").unwrap()), ["mail:send"]);
    }
}
