//! Resource indicators (RFC 8707): where a token is to be used.

use url::Url;

use crate::claims::TokenAudience;
use crate::mcp_endpoint::McpEndpoint;

/// The longest resource that is taken, in bytes.
const MAX_BYTES: usize = 2048;

/// Why a token cannot be issued for a resource. The texts are for an `error_description`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// Not an absolute URI without a fragment (RFC 8707 section 2).
    #[error(
        "resource must be an absolute URI without a fragment, in ASCII, of at most {MAX_BYTES} characters"
    )]
    Malformed,
    /// Too many of them.
    #[error("resource may be sent at most {} times", Resources::MAX)]
    TooMany,
}

/// A resource, byte for byte as the client named it: it becomes the `aud` of a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource(String);

impl Resource {
    /// Reads a resource of a request.
    ///
    /// ```
    /// use causeway_types::Resource;
    /// assert!(Resource::parse("https://api.example/v1").is_ok());
    /// assert!(Resource::parse("/v1").is_err());
    /// assert!(Resource::parse("https://api.example/#v1").is_err());
    /// ```
    ///
    /// # Errors
    /// [`ResourceError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ResourceError> {
        let plain = (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        // The fragment's mark alone is one: an empty fragment is a fragment.
        if !plain || text.contains('#') || Url::parse(text).is_err() {
            return Err(ResourceError::Malformed);
        }
        Ok(Self(text.to_owned()))
    }

    /// The resource as it was named.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the same but for a slash at the end, which clients add and leave out as their URL libraries do.
    pub fn is_same(&self, other: &Self) -> bool {
        fn bare(text: &str) -> &str {
            if text.contains('?') { text } else { text.strip_suffix('/').unwrap_or(text) }
        }
        bare(&self.0) == bare(&other.0)
    }

    /// Whether it is the server with this issuer, or something below it. An issuer is an origin.
    pub fn is_of(&self, issuer: &str) -> bool {
        self.at(issuer).is_some()
    }

    /// Its path, if it is the server with this issuer or something below it, without a query.
    pub(crate) fn path_at(&self, issuer: &str) -> Option<String> {
        self.at(issuer).filter(|url| url.query().is_none()).map(|url| url.path().to_owned())
    }

    /// Whether a token for it may be used at the server with this issuer itself. What is below `/mcp/` is a resource of its
    /// own: a token for it is of no use elsewhere.
    fn is_server(&self, issuer: &str) -> bool {
        self.at(issuer).is_some_and(|url| !url.path().starts_with(McpEndpoint::PREFIX))
    }

    fn at(&self, issuer: &str) -> Option<Url> {
        let url = Url::parse(&self.0).ok()?;
        let plain = url.username().is_empty() && url.password().is_none();
        let is_there = plain && url.origin().is_tuple() && url.origin().ascii_serialization() == issuer;
        is_there.then_some(url)
    }
}

text_type!(Resource, ResourceError);

/// The resources that a grant or a token names, in the order in which they were named. None at all means the
/// server itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources(Vec<Resource>);

impl Resources {
    /// The most that a request may name.
    pub const MAX: usize = 8;

    /// Reads the resources of a request; repeats count once.
    ///
    /// # Errors
    /// [`ResourceError`].
    pub fn parse<T: AsRef<str>>(named: &[T]) -> Result<Self, ResourceError> {
        if named.len() > Self::MAX {
            return Err(ResourceError::TooMany);
        }
        named.iter().map(|resource| Resource::parse(resource.as_ref())).collect()
    }

    /// Reads the form of tables, as [`Resources::to_stored`] writes it.
    pub fn from_stored(text: Option<&str>) -> Option<Self> {
        let parse = |text| Resource::parse(text).ok();
        text.unwrap_or_default()
            .split(' ')
            .filter(|text| !text.is_empty())
            .map(parse)
            .collect::<Option<_>>()
            .map(Self)
    }

    /// The form of tables: separated by spaces, which no resource holds; `None` for none at all.
    pub fn to_stored(&self) -> Option<String> {
        let names: Vec<&str> = self.iter().map(Resource::as_str).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.0.iter()
    }

