//! Client settings that only the operator makes.

use std::collections::BTreeMap;

use causeway_types::Resource;
use causeway_types::resource::ResourceError;
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::entitlement::Entitlement;
use super::metadata::ClientMetadata;
use super::operator_members::{
    ACCESS_TOKEN_EXPIRATION, ALLOWED_RESOURCES, MCP_TOOLS, PKCE, PROVIDERS, REFRESH_TOKEN_EXPIRATION,
    is_reserved,
};
use super::pkce_policy::PkcePolicy;
use super::registered::Client;

/// Read-only members shown beside a client's metadata. They are ignored on input, since an operator who
/// sends back a document that they read sends them, too.
const SHOWN: [&str; 3] = ["origin", "created_at", "updated_at"];

/// Why an operator's setting was refused. The texts name the member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientTermsError {
    /// An unknown PKCE policy.
    #[error("{PKCE} must be required or nonce")]
    Pkce,
    /// An entitlement that is not a boolean.
    #[error("{0} must be true or false")]
    Entitlement(&'static str),
    /// Not a list of strings.
    #[error("{ALLOWED_RESOURCES} must be a list of URIs")]
    Resources,
    /// A resource that no token can be for.
    #[error("{ALLOWED_RESOURCES}: {resource:?}: {error}")]
    Resource {
        /// The resource in question.
        resource: String,
        /// The reason.
        error: ResourceError,
    },
    /// Not a list of names of providers.
    #[error("{PROVIDERS} must be a list of names of providers, such as google")]
    Providers,
    /// Not lists of tools by the names of providers.
    #[error(
        "{MCP_TOOLS} must be lists of tools by the names of providers, such as {{\"linear\": [\"search\"]}}"
    )]
    McpTools,
    /// An invalid lifetime of access tokens, which always expire.
    #[error(
        "{ACCESS_TOKEN_EXPIRATION} must be a number of seconds from 1 to {}",
        Client::MAX_ACCESS_TOKEN_EXPIRATION
    )]
    AccessTokenExpiration,
    /// An invalid lifetime of refresh tokens, which may last forever.
    #[error(
        "{REFRESH_TOKEN_EXPIRATION} must be a number of seconds from 1 to {}, or 0 for no expiry",
        Client::MAX_REFRESH_TOKEN_EXPIRATION
    )]
    RefreshTokenExpiration,
    /// A member that the server sets.
    #[error("{0} is set by this server: omit it")]
    Reserved(String),
}

/// The operator's settings for a client, beside its metadata; `None`: unchanged, or the default for a new
/// client.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct ClientTerms {
    /// Whether the client may request the scope background_access.
    #[schemars(rename = "allow_background_access")]
    pub background_access: Option<bool>,
    /// Whether the client may export the tokens that its sessions hold at PDSes.
    #[schemars(rename = "allow_session_export")]
    pub session_export: Option<bool>,
    /// Whether ID tokens of the client contain the claims of the userinfo endpoint.
    pub id_token_claims: Option<bool>,
    /// Whether the client may do without PKCE.
    pub pkce: Option<PkcePolicy>,
    /// The external resources that the client may request tokens for (RFC 8707).
    pub allowed_resources: Option<Vec<Resource>>,
    /// The providers whose accounts the client may connect and relay calls to.
    pub providers: Option<Vec<String>>,
    /// The tools of MCP servers that the client may call, by provider; all of a provider that is not named.
    pub mcp_tools: Option<BTreeMap<String, Vec<String>>>,
    /// Whether the client may make tenants and act in them: a platform client.
    pub manage_tenants: Option<bool>,
    /// Whether the client may import connections that were made elsewhere.
    pub import_connections: Option<bool>,
    /// Whether the client may use connections without confirming that its user is the one who connected.
    pub allow_unconfirmed: Option<bool>,
    /// The lifetime of the client's access tokens, in seconds.
    #[schemars(range(min = 1, max = Client::MAX_ACCESS_TOKEN_EXPIRATION))]
    pub access_token_expiration: Option<i64>,
    /// The lifetime of the client's refresh tokens, in seconds; 0: no expiry.
    #[schemars(range(min = 0, max = Client::MAX_REFRESH_TOKEN_EXPIRATION))]
    pub refresh_token_expiration: Option<i64>,
}

