//! Injection of credentials into calls.

use std::fmt;

use causeway_jose::hmac_sha256;
use causeway_outbound::header::HeaderMap;
use causeway_types::Secret;
use url::Url;
use zeroize::Zeroizing;

use crate::definition::oauth::Extras;
use crate::definition::relay::{Inject, Relay};
use crate::fields::{FieldValues, Known};
use crate::request::{Parameters, RequestError, filled, set_header};
use crate::values::template::Template;

/// The credential of a call, and the values beside it.
#[derive(Clone, Copy, Debug)]
pub struct CallCredential<'a> {
    /// The secrets by the names of their fields: `token`, or the fields of a key.
    pub secrets: &'a [(&'a str, &'a Secret)],
    /// The id of the managed account that the call is for.
    pub account: Option<&'a str>,
    /// Our `client_id`.
    pub client_id: Option<&'a str>,
    /// Behaviour of the provider that only code has, and our secret there, which it needs.
    pub extras: Option<(Extras, &'a Secret)>,
    /// Values that the user entered or that were captured.
    pub fields: &'a FieldValues,
}

/// A credential, ready for a request.
#[derive(Default)]
pub struct InjectedCredential {
    headers: HeaderMap,
    query: Parameters,
    cookies: Parameters,
    body: Parameters,
}

impl fmt::Debug for InjectedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InjectedCredential(redacted)")
    }
}

impl InjectedCredential {
    /// Adds it to a request. Headers take the place of those with the same names.
    pub fn apply(self, url: &mut Url, headers: &mut HeaderMap) {
        headers.extend(self.headers);
        self.query.append_to(url);
    }

    /// The cookies, beside those of the session, as they are in a header.
    pub fn cookies(&self) -> Zeroizing<String> {
        Zeroizing::new(
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; "),
        )
    }

    /// The members that go into a body, in their order.
    pub fn body(&self) -> impl Iterator<Item = (&str, &str)> {
        self.body.iter()
    }
}

/// The credential of a relayed call, and the headers that the definition sets.
///
/// # Errors
/// [`RequestError::NoValue`], for the field `account` above all: the caller has to name a managed account.
/// [`RequestError::Header`] for a token that no header can carry.
pub fn inject(relay: &Relay, credential: &CallCredential<'_>) -> Result<InjectedCredential, RequestError> {
    let mut injected = InjectedCredential::default();
    credential.with_known(|known| {
        for (name, template) in relay.set_headers.iter().chain(&relay.inject.header) {
            let value = Zeroizing::new(filled(template, known)?);
            set_header(&mut injected.headers, name.as_str(), &value)?;
        }
        injected.cookies.fill(&relay.inject.cookie, known)?;
        injected.body.fill(&relay.inject.body, known)?;
        injected.query.fill(&relay.inject.query, known)
    })?;
    credential.add_extras(&mut injected.query)?;
    Ok(injected)
}

/// The credential of a call that is made before any managed account is known: what needs one is left out.
pub(crate) fn inject_what_is_known(
    inject: &Inject,
    credential: &CallCredential<'_>,
) -> Result<InjectedCredential, RequestError> {
    let mut injected = InjectedCredential::default();
    credential.with_known(|known| -> Result<(), RequestError> {
        let is_known = |template: &Template| template.fields().all(|name| known.value_of(name).is_some());
        for (name, template) in inject.header.iter().filter(|(_, template)| is_known(template)) {
            let value = Zeroizing::new(filled(template, known)?);
            set_header(&mut injected.headers, name.as_str(), &value)?;
        }
        for (name, template) in inject.query.iter().filter(|(_, template)| is_known(template)) {
            injected.query.set(name, filled(template, known)?);
        }
        Ok(())
    })?;
    credential.add_extras(&mut injected.query)?;
    Ok(injected)
}

/// Whether one of these templates places the token itself.
pub(crate) fn is_placed<'a>(templates: impl IntoIterator<Item = &'a Template>) -> bool {
    templates.into_iter().any(|template| template.fields().any(|name| name.as_str() == "token"))
}

impl CallCredential<'_> {
    /// Runs with the values that templates of calls may use.
    pub(crate) fn with_known<T>(&self, run: impl FnOnce(Known<'_>) -> T) -> T {
        let mut own: Vec<(&str, Option<&str>)> =
            vec![("account", self.account), ("client_id", self.client_id)];
        own.extend(self.secrets.iter().map(|(name, secret)| (*name, Some(secret.expose()))));
        run(Known::new(self.fields, &own))
    }

    /// Adds what only code can make.
    pub(crate) fn add_extras(&self, query: &mut Parameters) -> Result<(), RequestError> {
        if let (Some((Extras::Facebook, secret)), Some((_, token))) = (self.extras, self.secrets.first()) {
            query.set(APPSECRET_PROOF, appsecret_proof(secret, token)?);
        }
        Ok(())
    }
}

