//! Calls of a provider's API about an account, and their answers.

use causeway_outbound::{HttpError, Shows};
use tokio::time::{Instant, timeout_at};

use super::account::Account;
use super::api_call::{ApiError, judge};
use super::client::{ProviderClient, Reply};
use super::identity::{identity_request, read_identity};
use super::managed_accounts::{Extent, Listing, Pages};
use crate::definition::account::ManagedAccounts;
use crate::definition::oauth::OauthClient;
use crate::json::Document;
use crate::relay::CallCredential;
use crate::request::ProviderRequest;

/// Deadlines of a request within which a listing has to end.
const DEADLINES: u32 = 6;

impl ProviderClient {
    /// Asks whose account it is; `None` where the definition names no address for it. Where the credential is known
    /// already, this verifies in one call that the provider takes it.
    ///
    /// # Errors
    /// [`ApiError`].
    #[tracing::instrument(name = "provider.identity", skip_all)]
    pub async fn identity(
        &self,
        client: &OauthClient,
        credential: &CallCredential<'_>,
    ) -> Result<Option<Account>, ApiError> {
        let Some(request) = identity_request(client, credential)? else { return Ok(None) };
        let reply = self.call(client, request).await?;
        read_identity(client, &reply.body).map(Some)
    }

    /// Lists the accounts that the user's account manages, from every list of the definition. What was found before
    /// something failed is in the listing, too. All of it has to end within six times the deadline of a request.
    #[tracing::instrument(name = "provider.managed_accounts", skip_all)]
    pub async fn managed_accounts(&self, client: &OauthClient, credential: &CallCredential<'_>) -> Listing {
        let mut listing =
            Listing { accounts: Vec::new(), extent: Extent::Complete, without_tasks: Vec::new() };
        let end = Instant::now() + self.deadline * DEADLINES;
        for list in &client.managed_accounts {
            let reading = timeout_at(end, self.read_list(client, list, *credential, &mut listing)).await;
            if let Err(error) = reading.unwrap_or(Err(ApiError::Http(HttpError::Timeout))) {
                listing.extent = Extent::Partial(error);
            }
        }
        listing
    }

    async fn read_list<'a>(
        &self,
        client: &'a OauthClient,
        list: &'a ManagedAccounts,
        credential: CallCredential<'a>,
        listing: &mut Listing,
    ) -> Result<(), ApiError> {
        let mut pages = Pages::new(client, list, credential)?;
        let mut next = Some(pages.first());
        while let Some(request) = next {
            let reply = self.call(client, request).await?;
            let document = Document::json(&reply.body).ok_or(ApiError::Malformed("it is not JSON"))?;
            next = pages.read(&document, listing)?;
        }
        Ok(())
    }

    /// Sends a call of ours, and judges its answer.
    async fn call(&self, client: &OauthClient, request: ProviderRequest) -> Result<Reply, ApiError> {
        let reply = self.send_to_api(request, Shows::Host).await?;
        judge(client, reply.status, reply.retry_after, &reply.body)?;
        Ok(reply)
    }
}
