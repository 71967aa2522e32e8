//! Taking in entries: opening, judging, parking, applying.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use ties_sealed_log::{
    Change, Changes, Decision, DeviceId, Entry, EntryName, EpochId, Genesis, Kind, KnownPseudonym, Log, LogId,
    LogOpening, MailboxId, OpenError, OpenLog, Payload, Roads, Sealed, Tip, WrapContext, actor,
};
use ties_store::{Read, Table, Transaction};

use crate::acceptance::{
    Standing, hold, is_awaited, is_content, is_covered, is_held, knows_any, opened, redraw, vouches,
};
use crate::attempts::Attempts;
use crate::author::{Keyring, SPACE_NUMBER, keep_key, keyring, mark_applied, most_operations};
use crate::checkpoint::{is_grounded, is_here};
use crate::document::{BadChange, DocumentId, Projection, check_change};
use crate::documents::{Checked, Documents};
use crate::heard::hear;
use crate::knowledge::learn;
use crate::quarantine::put_away;
use crate::records::{
    ACCESS, BAD, CLAIMS, ClaimRecord, EPOCHS, Fault, OPENINGS, PSEUDONYMS, ROADS, RoadRecord, Waiting, mailbox_key,
    parse_place, place_key, put_record,
};
use crate::roster::{Roster, note_membership, subjects};
use crate::secrets::device_keys;

/// What one batch of entries did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Absorbed {
    pub(crate) applied: usize,
    pub(crate) bad: usize,
}

/// Takes in entries that were just appended to the log, and whatever they release from waiting.
pub(crate) fn absorb(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    entries: Vec<Entry>,
) -> Result<Absorbed, Fault> {
    absorb_warily(transaction, projection, entries, &mut Attempts::unmarked())
}

/// As [`absorb`], with a mark for what is being read, should it end the process.
pub(crate) fn absorb_warily(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    entries: Vec<Entry>,
    attempts: &mut Attempts,
) -> Result<Absorbed, Fault> {
    let mut batch = Batch::begin(transaction, projection, attempts)?;
    batch.unjudged = entries.iter().map(place_of).collect();
    for entry in &entries {
        batch.take(entry)?;
    }
    batch.finish()
}

/// Judges everything that waits, whatever it waits for.
pub(crate) fn absorb_waiting(transaction: &mut Transaction, projection: &dyn Projection) -> Result<Absorbed, Fault> {
    let mut attempts = Attempts::unmarked();
    let mut batch = Batch::begin(transaction, projection, &mut attempts)?;
    batch.retry()?;
    batch.finish()
}

/// Takes in the entries that a checkpoint carries along: what they say of members, keys and roads. They lie in the ground,
/// and so count whatever stands before them. Gives how many of them say nothing here, for want of a key or of an author.
pub(crate) fn absorb_kept(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    entries: &[Entry],
) -> Result<usize, Fault> {
    let mut attempts = Attempts::unmarked();
    let mut batch = Batch::begin(transaction, projection, &mut attempts)?;
    let unread = batch.take_kept(entries)?;
    // Whatever waits may have waited for what came in the checkpoint.
    batch.news = true;
    batch.finish()?;
    Ok(unread)
}

enum Verdict {
    Apply(Payload),
    /// A kind that is not known here: kept, forwarded, counted, and no obstacle to what follows.
    Unknown(u16),
    /// An envelope for the twelve words, which nobody else reads.
    Envelope,
    Wait(Wait),
    Bad(String),
    /// By a device that was shut out, and nobody built upon it.
    Hold,
}

/// What an entry waits for.
enum Wait {
    /// The one at this place, which is not here or waits itself.
    Entry(Place),
    /// A key.
    Key,
    /// The admission of its author.
    Member,
    /// A change that its own build on: it was on a branch that is not told here from what lies in the ground, and comes with a
    /// later checkpoint, or is carried by another log.
    Change,
}

/// Where an entry stands: its key in [`Table::PARKED`].
type Place = [u8; 72];

fn place_of(entry: &Entry) -> Place {
    place_key(&entry.log(), Tip { seq: entry.seq(), name: entry.name() })
}

