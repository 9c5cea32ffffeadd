//! Redirects to the server's own name for the loopback address: cookies are per host name.

use actix_web::HttpRequest;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HOST;
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::http::headers::see_other;
use crate::state::AppState;

type Answered<B> = Result<ServiceResponse<EitherBody<B>>, actix_web::Error>;

/// Serves a page under the origin of the pages only.
pub(crate) async fn at_page_origin<B: MessageBody>(req: ServiceRequest, next: Next<B>) -> Answered<B> {
    redirect_or_serve(req, next, |state| &state.config.page_origin).await
}

/// Serves a page under the issuer only.
pub(crate) async fn at_issuer<B: MessageBody>(req: ServiceRequest, next: Next<B>) -> Answered<B> {
    redirect_or_serve(req, next, |state| state.ctx.issuer()).await
}

async fn redirect_or_serve<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
    origin: fn(&AppState) -> &str,
) -> Answered<B> {
    let state = req.app_data::<Data<AppState>>();
    match state.and_then(|state| canonical_location(req.request(), origin(state))) {
        Some(location) => Ok(req.into_response(see_other(&location, None)).map_into_right_body()),
        None => Ok(next.call(req).await?.map_into_left_body()),
    }
}

/// The address at `origin` of what was requested under the other name of the loopback address.
fn canonical_location(req: &HttpRequest, origin: &str) -> Option<String> {
    let asked = req.headers().get(HOST)?.to_str().ok()?;
    let other = match origin.strip_prefix("http://")?.split_once(':')? {
        ("127.0.0.1", port) => format!("localhost:{port}"),
        ("localhost", port) => format!("127.0.0.1:{port}"),
        _ => return None,
    };
    (asked == other).then(|| {
        let path = req.uri().path_and_query().map_or("/", |path| path.as_str());
        format!("{origin}{path}")
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::canonical_location;

    #[test]
    fn only_the_other_loopback_name_is_redirected() {
        for (host, origin, location) in [
            ("localhost:8080", "http://127.0.0.1:8080", Some("http://127.0.0.1:8080/account?a=b")),
            ("127.0.0.1:8080", "http://localhost:8080", Some("http://localhost:8080/account?a=b")),
            ("127.0.0.1:8080", "http://127.0.0.1:8080", None),
            ("localhost:9090", "http://127.0.0.1:8080", None),
            ("evil.example:8080", "http://127.0.0.1:8080", None),
            ("localhost", "https://auth.example", None),
        ] {
            let req = TestRequest::with_uri("/account?a=b").insert_header(("host", host)).to_http_request();
            assert_eq!(canonical_location(&req, origin).as_deref(), location, "{host} {origin}");
        }
    }
}
