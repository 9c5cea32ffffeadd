//! The JSON Schema of definitions.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::definition::form::RawForm;
use crate::definition::key::RawKey;
use crate::definition::mcp::RawMcp;
use crate::definition::oauth::{RawOauth2, RawOidc};

/// A definition by its kind, for the schema: reading takes `kind` out first, so that errors keep their place.
#[derive(JsonSchema)]
#[schemars(tag = "kind", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum RawDefinition {
    Oauth2(RawOauth2),
    Oidc(RawOidc),
    Mcp(RawMcp),
    Form(RawForm),
    Key(RawKey),
}

/// The JSON Schema (draft 2020-12) of a definition. It knows the keys and the form of each value; what makes no sense
/// together is found by `causeway providers check`.
pub fn json_schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(WithoutNull);
    let mut schema = Value::from(settings.into_generator().into_root_schema_for::<RawDefinition>());
    schema["title"] = json!("Causeway provider definition");
    schema["description"] =
        json!("A provider that users connect to: NAME.toml in the directory of --providers-dir.");
    schema
}

/// Takes out `null`, which TOML does not have, and defaults, which the descriptions name.
#[derive(Clone)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        object.remove("default");
        if let Some(Value::Array(kinds)) = object.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [only] = &mut kinds[..] {
                let only = only.take();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
            choices.retain(|choice| choice.get("type") != Some(&json!("null")));
            if let [Value::Object(only)] = &mut choices[..] {
                let only = std::mem::take(only);
                object.remove("anyOf");
                object.extend(only);
            }
        }
        if let Some(Value::Array(values)) = object.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
    }
}
