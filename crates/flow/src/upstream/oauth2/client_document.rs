//! Registrations by a document of ours: its address is our `client_id` (OAuth Client ID Metadata Document). Nothing is sent:
//! the server fetches it when it first meets the `client_id`.

use causeway_domain::connection::{Registration, RegistrationOrigin, RegistrationState};
use causeway_providers::Registration as Means;
use causeway_types::{RegistrationId, TokenEndpointAuthMethod, UpstreamClientId};
use url::{Host, Url};

use super::OauthProvider;
use super::registrations::{issuer_of, registration_redirect_uri};
use super::servers::Server;

/// The address of the document of a registration.
pub(crate) fn document_address(issuer: &str, registration_id: &RegistrationId) -> String {
    format!("{issuer}/connect/clients/{registration_id}.json")
}

/// Whether servers elsewhere can fetch a document of ours: we are public, under https.
pub(crate) fn is_public(issuer: &str) -> bool {
    let Ok(url) = Url::parse(issuer) else { return false };
    let is_name = match url.host() {
        Some(Host::Domain(host)) => {
            host != "localhost" && !host.ends_with(".localhost") && host.contains('.')
        }
        _ => false,
    };
    url.scheme() == "https" && is_name
}

impl OauthProvider {
    /// A registration by a document, where the server takes one and can fetch it.
    pub(super) fn document(&self, server: &Server, issuer: &str) -> Option<Registration> {
        let ours = self.registrations.our_issuer();
        let is_dynamic = matches!(self.oauth()?.registration, Means::Dynamic);
        if !(is_dynamic && server.takes_documents && is_public(ours)) {
            return None;
        }
        let registration_id = RegistrationId::random(&*self.rng);
        let now = self.clock.now();
        Some(Registration {
            provider: self.name.clone(),
            issuer: issuer_of(&self.definition, issuer),
            origin: RegistrationOrigin::Document,
            client_id: UpstreamClientId::new(document_address(ours, &registration_id)),
            client_secret: None,
            next_secret: None,
            token_endpoint_auth_method: TokenEndpointAuthMethod::None,
            redirect_uri: registration_redirect_uri(ours, &registration_id),
            registration_access_token: None,
            registration_client_uri: None,
            state: RegistrationState::Active,
            created_at: now,
            updated_at: now,
            expires_at: None,
            registration_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_offered_where_it_can_be_fetched() {
        for (issuer, is_offered) in [
            ("https://auth.example", true),
            ("https://auth.example:8443", true),
            ("http://auth.example", false),
            ("https://localhost", false),
            ("https://auth.localhost", false),
            ("https://auth", false),
            ("https://127.0.0.1", false),
            ("https://[::1]", false),
        ] {
            assert_eq!(is_public(issuer), is_offered, "{issuer}");
        }
    }
}
