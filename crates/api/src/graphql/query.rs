//! Queries.

use async_graphql::{Context, Object, Result};
use causeway_flow::upstream::relay::raw_json::RawJson;
use causeway_flow::upstream::relay::repository::Reading;
use causeway_flow::upstream::session;

use super::call::{CALL, repository};
use super::types::{BlobPage, Record, RecordPage, RepoDescription, Viewer};
use super::{arguments, error};

/// The repository of the token's user.
pub(crate) struct Query;

async fn read<T: Send + 'static>(
    context: &Context<'_>,
    reading: Reading,
    parameters: &[(&'static str, Option<String>)],
    take: fn(&RawJson) -> Option<T>,
) -> Result<T> {
    let given = |(name, value): &(&'static str, Option<String>)| Some((*name, value.clone()?));
    let parameters: Vec<_> = parameters.iter().filter_map(given).collect();
    for (name, value) in &parameters {
        arguments::check(name, value)?;
    }
    repository(context)?.read(reading, &parameters, take).await.map_err(error::repository)
}

#[Object]
impl Query {
    /// The user, and the session behind the token.
    async fn viewer(&self, context: &Context<'_>) -> Result<Viewer> {
        let repository = repository(context)?;
        Ok(Viewer::of(&session::view(repository.ctx(), repository.bearer(), None).await)?)
    }

    /// One record.
    #[graphql(complexity = "CALL + child_complexity")]
    async fn record(
        &self,
        context: &Context<'_>,
        collection: String,
        rkey: String,
    ) -> Option<Result<Record>> {
        let parameters = [("collection", Some(collection)), ("rkey", Some(rkey))];
        Some(read(context, Reading::Record, &parameters, Record::read).await)
    }

    /// Records of a collection.
    #[graphql(complexity = "CALL + child_complexity")]
    async fn records(
        &self,
        context: &Context<'_>,
        collection: String,
        limit: Option<i32>,
        cursor: Option<String>,
        reverse: Option<bool>,
    ) -> Option<Result<RecordPage>> {
        let parameters = [
            ("collection", Some(collection)),
            ("limit", limit.map(|limit| limit.to_string())),
            ("cursor", cursor),
            ("reverse", reverse.map(|reverse| reverse.to_string())),
        ];
        Some(read(context, Reading::Records, &parameters, RecordPage::read).await)
    }

    /// The repository itself: its owner and its collections.
    #[graphql(complexity = "CALL + child_complexity")]
    async fn describe_repo(&self, context: &Context<'_>) -> Option<Result<RepoDescription>> {
        Some(read(context, Reading::Repo, &[], RepoDescription::read).await)
    }

    /// The files that its records use.
    #[graphql(complexity = "CALL + child_complexity")]
    async fn blobs(
        &self,
        context: &Context<'_>,
        limit: Option<i32>,
        cursor: Option<String>,
    ) -> Option<Result<BlobPage>> {
        let parameters = [("limit", limit.map(|limit| limit.to_string())), ("cursor", cursor)];
        Some(read(context, Reading::Blobs, &parameters, BlobPage::read).await)
    }
}
