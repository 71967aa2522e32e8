//! One link with another device, from the greeting to its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use ties_net::{ClosingReason, Link, PeerKey};
use ties_sealed_log::DeviceId;
use ties_store::{Read, Table};
use ties_sync::{Input, Refusal, SessionError};
use tokio::sync::watch;

use crate::conversation::{ConversationError, News, Turn};
use crate::direct::conversation::PeerConversation;
use crate::direct::greeting::{Met, PeerFailure};
use crate::direct::standing::{Known, known};
use crate::records::{Fault, put_record, record};
use crate::space::Space;
use crate::sync::Tally;

/// When other devices were met directly, by device.
const PEERS: Table = Table::named("engine/peers");

#[derive(Clone, Default, Serialize, Deserialize)]
struct PeerRecord {
    /// When both last had the same, in milliseconds since 1970.
    last_contact: u64,
}

/// When a device was last met directly, in milliseconds since 1970.
pub(crate) fn last_contact(read: &dyn Read, device: &DeviceId) -> Result<Option<u64>, Fault> {
    let kept: Option<PeerRecord> = record(read, PEERS, &device.0, "a device that was met")?;
    Ok(kept.map(|kept| kept.last_contact))
}

/// The links that this process has, by device.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links(Arc<Mutex<BTreeMap<PeerKey, usize>>>);

impl Links {
    /// Takes a link into account that this device dialled, until dropped; `None` if there is one with the other device: one
    /// is enough.
    pub(crate) fn dialled(&self, key: PeerKey) -> Option<Claim> {
        self.claim(key, 1)
    }

    /// The same for a link that came. The other device may well have two programs that dial, or have lost a link of which
    /// this one has not heard yet; `None` if it has too many.
    pub(crate) fn answered(&self, key: PeerKey) -> Option<Claim> {
        self.claim(key, MOST_LINKS)
    }

    fn claim(&self, key: PeerKey, most: usize) -> Option<Claim> {
        let mut all = self.all();
        let count = all.entry(key).or_default();
        (*count < most).then(|| {
            *count += 1;
            Claim { links: self.clone(), key }
        })
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<PeerKey, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct Claim {
    links: Links,
    key: PeerKey,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut all = self.links.all();
        if let Some(count) = all.get_mut(&self.key) {
            *count = count.saturating_sub(1);
        }
        all.retain(|_, count| *count > 0);
    }
}

/// How long a meeting goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until both have the same.
    Settled,
    /// Until the link breaks or the other side ends it.
    Broken,
}

/// A meeting under way.
pub(crate) struct PeerMeeting {
    space: Space,
    link: Link,
    key: PeerKey,
    began: Instant,
    until: Until,
    tally: Tally,
    changes: watch::Receiver<u64>,
    serial: u64,
}

enum Woken {
    Frame(Vec<u8>),
    Changed,
    Tick,
    /// The other side has said all that it wanted.
    Ended,
}

impl PeerMeeting {
    /// Holds the session. Gives what was exchanged, and whether another one may bring more.
    pub(crate) async fn hold(
        space: &Space,
        met: Met,
        until: Until,
        news: &mut (impl FnMut(News) + ?Sized),
    ) -> Result<(Tally, bool), PeerFailure> {
        let Met { link, key, subject, .. } = met;
        let conversation = PeerConversation::new(space, key, subject)?;
        let changes = space.changes();
        let serial = space.snapshot()?.serial().map_err(Fault::from)?;
        let (began, tally) = (Instant::now(), Tally::default());
        let mut meeting = Self { space: space.clone(), link, key, began, until, tally, changes, serial };
        let held = meeting.converse(conversation, news).await;
        if let Err(PeerFailure::NotKnownHere | PeerFailure::Conversation(ConversationError::Outsider(_))) = &held {
            let _ = meeting.link.send(PeerConversation::farewell()).await;
        }
        let (tally, link) = (Tally { took: meeting.began.elapsed(), ..meeting.tally }, meeting.link);
        match held {
            Ok(more) => {
                link.close(ClosingReason::Done).await;
                Ok((tally, more))
            }
            Err(PeerFailure::Conversation(ConversationError::Session(SessionError::Refused(
                Refusal::NotPermitted,
            )))) => Err(PeerFailure::NotKnownThere),
            Err(error) => {
                link.close(ClosingReason::Refused).await;
                Err(error)
            }
        }
    }

