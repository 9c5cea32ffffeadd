//! Access and refresh tokens that we issued: `oauth_access_token`, `oauth_refresh_token`.

pub mod grants;

use causeway_domain::session::SessionHead;
use causeway_domain::token::{AccessSubject, AccessToken, RefreshRevocation, RefreshToken, User};
use causeway_types::secret::{Access, Refresh};
use causeway_types::{ClientId, Jkt, TenantId, Timestamp, TokenHash, UpstreamSessionId};
use diesel::dsl::exists;
use diesel::prelude::*;

use crate::clients::live_client;
use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::schema::{
    oauth_access_token, oauth_authorization_code, oauth_client, oauth_refresh_token, upstream_session,
};
use crate::sessions::HeadRow;

#[derive(Queryable, Insertable)]
#[diesel(table_name = oauth_access_token, treat_none_as_default_value = false)]
struct AccessRow {
    token: String,
    token_type: String,
    client_id: String,
    user_id: Option<String>,
    session_id: Option<String>,
    session_iteration: Option<i64>,
    scope: Option<String>,
    created_at: i64,
    expires_at: i64,
    revoked: bool,
    dpop_jkt: Option<String>,
    first_used_at: Option<i64>,
    resource: Option<String>,
}

const fn access(name: &'static str) -> Column {
    Column("oauth_access_token", name)
}

impl AccessRow {
    fn of(token: &AccessToken) -> Self {
        let user = match &token.subject {
            AccessSubject::User(user) => Some(user),
            AccessSubject::Client => None,
        };
        Self {
            token: token.token.as_str().to_owned(),
            token_type: if token.dpop_jkt.is_some() { "DPoP" } else { "Bearer" }.to_owned(),
            client_id: token.client_id.as_str().to_owned(),
            user_id: user.map(|user| user.did.as_str().to_owned()),
            session_id: user.map(|user| user.session_id.as_str().to_owned()),
            session_iteration: user.and_then(|user| user.session_iteration),
            scope: Some(token.scope.to_string()),
            created_at: token.created_at.as_secs(),
            expires_at: token.expires_at.as_secs(),
            revoked: token.revoked,
            dpop_jkt: token.dpop_jkt.as_ref().map(|jkt| jkt.as_str().to_owned()),
            first_used_at: token.first_used_at.map(Timestamp::as_secs),
            resource: token.resources.to_stored(),
        }
    }

    fn into_domain(self) -> Result<AccessToken, StoreError> {
        let subject = match (self.user_id, self.session_id) {
            (Some(did), Some(session_id)) => AccessSubject::User(User {
                did: access("user_id").did(&did)?,
                session_id: UpstreamSessionId::new(session_id),
                session_iteration: self.session_iteration,
            }),
            (None, None) => AccessSubject::Client,
            _ => return Err(access("session_id").corrupt()),
        };
        Ok(AccessToken {
            token: TokenHash::from_stored(self.token),
            client_id: ClientId::new(self.client_id),
            subject,
            scope: access("scope").scope(self.scope.as_deref())?,
            resources: access("resource").resources(self.resource.as_deref())?,
            dpop_jkt: self.dpop_jkt.map(Jkt::new),
            created_at: Timestamp(self.created_at),
            expires_at: Timestamp(self.expires_at),
            revoked: self.revoked,
            first_used_at: self.first_used_at.map(Timestamp),
        })
    }
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = oauth_refresh_token, treat_none_as_default_value = false)]
struct RefreshRow {
    token: String,
    access_token: String,
    client_id: String,
    user_id: String,
    session_id: Option<String>,
    session_iteration: Option<i64>,
    scope: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked: bool,
    parent: Option<String>,
    used_at: Option<i64>,
    revoked_reason: Option<String>,
    access_used_at: Option<i64>,
    dpop_jkt: Option<String>,
    resource: Option<String>,
}

const fn refresh(name: &'static str) -> Column {
    Column("oauth_refresh_token", name)
}

