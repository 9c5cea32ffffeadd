//! The flags of `causeway clients create` and `update`: each is a member of the document that describes a client.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use causeway_domain::client::ClientMetadata;
use causeway_flow::operations::operator::ClientDescription;
use causeway_types::GrantType;
use serde_json::{Map, Value, json};

use crate::cli::ClientOptions;

/// Applies the options to `document`: first the file, then each flag. A `null` removes the member.
pub(super) fn overlay(
    mut document: Map<String, Value>,
    options: ClientOptions,
) -> anyhow::Result<Map<String, Value>> {
    if let Some(file) = &options.metadata {
        let Value::Object(said) = read_json(file)? else {
            bail!("--metadata {}: it must be a JSON object", file.display());
        };
        put(&mut document, said);
    }
    put(&mut document, flags(options)?);
    document.retain(|_, value| !value.is_null());
    Ok(document)
}

/// Merges members into a document. Keys have two forms (`jwks`, `jwks_uri`), and either replaces the other.
fn put(document: &mut Map<String, Value>, said: Map<String, Value>) {
    for (one, other) in [("jwks", "jwks_uri"), ("jwks_uri", "jwks")] {
        if said.get(one).is_some_and(|keys| !keys.is_null()) {
            document.remove(other);
        }
    }
    document.extend(said);
}

/// The members that flags name.
fn flags(options: ClientOptions) -> anyhow::Result<Map<String, Value>> {
    let list = |values: Vec<String>| (!values.is_empty()).then(|| Value::from(values));
    // An empty scope names none: as much as the server allows.
    let scope =
        options.scope.map(|scope| if scope.trim().is_empty() { Value::Null } else { Value::from(scope) });
    let named = [
        ("client_name", options.name.map(Value::from)),
        ("redirect_uris", list(options.redirect_uri)),
        ("grant_types", list(options.grant_type)),
        ("token_endpoint_auth_method", options.auth_method.map(Value::from)),
        ("jwks", options.jwks.as_deref().map(read_json).transpose()?),
        ("jwks_uri", options.jwks_uri.map(Value::from)),
        ("dpop_bound_access_tokens", options.dpop_bound.map(Value::from)),
        ("dpop_nonce_policy", options.dpop_nonce_policy.map(Value::from)),
        ("scope", scope),
        ("allowed_resources", list(options.resource)),
        ("access_token_format", options.access_token_format.map(Value::from)),
        ("access_token_expiration", options.access_token_expiration.map(Value::from)),
        ("refresh_token_expiration", options.refresh_token_expiration.map(Value::from)),
        ("allow_background_access", options.allow_background_access.map(Value::from)),
        ("allow_session_export", options.allow_session_export.map(Value::from)),
        ("id_token_claims", options.id_token_claims.map(Value::from)),
        ("providers", list(options.provider)),
        ("mcp_tools", mcp_tools(&options.mcp_tool)?),
        ("manage_tenants", options.manage_tenants.map(Value::from)),
        ("import_connections", options.import_connections.map(Value::from)),
        ("allow_unconfirmed", options.allow_unconfirmed.map(Value::from)),
        ("pkce", options.pkce.map(Value::from)),
        ("post_logout_redirect_uris", list(options.post_logout_redirect_uri)),
        ("backchannel_logout_uri", options.backchannel_logout_uri.map(Value::from)),
        ("backchannel_logout_session_required", options.backchannel_logout_session_required.map(Value::from)),
    ];
    Ok(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

/// Tools by provider, each flag as `PROVIDER=TOOL`; `PROVIDER=` alone allows none of its tools.
fn mcp_tools(flags: &[String]) -> anyhow::Result<Option<Value>> {
    let mut tools: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for flag in flags {
        let Some((provider, tool)) = flag.split_once('=') else {
            bail!("--mcp-tool {flag}: write it as PROVIDER=TOOL");
        };
        let of_provider = tools.entry(provider.to_owned()).or_default();
        of_provider.extend((!tool.is_empty()).then(|| tool.to_owned()));
    }
    Ok((!tools.is_empty()).then(|| json!(tools)))
}

/// Fills in the defaults of a client that is described by flags alone.
pub(super) fn put_usual(document: &mut Map<String, Value>) {
    let has_keys = document.contains_key("jwks") || document.contains_key("jwks_uri");
    let method = if has_keys { "private_key_jwt" } else { "client_secret_basic" };
    let usual = [GrantType::AuthorizationCode, GrantType::RefreshToken];
    // `background_access` is of no use without it.
    let exchange =
        (document.get("allow_background_access") == Some(&json!(true))).then_some(GrantType::TokenExchange);
    let grants: Vec<&str> = usual.into_iter().chain(exchange).map(GrantType::as_str).collect();
    document.entry("token_endpoint_auth_method").or_insert_with(|| json!(method));
    document.entry("grant_types").or_insert_with(|| json!(grants));
}

/// Parses the whole document.
pub(super) fn read(document: Map<String, Value>) -> anyhow::Result<ClientDescription> {
    let metadata: ClientMetadata =
        serde_json::from_value(document.into()).context("the metadata of the client")?;
    Ok(ClientDescription::read(metadata)?)
}

/// Reads a JSON file; `-` is standard input.
fn read_json(file: &Path) -> anyhow::Result<Value> {
    let name = file.display();
    let mut text = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut text).context("cannot read standard input")?;
    } else {
        text = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
    }
    serde_json::from_slice(&text).with_context(|| format!("{name} is not JSON"))
}
