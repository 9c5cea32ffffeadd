//! The client of a request that it makes for itself, and the tenant that it acts in.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderName};
use causeway_domain::client::Client;
use causeway_flow::client::authenticated;
use causeway_flow::connection::tenant_client::TenantClient;
use causeway_flow::resource::access::AccessRequest;
use causeway_flow::resource::client_access;
use causeway_types::ErrorCode;

use crate::error::ApiError;
use crate::http::credentials::{Presented, access_token, client_credentials};
use crate::http::form::Params;
use crate::http::proof::Proofs;
use crate::state::AppState;

const CAUSEWAY_TENANT: HeaderName = HeaderName::from_static("causeway-tenant");

/// An authenticated client.
pub(crate) struct Identified {
    /// The client.
    pub(crate) client: Arc<Client>,
    /// The nonce that goes with the answer, if this client's proofs need one.
    pub(crate) dpop_nonce: Option<String>,
}

/// An authenticated client in one of its tenants.
pub(crate) struct Entered {
    /// The client and the tenant.
    pub(crate) client: TenantClient,
    /// The nonce that goes with the answer, if this client's proofs need one.
    pub(crate) dpop_nonce: Option<String>,
}

/// Authenticates the client itself: by HTTP Basic, or by an access token that was issued to it by the client credentials
/// grant. A user's token is refused.
pub(crate) async fn require_client(req: &HttpRequest, state: &AppState) -> Result<Identified, ApiError> {
    let proofs = Proofs::of(req, state.ctx.issuer());
    if is_basic(req) {
        let credentials = client_credentials(req, &mut Params::default())?;
        let authenticated =
            authenticated::identify_confidential(&state.ctx, &credentials, &proofs.request()).await?;
        return Ok(Identified { client: authenticated.client, dpop_nonce: authenticated.dpop_nonce });
    }
    let (scheme, token) = match access_token(req, None) {
        Presented::Nothing => return Err(ApiError::no_client()),
        Presented::Malformed(problem) => return Err(ApiError::malformed_token(problem)),
        Presented::Token(scheme, token) => (scheme, token),
    };
    let request = AccessRequest { token, scheme, proof: proofs.request() };
    let verified = client_access::verify(&state.ctx, &request).await;
    let bearer = verified.map_err(|error| ApiError::access(&error, scheme))?;
    Ok(Identified { client: bearer.client, dpop_nonce: bearer.dpop_nonce })
}

/// Authenticates the client itself, and lets it into the tenant that `Causeway-Tenant` names, or into its own.
pub(crate) async fn require_tenant_client(req: &HttpRequest, state: &AppState) -> Result<Entered, ApiError> {
    let Identified { client, dpop_nonce } = require_client(req, state).await?;
    match enter(req, state, client).await {
        Ok(client) => Ok(Entered { client, dpop_nonce }),
        Err(error) => Err(error.with_nonce(dpop_nonce)),
    }
}

async fn enter(req: &HttpRequest, state: &AppState, client: Arc<Client>) -> Result<TenantClient, ApiError> {
    let mut named = req.headers().get_all(CAUSEWAY_TENANT);
    let (first, second) = (named.next(), named.next());
    let text = first.map(|name| name.to_str().ok()).map_or(Some(None), |name| name.map(Some));
    let (Some(named), None) = (text, second) else {
        let text = "Causeway-Tenant must be the identifier of one tenant";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, text));
    };
    Ok(TenantClient::enter(&state.ctx, client, named).await?)
}

fn is_basic(req: &HttpRequest) -> bool {
    let mut headers = req.headers().get_all(AUTHORIZATION).filter_map(|value| value.to_str().ok());
    headers.any(|value| value.split(' ').next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic")))
}
