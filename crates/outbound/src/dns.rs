//! Lookups of DNS records.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverOpts;
use hickory_resolver::proto::rr::RData;
use tokio::sync::OnceCell;

use crate::runtime::ProcessRuntime;

/// The DNS servers gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the DNS lookup failed")]
pub struct DnsError;

/// Looks records up at the system's DNS servers, without a cache of its own. Clones share their connections.
#[derive(Clone)]
pub struct Dns {
    runtime: ProcessRuntime,
    resolver: Arc<OnceCell<TokioResolver>>,
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}

impl Dns {
    pub(crate) fn new(runtime: ProcessRuntime) -> Self {
        Self { runtime, resolver: Arc::default() }
    }

    /// The texts of a name's TXT records (RFC 1035 section 3.3.14), each in one piece; empty when it has none.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, DnsError> {
        self.runtime.of(pin!(self.look_up_texts(name))).await
    }

    async fn look_up_texts(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let resolver = self.resolver.get_or_try_init(|| async { system_resolver() }).await?;
        // With the final dot no search domain is tried.
        let records = match resolver.txt_lookup(format!("{name}.")).await {
            Ok(lookup) => lookup,
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            Err(error) => {
                tracing::debug!(name, %error, "DNS lookup failed");
                return Err(DnsError);
            }
        };
        let texts = records.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => String::from_utf8(txt.txt_data.concat()).ok(),
            _ => None,
        });
        Ok(texts.collect())
    }
}

fn system_resolver() -> Result<TokioResolver, DnsError> {
    let failed = |error| {
        tracing::warn!(%error, "the system's DNS configuration could not be read");
        DnsError
    };
    let mut builder = TokioResolver::builder_tokio().map_err(failed)?;
    limit(builder.options_mut());
    builder.build().map_err(failed)
}

fn limit(options: &mut ResolverOpts) {
    options.cache_size = 0;
    options.timeout = Duration::from_secs(2);
    options.attempts = 1;
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use tokio::net::UdpSocket;

    use super::*;

    /// A DNS server for one question: answers every query with these TXT records, or with this error code.
    async fn dns_with(texts: &'static [&'static [&'static str]], rcode: u8) -> Dns {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut query = [0_u8; 512];
            while let Ok((_, peer)) = socket.recv_from(&mut query).await {
                // The question ends with the root label, the type and the class.
                let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
                let count = u8::try_from(texts.len()).unwrap();
                let mut answer = query[..2].to_vec();
                answer.extend([0x81, 0x80 | rcode, 0, 1, 0, count, 0, 0, 0, 0]);
                answer.extend(&query[12..end]);
                for strings in texts {
                    let data: Vec<u8> = strings
                        .iter()
                        .flat_map(|text| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat())
                        .collect();
                    answer.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).unwrap()]);
                    answer.extend(data);
                }
                socket.send_to(&answer, peer).await.unwrap();
            }
        });
        let mut connection = ConnectionConfig::udp();
        connection.port = port;
        let server = NameServerConfig::new(Ipv4Addr::LOCALHOST.into(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        limit(builder.options_mut());
        let resolver = Arc::new(OnceCell::new_with(Some(builder.build().unwrap())));
        Dns { runtime: ProcessRuntime::current().unwrap(), resolver }
    }

    #[tokio::test]
    async fn texts_in_one_piece() {
        let split: &[&[&str]] = &[&["v=spf1 -all"], &["did=did:plc:", "z72i7hdynmk6r22z27h6tvur"]];
        let whole = ["v=spf1 -all", "did=did:plc:z72i7hdynmk6r22z27h6tvur"].map(str::to_owned);
        let texts = async |dns: Dns| dns.texts("_atproto.alice.example.com").await;
        assert_eq!(texts(dns_with(split, 0).await).await, Ok(whole.to_vec()));
        assert_eq!(texts(dns_with(&[], 0).await).await, Ok(Vec::new()));
        assert_eq!(texts(dns_with(&[], 3).await).await, Ok(Vec::new()));
        // SERVFAIL is not an answer.
        assert_eq!(texts(dns_with(&[], 2).await).await, Err(DnsError));
    }
}
