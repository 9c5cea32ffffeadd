//! The request that a task serves: its id for logs, answers and error pages, its client's address and
//! language, and its share of the memory budget, wherever its answer is made.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;

use causeway_flow::Ctx;
use causeway_outbound::budget::{Budget, Budgets, Share};
use tokio::task::futures::TaskLocalFuture;

use crate::pages::Lang;

/// Data of the request that a task serves.
pub(super) struct Current {
    /// The request id.
    pub(super) id: String,
    /// The client address, as far as it can be trusted.
    pub(super) address: Option<IpAddr>,
    /// The server; `None` in tests of parts of it.
    pub(super) ctx: Option<Ctx>,
    /// Whether browsers see https.
    pub(super) is_secure: bool,
    /// The language of any page that answers it.
    pub(super) lang: Cell<Lang>,
    /// The path of the resource of its own that it is for; `None`: the server itself.
    pub(super) resource: RefCell<Option<String>>,
    /// The shares of the memory budget that it holds.
    pub(super) shares: RefCell<Vec<Share>>,
}

tokio::task_local! {
    static CURRENT: Current;
}

/// Runs the task that serves a request.
pub(super) fn scope<F: Future>(current: Current, task: F) -> TaskLocalFuture<Current, F> {
    CURRENT.scope(current, task)
}

/// The id of the request that this task serves.
pub(crate) fn id() -> String {
    CURRENT.try_with(|current| current.id.clone()).unwrap_or_default()
}

/// The client address of the request that this task serves, as far as it can be trusted.
pub(crate) fn address() -> Option<IpAddr> {
    CURRENT.try_with(|current| current.address).unwrap_or_default()
}

/// The memory budget of request bodies, as far as it is for the client of this request.
pub(crate) fn budget() -> Budget {
    let of_current = |current: &Current| Some(current.ctx.as_ref()?.budgets().requests.of(current.address));
    CURRENT.try_with(of_current).ok().flatten().unwrap_or_else(|| Budgets::default().requests.of(None))
}

/// Holds a share of that budget until this request is answered: the parsed body lives as long.
pub(crate) fn hold(share: Share) {
    let _ = CURRENT.try_with(|current| current.shares.borrow_mut().push(share));
}

/// Marks this request as one for a resource of its own, by its path.
pub(crate) fn protect(path: &str) {
    let _ = CURRENT.try_with(|current| *current.resource.borrow_mut() = Some(path.to_owned()));
}

/// Whether this request is for a resource of its own.
pub(crate) fn is_protected() -> bool {
    CURRENT.try_with(|current| current.resource.borrow().is_some()).unwrap_or_default()
}

/// The URL of the metadata of the protected resource that this request is for (RFC 9728 section 3).
pub(crate) fn resource_metadata_url() -> String {
    let url = |issuer: &str, path: &str| format!("{issuer}/.well-known/oauth-protected-resource{path}");
    let of_current = |current: &Current| {
        let path = current.resource.borrow();
        current.ctx.as_ref().map(|ctx| url(ctx.issuer(), path.as_deref().unwrap_or_default()))
    };
    CURRENT.try_with(of_current).ok().flatten().unwrap_or_else(|| url("", ""))
}

/// Whether browsers see https, as far as this task knows of a request.
pub(crate) fn is_secure() -> bool {
    CURRENT.try_with(|current| current.is_secure).unwrap_or_default()
}

/// The language of any page that answers this request.
pub(crate) fn lang() -> Lang {
    CURRENT.try_with(|current| current.lang.get()).unwrap_or_default()
}

/// Switches to the first supported language of a client's `ui_locales`, if there is one.
pub(crate) fn prefer(ui_locales: Option<&str>) {
    if let Some(lang) = ui_locales.and_then(Lang::of_ui_locales) {
        let _ = CURRENT.try_with(|current| current.lang.set(lang));
    }
}
