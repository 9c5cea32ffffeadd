//! Resources of the route table, and the answers to requests that none of them takes.

use actix_web::guard;
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, ALLOW, HeaderValue};
use actix_web::web::{self, resource};
use actix_web::{HttpRequest, HttpResponse, Resource, ResponseError as _, Route};
use causeway_types::ErrorCode;

use crate::error::{ApiError, PageError};
use crate::http::measure::Template;

/// A resource that answers other methods with the list of those it has.
pub(crate) fn api(path: &'static str, allow: &'static str) -> Resource {
    #[cfg(test)]
    TABLE.with_borrow_mut(|table| table.push((path, allow)));
    resource(path).app_data(Template(path)).default_service(only(allow))
}

#[cfg(test)]
thread_local! {
    static TABLE: std::cell::RefCell<Vec<(&'static str, &'static str)>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Every resource that was made since the last call, with its methods.
#[cfg(test)]
pub(crate) fn take_table() -> Vec<(&'static str, &'static str)> {
    TABLE.take()
}

/// GET, and HEAD for checks of existence.
pub(crate) fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// The answer to every other method (RFC 9110 section 15.5.6).
fn only(allow: &'static str) -> Route {
    web::to(move |req: HttpRequest| async move {
        let text = format!("{} is not served with the method {}: use {allow}", req.path(), req.method());
        let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::InvalidRequest, &text);
        let mut response = error.error_response();
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        response
    })
}

/// There is nothing at this address: a page for a browser, JSON for everybody else.
pub(crate) async fn not_found(req: HttpRequest) -> HttpResponse {
    let accept = req.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        return PageError::not_found().error_response();
    }
    ApiError::not_found().error_response()
}
