//! Registered clients: `oauth_client`.

use causeway_domain::client::{Client, GrantType, TokenEndpointAuthMethod};
use causeway_domain::client_document::ClientOrigin;
use causeway_domain::{ClientId, RedirectUri, Scope, TenantId, Timestamp, TokenHash, UpstreamSessionId};
use diesel::prelude::*;

use crate::column::Column;
use crate::conn::AnyConnection;
use crate::error::StoreError;
use crate::fixed::fixed;
use crate::schema::{
    oauth_atp_request, oauth_auth_request, oauth_authorization_code, oauth_client, upstream_session,
};
use crate::sessions;

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = oauth_client, treat_none_as_null = true)]
struct Row {
    client_id: String,
    client_secret: Option<String>,
    client_name: String,
    redirect_uris: String,
    grant_types: String,
    response_types: String,
    scope: Option<String>,
    token_endpoint_auth_method: String,
    client_type: String,
    created_at: i64,
    updated_at: i64,
    metadata: String,
    access_token_expiration: i64,
    refresh_token_expiration: i64,
    require_redirect_exact: bool,
    registration_access_token: Option<String>,
    jwks: Option<String>,
    tenant_id: String,
    origin: String,
    document_checked_at: Option<i64>,
    document_fresh_until: Option<i64>,
}

const fn column(name: &'static str) -> Column {
    Column("oauth_client", name)
}

impl Row {
    fn of(client: &Client) -> Result<Self, StoreError> {
        let (document_checked_at, document_fresh_until) = client.origin.times().unzip();
        Ok(Self {
            client_id: client.client_id.as_str().to_owned(),
            client_secret: client.client_secret.as_ref().map(|hash| hash.as_str().to_owned()),
            client_name: client.client_name.clone(),
            redirect_uris: column("redirect_uris").to_json(&client.redirect_uris)?,
            grant_types: column("grant_types").to_json(&client.grant_types)?,
            response_types: r#"["code"]"#.to_owned(),
            scope: client.scope.as_ref().map(Scope::to_string),
            token_endpoint_auth_method: client.token_endpoint_auth_method.as_str().to_owned(),
            client_type: client.client_type().as_str().to_owned(),
            created_at: client.created_at.as_secs(),
            updated_at: client.updated_at.as_secs(),
            metadata: column("metadata").to_json(&client.metadata)?,
            access_token_expiration: client.access_token_expiration,
            refresh_token_expiration: client.refresh_token_expiration,
            require_redirect_exact: true,
            registration_access_token: client
                .registration_access_token
                .as_ref()
                .map(|hash| hash.as_str().to_owned()),
            jwks: client.jwks.as_ref().map(|jwks| column("jwks").to_json(jwks)).transpose()?,
            tenant_id: client.tenant_id.as_str().to_owned(),
            origin: client.origin.as_str().to_owned(),
            document_checked_at: document_checked_at.map(Timestamp::as_secs),
            document_fresh_until: document_fresh_until.map(Timestamp::as_secs),
        })
    }

    fn into_domain(self) -> Result<Client, StoreError> {
        let redirect_uris: Vec<RedirectUri> = column("redirect_uris").json(&self.redirect_uris)?;
        let grant_types: Vec<GrantType> = column("grant_types").json(&self.grant_types)?;
        let method = TokenEndpointAuthMethod::parse(&self.token_endpoint_auth_method);
        let times = self.document_checked_at.zip(self.document_fresh_until);
        let times = times.map(|(checked, fresh)| (Timestamp(checked), Timestamp(fresh)));
        let origin = ClientOrigin::parse(&self.origin, times);
        let client = Client {
            client_id: ClientId::new(self.client_id),
            tenant_id: TenantId::new(self.tenant_id),
            origin: column("origin").present(origin)?,
            client_secret: self.client_secret.map(TokenHash::from_stored),
            client_name: self.client_name,
            redirect_uris,
            grant_types,
            scope: match self.scope {
                Some(scope) => Some(column("scope").scope(Some(&scope))?),
                None => None,
            },
            token_endpoint_auth_method: column("token_endpoint_auth_method").present(method)?,
            access_token_expiration: self.access_token_expiration,
            refresh_token_expiration: self.refresh_token_expiration,
            registration_access_token: self.registration_access_token.map(TokenHash::from_stored),
            jwks: self.jwks.as_deref().map(|jwks| column("jwks").json(jwks)).transpose()?,
            metadata: column("metadata").json(&self.metadata)?,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
        };
        // A client that is to prove itself needs what it proves itself by.
        let method = client.token_endpoint_auth_method;
        let has_keys = client.jwks.is_some() || client.jwks_uri().is_some();
        if method.has_secret() && client.client_secret.is_none() {
            return Err(column("client_secret").corrupt());
        }
        if method == TokenEndpointAuthMethod::PrivateKeyJwt && !has_keys {
            return Err(column("jwks").corrupt());
        }
        if client.client_type().as_str() != self.client_type {
            return Err(column("client_type").corrupt());
        }
        Ok(client)
    }
}

