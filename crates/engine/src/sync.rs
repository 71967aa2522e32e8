//! Meeting at relays: once, or for as long as somebody watches.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ties_net::{Backoff, RelayAddress, rest};
use ties_sealed_log::{Log, LogId, TipRecord};
use ties_store::{Read, Table};
use ties_sync::{Input, Refusal, SessionError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::author::SPACE_NUMBER;
use crate::conversation::{Conversation, ConversationError, News, Turn};
use crate::direct::Until;
use crate::folder::FolderNews;
use crate::records::{CONTACTS, ContactRecord, Fault, put_record, record};
use crate::relay_link::{LinkFailure, RelayLink};
use crate::roads::{Road, RoadError, bring, create, statements};
use crate::space::Space;

/// What happens while syncing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncEvent {
    /// The relay and this device proved themselves to each other.
    Connected(Road),
    /// The relay has another store than last time: it was wiped or restored.
    RelayReset(Road),
    /// The mailbox was gone; it was made again and is being refilled.
    MailboxRestored(Road),
    /// Something happened while a folder was visited.
    Folder(PathBuf, FolderNews),
    /// Something happened in the conversation.
    News(Road, News),
    /// It broke off; the next attempt comes after this time.
    Retrying(Road, String, Duration),
}

/// What came of one relay.
#[derive(Debug)]
pub struct RoadReport {
    /// The relay.
    pub road: Road,
    /// What was exchanged, or why not.
    pub outcome: Result<Tally, RoadError>,
}

/// What was exchanged over one link, the frames after the handshake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// New entries taken.
    pub entries_received: usize,
    /// Entries that the relay took, durably.
    pub entries_sent: usize,
    /// Frames taken.
    pub frames_received: usize,
    /// Their bytes.
    pub bytes_received: usize,
    /// Frames said.
    pub frames_sent: usize,
    /// Their bytes.
    pub bytes_sent: usize,
    /// Logs of which the relay takes nothing more.
    pub refused: usize,
    /// Why, for the first of them.
    pub refusal: Option<Refusal>,
    /// From dialling to the end.
    pub took: Duration,
}

impl Tally {
    /// This and what followed it.
    pub(crate) fn and(self, more: Self) -> Self {
        Self {
            entries_received: self.entries_received + more.entries_received,
            entries_sent: self.entries_sent + more.entries_sent,
            frames_received: self.frames_received + more.frames_received,
            bytes_received: self.bytes_received + more.bytes_received,
            frames_sent: self.frames_sent + more.frames_sent,
            bytes_sent: self.bytes_sent + more.bytes_sent,
            refused: self.refused + more.refused,
            refusal: self.refusal.or(more.refusal),
            took: self.took + more.took,
        }
    }
}

/// Frames that are taken in one transaction.
pub(crate) const TURN: usize = 8 << 20;
/// How often a watcher looks by itself whether another process wrote, where it would not hear of it.
const LOOK: Duration = Duration::from_secs(2);
/// How often a watcher writes down how far a relay is, and looks after checkpoints.
const NOTE: Duration = Duration::from_secs(60);

impl Space {
    /// Exchanges everything with every relay, one after the other, until both sides have the same.
    ///
    /// # Errors
    /// When the database cannot be read; what goes wrong with a relay stands in its report.
    pub async fn sync(&self, mut events: impl FnMut(SyncEvent)) -> Result<Vec<RoadReport>, Fault> {
        let mut reports = Vec::new();
        for road in self.roads()? {
            let mut outcome = self.meet(&road, Until::Settled, &mut events).await;
            // What was just learnt may call for an answer: that a removal is known here, or a key for who lacks it. And what
            // is not there as entries is asked for as a checkpoint.
            if outcome.is_ok() && (self.inner.tidy(&road)? | self.tend().await? | self.inner.lacks_entries()?) {
                let again = self.meet(&road, Until::Settled, &mut events).await;
                outcome = outcome.and_then(|first| again.map(|second| first.and(second)));
            }
            if let Err(error) = &outcome {
                self.note(&road, |contact| contact.error = Some(chain(error)))?;
            }
            reports.push(RoadReport { road, outcome });
        }
        Ok(reports)
    }

