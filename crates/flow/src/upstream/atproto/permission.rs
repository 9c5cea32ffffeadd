//! Permission checks of a call, against our token's scope and what the authorization server granted.

use causeway_domain::resource::xrpc::{Need, Writes, XrpcCall, missing};
use causeway_types::scope::Service;
use causeway_types::{Nsid, Scope};

use crate::authorization::scopes::with_atproto;
use crate::upstream::relay::error::RelayError;
use crate::upstream::relay::request::{PROXY, RelayBody, RelayRequest};

/// Refuses a call that either scope does not allow. Removes `atproto-proxy` from one that is not for a
/// service.
pub(super) fn check(token: &Scope, session: &Scope, request: &mut RelayRequest) -> Result<(), RelayError> {
    let proxy = match request.header(PROXY) {
        None => None,
        Some(value) => Some(value.and_then(Service::parse).ok_or(RelayError::Proxy)?),
    };
    // Only the authorization server can resolve a permission set: it granted the contents.
    let mut own = with_atproto(token);
    token.resolved_by(session).iter().for_each(|value| own.insert(value.clone()));
    let scopes = [own, session.clone()];
    let mut call = XrpcCall {
        nsid: request.nsid()?,
        query: &request.query,
        proxy: proxy.as_ref(),
        content_type: request.header("content-type").flatten(),
        writes: None,
    };
    let may_be_proxied = call.may_be_proxied();
    if let Err(refused) = both_allow(&scopes, &call) {
        if !Writes::are_in(call.nsid) {
            return Err(refused);
        }
        // Not every write is allowed, but perhaps those in the body.
        let writes = read_writes(call.nsid, request)?;
        call.writes = Some(&writes);
        both_allow(&scopes, &call)?;
    }
    if !may_be_proxied {
        request.headers.retain(|(name, _)| *name != PROXY);
    }
    Ok(())
}

fn both_allow([token, session]: &[Scope; 2], call: &XrpcCall<'_>) -> Result<(), RelayError> {
    let lacking = |scope| Ok::<_, RelayError>(missing(scope, call)?.map(|need: Need| need.scope()));
    match lacking(token)? {
        Some(Some(scope)) => return Err(RelayError::TokenScope { scope }),
        Some(None) => return Err(RelayError::Never),
        None => {}
    }
    match lacking(session)? {
        Some(Some(scope)) => Err(RelayError::SessionScope { scope }),
        Some(None) => Err(RelayError::Never),
        None => Ok(()),
    }
}

/// Parses the writes in a body, if its form is one that every parser reads alike.
fn read_writes(nsid: &Nsid, request: &RelayRequest) -> Result<Writes, RelayError> {
    let content_type = request.header("content-type").flatten().unwrap_or_default();
    let encoding = request.header("content-encoding").map(Option::unwrap_or_default);
    if !is_plain_json(content_type) || encoding.is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        return Err(RelayError::NotPlain);
    }
    match &request.body {
        RelayBody::Whole(body) => Ok(Writes::read(nsid, body)?),
        RelayBody::Empty => Ok(Writes::read(nsid, b"")?),
        RelayBody::Stream { .. } | RelayBody::Spent => Err(RelayError::TooLong),
    }
}