impl RefreshRow {
    fn of(token: &RefreshToken) -> Self {
        Self {
            token: token.token.as_str().to_owned(),
            access_token: token.access_token.as_str().to_owned(),
            client_id: token.client_id.as_str().to_owned(),
            user_id: token.did.as_str().to_owned(),
            session_id: Some(token.session_id.as_str().to_owned()),
            session_iteration: token.session_iteration,
            scope: Some(token.scope.to_string()),
            created_at: token.created_at.as_secs(),
            expires_at: token.expires_at.map(Timestamp::as_secs),
            revoked: token.revoked.is_some(),
            parent: token.parent.as_ref().map(|parent| parent.as_str().to_owned()),
            used_at: token.used_at.map(Timestamp::as_secs),
            revoked_reason: token.revoked.map(|reason| reason.as_str().to_owned()),
            access_used_at: None,
            dpop_jkt: token.dpop_jkt.as_ref().map(|jkt| jkt.as_str().to_owned()),
            resource: token.resources.to_stored(),
        }
    }

    fn into_domain(self) -> Result<RefreshToken, StoreError> {
        let revoked = match (self.revoked, self.revoked_reason.as_deref()) {
            (false, None) => None,
            // Revoked manually by an operator.
            (true, None) => Some(RefreshRevocation::Grant),
            (true, Some(reason)) => {
                Some(refresh("revoked_reason").present(RefreshRevocation::parse(reason))?)
            }
            (false, Some(_)) => return Err(refresh("revoked_reason").corrupt()),
        };
        Ok(RefreshToken {
            token: TokenHash::from_stored(self.token),
            access_token: TokenHash::from_stored(self.access_token),
            client_id: ClientId::new(self.client_id),
            did: refresh("user_id").did(&self.user_id)?,
            session_id: UpstreamSessionId::new(refresh("session_id").present(self.session_id)?),
            session_iteration: self.session_iteration,
            scope: refresh("scope").scope(self.scope.as_deref())?,
            resources: refresh("resource").resources(self.resource.as_deref())?,
            dpop_jkt: self.dpop_jkt.map(Jkt::new),
            created_at: Timestamp(self.created_at),
            expires_at: self.expires_at.map(Timestamp),
            parent: self.parent.map(TokenHash::from_stored),
            used_at: self.used_at.map(Timestamp),
            revoked,
        })
    }
}

/// Stores an access token that is about to be sent.
///
/// # Errors
/// [`StoreError::Constraint`] when its client is deleted.
pub fn insert_access_token(c: &mut AnyConnection, token: &AccessToken) -> Result<(), StoreError> {
    fixed!(diesel::insert_into(oauth_access_token::table).values(AccessRow::of(token))).defer(c)?;
    Ok(())
}

/// Finds an access token, in whatever state; `None` when its client is deleted.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_access_token(
    c: &mut AnyConnection,
    token: &TokenHash<Access>,
) -> Result<Option<AccessToken>, StoreError> {
    let of_live_client = oauth_access_token::table
        .filter(oauth_access_token::token.eq(token.as_str()))
        .filter(exists(live_client!(oauth_access_token::client_id)));
    fixed!(of_live_client).get_result::<AccessRow>(c).optional()?.map(AccessRow::into_domain).transpose()
}

/// Finds an access token as [`find_access_token`] does, and the session that it gives access to, as
/// [`crate::sessions::find_session_of_token`] does: one statement, because every call of an API makes this look-up.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn find_access_token_with_session(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    token: &TokenHash<Access>,
) -> Result<Option<(AccessToken, Option<SessionHead>)>, StoreError> {
    let its_session = upstream_session::session_id
        .nullable()
        .eq(oauth_access_token::session_id)
        .and(upstream_session::tenant_id.eq(tenant_id.as_str()))
        .and(upstream_session::deleted_at.is_null());
    let of_live_client = oauth_access_token::table
        .left_join(upstream_session::table.on(its_session))
        .filter(oauth_access_token::token.eq(token.as_str()))
        .filter(exists(live_client!(oauth_access_token::client_id)))
        .select((oauth_access_token::all_columns, Option::<HeadRow>::as_select()));
    let found = fixed!(of_live_client).get_result::<(AccessRow, Option<HeadRow>)>(c).optional()?;
    let Some((token, session)) = found else { return Ok(None) };
    Ok(Some((token.into_domain()?, session.map(HeadRow::into_domain).transpose()?)))
}

