//! Who may use a mailbox: the one thing about a space that its relay decides by itself.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::ids::{MailboxId, Pseudonym, StatementName};
use crate::statement::{
    AccessError, AccessStatement, CLOSED, MANAGE, MAX_PARENTS, MAX_RECOVERY_STATEMENTS, MAX_STATEMENTS, RECOVERY,
};

/// The access list of one mailbox: a pure function of its statements, whatever their order of arrival.
///
/// A statement is taken when its signer may manage the list as of the statement's own past. Whether it *counts* is
/// decided anew with every statement: what it closes counts always, what it grants only while nobody closes its signer
/// beside it (neither before nor after in the order of parents) and its signer's own right to manage counts. So whoever
/// has a closed key can shut others out with statements of an earlier date, and let nobody in.
///
/// The recovery key overrides: what it signs counts always, and of those whom it speaks of nothing is heard that does
/// not follow its word. So the twelve words get a mailbox back from whoever holds a manager's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessList {
    mailbox: MailboxId,
    statements: BTreeMap<StatementName, AccessStatement>,
    past: BTreeMap<StatementName, BTreeSet<StatementName>>,
    /// The statements that the recovery key signed.
    by_recovery: BTreeSet<StatementName>,
    /// Those among them that put another recovery key in its place, and its mark.
    marks: BTreeMap<StatementName, [u8; 32]>,
    /// Who is spoken of, where, and how.
    words: BTreeMap<Pseudonym, BTreeMap<StatementName, u8>>,
    /// What everybody may do now.
    now: BTreeMap<Pseudonym, u8>,
}

impl AccessList {
    /// Begins a list with a mailbox's first statement, which must make its own signer a manager.
    ///
    /// # Errors
    /// When it is not a first statement.
    pub fn begin(first: AccessStatement) -> Result<Self, AccessError> {
        let signer = first.body().signer;
        let manages = first.body().grants.iter().any(|(who, flags)| *who == signer && may_manage(*flags));
        if first.body().mailbox.is_some() || !manages {
            return Err(AccessError::Signer);
        }
        let mut list = Self {
            mailbox: MailboxId(first.name().0),
            statements: BTreeMap::new(),
            past: BTreeMap::new(),
            by_recovery: BTreeSet::new(),
            marks: BTreeMap::new(),
            words: BTreeMap::new(),
            now: BTreeMap::new(),
        };
        list.keep(first, BTreeSet::new());
        list.settle();
        Ok(list)
    }

    /// Rebuilds a list from all its statements in any order.
    ///
    /// # Errors
    /// When there is no first one or more than one, or one is refused.
    pub fn from_statements(statements: impl IntoIterator<Item = AccessStatement>) -> Result<Self, AccessError> {
        let (mut firsts, mut rest): (Vec<_>, Vec<_>) =
            statements.into_iter().partition(|statement| statement.body().mailbox.is_none());
        firsts.dedup();
        let first = firsts.pop().ok_or(AccessError::Orphan)?;
        if !firsts.is_empty() {
            return Err(AccessError::Mailbox);
        }
        let mut list = Self::begin(first)?;
        while !rest.is_empty() {
            let before = rest.len();
            let mut refused = AccessError::Orphan;
            rest.retain(|statement| {
                let orphan = !statement.body().parents.iter().all(|parent| list.past.contains_key(parent));
                orphan || list.take(statement.clone()).map_err(|error| refused = error).is_err()
            });
            if rest.len() == before {
                return Err(refused);
            }
        }
        list.settle();
        Ok(list)
    }

    /// The mailbox.
    #[must_use]
    pub fn mailbox(&self) -> MailboxId {
        self.mailbox
    }

    /// Takes a statement; `false` if it was here already.
    ///
    /// # Errors
    /// When its parents are missing, or its signer may not manage the list as of its parents.
    pub fn add(&mut self, statement: AccessStatement) -> Result<bool, AccessError> {
        let new = self.take(statement)?;
        if new {
            self.settle();
        }
        Ok(new)
    }

