//! Which entries count: a pure function of the set of entries, whatever their order of arrival.
//!
//! Whatever a member wrote counts. Of a device that was shut out those entries count that stand at or below the pins of its
//! removal, or in the causal past of an entry that counts: a member who had read them had built upon them. What else it
//! wrote is held in quarantine, with everything above it in its log. The same goes for content by a device that may only
//! read and knew so. When a removal, a decision or a word about one of its entries comes late, this is drawn anew, and the
//! documents that are touched are made again from what counts.

use std::collections::{BTreeMap, BTreeSet};

use ties_sealed_log::{Changes, Dep, Entry, EntryName, Kind, Log, LogId, Payload, Sealed, Tip};
use ties_store::{Read, StoredLog, Table, Transaction};

use crate::author::{Keyring, SPACE_NUMBER, applied};
use crate::checkpoint::{ground, is_in_ground};
use crate::document::{DocumentId, Projection};
use crate::knowledge::knows;
use crate::lineage::{Lineage, PART};
use crate::records::{BAD, Fault, Waiting, place_key, put_record, record};
use crate::roster::Roster;

/// Entries that are held, by place; the value is one of [`Held`].
pub(crate) const QUARANTINE: Table = Table::named("engine/quarantine");
/// Of each log whose device was shut out, or may only read: the entries up to which it counts nevertheless.
const CUTS: Table = Table::named("engine/cuts");

/// How far a log counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// All of it.
    Whole,
    /// Its device may only read. What it wrote counts as far as it did not know one of these.
    Reader(Vec<EntryName>),
    /// Its device was shut out, or let in by nobody who might: it counts up to these, and where others built upon it.
    Cut(Vec<Tip>),
    /// Nobody is known to be behind it.
    Unknown,
}

/// Whether the entry at a place is held in quarantine.
pub(crate) fn is_held(read: &dyn Read, place: &[u8; 72]) -> Result<bool, Fault> {
    Ok(read.get(QUARANTINE, place)?.is_some())
}

/// Holds the entry at a place in quarantine.
pub(crate) fn hold(transaction: &mut Transaction, place: &[u8; 72]) -> Result<(), Fault> {
    Ok(transaction.put(QUARANTINE, place, &[])?)
}

/// Whether an entry of a log that does not count as a whole is among those that do.
pub(crate) fn is_covered(read: &dyn Read, log: &LogId, at: Tip) -> Result<bool, Fault> {
    if is_in_ground(read, log, at)? {
        return Ok(true);
    }
    let cuts = cuts(read, log)?;
    if cuts.is_empty() {
        return Ok(false);
    }
    let lineage = Lineage::of(read, log)?;
    Ok(cuts.into_iter().any(|cut| lineage.is_below(at, cut)))
}

/// Whether the arrival of an entry changes how far its log counts: it is one up to which it counts, or begins a branch.
pub(crate) fn is_awaited(read: &dyn Read, entry: &Entry) -> Result<bool, Fault> {
    let here = Tip { seq: entry.seq(), name: entry.name() };
    Ok(cuts(read, &entry.log())?.contains(&here)
        || StoredLog::reading(read, SPACE_NUMBER).forked_at(&entry.log())?.is_some_and(|fork| fork <= entry.seq()))
}

/// Whether a kind is content, which a device that may only read does not write.
pub(crate) fn is_content(kind: u16) -> bool {
    let content = [Kind::Changes, Kind::Decision, Kind::Checkpoint, Kind::Blob, Kind::Forget, Kind::Carried];
    content.iter().any(|one| *one as u16 == kind)
}

/// Whether the deps of an entry say that its author built upon what they name; a decision to discard says the contrary.
pub(crate) fn vouches(sealed: &Sealed) -> bool {
    !matches!(sealed.payload(), Ok(Some(Payload::Decision(ties_sealed_log::Decision::Discard))))
}

fn cuts(read: &dyn Read, log: &LogId) -> Result<Vec<Tip>, Fault> {
    Ok(record(read, CUTS, &log.0, "how far a log counts")?.unwrap_or_default())
}

/// Draws anew which entries count. What counts no longer is held and its documents are made anew; what counts now waits to be
/// judged again. Open documents must be flushed before, and are stale afterwards. Returns whether anything changed.
pub(crate) fn redraw(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    roster: &mut Roster,
    keys: &Keyring,
) -> Result<bool, Fault> {
    let standings = roster.standings();
    let drawn = Drawing { read: transaction, roster, keys, standings: &standings }.draw()?;
    transaction.remove_all(CUTS, &[])?;
    for (log, cuts) in &drawn {
        put_record(transaction, CUTS, &log.0, cuts)?;
    }
    let mut documents = BTreeSet::new();
    let mut changed = false;
    for (log, standing) in &standings {
        changed |= Redrawn { transaction, roster, keys, log, standing }.carry_out(drawn.get(log), &mut documents)?;
    }
    if !documents.is_empty() {
        crate::rebuild::some(transaction, projection, roster, keys, &documents)?;
    }
    Ok(changed)
}

