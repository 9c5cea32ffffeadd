//! Response headers that several endpoints share.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, CROSS_ORIGIN_OPENER_POLICY, HeaderName,
    HeaderValue, LOCATION, PRAGMA, REFERRER_POLICY, SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use crate::http::request::is_secure;

/// A value that is not copied for each answer.
pub(crate) const fn fixed(value: &'static str) -> HeaderValue {
    HeaderValue::from_static(value)
}

/// A JSON answer that must not be stored (RFC 6749 section 5.1).
pub(crate) fn json_no_store(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    json_response(status).json(body)
}

/// The same, without its body.
pub(crate) fn json_response(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((CONTENT_TYPE, fixed("application/json")))
        .insert_header((CACHE_CONTROL, fixed("no-store")))
        .insert_header((PRAGMA, fixed("no-cache")))
        .insert_header((X_CONTENT_TYPE_OPTIONS, fixed("nosniff")));
    response
}

/// An answer without a body that must not be stored.
pub(crate) fn no_content() -> HttpResponse {
    HttpResponse::NoContent().insert_header((CACHE_CONTROL, fixed("no-store"))).finish()
}

/// A signed answer that must not be stored.
pub(crate) fn jwt_no_store(content_type: &'static str, jwt: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, fixed(content_type)))
        .insert_header((CACHE_CONTROL, fixed("no-store")))
        .insert_header((X_CONTENT_TYPE_OPTIONS, fixed("nosniff")))
        .body(jwt)
}

/// A redirect that every browser follows with a GET. Its address may hold a code, so it is not stored, and
/// the next site does not learn where the browser came from.
pub(crate) fn see_other(location: &str, set_cookie: Option<String>) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::SEE_OTHER);
    response
        .insert_header((LOCATION, location))
        .insert_header((CACHE_CONTROL, fixed("no-store")))
        .insert_header((REFERRER_POLICY, fixed("no-referrer")));
    add_cookie(&mut response, set_cookie);
    response.finish()
}

/// Whether a page's forms may only post to this origin. Under `form-action 'self'`, browsers refuse a form
/// whose answer redirects to another origin. A page of a sign-in may be in a window that an app opened and
/// waits for: `Cross-Origin-Opener-Policy` would separate the two, so only other pages set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forms {
    /// The page has no form that leads elsewhere.
    Stay,
    /// Its form leads to a PDS or to a client, and an app may wait for it.
    Leave,
    /// Its form leads to a PDS, and no app waits for it.
    LeaveAlone,
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Browser features that none of our pages needs, denied to anything that is injected into one.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), \
                           fullscreen=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), \
                           midi=(), payment=(), serial=(), usb=(), xr-spatial-tracking=()";

/// A page: never framed, never stored, with nothing from other origins.
pub(crate) fn page(
    status: StatusCode,
    html: String,
    forms: Forms,
    set_cookie: Option<String>,
) -> HttpResponse {
    let policy = match forms {
        Forms::Stay => format!("{POLICY}; form-action 'self'"),
        Forms::Leave | Forms::LeaveAlone => POLICY.to_owned(),
    };
    let mut response = HttpResponse::build(status);
    response
        .insert_header((CONTENT_TYPE, fixed("text/html; charset=utf-8")))
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((CACHE_CONTROL, fixed("no-store")))
        .insert_header((VARY, fixed("Accept-Language")))
        .insert_header((REFERRER_POLICY, fixed("no-referrer")))
        .insert_header((X_CONTENT_TYPE_OPTIONS, fixed("nosniff")))
        .insert_header((X_FRAME_OPTIONS, fixed("DENY")));
    if is_secure() {
        response.insert_header((HeaderName::from_static("permissions-policy"), fixed(PERMISSIONS)));
        if forms != Forms::Leave {
            response.insert_header((CROSS_ORIGIN_OPENER_POLICY, fixed("same-origin")));
        }
    }
    add_cookie(&mut response, set_cookie);
    response.body(html)
}

fn add_cookie(response: &mut HttpResponseBuilder, set_cookie: Option<String>) {
    if let Some(cookie) = set_cookie {
        response.append_header((SET_COOKIE, cookie));
    }
}
