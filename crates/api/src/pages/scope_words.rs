//! What a scope allows, in plain words.
//!
//! The grammar is that of AT Protocol's permissions: `resource:positional?name=value&...`. Words must never
//! promise less than the scope gives, so whatever is not fully understood is named instead of described.

use url::form_urlencoded;

/// One English sentence that says what the scope lets a client do.
pub fn scope_words(scope: &str) -> String {
    let words = match scope {
        "atproto" => "Know who you are: your handle and your permanent account id (DID).",
        "transition:generic" => {
            "Read and write nearly everything in your account: posts, likes, follows, your profile and \
             settings. Direct messages are left out. This is as much as an app password allows."
        }
        "transition:email" => "See the email address of your account.",
        "transition:chat.bsky" => "Read and send your direct messages on Bluesky.",
        _ => return granular(scope).unwrap_or_else(|| format!("Use the permission “{scope}”.")),
    };
    words.to_owned()
}

/// A scope taken apart.
struct Permission<'a> {
    positional: Option<&'a str>,
    parameters: Vec<(String, String)>,
}

impl<'a> Permission<'a> {
    fn parse(rest: &'a str) -> Self {
        let (positional, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parameters = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Self { positional: positional.strip_prefix(':').filter(|value| !value.is_empty()), parameters }
    }

    /// The values of a parameter; `positional` names the one that may stand before the `?`.
    fn values(&self, name: &str, positional: bool) -> Vec<&str> {
        let named = self.parameters.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        self.positional.filter(|_| positional).into_iter().chain(named).collect()
    }

    /// Whether every parameter is one that the words speak about.
    fn has_only(&self, known: &[&str]) -> bool {
        self.parameters.iter().all(|(name, _)| known.contains(&name.as_str()))
    }
}

fn granular(scope: &str) -> Option<String> {
    let end = scope.find([':', '?'])?;
    let (resource, rest) = scope.split_at(end);
    let permission = Permission::parse(rest);
    match resource {
        "repo" => repo(&permission),
        "rpc" => rpc(&permission),
        "blob" => blob(&permission),
        "account" => account(&permission),
        "identity" => identity(&permission),
        "include" => include(&permission),
        _ => None,
    }
}

fn repo(permission: &Permission<'_>) -> Option<String> {
    let collections = permission.values("collection", true);
    let actions = permission.values("action", false);
    let known = |action: &&str| matches!(*action, "create" | "update" | "delete");
    if collections.is_empty() || !permission.has_only(&["collection", "action"]) || !actions.iter().all(known)
    {
        return None;
    }
    let what = if collections.contains(&"*") {
        "records of every kind".to_owned()
    } else {
        format!("records of the kind {}", list(&collections, "and"))
    };
    let actions = if actions.is_empty() { vec!["create", "update", "delete"] } else { actions };
    Some(format!("{} {what} in your account.", capitalized(&list(&actions, "and"))))
}

fn rpc(permission: &Permission<'_>) -> Option<String> {
    let methods = permission.values("lxm", true);
    let audience = permission.values("aud", false);
    if methods.is_empty() || audience.is_empty() || !permission.has_only(&["lxm", "aud"]) {
        return None;
    }
    let methods = if methods.contains(&"*") { "every method".to_owned() } else { list(&methods, "and") };
    Some(format!("Call {methods} of {} in your name.", services(&audience)))
}

fn blob(permission: &Permission<'_>) -> Option<String> {
    let accept = permission.values("accept", true);
    if accept.is_empty() || !permission.has_only(&["accept"]) {
        return None;
    }
    Some(match accept.as_slice() {
        all if all.contains(&"*/*") => "Upload files of every kind.".to_owned(),
        ["image/*"] => "Upload images.".to_owned(),
        ["video/*"] => "Upload videos.".to_owned(),
        ["audio/*"] => "Upload audio.".to_owned(),
        some => format!("Upload files of the type {}.", list(some, "and")),
    })
}

fn account(permission: &Permission<'_>) -> Option<String> {
    let [attribute] = permission.values("attr", true)[..] else { return None };
    let actions = permission.values("action", false);
    let known = |action: &&str| matches!(*action, "read" | "manage");
    if !permission.has_only(&["attr", "action"]) || !actions.iter().all(known) {
        return None;
    }
    let words = match (attribute, actions.contains(&"manage")) {
        ("email", false) => "See the email address of your account.",
        ("email", true) => "See and change the email address of your account.",
        ("repo", false) => "See the state of your account's data.",
        ("repo", true) => "Replace all the data in your account by importing a copy.",
        ("status", false) => "See whether your account is active.",
        ("status", true) => "Activate and deactivate your account.",
        _ => return None,
    };
    Some(words.to_owned())
}

fn identity(permission: &Permission<'_>) -> Option<String> {
    let [attribute] = permission.values("attr", true)[..] else { return None };
    if !permission.has_only(&["attr"]) {
        return None;
    }
    match attribute {
        "handle" => Some("Change your handle.".to_owned()),
        "*" => Some(
            "Change your identity: your handle, your keys and the server that keeps your account.".to_owned(),
        ),
        _ => None,
    }
}

fn include(permission: &Permission<'_>) -> Option<String> {
    let [set] = permission.values("nsid", true)[..] else { return None };
    if !permission.has_only(&["nsid", "aud"]) {
        return None;
    }
    let audience = permission.values("aud", false);
    let service = if audience.is_empty() { String::new() } else { format!(", with {}", services(&audience)) };
    Some(format!("Everything that the permission set {set} contains{service}."))
}

/// Services by the host of their `did:web`, without the fragment that names the kind of service.
fn services(audience: &[&str]) -> String {
    if audience.contains(&"*") {
        return "any service".to_owned();
    }
    let name = |service| {
        let did = str::split(service, '#').next().unwrap_or(service);
        did.strip_prefix("did:web:").unwrap_or(did)
    };
    list(&audience.iter().copied().map(name).collect::<Vec<_>>(), "and")
}

/// `a`, `a and b`, `a, b and c`.
fn list(items: &[&str], and: &str) -> String {
    match items {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} {and} {last}", most.join(", ")),
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::scope_words;

    #[test]
    fn the_scopes_that_everybody_asks_for() {
        assert!(scope_words("atproto").contains("DID"));
        assert!(scope_words("transition:generic").contains("Direct messages are left out"));
        assert!(scope_words("transition:email").contains("email address"));
        assert!(scope_words("transition:chat.bsky").contains("direct messages"));
    }

    #[test]
    fn granular_scopes() {
        let cases = [
            ("repo:*", "Create, update and delete records of every kind in your account."),
            (
                "repo:app.bsky.feed.post?action=create",
                "Create records of the kind app.bsky.feed.post in your account.",
            ),
            (
                "repo?collection=app.a.x&collection=app.a.y&action=update&action=delete",
                "Update and delete records of the kind app.a.x and app.a.y in your account.",
            ),
            (
                "rpc:app.bsky.feed.getTimeline?aud=did:web:api.bsky.app%23bsky_appview",
                "Call app.bsky.feed.getTimeline of api.bsky.app in your name.",
            ),
            ("rpc:*?aud=did:plc:abc", "Call every method of did:plc:abc in your name."),
            ("rpc:app.a.b?aud=*", "Call app.a.b of any service in your name."),
            ("blob:*/*", "Upload files of every kind."),
            ("blob:image/*", "Upload images."),
            ("blob?accept=image/png&accept=video/*", "Upload files of the type image/png and video/*."),
            ("account:email", "See the email address of your account."),
            ("account:email?action=manage", "See and change the email address of your account."),
            ("account:repo?action=manage", "Replace all the data in your account by importing a copy."),
            ("identity:handle", "Change your handle."),
            ("include:app.example.basic", "Everything that the permission set app.example.basic contains."),
            (
                "include:app.example.basic?aud=did:web:a.example%23x",
                "Everything that the permission set app.example.basic contains, with a.example.",
            ),
        ];
        for (scope, words) in cases {
            assert_eq!(scope_words(scope), words, "{scope}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for scope in [
            "repo",
            "repo:",
            "repo:app.a.b?action=conquer",
            "repo:app.a.b?unknown=1",
            "rpc:app.a.b",
            "account:password",
            "identity:handle?x=y",
            "transition:other",
            "profile",
        ] {
            assert_eq!(scope_words(scope), format!("Use the permission “{scope}”."));
        }
    }
}