    /// As [`Self::sync`], with all relays at once and for no longer than `within`: what takes longer has failed.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub async fn push(&self, within: Duration, mut events: impl FnMut(SyncEvent)) -> Result<Vec<RoadReport>, Fault> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut meetings = JoinSet::new();
        for road in self.roads()? {
            let (space, tell) = (self.clone(), tell.clone());
            meetings.spawn(async move {
                let mut tell = |event| drop(tell.send(event));
                let met = tokio::time::timeout(within, space.meet(&road, Until::Settled, &mut tell)).await;
                let outcome = met.unwrap_or(Err(RoadError::Link(LinkFailure::TimedOut)));
                RoadReport { road, outcome }
            });
        }
        drop(tell);
        while let Some(event) = told.recv().await {
            events(event);
        }
        let mut reports: Vec<RoadReport> = Vec::new();
        while let Some(ended) = meetings.join_next().await {
            let Ok(report) = ended else { continue };
            if let Err(error) = &report.outcome {
                self.note(&report.road, |contact| contact.error = Some(chain(error)))?;
            }
            reports.push(report);
        }
        reports.sort_by(|one, other| one.road.address.cmp(&other.road.address));
        Ok(reports)
    }

    /// Stays in touch with every relay until dropped, with those too that are added meanwhile: sends what is written here, by
    /// this process or another, and takes what comes. A broken link is dialled again after a jittered, growing pause, or at
    /// once when the network may be another ([`ties_net::watch_network`]).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn sync_watch(&self, mut events: impl FnMut(SyncEvent)) -> Result<(), Fault> {
        let _ears = self.ears();
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut changes = self.changes();
        let (mut known, mut tasks) = (BTreeSet::new(), JoinSet::new());
        loop {
            // A change is marked as seen before it is looked at, so that none is missed.
            changes.borrow_and_update();
            for road in self.roads()?.into_iter().filter(|road| known.insert((road.mailbox.0, road.address.clone()))) {
                let (space, tell) = (self.clone(), tell.clone());
                tasks.spawn(async move { space.stay(road, &tell).await });
            }
            tokio::select! {
                Some(event) = told.recv() => events(event),
                _ = changes.changed() => {}
                Some(ended) = tasks.join_next() => ended.unwrap_or(Ok(()))?,
            }
        }
    }

    /// Looks after checkpoints, which may take a while.
    async fn tend(&self) -> Result<bool, Fault> {
        let space = self.clone();
        let tended = tokio::task::spawn_blocking(move || space.tend_checkpoints()).await;
        tended.unwrap_or(Err(Fault::Damaged("a checkpoint")))
    }

    async fn stay(&self, road: Road, tell: &mpsc::UnboundedSender<SyncEvent>) -> Result<(), Fault> {
        let mut backoff = Backoff::new();
        loop {
            let mut connected = false;
            let outcome = self
                .meet(&road, Until::Broken, &mut |event| {
                    connected |= matches!(event, SyncEvent::News(_, News::Settled));
                    let _ = tell.send(event);
                })
                .await;
            if connected {
                backoff.reset();
            }
            let error =
                outcome.err().map_or_else(|| "the relay closed the connection".to_owned(), |error| chain(&error));
            self.note(&road, |contact| contact.error = Some(error.clone()))?;
            let pause = backoff.after_failure_now();
            let _ = tell.send(SyncEvent::Retrying(road.clone(), error, pause));
            if rest(pause).await {
                backoff.reset();
            }
        }
    }

    /// One meeting at one relay.
    pub(crate) async fn meet(
        &self,
        road: &Road,
        until: Until,
        events: &mut impl FnMut(SyncEvent),
    ) -> Result<Tally, RoadError> {
        let began = Instant::now();
        let address: RelayAddress = road.address.parse()?;
        self.inner.tidy(road)?;
        let key = self.inner.pseudonym(&road.relay)?;
        let mut link = self.inner.dial(&address, &key).await?;
        let contact = self.contact(road)?;
        if contact.store.is_some_and(|store| store != link.greeted.store) {
            events(SyncEvent::RelayReset(road.clone()));
        }
        events(SyncEvent::Connected(road.clone()));
        let mut meeting =
            Meeting { space: self, road, link: &mut link, until, tally: Tally::default(), noted: began, tended: began };
        let met = match meeting.converse(events).await {
            Err(RoadError::Conversation(ConversationError::Session(SessionError::Refused(reason))))
                if matches!(reason, Refusal::NoMailbox | Refusal::NotPermitted) =>
            {
                meeting.restore(reason, events).await?;
                meeting.converse(events).await
            }
            met => met,
        };
        let tally = Tally { took: began.elapsed(), ..meeting.tally };
        met?;
        link.close().await;
        Ok(tally)
    }

    pub(crate) fn contact(&self, road: &Road) -> Result<ContactRecord, Fault> {
        Ok(record(&self.inner.store.read()?, CONTACTS, &road.mailbox.0, "a contact")?.unwrap_or_default())
    }

    /// Writes down when a relay was met, and what it has.
    pub(crate) fn note_meeting(&self, road: &Road, store: [u8; 16], conversation: &Conversation) -> Result<(), Fault> {
        let acknowledged: Vec<TipRecord> = if conversation.is_settled() {
            let refused: Vec<LogId> = conversation.refused().collect();
            let vector = self.inner.store.read()?.log(SPACE_NUMBER).vector()?;
            let has = |record: &TipRecord| conversation.reaches(record) && !refused.contains(&record.log);
            vector.records().filter(has).collect()
        } else {
            conversation.acknowledged().collect()
        };
        let now = self.now();
        // What the relay does not take waits here, and whoever asks for the status must hear of it.
        let error = conversation.refusal().map(|reason| format!("the relay takes no more: {reason}"));
        self.note(road, |contact| {
            *contact = ContactRecord { last_contact: now, store: Some(store), acknowledged, error };
        })
    }

    fn note(&self, road: &Road, change: impl FnOnce(&mut ContactRecord)) -> Result<(), Fault> {
        let mut transaction = self.inner.store.write()?;
        let mut contact: ContactRecord =
            record(&transaction, CONTACTS, &road.mailbox.0, "a contact")?.unwrap_or_default();
        change(&mut contact);
        put_record(&mut transaction, CONTACTS, &road.mailbox.0, &contact)?;
        Ok(transaction.commit()?)
    }
}

