//! The OAuth 2.0 client of `causeway-providers` against the scripted provider, from the authorization to the revocation.

use std::sync::Arc;
use std::time::Duration;

use causeway_domain::SystemClock;
use causeway_outbound::{HttpClient, HttpConfig};
use causeway_providers::oauth::{
    ApiError, Ask, Authorization, ClientCredential, CodeRedemption, Extent, IdTokenRules, Issued,
    ProviderClient, RefusalMeaning, RegisteredClient, RenewalTokens, Revoked, RevokedTokens, SecretInUse,
    TokenContext, TokenError, Tokens, WellKnown, authorization_url, verify_id_token,
};
use causeway_providers::relay::CallCredential;
use causeway_providers::{Definition, Extras, FieldValues, Kind, OauthClient};
use causeway_types::{CodeVerifier, Secret, SystemRng, Timestamp};
use serde_json::json;
use url::Url;

use super::script::{Authentication, Bot, ExpiryShape, ProviderScript, Rotation, TokenShape};
use super::{ProviderCall, ScriptedProvider};
use crate::Agent;
use crate::upstream::Fault;

const REDIRECT_URI: &str = "https://causeway.example/connect/x/callback";
const IDENTITY: &str = "[identity]\nfrom = \"none\"";
const SINGLE_USE: &str = "[refresh]\npolicy = \"refresh_token\"\nrotation = \"single_use\"";

/// A provider, a definition of it, and the client.
struct Setup {
    provider: ScriptedProvider,
    definition: OauthClient,
    client: ProviderClient,
    secret: Secret,
    next: Option<Secret>,
    endpoint: Url,
    fields: FieldValues,
}

impl Setup {
    fn new(lines: &str, script: impl FnOnce(&mut ProviderScript)) -> Self {
        let provider = ScriptedProvider::start().unwrap();
        provider.script(script);
        let lines = lines.replace("{origin}", &provider.origin);
        let definition = Definition::parse("scripted", &provider.definition(&lines));
        let definition = definition.unwrap_or_else(|error| panic!("{error}")).kind.oauth().unwrap().clone();
        let http = HttpClient::new(&HttpConfig { dev_mode: true, ..HttpConfig::default() }).unwrap();
        let client =
            ProviderClient::new(http, Arc::new(SystemClock), Arc::new(SystemRng), Duration::from_secs(5));
        let endpoint = Url::parse(&format!("{}/token", provider.origin)).unwrap();
        let secret = Secret::new(ScriptedProvider::CLIENT_SECRET);
        Self { provider, definition, client, secret, next: None, endpoint, fields: FieldValues::default() }
    }

    /// A provider with single-use refresh tokens and no account.
    fn plain(script: impl FnOnce(&mut ProviderScript)) -> Self {
        Self::new(&format!("{SINGLE_USE}\n{IDENTITY}"), script)
    }

    fn context(&self) -> TokenContext<'_> {
        let registered = RegisteredClient {
            client_id: ScriptedProvider::CLIENT_ID,
            redirect_uri: REDIRECT_URI,
            authentication: None,
            credential: ClientCredential::Secret { current: &self.secret, next: self.next.as_ref() },
        };
        TokenContext {
            client: &self.definition,
            registered,
            token_endpoint: &self.endpoint,
            issuer: None,
            resource: None,
            fields: &self.fields,
        }
    }

    /// Authorizes in a browser and redeems the code.
    async fn connect(&self) -> Result<Issued, TokenError> {
        let verifier = CodeVerifier::random(&SystemRng);
        let scopes = self.definition.scopes.default.clone();
        let request = Authorization {
            endpoint: &Url::parse(&format!("{}/authorize", self.provider.origin)).unwrap(),
            registered: &self.context().registered,
            state: "the-state",
            scopes: &scopes,
            verifier: &verifier,
            nonce: Some("the-nonce"),
            resource: None,
            ask: Ask::Nothing,
            fields: &self.fields,
        };
        let url = authorization_url(&self.definition, &request).unwrap();
        let back = Agent::default().get(url.as_str()).await.unwrap().location().unwrap();
        assert!(back.starts_with(REDIRECT_URI), "{back}");
        let parameters: std::collections::BTreeMap<String, String> =
            Url::parse(&back).unwrap().query_pairs().into_owned().collect();
        assert_eq!(parameters["state"], "the-state");
        let code = Secret::new(parameters[&self.definition.authorization.code_parameter].as_str());
        self.client
            .redeem(&self.context(), &CodeRedemption { code: &code, verifier: &verifier, scopes: &scopes })
            .await
    }

    async fn refresh(&self, tokens: &Tokens) -> Result<Issued, TokenError> {
        let tokens = RenewalTokens {
            access_token: &tokens.access_token,
            refresh_token: tokens.refresh_token.as_ref(),
            scope: "",
        };
        self.client.refresh(&self.context(), &tokens).await
    }
}

