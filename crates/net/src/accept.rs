//! The listening end: TLS if asked for, one bounded HTTP head, then a WebSocket or an answer to a health check.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_async_with_config;

use crate::certified::{self, CertificateError};
use crate::link::{Link, LinkError, websocket_config};
use crate::pinned;
use crate::raw_key::{IdentityError, exporter};
use crate::replayed::{Replayed, Stream};

/// Turns accepted connections into links.
#[derive(Clone)]
pub struct Acceptor {
    tls: Option<TlsAcceptor>,
    /// Whether it also speaks with those who know nothing of this protocol until the WebSocket is up.
    serves_the_web: bool,
}

impl Acceptor {
    /// No TLS: for loopback and behind a proxy that ends TLS.
    pub fn plain() -> Self {
        Self { tls: None, serves_the_web: true }
    }

    /// Whether there is no TLS.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// TLS 1.3 with the raw Ed25519 key of `seed`, as `ties://` dials it.
    pub fn pinned(seed: &[u8; 32]) -> Result<Self, IdentityError> {
        let tls = TlsAcceptor::from(Arc::new(pinned::server_config(seed)?));
        Ok(Self { tls: Some(tls), serves_the_web: false })
    }

    /// TLS 1.3 with a certificate chain and its private key, both in PEM, as `wss://` dials it.
    ///
    /// # Errors
    /// When they are not what they should be, or do not belong together.
    pub fn certified(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let tls = TlsAcceptor::from(Arc::new(certified::server_config(chain, key)?));
        Ok(Self { tls: Some(tls), serves_the_web: true })
    }

    /// Brings one connection up, within five seconds.
    ///
    /// `GET /healthz` is answered at any time with `200` and `ok`; whatever else is no WebSocket request, or comes from a
    /// web page, is answered with a status and dropped.
    pub async fn accept(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Accepted, AcceptError> {
        timeout(ACCEPT_WITHIN, self.accept_at_leisure(stream)).await.map_err(|_| AcceptError::TooSlow)?
    }

    async fn accept_at_leisure(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Accepted, AcceptError> {
        let Some(tls) = &self.tls else {
            return upgrade(Box::new(stream), [0; 32]).await;
        };
        let stream = tls.accept(stream).await.map_err(AcceptError::Tls)?;
        let (_, session) = stream.get_ref();
        let exporter = match session.alpn_protocol() {
            Some(pinned::PROTOCOL) => exporter(session),
            // A proxy that goes on to a relay with a certificate, or a health check: nothing binds the two ends.
            _ if self.serves_the_web => Ok([0; 32]),
            _ => return Err(AcceptError::Tls(std::io::Error::other("the other end speaks another protocol"))),
        };
        let exporter = exporter.map_err(|error| AcceptError::Tls(std::io::Error::other(error)))?;
        upgrade(Box::new(stream), exporter).await
    }
}

/// What came of a connection.
#[derive(Debug)]
pub enum Accepted {
    /// A WebSocket; nobody has proved anything yet.
    Link(Link),
    /// A health check, answered and done with.
    HealthCheck,
}

/// Why a connection came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// Five seconds passed before the WebSocket was up.
    #[error("the connection was not up within {ACCEPT_WITHIN:?}")]
    TooSlow,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Tls(#[source] std::io::Error),
    /// The connection broke.
    #[error("the connection was lost")]
    Lost(#[from] std::io::Error),
    /// The head of the request is too long or is not HTTP.
    #[error("the request is not HTTP or its head is longer than {MAX_HEAD} bytes")]
    Head,
    /// The request was answered with this HTTP status instead of an upgrade.
    #[error("the request was declined with HTTP status {0}")]
    Declined(u16),
    /// The WebSocket's upgrade failed.
    #[error("the upgrade to a WebSocket failed")]
    Upgrade(#[source] LinkError),
}

pub(crate) async fn upgrade(mut stream: Box<dyn Stream>, exporter: [u8; 32]) -> Result<Accepted, AcceptError> {
    let head = read_head(&mut stream).await?;
    let host = match Request::parse(&head)?.verdict() {
        Verdict::Upgrade { host } => host,
        Verdict::Healthy => {
            answer(&mut stream, "200 OK", "ok\n").await?;
            return Ok(Accepted::HealthCheck);
        }
        Verdict::Decline { status, line } => {
            answer(&mut stream, line, "").await?;
            return Err(AcceptError::Declined(status));
        }
    };
    let stream: Box<dyn Stream> = Box::new(Replayed::new(head, stream));
    let socket = accept_async_with_config(stream, Some(websocket_config(READ_BUFFER)))
        .await
        .map_err(|error| AcceptError::Upgrade(error.into()))?;
    Ok(Accepted::Link(Link::new(socket, exporter, host)))
}

/// Reads up to the blank line behind the headers, and perhaps beyond.
async fn read_head(stream: &mut Box<dyn Stream>) -> Result<Vec<u8>, AcceptError> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let before = head.len();
        if stream.take((MAX_HEAD - before) as u64).read_buf(&mut head).await? == 0 {
            return Err(AcceptError::Head);
        }
        // The blank line may begin up to three bytes before what has just come.
        if find(&head[before.saturating_sub(3)..], b"\r\n\r\n").is_some() {
            return Ok(head);
        }
    }
}

async fn answer(stream: &mut Box<dyn Stream>, status: &str, body: &str) -> Result<(), AcceptError> {
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

/// As much of an HTTP request as decides what becomes of it; tungstenite checks the rest.
struct Request<'a> {
    method: &'a str,
    target: &'a str,
    host: Option<&'a str>,
    wants_websocket: bool,
    from_web_page: bool,
}

enum Verdict {
    Upgrade { host: String },
    Healthy,
    Decline { status: u16, line: &'static str },
}

impl<'a> Request<'a> {
    fn parse(head: &'a [u8]) -> Result<Self, AcceptError> {
        let end = find(head, b"\r\n\r\n").ok_or(AcceptError::Head)?;
        let text = std::str::from_utf8(&head[..end]).map_err(|_| AcceptError::Head)?;
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(AcceptError::Head);
        };
        let mut request = Self { method, target, host: None, wants_websocket: false, from_web_page: false };
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(AcceptError::Head)?;
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                // Two hosts would let a proxy and this end see different ones.
                "host" if request.host.replace(value).is_some() => return Err(AcceptError::Head),
                "upgrade" => request.wants_websocket |= value.eq_ignore_ascii_case("websocket"),
                "origin" => request.from_web_page = true,
                _ => {}
            }
        }
        Ok(request)
    }

