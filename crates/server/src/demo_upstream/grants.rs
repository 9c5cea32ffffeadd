//! Clients, codes, tokens and posts. Each list has a limit, beyond which the oldest entry goes.

use std::collections::VecDeque;

use causeway_domain::{Clock as _, SystemClock};
use causeway_types::{Rng, SystemRng, Timestamp};

/// Entries of each list at most.
const MOST: usize = 1000;
/// Life of a code, in seconds.
const CODE_SECONDS: i64 = 60;
/// Life of an access token, in seconds: short, so that a refresh can be seen.
pub(super) const ACCESS_SECONDS: i64 = 120;

/// Everything that the provider knows.
#[derive(Default)]
pub(super) struct Grants {
    clients: Bounded<RegisteredClient>,
    codes: Bounded<Code>,
    tokens: Bounded<Token>,
    posts: Bounded<Post>,
    next: u64,
}

/// A list whose oldest entries go when it is full.
struct Bounded<T>(VecDeque<T>);

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Bounded<T> {
    fn add(&mut self, entry: T) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(entry);
    }
}

/// A client that registered itself.
#[derive(Clone)]
pub(super) struct RegisteredClient {
    pub(super) client_id: String,
    pub(super) name: String,
    pub(super) redirect_uris: Vec<String>,
}

struct Code {
    code: String,
    client_id: String,
    redirect_uri: String,
    challenge: String,
    scope: String,
    ends_at: Timestamp,
}

struct Token {
    token: String,
    grant: u64,
    scope: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Access { ends_at: Timestamp },
    Refresh,
    SpentRefresh,
}

/// A post.
#[derive(Clone)]
pub(super) struct Post {
    pub(super) id: u64,
    pub(super) text: String,
}

/// New tokens.
pub(super) struct Issued {
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    pub(super) scope: String,
}

impl Grants {
    /// Registers a client.
    pub(super) fn register(&mut self, name: String, redirect_uris: Vec<String>) -> RegisteredClient {
        let client_id = format!("demo-{}", random::<9>());
        let client = RegisteredClient { client_id, name, redirect_uris };
        self.clients.add(client.clone());
        client
    }

    /// Finds a client that may be sent to this redirect URI.
    pub(super) fn client(&self, client_id: &str, redirect_uri: &str) -> Option<&RegisteredClient> {
        let client = self.clients.0.iter().find(|client| client.client_id == client_id)?;
        client.redirect_uris.iter().any(|own| own == redirect_uri).then_some(client)
    }

    /// Makes a code, which works once.
    pub(super) fn authorize(
        &mut self,
        client_id: &str,
        redirect_uri: &str,
        challenge: &str,
        scope: &str,
    ) -> String {
        let code = random::<24>();
        self.codes.add(Code {
            code: code.clone(),
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            challenge: challenge.to_owned(),
            scope: scope.to_owned(),
            ends_at: SystemClock.now().plus(CODE_SECONDS),
        });
        code
    }

    /// Redeems a code whose PKCE verifier has this challenge.
    pub(super) fn redeem(
        &mut self,
        code: &str,
        client_id: &str,
        redirect_uri: &str,
        challenge: &str,
    ) -> Option<Issued> {
        let at = self.codes.0.iter().position(|known| known.code == code)?;
        let known = self.codes.0.remove(at)?;
        let is_right = known.client_id == client_id
            && known.redirect_uri == redirect_uri
            && known.challenge == challenge
            && known.ends_at > SystemClock.now();
        is_right.then(|| {
            self.next += 1;
            self.issue(self.next, known.scope)
        })
    }

    /// Rotates a refresh token. One that was spent before ends the grant (RFC 9700 section 4.14.2).
    pub(super) fn refresh(&mut self, token: &str) -> Option<Issued> {
        let known = self.tokens.0.iter_mut().find(|known| known.token == token)?;
        let (grant, scope, kind) = (known.grant, known.scope.clone(), known.kind);
        match kind {
            Kind::Refresh => {
                known.kind = Kind::SpentRefresh;
                Some(self.issue(grant, scope))
            }
            Kind::SpentRefresh => {
                self.end(grant);
                None
            }
            Kind::Access { .. } => None,
        }
    }

