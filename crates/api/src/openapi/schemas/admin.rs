//! Clients in the operator's API: with the metadata that they registered, and settings that only the operator
//! controls.

use causeway_domain::client::{ClientMetadata, ClientTerms};
use serde_json::{Value, json};

use super::forms::members;
use crate::bodies::schema::{object, text, texts, with};

pub(super) fn all() -> [(&'static str, Value); 3] {
    [
        ("ClientMetadata", object(&members::<ClientMetadata>(), &[])),
        ("AdminClientMetadata", object(&with(members::<ClientMetadata>(), &members::<ClientTerms>()), &[])),
        ("AdminClient", client()),
    ]
}

/// A client with everything that is stored about it. Omitted metadata is null, so only the members that are
/// never null are required.
fn client() -> Value {
    let own = json!({
        "client_id": text("the client"),
        "client_secret": text("only in the response that created it"),
        "client_name": text("the name that users see"),
        "redirect_uris": texts("registered redirect URIs"),
        "grant_types": texts("grant types that the client may use"),
        "origin": text("how the client was registered"),
        "created_at": { "type": "integer", "description": "Unix time of the registration" },
        "updated_at": { "type": "integer", "description": "Unix time of the last change" },
    });
    object(&with(own, &members::<ClientTerms>()), &["client_id", "redirect_uris", "grant_types"])
}

#[cfg(test)]
mod tests {
    use causeway_types::{ClientId, TenantId, Timestamp};

    use super::*;

    /// The operator's settings have the names that are read and shown.
    #[test]
    fn settings_have_the_names_that_are_shown() {
        let metadata = json!({ "redirect_uris": ["https://app.example/cb"] });
        let metadata: ClientMetadata = serde_json::from_value(metadata).unwrap();
        let (id, tenant) = (ClientId::new("c"), TenantId::default_tenant());
        let client = metadata.validate().unwrap().into_client(id, tenant, None, Timestamp(0));
        let mut shown: Vec<String> = ClientTerms::shown(&client).keys().cloned().collect();
        let mut described: Vec<String> =
            members::<ClientTerms>().as_object().unwrap().keys().cloned().collect();
        shown.sort_unstable();
        described.sort_unstable();
        assert_eq!(described, shown);
    }

    #[test]
    fn metadata_is_described_as_it_is_read() {
        let all = serde_json::Map::from_iter(all().map(|(name, schema)| (name.to_owned(), schema)));
        let of = |member: &str| all["AdminClientMetadata"]["properties"][member].clone();
        assert_eq!(of("redirect_uris")["items"], json!({ "type": "string", "format": "uri" }));
        assert_eq!(of("redirect_uris")["maxItems"], 32);
        assert_eq!(of("dpop_nonce_policy")["oneOf"][1]["const"], "required");
        assert!(of("dpop_nonce_policy")["description"].as_str().unwrap().ends_with("[default: off]."));
        assert_eq!(of("id_token_signed_response_alg")["enum"], json!(["RS256", "ES256"]));
        assert_eq!(of("pkce")["oneOf"][1]["const"], "nonce");
        assert_eq!(
            (&of("refresh_token_expiration")["minimum"], &of("access_token_expiration")["minimum"]),
            (&json!(0), &json!(1))
        );
        assert_eq!(of("jwks")["type"], "object");
        for name in ["ClientMetadata", "AdminClientMetadata"] {
            for (member, schema) in all[name]["properties"].as_object().unwrap() {
                let typed = schema["type"].is_string() || schema["oneOf"].is_array();
                assert!(schema["description"].is_string() && typed, "{name} {member}: {schema}");
            }
        }
    }
}
