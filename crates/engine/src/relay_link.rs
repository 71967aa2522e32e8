//! A link to a relay, after both sides proved who they are.

use std::time::{Duration, Instant};

use ties_net::{ConnectError, Link, LinkError, RelayAddress, connect};
use ties_sealed_log::{DecodeError, PseudonymKey};
use ties_sync::{Channel, ExpectHello, Greeted, HandshakeError, Message, Refusal};

use crate::environment::Environment;

/// Why a relay cannot be talked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFailure {
    /// It cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The link broke.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The relay closed the link.
    #[error("the relay closed the connection")]
    Closed,
    /// It did not prove itself, or refused this device.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// It refuses a request.
    #[error("the relay refuses: {0}")]
    Refused(Refusal),
    /// It says what makes no sense here.
    #[error("the relay broke the protocol")]
    Protocol(#[from] DecodeError),
    /// It says nothing.
    #[error("the relay did not answer in time")]
    TimedOut,
}

const ANSWER: Duration = Duration::from_secs(20);

/// A proven link.
#[derive(Debug)]
pub(crate) struct RelayLink {
    link: Link,
    /// What the relay said of itself.
    pub(crate) greeted: Greeted,
    began: Instant,
}

impl RelayLink {
    /// Dials a relay and proves a pseudonym to it.
    pub(crate) async fn open(
        address: &RelayAddress,
        key: &PseudonymKey,
        environment: &mut Environment,
    ) -> Result<Self, LinkFailure> {
        let began = Instant::now();
        let mut link = connect(address).await?;
        let channel = Channel { host: link.host().to_owned(), exporter: *link.exporter() };
        let hello = answer(&mut link).await?;
        let (stage, auth) = ExpectHello::new(channel, address.key()).handle(&hello, key, environment.randomness())?;
        link.send(auth).await?;
        let welcome = answer(&mut link).await?;
        let greeted = stage.handle(&welcome)?;
        Ok(Self { link, greeted, began })
    }

    /// The clock of this link's sessions.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) async fn say(&mut self, message: &Message) -> Result<(), LinkFailure> {
        self.send(message.encode()).await
    }

    pub(crate) async fn send(&mut self, frame: Vec<u8>) -> Result<(), LinkFailure> {
        Ok(self.link.send(frame).await?)
    }

    /// The next frame. Safe to cancel.
    pub(crate) async fn frame(&mut self) -> Result<Vec<u8>, LinkFailure> {
        self.link.recv().await?.ok_or(LinkFailure::Closed)
    }

    /// The answer to a request.
    pub(crate) async fn answer(&mut self) -> Result<Message, LinkFailure> {
        match Message::decode(&answer(&mut self.link).await?)? {
            Message::Sorry(reason) => Err(LinkFailure::Refused(reason)),
            message => Ok(message),
        }
    }

    /// Frames that are here already, up to about `bytes`.
    pub(crate) async fn waiting(&mut self, bytes: usize) -> Result<Vec<Vec<u8>>, LinkFailure> {
        Ok(self.link.waiting(bytes).await?)
    }

    pub(crate) async fn close(self) {
        self.link.close(ties_net::ClosingReason::Done).await;
    }
}

async fn answer(link: &mut Link) -> Result<Vec<u8>, LinkFailure> {
    let frame = tokio::time::timeout(ANSWER, link.recv()).await.map_err(|_| LinkFailure::TimedOut)?;
    frame?.ok_or(LinkFailure::Closed)
}
