//! Members that count as absent from a client's metadata: null (RFC 7592 section 2.2) and empty ones. Stock
//! clients send every member that they know, with or without a value.

use serde_json::{Map, Value};
use url::Url;

use super::metadata::ClientMetadata;

/// Pages about a client. Anything but an https address is left out: users are never sent there.
const PAGES: [&str; 4] = ["client_uri", "logo_uri", "policy_uri", "tos_uri"];

/// Whether a member counts as absent.
pub(super) fn is_left_out(value: &Value) -> bool {
    value.is_null() || value == ""
}

impl ClientMetadata {
    /// Removes null and empty values, at the top level and in lists.
    pub(super) fn leave_out_empty(&mut self) {
        let texts = [&mut self.token_endpoint_auth_method, &mut self.client_name, &mut self.client_uri];
        for text in texts {
            *text = text.take().filter(|text| !text.is_empty());
        }
        self.scope = self.scope.take().filter(|scope| !scope.trim().is_empty());
        self.redirect_uris.retain(|uri| !uri.is_empty());
        for list in [&mut self.grant_types, &mut self.response_types].into_iter().flatten() {
            list.retain(|name| !name.is_empty());
        }
        self.other.retain(|_, value| !is_left_out(value));
        for list in self.other.values_mut().filter_map(Value::as_array_mut) {
            list.retain(|value| !is_left_out(value));
        }
    }
}

/// Leaves out the pages, in whatever language (RFC 7591 section 2.2), that are not on the web.
pub(super) fn keep_web_pages(metadata: &mut Map<String, Value>) {
    let is_page = |name: &str| PAGES.contains(&name.split('#').next().unwrap_or_default());
    metadata.retain(|name, value| !is_page(name) || value.as_str().is_some_and(is_web_page));
}

fn is_web_page(text: &str) -> bool {
    let is_plain = text.chars().all(|c| !c.is_control() && !c.is_whitespace());
    is_plain
        && text.strip_prefix("https://").is_some_and(|rest| !rest.starts_with('/'))
        && Url::parse(text)
            .is_ok_and(|url| url.has_host() && url.username().is_empty() && url.password().is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_are_on_the_web() {
        let kept = json!({
            "logo_uri": "https://app.example/l.png?x", "client_uri#de": "https://app.example/de", "software_id": "javascript:",
        });
        let mut metadata = kept.as_object().unwrap().clone();
        for (name, bad) in [
            ("client_uri", json!("http://app.example")),
            ("tos_uri", json!("javascript:alert(1)")),
            ("policy_uri", json!("https:///app.example")),
            ("logo_uri#fr", json!("data:image/svg+xml,x")),
            ("tos_uri#a", json!("https://user@app.example")),
            ("tos_uri#b", json!("https://app.example/\n")),
            ("tos_uri#f", json!("https://app.example/a b")),
            ("tos_uri#g", json!("https://app.example/\u{7}")),
            ("tos_uri#h", json!("https://:pw@app.example/")),
            ("tos_uri#c", json!("/terms")),
            ("tos_uri#d", json!(["https://app.example"])),
            ("tos_uri#e", json!("http://localhost/terms")),
        ] {
            metadata.insert(name.to_owned(), bad);
        }
        keep_web_pages(&mut metadata);
        assert_eq!(Value::Object(metadata), kept);
    }
}