/// One conversation over one link.
struct Meeting<'m> {
    space: &'m Space,
    road: &'m Road,
    link: &'m mut RelayLink,
    until: Until,
    tally: Tally,
    noted: Instant,
    tended: Instant,
}

/// What a watcher has yet to do once its sides are settled.
#[derive(Clone, Copy)]
struct Chores {
    /// Write down how far the relay is.
    note: bool,
    /// Look after keys and checkpoints: something came, or was written here.
    tend: bool,
}

enum Woken {
    Frame(Vec<u8>),
    Changed,
    Tick,
    Note,
}

impl Meeting<'_> {
    /// Gives a relay back what it lost: the mailbox, or the latest of its access list.
    async fn restore(&mut self, reason: Refusal, events: &mut impl FnMut(SyncEvent)) -> Result<(), RoadError> {
        let statements = statements(&self.space.inner.store.read().map_err(Fault::from)?, &self.road.mailbox)?;
        if reason == Refusal::NoMailbox {
            create(self.link, &statements, None).await?;
            events(SyncEvent::MailboxRestored(self.road.clone()));
        } else {
            bring(self.link, &statements).await?;
        }
        Ok(())
    }

    async fn converse(&mut self, events: &mut impl FnMut(SyncEvent)) -> Result<(), RoadError> {
        let mut conversation =
            Conversation::new(self.space, self.road.mailbox, self.road.relay).at_store(self.link.greeted.store);
        let mut changes = self.space.changes();
        let mut serial = self.serial()?;
        let mut turn = conversation.start(self.link.now())?;
        let mut chores = Chores { note: true, tend: true };
        loop {
            let settled = self.perform(turn, events).await?;
            if settled && (self.until == Until::Settled || chores.note) {
                self.write_note(&conversation)?;
                chores.note = false;
                if self.until == Until::Settled {
                    return Ok(());
                }
            }
            let woken = self.wait(&conversation, &mut changes, &mut serial, chores).await?;
            let frames = match woken {
                Woken::Note => {
                    if chores.note {
                        self.write_note(&conversation)?;
                    }
                    self.tended = Instant::now();
                    self.space.inner.tidy(self.road)?;
                    self.space.tend().await?;
                    chores = Chores { note: false, tend: false };
                    turn = Turn::default();
                    continue;
                }
                Woken::Frame(first) => {
                    let mut frames = self.link.waiting(TURN.saturating_sub(first.len())).await?;
                    frames.insert(0, first);
                    Some(frames)
                }
                Woken::Changed => Some(Vec::new()),
                Woken::Tick => None,
            };
            chores = Chores { note: true, tend: true };
            self.tally.frames_received += frames.as_ref().map_or(0, Vec::len);
            self.tally.bytes_received += frames.iter().flatten().map(Vec::len).sum::<usize>();
            let now = self.link.now();
            // The disk may take its time; other links go on meanwhile.
            let handled = tokio::task::spawn_blocking(move || {
                let handled = handle(&mut conversation, now, frames.as_deref());
                (conversation, handled)
            });
            let (back, handled) = handled.await.map_err(|_| Fault::Damaged("a conversation"))?;
            conversation = back;
            turn = handled?;
        }
    }

    /// Sends and tells; `true` when both sides have the same now.
    async fn perform(&mut self, turn: Turn, events: &mut impl FnMut(SyncEvent)) -> Result<bool, RoadError> {
        for frame in turn.frames {
            self.tally.frames_sent += 1;
            self.tally.bytes_sent += frame.len();
            self.link.send(frame).await?;
        }
        let mut settled = false;
        for news in turn.news {
            match news {
                News::Received { entries, .. } => self.tally.entries_received += entries,
                News::Refused { reason, .. } => {
                    self.tally.refused += 1;
                    self.tally.refusal.get_or_insert(reason);
                }
                News::Settled => settled = true,
                News::Acknowledged { entries } => self.tally.entries_sent += entries,
                News::Forked { .. } | News::Alert(_) => {}
            }
            events(SyncEvent::News(self.road.clone(), news));
        }
        Ok(settled)
    }

    async fn wait(
        &mut self,
        conversation: &Conversation,
        changes: &mut tokio::sync::watch::Receiver<u64>,
        serial: &mut u64,
        chores: Chores,
    ) -> Result<Woken, RoadError> {
        loop {
            let deadline = conversation.deadline().map(|at| at.saturating_sub(self.link.now()));
            // Whoever would hear of a write does not look for one, but has to write down how far the relay is.
            let chore = self.next_chore(chores).filter(|_| conversation.is_settled());
            let look = match self.space.inner.pokes.are_heard() {
                true => chore,
                false => Some(LOOK).filter(|_| self.until == Until::Broken),
            };
            tokio::select! {
                frame = self.link.frame() => return Ok(Woken::Frame(frame?)),
                changed = changes.changed() => {
                    if changed.is_ok() {
                        *serial = self.serial()?;
                        return Ok(Woken::Changed);
                    }
                }
                () = tokio::time::sleep(deadline.unwrap_or_default()), if deadline.is_some() => return Ok(Woken::Tick),
                () = tokio::time::sleep(look.unwrap_or_default()), if look.is_some() => {
                    let now = self.serial()?;
                    if now != std::mem::replace(serial, now) {
                        return Ok(Woken::Changed);
                    }
                    if chore.is_some() && self.next_chore(chores).is_some_and(|wait| wait.is_zero()) {
                        return Ok(Woken::Note);
                    }
                }
            }
        }
    }

    /// How long until something is to be done, if anything is.
    fn next_chore(&self, chores: Chores) -> Option<Duration> {
        let after = |since: Instant| ties_fault::pause(NOTE).saturating_sub(since.elapsed());
        let [note, tend] = [chores.note.then(|| after(self.noted)), chores.tend.then(|| after(self.tended))];
        note.into_iter().chain(tend).min()
    }

    fn serial(&self) -> Result<u64, Fault> {
        Ok(self.space.inner.store.read()?.serial()?)
    }

    /// Writes down when the relay was met and what it has.
    fn write_note(&mut self, conversation: &Conversation) -> Result<(), Fault> {
        self.noted = Instant::now();
        self.space.note_meeting(self.road, self.link.greeted.store, conversation)
    }
}

