//! The token endpoint (RFC 6749 sections 4.1.3 and 6) and the revocation endpoint (RFC 7009).

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Form};
use causeway_types::CodeVerifier;
use serde::Deserialize;
use serde_json::json;

use super::grants::{ACCESS_SECONDS, Issued};
use super::{Demo, oauth_error};

#[derive(Deserialize)]
pub(super) struct TokenRequest {
    grant_type: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    code_verifier: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    refresh_token: String,
}

pub(super) async fn token(demo: Data<Demo>, request: Form<TokenRequest>) -> HttpResponse {
    let mut grants = demo.grants();
    let issued = match request.grant_type.as_str() {
        "authorization_code" => CodeVerifier::parse(&request.code_verifier).ok().and_then(|verifier| {
            let challenge = verifier.challenge();
            grants.redeem(&request.code, &request.client_id, &request.redirect_uri, challenge.as_str())
        }),
        "refresh_token" => grants.refresh(&request.refresh_token),
        _ => return oauth_error("unsupported_grant_type", "use authorization_code or refresh_token"),
    };
    let Some(Issued { access_token, refresh_token, scope }) = issued else {
        return oauth_error("invalid_grant", "the code or refresh token is unknown, expired or spent");
    };
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": ACCESS_SECONDS,
        "refresh_token": refresh_token,
        "scope": scope,
    }))
}

#[derive(Deserialize)]
pub(super) struct Revocation {
    token: String,
}

pub(super) async fn revoke(demo: Data<Demo>, request: Form<Revocation>) -> HttpResponse {
    demo.grants().revoke(&request.token);
    HttpResponse::Ok().finish()
}
