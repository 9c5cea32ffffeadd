//! Clients: registered applications, and what they may do.

mod access_format;
mod demands;
mod display_name;
mod document;
mod entitlement;
mod keys;
mod left_out;
mod logout;
mod member_values;
pub mod members;
mod metadata;
mod metadata_error;
mod operator_members;
mod origin;
mod pkce_policy;
mod registered;
mod replay_key;
mod terms;
mod validate;
mod web_address;

pub use self::access_format::JWT_SECONDS;
pub use self::document::{ClientDocumentError, ClientName, read_document};
pub use self::entitlement::{Entitlement, Entitlements};
pub use self::logout::LogoutMetadataError;
pub use self::member_values::{AccessTokenFormat, DpopNoncePolicy, SubjectType};
pub use self::metadata::{ClientMetadata, ValidClientMetadata};
pub use self::metadata_error::ClientMetadataError;
pub use self::origin::ClientOrigin;
pub use self::pkce_policy::PkcePolicy;
pub use self::registered::Client;
pub use self::replay_key::ReplayKey;
pub use self::terms::{ClientTerms, ClientTermsError};
