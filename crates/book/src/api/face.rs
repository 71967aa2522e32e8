//! The side of a face that a book calls while it works.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

/// Something that happened while a request was worked on.
// Secret, yet Clone and Serialize: codes and tickets are made to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// So much is done.
    Progress {
        /// Of what, such as `import` or `sync`.
        what: String,
        /// How much.
        done: u64,
        /// Of how much, if known.
        total: Option<u64>,
    },
    /// The ticket to hand to the new device. It is a secret: show it, keep it nowhere.
    Ticket {
        /// The ticket, one line.
        ticket: Secret,
        /// Where the new device finds this one on the local network.
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
        /// When it ends, RFC 3339 in UTC.
        expires: Option<String>,
    },
    /// Show this ticket to the user: a device shown it may be let in by the folder that was named.
    FolderTicket {
        /// The text; it goes to the new device's standard input.
        ticket: Secret,
        /// Until when it is good, RFC 3339 in UTC.
        expires: Option<String>,
        /// Whether this device waits for the new one now.
        wait: bool,
    },
    /// The code to type on the new device. It is a secret until it was used: show it, keep it nowhere.
    Code {
        /// The code, such as `17-acid-zoo-lunch`.
        code: Secret,
        /// The relay where it can be met, of which the new device must be told.
        relay: Option<String>,
        /// Where the new device finds this one on the local network; it looks there unless it is told of a relay.
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
        /// When it ends, RFC 3339 in UTC.
        expires: Option<String>,
    },
    /// The new device shows these words; the old one must show the same (on the joining side).
    Fingerprint {
        /// What the device that lets this one in is called, if it has proved that by now.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// Four words.
        words: String,
    },
    /// The local network is asked for the device that waits for this one (on the joining side).
    Looking,
    /// This device waits for others.
    Listening {
        /// Where.
        address: String,
    },
    /// A relay or device is reached.
    Connected {
        /// Its address.
        url: String,
    },
    /// A relay is lost; tried again later.
    Disconnected {
        /// Its address.
        url: String,
        /// Why.
        reason: String,
        /// In how many milliseconds it is tried again; `None` if it is not.
        retry_ms: Option<u64>,
    },
    /// Both sides have the same.
    UpToDate {
        /// The relay's address.
        url: String,
    },
    /// Entries went out or came in.
    Exchanged {
        /// The relay's address.
        url: String,
        /// Entries sent since the last such event.
        sent: u64,
        /// Entries received since the last such event.
        received: u64,
    },
    /// Something the user should know, in one sentence.
    Notice {
        /// The sentence.
        text: String,
    },
}

/// A new device that asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Guest {
    /// The name it gives itself.
    pub name: String,
    /// The words of its fingerprint, which it shows too.
    pub fingerprint: String,
    /// What it may do once it is in: `admin`, `writer` or `reader`.
    pub role: String,
}

/// A yes or no that may take its time.
pub type Answer<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// The side of a face that a book calls back while it works.
pub trait Face: Send {
    /// Takes note of an event.
    fn event(&mut self, event: Event);

    /// Whether somebody sees [`Event::Notice`]; what is told once must not be told to nobody.
    fn listens(&self) -> bool {
        true
    }

    /// Whether [`Self::confirm`] asks somebody, or somebody has decided beforehand; otherwise a device that waits in a folder
    /// goes on waiting.
    fn answers(&self) -> bool {
        false
    }

    /// Asks the user whether this device may come in. May wait for the user, but must not block the thread.
    fn confirm(&mut self, guest: Guest) -> Answer<'_>;
}

/// A face that hears nothing and refuses every guest; enough for local requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Face for Silent {
    fn event(&mut self, _: Event) {}

    fn listens(&self) -> bool {
        false
    }

    fn confirm(&mut self, _: Guest) -> Answer<'_> {
        Box::pin(std::future::ready(false))
    }
}

/// A text that must not get into logs: its `Debug` hides it, and its memory is wiped.
// Secret, yet Clone and Serialize: what its user typed, or is to be shown, has to reach or leave a face.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}