/// The causal closure, as it is drawn.
struct Drawing<'d> {
    read: &'d Transaction,
    roster: &'d Roster,
    keys: &'d Keyring,
    standings: &'d BTreeMap<LogId, Standing>,
}

impl Drawing<'_> {
    /// Up to where each log counts that does not count as a whole.
    fn draw(&self) -> Result<BTreeMap<LogId, Vec<Tip>>, Fault> {
        let mut cuts: BTreeMap<LogId, Cut> = BTreeMap::new();
        for (log, standing) in self.standings {
            let pins: &[Tip] = match standing {
                Standing::Cut(pins) => pins,
                Standing::Reader(_) => &[],
                Standing::Whole | Standing::Unknown => continue,
            };
            let mut cut = Cut { lineage: Lineage::of(self.read, log)?, tips: Vec::new(), read: BTreeSet::new() };
            // What lies in the ground was built upon by whoever made the checkpoint, with the entry that it ends with.
            for pin in pins.iter().chain(&ground(self.read, log)?) {
                cut.lineage.raise(&mut cut.tips, *pin);
            }
            cuts.insert(*log, cut);
        }
        if cuts.is_empty() {
            return Ok(BTreeMap::new());
        }
        for (log, standing) in self.standings {
            let lowerings = match standing {
                Standing::Whole => &[][..],
                Standing::Reader(lowerings) => lowerings,
                Standing::Cut(_) | Standing::Unknown => continue,
            };
            visit(self.read, log, |entry| {
                if !knows_any(self.read, lowerings, entry)? {
                    self.follow(entry, &mut cuts)?;
                }
                Ok(())
            })?;
        }
        self.close(&mut cuts)?;
        Ok(cuts.into_iter().filter(|(_, cut)| !cut.tips.is_empty()).map(|(log, cut)| (log, cut.tips)).collect())
    }

    /// What counts vouches for what it was built upon, until nothing new comes of it.
    fn close(&self, cuts: &mut BTreeMap<LogId, Cut>) -> Result<(), Fault> {
        let logs: Vec<LogId> = cuts.keys().copied().collect();
        loop {
            let mut found = Vec::new();
            for log in &logs {
                let Some(cut) = cuts.get_mut(log).filter(|cut| !cut.tips.is_empty()) else { continue };
                visit(self.read, log, |entry| {
                    if cut.covers(entry) && cut.read.insert(entry.name()) {
                        found.push(entry.clone());
                    }
                    Ok(())
                })?;
            }
            if found.is_empty() {
                return Ok(());
            }
            for entry in found {
                self.follow(&entry, cuts)?;
            }
        }
    }

    fn follow(&self, entry: &Entry, cuts: &mut BTreeMap<LogId, Cut>) -> Result<(), Fault> {
        let Some(sealed) = opened(self.roster, self.keys, entry) else { return Ok(()) };
        if vouches(&sealed) {
            for Dep { log, seq, name } in sealed.deps {
                if let Some(cut) = cuts.get_mut(&log) {
                    cut.lineage.raise(&mut cut.tips, Tip { seq, name });
                }
            }
        }
        Ok(())
    }
}

/// How far one log counts, as it is drawn.
struct Cut {
    lineage: Lineage,
    tips: Vec<Tip>,
    /// The entries whose deps were followed.
    read: BTreeSet<EntryName>,
}

impl Cut {
    fn covers(&self, entry: &Entry) -> bool {
        let here = Tip { seq: entry.seq(), name: entry.name() };
        self.tips.iter().any(|tip| self.lineage.is_below(here, *tip))
    }
}

/// One log, as what was drawn is carried out.
struct Redrawn<'d> {
    transaction: &'d mut Transaction,
    roster: &'d Roster,
    keys: &'d Keyring,
    log: &'d LogId,
    standing: &'d Standing,
}

