//! Lookups against scripted name servers.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use hickory_resolver::Hosts;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::*;

const TXT: u16 = 16;
const A: u16 = 1;
const AAAA: u16 = 28;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

/// A name and a type of record, and the data of the records.
type Record = ((&'static str, u16), Vec<Vec<u8>>);

/// A name server, with the questions that it was asked.
struct Server {
    config: NameServerConfig,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
}

impl Server {
    /// Answers with the data of these records, for all others with this code.
    async fn with<const N: usize>(records: [Record; N], code: u8) -> Self {
        let records = HashMap::from(records);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut connection = ConnectionConfig::udp();
        connection.port = socket.local_addr().unwrap().port();
        let config = NameServerConfig::new(Ipv4Addr::LOCALHOST.into(), true, vec![connection]);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut query = [0_u8; 512];
            while let Ok((_, peer)) = socket.recv_from(&mut query).await {
                let (name, kind, end) = question(&query);
                let found = records.get(&(&*name, kind));
                log.lock().unwrap().push((name.clone(), kind));
                let code = found.map_or(code, |_| 0);
                let records = found.into_iter().flatten();
                let count = u8::try_from(records.clone().count()).unwrap();
                let mut answer = query[..2].to_vec();
                answer.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
                answer.extend(&query[12..end]);
                for data in records {
                    answer.extend([0xc0, 12]);
                    answer.extend(kind.to_be_bytes());
                    answer.extend([0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).unwrap()]);
                    answer.extend(data);
                }
                socket.send_to(&answer, peer).await.unwrap();
            }
        });
        Self { config, asked }
    }

    fn asked(&self, kind: u16) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(_, asked)| *asked == kind).map(|(name, _)| name.clone()).collect()
    }
}

/// Name, type and end of a question.
fn question(query: &[u8]) -> (String, u16, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).into_owned());
        at = end;
    }
    (labels.join("."), u16::from_be_bytes([query[at + 1], query[at + 2]]), at + 5)
}

fn text(parts: &[&str]) -> Vec<u8> {
    parts.iter().flat_map(|part| [&[u8::try_from(part.len()).unwrap()], part.as_bytes()].concat()).collect()
}

fn dns_of(servers: &[&Server], search: &[&str], hosts: &str) -> Dns {
    let servers = servers.iter().map(|server| server.config.clone()).collect();
    let search = search.iter().map(|name| Name::from_ascii(name).unwrap()).collect();
    let config = ResolverConfig::from_parts(None, search, servers);
    let mut listed = Hosts::default();
    listed.read_hosts_conf(hosts.as_bytes()).unwrap();
    let system = System::new(&config, ResolverOpts::default(), listed);
    let dns = Dns::new(ProcessRuntime::current().unwrap());
    *dns.0.system.lock().unwrap() = Some((versions(), Arc::new(system)));
    dns
}

#[expect(clippy::unnecessary_wraps, reason = "compared with results")]
fn addresses(texts: &[&str]) -> Result<Vec<IpAddr>, DnsError> {
    Ok(texts.iter().map(|text| text.parse().unwrap()).collect())
}

#[tokio::test]
async fn texts_in_one_piece_and_never_cached() {
    const NAME: &str = "_atproto.alice.example";
    let records = [text(&["v=spf1 -all"]), text(&["did=did:plc:", "z72i7hdynmk6r22z27h6tvur"])];
    let server = Server::with([((NAME, TXT), records.to_vec())], NXDOMAIN).await;
    let dns = dns_of(&[&server], &["search.example"], "");
    let texts = ["v=spf1 -all", "did=did:plc:z72i7hdynmk6r22z27h6tvur"].map(str::to_owned);
    for _ in 0..2 {
        assert_eq!(dns.texts(NAME).await, Ok(texts.to_vec()));
    }
    assert_eq!(dns.texts("_atproto.bob.example").await, Ok(Vec::new()));
    assert_eq!(server.asked(TXT), [NAME, NAME, "_atproto.bob.example"], "nor looked up in search domains");
    let empty = Server::with([((NAME, TXT), Vec::new())], NXDOMAIN).await;
    assert_eq!(dns_of(&[&empty], &[], "").texts(NAME).await, Ok(Vec::new()));
    // SERVFAIL is not an answer.
    let failing = Server::with([], SERVFAIL).await;
    assert_eq!(dns_of(&[&failing], &[], "").texts(NAME).await, Err(DnsError));
}

