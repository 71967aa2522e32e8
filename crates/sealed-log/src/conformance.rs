//! What every [`Log`] must do, as cases that any implementation can be put through.
//!
//! An implementation that can be owned is checked by [`check`]. One that lives inside a transaction takes the
//! [`cases`] one by one, each with a log that is still empty. A case panics with a sentence when the log is wrong.

use std::collections::BTreeSet;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::{
    Appended, Entry, EntryName, EpochId, EpochKey, Freed, Log, LogId, LogKey, MAX_BRANCHES, MemoryLog, Position, Prune,
    Sealed, Secret, SpaceId, Tip,
};

/// A name, and what it does with an empty log.
pub type Case<L> = (&'static str, fn(&mut L));

/// Puts logs through all cases. `make` gives a new, empty one each time.
///
/// # Panics
/// When a log does something else than it must.
pub fn check<L: Log>(make: impl Fn() -> L) {
    for (name, case) in cases() {
        // Captured by the test harness, and shown when the case fails.
        println!("conformance: {name}");
        case(&mut make());
    }
}

/// All cases.
#[must_use]
pub fn cases<L: Log>() -> Vec<Case<L>> {
    vec![
        ("an empty log knows nothing", an_empty_log_knows_nothing),
        ("entries in order extend the log", entries_in_order_extend_the_log),
        ("an entry without its predecessor leaves no trace", a_gap_leaves_no_trace),
        ("an entry offered again changes nothing", a_duplicate_changes_nothing),
        ("an entry whose predecessor stands elsewhere is a gap", a_predecessor_counts_at_its_own_place_only),
        ("both branches of a fork are kept", both_branches_are_kept),
        ("a log that forks in its first entry has two beginnings", the_first_entry_may_fork),
        ("a forked log takes eight branches and grows on each", eight_branches_and_no_more),
        ("entries after a place come whole and within the budget", after_respects_places_and_budget),
        ("logs do not touch one another", logs_do_not_touch),
        ("any sequence of offers ends as it does in memory", random_offers_equal_memory),
    ]
}

/// All cases about logs that are cut short from below.
#[must_use]
pub fn pruning_cases<L: Prune>() -> Vec<Case<L>> {
    vec![
        ("a straight log is cut through and goes on", a_straight_log_is_cut_through),
        ("a cut at the very end leaves a log that goes on from its name", a_cut_at_the_end),
        ("an unknown log begins with what a checkpoint holds of it", an_unknown_log_begins_above),
        ("a log that lags jumps ahead", a_lagging_log_jumps),
        ("a log is not cut at a tip that is not its own", a_foreign_tip_cuts_nothing),
        ("a lower cut changes nothing", a_lower_cut_changes_nothing),
        ("a forked log keeps what stands on each branch", a_forked_log_is_cut_on_each_branch),
        ("a branch that no tip stands on stays", a_branch_apart_stays),
        ("what is kept stays readable beside the log", what_is_kept_stays_readable),
        ("any sequence of cuts and offers ends as it does in memory", random_cuts_equal_memory),
    ]
}

/// Writes entries for the logs under test: real ones, of a length that the case chooses.
pub struct Scribe {
    key: LogKey,
    epoch: EpochKey,
    rng: ChaCha20Rng,
}

impl Scribe {
    /// One scribe, one log; the same seed makes the same entries.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        Self { key: LogKey::random(&mut rng), epoch: EpochKey::new(Secret::new([7; 32])), rng }
    }

    /// The log it writes.
    #[must_use]
    pub fn log(&self) -> LogId {
        self.key.id()
    }

    /// A new entry after `before`, about `bytes` long (at least about 460).
    ///
    /// # Panics
    /// When `bytes` is beyond what an entry can hold.
    pub fn write(&mut self, before: Option<&Entry>, bytes: usize) -> Entry {
        let position = before.map_or(Position::FIRST, |entry| Position { seq: entry.seq() + 1, prev: entry.name() });
        let mut body = vec![0; bytes.saturating_sub(240).max(16)];
        self.rng.fill_bytes(&mut body);
        // A kind from the future: a log stores what it cannot read.
        let content = Sealed { kind: u16::MAX, deps: vec![], time: 0, body };
        let (space, epoch) = (SpaceId([1; 32]), EpochId([2; 32]));
        Entry::seal(&self.key, position, &space, (&epoch, &self.epoch), &content, &mut self.rng).expect("it fits")
    }

    /// `count` entries in a row after `before`.
    pub fn chain(&mut self, before: Option<&Entry>, count: usize) -> Vec<Entry> {
        let mut chain: Vec<Entry> = Vec::with_capacity(count);
        for _ in 0..count {
            let next = self.write(chain.last().or(before), 0);
            chain.push(next);
        }
        chain
    }
}