impl ClientTerms {
    /// Takes the settings out of the client metadata that the operator sends. Of the rest, only the read-only
    /// members of `SHOWN` are dropped silently.
    ///
    /// # Errors
    /// The first [`ClientTermsError`] found, also for a member that cannot be set.
    pub fn take_from(metadata: &mut ClientMetadata) -> Result<Self, ClientTermsError> {
        use ClientTermsError as E;
        let members = &mut metadata.other;
        let terms = Self {
            background_access: take_entitlement(members, Entitlement::BackgroundAccess)?,
            session_export: take_entitlement(members, Entitlement::SessionExport)?,
            id_token_claims: take_entitlement(members, Entitlement::IdTokenClaims)?,
            pkce: members.remove(PKCE).as_ref().map(parse_pkce).transpose()?,
            providers: members.remove(PROVIDERS).as_ref().map(parse_providers).transpose()?,
            mcp_tools: members.remove(MCP_TOOLS).as_ref().map(parse_mcp_tools).transpose()?,
            manage_tenants: take_entitlement(members, Entitlement::ManageTenants)?,
            import_connections: take_entitlement(members, Entitlement::ImportConnections)?,
            allow_unconfirmed: take_entitlement(members, Entitlement::AllowUnconfirmed)?,
            allowed_resources: members.remove(ALLOWED_RESOURCES).as_ref().map(parse_resources).transpose()?,
            access_token_expiration: take_seconds(
                members,
                ACCESS_TOKEN_EXPIRATION,
                1..=Client::MAX_ACCESS_TOKEN_EXPIRATION,
                E::AccessTokenExpiration,
            )?,
            refresh_token_expiration: take_seconds(
                members,
                REFRESH_TOKEN_EXPIRATION,
                0..=Client::MAX_REFRESH_TOKEN_EXPIRATION,
                E::RefreshTokenExpiration,
            )?,
        };
        members.retain(|name, _| !SHOWN.contains(&name.as_str()));
        match members.keys().find(|name| is_reserved(name)) {
            Some(name) => Err(E::Reserved(name.clone())),
            None => Ok(terms),
        }
    }

    /// Applies them to a client.
    pub fn apply_to(&self, client: &mut Client) {
        let entitlements = [
            (Entitlement::BackgroundAccess, self.background_access),
            (Entitlement::SessionExport, self.session_export),
            (Entitlement::IdTokenClaims, self.id_token_claims),
            (Entitlement::ManageTenants, self.manage_tenants),
            (Entitlement::ImportConnections, self.import_connections),
            (Entitlement::AllowUnconfirmed, self.allow_unconfirmed),
        ];
        for (entitlement, granted) in entitlements {
            if let Some(granted) = granted {
                client.entitlements.set(entitlement, granted);
            }
        }
        if let Some(pkce) = self.pkce {
            client.entitlements.pkce = pkce;
        }
        if let Some(resources) = &self.allowed_resources {
            client.entitlements.allowed_resources.clone_from(resources);
        }
        if let Some(providers) = &self.providers {
            client.entitlements.providers.clone_from(providers);
        }
        if let Some(tools) = &self.mcp_tools {
            client.entitlements.mcp_tools.clone_from(tools);
        }
        client.access_token_expiration =
            self.access_token_expiration.unwrap_or(client.access_token_expiration);
        client.refresh_token_expiration =
            self.refresh_token_expiration.unwrap_or(client.refresh_token_expiration);
    }

    /// All settings in force for a client, as the members of a document.
    pub fn shown(client: &Client) -> Map<String, Value> {
        let entitlements = Entitlement::ALL
            .map(|entitlement| (entitlement.member(), client.has_entitlement(entitlement).into()));
        let others = [
            (PKCE, client.pkce_policy().as_str().into()),
            (ALLOWED_RESOURCES, client.entitlements.allowed_resources.iter().map(Resource::as_str).collect()),
            (PROVIDERS, client.entitlements.providers.clone().into()),
            (
                MCP_TOOLS,
                client
                    .entitlements
                    .mcp_tools
                    .iter()
                    .map(|(name, tools)| (name.clone(), tools.clone()))
                    .collect(),
            ),
            (ACCESS_TOKEN_EXPIRATION, client.access_token_expiration.into()),
            (REFRESH_TOKEN_EXPIRATION, client.refresh_token_expiration.into()),
        ];
        entitlements.into_iter().chain(others).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn take_entitlement(
    members: &mut Map<String, Value>,
    entitlement: Entitlement,
) -> Result<Option<bool>, ClientTermsError> {
    match members.remove(entitlement.member()) {
        None => Ok(None),
        Some(Value::Bool(given)) => Ok(Some(given)),
        Some(_) => Err(ClientTermsError::Entitlement(entitlement.member())),
    }
}

fn parse_pkce(value: &Value) -> Result<PkcePolicy, ClientTermsError> {
    value.as_str().and_then(PkcePolicy::parse).ok_or(ClientTermsError::Pkce)
}

fn parse_resources(value: &Value) -> Result<Vec<Resource>, ClientTermsError> {
    let parse = |name: &Value| {
        let text = name.as_str().ok_or(ClientTermsError::Resources)?;
        let refuse = |error| ClientTermsError::Resource { resource: text.to_owned(), error };
        Resource::parse(text).map_err(refuse)
    };
    value.as_array().ok_or(ClientTermsError::Resources)?.iter().map(parse).collect()
}

/// The longest name of a provider, in characters.
const MAX_PROVIDER_NAME: usize = 64;
/// The longest name of a tool, in bytes.
const MAX_TOOL_NAME: usize = 256;

fn is_provider_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=MAX_PROVIDER_NAME).contains(&name.len()) && name.chars().all(legal)
}

