//! Handles and DIDs (atproto specifications "Handle" and "DID").

use std::pin::pin;
use std::sync::Arc;

use causeway_domain::identity::in_at_uri;
use causeway_domain::{Clock, Did, Handle};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::cache::TtlCache;
use crate::dns::Dns;
use crate::error::ResolveError;
use crate::http::{HttpClient, HttpError};
use crate::sent::Shows;

/// A resolved account: its DID, handle and PDS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub did: Did,
    /// Its handle, verified in both directions; `None` when it has none that verifies.
    pub handle: Option<Handle>,
    /// Whether its handle could not be checked: `handle` is then `None` and says nothing.
    pub handle_unknown: bool,
    /// The origin of its PDS.
    pub pds: Url,
}

/// The parts of a DID document that we use.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Account {
    /// The first valid handle that it claims: not verified yet.
    claimed_handle: Option<Handle>,
    pds: Url,
}

/// A DID document (W3C Decentralized Identifiers section 5); only its form is certain.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DidDocument {
    id: String,
    #[serde(default)]
    also_known_as: Vec<Value>,
    #[serde(default)]
    service: Vec<Value>,
}

/// How recent a cached result has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    Cached,
    /// Cached results less than this many seconds old.
    Younger(i64),
    Fresh,
}

impl Freshness {
    const fn seconds(self) -> i64 {
        match self {
            Self::Cached => i64::MAX,
            Self::Younger(seconds) => seconds,
            Self::Fresh => 0,
        }
    }
}

/// Resolves handles and DIDs.
pub(crate) struct IdentityResolver {
    http: HttpClient,
    clock: Arc<dyn Clock>,
    plc_url: Url,
    handle_resolver: Option<Url>,
    dns: Dns,
    dids: TtlCache<Handle, Did>,
    identities: TtlCache<Did, Identity>,
}

impl IdentityResolver {
    pub(crate) fn new(
        http: HttpClient,
        clock: Arc<dyn Clock>,
        plc_url: Url,
        handle_resolver: Option<Url>,
    ) -> Self {
        let (dids, identities) = (TtlCache::new(), TtlCache::new());
        Self { http, clock, plc_url, handle_resolver, dns: Dns::default(), dids, identities }
    }

    /// Resolves a handle to its account: the handle leads to a DID, whose document, which is always fetched,
    /// leads back to the handle.
    pub(crate) async fn by_handle(
        &self,
        handle: &Handle,
        freshness: Freshness,
    ) -> Result<Identity, ResolveError> {
        let did = self.did_of(handle, freshness).await?;
        let account = self.account(&did).await?;
        if account.claimed_handle.as_ref() != Some(handle) {
            return Err(ResolveError::HandleMismatch);
        }
        let identity =
            Identity { did, handle: Some(handle.clone()), handle_unknown: false, pds: account.pds };
        self.identities.put(identity.did.clone(), identity.clone(), self.clock.now());
        Ok(identity)
    }

    /// Resolves a DID to its PDS, and to its handle if that verifies.
    pub(crate) async fn by_did(&self, did: &Did, freshness: Freshness) -> Result<Identity, ResolveError> {
        if let Some(identity) = self.identities.get_younger(did, self.clock.now(), freshness.seconds()) {
            return Ok(identity);
        }
        let account = self.account(did).await?;
        let verified = match &account.claimed_handle {
            Some(handle) => self.did_of(handle, freshness).await.map(|owner| owner == *did),
            None => Ok(false),
        };
        let definite = !matches!(&verified, Err(error) if error.is_upstream_fault());
        let handle = account.claimed_handle.filter(|_| verified == Ok(true));
        let identity = Identity { did: did.clone(), handle, handle_unknown: !definite, pds: account.pds };
        // A handle that could not be checked is checked again next time.
        if definite {
            self.identities.put(did.clone(), identity.clone(), self.clock.now());
        }
        Ok(identity)
    }

    /// Drops the cached identity of an account and returns it.
    pub(crate) fn forget(&self, did: &Did) -> Option<Identity> {
        self.dids.forget_value(did);
        self.identities.forget(did)
    }

