//! Our client documents, which authorization servers read before they accept a request (atproto OAuth
//! specification, "Client ID Metadata Document").
//!
//! An authorization server compares the scopes of a request with those of the document as text, and an older
//! one refuses a document with a scope that it does not know. So there is a full document, one for all
//! clients or one for each, and beside it one for every set of transition scopes. Each is served as long as a
//! session uses its address, regardless of the current settings.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_domain::client::Client;
use causeway_store::sessions;
use causeway_types::scope::{ScopeValue, Transition};
use causeway_types::{ClientId, Scope, UpstreamClientId};
use serde_json::{Value, json};

use crate::client::lookup;
use crate::ctx::Ctx;
use crate::error::Internal;

/// Whether clients share one upstream identity or have one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamClient {
    /// One upstream client for all clients.
    Shared,
    /// One for each client: an authorization server shows its name, and only its own scopes.
    PerClient,
}

/// The path that users return to.
pub(crate) const CALLBACK_PATH: &str = "/oauth/atp/callback";
/// The path of our client's public keys.
const CLIENT_JWKS_PATH: &str = "/oauth/atp/jwks";
/// Path of the full document for all clients.
const SHARED: &str = "/oauth-client-metadata.json";
/// Path prefix of every other document.
const FOLDER: &str = "/oauth-client-metadata/";
/// The name that authorization servers show.
const NAME: &str = "Causeway";
/// Prefix of an encoded `client_id` that does not fit into a path as it is.
const ENCODED: char = '~';

/// Identifies a client document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    /// The client whose name it carries; `None`: ours, for all clients.
    pub(crate) client: Option<ClientId>,
    /// The transition scopes that it lists besides `atproto`; `None`: the full document.
    pub(crate) coarse: Option<BTreeSet<Transition>>,
}

impl Document {
    /// The document for an authorization server that knows the transition scopes only.
    pub(crate) fn coarse(client: Option<ClientId>, scope: &Scope) -> Self {
        let of = |value: &ScopeValue| match value {
            ScopeValue::Transition(transition) => Some(*transition),
            _ => None,
        };
        Self { client, coarse: Some(scope.iter().filter_map(of).collect()) }
    }

    /// Its address: our `client_id` at authorization servers.
    pub(crate) fn client_id(&self, issuer: &str) -> UpstreamClientId {
        UpstreamClientId::new(format!("{issuer}{}", self.path()))
    }

    fn path(&self) -> String {
        match (&self.client, &self.coarse) {
            (None, None) => SHARED.to_owned(),
            (None, Some(coarse)) => format!("{FOLDER}transition/{}.json", set_name(coarse)),
            (Some(client), None) => format!("{FOLDER}clients/{}.json", path_name(client)),
            (Some(client), Some(coarse)) => {
                format!("{FOLDER}clients/{}/{}.json", path_name(client), set_name(coarse))
            }
        }
    }

    /// The document at a path; accepts only the spelling that we use ourselves.
    fn at(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix(FOLDER)?.strip_suffix(".json")?.split('/').collect();
        let document = match parts[..] {
            ["transition", set] => Self { client: None, coarse: Some(parse_set(set)?) },
            ["clients", client] => Self { client: Some(parse_path_name(client)?), coarse: None },
            ["clients", client, set] => {
                Self { client: Some(parse_path_name(client)?), coarse: Some(parse_set(set)?) }
            }
            _ => return None,
        };
        (document.path() == path).then_some(document)
    }
}

const fn short(transition: Transition) -> &'static str {
    match transition {
        Transition::Generic => "generic",
        Transition::Email => "email",
        Transition::ChatBsky => "chat",
    }
}

fn set_name(set: &BTreeSet<Transition>) -> String {
    if set.is_empty() {
        return "atproto".to_owned();
    }
    set.iter().map(|transition| short(*transition)).collect::<Vec<_>>().join("-")
}

fn parse_set(name: &str) -> Option<BTreeSet<Transition>> {
    if name == "atproto" {
        return Some(BTreeSet::new());
    }
    let of = |part| Transition::ALL.iter().copied().find(|transition| short(*transition) == part);
    name.split('-').map(of).collect()
}

/// Encodes a `client_id` as a path segment that no proxy changes.
fn path_name(client: &ClientId) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !client.as_str().is_empty() && client.as_str().bytes().all(plain) {
        client.to_string()
    } else {
        format!("{ENCODED}{}", URL_SAFE_NO_PAD.encode(client.as_str()))
    }
}

