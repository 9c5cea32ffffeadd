//! Log lines of two users who sign in at the same time are told apart by their correlation id.

use std::collections::{BTreeMap, BTreeSet};

use causeway_testkit::{Agent, OauthClient, ScriptedUpstream, Tokens, User as _, decide};
use serde_json::Value;

use crate::support::{DID, HANDLE, OTHER_DID, OTHER_HANDLE, on_each_database, serve};

fn is_ours(line: &Value) -> bool {
    line["target"].as_str().is_some_and(|target| target.starts_with("causeway_"))
}

/// The request that a line is of.
fn request(line: &Value) -> Option<&Value> {
    line["spans"].as_array()?.iter().find(|span| span["name"] == "http.request")
}

/// The sign-ins that a line names, in whatever span.
fn names(line: &Value) -> BTreeSet<&str> {
    let spans = line["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
    spans.iter().filter_map(|span| span["correlation_id"].as_str()).collect()
}

/// Every log line about a request has its id, and the correlation id of its sign-in, of which registration
/// has none.
fn all_are_named(lines: &[Value]) {
    let of_us = lines.iter().filter(|line| line["level"] != "TRACE" && is_ours(line));
    let (of_requests, others): (Vec<_>, Vec<_>) = of_us.partition(|line| request(line).is_some());
    for line in &of_requests {
        let request = request(line).unwrap();
        assert!(request["request_id"].is_string(), "of no request: {line}");
        let is_early = request["path"] == "/oauth/register";
        assert!(is_early || names(line).len() == 1, "nameless: {line}");
    }
    // Outside requests, nothing is logged about a user.
    for line in others.iter().filter(|line| line["level"] == "INFO") {
        let of_flow = line["target"].as_str().is_some_and(|target| target.starts_with("causeway_flow"));
        assert!(!of_flow || line["message"] == "signing key created", "nameless: {line}");
    }
}

on_each_database! {
    /// Each step of the one is between two steps of the other: pushed request, browser, server, consent, code,
    /// refresh on both sides, revocation.
    async fn two_interleaved_sign_ins(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        upstream.add_account(OTHER_HANDLE, OTHER_DID);
        let (_directory, server) = serve(database, &upstream.environment()).await?;
        let at = |path: &str| format!("{}{path}", server.address);
        let client = OauthClient::register(&Agent::default(), &server.address).await?;
        let users = [(HANDLE, Agent::default()), (OTHER_HANDLE, Agent::default())];
        let mut ways = Vec::new();
        for (handle, agent) in &users {
            let authorization = client.authorization(Some(handle));
            let pushed = agent.post(&at("/oauth/par"), &authorization.form()).await?;
            assert_eq!(pushed.status, 201, "{pushed:?}");
            ways.push((authorization, pushed.json()["request_uri"].as_str().unwrap().to_owned()));
        }
        let mut at_their_servers = Vec::new();
        for ((_, agent), (_, request_uri)) in users.iter().zip(&ways) {
            let url = url::Url::parse_with_params(
                &at("/oauth/authorize"),
                [("client_id", &*client.client_id), ("request_uri", request_uri)],
            )?;
            at_their_servers.push(agent.set_out(url.as_str()).await?.location()?);
        }
        let mut consents = Vec::new();
        for ((_, agent), to_upstream) in users.iter().zip(&at_their_servers) {
            let callback = upstream.approve(to_upstream).await?;
            consents.push(agent.get(&callback).await?.location()?);
        }
        let mut codes = Vec::new();
        for ((_, agent), consent) in users.iter().zip(&consents) {
            codes.push(decide(agent, consent, "allow").await?.redirect_param("code").unwrap());
        }
        let mut tokens = Vec::new();
        for (((_, agent), (authorization, _)), code) in users.iter().zip(&ways).zip(&codes) {
            tokens.push(Tokens::read(&client.redeem(agent, code, &authorization.verifier).await?)?);
        }
        for ((_, agent), tokens) in users.iter().zip(&mut tokens) {
            *tokens = Tokens::read(&client.refresh(agent, &tokens.refresh_token).await?)?;
        }
        for ((_, agent), tokens) in users.iter().zip(&tokens) {
            let refresh = agent.request("POST".parse()?, &at("/api/session/refresh"));
            assert_eq!(agent.send(refresh.bearer_auth(&tokens.access_token)).await?.status, 200);
        }
        for ((_, agent), tokens) in users.iter().zip(&tokens) {
            let form = [("client_id", &*client.client_id), ("token", &*tokens.refresh_token)];
            assert_eq!(agent.post(&at("/oauth/revoke"), &form).await?.status, 200);
        }

        let log = server.log()?;
        let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let mut of: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for line in &lines {
            let names = names(line);
            assert!(names.len() <= 1, "one line of two sign-ins: {line}");
            for name in names {
                of.entry(name).or_default().push(line);
            }
        }
        assert_eq!(of.len(), 2, "{:?}", of.keys());
        for lines in of.values() {
            let text = lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            let (own, other) = if text.contains(DID) { (DID, OTHER_DID) } else { (OTHER_DID, DID) };
            assert!(text.contains(own) && !text.contains(other), "both users in one: {text}");
            for step in [
                "user redirected to the authorization server",
                "signed in",
                "consent given",
                "code exchanged for tokens",
                "tokens rotated",
                "upstream refresh",
                "grant revoked by its client",
                "session revoked upstream",
            ] {
                let said = lines.iter().filter(|line| line["message"] == step).count();
                assert_eq!(said, 1, "{step} in {text}");
            }
            // Discovery, the request there, code, refresh and revocation.
            let asked = lines.iter().filter(|line| line["message"] == "upstream response").count();
            assert!(asked >= 5, "{asked} requests to PDSes in {text}");
            let refresh = lines.iter().find(|line| line["message"] == "upstream refresh").unwrap();
            for (field, value) in
                [("session.kind", "device"), ("refresh.reason", "asked"), ("refresh.outcome", "refreshed")]
            {
                assert_eq!(refresh[field], value, "{refresh}");
            }
            assert_eq!(refresh["session.iteration"], 2, "{refresh}");
        }
        all_are_named(&lines);
        Ok(())
    }
}
