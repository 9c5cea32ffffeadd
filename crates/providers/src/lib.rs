//! Providers: the upstreams other than AT Protocol servers at which users have accounts.
//!
//! A provider is described by a *definition*, a TOML file: its addresses, what it expects in requests and says in
//! answers, how its credentials are renewed and end, and which of its API may be called. [`Catalog`] holds the built-in
//! definitions and those of the operator, [`Definition`] is one of them after every check. [`oauth`] speaks to providers
//! as their definitions say, and [`relay`] decides about calls of their APIs. The crate knows no database.
//!
//! A file is read in two steps, and the problems of both are reported together, each with its line, its key and the fix:
//!
//! 1. `read` turns it into structs that mirror the file (`Raw…`). Their fields are checked values already
//!    (`values`): a pointer, a template, a duration.
//! 2. `definition` turns those into types in which what makes no sense together cannot be written.
//!
//! ```
//! use causeway_providers::Catalog;
//!
//! let catalog = Catalog::load(None)?;
//! let google = catalog.find("google").unwrap();
//! assert_eq!(google.definition.title, "Google");
//! # Ok::<(), causeway_providers::CatalogError>(())
//! ```

mod builtin;
mod catalog;
mod check;
mod definition;
mod error;
mod fields;
mod json;
pub mod mcp;
mod nearest;
pub mod oauth;
mod read;
mod reference;
pub mod relay;
mod request;
mod rules;
mod schema;
pub mod signed_request;
#[cfg(test)]
mod testing;
mod values;

pub use catalog::{Catalog, CatalogError, Provider, Source};
pub use definition::Definition;
pub use definition::account::{Cursor, Identity, ManagedAccounts, Paging};
pub use definition::answer::{Answer, AnswerFields, AnswerFormat, Credential, Expiry, ExpiryUnit};
pub use definition::capture::{Capture, CaptureSource};
pub use definition::form::{Form, FormField, FormFieldType, FormRefresh, Prepare, PrepareValue, SignInStep};
pub use definition::key::{Key, KeyField, Verification};
pub use definition::kind::{Kind, KindName};
pub use definition::lifetime::Lifetime;
pub use definition::mcp::Mcp;
pub use definition::oauth::{
    Accounts, Discovery, Endpoints, Extras, Oauth2, OauthClient, Oidc, Pkce, Scopes,
};
pub use definition::parameter::{Parameter, ParameterValue};
pub use definition::refresh::{Refresh, RefreshRequest, Renewal, Rotation, TokenErrors};
pub use definition::registration::Registration;
pub use definition::relay::{DenyParameter, Inject, Relay, StripUrl, UrlPlace};
pub use definition::request::{
    AuthorizationRequest, ClientAuthentication, Exchange, RequestBody, TokenRequest,
};
pub use definition::revocation::{Reach, Revocation};
pub use definition::rule::{CredentialKind, Expectation, Rule, Test, WaitRule, WaitScope};
pub use error::{InvalidDefinition, Problem};
pub use fields::FieldValues;
pub use json::Document;
pub use reference::reference_markdown;
pub use request::{ProviderRequest, RequestError};
pub use schema::json_schema;
pub use values::fill::FillError;
pub use values::host::{HostPattern, HostSuffix};
pub use values::http::{HeaderName, Method, Status};
pub use values::name::{FieldName, ProviderName};
pub use values::path::PathTemplate;
pub use values::pattern::Pattern;
pub use values::pointer::{JsonPointer, JsonPointerPattern};
pub use values::scalar::Scalar;
pub use values::seconds::Seconds;
pub use values::template::Template;
pub use values::url_template::{OriginTemplate, UrlTemplate};