    /// Ends the grant of a token.
    pub(super) fn revoke(&mut self, token: &str) {
        if let Some(grant) = self.tokens.0.iter().find(|known| known.token == token).map(|known| known.grant)
        {
            self.end(grant);
        }
    }

    /// Whether an access token is valid and has this scope.
    pub(super) fn allows(&self, token: &str, scope: &str) -> bool {
        let now = SystemClock.now();
        self.tokens.0.iter().any(|known| {
            let is_live = matches!(known.kind, Kind::Access { ends_at } if ends_at > now);
            is_live && known.token == token && known.scope.split(' ').any(|own| own == scope)
        })
    }

    /// Adds a post.
    pub(super) fn post(&mut self, text: String) -> Post {
        self.next += 1;
        let post = Post { id: self.next, text };
        self.posts.add(post.clone());
        post
    }

    /// The posts, the newest first.
    pub(super) fn posts(&self) -> impl Iterator<Item = &Post> {
        self.posts.0.iter().rev()
    }

    fn issue(&mut self, grant: u64, scope: String) -> Issued {
        let issued =
            Issued { access_token: random::<24>(), refresh_token: random::<24>(), scope: scope.clone() };
        let ends_at = SystemClock.now().plus(ACCESS_SECONDS);
        let (access, refresh) = (issued.access_token.clone(), issued.refresh_token.clone());
        self.tokens.add(Token { token: access, grant, scope: scope.clone(), kind: Kind::Access { ends_at } });
        self.tokens.add(Token { token: refresh, grant, scope, kind: Kind::Refresh });
        issued
    }

    fn end(&mut self, grant: u64) {
        self.tokens.0.retain(|known| known.grant != grant);
    }
}

/// A random text of so many bytes.
fn random<const BYTES: usize>() -> String {
    let rng: &dyn Rng = &SystemRng;
    rng.base64url::<BYTES>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorized(grants: &mut Grants) -> Issued {
        let code = grants.authorize("c", "https://us.example/cb", "challenge", "profile posts");
        grants.redeem(&code, "c", "https://us.example/cb", "challenge").unwrap()
    }

    #[test]
    fn a_code_works_once_and_for_its_client() {
        let mut grants = Grants::default();
        let code = grants.authorize("c", "https://us.example/cb", "challenge", "posts");
        assert!(grants.redeem(&code, "c", "https://us.example/cb", "challenge").is_some());
        assert!(grants.redeem(&code, "c", "https://us.example/cb", "challenge").is_none());
        for (client, uri, challenge) in [
            ("d", "https://us.example/cb", "challenge"),
            ("c", "https://us.example/other", "challenge"),
            ("c", "https://us.example/cb", "another"),
        ] {
            let code = grants.authorize("c", "https://us.example/cb", "challenge", "posts");
            assert!(grants.redeem(&code, client, uri, challenge).is_none(), "{client} {uri} {challenge}");
        }
    }

    #[test]
    fn a_spent_refresh_token_ends_the_grant() {
        let mut grants = Grants::default();
        let first = authorized(&mut grants);
        let second = grants.refresh(&first.refresh_token).unwrap();
        assert!(
            grants.allows(&second.access_token, "posts") && !grants.allows(&second.access_token, "other")
        );
        assert!(grants.refresh(&first.refresh_token).is_none());
        assert!(!grants.allows(&second.access_token, "posts"));
        assert!(grants.refresh(&second.refresh_token).is_none());
    }

    #[test]
    fn what_is_revoked_is_over_and_lists_are_short() {
        let mut grants = Grants::default();
        let issued = authorized(&mut grants);
        grants.revoke(&issued.refresh_token);
        assert!(!grants.allows(&issued.access_token, "posts"));
        for _ in 0..=MOST {
            grants.post("hello".to_owned());
        }
        assert_eq!(grants.posts().count(), MOST);
    }
}
