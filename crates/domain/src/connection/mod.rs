//! Connections: a user's access at any provider, kept on behalf of a tenant's clients.

mod access;
mod connect_session;
mod credential;
mod head;
mod identity;
mod registration;
mod tasks;
mod tenant;
mod work;

pub use self::access::{ConnectionAccess, GrantedBy};
pub use self::connect_session::{
    CONNECT_CODE_SECONDS, CONNECT_SESSION_SECONDS, ConnectOutcome, ConnectSession, MOST_SIGN_INS,
    PENDING_SECONDS, PendingConnection,
};
pub use self::credential::{CredentialOwner, CredentialRecord};
pub use self::head::{Connection, LastError, Slot};
pub use self::identity::{ManagedAccount, SocialIdentity};
pub use self::registration::{Registration, RegistrationOrigin, RegistrationState};
pub use self::tasks::{GarbledTasks, read_tasks};
pub use self::tenant::Tenant;
pub use self::work::{Erasure, WorkItem, WorkKind};
