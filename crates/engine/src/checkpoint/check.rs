//! Comparing a checkpoint with what is here: signing it, or naming it.
//!
//! Whoever has read everything up to its cut makes the same state from its own entries: each document without the changes
//! that came above the cut. If the roots agree the checkpoint is signed a second time, and entries below it may be dropped
//! anywhere; if they do not, it is never signed, and its maker is named.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Automerge, Change, ChangeHash};
use ties_fault::{Point, pass};
use ties_sealed_log::{Entry, FloorRecord, Log, LogId, Role, Tip, TipRecord};
use ties_store::{Read, StoredLog, Table};

use crate::acceptance::{changes_of, is_applied, opened, visit};
use crate::author::{Keyring, SPACE_NUMBER, keyring, log_key, unnamed};
use crate::checkpoint::cut::{has_all, knows_all};
use crate::checkpoint::ground::grounds;
use crate::checkpoint::load::documents_of_ground;
use crate::checkpoint::reach::all_can_open;
use crate::checkpoint::shelf::{self, Opinion, Shelved};
use crate::checkpoint::state::{State, heads, on_all_cores};
use crate::document::DocumentId;
use crate::knowledge::heard_below;
use crate::lineage::Lineage;
use crate::records::{Fault, SPACE, SpaceRecord, record};
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::Space;

/// What came of looking checkpoints over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Checkpoints that were found to be right.
    pub same: usize,
    /// Those of them that now have this device's signature as their second.
    pub cosigned: usize,
    /// Checkpoints that say something else than this device's entries.
    pub differing: usize,
}

impl Space {
    /// Compares checkpoints by other devices with what is here, as far as everything up to them was read: one that says the
    /// same is signed, one that does not is remembered as wrong.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn check_checkpoints(&self) -> Result<Looked, Fault> {
        let mut looked = Looked::default();
        let snapshot = self.inner.store.read()?;
        for one in shelf::shelved(&snapshot)? {
            let opinion = match one.opinion {
                Opinion::None => opinion(&snapshot, &one)?,
                // It was found right, and somebody had not heard of its key yet.
                Opinion::Same if one.floor.cosigner().is_none() => Some(Opinion::Same),
                _ => continue,
            };
            let Some(opinion) = opinion else { continue };
            let cosigns = opinion == Opinion::Same && one.floor.cosigner().is_none() && may_sign(&snapshot, &one)?;
            let is_news = opinion != one.opinion;
            if !is_news && !cosigns {
                continue;
            }
            if cosigns {
                pass(Point::CosignBegun);
            }
            let floor = if cosigns { self.cosign(&one.floor)? } else { one.floor };
            let mut transaction = self.inner.store.write()?;
            shelf::put(&mut transaction, &floor, Some(opinion), self.now())?;
            shelf::clear(&mut transaction)?;
            if cosigns {
                pass(Point::CosignPut);
            }
            transaction.commit()?;
            if cosigns {
                pass(Point::Cosigned);
            }
            self.inner.committed();
            match opinion {
                Opinion::Differs => {
                    tracing::warn!(manifest = ?floor.manifest(), "a checkpoint says something else than the entries here");
                    looked.differing += 1;
                }
                _ => looked.same += usize::from(is_news),
            }
            looked.cosigned += usize::from(cosigns);
        }
        if is_crowded(&self.inner.store.read()?)? {
            let mut transaction = self.inner.store.write()?;
            shelf::clear(&mut transaction)?;
            transaction.commit()?;
        }
        Ok(looked)
    }

    /// Signs as the second one. What this device read counts for everybody once an entry of its own names it.
    fn cosign(&self, floor: &FloorRecord) -> Result<FloorRecord, Fault> {
        let mut transaction = self.inner.store.write()?;
        if !unnamed(&transaction)?.is_empty() {
            let mut environment = self.inner.environment();
            crate::author::append(&mut transaction, &mut environment, &ties_sealed_log::Payload::Beacon)?;
        }
        let key = log_key(&transaction)?.ok_or(Fault::NoKey)?;
        transaction.commit()?;
        pass(Point::CosignNamed);
        floor.cosign(&key).map_err(|_| Fault::Damaged("a checkpoint's record"))
    }
}

/// Whether more is on the shelf than it keeps: checkpoints that came while none could be compared.
fn is_crowded(read: &dyn Read) -> Result<bool, Fault> {
    let not_wrong = |one: &Shelved| one.opinion.is_good();
    Ok(shelf::shelved(read)?.iter().filter(|one| not_wrong(one)).count() > CROWDED)
}

/// Two with two signatures, one on its way, one to stand on, and a few that others may complete.
const CROWDED: usize = 8;

