//! The endpoints of a connection, to which no call is relayed.

use url::Url;

use crate::definition::oauth::OauthClient;
use crate::fields::{FieldValues, Known};

/// Every endpoint that a connection has: those that it is bound to (authorization, token, revocation and introspection, from
/// metadata or from the definition), and those of the definition for exchange, refresh and revocation. One whose address
/// lacks a value cannot be called either, and is left out.
pub fn endpoints(client: &OauthClient, bound: &[&Url], fields: &FieldValues, client_id: &str) -> Vec<Url> {
    let own = [("client_id", Some(client_id))];
    let known = Known::new(fields, &own);
    let exchange = client.exchange.as_ref().map(|exchange| &exchange.url);
    let refresh = client.refresh.as_ref().and_then(|refresh| refresh.request.url.as_ref());
    let templates = [exchange, refresh, client.revocation.url.as_ref()];
    let filled = templates.into_iter().flatten().filter_map(|url| url.fill(|name| known.value_of(name)).ok());
    bound.iter().copied().cloned().chain(filled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::built_in;

    #[test]
    fn every_step_has_its_endpoint() {
        let token = Url::parse("https://api.instagram.com/oauth/access_token").unwrap();
        let of = |name| -> Vec<String> {
            let found = endpoints(&built_in(name), &[&token], &FieldValues::default(), "our-id");
            found.into_iter().skip(1).map(String::from).collect()
        };
        assert_eq!(
            of("instagram"),
            ["https://graph.instagram.com/access_token", "https://graph.instagram.com/refresh_access_token"]
        );
        assert_eq!(of("github"), ["https://api.github.com/applications/our-id/grant"]);
        assert!(of("mastodon").is_empty(), "its host is not known");
    }
}
