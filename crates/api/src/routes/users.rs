//! `/api/users`: a client's users in a tenant.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::connection::tenant_client::TenantClient;
use causeway_flow::connection::users;

use crate::bodies::tenant::{ExportedUser, UserBody, Users};
use crate::error::ApiError;
use crate::http::form::Params;
use crate::http::headers::{json_no_store, no_content};
use crate::http::list::cursor_page;
use crate::http::tenant_client::answer_in_tenant;
use crate::state::AppState;

pub(crate) async fn list(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    answer_in_tenant(&req, &state, async |client: &TenantClient| {
        let found = users::list(&state.ctx, client, cursor_page(Params::of_query(&req)?)?).await?;
        let shown = found.items.iter().map(UserBody::from).collect();
        Ok(json_no_store(StatusCode::OK, &Users { users: shown, next: found.next.as_deref() }))
    })
    .await
}

pub(crate) async fn delete(
    req: HttpRequest,
    state: Data<AppState>,
    user_id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    answer_in_tenant(&req, &state, async |client: &TenantClient| {
        users::delete(&state.ctx, client, &user_id).await?;
        Ok(no_content())
    })
    .await
}

pub(crate) async fn export(
    req: HttpRequest,
    state: Data<AppState>,
    user_id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    answer_in_tenant(&req, &state, async |client: &TenantClient| {
        let page = cursor_page(Params::of_query(&req)?)?;
        let export = users::export(&state.ctx, client, &user_id, page).await?;
        Ok(json_no_store(StatusCode::OK, &ExportedUser::at(&export, state.ctx.now())))
    })
    .await
}
