//! Protection against forged forms: a form has to come from our own page, in the browser it was made for.
//!
//! There are three defenses. The cookie is `SameSite=Lax`, so that no other site's form
//! carries it. The browser says where a form comes from (`Sec-Fetch-Site`, `Origin`). And the form carries
//! a token that follows from the cookie's secret, which another site cannot know even where it can make
//! the browser send the cookie.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, ORIGIN};
use actix_web::web::Payload;
use causeway_types::{AuthRequestId, BrowserSessionId};

use crate::error::PageError;
use crate::http::cookie;
use crate::http::form::Params;
use crate::state::AppState;

/// The field of a form that carries its token.
const FORM_TOKEN: &str = "form_token";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Reads a form of our own page and returns its browser.
pub(crate) async fn read(
    req: &HttpRequest,
    state: &AppState,
    payload: Payload,
) -> Result<(Params, BrowserSessionId), PageError> {
    let mut params = Params::of_body(req, payload).await?;
    let token = params.take(FORM_TOKEN);
    let secret = cookie::secret(req, state).ok_or_else(PageError::unknown_browser)?;
    match token {
        Some(token) if is_from_us(req, state) && secret.accepts_form_token(&token) => {
            Ok((params, BrowserSessionId::of(&secret)))
        }
        _ => Err(PageError::foreign_form()),
    }
}

/// Reads a form about a pending authorization request. It needs no token: its hidden field `request` is known
/// to this browser's pages only. Forms that the browser reports as another site's are refused.
pub(crate) async fn read_for_request(
    req: &HttpRequest,
    state: &AppState,
    payload: Payload,
) -> Result<(Params, BrowserSessionId, AuthRequestId), PageError> {
    let mut params = Params::of_body(req, payload).await?;
    if !is_from_us(req, state) {
        return Err(PageError::foreign_form());
    }
    let browser = cookie::known(req, state).ok_or_else(PageError::unknown_browser)?;
    let id = AuthRequestId::new(params.take("request").unwrap_or_default());
    Ok((params, browser, id))
}

fn is_from_us(req: &HttpRequest, state: &AppState) -> bool {
    let header = |name| req.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    comes_from_us(header(SEC_FETCH_SITE), header(ORIGIN), &state.config.page_origin)
}

/// Whether the browser's headers allow a form. Old browsers send none, and under our own `no-referrer` the
/// origin is `null`: the token decides then.
fn comes_from_us(fetch_site: Option<&str>, origin: Option<&str>, own: &str) -> bool {
    fetch_site.is_none_or(|site| site == "same-origin")
        && origin.is_none_or(|origin| origin == "null" || origin == own)
}

#[cfg(test)]
mod tests {
    use super::comes_from_us;

    #[test]
    fn only_our_own_pages() {
        let own = "https://auth.example";
        for (site, origin, ours) in [
            (Some("same-origin"), Some("null"), true),
            (Some("same-origin"), Some("https://auth.example"), true),
            (None, None, true),
            (None, Some("null"), true),
            (Some("same-site"), Some("null"), false),
            (Some("cross-site"), Some("https://auth.example"), false),
            (Some("none"), None, false),
            (None, Some("https://evil.example"), false),
            (None, Some("http://auth.example"), false),
            (Some("same-origin"), Some("https://auth.example.evil.example"), false),
        ] {
            assert_eq!(comes_from_us(site, origin, own), ours, "{site:?} {origin:?}");
        }
    }
}
