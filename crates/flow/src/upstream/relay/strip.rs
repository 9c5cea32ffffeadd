//! Removal of parts that are not for the caller from answers.

use std::sync::Arc;

use bytes::Bytes;
use causeway_outbound::{HttpError, Method};
use serde_json::{Map, Value};

use super::answer::{AnswerBody, RelayAnswer};
use super::error::RelayError;
use crate::ctx::Ctx;
use crate::operations::trace;
use crate::upstream::traits::{Strip, Upstream};

/// Maximum bytes of a result that members are removed from.
const RESULT_CAP: usize = 64 * 1024;
/// Maximum bytes of an answer that credentials are removed from. Longer lists are asked for in pages.
pub(super) const ANSWER_CAP: usize = 1024 * 1024;
/// Answers that are longer than this are read on a thread where they delay nobody.
const LONG: usize = 64 * 1024;
/// The beginnings of media types that are no text, and have no credentials in them.
const MEDIA: [&str; 6] = ["image/", "video/", "audio/", "font/", "application/pdf", "application/zip"];

/// Removes what is not for the caller from an answer to a call with this method.
///
/// # Errors
/// [`RelayError::Invalid`] for an answer that cannot be read, [`RelayError::AnswerTooLarge`] for one that is too long.
pub(super) async fn without(
    ctx: &Ctx,
    upstream: &Arc<dyn Upstream>,
    strip: Strip,
    method: &Method,
    answer: RelayAnswer,
) -> Result<RelayAnswer, RelayError> {
    match strip {
        Strip::Nothing => Ok(answer),
        Strip::Members(members) => without_members(ctx, members, answer).await,
        Strip::ByDefinition => without_credentials(ctx, upstream, method, answer).await,
    }
}

/// Removes members from a result in JSON; errors pass unchanged.
async fn without_members(
    ctx: &Ctx,
    members: &[&str],
    answer: RelayAnswer,
) -> Result<RelayAnswer, RelayError> {
    let status = answer.status();
    if !(200..300).contains(&status) {
        return Ok(answer);
    }
    let same = answer.with_body(Bytes::new());
    let body = answer.read(RESULT_CAP, &ctx.budgets().answers.of(trace::origin().1)).await?;
    let unreadable = || RelayError::Invalid(format!("status {status} without the method's result"));
    let mut result: Map<String, Value> = serde_json::from_slice(&body).map_err(|_| unreadable())?;
    result.retain(|name, _| !members.contains(&name.as_str()));
    Ok(same.with_body(Value::Object(result).to_string().into()))
}

/// Removes what the definition names as credentials. An answer that may contain some and cannot be read is not passed on.
async fn without_credentials(
    ctx: &Ctx,
    upstream: &Arc<dyn Upstream>,
    method: &Method,
    answer: RelayAnswer,
) -> Result<RelayAnswer, RelayError> {
    let status = answer.status();
    if *method == Method::HEAD || matches!(status, 204 | 205 | 304) || is_media(&answer) {
        return Ok(answer);
    }
    let headers = answer.headers.clone();
    let body = answer.read(ANSWER_CAP, &ctx.budgets().answers.of(trace::origin().1)).await;
    let body = body.map_err(|error| match error {
        HttpError::TooLarge => RelayError::AnswerTooLarge,
        HttpError::NotJson => {
            RelayError::Invalid(format!("status {status} in an encoding that was not asked for"))
        }
        error => error.into(),
    })?;
    let stripped = if body.len() > LONG {
        let (upstream, body) = (Arc::clone(upstream), body.clone());
        ctx.parse(move || upstream.strip(&body)).await?
    } else {
        upstream.strip(&body)
    };
    match stripped {
        Ok(None) => Ok(RelayAnswer { status, headers, body: AnswerBody::Whole(body), changed: None }),
        Ok(Some(without)) => {
            let whole = RelayAnswer { status, headers, body: AnswerBody::Whole(Bytes::new()), changed: None };
            Ok(whole.with_body(without.into()))
        }
        Err(error) => Err(RelayError::Invalid(format!("status {status}: {error}"))),
    }
}

fn is_media(answer: &RelayAnswer) -> bool {
    let media_type = answer.header("content-type").unwrap_or_default().trim().to_ascii_lowercase();
    // SVG is text.
    MEDIA.iter().any(|media| media_type.starts_with(media)) && !media_type.contains("xml")
}
