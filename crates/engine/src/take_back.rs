//! Taking changes back.
//!
//! Nothing is ever taken out of a document: an undo is an ordinary change that gives each root key the value it had
//! before, and whose message says which changes it undoes. From those messages every reader can tell what still counts:
//! an undo and what it undoes have no say any more, and an undo of the undo brings both back.
//!
//! A key that something else touched since, here or on another device, is left as it is: undoing one's own word must
//! never silently take back somebody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::legacy::{Key, ObjectId, OpType};
use automerge::transaction::{Transactable, Transaction as Changing};
use automerge::{
    Automerge, AutomergeError, Change, ChangeHash, ChangeMetadata, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value,
    ValueRef,
};

use crate::document::{DELETED, DocumentId, is_deleted};
use crate::records::Fault;

/// What was taken back of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// The document.
    pub id: DocumentId,
    /// What became of it.
    pub effect: Effect,
    /// The root keys that have their values of before again.
    pub restored: Vec<String>,
    /// The root keys that were left, for something later touched them.
    pub kept: Vec<String>,
}

/// What an undo does to a document as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It had been made, and is deleted.
    Removed,
    /// It had been deleted, and is there again.
    Revived,
    /// It has other values.
    Changed,
    /// Nothing.
    None,
}

/// When a document was last changed, in seconds since 1970, by what still counts: a change that was undone does not,
/// nor does the undo. `None` for a document that nobody's clock has touched, such as one of seeds alone.
#[must_use]
pub fn last_change(document: &Automerge) -> Option<i64> {
    let changes = document.get_changes_meta(&[]);
    let counting = Counting::of(&changes).ordinary;
    counting.into_iter().map(|at| changes[at].timestamp).max().filter(|time| *time > 0)
}

/// The undos that make a document as if it had never been begun; `None` if something in it still counts.
pub(crate) fn unbegun(document: &Automerge) -> Option<Vec<ChangeHash>> {
    let changes = document.get_changes_meta(&[]);
    let counting = Counting::of(&changes);
    let whole = counting.ordinary.is_empty() && !counting.undos.is_empty();
    whole.then(|| counting.undos.into_iter().map(|at| changes[at].hash).collect())
}

/// What an undo's message says.
pub(crate) fn message<'a>(undone: impl IntoIterator<Item = &'a ChangeHash>, kept: &[String]) -> String {
    let mut message = MARK.trim_end().to_owned();
    for hash in undone {
        message.push(' ');
        for byte in tag(hash) {
            let _ = write!(message, "{byte:02x}");
        }
    }
    for key in kept {
        let _ = write!(message, "\n{KEPT}{}", key.replace('\\', r"\\").replace('\n', r"\n"));
    }
    message
}

/// How one document gets back what it was before some changes.
pub(crate) struct Plan {
    undone: Vec<ChangeHash>,
    steps: Vec<(String, Step)>,
    kept: Vec<String>,
    /// A key that is what it was before without any step.
    idle: Option<String>,
}

enum Step {
    Put(ScalarValue),
    Delete,
    /// The key has what it had before; something must be said nevertheless, or nobody knows that the changes are undone.
    Touch,
    Text(ObjId, String),
}

impl Plan {
    /// Plans to undo these changes of a document.
    pub(crate) fn of(document: &Automerge, undone: &[ChangeHash]) -> Result<Self, Fault> {
        let history = History::since(document, undone)?;
        let mut plan = Self { undone: undone.to_vec(), steps: Vec::new(), kept: Vec::new(), idle: None };
        if history.begun {
            plan.unbegin(document, &history);
        } else {
            history.keys().into_iter().for_each(|key| plan.restore(document, &history, key));
            if let (true, Some(key)) = (plan.steps.is_empty(), plan.idle.take()) {
                plan.steps.push((key, Step::Touch));
            }
        }
        Ok(plan)
    }

    /// What the change that carries it out has to say; `None` if there is nothing to do.
    pub(crate) fn message(&self) -> Option<String> {
        (!self.steps.is_empty()).then(|| message(&self.undone, &self.kept))
    }

    pub(crate) fn carry_out(&self, changing: &mut Changing<'_>) -> Result<(), AutomergeError> {
        for (key, step) in &self.steps {
            match step {
                Step::Put(value) => {
                    // A value that is put where it stands is no change, and would carry no message.
                    if matches!(changing.get(ROOT, key.as_str())?, Some((Value::Scalar(now), _)) if *now == *value) {
                        changing.delete(ROOT, key.as_str())?;
                    }
                    changing.put(ROOT, key.as_str(), value.clone())?;
                }
                Step::Touch => {
                    changing.put(ROOT, key.as_str(), ScalarValue::Null)?;
                    changing.delete(ROOT, key.as_str())?;
                }
                Step::Delete => changing.delete(ROOT, key.as_str())?,
                Step::Text(text, before) => changing.update_text(text, before)?,
            }
        }
        Ok(())
    }

