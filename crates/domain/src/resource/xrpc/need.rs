//! The permissions that a call needs, by the rules of a PDS.

use std::fmt;

use causeway_types::Nsid;
use causeway_types::scope::{
    AccountAction, AccountAttr, AccountScope, BlobScope, IdentityAttr, IdentityScope, MediaRange, RepoAction,
    RepoScope, RpcScope, ScopeValue, Service, Transition,
};
use url::form_urlencoded;

use super::{Writes, XrpcCall, is_local};

/// One permission that a call needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// To be signed in with AT Protocol at all.
    Atproto,
    /// A record is written.
    Record(RepoAction, Nsid),
    /// Records are written, in a collection that is not known.
    AnyRecord(RepoAction),
    /// A file of this media type is uploaded; empty: the call does not say which.
    Blob(String),
    /// A method of a service is called, in the form `did:web:api.bsky.app#bsky_appview` or, in a service
    /// token, without the fragment.
    Service(Nsid, String),
    /// A method is called at the service that the PDS chooses; its fragment.
    DefaultService(Nsid, &'static str),
    /// Any method of a service is called.
    AnyMethod(String),
    /// A part of the account is seen or changed.
    Account(AccountAttr, AccountAction),
    /// A part of the identity is changed.
    Identity(IdentityAttr),
    /// No app may do this.
    Never,
}

/// Why the permissions that a call needs cannot be determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeedError {
    /// The query of `com.atproto.server.getServiceAuth`.
    #[error("the query must have aud and may have lxm and exp, each once")]
    ServiceAuth,
}

impl Need {
    /// The scope value that would allow it; `None` when none would.
    pub fn scope(&self) -> Option<String> {
        let value = match self {
            Self::Atproto => ScopeValue::Atproto,
            Self::Record(action, collection) => ScopeValue::Repo(RepoScope::one(*action, collection.clone())),
            Self::AnyRecord(action) => return Some(format!("repo:*?action={}", action.as_str())),
            Self::Blob(media_type) => match MediaRange::parse(media_type) {
                Some(range) => ScopeValue::Blob(BlobScope::one(range)),
                None => return Some("blob:*/*".to_owned()),
            },
            Self::Service(method, service) => match Service::parse(service) {
                Some(service) => ScopeValue::Rpc(RpcScope::one(method.clone(), service)),
                None => return Some(format!("rpc:{method}?aud=*")),
            },
            Self::DefaultService(method, _) => return Some(format!("rpc:{method}?aud=*")),
            Self::AnyMethod(service) => match Service::parse(service) {
                Some(service) => {
                    let aud = form_urlencoded::byte_serialize(service.as_str().as_bytes());
                    ScopeValue::parse(&format!("rpc:*?aud={}", aud.collect::<String>())).ok()?
                }
                // A scope names the service within the DID; this token would be for all of them.
                None => ScopeValue::Transition(Transition::Generic),
            },
            Self::Account(attr, action) => ScopeValue::Account(AccountScope { attr: *attr, action: *action }),
            Self::Identity(attr) => ScopeValue::Identity(IdentityScope { attr: *attr }),
            Self::Never => return None,
        };
        Some(value.to_string())
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope() {
            Some(scope) => f.write_str(&scope),
            None => f.write_str("no scope allows it"),
        }
    }
}

const EMAIL: Need = Need::Account(AccountAttr::Email, AccountAction::Manage);
const STATUS: Need = Need::Account(AccountAttr::Status, AccountAction::Manage);
const REPO: Need = Need::Account(AccountAttr::Repo, AccountAction::Manage);
const HANDLE: Need = Need::Identity(IdentityAttr::Handle);
const IDENTITY: Need = Need::Identity(IdentityAttr::Any);

