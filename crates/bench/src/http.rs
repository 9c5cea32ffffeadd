//! Minimal HTTP/1.1 for a load generator: one request, one response with a length, on a persistent
//! connection.

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The head of a response that has arrived completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// Bytes of the head, the empty line included.
    pub(crate) bytes: usize,
    /// Bytes of the body.
    pub(crate) content_length: usize,
}

/// Parses the head of a response; `None` while it is incomplete.
///
/// # Errors
/// When it is not HTTP/1.1, or has no length.
pub(crate) fn parse_head(received: &[u8]) -> Result<Option<Head>> {
    let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text =
        std::str::from_utf8(received.get(..end).unwrap_or_default()).context("a head that is not text")?;
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.split(' ').next())
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("not an HTTP/1.1 response: {status_line:?}"))?;
    let mut content_length = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            content_length = Some(value.trim().parse().context("content-length")?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("a response without a length: {status_line:?}");
        }
    }
    let content_length = match (content_length, status) {
        (Some(length), _) => length,
        (None, 204 | 304) => 0,
        (None, _) => bail!("a response without a length: {status_line:?}"),
    };
    Ok(Some(Head { status, bytes: end + 4, content_length }))
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: &'a [u8],
}

impl Response<'_> {
    /// Whether the status is 2xx or 3xx.
    pub(crate) const fn is_good(&self) -> bool {
        matches!(self.status, 200..=399)
    }

    /// Short description of the response.
    pub(crate) fn describe(&self) -> String {
        let start = self.body.get(..self.body.len().min(300)).unwrap_or_default();
        format!("{} {}", self.status, String::from_utf8_lossy(start).trim())
    }
}

/// A persistent connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects to `HOST:PORT`.
    ///
    /// # Errors
    /// When nothing listens there.
    pub(crate) async fn open(address: &str) -> Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and waits for the whole response.
    ///
    /// # Errors
    /// When the connection breaks or the response cannot be read.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>> {
        self.stream.write_all(request).await.context("the connection broke")?;
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await.context("the connection broke")? == 0 {
                bail!("the server closed the connection");
            }
            if let Some(head) = parse_head(&self.received)?
                && self.received.len() >= head.bytes + head.content_length
            {
                let body = self.received.get(head.bytes..head.bytes + head.content_length);
                return Ok(Response { status: head.status, body: body.unwrap_or_default() });
            }
        }
    }
}

/// Sends one GET on a new connection.
///
/// # Errors
/// When there is no response, or its status is not 2xx.
pub(crate) async fn get(address: &str, path: &str) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let response = connection.exchange(request.as_bytes()).await?;
    if !response.is_good() {
        bail!("GET {path}: {}", response.describe());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let whole = b"HTTP/1.1 201 Created\r\nCONTENT-length:  12\r\nx: y\r\n\r\n{\"a\":\"b\"}...";
        let bytes = whole.len() - 12;
        for cut in 0..bytes {
            assert_eq!(parse_head(&whole[..cut]).unwrap(), None, "{cut} bytes");
        }
        let head = Head { status: 201, bytes, content_length: 12 };
        assert_eq!(parse_head(&whole[..bytes]).unwrap(), Some(head));
        assert_eq!(parse_head(whole).unwrap(), Some(head));
    }

    #[test]
    fn a_status_without_a_body_needs_no_length() {
        let head = parse_head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.status, head.content_length), (204, 0));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for text in [
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 abc\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(parse_head(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn responses_come_in_pieces() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4];
            for body in ["one", "three"] {
                stream.read_exact(&mut request).await.unwrap();
                let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                for piece in response.as_bytes().chunks(7) {
                    stream.write_all(piece).await.unwrap();
                    stream.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut connection = Connection::open(&address).await.unwrap();
        assert_eq!(connection.exchange(b"ping").await.unwrap().body, b"one");
        assert_eq!(connection.exchange(b"ping").await.unwrap().body, b"three");
        server.await.unwrap();
        assert!(connection.exchange(b"ping").await.is_err(), "the server is gone");
    }
}
