//! The only cookie: it identifies a browser and holds nothing else.

use actix_web::HttpRequest;
use actix_web::http::header::COOKIE;
use causeway_domain::secret::{Browser, PlainToken, TokenKind as _};
use causeway_domain::{BrowserSessionId, SystemRng};

use crate::state::AppState;

/// Seconds that a browser keeps it: a year.
const MAX_AGE: u64 = 31_536_000;

/// A browser, already known or new.
pub(crate) struct BrowserCookie {
    /// The browser's id.
    pub(crate) id: BrowserSessionId,
    /// The `Set-Cookie` value for a new browser.
    pub(crate) set: Option<String>,
}

const fn name(state: &AppState) -> &'static str {
    if state.secure { "__Host-causeway" } else { "causeway" }
}

/// Whether a value has the form of our cookie's.
fn is_ours(value: &str) -> bool {
    value.strip_prefix(Browser::PREFIX).is_some_and(|random| random.len() == 43)
}

/// The browser that sent this request, if it is known.
pub(crate) fn known(req: &HttpRequest, state: &AppState) -> Option<BrowserSessionId> {
    secret(req, state).map(|secret| BrowserSessionId::of(&secret))
}

/// The secret that identifies the browser.
pub(crate) fn secret(req: &HttpRequest, state: &AppState) -> Option<PlainToken<Browser>> {
    let value =
        req.headers().get_all(COOKIE).filter_map(|header| header.to_str().ok()).find_map(|header| {
            header.split(';').find_map(|pair| {
                let (key, value) = pair.trim().split_once('=')?;
                (key == name(state) && is_ours(value)).then(|| value.to_owned())
            })
        })?;
    Some(PlainToken::presented(value))
}

/// The browser that sent this request; a new one gets a cookie.
pub(crate) fn known_or_new(req: &HttpRequest, state: &AppState) -> BrowserCookie {
    with_form_token(req, state).0
}

/// The same, with the token that forms of a page for this browser carry.
pub(crate) fn with_form_token(req: &HttpRequest, state: &AppState) -> (BrowserCookie, String) {
    if let Some(secret) = secret(req, state) {
        return (BrowserCookie { id: BrowserSessionId::of(&secret), set: None }, secret.form_token());
    }
    let secret = PlainToken::<Browser>::random(&SystemRng);
    // Lax: the way back from a PDS is a top-level GET from another site.
    let secure = if state.secure { "; Secure" } else { "" };
    let set = format!(
        "{}={}; Path=/; Max-Age={MAX_AGE}; HttpOnly; SameSite=Lax{secure}",
        name(state),
        secret.expose()
    );
    (BrowserCookie { id: BrowserSessionId::of(&secret), set: Some(set) }, secret.form_token())
}
