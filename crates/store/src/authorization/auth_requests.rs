//! Authorization requests on their way to a decision: `oauth_auth_request`.

use causeway_domain::authorization::{AuthRequest, AuthRequestStage};
use causeway_types::{
    AuthRequestId, BrowserSessionId, ClientId, CorrelationId, Did, Jkt, Prompts, RequestUri, ResponseMode,
    TenantId, Timestamp, TokenHash, UpstreamSessionId,
};
use diesel::dsl::exists;
use diesel::prelude::*;

use crate::clients::live_client;
use crate::engine::column::{Column, S256};
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::schema::oauth_auth_request::{self, dsl};

const SIGN_IN: &str = "sign_in";
const CONSENT: &str = "consent";
pub(crate) const DECIDED: &str = "decided";

#[derive(Queryable, Insertable)]
#[diesel(table_name = oauth_auth_request)]
struct Row {
    session_id: String,
    client_id: String,
    redirect_uri: String,
    scope: Option<String>,
    state: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    response_type: String,
    nonce: Option<String>,
    login_hint: Option<String>,
    created_at: i64,
    expires_at: i64,
    tenant_id: String,
    browser_id: String,
    request_uri: Option<String>,
    stage: String,
    upstream_session_id: Option<String>,
    response_mode: String,
    prompt: Option<String>,
    max_age: Option<i64>,
    dpop_jkt: Option<String>,
    ui_locales: Option<String>,
    resource: Option<String>,
    device_code: Option<String>,
    required_sub: Option<String>,
    correlation_id: Option<String>,
}

const fn column(name: &'static str) -> Column {
    Column("oauth_auth_request", name)
}

/// No DID holds a space.
fn join(dids: &[Did]) -> Option<String> {
    let dids: Vec<_> = dids.iter().map(Did::as_str).collect();
    (!dids.is_empty()).then(|| dids.join(" "))
}

impl Row {
    fn of(request: &AuthRequest) -> Self {
        let (stage, upstream_session_id) = match &request.stage {
            AuthRequestStage::SignIn => (SIGN_IN, None),
            AuthRequestStage::Consent { session_id } => (CONSENT, Some(session_id.as_str().to_owned())),
            AuthRequestStage::Decided { session_id } => {
                (DECIDED, session_id.as_ref().map(|id| id.as_str().to_owned()))
            }
        };
        Self {
            session_id: request.id.as_str().to_owned(),
            client_id: request.client_id.as_str().to_owned(),
            redirect_uri: request.redirect_uri.clone(),
            scope: Some(request.scope.to_string()),
            state: request.state.clone(),
            code_challenge: request.code_challenge.as_ref().map(|challenge| challenge.as_str().to_owned()),
            code_challenge_method: request.code_challenge.as_ref().map(|_| S256.to_owned()),
            response_type: "code".to_owned(),
            nonce: request.nonce.clone(),
            login_hint: request.login_hint.clone(),
            created_at: request.created_at.as_secs(),
            expires_at: request.expires_at.as_secs(),
            tenant_id: request.tenant_id.as_str().to_owned(),
            browser_id: request.browser_id.as_str().to_owned(),
            request_uri: request.request_uri.as_ref().map(|uri| uri.as_str().to_owned()),
            stage: stage.to_owned(),
            upstream_session_id,
            response_mode: request.response_mode.as_str().to_owned(),
            prompt: Some(request.prompt.to_string()).filter(|prompt| !prompt.is_empty()),
            max_age: request.max_age,
            dpop_jkt: request.dpop_jkt.as_ref().map(|jkt| jkt.as_str().to_owned()),
            ui_locales: request.ui_locales.clone(),
            resource: request.resources.to_stored(),
            device_code: request.device_code.as_ref().map(|code| code.as_str().to_owned()),
            required_sub: join(&request.required_subs),
            correlation_id: request.correlation_id.as_ref().map(|id| id.as_str().to_owned()),
        }
    }

