//! Definitions: each group of keys as it is in the file (`Raw…`) and after the checks.

pub(crate) mod account;
pub(crate) mod answer;
pub(crate) mod capture;
pub(crate) mod form;
pub(crate) mod form_field;
pub(crate) mod head;
pub(crate) mod key;
pub(crate) mod kind;
pub(crate) mod lifetime;
pub(crate) mod mcp;
pub(crate) mod oauth;
pub(crate) mod parameter;
pub(crate) mod refresh;
pub(crate) mod registration;
pub(crate) mod relay;
pub(crate) mod request;
pub(crate) mod revocation;
pub(crate) mod rule;

use crate::check::Check;
use crate::error::{InvalidDefinition, Problem};
use crate::nearest::suggest;
use crate::read::Document;
use form::RawForm;
use head::Head;
use key::RawKey;
use kind::{Kind, KindName};
use mcp::RawMcp;
use oauth::{RawOauth2, RawOidc};
use parameter::Parameter;

/// A provider, checked: what is here can be used as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The name that users see.
    pub title: String,
    /// The page of the provider that the definition was written from.
    pub documentation: Option<String>,
    /// Parameters that users enter before they connect.
    pub parameters: Vec<Parameter>,
    /// Everything else, which depends on the kind.
    pub kind: Kind,
}

impl Definition {
    /// Parses and checks a definition. `file` names it in errors.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: &str, text: &str) -> Result<Self, InvalidDefinition> {
        let refuse = |problems: Vec<Problem>| InvalidDefinition { file: file.to_owned(), problems };
        let mut document = Document::parse(text).map_err(refuse)?;
        let checked = Self::check(&mut document);
        match (checked, document.into_problems()) {
            (Some(definition), problems) if problems.is_empty() => Ok(definition),
            (_, problems) => Err(refuse(problems)),
        }
    }

    fn check(document: &mut Document<'_>) -> Option<Self> {
        let kind = document.take_text("kind");
        let known = KindName::ALL.map(KindName::as_str);
        let Some(kind) = kind else {
            document.report(
                "kind",
                "is missing or not a string",
                format!("use one of: {}", known.join(", ")),
            );
            return None;
        };
        match KindName::parse(&kind) {
            Some(KindName::Oauth2) => {
                let (head, rest) = document.read::<RawOauth2>().split();
                Self::build(document, head, |check| rest.check(check).map(|it| Kind::Oauth2(Box::new(it))))
            }
            Some(KindName::Oidc) => {
                let (head, rest) = document.read::<RawOidc>().split();
                Self::build(document, head, |check| rest.check(check).map(|it| Kind::Oidc(Box::new(it))))
            }
            Some(KindName::Mcp) => {
                let (head, rest) = document.read::<RawMcp>().split();
                Self::build(document, head, |check| rest.check(check).map(|it| Kind::Mcp(Box::new(it))))
            }
            Some(KindName::Form) => {
                let (head, rest) = document.read::<RawForm>().split();
                Self::build(document, head, |check| rest.check(check).map(|it| Kind::Form(Box::new(it))))
            }
            Some(KindName::Key) => {
                let (head, rest) = document.read::<RawKey>().split();
                Self::build(document, head, |check| rest.check(check).map(|it| Kind::Key(Box::new(it))))
            }
            None => {
                document.report("kind", format!("unknown kind {kind:?}"), suggest(&kind, known));
                None
            }
        }
    }

    fn build(
        document: &mut Document<'_>,
        head: Head,
        kind: impl FnOnce(&mut Check<'_, '_>) -> Option<Kind>,
    ) -> Option<Self> {
        let mut check = Check::new(document);
        let parameters = parameter::check(head.parameters, &mut check);
        let kind = kind(&mut check);
        let fix = "write the name that users see, such as title = \"Example\"";
        let title = check.required("title", head.title.filter(|title| !title.trim().is_empty()), fix);
        if head.documentation.as_ref().is_some_and(|url| !url.starts_with("https://")) {
            check.report(
                "documentation",
                "is not an https address",
                "write the address of the provider's page",
            );
        }
        Some(Self { title: title?, documentation: head.documentation, parameters: parameters?, kind: kind? })
    }
}