/// Records the first use of an access token at a resource; `false` when it was used before, or has been
/// revoked. The refresh token issued with it records it too, because it outlives the access token's row.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn mark_access_token_used(
    c: &mut AnyConnection,
    token: &TokenHash<Access>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let pair = oauth_access_token::table
        .filter(oauth_access_token::token.eq(token.as_str()))
        .select((oauth_access_token::session_id, oauth_access_token::created_at));
    let pair = fixed!(pair).get_result::<(Option<String>, i64)>(c).optional()?;
    let Some((session_id, created_at)) = pair else { return Ok(false) };
    // The refresh token first, as in a revocation, so that the two do not wait for each other. A pair
    // is issued at one moment, and that is how it is found.
    let issued_with = oauth_refresh_token::table
        .filter(oauth_refresh_token::session_id.eq(session_id))
        .filter(oauth_refresh_token::created_at.eq(created_at))
        .filter(oauth_refresh_token::access_token.eq(token.as_str()))
        .filter(oauth_refresh_token::revoked.eq(false))
        .filter(oauth_refresh_token::access_used_at.is_null());
    let noted = oauth_refresh_token::access_used_at.eq(Some(now.as_secs()));
    fixed!(diesel::update(issued_with).set(noted)).defer(c)?;
    let unused = oauth_access_token::table
        .filter(oauth_access_token::token.eq(token.as_str()))
        .filter(oauth_access_token::revoked.eq(false))
        .filter(oauth_access_token::first_used_at.is_null());
    let used = oauth_access_token::first_used_at.eq(Some(now.as_secs()));
    Ok(fixed!(diesel::update(unused).set(used)).execute(c)? == 1)
}

/// Whether an access token was superseded with the refresh token that came with it: a late retry of that token's
/// parent took the place of both before either was used.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn is_superseded(c: &mut AnyConnection, token: &AccessToken) -> Result<bool, StoreError> {
    let AccessSubject::User(user) = &token.subject else { return Ok(false) };
    let superseded = oauth_refresh_token::table
        .filter(oauth_refresh_token::session_id.eq(Some(user.session_id.as_str())))
        .filter(oauth_refresh_token::created_at.eq(token.created_at.as_secs()))
        .filter(oauth_refresh_token::access_token.eq(token.token.as_str()))
        .filter(oauth_refresh_token::revoked_reason.eq(Some(RefreshRevocation::Superseded.as_str())));
    Ok(token.revoked && fixed!(diesel::select(exists(superseded))).get_result::<bool>(c)?)
}

/// Stores a refresh token that is about to be sent. If it has a parent, this transaction holds the parent's lock
/// ([`lock_refresh_token`]): a revocation of the grant that runs beside it either waits and sees the child, or was
/// seen with the parent.
///
/// # Errors
/// [`StoreError::Constraint`] when its client is deleted.
pub fn insert_refresh_token(c: &mut AnyConnection, token: &RefreshToken) -> Result<(), StoreError> {
    fixed!(diesel::insert_into(oauth_refresh_token::table).values(RefreshRow::of(token))).defer(c)?;
    Ok(())
}

/// Finds a refresh token, in whatever state; `None` when its client is deleted.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_refresh_token(
    c: &mut AnyConnection,
    token: &TokenHash<Refresh>,
) -> Result<Option<RefreshToken>, StoreError> {
    let of_live_client = oauth_refresh_token::table
        .filter(oauth_refresh_token::token.eq(token.as_str()))
        .filter(exists(live_client!(oauth_refresh_token::client_id)));
    fixed!(of_live_client).get_result::<RefreshRow>(c).optional()?.map(RefreshRow::into_domain).transpose()
}