impl XrpcCall<'_> {
    /// Every permission that the call needs besides `atproto`.
    ///
    /// # Errors
    /// [`NeedError`] when the call is malformed so that its permissions cannot be determined.
    pub fn needs(&self) -> Result<Vec<Need>, NeedError> {
        let lower = self.nsid.to_lower();
        Ok(match lower.as_str() {
            "com.atproto.repo.createrecord" => self.records(&[RepoAction::Create]),
            "com.atproto.repo.putrecord" => self.records(&[RepoAction::Create, RepoAction::Update]),
            "com.atproto.repo.deleterecord" => self.records(&[RepoAction::Delete]),
            "com.atproto.repo.applywrites" => self.records(RepoAction::ALL),
            "com.atproto.repo.uploadblob" => {
                vec![Need::Blob(self.content_type.unwrap_or_default().to_owned())]
            }
            "com.atproto.repo.importrepo" => vec![REPO],
            "com.atproto.identity.updatehandle" => vec![HANDLE],
            "com.atproto.identity.requestplcoperationsignature"
            | "com.atproto.identity.signplcoperation"
            | "com.atproto.identity.submitplcoperation" => vec![IDENTITY],
            "com.atproto.server.confirmemail"
            | "com.atproto.server.requestemailconfirmation"
            | "com.atproto.server.requestemailupdate"
            | "com.atproto.server.updateemail" => vec![EMAIL],
            "com.atproto.server.activateaccount" | "com.atproto.server.deactivateaccount" => vec![STATUS],
            "com.atproto.server.getserviceauth" => vec![self.service_token()?],
            "com.atproto.server.checkaccountstatus"
            | "com.atproto.server.describeserver"
            | "com.atproto.server.getsession"
            | "com.atproto.identity.getrecommendeddidcredentials"
            | "com.atproto.identity.refreshidentity"
            | "com.atproto.identity.resolvedid"
            | "com.atproto.identity.resolvehandle"
            | "com.atproto.identity.resolveidentity"
            | "com.atproto.repo.describerepo"
            | "com.atproto.repo.getrecord"
            | "com.atproto.repo.listmissingblobs"
            | "com.atproto.repo.listrecords"
            | "com.atproto.temp.checksignupqueue" => Vec::new(),
            sync if sync.starts_with("com.atproto.sync.") => Vec::new(),
            // Accounts, passwords, invites, administration: reserved for the PDS itself.
            local if is_local(local) => vec![Need::Never],
            remote => vec![self.service(remote)],
        })
    }

    fn records(&self, actions: &[RepoAction]) -> Vec<Need> {
        match self.writes {
            Some(Writes(writes)) => {
                writes.iter().map(|(action, collection)| Need::Record(*action, collection.clone())).collect()
            }
            None => actions.iter().copied().map(Need::AnyRecord).collect(),
        }
    }

    fn service(&self, lower: &str) -> Need {
        match self.proxy {
            Some(service) => Need::Service(self.nsid.clone(), service.as_str().to_owned()),
            None if lower.starts_with("tools.ozone.") || lower == "com.atproto.moderation.createreport" => {
                Need::DefaultService(self.nsid.clone(), "atproto_labeler")
            }
            None => Need::DefaultService(self.nsid.clone(), "bsky_appview"),
        }
    }

    /// `getServiceAuth`: a token for `lxm` at `aud`. Servers differ in how they read a parameter that comes
    /// twice or with brackets, so each may come once, by its plain name.
    fn service_token(&self) -> Result<Need, NeedError> {
        let (mut aud, mut lxm, mut exp) = (None, None, None);
        for (name, value) in form_urlencoded::parse(self.query.as_bytes()) {
            let seen = match &*name {
                "aud" => &mut aud,
                "lxm" => &mut lxm,
                "exp" => &mut exp,
                _ => return Err(NeedError::ServiceAuth),
            };
            if seen.replace(value.into_owned()).is_some() {
                return Err(NeedError::ServiceAuth);
            }
        }
        let aud = aud.filter(|aud| !aud.is_empty()).ok_or(NeedError::ServiceAuth)?;
        match lxm.as_deref() {
            None | Some("" | "*") => Ok(Need::AnyMethod(aud)),
            Some(lxm) => match Nsid::parse(lxm) {
                Ok(lxm) => Ok(Need::Service(lxm, aud)),
                Err(_) => Err(NeedError::ServiceAuth),
            },
        }
    }
}