fn user(issued: Result<Issued, TokenError>) -> Tokens {
    issued.unwrap().answer.user.unwrap()
}

fn life(tokens: &Tokens) -> Option<i64> {
    tokens.expires_at.map(|at| at.since(tokens.issued_at))
}

fn meaning(issued: Result<Issued, TokenError>) -> RefusalMeaning {
    issued.unwrap_err().meaning()
}

#[tokio::test]
async fn connected_renewed_and_given_back() {
    let lines = format!(
        "scopes = [\"read\", \"write\"]\n{SINGLE_USE}\n{IDENTITY}\n[revocation]\nurl = \"{{origin}}/revoke\"\nreach = \"token\""
    );
    let setup = Setup::new(&lines, |script| script.authentication = Authentication::Basic);
    let first = user(setup.connect().await);
    assert_eq!(
        (life(&first), first.scope.as_ref().unwrap().join(",")),
        (Some(3600), "read,write".to_owned())
    );
    let second = user(setup.refresh(&first).await);
    assert_ne!(first.refresh_token, second.refresh_token);
    let tokens =
        RevokedTokens { access_token: &second.access_token, refresh_token: second.refresh_token.as_ref() };
    assert_eq!(setup.client.revoke(&setup.context(), None, &tokens).await, Ok(Revoked::Done));
    assert!(!setup.provider.takes(second.access_token.expose()));
    assert_eq!(meaning(setup.refresh(&second).await), RefusalMeaning::Over);
}

/// A provider that ends everything with a reused refresh token shows that ours are not reused.
#[tokio::test]
async fn a_spent_refresh_token_ends_the_grant() {
    let setup = Setup::plain(|_| {});
    let first = user(setup.connect().await);
    let second = user(setup.refresh(&first).await);
    assert_eq!(meaning(setup.refresh(&first).await), RefusalMeaning::Over);
    assert_eq!(meaning(setup.refresh(&second).await), RefusalMeaning::Over, "the whole family");
}

#[tokio::test]
async fn a_reusable_refresh_token_goes_on() {
    let lines = format!("[refresh]\npolicy = \"refresh_token\"\nrotation = \"reusable\"\n{IDENTITY}");
    let setup = Setup::new(&lines, |script| {
        script.rotation = Rotation::Reusable;
        script.refresh_omits = vec!["scope"];
    });
    let first = user(setup.connect().await);
    for _ in 0..2 {
        let next = user(setup.refresh(&first).await);
        assert_eq!((next.refresh_token, next.scope), (None, None));
    }
}

