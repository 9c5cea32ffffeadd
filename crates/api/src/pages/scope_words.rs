//! Plain words for scopes, for users who have never heard of scopes.
//!
//! The words never promise less than the scope gives. What is the same to a user is said once, and a
//! permission that gives broad access names its risk.

use std::collections::BTreeMap;

use causeway_domain::resource::ResourceScopes;
use causeway_types::scope::{
    AccountAction, AccountAttr, Audience, BlobScope, IdentityAttr, IncludeScope, Names, OwnScope, RepoAction,
    RepoScope, ResourceScope, RpcScope, ScopeValue, Service, Transition,
};
use causeway_types::{Nsid, Scope};

use super::text::{Around, Scopes};

/// The scopes of one kind that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeGroup {
    /// The kind.
    pub title: String,
    /// The permissions of this kind.
    pub lines: Vec<ScopeLine>,
}

/// One permission that a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeLine {
    /// The permission.
    pub words: String,
    /// The items that the words call "these".
    pub items: Vec<ScopeItem>,
    /// The risk, when it gives broad access.
    pub risk: Option<String>,
}

/// One of several items, in words where there are any, and by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeItem {
    /// The words; empty when there are none.
    pub words: String,
    /// The name.
    pub name: String,
}

/// Describes a scope. `contents` is the scope that the authorization server granted: it lists the contents
/// of permission sets.
pub(super) fn describe(
    scope: &Scope,
    contents: &Scope,
    resource_scopes: &ResourceScopes,
    text: &Scopes,
) -> Vec<ScopeGroup> {
    let mut words = Words { text, resource_scopes, groups: BTreeMap::new() };
    // A value that another one covers adds nothing.
    for value in scope.normalized().iter() {
        words.add(value, contents);
    }
    words.finish()
}

/// The kinds, in the order in which they are shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Identity,
    Records,
    Files,
    Services,
    Account,
    Sets,
    Resources,
    Absence,
}

/// Lines that can be put together are kept under what they have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    /// Which account it is: stands before all else.
    Account,
    Plain(String),
    Records(Vec<RepoAction>),
    Calls(Option<Service>),
}

struct Words<'a> {
    text: &'a Scopes,
    resource_scopes: &'a ResourceScopes,
    groups: BTreeMap<Group, BTreeMap<Line, ScopeLine>>,
}