fn an_empty_log_knows_nothing<L: Log>(log: &mut L) {
    let stranger = Scribe::new(1).log();
    assert!(log.vector().expect("vector").is_empty(), "an empty log has an empty vector");
    assert_eq!(log.tips(&stranger).expect("tips"), vec![], "an unknown log has no tips");
    assert_eq!(log.names(&stranger, 0).expect("names"), vec![], "nothing stands at place 0");
    assert_eq!(log.names(&stranger, 1).expect("names"), vec![], "nothing stands in an unknown log");
    assert_eq!(log.after(&stranger, 0, usize::MAX).expect("after"), vec![], "nothing follows in an unknown log");
    assert_eq!(log.after(&stranger, u64::MAX, usize::MAX).expect("after"), vec![], "nothing follows the last place");
    assert_eq!(log.forked_at(&stranger).expect("forked_at"), None, "an unknown log has no fork");
}

fn entries_in_order_extend_the_log<L: Log>(log: &mut L) {
    let mut scribe = Scribe::new(2);
    let chain = scribe.chain(None, 5);
    for entry in &chain {
        offer(log, entry, Appended::Extended);
        assert_eq!(tips(log, &scribe.log()), vec![tip(entry)], "the entry that came last is the only tip");
    }
    is(log, &scribe.log(), &chain);
    assert_eq!(log.forked_at(&scribe.log()).expect("forked_at"), None, "a straight log has no fork");
}

fn a_gap_leaves_no_trace<L: Log>(log: &mut L) {
    let mut scribe = Scribe::new(3);
    let chain = scribe.chain(None, 4);
    offer(log, &chain[1], Appended::Gap);
    assert!(!log.vector().expect("vector").knows(&scribe.log()), "a refused first offer makes no log known");
    offer(log, &chain[0], Appended::Extended);
    offer(log, &chain[3], Appended::Gap);
    offer(log, &chain[2], Appended::Gap);
    is(log, &scribe.log(), &chain[..1]);
    chain[1..].iter().for_each(|entry| offer(log, entry, Appended::Extended));
    is(log, &scribe.log(), &chain);
}

fn a_duplicate_changes_nothing<L: Log>(log: &mut L) {
    let mut scribe = Scribe::new(4);
    let chain = scribe.chain(None, 4);
    chain.iter().for_each(|entry| offer(log, entry, Appended::Extended));
    chain.iter().for_each(|entry| offer(log, entry, Appended::Known));
    is(log, &scribe.log(), &chain);
    let other = scribe.write(Some(&chain[1]), 0);
    offer(log, &other, Appended::Forked);
    offer(log, &other, Appended::Known);
    chain.iter().for_each(|entry| offer(log, entry, Appended::Known));
    assert_eq!(log.names(&scribe.log(), 3).expect("names"), vec![chain[2].name(), other.name()], "nothing is doubled");
}

