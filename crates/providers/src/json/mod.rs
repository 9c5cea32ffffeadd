//! JSON of providers: its text, as it stands, and documents that are read from answers.

mod document;
pub(crate) mod text;
mod tolerant;

pub use document::Document;
pub(crate) use document::{find, is_null, text_of};