fn parse_path_name(name: &str) -> Option<ClientId> {
    match name.strip_prefix(ENCODED) {
        None => Some(ClientId::new(name)),
        Some(encoded) => String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok().map(ClientId::new),
    }
}

/// The contents of a document.
pub(crate) fn document(
    issuer: &str,
    client_id: &UpstreamClientId,
    name: Option<&str>,
    scope: &Scope,
) -> Value {
    json!({
        "client_id": client_id,
        "client_name": name.unwrap_or(NAME),
        "client_uri": issuer,
        "application_type": "web",
        "redirect_uris": [format!("{issuer}{CALLBACK_PATH}")],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": scope,
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "dpop_bound_access_tokens": true,
        "jwks_uri": format!("{issuer}{CLIENT_JWKS_PATH}"),
    })
}

/// Finds the document at a path below `/oauth-client-metadata/`; `None` when there is none. That of a client
/// exists as long as the client does, or until every session that began with it is revoked upstream.
///
/// # Errors
/// When the database does not answer.
pub async fn find_document(ctx: &Ctx, path: &str) -> Result<Option<Value>, Internal> {
    if ctx.profile().metadata().is_none() {
        return Ok(None);
    }
    let Some(wanted) = Document::at(path) else { return Ok(None) };
    let client_id = wanted.client_id(ctx.issuer());
    let client = match &wanted.client {
        Some(id) => {
            let client = lookup::find(ctx, id).await?;
            let offered = client.is_some() && ctx.profile().mode() == UpstreamClient::PerClient;
            if !offered && !in_use(ctx, id, &client_id).await? {
                return Ok(None);
            }
            client
        }
        None => None,
    };
    let scope = match &wanted.coarse {
        Some(coarse) => {
            let coarse = coarse.iter().copied().map(ScopeValue::Transition);
            [ScopeValue::Atproto].into_iter().chain(coarse).collect()
        }
        None => ctx.scopes().declared(client.as_deref()),
    };
    Ok(Some(document(ctx.issuer(), &client_id, client.as_deref().map(shown_name), &scope)))
}

/// The name of a client that users see at their authorization server.
fn shown_name(client: &Client) -> &str {
    if client.client_name.is_empty() { client.client_id.as_str() } else { &client.client_name }
}

/// Whether a session still depends on a document.
async fn in_use(ctx: &Ctx, client: &ClientId, document: &UpstreamClientId) -> Result<bool, Internal> {
    let (client, document) = (client.clone(), document.clone());
    ctx.store().read(move |c| Ok(sessions::any_began_as(c, &client, &document)?)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_has_one_path() {
        let sets = [
            &[][..],
            &[Transition::Generic],
            &[Transition::ChatBsky, Transition::Generic, Transition::Email],
        ];
        let clients = [
            "cw_client_x-Y",
            "causeway-demo",
            "https://app.example/client.json",
            "transition",
            "a.b",
            "~x",
            "",
        ];
        let clients = clients.map(|id| Some(ClientId::new(id)));
        let mut seen = BTreeSet::new();
        for client in clients.into_iter().chain([None]) {
            for coarse in sets.map(|set| Some(set.iter().copied().collect())).into_iter().chain([None]) {
                let document = Document { client: client.clone(), coarse };
                let path = document.path();
                assert!(path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._~-".contains(&b)), "{path}");
                let there = Document::at(&path);
                assert!(there.as_ref() == Some(&document) || path == SHARED, "{path}: {there:?}");
                assert!(seen.insert(path));
            }
        }
        assert!(seen.contains("/oauth-client-metadata/transition/generic-email-chat.json"));
        assert!(seen.contains("/oauth-client-metadata/clients/causeway-demo/atproto.json"));
        for other in [
            "/oauth-client-metadata/",
            "/oauth-client-metadata/x.json",
            "/oauth-client-metadata/clients/.json",
            "/oauth-client-metadata/transition/email-generic.json",
            "/oauth-client-metadata/transition/.json",
            "/oauth-client-metadata/clients/a/b/c.json",
            "/oauth-client-metadata/clients/a%2fb.json",
            "/oauth-client-metadata/clients/~!.json",
            "/oauth-client-metadata/clients/~Y2F1c2V3YXk.json",
            "/oauth-client-metadata/clients/x",
        ] {
            assert_eq!(Document::at(other), None, "{other}");
        }
    }
}
