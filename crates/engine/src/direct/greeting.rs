//! From an address, or a connection that came, to a link on which both devices know who the other one is.

use std::collections::BTreeSet;
use std::time::Duration;

use ties_net::{Caller, DialError, Link, LinkError, PeerAddress, PeerDial, PeerKey, connect_peer};
use ties_sealed_log::{DeviceId, DiscoveryKey, Entry, Payload, Tip};
use ties_store::{Read, Snapshot};
use ties_sync::{PeerError, PeerHandshake};

use crate::author::keyring;
use crate::checkpoint::entry_at;
use crate::conversation::ConversationError;
use crate::direct::keys::{DiscoveryKeys, day};
use crate::direct::standing::{Known, known, members_keys, own_seed};
use crate::records::{Fault, MEMBERSHIP, MembershipRecord, record};
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::Space;

/// Why two devices did not come to the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFailure {
    /// It cannot be reached, or is a stranger.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The link broke.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It closed the link.
    #[error("the other device closed the connection")]
    Closed,
    /// It says nothing.
    #[error("the other device did not answer in time")]
    TimedOut,
    /// It did not greet as a device of the space does.
    #[error(transparent)]
    Greeting(#[from] PeerError),
    /// It was shut out of the space, or signed off.
    #[error("{0} does not belong to the network any more")]
    Outsider(String),
    /// This device was shut out of the space: the entry that says so was shown.
    #[error("this device was shut out of the network by {0}")]
    ShutOut(String),
    /// It holds a key of the space, and nothing that it brought makes it a member.
    #[error("nothing is known here that lets the other device in")]
    NotKnownHere,
    /// The other way round.
    #[error("the other device knows nothing that lets this one in")]
    NotKnownThere,
    /// There is a link with this device already.
    #[error("there is a connection with this device already")]
    Already,
    /// The session.
    #[error(transparent)]
    Conversation(#[from] ConversationError),
    /// This device's database.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A link on which both ends have proved their keys and that they hold a key of the space.
pub(crate) struct Met {
    pub(crate) link: Link,
    pub(crate) key: PeerKey,
    /// What the session is about.
    pub(crate) subject: [u8; 32],
    pub(crate) who: Known,
}

impl Space {
    /// Dials a device, whichever of this space's it is.
    ///
    /// It is recognised by an epoch's key, the newest that it knows, and must prove the key of a member before this device
    /// shows its own. Where it proves another one, it may be a member that was not heard of here: then it has to show
    /// first, to a key drawn for that alone, that it holds the epoch's key.
    pub(crate) async fn dial_peer(&self, address: &PeerAddress) -> Result<Met, PeerFailure> {
        let (keys, members, seed) = {
            let snapshot = self.snapshot()?;
            (DiscoveryKeys::load(&snapshot)?, members_keys(&snapshot)?, own_seed(&snapshot)?)
        };
        let mut refused = DialError::NotRecognised;
        for key in keys.to_try() {
            match self.greet(address, key, members.clone(), seed.expose()).await {
                Err(PeerFailure::Dial(DialError::NotRecognised)) => {}
                Err(PeerFailure::Dial(DialError::Stranger(stranger))) => {
                    if let Known::Removed(_, name, _) = known(&self.snapshot()?, &stranger)? {
                        return Err(PeerFailure::Outsider(name));
                    }
                    let drawn = zeroize::Zeroizing::new(self.inner.environment().bytes::<32>());
                    let expected = BTreeSet::from([stranger]);
                    match self.greet(address, key, expected.clone(), &drawn).await {
                        Ok(shown) => shown.link.close(ties_net::ClosingReason::Done).await,
                        Err(PeerFailure::Dial(DialError::NotRecognised)) => continue,
                        // Whoever answers under a name that it overheard cannot answer what is asked within.
                        Err(PeerFailure::Greeting(_) | PeerFailure::Closed | PeerFailure::Link(_)) => {
                            return Err(DialError::Stranger(stranger).into());
                        }
                        Err(other) => return Err(other),
                    }
                    return self.greet(address, key, expected, seed.expose()).await;
                }
                Err(PeerFailure::Dial(error @ DialError::TurnedAway)) => refused = error,
                other => return other,
            }
        }
        Err(refused.into())
    }

    async fn greet(
        &self,
        address: &PeerAddress,
        key: &DiscoveryKey,
        expected: BTreeSet<PeerKey>,
        seed: &[u8; 32],
    ) -> Result<Met, PeerFailure> {
        let name = key.name(day(self.now()), self.inner.environment().bytes());
        let mut peer = connect_peer(&PeerDial { address, name: &name, expected: Some(expected), seed }).await?;
        let handshake = PeerHandshake::new(key, *peer.link.exporter());
        peer.link.send(handshake.hail()).await?;
        let answer = tokio::time::timeout(ANSWER, peer.link.recv()).await.map_err(|_| PeerFailure::TimedOut)?;
        match handshake.answered(&answer?.ok_or(PeerFailure::Closed)?) {
            Err(PeerError::Removed(entry)) => return Err(self.read_removal(&entry)?),
            answered => answered?,
        }
        let subject = handshake.subject(&self.id()?);
        let who = known(&self.snapshot()?, &peer.key)?;
        Ok(Met { link: peer.link, key: peer.key, subject, who })
    }

    /// Answers a device that came. An unknown one only comes so far because it holds a key of the space.
    pub(crate) async fn receive_peer(&self, mut caller: Caller) -> Result<Met, PeerFailure> {
        let hail = caller.first_frame().await?;
        let key = caller.key;
        let (answer, subject, who) = {
            let snapshot = self.snapshot()?;
            let keys = DiscoveryKeys::load(&snapshot)?;
            let day = day(self.now());
            let found = keys.of_name(day, &caller.name).ok_or(PeerFailure::Dial(DialError::NotRecognised))?;
            let handshake = PeerHandshake::new(found, *caller.link.exporter());
            handshake.hailed(&hail)?;
            let who = known(&snapshot, &key)?;
            let answer = match &who {
                Known::Removed(_, _, entries) => handshake.removed(&removal(&snapshot, entries)?),
                _ => handshake.answer(),
            };
            (answer, handshake.subject(&self.id()?), who)
        };
        let mut link = caller.welcome();
        link.send(answer).await?;
        if let Known::Removed(_, name, _) = who {
            link.close(ties_net::ClosingReason::Refused).await;
            return Err(PeerFailure::Outsider(name));
        }
        Ok(Met { link, key, subject, who })
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, Fault> {
        Ok(self.inner.store.read()?)
    }

    /// Who shut this device out, if the entry that is shown says so and stands in a log of the space.
    fn read_removal(&self, entry: &[u8]) -> Result<PeerFailure, Fault> {
        let snapshot = self.snapshot()?;
        let unproven = || PeerFailure::Greeting(PeerError::Removed(Vec::new()));
        let own = device_keys(&snapshot)?.ok_or(Fault::NoKey)?.id();
        let Ok(entry) = Entry::verify(entry) else { return Ok(unproven()) };
        let mut roster = Roster::load(&snapshot)?;
        let keys = keyring(&snapshot)?;
        let opened = entry.open(&roster.space.space, keys.iter().map(|(id, _, key)| (id, key))).ok();
        let payload = opened.and_then(|(_, sealed)| sealed.payload().ok().flatten());
        let author = roster.author(&entry.log());
        Ok(match (payload, author) {
            (Some(payload), Some(author)) if shuts_out(&payload, &own) => {
                PeerFailure::ShutOut(roster.name_of(&author).unwrap_or_else(|| author.fingerprint()))
            }
            _ => unproven(),
        })
    }
}

fn shuts_out(payload: &Payload, own: &DeviceId) -> bool {
    match payload {
        Payload::Remove(remove) => remove.device == *own,
        Payload::Reset(reset) => reset.members.iter().all(|listed| listed.certificate.id() != *own),
        _ => false,
    }
}

/// The exact bytes of the first of the entries that shut a device out; none where it was crowded out.
fn removal(read: &dyn Read, entries: &[ties_sealed_log::EntryName]) -> Result<Vec<u8>, Fault> {
    for name in entries {
        let kept: Option<MembershipRecord> = record(read, MEMBERSHIP, &name.0, "a membership entry")?;
        let Some(kept) = kept else { continue };
        if let Some(entry) = entry_at(read, &kept.log, Tip { seq: kept.seq, name: *name })? {
            return Ok(entry.bytes().to_vec());
        }
    }
    Ok(Vec::new())
}

const ANSWER: Duration = Duration::from_secs(10);
