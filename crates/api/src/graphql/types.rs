//! Inputs and results, with the names of the lexicons.

use async_graphql::{
    InputObject, InputValueError, InputValueResult, OneofObject, Scalar, ScalarType, SimpleObject, Value,
};
use causeway_domain::session::OtherKind;
use causeway_flow::upstream::relay::raw_json::RawJson;
use causeway_flow::upstream::session::SessionView;
use causeway_types::{Did, Handle};
use serde::Deserialize;
use serde_json::Value as Json;

use super::raw::{Raw, Text};

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy)]
pub(super) struct UnixTime(pub(super) i64);

/// Seconds since 1970-01-01T00:00:00Z, as a number that may be larger than an Int.
#[Scalar]
impl ScalarType for UnixTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => number.as_i64().map(Self).ok_or("not a whole number".into()),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::Number(self.0.into())
    }
}

/// The token's user.
#[derive(SimpleObject)]
pub(super) struct Viewer {
    did: String,
    /// The verified handle; null if it does not verify.
    handle: Option<String>,
    /// The user's PDS.
    pds: String,
    session: Session,
}

/// The session at the user's PDS, and the access token of this request.
#[derive(SimpleObject)]
#[graphql(rename_fields = "snake_case")]
pub(super) struct Session {
    session_id: String,
    session_kind: &'static str,
    session_state: &'static str,
    /// The upstream token set that this token came from.
    session_iteration: Option<i64>,
    /// The upstream token set in use.
    head_iteration: i64,
    /// The scope of this token.
    scope: String,
    token_expires_at: UnixTime,
    /// When the session ends unless it is used before then; null: never.
    session_expires_at: Option<UnixTime>,
}

impl Viewer {
    pub(super) fn of(view: &SessionView) -> Result<Self, OtherKind> {
        let head = &view.head;
        let account = head.atproto()?;
        Ok(Self {
            did: Did::as_str(&account.did).to_owned(),
            handle: view.handle.as_ref().map(|handle| Handle::as_str(handle).to_owned()),
            pds: account.upstream.pds.clone(),
            session: Session {
                session_id: head.session_id.as_str().to_owned(),
                session_kind: head.kind.as_str(),
                session_state: view.state.as_str(),
                session_iteration: view.session_iteration,
                head_iteration: head.iteration,
                scope: view.scope.to_string(),
                token_expires_at: UnixTime(view.token_expires_at.as_secs()),
                session_expires_at: head.idle_end().map(|end| UnixTime(end.as_secs())),
            },
        })
    }
}

/// The most records on a page, by the lexicon.
const RECORDS: usize = 100;
/// The most files on a page, by the lexicon.
const BLOBS: usize = 1000;
/// The most collections of a repository that are returned.
const COLLECTIONS: usize = 4096;
/// The most writes whose results are returned: more than a PDS applies at once.
const WRITES: usize = 1000;

/// A record.
#[derive(SimpleObject)]
pub(super) struct Record {
    uri: Text,
    cid: Option<Text>,
    value: Raw,
}

impl Record {
    pub(super) fn read(json: &RawJson) -> Option<Self> {
        let [uri, cid, value] = json.members(["uri", "cid", "value"])?;
        Some(Self { uri: Text::read(uri)?, cid: Text::read_optional(cid)?, value: Raw(value?) })
    }
}

/// Records of a collection, and where the next ones begin.
#[derive(SimpleObject)]
pub(super) struct RecordPage {
    records: Vec<Record>,
    /// The cursor of the next page; null on the last one.
    cursor: Option<Text>,
}

impl RecordPage {
    pub(super) fn read(json: &RawJson) -> Option<Self> {
        let [records, cursor] = json.members(["records", "cursor"])?;
        let records = records?.items(RECORDS)?.iter().map(Record::read).collect::<Option<_>>()?;
        Some(Self { records, cursor: Text::read_optional(cursor)? })
    }
}

