//! Scopes as real PDSes have them.

use anyhow::{Context as _, Result};
use causeway_testkit::{Agent, PdsRelease, RealNet, TestApp, decide, scope_reference};
use causeway_types::scope::{AccountAction, AccountAttr, IdentityAttr, RepoAction, ScopeValue};
use causeway_types::{Nsid, Scope};
use serde_json::{Value, json};

use crate::support::on_each_network;

/// Values in every form, good and bad.
fn values() -> Vec<String> {
    let names = [
        "app.a.x",
        "app.a.sub.y",
        "chat.bsky.convo.z",
        "*",
        "app.a",
        "app.a.*",
        "a.b.c-d",
        "",
        "Com.Ex-ample.fooBar",
    ];
    let actions = [
        "",
        "action=create",
        "action=delete&action=create",
        "action=create&action=update&action=delete",
        "action=*",
        "actions=create",
        "action",
    ];
    let services = [
        "aud=*",
        "aud=did:web:a.example%23one",
        "aud=did:web:a.example#one",
        "aud=did:web:a.example",
        "",
        "aud=x%23y",
        "aud=did%3Aweb%3Aa.example%23one",
        "aud=did:plc:z72i7hdynmk6r22z27h6tvur%23s/x?y",
        "aud=did:web:a.example:path%23x",
        "aud=*&aud=*",
        "aud=did:key:zQ3sh%23x",
    ];
    let types =
        ["*/*", "image/*", "image/png", "Image/GIF", "image", "*/png", "*", "text/html/x", "image/svg+xml"];
    let mut values: Vec<String> = [
        "atproto",
        "transition:generic",
        "transition:email",
        "transition:chat.bsky",
        "transition:other",
        "transition",
        "account:email",
        "account:email?action=manage",
        "account?attr=repo&action=manage",
        "account:status",
        "account:other",
        "account:email?action=write",
        "account",
        "account:email?attr=email",
        "identity:handle",
        "identity:*",
        "identity:*?",
        "identity?attr=handle",
        "identity:keys",
        "identity",
        "identity:handle?x=y",
        "resource:positional?key=val",
        "repo",
        "rpc",
        "blob",
        "include",
        "repo:?collection=app.a.x",
        "repo:app%2Ea.x",
        "repo?collection=*&collection=app.a.x&action=update",
        "rpc?lxm=app.a.x&lxm=*&aud=did:web:a.example%23one",
        "blob?accept=image/png&accept=image/*&accept=text/html",
        "blob?accept=*/*&accept=image/png",
        "blob:image%2Fpng",
        "repo:app.a.x?&&action=create&",
    ]
    .map(str::to_owned)
    .to_vec();
    for name in names {
        for action in actions {
            values.push(format!("repo:{name}?{action}"));
            values.push(format!("repo?collection={name}&collection=app.a.x&{action}"));
        }
        for service in services {
            values.push(format!("rpc:{name}?{service}"));
            values.push(format!("rpc?{service}&lxm={name}&lxm=app.a.w"));
            values.push(format!("include:{name}?{service}"));
        }
    }
    for one in types {
        values.push(format!("blob:{one}"));
        let others = types.iter().filter(|other| **other != one);
        values.extend(others.map(|other| format!("blob?accept={one}&accept={other}")));
    }
    values
}

/// A question, and what a set says to it here.
type Question = (Value, Box<dyn Fn(&Scope) -> bool>);

fn questions() -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    for name in ["app.a.x", "app.a.w", "app.a.sub.y", "chat.bsky.convo.z", "org.else.where"] {
        let nsid = Nsid::parse(name).unwrap();
        for &action in RepoAction::ALL {
            let nsid = nsid.clone();
            questions.push((
                json!(["repo", action.as_str(), name]),
                Box::new(move |s| s.permits_repo(action, &nsid)),
            ));
        }
        for service in
            ["did:web:a.example#one", "did:web:other.example#one", "did:plc:z72i7hdynmk6r22z27h6tvur#s/x?y"]
        {
            let nsid = nsid.clone();
            questions.push((json!(["rpc", name, service]), Box::new(move |s| s.permits_rpc(&nsid, service))));
        }
    }
    let service = "did:web:a.example#one";
    questions.push((json!(["rpc", "*", service]), Box::new(move |s| s.permits_any_rpc(service))));
    for media in ["image/png", "image/gif", "text/html", "image/svg+xml", "image"] {
        questions.push((json!(["blob", media]), Box::new(move |s| s.permits_blob(media))));
    }
    for &attr in AccountAttr::ALL {
        for &action in AccountAction::ALL {
            let question = json!(["account", attr.as_str(), action.as_str()]);
            questions.push((question, Box::new(move |s| s.permits_account(attr, action))));
        }
    }
    for &attr in IdentityAttr::ALL {
        questions.push((json!(["identity", attr.as_str()]), Box::new(move |s| s.permits_identity(attr))));
    }
    questions
}

