//! Accounts that a user's account manages, as an authorization brought them.

use causeway_domain::session::{Credentials, UpstreamAccess};
use causeway_providers::oauth::Listing;

use super::stored::Answer;
use crate::upstream::traits::NewManagedAccount;

/// The accounts that the user's account manages: those of the lists, and those whose tokens came with the answer.
pub(super) fn managed(answer: &Answer, listing: Listing, scope: &str) -> Vec<NewManagedAccount> {
    let now = answer.tokens().map(|tokens| tokens.issued_at);
    let listed = listing.accounts.into_iter().map(|account| NewManagedAccount {
        subject: account.subject,
        name: account.name,
        category: account.category,
        tasks: account.tasks,
        credentials: account.token.zip(now).map(|(token, created_at)| Credentials {
            access: UpstreamAccess::Bearer(token),
            refresh_token: None,
            created_at,
            // It has no end of its own that anybody says.
            expires_at: None,
            scope: scope.to_owned(),
        }),
    });
    let mut all: Vec<_> = listed.collect();
    for page in &answer.pages {
        let Some(account) = &page.account else { continue };
        let credentials = Some(page.tokens.tokens().credentials(None, scope));
        match all.iter_mut().find(|known| known.subject == account.subject) {
            Some(known) => known.credentials = credentials,
            None => all.push(NewManagedAccount {
                subject: account.subject.clone(),
                name: account.name.clone(),
                category: None,
                tasks: Vec::new(),
                credentials,
            }),
        }
    }
    all
}