    pub(crate) fn report(self, id: DocumentId) -> TakenBack {
        let deleted = self.steps.iter().find(|(key, _)| key == DELETED);
        let effect = match deleted {
            Some((_, Step::Put(ScalarValue::Boolean(true)))) => Effect::Removed,
            Some(_) => Effect::Revived,
            None if self.steps.iter().all(|(_, step)| matches!(step, Step::Touch)) => Effect::None,
            None => Effect::Changed,
        };
        // Of a document that is gone as a whole, or back, its one mark is not worth naming.
        let restored = self.steps.into_iter().filter(|(_, step)| !matches!(step, Step::Touch)).map(|(key, _)| key);
        let restored = restored.filter(|key| key != DELETED).collect();
        TakenBack { id, effect, restored, kept: self.kept }
    }

    /// A document that was begun by what is undone goes, unless anything else in it counts.
    fn unbegin(&mut self, document: &Automerge, history: &History) {
        let mut ours = false;
        for key in history.all_keys() {
            let turns = history.turns(&key);
            ours |= turns.first.is_some();
            if !turns.others.is_empty() && key != DELETED {
                self.kept.push(key);
            }
        }
        if ours && self.kept.is_empty() && !is_deleted(document) {
            self.steps.push((DELETED.to_owned(), Step::Put(ScalarValue::Boolean(true))));
        }
    }

    fn restore(&mut self, document: &Automerge, history: &History, key: String) {
        let turns = history.turns(&key);
        let Some(first) = turns.first else { return };
        let deps = &history.changes[first].deps;
        let earlier = history.ancestors(first);
        let blocked = turns.others.iter().any(|at| !earlier.contains(at));
        let before = if deps.is_empty() { None } else { document.get_at(ROOT, key.as_str(), deps).ok().flatten() };
        let now = document.get(ROOT, key.as_str()).ok().flatten();
        let step = match (before, now) {
            (None, None) => {
                self.idle.get_or_insert(key);
                return;
            }
            (Some((Value::Scalar(before), _)), Some((Value::Scalar(now), _))) if blocked && before == now => return,
            _ if blocked => None,
            (None, Some(_)) => Some(Step::Delete),
            (Some((Value::Scalar(before), _)), _) => Some(Step::Put(before.into_owned())),
            (Some((Value::Object(ObjType::Text), text)), Some((_, present))) if text == present => {
                document.text_at(&text, deps).ok().map(|before| Step::Text(text, before))
            }
            _ => None,
        };
        match step {
            Some(step) => self.steps.push((key, step)),
            None => self.kept.push(key),
        }
    }
}

/// The changes of a document from the first that is to be undone.
struct History {
    changes: Vec<Turn>,
    /// Whether the document begins with what is to be undone.
    begun: bool,
}

/// One change, as far as undoing asks.
struct Turn {
    hash: ChangeHash,
    deps: Vec<ChangeHash>,
    undo: Option<Undo>,
    /// Whether it is to be undone.
    ours: bool,
    keys: BTreeSet<String>,
}

/// Who touched a key, by place in the history.
struct Turns {
    /// The first of the changes to be undone that did.
    first: Option<usize>,
    others: Vec<usize>,
}

impl History {
    fn since(document: &Automerge, undone: &[ChangeHash]) -> Result<Self, Fault> {
        let wanted: BTreeSet<&ChangeHash> = undone.iter().collect();
        let first = document.get_changes_meta(&[]).into_iter().find(|change| wanted.contains(&change.hash));
        let Some(first) = first else { return Ok(Self { changes: Vec::new(), begun: false }) };
        let mut objects = objects(document);
        let mut changes = Vec::new();
        for change in document.get_changes(&first.deps) {
            let (hash, deps) = (change.hash(), change.deps().to_vec());
            let (undo, ours) = (change.message().and_then(Undo::parse), wanted.contains(&hash));
            changes.push(Turn { hash, deps, undo, ours, keys: keys(&change, &mut objects)? });
        }
        Ok(Self { changes, begun: first.deps.is_empty() })
    }

    /// The keys that the changes to be undone touch.
    fn keys(&self) -> BTreeSet<String> {
        self.changes.iter().filter(|turn| turn.ours).flat_map(|turn| turn.keys.iter().cloned()).collect()
    }

    fn all_keys(&self) -> BTreeSet<String> {
        self.changes.iter().flat_map(|turn| turn.keys.iter().cloned()).collect()
    }

    /// Who touched a key, of the changes that count.
    fn turns(&self, key: &str) -> Turns {
        let mut turns = Turns { first: None, others: Vec::new() };
        let mut cancelled: BTreeSet<Tag> = BTreeSet::new();
        // Latest first: whether an undo counts is known before what it undoes is met.
        for (at, turn) in self.changes.iter().enumerate().rev() {
            if cancelled.contains(&tag(&turn.hash)) {
                continue;
            }
            if turn.ours {
                // A document's beginning is a turn of every key that it could have.
                if turn.keys.contains(key) {
                    turns.first = Some(at);
                }
                continue;
            }
            match &turn.undo {
                Some(undo) if !undo.kept.contains(key) => cancelled.extend(&undo.undone),
                _ if turn.keys.contains(key) => turns.others.push(at),
                _ => {}
            }
        }
        turns
    }