#[tokio::test]
async fn answers_come_in_every_shape() {
    for (expiry, lines, expected) in [
        (ExpiryShape::Text, "", Some(3600)),
        (ExpiryShape::Missing, "[lifetime]\naccess_token = \"2h\"", Some(7200)),
        (ExpiryShape::Missing, "", None),
        (ExpiryShape::Value(json!("soon")), "[lifetime]\naccess_token = \"2h\"", Some(7200)),
        (ExpiryShape::Value(json!(0)), "", Some(0)),
        (
            ExpiryShape::Milliseconds,
            "[answer]\nexpires = { json = \"/expires_in\", unit = \"milliseconds\" }",
            Some(3600),
        ),
        (ExpiryShape::Unix, "[answer]\nexpires = { json = \"/expires_at\", unit = \"unix\" }", Some(3600)),
    ] {
        for shape in [TokenShape::Json, TokenShape::Form] {
            let setup = Setup::new(&format!("{lines}\n{SINGLE_USE}\n{IDENTITY}"), |script| {
                script.expiry = expiry.clone();
                script.shape = shape;
            });
            let tokens = user(setup.connect().await);
            assert_eq!(life(&tokens), expected, "{expiry:?} {shape:?}");
            assert!(setup.refresh(&tokens).await.is_ok());
        }
    }
}

#[tokio::test]
async fn requests_are_json_where_the_provider_wants_it() {
    let lines = format!(
        "[token_request]\nbody = \"json\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n{SINGLE_USE}\n\
         url = \"{{origin}}/renew\"\n{IDENTITY}\n[authorization]\ncode_parameter = \"auth_code\""
    );
    let setup = Setup::new(&lines, |script| {
        script.wants_json = true;
        script.authentication = Authentication::Post;
        script.code_parameter = "auth_code";
    });
    let tokens = user(setup.connect().await);
    assert!(setup.refresh(&tokens).await.is_ok());
}

#[tokio::test]
async fn a_bot_comes_nested_with_its_user() {
    let places = "access_token = \"/authed_user/access_token\"\nrefresh_token = \"/authed_user/refresh_token\"\n\
                  scope = \"/authed_user/scope\"\nexpires = { json = \"/authed_user/expires_in\" }";
    let flat = "access_token = \"/access_token\"\nrefresh_token = \"/refresh_token\"\nexpires = { json = \"/expires_in\" }";
    let lines = format!(
        "[answer]\n{places}\n[answer.refresh]\n{flat}\n[[credentials]]\naccount = \"/bot_user_id\"\n{flat}\n{SINGLE_USE}\n\
         [identity]\nfrom = \"token_answer\"\nsubject = \"/authed_user/id\""
    );
    let setup = Setup::new(&lines, |script| {
        script.shape = TokenShape::Nested;
        script.bot = Some(Bot { id: "B1" });
        script.errors_at_200 = true;
    });
    let answer = setup.connect().await.unwrap().answer;
    let (tokens, bot) = (answer.user.unwrap(), &answer.pages[0]);
    assert_eq!((answer.account.unwrap().subject.as_str(), life(&tokens)), ("scripted-user", Some(3600)));
    assert_eq!((bot.account.as_ref().unwrap().subject.as_str(), life(&bot.tokens)), ("B1", Some(43_200)));
    for own in [&tokens, &bot.tokens] {
        assert!(setup.refresh(own).await.is_ok(), "each by its own refresh token");
    }
    assert_eq!(meaning(setup.refresh(&tokens).await), RefusalMeaning::Over, "with status 200");
}

#[tokio::test]
async fn an_access_token_renews_itself() {
    let lines = format!(
        "[refresh]\npolicy = \"access_token\"\nnot_before = \"24h\"\nmethod = \"GET\"\nurl = \"{{origin}}/renew\"\n\
         parameters = {{ grant_type = \"renew\", access_token = \"{{access_token}}\" }}\n{IDENTITY}"
    );
    let setup = Setup::new(&lines, |script| script.refreshes_access_token = true);
    let first = user(setup.connect().await);
    assert_eq!(first.refresh_token, None);
    assert_ne!(user(setup.refresh(&first).await).access_token, first.access_token);
    setup.provider.expire_access_tokens();
    assert_eq!(meaning(setup.refresh(&first).await), RefusalMeaning::Over);
}

