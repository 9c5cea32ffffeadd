//! Remembered consent.
//!
//! A user may choose to skip our consent page the next time they sign in to the same app, with the same
//! account and for no wider scope; their authorization server still authenticates them. This requires an app
//! that no other can impersonate: its answers go to an https address, and consent is remembered only for the
//! origin of that address, which the user saw; a client may have several, and may add others. Any app on a
//! device can claim a loopback address or a private scheme (RFC 8252 section 8.6), so there the user is asked
//! each time.

use causeway_domain::authorization::AuthRequest;
use causeway_domain::client::{Client, ClientOrigin};
use causeway_domain::session::SessionHead;
use causeway_store::AnyConnection;
use causeway_store::clients::consents::{self, Agreement};
use causeway_types::redirect_uri::is_local;
use causeway_types::scope::{OwnScope, ScopeValue};
use causeway_types::{Prompt, Scope};
use url::Url;

use crate::error::Internal;

/// Seconds for which consent is remembered.
pub(crate) const REMEMBERED_SECONDS: i64 = 180 * 86_400;

/// The origin of a redirect URI, if only its owner can receive what is sent there: an https address that is
/// neither local to this device nor one that means another machine in each network.
pub(crate) fn own_origin(redirect_uri: &str) -> Option<String> {
    let url = Url::parse(redirect_uri).ok()?;
    (url.scheme() == "https" && !is_local(&url)).then(|| url.origin().ascii_serialization())
}

/// The origin for which consent to this request may be remembered, if any. None for a device: whoever typed
/// its code need not be the one who holds the device.
pub(crate) fn origin_to_remember(client: &Client, request: &AuthRequest, scope: &Scope) -> Option<String> {
    match request.device_code {
        None => origin_that_counts(client, &request.redirect_uri, scope),
        Some(_) => None,
    }
}

/// The origin whose remembered consent may answer this request, if any.
pub(crate) fn origin_of_answer(client: &Client, request: &AuthRequest, scope: &Scope) -> Option<String> {
    origin_to_remember(client, request, scope).filter(|_| !request.prompt.contains(Prompt::Consent))
}

fn origin_that_counts(client: &Client, redirect_uri: &str, scope: &Scope) -> Option<String> {
    // Background access needs consent each time. The contents of a permission set may grow.
    let each_time = |value: &ScopeValue| {
        matches!(value, ScopeValue::Own(OwnScope::BackgroundAccess) | ScopeValue::Include(_))
    };
    let anybody = matches!(client.origin, ClientOrigin::Loopback { .. });
    own_origin(redirect_uri).filter(|_| !anybody && !scope.iter().any(each_time))
}

/// Deletes all remembered consent of this session's user to its client, for every origin.
pub(crate) fn forget(c: &mut AnyConnection, session: &SessionHead) -> Result<(), Internal> {
    let did = &session.atproto()?.did;
    let of = Agreement { tenant_id: &session.tenant_id, client_id: &session.client_id, did };
    consents::delete_consent(c, of)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use causeway_domain::client::ClientMetadata;
    use causeway_types::{
        AuthRequestId, BrowserSessionId, ClientId, PlainToken, Prompts, TenantId, Timestamp,
    };

    use super::*;
    use crate::authorization::new_request::ValidRequest;

    fn client(origin: ClientOrigin) -> Client {
        let redirect_uris = vec!["https://app.example/cb".to_owned()];
        let metadata = ClientMetadata { redirect_uris, ..ClientMetadata::default() };
        let (id, tenant) = (ClientId::new("c"), TenantId::default_tenant());
        Client { origin, ..metadata.validate().unwrap().into_client(id, tenant, None, Timestamp(0)) }
    }

    fn request(prompt: &str, device_code: Option<&str>) -> AuthRequest {
        let contents = ValidRequest {
            redirect_uri: "https://app.example/cb".to_owned(),
            scope: Scope::atproto(),
            prompt: Prompts::parse(prompt).unwrap(),
            ..ValidRequest::default()
        };
        let (client, browser) = (client(ClientOrigin::Registered), BrowserSessionId::new("b"));
        let mut request = contents.begin(AuthRequestId::new("r"), &client, &browser, Timestamp(0));
        request.device_code = device_code.map(|code| PlainToken::presented(code).hash());
        request
    }

    #[test]
    fn not_for_a_device_nor_when_the_question_is_asked_for() {
        let (client, scope) = (client(ClientOrigin::Registered), Scope::atproto());
        for (prompt, device_code, remembers, answers) in [
            ("", None, true, true),
            ("login", None, true, true),
            ("consent", None, true, false),
            ("", Some("d"), false, false),
        ] {
            let request = request(prompt, device_code);
            assert_eq!(origin_to_remember(&client, &request, &scope).is_some(), remembers, "{prompt}");
            assert_eq!(origin_of_answer(&client, &request, &scope).is_some(), answers, "{prompt}");
        }
    }

    #[test]
    fn only_where_nobody_else_can_be_the_app() {
        let may = |redirect_uri, scope| {
            let client = client(ClientOrigin::Registered);
            origin_that_counts(&client, redirect_uri, &Scope::parse(scope).unwrap())
        };
        let scope = "atproto openid transition:generic";
        for (redirect_uri, origin) in [
            ("https://app.example/cb", "https://app.example"),
            ("https://App.example:443/other", "https://app.example"),
            ("https://app.example:8443/cb", "https://app.example:8443"),
            ("https://www.app.example/cb", "https://www.app.example"),
        ] {
            assert_eq!(may(redirect_uri, scope).as_deref(), Some(origin), "{redirect_uri}");
        }
        for redirect_uri in [
            "http://127.0.0.1:3000/cb",
            "http://[::1]/cb",
            "http://localhost/cb",
            "https://localhost/cb",
            "https://127.0.0.1/cb",
            "com.example.app:/cb",
            "nonsense",
        ] {
            assert_eq!(may(redirect_uri, "atproto"), None, "{redirect_uri}");
        }
        for scope in ["atproto background_access", "atproto include:a.b.auth"] {
            assert_eq!(may("https://app.example/cb", scope), None, "{scope}");
        }
        let anybody = client(ClientOrigin::Loopback { checked_at: Timestamp(0) });
        assert_eq!(origin_that_counts(&anybody, "https://app.example/cb", &Scope::atproto()), None);
    }
}
