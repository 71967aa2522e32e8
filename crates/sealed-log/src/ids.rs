//! Names: 32-byte identifiers that cannot be taken for one another, and the one hash behind them.

use sha2::{Digest, Sha256};

/// SHA-256 over a domain label, a zero byte and the parts, each fixed in length by its format.
#[must_use]
pub fn hash(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(label.as_bytes());
    hasher.update([0]);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The bytes as they are written in every format.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), Short(&self.0))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    };
}

struct Short<'a>(&'a [u8; 32]);

impl std::fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

identifier!(
    /// A space: the hash of its genesis payload, taken before sealing.
    SpaceId
);
identifier!(
    /// A device: the hash of its three public keys.
    DeviceId
);
identifier!(
    /// A log, one incarnation of a device in a space: the Ed25519 public key that signs its entries.
    LogId
);
identifier!(
    /// An entry: SHA-256 of its exact bytes.
    EntryName
);
identifier!(
    /// An epoch of content keys, fixed before its key is wrapped.
    EpochId
);
identifier!(
    /// The only name that a relay knows a device by: an Ed25519 public key.
    Pseudonym
);
identifier!(
    /// A mailbox at a relay: the hash of its first access statement.
    MailboxId
);
identifier!(
    /// An access statement: SHA-256 of its exact bytes.
    StatementName
);
identifier!(
    /// A relay: its Ed25519 public key.
    RelayKey
);
identifier!(
    /// A chunk of a checkpoint: SHA-256 of its exact bytes.
    ChunkName
);
identifier!(
    /// A floor record: SHA-256 of its exact bytes.
    FloorName
);

impl EntryName {
    /// What the first entry of a log names as its predecessor.
    pub const NONE: Self = Self([0; 32]);

    /// The name of the entry with these exact bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl DeviceId {
    /// Four words to compare by eye or voice when a device is added (44 bits of the id).
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let words = bip39::Language::English.word_list();
        let bits = u64::from_be_bytes(self.0[..8].try_into().expect("eight bytes of thirty-two"));
        let word = |n: u32| words[(bits >> (53 - 11 * n)) as usize & 0x7ff];
        [word(0), word(1), word(2), word(3)].join(" ")
    }
}
