//! A provider with the definition of a real one, whose addresses lead to a scripted server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::Clock;
use causeway_outbound::budget::Budgets;
use causeway_outbound::testing::{Reply, Seen, Upstream};
use causeway_outbound::{HttpClient, HttpConfig};
use causeway_providers::oauth::{
    ClientCredential, CodeRedemption, Issued, ProviderClient, RegisteredClient, RenewalTokens, TokenContext,
    TokenError,
};
use causeway_providers::relay::CallCredential;
use causeway_providers::{Catalog, Definition, Endpoints, FieldValues, Kind, OauthClient};
use causeway_types::{CodeVerifier, Secret, SystemRng, Timestamp};
use regex::Regex;
use serde_json::Value;
use url::Url;

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const REDIRECT_URI: &str = "https://causeway.example/connect/x/callback";

/// A clock that stands still.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// A client that gives up after this time.
pub(crate) fn patient_client(deadline: Duration) -> ProviderClient {
    client_with(Budgets::default(), deadline)
}

/// The same with these memory budgets.
pub(crate) fn client_with(budgets: Budgets, deadline: Duration) -> ProviderClient {
    let http = HttpClient::new(&HttpConfig { dev_mode: true, budgets, ..HttpConfig::default() }).unwrap();
    ProviderClient::new(http, Arc::new(Still), Arc::new(SystemRng), deadline)
}

pub(crate) struct Provider {
    pub(crate) upstream: Upstream,
    pub(crate) definition: Definition,
    pub(crate) fields: FieldValues,
    pub(crate) client: ProviderClient,
    pub(crate) secret: Secret,
    pub(crate) next_secret: Option<Secret>,
    token_endpoint: Url,
}

impl Provider {
    /// The provider of this name, of the built-in ones and of those in `tests/definitions`.
    pub(crate) async fn of(name: &str) -> Self {
        Self::with(name, &[]).await
    }

    /// The same with values that the user entered.
    pub(crate) async fn with(name: &str, fields: &[(&str, &str)]) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/definitions");
        let catalog = Catalog::load(Some(&directory)).unwrap();
        let upstream = Upstream::empty().await;
        let address = Regex::new(r"https://(\{[a-z_]+\}|[a-z0-9.-]+)").unwrap();
        let stays = |line: &str| line.starts_with("documentation") || line.starts_with("console");
        let lines = catalog.find(name).unwrap().text.lines();
        let lines = lines.map(|line| {
            if stays(line) {
                line.to_owned()
            } else {
                address.replace_all(line, upstream.origin.as_str()).into_owned()
            }
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        let definition = Definition::parse(name, &text).unwrap_or_else(|error| panic!("{error}"));
        let fields = fields.iter().copied().collect::<FieldValues>();
        let token_endpoint = match &definition.kind {
            Kind::Oauth2(oauth) => match &oauth.endpoints {
                Endpoints::Fixed { token, .. } => token.fill(|name| fields.get(name.as_str())).ok(),
                Endpoints::Discovered(_) => None,
            },
            _ => None,
        };
        let token_endpoint = token_endpoint.unwrap_or_else(|| upstream.url().join("/token").unwrap());
        let client = patient_client(Duration::from_secs(5));
        let (secret, next_secret) = (Secret::new("s+cret"), None);
        Self { upstream, definition, fields, client, secret, next_secret, token_endpoint }
    }

    pub(crate) fn oauth(&self) -> &OauthClient {
        self.definition.kind.oauth().unwrap()
    }

    pub(crate) fn registered(&self) -> RegisteredClient<'_> {
        RegisteredClient {
            client_id: "our-id",
            redirect_uri: REDIRECT_URI,
            authentication: None,
            credential: ClientCredential::Secret { current: &self.secret, next: self.next_secret.as_ref() },
        }
    }

    pub(crate) fn context(&self) -> TokenContext<'_> {
        TokenContext {
            client: self.oauth(),
            registered: self.registered(),
            token_endpoint: &self.token_endpoint,
            issuer: None,
            resource: None,
            fields: &self.fields,
        }
    }

    /// Answers the token endpoint with this.
    pub(crate) fn answers(&self, reply: Reply) {
        self.upstream.script_path(self.token_endpoint.path(), [reply]);
    }

    /// Redeems a code that is answered with this.
    pub(crate) async fn redeem(&self, status: u16, body: &Value) -> Result<Issued, TokenError> {
        self.answers(Reply::json(status, body));
        self.redeem_code().await
    }

    /// Redeems a code.
    pub(crate) async fn redeem_code(&self) -> Result<Issued, TokenError> {
        let (code, verifier) = (Secret::new("the-code"), CodeVerifier::parse(VERIFIER).unwrap());
        let scopes = self.oauth().scopes.default.clone();
        let redemption = CodeRedemption { code: &code, verifier: &verifier, scopes: &scopes };
        self.client.redeem(&self.context(), &redemption).await
    }

    /// Renews with the refresh token `old-refresh`, answered with this at the token endpoint.
    pub(crate) async fn refresh(&self, status: u16, body: &Value) -> Result<Issued, TokenError> {
        self.answers(Reply::json(status, body));
        self.refresh_with(Some("old-refresh")).await
    }

    /// Renews.
    pub(crate) async fn refresh_with(&self, refresh_token: Option<&str>) -> Result<Issued, TokenError> {
        let (access, refresh) = (Secret::new("old-access"), refresh_token.map(Secret::new));
        let tokens =
            RenewalTokens { access_token: &access, refresh_token: refresh.as_ref(), scope: "read write" };
        self.client.refresh(&self.context(), &tokens).await
    }

    /// The last request to a path.
    pub(crate) fn last(&self, path: &str) -> Seen {
        self.upstream.seen(path).pop().unwrap_or_else(|| panic!("nothing came to {path}"))
    }

    /// The last request to the token endpoint.
    pub(crate) fn last_token_request(&self) -> Seen {
        self.last(self.token_endpoint.path())
    }

    /// Runs with the credential of a call.
    pub(crate) fn credential<'a>(&'a self, secrets: &'a [(&'a str, &'a Secret)]) -> CallCredential<'a> {
        CallCredential {
            secrets,
            account: None,
            client_id: Some("our-id"),
            extras: self.oauth().extras.map(|extras| (extras, &self.secret)),
            fields: &self.fields,
        }
    }
}
