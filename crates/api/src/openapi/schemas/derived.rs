//! Schemas derived from the types of bodies.

use causeway_flow::resource::userinfo::UserInfo;
use causeway_types::claims::ActiveToken;
use schemars::generate::SchemaSettings;
use schemars::transform::Transform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::bodies::admin::{
    AdminAuditEvents, AdminClients, AdminKeys, AdminMadeKey, AdminNewKey, AdminRevoked, AdminSecret,
    AdminSessions, AdminWhose,
};
use crate::bodies::connect::{
    ConfirmRequest, ConfirmedConnection, ConfirmedConnections, ConnectSessionRequest, NewConnectSession,
    ShownConnectSession,
};
use crate::bodies::connection::{ConnectionDetail, Connections, ShareWith};
use crate::bodies::connection_use::{
    ConnectionCredential, DataDeletion, RefreshedConnection, VerifiedConnection,
};
use crate::bodies::mcp::ListedMcpServers;
use crate::bodies::oauth::{DeviceAnswer, ErrorBody, PushedAnswer, RegisteredClient, TokenAnswer};
use crate::bodies::session::{ExportedSession, FoundSession, Session, SessionProof, SignInPrompt};
use crate::bodies::tenant::{AdminNewTenant, ExportedUser, NewTenantBody, Tenants, Users};
use crate::graphql::GraphQlRequest;

/// The schemas by name, including those that they refer to.
pub(super) fn all() -> Map<String, Value> {
    let answers = SchemaSettings::draft2020_12().for_serialize().with_transform(AbsentNotNull);
    let mut answers = Definitions::new(answers);
    answers
        .add::<ErrorBody<'_>>()
        .add::<PushedAnswer<'_>>()
        .add::<DeviceAnswer<'_>>()
        .add::<TokenAnswer<'_>>()
        .add::<Introspection>()
        .add::<RegisteredClient<'_>>()
        .add::<UserInfo>()
        .add::<Session<'_>>()
        .add::<SignInPrompt>()
        .add::<FoundSession<'_>>()
        .add::<ExportedSession<'_>>()
        .add::<SessionProof<'_>>()
        .add::<NewConnectSession<'_>>()
        .add::<ShownConnectSession<'_>>()
        .add::<ConfirmedConnection<'_>>()
        .add::<ConfirmedConnections<'_>>()
        .add::<Tenants<'_>>()
        .add::<Users<'_>>()
        .add::<ExportedUser<'_>>()
        .add::<Connections<'_>>()
        .add::<ConnectionDetail<'_>>()
        .add::<RefreshedConnection<'_>>()
        .add::<VerifiedConnection<'_>>()
        .add::<ConnectionCredential<'_>>()
        .add::<DataDeletion>()
        .add::<ListedMcpServers<'_>>()
        .add::<AdminClients<'_>>()
        .add::<AdminSecret<'_>>()
        .add::<AdminSessions<'_>>()
        .add::<AdminRevoked>()
        .add::<AdminKeys<'_>>()
        .add::<AdminMadeKey<'_>>()
        .add::<AdminAuditEvents<'_>>();
    let mut requests = Definitions::new(SchemaSettings::draft2020_12().for_deserialize());
    requests.add::<NewTenantBody>().add::<AdminNewTenant>().add::<ShareWith>();
    requests.add::<ConnectSessionRequest>().add::<ConfirmRequest>();
    requests.add::<AdminWhose>().add::<AdminNewKey>().add::<GraphQlRequest>();
    let mut all = answers.0.take_definitions(true);
    all.append(&mut requests.0.take_definitions(true));
    all
}

/// The schemas of one direction: a member that is optional in a request need not be optional in a response.
struct Definitions(SchemaGenerator);

impl Definitions {
    fn new(settings: SchemaSettings) -> Self {
        let settings = settings.with(|settings| settings.definitions_path = "/components/schemas".into());
        Self(settings.into_generator())
    }

    fn add<T: JsonSchema>(&mut self) -> &mut Self {
        self.0.subschema_for::<T>();
        self
    }
}

/// The introspection response (RFC 7662 section 2.2).
// One of two types is sent: this one describes both.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Introspection {
    /// Whether the token is valid; false reveals nothing else, not even whether it ever was.
    active: bool,
    #[serde(flatten)]
    token: Option<ActiveToken>,
}

/// An optional member of a response is omitted rather than null, although the type of its field allows null.
#[derive(Clone, Copy, Debug)]
pub(super) struct AbsentNotNull;

impl Transform for AbsentNotNull {
    fn transform(&mut self, schema: &mut Schema) {
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        let members = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (name, member) in members.into_iter().flatten() {
            if !required.iter().any(|required| required == name) {
                drop_null(member);
            }
        }
    }
}

fn drop_null(member: &mut Value) {
    let Some(member) = member.as_object_mut() else { return };
    for list in ["type", "enum", "anyOf"] {
        if let Some(Value::Array(values)) = member.get_mut(list) {
            values.retain(|value| !value.is_null() && value != "null" && value["type"] != "null");
        }
    }
    if let Some([one]) = member.get("type").and_then(Value::as_array).map(Vec::as_slice) {
        let one = one.clone();
        member.insert("type".to_owned(), one);
    }
    if let Some([Value::Object(one)]) = member.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) {
        let one = one.clone();
        member.remove("anyOf");
        for (name, value) in one {
            // The member's own description says more than that of its type.
            member.entry(name).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn required(schema: &Value) -> Vec<&str> {
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    #[test]
    fn what_may_be_left_out_is_not_required() {
        let all = all();
        for (name, members) in [
            ("Error", &["error", "error_description", "request_id"][..]),
            ("TokenAnswer", &["access_token", "token_type", "expires_in"]),
            ("Introspection", &["active"]),
            ("UserInfo", &["sub"]),
            ("AdminSessions", &["sessions"]),
            ("AdminWhose", &[]),
            ("AdminNewKey", &["alg"]),
            ("GraphQlRequest", &["query"]),
        ] {
            assert_eq!(required(&all[name]), members, "{name}");
        }
    }

    #[test]
    fn members_are_described() {
        let all = all();
        let of = |name: &str, member: &str| all[name]["properties"][member].clone();
        assert_eq!(
            of("Session", "pds"),
            json!({ "type": "string", "format": "uri", "description": "The user's PDS." })
        );
        assert_eq!(of("Session", "handle")["type"], json!(["string", "null"]));
        assert_eq!(of("Session", "session_kind")["enum"], json!(["device", "background"]));
        assert_eq!(of("UserInfo", "email_verified")["type"], "boolean");
        let cnf = of("Introspection", "cnf");
        assert_eq!((&cnf["$ref"], cnf.get("anyOf")), (&json!("#/components/schemas/Confirmation"), None));
        assert_eq!(of("Introspection", "token_type")["enum"], json!(["Bearer", "DPoP"]));
        assert_eq!(of("Introspection", "exp")["type"], "integer");
        // What the client registered stands beside what the server adds.
        assert_eq!(of("Client", "jwks_uri")["format"], "uri");
        assert_eq!(of("Client", "registration_client_uri")["format"], "uri");
        for (name, schema) in &all {
            for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
                let described = schema.get("description").is_some() || schema.get("enum").is_some();
                assert!(described, "{name}: {member}");
            }
        }
    }
}