    /// Whether none is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a token for these may be used at the server with this issuer (RFC 9068 section 4), except at its MCP
    /// endpoints: each of those is a resource of its own.
    pub fn admit(&self, issuer: &str) -> bool {
        self.is_empty() || self.iter().any(|resource| resource.is_server(issuer))
    }

    /// Whether a token for these may be used at an MCP endpoint of the server with this issuer: it names that endpoint.
    pub fn admit_at(&self, issuer: &str, endpoint: &McpEndpoint) -> bool {
        self.mcp_endpoints(issuer).any(|named| named == *endpoint)
    }

    /// The MCP endpoints of the server with this issuer that are among them.
    pub fn mcp_endpoints(&self, issuer: &str) -> impl Iterator<Item = McpEndpoint> {
        self.iter().filter_map(move |resource| McpEndpoint::of_resource(resource, issuer))
    }

    /// Narrows the granted resources, `self`, to those that a token request asks for (RFC 8707 section 2.2),
    /// in the form in which they were granted; all of them when it asks for none. A grant that names none is
    /// for the server itself and the resources below it, but no MCP endpoint: those are named when the user is asked.
    /// `None` when a resource was not granted.
    pub fn narrow(&self, asked: &Self, issuer: &str) -> Option<Self> {
        let granted = |resource: &Resource| {
            if self.is_empty() {
                resource.is_server(issuer).then(|| resource.clone())
            } else {
                self.0.iter().find(|granted| granted.is_same(resource)).cloned()
            }
        };
        match asked {
            nothing if nothing.is_empty() => Some(self.clone()),
            asked => asked.iter().map(granted).collect(),
        }
    }

    /// The `aud` of a token for these: the server with this issuer where none is named.
    pub fn audience(&self, issuer: &str) -> TokenAudience {
        if self.is_empty() { issuer.into() } else { self.iter().map(Resource::as_str).collect() }
    }
}

