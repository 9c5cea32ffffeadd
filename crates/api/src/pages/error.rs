//! The error page.

use askama::Template;
use causeway_flow::ClientAnswer;

use super::host::host_of;
use super::lang::Lang;
use super::problem::Problem;
use super::shell::Shell;
use super::text::ProblemWords;

/// Says what happened and what to do about it.
#[derive(Clone)]
pub struct ErrorPage {
    /// The HTTP status that the page is sent with.
    pub status: u16,
    /// The problem.
    pub problem: Problem,
    /// Details for the developers of the app that is at fault, in English.
    pub detail: Option<String>,
    /// The error code, as an OAuth client would see it.
    pub code: String,
    /// The request id, for finding the request in the log.
    pub request_id: String,
    /// Where the user may go on to.
    pub onward: Option<Onward>,
}

/// A link or form that leads on to an app with an answer for it; the user need not trust the app.
#[derive(Clone)]
pub struct Onward {
    /// The host that it leads to.
    pub host: String,
    /// The address.
    pub address: String,
    /// The fields of a form that leads there; `None`: a link.
    pub fields: Option<Vec<(&'static str, String)>>,
}

impl Onward {
    /// A link.
    pub fn to(address: String) -> Self {
        Self { host: host_of(&address), address, fields: None }
    }

    /// A link or form for an answer.
    pub fn of(answer: ClientAnswer) -> Self {
        match answer {
            ClientAnswer::Redirect(address) => Self::to(address),
            ClientAnswer::FormPost { action, fields, .. } => {
                Self { fields: Some(fields), ..Self::to(action) }
            }
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorView<'a> {
    shell: Shell,
    page: &'a ErrorPage,
    words: ProblemWords,
}

impl ErrorPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        let words = (lang.text().error.problem)(self.problem);
        ErrorView { shell: Shell::of(lang), page: self, words }.render()
    }
}
