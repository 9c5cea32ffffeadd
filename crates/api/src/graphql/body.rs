//! The body of a request.

use async_graphql::{Request, Variables};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A GraphQL request.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", expecting = "a JSON object")]
pub(crate) struct GraphQlRequest {
    /// The GraphQL document.
    query: String,
    /// The operation to execute, if the document has several.
    operation_name: Option<String>,
    /// The values of the document's variables.
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    variables: Variables,
}

impl From<GraphQlRequest> for Request {
    fn from(body: GraphQlRequest) -> Self {
        let request = Self::new(body.query).variables(body.variables);
        match body.operation_name {
            Some(name) => request.operation_name(name),
            None => request,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_of_a_request() {
        let read = |body: Value| serde_json::from_value::<GraphQlRequest>(body).map(Request::from);
        let full =
            json!({ "query": "{ x }", "operationName": "x", "variables": { "y": 1 }, "extensions": {} });
        let full = read(full).unwrap();
        assert_eq!(
            (&*full.query, full.operation_name.as_deref(), full.variables.len()),
            ("{ x }", Some("x"), 1)
        );
        for short in [
            json!({ "query": "{ x }" }),
            json!({ "query": "{ x }", "operationName": null, "variables": null }),
        ] {
            let short = read(short).unwrap();
            assert_eq!((&*short.query, short.operation_name, short.variables.len()), ("{ x }", None, 0));
        }
        for bad in [json!({}), json!({ "query": null }), json!({ "query": "{ x }", "variables": [1] })] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