    fn take(&mut self, statement: AccessStatement) -> Result<bool, AccessError> {
        let name = statement.name();
        if self.statements.contains_key(&name) {
            return Ok(false);
        }
        if statement.body().mailbox != Some(self.mailbox) {
            return Err(AccessError::Mailbox);
        }
        let marked = statement.marked();
        let (of_its_kind, most) = match marked {
            Some(_) => (self.by_recovery.len(), MAX_RECOVERY_STATEMENTS),
            None => (self.statements.len() - self.by_recovery.len(), MAX_STATEMENTS),
        };
        if of_its_kind >= most {
            return Err(AccessError::Shape);
        }
        let mut past = BTreeSet::new();
        for parent in &statement.body().parents {
            past.extend(self.past.get(parent).ok_or(AccessError::Orphan)?);
            past.insert(*parent);
        }
        let may = match marked {
            Some(mark) => self.marks_as_of(&past).contains(&mark),
            None => may_manage(self.latest(&statement.body().signer, &past, &self.counting(&past))),
        };
        if !may {
            return Err(AccessError::Signer);
        }
        if marked.is_some() {
            self.by_recovery.insert(name);
        }
        self.keep(statement, past);
        Ok(true)
    }

    fn keep(&mut self, statement: AccessStatement, past: BTreeSet<StatementName>) {
        let name = statement.name();
        for (who, flags) in &statement.body().grants {
            if *flags == RECOVERY {
                self.marks.insert(name, who.0);
            } else {
                self.words.entry(*who).or_default().insert(name, *flags);
            }
        }
        self.past.insert(name, past);
        self.statements.insert(name, statement);
    }

    fn settle(&mut self) {
        let all = self.statements.keys().copied().collect();
        let counting = self.counting(&all);
        self.now = self.words.keys().map(|who| (*who, self.latest(who, &all, &counting))).collect();
    }

    /// What a pseudonym may do now: 0 for a stranger; [`CLOSED`] alone for one that was shut out.
    #[must_use]
    pub fn flags(&self, who: &Pseudonym) -> u8 {
        self.now.get(who).copied().unwrap_or(0)
    }

    /// Everybody on the list, with flags.
    #[must_use]
    pub fn members(&self) -> BTreeMap<Pseudonym, u8> {
        self.now.clone()
    }

    /// The recovery key's marks: none in a mailbox without, one in general, several when the recovery key was changed
    /// at two places at once.
    #[must_use]
    pub fn recovery(&self) -> BTreeSet<[u8; 32]> {
        self.marks_as_of(&self.statements.keys().copied().collect())
    }

    /// The marks that stand after these statements: the latest ones.
    fn marks_as_of(&self, within: &BTreeSet<StatementName>) -> BTreeSet<[u8; 32]> {
        let said: Vec<_> = self.marks.iter().filter(|(name, _)| within.contains(name)).collect();
        let is_latest = |name| !said.iter().any(|(later, _)| self.past[*later].contains(name));
        let latest: BTreeSet<_> = said.iter().filter(|(name, _)| is_latest(*name)).map(|(_, mark)| **mark).collect();
        if !latest.is_empty() {
            return latest;
        }
        let first = self.statements.get(&StatementName(self.mailbox.0));
        first.and_then(|first| first.body().recovery).into_iter().collect()
    }

    /// The statements by the recovery key that count: all but those beside its replacement, for old words in the wrong
    /// hands are of no use any more, whatever date is given to what they sign.
    fn overriding(&self, within: &BTreeSet<StatementName>) -> BTreeSet<StatementName> {
        let is_void = |name: &StatementName| {
            let mut replaced = self.marks.keys().filter(|mark| within.contains(mark));
            !self.marks.contains_key(name) && replaced.any(|mark| self.are_concurrent(name, mark))
        };
        self.by_recovery.iter().filter(|name| within.contains(name) && !is_void(name)).copied().collect()
    }

    fn are_concurrent(&self, one: &StatementName, other: &StatementName) -> bool {
        one != other && !self.past[one].contains(other) && !self.past[other].contains(one)
    }

