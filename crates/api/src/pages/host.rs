//! The identity of a client and the destination of an answer, as users see them.

use causeway_domain::authorization::AuthRequest;
use causeway_domain::client::{Client, ClientOrigin};

/// The host that a redirect URI leads to; the scheme for a private one, whose "host" means nothing.
pub fn host_of(redirect_uri: &str) -> String {
    match url::Url::parse(redirect_uri) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => url.scheme().to_owned(),
        Ok(url) => match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => url.scheme().to_owned(),
        },
        Err(_) => redirect_uri.to_owned(),
    }
}

/// The display name of a client: the name that it gave itself, or its identifier.
pub fn client_name(client: &Client) -> String {
    if client.client_name.is_empty() { client.client_id.to_string() } else { client.client_name.clone() }
}

/// The host that stands for a client's identity: that of its client metadata document. Only the holder of
/// the host can publish the document, so nobody else can use this name.
pub fn identity_host(client: &Client) -> Option<String> {
    match client.origin {
        ClientOrigin::Document { .. } => Some(host_of(client.client_id.as_str())),
        ClientOrigin::Registered | ClientOrigin::Loopback { .. } => None,
    }
}

/// The host of a client: that of its document, or where its first redirect URI leads; without one, that of its
/// home page, and without that its identifier.
pub fn client_host(client: &Client) -> String {
    let home = || client.metadata.get("client_uri").and_then(|uri| uri.as_str()).map(host_of);
    let leads = || client.redirect_uris.first().map(|uri| host_of(uri.as_str()));
    identity_host(client).or_else(leads).or_else(home).unwrap_or_else(|| client.client_id.to_string())
}

/// The host of a client that uses the device flow, if its identity has one: any other address in the
/// registration may have been written by the holder of the device. Empty: not known.
pub fn device_host(client: &Client) -> String {
    identity_host(client).unwrap_or_default()
}

/// Where the answer to a request goes, as shown to the user. A device has no address: the client's
/// [`device_host`] stands for it.
pub fn asking_host(request: &AuthRequest, client: &Client) -> String {
    match &request.device_code {
        Some(_) => device_host(client),
        None => host_of(&request.redirect_uri),
    }
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn shows_who_gets_the_answer() {
        for (uri, host) in [
            ("https://app.example/cb", "app.example"),
            ("http://127.0.0.1:3000/cb", "127.0.0.1:3000"),
            ("com.evil.app://bank.example/cb", "com.evil.app"),
            ("com.example.app:/cb", "com.example.app"),
        ] {
            assert_eq!(host_of(uri), host);
        }
    }
}
