//! The credentials of a session.

use causeway_types::{Secret, Timestamp};

use super::OtherKind;

/// The credentials of one iteration of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The token or cookies for calls.
    pub access: UpstreamAccess,
    /// The upstream refresh token, if there is one.
    pub refresh_token: Option<Secret>,
    /// When the upstream issued them.
    pub created_at: Timestamp,
    /// When they end without a renewal; `None` when the upstream did not say.
    pub expires_at: Option<Timestamp>,
    /// The scope that the upstream granted, in the upstream's own words.
    pub scope: String,
}

/// The token or cookies that are presented to the upstream with each call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAccess {
    /// A token that is bound to a key.
    DpopBound(DpopBound),
    /// A token.
    Bearer(Secret),
    /// Cookies, and perhaps a token, in the form of the provider's code.
    CookieJar(Secret),
}

/// An access token that is bound to a key (RFC 9449).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpopBound {
    /// The access token.
    pub token: Secret,
    /// The private JWK of the key, as JSON.
    pub key: Secret,
    /// The thumbprint of the key (RFC 7638).
    pub jkt: String,
}

impl UpstreamAccess {
    /// The secret that is presented.
    pub const fn secret(&self) -> &Secret {
        match self {
            Self::DpopBound(bound) => &bound.token,
            Self::Bearer(token) => token,
            Self::CookieJar(jar) => jar,
        }
    }
}

impl Credentials {
    /// The token and its key.
    ///
    /// # Errors
    /// [`OtherKind`]: they are not bound to a key.
    pub const fn dpop_bound(&self) -> Result<&DpopBound, OtherKind> {
        match &self.access {
            UpstreamAccess::DpopBound(bound) => Ok(bound),
            UpstreamAccess::Bearer(_) | UpstreamAccess::CookieJar(_) => Err(OtherKind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_presented() {
        let bound = DpopBound { token: Secret::new("t"), key: Secret::new("k"), jkt: "j".to_owned() };
        let credentials = |access| Credentials {
            access,
            refresh_token: None,
            created_at: Timestamp(1),
            expires_at: None,
            scope: String::new(),
        };
        for (access, secret, key) in [
            (UpstreamAccess::DpopBound(bound.clone()), "t", Ok(&bound)),
            (UpstreamAccess::Bearer(Secret::new("b")), "b", Err(OtherKind)),
            (UpstreamAccess::CookieJar(Secret::new("c")), "c", Err(OtherKind)),
        ] {
            assert_eq!(access.secret(), &Secret::new(secret));
            assert_eq!(credentials(access).dpop_bound(), key);
        }
    }
}
