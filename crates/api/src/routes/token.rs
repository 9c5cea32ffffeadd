//! `POST /oauth/token` (RFC 6749 section 3.2, RFC 9449 section 5).

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::IssuedTokens;
use causeway_flow::client::authenticated::AuthenticatedClient;
use causeway_flow::operations::limits::RateLimitedAction;
use causeway_flow::token::grants::client_credentials::{self, ClientParams};
use causeway_flow::token::grants::code::{self, RedeemParams};
use causeway_flow::token::grants::device::{self as device_code, PollParams};
use causeway_flow::token::grants::exchange::{self, ExchangeParams};
use causeway_flow::token::grants::refresh::{self, RefreshParams};
use causeway_types::secret::PlainToken;
use causeway_types::{ErrorCode, GrantType};

use crate::bodies::forms::GrantChoice;
use crate::bodies::oauth::TokenAnswer;
use crate::error::ApiError;
use crate::http::client_auth;
use crate::http::form::{Params, take_fields};
use crate::http::headers::json_no_store;
use crate::http::request;
use crate::state::AppState;

pub(crate) async fn token(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    client_auth::answer_form(&req, &state, payload, async |state, authenticated, params| {
        Ok(answer(&grant(state, authenticated, params).await?))
    })
    .await
}

fn known_grants() -> String {
    GrantType::NAMES.join(", ")
}

async fn grant(
    state: &AppState,
    authenticated: &AuthenticatedClient,
    mut params: Params,
) -> Result<IssuedTokens, ApiError> {
    let chosen = take_fields!(&mut params => GrantChoice { grant_type });
    let grant_type = chosen.grant_type.ok_or_else(|| {
        let text = format!("grant_type is missing: use one of {}", known_grants());
        ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, &text)
    })?;
    match GrantType::parse(&grant_type) {
        Some(GrantType::AuthorizationCode) => {
            let params =
                take_fields!(&mut params => RedeemParams { code, redirect_uri, code_verifier, resource });
            Ok(code::redeem(&state.ctx, authenticated, params).await?)
        }
        Some(GrantType::RefreshToken) => {
            let params = take_fields!(&mut params => RefreshParams { refresh_token, scope, resource });
            Ok(refresh::refresh(&state.ctx, authenticated, params).await?)
        }
        Some(GrantType::ClientCredentials) => {
            let params = take_fields!(&mut params => ClientParams { scope, resource });
            Ok(client_credentials::grant(&state.ctx, authenticated, params).await?)
        }
        Some(GrantType::DeviceCode) => {
            authenticated.rate_limit(&state.ctx, RateLimitedAction::Device, request::address())?;
            let params = take_fields!(&mut params => PollParams { device_code, resource });
            Ok(device_code::poll(&state.ctx, authenticated, params).await?)
        }
        Some(GrantType::TokenExchange) => {
            let params = take_fields!(&mut params => ExchangeParams { subject_token, subject_token_type, requested_token_type, actor_token, resource, audience, scope });
            Ok(exchange::exchange(&state.ctx, authenticated, params).await?)
        }
        None => {
            let text = format!("grant_type is not supported: use one of {}", known_grants());
            Err(ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::UnsupportedGrantType, &text))
        }
    }
}

fn answer(issued: &IssuedTokens) -> HttpResponse {
    let body = TokenAnswer {
        access_token: issued.access_token.expose(),
        token_type: issued.token_type,
        expires_in: issued.expires_in,
        refresh_token: issued.refresh_token.as_ref().map(PlainToken::expose),
        id_token: issued.id_token.as_deref(),
        issued_token_type: issued.issued_token_type,
        scope: &issued.scope,
        sub: issued.did.as_ref(),
    };
    json_no_store(StatusCode::OK, &body)
}
