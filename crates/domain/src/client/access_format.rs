//! The form of a client's access tokens, which is its own choice.

use serde_json::{Map, Value};

use super::member_values::AccessTokenFormat;
use super::members::ACCESS_TOKEN_FORMAT;
use super::metadata_error::ClientMetadataError;
use super::registered::Client;

/// Maximum lifetime in seconds of an access token that resources validate without asking us: a revocation
/// takes effect there only when the token expires.
pub const JWT_SECONDS: i64 = 600;

impl Client {
    /// The format of its access tokens.
    pub fn access_token_format(&self) -> AccessTokenFormat {
        ACCESS_TOKEN_FORMAT.get(&self.metadata).unwrap_or_default()
    }

    /// Seconds that an access token of this client lives, in the format that it has.
    pub fn access_token_seconds(&self) -> i64 {
        match self.access_token_format() {
            AccessTokenFormat::Opaque => self.access_token_expiration,
            AccessTokenFormat::Jwt => self.access_token_expiration.min(JWT_SECONDS),
        }
    }
}

/// Checks the format in a client's metadata.
pub(super) fn check_metadata(metadata: &Map<String, Value>) -> Result<(), ClientMetadataError> {
    ACCESS_TOKEN_FORMAT.is_valid(metadata).then_some(()).ok_or(ClientMetadataError::AccessTokenFormat)
}

#[cfg(test)]
mod tests {
    use causeway_types::{ClientId, TenantId, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::client::ClientMetadata;

    fn client(format: Option<Value>) -> Result<Client, ClientMetadataError> {
        let mut metadata = json!({"redirect_uris": ["https://a.example/cb"]});
        if let Some(format) = format {
            metadata["access_token_format"] = format;
        }
        let metadata: ClientMetadata = serde_json::from_value(metadata).unwrap();
        let id = ClientId::new("c");
        Ok(metadata.validate()?.into_client(id, TenantId::default_tenant(), None, Timestamp(0)))
    }

    #[test]
    fn a_jwt_lives_ten_minutes_at_most() {
        for opaque in [None, Some(Value::Null), Some(json!("")), Some(json!("opaque"))] {
            let client = client(opaque).unwrap();
            assert_eq!(client.access_token_format(), AccessTokenFormat::Opaque);
            assert_eq!(client.access_token_seconds(), Client::DEFAULT_ACCESS_TOKEN_EXPIRATION);
        }
        let mut jwt = client(Some(json!("jwt"))).unwrap();
        assert_eq!((jwt.access_token_format(), jwt.access_token_seconds()), (AccessTokenFormat::Jwt, 600));
        jwt.access_token_expiration = 60;
        assert_eq!(jwt.access_token_seconds(), 60);
        for bad in [json!("JWT"), json!(true)] {
            assert_eq!(client(Some(bad)), Err(ClientMetadataError::AccessTokenFormat));
        }
    }
}
