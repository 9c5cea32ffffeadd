//! `POST /oauth/token` (RFC 6749 section 3.2, RFC 9449 section 5).

use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_domain::client::GrantType;
use causeway_domain::secret::PlainToken;
use causeway_domain::{Did, ErrorCode, Scope, Secret};
use causeway_flow::IssuedTokens;
use causeway_flow::caller::{self, Caller};
use causeway_flow::exchange::{self, ExchangeParams};
use causeway_flow::redeem::{self, RedeemParams};
use causeway_flow::refresh::{self, RefreshParams};
use serde::Serialize;

use crate::error::ApiError;
use crate::http::credentials::client_credentials;
use crate::http::form::Params;
use crate::http::headers::json_no_store;
use crate::http::proof::{Proofs, with_nonce};
use crate::state::AppState;

/// The token answer (RFC 6749 section 5.1), and who it is about.
#[derive(Serialize)]
struct Answer<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'static str>,
    scope: &'a Scope,
    sub: &'a Did,
}

/// Lets the client of a request in and checks its DPoP proof, before anything of the request is looked at.
pub(crate) async fn identify(
    req: &HttpRequest,
    state: &AppState,
    params: &mut Params,
) -> Result<Caller, ApiError> {
    let used_header = req.headers().contains_key(AUTHORIZATION);
    let credentials = client_credentials(req, params)?;
    caller::identify(&state.ctx, &credentials, &Proofs::of(req, state).request())
        .await
        .map_err(|error| ApiError::caller(error, used_header))
}

pub(crate) async fn token(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let mut params = Params::of_body(&req, payload).await?;
    let caller = identify(&req, &state, &mut params).await?;
    let outcome = grant(&state, &caller, params).await;
    Ok(with_nonce(outcome.map(|issued| answer(&issued)), caller.dpop_nonce))
}

async fn grant(state: &AppState, caller: &Caller, mut params: Params) -> Result<IssuedTokens, ApiError> {
    let grant_type = params.take("grant_type").ok_or_else(|| {
        let text = "grant_type is missing: use one of grant_types_supported of the metadata";
        ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, text)
    })?;
    match GrantType::parse(&grant_type) {
        Some(GrantType::AuthorizationCode) => {
            let params = RedeemParams {
                code: params.take("code").map(PlainToken::presented),
                redirect_uri: params.take("redirect_uri"),
                code_verifier: params.take("code_verifier").map(Secret::new),
            };
            Ok(redeem::redeem(&state.ctx, caller, params).await?)
        }
        Some(GrantType::RefreshToken) => {
            let params = RefreshParams {
                refresh_token: params.take("refresh_token").map(PlainToken::presented),
                scope: params.take("scope"),
            };
            Ok(refresh::refresh(&state.ctx, caller, params).await?)
        }
        Some(GrantType::TokenExchange) => {
            let params = ExchangeParams {
                subject_token: params.take("subject_token"),
                subject_token_type: params.take("subject_token_type"),
                requested_token_type: params.take("requested_token_type"),
                actor_token: params.take("actor_token"),
                resource: params.take("resource"),
                audience: params.take("audience"),
                scope: params.take("scope"),
            };
            Ok(exchange::exchange(&state.ctx, caller, params).await?)
        }
        None => {
            let text = "grant_type is not supported: use authorization_code, refresh_token or token exchange";
            Err(ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::UnsupportedGrantType, text))
        }
    }
}

fn answer(issued: &IssuedTokens) -> HttpResponse {
    let body = Answer {
        access_token: issued.access_token.expose(),
        token_type: issued.token_type.as_str(),
        expires_in: issued.expires_in,
        refresh_token: issued.refresh_token.as_ref().map(PlainToken::expose),
        id_token: issued.id_token.as_deref(),
        issued_token_type: issued.issued_token_type,
        scope: &issued.scope,
        sub: &issued.did,
    };
    json_no_store(StatusCode::OK, &body)
}