/// `application/json`, in UTF-8 if it says so.
fn is_plain_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    json && parts.all(|part| match part.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        Some(_) => false,
        None => part.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use causeway_outbound::Method;

    use super::*;
    use causeway_outbound::header::HeaderName;

    use crate::upstream::relay::request::{RelayTarget, Repeats, Waits};

    const BODY: &str = r#"{"collection":"a.b.c","record":{}}"#;

    fn request(nsid: &str, headers: &[(&'static str, &str)]) -> RelayRequest {
        RelayRequest {
            method: Method::POST,
            target: RelayTarget::Xrpc(Nsid::parse(nsid).unwrap()),
            query: String::new(),
            headers: headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), value.as_bytes().to_vec()))
                .collect(),
            body: RelayBody::Whole(BODY.into()),
            repeats: Repeats::Any,
            waits: Waits::Usual,
        }
    }

    fn create(headers: &[(&'static str, &str)]) -> RelayRequest {
        request("com.atproto.repo.createRecord", headers)
    }

    fn checked(token: &str, session: &str, mut request: RelayRequest) -> Result<RelayRequest, RelayError> {
        let scope = |text| Scope::parse(text).unwrap();
        check(&scope(token), &scope(session), &mut request).map(|()| request)
    }

    #[test]
    fn both_scopes_count() {
        let json = [("content-type", "application/json")];
        let outcome = |token, session| match checked(token, session, create(&json)) {
            Ok(_) => "allowed".to_owned(),
            Err(RelayError::TokenScope { scope }) => format!("token lacks {scope}"),
            Err(RelayError::SessionScope { scope }) => format!("session lacks {scope}"),
            Err(error) => panic!("{error}"),
        };
        let (generic, own) = ("atproto transition:generic", "atproto repo:a.b.c");
        assert_eq!(outcome(generic, generic), "allowed");
        assert_eq!(outcome(own, generic), "allowed");
        assert_eq!(outcome("atproto", generic), "token lacks repo:a.b.c?action=create");
        assert_eq!(outcome(generic, "atproto"), "session lacks repo:a.b.c?action=create");
        assert_eq!(outcome("atproto include:a.b.auth", own), "allowed", "the PDS says what is in the set");
        assert_eq!(outcome("atproto include:x.y.auth", own), "token lacks repo:a.b.c?action=create");
    }

    /// `openid` identifies the user to a client as `atproto` does; a PDS knows only the latter.
    #[test]
    fn openid_is_as_good_as_atproto() {
        let own = "repo:a.b.c";
        for (token, allowed) in [("openid", true), ("atproto", true), ("profile", false)] {
            let request = create(&[("content-type", "application/json")]);
            let outcome = checked(&format!("{token} {own}"), &format!("atproto {own}"), request);
            assert_eq!(outcome.is_ok(), allowed, "{token}");
        }
        let session_lacks =
            checked("atproto repo:a.b.c", "openid", create(&[("content-type", "application/json")]));
        assert!(session_lacks.is_err(), "a PDS never grants it");
    }

    /// A body that another parser might read differently is not parsed at all.
    #[test]
    fn a_body_that_must_be_read_is_plain() {
        let own = "atproto repo:a.b.c";
        for good in ["application/json", "Application/JSON; charset=\"UTF-8\"", "application/json;"] {
            assert!(checked(own, own, create(&[("content-type", good)])).is_ok(), "{good}");
        }
        let plain = ("content-type", "application/json");
        for bad in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/json; charset=utf-7")],
            &[("content-type", "application/json; charset=utf-16")],
            &[plain, ("content-encoding", "gzip")],
        ] {
            assert!(matches!(checked(own, own, create(bad)), Err(RelayError::NotPlain)), "{bad:?}");
            let all = "atproto transition:generic";
            assert!(checked(all, all, create(bad)).is_ok(), "nothing depends on it: {bad:?}");
        }
        let long = RelayRequest { body: RelayBody::Spent, ..create(&[plain]) };
        assert!(matches!(checked(own, own, long), Err(RelayError::TooLong)));
    }

    #[test]
    fn a_proxy_is_for_services() {
        let proxied = |nsid| {
            let headers = [("atproto-proxy", "did:web:api.bsky.app#bsky_appview")];
            let all = "atproto transition:generic";
            checked(all, all, request(nsid, &headers)).unwrap().header(PROXY).is_some()
        };
        assert!(proxied("app.bsky.feed.getTimeline"));
        assert!(!proxied("com.atproto.repo.createRecord"));
        for bad in ["did:web:api.bsky.app", "bsky_appview", "did:web:a.example#b, did:web:a.example#c", ""] {
            let refused = checked("atproto", "atproto", request("a.b.c", &[("atproto-proxy", bad)]));
            assert!(matches!(refused, Err(RelayError::Proxy)), "{bad}");
        }
    }
}
