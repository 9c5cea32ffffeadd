//! `include:`: a permission set by its name (atproto specification "Permissions", "Permission Sets").

use std::fmt;

use super::rpc::{Service, parse_service};
use super::syntax::{Syntax, Writer};
use super::value_error::ScopeValueError;
use crate::nsid::Nsid;

/// `include:<nsid>?aud=<service>`. What is in the set is published on the network; an authorization
/// server answers with what it found there instead of the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncludeScope {
    nsid: Nsid,
    audience: Option<Service>,
}

impl IncludeScope {
    /// The set's name.
    pub const fn nsid(&self) -> &Nsid {
        &self.nsid
    }

    /// The service that its calls are for, where the set itself names none.
    pub const fn audience(&self) -> Option<&Service> {
        self.audience.as_ref()
    }

    /// Whether everything of `other` is in this one too: without a service, a set allows less.
    pub fn covers(&self, other: &Self) -> bool {
        self.nsid == other.nsid && (other.audience.is_none() || self.audience == other.audience)
    }

    pub(super) fn parse(syntax: &Syntax<'_>) -> Result<Self, ScopeValueError> {
        syntax.only(&["nsid", "aud"])?;
        let expected = "the NSID of a permission set such as com.example.authBasic";
        let nsid = Nsid::parse(syntax.one_positional("nsid")?)
            .map_err(|_| ScopeValueError::Invalid { name: "nsid", expected })?;
        let audience = syntax.at_most_one("aud")?.map(parse_service).transpose()?;
        Ok(Self { nsid, audience })
    }
}

impl fmt::Display for IncludeScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = Writer::new(f, "include")?;
        writer.positional("nsid", &[&self.nsid])?;
        self.audience.iter().try_for_each(|service| writer.parameter("aud", service))
    }
}
