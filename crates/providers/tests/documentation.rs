//! The examples of the documentation.
#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::collections::BTreeSet;

use causeway_providers::{Definition, json_schema};

const PAGE: &str = include_str!("../../../docs/src/providers.md");

fn example() -> &'static str {
    PAGE.split_once("```toml\n").unwrap().1.split_once("\n```").unwrap().0
}

#[test]
fn the_example_is_valid() {
    let parsed = Definition::parse("crm.toml", example());
    assert!(parsed.is_ok(), "{}", parsed.unwrap_err());
}

/// Every key of an OAuth 2.0 server and every key of its tables is in the example, except for those that exclude others
/// or are of one provider alone.
#[test]
fn the_example_shows_every_key() {
    let schema = json_schema();
    let kinds = schema["oneOf"].as_array().unwrap();
    let oauth2 = kinds.iter().find(|kind| kind["properties"]["kind"]["const"] == "oauth2").unwrap();
    let example: toml::Table = example().parse().unwrap();
    let keys = |value: &serde_json::Value| -> BTreeSet<String> {
        value["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let shown: BTreeSet<String> = example.keys().cloned().collect();
    let missing: Vec<String> = keys(oauth2).difference(&shown).cloned().collect();
    assert_eq!(missing, ["extras", "issuer"]);
    assert!(keys(oauth2).is_superset(&shown));
    for table in ["authorization", "token_request", "lifetime", "refresh", "identity", "relay"] {
        let property = &oauth2["properties"][table];
        let definition = property["$ref"]
            .as_str()
            .map_or(property, |reference| &schema["$defs"][reference.trim_start_matches("#/$defs/")]);
        let shown: BTreeSet<String> = example[table].as_table().unwrap().keys().cloned().collect();
        let missing: Vec<String> = keys(definition).difference(&shown).cloned().collect();
        let expected: &[&str] = match table {
            "lifetime" => &["access_end"],
            "refresh" => &[
                "max_age",
                "method",
                "not_before",
                "optional",
                "parameters",
                "send_scope",
                "token_endpoint_auth_method",
                "url",
            ],
            "identity" => &["from", "headers"],
            "relay" => &["action_required", "encoded_slash"],
            _ => &[],
        };
        assert_eq!(missing, expected, "{table}");
    }
}

/// The schema says what is required, and that there are no other keys.
#[test]
fn the_schema_is_strict() {
    let schema = json_schema();
    for kind in schema["oneOf"].as_array().unwrap() {
        let name = kind["properties"]["kind"]["const"].as_str().unwrap();
        assert_eq!(kind["additionalProperties"], false, "{name}");
        let required: BTreeSet<&str> =
            kind["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        let expected: BTreeSet<&str> = match name {
            "oauth2" | "oidc" => ["kind", "title", "refresh"].into(),
            "mcp" => ["kind", "title", "mcp_url"].into(),
            "form" => ["kind", "title", "login", "relay"].into(),
            "key" => ["kind", "title", "fields", "relay"].into(),
            other => panic!("{other}"),
        };
        assert_eq!(required, expected, "{name}");
    }
    let text = schema.to_string();
    assert!(!text.contains("\"null\""), "TOML has no null");
}