/// Finds a refresh token as [`find_refresh_token`] does and locks it until this transaction ends: refreshes
/// of one token happen one after the other. For [`crate::Store::write`] only; on SQLite that alone suffices.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn lock_refresh_token(
    c: &mut AnyConnection,
    token: &TokenHash<Refresh>,
) -> Result<Option<RefreshToken>, StoreError> {
    let AnyConnection::Postgres(conn) = c else { return find_refresh_token(c, token) };
    oauth_refresh_token::table
        .filter(oauth_refresh_token::token.eq(token.as_str()))
        .filter(exists(live_client!(oauth_refresh_token::client_id)))
        .for_update()
        .get_result::<RefreshRow>(conn)
        .optional()?
        .map(RefreshRow::into_domain)
        .transpose()
}

/// Consumes a refresh token; `false` when it was used or revoked before, or has expired.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn consume_refresh_token(
    c: &mut AnyConnection,
    token: &TokenHash<Refresh>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let alive =
        oauth_refresh_token::expires_at.is_null().or(oauth_refresh_token::expires_at.gt(now.as_secs()));
    let unused = oauth_refresh_token::table
        .filter(oauth_refresh_token::token.eq(token.as_str()))
        .filter(oauth_refresh_token::used_at.is_null())
        .filter(oauth_refresh_token::revoked.eq(false))
        .filter(alive.assume_not_null());
    let used = oauth_refresh_token::used_at.eq(Some(now.as_secs()));
    Ok(fixed!(diesel::update(unused).set(used)).execute(c)? == 1)
}

/// Seconds by which the clocks of two processes may differ before a successor looks older than its parent.
const CLOCK_SKEW_SECONDS: i64 = 86_400;

/// Earliest time at which a successor of a refresh token may have been issued, by the clock of another
/// process: successors are looked up by their session from then on, which saves an index over `parent`.
const fn earliest_successor(parent: &RefreshToken) -> i64 {
    parent.created_at.plus(-CLOCK_SKEW_SECONDS).as_secs()
}

/// Whether any pair issued for this refresh token was used: its refresh token rotated, or its access token
/// presented.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn successor_used(c: &mut AnyConnection, parent: &RefreshToken) -> Result<bool, StoreError> {
    let used =
        oauth_refresh_token::used_at.is_not_null().or(oauth_refresh_token::access_used_at.is_not_null());
    let used_children = oauth_refresh_token::table
        .filter(oauth_refresh_token::session_id.eq(Some(parent.session_id.as_str())))
        .filter(oauth_refresh_token::created_at.ge(earliest_successor(parent)))
        .filter(oauth_refresh_token::parent.eq(Some(parent.token.as_str())))
        .filter(used);
    Ok(fixed!(diesel::select(exists(used_children))).get_result(c)?)
}

/// Revokes the unused pairs issued for this refresh token; returns how many.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn revoke_unused_successors(c: &mut AnyConnection, parent: &RefreshToken) -> Result<usize, StoreError> {
    let unused = oauth_refresh_token::table
        .filter(oauth_refresh_token::session_id.eq(Some(parent.session_id.as_str())))
        .filter(oauth_refresh_token::created_at.ge(earliest_successor(parent)))
        .filter(oauth_refresh_token::parent.eq(Some(parent.token.as_str())))
        .filter(oauth_refresh_token::used_at.is_null())
        .filter(oauth_refresh_token::revoked.eq(false))
        .filter(oauth_refresh_token::access_used_at.is_null());
    let access_tokens: Vec<String> = diesel::update(unused)
        .set((
            oauth_refresh_token::revoked.eq(true),
            oauth_refresh_token::revoked_reason.eq(Some(RefreshRevocation::Superseded.as_str())),
        ))
        .returning(oauth_refresh_token::access_token)
        .get_results(c)?;
    let revoked = access_tokens.len();
    diesel::update(oauth_access_token::table.filter(oauth_access_token::token.eq_any(access_tokens)))
        .set(oauth_access_token::revoked.eq(true))
        .execute(c)?;
    Ok(revoked)
}

