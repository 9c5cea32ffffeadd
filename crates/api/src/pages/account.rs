//! The account page: which apps have access, and how to end it.

use askama::Template;
use causeway_types::Timestamp;

use super::consent::AskedScopes;
use super::lang::Lang;
use super::notice::AccountNotice;
use super::shell::{Client, Shell};
use super::text::{Around, Text};
use super::time;

/// The page at `/account`. Its forms post to `/account/…` and carry the token of their browser.
#[derive(Clone)]
pub struct AccountPage {
    /// Proves that a form was made for this browser.
    pub form_token: String,
    /// The accounts.
    pub accounts: Vec<AccountCard>,
    /// The outcome of the last action.
    pub notice: Option<AccountNotice>,
    /// The time.
    pub now: Timestamp,
}

/// One account and the apps that have access to it.
#[derive(Clone)]
pub struct AccountCard {
    /// The account.
    pub did: String,
    /// The handle, if it is verified in both directions.
    pub handle: Option<String>,
    /// Seconds for which all its sessions are shown; `None`: only those that began in this browser.
    pub proven_seconds: Option<i64>,
    /// The apps.
    pub apps: Vec<AppLine>,
}

/// One app's access.
#[derive(Clone)]
pub struct AppLine {
    /// Names the session; sent back in the hidden field `session`.
    pub session: String,
    /// The name that the client gave itself; not to be trusted.
    pub name: String,
    /// The host that its answers go to.
    pub host: String,
    /// Whether it is a background session, which continues without the user.
    pub background: bool,
    /// Whether the authorization server has ended it: the user has to sign in again.
    pub needs_sign_in: bool,
    /// Whether it began in this browser.
    pub began_here: bool,
    /// When it began.
    pub since: Timestamp,
    /// When it was last used.
    pub last_used: Timestamp,
    /// The granted scopes, in words.
    pub scopes: AskedScopes,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountView<'a> {
    shell: Shell,
    page: &'a AccountPage,
    notice: Option<&'static str>,
    trouble: bool,
    cards: Vec<Card<'a>>,
}

struct Card<'a> {
    account: &'a AccountCard,
    apps: Vec<App<'a>>,
    /// How long all sessions are shown, in words.
    proven: Option<String>,
    has_background: bool,
}

struct App<'a> {
    line: &'a AppLine,
    client: Client<'a>,
    since: Moment,
    last_used: Moment,
    /// The label of the button.
    end: Around,
}

/// A time in words and in machine-readable form.
struct Moment {
    words: String,
    iso: String,
}

impl AccountPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        let text = lang.text();
        let cards = self.accounts.iter().map(|account| self.card(account, text)).collect();
        let notice = self.notice.map(text.account.notice);
        let trouble = self.notice.is_some_and(AccountNotice::is_trouble);
        AccountView { shell: Shell::of(lang), page: self, notice, trouble, cards }.render()
    }

    fn card<'a>(&self, account: &'a AccountCard, text: &Text) -> Card<'a> {
        let app = |line: &'a AppLine| App {
            line,
            client: Client::new(&line.name, &line.host),
            end: if line.background { text.account.end_background } else { text.account.end_device },
            since: Moment { words: (text.account.date)(line.since), iso: time::iso(line.since) },
            last_used: Moment {
                words: (text.account.ago)(self.now.since(line.last_used)),
                iso: time::iso(line.last_used),
            },
        };
        Card {
            account,
            apps: account.apps.iter().map(app).collect(),
            proven: account.proven_seconds.map(|seconds| (text.account.proven)(minutes(seconds))),
            has_background: account.apps.iter().any(|line| line.background),
        }
    }
}

/// Full minutes, one at least.
fn minutes(seconds: i64) -> i64 {
    (seconds / 60).max(1)
}