impl Words<'_> {
    fn add(&mut self, value: &ScopeValue, contents: &Scope) {
        let t = self.text;
        match value {
            ScopeValue::Atproto | ScopeValue::Own(OwnScope::Openid | OwnScope::Profile) => {
                t.identity.clone_into(&mut self.line(Group::Identity, Line::Account).words);
            }
            ScopeValue::Own(OwnScope::Email) | ScopeValue::Transition(Transition::Email) => {
                self.plain(Group::Identity, t.email, None);
            }
            ScopeValue::Own(OwnScope::BackgroundAccess) => self.plain(Group::Absence, t.background, None),
            // Nothing that a user could notice.
            ScopeValue::Own(OwnScope::OfflineAccess | OwnScope::Address | OwnScope::Phone) => {}
            ScopeValue::Transition(Transition::Generic) => {
                self.plain(Group::Records, t.generic, Some(t.generic_risk));
            }
            ScopeValue::Transition(Transition::ChatBsky) => {
                self.plain(Group::Services, t.chat, Some(t.chat_risk));
            }
            ScopeValue::Repo(repo) => self.repo(repo),
            ScopeValue::Rpc(rpc) => self.rpc(rpc),
            ScopeValue::Blob(blob) => self.blob(blob),
            ScopeValue::Account(account) => {
                let (group, words, risk) = match (account.attr, account.action) {
                    (AccountAttr::Email, AccountAction::Read) => (Group::Identity, t.email, None),
                    (AccountAttr::Email, AccountAction::Manage) => {
                        (Group::Account, t.email_manage, Some(t.email_manage_risk))
                    }
                    (AccountAttr::Repo, AccountAction::Read) => (Group::Account, t.repo_read, None),
                    (AccountAttr::Repo, AccountAction::Manage) => {
                        (Group::Account, t.repo_manage, Some(t.repo_manage_risk))
                    }
                    (AccountAttr::Status, AccountAction::Read) => (Group::Account, t.status_read, None),
                    (AccountAttr::Status, AccountAction::Manage) => {
                        (Group::Account, t.status_manage, Some(t.status_manage_risk))
                    }
                };
                self.plain(group, words, risk);
            }
            ScopeValue::Identity(identity) => match identity.attr {
                IdentityAttr::Handle => self.plain(Group::Account, t.handle, Some(t.handle_risk)),
                IdentityAttr::Any => self.plain(Group::Account, t.identity_any, Some(t.identity_any_risk)),
            },
            ScopeValue::Include(include) => self.include(include, contents),
            ScopeValue::Resource(name) => self.resource(name),
        }
    }

    fn line(&mut self, group: Group, line: Line) -> &mut ScopeLine {
        self.groups.entry(group).or_default().entry(line).or_default()
    }

    fn plain(&mut self, group: Group, words: impl Into<String>, risk: Option<&str>) {
        let words = words.into();
        let line = self.line(group, Line::Plain(words.clone()));
        line.words = words;
        line.risk = risk.map(str::to_owned);
    }

    fn repo(&mut self, repo: &RepoScope) {
        let (t, actions) = (self.text, repo.actions().collect::<Vec<_>>());
        match repo.collections() {
            Names::Any => {
                let words = t.records_any[index(&actions)];
                self.plain(Group::Records, words, Some(t.records_any_risk));
            }
            Names::Only(names) => {
                let line = self.line(Group::Records, Line::Records(actions.clone()));
                t.records[index(&actions)].clone_into(&mut line.words);
                line.items.extend(names.iter().map(|name| item(name, t.kinds)));
            }
        }
    }

    fn rpc(&mut self, rpc: &RpcScope) {
        let t = self.text;
        let service = match rpc.audience() {
            Audience::Any => None,
            Audience::Only(service) => Some(service.clone()),
        };
        match (rpc.methods(), &service) {
            (Names::Any, Some(service)) => {
                let words = around(t.calls_any, &service_name(service));
                self.plain(Group::Services, words, Some(t.calls_any_risk));
            }
            (Names::Any, None) => self.plain(Group::Services, t.calls_anywhere, Some(t.calls_any_risk)),
            (Names::Only(names), _) => {
                let words = service.as_ref().map_or_else(
                    || t.calls_anywhere.to_owned(),
                    |service| around(t.calls, &service_name(service)),
                );
                let line = self.line(Group::Services, Line::Calls(service));
                line.words = words;
                line.items.extend(names.iter().map(|name| item(name, &[])));
            }
        }
    }

    fn blob(&mut self, blob: &BlobScope) {
        let t = self.text;
        for range in blob.accept() {
            let words = match range.as_str().split_once('/') {
                Some(("*", _)) => t.files_any.to_owned(),
                Some(("image", "*")) => t.images.to_owned(),
                Some(("video", "*")) => t.videos.to_owned(),
                Some(("audio", "*")) => t.audio.to_owned(),
                _ => around(t.files, range.as_str()),
            };
            self.plain(Group::Files, words, None);
        }
    }

    /// Adds the contents of a permission set, as the authorization server granted them, under the set's name.
    fn include(&mut self, include: &IncludeScope, contents: &Scope) {
        let t = self.text;
        let inside: Scope = contents.iter().filter(|value| include.may_contain(value)).cloned().collect();
        let mut words = around(t.set, include.nsid().as_str());
        if let Some(service) = include.audience() {
            words.push_str(&around(t.set_service, &service_name(service)));
        }
        let of_line = |line: ScopeLine| -> Vec<ScopeItem> {
            let names: Vec<_> = line.items.into_iter().map(|item| item.name).collect();
            vec![ScopeItem { words: line.words, name: names.join(", ") }]
        };
        let items: Vec<_> = describe(&inside, &Scope::default(), self.resource_scopes, t)
            .into_iter()
            .flat_map(|group| group.lines)
            .flat_map(of_line)
            .collect();
        words.push_str(if items.is_empty() { t.set_unknown } else { t.set_known });
        let line = self.line(Group::Sets, Line::Plain(words.clone()));
        *line = ScopeLine { words, items, risk: None };
    }

    /// Adds a resource scope in the operator's words, with the resource and the name.
    fn resource(&mut self, name: &ResourceScope) {
        let declared = self.resource_scopes.find(name);
        let words = declared.map_or_else(|| name.to_string(), |declared| declared.text.clone());
        let at = declared.map_or_else(String::new, |declared| declared.resource.to_string());
        let line = self.line(Group::Resources, Line::Plain(name.to_string()));
        *line = ScopeLine { words, items: vec![ScopeItem { words: at, name: name.to_string() }], risk: None };
    }

    fn finish(self) -> Vec<ScopeGroup> {
        let t = self.text;
        let title = |group| match group {
            Group::Identity => t.about_you,
            Group::Records => t.about_records,
            Group::Files => t.about_files,
            Group::Services => t.about_services,
            Group::Account => t.about_account,
            Group::Sets => t.about_sets,
            Group::Resources => t.about_resources,
            Group::Absence => t.about_absence,
        };
        let sorted = |(line, mut said): (Line, ScopeLine)| {
            if !matches!(line, Line::Plain(_)) {
                said.items.sort_by(|a, b| a.name.cmp(&b.name));
                said.items.dedup();
            }
            said
        };
        self.groups
            .into_iter()
            .map(|(group, lines)| ScopeGroup {
                title: title(group).to_owned(),
                lines: lines.into_iter().map(sorted).collect(),
            })
            .collect()
    }
}

