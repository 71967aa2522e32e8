//! How a relay and a pseudonym prove themselves to each other before anything else is said.
//!
//! Three messages: the relay's hello, the client's proof, the relay's proof. Both sign one transcript: the hello to the
//! byte, the host name that was dialled, a value that only the two ends of one TLS connection know (zeros where there
//! is none), the client's nonce and the pseudonym. A proof is therefore good for this relay, this name, this
//! connection, this once, and nobody in between alters what the relay says of its store.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use ties_sealed_log::{DecodeError, KeyError, Pseudonym, PseudonymKey, RelayKey, RelaySecret, decode, encode};

use crate::wire::{Refusal, VERSION};

const CLIENT: &str = "ties1/relay-auth-client";
const RELAY: &str = "ties1/relay-auth-relay";

/// A message of the handshake; one frame carries one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Greeting {
    /// The relay speaks first.
    Hello {
        /// The protocol's version.
        version: u8,
        /// The relay's key.
        relay: RelayKey,
        /// Fresh.
        nonce: [u8; 32],
        /// Names this store: another one under the same key means that the relay was wiped or restored.
        store: [u8; 16],
        /// The longest frame that it takes.
        max_frame: u32,
    },
    /// The client proves a pseudonym.
    Auth {
        /// The pseudonym.
        pseudonym: Pseudonym,
        /// Fresh.
        nonce: [u8; 32],
        /// Over the transcript.
        signature: ByteBuf,
    },
    /// The relay proves itself.
    Welcome {
        /// Over the same transcript.
        signature: ByteBuf,
    },
    /// The relay will not go on.
    Sorry(Refusal),
}

/// What both ends of one connection know without saying it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The host that the client dialled, as its address spells it, lower case and without the port. A relay compares
    /// with the names it is told it has; behind a proxy or on loopback that is the client's word alone.
    pub host: String,
    /// The TLS exporter's value for this connection; zeros without TLS or behind a proxy.
    pub exporter: [u8; 32],
}

/// Why a handshake fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// A frame that does not parse.
    #[error("malformed handshake ({0})")]
    Frame(#[from] DecodeError),
    /// A signature or key that does not hold.
    #[error("the other side did not prove its key ({0})")]
    Key(#[from] KeyError),
    /// The relay has another key than its address says.
    #[error("the relay has another key than its address says")]
    WrongRelay,
    /// A message that has no place here.
    #[error("a message out of turn")]
    OutOfTurn,
    /// The other side refuses.
    #[error("refused: {0}")]
    Refused(Refusal),
}

/// What both proofs sign: every part has a fixed length or its length before it.
fn transcript(hello: &[u8], channel: &Channel, nonce: &[u8; 32], pseudonym: &Pseudonym) -> Vec<u8> {
    encode(&(hello, &channel.host, channel.exporter, nonce, pseudonym))
}

fn signature(bytes: &ByteBuf) -> Result<&[u8; 64], HandshakeError> {
    bytes.as_slice().try_into().map_err(|_| HandshakeError::Key(KeyError::Malformed))
}

/// A relay that said hello and awaits a proof.
#[derive(Debug)]
pub struct ExpectAuth {
    channel: Channel,
    hello: Vec<u8>,
}

impl ExpectAuth {
    /// Says hello.
    pub fn hello(
        key: &RelaySecret,
        store: [u8; 16],
        max_frame: u32,
        channel: Channel,
        rng: &mut impl CryptoRng,
    ) -> (Self, Vec<u8>) {
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let hello = encode(&Greeting::Hello { version: VERSION, relay: key.id(), nonce, store, max_frame });
        (Self { channel, hello: hello.clone() }, hello)
    }

    /// Takes the client's proof: the proven pseudonym, and the answer to send.
    ///
    /// # Errors
    /// Any error ends the connection; nobody was proven.
    pub fn handle(self, frame: &[u8], key: &RelaySecret) -> Result<(Pseudonym, Vec<u8>), HandshakeError> {
        let Greeting::Auth { pseudonym, nonce, signature: proof } = decode(frame)? else {
            return Err(HandshakeError::OutOfTurn);
        };
        let transcript = transcript(&self.hello, &self.channel, &nonce, &pseudonym);
        pseudonym.verify(CLIENT, &[&transcript], signature(&proof)?)?;
        let signature = ByteBuf::from(key.sign(RELAY, &[&transcript]));
        Ok((pseudonym, encode(&Greeting::Welcome { signature })))
    }
}

/// A client that dialled and awaits the hello.
#[derive(Debug)]
pub struct ExpectHello {
    channel: Channel,
    relay: RelayKey,
}

impl ExpectHello {
    /// A client that dialled `relay`.
    #[must_use]
    pub fn new(channel: Channel, relay: RelayKey) -> Self {
        Self { channel, relay }
    }

    /// Takes the hello: the next stage, and the proof to send.
    ///
    /// # Errors
    /// When the relay is another one, or speaks another version; nothing is signed then.
    pub fn handle(
        self,
        frame: &[u8],
        key: &PseudonymKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(ExpectWelcome, Vec<u8>), HandshakeError> {
        let Greeting::Hello { version, relay, store, max_frame, .. } = hello_or_sorry(frame)? else {
            return Err(HandshakeError::OutOfTurn);
        };
        if version != VERSION {
            return Err(HandshakeError::Refused(Refusal::Version));
        }
        if relay != self.relay {
            return Err(HandshakeError::WrongRelay);
        }
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let transcript = transcript(frame, &self.channel, &nonce, &key.id());
        let signature = ByteBuf::from(key.sign(CLIENT, &[&transcript]));
        let auth = encode(&Greeting::Auth { pseudonym: key.id(), nonce, signature });
        Ok((ExpectWelcome { transcript, relay, greeted: Greeted { store, max_frame } }, auth))
    }
}

/// A client that proved itself and awaits the relay's proof.
#[derive(Debug)]
pub struct ExpectWelcome {
    transcript: Vec<u8>,
    relay: RelayKey,
    greeted: Greeted,
}

/// What a relay says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeted {
    /// Names its store.
    pub store: [u8; 16],
    /// The longest frame that it takes.
    pub max_frame: u32,
}

impl ExpectWelcome {
    /// Takes the relay's proof. The link is up only now.
    ///
    /// # Errors
    /// When it refuses, or is not who it says.
    pub fn handle(self, frame: &[u8]) -> Result<Greeted, HandshakeError> {
        let Greeting::Welcome { signature: proof } = hello_or_sorry(frame)? else {
            return Err(HandshakeError::OutOfTurn);
        };
        self.relay.verify(RELAY, &[&self.transcript], signature(&proof)?)?;
        Ok(self.greeted)
    }
}

fn hello_or_sorry(frame: &[u8]) -> Result<Greeting, HandshakeError> {
    match decode(frame)? {
        Greeting::Sorry(reason) => Err(HandshakeError::Refused(reason)),
        greeting => Ok(greeting),
    }
}
