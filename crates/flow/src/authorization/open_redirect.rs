//! Protection against open redirects (RFC 9700 section 4.11.2): a stranger's link must not lead straight to a
//! client, or to the authorization server of an account that it names, before the user has seen where it
//! leads. Anybody may register a client, or be one under development, and anybody's PDS may name any
//! authorization server; both would have a link of ours that leads to their site.

use causeway_domain::client::Client;
use causeway_store::tokens::grants;
use causeway_types::{BrowserSessionId, Prompt};

use crate::authorization::remembered;
use crate::authorization::response::ClientAnswer;
use crate::client::trust::is_the_operators;
use crate::ctx::Ctx;
use crate::error::Internal;

/// Whether the user has to be asked before a browser brings an error to a client. Not if the operator has
/// entered the client, if this browser has completed a sign-in with it, or if the answer stays on this
/// device, which does not count for a `silent` request (`prompt=none`).
pub(crate) async fn needs_asking(
    ctx: &Ctx,
    client: &Client,
    silent: bool,
    answer: &ClientAnswer,
    browser: &BrowserSessionId,
) -> Result<bool, Internal> {
    let stays_here = !silent && remembered::own_origin(answer.address()).is_none();
    if is_the_operators(client) || stays_here {
        return Ok(false);
    }
    let (tenant, client, browser) = (ctx.tenant().clone(), client.client_id.clone(), browser.clone());
    let has_signed_in = ctx.store().read(move |c| grants::has_signed_in(c, &tenant, &client, &browser));
    Ok(!has_signed_in.await?)
}

/// Whether a `prompt` contains `none`, even beside values that make it an error: no page may be shown then
/// (OpenID Connect Core section 3.1.2.3).
pub(crate) fn is_prompt_none(prompt: &str) -> bool {
    prompt.split(' ').any(|value| value == Prompt::None.as_str())
}

#[cfg(test)]
mod tests {
    use super::is_prompt_none;

    #[test]
    fn silence_is_wanted_by_its_name() {
        assert!(is_prompt_none("none") && is_prompt_none("login none"));
        assert!(!is_prompt_none("") && !is_prompt_none("login") && !is_prompt_none("nonesuch"));
    }
}
