//! Schemas of forms and queries, derived from the types that they are read into.

use causeway_flow::authorization::device::DeviceParams;
use causeway_flow::authorization::parameters::AuthorizeParams;
use causeway_flow::logout::rp_initiated::LogoutParams;
use causeway_flow::token::grants::client_credentials::ClientParams;
use causeway_flow::token::grants::code::RedeemParams;
use causeway_flow::token::grants::device::PollParams;
use causeway_flow::token::grants::exchange::ExchangeParams;
use causeway_flow::token::grants::refresh::RefreshParams;
use causeway_flow::upstream::export::{ProofParams, Question};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::derived::AbsentNotNull;
use crate::bodies::forms::{ClientCredentials, GrantChoice, TokenInBody, TokenQuestion};
use crate::bodies::schema::{object, with};

/// The forms by name.
pub(super) fn all() -> [(&'static str, Value); 10] {
    [
        ("AuthorizationRequest", object(&members::<AuthorizeParams>(), &["client_id"])),
        ("PushedRequest", object(&with_credentials(pushed()), &[])),
        ("LogoutRequest", object(&members::<LogoutParams>(), &[])),
        ("DeviceRequest", object(&with_credentials(members::<DeviceParams>()), &[])),
        ("Credentials", object(&members::<ClientCredentials>(), &[])),
        ("SessionQuestion", object(&with_credentials(members::<Question>()), &[])),
        ("ProofRequest", object(&with_credentials(members::<ProofParams>()), &["htm", "htu"])),
        ("TokenRequest", object(&with_credentials(token_request()), &["grant_type"])),
        ("TokenQuestion", object(&with_credentials(members::<TokenQuestion>()), &["token"])),
        ("TokenInBody", object(&members::<TokenInBody>(), &[])),
    ]
}

/// The members of a form or a query, by the name of the type that it is read into.
pub(in crate::openapi) fn members<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize().with_transform(AbsentNotNull);
    let settings = settings.with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    let mut members = schema.remove("properties").unwrap_or_default();
    for member in members.as_object_mut().into_iter().flat_map(|members| members.values_mut()) {
        // Nothing, null or empty: it says no more than that the member may be left out.
        member.as_object_mut().and_then(|member| member.remove("default"));
    }
    members
}

fn with_credentials(own: Value) -> Value {
    with(own, &members::<ClientCredentials>())
}

/// Everything but what a pushed request yields.
fn pushed() -> Value {
    let mut request = members::<AuthorizeParams>();
    request.as_object_mut().and_then(|members| members.remove("request_uri"));
    request
}

/// The parameters of all grants.
fn token_request() -> Value {
    [
        members::<ClientParams>(),
        members::<PollParams>(),
        members::<RedeemParams>(),
        members::<RefreshParams>(),
        members::<ExchangeParams>(),
    ]
    .iter()
    .fold(members::<GrantChoice>(), with)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    #[test]
    fn parameters_are_described_as_they_are_read() {
        let all: Map<_, _> = all().into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
        let of = |name: &str, member: &str| all[name]["properties"][member].clone();
        assert_eq!(
            of("AuthorizationRequest", "redirect_uri"),
            json!({ "type": "string", "format": "uri", "description": "A URI that the client registered." })
        );
        assert_eq!(
            of("AuthorizationRequest", "response_mode")["enum"],
            json!(["query", "fragment", "form_post"])
        );
        assert_eq!(of("AuthorizationRequest", "response_type")["const"], "code");
        assert_eq!(of("PushedRequest", "request_uri"), Value::Null);
        assert_eq!(of("PushedRequest", "client_secret")["type"], "string");
        assert_eq!(of("TokenRequest", "resource")["items"], json!({ "type": "string", "format": "uri" }));
        assert_eq!(of("TokenRequest", "actor_token")["type"], "string");
        assert_eq!(all["TokenRequest"]["required"], json!(["grant_type"]));
        for (name, schema) in &all {
            for (member, schema) in schema["properties"].as_object().unwrap() {
                assert!(
                    schema["description"].is_string() && schema["type"].is_string(),
                    "{name} {member}: {schema}"
                );
                assert_eq!(schema.get("default"), None, "{name} {member}");
            }
        }
    }
}