fn a_predecessor_counts_at_its_own_place_only<L: Log>(log: &mut L) {
    let mut scribe = Scribe::new(5);
    let chain = scribe.chain(None, 3);
    chain.iter().for_each(|entry| offer(log, entry, Appended::Extended));
    let (space, epoch) = (SpaceId([1; 32]), EpochId([2; 32]));
    for (seq, prev) in [(2, chain[1].name()), (3, chain[0].name()), (4, chain[1].name()), (5, chain[2].name())] {
        let content = Sealed { kind: u16::MAX, deps: vec![], time: 0, body: vec![] };
        let position = Position { seq, prev };
        let crooked =
            Entry::seal(&scribe.key, position, &space, (&epoch, &scribe.epoch), &content, &mut scribe.rng.clone());
        offer(log, &crooked.expect("it fits"), Appended::Gap);
    }
    // The predecessor is there, but in the log of somebody else.
    let mut stranger = Scribe::new(6);
    let foreign = stranger.write(Some(&chain[2]), 0);
    offer(log, &foreign, Appended::Gap);
    is(log, &scribe.log(), &chain);
}

fn both_branches_are_kept<L: Log>(log: &mut L) {
    let mut scribe = Scribe::new(7);
    let trunk = scribe.chain(None, 3);
    let (left, right) = (scribe.chain(Some(&trunk[2]), 2), scribe.chain(Some(&trunk[2]), 3));
    trunk.iter().chain(&left).for_each(|entry| offer(log, entry, Appended::Extended));
    offer(log, &right[0], Appended::Forked);
    assert_eq!(tips(log, &scribe.log()), vec![tip(&right[0]), tip(&left[1])], "both ends are tips, the lower first");
    right[1..].iter().for_each(|entry| offer(log, entry, Appended::Extended));
    assert_eq!(tips(log, &scribe.log()), vec![tip(&left[1]), tip(&right[2])], "each branch has its own tip");
    assert_eq!(log.forked_at(&scribe.log()).expect("forked_at"), Some(4), "the fork is where the branches begin");
    let expected = [left[0].name(), right[0].name()];
    assert_eq!(log.names(&scribe.log(), 4).expect("names"), expected, "one name a branch, in order of arrival");
    let mut all = trunk;
    all.extend([&left[0], &right[0], &left[1], &right[1], &right[2]].map(Clone::clone));
    is(log, &scribe.log(), &all);
}

fn the_first_entry_may_fork<L: Log>(log: &mut L) {
    let mut scribe = Scribe::new(8);
    let (one, other) = (scribe.chain(None, 2), scribe.chain(None, 2));
    offer(log, &one[0], Appended::Extended);
    offer(log, &other[0], Appended::Forked);
    offer(log, &other[1], Appended::Extended);
    offer(log, &one[1], Appended::Extended);
    assert_eq!(log.forked_at(&scribe.log()).expect("forked_at"), Some(1), "a log may fork in its first entry");
    is(log, &scribe.log(), &[&one[0], &other[0], &other[1], &one[1]].map(Clone::clone));
}

fn eight_branches_and_no_more<L: Log>(log: &mut L) {
    let mut scribe = Scribe::new(9);
    let root = scribe.write(None, 0);
    offer(log, &root, Appended::Extended);
    let branches: Vec<_> = (0..=MAX_BRANCHES).map(|_| scribe.write(Some(&root), 0)).collect();
    offer(log, &branches[0], Appended::Extended);
    branches[1..MAX_BRANCHES].iter().for_each(|branch| offer(log, branch, Appended::Forked));
    offer(log, &branches[MAX_BRANCHES], Appended::Full);
    let kept: Vec<_> = branches[..MAX_BRANCHES].iter().map(Entry::name).collect();
    assert_eq!(log.names(&scribe.log(), 2).expect("names"), kept, "the branches that came first are kept");
    assert_eq!(tips(log, &scribe.log()).len(), MAX_BRANCHES, "each branch has a tip");
    let next = scribe.write(Some(&branches[3]), 0);
    offer(log, &next, Appended::Extended);
    let ninth = scribe.write(Some(&branches[3]), 0);
    offer(log, &ninth, Appended::Full);
    let orphan = scribe.write(Some(&branches[MAX_BRANCHES]), 0);
    offer(log, &orphan, Appended::Gap);
    assert_eq!(log.names(&scribe.log(), 3).expect("names"), vec![next.name()], "what is refused is not stored");
}