impl FromIterator<Resource> for Resources {
    /// Repeats count once.
    fn from_iter<I: IntoIterator<Item = Resource>>(resources: I) -> Self {
        let mut all = Self::default();
        for resource in resources {
            if !all.0.contains(&resource) {
                all.0.push(resource);
            }
        }
        all
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Resource;
    type IntoIter = std::slice::Iter<'a, Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl McpEndpoint {
    /// The endpoint that a resource is; `None`: it is another resource than an MCP endpoint of the server with this issuer.
    pub fn of_resource(resource: &Resource, issuer: &str) -> Option<Self> {
        let path = resource.path_at(issuer)?;
        Self::of_path(&path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::assert_text_type;

    #[test]
    fn conversions() {
        assert_text_type::<Resource>(
            &["https://a.example", "https://a.example/", "urn:a:b"],
            &["", "/a", "a b"],
        );
    }

    const ISSUER: &str = "https://as.example";

    fn resources(named: &[&str]) -> Resources {
        Resources::parse(named).unwrap()
    }

    #[test]
    fn what_a_resource_is() {
        for good in ["https://a.example", "https://a.example/b?c=d", "urn:example:api", "http://127.0.0.1:1/"]
        {
            assert_eq!(Resource::parse(good).map(|resource| resource.to_string()).as_deref(), Ok(good));
        }
        for bad in
            ["", "a", "/a", "//a.example", "https://a.example/#", "https://a.example/ b", "https://ä.example"]
        {
            assert_eq!(Resource::parse(bad), Err(ResourceError::Malformed), "{bad}");
        }
        let longest = format!("urn:a:{}", "b".repeat(MAX_BYTES - 6));
        assert_eq!(Resource::parse(&longest).map(|resource| resource.as_str().len()), Ok(2048));
        assert_eq!(Resource::parse(&format!("{longest}b")), Err(ResourceError::Malformed));
        assert_eq!(Resources::parse(&["urn:a:b"; 8]).map(|resources| resources.iter().len()), Ok(1));
        assert_eq!(Resources::parse(&["urn:a:b"; 9]), Err(ResourceError::TooMany));
        assert_eq!(resources(&["urn:a:b", "urn:a:b"]), resources(&["urn:a:b"]));
    }

    #[test]
    fn ours_and_others() {
        let is_ours = |text| Resource::parse(text).unwrap().is_of(ISSUER);
        for ours in ["https://as.example", "https://as.example/", "https://AS.example:443/graphql?x"] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in [
            "http://as.example",
            "https://as.example:444",
            "https://as.example.evil.example",
            "https://evil@as.example/",
            "https://evil.example/https://as.example",
            "urn:as.example:x",
        ] {
            assert!(!is_ours(other), "{other}");
        }
        assert!(resources(&[]).admit(ISSUER));
        assert!(resources(&["https://api.example", "https://as.example/xrpc"]).admit(ISSUER));
        assert!(!resources(&["https://api.example"]).admit(ISSUER));
    }

    #[test]
    fn an_mcp_endpoint_is_a_resource_of_its_own() {
        let linear = McpEndpoint::Provider("linear".to_owned());
        for (named, at_linear, at_server) in [
            (&["https://as.example/mcp/linear"][..], true, false),
            (&["https://AS.example:443/mcp/linear/"], true, false),
            (&["https://as.example/mcp/linear", ISSUER], true, true),
            (&["https://as.example/mcp/notion"], false, false),
            (&["https://as.example/mcp/linear?x"], false, false),
            (&["https://as.example/mcp/c/linear"], false, false),
            (&["https://other.example/mcp/linear"], false, false),
            (&["https://as.example/x/../mcp/linear"], true, false),
            (&[ISSUER], false, true),
            (&[], false, true),
        ] {
            let resources = resources(named);
            assert_eq!(resources.admit_at(ISSUER, &linear), at_linear, "{named:?}");
            assert_eq!(resources.admit(ISSUER), at_server, "{named:?}");
        }
    }

    #[test]
    fn narrowing() {
        let narrowed = |granted: &[&str], asked: &[&str]| {
            resources(granted).narrow(&resources(asked), ISSUER).map(|resources| resources.to_stored())
        };
        assert_eq!(narrowed(&[], &[]), Some(None));
        assert_eq!(
            narrowed(&[], &["https://as.example/mcp"]),
            Some(Some("https://as.example/mcp".to_owned()))
        );
        assert_eq!(narrowed(&[], &["https://api.example"]), None);
        assert_eq!(narrowed(&[], &["https://as.example/mcp/linear"]), None, "the user was not asked");
        assert_eq!(narrowed(&["urn:a:b", "urn:c:d"], &["urn:c:d"]), Some(Some("urn:c:d".to_owned())));
        assert_eq!(narrowed(&["urn:a:b"], &[]), Some(Some("urn:a:b".to_owned())));
        assert_eq!(narrowed(&["urn:a:b"], &["https://as.example"]), None, "it was not granted");
        for (granted, asked) in
            [("https://api.example/mcp", "https://api.example/mcp/"), ("urn:a:b/", "urn:a:b")]
        {
            assert_eq!(narrowed(&[granted], &[asked]), Some(Some(granted.to_owned())), "as it was granted");
        }
        for other in ["https://api.example/mcp//", "https://api.example/MCP", "https://api.example/mcp?a=/"] {
            assert_eq!(narrowed(&["https://api.example/mcp"], &[other]), None, "{other}");
        }
    }

    #[test]
    fn tables_and_audiences() {
        for named in [&[][..], &["urn:a:b"], &["urn:a:b", "https://a.example/?x"]] {
            let named = resources(named);
            assert_eq!(Resources::from_stored(named.to_stored().as_deref()), Some(named));
        }
        assert_eq!(Resources::from_stored(Some("nonsense")), None);
        let audience =
            |named| resources(named).audience(ISSUER).iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(audience(&[]), [ISSUER]);
        assert_eq!(audience(&["urn:a:b"]), ["urn:a:b"]);
        assert_eq!(audience(&["urn:a:b", "urn:c:d"]), ["urn:a:b", "urn:c:d"]);
    }
}