/// Registers a client.
///
/// # Errors
/// [`StoreError::Constraint`] when the identifier is taken.
pub fn insert_client(c: &mut AnyConnection, client: &Client) -> Result<(), StoreError> {
    diesel::insert_into(oauth_client::table).values(&Row::of(client)?).execute(c)?;
    Ok(())
}

/// Replaces everything about a client but who it is; `false` when it is gone.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn update_client(c: &mut AnyConnection, client: &Client) -> Result<bool, StoreError> {
    let own = oauth_client::table
        .filter(oauth_client::client_id.eq(client.client_id.as_str()))
        .filter(oauth_client::tenant_id.eq(client.tenant_id.as_str()));
    Ok(diesel::update(own).set(&Row::of(client)?).execute(c)? == 1)
}

/// Keeps a client that nobody registered as it describes itself now.
///
/// # Errors
/// [`StoreError::Constraint`] when another process keeps it first at this moment: the same again works then.
pub fn put_client(c: &mut AnyConnection, client: &Client) -> Result<(), StoreError> {
    if update_client(c, client)? { Ok(()) } else { insert_client(c, client) }
}

/// The client of this tenant; `None` for an unknown one and for another tenant's.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_client(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
) -> Result<Option<Client>, StoreError> {
    let client = oauth_client::table
        .filter(oauth_client::client_id.eq(client_id.as_str()))
        .filter(oauth_client::tenant_id.eq(tenant_id.as_str()));
    fixed!(client).get_result::<Row>(c).optional()?.map(Row::into_domain).transpose()
}

/// At most `limit` clients of a tenant, the newest first.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_clients(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    limit: i64,
) -> Result<Vec<Client>, StoreError> {
    oauth_client::table
        .filter(oauth_client::tenant_id.eq(tenant_id.as_str()))
        .order((oauth_client::created_at.desc(), oauth_client::client_id.asc()))
        .limit(limit)
        .load::<Row>(c)?
        .into_iter()
        .map(Row::into_domain)
        .collect()
}

/// Deletes a client with its requests, codes and tokens, and ends its sessions: their heads stay
/// until they are revoked at the people's own servers. `false` when this tenant has no such client.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn delete_client(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let exists = oauth_client::table
        .filter(oauth_client::client_id.eq(client_id.as_str()))
        .filter(oauth_client::tenant_id.eq(tenant_id.as_str()))
        .count()
        .get_result::<i64>(c)?;
    if exists == 0 {
        return Ok(false);
    }
    let of_client = || {
        upstream_session::table
            .filter(upstream_session::client_id.eq(client_id.as_str()))
            .filter(upstream_session::tenant_id.eq(tenant_id.as_str()))
            .filter(upstream_session::deleted_at.is_null())
    };
    let session_ids: Vec<String> = of_client().select(upstream_session::session_id).load(c)?;
    for session_id in session_ids {
        sessions::end_session(c, &UpstreamSessionId::new(session_id), now)?;
    }
    diesel::update(of_client()).set(upstream_session::deleted_at.eq(now.as_secs())).execute(c)?;
    diesel::delete(
        oauth_authorization_code::table.filter(oauth_authorization_code::client_id.eq(client_id.as_str())),
    )
    .execute(c)?;
    let requests = oauth_auth_request::table
        .filter(oauth_auth_request::client_id.eq(client_id.as_str()))
        .select(oauth_auth_request::session_id);
    diesel::delete(oauth_atp_request::table.filter(oauth_atp_request::auth_request_id.eq_any(requests)))
        .execute(c)?;
    // Tokens and requests go with it: their foreign keys cascade.
    let deleted = diesel::delete(
        oauth_client::table
            .filter(oauth_client::client_id.eq(client_id.as_str()))
            .filter(oauth_client::tenant_id.eq(tenant_id.as_str())),
    )
    .execute(c)?;
    Ok(deleted == 1)
}
