//! Settings of the HTTP client.

use std::net::IpAddr;
use std::time::Duration;

use crate::budget::Budgets;

/// Configuration of the client.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Allows plain http and addresses that are not on the public internet: for development only.
    pub dev_mode: bool,
    /// Certificates to trust besides the system's: PEM, one or several.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Host names with a fixed address, which may be private: the operator vouches for them.
    pub resolve: Vec<(String, IpAddr)>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// How long name lookup, TCP and TLS may take together.
    pub connect_timeout: Duration,
    /// How long a request may take, from the lookup to the last byte of the answer.
    pub total_timeout: Duration,
    /// How long a request without a total timeout may make no progress.
    pub idle_timeout: Duration,
    /// The memory budgets of the process.
    pub budgets: Budgets,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            dev_mode: false,
            extra_ca_pem: None,
            resolve: Vec::new(),
            user_agent: concat!("Causeway/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            budgets: Budgets::default(),
        }
    }
}
