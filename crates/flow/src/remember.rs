//! Consent that need not be asked for again.
//!
//! A person may say that the next sign-in to the same app, with the same account and for no more than now,
//! needs no question of ours; their own server still has to say that it is them. That takes an app which nobody
//! else can be: its answers go to an https address. Any app on a device can claim a loopback address or a
//! private scheme (RFC 8252 section 8.6), so there the question is asked each time.

use causeway_domain::client::Client;
use causeway_domain::client_document::ClientOrigin;
use causeway_domain::scope::{OwnScope, ScopeValue};
use causeway_domain::{Prompt, Scope};
use url::Url;

use causeway_domain::grant::AuthRequest;
use causeway_domain::redirect_uri::is_loopback;

/// Seconds for which consent is remembered.
pub(crate) const REMEMBERED_SECONDS: i64 = 180 * 86_400;

/// Whether nobody but whom it belongs to gets what is sent there: a web address that is not this device's.
pub(crate) fn is_its_own(redirect_uri: &str) -> bool {
    Url::parse(redirect_uri).is_ok_and(|url| url.scheme() == "https" && !is_loopback(&url))
}

/// Whether consent to this may be remembered at all.
pub(crate) fn may_be_remembered(client: &Client, redirect_uri: &str, scope: &Scope) -> bool {
    // Acting without the person is agreed to each time. What is in a permission set may grow.
    let each_time = |value: &ScopeValue| {
        matches!(value, ScopeValue::Own(OwnScope::BackgroundAccess) | ScopeValue::Include(_))
    };
    let anybody = matches!(client.origin, ClientOrigin::Loopback { .. });
    is_its_own(redirect_uri) && !anybody && !scope.iter().any(each_time)
}

/// Whether what is remembered may answer this request. Never for a device: whoever typed its code may not be
/// whoever holds it.
pub(crate) fn may_answer(client: &Client, request: &AuthRequest, scope: &Scope) -> bool {
    request.device_code.is_none()
        && !request.prompt.contains(Prompt::Consent)
        && may_be_remembered(client, &request.redirect_uri, scope)
}

#[cfg(test)]
mod tests {
    use causeway_domain::client::ClientMetadata;
    use causeway_domain::{ClientId, TenantId, Timestamp};

    use super::*;

    fn client(origin: ClientOrigin) -> Client {
        let redirect_uris = vec!["https://app.example/cb".to_owned()];
        let metadata = ClientMetadata { redirect_uris, ..ClientMetadata::default() };
        let (id, tenant) = (ClientId::new("c"), TenantId::default_tenant());
        Client { origin, ..metadata.validate().unwrap().into_client(id, tenant, None, Timestamp(0)) }
    }

    #[test]
    fn only_where_nobody_else_can_be_the_app() {
        let may = |redirect_uri, scope| {
            may_be_remembered(&client(ClientOrigin::Registered), redirect_uri, &Scope::parse(scope).unwrap())
        };
        assert!(may("https://app.example/cb", "atproto openid transition:generic"));
        for redirect_uri in [
            "http://127.0.0.1:3000/cb",
            "http://[::1]/cb",
            "http://localhost/cb",
            "https://localhost/cb",
            "https://127.0.0.1/cb",
            "com.example.app:/cb",
            "nonsense",
        ] {
            assert!(!may(redirect_uri, "atproto"), "{redirect_uri}");
        }
        for scope in ["atproto background_access", "atproto include:a.b.auth"] {
            assert!(!may("https://app.example/cb", scope), "{scope}");
        }
        let anybody = client(ClientOrigin::Loopback { checked_at: Timestamp(0) });
        assert!(!may_be_remembered(&anybody, "https://app.example/cb", &Scope::atproto()));
    }
}
