//! Name lookup: the addresses of hosts and the texts of TXT records, by the hosts file and the name servers of this
//! system.

mod system;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::Name;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::system::{HOSTS, RESOLV_CONF, System};
use crate::runtime::ProcessRuntime;

/// How long a lookup may take, with all its attempts.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of concurrent lookups: each has sockets open.
const LOOKUPS: usize = 256;
/// The files that name servers and hosts are configured in.
const FILES: [&str; 2] = [RESOLV_CONF, HOSTS];

/// No name server gave an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the DNS lookup failed")]
pub struct DnsError;

/// Looks names up, for all requests of the process. Clones share the cache.
#[derive(Clone)]
pub struct Dns(Arc<Inner>);

struct Inner {
    runtime: ProcessRuntime,
    lookups: Semaphore,
    system: Mutex<Option<(Versions, Arc<System>)>>,
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}

impl Dns {
    pub(crate) fn new(runtime: ProcessRuntime) -> Self {
        Self(Arc::new(Inner { runtime, lookups: Semaphore::new(LOOKUPS), system: Mutex::default() }))
    }

    /// The texts of a name's TXT records (RFC 1035 section 3.3.14), each in one piece; empty when it has none. They
    /// come from the name servers each time, never from our cache.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, DnsError> {
        self.look_up(name, System::texts).await
    }

    /// The addresses of a host; empty when it has none.
    ///
    /// # Errors
    /// [`DnsError`].
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        self.look_up(host, System::addresses).await
    }

    /// Looks a name up on the runtime of the process, whichever runtime this is called on.
    async fn look_up<T: Default, F>(
        &self,
        name: &str,
        look_up: impl FnOnce(Arc<System>, Name) -> F,
    ) -> Result<T, DnsError>
    where
        F: Future<Output = Result<T, NetError>>,
    {
        let parsed = Name::from_ascii(name).map_err(|_| DnsError)?;
        let lookup = async {
            let _turn = self.0.lookups.acquire().await.map_err(|_| NetError::Timeout)?;
            look_up(self.0.system(), parsed).await
        };
        let lookup = async { timeout(LOOKUP_TIMEOUT, lookup).await.unwrap_or(Err(NetError::Timeout)) };
        match self.0.runtime.of(pin!(lookup)).await {
            Err(error) if error.is_no_records_found() => Ok(T::default()),
            outcome => outcome.map_err(|error| {
                tracing::debug!(name, %error, "DNS lookup failed");
                DnsError
            }),
        }
    }
}

impl Inner {
    /// The configuration of this system, read again when its files have changed.
    fn system(&self) -> Arc<System> {
        let mut current = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = versions();
        if let Some((_, system)) = current.as_ref().filter(|(read, _)| *read == versions) {
            return Arc::clone(system);
        }
        let system = Arc::new(System::read());
        *current = Some((versions, Arc::clone(&system)));
        system
    }
}

/// When each of [`FILES`] was changed last, and its size.
type Versions = [Option<(SystemTime, u64)>; FILES.len()];

fn versions() -> Versions {
    FILES.map(|file| {
        let metadata = fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}
