//! The page about a request to delete data.

use askama::Template;

use super::lang::Lang;
use super::shell::Shell;

/// Says whether a request to delete data is carried out.
#[derive(Clone, Copy)]
pub struct DataDeletionPage {
    /// Whether it is.
    pub is_done: bool,
}

#[derive(Template)]
#[template(path = "data_deletion.html")]
struct View {
    shell: Shell,
    is_done: bool,
}

impl DataDeletionPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        View { shell: Shell::of(lang), is_done: self.is_done }.render()
    }
}