/// The index in a table of the words for a set of actions.
fn index(actions: &[RepoAction]) -> usize {
    let bit = |action: &RepoAction| match action {
        RepoAction::Create => 1,
        RepoAction::Update => 2,
        RepoAction::Delete => 4,
    };
    actions.iter().map(bit).sum()
}

fn item(name: &Nsid, kinds: &[(&str, &str)]) -> ScopeItem {
    let words = kinds.iter().find(|(kind, _)| name.is(kind)).map_or("", |(_, words)| words);
    ScopeItem { words: words.to_owned(), name: name.to_string() }
}

/// A service by the host of its `did:web`, without the fragment that names the kind of service.
fn service_name(service: &Service) -> String {
    let (did, _) = service.parts();
    did.strip_prefix("did:web:").unwrap_or(did).replace("%3A", ":").replace("%3a", ":")
}

fn around((before, after): Around, value: &str) -> String {
    format!("{before}{value}{after}")
}

#[cfg(test)]
mod tests {
    use super::super::text::en::EN;
    use super::*;

    /// Title: words [items] (risk), a line each.
    fn said_of(scope: &str, contents: &str) -> Vec<String> {
        let read = |text| Scope::parse_asked(text).unwrap();
        let notes = "https://notes.example/mcp notes:read Read your notes.";
        let declared = ResourceScopes::parse(&[notes]).unwrap();
        let mut said = Vec::new();
        for group in describe(&read(scope), &read(contents), &declared, &EN.scopes) {
            for line in group.lines {
                let items =
                    line.items.iter().map(|item| format!("{} {}", item.words, item.name).trim().to_owned());
                let items = items.collect::<Vec<_>>().join("; ");
                let items = if items.is_empty() { items } else { format!(" [{items}]") };
                let risk = if line.risk.is_some() { " (!)" } else { "" };
                said.push(format!("{}: {}{items}{risk}", group.title, line.words));
            }
        }
        said
    }

