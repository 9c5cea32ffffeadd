//! Schemes of redirect URIs that an app claims on a device (RFC 8252 section 7.1).

/// Schemes that a browser runs, or that display content instead of reaching an app. None may be the first
/// label of a scheme either: software that checks only the beginning takes `javascript.example:` for
/// `javascript:`.
const CODE: [&str; 16] = [
    "about",
    "blob",
    "cid",
    "data",
    "file",
    "filesystem",
    "jar",
    "javascript",
    "jscript",
    "livescript",
    "mhtml",
    "mid",
    "mocha",
    "vbscript",
    "view-source",
    "wyciwyg",
];

/// Schemes without a dot that belong to the web, to a protocol or to the system, and to no app.
const TAKEN: [&str; 61] = [
    "acct",
    "afp",
    "android-app",
    "at",
    "brave",
    "callto",
    "chrome",
    "chrome-extension",
    "chrome-untrusted",
    "devtools",
    "did",
    "dns",
    "edge",
    "facetime",
    "feed",
    "ftp",
    "ftps",
    "geo",
    "git",
    "googlechrome",
    "googlechromes",
    "gopher",
    "hcp",
    "http",
    "https",
    "imap",
    "intent",
    "irc",
    "itms-apps",
    "itms-services",
    "ldap",
    "ldaps",
    "magnet",
    "mailto",
    "market",
    "microsoft-edge",
    "moz-extension",
    "news",
    "nfs",
    "nntp",
    "opaque",
    "res",
    "resource",
    "rtsp",
    "search-ms",
    "sftp",
    "shell",
    "sip",
    "sips",
    "smb",
    "sms",
    "smsto",
    "ssh",
    "svn",
    "tel",
    "telnet",
    "urn",
    "vnc",
    "ws",
    "wss",
    "xmpp",
];

/// Prefixes of the system's own handlers.
const SYSTEM: [&str; 3] = ["ms-", "x-apple", "web+"];

/// How an app may be named by a scheme. The scheme is in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrivateScheme {
    /// A domain name, reversed: the owner of the domain owns the name.
    Domain,
    /// A word: the first app that claims it on a device has it.
    Word,
}

impl PrivateScheme {
    /// Reads a scheme; `None`: no app can own it.
    pub(super) fn read(scheme: &str) -> Option<Self> {
        let first = scheme.split('.').next().unwrap_or_default();
        if CODE.contains(&first) || SYSTEM.iter().any(|start| scheme.starts_with(start)) {
            return None;
        }
        if scheme.contains('.') {
            return Some(Self::Domain);
        }
        (!TAKEN.contains(&scheme) && scheme.len() > 2).then_some(Self::Word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_apps() {
        for app in
            ["cursor", "vscode", "vscode-insiders", "raycast", "claude", "exp", "datadog", "filebrowser"]
        {
            assert_eq!(PrivateScheme::read(app), Some(PrivateScheme::Word), "{app}");
        }
        for app in ["com.example.app", "tel.example.app", "news.example", "app.javascript"] {
            assert_eq!(PrivateScheme::read(app), Some(PrivateScheme::Domain), "{app}");
        }
        let code = CODE
            .into_iter()
            .flat_map(|code| [code.to_owned(), format!("{code}.example"), format!("{code}.")]);
        let others = ["ms-msdt", "ms-settings", "x-apple.systempreferences", "web+app", "", "c", "ab"];
        for none in code.chain(TAKEN.into_iter().chain(others).map(str::to_owned)) {
            assert_eq!(PrivateScheme::read(&none), None, "{none}");
        }
    }
}