/// A value means here what it means to the package that PDSes of each release use: the same ones are ignored, each has
/// the same canonical text, and a set allows the same.
#[tokio::test]
async fn mean_what_they_mean_to_a_pds() -> Result<()> {
    for release in PdsRelease::ALL {
        compare_with(release).await.with_context(|| format!("{release:?}"))?;
    }
    Ok(())
}

async fn compare_with(release: PdsRelease) -> Result<()> {
    let (values, questions) = (values(), questions());
    let asked: Vec<&Value> = questions.iter().map(|(question, _)| question).collect();
    let sets: Vec<[&String; 2]> =
        values.iter().zip(values.iter().rev().chain(&values)).map(|(a, b)| [a, b]).collect();
    let input = json!({"values": values, "sets": sets, "questions": asked});
    let Some(reference) = scope_reference(release, &input).await? else { return Ok(()) };
    let mut known = 0;
    for (value, theirs) in values.iter().zip(reference["values"].as_array().unwrap()) {
        let ours = ScopeValue::parse(value).ok().map(|value| value.to_string());
        let theirs = match theirs.as_str() {
            // Lower case only when it is compared there, and a plus sign that reads back as a space.
            Some("blob?accept=image/png&accept=image/svg+xml") => {
                Some("blob?accept=image/png&accept=image/svg%2Bxml")
            }
            theirs => theirs,
        };
        assert_eq!(ours.as_deref(), theirs, "{value}");
        known += usize::from(ours.is_some());
    }
    assert!(known > 140, "{known}");
    for (set, theirs) in sets.iter().zip(reference["answers"].as_array().unwrap()) {
        // Case is kept there until the text is written.
        if set.iter().any(|value| value.contains("Image/GIF")) {
            continue;
        }
        let ours = Scope::parse_known(&format!("{} {}", set[0], set[1]))?;
        for ((question, answer), theirs) in questions.iter().zip(theirs.as_array().unwrap()) {
            assert_eq!(answer(&ours), theirs.as_bool().unwrap(), "{question} to {set:?}");
        }
    }
    Ok(())
}

on_each_network! {
    /// Narrow scopes, as a PDS of today takes them: it is asked for them and nothing else, and grants them.
    async fn narrow_at_a_real_pds(database, release) {
        let Some(net) = RealNet::start(release).await? else { return Ok(()) };
        let app = TestApp::start(database, &net.environment()).await?;
        let agent = Agent::default();
        let mut client = app.client(&agent).await?;
        "openid email repo?collection=app.bsky.feed.post&action=delete&action=create \
                        blob?accept=image/svg%2Bxml&accept=image/png \
                        rpc:app.bsky.feed.getTimeline?aud=did:web:localhost%253A9%23bsky_appview".clone_into(&mut client.scope);
        let granted = "openid email repo:app.bsky.feed.post?action=create&action=delete \
                       blob?accept=image/png&accept=image/svg%2Bxml \
                       rpc:app.bsky.feed.getTimeline?aud=did:web:localhost%253A9%23bsky_appview";
        let tokens = client.sign_in(&agent, &net.user("alice")?, "alice.test").await?;
        assert_eq!(tokens.answer["scope"], granted);
        // The PDS keeps the session with them.
        let request = agent.request("POST".parse()?, &app.at("/api/session/refresh"));
        let refreshed = agent.send(request.bearer_auth(&tokens.access_token)).await?.json();
        assert_eq!((&refreshed["head_iteration"], &refreshed["scope"]), (&json!(2), &json!(granted)));

        // A set that nobody published is refused by the PDS, and says nothing about the PDS.
        let authorization = client.authorization(Some("alice.test")).with("scope", Some("include:nobody.published.set"));
        let page = agent.set_out(&authorization.url(&app.issuer)).await?;
        assert!(page.text.contains("did not accept the sign-in request"), "{page:?}");
        let authorization = client.authorization(Some("alice.test")).with("scope", Some("repo:app.bsky.feed.like"));
        let consent = client.reach_consent(&agent, &net.user("alice")?, &authorization).await?;
        let code = decide(&agent, &consent, "allow").await?.redirect_param("code").unwrap();
        let answer = client.redeem(&agent, &code, &authorization.verifier).await?.json();
        assert_eq!(answer["scope"], "atproto repo:app.bsky.feed.like");
        Ok(())
    }
}
