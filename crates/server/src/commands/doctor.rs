//! `causeway doctor`: checks whether this deployment works, as far as that can be seen from this machine.

mod upstream;

use std::sync::Arc;

use anyhow::bail;
use causeway_config::{Config, ExternalUrl};
use causeway_domain::client::Client;
use causeway_domain::{Clock as _, SystemClock};
use causeway_flow::UpstreamProfile;
use causeway_flow::operations::issuer_keys;
use causeway_outbound::HttpClient;
use causeway_store::clients::list_clients;
use causeway_store::connections::registrations::{RegistrationSummary, list_misconfigured_registrations};
use causeway_store::connections::tenants;
use causeway_store::operations::keys;
use causeway_store::sessions::upkeep::{self, Refused};
use causeway_store::{PageRequest, Store, StoreError, TenantScope};
use causeway_types::{SigningAlg, TenantId};
use serde_json::Value;
use url::Url;

use crate::{compose, secret_key};

/// Maximum clock skew in seconds: authorization servers refuse proofs from the future.
const CLOCK_SECONDS: i64 = 10;
/// Tenants whose registrations are checked.
const MOST_TENANTS: usize = 1000;
/// Registrations of one tenant that are reported.
const MOST_REGISTRATIONS: i64 = 20;
const RING: &str = "was it encrypted with another key ring?";

/// Facts from the database that authorization servers must be able to fetch.
#[derive(Default)]
struct Known {
    /// The `kid` of the key with which new sessions authenticate.
    kid: Option<String>,
    /// The most recently registered client.
    client: Option<Client>,
}

/// Outcome of a check.
enum Finding {
    Good(String),
    /// Works, but could be better.
    Note(String),
    Bad(String),
}

use Finding::{Bad, Good, Note};

/// Prints findings as they come, and counts the bad ones.
#[derive(Default)]
struct Report {
    bad: usize,
}

impl Report {
    fn add(&mut self, what: &str, finding: Finding) {
        let (mark, text) = match finding {
            Good(text) => ("ok  ", text),
            Note(text) => ("note", text),
            Bad(text) => {
                self.bad += 1;
                ("BAD ", text)
            }
        };
        say!("{mark}  {what}: {text}");
    }
}

pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    let mut report = Report::default();
    let issuer = config.issuer(config.listen)?;
    let known = database(config, &mut report).await?;
    for path in secret_key::exposed(config, &compose::database_url(config)?) {
        let path = path.display();
        let text = format!("every user of this machine can read or change {path}: run chmod o= {path}");
        report.add("secrets file", Note(text));
    }
    let outbound = compose::outbound(config, &issuer)?;
    clock(config, &outbound, &mut report).await;
    report.add("external URL", external_url(&issuer, &outbound).await);
    upstream::check(config, &issuer, &outbound, &known, &mut report).await?;
    if config.dev_mode {
        report.add("dev mode", Note("http and private addresses are allowed upstream".to_owned()));
    }
    if report.bad > 0 {
        bail!("{} checks failed", report.bad);
    }
    Ok(())
}

/// Checks the database, and that its encrypted values decrypt.
async fn database(config: &Config, report: &mut Report) -> anyhow::Result<Known> {
    let mut known = Known::default();
    let url = compose::database_url(config)?;
    let store = match compose::open_store(config, &url).await {
        Ok(store) => store,
        Err(error) => {
            report.add("database", Bad(format!("{error:#}")));
            return Ok(known);
        }
    };
    report.add("database", Good(format!("the schema of {url} fits this version")));
    match secret_key::find(config, &url, &store).await {
        Ok(None) => report.add("encryption key", Note("is created at the first start".to_owned())),
        Ok(Some(ring)) => {
            report.add("encryption key", Good("loaded".to_owned()));
            let ring = Arc::new(ring);
            for &alg in SigningAlg::ALL {
                report.add(&format!("signing key {alg}"), signing_key(&store, &ring, alg).await);
            }
            match UpstreamProfile::key_in_use(&store, &ring).await {
                Ok(kid) => known.kid = kid,
                Err(error) => report.add("client key", Bad(format!("{error}: {RING}"))),
            }
        }
        Err(error) => report.add("encryption key", Bad(format!("{error:#}"))),
    }
    refusals(&store, report).await?;
    registrations(&store, report).await?;
    let newest = PageRequest::first(1);
    let newest = store
        .read::<_, StoreError, _>(move |c| list_clients(c, &TenantId::default_tenant(), &newest))
        .await?;
    known.client = newest.items.into_iter().next();
    store.close().await;
    Ok(known)
}

