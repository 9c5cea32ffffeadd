//! Pages of lists, as a query asks for them.

use actix_web::http::StatusCode;
use causeway_store::PageRequest;
use causeway_types::ErrorCode;

use crate::error::ApiError;
use crate::http::form::{Params, has_controls};

/// The default length of a list.
const LIMIT: i64 = 100;
/// The maximum length of a list.
const MAX_LIMIT: i64 = 1000;

/// Reads which page of a list is requested by `limit` and `cursor`; these parameters are taken last. A filter with a
/// misspelled name is refused rather than ignored, which would list everything.
pub(crate) fn cursor_page(params: Params) -> Result<PageRequest, ApiError> {
    page(params, "cursor")
}

/// Same, where the position is in the parameter `place`.
pub(crate) fn page(mut params: Params, place: &str) -> Result<PageRequest, ApiError> {
    let bad = |text: String| ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, &text);
    let (limit, after) = (params.take("limit"), params.take(place));
    params.refuse_rest()?;
    if after.as_deref().is_some_and(has_controls) {
        return Err(bad(format!("{place} must be the value of next on the previous page")));
    }
    let Some(text) = limit else { return Ok(PageRequest { after, limit: LIMIT }) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    let limit = limit.ok_or_else(|| bad(format!("limit must be a number from 1 to {MAX_LIMIT}")))?;
    Ok(PageRequest { after, limit })
}