    async fn converse(
        &mut self,
        mut conversation: PeerConversation,
        news: &mut (impl FnMut(News) + ?Sized),
    ) -> Result<bool, PeerFailure> {
        let mut turn = conversation.start(self.began.elapsed())?;
        let mut noted = None;
        loop {
            self.perform(turn, news).await?;
            if conversation.is_settled() {
                if conversation.is_holding_back() {
                    return Err(PeerFailure::NotKnownHere);
                }
                let more = conversation.left_something_out();
                if noted.is_none_or(|at: Instant| at.elapsed() > NOTE) {
                    self.note()?;
                    noted = Some(Instant::now());
                }
                if self.until == Until::Settled || (more && self.tally.entries_received + self.tally.entries_sent > 0) {
                    return Ok(more);
                }
            }
            let frames = match self.wait(&conversation).await? {
                Woken::Ended if conversation.is_settled() => return Ok(false),
                Woken::Ended => return Err(PeerFailure::Closed),
                Woken::Frame(first) => {
                    let mut frames = self.link.waiting(TURN.saturating_sub(first.len())).await?;
                    frames.insert(0, first);
                    self.tally.frames_received += frames.len();
                    self.tally.bytes_received += frames.iter().map(Vec::len).sum::<usize>();
                    Some(frames)
                }
                Woken::Changed => Some(Vec::new()),
                Woken::Tick => None,
            };
            let now = self.began.elapsed();
            // The disk may take its time; other links go on meanwhile.
            let handled = tokio::task::spawn_blocking(move || {
                let handled = match frames.as_deref() {
                    None => conversation.handle(now, &[Input::Tick]),
                    Some([]) => conversation.handle(now, &[Input::Changed]),
                    Some(frames) => {
                        let inputs: Vec<_> = frames.iter().map(|frame| Input::Frame(frame)).collect();
                        conversation.handle(now, &inputs)
                    }
                };
                (conversation, handled)
            });
            let (back, handled) = handled.await.map_err(|_| Fault::Damaged("a conversation"))?;
            conversation = back;
            turn = handled?;
        }
    }

    async fn perform(&mut self, turn: Turn, news: &mut (impl FnMut(News) + ?Sized)) -> Result<(), PeerFailure> {
        for frame in turn.frames {
            self.tally.frames_sent += 1;
            self.tally.bytes_sent += frame.len();
            self.link.send(frame).await?;
        }
        for one in turn.news {
            match one {
                News::Received { entries, .. } => self.tally.entries_received += entries,
                News::Acknowledged { entries } => self.tally.entries_sent += entries,
                News::Refused { reason, .. } => {
                    self.tally.refused += 1;
                    self.tally.refusal.get_or_insert(reason);
                }
                News::Settled | News::Forked { .. } | News::Alert(_) => {}
            }
            news(one);
        }
        Ok(())
    }

    async fn wait(&mut self, conversation: &PeerConversation) -> Result<Woken, PeerFailure> {
        loop {
            let deadline = conversation.deadline().map(|at| at.saturating_sub(self.began.elapsed()));
            tokio::select! {
                frame = self.link.recv() => return Ok(frame?.map_or(Woken::Ended, Woken::Frame)),
                changed = self.changes.changed() => {
                    if changed.is_ok() {
                        self.serial = self.space.snapshot()?.serial().map_err(Fault::from)?;
                        return Ok(Woken::Changed);
                    }
                }
                () = tokio::time::sleep(deadline.unwrap_or_default()), if deadline.is_some() => return Ok(Woken::Tick),
                // Another process may have written where that is not heard.
                () = tokio::time::sleep(LOOK), if self.until == Until::Broken && !self.space.inner.pokes.are_heard() => {
                    let now = self.space.snapshot()?.serial().map_err(Fault::from)?;
                    if now != std::mem::replace(&mut self.serial, now) {
                        return Ok(Woken::Changed);
                    }
                }
            }
        }
    }

    /// Writes down when the device was met.
    fn note(&self) -> Result<(), Fault> {
        let Known::Member(device, _) = known(&self.space.snapshot()?, &self.key)? else { return Ok(()) };
        let mut transaction = self.space.inner.store.write()?;
        put_record(&mut transaction, PEERS, &device.0, &PeerRecord { last_contact: self.space.now() })?;
        Ok(transaction.commit()?)
    }
}

/// Links with one device.
const MOST_LINKS: usize = 4;
/// Frames that are taken in one transaction.
const TURN: usize = 8 << 20;
/// How often a watcher looks by itself whether another process wrote.
const LOOK: Duration = Duration::from_secs(2);
/// How often a watcher writes down that a device is there.
const NOTE: Duration = Duration::from_secs(60);