/// Revokes one access token; `false` when it was revoked before or is unknown.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn revoke_access_token(c: &mut AnyConnection, token: &TokenHash<Access>) -> Result<bool, StoreError> {
    let live = oauth_access_token::table
        .filter(oauth_access_token::token.eq(token.as_str()))
        .filter(oauth_access_token::revoked.eq(false));
    Ok(fixed!(diesel::update(live).set(oauth_access_token::revoked.eq(true))).execute(c)? == 1)
}

/// Revokes the tokens that a client of this tenant holds for itself, without a user; returns how many were
/// alive.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn revoke_client_tokens(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
) -> Result<usize, StoreError> {
    let client = oauth_client::table
        .filter(oauth_client::client_id.eq(client_id.as_str()))
        .filter(oauth_client::tenant_id.eq(tenant_id.as_str()))
        .select(oauth_client::client_id);
    let live = oauth_access_token::table
        .filter(oauth_access_token::client_id.eq_any(client))
        .filter(oauth_access_token::session_id.is_null())
        .filter(oauth_access_token::revoked.eq(false));
    Ok(diesel::update(live).set(oauth_access_token::revoked.eq(true)).execute(c)?)
}

/// Revokes every access and refresh token of a session and drops its unused codes; returns how many
/// tokens were alive.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn revoke_grant(c: &mut AnyConnection, session_id: &UpstreamSessionId) -> Result<usize, StoreError> {
    let own = Some(session_id.as_str());
    if let AnyConnection::Postgres(conn) = c {
        // Waits for a transaction that is adding a pair now, so that the statements below see it.
        oauth_refresh_token::table
            .filter(oauth_refresh_token::session_id.eq(own))
            .select(oauth_refresh_token::token)
            .order(oauth_refresh_token::token)
            .for_update()
            .load::<String>(conn)?;
    }
    diesel::delete(
        oauth_authorization_code::table
            .filter(oauth_authorization_code::session_id.eq(own))
            .filter(oauth_authorization_code::used.eq(false)),
    )
    .execute(c)?;
    let refresh_tokens = oauth_refresh_token::table
        .filter(oauth_refresh_token::session_id.eq(own))
        .filter(oauth_refresh_token::revoked.eq(false));
    let revoked = diesel::update(refresh_tokens)
        .set((
            oauth_refresh_token::revoked.eq(true),
            oauth_refresh_token::revoked_reason.eq(Some(RefreshRevocation::Grant.as_str())),
        ))
        .execute(c)?;
    Ok(revoked + revoke_access_tokens(c, session_id)?)
}

/// Revokes the access tokens of a session. They are found by the user, whose index serves for the session too: those of a
/// session at another provider name none.
fn revoke_access_tokens(c: &mut AnyConnection, session_id: &UpstreamSessionId) -> Result<usize, StoreError> {
    let did = upstream_session::table
        .filter(upstream_session::session_id.eq(session_id.as_str()))
        .select(upstream_session::did);
    let did = fixed!(did).get_result::<Option<String>>(c).optional()?.flatten();
    let live = oauth_access_token::table
        .filter(oauth_access_token::session_id.eq(Some(session_id.as_str())))
        .filter(oauth_access_token::revoked.eq(false));
    let over = oauth_access_token::revoked.eq(true);
    Ok(match did {
        Some(did) => diesel::update(live.filter(oauth_access_token::user_id.eq(did))).set(over).execute(c)?,
        None => diesel::update(live.filter(oauth_access_token::user_id.is_null())).set(over).execute(c)?,
    })
}
