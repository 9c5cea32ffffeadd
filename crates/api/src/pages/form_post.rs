//! The page that posts an answer to a client.

use askama::Template;

use super::assets::FORM_POST_JS_HREF;
use super::lang::Lang;
use super::shell::Shell;

/// Brings an answer to the client by a form (OAuth 2.0 Form Post Response Mode): a script sends it on,
/// and without scripts there is a button. The form leads to the client: serve it without `form-action`.
pub struct FormPostPage {
    /// The redirect URI.
    pub action: String,
    /// The fields. They may hold a code.
    pub fields: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPostView<'a> {
    shell: Shell,
    page: &'a FormPostPage,
    script: &'static str,
}

impl FormPostPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        FormPostView { shell: Shell::of(lang), page: self, script: FORM_POST_JS_HREF }.render()
    }
}