struct Batch<'t> {
    transaction: &'t mut Transaction,
    projection: &'t dyn Projection,
    keys: Keyring,
    roster: Roster,
    documents: Documents,
    attempts: &'t mut Attempts,
    done: Absorbed,
    /// Entries that are in the log already and whose turn has yet to come: nothing that builds on them may come first.
    unjudged: BTreeSet<Place>,
    /// Who waits for the entry at a place, and so need not be asked before that one was judged.
    waiting: BTreeMap<Place, Vec<Place>>,
    asleep: BTreeSet<Place>,
    /// Whether a key or a member came, for which any entry may have waited.
    news: bool,
    /// How far each log counted when this was last drawn.
    standings: BTreeMap<LogId, Standing>,
    /// Whether something came that may change it: an entry that builds on a held one, or one up to which a log counts.
    vouched: bool,
    /// The entries up to which a log counts, or above whose fork they stand, that came to be judged.
    weighed: BTreeSet<Place>,
    /// Kinds that are taken for unknown.
    ignored: Vec<u16>,
}

/// Documents are written back and forgotten when they take more bytes than this.
const MAX_OPEN: usize = 64 << 20;

impl<'t> Batch<'t> {
    fn begin(
        transaction: &'t mut Transaction,
        projection: &'t dyn Projection,
        attempts: &'t mut Attempts,
    ) -> Result<Self, Fault> {
        let mut roster = Roster::load(transaction)?;
        Ok(Self {
            keys: keyring(transaction)?,
            standings: roster.standings(),
            vouched: false,
            weighed: BTreeSet::new(),
            ignored: crate::level::ignored(transaction)?,
            roster,
            documents: Documents::default(),
            done: Absorbed::default(),
            unjudged: BTreeSet::new(),
            waiting: BTreeMap::new(),
            asleep: BTreeSet::new(),
            news: false,
            transaction,
            projection,
            attempts,
        })
    }

    /// Tries again what waits, draws anew which entries count if that may have changed, and writes what is open.
    fn finish(mut self) -> Result<Absorbed, Fault> {
        loop {
            if self.done != Absorbed::default() || self.news {
                self.retry()?;
            }
            self.documents.flush(self.transaction, self.projection)?;
            let standings = self.roster.standings();
            if !self.vouched && standings == self.standings {
                return Ok(self.done);
            }
            (self.standings, self.vouched) = (standings, false);
            self.documents = Documents::default();
            if redraw(self.transaction, self.projection, &mut self.roster, &self.keys)? {
                self.asleep.clear();
                self.news = true;
            }
        }
    }

    /// Judges an entry, and those that waited for it alone.
    fn take(&mut self, entry: &Entry) -> Result<(), Fault> {
        let mut released = self.settle(entry)?;
        while let Some(place) = released.pop() {
            let entry = self.load(&place)?;
            released.extend(self.settle(&entry)?);
        }
        Ok(())
    }

    /// Reads entries of the ground, again and again while one brings what another one needs.
    fn take_kept(&mut self, entries: &[Entry]) -> Result<usize, Fault> {
        let mut left: Vec<&Entry> = entries.iter().collect();
        // A log's claim comes before what is said in it, and what is said in the order of its places.
        left.sort_by_key(|entry| (entry.seq() > 1, entry.log(), entry.seq()));
        loop {
            let before = left.len();
            let mut still = Vec::new();
            for entry in left {
                if !self.take_one_kept(entry)? {
                    still.push(entry);
                }
            }
            if still.is_empty() || still.len() == before {
                return Ok(still.len());
            }
            left = still;
        }
    }

    fn take_one_kept(&mut self, entry: &Entry) -> Result<bool, Fault> {
        let Some(sealed) = opened(&self.roster, &self.keys, entry) else { return Ok(false) };
        match self.judge_author(entry, &sealed)? {
            Verdict::Wait(_) => return Ok(false),
            Verdict::Apply(payload) => drop(self.apply(entry, payload)?),
            Verdict::Unknown(_) | Verdict::Envelope | Verdict::Bad(_) | Verdict::Hold => {}
        }
        Ok(true)
    }

