//! The resources that a client may request tokens for (RFC 8707).

use causeway_domain::client::Client;
use causeway_types::{McpEndpoint, Resource, Resources};

use crate::ctx::Ctx;
use crate::mcp;

/// Resolves the resources of a request, or says why it is refused. Those of this server are open to every
/// client, since its own metadata names them (RFC 9728); others are open to the clients that the operator
/// allows them, or to every client as well; an MCP endpoint of this server has to exist. A trailing slash makes no difference: the token is for the
/// resource as the operator wrote it.
pub(crate) fn admit(ctx: &Ctx, client: &Client, named: &[String]) -> Result<Resources, String> {
    let asked = Resources::parse(named).map_err(|error| error.to_string())?;
    let in_reach = in_reach(ctx, client);
    let find = |resource: &Resource| {
        if resource.is_of(ctx.issuer()) {
            let endpoint = McpEndpoint::of_resource(resource, ctx.issuer());
            let is_known = endpoint.is_none_or(|endpoint| mcp::endpoint::is_known(ctx, &endpoint));
            return if is_known { Ok(resource.clone()) } else { Err(resource.clone()) };
        }
        in_reach.iter().find(|known| known.is_same(resource)).cloned().ok_or_else(|| resource.clone())
    };
    asked.iter().map(find).collect::<Result<_, _>>().map_err(|refused| {
        let others = in_reach.iter().map(|resource| format!(", {resource}")).collect::<String>();
        let shown: String = refused.as_str().chars().filter(|c| !matches!(c, '"' | '\\')).take(200).collect();
        let issuer = ctx.issuer();
        format!(
            "resource is not known for this client: {shown} (available: {issuer} and URIs below it{others})"
        )
    })
}

/// The resources outside this server that a client may name: those allowed to it, and those for every client.
fn in_reach(ctx: &Ctx, client: &Client) -> Vec<Resource> {
    let mut all: Vec<Resource> = Vec::new();
    for resource in client.entitlements.allowed_resources.iter().chain(ctx.resources()) {
        if !all.contains(resource) {
            all.push(resource.clone());
        }
    }
    all
}
