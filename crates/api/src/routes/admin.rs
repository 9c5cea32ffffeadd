//! `/admin/...`: the operator's API, with a token of its own. Without a configured token it does not exist.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload, ServiceConfig, delete, get, post, put};
use actix_web::{HttpRequest, HttpResponse};
use causeway_domain::client::ClientMetadata;
use causeway_flow::client::registration::create::Registered;
use causeway_flow::operations::admin;
use causeway_flow::operations::operator::{ClientDescription, shown_client};
use causeway_store::operations::admin::SessionFilter;
use causeway_store::operations::audit::AuditFilter;
use causeway_types::{ClientId, Did, PlainToken, SigningAlg, UpstreamSessionId};
use serde_json::json;

use super::admin_tenants;
use crate::bodies::admin::{
    AdminAuditEvent, AdminAuditEvents, AdminClients, AdminKey, AdminKeys, AdminMadeKey, AdminNewKey,
    AdminRevoked, AdminSecret, AdminSession, AdminSessions, AdminWhose,
};
use crate::error::ApiError;
use crate::http::form::{Params, has_controls};
use crate::http::headers::{json_no_store, no_content};
use crate::http::operator::{Answered, bad, body, gone, ok, page, require_operator};
use crate::http::resource::api;
use crate::state::AppState;

pub(crate) fn configure(config: &mut ServiceConfig) {
    config
        .service(
            api("/admin/clients", "GET, POST").route(get().to(list_clients)).route(post().to(create_client)),
        )
        .service(
            api("/admin/clients/{client_id}", "GET, PUT, DELETE")
                .route(get().to(show_client))
                .route(put().to(update_client))
                .route(delete().to(delete_client)),
        )
        .service(api("/admin/clients/{client_id}/secret", "POST").route(post().to(rotate_secret)))
        .service(api("/admin/sessions", "GET").route(get().to(list_sessions)))
        .service(
            api("/admin/sessions/{session_id}", "GET, DELETE")
                .route(get().to(show_session))
                .route(delete().to(end_session)),
        )
        .service(api("/admin/tokens/revoke", "POST").route(post().to(revoke_tokens)))
        .service(api("/admin/keys", "GET, POST").route(get().to(list_keys)).route(post().to(rotate_key)))
        .service(api("/admin/keys/{kid}", "DELETE").route(delete().to(retire_key)))
        .service(api("/admin/audit", "GET").route(get().to(list_audit_events)));
    admin_tenants::configure(config);
}

fn flag(params: &mut Params, name: &str) -> Result<bool, ApiError> {
    match params.take(name).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(bad(format!("{name} must be true or false"))),
    }
}

fn did(text: Option<String>) -> Result<Option<Did>, ApiError> {
    text.map(|text| Did::parse(&text).map_err(|_| bad("user must be a DID"))).transpose()
}

fn registered(status: StatusCode, registered: &Registered) -> HttpResponse {
    let mut shown = shown_client(&registered.client);
    if let Some(secret) = &registered.client_secret {
        shown["client_secret"] = json!(secret.expose());
    }
    json_no_store(status, &shown)
}

/// The metadata of RFC 7591 section 2, and the settings that only the operator controls.
fn described(metadata: ClientMetadata) -> Result<ClientDescription, ApiError> {
    ClientDescription::read(metadata).map_err(|error| bad(error.to_string()))
}

async fn list_clients(req: HttpRequest, state: Data<AppState>) -> Answered {
    require_operator(&req, &state)?;
    let clients = admin::list_clients(&state.ctx, page(Params::of_query(&req)?)?).await?;
    let shown = clients.items.iter().map(shown_client).collect();
    Ok(ok(&AdminClients { clients: shown, next: clients.next.as_deref() }))
}

async fn create_client(req: HttpRequest, state: Data<AppState>, payload: Payload) -> Answered {
    require_operator(&req, &state)?;
    let description = described(body(&req, payload).await?)?;
    let created = admin::create_client(&state.ctx, description).await?;
    Ok(registered(StatusCode::CREATED, &created))
}

async fn show_client(req: HttpRequest, state: Data<AppState>, id: Path<String>) -> Answered {
    require_operator(&req, &state)?;
    let found = admin::find_client(&state.ctx, &ClientId::new(id.into_inner())).await?;
    Ok(ok(&shown_client(&found.ok_or_else(|| gone("client"))?)))
}

async fn update_client(
    req: HttpRequest,
    state: Data<AppState>,
    id: Path<String>,
    payload: Payload,
) -> Answered {
    require_operator(&req, &state)?;
    let mut metadata: ClientMetadata = body(&req, payload).await?;
    let id = ClientId::new(id.into_inner());
    if metadata.other.remove("client_id").is_some_and(|named| named.as_str() != Some(id.as_str())) {
        return Err(bad("client_id in the body is not the one in the path: omit it, or send the same one"));
    }
    let updated = admin::update_client(&state.ctx, &id, described(metadata)?).await?;
    Ok(registered(StatusCode::OK, &updated.ok_or_else(|| gone("client"))?))
}

