//! The endpoints, one file for each group that belongs together. A handler parses, calls a verb and renders.

mod account;
pub(crate) mod admin;
mod admin_tenants;
mod authorize;
mod callback;
mod client_documents;
mod connect;
mod connect_sessions;
mod connection_use;
mod connections;
mod consent;
mod deauthorize;
mod device;
mod events;
mod graphql;
mod health;
mod home;
mod introspect;
mod logout;
mod mcp;
pub(crate) mod metadata;
mod par;
mod register;
mod relay;
mod resume;
mod revoke;
mod session;
mod sessions;
mod sign_in;
mod tenants;
mod token;
mod userinfo;
mod users;
mod xrpc;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig, delete, get, head, patch, post, put};

use crate::http::answer::repeat_as_get;
use crate::http::canonical::{at_issuer, at_page_origin};
use crate::http::cors::{cors, mcp_cors};
use crate::http::resource::{api, not_found, read};

/// The route table. Routes that are wrapped in [`cors`] may be called by scripts of any origin.
pub(crate) fn configure(config: &mut ServiceConfig) {
    pages(config);
    documents(config);
    config
        .service(api("/oauth/register", "POST").route(post().to(register::register)).wrap(cors()))
        .service(api("/oauth/par", "POST").route(post().to(par::par)).wrap(cors()))
        .service(api("/oauth/device_authorization", "POST").route(post().to(device::authorize)).wrap(cors()))
        .service(api("/oauth/token", "POST").route(post().to(token::token)).wrap(cors()))
        .service(api("/oauth/revoke", "POST").route(post().to(revoke::revoke)).wrap(cors()))
        .service(api("/oauth/introspect", "POST").route(post().to(introspect::introspect)).wrap(cors()))
        .service(
            api("/oauth/userinfo", "GET, POST")
                .route(get().to(userinfo::get))
                .route(post().to(userinfo::post))
                .wrap(cors()),
        )
        .service(api("/api/session", "GET").route(get().to(session::show)).wrap(cors()))
        .service(api("/api/session/refresh", "POST").route(post().to(session::refresh)).wrap(cors()))
        .service(api("/api/session/sign-in", "POST").route(post().to(session::sign_in)).wrap(cors()))
        .service(
            api("/api/sessions", "GET, POST")
                .route(get().to(sessions::find))
                .route(post().to(sessions::find)),
        )
        .service(api("/api/events", "GET, POST").route(get().to(events::get)).route(post().to(events::post)))
        .service(api("/api/connect-sessions", "POST").route(post().to(connect_sessions::create)))
        .service(api("/api/connections/confirm", "POST").route(post().to(connect_sessions::confirm)))
        .service(
            api("/api/tenants", "GET, POST").route(get().to(tenants::list)).route(post().to(tenants::create)),
        )
        .service(api("/api/users", "GET").route(get().to(users::list)))
        .service(api("/api/connections", "GET").route(get().to(connections::list)))
        .service(api("/api/connections/find", "GET").route(get().to(connections::find)))
        .service(api("/api/mcp", "GET").route(get().to(mcp::list)).wrap(cors()))
        .service(api("/graphql", "POST").route(post().to(graphql::post)).wrap(cors()));
    with_path_parameters(config);
    config.default_service(web::to(not_found));
}

/// The pages that users see, and the addresses that browsers and probes request.
fn pages(config: &mut ServiceConfig) {
    config
        .service(api("/", "GET, HEAD").route(read().to(home::home).wrap(from_fn(at_issuer))))
        .service(api("/healthz", "GET, HEAD").route(read().to(health::healthz)))
        .service(api("/readyz", "GET, HEAD").route(read().to(health::readyz)))
        .service(
            api("/oauth/authorize", "GET, POST")
                .route(get().to(authorize::get).wrap(from_fn(at_page_origin)))
                .route(post().to(repeat_as_get)),
        )
        .service(
            api("/oauth/logout", "GET, POST")
                .route(get().to(logout::get).wrap(from_fn(at_page_origin)))
                .route(post().to(repeat_as_get)),
        )
        .service(api("/oauth/logout/confirm", "POST").route(post().to(logout::confirm)))
        .service(api("/account", "GET, HEAD").route(read().to(account::get).wrap(from_fn(at_page_origin))))
        .service(api("/account/sign-in", "POST").route(post().to(account::sign_in)))
        .service(api("/account/revoke", "POST").route(post().to(account::revoke)))
        .service(api("/account/revoke-all", "POST").route(post().to(account::revoke_all)))
        .service(api("/account/leave", "POST").route(post().to(account::leave)))
        .service(
            api("/device", "GET, POST")
                .route(get().to(device::get).wrap(from_fn(at_page_origin)))
                .route(post().to(device::post)),
        )
        .service(api("/device/confirm", "POST").route(post().to(device::confirm)))
        .service(api("/device/done", "GET, HEAD").route(read().to(device::done)))
        .service(api("/oauth/sign-in", "POST").route(post().to(sign_in::post)))
        .service(api("/oauth/atp/callback", "GET").route(get().to(callback::callback)))
        .service(
            api("/oauth/consent", "GET, POST").route(get().to(consent::get)).route(post().to(consent::post)),
        )
        .service(api("/oauth/continue", "GET").route(get().to(resume::get).wrap(from_fn(at_page_origin))));
}

