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