#[tokio::test]
async fn faults_keep_everything() {
    let setup = Setup::plain(|_| {});
    let tokens = user(setup.connect().await);
    for fault in [
        Fault::Status(503),
        Fault::Html,
        Fault::Page(502),
        Fault::Huge(300_000),
        Fault::OAuth("server_error"),
    ] {
        setup.provider.script(|script| script.token = fault.clone());
        let error = setup.refresh(&tokens).await.unwrap_err();
        assert_eq!(error.meaning(), RefusalMeaning::Passing, "{fault:?}");
        assert_eq!(error.retry_after(), (fault == Fault::Status(503)).then_some(7));
    }
    setup.provider.script(|script| script.token = Fault::None);
    let tokens = user(setup.refresh(&tokens).await);
    setup.provider.script(|script| script.token = Fault::HangUp);
    assert!(setup.refresh(&tokens).await.unwrap_err().may_be_spent());
    setup.provider.script(|script| script.token = Fault::None);
    assert_eq!(meaning(setup.refresh(&tokens).await), RefusalMeaning::Over, "it was");
}

#[tokio::test]
async fn a_rotated_secret_breaks_nothing() {
    let mut setup = Setup::plain(|_| {});
    setup.next = Some(Secret::new("the next one"));
    let first = setup.connect().await.unwrap();
    assert_eq!(first.secret, SecretInUse::Current);
    setup.provider.set_client_secrets(&["the next one"]);
    let second = setup.refresh(&first.answer.user.unwrap()).await.unwrap();
    assert_eq!(second.secret, SecretInUse::Next);
    setup.provider.set_client_secrets(&["another one"]);
    assert_eq!(meaning(setup.refresh(&second.answer.user.unwrap()).await), RefusalMeaning::Misconfigured);
}

/// Facebook's way: a short-lived token is exchanged, and pages come with tokens of their own, over several pages of a
/// list, with tasks in four shapes and a proof in every call.
#[tokio::test]
async fn pages_of_a_graph_api() {
    let lines = "scope_separator = \",\"\npkce = \"none\"\nextras = \"facebook\"\n[token_request]\n\
                 token_endpoint_auth_method = \"client_secret_post\"\n[exchange]\nurl = \"{origin}/exchange\"\nmethod = \"GET\"\n\
                 [exchange.parameters]\nclient_id = \"{client_id}\"\nclient_secret = \"{client_secret}\"\n\
                 fb_exchange_token = \"{access_token}\"\n[refresh]\npolicy = \"none\"\n[identity]\nurl = \"{origin}/me\"\n\
                 subject = \"/id\"\nname = \"/name\"\n[[managed_accounts]]\nurl = \"{origin}/me/accounts\"\nitems = \"/data\"\n\
                 next = \"/paging/next\"\ntasks = \"/tasks\"\ntoken = \"/access_token\"\n[relay]\norigins = [\"{origin}\"]\n\
                 strip_urls = [{ member = \"next\", parameters = [\"access_token\", \"appsecret_proof\"] }]\n\
                 refused = [{ status = [400, 401], json = \"/error/code\", equals = [102, 190] }]\n";
    let setup = Setup::new(lines, |script| {
        script.short_lived = true;
        script.wants_proof = true;
    });
    let first = setup.connect().await.unwrap().answer;
    let short = first.user.as_ref().unwrap().access_token.clone();
    let second = setup.client.exchange(&setup.context(), &short).await.unwrap().unwrap();
    let tokens = first.exchanged(second.answer).user.unwrap();
    assert_eq!(life(&tokens), Some(5_184_000));

    let secrets = [("token", &tokens.access_token)];
    let credential = CallCredential {
        secrets: &secrets,
        account: None,
        client_id: Some(ScriptedProvider::CLIENT_ID),
        extras: Some((Extras::Facebook, &setup.secret)),
        fields: &setup.fields,
    };
    let account = setup.client.identity(&setup.definition, &credential).await.unwrap().unwrap();
    assert_eq!((account.subject.as_str(), account.name.as_deref()), ("scripted-user", Some("Scripted User")));
    let listing = setup.client.managed_accounts(&setup.definition, &credential).await;
    assert_eq!(listing.extent, Extent::Complete);
    let tasks: Vec<_> = listing.accounts.iter().map(|page| page.tasks.join("+")).collect();
    assert_eq!(tasks, ["MANAGE+CREATE_CONTENT", "MANAGE", "", "", ""]);
    assert_eq!(listing.without_tasks, ["page-3"], "garbage alone");
    assert!(listing.accounts.iter().all(|page| page.token.is_some()));
    let calls: Vec<ProviderCall> = setup.provider.calls();
    assert_eq!(calls.len(), 4, "one for the account, and three pages");
    assert!(
        calls
            .iter()
            .all(|call| !call.target.contains("access_token") && call.target.contains("appsecret_proof"))
    );

    setup.provider.script(|script| script.page = Some((3, Fault::Status(500))));
    let listing = setup.client.managed_accounts(&setup.definition, &credential).await;
    assert_eq!(
        (listing.accounts.len(), listing.extent),
        (4, Extent::Partial(ApiError::Status { status: 500, retry_after: Some(7) }))
    );
    setup.provider.script(|script| script.graph_error = Some((400, 190, None)));
    let refused = setup.client.identity(&setup.definition, &credential).await;
    assert_eq!(refused, Err(ApiError::Refused { status: 400 }));
}