/// The parameter of the Graph API that proves that a call is the app's own.
pub(crate) const APPSECRET_PROOF: &str = "appsecret_proof";

/// The HMAC-SHA-256 of an access token with the app's secret, in hexadecimal digits ("Securing Graph API Requests").
fn appsecret_proof(secret: &Secret, token: &Secret) -> Result<String, RequestError> {
    use fmt::Write as _;
    let mac = hmac_sha256(secret.expose().as_bytes(), token.expose().as_bytes())?;
    Ok(mac.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{built_in, map, relay};
    use crate::values::name::FieldName;
    use crate::values::text::Text as _;

    type Sent = (std::collections::BTreeMap<String, String>, String);

    fn apply(injected: InjectedCredential) -> Sent {
        let (mut url, mut headers) = (Url::parse("https://api.example/v1?q=1").unwrap(), HeaderMap::new());
        headers.insert("authorization", "Bearer of the caller".parse().unwrap());
        injected.apply(&mut url, &mut headers);
        let text = |(name, value): (&causeway_outbound::header::HeaderName, _)| {
            let value: &causeway_outbound::header::HeaderValue = value;
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        (headers.iter().map(text).collect(), url.query().unwrap().to_owned())
    }

    fn injected(relay: &Relay, account: Option<&str>, extras: bool) -> Result<Sent, RequestError> {
        let (token, secret) = (Secret::new("t&1"), Secret::new("app-secret"));
        let credential = CallCredential {
            secrets: &[("token", &token)],
            account,
            client_id: Some("id"),
            extras: extras.then_some((Extras::Facebook, &secret)),
            fields: &FieldValues::default(),
        };
        inject(relay, &credential).map(apply)
    }

    #[test]
    fn the_credential_goes_where_the_definition_says() {
        let bearer = ("authorization", "Bearer t&1");
        assert_eq!(injected(&relay(""), None, false), Ok((map(&[bearer]), "q=1".to_owned())));
        let own = "set_headers = { X-Version = \"2\" }\ninject = { header = { X-Token = \"{token}\" }, query = { key = \"{token}\", \
                   app = \"{client_id}\" } }";
        let (headers, query) = injected(&relay(own), None, false).unwrap();
        let caller = ("authorization", "Bearer of the caller");
        assert_eq!(
            headers,
            map(&[("x-token", "t&1"), ("x-version", "2"), caller]),
            "which the relay removes"
        );
        assert_eq!(query, "q=1&app=id&key=t%261");
    }

    #[test]
    fn a_managed_account_has_to_be_named_where_calls_need_it() {
        let lines = "inject = { header = { Authorization = \"Bearer {token}\", X-Org = \"{account}\" } }";
        let text = format!(
            "[[managed_accounts]]\nurl = \"https://api.example/x\"\n[relay]\norigins = [\"https://api.example\"]\n{lines}"
        );
        let relay = crate::testing::plain_client(&text).relay.unwrap();
        let missing = RequestError::NoValue(FieldName::parse("account").unwrap());
        assert_eq!(injected(&relay, None, false), Err(missing));
        assert_eq!(injected(&relay, Some("org-1"), false).unwrap().0["x-org"], "org-1");

        let token = Secret::new("t");
        let credential = CallCredential {
            secrets: &[("token", &token)],
            account: None,
            client_id: None,
            extras: None,
            fields: &FieldValues::default(),
        };
        let known = apply(inject_what_is_known(&relay.inject, &credential).unwrap());
        assert_eq!(known.0, map(&[("authorization", "Bearer t")]), "for the list of accounts");
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_refused() {
        let token = Secret::new("a\r\nX-Evil: 1");
        let credential = CallCredential {
            secrets: &[("token", &token)],
            account: None,
            client_id: None,
            extras: None,
            fields: &FieldValues::default(),
        };
        let error = inject(&relay(""), &credential).unwrap_err();
        assert_eq!(error, RequestError::Header("Authorization".to_owned()));
    }

    /// The value is that of OpenSSL: `printf 't&1' | openssl dgst -sha256 -hmac app-secret`.
    #[test]
    fn calls_of_the_graph_api_are_proven() {
        let (headers, query) = injected(&built_in("facebook").relay.unwrap(), None, true).unwrap();
        assert_eq!(headers["authorization"], "Bearer t&1");
        assert_eq!(
            query,
            "q=1&appsecret_proof=9aa067effa521aa2c89b632eed03255fea747239c123891ea339e08000b5a2a9"
        );
    }
}
