//! The issuer that a registration at a provider is for.

use url::Url;

use crate::definition::Definition;
use crate::definition::kind::Kind;
use crate::definition::oauth::Endpoints;
use crate::fields::FieldValues;
use crate::values::fill::FillError;
use crate::values::url_template::UrlTemplate;

/// The authorization server of a definition, as far as its registrations are concerned.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationIssuer<'a> {
    /// The address that the definition names; `None`: the authorization server is found by discovery alone.
    address: Option<&'a UrlTemplate>,
    /// Whether the address is an issuer, and not that of the token endpoint.
    is_issuer: bool,
}

impl<'a> RegistrationIssuer<'a> {
    /// Reads it from a definition; `None`: a provider of this kind has no authorization server of its own.
    pub fn of(definition: &'a Definition) -> Option<Self> {
        match &definition.kind {
            Kind::Oidc(oidc) => Some(Self::at(&oidc.discovery.issuer, true)),
            Kind::Oauth2(oauth) => Some(match &oauth.endpoints {
                Endpoints::Discovered(discovery) => Self::at(&discovery.issuer, true),
                Endpoints::Fixed { token, .. } => Self::at(token, false),
            }),
            Kind::Mcp(_) => Some(Self { address: None, is_issuer: true }),
            Kind::Form(_) | Kind::Key(_) => None,
        }
    }

    const fn at(address: &'a UrlTemplate, is_issuer: bool) -> Self {
        Self { address: Some(address), is_issuer }
    }

    /// Whether the definition leaves the host open: then there are registrations at several issuers.
    pub fn is_open(&self) -> bool {
        self.address.is_none_or(|address| address.open().is_some())
    }

    /// The issuer of the values that users enter: an origin, unless they choose the host, where the path counts too.
    ///
    /// # Errors
    /// [`FillError`], for a value that is missing or leads elsewhere, and where nothing but discovery tells.
    pub fn filled(&self, fields: &FieldValues) -> Result<String, FillError> {
        if let Some(fixed) = self.fixed() {
            return Ok(fixed);
        }
        let address = self.address.ok_or(FillError::Discovered)?;
        let url = address.fill(|name| fields.get(name.as_str()))?;
        Ok(if self.is_issuer { trimmed(url.as_str()) } else { origin(&url) })
    }

    /// The issuer of registrations for an authorization at `issuer`, as metadata or this definition gives it.
    pub fn of_authorization(&self, issuer: &str) -> String {
        self.fixed().unwrap_or_else(|| trimmed(issuer))
    }

    /// The origin, if the definition names the host: then one registration serves whatever users enter.
    fn fixed(&self) -> Option<String> {
        let address = self.address.filter(|_| !self.is_open())?;
        Url::parse(&address.to_string()).ok().map(|url| origin(&url))
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn trimmed(issuer: &str) -> String {
    issuer.trim_end_matches('/').to_owned()
}

impl Definition {
    /// The host that users are sent to, where it comes from what is entered; `None`: the definition names it.
    pub fn chosen_host(&self, fields: &FieldValues) -> Option<String> {
        let address = match &self.kind {
            Kind::Oidc(oidc) => &oidc.discovery.issuer,
            Kind::Oauth2(oauth) => match &oauth.endpoints {
                Endpoints::Discovered(discovery) => &discovery.issuer,
                Endpoints::Fixed { authorization, .. } => authorization,
            },
            Kind::Mcp(mcp) => &mcp.url,
            Kind::Form(_) | Kind::Key(_) => return None,
        };
        address.open()?;
        let url = address.fill(|name| fields.get(name.as_str())).ok()?;
        url.host_str().map(str::to_owned)
    }

    /// The values of parameters that users do not enter.
    pub fn default_fields(&self) -> FieldValues {
        let with_default = |parameter: &crate::Parameter| {
            Some((parameter.name.as_str().to_owned(), parameter.default.clone()?))
        };
        self.parameters.iter().filter_map(with_default).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalog;

    fn issuer(name: &str, fields: &[(&str, &str)]) -> Result<String, FillError> {
        let catalog = Catalog::load(None).unwrap();
        let definition = &catalog.find(name).unwrap().definition;
        let mut values = definition.default_fields();
        values.extend(fields.iter().copied().collect());
        RegistrationIssuer::of(definition).unwrap().filled(&values)
    }

    #[test]
    fn a_registration_is_for_a_host_or_for_an_issuer_that_users_choose() {
        for (name, fields, expected) in [
            ("google", &[][..], "https://accounts.google.com"),
            ("facebook", &[], "https://graph.facebook.com"),
            ("microsoft", &[], "https://login.microsoftonline.com"),
            ("microsoft", &[("tenant", "contoso.example")], "https://login.microsoftonline.com"),
            ("gitlab", &[], "https://gitlab.com"),
            ("gitlab", &[("host", "gitlab.acme.example")], "https://gitlab.acme.example"),
            ("oidc", &[("issuer", "https://id.example/realms/a/")], "https://id.example/realms/a"),
        ] {
            assert_eq!(issuer(name, fields).as_deref(), Ok(expected), "{name}");
        }
        assert!(issuer("oidc", &[]).is_err());
    }

    #[test]
    fn a_host_is_chosen_where_the_definition_leaves_it_open() {
        let catalog = Catalog::load(None).unwrap();
        for (name, fields, expected) in [
            ("google", &[][..], None),
            ("microsoft", &[("tenant", "contoso.example")], None),
            ("gitlab", &[("host", "gitlab.acme.example")], Some("gitlab.acme.example")),
            ("oidc", &[("issuer", "https://id.example/realms/a/")], Some("id.example")),
        ] {
            let fields = fields.iter().copied().collect();
            let host = catalog.find(name).unwrap().definition.chosen_host(&fields);
            assert_eq!(host.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn metadata_leads_to_the_same_registration() {
        let catalog = Catalog::load(None).unwrap();
        for (name, metadata, expected) in [
            (
                "microsoft",
                "https://login.microsoftonline.com/{tenantid}/v2.0",
                "https://login.microsoftonline.com",
            ),
            ("google", "https://accounts.google.com", "https://accounts.google.com"),
            ("gitlab", "https://gitlab.acme.example", "https://gitlab.acme.example"),
            ("oidc", "https://id.example/realms/a", "https://id.example/realms/a"),
        ] {
            let definition = &catalog.find(name).unwrap().definition;
            assert_eq!(
                RegistrationIssuer::of(definition).unwrap().of_authorization(metadata),
                expected,
                "{name}"
            );
        }
    }
}
