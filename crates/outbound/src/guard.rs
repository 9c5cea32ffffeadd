//! The guard against server-side request forgery (SSRF): connections that the client refuses. These are URLs that it
//! does not request, and names that lead to addresses which are not on the public internet.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::address::is_public;
use crate::config::HttpConfig;
use crate::dns::Dns;

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

/// The name has no addresses.
#[derive(Debug, thiserror::Error)]
#[error("the host name has no address")]
struct NoAddress;

/// Looks up names and drops the addresses that are not on the public internet. The connection uses the
/// addresses that pass here, so a second lookup cannot bring another one (DNS rebinding).
pub(crate) struct GuardedResolver {
    dev_mode: bool,
    fixed: HashMap<String, IpAddr>,
    dns: Dns,
}

impl GuardedResolver {
    pub(crate) fn new(config: &HttpConfig, dns: Dns) -> Self {
        let fixed =
            config.resolve.iter().map(|(name, address)| (name.to_ascii_lowercase(), *address)).collect();
        Self { dev_mode: config.dev_mode, fixed, dns }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        if let Some(address) = self.fixed.get(&name.as_str().to_ascii_lowercase()) {
            let addresses: Addrs = Box::new(std::iter::once(SocketAddr::new(*address, 0)));
            return Box::pin(std::future::ready(Ok(addresses)));
        }
        let (dev_mode, dns) = (self.dev_mode, self.dns.clone());
        Box::pin(async move {
            let found = dns.addresses(name.as_str()).await?;
            if found.is_empty() {
                return Err(NoAddress.into());
            }
            let open = found.into_iter().filter(|address| dev_mode || is_public(*address));
            let open: Vec<SocketAddr> = open.map(|address| SocketAddr::new(address, 0)).collect();
            if open.is_empty() {
                return Err(BlockedAddress.into());
            }
            let addresses: Addrs = Box::new(open.into_iter());
            Ok(addresses)
        })
    }
}