    /// Resolves a handle to a DID; whether the DID's document names the handle is not checked here.
    async fn did_of(&self, handle: &Handle, freshness: Freshness) -> Result<Did, ResolveError> {
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

    /// Tries DNS first, then the well-known document of the handle's domain.
    async fn ask_the_handle(&self, handle: &Handle) -> Result<Did, ResolveError> {
        let by_dns = match self.http.runtime().of(pin!(self.dns.did_of(handle))).await {
            Ok(Some(did)) => return Ok(did),
            Ok(None) => Ok(()),
            Err(ResolveError::HandleAmbiguous) => return Err(ResolveError::HandleAmbiguous),
            Err(error) => Err(error),
        };
        let url = Url::parse(&format!("https://{handle}/.well-known/atproto-did"))
            .map_err(|_| ResolveError::HandleNotFound)?;
        match well_known(self.http.get_text(&url, WELL_KNOWN_CAP, WELL_KNOWN_REDIRECTS).await)? {
            Some(did) => Ok(did),
            // Nothing there. If DNS said so too, there is no account; otherwise we don't know.
            None => by_dns.and(Err(ResolveError::HandleNotFound)),
        }
    }

    /// Fetches a DID document and reads it.
    async fn account(&self, did: &Did) -> Result<Account, ResolveError> {
        if !did.fits_sub() {
            return Err(ResolveError::DidTooLong);
        }
        let (url, shows) = match did.web_host() {
            None => (at_path(&self.plc_url, &format!("/{did}")), Shows::Address),
            Some(host) => {
                let local = host == "localhost" || host.starts_with("localhost:");
                let scheme = if self.http.dev_mode() && local { "http" } else { "https" };
                let url = Url::parse(&format!("{scheme}://{host}/.well-known/did.json"))
                    .map_err(|_| ResolveError::DidNotFound)?;
                (url, Shows::Nobody)
            }
        };
        match self.http.get_json_unseen::<DidDocument>(&url, HttpClient::DOCUMENT_CAP, shows).await {
            Ok(document) => read_document(did, &document, self.http.dev_mode()),
            Err(HttpError::Status { status: 404, .. }) => Err(ResolveError::DidNotFound),
            // The directory's response for a deactivated DID.
            Err(HttpError::Status { status: 410, .. }) => Err(ResolveError::DidDeactivated),
            Err(error) => Err(error.into()),
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

/// Extracts the account from a DID document.
fn read_document(did: &Did, document: &DidDocument, dev_mode: bool) -> Result<Account, ResolveError> {
    if document.id != did.as_str() {
        return Err(ResolveError::DidDocument("it is the document of another DID"));
    }
    let claimed_handle = document
        .also_known_as
        .iter()
        .filter_map(|alias| in_at_uri(alias.as_str()?))
        .find_map(|handle| Handle::parse(handle).ok());
    let own_id = format!("{did}#atproto_pds");
    let service = document.service.iter().find(|service| {
        service.get("id").and_then(Value::as_str).is_some_and(|id| id == "#atproto_pds" || id == own_id)
            && service.get("type").and_then(Value::as_str) == Some("AtprotoPersonalDataServer")
    });
    let endpoint = service.ok_or(ResolveError::NoPds)?.get("serviceEndpoint").and_then(Value::as_str);
    let pds = endpoint
        .and_then(|endpoint| parse_origin(endpoint, dev_mode))
        .ok_or(ResolveError::DidDocument("its PDS is not an https origin"))?;
    Ok(Account { claimed_handle, pds })
}

/// Reads an https URL (http too in development) that has an origin and nothing else.
pub(crate) fn parse_origin(text: &str, dev_mode: bool) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    let scheme = url.scheme() == "https" || (dev_mode && url.scheme() == "http");
    (scheme && url.has_host() && plain && anonymous).then_some(url)
}

/// `base` with `path` after its own path; query and fragment are dropped.
pub(crate) fn at_path(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DID: &str = "did:plc:z72i7hdynmk6r22z27h6tvur";

    fn read(document: Value) -> Result<Account, ResolveError> {
        let did = Did::parse(DID).unwrap();
        read_document(&did, &serde_json::from_value(document).unwrap(), false)
    }

    fn pds(endpoint: &str) -> Value {
        json!([{ "id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": endpoint }])
    }

    #[test]
    fn reads_the_account_of_a_document() {
        let account = read(json!({
            "@context": ["https://www.w3.org/ns/did/v1"],
            "id": DID,
            "alsoKnownAs": [7, "https://alice.example", "at://not a handle", "AT://Alice.Example", "at://b.example"],
            "service": [
                { "id": "#atproto_labeler", "type": "AtprotoLabeler", "serviceEndpoint": "https://l.example" },
                { "id": "#atproto_pds", "type": "Other", "serviceEndpoint": "https://other.example" },
                {
                    "id": format!("{DID}#atproto_pds"),
                    "type": "AtprotoPersonalDataServer",
                    "serviceEndpoint": "https://pds.example",
                },
            ],
        }))
        .unwrap();
        assert_eq!(account.claimed_handle, Handle::parse("alice.example").ok());
        assert_eq!(account.pds.as_str(), "https://pds.example/");
    }

    #[test]
    fn refuses_documents_that_prove_nothing() {
        let foreign =
            json!({ "id": "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "service": pds("https://pds.example") });
        assert!(matches!(read(foreign), Err(ResolveError::DidDocument(_))));
        assert_eq!(read(json!({ "id": DID })), Err(ResolveError::NoPds));
        for endpoint in [
            "http://pds.example",
            "https://pds.example/path",
            "https://pds.example/?a=b",
            "https://pds.example/#a",
            "https://user@pds.example",
            "ftp://pds.example",
            "pds.example",
            "",
        ] {
            let document = json!({ "id": DID, "service": pds(endpoint) });
            assert!(matches!(read(document), Err(ResolveError::DidDocument(_))), "{endpoint}");
        }
        assert!(parse_origin("http://localhost:2583", true).is_some());
    }

    #[test]
    fn a_domain_says_whose_handle_it_is() {
        let did = Did::parse(DID).ok();
        for text in [
            DID.to_owned(),
            format!("{DID}\n"),
            format!("\r\n\n  {DID}\t\r\nmore"),
            format!("\u{feff}{DID}"),
            format!("\n\u{feff} {DID} "),
        ] {
            assert_eq!(well_known(Ok(text.clone())), Ok(did.clone()), "{text:?}");
        }
        for text in ["", "\n", "<!doctype html>", "did:key:zQ3sh"] {
            assert_eq!(well_known(Ok(text.to_owned())), Ok(None), "{text:?}");
        }
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
    fn paths_are_put_after_the_base() {
        let url = |s: &str| Url::parse(s).unwrap();
        assert_eq!(at_path(&url("https://a.example"), "/x").as_str(), "https://a.example/x");
        assert_eq!(at_path(&url("https://a.example/b/?q"), "/x").as_str(), "https://a.example/b/x");
    }
}
