//! Every message of a session, and of what a relay offers beside it.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use ties_sealed_log::{
    ChunkName, DecodeError, FloorName, LogId, MAX_BRANCHES, MAX_ENTRY, MailboxId, Tip, TipRecord, decode, encode,
};

/// The one version of the protocol. Another one is an error, never a negotiation.
pub const VERSION: u8 = 1;

/// The longest frame: one entry of full size and what stands around it.
pub const MAX_FRAME: usize = MAX_ENTRY + (16 << 10);

/// What either side may send before it hears of credit, in bytes of entries.
pub const WINDOW: u32 = 4 << 20;

/// The most logs that a replica reconciles.
pub const MAX_LOGS: usize = 1024;

/// The most tips in one [`Message::Vector`].
pub const MAX_TIPS: usize = MAX_LOGS * MAX_BRANCHES;

/// The longest message that a rendezvous passes on.
pub const MAX_PASS: usize = 32 << 10;

/// The longest message that passes under a nameplate.
pub const MAX_NOTE: usize = 2 << 10;

/// A message; one frame carries one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The first message each way. With equal digests it is also the last until something happens.
    Open {
        /// [`VERSION`].
        version: u8,
        /// Which logs this is about: a mailbox's id at a relay.
        subject: [u8; 32],
        /// Digest of the access statements held ([`ties_sealed_log::AccessList::digest`]), zeros without any.
        access: [u8; 32],
        /// Digest of what is held: of the vector ([`ties_sealed_log::Vector::digest`]), and of the floor if there is one.
        digest: [u8; 32],
    },
    /// Access statements, exact bytes, parents before children. Sent when the access digests differ or change.
    Access(Vec<ByteBuf>),
    /// All tips held, sorted. Sent once, when the digests differ.
    Vector(Vec<TipRecord>),
    /// Log openings, exact bytes, ahead of the entries of logs that the other side does not know.
    Openings(Vec<ByteBuf>),
    /// Entries, exact bytes; within a log in order of place.
    Entries(Vec<ByteBuf>),
    /// What is durable now, and how many more bytes of entries are welcome.
    Ack {
        /// The last entries taken, one a branch.
        tips: Vec<TipRecord>,
        /// Bytes of entries taken since the last ack.
        credit: u32,
    },
    /// The other's tip is on no branch known here: names at distances 1, 2, 4 … back from it on this side's branch,
    /// highest place first.
    Probe {
        /// The forked log.
        log: LogId,
        /// Places and names.
        points: Vec<Tip>,
    },
    /// The highest place of a probe that is known here, or 0; what lies above it follows from both sides.
    Common {
        /// The forked log.
        log: LogId,
        /// The place.
        seq: u64,
    },
    /// Entries of this log are not taken (any more) in this session; with [`Refusal::Withheld`], not given.
    Refused {
        /// The log.
        log: LogId,
        /// Why.
        reason: Refusal,
    },
    /// Reserved: changes since a relay's cursor, so that large spaces need not exchange whole vectors.
    Since {
        /// The cursor.
        cursor: u64,
    },
    /// Asks a relay for a mailbox.
    Create {
        /// The first access statement, exact bytes.
        statement: ByteBuf,
        /// An operator's invite token, where the relay is not open.
        token: Option<[u8; 16]>,
    },
    /// The mailbox is there, new or already.
    Created {
        /// Its id.
        mailbox: MailboxId,
    },
    /// Asks on which mailboxes the proven key is.
    Which,
    /// Answers [`Message::Which`].
    Mailboxes(Vec<MailboxId>),
    /// Enters a room of two; a third is refused.
    Meet {
        /// Its name, known to the two alone.
        room: [u8; 32],
    },
    /// Says something to the other one in the room, who may yet have to come.
    Pass(ByteBuf),
    /// A request is refused; the link stays.
    Sorry(Refusal),
    /// Asks for a number under which one other device can be met, for a code.
    Reserve,
    /// Answers [`Message::Reserve`].
    Nameplate {
        /// The number, short and soon given to others again.
        number: u32,
    },
    /// Meets whoever reserved this number. It works once: the number is nobody else's from then on.
    Claim {
        /// The number.
        number: u32,
    },
    /// The other one is gone, or the time is over; so is the number.
    Left,
    /// The floor record that is held here, exact bytes; ahead of entries.
    Floor(ByteBuf),
    /// Answers [`Message::Floor`]; with [`FloorWord::Pass`] also takes it back.
    OnFloor {
        /// Which.
        floor: FloorName,
        /// What is said of it.
        word: FloorWord,
    },
    /// Chunks that were asked for, exact bytes; acknowledged as entries are.
    Chunks(Vec<ByteBuf>),
}

