//! A client that we did not write, in Rust: the crate `openidconnect`, against the binary behind a TLS front and a
//! real AT Protocol network. It refuses what does not follow the specifications by the letter.

use std::future::ready;
use std::io;

use anyhow::{Context as _, Result};
use causeway_testkit::{Account, Agent, RealNet, TlsProxy, User as _, decide};
use openidconnect::core::{
    CoreApplicationType, CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient,
    CoreClientAuthMethod, CoreDeviceAuthorizationResponse, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreRegisterErrorResponseType,
    CoreResponseMode, CoreResponseType, CoreRevocableToken, CoreSubjectIdentifierType, CoreTokenResponse,
    CoreUserInfoClaims,
};
use openidconnect::registration::{
    AdditionalClientMetadata, ClientRegistrationRequest, EmptyAdditionalClientRegistrationResponse,
};
use openidconnect::{
    AccessTokenHash, AdditionalProviderMetadata, AuthorizationCode, CsrfToken, DeviceAuthorizationUrl,
    EndSessionUrl, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl,
    LoginHint, LogoutRequest, Nonce, NonceVerifier, OAuth2TokenResponse as _, PkceCodeChallenge,
    PostLogoutRedirectUrl, ProviderMetadata, RedirectUrl, ResponseTypes, RevocationUrl, TokenResponse as _,
    http,
};
use serde::{Deserialize, Serialize};

use super::confidential::{arguments, serve};
use crate::support::{hidden, on_each_network};

const CALLBACK: &str = "http://127.0.0.1:49152/callback";
const OUT: &str = "https://app.example/out";

/// Metadata beyond OpenID Connect Discovery.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Endpoints {
    revocation_endpoint: RevocationUrl,
    device_authorization_endpoint: DeviceAuthorizationUrl,
    end_session_endpoint: EndSessionUrl,
}

impl AdditionalProviderMetadata for Endpoints {}

type Metadata = ProviderMetadata<
    Endpoints,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// Registration metadata beyond OpenID Connect Dynamic Client Registration.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Logout {
    post_logout_redirect_uris: Vec<PostLogoutRedirectUrl>,
}

impl AdditionalClientMetadata for Logout {}

type Registration = ClientRegistrationRequest<
    Logout,
    EmptyAdditionalClientRegistrationResponse,
    CoreApplicationType,
    CoreClientAuthMethod,
    CoreRegisterErrorResponseType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Client =
    CoreClient<EndpointSet, EndpointSet, EndpointNotSet, EndpointSet, EndpointMaybeSet, EndpointMaybeSet>;

/// The HTTP client that the crate is given.
async fn send(agent: &Agent, request: HttpRequest) -> io::Result<HttpResponse> {
    let (head, body) = request.into_parts();
    let request = agent.request(head.method, &head.uri.to_string()).headers(head.headers).body(body);
    let answer = agent.send(request).await.map_err(io::Error::other)?;
    let mut response = http::Response::builder().status(answer.status);
    response.headers_mut().expect("a status").extend(answer.headers);
    response.body(answer.text.into_bytes()).map_err(io::Error::other)
}

/// Checks the id_token of a response, and the access token against its `at_hash`.
fn check(client: &Client, tokens: &CoreTokenResponse, nonce: impl NonceVerifier, did: &str) -> Result<()> {
    let id_token = tokens.id_token().context("an id_token")?;
    let verifier = client.id_token_verifier();
    let claims = id_token.claims(&verifier, nonce)?;
    assert_eq!(claims.subject().as_str(), did);
    let (algorithm, key) = (id_token.signing_alg()?, id_token.signing_key(&verifier)?);
    let hash = AccessTokenHash::from_token(tokens.access_token(), algorithm, key)?;
    assert_eq!(claims.access_token_hash(), Some(&hash));
    Ok(())
}

/// A user enters the code of a device, signs in and approves.
async fn confirm(net: &RealNet, account: &Account, issuer: &str, user_code: &str) -> Result<()> {
    let browser = Agent::new(Some(&net.ca()?));
    let form_token = hidden(&browser.get(&format!("{issuer}/device")).await?, "form_token");
    let form = [("user_code", user_code), ("decision", "continue"), ("form_token", &form_token)];
    let page = browser.post(&format!("{issuer}/device/confirm"), &form).await?;
    let form = [("request", &*hidden(&page, "request")), ("identifier", &account.handle)];
    let to_pds = browser.post(&format!("{issuer}/oauth/sign-in"), &form).await?.location()?;
    let callback = net.user_of(account).approve(&to_pds).await?;
    let consent = browser.get(&callback).await?.location()?;
    let done = decide(&browser, &consent, "allow").await?;
    assert_eq!(done.location()?, format!("{issuer}/device/done"));
    Ok(())
}

