//! What a relay does that an honest one does not, as far as a device can see it.
//!
//! A relay can neither read nor forge, so all that is left to it is to lose, to hide and to talk nonsense. Each alert is
//! something that a device saw in its own sessions, or holds in a signed entry; it stays until a whole session shows nothing
//! of the kind. Where an honest relay behind a bad link may look alike, it takes several sessions in a row.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use ties_sealed_log::{Log, MailboxId, TipRecord};
use ties_store::{Read, StoredLog, Table, Transaction};
use ties_sync::{Event, Output, Refusal, Session, SessionError};

use crate::author::{SPACE_NUMBER, keyring};
use crate::checkpoint::is_here;
use crate::conversation::ConversationError;
use crate::receipts::ReceiptRecord;
use crate::records::{
    ALERTS, CONTACTS, ContactRecord, Fault, RECEIPTS, SPACE, SpaceRecord, Waiting, parse_place, put_record, record,
};
use crate::roads::Road;
use crate::space::Space;

/// What a relay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertKind {
    /// It gave entries and not those that they build upon, twice in a row. (They may also not have been brought to it.)
    Withheld = 1,
    /// It announced entries and did not give them, three times in a row.
    Unfulfilled = 2,
    /// It has lost what it had confirmed to this device, and its store is the same.
    RolledBack = 3,
    /// It hides from this device what it has confirmed to another: each is shown a history of its own.
    Forked = 4,
    /// It sent what no honest relay sends: broken messages or entries, or such as nobody of the space wrote.
    Invalid = 5,
    /// It sent entries out of their order.
    Disordered = 6,
    /// It took entries and did not confirm them, three times in a row.
    Unconfirmed = 7,
}

impl AlertKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Withheld,
        Self::Unfulfilled,
        Self::RolledBack,
        Self::Forked,
        Self::Invalid,
        Self::Disordered,
        Self::Unconfirmed,
    ];

    /// Its name, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Withheld => "withheld",
            Self::Unfulfilled => "unfulfilled",
            Self::RolledBack => "rolled-back",
            Self::Forked => "forked",
            Self::Invalid => "invalid",
            Self::Disordered => "disordered",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    /// In how many sessions in a row it must have been seen.
    fn sessions(self) -> u32 {
        match self {
            Self::Withheld => 2,
            Self::Unfulfilled | Self::Unconfirmed => 3,
            Self::RolledBack | Self::Forked | Self::Invalid | Self::Disordered => 1,
        }
    }

    fn key(self, mailbox: &MailboxId) -> [u8; 33] {
        let mut key = [self as u8; 33];
        key[..32].copy_from_slice(&mailbox.0);
        key
    }
}

/// Something that a relay did, and does as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    /// What.
    pub kind: AlertKind,
    /// When it was seen first, in milliseconds since 1970.
    pub since: u64,
    /// When it was seen last.
    pub last: u64,
    /// In how many sessions in a row.
    pub times: u32,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct AlertRecord {
    since: u64,
    last: u64,
    times: u32,
}

/// The alerts of a relay.
pub(crate) fn alerts(read: &dyn Read, mailbox: &MailboxId) -> Result<Vec<Alert>, Fault> {
    let mut alerts = Vec::new();
    for (kind, AlertRecord { since, last, times }) in records(read, mailbox)? {
        if times >= kind.sessions() {
            alerts.push(Alert { kind, since, last, times });
        }
    }
    Ok(alerts)
}

fn records(read: &dyn Read, mailbox: &MailboxId) -> Result<Vec<(AlertKind, AlertRecord)>, Fault> {
    let mut records = Vec::new();
    for kind in AlertKind::ALL {
        let found: Option<AlertRecord> = record(read, ALERTS, &kind.key(mailbox), "an alert")?;
        records.extend(found.map(|found| (kind, found)));
    }
    Ok(records)
}

impl Space {
    /// Forgets what a relay did; what it does again shows again.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn dismiss_alerts(&self, road: &Road) -> Result<(), Fault> {
        let mut transaction = self.inner.store.write()?;
        transaction.remove_all(ALERTS, &road.mailbox.0)?;
        transaction.commit()?;
        self.inner.committed();
        Ok(())
    }
}

/// Watches one session with one relay.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    /// The store that the relay says it has; without it nothing can be said of what it lost.
    pub(crate) store: Option<[u8; 16]>,
    /// Whether what the relay announced was compared with what it had confirmed.
    weighed: bool,
    /// What it did in this session.
    seen: BTreeSet<AlertKind>,
    /// Whether it confirmed anything.
    confirmed: bool,
}

/// What a turn showed.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    new: BTreeSet<AlertKind>,
    /// The session came to its end: what was not seen in it is over.
    settled: bool,
}

impl Witness {
    /// Whether a turn of the session brought anything to look at.
    pub(crate) fn is_curious(&self, session: &Session, outputs: &[Output]) -> bool {
        let tells = |output: &Output| {
            matches!(output, Output::Event(Event::Declined { .. } | Event::Settled | Event::Acknowledged { .. }))
        };
        (session.is_live() && !self.weighed) || outputs.iter().any(tells)
    }

    /// Looks at what a turn of the session brought.
    pub(crate) fn look(
        &mut self,
        read: &dyn Read,
        mailbox: &MailboxId,
        session: &Session,
        outputs: &[Output],
    ) -> Result<Finding, Fault> {
        let mut found = BTreeSet::new();
        for output in outputs {
            self.confirmed |= matches!(output, Output::Event(Event::Acknowledged { .. }));
            if let Output::Event(Event::Declined { reason, .. }) = output {
                found.extend(match reason {
                    Refusal::Gap => Some(AlertKind::Disordered),
                    Refusal::NotOpened | Refusal::Invalid => Some(AlertKind::Invalid),
                    _ => None,
                });
            }
        }
        if session.is_live() && !self.weighed {
            self.weighed = true;
            found.extend(self.weigh(read, mailbox, session)?);
        }
        let settled = outputs.iter().any(|output| matches!(output, Output::Event(Event::Settled)));
        if settled && lacks(read)? {
            found.insert(AlertKind::Withheld);
        }
        Ok(Finding { new: self.note(found), settled })
    }

