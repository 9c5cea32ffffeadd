//! The account page: which apps have access, and how to end it.

use askama::Template;
use causeway_domain::Timestamp;

use super::text::{Around, Text};
use super::{AskedScopes, Client, Lang, Shell, time};

/// The page at `/account`. Its forms post to `/account/…` and carry the token of their browser.
#[derive(Clone)]
pub struct AccountPage {
    /// Proves that a form was made for this browser.
    pub form_token: String,
    /// The accounts.
    pub accounts: Vec<AccountCard>,
    /// What has just happened.
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
    /// For how many seconds everything of it is shown; `None`: only what began in this browser is.
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
    /// Whether it goes on without the person.
    pub background: bool,
    /// Whether the person's server has ended it: they have to sign in again.
    pub needs_sign_in: bool,
    /// Whether it began in this browser.
    pub began_here: bool,
    /// When it began.
    pub since: Timestamp,
    /// When it was last used.
    pub last_used: Timestamp,
    /// What it allows, in words.
    pub scopes: AskedScopes,
}

/// What has just happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountNotice {
    /// One session was ended.
    Ended,
    /// All of an account were.
    EndedAll,
    /// There was nothing to end any more.
    Gone,
    /// The proof of the account has run out.
    NotProven,
    /// The sign-in that proves an account did not come to its end.
    NotSignedIn,
    /// The page shows only this browser again.
    Left,
}

impl AccountNotice {
    const ALL: [Self; 6] =
        [Self::Ended, Self::EndedAll, Self::Gone, Self::NotProven, Self::NotSignedIn, Self::Left];

    /// The form in the page's address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::EndedAll => "ended-all",
            Self::Gone => "gone",
            Self::NotProven => "not-proven",
            Self::NotSignedIn => "not-signed-in",
            Self::Left => "left",
        }
    }

    /// Reads the form in the page's address.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|notice| notice.as_str() == value)
    }

    /// Whether it is bad news.
    const fn is_trouble(self) -> bool {
        matches!(self, Self::Gone | Self::NotProven | Self::NotSignedIn)
    }
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
    /// Until when everything is shown.
    proven: Option<String>,
    has_background: bool,
}

struct App<'a> {
    line: &'a AppLine,
    client: Client<'a>,
    since: Moment,
    last_used: Moment,
    /// What the button says.
    end: Around,
}

/// A time for people and for machines.
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
