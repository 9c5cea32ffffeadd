//! An OAuth client as plain as they come: what a stock library sends, spelled out.

use anyhow::{Context as _, Result, ensure};
use causeway_types::{CodeVerifier, SystemRng};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::agent::{Agent, Answer};
use crate::{TestApp, User};

/// A registered client, and how it authenticates.
#[derive(Debug, Clone)]
pub struct OauthClient {
    /// The issuer's origin.
    pub issuer: String,
    /// Its identifier.
    pub client_id: String,
    /// Its secret; `None` for a public client.
    pub client_secret: Option<String>,
    /// Whether the secret is sent in the header (`client_secret_basic`) instead of the body
    /// (`client_secret_post`).
    pub in_header: bool,
    /// The redirect URI.
    pub redirect_uri: String,
    /// The scope that it requests.
    pub scope: String,
}

/// A token response.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The access token.
    pub access_token: String,
    /// The refresh token.
    pub refresh_token: String,
    /// The whole response.
    pub answer: Value,
}

/// An authorization request in progress.
#[derive(Debug)]
pub struct Authorization {
    /// The PKCE verifier.
    pub verifier: CodeVerifier,
    /// The client's state.
    pub state: String,
    /// The parameters of the request.
    pub params: Vec<(String, String)>,
}

impl Authorization {
    /// Sets one parameter, or removes it when `value` is `None`.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        self.params.retain(|(key, _)| key != name);
        if let Some(value) = value {
            self.params.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The URL that the browser is sent to.
    pub fn url(&self, issuer: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.params).finish();
        format!("{issuer}/oauth/authorize?{query}")
    }

    /// The parameters for a form.
    pub fn form(&self) -> Vec<(&str, &str)> {
        self.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

impl OauthClient {
    /// Registers a public client.
    ///
    /// # Errors
    /// When registration is refused.
    pub async fn register(agent: &Agent, issuer: &str) -> Result<Self> {
        Self::register_with(agent, issuer, "none").await
    }

    /// Registers a client with an authentication method.
    ///
    /// # Errors
    /// When registration is refused.
    pub async fn register_with(agent: &Agent, issuer: &str, method: &str) -> Result<Self> {
        Self::register_as(agent, issuer, json!({ "token_endpoint_auth_method": method })).await
    }

    /// Registers a client with additional metadata.
    ///
    /// # Errors
    /// When registration is refused.
    pub async fn register_as(agent: &Agent, issuer: &str, more: Value) -> Result<Self> {
        let redirect_uri = "http://127.0.0.1/callback";
        let mut metadata = json!({
            "client_name": "Test client",
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
        });
        for (name, value) in more.as_object().context("an object")? {
            metadata[name] = value.clone();
        }
        let url = format!("{issuer}/oauth/register");
        let answer = agent.post_body(&url, "application/json", metadata.to_string()).await?;
        ensure!(answer.status == 201, "registration: {answer:?}");
        let body = answer.json();
        Ok(Self {
            issuer: issuer.to_owned(),
            client_id: body["client_id"].as_str().context("client_id")?.to_owned(),
            client_secret: body["client_secret"].as_str().map(str::to_owned),
            in_header: body["token_endpoint_auth_method"] == "client_secret_basic",
            redirect_uri: "http://127.0.0.1:49152/callback".to_owned(),
            scope: "atproto transition:generic".to_owned(),
        })
    }

    /// Begins an authorization request, with an optional login hint.
    pub fn authorization(&self, login_hint: Option<&str>) -> Authorization {
        let verifier = CodeVerifier::random(&SystemRng);
        let state = CodeVerifier::random(&SystemRng).expose().to_owned();
        let challenge = verifier.challenge();
        let mut params = vec![
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("response_type", "code"),
            ("scope", self.scope.as_str()),
            ("state", state.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        params.extend(login_hint.map(|hint| ("login_hint", hint)));
        let params = params.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Authorization { verifier, state, params }
    }

    /// Runs the flow from the request to the code: browser, upstream, consent. Checks `state` and `iss` as a
    /// client must.
    ///
    /// # Errors
    /// When a step does not lead to the next.
    pub async fn obtain_code(
        &self,
        agent: &Agent,
        user: &impl User,
        login_hint: &str,
    ) -> Result<(String, Authorization)> {
        let authorization = self.authorization(Some(login_hint));
        let consent = self.reach_consent(agent, user, &authorization).await?;
        let answer = decide(agent, &consent, "allow").await?;
        let code = answer.redirect_param("code").with_context(|| format!("no code: {answer:?}"))?;
        ensure!(answer.redirect_param("state").as_ref() == Some(&authorization.state), "state: {answer:?}");
        ensure!(answer.redirect_param("iss").as_ref() == Some(&self.issuer), "iss: {answer:?}");
        Ok((code, authorization))
    }

    /// Runs the flow from the request up to the consent page, and returns its URL.
    ///
    /// # Errors
    /// When a step does not lead to the next.
    pub async fn reach_consent(
        &self,
        agent: &Agent,
        user: &impl User,
        authorization: &Authorization,
    ) -> Result<String> {
        let to_upstream = agent.set_out(&authorization.url(&self.issuer)).await?;
        let callback = user.approve(&to_upstream.location()?).await?;
        agent.get(&callback).await?.location()
    }

    /// A form with this client's authentication, unless that is sent in the header.
    pub fn form<'a>(&'a self, params: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut form = params.to_vec();
        form.push(("client_id", &self.client_id));
        let in_body = self.client_secret.as_deref().filter(|_| !self.in_header);
        form.extend(in_body.map(|secret| ("client_secret", secret)));
        form
    }

    /// A POST to an endpoint with this client's authentication.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, agent: &Agent, path: &str, params: &[(&str, &str)]) -> Result<Answer> {
        agent.send(self.request(agent, path, params)).await
    }

    fn request(&self, agent: &Agent, path: &str, params: &[(&str, &str)]) -> RequestBuilder {
        let request = agent.request(Method::POST, &format!("{}{path}", self.issuer)).form(&self.form(params));
        match self.client_secret.as_deref().filter(|_| self.in_header) {
            Some(secret) => request.basic_auth(&self.client_id, Some(secret)),
            None => request,
        }
    }

    /// A POST with this client's authentication and a DPoP proof.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_with_proof(
        &self,
        agent: &Agent,
        path: &str,
        params: &[(&str, &str)],
        proof: &str,
    ) -> Result<Answer> {
        agent.send(self.request(agent, path, params).header("dpop", proof)).await
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn redeem(&self, agent: &Agent, code: &str, verifier: &CodeVerifier) -> Result<Answer> {
        let params = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", verifier.expose()),
        ];
        self.post(agent, "/oauth/token", &params).await
    }

    /// Refreshes.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn refresh(&self, agent: &Agent, refresh_token: &str) -> Result<Answer> {
        let params = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        self.post(agent, "/oauth/token", &params).await
    }

