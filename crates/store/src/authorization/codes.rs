//! Authorization codes: `oauth_authorization_code`.

use causeway_domain::authorization::AuthorizationCode;
use causeway_types::secret::Code;
use causeway_types::{ClientId, Jkt, Timestamp, TokenHash, UpstreamSessionId};
use diesel::dsl::exists;
use diesel::prelude::*;

use crate::clients::live_client;
use crate::engine::column::{Column, S256};
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::schema::oauth_authorization_code::{self, dsl};
use crate::schema::upstream_session;

#[derive(Queryable, Insertable)]
#[diesel(table_name = oauth_authorization_code, treat_none_as_default_value = false)]
struct Row {
    code: String,
    client_id: String,
    user_id: String,
    session_id: Option<String>,
    session_iteration: Option<i64>,
    redirect_uri: String,
    scope: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    nonce: Option<String>,
    created_at: i64,
    expires_at: i64,
    used: bool,
    used_at: Option<i64>,
    dpop_jkt: Option<String>,
    resource: Option<String>,
}

const fn column(name: &'static str) -> Column {
    Column("oauth_authorization_code", name)
}

impl Row {
    fn into_domain(self, c: &mut AnyConnection) -> Result<AuthorizationCode, StoreError> {
        let session_id = column("session_id").present(self.session_id)?;
        let session_iteration = match self.session_iteration {
            Some(iteration) => iteration,
            None => head_iteration(c, &session_id)?,
        };
        let used_at = match (self.used, self.used_at) {
            (false, None) => None,
            (true, Some(used_at)) => Some(Timestamp(used_at)),
            _ => return Err(column("used_at").corrupt()),
        };
        Ok(AuthorizationCode {
            code: TokenHash::from_stored(self.code),
            client_id: ClientId::new(self.client_id),
            did: column("user_id").did(&self.user_id)?,
            session_id: UpstreamSessionId::new(session_id),
            session_iteration,
            redirect_uri: self.redirect_uri,
            scope: column("scope").scope(self.scope.as_deref())?,
            resources: column("resource").resources(self.resource.as_deref())?,
            code_challenge: column("code_challenge")
                .code_challenge(self.code_challenge_method.as_deref(), self.code_challenge.as_deref())?,
            nonce: self.nonce,
            dpop_jkt: self.dpop_jkt.map(Jkt::new),
            created_at: Timestamp(self.created_at),
            expires_at: Timestamp(self.expires_at),
            used_at,
        })
    }
}

/// The value assumed for NULL in a row that is older than the column: the iteration of the session's head.
fn head_iteration(c: &mut AnyConnection, session_id: &str) -> Result<i64, StoreError> {
    let iteration = upstream_session::table
        .filter(upstream_session::session_id.eq(session_id))
        .select(upstream_session::iteration)
        .first::<i64>(c)
        .optional()?;
    column("session_id").present(iteration)
}

/// Stores a code that is about to be sent.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn insert_code(c: &mut AnyConnection, code: &AuthorizationCode) -> Result<(), StoreError> {
    let row = Row {
        code: code.code.as_str().to_owned(),
        client_id: code.client_id.as_str().to_owned(),
        user_id: code.did.as_str().to_owned(),
        session_id: Some(code.session_id.as_str().to_owned()),
        session_iteration: Some(code.session_iteration),
        redirect_uri: code.redirect_uri.clone(),
        scope: Some(code.scope.to_string()),
        code_challenge: code.code_challenge.as_ref().map(|challenge| challenge.as_str().to_owned()),
        code_challenge_method: code.code_challenge.as_ref().map(|_| S256.to_owned()),
        nonce: code.nonce.clone(),
        created_at: code.created_at.as_secs(),
        expires_at: code.expires_at.as_secs(),
        used: code.used_at.is_some(),
        used_at: code.used_at.map(Timestamp::as_secs),
        dpop_jkt: code.dpop_jkt.as_ref().map(|jkt| jkt.as_str().to_owned()),
        resource: code.resources.to_stored(),
    };
    fixed!(diesel::insert_into(oauth_authorization_code::table).values(&row)).defer(c)?;
    Ok(())
}

/// Finds a code, used or not, expired or not; `None` when its client is deleted.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_code(
    c: &mut AnyConnection,
    code: &TokenHash<Code>,
) -> Result<Option<AuthorizationCode>, StoreError> {
    let of_live_client = dsl::oauth_authorization_code
        .filter(dsl::code.eq(code.as_str()))
        .filter(exists(live_client!(dsl::client_id)));
    let row = fixed!(of_live_client).get_result::<Row>(c).optional()?;
    row.map(|row| row.into_domain(c)).transpose()
}

/// Gives the session's unused and unexpired code another hash and a new expiry, for a response that is sent a
/// second time: the code sent first stops working. `None` when there is no such code, or more than one.
///
/// # Errors
/// [`StoreError`] when a query fails or the row is corrupt.
pub fn renew_code(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    new: &TokenHash<Code>,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<Option<AuthorizationCode>, StoreError> {
    let of_session = || dsl::oauth_authorization_code.filter(dsl::session_id.eq(Some(session_id.as_str())));
    if of_session().count().get_result::<i64>(c)? != 1 {
        return Ok(None);
    }
    let unused = of_session().filter(dsl::used.eq(false)).filter(dsl::expires_at.gt(now.as_secs()));
    let row = diesel::update(unused)
        .set((
            dsl::code.eq(new.as_str()),
            dsl::created_at.eq(now.as_secs()),
            dsl::expires_at.eq(expires_at.as_secs()),
        ))
        .returning(oauth_authorization_code::all_columns)
        .get_result::<Row>(c)
        .optional()?;
    row.map(|row| row.into_domain(c)).transpose()
}

/// Consumes a code; `None` when it is unknown, expired, or was used before. Of any number of racing callers
/// exactly one gets it.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn consume_code(
    c: &mut AnyConnection,
    code: &TokenHash<Code>,
    now: Timestamp,
) -> Result<Option<AuthorizationCode>, StoreError> {
    let unused = dsl::oauth_authorization_code
        .filter(dsl::code.eq(code.as_str()))
        .filter(dsl::used.eq(false))
        .filter(dsl::expires_at.gt(now.as_secs()));
    let consumed = diesel::update(unused)
        .set((dsl::used.eq(true), dsl::used_at.eq(Some(now.as_secs()))))
        .returning(oauth_authorization_code::all_columns);
    let row = fixed!(consumed).get_result::<Row>(c).optional()?;
    row.map(|row| row.into_domain(c)).transpose()
}
