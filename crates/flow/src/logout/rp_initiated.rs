//! Logging out at a client's request (OpenID Connect RP-Initiated Logout 1.0).
//!
//! It ends this client's device sessions of the requested account in this browser, and revokes them at the
//! authorization server of the account; never a background session, another client's or another browser's.
//! If the client presents an `id_token` of a session that began in this browser, they end at once; otherwise
//! the user is asked. The user is redirected only to an address that the client has registered for that, and
//! when nothing was ended, only by their own click: anybody may register a client, and would have a link of
//! ours that leads to their site (RFC 9700 section 4.11.2).

use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_domain::session::AccountSession;
use causeway_store::operations::audit::{Actor, insert_audit_event};
use causeway_store::sessions;
use causeway_types::{
    BrowserSessionId, ClientId, Did, ErrorCode, Handle, SessionKind, SignInInput, UpstreamSessionId,
};
use futures_util::future::join_all;
use schemars::JsonSchema;
use url::{Url, form_urlencoded};

use crate::authorization::remembered;
use crate::client::lookup;
use crate::client::trust::is_the_operators;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::token::id_token_hint::{self, IdTokenHint};
use crate::upstream::atproto::handles;
use crate::upstream::revocation;

/// The longest `state`, as at the authorization endpoint.
const MAX_STATE: usize = 2048;

/// The parameters of a logout request (section 2), each at most once.
#[derive(Clone, Debug, Default, JsonSchema)]
pub struct LogoutParams {
    /// An ID token of the session that ends.
    pub id_token_hint: Option<String>,
    /// The account: a handle or a DID.
    pub logout_hint: Option<String>,
    /// The client.
    pub client_id: Option<String>,
    /// A URI that the client registered.
    #[schemars(with = "Option<Url>")]
    pub post_logout_redirect_uri: Option<String>,
    /// Returned unchanged.
    pub state: Option<String>,
    /// Preferred languages, separated by spaces, most preferred first.
    pub ui_locales: Option<String>,
}

/// The outcome of a logout request.
#[derive(Debug)]
pub enum Logout {
    /// No session of this client is left in this browser.
    Done(LoggedOut),
    /// The user has to confirm.
    Ask(LogoutQuestion),
    /// No client is named: the user has to find it themselves.
    WhichClient,
}

/// A completed logout.
#[derive(Debug)]
pub struct LoggedOut {
    /// The requesting client; `None` when it has been deleted.
    pub client: Option<Arc<Client>>,
    /// Where the user goes next.
    pub onward: Onward,
}

/// Where the user goes after a logout: an address of the client's, which carries its `state`.
#[derive(Debug, PartialEq, Eq)]
pub enum Onward {
    /// The client named none.
    Nowhere,
    /// Redirect at once.
    Redirect(String),
    /// Show a link, for the user to click.
    Link(String),
}

impl Onward {
    /// After a logout.
    fn at_once(address: Option<String>) -> Self {
        address.map_or(Self::Nowhere, Self::Redirect)
    }

    /// For when there was nothing to end. Redirects at once only for a client that the operator has entered,
    /// or to an app on this device.
    fn if_wanted(client: &Client, address: Option<String>) -> Self {
        match address {
            Some(address) if !is_the_operators(client) && remembered::own_origin(&address).is_some() => {
                Self::Link(address)
            }
            address => Self::at_once(address),
        }
    }
}

impl LoggedOut {
    /// There was no session of this client in this browser.
    fn nothing(client: Arc<Client>, address: Option<String>) -> Self {
        let onward = Onward::if_wanted(&client, address);
        Self { client: Some(client), onward }
    }
}

/// The question that the user is asked.
#[derive(Debug)]
pub struct LogoutQuestion {
    /// The requesting client.
    pub client: Arc<Client>,
    /// The accounts to log out, at least one.
    pub accounts: Vec<(Did, Option<Handle>)>,
}

/// Errors of a logout request. They are shown to the user, who is redirected nowhere.
#[derive(Debug, thiserror::Error)]
pub enum LogoutError {
    /// The `id_token` was issued to another client.
    #[error("client_id is not the client that the id_token_hint was issued to")]
    OtherClient,
    /// The `client_id` is not registered.
    #[error("no client is registered under this client_id")]
    UnknownClient,
    /// A redirect URI without a client to check it against.
    #[error("post_logout_redirect_uri needs an id_token_hint of this issuer, or a client_id")]
    NoClient,
    /// The client did not register this redirect URI.
    #[error("post_logout_redirect_uri is not registered for this client")]
    RedirectUri,
    /// `state` is too long.
    #[error("state is longer than {MAX_STATE} characters")]
    State,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl LogoutError {
    /// The code that the page shows.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownClient => ErrorCode::InvalidClient,
            Self::Internal(_) => ErrorCode::ServerError,
            _ => ErrorCode::InvalidRequest,
        }
    }
}

