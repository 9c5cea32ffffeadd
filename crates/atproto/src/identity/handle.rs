//! Handles: whose they are, by their DNS records or their own domain (atproto specification "Handle").

use causeway_outbound::{DnsError, HttpClient, HttpError};
use causeway_types::{Did, Handle};
use serde::Deserialize;
use url::Url;

use super::{Freshness, IdentityResolver};
use crate::error::ResolveError;
use crate::origin::at_path;

impl IdentityResolver {
    /// Resolves a handle to a DID; whether the DID's document names the handle is not checked here.
    pub(super) async fn did_of(&self, handle: &Handle, freshness: Freshness) -> Result<Did, ResolveError> {
        if let Some(did) = self.dids.get_younger(handle, self.clock.now(), freshness.seconds()) {
            return Ok(did);
        }
        let did = match &self.handle_resolver {
            Some(service) => self.ask_service(service, handle).await?,
            None => self.ask_the_handle(handle).await?,
        };
        self.dids.put(handle.clone(), did.clone(), self.clock.now());
        Ok(did)
    }

    /// `com.atproto.identity.resolveHandle` of a service that the operator trusts.
    async fn ask_service(&self, service: &Url, handle: &Handle) -> Result<Did, ResolveError> {
        #[derive(Deserialize)]
        struct Answer {
            did: String,
        }
        let mut url = at_path(service, "/xrpc/com.atproto.identity.resolveHandle");
        url.query_pairs_mut().append_pair("handle", handle.as_str());
        match self.http.get_json::<Answer>(&url, HttpClient::DOCUMENT_CAP).await {
            Ok(answer) => Did::parse(&answer.did).map_err(|_| ResolveError::HandleNotFound),
            Err(HttpError::Status { status: 400 | 404, .. }) => Err(ResolveError::HandleNotFound),
            Err(error) => Err(error.into()),
        }
    }

    /// The DID that the handle's TXT records name (`_atproto.<handle>`, `did=…`); `None` when there is none.
    async fn ask_dns(&self, handle: &Handle) -> Result<Option<Did>, ResolveError> {
        let texts = self.http.dns().texts(&format!("_atproto.{handle}")).await;
        did_in(&texts.map_err(|DnsError| ResolveError::Dns)?)
    }

    /// The DID that the well-known document of the handle's domain names; `None` when it names none.
    async fn ask_domain(&self, url: &Url) -> Result<Option<Did>, ResolveError> {
        well_known(self.http.get_text(url, WELL_KNOWN_CAP, WELL_KNOWN_REDIRECTS).await)
    }

    /// Tries DNS first, then the well-known document of the handle's domain.
    async fn ask_the_handle(&self, handle: &Handle) -> Result<Did, ResolveError> {
        let by_dns = match self.ask_dns(handle).await {
            Ok(Some(did)) => return Ok(did),
            Ok(None) => Ok(()),
            Err(ResolveError::HandleAmbiguous) => return Err(ResolveError::HandleAmbiguous),
            Err(error) => Err(error),
        };
        let url = Url::parse(&format!("https://{handle}/.well-known/atproto-did"))
            .map_err(|_| ResolveError::HandleNotFound)?;
        match self.ask_domain(&url).await? {
            Some(did) => Ok(did),
            // Nothing there. If DNS said so too, there is no account; otherwise we don't know.
            None => by_dns.and(Err(ResolveError::HandleNotFound)),
        }
    }
}

/// Maximum size of `/.well-known/atproto-did`, in bytes.
const WELL_KNOWN_CAP: usize = 4096;
/// Maximum number of redirects on the way to it.
const WELL_KNOWN_REDIRECTS: u8 = 3;

/// The DID that a handle's domain names; `None` when it names none. A request that is not allowed, or that
/// failed for now, says nothing about the handle and is an error.
fn well_known(answer: Result<String, HttpError>) -> Result<Option<Did>, ResolveError> {
    match answer {
        Ok(text) => {
            let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            Ok(Did::parse(text.lines().next().unwrap_or_default().trim()).ok())
        }
        Err(
            error @ (HttpError::Timeout
            | HttpError::Interrupted
            | HttpError::Redirected
            | HttpError::Status {
                status: ..=399 | 401 | 403 | 407 | 408 | 421 | 425 | 429 | 500..,
                ..
            }),
        ) => Err(ResolveError::HandleUnanswered(error)),
        Err(_) => Ok(None),
    }
}