fn after_respects_places_and_budget<L: Log>(log: &mut L) {
    let mut scribe = Scribe::new(10);
    let root = scribe.write(None, 500);
    let mut left = vec![scribe.write(Some(&root), 2_000)];
    let right = scribe.write(Some(&root), 3_000);
    left.push(scribe.write(Some(&left[0]), 1_000));
    left.push(scribe.write(Some(&left[1]), 60_000));
    offer(log, &root, Appended::Extended);
    left.iter().for_each(|entry| offer(log, entry, Appended::Extended));
    offer(log, &right, Appended::Forked);
    // Place by place: 1, 2 with both branches, 3, 4.
    let places = [vec![root], vec![left[0].clone(), right], vec![left[1].clone()], vec![left[2].clone()]];
    let sizes: Vec<usize> = places.iter().map(|place| place.iter().map(|entry| entry.bytes().len()).sum()).collect();
    let total: usize = sizes.iter().sum();
    for from in 0..=places.len() {
        let budgets = (from..places.len()).map(|to| sizes[from..=to].iter().sum::<usize>());
        for budget in budgets.flat_map(|exact| [exact - 1, exact, exact + 1]).chain([0, 1, total, usize::MAX]) {
            let mut expected: Vec<Entry> = Vec::new();
            let mut bytes = 0;
            for (place, size) in places[from..].iter().zip(&sizes[from..]) {
                bytes += size;
                if bytes > budget && !expected.is_empty() {
                    break;
                }
                expected.extend(place.iter().cloned());
            }
            let given = log.after(&scribe.log(), from as u64, budget).expect("after");
            assert_eq!(
                given, expected,
                "after {from} within {budget} bytes: whole places, as many as fit, one at least"
            );
        }
    }
}

fn logs_do_not_touch<L: Log>(log: &mut L) {
    let mut scribes: Vec<Scribe> = (20..24).map(Scribe::new).collect();
    let chains: Vec<Vec<Entry>> = scribes.iter_mut().map(|scribe| scribe.chain(None, 3)).collect();
    for place in 0..3 {
        chains.iter().for_each(|chain| offer(log, &chain[place], Appended::Extended));
    }
    for (scribe, chain) in scribes.iter().zip(&chains) {
        is(log, &scribe.log(), chain);
    }
    let sorted: BTreeSet<LogId> = scribes.iter().map(Scribe::log).collect();
    assert!(log.vector().expect("vector").logs().eq(sorted), "the vector lists every log, sorted");
}

/// Offers random entries of random trees and compares every answer with those of a [`MemoryLog`].
fn random_offers_equal_memory<L: Log>(log: &mut L) {
    let mut rng = ChaCha20Rng::seed_from_u64(30);
    let mut below = |bound: usize| (rng.next_u64() % bound as u64) as usize;
    let mut memory = MemoryLog::default();
    let mut seen = Vec::new();
    for round in 0..8 {
        let mut scribe = Scribe::new(100 + round);
        let mut tree = vec![scribe.write(None, 0)];
        for _ in 0..12 + below(16) {
            // Mostly grows at the end, at times anywhere; every fourth tree is a bush with more branches than are kept.
            let parent = match (round % 4, below(3)) {
                (0, _) => below(tree.len().min(3)),
                (_, 0) => below(tree.len()),
                _ => tree.len() - 1,
            };
            let next = if below(12) == 0 { None } else { Some(tree[parent].clone()) };
            tree.push(scribe.write(next.as_ref(), below(3) * 700));
        }
        for step in 0..tree.len() * 3 {
            // Each in its turn, and in between two from anywhere: what is here already, and what comes too early.
            let offered = if step % 3 == 0 { &tree[step / 3] } else { &tree[below(tree.len())] };
            let expected = memory.append(offered).expect("memory does not fail");
            offer(log, offered, expected);
            seen.push(expected);
            if step % 5 == 0 {
                same(log, &memory, &scribe.log(), tree.len() as u64, below(5_000));
            }
        }
        same(log, &memory, &scribe.log(), tree.len() as u64, usize::MAX);
    }
    let every = [Appended::Extended, Appended::Forked, Appended::Known, Appended::Gap, Appended::Full];
    let counts = every.map(|answer| seen.iter().filter(|one| **one == answer).count());
    assert!(counts.iter().all(|count| *count > 4), "the sequence meets every answer, not {counts:?}");
    let (vector, expected) = (log.vector().expect("vector"), memory.vector().expect("memory does not fail"));
    assert_eq!(vector, expected, "the vectors are equal");
    assert_eq!(vector.digest(), expected.digest(), "and so are their digests");
}