on_each_network! {
    /// Discovery, registration, code with PKCE and nonce, id_token, userinfo, refresh, logout; then a device, and
    /// revocation.
    async fn from_discovery_to_revocation(database, release) {
        let Some(net) = RealNet::start_tls(release).await? else { return Ok(()) };
        let mut front = TlsProxy::start(&net).await?;
        let directory = tempfile::tempdir()?;
        let arguments = arguments(database, directory.path(), &net, &front)?;
        let _server = serve(directory.path(), &arguments, &mut front).await?;
        let agent = &Agent::new(Some(&net.ca()?));
        let http = |request: HttpRequest| send(agent, request);

        let metadata = Metadata::discover_async(IssuerUrl::new(front.url.clone())?, &http).await?;
        let endpoints = metadata.additional_metadata().clone();
        let logout = Logout { post_logout_redirect_uris: vec![PostLogoutRedirectUrl::new(OUT.to_owned())?] };
        let callback = RedirectUrl::new(CALLBACK.to_owned())?;
        let registration = Registration::new(vec![callback.clone()], logout)
            .set_token_endpoint_auth_method(Some(CoreClientAuthMethod::ClientSecretBasic))
            .set_response_types(Some(vec![ResponseTypes::new(vec![CoreResponseType::Code])]))
            .set_grant_types(Some(vec![
                CoreGrantType::AuthorizationCode, CoreGrantType::RefreshToken, CoreGrantType::DeviceCode,
            ]));
        let endpoint = metadata.registration_endpoint().context("registration_endpoint")?.clone();
        let registered = registration.register_async(&endpoint, &http).await?;
        let secret = registered.client_secret().cloned();
        let client: Client = CoreClient::from_provider_metadata(metadata, registered.client_id().clone(), secret)
            .set_redirect_uri(callback)
            .set_device_authorization_url(endpoints.device_authorization_endpoint)
            .set_revocation_url(endpoints.revocation_endpoint);

        let alice = net.account("alice")?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let (url, state, nonce) = client
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge)
            .set_login_hint(LoginHint::new(alice.handle.clone()))
            .url();
        let to_pds = agent.set_out(url.as_str()).await?.location()?;
        let consent = agent.get(&net.user("alice")?.approve(&to_pds).await?).await?.location()?;
        let answer = decide(agent, &consent, "allow").await?;
        assert_eq!(answer.redirect_param("state").as_ref(), Some(state.secret()));
        let code = AuthorizationCode::new(answer.redirect_param("code").context("code")?);
        let tokens = client.exchange_code(code)?.set_pkce_verifier(verifier).request_async(&http).await?;
        check(&client, &tokens, &nonce, &alice.did)?;
        assert!(check(&client, &tokens, &Nonce::new_random(), &alice.did).is_err(), "another nonce");

        let subject = tokens.id_token().context("an id_token")?.claims(&client.id_token_verifier(), &nonce)?.subject();
        let who: CoreUserInfoClaims =
            client.user_info(tokens.access_token().clone(), Some(subject.clone()))?.request_async(&http).await?;
        assert_eq!(who.preferred_username().map(|name| name.as_str()), Some(&*alice.handle));
        let refresh_token = tokens.refresh_token().context("refresh_token")?;
        let fresh = client.exchange_refresh_token(refresh_token)?.request_async(&http).await?;
        let refresh_token = fresh.refresh_token().context("refresh_token")?;

        let state = CsrfToken::new_random();
        let logout = LogoutRequest::from(endpoints.end_session_endpoint)
            .set_id_token_hint(tokens.id_token().context("an id_token")?)
            .set_post_logout_redirect_uri(PostLogoutRedirectUrl::new(OUT.to_owned())?)
            .set_state(state.clone())
            .http_get_url();
        let out = agent.get(logout.as_str()).await?.location()?;
        assert_eq!(out, format!("{OUT}?state={}", url::form_urlencoded::byte_serialize(state.secret().as_bytes()).collect::<String>()));
        let over = client.exchange_refresh_token(refresh_token)?.request_async(&http).await.unwrap_err();
        assert!(format!("{over:?}").contains("invalid_grant"), "{over:?}");

        let bob = net.account("bob")?;
        let device: CoreDeviceAuthorizationResponse = client.exchange_device_code().request_async(&http).await?;
        confirm(&net, bob, &front.url, device.user_code().secret()).await?;
        let polled = client.exchange_device_access_token(&device)?;
        let tokens = polled.request_async(&http, |_| ready(()), None).await?;
        check(&client, &tokens, |_: Option<&Nonce>| Ok(()), &bob.did)?;
        let refresh_token = tokens.refresh_token().context("refresh_token")?;
        client.revoke_token(CoreRevocableToken::from(refresh_token))?.request_async(&http).await?;
        let over: Result<CoreUserInfoClaims, _> =
            client.user_info(tokens.access_token().clone(), None)?.request_async(&http).await;
        assert!(over.is_err(), "revoked");
        Ok(())
    }
}