    /// Judges one entry; gives those that waited for it.
    fn settle(&mut self, entry: &Entry) -> Result<Vec<Place>, Fault> {
        let place = place_of(entry);
        self.unjudged.remove(&place);
        self.asleep.remove(&place);
        let verdict = if self.attempts.begin(&entry.name()) {
            let verdict = match self.judge(entry)? {
                Verdict::Apply(payload) => self.apply(entry, payload)?,
                other => other,
            };
            if self.attempts.are_careful() {
                // Rows and packing read what it brought; only now it has done no harm.
                self.documents.flush(self.transaction, self.projection)?;
            }
            verdict
        } else {
            Verdict::Bad("this program ended again and again while it read it".into())
        };
        match verdict {
            Verdict::Wait(wait) => {
                let reason = match wait {
                    Wait::Entry(on) => {
                        self.waiting.entry(on).or_default().push(place);
                        self.asleep.insert(place);
                        Waiting::Entry
                    }
                    Wait::Change => Waiting::Entry,
                    Wait::Key => Waiting::Key,
                    Wait::Member => Waiting::Member,
                };
                put_record(self.transaction, Table::PARKED, &place, &reason)?;
                return Ok(Vec::new());
            }
            Verdict::Bad(reason) => {
                self.transaction.put(BAD, &place, reason.as_bytes())?;
                self.done.bad += 1;
            }
            Verdict::Hold => hold(self.transaction, &place)?,
            Verdict::Apply(_) | Verdict::Unknown(_) | Verdict::Envelope => {
                if let Verdict::Unknown(kind) = verdict {
                    crate::level::keep(self.transaction, &place, kind)?;
                }
                mark_applied(self.transaction, entry)?;
                self.done.applied += 1;
            }
        }
        self.transaction.remove(Table::PARKED, &place)?;
        if self.documents.weight() > MAX_OPEN {
            self.documents.flush(self.transaction, self.projection)?;
            self.documents = Documents::default();
        }
        Ok(self.waiting.remove(&place).unwrap_or_default())
    }

    /// Tries again what has waited since earlier batches, and after news whatever waits for a key or a member.
    fn retry(&mut self) -> Result<(), Fault> {
        loop {
            self.news = false;
            for (key, _) in self.transaction.pairs(Table::PARKED, &[])? {
                let place = key.try_into().map_err(|_| Fault::Damaged("a place"))?;
                // What was judged or put to sleep meanwhile is not asked again.
                if !self.asleep.contains(&place) && self.waits(&place)? {
                    let entry = self.load(&place)?;
                    self.take(&entry)?;
                }
            }
            if !self.news {
                return Ok(());
            }
        }
    }

    fn load(&mut self, place: &Place) -> Result<Entry, Fault> {
        let (log, tip) = parse_place(place)?;
        let found = self.transaction.log(SPACE_NUMBER).after(&log, tip.seq - 1, 0)?;
        found.into_iter().find(|entry| entry.name() == tip.name).ok_or(Fault::Damaged("a waiting entry"))
    }

    fn judge(&mut self, entry: &Entry) -> Result<Verdict, Fault> {
        let before = place_key(&entry.log(), Tip { seq: entry.seq() - 1, name: entry.prev() });
        if entry.seq() > 1 && self.waits(&before)? {
            self.take_keys(entry)?;
            return Ok(Verdict::Wait(Wait::Entry(before)));
        }
        // Once: what goes on waiting is asked again after each drawing, and must not ask for another.
        if is_awaited(self.transaction, entry)? && self.weighed.insert(place_of(entry)) {
            self.vouched = true;
        }
        if entry.is_recovery_envelope() {
            let standing = self.roster.standing(&entry.log());
            return Ok(if self.counts(entry, &standing, None)? { Verdict::Envelope } else { Verdict::Hold });
        }
        let keys = self.keys.iter().map(|(id, _, key)| (id, key));
        let sealed = match entry.open(&self.roster.space.space, keys) {
            Ok((_, sealed)) => sealed,
            Err(OpenError::NoKey) => return Ok(Verdict::Wait(Wait::Key)),
            Err(bad) => return Ok(Verdict::Bad(bad.to_string())),
        };
        hear(self.transaction, &entry.log(), &sealed.deps)?;
        for dep in &sealed.deps {
            let place = place_key(&dep.log, Tip { seq: dep.seq, name: dep.name });
            if !is_here(self.transaction, &dep.log, dep.seq, dep.name)? || self.waits(&place)? {
                self.take_keys(entry)?;
                return Ok(Verdict::Wait(Wait::Entry(place)));
            }
            if is_held(self.transaction, &place)? && vouches(&sealed) && !self.is_outside(entry)? {
                // Its author had read what is held here: it counts, and comes first.
                self.vouched = true;
                return Ok(Verdict::Wait(Wait::Entry(place)));
            }
        }
        let verdict = self.judge_author(entry, &sealed)?;
        if !matches!(verdict, Verdict::Wait(_) | Verdict::Bad(_)) {
            learn(self.transaction, &subjects(self.transaction)?, entry, &sealed.deps)?;
        }
        Ok(verdict)
    }

