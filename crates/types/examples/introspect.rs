//! A resource server that asks about each access token that it is shown (RFC 7662).
//!
//! `cargo run -p causeway-types-examples --bin introspect https://causeway.example https://notes.example CLIENT_ID` takes
//! the issuer, the name of this server among the resources of a client of its own, and that client; its secret is in
//! the variable `CLIENT_SECRET`. It serves on port 3000.

use actix_web::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use actix_web::web::{Data, get};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use anyhow::{Context as _, Result};
use causeway_types::claims::ActiveToken;
use causeway_types::{ClientId, ErrorCode, Introspection, Secret};

struct Issuer {
    endpoint: String,
    resource: String,
    client_id: ClientId,
    client_secret: Secret,
    http: reqwest::Client,
}

impl Issuer {
    /// The token, if it is valid, for this resource and not bound to a key, whose proof would have to be verified.
    async fn introspect(&self, token: &str) -> Result<Option<ActiveToken>> {
        let request = self.http.post(&self.endpoint).form(&[("token", token)]);
        let request = request.basic_auth(&self.client_id, Some(self.client_secret.expose()));
        let answer: Introspection = request.send().await?.error_for_status()?.json().await?;
        Ok(match answer {
            Introspection::Active(token) => Some(*token),
            Introspection::Inactive => None,
        }
        .filter(|token| token.aud.contains(&self.resource) && token.cnf.is_none()))
    }
}

async fn whoami(request: HttpRequest, issuer: Data<Issuer>) -> HttpResponse {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = header.and_then(|value| value.strip_prefix("Bearer ")) else {
        return HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, "Bearer")).finish();
    };
    match issuer.introspect(token).await {
        Ok(Some(token)) => HttpResponse::Ok().body(format!("{} by {}\n", token.sub, token.client_id)),
        Ok(None) => {
            let challenge = format!("Bearer error=\"{}\"", ErrorCode::InvalidToken);
            HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, challenge)).finish()
        }
        Err(error) => HttpResponse::ServiceUnavailable().body(format!("{error:#}\n")),
    }
}

#[actix_web::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [issuer, resource, client_id] = &arguments[..] else {
        anyhow::bail!("introspect ISSUER RESOURCE CLIENT_ID, and the variable CLIENT_SECRET")
    };
    let issuer = Data::new(Issuer {
        endpoint: format!("{issuer}/oauth/introspect"),
        resource: resource.clone(),
        client_id: ClientId::from(client_id.as_str()),
        client_secret: std::env::var("CLIENT_SECRET").context("CLIENT_SECRET")?.into(),
        http: reqwest::Client::default(),
    });
    let server = HttpServer::new(move || App::new().app_data(issuer.clone()).route("/", get().to(whoami)));
    Ok(server.bind(("127.0.0.1", 3000))?.run().await?)
}
