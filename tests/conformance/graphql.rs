//! `POST /graphql`: its calls to the PDS, its responses, and its refusals.

use std::pin::pin;
use std::thread::{self, ThreadId};

use anyhow::Result;
use causeway_domain::Clock as _;
use causeway_flow::upstream::relay::raw_json::RawJson;
use causeway_flow::upstream::relay::repository::{Reading, Repository};
use causeway_testkit::{Answer, DpopKey, Fault, TestDatabase, Tokens, XrpcReply};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{DID, HANDLE, Scene, on_each_database};

const POST: &str = "app.bsky.feed.post";
const URI: &str = "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/app.bsky.feed.post/3k";

const MIB: usize = 1024 * 1024;

/// All the turns to parse long texts, taken until they are given back.
struct Turns {
    ends: Vec<std::sync::mpsc::Sender<()>>,
    taken: Vec<JoinHandle<Result<()>>>,
}

impl Turns {
    /// Texts that are parsed at the same time.
    const ALL: usize = 2;

    async fn take(scene: &Scene) -> Result<Self> {
        let (mut ends, mut taken) = (Vec::new(), Vec::new());
        for _ in 0..Self::ALL {
            let (end, ended) = std::sync::mpsc::channel();
            let (began, begin) = tokio::sync::oneshot::channel();
            let ctx = scene.app.ctx.clone();
            taken.push(tokio::spawn(async move {
                let parse = move || (began.send(()), ended.recv());
                ctx.parse(parse).await?.1.map_err(anyhow::Error::from)
            }));
            begin.await?;
            ends.push(end);
        }
        Ok(Self { ends, taken })
    }

    async fn give_back(self) -> Result<()> {
        for end in self.ends {
            end.send(())?;
        }
        for taken in self.taken {
            taken.await??;
        }
        Ok(())
    }
}

/// Sends a request of this query and these variables.
async fn ask(scene: &Scene, token: &str, query: &str, variables: Value) -> Result<Answer> {
    send(scene, token, json!({"query": query, "variables": variables}).to_string()).await
}

async fn send(scene: &Scene, token: &str, body: impl Into<Vec<u8>>) -> Result<Answer> {
    let request = scene.agent.request("POST".parse()?, &scene.app.at("/graphql")).bearer_auth(token);
    scene.agent.send(request.header("content-type", "application/json").body(body.into())).await
}

/// Sets the response of the PDS from now on.
fn answers(scene: &Scene, status: u16, body: &Value) {
    let reply = XrpcReply::json(status, body);
    scene.upstream.script(|script| script.answer = Some(reply));
}

/// The last call that arrived: `METHOD nsid?query`, and the body as JSON.
fn last_call(scene: &Scene) -> (String, Value) {
    let calls = scene.upstream.calls();
    let call = calls.last().expect("a call");
    let body = serde_json::from_slice(&call.body).unwrap_or_default();
    (format!("{} {}?{}", call.method, call.nsid, call.query), body)
}

/// The only error of an answer, which is 200 all the same and has the id of the request: its code and text.
fn error(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let [error] = errors.as_slice() else { panic!("{answer:?}") };
    assert_eq!(error["extensions"]["request_id"], answer.header("x-request-id"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&error["extensions"]["code"]), text(&error["message"]))
}

/// Introspection query, which tools send first.
const INTROSPECTION: &str = "query IntrospectionQuery { __schema { queryType { name } mutationType { name } \
    subscriptionType { name } types { ...FullType } directives { name description locations args { ...InputValue } } } } \
    fragment FullType on __Type { kind name description fields(includeDeprecated: true) { name description \
    args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason } inputFields { ...InputValue } \
    interfaces { ...TypeRef } enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } \
    possibleTypes { ...TypeRef } } fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue } \
    fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name \
    ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }";

