//! Tickets: 256 secret bits and where to meet, carried from an old device to a new one by paste or picture.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use ties_sealed_log::{DeviceId, DiscoveryKey, EpochKey, Secret, decode, encode, hash};
use zeroize::{Zeroize, Zeroizing};

const PREFIX: &str = "ties1-";
const SUM: usize = 4;
/// No ticket is nearly as long, wrapped and indented as it may be.
const MAX_TEXT: usize = 8 << 10;

/// Why a ticket cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not a ticket, cut off, or mistyped.
    #[error("this is not a whole ticket")]
    Malformed,
    /// Its time is over.
    #[error("the ticket has expired")]
    Expired,
}

/// An invitation to one new device.
pub struct Ticket {
    /// Where the two meet, as text: a relay's address, `folder:`, or `lan:` and perhaps where the host listens.
    pub relay: String,
    /// The device that invites; nobody else can answer.
    pub host: DeviceId,
    /// Seconds since 1970 after which it is void.
    pub expires: u64,
    secret: Secret,
}

// Secret, yet Serialize: these are the bytes of the ticket that its owner carries over.
#[derive(Serialize, Deserialize)]
struct Body {
    version: u8,
    relay: String,
    host: DeviceId,
    expires: u64,
    secret: [u8; 32],
}

impl Ticket {
    /// Makes a ticket.
    #[must_use]
    pub fn new(relay: String, host: DeviceId, expires: u64, secret: Secret) -> Self {
        Self { relay, host, expires, secret }
    }

    /// The text to carry over. It is a secret until it is used.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut body = Body {
            version: 1,
            relay: self.relay.clone(),
            host: self.host,
            expires: self.expires,
            secret: *self.secret.expose(),
        };
        let coded = Zeroizing::new(encode(&body));
        body.secret.zeroize();
        // No buffer here may grow: what it leaves behind would not be wiped.
        let mut bytes = Zeroizing::new(Vec::with_capacity(coded.len() + SUM));
        bytes.extend_from_slice(&coded);
        bytes.extend_from_slice(&checksum(&coded));
        let coded = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*bytes));
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + coded.len()));
        text.push_str(PREFIX);
        text.push_str(&coded);
        text
    }

    /// Reads a ticket back; white space does not matter, so that wrapped lines may be pasted. `now` is in seconds
    /// since 1970.
    ///
    /// # Errors
    /// When it is not whole, or has expired.
    pub fn parse(text: &str, now: u64) -> Result<Self, TicketError> {
        if text.len() > MAX_TEXT {
            return Err(TicketError::Malformed);
        }
        let mut whole = Zeroizing::new(String::with_capacity(text.len()));
        text.split_whitespace().for_each(|part| whole.push_str(part));
        let coded = whole.strip_prefix(PREFIX).ok_or(TicketError::Malformed)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(coded).map_err(|_| TicketError::Malformed)?);
        let (body, sum) = bytes.split_last_chunk::<SUM>().ok_or(TicketError::Malformed)?;
        if *sum != checksum(body) {
            return Err(TicketError::Malformed);
        }
        let mut body: Body = decode(body).map_err(|_| TicketError::Malformed)?;
        let secret = Secret::new(body.secret);
        body.secret.zeroize();
        match body.version {
            1 if body.expires > now => Ok(Self::new(body.relay, body.host, body.expires, secret)),
            1 => Err(TicketError::Expired),
            _ => Err(TicketError::Malformed),
        }
    }

    /// The room at the relay where the two meet. It tells the relay nothing about the secret.
    #[must_use]
    pub fn room(&self) -> [u8; 32] {
        hash("ties1/pair-room", &[self.secret.expose()])
    }

    /// What the two find each other by on a network with no relay, and prove on their link: as devices of a space do with an
    /// epoch's key.
    #[must_use]
    pub fn discovery(&self) -> DiscoveryKey {
        EpochKey::new(Secret::new(*self.secret.expose())).discovery()
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ticket({:?})", self.host)
    }
}

/// Against typing errors alone.
fn checksum(body: &[u8]) -> [u8; SUM] {
    let digest = hash("ties1/ticket", &[body]);
    [digest[0], digest[1], digest[2], digest[3]]
}