fn offer<L: Log>(log: &mut L, entry: &Entry, expected: Appended) {
    assert_eq!(log.append(entry).expect("append"), expected, "offering {entry:?}");
}

fn tip(entry: &Entry) -> Tip {
    Tip { seq: entry.seq(), name: entry.name() }
}

fn tips<L: Log>(log: &L, id: &LogId) -> Vec<Tip> {
    log.tips(id).expect("tips")
}

/// Checks all answers about one log against the entries it holds, given in order of place, then of arrival.
fn is<L: Log>(log: &L, id: &LogId, entries: &[Entry]) {
    assert_eq!(log.after(id, 0, usize::MAX).expect("after"), entries, "the entries, by place and arrival");
    for entry in log.after(id, 0, usize::MAX).expect("after") {
        assert_eq!(EntryName::of(entry.bytes()), entry.name(), "an entry comes back with its own name");
    }
    let last = entries.iter().map(Entry::seq).max().unwrap_or(0);
    for seq in 0..=last + 1 {
        let names: Vec<_> = entries.iter().filter(|entry| entry.seq() == seq).map(Entry::name).collect();
        assert_eq!(log.names(id, seq).expect("names"), names, "the names at place {seq}");
        let rest: Vec<_> = entries.iter().filter(|entry| entry.seq() > seq).cloned().collect();
        assert_eq!(log.after(id, seq, usize::MAX).expect("after"), rest, "the entries after place {seq}");
    }
    let followed: BTreeSet<_> = entries.iter().map(Entry::prev).collect();
    let mut ends: Vec<_> = entries.iter().filter(|entry| !followed.contains(&entry.name())).map(tip).collect();
    ends.sort_unstable();
    assert_eq!(tips(log, id), ends, "the tips are the entries that none follows, lowest first");
    let vector = log.vector().expect("vector");
    assert!(vector.tips(id).eq(ends), "the vector has the same tips");
    let forked = (1..=last).find(|seq| entries.iter().filter(|entry| entry.seq() == *seq).count() > 1);
    assert_eq!(log.forked_at(id).expect("forked_at"), forked, "the fork is at the lowest place with two entries");
}

fn same<L: Log>(log: &L, memory: &MemoryLog, id: &LogId, last: u64, budget: usize) {
    let sure = "memory does not fail";
    assert_eq!(tips(log, id), memory.tips(id).expect(sure), "tips");
    assert_eq!(log.forked_at(id).expect("forked_at"), memory.forked_at(id).expect(sure), "forked_at");
    for seq in 0..=last {
        assert_eq!(log.names(id, seq).expect("names"), memory.names(id, seq).expect(sure), "names at {seq}");
        let (given, expected) =
            (log.after(id, seq, budget).expect("after"), memory.after(id, seq, budget).expect(sure));
        assert_eq!(given, expected, "after {seq} within {budget} bytes");
    }
    let (vector, expected) = (log.vector().expect("vector"), memory.vector().expect(sure));
    assert!(vector.tips(id).eq(expected.tips(id)), "the vector's tips");
}

/// Cuts a log at the places of these entries.
fn cut<L: Prune>(log: &mut L, at: &[&Entry]) -> Option<Freed> {
    let mut tips: Vec<Tip> = at.iter().map(|entry| tip(entry)).collect();
    tips.sort_unstable();
    log.rebase(&at[0].log(), &tips, &mut |_| false).expect("rebase")
}

fn freed(entries: &[Entry]) -> Option<Freed> {
    let bytes = entries.iter().map(|entry| entry.bytes().len() as u64).sum();
    Some(Freed { entries: entries.len() as u64, bytes })
}