/// The DID among TXT records. Records that hold none are ignored; two different DIDs yield none.
fn did_in(texts: &[String]) -> Result<Option<Did>, ResolveError> {
    let mut dids = texts.iter().filter_map(|text| Did::parse(text.trim().strip_prefix("did=")?.trim()).ok());
    let found = dids.next();
    match dids.find(|other| Some(other) != found.as_ref()) {
        Some(_) => Err(ResolveError::HandleAmbiguous),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use causeway_domain::SystemClock;
    use causeway_outbound::HttpConfig;
    use causeway_outbound::testing::{Reply, Upstream};

    use super::*;

    const ALICE: &str = "did:plc:z72i7hdynmk6r22z27h6tvur";
    const BOB: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

    #[test]
    fn a_domain_says_whose_handle_it_is() {
        let did = Did::parse(ALICE).ok();
        for text in [
            ALICE.to_owned(),
            format!("{ALICE}\n"),
            format!("\r\n\n  {ALICE}\t\r\nmore"),
            format!("\u{feff}{ALICE}"),
            format!("\n\u{feff} {ALICE} "),
        ] {
            assert_eq!(well_known(Ok(text.clone())), Ok(did.clone()), "{text:?}");
        }
        for text in ["", "\n", "<!doctype html>", "did:key:zQ3sh"] {
            assert_eq!(well_known(Ok(text.to_owned())), Ok(None), "{text:?}");
        }
    }

    /// A domain may keep its document elsewhere, up to three redirects away, and answer with any success. A document
    /// that may not be read, or that is not there for now, is not one that names nobody.
    #[tokio::test]
    async fn a_domain_may_lead_elsewhere() {
        let upstream = Upstream::empty().await;
        let http = HttpClient::new(&HttpConfig { dev_mode: true, ..HttpConfig::default() }).unwrap();
        let resolver = IdentityResolver::new(http, Arc::new(SystemClock), upstream.url(), None);
        let ask = async |path: &str| resolver.ask_domain(&upstream.url().join(path).unwrap()).await;
        for (n, status) in [(1, 301), (2, 302), (3, 307), (4, 308)] {
            let next = format!("{}/{}", upstream.origin, n - 1);
            upstream.script_path(&format!("/{n}"), [Reply::html(status).header("location", &next)]);
        }
        let did = Did::parse(ALICE).ok();
        for status in [200, 203] {
            upstream.script_path("/0", [Reply::new(status, "text/html", format!("\n{ALICE}\n"))]);
            for n in 0..=3 {
                assert_eq!(ask(&format!("/{n}")).await, Ok(did.clone()), "{status}, {n} redirects");
            }
        }
        assert_eq!(ask("/4").await, Err(ResolveError::HandleUnanswered(HttpError::Redirected)));
        upstream.script_path("/0", [Reply::html(404)]);
        assert_eq!(ask("/3").await, Ok(None));
        for status in [401, 403, 429, 500, 503] {
            upstream.script_path("/0", [Reply::html(status)]);
            let unanswered = HttpError::Status { status, retry_after: None };
            assert_eq!(ask("/3").await, Err(ResolveError::HandleUnanswered(unanswered)), "{status}");
        }
        upstream.script_path("/0", [Reply::new(200, "text/plain", "x".repeat(WELL_KNOWN_CAP + 1))]);
        assert_eq!(ask("/0").await, Ok(None), "no domain has us read for long");
    }

    /// "There is none" is an answer; "you may not ask" is none.
    #[test]
    fn a_domain_that_could_not_be_asked_has_not_said_no() {
        let status = |status| HttpError::Status { status, retry_after: None };
        for error in [401, 403, 429, 500, 502, 503, 599, 101, 304].map(status).into_iter().chain([
            HttpError::Timeout,
            HttpError::Interrupted,
            HttpError::Redirected,
        ]) {
            let outcome = well_known(Err(error.clone()));
            assert_eq!(outcome, Err(ResolveError::HandleUnanswered(error.clone())));
            assert!(outcome.is_err_and(|error| error.is_upstream_fault()), "{error}");
        }
        for error in [400, 404, 405, 410].map(status).into_iter().chain([
            HttpError::Unreachable("no such host".to_owned()),
            HttpError::TooLarge,
            HttpError::Blocked("x"),
        ]) {
            assert_eq!(well_known(Err(error.clone())), Ok(None), "{error}");
        }
    }

    #[test]
    fn one_did_among_the_records() {
        let found = |texts: &[&str]| did_in(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
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
}
