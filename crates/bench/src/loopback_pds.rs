//! A PDS that answers every call at once, for measuring everything but the PDS. It is its own authorization
//! server and the PLC directory, too.

use std::collections::BTreeMap;

use actix_web::web::{Form, Path};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Result;
use serde_json::json;

use crate::helper;
use crate::process::Running;

/// A small read that needs no permission.
pub(crate) const PATH: &str = "/xrpc/com.atproto.server.getSession";
/// As large as the response of a real one.
const ANSWER: &str = r##"{"did":"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa","handle":"alice.example.com","active":true,"didDoc":{"id":"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa","alsoKnownAs":["at://alice.example.com"],"service":[{"id":"#atproto_pds","type":"AtprotoPersonalDataServer","serviceEndpoint":"https://pds.example.com"}]}}"##;
const NONCE: (&str, &str) = ("dpop-nonce", "bHq1pQvK7ENXkVhWcXhzkXbWYQ8oVJ3Yp1mYVQ0Q4nE");

/// Starts it as a separate process.
///
/// # Errors
/// When it does not start.
pub(crate) fn start() -> Result<Running> {
    helper::start("loopback-pds")
}

/// Serves until standard input ends.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn serve() -> Result<()> {
    let server = HttpServer::new(move || {
        App::new()
            .route(PATH, web::get().to(read))
            .route("/oauth/token", web::post().to(token))
            .route("/.well-known/oauth-protected-resource", web::get().to(protected_resource))
            .route("/.well-known/oauth-authorization-server", web::get().to(metadata))
            .route("/{did}", web::get().to(did_document))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")?;
    helper::announce(&server.addrs());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    Ok(runtime.block_on(server.run())?)
}

async fn read() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("content-type", "application/json; charset=utf-8"))
        .insert_header(NONCE)
        .body(ANSWER)
}

/// Accepts every refresh token, any number of times: the token is the DID of its user.
async fn token(form: Form<BTreeMap<String, String>>) -> HttpResponse {
    let Some(did) = form.get("refresh_token") else { return HttpResponse::BadRequest().finish() };
    HttpResponse::Ok().insert_header(NONCE).json(json!({
        "access_token": "upstream-access",
        "refresh_token": did,
        "token_type": "DPoP",
        "expires_in": 3600,
        "scope": "atproto",
        "sub": did,
    }))
}

async fn did_document(request: HttpRequest, did: Path<String>) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "id": *did,
        "alsoKnownAs": ["at://alice.example.com"],
        "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": origin(&request)}],
    }))
}

async fn protected_resource(request: HttpRequest) -> HttpResponse {
    let origin = origin(&request);
    HttpResponse::Ok().json(json!({"resource": origin, "authorization_servers": [origin]}))
}

async fn metadata(request: HttpRequest) -> HttpResponse {
    let origin = origin(&request);
    HttpResponse::Ok().json(json!({
        "issuer": origin,
        "authorization_endpoint": format!("{origin}/oauth/authorize"),
        "token_endpoint": format!("{origin}/oauth/token"),
        "pushed_authorization_request_endpoint": format!("{origin}/oauth/par"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["atproto", "transition:generic"],
        "authorization_response_iss_parameter_supported": true,
        "require_pushed_authorization_requests": true,
        "client_id_metadata_document_supported": true,
    }))
}

fn origin(request: &HttpRequest) -> String {
    format!("http://{}", request.connection_info().host())
}