    /// The first entry of a log claims it for a device. Everything else counts once that device is a member, or as far as
    /// its removal left it.
    fn judge_author(&mut self, entry: &Entry, sealed: &Sealed) -> Result<Verdict, Fault> {
        let payload = match sealed.payload() {
            Ok(payload) => payload.filter(|_| !self.ignored.contains(&sealed.kind)),
            Err(bad) => return Ok(Verdict::Bad(bad.to_string())),
        };
        let first = matches!(payload, Some(Payload::OpenLog(_)));
        if first != (entry.seq() == 1) {
            return Ok(Verdict::Bad("a log begins with its opening, and only there".into()));
        }
        if let Some(Payload::OpenLog(claim)) = &payload {
            self.claim(entry, claim)?;
        }
        let by_itself = match &payload {
            Some(Payload::Genesis(birth)) => self.is_genesis(entry, birth),
            Some(Payload::Admit(admit)) => self.roster.claimed_by(&admit.certificate, &entry.log()),
            Some(Payload::Reset(reset)) => {
                reset.members.iter().any(|listed| self.roster.claimed_by(&listed.certificate, &entry.log()))
            }
            _ => first,
        };
        if !by_itself && self.roster.author(&entry.log()).is_none() {
            return Ok(if payload.is_some() { Verdict::Wait(Wait::Member) } else { Verdict::Unknown(sealed.kind) });
        }
        // Who belongs is decided by all that was ever said about it, whoever said it.
        let verdict = match payload {
            None => Verdict::Unknown(sealed.kind),
            Some(payload) => self.remember(entry, sealed, payload)?,
        };
        if matches!(verdict, Verdict::Bad(_)) {
            return Ok(verdict);
        }
        let standing = self.roster.standing(&entry.log());
        if self.counts(entry, &standing, Some(sealed))? {
            return Ok(verdict);
        }
        self.take_keys(entry)?;
        Ok(Verdict::Hold)
    }