/// What is said of a floor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FloorWord {
    /// Send these chunks of it, sorted, and nothing of what lies below it meanwhile.
    Want(Vec<ChunkName>),
    /// Everything up to its cut is here: send what lies above.
    Have,
    /// Go on without.
    Pass,
    /// Go on without, and why.
    Refuse(Refusal),
}

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The protocol version is not spoken here.
    #[error("the other side speaks another version")]
    Version,
    /// There is no such mailbox here.
    #[error("no such mailbox at this relay")]
    NoMailbox,
    /// The pseudonym is not on the list, or may not do this.
    #[error("not permitted by the mailbox's access list")]
    NotPermitted,
    /// No opening of this log by a listed pseudonym is here.
    #[error("the log was not opened under a listed pseudonym")]
    NotOpened,
    /// An entry's predecessor is missing.
    #[error("an entry's predecessor is missing")]
    Gap,
    /// The log has too many branches.
    #[error("the log has too many branches")]
    Branches,
    /// The mailbox holds as many bytes as it may.
    #[error("the mailbox is full")]
    Quota,
    /// The statement, opening or entry is not valid.
    #[error("malformed or wrongly signed")]
    Invalid,
    /// The relay wants an invite token, and this is none that is valid.
    #[error("this relay needs an invite token")]
    Token,
    /// The room is taken.
    #[error("the rendezvous is taken by two others")]
    RoomTaken,
    /// Too much at once.
    #[error("too many requests at once")]
    Busy,
    /// The invite token was good once: it is used up, or its time is over.
    #[error("the invite token is used up or its time is over")]
    Spent,
    /// The key or the address has made as many mailboxes as it may.
    #[error("as many mailboxes were made from here as the relay allows")]
    Mailboxes,
    /// The mailbox has as many pseudonyms as it may.
    #[error("the mailbox has as many devices as the relay allows")]
    Pseudonyms,
    /// The mailbox has as many logs as it may.
    #[error("the mailbox has as many logs as the relay allows")]
    Logs,
    /// Nobody waits under this number (any more).
    #[error("no device waits for this code")]
    NoNameplate,
    /// The log was cut short above this branch.
    #[error("the log begins further up here, and this branch left it before that")]
    Below,
    /// The checkpoint does not fit the logs, or who signed it may not.
    #[error("the checkpoint does not match what is here")]
    Floor,
    /// Entries of the log that the other side lacks are not here (any more) either. It is not given; what comes of it is
    /// taken all the same.
    #[error("the log begins further up here, and the entries before are gone")]
    Withheld,
}

/// How many entries a frame holds, without copying them; none if it is any other message.
#[must_use]
pub fn entries_in(frame: &[u8]) -> usize {
    // The number of the variant, then the length of its list, as postcard writes them.
    let Some((&ENTRIES, rest)) = frame.split_first() else { return 0 };
    let (mut count, mut shift) = (0, 0);
    for byte in rest.iter().take(4) {
        count |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return count;
        }
        shift += 7;
    }
    0
}

/// The number of [`Message::Entries`] on the wire.
const ENTRIES: u8 = 4;

impl Refusal {
    /// What it is called in lists and counts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::NoMailbox => "no-mailbox",
            Self::NotPermitted => "not-permitted",
            Self::NotOpened => "not-opened",
            Self::Gap => "gap",
            Self::Branches => "branches",
            Self::Quota => "quota",
            Self::Invalid => "invalid",
            Self::Token => "token",
            Self::RoomTaken => "room-taken",
            Self::Busy => "busy",
            Self::Spent => "token-spent",
            Self::Mailboxes => "mailboxes",
            Self::Pseudonyms => "pseudonyms",
            Self::Logs => "logs",
            Self::NoNameplate => "no-nameplate",
            Self::Below => "below",
            Self::Floor => "floor",
            Self::Withheld => "withheld",
        }
    }
}

impl Message {
    /// The frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// When it is too long or not the one encoding of a message.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        if frame.len() > MAX_FRAME {
            return Err(DecodeError::Malformed);
        }
        decode(frame)
    }
}
