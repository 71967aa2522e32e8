//! What two devices say to each other on a link of their own before a session.
//!
//! TLS has proved both keys by then, and the name that was dialled says under which epoch's key the two know each other.
//! Each proves that it holds that key, for this link alone: a name can be overheard and used again for a day, a proof
//! cannot. The dialling device speaks first, and takes the link for up when the answer is there.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use ties_sealed_log::{DecodeError, DiscoveryKey, LinkSide, SpaceId, decode, encode, hash};

use crate::wire::{MAX_FRAME, VERSION};

#[derive(Debug, Serialize, Deserialize)]
enum Word {
    Hail { version: u8, proof: [u8; 32] },
    Answer { version: u8, proof: [u8; 32] },
    Removed { proof: [u8; 32], entry: ByteBuf },
}

/// Why two devices do not come to a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// A frame that does not parse.
    #[error("malformed greeting ({0})")]
    Frame(#[from] DecodeError),
    /// It speaks another version.
    #[error("the other device speaks another version")]
    Version,
    /// It holds no key of the space.
    #[error("the other device did not prove that it holds a key of this network")]
    Proof,
    /// A word that has no place here.
    #[error("a word out of turn")]
    OutOfTurn,
    /// It says that this device was removed, and shows the entry, exact bytes.
    #[error("the other device says that this one does not belong to the network any more")]
    Removed(Vec<u8>),
}

/// Both ends of the greeting on one link. Neither end says whether it knows the other one's key: what that means is
/// decided above this.
#[derive(Debug)]
pub struct PeerHandshake<'k> {
    key: &'k DiscoveryKey,
    exporter: [u8; 32],
}

impl<'k> PeerHandshake<'k> {
    /// A link whose TLS session exports this, between devices that know each other by this key.
    #[must_use]
    pub fn new(key: &'k DiscoveryKey, exporter: [u8; 32]) -> Self {
        Self { key, exporter }
    }

    /// The dialling device's first word.
    #[must_use]
    pub fn hail(&self) -> Vec<u8> {
        encode(&Word::Hail { version: VERSION, proof: self.key.proof(LinkSide::Dialler, &self.exporter) })
    }

    /// The listening device takes it.
    ///
    /// # Errors
    /// Any error ends the link, without a word.
    pub fn hailed(&self, frame: &[u8]) -> Result<(), PeerError> {
        match read(frame)? {
            Word::Hail { version: VERSION, proof } => self.check(LinkSide::Dialler, &proof),
            Word::Hail { .. } => Err(PeerError::Version),
            _ => Err(PeerError::OutOfTurn),
        }
    }

    /// The listening device's answer.
    #[must_use]
    pub fn answer(&self) -> Vec<u8> {
        encode(&Word::Answer { version: VERSION, proof: self.key.proof(LinkSide::Listener, &self.exporter) })
    }

    /// Its answer to a device that was removed: the entry that did it, and nothing follows.
    #[must_use]
    pub fn removed(&self, entry: &[u8]) -> Vec<u8> {
        let proof = self.key.proof(LinkSide::Listener, &self.exporter);
        encode(&Word::Removed { proof, entry: ByteBuf::from(entry) })
    }

    /// The dialling device takes the answer: the link is up.
    ///
    /// # Errors
    /// Any error ends the link.
    pub fn answered(&self, frame: &[u8]) -> Result<(), PeerError> {
        match read(frame)? {
            Word::Answer { version: VERSION, proof } => self.check(LinkSide::Listener, &proof),
            Word::Answer { .. } => Err(PeerError::Version),
            Word::Removed { proof, entry } => {
                self.check(LinkSide::Listener, &proof)?;
                Err(PeerError::Removed(entry.into_vec()))
            }
            Word::Hail { .. } => Err(PeerError::OutOfTurn),
        }
    }

    /// What the session on this link is about: it says nothing to anybody else, and fits no other link.
    #[must_use]
    pub fn subject(&self, space: &SpaceId) -> [u8; 32] {
        peer_subject(space, &self.exporter)
    }

    fn check(&self, side: LinkSide, proof: &[u8; 32]) -> Result<(), PeerError> {
        if self.key.proves(side, &self.exporter, proof) { Ok(()) } else { Err(PeerError::Proof) }
    }
}