    /// The changes of the history that one of them builds upon, by place.
    fn ancestors(&self, of: usize) -> BTreeSet<usize> {
        let places: BTreeMap<&ChangeHash, usize> =
            self.changes.iter().enumerate().map(|(at, turn)| (&turn.hash, at)).collect();
        let mut found = BTreeSet::new();
        let mut next = vec![of];
        while let Some(at) = next.pop() {
            let deps = self.changes[at].deps.iter().filter_map(|dep| places.get(dep).copied());
            next.extend(deps.filter(|dep| found.insert(*dep)));
        }
        found
    }
}

/// What an undo's message names.
struct Undo {
    undone: Vec<Tag>,
    kept: BTreeSet<String>,
}

/// The first bytes of a change's hash: within one document they are enough.
type Tag = [u8; 8];

impl Undo {
    fn parse(message: &str) -> Option<Self> {
        let mut lines = message.strip_prefix(MARK)?.lines();
        let undone = lines.next()?.split(' ').filter_map(parse_tag).collect();
        let kept = lines.filter_map(|line| line.strip_prefix(KEPT)).map(unescaped).collect();
        Some(Self { undone, kept })
    }
}

/// Which changes of a document count, by place.
struct Counting {
    /// Changes that are not undone and undo nothing, or not all they name.
    ordinary: Vec<usize>,
    /// Whole undos that are not undone.
    undos: Vec<usize>,
}

impl Counting {
    fn of(changes: &[ChangeMetadata<'_>]) -> Self {
        let mut counting = Self { ordinary: Vec::new(), undos: Vec::new() };
        let mut cancelled: BTreeSet<Tag> = BTreeSet::new();
        for (at, change) in changes.iter().enumerate().rev() {
            if cancelled.contains(&tag(&change.hash)) {
                continue;
            }
            match change.message.as_deref().and_then(Undo::parse).filter(|undo| undo.kept.is_empty()) {
                Some(undo) => {
                    cancelled.extend(undo.undone);
                    counting.undos.push(at);
                }
                None => counting.ordinary.push(at),
            }
        }
        counting
    }
}

/// The objects at the root, by their ids, with the keys under which they lie.
type Objects = BTreeMap<(u64, Vec<u8>), String>;

fn objects(document: &Automerge) -> Objects {
    let mut objects = Objects::new();
    for item in document.map_range(ROOT, ..) {
        if let (ValueRef::Object(_), ObjId::Id(counter, actor, _)) = (&item.value, item.id()) {
            objects.insert((counter, actor.to_bytes().to_vec()), item.key.to_string());
        }
    }
    objects
}

/// The root keys that a change touches, itself or below; what lies deeper than a root's object is [`DEEP`].
fn keys(change: &Change, objects: &mut Objects) -> Result<BTreeSet<String>, Fault> {
    // The library takes malformed changes apart without looking; all of ours were applied, but a disk may lie.
    let decoded = catch_unwind(AssertUnwindSafe(|| change.decode())).map_err(|_| Fault::Damaged("a change"))?;
    let mut keys = BTreeSet::new();
    for (counter, op) in (decoded.start_op.get()..).zip(&decoded.operations) {
        let key = match (&op.obj, &op.key) {
            (ObjectId::Root, Key::Map(key)) => {
                if matches!(op.action, OpType::Make(_)) {
                    objects.insert((counter, decoded.actor_id.to_bytes().to_vec()), key.to_string());
                }
                key.to_string()
            }
            (ObjectId::Root, Key::Seq(_)) => continue,
            (ObjectId::Id(id), _) => {
                let id = (id.counter(), id.actor().to_bytes().to_vec());
                objects.get(&id).cloned().unwrap_or_else(|| DEEP.to_owned())
            }
        };
        keys.insert(key);
    }
    Ok(keys)
}

fn tag(hash: &ChangeHash) -> Tag {
    let mut tag = Tag::default();
    tag.copy_from_slice(&hash.0[..8]);
    tag
}

fn parse_tag(text: &str) -> Option<Tag> {
    (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten().map(u64::to_be_bytes)
}

fn unescaped(key: &str) -> String {
    let mut plain = String::new();
    let mut rest = key.chars();
    while let Some(next) = rest.next() {
        plain.push(match next {
            '\\' if rest.clone().next() == Some('n') => {
                rest.next();
                '\n'
            }
            '\\' => rest.next().unwrap_or('\\'),
            other => other,
        });
    }
    plain
}

/// How the message of an undo begins; the tags of the undone changes follow.
const MARK: &str = "undo ";
/// How each further line begins, which names a key that was left.
const KEPT: &str = "kept ";
/// Stands for keys that cannot be told; Automerge takes no empty ones.
const DEEP: &str = "";
