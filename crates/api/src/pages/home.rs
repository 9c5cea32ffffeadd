//! The pages at `/`.

use askama::Template;

use super::lang::Lang;
use super::shell::Shell;

/// The page at `/` in demo mode: a whole sign-in as an ordinary public client, run by [`DEMO_JS`].
#[derive(Clone)]
pub struct DemoPage {
    /// This server's issuer, an origin.
    pub issuer: String,
    /// The public client whose redirect URI is the issuer with a slash.
    pub client_id: String,
}

#[derive(Template)]
#[template(path = "demo.html")]
struct DemoView<'a> {
    shell: Shell,
    page: &'a DemoPage,
}

impl DemoPage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        DemoView { shell: Shell::of(lang), page: self }.render()
    }
}

/// The page at `/` when the demo is off.
#[derive(Clone)]
pub struct HomePage {
    /// This server's issuer, an origin.
    pub issuer: String,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomeView<'a> {
    shell: Shell,
    page: &'a HomePage,
}

impl HomePage {
    /// The page as HTML.
    pub fn render(&self, lang: Lang) -> Result<String, askama::Error> {
        HomeView { shell: Shell::of(lang), page: self }.render()
    }
}
