//! Mutations. Fields run in the order in which they are written.

use async_graphql::{Context, Object, Result};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use causeway_flow::upstream::relay::raw_json::RawJson;
use causeway_flow::upstream::relay::repository::Writing;
use serde_json::{Map, Value, json};

use super::call::{CALL, repository};
use super::types::{AppliedWrites, DeletedRecord, UploadedBlob, Write, WrittenRecord};
use super::{arguments, error};

/// Base64, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The repository of the token's user.
pub(crate) struct Mutation;

/// The input of a method.
#[derive(Default)]
struct Input(Map<String, Value>);

impl Input {
    /// Adds a member, unless its value is omitted.
    fn with(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Sends the input. A failure makes this field null and leaves the other fields as they are.
    async fn write<T: Send + 'static>(
        self,
        context: &Context<'_>,
        writing: Writing,
        take: fn(&RawJson) -> Option<T>,
    ) -> Option<Result<T>> {
        let outcome = async {
            arguments::check_all(&self.0)?;
            repository(context)?.write(writing, self.0, take).await.map_err(error::repository)
        };
        Some(outcome.await)
    }
}

#[Object]
impl Mutation {
    /// Creates a record.
    #[graphql(complexity = "CALL + child_complexity")]
    async fn create_record(
        &self,
        context: &Context<'_>,
        collection: String,
        #[graphql(desc = "If omitted, the PDS generates one.")] rkey: Option<String>,
        record: Value,
        #[graphql(desc = "If omitted, the PDS validates records whose lexicon it knows.")] validate: Option<
            bool,
        >,
        swap_commit: Option<String>,
    ) -> Option<Result<WrittenRecord>> {
        let input = Input::default().with("collection", Some(collection)).with("rkey", rkey);
        let input = input.with("record", Some(record)).with("validate", validate);
        input.with("swapCommit", swap_commit).write(context, Writing::Create, RawJson::read).await
    }

    /// Creates or replaces a record.
    #[graphql(complexity = "CALL + child_complexity")]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the XRPC method")]
    async fn put_record(
        &self,
        context: &Context<'_>,
        collection: String,
        rkey: String,
        record: Value,
        #[graphql(desc = "If omitted, the PDS validates records whose lexicon it knows.")] validate: Option<
            bool,
        >,
        #[graphql(desc = "The CID of the record to replace.")] swap_record: Option<String>,
        swap_commit: Option<String>,
    ) -> Option<Result<WrittenRecord>> {
        let input = Input::default().with("collection", Some(collection)).with("rkey", Some(rkey));
        let input = input.with("record", Some(record)).with("validate", validate);
        let input = input.with("swapRecord", swap_record);
        input.with("swapCommit", swap_commit).write(context, Writing::Put, RawJson::read).await
    }

    /// Deletes a record. Succeeds if there is none.
    #[graphql(complexity = "CALL + child_complexity")]
    async fn delete_record(
        &self,
        context: &Context<'_>,
        collection: String,
        rkey: String,
        #[graphql(desc = "The CID of the record to delete.")] swap_record: Option<String>,
        swap_commit: Option<String>,
    ) -> Option<Result<DeletedRecord>> {
        let input = Input::default().with("collection", Some(collection)).with("rkey", Some(rkey));
        let input = input.with("swapRecord", swap_record);
        input.with("swapCommit", swap_commit).write(context, Writing::Delete, RawJson::read).await
    }

    /// Applies several writes: all of them or none.
    #[graphql(complexity = "CALL + child_complexity")]
    async fn apply_writes(
        &self,
        context: &Context<'_>,
        writes: Vec<Write>,
        #[graphql(desc = "If omitted, the PDS validates records whose lexicon it knows.")] validate: Option<
            bool,
        >,
        swap_commit: Option<String>,
    ) -> Option<Result<AppliedWrites>> {
        let writes: Vec<Value> = writes.into_iter().map(in_lexicon).collect();
        let input = Input::default().with("writes", Some(writes)).with("validate", validate);
        input.with("swapCommit", swap_commit).write(context, Writing::Apply, AppliedWrites::read).await
    }

    /// Uploads a file. The PDS deletes it unless a record refers to it soon.
    #[graphql(complexity = "CALL + child_complexity")]
    async fn upload_blob(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The content, in base64.")] data: String,
        mime_type: String,
    ) -> Option<Result<UploadedBlob>> {
        Some(upload(context, &data, &mime_type).await)
    }
}

async fn upload(context: &Context<'_>, data: &str, mime_type: &str) -> Result<UploadedBlob> {
    let data = BASE64.decode(data).map_err(|_| error::invalid("data must be in base64"))?;
    if !is_mime_type(mime_type) {
        return Err(error::invalid("mimeType must be a media type such as image/png"));
    }
    let outcome = repository(context)?.upload(mime_type, data, UploadedBlob::read).await;
    outcome.map_err(error::repository)
}

/// A write in the form of `com.atproto.repo.applyWrites`.
fn in_lexicon(write: Write) -> Value {
    match write {
        Write::Create(create) => {
            let input = Input::default().with("$type", Some("com.atproto.repo.applyWrites#create"));
            let input = input.with("collection", Some(create.collection)).with("rkey", create.rkey);
            Value::Object(input.with("value", Some(create.value)).0)
        }
        Write::Update(update) => json!({
            "$type": "com.atproto.repo.applyWrites#update",
            "collection": update.collection,
            "rkey": update.rkey,
            "value": update.value,
        }),
        Write::Delete(delete) => json!({
            "$type": "com.atproto.repo.applyWrites#delete",
            "collection": delete.collection,
            "rkey": delete.rkey,
        }),
    }
}

/// Whether this is a type and a subtype made of the permitted characters (RFC 6838 section 4.2).
fn is_mime_type(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    text.len() <= 255 && text.split_once('/').is_some_and(|(kind, sub)| is_name(kind) && is_name(sub))
}
