//! A resource server that verifies signed access tokens (RFC 9068) by itself, with the keys of their issuer.
//!
//! `cargo run -p causeway-types-examples --bin verify_jwt https://causeway.example https://notes.example` takes the
//! issuer, and the name of this server among the operator's `--resources`. It serves on port 3000.

use std::time::UNIX_EPOCH;

use actix_web::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use actix_web::web::{Data, get};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use anyhow::{Context as _, Result, ensure};
use causeway_types::{AccessTokenClaims, ErrorCode, Timestamp};
use josekit::jwk::JwkSet;
use josekit::jws::{self, ES256, JwsVerifier, RS256};
use serde_json::Value;

struct Issuer {
    issuer: String,
    resource: String,
    keys: Vec<Box<dyn JwsVerifier>>,
}

impl Issuer {
    /// Fetches the keys. A server that runs for long does so again when it meets a `kid` that it does not know.
    async fn fetch(issuer: String, resource: String) -> Result<Self> {
        let metadata = format!("{issuer}/.well-known/oauth-authorization-server");
        let metadata: Value = reqwest::get(metadata).await?.error_for_status()?.json().await?;
        let jwks_uri = metadata["jwks_uri"].as_str().context("the metadata names no jwks_uri")?;
        let set = JwkSet::from_bytes(reqwest::get(jwks_uri).await?.error_for_status()?.bytes().await?)?;
        let mut keys: Vec<Box<dyn JwsVerifier>> = Vec::new();
        for key in set.keys() {
            match key.algorithm() {
                Some("ES256") => keys.push(Box::new(ES256.verifier_from_jwk(key)?)),
                Some("RS256") => keys.push(Box::new(RS256.verifier_from_jwk(key)?)),
                _ => {}
            }
        }
        Ok(Self { issuer, resource, keys })
    }

    fn verify(&self, token: &str) -> Result<AccessTokenClaims> {
        let (payload, header) = jws::deserialize_compact_with_selector(token, |header| {
            let mut keys = self.keys.iter().map(|key| &**key);
            Ok(keys.find(|key| key.key_id().is_some_and(|kid| header.key_id() == Some(kid))))
        })?;
        ensure!(header.token_type() == Some(AccessTokenClaims::TYP), "this is not an access token");
        let claims: AccessTokenClaims = serde_json::from_slice(&payload)?;
        let now = i64::try_from(UNIX_EPOCH.elapsed()?.as_secs())?;
        claims.check(&self.issuer, &self.resource, Timestamp(now))?;
        ensure!(claims.cnf.is_none(), "the token is bound to a key: verify a DPoP proof, too (RFC 9449)");
        Ok(claims)
    }
}

async fn whoami(request: HttpRequest, issuer: Data<Issuer>) -> HttpResponse {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = header.and_then(|value| value.strip_prefix("Bearer ")) else {
        return HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, "Bearer")).finish();
    };
    match issuer.verify(token) {
        Ok(claims) => HttpResponse::Ok().body(format!("{} by {}\n", claims.sub, claims.client_id)),
        Err(error) => {
            let challenge = format!("Bearer error=\"{}\"", ErrorCode::InvalidToken);
            HttpResponse::Unauthorized()
                .insert_header((WWW_AUTHENTICATE, challenge))
                .body(format!("{error:#}\n"))
        }
    }
}

#[actix_web::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (issuer, resource) = arguments.next().zip(arguments.next()).context("verify_jwt ISSUER RESOURCE")?;
    let issuer = Data::new(Issuer::fetch(issuer, resource).await?);
    let server = HttpServer::new(move || App::new().app_data(issuer.clone()).route("/", get().to(whoami)));
    Ok(server.bind(("127.0.0.1", 3000))?.run().await?)
}
