//! How accounts at these providers are connected.

use async_trait::async_trait;
use causeway_domain::session::OtherKind;

use super::OauthProvider;
use crate::error::Internal;
use crate::upstream::connect::failure::SignInError;
use crate::upstream::traits::{BeginRequest, Begun, Completion, ConnectError, Connected, NewConnection};

#[async_trait]
impl Connected for OauthProvider {
    async fn begin(&self, _: &BeginRequest<'_>) -> Result<Begun, SignInError> {
        Err(Internal::from(OtherKind).into())
    }

    async fn complete(&self, _: &Completion<'_>) -> Result<NewConnection, ConnectError> {
        Err(Internal::from(OtherKind).into())
    }
}
