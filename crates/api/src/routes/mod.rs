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
use actix_web::http::header::ACCEPT;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use causeway_domain::ErrorCode;

use crate::error::{ApiError, PageError};

/// The route table.
pub(crate) fn configure(config: &mut ServiceConfig) {
    let get = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    let resource = |path: &'static str| web::resource(path).default_service(web::to(method_not_allowed));
    config
        .service(resource("/").route(get().to(home::home)))
        .service(resource("/assets/{name}").route(get().to(home::asset)))
        .service(resource("/healthz").route(get().to(health::healthz)))
        .service(resource("/readyz").route(get().to(health::readyz)))
        .service(resource("/.well-known/oauth-authorization-server").route(get().to(metadata::document)))
        .service(resource("/oauth/jwks").route(get().to(metadata::jwks)))
        .service(resource("/oauth-client-metadata.json").route(get().to(client_documents::metadata)))
        .service(resource("/oauth/atp/jwks").route(get().to(client_documents::jwks)))
        .service(resource("/oauth/register").route(web::post().to(register::register)))
        .service(resource("/oauth/par").route(web::post().to(par::par)))
        .service(
            resource("/oauth/authorize")
                .route(web::get().to(authorize::get))
                .route(web::post().to(authorize::post)),
        )
        .service(resource("/oauth/sign-in").route(web::post().to(sign_in::post)))
        .service(resource("/oauth/atp/callback").route(web::get().to(callback::callback)))
        .service(
            resource("/oauth/consent")
                .route(web::get().to(consent::get))
                .route(web::post().to(consent::post)),
        )
        .service(resource("/oauth/token").route(web::post().to(token::token)))
        .service(resource("/oauth/revoke").route(web::post().to(revoke::revoke)))
        .service(
            resource("/oauth/userinfo")
                .route(web::get().to(userinfo::get))
                .route(web::post().to(userinfo::post)),
        )
        .service(resource("/api/session").route(web::get().to(session::show)))
        .service(resource("/api/session/refresh").route(web::post().to(session::refresh)))
        .default_service(web::to(not_found));
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

async fn method_not_allowed(req: HttpRequest) -> HttpResponse {
    let text = format!("{} is not served here with the method {}", req.path(), req.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::InvalidRequest, text).error_response()
}