    fn verdict(&self) -> Verdict {
        if self.target == "/healthz" {
            return match self.method {
                "GET" => Verdict::Healthy,
                _ => Verdict::Decline { status: 405, line: "405 Method Not Allowed" },
            };
        }
        if self.from_web_page {
            // No client of ours is a web page, but any page may dial a relay on its reader's machine.
            return Verdict::Decline { status: 403, line: "403 Forbidden" };
        }
        if !self.wants_websocket {
            return Verdict::Decline { status: 426, line: "426 Upgrade Required\r\nUpgrade: websocket" };
        }
        match self.host {
            Some(host) => Verdict::Upgrade { host: host_name(host) },
            None => Verdict::Decline { status: 400, line: "400 Bad Request" },
        }
    }
}

/// The host of a `Host` header as [`crate::RelayAddress::host`] writes it.
fn host_name(header: &str) -> String {
    let host = match header.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => header.split(':').next().unwrap_or(header),
    };
    host.to_ascii_lowercase()
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// The longest head of a request.
const MAX_HEAD: usize = 8 << 10;
/// A relay holds thousands of idle links, and 2 KiB take most messages in one read.
const READ_BUFFER: usize = 2 << 10;
/// From the accepted connection to the WebSocket.
const ACCEPT_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_header_names_the_host_as_the_address_does() {
        for (header, host) in [
            ("Relay.Example:7700", "relay.example"),
            ("relay.example", "relay.example"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[2001:DB8::1]:9", "2001:db8::1"),
            ("", ""),
        ] {
            assert_eq!(host_name(header), host);
        }
    }

    #[test]
    fn heads_that_are_not_http_are_refused() {
        for head in [
            "\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "GET / x HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
        ] {
            assert!(Request::parse(head.as_bytes()).is_err(), "{head:?}");
        }
        assert!(Request::parse(b"GET /\xff HTTP/1.1\r\n\r\n").is_err());
    }
}