fn handle(
    conversation: &mut Conversation,
    now: Duration,
    frames: Option<&[Vec<u8>]>,
) -> Result<Turn, ConversationError> {
    match frames {
        None => conversation.handle(now, &[Input::Tick]),
        Some([]) => conversation.handle(now, &[Input::Changed]),
        Some(frames) => {
            let inputs: Vec<_> = frames.iter().map(|frame| Input::Frame(frame)).collect();
            conversation.handle(now, &inputs)
        }
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// What of this device's database a relay is not known to have: the logs, how far it has each, and how many entries follow.
pub(crate) fn lacking(read: &dyn Read, contact: &ContactRecord) -> Result<Vec<(LogId, u64, u64)>, Fault> {
    let mut lacking = Vec::new();
    let vector = ties_store::StoredLog::reading(read, SPACE_NUMBER).vector()?;
    let has = |log: LogId| contact.acknowledged.iter().filter(move |one| one.log == log).map(|one| one.tip.seq).max();
    for log in vector.logs() {
        let last = vector.tips(&log).map(|tip| tip.seq).max().unwrap_or(0);
        let known = has(log).unwrap_or(0);
        if last > known {
            lacking.push((log, known, last - known));
        }
    }
    Ok(lacking)
}

/// How many entries wait, by reason.
pub(crate) fn waiting(read: &dyn Read) -> Result<Vec<(crate::records::Waiting, usize)>, Fault> {
    let mut counts = std::collections::BTreeMap::new();
    for (_, reason) in read.pairs(Table::PARKED, &[])? {
        let reason = ties_sealed_log::decode(&reason).map_err(|_| Fault::Damaged("a parked entry"))?;
        *counts.entry(reason).or_insert(0) += 1;
    }
    Ok(counts.into_iter().collect())
}