    /// Runs the whole flow from a handle to tokens.
    ///
    /// # Errors
    /// When a step does not lead to the next.
    pub async fn sign_in(&self, agent: &Agent, user: &impl User, login_hint: &str) -> Result<Tokens> {
        let (code, authorization) = self.obtain_code(agent, user, login_hint).await?;
        Tokens::read(&self.redeem(agent, &code, &authorization.verifier).await?)
    }
}

impl Tokens {
    /// Parses a token response.
    ///
    /// # Errors
    /// When it is not one, or lacks a required member.
    pub fn read(answer: &Answer) -> Result<Self> {
        ensure!(answer.status == 200, "token answer: {answer:?}");
        let body = answer.json();
        let text =
            |name: &str| body[name].as_str().map(str::to_owned).with_context(|| format!("{name}: {body}"));
        ensure!(
            body["expires_in"].is_i64() && body["sub"].is_string() && body["scope"].is_string(),
            "{body}"
        );
        Ok(Self { access_token: text("access_token")?, refresh_token: text("refresh_token")?, answer: body })
    }
}

/// Submits a decision on the consent page.
///
/// # Errors
/// When there is no answer.
pub async fn decide(agent: &Agent, consent_url: &str, decision: &str) -> Result<Answer> {
    let page = agent.get(consent_url).await?;
    ensure!(page.status == 200, "consent page: {page:?}");
    let url = url::Url::parse(consent_url)?;
    let request = url.query_pairs().find(|(name, _)| name == "request").context("request")?.1.into_owned();
    let action = url.join("/oauth/consent")?;
    agent.post(action.as_str(), &[("request", &request), ("decision", decision)]).await
}

impl TestApp {
    /// A public client of this server.
    ///
    /// # Errors
    /// When registration is refused.
    pub async fn client(&self, agent: &Agent) -> Result<OauthClient> {
        OauthClient::register(agent, &self.issuer).await
    }
}
