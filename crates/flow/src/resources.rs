//! Which resources a client may ask tokens for (RFC 8707).

use causeway_domain::client::Client;
use causeway_domain::{Resource, Resources};

use crate::ctx::Ctx;

/// The resources of a request, or why it is refused: those of this server are for every client, since its own
/// metadata names them (RFC 9728), those of others for the clients that the operator lets name them, or for every
/// client as well.
pub(crate) fn admit(ctx: &Ctx, client: &Client, named: &[String]) -> Result<Resources, String> {
    let resources = Resources::parse(named).map_err(|error| error.to_string())?;
    let may_name =
        |resource: &Resource| client.may_name(resource, ctx.issuer()) || ctx.resources().contains(resource);
    match resources.iter().find(|resource| !may_name(resource)) {
        None => Ok(resources),
        Some(refused) => {
            let shown: String =
                refused.as_str().chars().filter(|c| !matches!(c, '"' | '\\')).take(200).collect();
            Err(format!(
                "resource is not known for this client: {shown} (within reach: {} and what is below it)",
                ctx.issuer()
            ))
        }
    }
}