on_each_database! {
    async fn viewer(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let session = scene.agent.get_with(&scene.app.at("/api/session"), &token).await?.json();
        let names = "session_id session_kind session_state session_iteration head_iteration scope token_expires_at session_expires_at";
        let answer = ask(&scene, &token, &format!("{{ viewer {{ did handle pds session {{ {names} }} }} }}"), Value::Null).await?;
        let viewer = &answer.json()["data"]["viewer"];
        assert_eq!((&viewer["did"], &viewer["handle"]), (&json!(DID), &json!(HANDLE)), "{answer:?}");
        assert_eq!(viewer["pds"], session["pds"]);
        for name in names.split(' ') {
            assert_eq!(viewer["session"][name], session[name], "{name}");
            assert!(!session[name].is_null(), "{name}");
        }
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.header("content-type").starts_with("application/json"));
        let subscription = ask(&scene, &token, "subscription { x }", Value::Null).await?.json();
        assert!(subscription["errors"][0]["message"].as_str().unwrap().contains("ubscription"), "{subscription}");
        assert!(scene.upstream.calls().is_empty());
        Ok(())
    }

    /// Each field is one call, of the viewer's own repository.
    async fn queries(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let record = json!({"uri": URI, "cid": "bafy", "value": {"$type": POST, "text": "ü", "n": 9_007_199_254_740_993_i64, "deep": [{"a": null}]}});
        answers(&scene, 200, &record);
        let query = "query($c: String!) { record(collection: $c, rkey: \"3k/&\") { uri cid value } }";
        let answer = ask(&scene, &token, query, json!({"c": POST})).await?;
        assert_eq!(answer.json(), json!({"data": {"record": record}}));
        assert_eq!(last_call(&scene).0, "GET com.atproto.repo.getRecord?repo=did%3Aplc%3Aaaaaaaaaaaaaaaaaaaaaaaaa&collection=app.bsky.feed.post&rkey=3k%2F%26");
        let page = json!({"records": [record], "cursor": "next"});
        answers(&scene, 200, &page);
        let answer = ask(&scene, &token, "{ records(collection: \"a.b.c\", limit: 7, cursor: \"x y\", reverse: true) { records { uri cid value } cursor } }", Value::Null).await?;
        assert_eq!(answer.json(), json!({"data": {"records": page}}));
        assert_eq!(last_call(&scene).0, "GET com.atproto.repo.listRecords?repo=did%3Aplc%3Aaaaaaaaaaaaaaaaaaaaaaaaa&collection=a.b.c&limit=7&cursor=x+y&reverse=true");
        answers(&scene, 200, &json!({"records": []}));
        let answer = ask(&scene, &token, "{ records(collection: \"a.b.c\") { records { uri } cursor } }", Value::Null).await?;
        assert_eq!(answer.json(), json!({"data": {"records": {"records": [], "cursor": null}}}));
        let repo = json!({"handle": HANDLE, "did": DID, "didDoc": {"id": DID}, "collections": [POST], "handleIsCorrect": true});
        answers(&scene, 200, &repo);
        let answer = ask(&scene, &token, "{ describeRepo { handle did didDoc collections handleIsCorrect } }", Value::Null).await?;
        assert_eq!(answer.json(), json!({"data": {"describeRepo": repo}}));
        assert_eq!(last_call(&scene).0, "GET com.atproto.repo.describeRepo?repo=did%3Aplc%3Aaaaaaaaaaaaaaaaaaaaaaaaa");
        answers(&scene, 200, &json!({"cids": ["bafy"], "cursor": "c"}));
        let answer = ask(&scene, &token, "{ blobs(limit: 2, cursor: \"b\") { cids cursor } }", Value::Null).await?;
        assert_eq!(answer.json(), json!({"data": {"blobs": {"cids": ["bafy"], "cursor": "c"}}}));
        assert_eq!(last_call(&scene).0, "GET com.atproto.sync.listBlobs?did=did%3Aplc%3Aaaaaaaaaaaaaaaaaaaaaaaaa&limit=2&cursor=b");
        assert_eq!(scene.upstream.calls().len(), 5);
        Ok(())
    }

    async fn mutations(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let written = json!({"uri": URI, "cid": "bafy", "commit": {"cid": "c", "rev": "r"}, "validationStatus": "valid"});
        answers(&scene, 200, &written);
        let result = "{ uri cid commit { cid rev } validationStatus }";
        let record = json!({"$type": POST, "text": "hello"});
        let query = format!("mutation($r: JSON!) {{ createRecord(collection: \"{POST}\", rkey: \"3k\", record: $r, validate: false, swapCommit: \"c\") {result} }}");
        let answer = ask(&scene, &token, &query, json!({"r": record})).await?;
        assert_eq!(answer.json(), json!({"data": {"createRecord": written}}));
        let (call, body) = last_call(&scene);
        assert_eq!(call, "POST com.atproto.repo.createRecord?");
        assert_eq!(body, json!({"repo": DID, "collection": POST, "rkey": "3k", "record": record, "validate": false, "swapCommit": "c"}));
        ask(&scene, &token, &format!("mutation {{ createRecord(collection: \"{POST}\", record: {{text: \"in the query\"}}) {{ uri }} }}"), Value::Null).await?;
        assert_eq!(last_call(&scene).1, json!({"repo": DID, "collection": POST, "record": {"text": "in the query"}}));

        for (swap, sent) in [(json!({}), None), (json!({"s": null}), None), (json!({"s": "bafy"}), Some(json!("bafy")))] {
            let query = format!("mutation($s: String) {{ putRecord(collection: \"a.b.c\", rkey: \"self\", record: {{}}, swapRecord: $s) {result} }}");
            let answer = ask(&scene, &token, &query, swap).await?;
            assert_eq!(answer.json(), json!({"data": {"putRecord": written}}));
            let (call, body) = last_call(&scene);
            assert_eq!(call, "POST com.atproto.repo.putRecord?");
            assert_eq!(body.get("swapRecord"), sent.as_ref());
            assert_eq!((&body["repo"], &body["rkey"], body.get("validate")), (&json!(DID), &json!("self"), None));
        }

        answers(&scene, 200, &json!({}));
        let answer = ask(&scene, &token, "mutation { deleteRecord(collection: \"a.b.c\", rkey: \"k\", swapRecord: \"x\") { commit { rev } } }", Value::Null).await?;
        assert_eq!(answer.json(), json!({"data": {"deleteRecord": {"commit": null}}}));
        assert_eq!(last_call(&scene), ("POST com.atproto.repo.deleteRecord?".to_owned(), json!({"repo": DID, "collection": "a.b.c", "rkey": "k", "swapRecord": "x"})));

        answers(&scene, 200, &json!({"commit": {"cid": "c", "rev": "r"}, "results": [{"$type": "x", "uri": URI, "cid": "bafy", "validationStatus": "unknown"}, {"$type": "y"}]}));
        let query = "mutation($w: [Write!]!) { applyWrites(writes: $w, validate: true) { commit { rev } results { uri cid validationStatus } } }";
        let writes = json!([
            {"create": {"collection": "a.b.c", "value": {"n": 1}}},
            {"update": {"collection": "a.b.c", "rkey": "u", "value": {"n": 2}}},
            {"delete": {"collection": "a.b.c", "rkey": "d"}},
        ]);
        let answer = ask(&scene, &token, query, json!({"w": writes})).await?;
        assert_eq!(answer.json()["data"]["applyWrites"]["results"], json!([{"uri": URI, "cid": "bafy", "validationStatus": "unknown"}, {"uri": null, "cid": null, "validationStatus": null}]), "{answer:?}");
        let sent = json!([
            {"$type": "com.atproto.repo.applyWrites#create", "collection": "a.b.c", "value": {"n": 1}},
            {"$type": "com.atproto.repo.applyWrites#update", "collection": "a.b.c", "rkey": "u", "value": {"n": 2}},
            {"$type": "com.atproto.repo.applyWrites#delete", "collection": "a.b.c", "rkey": "d"},
        ]);
        assert_eq!(last_call(&scene), ("POST com.atproto.repo.applyWrites?".to_owned(), json!({"repo": DID, "writes": sent, "validate": true})));

        let blob = json!({"$type": "blob", "ref": {"$link": "bafk"}, "mimeType": "image/png", "size": 5});
        answers(&scene, 200, &json!({"blob": blob}));
        for data in ["aGVsbG8=", "aGVsbG8"] {
            let answer = ask(&scene, &token, "mutation($d: String!) { uploadBlob(data: $d, mimeType: \"image/png\") { blob } }", json!({"d": data})).await?;
            assert_eq!(answer.json(), json!({"data": {"uploadBlob": {"blob": blob}}}));
            let calls = scene.upstream.calls();
            let call = calls.last().unwrap();
            assert_eq!((&*call.nsid, &*call.body, &*call.headers["content-type"]), ("com.atproto.repo.uploadBlob", &b"hello"[..], "image/png"));
        }
        let before = scene.upstream.calls().len();
        for (data, mime_type) in [("!", "image/png"), ("aGVsbG8=", "image"), ("aGVsbG8=", "image/png\r\nx: y"), ("aGVsbG8=", "image/png, text/html"), ("aGVsbG8=", "")] {
            let query = "mutation($d: String!, $m: String!) { uploadBlob(data: $d, mimeType: $m) { blob } }";
            let answer = ask(&scene, &token, query, json!({"d": data, "m": mime_type})).await?;
            assert_eq!(error(&answer).0, "invalid_request", "{mime_type}");
        }
        assert_eq!(scene.upstream.calls().len(), before);
        Ok(())
    }

    /// In the order in which they stand; what was done is said even when the next one fails.
    async fn several_mutations(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        answers(&scene, 200, &json!({"uri": URI, "cid": "bafy"}));
        let query = "mutation { a: createRecord(collection: \"a.b.c\", record: {n: 1}) { uri } \
                     b: uploadBlob(data: \"!\", mimeType: \"a/b\") { blob } \
                     c: createRecord(collection: \"a.b.c\", record: {n: 2}) { uri } }";
        let answer = ask(&scene, &token, query, Value::Null).await?;
        assert_eq!(error(&answer).0, "invalid_request");
        assert_eq!(answer.json()["errors"][0]["path"], json!(["b"]));
        assert_eq!(answer.json()["data"], json!({"a": {"uri": URI}, "b": null, "c": {"uri": URI}}));
        let written: Vec<Value> = scene.upstream.calls().iter().map(|call| serde_json::from_slice::<Value>(&call.body).unwrap()["record"]["n"].clone()).collect();
        assert_eq!(written, [json!(1), json!(2)]);
        Ok(())
    }

    async fn scopes(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let narrow = [
            ("grant_type", "refresh_token"),
            ("refresh_token", &tokens.refresh_token),
            ("scope", "atproto repo:app.bsky.feed.post?action=create blob:image/*"),
        ];
        let token = Tokens::read(&scene.client.post(&scene.agent, "/oauth/token", &narrow).await?)?.access_token;
        for (query, scope) in [
            ("mutation { createRecord(collection: \"app.bsky.feed.like\", record: {}) { uri } }", "repo:app.bsky.feed.like?action=create"),
            ("mutation { deleteRecord(collection: \"app.bsky.feed.post\", rkey: \"k\") { commit { rev } } }", "repo:app.bsky.feed.post?action=delete"),
            ("mutation { putRecord(collection: \"app.bsky.feed.post\", rkey: \"k\", record: {}) { uri } }", "repo:app.bsky.feed.post?action=update"),
            ("mutation { applyWrites(writes: [{delete: {collection: \"a.b.c\", rkey: \"k\"}}]) { commit { rev } } }", "repo:a.b.c?action=delete"),
            ("mutation { uploadBlob(data: \"\", mimeType: \"video/mp4\") { blob } }", "blob:video/mp4"),
        ] {
            let answer = ask(&scene, &token, query, Value::Null).await?;
            let (code, message) = error(&answer);
            assert_eq!(code, "insufficient_scope", "{query}");
            assert_eq!(answer.json()["errors"][0]["extensions"]["scope"], scope);
            assert!(message.contains(scope), "{message}");
        }
        assert!(scene.upstream.calls().is_empty(), "nothing of it was sent");
        answers(&scene, 200, &json!({"uri": URI, "cid": "bafy"}));
        let allowed = ask(&scene, &token, "mutation { createRecord(collection: \"app.bsky.feed.post\", record: {}) { uri } }", Value::Null).await?;
        assert_eq!(allowed.json()["data"]["createRecord"]["uri"], URI, "{allowed:?}");
        Ok(())
    }

    async fn tokens(database) {
        let scene = Scene::set(database).await?;
        let url = scene.app.at("/graphql");
        let none = scene.agent.post_body(&url, "application/json", "{}").await?;
        assert_eq!(none.refusal(), "401 invalid_token");
        assert!(none.header("www-authenticate").starts_with("Bearer realm=\"causeway\", resource_metadata="), "{none:?}");
        let wrong = send(&scene, "cw_at_wrong", "{").await?;
        assert_eq!(wrong.refusal(), "401 invalid_token");
        assert!(wrong.header("www-authenticate").contains("error=\"invalid_token\""), "{wrong:?}");

        let key = DpopKey::new();
        let (code, authorization) = scene.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        let form = [("grant_type", "authorization_code"), ("code", &*code), ("code_verifier", authorization.verifier.expose())];
        let proof = key.proof(scene.app.clock.now(), "POST", &scene.app.at("/oauth/token"));
        let token = Tokens::read(&scene.client.post_with_proof(&scene.agent, "/oauth/token", &form, &proof).await?)?.access_token;
        let with = |proof: String| {
            let request = scene.agent.request("POST".parse().unwrap(), &url).header("authorization", format!("DPoP {token}"));
            let request = request.header("dpop", proof).header("content-type", "application/json");
            scene.agent.send(request.body(r#"{"query":"{ viewer { did } }"}"#))
        };
        let proof = key.proof_with_token(scene.app.clock.now(), "POST", &url, &token);
        assert_eq!(with(proof.clone()).await?.json()["data"]["viewer"]["did"], DID);
        assert_eq!(with(proof).await?.refusal(), "401 invalid_dpop_proof", "once");
        let elsewhere = key.proof_with_token(scene.app.clock.now(), "POST", &scene.app.at("/api/session"), &token);
        assert_eq!(with(elsewhere).await?.refusal(), "401 invalid_dpop_proof");
        assert_eq!(send(&scene, &token, "{}").await?.refusal(), "401 invalid_token", "not as a bearer token");
        Ok(())
    }

    async fn what_is_no_request(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        for body in ["", "{", "[]", "[{\"query\":\"{ viewer { did } }\"}]", "\"{ viewer { did } }\"", "{\"query\":1}"] {
            assert_eq!(send(&scene, &token, body).await?.refusal(), "400 invalid_request", "{body}");
        }
        let request = scene.agent.request("POST".parse()?, &scene.app.at("/graphql")).bearer_auth(&token);
        let text = scene.agent.send(request.header("content-type", "text/plain").body(r#"{"query":"{ viewer { did } }"}"#)).await?;
        assert_eq!(text.refusal(), "415 invalid_request");
        let long = format!(r#"{{"query":"{{ viewer {{ did }} }}","variables":{{"x":"{}"}}}}"#, "x".repeat(2 * 1024 * 1024));
        let answer = send(&scene, &token, long).await?;
        assert_eq!(answer.refusal(), "413 invalid_request");
        assert!(answer.json()["error_description"].as_str().unwrap().contains("2097152"));
        let get = scene.agent.get_with(&scene.app.at("/graphql?query=%7Bviewer%7Bdid%7D%7D"), &token).await?;
        assert_eq!((get.status, get.header("allow")), (405, "POST"));
        for (query, says) in [
            ("", "expected"),
            ("{ viewer { did }", "expected"),
            ("{ nothing }", "nothing"),
            ("{ record(collection: \"a.b.c\") { uri } }", "rkey"),
            ("{ record(collection: \"a.b.c\", rkey: \"k\", repo: \"did:plc:bbbbbbbbbbbbbbbbbbbbbbbb\") { uri } }", "repo"),
            ("query($c: String!) { record(collection: $c, rkey: \"k\") { uri } }", "Variable c"),
            ("mutation { applyWrites(writes: [{}]) { commit { rev } } }", "rite"),
        ] {
            let (code, message) = error(&ask(&scene, &token, query, Value::Null).await?);
            assert_eq!(code, "invalid_request", "{query}");
            assert!(message.contains(says), "{query}: {message}");
        }
        assert!(scene.upstream.calls().is_empty());
        Ok(())
    }

    async fn limits(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        answers(&scene, 200, &json!({"cids": []}));
        let calls = |number: usize| (0..number).map(|n| format!("f{n}: blobs {{ cids }} ")).collect::<String>();
        let enough = ask(&scene, &token, &format!("{{ {} }}", calls(19)), Value::Null).await?;
        assert_eq!(enough.json()["data"].as_object().map(serde_json::Map::len), Some(19), "{enough:?}");
        let before = scene.upstream.calls().len();
        let fragments = format!("query {{ ...A ...B }} fragment A on Query {{ {} }} fragment B on Query {{ g: blobs {{ cids }} }}", calls(19));
        let directives = "@include(if: true) ".repeat(20);
        let nested = format!("{{ __schema {{ types {{ {}name{} }} }} }}", "fields { type { ".repeat(9), " } }".repeat(9));
        // Expanding this one would never end.
        let tower = (0..40).map(|n| format!("fragment f{n} on Query {{ {} }} ", format!("...f{} ", n + 1).repeat(10))).collect::<String>();
        let tower = format!("{{ ...f0 }} {tower} fragment f40 on Query {{ viewer {{ did }} }}");
        let small = "{ ...a } fragment a on Query { ...b ...b ...b } fragment b on Query { viewer { ...c ...c } } fragment c on Viewer { did }";
        assert_eq!(ask(&scene, &token, small, Value::Null).await?.json()["data"], json!({"viewer": {"did": DID}}));
        let circle = "{ ...a } fragment a on Query { ...b ...b } fragment b on Query { ...a ...a }";
        // The validation of overlapping fields would report an error for each pair.
        let names = format!("{{ {} }} fragment a on Query {{ {} }}", "... { ...a } ".repeat(2000), "x: viewer x: blobs ".repeat(2000));
        let long = format!("{{ {}: viewer {{ did }} }}", "a".repeat(256));
        assert_eq!(ask(&scene, &token, &long, Value::Null).await?.refusal(), "400 invalid_request");
        let recursive = format!("{{ __schema {{ types {{ {}name{} }} }} }}", "fields { type { ".repeat(29), " } }".repeat(29));
        for (query, says) in [
            (format!("{{ {} }}", calls(20)), "complex"),
            (fragments, "complex"),
            (tower, "complex"),
            (circle.to_owned(), "complex"),
            (names, "complex"),
            (nested, "deep"),
            (recursive, "recursion depth"),
            (format!("{{ viewer {directives} {{ did }} }}"), "directives"),
        ] {
            let (code, message) = error(&ask(&scene, &token, &query, Value::Null).await?);
            assert_eq!(code, "invalid_request", "{says}");
            assert!(message.contains(says), "{says}: {message}");
        }
        assert_eq!(scene.upstream.calls().len(), before);
        let schema = ask(&scene, &token, INTROSPECTION, Value::Null).await?.json();
        let types = schema["data"]["__schema"]["types"].as_array().cloned().unwrap_or_default();
        assert!(types.iter().any(|kind| kind["name"] == "WrittenRecord"), "{schema}");
        Ok(())
    }

    /// The parser goes as deep as a document does, and its stack is the process's.
    async fn deep_documents(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        for document in [
            format!("{{ __schema {{ types {{ {}name{} }} }} }}", "fields { type { ".repeat(3000), " } }".repeat(3000)),
            format!("{{record(collection:\"a.b.c\",rkey:{deep}){{uri}}}}"),
            format!("{{viewer @include(if:{deep}) {{did}}}}"),
            format!("query($x:[String]={deep}) {{viewer{{did}}}}"),
        ] {
            let answer = ask(&scene, &token, &document, Value::Null).await?;
            assert_eq!(answer.refusal(), "400 invalid_request", "{answer:?}");
        }
        let long = format!("{{viewer{{did}}}} # {}", "x".repeat(200_000));
        assert_eq!(ask(&scene, &token, &long, Value::Null).await?.refusal(), "400 invalid_request");
        let answer = ask(&scene, &token, "{viewer{did}}", Value::Null).await?;
        assert!(answer.json()["data"]["viewer"]["did"].is_string(), "the server still answers: {answer:?}");
        Ok(())
    }

    /// Errors from the PDS, and failures to reach it.
    async fn errors(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let read = || ask(&scene, &token, "{ record(collection: \"a.b.c\", rkey: \"k\") { uri } }", Value::Null);
        for (status, name) in [(400, "RecordNotFound"), (400, "InvalidSwap"), (401, "AccountTakedown"), (429, "RateLimitExceeded"), (500, "InternalServerError")] {
            let reply = XrpcReply::json(status, &json!({"error": name, "message": "says why"})).header("retry-after", "9");
            scene.upstream.script(|script| script.answer = Some(reply));
            let answer = read().await?;
            assert_eq!(error(&answer), (name.to_owned(), "says why".to_owned()));
            let extensions = &answer.json()["errors"][0]["extensions"];
            assert_eq!((&extensions["status"], &extensions["retry_after"]), (&json!(status), &json!(9)));
            assert_eq!(answer.json()["data"], json!({"record": null}));
        }
        for reply in [
            XrpcReply::json(200, &json!({"ok": true})),
            XrpcReply::json(500, &json!({"ok": true})),
            XrpcReply { body: "<h1>".to_owned(), ..XrpcReply::default() },
            XrpcReply { headers: vec![("content-type", "text/html".to_owned())], ..XrpcReply::default() },
        ] {
            scene.upstream.script(|script| script.answer = Some(reply.clone()));
            assert_eq!(error(&read().await?).0, "upstream_invalid", "{reply:?}");
        }
        scene.upstream.script(|script| script.answer = Some(XrpcReply { filler: 20_000_000, body: "\"".to_owned(), ..XrpcReply::default() }));
        assert_eq!(error(&read().await?).0, "answer_too_large");
        let crowd = vec![json!({"uri": URI, "value": 1}); 101];
        answers(&scene, 200, &json!({"records": crowd}));
        let page = ask(&scene, &token, "{ records(collection: \"a.b.c\") { cursor } }", Value::Null).await?;
        assert_eq!(error(&page).0, "upstream_invalid", "a page has a hundred records at most");
        scene.upstream.script(|script| script.answer = Some(XrpcReply { breaks: true, body: "{".to_owned(), ..XrpcReply::default() }));
        assert_eq!(error(&read().await?).0, "upstream_interrupted");
        scene.upstream.expire_access_tokens();
        scene.upstream.script(|script| script.token = Fault::OAuth("invalid_grant"));
        let over = read().await?;
        assert_eq!(error(&over).0, "reauth_required");
        let url = over.json()["errors"][0]["extensions"]["sign_in_url"].as_str().unwrap_or_default().to_owned();
        assert!(url.contains(&scene.client.client_id), "{over:?}");
        Ok(())
    }

    /// Each answer has a limit of 8 MiB, a write's and an error's one of 256 KiB, whether they announce their length or
    /// not. One answer of that size alone would fit the limit of a request.
    async fn one_answer_is_bounded(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let read = "{ record(collection: \"a.b.c\", rkey: \"k\") { uri value } }";
        let write = "mutation { createRecord(collection: \"a.b.c\", record: {}) { uri } }";
        let sized = |status: u16, bytes: usize| {
            let begun = format!("{{\"uri\":\"{URI}\",\"cid\":\"bafy\",\"error\":\"TooMuch\",\"value\":\"");
            let filler = "x".repeat(bytes - begun.len() - 2);
            XrpcReply { status, body: format!("{begun}{filler}\"}}"), ..XrpcReply::default() }
        };
        for (query, status, most) in [(read, 200, 8 * MIB), (write, 200, MIB / 4), (read, 500, MIB / 4), (write, 500, MIB / 4)] {
            scene.upstream.script(|script| script.answer = Some(sized(status, most)));
            let answer = ask(&scene, &token, query, Value::Null).await?;
            if status == 200 {
                assert!(answer.json().get("errors").is_none(), "{query} {status}: {:?}", error(&answer));
            } else {
                assert_eq!(error(&answer).0, "TooMuch", "{query} {status}");
            }
            let announced = sized(status, most + 1);
            let open = XrpcReply { filler: 64 * 1024, ..sized(status, most - 1024) };
            for reply in [announced, open] {
                scene.upstream.script(|script| script.answer = Some(reply));
                let answer = ask(&scene, &token, query, Value::Null).await?;
                assert_eq!(error(&answer).0, "answer_too_large", "{query} {status}");
            }
        }
        Ok(())
    }

    /// All answers to one request share a limit of 16 MiB, even if each is within its own and the process has room for
    /// them.
    async fn all_answers_to_a_request_are_bounded(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        answers(&scene, 200, &json!({"uri": URI, "value": "x".repeat(7 * MIB)}));
        let query = |number: usize| {
            let record = |n| format!("r{n}: record(collection: \"a.b.c\", rkey: \"k\") {{ uri value }} ");
            format!("{{ {} }}", (0..number).map(record).collect::<String>())
        };
        let two = ask(&scene, &token, &query(2), Value::Null).await?;
        assert!(two.text.len() > 14 * MIB && two.json().get("errors").is_none());
        // Two are held until the answer is sent; the third one, whichever it is, does not fit.
        let three = ask(&scene, &token, &query(3), Value::Null).await?;
        assert_eq!(error(&three).0, "answer_too_large");
        let names = ["r0", "r1", "r2"];
        assert_eq!(names.iter().filter(|name| three.json()["data"][*name].is_null()).count(), 1);
        let again = ask(&scene, &token, &query(2), Value::Null).await?;
        assert!(again.json().get("errors").is_none(), "the next request has a limit of its own");
        assert_eq!(scene.app.ctx.budgets().answers.used(), 0, "what was sent is given back");
        Ok(())
    }

    /// A long body, or a long answer of the PDS, waits for a turn to be parsed elsewhere. Whoever sends a short one
    /// does not.
    async fn long_texts_are_parsed_elsewhere(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let long = "x".repeat(40_000);
        answers(&scene, 200, &json!({"uri": URI, "value": long}));
        let body = json!({"query": "{ viewer { did } }", "variables": {"x": long}});
        let answer = json!({"query": "{ record(collection: \"a.b.c\", rkey: \"k\") { uri value } }"});
        for request in [body, answer] {
            let turns = Turns::take(&scene).await?;
            let mut waiting = pin!(send(&scene, &token, request.to_string()));
            for _ in 0..30 {
                let short = ask(&scene, &token, "{ viewer { did } }", Value::Null);
                tokio::select! {
                    biased;
                    early = &mut waiting => panic!("parsed by the worker: {:?}", early?.status),
                    short = short => assert_eq!(short?.json()["data"]["viewer"]["did"], DID),
                }
            }
            turns.give_back().await?;
            let answer = waiting.await?;
            assert!(answer.status == 200 && answer.json().get("errors").is_none(), "{request}");
        }
        Ok(())
    }

    /// An argument that no server could take is refused here, and nobody is asked.
    async fn arguments_have_bounds(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let long = "a".repeat(20_000);
        let nsid = format!("a.b.{long}");
        for (query, variables) in [
            ("query($v: String!) { record(collection: $v, rkey: \"k\") { uri } }", json!({"v": nsid})),
            ("query($v: String!) { records(collection: $v) { cursor } }", json!({"v": nsid})),
            ("query($v: String!) { record(collection: \"a.b.c\", rkey: $v) { uri } }", json!({"v": long})),
            ("query($v: String!) { record(collection: \"a.b.c\", rkey: $v) { uri } }", json!({"v": ""})),
            ("query($v: String!) { blobs(cursor: $v) { cursor } }", json!({"v": long})),
            ("mutation($v: String!) { createRecord(collection: $v, record: {}) { uri } }", json!({"v": nsid})),
            ("mutation($v: String!) { putRecord(collection: \"a.b.c\", rkey: \"k\", swapRecord: $v, record: {}) { uri } }", json!({"v": long})),
            ("mutation($v: String!) { applyWrites(writes: [{delete: {collection: \"a.b.c\", rkey: $v}}]) { commit { cid } } }", json!({"v": long})),
        ] {
            let answer = ask(&scene, &token, query, variables).await?;
            assert_eq!(error(&answer).0, "invalid_request", "{query}");
        }
        assert!(scene.upstream.calls().is_empty());
        Ok(())
    }

    /// Its token has died there before its time: the mutation refreshes the session and is done, once.
    async fn refresh_in_between(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        answers(&scene, 200, &json!({"uri": URI, "cid": "bafy"}));
        scene.upstream.expire_access_tokens();
        let query = "mutation { createRecord(collection: \"a.b.c\", record: {}) { uri } }";
        assert_eq!(ask(&scene, &token, query, Value::Null).await?.json(), json!({"data": {"createRecord": {"uri": URI}}}));
        assert_eq!(scene.upstream.calls().len(), 1);
        let view = ask(&scene, &token, "{ viewer { session { session_iteration head_iteration } } }", Value::Null).await?;
        assert_eq!(view.json()["data"]["viewer"]["session"], json!({"session_iteration": 1, "head_iteration": 2}));
        Ok(())
    }
}

/// Runs as on an HTTP worker, on a runtime of its own; returns the worker's thread as well.
async fn on_a_worker<T, F>(work: impl FnOnce() -> F + Send + 'static) -> Result<(ThreadId, T)>
where
    T: Send + 'static,
    F: Future<Output = Result<T>>,
{
    let worker = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        anyhow::Ok((thread::current().id(), runtime.block_on(work())?))
    });
    worker.await?
}

/// The worker that serves a request does not call the PDS itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_do_not_read_answers() -> Result<()> {
    let database = TestDatabase::sqlite();
    let scene = Scene::set(&database).await?;
    let token = scene.access_token().await?;
    answers(&scene, 200, &json!({"uri": URI, "value": "short"}));
    let repository = Repository::new(scene.app.ctx.clone(), scene.app.bearer(&token).await?);
    let take = |_: &RawJson| Some(thread::current().id());
    let read = move || async move { anyhow::Ok(repository.read(Reading::Record, &[], take).await?) };
    let (worker, read) = on_a_worker(read).await?;
    assert_ne!(read, worker);
    Ok(())
}

/// Long texts whose turn has come are not parsed by the worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_do_not_parse_long_texts() -> Result<()> {
    let database = TestDatabase::sqlite();
    let scene = Scene::set(&database).await?;
    let ctx = scene.app.ctx.clone();
    let parse = move || async move { anyhow::Ok(ctx.parse(|| thread::current().id()).await?) };
    let (worker, parsed) = on_a_worker(parse).await?;
    assert_ne!(parsed, worker);
    Ok(())
}