fn base<L: Log>(log: &L, id: &LogId) -> Vec<Tip> {
    log.base(id).expect("base")
}

fn a_straight_log_is_cut_through<L: Prune>(log: &mut L) {
    let mut scribe = Scribe::new(40);
    let chain = scribe.chain(None, 8);
    chain[..7].iter().for_each(|entry| offer(log, entry, Appended::Extended));
    assert_eq!(cut(log, &[&chain[3]]), freed(&chain[..4]), "what goes is counted");
    let id = scribe.log();
    assert_eq!(base(log, &id), vec![tip(&chain[3])], "it begins with the tip of the cut");
    assert_eq!(tips(log, &id), vec![tip(&chain[6])], "its end stays");
    assert_eq!(log.after(&id, 0, usize::MAX).expect("after"), chain[4..7], "what stands above stays");
    assert_eq!(log.names(&id, 4).expect("names"), vec![chain[3].name()], "the base stands by its name");
    assert_eq!(log.names(&id, 3).expect("names"), vec![], "nothing is known of what lies below");
    assert_eq!(log.forked_at(&id).expect("forked_at"), None, "it is no fork");
    chain[..3].iter().for_each(|entry| offer(log, entry, Appended::Below));
    chain[3..7].iter().for_each(|entry| offer(log, entry, Appended::Known));
    offer(log, &chain[7], Appended::Extended);
    let branch = scribe.write(Some(&chain[3]), 0);
    offer(log, &branch, Appended::Forked);
    let below = scribe.write(Some(&chain[1]), 0);
    offer(log, &below, Appended::Below);
    let later = scribe.write(Some(&below), 0);
    offer(log, &later, Appended::Below);
    assert_eq!(log.forked_at(&id).expect("forked_at"), Some(5), "a fork above the base is a fork");
}

fn a_cut_at_the_end<L: Prune>(log: &mut L) {
    let mut scribe = Scribe::new(41);
    let chain = scribe.chain(None, 4);
    chain[..3].iter().for_each(|entry| offer(log, entry, Appended::Extended));
    assert_eq!(cut(log, &[&chain[2]]), freed(&chain[..3]), "everything goes");
    assert_eq!(tips(log, &scribe.log()), vec![tip(&chain[2])], "the end stands by its name");
    assert!(log.vector().expect("vector").knows(&scribe.log()), "the log is known");
    offer(log, &chain[2], Appended::Known);
    offer(log, &chain[3], Appended::Extended);
    assert_eq!(log.after(&scribe.log(), 0, usize::MAX).expect("after"), chain[3..], "it goes on");
    assert_eq!(cut(log, &[&chain[3]]), freed(&chain[3..]), "and is cut again");
    assert_eq!(base(log, &scribe.log()), vec![tip(&chain[3])], "the base moves up");
}

fn an_unknown_log_begins_above<L: Prune>(log: &mut L) {
    let mut scribe = Scribe::new(42);
    let chain = scribe.chain(None, 5);
    assert_eq!(cut(log, &[&chain[2]]), freed(&[]), "nothing was there");
    assert_eq!(tips(log, &scribe.log()), vec![tip(&chain[2])], "it ends where it begins");
    offer(log, &chain[4], Appended::Gap);
    offer(log, &chain[1], Appended::Below);
    chain[3..].iter().for_each(|entry| offer(log, entry, Appended::Extended));
    assert_eq!(log.after(&scribe.log(), 0, usize::MAX).expect("after"), chain[3..], "it goes on from there");
    let mut other = Scribe::new(43);
    let root = other.chain(None, 2);
    let (left, right) = (other.chain(Some(&root[1]), 2), other.chain(Some(&root[1]), 3));
    assert_eq!(cut(log, &[&left[0], &right[1]]), freed(&[]), "nothing was there");
    assert_eq!(log.forked_at(&other.log()).expect("forked_at"), Some(3), "a log that begins with two tips is forked");
    offer(log, &left[1], Appended::Extended);
    offer(log, &right[2], Appended::Extended);
    offer(log, &right[0], Appended::Below);
}

