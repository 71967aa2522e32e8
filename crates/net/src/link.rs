//! One WebSocket that carries frames both ways.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, Stream as _};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};

use crate::replayed::Stream;
use crate::stirrings::stirrings;

/// The longest frame either end sends or accepts: an entry frame of 1 MiB and what surrounds it.
pub const MAX_FRAME: usize = (1 << 20) + (64 << 10);

/// A live connection: binary frames in order, both ways, until one end closes it.
///
/// A link is up for the other side only when its first frame has come: in TLS 1.3 the dialing side finishes first.
pub struct Link {
    reader: LinkReader,
    writer: LinkWriter,
    exporter: [u8; 32],
    host: String,
}

impl Link {
    pub(crate) fn new(socket: Socket, exporter: [u8; 32], host: String) -> Self {
        let socket = Arc::new(Mutex::new(socket));
        let reader = LinkReader { socket: Arc::clone(&socket), pulse: Pulse::new(Heartbeat::default()) };
        Self { reader, writer: LinkWriter { socket }, exporter, host }
    }

    /// Sends one frame and flushes it; waits while the other end does not read.
    ///
    /// Cancelling it may lose the frame or the link; only a link that is given up is safe to cancel.
    pub async fn send(&mut self, frame: Vec<u8>) -> Result<(), LinkError> {
        self.writer.send(frame).await
    }

    /// The next frame, or `None` when the other end has closed the link in good order. Safe to cancel.
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, LinkError> {
        self.reader.recv().await
    }

    /// Frames that are here already, up to about `bytes`.
    ///
    /// # Errors
    /// As [`Self::recv`]. An ending in good order shows again at the next read.
    pub async fn waiting(&mut self, mut bytes: usize) -> Result<Vec<Vec<u8>>, LinkError> {
        let mut frames = Vec::new();
        while bytes > 0 {
            let frame = tokio::select! {
                biased;
                frame = self.recv() => frame?,
                () = std::future::ready(()) => break,
            };
            let Some(frame) = frame else { break };
            bytes = bytes.saturating_sub(frame.len());
            frames.push(frame);
        }
        Ok(frames)
    }

    /// 32 bytes that bind a handshake to this TLS session (label [`crate::EXPORTER_LABEL`]); zeros without TLS and where
    /// a proxy may end it (`ws://`, `wss://`).
    pub fn exporter(&self) -> &[u8; 32] {
        &self.exporter
    }

    /// The host that was dialed: from the address at the dialing end, from the `Host` header at the other; in lower
    /// case, without port and brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Sets how a silent link is probed.
    pub fn set_heartbeat(&mut self, heartbeat: Heartbeat) {
        self.reader.pulse = Pulse::new(heartbeat);
    }

    /// Makes two halves that may live in different tasks; the link ends when both are dropped.
    pub fn split(self) -> (LinkReader, LinkWriter) {
        (self.reader, self.writer)
    }

    /// Says why it ends, and waits up to two seconds for the other end to say so too.
    pub async fn close(mut self, reason: ClosingReason) {
        self.writer.close(reason).await;
        let drain = async { while let Ok(Some(_)) = self.reader.recv().await {} };
        // Dropping a socket with unread bytes resets it, and the other end might lose what was sent last.
        let _ = timeout(CLOSE_WAIT, drain).await;
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The receiving half of a [`Link`]; it also keeps the link alive, so somebody must be waiting on it.
pub struct LinkReader {
    socket: SharedSocket,
    pulse: Pulse,
}

impl LinkReader {
    /// The next frame, or `None` when the other end has closed the link in good order. Safe to cancel.
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, LinkError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>, LinkError>> {
        let mut socket = lock(&self.socket);
        loop {
            let Poll::Ready(message) = Pin::new(&mut *socket).poll_next(cx) else {
                match self.pulse.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Beat::Probe) => probe(&mut socket),
                    Poll::Ready(Beat::Dead) => return Poll::Ready(Err(LinkError::Silent)),
                }
                continue;
            };
            self.pulse.heard();
            return Poll::Ready(match message {
                None => Ok(None),
                Some(Ok(Message::Binary(frame))) => Ok(Some(frame.into())),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(frame))) => match frame.map(|frame| frame.code) {
                    None | Some(CloseCode::Normal | CloseCode::Away) => continue,
                    Some(code) => Err(LinkError::Refused { code: code.into() }),
                },
                Some(Ok(Message::Text(_))) => {
                    farewell(&mut socket, CloseCode::Unsupported);
                    Err(LinkError::NotBinary)
                }
                Some(Err(WsError::Capacity(_))) => {
                    farewell(&mut socket, CloseCode::Size);
                    Err(LinkError::TooLong)
                }
                Some(Err(error)) => Err(error.into()),
            });
        }
    }
}

/// The sending half of a [`Link`].
pub struct LinkWriter {
    socket: SharedSocket,
}

impl LinkWriter {
    /// Sends one frame and flushes it; see [`Link::send`].
    pub async fn send(&mut self, frame: Vec<u8>) -> Result<(), LinkError> {
        if frame.len() > MAX_FRAME {
            return Err(LinkError::TooLong);
        }
        self.put(Message::Binary(frame.into())).await
    }

    /// Sends a close frame; nothing can be sent after it. Gives up after two seconds.
    pub async fn close(&mut self, reason: ClosingReason) {
        let frame = CloseFrame { code: reason.code(), reason: "".into() };
        let _ = timeout(CLOSE_WAIT, self.put(Message::Close(Some(frame)))).await;
    }

    async fn put(&mut self, message: Message) -> Result<(), LinkError> {
        poll_fn(|cx| Pin::new(&mut *lock(&self.socket)).poll_ready(cx)).await?;
        Pin::new(&mut *lock(&self.socket)).start_send(message)?;
        poll_fn(|cx| Pin::new(&mut *lock(&self.socket)).poll_flush(cx)).await?;
        Ok(())
    }
}