#[tokio::test]
async fn a_discovered_issuer_signs_id_tokens() {
    let setup = Setup::plain(|_| {});
    let text = format!(
        "kind = \"oidc\"\ntitle = \"Scripted\"\nissuer = \"{}\"\nscopes = [\"openid\"]\n{SINGLE_USE}\n[identity]\nname = \"/name\"",
        setup.provider.origin
    );
    let Kind::Oidc(oidc) = Definition::parse("oidc", &text).unwrap_or_else(|error| panic!("{error}")).kind
    else {
        panic!("kind")
    };
    let setup = Setup { definition: oidc.client.clone(), ..setup };
    let metadata = setup.client.discover(&oidc.discovery, WellKnown::Oidc, &setup.fields).await.unwrap();
    assert_eq!(metadata.token_endpoint, setup.endpoint);
    let keys = setup.client.keys(metadata.jwks_uri.as_ref().unwrap()).await.unwrap();
    let answer = setup.connect().await.unwrap().answer;
    let now = answer.user.as_ref().unwrap().issued_at;
    let verify = |nonce, now: Timestamp| {
        let rules = IdTokenRules {
            metadata: &metadata,
            discovery: &oidc.discovery,
            keys: &keys,
            client_id: ScriptedProvider::CLIENT_ID,
            nonce,
            now,
        };
        verify_id_token(&setup.definition, answer.id_token.as_ref().unwrap(), &rules)
    };
    let verified = verify(Some("the-nonce"), now).unwrap();
    assert_eq!(
        (verified.account.subject.as_str(), verified.account.name.as_deref()),
        ("scripted-user", Some("Scripted User"))
    );
    assert!(verify(Some("another"), now).is_err() && verify(Some("the-nonce"), now.plus(3600)).is_err());
}

/// One revocation may end everything that the user granted.
#[tokio::test]
async fn a_revocation_reaches_what_the_provider_says() {
    let lines = format!("{SINGLE_USE}\n{IDENTITY}\n[revocation]\nurl = \"{{origin}}/revoke\"");
    for revokes_grant in [false, true] {
        let setup = Setup::new(&lines, |script| script.revokes_grant = revokes_grant);
        let (one, other) = (user(setup.connect().await), user(setup.connect().await));
        let tokens =
            RevokedTokens { access_token: &one.access_token, refresh_token: one.refresh_token.as_ref() };
        assert_eq!(setup.client.revoke(&setup.context(), None, &tokens).await, Ok(Revoked::Done));
        assert_eq!(setup.provider.live_grants(), usize::from(!revokes_grant));
        assert_eq!(setup.refresh(&other).await.is_ok(), !revokes_grant);
        setup.provider.script(|script| script.revoke = Fault::Status(503));
        let passing = Ok(Revoked::Passing { retry_after: Some(7) });
        assert_eq!(setup.client.revoke(&setup.context(), None, &tokens).await, passing);
    }
}