    fn into_domain(self) -> Result<AuthRequest, StoreError> {
        let stage = match (self.stage.as_str(), self.upstream_session_id) {
            (SIGN_IN, None) => AuthRequestStage::SignIn,
            (CONSENT, Some(session_id)) => {
                AuthRequestStage::Consent { session_id: UpstreamSessionId::new(session_id) }
            }
            (DECIDED, session_id) => {
                AuthRequestStage::Decided { session_id: session_id.map(UpstreamSessionId::new) }
            }
            _ => return Err(column("stage").corrupt()),
        };
        Ok(AuthRequest {
            id: AuthRequestId::new(self.session_id),
            tenant_id: TenantId::new(self.tenant_id),
            client_id: ClientId::new(self.client_id),
            redirect_uri: self.redirect_uri,
            scope: column("scope").scope(self.scope.as_deref())?,
            resources: column("resource").resources(self.resource.as_deref())?,
            state: self.state,
            code_challenge: column("code_challenge")
                .code_challenge(self.code_challenge_method.as_deref(), self.code_challenge.as_deref())?,
            nonce: self.nonce,
            login_hint: self.login_hint,
            response_mode: column("response_mode").present(ResponseMode::parse(&self.response_mode))?,
            prompt: Prompts::parse(self.prompt.as_deref().unwrap_or_default())
                .map_err(|_| column("prompt").corrupt())?,
            max_age: self.max_age,
            dpop_jkt: self.dpop_jkt.map(Jkt::new),
            ui_locales: self.ui_locales,
            required_subs: self
                .required_sub
                .iter()
                .flat_map(|dids| dids.split(' '))
                .map(|did| column("required_sub").did(did))
                .collect::<Result<_, _>>()?,
            browser_id: BrowserSessionId::new(self.browser_id),
            request_uri: self.request_uri.map(RequestUri::new),
            device_code: self.device_code.map(TokenHash::from_stored),
            stage,
            correlation_id: self.correlation_id.map(CorrelationId::new),
            created_at: Timestamp(self.created_at),
            expires_at: Timestamp(self.expires_at),
        })
    }
}

/// Stores a validated authorization request.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn insert_auth_request(c: &mut AnyConnection, request: &AuthRequest) -> Result<(), StoreError> {
    diesel::insert_into(oauth_auth_request::table).values(&Row::of(request)).execute(c)?;
    Ok(())
}

/// Finds a live request, for the browser that it is bound to.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_auth_request(
    c: &mut AnyConnection,
    id: &AuthRequestId,
    browser_id: &BrowserSessionId,
    now: Timestamp,
) -> Result<Option<AuthRequest>, StoreError> {
    dsl::oauth_auth_request
        .filter(dsl::session_id.eq(id.as_str()))
        .filter(dsl::browser_id.eq(browser_id.as_str()))
        .filter(dsl::expires_at.gt(now.as_secs()))
        .filter(exists(live_client!(dsl::client_id)))
        .get_result::<Row>(c)
        .optional()?
        .map(Row::into_domain)
        .transpose()
}

/// Moves a request from sign-in to consent, with the new session; `false` when it was not at sign-in any
/// more.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn begin_consent(
    c: &mut AnyConnection,
    id: &AuthRequestId,
    session_id: &UpstreamSessionId,
) -> Result<bool, StoreError> {
    let at_sign_in =
        dsl::oauth_auth_request.filter(dsl::session_id.eq(id.as_str())).filter(dsl::stage.eq(SIGN_IN));
    let changed = diesel::update(at_sign_in)
        .set((dsl::stage.eq(CONSENT), dsl::upstream_session_id.eq(Some(session_id.as_str()))))
        .execute(c)?;
    Ok(changed == 1)
}

/// Marks a request as decided, whatever the decision; `false` when it is not at `from` any more because it
/// was decided, or a user has signed in, since the caller read it. The session of a consent stays attached.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn decide_auth_request(
    c: &mut AnyConnection,
    id: &AuthRequestId,
    from: &AuthRequestStage,
) -> Result<bool, StoreError> {
    let request = dsl::oauth_auth_request.filter(dsl::session_id.eq(id.as_str()));
    let decided = dsl::stage.eq(DECIDED);
    let changed = match from {
        AuthRequestStage::SignIn => {
            diesel::update(request.filter(dsl::stage.eq(SIGN_IN))).set(decided).execute(c)?
        }
        AuthRequestStage::Consent { session_id } => {
            let of_session = request
                .filter(dsl::stage.eq(CONSENT))
                .filter(dsl::upstream_session_id.eq(Some(session_id.as_str())));
            diesel::update(of_session).set(decided).execute(c)?
        }
        AuthRequestStage::Decided { .. } => 0,
    };
    Ok(changed == 1)
}
