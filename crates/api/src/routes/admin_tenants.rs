//! `/admin/tenants/...`: the operator's tenants, with their users and connections.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload, ServiceConfig, delete, get, post};
use causeway_flow::connection::list::listed_state;
use causeway_flow::connection::tenants::NewTenant;
use causeway_flow::operations::tenant_admin as tenants;
use causeway_store::connections::heads::ConnectionFilter;
use causeway_types::{ClientId, TenantId, TenantUser, UpstreamSessionId, UserId, UserNamespace};

use crate::bodies::connection::{ConnectionDetail, ConnectionSummary, Connections, ShareWith};
use crate::bodies::tenant::{AdminNewTenant, ExportedUser, TenantBody, Tenants, UserBody, Users};
use crate::error::ApiError;
use crate::http::form::{Params, has_controls};
use crate::http::headers::{json_no_store, no_content};
use crate::http::operator::{Answered, bad, body, gone, ok, page, require_operator};
use crate::http::resource::api;
use crate::state::AppState;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(api("/admin/tenants", "GET, POST").route(get().to(list)).route(post().to(create)))
        .service(
            api("/admin/tenants/{tenant_id}", "GET, DELETE")
                .route(get().to(show))
                .route(delete().to(delete_tenant)),
        )
        .service(api("/admin/tenants/{tenant_id}/users", "GET").route(get().to(list_users)))
        .service(
            api("/admin/tenants/{tenant_id}/users/{namespace}/{user_id}", "GET, DELETE")
                .route(get().to(export_user))
                .route(delete().to(delete_user)),
        )
        .service(api("/admin/tenants/{tenant_id}/connections", "GET").route(get().to(list_connections)))
        .service(
            api("/admin/tenants/{tenant_id}/connections/{connection_id}", "GET, DELETE")
                .route(get().to(show_connection))
                .route(delete().to(end_connection)),
        )
        .service(
            api("/admin/tenants/{tenant_id}/connections/{connection_id}/share", "POST")
                .route(post().to(share_connection)),
        );
}

fn user(namespace: &str, user_id: &str) -> Result<TenantUser, ApiError> {
    let user = UserNamespace::parse(namespace).zip(UserId::parse(user_id));
    let (namespace, user_id) = user.ok_or_else(|| gone("user"))?;
    Ok(TenantUser { namespace, user_id })
}

async fn require_tenant(state: &AppState, id: String) -> Result<TenantId, ApiError> {
    let id = TenantId::new(id);
    tenants::find(&state.ctx, &id).await?.map(|tenant| tenant.tenant_id).ok_or_else(|| gone("tenant"))
}

async fn list(req: HttpRequest, state: Data<AppState>) -> Answered {
    require_operator(&req, &state)?;
    let found = tenants::list(&state.ctx, page(Params::of_query(&req)?)?).await?;
    let shown = found.items.iter().map(TenantBody::from).collect();
    Ok(ok(&Tenants { tenants: shown, next: found.next.as_deref() }))
}

async fn create(req: HttpRequest, state: Data<AppState>, payload: Payload) -> Answered {
    require_operator(&req, &state)?;
    let AdminNewTenant { name, user_namespace, clients } = body(&req, payload).await?;
    if clients.iter().any(|client| has_controls(client)) {
        return Err(bad("clients must be a list of client_ids"));
    }
    let new = NewTenant::new(&name, user_namespace.as_deref())?;
    let clients = clients.into_iter().map(ClientId::new).collect();
    let made = tenants::create(&state.ctx, new, clients).await?;
    Ok(json_no_store(StatusCode::CREATED, &TenantBody::from(&made)))
}

async fn show(req: HttpRequest, state: Data<AppState>, id: Path<String>) -> Answered {
    require_operator(&req, &state)?;
    let found = tenants::find(&state.ctx, &TenantId::new(id.into_inner())).await?;
    Ok(ok(&TenantBody::from(&found.ok_or_else(|| gone("tenant"))?)))
}

async fn delete_tenant(req: HttpRequest, state: Data<AppState>, id: Path<String>) -> Answered {
    require_operator(&req, &state)?;
    let id = TenantId::new(id.into_inner());
    if id == TenantId::default_tenant() {
        return Err(bad("clients register in this tenant: it cannot be deleted"));
    }
    if tenants::delete(&state.ctx, &id).await? { Ok(no_content()) } else { Err(gone("tenant")) }
}

