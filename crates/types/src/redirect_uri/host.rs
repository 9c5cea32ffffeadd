//! Whose a host is.

use std::net::Ipv4Addr;

use url::{Host, Url};

/// Whether a URI leads to the server with this origin. On this machine its names are one.
///
/// ```
/// use causeway_types::redirect_uri::leads_to;
/// assert!(leads_to("https://AS.example.:443/cb", "https://as.example"));
/// assert!(leads_to("http://127.0.0.1:8080/cb", "http://localhost:8080"));
/// assert!(!leads_to("http://127.0.0.1:8081/cb", "http://localhost:8080"));
/// ```
pub fn leads_to(uri: &str, origin: &str) -> bool {
    let (Ok(uri), Ok(origin)) = (Url::parse(uri), Url::parse(origin)) else { return false };
    let name = |url: &Url| url.host_str().map(|host| host.trim_end_matches('.').to_owned());
    let same_host = name(&uri) == name(&origin) || (is_loopback(&uri) && is_loopback(&origin));
    same_host
        && uri.scheme() == origin.scheme()
        && uri.port_or_known_default() == origin.port_or_known_default()
}

/// Whether a URL's host is this machine: an address in `127.0.0.0/8`, `[::1]` or `localhost` itself.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Whether a URL's host does not belong to one party everywhere: this machine however it is written, an address or a name that
/// means another machine in each network (RFC 1918, RFC 4193, RFC 6598, RFC 6761, RFC 6762, RFC 8375).
pub fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => is_local_v4(ip),
        Some(Host::Ipv6(ip)) => match ip.to_ipv4() {
            // Mapped and compatible addresses; `::` and `::1` are among the latter.
            Some(ip) => ip.octets()[..3] == [0; 3] || is_local_v4(ip),
            None => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_multicast(),
        },
        Some(Host::Domain(name)) => {
            // The dot at the end only says that the name is whole.
            let name = name.strip_suffix('.').unwrap_or(name);
            let is_in = |zone: &str| name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'));
            !name.contains('.') || ["localhost", "local", "home.arpa"].into_iter().any(is_in)
        }
        None => true,
    }
}

fn is_local_v4(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    // All of `0.0.0.0/8` is "this network"; `100.64.0.0/10` is a provider's own.
    first == 0
        || (first == 100 && second & 0xc0 == 64)
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_back_to_the_server_itself() {
        let (public, local) = ("https://as.example", "http://127.0.0.1:8080");
        for (uri, origin) in [
            ("https://as.example", public),
            ("https://AS.example:443/oauth/callback", public),
            ("https://as.example./cb?x", public),
            ("http://[::1]:8080/cb", local),
            ("http://127.9.9.9:8080/cb", local),
            ("http://localhost:8080/", local),
        ] {
            assert!(leads_to(uri, origin), "{uri}");
        }
        for (uri, origin) in [
            ("https://as.example:8443/cb", public),
            ("http://as.example/cb", public),
            ("https://www.as.example/cb", public),
            ("https://as.example.evil.example/cb", public),
            ("as.example:/cb", public),
            ("http://127.0.0.1/cb", local),
            ("https://127.0.0.1:8080/cb", local),
            ("nonsense", local),
        ] {
            assert!(!leads_to(uri, origin), "{uri}");
        }
    }

    #[test]
    fn local_addresses() {
        for host in [
            "localhost",
            "localhost.",
            "LOCALHOST",
            "app.localhost",
            "app.localhost.",
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0.0.0.0",
            "0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[::ffff:10.0.0.1]",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.0.1",
            "100.64.0.1",
            "255.255.255.255",
            "[fe80::1]",
            "[fd00::1]",
            "printer.local",
            "printer.local.",
            "router.home.arpa",
            "intranet",
            "intranet.",
        ] {
            assert!(is_local(&Url::parse(&format!("https://{host}/cb")).unwrap()), "{host}");
        }
        for host in [
            "app.example",
            "app.example.",
            "localhost.example",
            "notlocalhost.example",
            "mylocal.example",
            "a.notlocal",
            "192.0.2.1",
            "100.128.0.1",
            "[2001:db8::1]",
            "[::ffff:192.0.2.1]",
        ] {
            assert!(!is_local(&Url::parse(&format!("https://{host}/cb")).unwrap()), "{host}");
        }
    }
}