#[tokio::test]
async fn addresses_of_both_kinds_and_cached() {
    let (v4, v6) = (vec![vec![192, 0, 2, 1]], vec![vec![9; 16]]);
    let server = Server::with([(("pds.example", A), v4), (("pds.example", AAAA), v6)], NXDOMAIN).await;
    let dns = dns_of(&[&server], &[], "");
    for _ in 0..2 {
        assert_eq!(
            dns.addresses("pds.example").await,
            addresses(&["909:909:909:909:909:909:909:909", "192.0.2.1"])
        );
    }
    assert_eq!((server.asked(A).len(), server.asked(AAAA).len()), (1, 1));
    assert_eq!(dns.addresses("pds.invalid").await, Ok(Vec::new()));
    assert_eq!(dns.addresses(&"a".repeat(64)).await, Err(DnsError));
}

/// A name in the hosts file has the addresses listed there and no others.
#[tokio::test]
async fn the_hosts_file_goes_first() {
    let elsewhere = || vec![vec![9; 16]];
    let server = Server::with([(("pds.example", AAAA), elsewhere())], NXDOMAIN).await;
    let dns = dns_of(&[&server], &[], "192.0.2.1 pds.example other\n192.0.2.2 PDS.example\n::2 other\n");
    assert_eq!(dns.addresses("pds.example").await, addresses(&["192.0.2.1", "192.0.2.2"]));
    assert_eq!(dns.addresses("other").await, addresses(&["::2", "192.0.2.1"]));
    assert_eq!(dns.addresses("localhost").await, addresses(&["::1", "127.0.0.1"]));
    assert!(server.asked(AAAA).is_empty());
}

#[tokio::test]
async fn search_domains_come_last() {
    let here = |last| vec![vec![192, 0, 2, last]];
    let records = [
        (("pds.internal.example", A), here(1)),
        (("pds.example", A), here(2)),
        (("pds.example.internal.example", A), here(3)),
    ];
    let server = Server::with(records, NXDOMAIN).await;
    let dns = dns_of(&[&server], &["internal.example"], "");
    assert_eq!(dns.addresses("pds").await, addresses(&["192.0.2.1"]));
    assert_eq!(dns.addresses("pds.example").await, addresses(&["192.0.2.2"]));
    assert_eq!(dns.addresses("pds.").await, Ok(Vec::new()));
}

/// After an error the next name server is asked; after a negative answer it is not.
#[tokio::test]
async fn name_servers_are_asked_in_turn() {
    let good = Server::with([(("pds.example", A), vec![vec![192, 0, 2, 1]])], NXDOMAIN).await;
    let (failing, refusing) = (Server::with([], SERVFAIL).await, Server::with([], REFUSED).await);
    let dns = dns_of(&[&failing, &refusing, &good], &["internal.example"], "");
    assert_eq!(dns.addresses("pds.example").await, addresses(&["192.0.2.1"]));
    assert_eq!((failing.asked(A).len(), refusing.asked(A).len(), good.asked(A).len()), (1, 1, 1));
    let empty = Server::with([], NXDOMAIN).await;
    assert_eq!(dns_of(&[&empty, &good], &[], "").addresses("pds.example").await, Ok(Vec::new()));
    assert_eq!(good.asked(A).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn name_servers_that_never_answer() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut connection = ConnectionConfig::udp();
    connection.port = silent.local_addr().unwrap().port();
    let config = NameServerConfig::new(Ipv4Addr::LOCALHOST.into(), true, vec![connection]);
    let silent = Server { config, asked: Arc::default() };
    let started = Instant::now();
    for servers in [&[&silent][..], &[&silent, &silent, &silent]] {
        assert_eq!(dns_of(servers, &["internal.example"], "").addresses("pds.example").await, Err(DnsError));
    }
    assert!(started.elapsed() <= 2 * LOOKUP_TIMEOUT, "{:?}", started.elapsed());
}

/// A lookup waits while the maximum number of lookups is running.
#[tokio::test]
async fn lookups_leave_sockets_to_others() {
    let dns = dns_of(&[], &[], "192.0.2.1 pds.example");
    let others = dns.0.lookups.acquire_many(256).await.unwrap();
    let mut lookup = pin!(dns.addresses("pds.example"));
    timeout(Duration::from_millis(200), &mut lookup).await.unwrap_err();
    drop(others);
    assert_eq!(lookup.await, addresses(&["192.0.2.1"]));
}

#[tokio::test]
async fn changed_files_are_read_again() {
    let dns = Dns::new(ProcessRuntime::current().unwrap());
    let read = dns.0.system();
    assert!(Arc::ptr_eq(&read, &dns.0.system()));
    *dns.0.system.lock().unwrap() = Some(([None; 2], Arc::clone(&read)));
    assert!(!Arc::ptr_eq(&read, &dns.0.system()));
}

#[test]
fn name_servers_count_whatever_else_the_file_says() {
    let text = "# nameserver 192.0.2.9\nsearch not_a..name\nnameserver 192.0.2.1\n  nameserver\t2001:db8::1 \nnameserver\nnameserver fe80::1%eth0\noptions ndots:5\n";
    let expected: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().unwrap()).to_vec();
    assert_eq!(super::system::name_servers(text), expected);
}