/// Whether this device may be the second one to sign: a member that writes, and another device than the maker.
fn may_sign(read: &dyn Read, one: &Shelved) -> Result<bool, Fault> {
    let mut roster = Roster::load(read)?;
    let own = device_keys(read)?.ok_or(Fault::NoKey)?.id();
    let role = roster.members.as_ref().and_then(|members| members.get(&own)).map(|member| member.role);
    let author = roster.author(&one.floor.author());
    let may = matches!(role, Some(Role::Writer | Role::Admin)) && author.is_some_and(|author| author != own);
    Ok(may && all_can_open(read, one)?)
}

/// What to think of a checkpoint; `None` while something up to its cut is missing or undecided here, or it cannot be read.
fn opinion(read: &dyn Read, one: &Shelved) -> Result<Option<Opinion>, Fault> {
    let space: SpaceRecord = record(read, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let keys = keyring(read)?;
    let Some(manifest) = shelf::manifest(read, &one.floor, &space.space, &keys)? else { return Ok(None) };
    if !has_all(read, &manifest.cut)? || !knows_all(read)? || !covers_ground(read, &manifest.cut)? {
        return Ok(None);
    }
    Ok(Some(if state_at(read, &keys, &manifest.cut)?.root() == manifest.root {
        Opinion::Same
    } else if is_closed(read, &keys, &manifest.cut)? {
        Opinion::Differs
    } else {
        // Its maker could not tell a branch that it never saw from what lies below its own checkpoint: that is no lie.
        Opinion::Foreign
    }))
}

/// Whether everything that entries up to a cut name lies below it too, as far as is known here.
fn is_closed(read: &dyn Read, keys: &Keyring, cut: &[TipRecord]) -> Result<bool, Fault> {
    let roster = Roster::load(read)?;
    let mut lineages: BTreeMap<LogId, Lineage> = BTreeMap::new();
    for log in StoredLog::reading(read, SPACE_NUMBER).vector()?.logs() {
        lineages.insert(log, Lineage::of(read, &log)?);
    }
    let covers = |log: &LogId, at: Tip| {
        let is_below = |lineage: &Lineage| cut.iter().any(|end| end.log == *log && lineage.is_below(at, end.tip));
        lineages.get(log).is_some_and(is_below)
    };
    let mut closed = true;
    for log in lineages.keys() {
        visit(read, log, |entry| {
            if covers(log, Tip { seq: entry.seq(), name: entry.name() })
                && let Some(sealed) = opened(&roster, keys, entry)
            {
                closed &= sealed.deps.iter().all(|dep| covers(&dep.log, Tip { seq: dep.seq, name: dep.name }));
            }
            Ok(())
        })?;
    }
    Ok(closed)
}

/// Whether a cut lies above all that this device has without entries: what came between cannot be taken away again.
fn covers_ground(read: &dyn Read, cut: &[TipRecord]) -> Result<bool, Fault> {
    for (log, tips) in grounds(read)? {
        let lineage = Lineage::of(read, &log)?;
        let is_covered = |tip: &Tip| cut.iter().any(|end| end.log == log && lineage.is_below(*tip, end.tip));
        if !tips.iter().all(is_covered) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The state that this device's entries make up to a cut, all of which it has read.
fn state_at(read: &dyn Read, keys: &Keyring, cut: &[TipRecord]) -> Result<State, Fault> {
    let roster = Roster::load(read)?;
    let above = Above::of(read, &roster, keys, cut)?;
    let below = above.seeds_below(read, &roster, keys, cut)?;
    let mut state = State { heard: heard_below(read, cut)?, ..State::default() };
    for some in read.document_ids()?.chunks(AT_A_TIME) {
        let mut stored = Vec::with_capacity(some.len());
        for id in some {
            stored.extend(read.document(id)?.map(|bytes| (DocumentId(*id), bytes)));
        }
        let found = on_all_cores(&stored, |(id, bytes)| match above.changes.get(id) {
            None => heads(bytes).map(|heads| (*id, heads)),
            Some(later) => {
                let document = Automerge::load(bytes).map_err(|_| Fault::Damaged("a document"))?;
                Ok((*id, heads_without(&document, |hash| later.contains(hash) && !below.contains(&(*id, *hash)))))
            }
        });
        for one in found {
            let (id, heads) = one?;
            if !heads.is_empty() {
                state.documents.insert(id, heads);
            }
        }
    }
    Ok(state)
}

/// The heads of a document as it would be without some of its changes.
fn heads_without(document: &Automerge, is_later: impl Fn(&ChangeHash) -> bool) -> Vec<ChangeHash> {
    let mut heads = BTreeSet::new();
    for change in document.get_changes_meta(&[]) {
        if !is_later(&change.hash) {
            heads.retain(|head| !change.deps.contains(head));
            heads.insert(change.hash);
        }
    }
    heads.into_iter().collect()
}

/// What entries above a cut hold.
struct Above {
    changes: BTreeMap<DocumentId, BTreeSet<ChangeHash>>,
    /// Seeds are alike on every device: one that came above the cut may have come below it too.
    seeds: BTreeSet<(DocumentId, ChangeHash)>,
}

impl Above {
    fn of(read: &dyn Read, roster: &Roster, keys: &Keyring, cut: &[TipRecord]) -> Result<Self, Fault> {
        let mut above = Self { changes: BTreeMap::new(), seeds: BTreeSet::new() };
        each_entry(
            read,
            |entry, ends, lineage| {
                if is_below(ends, lineage, entry) || !is_applied(read, entry)? {
                    return Ok(());
                }
                for (id, hash, seed) in changes(roster, keys, entry) {
                    above.changes.entry(id).or_default().insert(hash);
                    if seed {
                        above.seeds.insert((id, hash));
                    }
                }
                Ok(())
            },
            cut,
            Side::Above,
        )?;
        Ok(above)
    }

    /// Those of the seeds that came below the cut as well.
    fn seeds_below(
        &self,
        read: &dyn Read,
        roster: &Roster,
        keys: &Keyring,
        cut: &[TipRecord],
    ) -> Result<BTreeSet<(DocumentId, ChangeHash)>, Fault> {
        let mut below = BTreeSet::new();
        if self.seeds.is_empty() {
            return Ok(below);
        }
        each_entry(
            read,
            |entry, ends, lineage| {
                if is_below(ends, lineage, entry) && is_applied(read, entry)? {
                    let found = changes(roster, keys, entry).into_iter().filter(|(.., seed)| *seed);
                    below.extend(found.map(|(id, hash, _)| (id, hash)).filter(|seed| self.seeds.contains(seed)));
                }
                Ok(())
            },
            cut,
            Side::All,
        )?;
        // Entries of the ground are not here; its documents tell what they said.
        let touched: BTreeSet<DocumentId> = self.seeds.iter().map(|(id, _)| *id).collect();
        let ground = documents_of_ground(read, &touched)?;
        let begun = |(id, hash): &&(DocumentId, ChangeHash)| {
            ground.get(id).is_some_and(|document| document.get_change_meta_by_hash(hash).is_some())
        };
        below.extend(self.seeds.iter().filter(begun).copied());
        Ok(below)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Entries that surely lie below are passed over unread.
    Above,
    All,
}

/// Shows every entry that is here, with the ends of its log in the cut.
fn each_entry(
    read: &dyn Read,
    mut show: impl FnMut(&Entry, &[Tip], &Lineage) -> Result<(), Fault>,
    cut: &[TipRecord],
    side: Side,
) -> Result<(), Fault> {
    let stored = StoredLog::reading(read, SPACE_NUMBER);
    let logs: Vec<LogId> = stored.vector()?.logs().collect();
    for log in logs {
        let ends: Vec<Tip> = cut.iter().filter(|end| end.log == log).map(|end| end.tip).collect();
        let lineage = Lineage::of(read, &log)?;
        let straight = stored.forked_at(&log)?.is_none();
        match (&ends[..], side) {
            ([end], Side::Above) if straight => {
                let mut from = end.seq;
                loop {
                    let part = stored.after(&log, from, crate::lineage::PART)?;
                    let Some(last) = part.last().map(Entry::seq) else { break };
                    part.iter().try_for_each(|entry| show(entry, &ends, &lineage))?;
                    from = last;
                }
            }
            _ => visit(read, &log, |entry| show(entry, &ends, &lineage))?,
        }
    }
    Ok(())
}

fn is_below(ends: &[Tip], lineage: &Lineage, entry: &Entry) -> bool {
    let here = Tip { seq: entry.seq(), name: entry.name() };
    ends.iter().any(|end| lineage.is_below(here, *end))
}

/// The changes of an entry: document, hash, and whether each is a seed.
fn changes(roster: &Roster, keys: &Keyring, entry: &Entry) -> Vec<(DocumentId, ChangeHash, bool)> {
    let items = changes_of(roster, keys, entry).unwrap_or_default().items;
    // Each was checked when it was first applied.
    let parsed = items.into_iter().filter_map(|item| {
        let change = Change::from_bytes(item.chunk.into_vec()).ok()?;
        Some((DocumentId(item.document), change.hash(), item.nonce == 0))
    });
    parsed.collect()
}

/// Documents that are looked at at once, so that memory stays bounded.
const AT_A_TIME: usize = 4_096;