    /// Takes the keys that an entry hands over, whether or not it counts or its turn has come: a key reads, whoever gave it,
    /// and what it waits for may be sealed under that very key.
    fn take_keys(&mut self, entry: &Entry) -> Result<(), Fault> {
        let payload = opened(&self.roster, &self.keys, entry).and_then(|sealed| sealed.payload().ok().flatten());
        match payload {
            Some(payload @ (Payload::Rotate(_) | Payload::Share(_))) => self.apply(entry, payload).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Whether an entry counts, as far as is known now.
    fn counts(&mut self, entry: &Entry, standing: &Standing, sealed: Option<&Sealed>) -> Result<bool, Fault> {
        if matches!(standing, Standing::Whole | Standing::Unknown) {
            return Ok(true);
        }
        let before = place_key(&entry.log(), Tip { seq: entry.seq() - 1, name: entry.prev() });
        let by_itself = match standing {
            Standing::Reader(lowerings) if !is_held(self.transaction, &before)? => {
                let content = sealed.is_some_and(|sealed| is_content(sealed.kind));
                !(content && self.knows_any(lowerings, entry, sealed)?)
            }
            _ => false,
        };
        Ok(by_itself || is_covered(self.transaction, &entry.log(), Tip { seq: entry.seq(), name: entry.name() })?)
    }

    /// Whether an entry knows one of these, which was perhaps not noted yet.
    fn knows_any(&mut self, subjects: &[EntryName], entry: &Entry, sealed: Option<&Sealed>) -> Result<bool, Fault> {
        if let Some(sealed) = sealed {
            learn(self.transaction, subjects, entry, &sealed.deps)?;
        }
        knows_any(self.transaction, subjects, entry)
    }

    /// Whether an entry's author was shut out, and its word makes nothing count.
    fn is_outside(&mut self, entry: &Entry) -> Result<bool, Fault> {
        let standing = self.roster.standing(&entry.log());
        Ok(match &standing {
            Standing::Whole => false,
            Standing::Reader(lowerings) => {
                let lowerings = lowerings.clone();
                self.knows_any(&lowerings, entry, None)?
            }
            Standing::Cut(_) => {
                !is_covered(self.transaction, &entry.log(), Tip { seq: entry.seq(), name: entry.name() })?
            }
            Standing::Unknown => true,
        })
    }

    fn is_genesis(&self, entry: &Entry, birth: &Genesis) -> bool {
        entry.name() == self.roster.space.genesis
            && birth.space() == self.roster.space.space
            && self.roster.claimed_by(&birth.founder, &entry.log())
    }

    /// Keeps what says who belongs; the rule over all of it decides what counts.
    fn remember(&mut self, entry: &Entry, sealed: &Sealed, payload: Payload) -> Result<Verdict, Fault> {
        let genesis = matches!(payload, Payload::Genesis(_));
        if genesis && entry.name() != self.roster.space.genesis {
            return Ok(Verdict::Bad("the genesis of another space".into()));
        }
        if Kind::is_membership(sealed.kind) {
            let author = match &payload {
                Payload::Genesis(birth) => birth.founder.id(),
                Payload::Admit(admit) => admit.certificate.id(),
                _ => self.roster.claimant(&entry.log()).ok_or(Fault::Damaged("an author"))?,
            };
            note_membership(self.transaction, entry, author, sealed.time, &payload)?;
            if let Payload::Rotate(rotate) = &payload {
                let epoch = rotate.epoch(&self.roster.space.space, &author);
                let wrong = self.keys.iter().any(|(id, _, key)| *id == epoch && !key.matches(&epoch, &rotate.check));
                if wrong {
                    // Somebody shared another key by that name.
                    self.transaction.remove(EPOCHS, &epoch.0)?;
                    self.keys = keyring(self.transaction)?;
                }
            }
            self.roster = Roster::load(self.transaction)?;
            self.news = true;
        }
        Ok(Verdict::Apply(payload))
    }

    /// Whether the entry at a place, which is here, was not judged yet.
    fn waits(&self, place: &Place) -> Result<bool, Fault> {
        Ok(self.unjudged.contains(place) || self.transaction.get(Table::PARKED, place)?.is_some())
    }

    fn apply(&mut self, entry: &Entry, payload: Payload) -> Result<Verdict, Fault> {
        match &payload {
            Payload::Changes(changes) => return self.change(&entry.log(), changes, payload.clone()),
            Payload::Carried(carried) => {
                if !carried.is_genuine(&self.roster.space.space, &entry.log()) {
                    return Ok(Verdict::Bad("changes of a log that is another device's".into()));
                }
                return self.change(&carried.log, &carried.changes, payload.clone());
            }
            Payload::Rotate(rotate) => {
                // Only the first epoch has no parents, and only the founder makes it.
                let author = self.roster.author(&entry.log());
                let author = author.filter(|author| !rotate.parents.is_empty() || self.roster.is_founder(author));
                if let Some(author) = author {
                    let epoch = rotate.epoch(&self.roster.space.space, &author);
                    self.unwrap(author, epoch, rotate.generation, &rotate.check, &rotate.wraps)?;
                    self.earlier(epoch, &rotate.earlier)?;
                }
            }
            Payload::Share(share) => {
                if let Some(author) = self.roster.author(&entry.log()) {
                    let wraps = std::slice::from_ref(&share.wrap);
                    self.unwrap(author, share.epoch, share.generation, &share.check, wraps)?;
                }
            }
            Payload::Roads(roads) => self.learn_roads(roads)?,
            Payload::Decision(Decision::Discard) => {
                if let Some(sealed) = opened(&self.roster, &self.keys, entry) {
                    put_away(self.transaction, &sealed.deps)?;
                }
            }
            // What they say about who belongs was noted when they were read.
            Payload::Reads(reads) => crate::level::learn(self.transaction, &entry.log(), *reads)?,
            Payload::OpenLog(_)
            | Payload::Beacon
            | Payload::Raise(_)
            | Payload::Genesis(_)
            | Payload::Add(_)
            | Payload::SetRole(_)
            | Payload::Rename(_)
            | Payload::Remove(_)
            | Payload::Reset(_)
            | Payload::Admit(_)
            | Payload::ChangeRecovery(_)
            | Payload::Decision(Decision::Accept) => {}
            Payload::Receipts(receipts) => crate::receipts::learn(self.transaction, &entry.log(), receipts)?,
        }
        Ok(Verdict::Apply(payload))
    }

    fn claim(&mut self, entry: &Entry, claim: &OpenLog) -> Result<(), Fault> {
        let kept = ClaimRecord { device: claim.device, signature: claim.signature.clone() };
        put_record(self.transaction, CLAIMS, &entry.log().0, &kept)?;
        self.roster = Roster::load(self.transaction)?;
        self.news = true;
        Ok(())
    }

    /// Makes changes that were written in a log.
    fn change(&mut self, log: &LogId, changes: &Changes, payload: Payload) -> Result<Verdict, Fault> {
        let checked = match check_all(self.projection, log, changes) {
            Ok(checked) => checked,
            Err(bad) => return Ok(Verdict::Bad(bad)),
        };
        let touched: Vec<DocumentId> = checked.iter().map(|one| one.id).collect();
        Ok(match self.documents.apply(self.transaction, self.projection, checked)? {
            Ok(()) => {
                self.attempts.touch(touched);
                Verdict::Apply(payload)
            }
            Err(BadChange::Discontinuous) if is_grounded(self.transaction)? => Verdict::Wait(Wait::Change),
            Err(bad) => Verdict::Bad(bad.to_string()),
        })
    }

    /// Takes an epoch's key if it is wrapped for this device and is what its check says.
    fn unwrap(
        &mut self,
        author: DeviceId,
        epoch: EpochId,
        generation: u32,
        check: &[u8; 32],
        wraps: &[ties_sealed_log::Wrap],
    ) -> Result<(), Fault> {
        let device = device_keys(self.transaction)?.ok_or(Fault::NoKey)?;
        let recipient = device.id();
        let Some(wrap) = wraps.iter().find(|wrap| wrap.recipient == recipient) else { return Ok(()) };
        let context =
            WrapContext { space: &self.roster.space.space, epoch: &epoch, recipient: &recipient, author: &author };
        let Ok(key) = device.unwrap(&wrap.bytes, context) else { return Ok(()) };
        // What began the epoch has the last word on its key.
        let check = self.roster.check_of(&epoch).unwrap_or(*check);
        if key.matches(&epoch, &check) && keep_key(self.transaction, &epoch, generation, &key)? {
            self.keys = keyring(self.transaction)?;
            self.news = true;
        }
        Ok(())
    }

    /// Takes the keys of earlier epochs, which whoever has an epoch's key may have. Each must be what its own beginning says
    /// of it, where that is known.
    fn earlier(&mut self, epoch: EpochId, sealed: &[u8]) -> Result<(), Fault> {
        let Some((_, _, key)) = self.keys.iter().find(|(id, ..)| *id == epoch) else { return Ok(()) };
        let Ok(earlier) = key.open_earlier(&self.roster.space.space, &epoch, sealed) else { return Ok(()) };
        for earlier in earlier {
            let check = self.roster.check_of(&earlier.epoch);
            let proven = check.is_none_or(|check| earlier.key.matches(&earlier.epoch, &check));
            if proven && keep_key(self.transaction, &earlier.epoch, earlier.generation, &earlier.key)? {
                self.news = true;
            }
        }
        self.keys = keyring(self.transaction)?;
        Ok(())
    }

    fn learn_roads(&mut self, roads: &Roads) -> Result<(), Fault> {
        for road in &roads.relays {
            let kept = RoadRecord { address: road.address.clone(), relay: road.relay };
            put_record(self.transaction, ROADS, &road.mailbox.0, &kept)?;
            for statement in &road.statements {
                keep_statement(self.transaction, &road.mailbox, statement)?;
            }
        }
        for known in &roads.pseudonyms {
            self.learn_pseudonym(known)?;
        }
        for opening in &roads.openings {
            let mailbox = opening.first_chunk::<32>().map(|bytes| MailboxId(*bytes));
            if let Some(mailbox) = mailbox {
                keep_opening(self.transaction, &mailbox, opening)?;
            }
        }
        Ok(())
    }

    fn learn_pseudonym(&mut self, known: &KnownPseudonym) -> Result<(), Fault> {
        let member = self.roster.members.as_ref().and_then(|members| members.get(&known.device));
        let signature = <&[u8; 64]>::try_from(known.signature.as_slice());
        let (Some(member), Ok(signature)) = (member, signature) else { return Ok(()) };
        let space = &self.roster.space.space;
        if member.certificate.verify_pseudonym(space, &known.relay, &known.pseudonym, signature).is_ok() {
            let key = [known.relay.0, known.pseudonym.0].concat();
            self.transaction.put(PSEUDONYMS, &key, &known.device.0)?;
        }
        Ok(())
    }
}

/// Checks every change of an entry. Most of the time of a first sync is spent here, so it is shared among the processor's
/// cores.
fn check_all(projection: &dyn Projection, log: &LogId, changes: &Changes) -> Result<Vec<Checked>, String> {
    let most = most_operations(changes.items.iter().map(|item| item.chunk.len()).sum());
    let operations = AtomicUsize::new(0);
    let check = |items: &[Change]| -> Result<Vec<Checked>, String> {
        let mut checked = Vec::with_capacity(items.len());
        for item in items {
            let one = check_one(projection, log, changes, item)?;
            // The sum alone decides, in whatever order the cores come to it.
            if operations.fetch_add(one.change.len(), Ordering::Relaxed) + one.change.len() > most {
                return Err(format!("more than {most} operations in one entry"));
            }
            checked.push(one);
        }
        Ok(checked)
    };
    let check = &check;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 || changes.items.len() < WORTH_SHARING {
        return check(&changes.items);
    }
    let parts = changes.items.chunks(changes.items.len().div_ceil(cores));
    std::thread::scope(|scope| {
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || check(part))).collect();
        let mut checked = Vec::with_capacity(changes.items.len());
        for part in parts {
            // A panic is one of Automerge over bytes from elsewhere.
            checked.extend(part.join().unwrap_or_else(|_| Err("a change that cannot be read".into()))?);
        }
        Ok(checked)
    })
}

