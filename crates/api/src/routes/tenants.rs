//! `/api/tenants`: the tenants of a platform client.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_domain::client::Client;
use causeway_flow::connection::tenants::{self, NewTenant};
use causeway_types::TenantId;

use crate::bodies::tenant::{NewTenantBody, TenantBody, Tenants};
use crate::error::ApiError;
use crate::http::form::{Params, read_json};
use crate::http::headers::{json_no_store, no_content};
use crate::http::list::cursor_page;
use crate::http::tenant_client::answer_client;
use crate::state::AppState;

pub(crate) async fn create(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    answer_client(&req, &state, async |client: &Arc<Client>| {
        let NewTenantBody { name, user_namespace } = read_json(&req, payload).await?;
        let new = NewTenant::new(&name, user_namespace.as_deref())?;
        let made = tenants::create(&state.ctx, client, new).await?;
        Ok(json_no_store(StatusCode::CREATED, &TenantBody::from(&made)))
    })
    .await
}

pub(crate) async fn list(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    answer_client(&req, &state, async |client: &Arc<Client>| {
        let found = tenants::list(&state.ctx, client, cursor_page(Params::of_query(&req)?)?).await?;
        let shown = found.items.iter().map(TenantBody::from).collect();
        Ok(json_no_store(StatusCode::OK, &Tenants { tenants: shown, next: found.next.as_deref() }))
    })
    .await
}

pub(crate) async fn show(
    req: HttpRequest,
    state: Data<AppState>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    answer_client(&req, &state, async |client: &Arc<Client>| {
        let found = tenants::find(&state.ctx, client, &TenantId::new(id.into_inner())).await?;
        Ok(json_no_store(StatusCode::OK, &TenantBody::from(&found)))
    })
    .await
}

pub(crate) async fn delete(
    req: HttpRequest,
    state: Data<AppState>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    answer_client(&req, &state, async |client: &Arc<Client>| {
        tenants::delete(&state.ctx, client, &TenantId::new(id.into_inner())).await?;
        Ok(no_content())
    })
    .await
}
