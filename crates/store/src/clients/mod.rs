//! Registered clients: `oauth_client`.

pub mod consents;
mod deletion;

use causeway_domain::client::{Client, ClientOrigin, Entitlements, PkcePolicy};
use causeway_types::{
    ClientId, GrantType, RedirectUri, Scope, TenantId, Timestamp, TokenEndpointAuthMethod, TokenHash,
};
use diesel::prelude::*;

pub use self::deletion::{Purged, purge_deleted_clients};
use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::paging::{Page, PageRequest};
use crate::schema::oauth_client;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = oauth_client, treat_none_as_null = true)]
#[expect(clippy::struct_excessive_bools, reason = "they are the columns of the table")]
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
    allow_background_access: bool,
    allow_session_export: bool,
    id_token_claims: bool,
    pkce: String,
    allowed_resources: String,
    providers: String,
    manage_tenants: bool,
    import_connections: bool,
    allow_unconfirmed: bool,
    mcp_tools: String,
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
            allow_background_access: client.entitlements.background_access,
            allow_session_export: client.entitlements.session_export,
            id_token_claims: client.entitlements.id_token_claims,
            pkce: client.entitlements.pkce.as_str().to_owned(),
            allowed_resources: column("allowed_resources").to_json(&client.entitlements.allowed_resources)?,
            providers: column("providers").to_json(&client.entitlements.providers)?,
            mcp_tools: column("mcp_tools").to_json(&client.entitlements.mcp_tools)?,
            manage_tenants: client.entitlements.manage_tenants,
            import_connections: client.entitlements.import_connections,
            allow_unconfirmed: client.entitlements.allow_unconfirmed,
        })
    }

    fn into_domain(self) -> Result<Client, StoreError> {
        let redirect_uris: Vec<String> = column("redirect_uris").json(&self.redirect_uris)?;
        let redirect_uris = redirect_uris.into_iter().map(RedirectUri::from_stored).collect();
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
            entitlements: Entitlements {
                background_access: self.allow_background_access,
                session_export: self.allow_session_export,
                id_token_claims: self.id_token_claims,
                pkce: column("pkce").present(PkcePolicy::parse(&self.pkce))?,
                allowed_resources: column("allowed_resources").json(&self.allowed_resources)?,
                providers: column("providers").json(&self.providers)?,
                mcp_tools: column("mcp_tools").json(&self.mcp_tools)?,
                manage_tenants: self.manage_tenants,
                import_connections: self.import_connections,
                allow_unconfirmed: self.allow_unconfirmed,
            },
            metadata: column("metadata").json(&self.metadata)?,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
        };
        // A client that must authenticate needs a secret or keys to do so.
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

/// The condition that a column names a client that is not deleted: for `exists` in a query of another table.
macro_rules! live_client {
    ($column:expr) => {
        $crate::schema::oauth_client::table
            .filter($crate::schema::oauth_client::client_id.eq($column))
            .filter($crate::schema::oauth_client::deleted_at.is_null())
    };
}
pub(crate) use live_client;

/// Registers a client.
///
/// # Errors
/// [`StoreError::Constraint`] when the identifier is taken.
pub fn insert_client(c: &mut AnyConnection, client: &Client) -> Result<(), StoreError> {
    diesel::insert_into(oauth_client::table).values(&Row::of(client)?).execute(c)?;
    Ok(())
}

/// Replaces everything about a client except its identifier; `false` when it no longer exists.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn update_client(c: &mut AnyConnection, client: &Client) -> Result<bool, StoreError> {
    let own = oauth_client::table
        .filter(oauth_client::client_id.eq(client.client_id.as_str()))
        .filter(oauth_client::tenant_id.eq(client.tenant_id.as_str()))
        .filter(oauth_client::deleted_at.is_null());
    Ok(diesel::update(own).set(&Row::of(client)?).execute(c)? == 1)
}

/// Stores an unregistered client as its metadata document describes it now.
///
/// # Errors
/// [`StoreError::Constraint`] when another process stores it first at this moment: a retry then succeeds. The
/// same error when a client of that name is still being deleted: a retry succeeds a little later.
pub fn put_client(c: &mut AnyConnection, client: &Client) -> Result<(), StoreError> {
    if update_client(c, client)? { Ok(()) } else { insert_client(c, client) }
}

/// Finds a client of this tenant; `None` for an unknown one and for another tenant's.
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
        .filter(oauth_client::tenant_id.eq(tenant_id.as_str()))
        .filter(oauth_client::deleted_at.is_null())
        .select(Row::as_select());
    fixed!(client).get_result(c).optional()?.map(Row::into_domain).transpose()
}

/// Same as [`find_client`], including clients that are being deleted: they are still notified when their
/// sessions end.
pub(crate) fn find_client_or_deleted(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
) -> Result<Option<Client>, StoreError> {
    let client = oauth_client::table
        .filter(oauth_client::client_id.eq(client_id.as_str()))
        .filter(oauth_client::tenant_id.eq(tenant_id.as_str()))
        .select(Row::as_select());
    fixed!(client).get_result(c).optional()?.map(Row::into_domain).transpose()
}

/// Lists a page of a tenant's clients, the newest first.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_clients(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    wanted: &PageRequest,
) -> Result<Page<Client>, StoreError> {
    let mut query = oauth_client::table
        .filter(oauth_client::tenant_id.eq(tenant_id.as_str().to_owned()))
        .filter(oauth_client::deleted_at.is_null())
        .order((oauth_client::created_at.desc(), oauth_client::client_id.asc()))
        .limit(wanted.look_ahead())
        .select(Row::as_select())
        .into_boxed();
    if let Some((created_at, client_id)) = wanted.after_pair() {
        let later_then = oauth_client::created_at.lt(created_at).or(oauth_client::client_id.gt(client_id));
        query = query.filter(oauth_client::created_at.le(created_at)).filter(later_then);
    }
    let rows = query.load::<Row>(c)?.into_iter().map(Row::into_domain).collect::<Result<_, _>>()?;
    Ok(wanted.page(rows, |client: &Client| format!("{}.{}", client.created_at.as_secs(), client.client_id)))
}

/// Deletes a client: from now on it and its requests, codes and tokens count as deleted. The rows themselves
/// are deleted afterwards by [`purge_deleted_clients`]. `false` when this tenant has no such client.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn delete_client(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let live = oauth_client::table
        .filter(oauth_client::client_id.eq(client_id.as_str()))
        .filter(oauth_client::tenant_id.eq(tenant_id.as_str()))
        .filter(oauth_client::deleted_at.is_null());
    let deleted = diesel::update(live).set(oauth_client::deleted_at.eq(Some(now.as_secs()))).execute(c)?;
    Ok(deleted == 1)
}