/// A request that passed all checks.
struct Checked {
    /// The requesting client, and the `id_token` that it presented.
    client: Option<Arc<Client>>,
    hint: Option<IdTokenHint>,
    logout_hint: Option<SignInInput>,
    redirect: Option<String>,
}

/// Handles a logout request.
///
/// # Errors
/// [`LogoutError`]: nothing was ended then.
#[tracing::instrument(name = "flow.logout", skip_all, fields(client_id))]
pub async fn begin(
    ctx: &Ctx,
    params: &LogoutParams,
    browser: Option<&BrowserSessionId>,
) -> Result<Logout, LogoutError> {
    let Checked { client, hint, logout_hint, redirect } = check(ctx, params).await?;
    let Some(client) = client else {
        // A deleted client has no session left.
        let done = LoggedOut { client, onward: Onward::Nowhere };
        return Ok(if hint.is_some() { Logout::Done(done) } else { Logout::WhichClient });
    };
    tracing::Span::current().record("client_id", client.client_id.as_str());
    let Some(browser) = browser else {
        return Ok(Logout::Done(LoggedOut::nothing(client, redirect)));
    };
    if let Some(hint) = &hint
        && began_here(ctx, &client.client_id, hint, browser).await?
    {
        end(ctx, &client.client_id, browser, vec![hint.did.clone()]).await?;
        return Ok(Logout::Done(LoggedOut { client: Some(client), onward: Onward::at_once(redirect) }));
    }
    let accounts = accounts(ctx, &client.client_id, browser, hint, logout_hint).await?;
    Ok(if accounts.is_empty() {
        Logout::Done(LoggedOut::nothing(client, redirect))
    } else {
        Logout::Ask(LogoutQuestion { client, accounts })
    })
}

/// Ends the sessions that [`begin`] asked about, once the user has confirmed.
///
/// # Errors
/// [`LogoutError`]: nothing was ended then.
#[tracing::instrument(name = "flow.logout.confirm", skip_all, fields(client_id))]
pub async fn confirm(
    ctx: &Ctx,
    params: &LogoutParams,
    browser: &BrowserSessionId,
) -> Result<LoggedOut, LogoutError> {
    let Checked { client, hint, logout_hint, redirect } = check(ctx, params).await?;
    let client = client.ok_or(LogoutError::UnknownClient)?;
    tracing::Span::current().record("client_id", client.client_id.as_str());
    let accounts = accounts(ctx, &client.client_id, browser, hint, logout_hint).await?;
    end(ctx, &client.client_id, browser, accounts.into_iter().map(|(did, _)| did).collect()).await?;
    Ok(LoggedOut { client: Some(client), onward: Onward::at_once(redirect) })
}

async fn check(ctx: &Ctx, params: &LogoutParams) -> Result<Checked, LogoutError> {
    if params.state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
        return Err(LogoutError::State);
    }
    let hint = match &params.id_token_hint {
        Some(token) => id_token_hint::read(ctx, token).await?,
        None => None,
    };
    if hint.is_none() && params.id_token_hint.is_some() {
        // Its key may have been deleted: the user can still be asked.
        tracing::info!("the id_token_hint is not an id_token of this issuer and is ignored");
    }
    let client = find_client(ctx, params, hint.as_ref()).await?;
    let redirect = match (&params.post_logout_redirect_uri, &client) {
        (None, _) => None,
        (Some(_), None) => return Err(LogoutError::NoClient),
        (Some(uri), Some(client)) if client.allows_post_logout_redirect_uri(uri) => {
            Some(with_state(uri, params.state.as_deref()))
        }
        (Some(_), Some(_)) => return Err(LogoutError::RedirectUri),
    };
    let logout_hint = params.logout_hint.as_deref().and_then(|hint| SignInInput::parse(hint).ok());
    Ok(Checked { client, hint, logout_hint, redirect })
}

/// Finds the requesting client, by its `client_id` or by the `id_token`.
async fn find_client(
    ctx: &Ctx,
    params: &LogoutParams,
    hint: Option<&IdTokenHint>,
) -> Result<Option<Arc<Client>>, LogoutError> {
    if let Some(id) = &params.client_id {
        if hint.is_some_and(|hint| !hint.audience.contains(id)) {
            return Err(LogoutError::OtherClient);
        }
        let client = lookup::find(ctx, &ClientId::new(id)).await?;
        return client.map(Some).ok_or(LogoutError::UnknownClient);
    }
    match hint.and_then(|hint| hint.audience.single()) {
        Some(id) => Ok(lookup::find(ctx, &ClientId::new(id)).await?),
        None => Ok(None),
    }
}

