//! Parts of a PDS response that are passed on unchanged: pieces of its text, none of which is parsed into a tree.

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, OutputType, Positioned, ServerResult, Value};
use causeway_flow::upstream::relay::raw_json::RawJson;

/// Any JSON.
pub(super) struct Raw(pub(super) RawJson);

/// A string.
pub(super) struct Text(RawJson);

impl Text {
    /// A required member, which must be a string.
    pub(super) fn read(json: Option<RawJson>) -> Option<Self> {
        json?.string().map(Self)
    }

    /// A member that may be missing, or null.
    pub(super) fn read_optional(json: Option<RawJson>) -> Option<Option<Self>> {
        match json.filter(|json| !json.is_null()) {
            None => Some(None),
            some => Self::read(some).map(Some),
        }
    }
}

/// In our responses a binary value is JSON text that is already serialized: [`super::answer`] copies it. No other
/// value is binary.
fn written(json: &RawJson) -> Value {
    Value::Binary(json.text().clone())
}

impl OutputType for Raw {
    fn type_name() -> Cow<'static, str> {
        <serde_json::Value as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <serde_json::Value as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(written(&self.0))
    }
}

impl OutputType for Text {
    fn type_name() -> Cow<'static, str> {
        <String as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <String as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(written(&self.0))
    }
}