/// The documents that clients and authorization servers read about us.
fn documents(config: &mut ServiceConfig) {
    config
        .service(
            api("/.well-known/oauth-authorization-server", "GET, HEAD")
                .route(read().to(metadata::document))
                .wrap(cors()),
        )
        .service(
            api("/.well-known/openid-configuration", "GET, HEAD")
                .route(read().to(metadata::document))
                .wrap(cors()),
        )
        .service(
            api("/.well-known/oauth-protected-resource", "GET, HEAD")
                .route(read().to(metadata::resource_document))
                .wrap(cors()),
        )
        .service(api("/oauth/jwks", "GET, HEAD").route(read().to(metadata::jwks)).wrap(cors()))
        .service(api("/openapi.json", "GET, HEAD").route(read().to(metadata::openapi)).wrap(cors()))
        .service(api("/oauth-client-metadata.json", "GET, HEAD").route(read().to(client_documents::metadata)))
        .service(api("/oauth/atp/jwks", "GET, HEAD").route(read().to(client_documents::jwks)));
}

/// Routes with a parameter in their path. These come last: the router tries one after the other, and theirs
/// are regular expressions.
fn with_path_parameters(config: &mut ServiceConfig) {
    mcp_endpoints(config);
    config
        .service(
            // Every method that providers have.
            api("/relay/{connection_id}/{path:.*}", "GET, HEAD, POST, PUT, PATCH, DELETE")
                .route(get().to(relay::call))
                .route(head().to(relay::call))
                .route(post().to(relay::call))
                .route(put().to(relay::call))
                .route(patch().to(relay::call))
                .route(delete().to(relay::call)),
        )
        .service(
            api("/api/connections/{connection_id}/refresh", "POST").route(post().to(connection_use::refresh)),
        )
        .service(
            api("/api/connections/{connection_id}/verify", "POST").route(post().to(connection_use::verify)),
        )
        .service(
            api("/api/connections/{connection_id}/credential", "POST")
                .route(post().to(connection_use::credential)),
        )
        .service(
            api("/connect/{provider}/{registration_id}/deauthorize", "POST")
                .route(post().to(deauthorize::deauthorize)),
        )
        .service(
            api("/connect/{provider}/{registration_id}/data-deletion", "POST")
                .route(post().to(deauthorize::delete_data)),
        )
        .service(
            api("/connect/{provider}/{registration_id}/data-deletion/{confirmation_code}", "GET, HEAD")
                .route(read().to(deauthorize::status)),
        )
        .service(
            api("/xrpc/{nsid}", "GET, POST")
                .route(get().to(xrpc::call))
                .route(post().to(xrpc::call))
                .wrap(cors()),
        )
        .service(api("/assets/{name}", "GET, HEAD").route(read().to(home::asset)))
        .service(
            api("/api/sessions/{session_id}", "GET, POST")
                .route(get().to(sessions::show))
                .route(post().to(sessions::show)),
        )
        .service(
            api("/api/connect-sessions/{connect_session_id}", "GET").route(get().to(connect_sessions::show)),
        )
        .service(
            api("/connect/{token}", "GET, POST")
                .route(get().to(connect::get).wrap(from_fn(at_issuer)))
                .route(post().to(connect::post)),
        )
        .service(api("/connect/clients/{document}", "GET").route(get().to(client_documents::of_registration)))
        .service(
            api("/connect/callback/{registration_id}", "GET")
                .route(get().to(connect::registration_callback).wrap(from_fn(at_issuer))),
        )
        .service(
            api("/connect/{provider}/callback", "GET")
                .route(get().to(connect::provider_callback).wrap(from_fn(at_issuer))),
        )
        .service(api("/api/sessions/{session_id}/dpop-proof", "POST").route(post().to(sessions::dpop_proof)))
        .service(
            api("/api/tenants/{tenant_id}", "GET, DELETE")
                .route(get().to(tenants::show))
                .route(delete().to(tenants::delete)),
        )
        .service(api("/api/users/{user_id}", "DELETE").route(delete().to(users::delete)))
        .service(api("/api/users/{user_id}/export", "GET").route(get().to(users::export)))
        .service(
            api("/api/connections/{connection_id}", "GET, DELETE")
                .route(get().to(connections::show))
                .route(delete().to(connections::end)),
        )
        .service(
            api("/oauth/register/{client_id}", "GET, PUT, DELETE")
                .route(get().to(register::show))
                .route(put().to(register::update))
                .route(delete().to(register::delete))
                .wrap(cors()),
        )
        .service(
            api("/oauth-client-metadata/{document:.*}", "GET, HEAD")
                .route(read().to(client_documents::other_metadata)),
        );
}

/// The users' MCP servers.
fn mcp_endpoints(config: &mut ServiceConfig) {
    let endpoint = |path| {
        api(path, "GET, POST, DELETE")
            .route(get().to(mcp::serve))
            .route(post().to(mcp::serve))
            .route(delete().to(mcp::serve))
            .wrap(mcp_cors())
    };
    let metadata = |path| api(path, "GET, HEAD").route(read().to(mcp::metadata)).wrap(cors());
    config
        .service(endpoint("/mcp/{provider}"))
        .service(endpoint("/mcp/c/{connection_id}"))
        .service(metadata("/.well-known/oauth-protected-resource/mcp/{provider}"))
        .service(metadata("/.well-known/oauth-protected-resource/mcp/c/{connection_id}"));
}

/// Every path with its methods.
#[cfg(test)]
pub(crate) fn table() -> Vec<(&'static str, &'static str)> {
    crate::http::resource::take_table();
    drop(actix_web::App::new().configure(admin::configure).configure(configure));
    crate::http::resource::take_table()
}