async fn delete_client(req: HttpRequest, state: Data<AppState>, id: Path<String>) -> Answered {
    require_operator(&req, &state)?;
    let deleted = admin::delete_client(&state.ctx, &ClientId::new(id.into_inner())).await?;
    if deleted { Ok(no_content()) } else { Err(gone("client")) }
}

async fn rotate_secret(req: HttpRequest, state: Data<AppState>, id: Path<String>) -> Answered {
    require_operator(&req, &state)?;
    let id = ClientId::new(id.into_inner());
    let secret = admin::rotate_secret(&state.ctx, &id).await?.ok_or_else(|| gone("client with a secret"))?;
    Ok(ok(&AdminSecret { client_id: &id, client_secret: PlainToken::expose(&secret) }))
}

async fn list_sessions(req: HttpRequest, state: Data<AppState>) -> Answered {
    require_operator(&req, &state)?;
    let mut params = Params::of_query(&req)?;
    let wanted = SessionFilter {
        did: did(params.take("user"))?,
        client_id: params.take("client").map(ClientId::new),
        ended: flag(&mut params, "ended")?,
    };
    let sessions = admin::list_sessions(&state.ctx, wanted, page(params)?).await?;
    let now = state.ctx.now();
    let shown = sessions.items.iter().map(|head| AdminSession::at(head, now)).collect();
    Ok(ok(&AdminSessions { sessions: shown, next: sessions.next.as_deref() }))
}

async fn show_session(req: HttpRequest, state: Data<AppState>, id: Path<String>) -> Answered {
    require_operator(&req, &state)?;
    let found = admin::find_session(&state.ctx, &UpstreamSessionId::new(id.into_inner())).await?;
    let head = found.ok_or_else(|| gone("session"))?;
    Ok(ok(&AdminSession::at(&head, state.ctx.now())))
}

/// Ends a session; repeating the request succeeds without effect.
async fn end_session(req: HttpRequest, state: Data<AppState>, id: Path<String>) -> Answered {
    require_operator(&req, &state)?;
    let ended = admin::end_session(&state.ctx, &UpstreamSessionId::new(id.into_inner())).await?;
    ended.map(|_| no_content()).ok_or_else(|| gone("session"))
}

async fn revoke_tokens(req: HttpRequest, state: Data<AppState>, payload: Payload) -> Answered {
    require_operator(&req, &state)?;
    let AdminWhose { user, client } = body(&req, payload).await?;
    if user.is_none() && client.is_none() {
        return Err(bad("name the user, the client, or both"));
    }
    if client.as_deref().is_some_and(has_controls) {
        return Err(bad("client must be a client_id"));
    }
    let wanted = SessionFilter { did: did(user)?, client_id: client.map(ClientId::new), ended: false };
    let revoked = admin::revoke_tokens(&state.ctx, &wanted).await?;
    let status = if revoked.next.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
    let answer =
        AdminRevoked { ended_sessions: revoked.sessions, revoked_client_tokens: revoked.client_tokens };
    Ok(json_no_store(status, &answer))
}

async fn list_keys(req: HttpRequest, state: Data<AppState>) -> Answered {
    require_operator(&req, &state)?;
    Params::of_query(&req)?.refuse_rest()?;
    let keys = admin::list_keys(&state.ctx).await?;
    Ok(ok(&AdminKeys { keys: keys.iter().map(AdminKey::from).collect() }))
}

async fn rotate_key(req: HttpRequest, state: Data<AppState>, payload: Payload) -> Answered {
    require_operator(&req, &state)?;
    let AdminNewKey { alg } = body(&req, payload).await?;
    let alg = SigningAlg::parse(&alg).ok_or_else(|| bad("alg must be RS256 or ES256"))?;
    let kid = admin::rotate_key(&state.ctx, alg).await?;
    Ok(json_no_store(StatusCode::CREATED, &AdminMadeKey { kid: &kid, alg }))
}

async fn retire_key(req: HttpRequest, state: Data<AppState>, kid: Path<String>) -> Answered {
    require_operator(&req, &state)?;
    let retired = admin::retire_key(&state.ctx, &kid).await?;
    if retired { Ok(no_content()) } else { Err(gone("rotated-out key")) }
}

async fn list_audit_events(req: HttpRequest, state: Data<AppState>) -> Answered {
    require_operator(&req, &state)?;
    let mut params = Params::of_query(&req)?;
    let wanted = AuditFilter {
        did: did(params.take("user"))?,
        client_id: params.take("client").map(ClientId::new),
        session_id: params.take("session").map(UpstreamSessionId::new),
        event: params.take("event"),
    };
    let events = admin::list_audit_events(&state.ctx, wanted, page(params)?).await?;
    let shown = events.items.iter().map(AdminAuditEvent::from).collect();
    Ok(ok(&AdminAuditEvents { events: shown, next: events.next.as_deref() }))
}
