//! `rpc:`: calling services on a user's behalf (atproto specification "Permissions").

use std::fmt;

use super::names::Names;
use super::syntax::{Syntax, Writer};
use super::value_error::ScopeValueError;
use crate::identity::Did;
use crate::nsid::Nsid;

/// A service: a DID and the name of the service in its document, `did:web:api.bsky.app#bsky_appview`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service(String);

impl Service {
    /// Parses a service reference; `None` when the DID is malformed or the fragment missing.
    pub fn parse(value: &str) -> Option<Self> {
        let (did, fragment) = value.split_once('#')?;
        Did::parse(did).ok()?;
        (!fragment.is_empty() && is_fragment(fragment)).then(|| Self(value.to_owned()))
    }

    /// The reference as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The DID and the fragment.
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once('#').unwrap_or((&self.0, ""))
    }
}

text_type!(Service: "a service such as did:web:api.example.com#service_name");

/// RFC 3986 section 3.5.
fn is_fragment(text: &str) -> bool {
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let fine = match byte {
            b'%' => rest.next().is_some_and(is_hex) && rest.next().is_some_and(is_hex),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte),
        };
        if !fine {
            return false;
        }
    }
    true
}

const fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// Which services may be called.
///
/// Exhaustive: see [the crate](crate#enums).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// `*`.
    Any,
    /// This one.
    Only(Service),
}

impl Audience {
    /// Whether it is about this service.
    pub fn contains(&self, service: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(own) => own.as_str() == service,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Any => "*",
            Self::Only(service) => service.as_str(),
        }
    }
}

/// `rpc:<lxm>?aud=<service>`: some methods of any service, or any method of one; never both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RpcScope {
    methods: Names,
    audience: Audience,
}

impl RpcScope {
    /// The scope that one method of one service needs.
    pub fn one(method: Nsid, service: Service) -> Self {
        Self { methods: Names::one(method), audience: Audience::Only(service) }
    }

    /// The methods (`lxm`).
    pub const fn methods(&self) -> &Names {
        &self.methods
    }

    /// The services (`aud`).
    pub const fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Whether it allows a method of a service.
    pub fn permits(&self, method: &Nsid, service: &str) -> bool {
        self.methods.contains(method) && self.audience.contains(service)
    }

    /// The same for whole ranges; `None` stands for every method.
    pub(super) fn permits_range(&self, method: Option<&Nsid>, audience: &Audience) -> bool {
        let named = method.map_or(self.methods == Names::Any, |method| self.methods.contains(method));
        named && (self.audience == Audience::Any || self.audience == *audience)
    }

    /// This scope with other methods of the same service; `None` when there are none left.
    pub(super) fn only_methods(&self, keep: impl Fn(&Nsid) -> bool) -> Option<Self> {
        let Names::Only(methods) = &self.methods else { return None };
        let methods = Names::of(methods.iter().filter(|method| keep(method)).cloned())?;
        Some(Self { methods, audience: self.audience.clone() })
    }

    /// The intersection of the two; `None` when it is empty.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let methods = self.methods.meet(&other.methods)?;
        let audience = match (&self.audience, &other.audience) {
            (Audience::Any, audience) | (audience, Audience::Any) => audience.clone(),
            (own, other) => (own == other).then(|| own.clone())?,
        };
        Some(Self { methods, audience })
    }

    pub(super) fn parse(syntax: &Syntax<'_>) -> Result<Self, ScopeValueError> {
        syntax.only(&["lxm", "aud"])?;
        let methods = Names::parse(&syntax.positional("lxm")?, "lxm")?;
        let audience = match syntax.at_most_one("aud")?.ok_or(ScopeValueError::Missing("aud"))? {
            "*" => Audience::Any,
            service => Audience::Only(parse_service(service)?),
        };
        if methods == Names::Any && audience == Audience::Any {
            return Err(ScopeValueError::AnyMethodAnywhere);
        }
        Ok(Self { methods, audience })
    }
}

pub(super) fn parse_service(value: &str) -> Result<Service, ScopeValueError> {
    let expected = "a service such as did:web:api.example.com%23service_name";
    Service::parse(value).ok_or(ScopeValueError::Invalid { name: "aud", expected })
}

impl fmt::Display for RpcScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = Writer::new(f, "rpc")?;
        writer.positional("lxm", &self.methods.texts())?;
        writer.parameter("aud", self.audience.text())
    }
}