/// Whether the session of an `id_token` is this client's and began in this browser, ended or not.
async fn began_here(
    ctx: &Ctx,
    client_id: &ClientId,
    hint: &IdTokenHint,
    browser: &BrowserSessionId,
) -> Result<bool, Internal> {
    let Some(id) = hint.session_id.clone() else { return Ok(false) };
    let tenant = ctx.tenant().clone();
    let found = ctx
        .store()
        .read(move |c| sessions::find_session(c, &tenant, &id, SessionKind::Device).map_err(Internal::from))
        .await?;
    Ok(found.is_some_and(|session| {
        session.client_id == *client_id
            && session.subject() == hint.did.as_str()
            && session.browser_id == *browser
    }))
}

/// The accounts with live sessions of this client in this browser, limited to the one that the request names.
async fn accounts(
    ctx: &Ctx,
    client_id: &ClientId,
    browser: &BrowserSessionId,
    hint: Option<IdTokenHint>,
    logout_hint: Option<SignInInput>,
) -> Result<Vec<(Did, Option<Handle>)>, Internal> {
    let (tenant, client_id, browser, now) =
        (ctx.tenant().clone(), client_id.clone(), browser.clone(), ctx.now());
    let live = ctx
        .store()
        .read(move |c| {
            sessions::list_live_sessions_of_client(c, &tenant, &client_id, &browser, now)
                .map_err(Internal::from)
        })
        .await?;
    let mut accounts: Vec<(Did, Option<Handle>)> = Vec::new();
    for AccountSession { head, .. } in live {
        let found = &head.atproto()?.did;
        if accounts.iter().all(|(did, _)| did != found) {
            accounts.push((found.clone(), handles::shown(ctx, &head).await));
        }
    }
    if let Some(hint) = hint {
        accounts.retain(|(did, _)| *did == hint.did);
        return Ok(accounts);
    }
    let is_meant = |(did, handle): &&(Did, Option<Handle>)| match &logout_hint {
        Some(SignInInput::Did(hinted)) => did == hinted,
        Some(SignInInput::Handle(hinted)) => handle.as_ref() == Some(hinted),
        _ => false,
    };
    let meant: Vec<_> = accounts.iter().filter(is_meant).cloned().collect();
    // A hint that matches no account must not leave anyone signed in.
    Ok(if meant.is_empty() { accounts } else { meant })
}

/// Ends this client's device sessions of these accounts in this browser, and revokes them upstream.
async fn end(
    ctx: &Ctx,
    client_id: &ClientId,
    browser: &BrowserSessionId,
    dids: Vec<Did>,
) -> Result<(), Internal> {
    loop {
        let (tenant, now) = (ctx.tenant().clone(), ctx.now());
        let (client_id, browser, dids) = (client_id.clone(), browser.clone(), dids.clone());
        let event = audit::event(ctx, Actor::User, "logout", "ok");
        let ended = ctx
            .store()
            .write(move |c| {
                let live = sessions::list_live_sessions_of_client(c, &tenant, &client_id, &browser, now)?;
                let mut ended: Vec<UpstreamSessionId> = Vec::new();
                for AccountSession { head, .. } in live {
                    if dids.contains(&head.atproto()?.did) && sessions::end_session(c, &head.session_id, now)?
                    {
                        insert_audit_event(c, &event.clone().of_session(&head))?;
                        ended.push(head.session_id);
                    }
                }
                Ok::<_, Internal>(ended)
            })
            .await?;
        if ended.is_empty() {
            return Ok(());
        }
        tracing::info!(sessions = ended.len(), "logged out");
        join_all(ended.iter().map(|id| revocation::revoke_soon(ctx, id))).await;
    }
}

/// Appends to the URI byte for byte as it was registered: a parser would normalize it.
fn with_state(uri: &str, state: Option<&str>) -> String {
    let Some(state) = state else { return uri.to_owned() };
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{query}")
}

#[cfg(test)]
mod tests {
    use super::with_state;

    #[test]
    fn the_state_is_added_to_what_is_registered() {
        assert_eq!(
            with_state("https://a.example/out?x=%20", Some("a b")),
            "https://a.example/out?x=%20&state=a+b"
        );
        assert_eq!(with_state("com.example.app:/out", Some("s")), "com.example.app:/out?state=s");
        assert_eq!(with_state("https://a.example/out", None), "https://a.example/out");
    }
}
