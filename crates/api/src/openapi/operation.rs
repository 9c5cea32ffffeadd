//! Builder of one operation.

use serde_json::{Map, Value, json};

/// The operations of one path, each with its method in lower case.
pub(super) type Path = (&'static str, Vec<(&'static str, Operation)>);

/// How a caller identifies itself.
#[derive(Clone, Copy)]
pub(super) enum Security {
    /// Anybody.
    Anybody,
    /// A client, by any method that it may have registered; a public one only identifies itself.
    Client,
    /// A client that authenticates: by HTTP Basic, or by an access token of its own.
    Confidential,
    /// The holder of an access token.
    AccessToken,
    /// The holder of a registration access token (RFC 7592).
    RegistrationToken,
    /// The holder of the operator's token.
    Operator,
}

/// An Operation Object (OpenAPI Specification 3.1, section 4.8.10).
pub(super) struct Operation {
    members: Map<String, Value>,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
}

impl Operation {
    /// An operation that anybody may call.
    pub(super) fn new(tag: &str, id: &str, summary: &str) -> Self {
        let members = [("tags", json!([tag])), ("operationId", id.into()), ("summary", summary.into())];
        let members = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { members, parameters: Vec::new(), responses: Map::new() }
    }

    /// Its name.
    #[cfg(test)]
    pub(super) fn id(&self) -> String {
        self.members["operationId"].to_string()
    }

    /// Sets how callers identify themselves.
    pub(super) fn by(mut self, caller: Security) -> Self {
        let security = match caller {
            Security::Anybody => json!([{}]),
            // Credentials in the body cannot be described as a security scheme.
            Security::Client => json!([{ "clientBasic": [] }, {}]),
            Security::Confidential => json!([{ "clientBasic": [] }, { "bearer": [] }, { "dpop": [] }]),
            Security::AccessToken => json!([{ "bearer": [] }, { "dpop": [] }]),
            Security::Operator => json!([{ "operatorToken": [] }]),
            Security::RegistrationToken => json!([{ "registrationToken": [] }]),
        };
        self.members.insert("security".to_owned(), security);
        self
    }

    /// A path parameter. A value that names nothing, or holds a control character, is answered with 404.
    pub(super) fn path(mut self, name: &str, description: &str) -> Self {
        let schema = json!({ "type": "string", "minLength": 1 });
        self.parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": schema, "description": description,
        }));
        self.errors(&[404])
    }

    /// A header of the request.
    pub(super) fn header(mut self, name: &str, description: &str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "header", "schema": { "type": "string" }, "description": description,
        }));
        self
    }

    /// The proof of a key (RFC 9449).
    pub(super) fn proof(self) -> Self {
        self.header("DPoP", "a proof of possession for this request (RFC 9449 section 4)")
    }

    /// The members of a schema as parameters of the query.
    pub(super) fn query(mut self, properties: &Value, required: &[&str]) -> Self {
        for (name, schema) in properties.as_object().into_iter().flatten() {
            self.parameters.push(json!({
                "name": name, "in": "query", "required": required.contains(&name.as_str()), "schema": schema,
            }));
        }
        self
    }

    /// A form, by the name of its schema.
    pub(super) fn form(self, schema: &str) -> Self {
        self.body("application/x-www-form-urlencoded", &reference(schema), true)
    }

    /// The same, which may be left out.
    pub(super) fn optional_form(self, schema: &str) -> Self {
        self.body("application/x-www-form-urlencoded", &reference(schema), false)
    }

    /// JSON, by the name of its schema.
    pub(super) fn json(self, schema: &str) -> Self {
        self.body("application/json", &reference(schema), true)
    }

    /// A body of some type.
    pub(super) fn body(mut self, content_type: &str, schema: &Value, required: bool) -> Self {
        let body = json!({ "required": required, "content": { content_type: { "schema": schema } } });
        self.members.insert("requestBody".to_owned(), body);
        self
    }

    /// An answer in JSON, by the name of its schema.
    pub(super) fn answer(self, status: u16, description: &str, schema: &str) -> Self {
        self.content(status, description, &json!({ "application/json": { "schema": reference(schema) } }))
    }

    /// An answer of some type.
    pub(super) fn content(mut self, status: u16, description: &str, content: &Value) -> Self {
        self.responses.insert(status.to_string(), json!({ "description": description, "content": content }));
        self
    }

    /// An answer without a body that matters.
    pub(super) fn empty(mut self, status: u16, description: &str) -> Self {
        self.responses.insert(status.to_string(), json!({ "description": description }));
        self
    }

    /// A page or a redirect, for browsers.
    pub(super) fn page(self, description: &str) -> Self {
        self.content(200, description, &html())
            .empty(303, "redirects to the user's authorization server, or back to the client")
            .content(400, "an error page: never a redirect to an unregistered address", &html())
    }

    /// Errors as pages.
    pub(super) fn error_pages(self, statuses: &[u16]) -> Self {
        let page = |this: Self, status: &u16| this.content(*status, "an error page", &html());
        statuses.iter().fold(self, page)
    }

    /// Errors as JSON.
    pub(super) fn errors(mut self, statuses: &[u16]) -> Self {
        for status in statuses {
            let reference = json!({ "$ref": format!("#/components/responses/Error{status}") });
            self.responses.insert(status.to_string(), reference);
        }
        self
    }

    pub(super) fn into_value(mut self) -> Value {
        if !self.parameters.is_empty() {
            self.members.insert("parameters".to_owned(), self.parameters.into());
        }
        self.members.insert("responses".to_owned(), self.responses.into());
        self.members.into()
    }
}

fn html() -> Value {
    json!({ "text/html": { "schema": { "type": "string" } } })
}

/// A schema by its name.
pub(super) fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}