/// Reports authorization servers that refuse to refresh live sessions, and why.
async fn refusals(store: &Store, report: &mut Report) -> Result<(), StoreError> {
    for Refused { issuer, answer, sessions } in store.read(upkeep::count_refused).await? {
        let advice = match answer.as_str() {
            "invalid_client" | "unauthorized_client" | "invalid_client_metadata" => {
                "it does not accept our client: check that it can fetch the client document and its keys"
            }
            "invalid_dpop_proof" => "it does not accept our DPoP proofs: check this server's clock",
            _ => "its log may show the reason",
        };
        let text = format!(
            "{issuer} refuses to refresh {sessions} sessions with {answer}: {advice}. They end if this lasts for a week"
        );
        report.add("upstream refreshes", Bad(text));
    }
    Ok(())
}

/// Reports registrations that their providers do not accept, of the first tenants.
async fn registrations(store: &Store, report: &mut Report) -> Result<(), StoreError> {
    let mut after = String::new();
    for _ in 0..MOST_TENANTS {
        let before = after.clone();
        let next = store.read::<_, StoreError, _>(move |c| tenants::find_tenant_after(c, &before)).await?;
        let Some(tenant_id) = next else { return Ok(()) };
        let list = |scope: &mut TenantScope<'_>| list_misconfigured_registrations(scope, MOST_REGISTRATIONS);
        for found in store.in_tenant(&tenant_id).read::<_, StoreError, _>(list).await? {
            let RegistrationSummary { registration_id, provider, issuer, .. } = found;
            let text = format!(
                "{issuer} does not accept {registration_id} of {provider}, tenant {tenant_id}: its connections are not \
                 refreshed until the secret is corrected with `causeway providers secret`"
            );
            report.add("registration", Bad(text));
        }
        after = tenant_id.into_string();
    }
    Ok(())
}

async fn signing_key(
    store: &Store,
    ring: &Arc<causeway_store::encryption::keyring::EncryptionKeyRing>,
    alg: SigningAlg,
) -> Finding {
    let ring = Arc::clone(ring);
    let stored = store
        .read::<_, StoreError, _>(move |c| keys::list_signing_keys(c, &ring, issuer_keys::purpose(alg)))
        .await;
    match stored {
        Ok(keys) => match keys.iter().find(|key| key.retired_at.is_none()) {
            Some(key) => Good(key.kid.clone()),
            None => Note("is created at the first start".to_owned()),
        },
        Err(error) => Bad(format!("{error}: {RING}")),
    }
}

/// Checks the PLC directory, and our clock against its.
async fn clock(config: &Config, outbound: &HttpClient, report: &mut Report) {
    match outbound.time_at(&config.plc_url).await {
        Ok(theirs) => {
            report.add("PLC directory", Good(format!("{} answers", config.plc_url)));
            let ahead = SystemClock.now().since(theirs);
            report.add(
                "clock",
                if ahead.abs() <= CLOCK_SECONDS {
                    Good("agrees with the PLC directory's clock".to_owned())
                } else {
                    Bad(format!("{ahead} s ahead of the PLC directory's: set it by NTP"))
                },
            );
        }
        Err(error) => {
            report.add("PLC directory", Bad(format!("{}: {error}", config.plc_url)));
        }
    }
}

/// Checks whether clients reach this server at its external URL.
async fn external_url(issuer: &ExternalUrl, http: &HttpClient) -> Finding {
    if issuer.is_loopback() {
        return Note(format!("{issuer} is reachable from this machine only"));
    }
    match fetch(issuer, "/.well-known/oauth-authorization-server", http).await {
        Ok(document) if document["issuer"] == issuer.as_str() => {
            Good(format!("{issuer} is served by this server"))
        }
        Ok(document) => {
            Bad(format!("{issuer} is served by another server, whose issuer is {}", document["issuer"]))
        }
        Err(problem) => Bad(format!(
            "{issuer}: {problem}; check that the server and the proxy in front of it are running"
        )),
    }
}

async fn fetch(issuer: &ExternalUrl, path: &str, http: &HttpClient) -> Result<Value, String> {
    let url = Url::parse(&format!("{issuer}{path}")).map_err(|error| error.to_string())?;
    http.get_json(&url, HttpClient::DOCUMENT_CAP).await.map_err(|error| error.to_string())
}
