//! Refusal of paths with control characters.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use crate::http::resource::not_found;

/// Answers a path with a control character in it, percent-encoded or not, with 404: no id holds one, and
/// databases refuse U+0000. Every id in a path passes through here.
pub(crate) async fn refuse_controls<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    // A relayed path is read as it was sent, and refused where it is checked.
    let is_relayed = req.path().starts_with("/relay/");
    // The router has decoded the path, except for characters that could be taken for its syntax.
    if is_relayed || !req.match_info().as_str().contains(char::is_control) {
        return Ok(next.call(req).await?.map_into_left_body());
    }
    let (req, _) = req.into_parts();
    let response = not_found(req.clone()).await;
    Ok(ServiceResponse::new(req, response).map_into_right_body())
}
