//! The DNS TXT record of a handle: `_atproto.<handle>`, `did=…` (atproto specification "Handle").

use std::time::Duration;

use causeway_domain::{Did, Handle};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverOpts;
use hickory_resolver::proto::rr::RData;
use tokio::sync::OnceCell;

use crate::error::ResolveError;

/// Looks TXT records up at the system's DNS servers, without a cache of its own.
#[derive(Default)]
pub(crate) struct Dns(OnceCell<TokioResolver>);

impl Dns {
    /// The DID that the handle's TXT records name; `None` when there is none.
    pub(crate) async fn did_of(&self, handle: &Handle) -> Result<Option<Did>, ResolveError> {
        let resolver = self.0.get_or_try_init(|| async { system_resolver() }).await?;
        // With the final dot no search domain is tried.
        let records = match resolver.txt_lookup(format!("_atproto.{handle}.")).await {
            Ok(lookup) => lookup,
            Err(error) if error.is_no_records_found() => return Ok(None),
            Err(error) => {
                tracing::debug!(%handle, %error, "DNS lookup failed");
                return Err(ResolveError::Dns);
            }
        };
        let texts = records.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => String::from_utf8(txt.txt_data.concat()).ok(),
            _ => None,
        });
        did_in(texts)
    }

    #[cfg(test)]
    fn of(resolver: TokioResolver) -> Self {
        Self(OnceCell::new_with(Some(resolver)))
    }
}

fn system_resolver() -> Result<TokioResolver, ResolveError> {
    let failed = |error| {
        tracing::warn!(%error, "the system's DNS configuration could not be read");
        ResolveError::Dns
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

/// The DID among TXT records. Records that hold none don't count; two that differ name nobody.
fn did_in(texts: impl Iterator<Item = String>) -> Result<Option<Did>, ResolveError> {
    let mut dids = texts.filter_map(|text| Did::parse(text.trim().strip_prefix("did=")?.trim()).ok());
    let found = dids.next();
    match dids.find(|other| Some(other) != found.as_ref()) {
        Some(_) => Err(ResolveError::HandleAmbiguous),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use tokio::net::UdpSocket;

    use super::*;

    const ALICE: &str = "did:plc:z72i7hdynmk6r22z27h6tvur";
    const BOB: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

    #[test]
    fn one_did_among_the_records() {
        let found = |texts: &[&str]| did_in(texts.iter().map(|text| (*text).to_owned()));
        let (alice, bob) = (format!("did={ALICE}"), format!("did={BOB}"));
        let did = Did::parse(ALICE).ok();
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(found(&["v=spf1 -all"]), Ok(None));
        assert_eq!(found(&["v=spf1 -all", &alice]), Ok(did.clone()));
        assert_eq!(found(&[&alice, &format!("did= {ALICE} ")]), Ok(did.clone()));
        assert_eq!(found(&["did=nonsense"]), Ok(None));
        assert_eq!(found(&[&alice, &bob]), Err(ResolveError::HandleAmbiguous));
        for placeholder in ["did=nonsense", "did=did:plc:xxx", "did=", "did=did:key:zQ3sh"] {
            assert_eq!(found(&[&alice, placeholder]), Ok(did.clone()), "{placeholder}");
            assert_eq!(found(&[placeholder, &alice]), Ok(did.clone()), "{placeholder}");
            assert_eq!(
                found(&[placeholder, &alice, &bob]),
                Err(ResolveError::HandleAmbiguous),
                "{placeholder}"
            );
        }
    }

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
        Dns::of(builder.build().unwrap())
    }

    #[tokio::test]
    async fn asks_the_dns() {
        let handle = Handle::parse("alice.example.com").unwrap();
        let split: &[&[&str]] = &[&["v=spf1 -all"], &["did=did:plc:", "z72i7hdynmk6r22z27h6tvur"]];
        assert_eq!(dns_with(split, 0).await.did_of(&handle).await, Ok(Did::parse(ALICE).ok()));
        assert_eq!(dns_with(&[], 0).await.did_of(&handle).await, Ok(None));
        assert_eq!(dns_with(&[], 3).await.did_of(&handle).await, Ok(None));
        // SERVFAIL is no answer.
        assert_eq!(dns_with(&[], 2).await.did_of(&handle).await, Err(ResolveError::Dns));
    }
}
