//! Whether a scope allows a call.

use causeway_types::Scope;
use causeway_types::scope::{Audience, ScopeValue};

use super::{Need, NeedError, XrpcCall};

/// Whether a scope allows a call, as a PDS would decide it.
pub fn permits(granted: &Scope, call: &XrpcCall<'_>) -> bool {
    missing(granted, call) == Ok(None)
}

/// The first permission that a call needs and a scope does not grant; `None` when it grants all.
///
/// # Errors
/// [`NeedError`] when the permissions that the call needs cannot be determined.
pub fn missing(granted: &Scope, call: &XrpcCall<'_>) -> Result<Option<Need>, NeedError> {
    let needs = call.needs()?;
    Ok(std::iter::once(Need::Atproto).chain(needs).find(|need| !allows(granted, need)))
}

fn allows(granted: &Scope, need: &Need) -> bool {
    match need {
        Need::Atproto => granted.has(&ScopeValue::Atproto),
        Need::Record(action, collection) => granted.permits_repo(*action, collection),
        Need::AnyRecord(_) => need
            .scope()
            .and_then(|scope| ScopeValue::parse(&scope).ok())
            .is_some_and(|value| granted.covers(&value)),
        Need::Blob(media_type) => granted.permits_blob(media_type),
        Need::Service(method, service) => granted.permits_rpc(method, service),
        // Which service that is only the PDS knows, but not in which role.
        Need::DefaultService(method, role) => {
            let in_role = |audience: &Audience| match audience {
                Audience::Any => true,
                Audience::Only(service) => service.parts().1 == *role,
            };
            let named = granted.iter().any(|own| match own {
                ScopeValue::Rpc(own) => own.methods().contains(method) && in_role(own.audience()),
                _ => false,
            });
            named || granted.permits_rpc(method, "")
        }
        Need::AnyMethod(service) => granted.permits_any_rpc(service),
        Need::Account(attr, action) => granted.permits_account(*attr, *action),
        Need::Identity(attr) => granted.permits_identity(*attr),
        Need::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use causeway_types::Nsid;
    use causeway_types::scope::Service;

    use super::super::Writes;
    use super::*;

    const APPVIEW: &str = "did:web:api.bsky.app#bsky_appview";
    const GENERIC: &str = "atproto transition:generic";

    struct Call<'a> {
        nsid: &'a str,
        query: &'a str,
        proxy: Option<&'a str>,
        content_type: Option<&'a str>,
        body: Option<&'a str>,
    }

    fn call(nsid: &str) -> Call<'_> {
        Call { nsid, query: "", proxy: None, content_type: None, body: None }
    }

    /// The permission that the scope lacks, as text; empty: none.
    fn lacks(scope: &str, call: &Call<'_>) -> String {
        let nsid = Nsid::parse(call.nsid).unwrap();
        let proxy = call.proxy.map(|proxy| Service::parse(proxy).unwrap());
        let writes = call.body.map(|body| Writes::read(&nsid, body.as_bytes()).unwrap());
        let call = XrpcCall {
            nsid: &nsid,
            query: call.query,
            proxy: proxy.as_ref(),
            content_type: call.content_type,
            writes: writes.as_ref(),
        };
        let scope = Scope::parse(scope).unwrap();
        let missing = missing(&scope, &call).unwrap();
        assert_eq!(permits(&scope, &call), missing.is_none());
        missing.map_or_else(String::new, |need| need.to_string())
    }

    #[test]
    fn reads_need_atproto_alone() {
        for nsid in [
            "com.atproto.repo.getRecord",
            "com.atproto.repo.listRecords",
            "com.atproto.repo.describeRepo",
            "com.atproto.sync.getRepo",
            "com.atproto.sync.getBlob",
            "com.atproto.server.getSession",
            "com.atproto.identity.resolveHandle",
        ] {
            assert_eq!(lacks("atproto", &call(nsid)), "", "{nsid}");
            assert_eq!(lacks("openid", &call(nsid)), "atproto", "{nsid}");
        }
    }

    #[test]
    fn records_by_collection_and_action() {
        let create = |body| Call { body, ..call("com.atproto.repo.createRecord") };
        let post = Some(r#"{"repo":"x","collection":"app.bsky.feed.post","record":{"collection":1}}"#);
        assert_eq!(lacks("atproto", &create(post)), "repo:app.bsky.feed.post?action=create");
        assert_eq!(lacks("atproto repo:app.bsky.feed.post", &create(post)), "");
        assert_eq!(lacks("atproto repo:app.bsky.feed.post", &create(None)), "repo:*?action=create");
        assert_eq!(lacks("atproto repo:*?action=create", &create(None)), "");
        assert_eq!(lacks(GENERIC, &create(None)), "");

        let put = Call { body: post, ..call("com.atproto.repo.putRecord") };
        assert_eq!(lacks("atproto repo:*?action=create", &put), "repo:app.bsky.feed.post?action=update");
        let delete = Call { body: post, ..call("com.atproto.repo.deleteRecord") };
        assert_eq!(lacks("atproto repo:*?action=create", &delete), "repo:app.bsky.feed.post?action=delete");

        let writes = r#"{"writes":[
            {"$type":"com.atproto.repo.applyWrites#create","collection":"a.b.c","value":{}},
            {"$type":"com.atproto.repo.applyWrites#delete","collection":"a.b.d","rkey":"x"}]}"#;
        let apply = Call { body: Some(writes), ..call("com.atproto.repo.applyWrites") };
        assert_eq!(lacks("atproto repo:a.b.c", &apply), "repo:a.b.d?action=delete");
        assert_eq!(lacks("atproto repo:a.b.c?action=create repo:a.b.d?action=delete", &apply), "");
    }

    /// A PDS finds its methods without regard to case: so does the decision.
    #[test]
    fn no_way_around_by_spelling() {
        let everything =
            "atproto rpc:*?aud=did:web:api.bsky.app%23bsky_appview rpc:com.atproto.repo.CREATERECORD?aud=*";
        for nsid in ["com.atproto.repo.CREATERECORD", "COM.atproto.Repo.createRecord"] {
            assert_eq!(lacks(everything, &call(nsid)), "repo:*?action=create", "{nsid}");
            let proxied = Call { proxy: Some(APPVIEW), ..call(nsid) };
            assert_eq!(lacks(everything, &proxied), "repo:*?action=create", "{nsid}");
        }
        assert_eq!(lacks(everything, &call("com.atproto.Admin.deleteAccount")), "no scope allows it");
        assert_eq!(lacks(everything, &call("com.atproto.SERVER.createSession")), "no scope allows it");
        assert_eq!(lacks(GENERIC, &call("Com.atproto.identity.signPlcOperation")), "identity:*");
        for chat in ["CHAT.bsky.convo.listConvos", "chat.Bsky.convo.listConvos"] {
            assert_eq!(lacks(GENERIC, &call(chat)), format!("rpc:{chat}?aud=*"));
            let proxied = Call { proxy: Some("did:web:api.bsky.chat#bsky_chat"), ..call(chat) };
            assert_eq!(lacks(GENERIC, &proxied), format!("rpc:{chat}?aud=did:web:api.bsky.chat%23bsky_chat"));
            assert_eq!(lacks("atproto transition:chat.bsky", &call(chat)), "");
            assert_eq!(lacks("atproto rpc:chat.bsky.convo.listConvos?aud=*", &call(chat)), "");
        }
        let labeler = "atproto rpc:tools.ozone.moderation.getEvent?aud=did:web:mod.example%23atproto_labeler";
        assert_eq!(lacks(labeler, &call("TOOLS.ozone.moderation.GETEVENT")), "", "the same service, too");
    }

    #[test]
    fn blobs_by_media_type() {
        let upload = |content_type| Call { content_type, ..call("com.atproto.repo.uploadBlob") };
        assert_eq!(lacks("atproto blob:image/*", &upload(Some("image/png"))), "");
        assert_eq!(lacks("atproto blob:image/*", &upload(Some("video/mp4"))), "blob:video/mp4");
        assert_eq!(lacks("atproto blob:image/*", &upload(None)), "blob:*/*");
        assert_eq!(lacks(GENERIC, &upload(Some("video/mp4"))), "");
    }

    #[test]
    fn services_by_method_and_audience() {
        let timeline = "app.bsky.feed.getTimeline";
        let proxied = Call { proxy: Some(APPVIEW), ..call(timeline) };
        let own = "atproto rpc:app.bsky.feed.getTimeline?aud=did:web:api.bsky.app%23bsky_appview";
        let other = "atproto rpc:app.bsky.feed.getTimeline?aud=did:web:other.example%23bsky_labeler";
        assert_eq!(lacks(own, &proxied), "");
        assert_eq!(lacks(own, &call(timeline)), "", "the PDS chooses a service in this role");
        assert_eq!(lacks(other, &call(timeline)), "rpc:app.bsky.feed.getTimeline?aud=*");
        assert_eq!(lacks(other, &proxied), own.trim_start_matches("atproto "));
        assert_eq!(lacks("atproto rpc:app.bsky.feed.getTimeline?aud=*", &proxied), "");
        assert_eq!(lacks(GENERIC, &call(timeline)), "");
        let message = call("chat.bsky.convo.sendMessage");
        assert_eq!(lacks(GENERIC, &message), "rpc:chat.bsky.convo.sendMessage?aud=*");
        assert_eq!(lacks("atproto transition:generic transition:chat.bsky", &message), "");
        let report = call("com.atproto.moderation.createReport");
        let labeler =
            "atproto rpc:com.atproto.moderation.createReport?aud=did:web:mod.example%23atproto_labeler";
        assert_eq!((lacks(labeler, &report), lacks(GENERIC, &report)), (String::new(), String::new()));
    }

    #[test]
    fn service_tokens_by_what_they_are_for() {
        let nsid = Nsid::parse("com.atproto.server.getServiceAuth").unwrap();
        let scope = |text| Scope::parse(text).unwrap();
        let asked = |query| XrpcCall { nsid: &nsid, query, proxy: None, content_type: None, writes: None };
        let feed = scope("atproto rpc:a.b.c?aud=did:web:x.example%23svc");
        assert!(permits(&feed, &asked("aud=did:web:x.example%23svc&lxm=a.b.c&exp=1")));
        assert!(!permits(&feed, &asked("aud=did:web:x.example&lxm=a.b.c")));
        assert!(!permits(&feed, &asked("aud=did:web:x.example%23svc&lxm=a.b.d")));
        let lacks = |query| missing(&feed, &asked(query)).unwrap().unwrap().to_string();
        assert_eq!(lacks("aud=did:web:x.example%23svc"), "rpc:*?aud=did:web:x.example%23svc");
        assert_eq!(
            lacks("aud=%22%0d%0a"),
            "transition:generic",
            "nothing of the query that a header cannot hold"
        );
        assert!(permits(&scope(GENERIC), &asked("aud=did:web:x.example")));
        for chat in [
            "aud=did:web:x.example&lxm=chat.bsky.a.b",
            "aud=did:web:x.example&lxm=CHAT.bsky.a.b",
            "aud=did:web:x.example&lxm=chat.BSKY.a.B",
        ] {
            assert!(!permits(&scope(GENERIC), &asked(chat)), "{chat}");
        }
        assert!(permits(&feed, &asked("aud=did:web:x.example%23svc&lxm=A.b.C")));
        for hidden in
            ["", "lxm=a.b.c", "aud=a&aud=b", "aud=a&lxm=a.b.c&lxm=a.b.d", "aud=a&lxm[]=a.b.c", "aud=a&lxm=x"]
        {
            assert_eq!(missing(&scope(GENERIC), &asked(hidden)), Err(NeedError::ServiceAuth), "{hidden}");
        }
    }

    #[test]
    fn account_and_identity() {
        for (nsid, scope) in [
            ("com.atproto.server.requestEmailUpdate", "account:email?action=manage"),
            ("com.atproto.server.deactivateAccount", "account:status?action=manage"),
            ("com.atproto.repo.importRepo", "account:repo?action=manage"),
            ("com.atproto.identity.updateHandle", "identity:handle"),
            ("com.atproto.identity.signPlcOperation", "identity:*"),
        ] {
            assert_eq!(lacks(GENERIC, &call(nsid)), scope, "{nsid}");
            assert_eq!(lacks(&format!("atproto {scope}"), &call(nsid)), "", "{nsid}");
        }
        for nsid in [
            "com.atproto.server.createAppPassword",
            "com.atproto.server.createSession",
            "com.atproto.server.refreshSession",
            "com.atproto.server.deleteAccount",
            "com.atproto.admin.sendEmail",
        ] {
            assert_eq!(
                lacks("atproto transition:generic identity:* repo:*", &call(nsid)),
                "no scope allows it"
            );
        }
    }

    #[test]
    fn what_a_pds_serves_itself_is_not_proxied() {
        let may = |nsid| {
            let nsid = Nsid::parse(nsid).unwrap();
            XrpcCall { nsid: &nsid, query: "", proxy: None, content_type: None, writes: None }
                .may_be_proxied()
        };
        assert!(!may("com.atproto.repo.getRecord") && !may("com.atproto.Server.getSession"));
        assert!(may("app.bsky.feed.getTimeline") && may("com.atproto.moderation.createReport"));
    }
}
