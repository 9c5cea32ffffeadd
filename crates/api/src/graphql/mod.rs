//! GraphQL over the user's repository: each resolver calls one function of `causeway_flow`.

mod answer;
mod arguments;
mod body;
mod bounds;
mod call;
mod error;
mod mutation;
mod query;
mod raw;
mod types;
mod weight;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use async_graphql::{EmptySubscription, Request, Response, Schema, ServerError};
use causeway_flow::Ctx;
use causeway_flow::resource::access::Bearer;
use causeway_flow::upstream::relay::repository::{Repository, RepositoryError};
use causeway_outbound::budget::Held;
use causeway_types::ErrorCode;

pub(crate) use self::body::GraphQlRequest;
use self::mutation::Mutation;
use self::query::Query;
use crate::error::ApiError;
use crate::http::form::InputError;
use crate::http::headers::json_no_store;
use crate::http::json::{self, JsonError};
use crate::http::request;

/// How deep fields may be nested. Tools' introspection queries need 15.
const DEPTH: usize = 16;
/// How much one request may ask for: a field counts 1, and one that calls the PDS [`call::CALL`].
const COMPLEXITY: usize = 400;
/// Directives on one field.
const DIRECTIVES: usize = 8;

/// The most errors in one answer.
const ERRORS: usize = 100;

/// The schema over a repository.
pub(crate) type RepositorySchema = Schema<Query, Mutation, EmptySubscription>;

/// Builds the schema, once per process.
pub(crate) fn schema() -> RepositorySchema {
    Schema::build(Query, Mutation, EmptySubscription)
        .limit_depth(DEPTH)
        .limit_complexity(COMPLEXITY)
        .limit_directives(DIRECTIVES)
        .finish()
}

/// Answers a request on behalf of a token. Failures are part of the answer, and every error has a code.
pub(crate) async fn execute(
    schema: &RepositorySchema,
    ctx: Ctx,
    bearer: Bearer,
    mut request: Request,
) -> HttpResponse {
    let repository = Repository::new(ctx, bearer);
    let budget = repository.answers().clone();
    let weighed = request.parsed_query().and_then(weight::check);
    let mut response = match weighed {
        Ok(()) => schema.execute(request.data(repository)).await,
        Err(error) => Response::from_errors(vec![error]),
    };
    response.errors.truncate(ERRORS);
    response.errors.iter_mut().for_each(complete);
    match answer::render(&response, &budget) {
        Ok(answer) => answer,
        Err(exhausted) => {
            drop(response);
            let mut error = ServerError::new("", None);
            let said = error::repository(RepositoryError::from(exhausted));
            (error.message, error.extensions) = (said.message, said.extensions);
            complete(&mut error);
            json_no_store(StatusCode::OK, &Response::from_errors(vec![error]))
        }
    }
}

/// Adds the code and the request id that every error has.
fn complete(error: &mut ServerError) {
    let extensions = error.extensions.get_or_insert_default();
    // An error that the library itself reports is about the request.
    if extensions.get("code").is_none() {
        extensions.set("code", ErrorCode::InvalidRequest.as_str());
    }
    extensions.set("request_id", request::id());
}

/// Reads a request's body. Lists of requests are not accepted: one answer has one meaning.
pub(crate) fn read(body: &mut Held) -> Result<Request, ApiError> {
    let refuse = |detail: &dyn std::fmt::Display| {
        let text = format!("the body must be one JSON object with query and, if needed, variables: {detail}");
        ApiError::bad_request(ErrorCode::InvalidRequest, &text)
    };
    // The library would take a list for the members of an object.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(refuse(&"it is not an object"));
    }
    let request = match json::read::<GraphQlRequest>(body) {
        Ok(request) => Request::from(request),
        Err(JsonError::Form(error)) => return Err(refuse(&error)),
        Err(JsonError::Exhausted(exhausted)) => return Err(InputError::from(exhausted).into()),
    };
    bounds::check(&request.query)
        .map_err(|error| ApiError::bad_request(ErrorCode::InvalidRequest, &error))?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tools generate code from these names, so they change only on purpose.
    #[test]
    fn names_are_those_of_the_lexicons() {
        let sdl = schema().sdl();
        for part in [
            "record(collection: String!, rkey: String!): Record",
            "records(collection: String!, limit: Int, cursor: String, reverse: Boolean): RecordPage",
            "blobs(limit: Int, cursor: String): BlobPage",
            "describeRepo: RepoDescription",
            "session_iteration: Int",
            "token_expires_at: UnixTime!",
            "scalar JSON",
        ] {
            assert!(sdl.contains(part), "{part} is not in\n{sdl}");
        }
        assert!(!sdl.contains("repo:"), "the token names the repository");
    }
}
