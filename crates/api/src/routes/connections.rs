//! `/api/connections`: what a client may use at providers, read and ended.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::connection::end;
use causeway_flow::connection::find::{self, FindRequest};
use causeway_flow::connection::list::{self, ListRequest};
use causeway_flow::connection::show;
use causeway_flow::connection::tenant_client::TenantClient;
use causeway_types::UpstreamSessionId;

use crate::bodies::connection::{ConnectionDetail, ConnectionSummary, Connections};
use crate::error::ApiError;
use crate::http::form::Params;
use crate::http::headers::{json_no_store, no_content};
use crate::http::list::cursor_page;
use crate::http::tenant_client::answer_in_tenant;
use crate::state::AppState;

pub(crate) async fn list(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    answer_in_tenant(&req, &state, async |client: &TenantClient| {
        let mut params = Params::of_query(&req)?;
        let request = ListRequest {
            user_id: params.take("user_id"),
            provider: params.take("provider"),
            state: params.take("state"),
            page: cursor_page(params)?,
        };
        let found = list::list(&state.ctx, client, request).await?;
        let now = state.ctx.now();
        let connections = found.items.iter().map(|it| ConnectionSummary::at(it, now)).collect();
        Ok(json_no_store(StatusCode::OK, &Connections { connections, next: found.next.as_deref() }))
    })
    .await
}

/// Finds the connection of a device by its fingerprint, or the one that was used last.
pub(crate) async fn find(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    answer_in_tenant(&req, &state, async |client: &TenantClient| {
        let mut params = Params::of_query(&req)?;
        let request = FindRequest {
            user_id: params.take("user_id"),
            provider: params.take("provider"),
            session_kind: params.take("session_kind"),
            fingerprint: params.take("fingerprint"),
        };
        params.refuse_rest()?;
        let found = find::find(&state.ctx, client, request).await?;
        Ok(json_no_store(StatusCode::OK, &ConnectionSummary::at(&found, state.ctx.now())))
    })
    .await
}

pub(crate) async fn show(
    req: HttpRequest,
    state: Data<AppState>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    answer_in_tenant(&req, &state, async |client: &TenantClient| {
        let found = show::show(&state.ctx, client, &UpstreamSessionId::new(id.into_inner())).await?;
        Ok(json_no_store(StatusCode::OK, &ConnectionDetail::at(&found, state.ctx.now())))
    })
    .await
}

/// Ends a connection; repeating the request succeeds without effect.
pub(crate) async fn end(
    req: HttpRequest,
    state: Data<AppState>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    answer_in_tenant(&req, &state, async |client: &TenantClient| {
        end::end(&state.ctx, client, &UpstreamSessionId::new(id.into_inner())).await?;
        Ok(no_content())
    })
    .await
}
