//! One file an endpoint: parse, call one verb, render.

mod authorize;
mod callback;
mod client_documents;
mod consent;
mod health;
mod home;
pub(crate) mod metadata;
mod par;
mod register;
mod revoke;
mod session;
mod sign_in;
mod token;
mod userinfo;

use actix_web::guard;
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, ALLOW, HeaderValue};
use actix_web::web::{self, ServiceConfig, get, post, resource as at};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, Route};
use causeway_domain::ErrorCode;

use crate::error::{ApiError, PageError};

/// The route table.
pub(crate) fn configure(config: &mut ServiceConfig) {
    config
        .service(at("/").route(read().to(home::home)).default_service(only("GET, HEAD")))
        .service(at("/assets/{name}").route(read().to(home::asset)).default_service(only("GET, HEAD")))
        .service(at("/healthz").route(read().to(health::healthz)).default_service(only("GET, HEAD")))
        .service(at("/readyz").route(read().to(health::readyz)).default_service(only("GET, HEAD")))
        .service(
            at("/.well-known/oauth-authorization-server")
                .route(read().to(metadata::document))
                .default_service(only("GET, HEAD")),
        )
        .service(at("/oauth/jwks").route(read().to(metadata::jwks)).default_service(only("GET, HEAD")))
        .service(
            at("/oauth-client-metadata.json")
                .route(read().to(client_documents::metadata))
                .default_service(only("GET, HEAD")),
        )
        .service(
            at("/oauth-client-metadata/{document:.*}")
                .route(read().to(client_documents::other_metadata))
                .default_service(only("GET, HEAD")),
        )
        .service(
            at("/oauth/atp/jwks").route(read().to(client_documents::jwks)).default_service(only("GET, HEAD")),
        )
        .service(at("/oauth/register").route(post().to(register::register)).default_service(only("POST")))
        .service(at("/oauth/par").route(post().to(par::par)).default_service(only("POST")))
        .service(
            at("/oauth/authorize")
                .route(get().to(authorize::get))
                .route(post().to(authorize::post))
                .default_service(only("GET, POST")),
        )
        .service(at("/oauth/sign-in").route(post().to(sign_in::post)).default_service(only("POST")))
        .service(at("/oauth/atp/callback").route(get().to(callback::callback)).default_service(only("GET")))
        .service(
            at("/oauth/consent")
                .route(get().to(consent::get))
                .route(post().to(consent::post))
                .default_service(only("GET, POST")),
        )
        .service(at("/oauth/token").route(post().to(token::token)).default_service(only("POST")))
        .service(at("/oauth/revoke").route(post().to(revoke::revoke)).default_service(only("POST")))
        .service(
            at("/oauth/userinfo")
                .route(get().to(userinfo::get))
                .route(post().to(userinfo::post))
                .default_service(only("GET, POST")),
        )
        .service(at("/api/session").route(get().to(session::show)).default_service(only("GET")))
        .service(at("/api/session/refresh").route(post().to(session::refresh)).default_service(only("POST")))
        .default_service(web::to(not_found));
}

/// GET, and HEAD for whoever only wants to know that it is there.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// The answer to every other method (RFC 9110 section 15.5.6).
fn only(allow: &'static str) -> Route {
    web::to(move |req: HttpRequest| async move {
        let text = format!("{} is not served with the method {}: use {allow}", req.path(), req.method());
        let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::InvalidRequest, text);
        let mut response = error.error_response();
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        response
    })
}

async fn not_found(req: HttpRequest) -> HttpResponse {
    let accept = req.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        return PageError::not_found().error_response();
    }
    let text =
        "there is nothing at this address: /.well-known/oauth-authorization-server lists the endpoints";
    ApiError::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, text).error_response()
}
