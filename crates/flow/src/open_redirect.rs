//! Whether a browser may be sent to a client when nobody has signed in and nobody will: an error of the request itself
//! (RFC 9700 section 4.11.2). Anybody may register a client, and would have a link of ours that leads to their site.

use causeway_domain::client::Client;
use causeway_domain::client_document::ClientOrigin;
use causeway_domain::{BrowserSessionId, Prompt};
use causeway_store::sessions;

use crate::authorize::AuthorizeParams;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::remember;
use crate::respond::ClientAnswer;

/// Whether the person has to be asked. Not where nothing may be shown, where the operator knows the client, where the
/// answer stays on this device, or where somebody is signed in.
pub(crate) async fn needs_asking(
    ctx: &Ctx,
    client: &Client,
    params: &AuthorizeParams,
    answer: &ClientAnswer,
    browser: &BrowserSessionId,
) -> Result<bool, Internal> {
    let is_silent = wants_silence(params.prompt.as_deref().unwrap_or_default());
    if is_silent || is_the_operators(client) || remember::own_origin(answer.address()).is_none() {
        return Ok(false);
    }
    let (tenant, browser, now) = (ctx.tenant().clone(), browser.clone(), ctx.now());
    let live = ctx.store().read(move |c| sessions::list_live_sessions_of_browser(c, &tenant, &browser, now));
    Ok(live.await?.is_empty())
}

/// Whether the client is one that the operator has entered: whoever registers by themselves has a token for it.
pub(crate) fn is_the_operators(client: &Client) -> bool {
    matches!(client.origin, ClientOrigin::Registered) && client.registration_access_token.is_none()
}

/// `none`, alone or beside what makes it an error: nobody may be shown anything (OpenID Connect Core section 3.1.2.3).
fn wants_silence(prompt: &str) -> bool {
    prompt.split(' ').any(|value| value == Prompt::None.as_str())
}

#[cfg(test)]
mod tests {
    use super::wants_silence;

    #[test]
    fn silence_is_wanted_by_its_name() {
        assert!(wants_silence("none") && wants_silence("login none"));
        assert!(!wants_silence("") && !wants_silence("login") && !wants_silence("nonesuch"));
    }
}
