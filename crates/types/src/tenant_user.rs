//! Users of a tenant, as those who act for them name them.

use crate::identity::Did;
use crate::ids::ClientId;

/// The longest name of a user, in characters.
const MAX_CHARS: usize = 255;

/// The name of a user within a namespace: a DID, or the client's own name for its user. 1 to 255 characters, none of
/// which is a control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

impl UserId {
    /// Reads a name; `None`: it is empty, too long, or holds a control character.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=MAX_CHARS).contains(&text.chars().take(MAX_CHARS + 1).count());
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_type!(UserId: "1 to 255 characters, none of which is a control character");

/// The party whose names for users are meant: client A's "17" is not client B's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserNamespace(String);

impl UserNamespace {
    const DID: &str = "did";

    /// The namespace of users who signed in here: their names are DIDs.
    pub fn did() -> Self {
        Self(Self::DID.to_owned())
    }

    /// The namespace of a client's own users; `None`: a client of this name would be taken for the namespace of DIDs.
    pub fn of_client(client_id: &ClientId) -> Option<Self> {
        Self::parse(client_id.as_str()).filter(|namespace| !namespace.is_did())
    }

    /// Reads a namespace; `None`: it is empty or holds a control character.
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.chars().any(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// Whether its users are named by DIDs.
    pub fn is_did(&self) -> bool {
        self.0 == Self::DID
    }

    /// The namespace as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_type!(UserNamespace: "a text without control characters");

/// A user of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantUser {
    /// The party that named the user.
    pub namespace: UserNamespace,
    /// The name.
    pub user_id: UserId,
}

impl TenantUser {
    /// The user who signed in here with this account; `None`: the DID is longer than a name may be.
    pub fn of_did(did: &Did) -> Option<Self> {
        Some(Self { namespace: UserNamespace::did(), user_id: UserId::parse(did.as_str())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::assert_text_type;

    #[test]
    fn names_of_users() {
        let longest = "é".repeat(255);
        assert_text_type::<UserId>(&["17", "a b", &longest], &["", &format!("{longest}é"), "a\0", "a\nb"]);
        assert_text_type::<UserNamespace>(&["did", "cw_client_1"], &["", "a\0"]);
    }

    #[test]
    fn namespaces_are_apart() {
        let did = Did::parse("did:plc:z72i7hdynmk6r22z27h6tvur").unwrap();
        let user = TenantUser::of_did(&did).unwrap();
        assert!(user.namespace.is_did() && user.user_id.as_str() == did.as_str());
        let client = UserNamespace::of_client(&ClientId::new("c")).unwrap();
        assert!(!client.is_did());
        assert_eq!(UserNamespace::of_client(&ClientId::new("did")), None);
    }
}