async fn list_users(req: HttpRequest, state: Data<AppState>, id: Path<String>) -> Answered {
    require_operator(&req, &state)?;
    let id = require_tenant(&state, id.into_inner()).await?;
    let found = tenants::list_users(&state.ctx, &id, page(Params::of_query(&req)?)?).await?;
    let shown = found.items.iter().map(UserBody::from).collect();
    Ok(ok(&Users { users: shown, next: found.next.as_deref() }))
}

async fn export_user(
    req: HttpRequest,
    state: Data<AppState>,
    path: Path<(String, String, String)>,
) -> Answered {
    require_operator(&req, &state)?;
    let (id, namespace, user_id) = path.into_inner();
    let (id, user) = (require_tenant(&state, id).await?, user(&namespace, &user_id)?);
    let found = tenants::export_user(&state.ctx, &id, &user, page(Params::of_query(&req)?)?).await?;
    Ok(ok(&ExportedUser::at(&found.ok_or_else(|| gone("user"))?, state.ctx.now())))
}

async fn delete_user(
    req: HttpRequest,
    state: Data<AppState>,
    path: Path<(String, String, String)>,
) -> Answered {
    require_operator(&req, &state)?;
    let (id, namespace, user_id) = path.into_inner();
    let (id, user) = (require_tenant(&state, id).await?, user(&namespace, &user_id)?);
    let deleted = tenants::delete_user(&state.ctx, &id, &user).await?;
    if deleted { Ok(no_content()) } else { Err(gone("user")) }
}

async fn list_connections(req: HttpRequest, state: Data<AppState>, id: Path<String>) -> Answered {
    require_operator(&req, &state)?;
    let id = require_tenant(&state, id.into_inner()).await?;
    let mut params = Params::of_query(&req)?;
    let (namespace, user_id) = (params.take("user_namespace"), params.take("user_id"));
    let of_user = match (namespace, user_id) {
        (Some(namespace), Some(user_id)) => Some(user(&namespace, &user_id)?),
        (None, None) => None,
        _ => return Err(bad("user_namespace and user_id name a user together")),
    };
    let filter = ConnectionFilter {
        client_id: params.take("client").map(ClientId::new),
        user: of_user,
        provider: params.take("provider"),
        state: params.take("state").as_deref().map(listed_state).transpose()?,
    };
    let found = tenants::list_connections(&state.ctx, &id, filter, page(params)?).await?;
    let now = state.ctx.now();
    let connections = found.items.iter().map(|it| ConnectionSummary::at(it, now)).collect();
    Ok(ok(&Connections { connections, next: found.next.as_deref() }))
}

async fn show_connection(req: HttpRequest, state: Data<AppState>, path: Path<(String, String)>) -> Answered {
    require_operator(&req, &state)?;
    let (id, connection) = path.into_inner();
    let id = require_tenant(&state, id).await?;
    let found = tenants::find_connection(&state.ctx, &id, &UpstreamSessionId::new(connection)).await?;
    Ok(ok(&ConnectionDetail::at(&found.ok_or_else(|| gone("connection"))?, state.ctx.now())))
}

/// Ends a connection; repeating the request succeeds without effect.
async fn end_connection(req: HttpRequest, state: Data<AppState>, path: Path<(String, String)>) -> Answered {
    require_operator(&req, &state)?;
    let (id, connection) = path.into_inner();
    let id = require_tenant(&state, id).await?;
    let ended = tenants::end_connection(&state.ctx, &id, &UpstreamSessionId::new(connection)).await?;
    ended.map(|_| no_content()).ok_or_else(|| gone("connection"))
}

async fn share_connection(
    req: HttpRequest,
    state: Data<AppState>,
    path: Path<(String, String)>,
    payload: Payload,
) -> Answered {
    require_operator(&req, &state)?;
    let ShareWith { client_id } = body(&req, payload).await?;
    if has_controls(&client_id) {
        return Err(bad("client_id must be the identifier of a client"));
    }
    let (id, connection) = path.into_inner();
    let (id, connection) = (require_tenant(&state, id).await?, UpstreamSessionId::new(connection));
    let client_id = ClientId::new(client_id);
    let shared = tenants::share_connection(&state.ctx, &id, &connection, &client_id).await?;
    if shared { Ok(no_content()) } else { Err(gone("connection, or no such client acts in this tenant")) }
}
