//! Answers that are read whole: capped, and within the budget of the process.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::time::timeout;

use crate::budget::{Budget, Held};
use crate::client::HttpClient;
use crate::error::HttpError;
use crate::streaming::next_chunk;

/// Budget bytes charged for each byte of a response: one for itself, the rest for its parsed JSON.
const TIMES: usize = 8;
/// Bytes reserved for a token response before anything is sent; few responses are longer.
const TOKENS: usize = 8 * 1024;
/// The same as [`TIMES`] for those: they are reserved for as long as the server takes, and parsed into little.
const TOKEN_TIMES: usize = 2;

impl HttpClient {
    /// Reserves room for the response to a request that must not be sent without it, because it carries a
    /// single-use credential.
    ///
    /// # Errors
    /// [`HttpError::NoRoom`].
    pub fn room_for_tokens(&self) -> Result<Held, HttpError> {
        Held::reserve(&self.budgets().tokens, TOKENS, TOKEN_TIMES)
            .map_err(|_| HttpError::NoRoom { sent: false })
    }

    /// Reads a body of at most `cap` bytes. While it arrives, as slowly as its sender likes, only what is there counts.
    pub(crate) async fn read(&self, response: Response, cap: usize) -> Result<Held, HttpError> {
        let room = Held::new(&self.budgets().documents, 1).map_err(|_| NO_ROOM)?;
        let room = room.expecting(response.content_length());
        let mut body = read_into(room, response, cap).await?;
        body.count_times(TIMES).map_err(|_| NO_ROOM)?;
        Ok(body)
    }
}

/// Reads a short body, all of it within the idle timeout.
///
/// # Errors
/// [`HttpError::TooLarge`] for more than `cap` bytes, [`HttpError::NoRoom`], and what reading brings.
pub async fn read_short(
    mut response: Response,
    idle: Duration,
    cap: usize,
    budget: &Budget,
) -> Result<Bytes, HttpError> {
    let mut body = Held::new(budget, 2).map_err(|_| NO_ROOM)?;
    let reading = async {
        while let Some(chunk) = next_chunk(&mut response, idle).await? {
            add(&mut body, &chunk, cap)?;
        }
        Ok(())
    };
    timeout(idle, reading).await.map_err(|_| HttpError::Timeout)??;
    Ok(body.freeze())
}

/// Reads a body of at most `cap` bytes into a buffer.
///
/// # Errors
/// [`HttpError::TooLarge`], [`HttpError::NoRoom`], and what reading brings.
pub async fn read_into(mut room: Held, mut response: Response, cap: usize) -> Result<Held, HttpError> {
    if response.content_length().is_some_and(|length| length > cap as u64) {
        return Err(HttpError::TooLarge);
    }
    while let Some(chunk) = response.chunk().await.map_err(|error| HttpError::of(&error))? {
        add(&mut room, &chunk, cap)?;
    }
    Ok(room)
}

const NO_ROOM: HttpError = HttpError::NoRoom { sent: true };

fn add(body: &mut Held, chunk: &[u8], cap: usize) -> Result<(), HttpError> {
    if body.len() + chunk.len() > cap {
        return Err(HttpError::TooLarge);
    }
    body.extend(chunk).map_err(|_| NO_ROOM)
}