    /// Looks at how the session ended.
    pub(crate) fn ended(&mut self, session: &Session, error: &ConversationError) -> Finding {
        let found = match error {
            ConversationError::Session(SessionError::Peer(_)) => Some(AlertKind::Invalid),
            ConversationError::Session(SessionError::Stalled) if session.awaits_entries() => {
                Some(AlertKind::Unfulfilled)
            }
            ConversationError::Session(SessionError::Stalled) if session.awaits_confirmation() => {
                Some(AlertKind::Unconfirmed)
            }
            _ => None,
        };
        Finding { new: self.note(found.into_iter().collect()), settled: false }
    }

    fn note(&mut self, mut found: BTreeSet<AlertKind>) -> BTreeSet<AlertKind> {
        found.retain(|kind| self.seen.insert(*kind));
        found
    }

    /// Whether the relay announced all that it had confirmed, to this device and to others.
    fn weigh(&self, read: &dyn Read, mailbox: &MailboxId, session: &Session) -> Result<Vec<AlertKind>, Fault> {
        let (Some(announced), Some(store)) = (session.announced(), self.store) else { return Ok(Vec::new()) };
        // A later tip follows upon the confirmed one, or lies on a branch beside it, which then is announced as well.
        let shows = |record: &TipRecord| announced.tips(&record.log).any(|tip| tip.seq >= record.tip.seq);
        let contact: ContactRecord = record(read, CONTACTS, &mailbox.0, "a contact")?.unwrap_or_default();
        let mut lost = BTreeSet::new();
        if contact.store == Some(store) {
            lost.extend(contact.acknowledged.iter().filter(|record| !shows(record)).map(|record| record.log));
        }
        let mut hidden = false;
        for (key, receipt) in read.pairs(RECEIPTS, &mailbox.0)? {
            let receipt: ReceiptRecord = ties_sealed_log::decode(&receipt).map_err(|_| Fault::Damaged("a receipt"))?;
            let log = key.last_chunk().map(|log| ties_sealed_log::LogId(*log)).ok_or(Fault::Damaged("a receipt"))?;
            let told = TipRecord { log, tip: receipt.tip };
            hidden |= receipt.store == store && !lost.contains(&log) && !shows(&told);
        }
        let rolled_back = (!lost.is_empty()).then_some(AlertKind::RolledBack);
        Ok(rolled_back.into_iter().chain(hidden.then_some(AlertKind::Forked)).collect())
    }

    /// Whether a finding changes what is written down.
    pub(crate) fn matters(&self, read: &dyn Read, mailbox: &MailboxId, finding: &Finding) -> Result<bool, Fault> {
        let is_over = |(kind, _): &(AlertKind, AlertRecord)| self.clears(*kind);
        Ok(!finding.new.is_empty() || (finding.settled && records(read, mailbox)?.iter().any(is_over)))
    }

    /// Whether a session that came to its end shows that something is over. One in which nothing was to be confirmed does
    /// not show that anything would have been.
    fn clears(&self, kind: AlertKind) -> bool {
        !self.seen.contains(&kind) && (kind != AlertKind::Unconfirmed || self.confirmed)
    }

    /// Writes down a finding; gives the alerts that it raises.
    pub(crate) fn write(
        &self,
        transaction: &mut Transaction,
        mailbox: &MailboxId,
        finding: &Finding,
        now: u64,
    ) -> Result<Vec<AlertKind>, Fault> {
        let mut raised = Vec::new();
        for kind in &finding.new {
            let key = kind.key(mailbox);
            let found: Option<AlertRecord> = record(transaction, ALERTS, &key, "an alert")?;
            let mut kept = found.unwrap_or(AlertRecord { since: now, ..AlertRecord::default() });
            kept.last = now;
            kept.times = kept.times.saturating_add(1);
            put_record(transaction, ALERTS, &key, &kept)?;
            if kept.times == kind.sessions() {
                tracing::warn!(alert = kind.name(), "the relay does what an honest one does not");
                raised.push(*kind);
            }
        }
        if finding.settled {
            for (kind, _) in records(transaction, mailbox)? {
                if self.clears(kind) {
                    transaction.remove(ALERTS, &kind.key(mailbox))?;
                }
            }
        }
        Ok(raised)
    }
}

/// Whether an entry is here that builds upon one that is not.
fn lacks(read: &dyn Read) -> Result<bool, Fault> {
    let parked = read.pairs(Table::PARKED, &[])?;
    if parked.is_empty() {
        return Ok(false);
    }
    let space: SpaceRecord = record(read, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let keys = keyring(read)?;
    let log = StoredLog::reading(read, SPACE_NUMBER);
    for (place, reason) in parked {
        if ties_sealed_log::decode(&reason) != Ok(Waiting::Entry) {
            continue;
        }
        let (id, tip) = parse_place(&place)?;
        let found = log.after(&id, tip.seq - 1, 0)?;
        let Some(entry) = found.iter().find(|entry| entry.name() == tip.name) else { continue };
        let Ok((_, sealed)) = entry.open(&space.space, keys.iter().map(|(id, _, key)| (id, key))) else { continue };
        for dep in sealed.deps {
            if !is_here(read, &dep.log, dep.seq, dep.name)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
