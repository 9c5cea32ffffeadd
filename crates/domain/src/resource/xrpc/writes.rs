//! The repository writes in the body of a call.

use causeway_types::Nsid;
use causeway_types::scope::RepoAction;
use serde::Deserialize;

use crate::JsonObject;

/// Actions and collections, in the order of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writes(pub(super) Vec<(RepoAction, Nsid)>);

/// Why the writes in a body cannot be determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WritesError {
    /// Not the JSON of this method, or a member stands there twice: readers differ in which one counts.
    #[error("the body must be JSON with the members of this method, each once")]
    Json,
    /// A collection that is no NSID.
    #[error("collection must be an NSID such as app.bsky.feed.post")]
    Collection,
    /// A write of another kind than there are.
    #[error("$type of each write must be com.atproto.repo.applyWrites#create, #update or #delete")]
    Kind,
}

#[derive(Deserialize)]
struct One {
    collection: String,
}

#[derive(Deserialize)]
struct Many {
    writes: Vec<JsonObject<Write>>,
}

#[derive(Deserialize)]
struct Write {
    #[serde(rename = "$type")]
    kind: String,
    collection: String,
}

impl Writes {
    /// Whether this method's body lists its writes.
    pub fn are_in(nsid: &Nsid) -> bool {
        Kind::of(nsid).is_some()
    }

    /// Reads the body of `createRecord`, `putRecord`, `deleteRecord` or `applyWrites`.
    ///
    /// # Errors
    /// [`WritesError`].
    pub fn read(nsid: &Nsid, body: &[u8]) -> Result<Self, WritesError> {
        let collection = |text: &str| Nsid::parse(text).map_err(|_| WritesError::Collection);
        let actions = match Kind::of(nsid).ok_or(WritesError::Json)? {
            Kind::One(actions) => actions,
            Kind::Many => {
                let JsonObject(body): JsonObject<Many> =
                    serde_json::from_slice(body).map_err(|_| WritesError::Json)?;
                let writes = body.writes.iter().map(|JsonObject(write)| {
                    let action = write.kind.strip_prefix("com.atproto.repo.applyWrites#");
                    let action = action.and_then(RepoAction::parse);
                    Ok((action.ok_or(WritesError::Kind)?, collection(&write.collection)?))
                });
                return writes.collect::<Result<_, _>>().map(Self);
            }
        };
        let JsonObject(body): JsonObject<One> =
            serde_json::from_slice(body).map_err(|_| WritesError::Json)?;
        let collection = collection(&body.collection)?;
        Ok(Self(actions.iter().map(|action| (*action, collection.clone())).collect()))
    }
}

enum Kind {
    One(&'static [RepoAction]),
    Many,
}

impl Kind {
    fn of(nsid: &Nsid) -> Option<Self> {
        Some(match nsid.to_lower().as_str() {
            "com.atproto.repo.createrecord" => Self::One(&[RepoAction::Create]),
            "com.atproto.repo.putrecord" => Self::One(&[RepoAction::Create, RepoAction::Update]),
            "com.atproto.repo.deleterecord" => Self::One(&[RepoAction::Delete]),
            "com.atproto.repo.applywrites" => Self::Many,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_whose_bodies_list_writes() {
        for (method, are_in) in [
            ("com.atproto.repo.createRecord", true),
            ("com.atproto.repo.putRecord", true),
            ("com.atproto.repo.deleteRecord", true),
            ("com.atproto.repo.applyWrites", true),
            ("com.atproto.repo.APPLYWRITES", true),
            ("com.atproto.repo.uploadBlob", false),
            ("com.example.repo.createRecord", false),
        ] {
            assert_eq!(Writes::are_in(&Nsid::parse(method).unwrap()), are_in, "{method}");
        }
    }

    #[test]
    fn a_body_says_one_thing() {
        let read = |method: &str, body: &str| {
            Writes::read(&Nsid::parse(&format!("com.atproto.repo.{method}")).unwrap(), body.as_bytes())
        };
        assert!(read("createRecord", r#"{"collection":"a.b.c","x":{"collection":"d"}}"#).is_ok());
        for (body, error) in [
            ("", WritesError::Json),
            ("[]", WritesError::Json),
            (r#"["a.b.c"]"#, WritesError::Json),
            (r#"{"collection":7}"#, WritesError::Json),
            (r#"{"collection":"a.b.c"} {}"#, WritesError::Json),
            (r#"{"collection":"a.b.c","collection":"a.b.d"}"#, WritesError::Json),
            (r#"{"collection":"a.b.c","c\u006fllection":"a.b.d"}"#, WritesError::Json),
            (r#"{"collection":"a b"}"#, WritesError::Collection),
        ] {
            assert_eq!(read("createRecord", body), Err(error), "{body}");
        }
        for (body, error) in [
            (r#"{"writes":[],"writes":[]}"#, WritesError::Json),
            ("[[]]", WritesError::Json),
            (r#"{"writes":[["com.atproto.repo.applyWrites#create","a.b.c"]]}"#, WritesError::Json),
            (r#"{"writes":[{"collection":"a.b.c"}]}"#, WritesError::Json),
            (r#"{"writes":[{"$type":"x#create","collection":"a.b.c"}]}"#, WritesError::Kind),
        ] {
            assert_eq!(read("applyWrites", body), Err(error), "{body}");
        }
        assert_eq!(read("applyWrites", r#"{"writes":[]}"#), Ok(Writes(Vec::new())));
    }
}
