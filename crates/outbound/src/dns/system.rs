//! The name lookup of this system, by its configuration.

use std::fs;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, TokioResolver};

/// The file that names the name servers.
pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The file with the addresses of some hosts.
pub(super) const HOSTS: &str = "/etc/hosts";
/// How long a name server may take to answer.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often each name server is asked, while none answers.
const ROUNDS: usize = 2;
/// Answers that are cached of each name server.
const CACHE_SIZE: u64 = 1024;
/// How long an address is cached at most, whatever its TTL.
const CACHE_TIME: Duration = Duration::from_mins(1);
/// The same for a name without an address, which may have just been set up.
const NEGATIVE_CACHE_TIME: Duration = Duration::from_secs(5);

/// The hosts file and the name servers of this system.
pub(super) struct System {
    hosts: Hosts,
    /// One resolver for each name server, in the order in which they are asked. A resolver with several servers asks
    /// two at once and takes the first response, even one like SERVFAIL or REFUSED, which says nothing about the name.
    servers: Vec<TokioResolver>,
    /// Whether there are domains in which names are searched.
    searches: bool,
}

impl System {
    pub(super) fn read() -> Self {
        let (config, options) = read_system_conf().unwrap_or_else(|error| {
            let text = fs::read(RESOLV_CONF).unwrap_or_default();
            let mut servers = name_servers(&String::from_utf8_lossy(&text));
            tracing::warn!(%error, ?servers, "{RESOLV_CONF} cannot be read as a whole: only its name servers count");
            if servers.is_empty() {
                // As resolv.conf(5) says.
                servers.push(Ipv4Addr::LOCALHOST.into());
            }
            let servers = servers.into_iter().map(NameServerConfig::udp_and_tcp).collect();
            (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
        });
        Self::new(&config, options, read_hosts())
    }

    pub(super) fn new(config: &ResolverConfig, mut options: ResolverOpts, hosts: Hosts) -> Self {
        options.timeout = SERVER_TIMEOUT;
        options.attempts = 0;
        options.cache_size = CACHE_SIZE;
        options.positive_max_ttl = Some(CACHE_TIME);
        options.negative_max_ttl = Some(NEGATIVE_CACHE_TIME);
        options.use_hosts_file = ResolveHosts::Never;
        // When both fail, the error is that of IPv4: few hosts have no such address.
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let resolver = |server: &NameServerConfig| {
            let (domain, search) = (config.domain().cloned(), config.search().to_vec());
            let config = ResolverConfig::from_parts(domain, search, vec![server.clone()]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                .with_options(options.clone())
                .build()
                .inspect_err(|error| tracing::warn!(%error, "a name server cannot be used"))
                .ok()
        };
        let servers = config.name_servers().iter().filter_map(resolver).collect();
        Self { hosts, servers, searches: config.domain().is_some() || !config.search().is_empty() }
    }

    pub(super) async fn texts(self: Arc<Self>, mut name: Name) -> Result<Vec<String>, NetError> {
        name.set_fqdn(true);
        let ask = |server: TokioResolver| {
            let name = name.clone();
            async move {
                server.clear_lookup_cache(name.clone(), RecordType::TXT);
                server.txt_lookup(name).await
            }
        };
        let records = self.ask(ask).await?;
        let texts = records.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => String::from_utf8(txt.txt_data.concat()).ok(),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// A name in the hosts file has the addresses there and no others. Any other is looked up as it is, and if there
    /// is none, in the search domains.
    pub(super) async fn addresses(self: Arc<Self>, name: Name) -> Result<Vec<IpAddr>, NetError> {
        let mut absolute = name.clone();
        absolute.set_fqdn(true);
        let listed = self.listed(&absolute);
        if !listed.is_empty() {
            return Ok(listed);
        }
        match self.resolve(absolute).await {
            Err(error) if error.is_no_records_found() && self.searches && !name.is_fqdn() => {
                self.resolve(name).await
            }
            outcome => outcome,
        }
    }

    /// The addresses in the hosts file.
    fn listed(&self, name: &Name) -> Vec<IpAddr> {
        let queries = [RecordType::AAAA, RecordType::A].map(|kind| Query::query(name.clone(), kind));
        let found = queries.iter().filter_map(|query| self.hosts.lookup_static_host(query));
        found
            .flat_map(|lookup| {
                lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>()
            })
            .collect()
    }

    async fn resolve(&self, name: Name) -> Result<Vec<IpAddr>, NetError> {
        let ask = |server: TokioResolver| {
            let name = name.clone();
            async move { server.lookup_ip(name).await }
        };
        let mut addresses: Vec<IpAddr> = self.ask(ask).await?.iter().collect();
        // IPv6 first; a connection that is not established soon is attempted by IPv4, too.
        addresses.sort_by_key(IpAddr::is_ipv4);
        Ok(addresses)
    }

    /// Asks the name servers in turn until one answers. "No such records" is an answer.
    async fn ask<T, F>(&self, ask: impl Fn(TokioResolver) -> F) -> Result<T, NetError>
    where
        F: Future<Output = Result<T, NetError>>,
    {
        let mut last = NetError::NoConnections;
        for server in self.servers.iter().cycle().take(ROUNDS * self.servers.len()) {
            match ask(server.clone()).await {
                Err(error) if !error.is_no_records_found() => last = error,
                answer => return answer,
            }
        }
        Err(last)
    }
}

/// The name servers of a resolv.conf, whatever else it says. Those with a zone (`fe80::1%eth0`) cannot be asked.
pub(super) fn name_servers(text: &str) -> Vec<IpAddr> {
    let words = text.lines().map(str::split_whitespace);
    words
        .filter_map(|mut words| {
            (words.next() == Some("nameserver")).then(|| words.next()).flatten()?.parse().ok()
        })
        .collect()
}

/// The hosts file, without what cannot be read of it.
fn read_hosts() -> Hosts {
    let mut hosts = Hosts::default();
    let read =
        fs::read(HOSTS).and_then(|text| hosts.read_hosts_conf(String::from_utf8_lossy(&text).as_bytes()));
    if let Err(error) = read
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "{HOSTS} cannot be read: the names in it are looked up elsewhere");
    }
    hosts
}