    /// What is said of somebody and heard: after a word of the recovery key, what follows it.
    fn heard<'a>(
        &'a self,
        who: &Pseudonym,
        within: &'a BTreeSet<StatementName>,
    ) -> impl Iterator<Item = (&'a StatementName, &'a u8)> {
        let words = || self.words.get(who).into_iter().flatten().filter(|(name, _)| within.contains(name));
        let spoken = words().any(|(name, _)| self.by_recovery.contains(name));
        let overriding = if spoken { self.overriding(within) } else { BTreeSet::new() };
        let last: Vec<_> = words().map(|(name, _)| *name).filter(|name| overriding.contains(name)).collect();
        let by_recovery = |name: &StatementName| self.by_recovery.contains(name);
        let words: Vec<_> = words()
            .filter(|(name, _)| match by_recovery(name) {
                true => overriding.contains(name),
                false => last.iter().all(|word| self.past[*name].contains(word)),
            })
            .collect();
        words.into_iter()
    }

    /// The statements without successors: what a new one names as its parents. Of more than one may name, those with
    /// the most before them.
    #[must_use]
    pub fn heads(&self) -> Vec<StatementName> {
        let covered: BTreeSet<_> = self.statements.values().flat_map(|one| &one.body().parents).collect();
        let mut heads: Vec<_> = self.statements.keys().filter(|name| !covered.contains(name)).copied().collect();
        heads.sort_by_key(|name| Reverse(self.past[name].len()));
        heads.truncate(MAX_PARENTS);
        heads.sort_unstable();
        heads
    }

    /// All statements, parents before children.
    #[must_use]
    pub fn statements(&self) -> Vec<&AccessStatement> {
        let mut all: Vec<_> = self.statements.iter().collect();
        all.sort_by_key(|(name, _)| (self.past[*name].len(), **name));
        all.into_iter().map(|(_, statement)| statement).collect()
    }

    /// SHA-256 over the sorted names: equal when two sides hold the same statements.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"ties1/access-digest\0");
        self.statements.keys().for_each(|name| hasher.update(name.0));
        hasher.finalize().into()
    }

    /// The statements whose grants count, within a set that holds the past of each of its members.
    fn counting(&self, within: &BTreeSet<StatementName>) -> BTreeSet<StatementName> {
        let mut ordered: Vec<_> = within.iter().collect();
        ordered.sort_by_key(|name| self.past[*name].len());
        let mut counting = self.overriding(within);
        for name in ordered {
            if self.by_recovery.contains(name) {
                continue;
            }
            let (signer, past) = (&self.statements[name].body().signer, &self.past[name]);
            let manages = past.is_empty() || may_manage(self.latest(signer, past, &counting));
            if manages && !self.is_closed_beside(signer, name, within) {
                counting.insert(*name);
            }
        }
        counting
    }

    /// Whether a statement that neither precedes nor follows `name` closes `signer`.
    fn is_closed_beside(&self, signer: &Pseudonym, name: &StatementName, within: &BTreeSet<StatementName>) -> bool {
        let mut closes = self.heard(signer, within).filter(|(_, flags)| **flags & CLOSED != 0);
        closes.any(|(other, _)| self.are_concurrent(name, other))
    }

    /// The latest word on `who` within a set of statements. Among concurrent ones a close wins, others add up. A word
    /// that does not count still takes away until one that counts follows it: voiding a statement gives nobody back
    /// what it took.
    fn latest(&self, who: &Pseudonym, within: &BTreeSet<StatementName>, counting: &BTreeSet<StatementName>) -> u8 {
        let words = self.heard(who, within);
        let (mut valid, void): (Vec<_>, Vec<_>) =
            words.partition(|(name, flags)| **flags & CLOSED != 0 || counting.contains(name));
        // What follows others has a larger past, so each is met after all that could follow it.
        valid.sort_by_key(|(name, _)| Reverse(self.past[*name].len()));
        let mut latest: Vec<(&StatementName, &u8)> = Vec::new();
        let followed =
            |latest: &[(&StatementName, &u8)], name| latest.iter().any(|(later, _)| self.past[*later].contains(name));
        for (name, flags) in valid {
            if !followed(&latest, name) {
                latest.push((name, flags));
            }
        }
        let said = latest.iter().fold(0, |flags, (_, more)| flags | **more);
        if said & CLOSED != 0 {
            return CLOSED;
        }
        void.iter().filter(|(name, _)| !followed(&latest, name)).fold(said, |flags, (_, most)| flags & **most)
    }
}

fn may_manage(flags: u8) -> bool {
    flags & (MANAGE | CLOSED) == MANAGE
}