/// What a session is about on a link between two devices whose TLS session exports this.
#[must_use]
pub fn peer_subject(space: &SpaceId, exporter: &[u8; 32]) -> [u8; 32] {
    hash("ties1/peer-subject", &[&space.0, exporter])
}

fn read(frame: &[u8]) -> Result<Word, DecodeError> {
    if frame.len() > MAX_FRAME {
        return Err(DecodeError::Malformed);
    }
    decode(frame)
}

#[cfg(test)]
mod tests {
    use ties_sealed_log::{EpochKey, Secret};

    use super::*;

    fn key(byte: u8) -> DiscoveryKey {
        EpochKey::new(Secret::new([byte; 32])).discovery()
    }

    #[test]
    fn two_devices_with_one_key_on_one_link_answer_each_other() {
        let key = key(1);
        let (dialler, listener) = (PeerHandshake::new(&key, [5; 32]), PeerHandshake::new(&key, [5; 32]));
        assert_eq!(listener.hailed(&dialler.hail()), Ok(()));
        assert_eq!(dialler.answered(&listener.answer()), Ok(()));
        assert_eq!(dialler.answered(&listener.removed(b"entry")), Err(PeerError::Removed(b"entry".to_vec())));
        let space = SpaceId([9; 32]);
        assert_eq!(dialler.subject(&space), listener.subject(&space));
        assert_ne!(dialler.subject(&space), dialler.subject(&SpaceId([8; 32])));
        assert_ne!(dialler.subject(&space), PeerHandshake::new(&key, [6; 32]).subject(&space));
    }

    #[test]
    fn another_key_another_link_and_ones_own_words_prove_nothing() {
        let (one, two) = (key(1), key(2));
        let here = PeerHandshake::new(&one, [5; 32]);
        for other in [PeerHandshake::new(&two, [5; 32]), PeerHandshake::new(&one, [6; 32])] {
            assert_eq!(here.hailed(&other.hail()), Err(PeerError::Proof));
            assert_eq!(here.answered(&other.answer()), Err(PeerError::Proof));
            assert_eq!(here.answered(&other.removed(b"entry")), Err(PeerError::Proof));
        }
        assert_eq!(here.answered(&here.hail()), Err(PeerError::OutOfTurn));
        assert_eq!(here.hailed(&here.answer()), Err(PeerError::OutOfTurn));
    }

    #[test]
    fn no_flipped_bit_and_no_cut_word_passes() {
        let key = key(1);
        let link = PeerHandshake::new(&key, [5; 32]);
        let (hail, answer) = (link.hail(), link.answer());
        assert_eq!((hail.len(), answer.len()), (34, 34));
        for bit in 0..hail.len() * 8 {
            let flipped = |word: &[u8]| {
                let mut word = word.to_vec();
                word[bit / 8] ^= 1 << (bit % 8);
                word
            };
            assert!(link.hailed(&flipped(&hail)).is_err() && link.answered(&flipped(&answer)).is_err(), "bit {bit}");
        }
        for length in 0..hail.len() {
            assert!(link.hailed(&hail[..length]).is_err() && link.answered(&answer[..length]).is_err());
        }
        assert!(link.hailed(&[&hail[..], &[0]].concat()).is_err());
    }

    #[test]
    fn nobody_else_can_say_that_a_device_was_removed() {
        let key = key(1);
        let link = PeerHandshake::new(&key, [5; 32]);
        let removed = link.removed(b"entry");
        // What follows the proof is an entry, which is signed for itself.
        for bit in 0..33 * 8 {
            let mut flipped = removed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(link.answered(&flipped), Ok(()) | Err(PeerError::Removed(_))), "bit {bit}");
        }
        for length in 0..removed.len() {
            assert!(matches!(link.answered(&removed[..length]), Err(PeerError::Frame(_))), "{length} bytes");
        }
        assert!(matches!(link.answered(&[&removed[..], &[0]].concat()), Err(PeerError::Frame(_))));
        assert_eq!(link.hailed(&removed), Err(PeerError::OutOfTurn));
    }
}
