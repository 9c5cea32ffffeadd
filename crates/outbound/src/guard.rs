//! What the client refuses to connect to: URLs that it does not request, and names that lead to addresses which
//! are not on the public internet.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use url::{Host, Url};

use crate::address::is_public;
use crate::config::HttpConfig;
use crate::runtime::ProcessRuntime;

pub(crate) const PRIVATE: &str = "the address is not on the public internet";

/// Checks what the resolver does not see: schemes, credentials, and addresses written into the URL. An error says
/// why no request is sent there.
pub(crate) fn check(url: &Url, dev_mode: bool) -> Result<(), &'static str> {
    match url.scheme() {
        "https" => {}
        "http" if dev_mode => {}
        _ => return Err("only https is allowed"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the address holds credentials");
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err("the address names no host"),
    };
    if dev_mode || is_public(address) { Ok(()) } else { Err(PRIVATE) }
}

/// All addresses of a name are closed to us.
#[derive(Debug, thiserror::Error)]
#[error("{PRIVATE}")]
pub(crate) struct BlockedAddress;

/// Maximum number of concurrent name lookups: half of the blocking threads of a runtime. An abandoned lookup
/// still occupies its thread, and the database needs threads, too.
const LOOKUPS: usize = 256;

/// Looks up names and drops the addresses that are not on the public internet. The connection uses the
/// addresses that pass here, so a second lookup cannot bring another one (DNS rebinding).
pub(crate) struct GuardedResolver {
    dev_mode: bool,
    fixed: HashMap<String, IpAddr>,
    runtime: ProcessRuntime,
    lookups: Arc<Semaphore>,
}

impl GuardedResolver {
    pub(crate) fn new(config: &HttpConfig, runtime: ProcessRuntime) -> Self {
        let fixed =
            config.resolve.iter().map(|(name, address)| (name.to_ascii_lowercase(), *address)).collect();
        Self { dev_mode: config.dev_mode, fixed, runtime, lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        if let Some(address) = self.fixed.get(&name.as_str().to_ascii_lowercase()) {
            let addresses: Addrs = Box::new(std::iter::once(SocketAddr::new(*address, 0)));
            return Box::pin(std::future::ready(Ok(addresses)));
        }
        let (dev_mode, runtime, lookups) = (self.dev_mode, self.runtime.clone(), Arc::clone(&self.lookups));
        Box::pin(async move {
            let permit = lookups.acquire_owned().await?;
            let lookup = runtime.spawn_blocking(move || {
                let found = (name.as_str(), 0).to_socket_addrs();
                drop(permit);
                found
            });
            let found = lookup.await??;
            let open: Vec<SocketAddr> = found.filter(|address| dev_mode || is_public(address.ip())).collect();
            if open.is_empty() {
                return Err(BlockedAddress.into());
            }
            let addresses: Addrs = Box::new(open.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A lookup waits while the maximum number of lookups is running.
    #[tokio::test]
    async fn lookups_leave_threads_to_others() {
        let config = HttpConfig { dev_mode: true, ..HttpConfig::default() };
        let names = GuardedResolver::new(&config, ProcessRuntime::current().unwrap());
        let others = Arc::clone(&names.lookups).acquire_many_owned(256).await.unwrap();
        let mut lookup = names.resolve("localhost".parse().unwrap());
        tokio::time::timeout(Duration::from_millis(200), &mut lookup).await.map(drop).unwrap_err();
        drop(others);
        assert!(lookup.await.unwrap().next().is_some());
    }
}
