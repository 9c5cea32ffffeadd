//! Providers of the kind `form`: sites that know a sign-in form and cookies, as their [definitions](causeway_providers)
//! describe them.

mod binding;
mod call;
mod connect;
mod kept;

use std::sync::Arc;
use std::time::Duration;

use causeway_domain::Clock;
use causeway_domain::session::{Credentials, SessionHead, UpstreamAccess};
use causeway_providers::form::{SiteClient, SiteSession};
use causeway_providers::{Catalog, Definition, Form, Kind, Provider};
use causeway_types::Rng;

use crate::error::Internal;
use crate::parts::CtxParts;
use crate::upstream::oauth2::registrations::Registrations;
use crate::upstream::traits::Upstream;

/// How long a site may take to answer one request.
const DEADLINE: Duration = Duration::from_secs(30);

/// A provider of the kind `form`.
#[derive(Debug)]
pub(crate) struct FormProvider {
    name: String,
    definition: Definition,
    client: SiteClient,
    registrations: Registrations,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

/// The implementations of the catalog's providers of this kind, by name.
pub(crate) fn providers(
    parts: &CtxParts,
    catalog: &Catalog,
    registrations: &Registrations,
) -> Vec<(String, Arc<dyn Upstream>)> {
    let client = SiteClient::new(parts.outbound.clone(), Arc::clone(&parts.clock), DEADLINE);
    let of = |provider: &Provider| -> Option<(String, Arc<dyn Upstream>)> {
        let Kind::Form(_) = &provider.definition.kind else { return None };
        let name = provider.name.as_str().to_owned();
        let kept = FormProvider {
            name: name.clone(),
            definition: provider.definition.clone(),
            client: client.clone(),
            registrations: registrations.clone(),
            clock: Arc::clone(&parts.clock),
            rng: Arc::clone(&parts.rng),
        };
        Some((name, Arc::new(kept)))
    };
    catalog.iter().filter_map(of).collect()
}

impl FormProvider {
    /// The definition's part for the site.
    fn form(&self) -> Result<&Form, Internal> {
        match &self.definition.kind {
            Kind::Form(form) => Ok(form),
            _ => Err(Internal::Inconsistent("the provider is of another kind")),
        }
    }
}

/// The session at the site that credentials hold.
fn site_session(credentials: &Credentials) -> Result<SiteSession, Internal> {
    let UpstreamAccess::CookieJar(stored) = &credentials.access else {
        return Err(Internal::Inconsistent("the credentials are of another kind"));
    };
    SiteSession::read(stored).ok_or(Internal::Inconsistent("a session at a site cannot be read"))
}

/// The credentials with a session at the site.
fn with_session(credentials: &Credentials, session: &SiteSession) -> Result<Credentials, Internal> {
    let access =
        session.to_secret().ok_or(Internal::Inconsistent("a session at a site cannot be written"))?;
    Ok(Credentials { access: UpstreamAccess::CookieJar(access), ..credentials.clone() })
}

/// Names a session in log lines.
fn kind_of(head: &SessionHead) -> &'static str {
    head.kind.as_str()
}
