//! The way back from a connect session to its client.

use causeway_domain::connection::ConnectSession;
use causeway_types::ErrorCode;
use causeway_types::secret::{ConnectCode, PlainToken};
use url::Url;

use crate::upstream::connect::failure::ConnectFailure;

/// A user who comes back from a connect session.
#[derive(Debug)]
pub struct Returned {
    /// Where the browser goes; `None`: the client has named no address, and a page says how it ended.
    pub url: Option<String>,
    /// Why no account was connected; `None`: one was.
    pub failure: Option<ConnectFailure>,
}

impl Returned {
    /// With a connection, which the client confirms by the code.
    pub(super) fn connected(session: &ConnectSession, code: Option<&PlainToken<ConnectCode>>) -> Self {
        let code = code.map(|code| ("connect_code", code.expose()));
        Self { url: address(session, code), failure: None }
    }

    /// Without one.
    pub(super) fn failed(session: &ConnectSession, failure: ConnectFailure) -> Self {
        let code: ErrorCode = failure.code();
        let url = address(session, Some(("error", code.as_str())));
        Self { url, failure: Some(failure) }
    }
}

fn address(session: &ConnectSession, outcome: Option<(&str, &str)>) -> Option<String> {
    let mut url = Url::parse(session.return_uri.as_deref()?).ok()?;
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("connect_session_id", session.connect_session_id.as_str());
        if let Some(state) = &session.state {
            query.append_pair("state", state);
        }
        if let Some((name, value)) = outcome {
            query.append_pair(name, value);
        }
    }
    Some(url.into())
}
