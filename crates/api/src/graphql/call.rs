//! Shared parts of the resolvers that call the PDS.

use async_graphql::Context;
use causeway_flow::upstream::relay::repository::Repository;

/// Complexity of a call: a request makes 20 at most.
pub(super) const CALL: usize = 20;

/// The repository of the access token.
pub(super) fn repository<'a>(context: &Context<'a>) -> async_graphql::Result<&'a Repository> {
    context.data::<Repository>()
}