fn parse_mcp_tools(value: &Value) -> Result<BTreeMap<String, Vec<String>>, ClientTermsError> {
    let is_tool =
        |tool: &&str| (1..=MAX_TOOL_NAME).contains(&tool.len()) && !tool.chars().any(char::is_control);
    let parse = |(name, tools): (&String, &Value)| {
        let tools = tools.as_array()?.iter().map(|tool| tool.as_str().filter(is_tool).map(str::to_owned));
        Some((Some(name.clone()).filter(|name| is_provider_name(name))?, tools.collect::<Option<Vec<_>>>()?))
    };
    let tools = value.as_object().and_then(|tools| tools.iter().map(parse).collect());
    tools.ok_or(ClientTermsError::McpTools)
}

fn parse_providers(value: &Value) -> Result<Vec<String>, ClientTermsError> {
    let parse = |name: &Value| name.as_str().filter(|name| is_provider_name(name)).map(str::to_owned);
    let names = value.as_array().and_then(|names| names.iter().map(parse).collect::<Option<Vec<_>>>());
    let mut names = names.ok_or(ClientTermsError::Providers)?;
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn take_seconds(
    members: &mut Map<String, Value>,
    name: &str,
    range: std::ops::RangeInclusive<i64>,
    error: ClientTermsError,
) -> Result<Option<i64>, ClientTermsError> {
    let Some(value) = members.remove(name) else { return Ok(None) };
    value.as_i64().filter(|seconds| range.contains(seconds)).map(Some).ok_or(error)
}

#[cfg(test)]
mod tests {
    use causeway_types::{ClientId, TenantId, Timestamp};
    use serde_json::json;

    use super::*;

    fn take(more: &Value) -> Result<(ClientMetadata, ClientTerms), ClientTermsError> {
        let mut document = json!({"redirect_uris": ["https://a.example/cb"]});
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut metadata: ClientMetadata = serde_json::from_value(document).unwrap();
        let terms = ClientTerms::take_from(&mut metadata)?;
        Ok((metadata, terms))
    }

    #[test]
    fn said_then_shown() {
        let said = json!({
            "allow_background_access": true, "allow_session_export": true, "id_token_claims": true,
            "pkce": "nonce", "allowed_resources": ["urn:a:b"], "providers": ["facebook", "google"],
            "mcp_tools": {"linear": ["search", "get"], "notion": []},
            "manage_tenants": true, "import_connections": true, "allow_unconfirmed": true,
            "access_token_expiration": 60, "refresh_token_expiration": 0,
        });
        let (metadata, terms) = take(&said).unwrap();
        let id = ClientId::new("c");
        let mut client =
            metadata.validate().unwrap().into_client(id, TenantId::default_tenant(), None, Timestamp(0));
        let before = ClientTerms::shown(&client);
        ClientTerms::default().apply_to(&mut client);
        assert_eq!(ClientTerms::shown(&client), before, "what is not said stays");
        terms.apply_to(&mut client);
        assert_eq!(Value::Object(ClientTerms::shown(&client)), said);
        let (_, default) = take(&Value::Object(before.clone())).unwrap();
        default.apply_to(&mut client);
        assert_eq!(ClientTerms::shown(&client), before, "and all of it can be taken back");
    }

    #[test]
    fn refusals_name_the_member() {
        for (name, value) in [
            ("allow_background_access", json!("yes")),
            ("allow_session_export", json!(null)),
            ("id_token_claims", json!(["email"])),
            ("pkce", json!("off")),
            ("pkce", json!(false)),
            ("allowed_resources", json!("urn:a:b")),
            ("allowed_resources", json!([1])),
            ("allowed_resources", json!(["/here"])),
            ("providers", json!("google")),
            ("providers", json!(["Google"])),
            ("providers", json!([""])),
            ("mcp_tools", json!(["search"])),
            ("mcp_tools", json!({"Linear": []})),
            ("mcp_tools", json!({"linear": "search"})),
            ("mcp_tools", json!({"linear": [""]})),
            ("manage_tenants", json!("yes")),
            ("import_connections", json!(1)),
            ("allow_unconfirmed", json!(null)),
            ("access_token_expiration", json!(0)),
            ("access_token_expiration", json!("60")),
            ("access_token_expiration", json!(i64::MAX)),
            ("refresh_token_expiration", json!(-1)),
            ("refresh_token_expiration", json!(1.5)),
            ("client_id", json!("x")),
            ("client_secret", json!("x")),
            ("client_secret_expires_at", json!(0)),
            ("registration_access_token", json!("x")),
        ] {
            let error = take(&json!({ name: value.clone() })).unwrap_err().to_string();
            assert!(error.contains(name), "{name}: {value}: {error}");
        }
        let (metadata, _) = take(&json!({"created_at": 1, "updated_at": 2, "origin": "registered"})).unwrap();
        assert!(metadata.other.is_empty(), "what was read may be sent back");
    }
}