    #[test]
    fn what_everybody_asks_for() {
        let said =
            said_of("atproto openid profile offline_access transition:generic transition:email email", "");
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("DID") && said[1].contains("email address"));
        assert!(said[2].contains("nearly everything") && said[2].ends_with("(!)"));
        assert!(said_of("atproto background_access", "")[1].contains("while you are away"));
    }

    /// The table in the documentation matches the page.
    #[test]
    fn the_documented_words() {
        let table = include_str!("../../../../docs/src/scopes.md");
        let rows = table.lines().skip_while(|line| !line.starts_with("| scope |")).skip(2);
        let mut seen = 0;
        for row in rows.take_while(|line| line.starts_with('|')) {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [scope, words, note] = cells[..] else { panic!("{row}") };
            let scope = Scope::parse(scope.trim_matches('`')).unwrap();
            let groups = describe(&scope, &Scope::default(), &ResourceScopes::default(), &EN.scopes);
            let said = groups.first().map_or_else(ScopeLine::default, |group| group.lines[0].clone());
            assert_eq!(said.words, words, "{row}");
            let marked = note == "broad access" || note.ends_with("; broad access");
            assert_eq!(said.risk.is_some(), marked, "{row}");
            seen += 1;
        }
        assert!(seen > 20, "{seen}");
    }

    #[test]
    fn narrow_scopes_are_put_together() {
        let said = said_of(
            "repo:app.bsky.feed.post repo?collection=com.example.note&collection=app.bsky.feed.like \
             repo:app.bsky.graph.follow?action=create&action=delete blob?accept=image/*&accept=text/html \
             rpc:app.bsky.feed.getTimeline?aud=did:web:api.bsky.app%23bsky_appview \
             rpc:app.bsky.actor.getProfile?aud=did:web:api.bsky.app%23bsky_appview rpc:com.example.ping?aud=*",
            "",
        );
        assert_eq!(
            said,
            [
                "Your posts and other records: Create, change and delete records of these kinds: \
                 [likes app.bsky.feed.like; posts app.bsky.feed.post; com.example.note]",
                "Your posts and other records: Create and delete records of these kinds: [follows app.bsky.graph.follow]",
                "Files: Upload files of the type text/html.",
                "Files: Upload images.",
                "Services on your behalf: Use these functions of any service on your behalf: [com.example.ping]",
                "Services on your behalf: Use these functions of the service api.bsky.app on your behalf: \
                 [app.bsky.actor.getProfile; app.bsky.feed.getTimeline]",
            ]
        );
    }

    /// Resource scopes are in the operator's words; one that the operator has since removed is shown by its name.
    #[test]
    fn scopes_of_resources() {
        assert_eq!(
            said_of("gone:x notes:read", ""),
            [
                "At other services: gone:x [gone:x]",
                "At other services: Read your notes. [https://notes.example/mcp notes:read]",
            ]
        );
    }

    #[test]
    fn what_is_covered_is_not_said() {
        assert_eq!(said_of("repo:* repo:app.bsky.feed.post blob:*/* blob:image/png", "").len(), 2);
        assert_eq!(said_of("transition:generic repo:app.bsky.feed.post", "").len(), 1);
    }

    #[test]
    fn what_is_far_reaching_is_marked() {
        for risky in [
            "repo:*",
            "repo:*?action=delete",
            "transition:generic",
            "transition:chat.bsky",
            "identity:*",
            "identity:handle",
            "account:repo?action=manage",
            "account:email?action=manage",
            "account:status?action=manage",
            "rpc:*?aud=did:web:a.example%23x",
        ] {
            let said = said_of(risky, "");
            assert!(said.len() == 1 && said[0].ends_with(" (!)"), "{said:?}");
        }
        for tame in [
            "atproto",
            "repo:a.b.c",
            "account:email",
            "account:repo",
            "account:status",
            "blob:*/*",
            "rpc:a.b.c?aud=*",
            "include:a.b.c",
            "background_access",
        ] {
            let said = said_of(tame, "");
            assert!(said.len() == 1 && !said[0].ends_with(" (!)"), "{said:?}");
        }
    }

    #[test]
    fn a_permission_set_says_what_is_in_it() {
        let set = "include:app.example.auth?aud=did:web:api.example%23x";
        assert_eq!(
            said_of(
                set,
                "atproto repo:app.example.note repo:app.example.like repo:com.other.x rpc:app.example.get?aud=*"
            ),
            [
                "Permission sets: Everything in the permission set app.example.auth, with the service api.example: \
              [Create, change and delete records of these kinds: app.example.like, app.example.note; \
              Use these functions of any service on your behalf: app.example.get]"
            ]
        );
        assert_eq!(
            said_of("include:app.example.auth", "atproto"),
            [
                "Permission sets: Everything in the permission set app.example.auth. Only your account provider knows what it contains."
            ]
        );
    }
}