fn a_lagging_log_jumps<L: Prune>(log: &mut L) {
    let mut scribe = Scribe::new(44);
    let chain = scribe.chain(None, 9);
    chain[..4].iter().for_each(|entry| offer(log, entry, Appended::Extended));
    assert_eq!(cut(log, &[&chain[6]]), freed(&chain[..4]), "what is here lies before");
    assert_eq!(tips(log, &scribe.log()), vec![tip(&chain[6])], "nothing of it is left over");
    assert_eq!(base(log, &scribe.log()), vec![tip(&chain[6])], "it begins ahead");
    offer(log, &chain[7], Appended::Extended);
    assert_eq!(cut(log, &[&chain[8]]), freed(&chain[7..8]), "and jumps again");
    assert_eq!(tips(log, &scribe.log()), vec![tip(&chain[8])], "nothing of it is left over");
}

fn a_foreign_tip_cuts_nothing<L: Prune>(log: &mut L) {
    let mut scribe = Scribe::new(45);
    let chain = scribe.chain(None, 4);
    let other = scribe.chain(Some(&chain[1]), 2);
    chain.iter().for_each(|entry| offer(log, entry, Appended::Extended));
    assert_eq!(cut(log, &[&other[0]]), None, "another entry stands there");
    is(log, &scribe.log(), &chain);
    assert_eq!(base(log, &scribe.log()), vec![], "it still begins at its beginning");
}

fn a_lower_cut_changes_nothing<L: Prune>(log: &mut L) {
    let mut scribe = Scribe::new(46);
    let chain = scribe.chain(None, 5);
    chain.iter().for_each(|entry| offer(log, entry, Appended::Extended));
    assert_eq!(cut(log, &[&chain[2]]), freed(&chain[..3]), "a first cut");
    for lower in &chain[..3] {
        assert_eq!(cut(log, &[lower]), freed(&[]), "what is cut already");
        assert_eq!(base(log, &scribe.log()), vec![tip(&chain[2])], "the base stays");
    }
    assert_eq!(log.after(&scribe.log(), 0, usize::MAX).expect("after"), chain[3..], "and so does what is above");
}

fn a_forked_log_is_cut_on_each_branch<L: Prune>(log: &mut L) {
    let mut scribe = Scribe::new(47);
    let trunk = scribe.chain(None, 2);
    let (left, right) = (scribe.chain(Some(&trunk[1]), 4), scribe.chain(Some(&trunk[1]), 3));
    trunk.iter().chain(&left).for_each(|entry| offer(log, entry, Appended::Extended));
    offer(log, &right[0], Appended::Forked);
    right[1..].iter().for_each(|entry| offer(log, entry, Appended::Extended));
    let gone: Vec<Entry> = trunk.iter().chain(&left[..2]).chain(&right[..1]).cloned().collect();
    assert_eq!(cut(log, &[&left[1], &right[0]]), freed(&gone), "each branch up to its tip, and the trunk");
    let id = scribe.log();
    assert_eq!(base(log, &id), vec![tip(&right[0]), tip(&left[1])], "it begins with both");
    assert_eq!(tips(log, &id), vec![tip(&right[2]), tip(&left[3])], "both go on");
    assert_eq!(log.forked_at(&id).expect("forked_at"), Some(3), "where it forked is still known");
    let after = log.after(&id, 0, usize::MAX).expect("after");
    assert_eq!(after.len(), 4, "what stands above: {after:?}");
    offer(log, &left[0], Appended::Below);
    let third = scribe.write(Some(&right[1]), 0);
    offer(log, &third, Appended::Forked);
    assert_eq!(log.names(&id, 5).expect("names"), vec![left[2].name(), right[2].name(), third.name()], "none is lost");
}

