//! Checks whether authorization servers can read our client documents and keys.

use causeway_config::{Config, ExternalUrl, UpstreamClientMode};
use causeway_flow::upstream::atproto::metadata_check::{Published, key_problems};
use causeway_outbound::HttpClient;
use serde_json::Value;
use url::{Host, Url};

use super::Finding::{Bad, Good, Note};
use super::{Known, Report};
use crate::compose;

/// Top-level domains from which no PDS fetches client metadata.
const LOCAL_NAMES: [&str; 6] = ["local", "localhost", "test", "example", "invalid", "onion"];

/// Checks everything that an authorization server reads about our client before it accepts a request.
pub(super) async fn check(
    config: &Config,
    issuer: &ExternalUrl,
    http: &HttpClient,
    known: &Known,
    report: &mut Report,
) -> anyhow::Result<()> {
    if !issuer.is_https() {
        report.add(
            "upstream client",
            Note(
                "the atproto loopback client: a public client, so authorization servers end its sessions after two weeks; an \
                 https external URL makes it confidential, with sessions of up to two years"
                    .to_owned(),
            ),
        );
        return Ok(());
    }
    if let Some(problem) = unsuitable_name(issuer) {
        report.add("upstream client", Bad(problem));
        return Ok(());
    }
    if let Some(problem) = unsuitable_port(issuer) {
        report.add("upstream client", if config.dev_mode { Note(problem) } else { Bad(problem) });
    }
    let max_scope = compose::max_scope(config)?;
    let shared = Published::shared(issuer.as_str(), &max_scope);
    let found = document("upstream client", &shared, http, report).await;
    if let Some(found) = found {
        keys(&found, known.kid.as_deref(), http, report).await;
    }
    if config.upstream_client == UpstreamClientMode::PerClient {
        match &known.client {
            Some(client) => {
                let own = Published::of_client(issuer.as_str(), client, &max_scope);
                document("upstream client of a client", &own, http, report).await;
            }
            None => report.add("upstream client of a client", Note("no client is registered yet".to_owned())),
        }
    }
    Ok(())
}

/// Checks one document; returns it if it could be fetched.
async fn document(what: &str, wanted: &Published, http: &HttpClient, report: &mut Report) -> Option<Value> {
    let url = wanted.url();
    match fetch(url, http).await {
        Ok((media_type, found)) => {
            let problems = wanted.problems(&media_type, &found);
            say(what, url, problems, "is served as authorization servers require it", report);
            Some(found)
        }
        Err(problem) => {
            report.add(what, Bad(format!("{url}: {problem}")));
            None
        }
    }
}

/// Checks the keys that a document contains or refers to.
async fn keys(document: &Value, kid: Option<&str>, http: &HttpClient, report: &mut Report) {
    const WHAT: &str = "upstream client keys";
    let good = kid.map_or_else(
        || "holds keys; the one in use is not known".to_owned(),
        |kid| format!("holds the key in use, {kid}"),
    );
    match (&document["jwks"], document["jwks_uri"].as_str()) {
        (inline, None) if inline.is_object() => {
            say(WHAT, "jwks", key_problems("application/json", inline, kid), &good, report);
        }
        (_, Some(url)) => match fetch(url, http).await {
            Ok((media_type, found)) => {
                say(WHAT, url, key_problems(&media_type, &found, kid), &good, report);
            }
            Err(problem) => report.add(
                WHAT,
                Bad(format!(
                    "jwks_uri {url}: {problem}; authorization servers cannot verify our assertions: configure the proxy to pass \
                     this path on"
                )),
            ),
        },
        // The check of the document has reported this already.
        _ => {}
    }
}

/// Reports each problem on a line, or `good` when there is none.
fn say(what: &str, at: &str, problems: Vec<String>, good: &str, report: &mut Report) {
    if problems.is_empty() {
        report.add(what, Good(format!("{at} {good}")));
    }
    for problem in problems {
        report.add(what, Bad(format!("{at}: {problem}")));
    }
}

/// Fetches a document and its media type.
async fn fetch(url: &str, http: &HttpClient) -> Result<(String, Value), String> {
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    let found = http.get_document(&url, HttpClient::DOCUMENT_CAP).await.map_err(|error| error.to_string())?;
    Ok((found.media_type, found.json))
}

/// Why no PDS would fetch metadata from this host name.
fn unsuitable_name(issuer: &ExternalUrl) -> Option<String> {
    let url = Url::parse(issuer.as_str()).ok()?;
    match url.host()? {
        Host::Ipv4(_) | Host::Ipv6(_) => Some(
            "authorization servers fetch client metadata from domain names only, not from IP addresses"
                .to_owned(),
        ),
        Host::Domain(name) => {
            let last = name.rsplit('.').next().unwrap_or_default();
            (!name.contains('.') || LOCAL_NAMES.contains(&last)).then(|| {
                format!("{name} is a local name: authorization servers do not fetch client metadata from it")
            })
        }
    }
}

/// Why only a PDS in development would fetch metadata from this port.
fn unsuitable_port(issuer: &ExternalUrl) -> Option<String> {
    let port = Url::parse(issuer.as_str()).ok()?.port()?;
    Some(format!("authorization servers do not fetch client metadata from port {port}: use 443"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_pds_asks() {
        let issuer = |url: &str| {
            let settings =
                causeway_config::Settings { external_url: Some(url.to_owned()), ..Default::default() };
            let environment = |name: &str| (name == "CAUSEWAY_SECRET_KEY").then(|| "k:AAAA".into());
            Config::load_from(settings, &environment).unwrap().external_url.unwrap()
        };
        assert_eq!(unsuitable_name(&issuer("https://auth.example.com")), None);
        assert_eq!(unsuitable_port(&issuer("https://auth.example.com")), None);
        for url in ["https://auth.test", "https://intranet", "https://192.0.2.1"] {
            assert!(unsuitable_name(&issuer(url)).is_some(), "{url}");
        }
        assert!(unsuitable_port(&issuer("https://auth.example.com:8443")).is_some());
    }
}