/// Files, by their CIDs.
#[derive(SimpleObject)]
pub(super) struct BlobPage {
    cids: Vec<Text>,
    /// The cursor of the next page; null on the last one.
    cursor: Option<Text>,
}

impl BlobPage {
    pub(super) fn read(json: &RawJson) -> Option<Self> {
        let [cids, cursor] = json.members(["cids", "cursor"])?;
        Some(Self { cids: texts(&cids?, BLOBS)?, cursor: Text::read_optional(cursor)? })
    }
}

/// The repository as the PDS describes it.
#[derive(SimpleObject)]
pub(super) struct RepoDescription {
    handle: Text,
    did: Text,
    did_doc: Raw,
    collections: Vec<Text>,
    handle_is_correct: bool,
}

impl RepoDescription {
    pub(super) fn read(json: &RawJson) -> Option<Self> {
        let names = ["handle", "did", "didDoc", "collections", "handleIsCorrect"];
        let [handle, did, did_doc, collections, handle_is_correct] = json.members(names)?;
        Some(Self {
            handle: Text::read(handle)?,
            did: Text::read(did)?,
            did_doc: Raw(did_doc?),
            collections: texts(&collections?, COLLECTIONS)?,
            handle_is_correct: handle_is_correct?.read()?,
        })
    }
}

fn texts(json: &RawJson, most: usize) -> Option<Vec<Text>> {
    json.items(most)?.into_iter().map(|item| Text::read(Some(item))).collect()
}

/// A state of the repository.
#[derive(SimpleObject, Deserialize)]
pub(super) struct Commit {
    cid: String,
    rev: String,
}

/// The result of writing a record.
#[derive(SimpleObject, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenRecord {
    uri: String,
    cid: String,
    commit: Option<Commit>,
    validation_status: Option<String>,
}

/// The result of deleting a record.
#[derive(SimpleObject, Deserialize)]
pub(super) struct DeletedRecord {
    /// Null if there was no such record.
    commit: Option<Commit>,
}

/// The result of several writes.
#[derive(SimpleObject)]
pub(super) struct AppliedWrites {
    commit: Option<Commit>,
    /// One for each write, in the same order.
    results: Option<Vec<AppliedWrite>>,
}

impl AppliedWrites {
    pub(super) fn read(json: &RawJson) -> Option<Self> {
        let [commit, results] = json.members(["commit", "results"])?;
        let commit = commit.map_or(Some(None), |commit| commit.read())?;
        let results = match results.filter(|results| !results.is_null()) {
            None => None,
            Some(results) => Some(results.items(WRITES)?.iter().map(RawJson::read).collect::<Option<_>>()?),
        };
        Some(Self { commit, results })
    }
}

/// The result of one of several writes. All fields of a deletion are null.
#[derive(SimpleObject, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppliedWrite {
    uri: Option<String>,
    cid: Option<String>,
    validation_status: Option<String>,
}

/// A file that was uploaded.
#[derive(SimpleObject)]
pub(super) struct UploadedBlob {
    /// The value to store in the record that refers to the file.
    blob: Raw,
}

impl UploadedBlob {
    pub(super) fn read(json: &RawJson) -> Option<Self> {
        let [blob] = json.members(["blob"])?;
        Some(Self { blob: Raw(blob?) })
    }
}

/// One of several writes.
#[derive(OneofObject)]
pub(super) enum Write {
    Create(CreateWrite),
    Update(UpdateWrite),
    Delete(DeleteWrite),
}

/// A new record.
#[derive(InputObject)]
pub(super) struct CreateWrite {
    pub(super) collection: String,
    /// If omitted, the PDS generates one.
    pub(super) rkey: Option<String>,
    pub(super) value: Json,
}

/// The replacement of a record.
#[derive(InputObject)]
pub(super) struct UpdateWrite {
    pub(super) collection: String,
    pub(super) rkey: String,
    pub(super) value: Json,
}

/// The deletion of a record.
#[derive(InputObject)]
pub(super) struct DeleteWrite {
    pub(super) collection: String,
    pub(super) rkey: String,
}
