//! The question whether an instance still knows an app that was registered there.

use causeway_outbound::Shows;
use causeway_types::Secret;
use url::Url;

use super::authentication::{Proof, name_of};
use super::client::ProviderClient;
use super::error::TokenError;
use super::refusal::RefusalMeaning;
use super::token_answer::TokenStep;
use super::token_request::TokenContext;
use crate::definition::request::RequestBody;
use crate::request::{Draft, ProviderRequest, RequestError, set_header};
use crate::values::http::Method;

/// The state of an app, as its instance tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppState {
    /// It knows the app.
    Known,
    /// It has deleted the app, or never had it.
    Deleted,
    /// It gave no answer that tells.
    Unknown,
}

impl TokenContext<'_> {
    /// The request for a token of the app itself (RFC 6749 section 4.4).
    fn of_app(&self, proof: Proof<'_>) -> Result<ProviderRequest, RequestError> {
        let definition = &self.client.token_request;
        let mut draft = Draft::new(definition.method, self.token_endpoint.clone(), definition.body);
        draft.parameters.set(name_of("grant_type", &definition.rename), "client_credentials");
        let method = self.authentication(None);
        draft.authenticate(method, self.registered.client_id, proof, &definition.rename)?;
        Ok(draft.finish())
    }
}

impl ProviderClient {
    /// Asks an instance at `url` whether it knows the app, with a token of the app itself.
    #[tracing::instrument(name = "provider.verify_app", skip_all, fields(host = url.host_str()))]
    pub async fn verify_app(&self, context: &TokenContext<'_>, url: &Url) -> AppState {
        let issued = self.issue(context, TokenStep::Code, &[], |proof| context.of_app(proof)).await;
        let token = match issued {
            Ok(issued) => match issued.answer.user {
                Some(tokens) => tokens.access_token,
                None => return AppState::Unknown,
            },
            Err(error) => return of_refusal(&error),
        };
        let Ok(request) = asking(url, &token) else { return AppState::Unknown };
        match self.send_to_api(request, Shows::Address).await.map(|reply| reply.status) {
            Ok(200..300) => AppState::Known,
            Ok(401 | 403) => AppState::Deleted,
            _ => AppState::Unknown,
        }
    }
}

fn asking(url: &Url, token: &Secret) -> Result<ProviderRequest, RequestError> {
    let mut draft = Draft::new(Method::Get, url.clone(), RequestBody::Query);
    let bearer = zeroize::Zeroizing::new(format!("Bearer {}", token.expose()));
    set_header(&mut draft.headers, "Authorization", &bearer)?;
    Ok(draft.finish())
}

/// A refusal of the client itself is the one that tells.
fn of_refusal(error: &TokenError) -> AppState {
    match error {
        TokenError::Refused(refusal)
            if refusal.meaning == RefusalMeaning::Misconfigured
                && refusal.code.as_deref() == Some("invalid_client") =>
        {
            AppState::Deleted
        }
        _ => AppState::Unknown,
    }
}