fn a_branch_apart_stays<L: Prune>(log: &mut L) {
    let mut scribe = Scribe::new(48);
    let trunk = scribe.chain(None, 2);
    let (left, right) = (scribe.chain(Some(&trunk[1]), 3), scribe.chain(Some(&trunk[1]), 2));
    trunk.iter().chain(&left).for_each(|entry| offer(log, entry, Appended::Extended));
    offer(log, &right[0], Appended::Forked);
    offer(log, &right[1], Appended::Extended);
    let gone: Vec<Entry> = trunk.iter().chain(&left).cloned().collect();
    assert_eq!(cut(log, &[&left[2]]), freed(&gone), "the branch of the tip goes, and the trunk");
    let id = scribe.log();
    assert_eq!(log.after(&id, 0, usize::MAX).expect("after"), right, "the other branch is nowhere else");
    assert_eq!(tips(log, &id), vec![tip(&right[1]), tip(&left[2])], "both ends are tips");
    offer(log, &right[1], Appended::Known);
    let next = scribe.write(Some(&right[1]), 0);
    offer(log, &next, Appended::Extended);
}

fn what_is_kept_stays_readable<L: Prune>(log: &mut L) {
    let mut scribe = Scribe::new(49);
    let chain = scribe.chain(None, 5);
    chain.iter().for_each(|entry| offer(log, entry, Appended::Extended));
    let id = scribe.log();
    let (mut asked, wanted) = (Vec::new(), chain[1].name());
    let mut keep = |entry: &Entry| {
        asked.push(entry.clone());
        entry.name() == wanted
    };
    log.rebase(&id, &[tip(&chain[3])], &mut keep).expect("rebase");
    assert_eq!(asked, chain[..4], "everything that goes is asked about, in order");
    assert_eq!(log.kept(&id).expect("kept"), chain[1..2], "what is wanted is kept");
    log.keep(&chain[0]).expect("keep");
    log.keep(&chain[0]).expect("keep");
    assert_eq!(log.kept(&id).expect("kept"), chain[..2], "and more may be put beside it");
    assert_eq!(log.names(&id, 2).expect("names"), vec![], "it stands in no place");
    let stranger = Scribe::new(50).log();
    assert_eq!(log.kept(&stranger).expect("kept"), vec![], "nothing is kept of an unknown log");
}

/// Offers entries of random trees, cuts at random tips, and compares every answer with those of a [`MemoryLog`].
fn random_cuts_equal_memory<L: Prune>(log: &mut L) {
    let mut rng = ChaCha20Rng::seed_from_u64(51);
    let mut below = |bound: usize| (rng.next_u64() % bound as u64) as usize;
    let mut memory = MemoryLog::default();
    for round in 0..8 {
        let mut scribe = Scribe::new(200 + round);
        let mut tree = vec![scribe.write(None, 0)];
        for _ in 0..14 {
            let at = if below(5) == 0 { below(tree.len()) } else { tree.len() - 1 };
            let next = scribe.write(Some(&tree[at].clone()), 0);
            tree.push(next);
        }
        for _ in 0..40 {
            let any = tree[below(tree.len())].clone();
            if below(6) > 0 {
                assert_eq!(log.append(&any).expect("append"), memory.append(&any).expect("append"), "{any:?}");
            } else {
                let mut onto = vec![tip(&any)];
                if below(3) == 0 {
                    onto.push(tip(&tree[below(tree.len())]));
                    onto.sort_unstable();
                    onto.dedup();
                }
                let freed = log.rebase(&any.log(), &onto, &mut |_| false).expect("rebase");
                assert_eq!(freed, memory.rebase(&any.log(), &onto, &mut |_| false).expect("rebase"), "{onto:?}");
            }
            let id = scribe.log();
            assert_eq!(log.tips(&id).expect("tips"), memory.tips(&id).expect("tips"));
            assert_eq!(log.base(&id).expect("base"), memory.base(&id).expect("base"));
            assert_eq!(log.forked_at(&id).expect("forked_at"), memory.forked_at(&id).expect("forked_at"));
            let (left, expected) = (log.after(&id, 0, usize::MAX), memory.after(&id, 0, usize::MAX));
            assert_eq!(left.expect("after"), expected.expect("after"), "the same entries are left");
        }
    }
}