impl Redrawn<'_> {
    fn carry_out(self, cuts: Option<&Vec<Tip>>, documents: &mut BTreeSet<DocumentId>) -> Result<bool, Fault> {
        if matches!(self.standing, Standing::Unknown) || (self.standing == &Standing::Whole && !self.holds_any()?) {
            return Ok(false);
        }
        let lineage = Lineage::of(self.transaction, self.log)?;
        let (mut released, mut held) = (Vec::new(), Vec::new());
        let mut counting: Vec<(Tip, EntryName)> =
            ground(self.transaction, self.log)?.into_iter().map(|tip| (tip, EntryName::NONE)).collect();
        let mut outside: BTreeSet<EntryName> = BTreeSet::new();
        visit(self.transaction, self.log, |entry| {
            let here = Tip { seq: entry.seq(), name: entry.name() };
            let place = place_key(self.log, here);
            let covered = cuts.is_some_and(|cuts| cuts.iter().any(|cut| lineage.is_below(here, *cut)));
            let counts = covered || (!outside.contains(&entry.prev()) && self.counts_by_itself(entry)?);
            if !counts {
                outside.insert(here.name);
            }
            let judged = self.transaction.get(Table::PARKED, &place)?.is_none();
            match (counts, is_held(self.transaction, &place)?) {
                (true, true) => released.push(place),
                (false, false) if judged => held.push((place, entry.clone())),
                (true, false) if judged => counting.push((here, entry.prev())),
                _ => {}
            }
            Ok(())
        })?;
        for place in &released {
            self.transaction.remove(QUARANTINE, place)?;
            put_record(self.transaction, Table::PARKED, place, &Waiting::Entry)?;
        }
        for (place, entry) in &held {
            hold(self.transaction, place)?;
            self.transaction.remove(BAD, place)?;
            documents.extend(documents_of(self.roster, self.keys, entry));
        }
        if !held.is_empty() {
            let above: BTreeSet<EntryName> = counting.iter().map(|(_, prev)| *prev).collect();
            let mut tips: Vec<Tip> =
                counting.into_iter().map(|(tip, _)| tip).filter(|tip| !above.contains(&tip.name)).collect();
            tips.sort_unstable();
            tips.dedup();
            put_record(self.transaction, Table::APPLIED, &self.log.0, &tips)?;
        }
        Ok(!released.is_empty() || !held.is_empty())
    }

    /// Whether an entry counts, were all before it to count and nobody to build upon it.
    fn counts_by_itself(&self, entry: &Entry) -> Result<bool, Fault> {
        Ok(match self.standing {
            Standing::Whole => true,
            Standing::Cut(_) | Standing::Unknown => false,
            Standing::Reader(lowerings) => {
                let content = opened(self.roster, self.keys, entry).is_some_and(|sealed| is_content(sealed.kind));
                !(content && knows_any(self.transaction, lowerings, entry)?)
            }
        })
    }

    fn holds_any(&self) -> Result<bool, Fault> {
        Ok(!self.transaction.pairs(QUARANTINE, &self.log.0)?.is_empty())
    }
}

/// Whether an entry knows one of these subjects.
pub(crate) fn knows_any(read: &dyn Read, subjects: &[EntryName], entry: &Entry) -> Result<bool, Fault> {
    for subject in subjects {
        if knows(read, subject, &entry.log(), Tip { seq: entry.seq(), name: entry.name() })? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Visits every stored entry of a log, in order of place.
pub(crate) fn visit(
    read: &dyn Read,
    log: &LogId,
    mut each: impl FnMut(&Entry) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let stored = StoredLog::reading(read, SPACE_NUMBER);
    let mut from = 0;
    loop {
        let part = stored.after(log, from, PART)?;
        let Some(last) = part.last().map(Entry::seq) else { return Ok(()) };
        part.iter().try_for_each(&mut each)?;
        from = last;
    }
}

/// What an entry says, if its key is here.
pub(crate) fn opened(roster: &Roster, keys: &Keyring, entry: &Entry) -> Option<Sealed> {
    if entry.is_recovery_envelope() {
        return None;
    }
    let keys = keys.iter().map(|(id, _, key)| (id, key));
    entry.open(&roster.space.space, keys).ok().map(|(_, sealed)| sealed)
}

/// The changes of documents that an entry holds; none if it holds something else.
pub(crate) fn changes_of(roster: &Roster, keys: &Keyring, entry: &Entry) -> Option<Changes> {
    written_in(roster, keys, entry).map(|(_, changes)| changes)
}

/// The same with the log that they were written in, from which their actors follow.
pub(crate) fn written_in(roster: &Roster, keys: &Keyring, entry: &Entry) -> Option<(LogId, Changes)> {
    let sealed = opened(roster, keys, entry)?;
    if ![Kind::Changes as u16, Kind::Carried as u16].contains(&sealed.kind) {
        return None;
    }
    match sealed.payload() {
        Ok(Some(Payload::Changes(changes))) => Some((entry.log(), changes)),
        Ok(Some(Payload::Carried(carried))) => Some((carried.log, carried.changes)),
        _ => None,
    }
}

fn documents_of(roster: &Roster, keys: &Keyring, entry: &Entry) -> BTreeSet<DocumentId> {
    let changes = changes_of(roster, keys, entry).unwrap_or_default();
    changes.items.iter().map(|item| DocumentId(item.document)).collect()
}

/// Whether the entry at a place was read and counts.
pub(crate) fn is_applied(read: &dyn Read, entry: &Entry) -> Result<bool, Fault> {
    let place = place_key(&entry.log(), Tip { seq: entry.seq(), name: entry.name() });
    let refused = read.get(BAD, &place)?.is_some() || read.get(Table::PARKED, &place)?.is_some();
    Ok(!refused && !is_held(read, &place)? && !applied(read, &entry.log())?.is_empty())
}
