//! DID documents (W3C Decentralized Identifiers section 5, atproto specification "DID").

use causeway_outbound::{HttpClient, HttpError, Shows};
use causeway_types::identity::in_at_uri;
use causeway_types::{Did, Handle};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::IdentityResolver;
use crate::error::ResolveError;
use crate::origin::{at_path, parse_origin};

/// The parts of a DID document that we use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// The first valid handle that it claims: not verified yet.
    pub(super) claimed_handle: Option<Handle>,
    pub(super) pds: Url,
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

impl IdentityResolver {
    /// Fetches a DID document and reads it.
    pub(super) async fn account(&self, did: &Did) -> Result<Account, ResolveError> {
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
        match self.http.get_json_showing::<DidDocument>(&url, HttpClient::DOCUMENT_CAP, shows).await {
            Ok(document) => read_document(did, &document, self.http.dev_mode()),
            Err(HttpError::Status { status: 404, .. }) => Err(ResolveError::DidNotFound),
            // The directory's response for a deactivated DID.
            Err(HttpError::Status { status: 410, .. }) => Err(ResolveError::DidDeactivated),
            Err(error) => Err(error.into()),
        }
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
    }
}