/// Why this end closes a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosingReason {
    /// Everything was said.
    Done,
    /// This program stops; another attempt may succeed later.
    GoingAway,
    /// The other end broke a rule.
    Refused,
    /// Too busy for this link at present.
    Busy,
}

impl ClosingReason {
    fn code(self) -> CloseCode {
        match self {
            Self::Done => CloseCode::Normal,
            Self::GoingAway => CloseCode::Away,
            Self::Refused => CloseCode::Policy,
            Self::Busy => CloseCode::Again,
        }
    }
}

/// Why a link ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection broke.
    #[error("the connection was lost")]
    Lost(#[source] Option<std::io::Error>),
    /// Nothing came for too long, not even an answer to a ping.
    #[error("the other end has fallen silent")]
    Silent,
    /// The other end closed the link because of something this end did, or because it is too busy (1013).
    #[error("{}", closed(*code))]
    Refused {
        /// The WebSocket close code.
        code: u16,
    },
    /// A frame is longer than [`MAX_FRAME`].
    #[error("a frame is longer than {MAX_FRAME} bytes")]
    TooLong,
    /// A text message came where only binary ones belong.
    #[error("the other end sent text where only binary frames belong")]
    NotBinary,
    /// The bytes are not WebSocket.
    #[error("the other end does not speak WebSocket properly")]
    Protocol(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<WsError> for LinkError {
    fn from(error: WsError) -> Self {
        match error {
            WsError::Io(error) => Self::Lost(Some(error)),
            WsError::ConnectionClosed
            | WsError::AlreadyClosed
            | WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing) => {
                Self::Lost(None)
            }
            WsError::Capacity(_) | WsError::WriteBufferFull(_) => Self::TooLong,
            error => Self::Protocol(Box::new(error)),
        }
    }
}

fn closed(code: u16) -> String {
    let why = match CloseCode::from(code) {
        CloseCode::Policy => "the other end closed the connection because of a rule that was broken",
        CloseCode::Size => "the other end closed the connection because a frame was too long",
        CloseCode::Again => {
            "the other end closed the connection because it is too busy, or this device has others open"
        }
        _ => "the other end closed the connection",
    };
    format!("{why} (code {code})")
}

/// When a silent link is probed, and for how long an answer is awaited.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat {
    /// Silence after which a ping goes out; below the minute at which proxies and routers forget a connection.
    pub ping_after: Duration,
    /// How long anything at all may take to come after the ping.
    pub answer_within: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { ping_after: Duration::from_secs(45), answer_within: Duration::from_secs(20) }
    }
}

/// The clock of a [`Heartbeat`].
struct Pulse {
    heartbeat: Heartbeat,
    probed: bool,
    alarm: Pin<Box<Sleep>>,
    /// Comes when the link may have died unnoticed.
    stirred: Stirred,
}

type Stirred = Pin<Box<dyn Future<Output = watch::Receiver<u64>> + Send>>;

fn next_stirring(mut stirrings: watch::Receiver<u64>) -> Stirred {
    Box::pin(async move {
        if stirrings.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        stirrings
    })
}

enum Beat {
    Probe,
    Dead,
}

impl Pulse {
    fn new(heartbeat: Heartbeat) -> Self {
        let alarm = Box::pin(sleep_until(Instant::now() + heartbeat.ping_after));
        Self { heartbeat, probed: false, alarm, stirred: next_stirring(stirrings()) }
    }

    fn heard(&mut self) {
        self.probed = false;
        self.alarm.as_mut().reset(Instant::now() + self.heartbeat.ping_after);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Beat> {
        if let Poll::Ready(stirrings) = self.stirred.as_mut().poll(cx) {
            self.stirred = next_stirring(stirrings);
            self.alarm.as_mut().reset(Instant::now() + self.heartbeat.answer_within.min(STIRRED_ANSWER));
            self.probed = true;
            return Poll::Ready(Beat::Probe);
        }
        std::task::ready!(self.alarm.as_mut().poll(cx));
        if self.probed {
            return Poll::Ready(Beat::Dead);
        }
        self.probed = true;
        self.alarm.as_mut().reset(Instant::now() + self.heartbeat.answer_within);
        Poll::Ready(Beat::Probe)
    }
}

pub(crate) type Socket = WebSocketStream<Box<dyn Stream>>;
type SharedSocket = Arc<Mutex<Socket>>;

/// Bounds for what one end can make the other hold. Each link keeps its read buffer for as long as it lives.
pub(crate) fn websocket_config(read_buffer: usize) -> WebSocketConfig {
    // With a target of 0 every message goes to the socket at once; the bound leaves room for a ping or a close behind
    // one frame that the socket has not taken yet.
    WebSocketConfig::default()
        .read_buffer_size(read_buffer)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_FRAME)
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME))
}

/// The lock is held for one poll at a time and never across an await.
fn lock(socket: &SharedSocket) -> MutexGuard<'_, Socket> {
    socket.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a ping. If the socket takes nothing at this moment it stays behind what is already waiting, which is enough:
/// an end that reads nothing is dead.
fn probe(socket: &mut Socket) {
    let _ = Pin::new(socket).start_send(Message::Ping(Vec::new().into()));
}

/// Tells the other end why the link ends, if the socket takes it at once.
fn farewell(socket: &mut Socket, code: CloseCode) {
    let _ = Pin::new(socket).start_send(Message::Close(Some(CloseFrame { code, reason: "".into() })));
}

const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// How long an answer may take from an end that may not be there any more.
const STIRRED_ANSWER: Duration = Duration::from_secs(5);