fn check_one(projection: &dyn Projection, log: &LogId, changes: &Changes, item: &Change) -> Result<Checked, String> {
    let expected = match usize::from(item.nonce).checked_sub(1).map(|at| changes.nonces.get(at)) {
        None => None,
        Some(Some(nonce)) => Some(actor(log, nonce)),
        Some(None) => return Err("a change by no session".into()),
    };
    let id = DocumentId(item.document);
    let change = check_change(&item.chunk, expected).map_err(|bad| bad.to_string())?;
    // Whatever is wrong with it shows again when it is applied to a document.
    let rows = match expected {
        None => catch_unwind(AssertUnwindSafe(|| projection.rows_of_seed(id, &change))).ok().flatten(),
        Some(_) => None,
    };
    Ok(Checked { id, change, rows })
}

/// A thread costs as much as a few dozen changes.
const WORTH_SHARING: usize = 256;

/// Keeps a valid access statement; the list decides what it means.
pub(crate) fn keep_statement(
    transaction: &mut Transaction,
    mailbox: &MailboxId,
    statement: &[u8],
) -> Result<bool, Fault> {
    let Ok(parsed) = ties_sealed_log::AccessStatement::verify(statement) else { return Ok(false) };
    let belongs = parsed.body().mailbox.map_or_else(|| parsed.name().0 == mailbox.0, |named| named == *mailbox);
    if belongs {
        transaction.put(ACCESS, &mailbox_key(mailbox, &parsed.name().0), statement)?;
    }
    Ok(belongs)
}

/// Keeps a valid log opening, the first one for each log.
pub(crate) fn keep_opening(transaction: &mut Transaction, mailbox: &MailboxId, bytes: &[u8]) -> Result<bool, Fault> {
    let Ok(opening) = LogOpening::verify(bytes, mailbox) else { return Ok(false) };
    let key = mailbox_key(mailbox, &opening.log().0);
    if transaction.get(OPENINGS, &key)?.is_none() {
        transaction.put(OPENINGS, &key, bytes)?;
    }
    Ok(true)
}
