//! Limits of arguments: a PDS answers an argument of 20 kB with an error about its own limits.

use async_graphql::Result;
use causeway_types::Nsid;
use serde_json::{Map, Value};

use super::error::invalid;

/// The longest record key, in bytes (atproto specification "Record Key").
const MAX_RKEY: usize = 512;
/// The longest other argument, in bytes. The format of cursors is up to the PDS.
const MAX_TEXT: usize = 2048;

/// Checks an argument that becomes a parameter or a member of this name. Anything short enough is left to the PDS.
pub(super) fn check(name: &str, value: &str) -> Result<()> {
    match name {
        "collection" if Nsid::parse(value).is_err() => {
            Err(invalid("collection must be an NSID such as app.bsky.feed.post"))
        }
        "rkey" if !(1..=MAX_RKEY).contains(&value.len()) => {
            Err(invalid(&format!("rkey must have 1 to {MAX_RKEY} bytes")))
        }
        _ if value.len() > MAX_TEXT => Err(invalid(&format!("{name} is longer than {MAX_TEXT} bytes"))),
        _ => Ok(()),
    }
}

/// Checks the arguments among the members of a method's input, and of its writes. The PDS checks the records.
pub(super) fn check_all(input: &Map<String, Value>) -> Result<()> {
    for (name, value) in input {
        match value {
            Value::String(text) => check(name, text)?,
            Value::Array(writes) if name == "writes" => {
                writes.iter().filter_map(Value::as_object).try_for_each(check_all)?;
            }
            _ => {}
        }
    }
    Ok(())
}
