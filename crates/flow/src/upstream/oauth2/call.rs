//! How these providers are called.

use causeway_domain::session::{Credentials, OtherKind};
use causeway_outbound::header::HeaderMap;
use causeway_types::Scope;

use super::OauthProvider;
use crate::upstream::relay::error::{CallError, RelayError};
use crate::upstream::relay::request::RelayRequest;
use crate::upstream::traits::{Answer, Called, Injected, Permit, Verdict};
use crate::upstream::usable::UsableSession;

impl Called for OauthProvider {
    fn permit(&self, _: &Scope, _: &Credentials, _: &mut RelayRequest) -> Result<Permit, RelayError> {
        Err(OtherKind.into())
    }

    fn inject(
        &self,
        _: &UsableSession,
        _: &RelayRequest,
        _: Option<&str>,
        _: &mut HeaderMap,
    ) -> Result<Injected, CallError> {
        Err(OtherKind.into())
    }

    fn examine(&self, _: &RelayRequest, _: Answer<'_>) -> Verdict {
        Verdict::Pass
    }
}
