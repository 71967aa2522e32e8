use std::collections::{BTreeMap, BTreeSet};

use automerge::iter::MapRange;
use automerge::transaction::Transactable;
use automerge::{AutomergeError, ChangeHash, ROOT, ReadDoc, ScalarValue, ScalarValueRef, ValueRef};

use crate::PartialDate;

/// What a document is about: its root key `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// A [`Person`](crate::Person).
    Person,
    /// A [`Note`](crate::Note).
    Note,
    /// An [`OrganizationRecord`](crate::OrganizationRecord).
    Organization,
}

impl DocumentKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Note => "note",
            Self::Organization => "organization",
        }
    }

    /// The kind of a document, or nothing if it is none of these: of a later version, or not ours.
    pub fn of(document: &impl ReadDoc) -> Option<Self> {
        let (value, _) = document.get(ROOT, "kind").ok()??;
        Self::named(value.as_str()?)
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Person, Self::Note, Self::Organization].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Why a record could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The key of an item is empty or holds a slash, which would part it.
    #[error("the key of an item is empty or holds a slash")]
    Key,
    /// A note has no text object to write to: it was not made by [`Note::seed`](crate::Note::seed).
    #[error("the note was not begun properly, it has no body")]
    NoBody,
    /// The document refused.
    #[error(transparent)]
    Document(#[from] AutomergeError),
}

/// A record in its flat form, as it lies in a document. What is empty or false is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) BTreeMap<String, Value>);

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Flag,
    Number(i64),
    /// Nothing, said expressly: in what is noted of an import alone.
    Gone,
}

impl Value {
    fn of(scalar: ScalarValueRef<'_>) -> Option<Self> {
        match scalar {
            ScalarValueRef::Str(text) => Some(Self::Text(text.into_owned())),
            ScalarValueRef::Boolean(true) => Some(Self::Flag),
            ScalarValueRef::Boolean(false) => Some(Self::Gone),
            ScalarValueRef::Int(number) => Some(Self::Number(number)),
            ScalarValueRef::Uint(number) => Some(Self::Number(number.try_into().ok()?)),
            _ => None,
        }
    }

    /// As [`Self::of`].
    pub(crate) fn owned(scalar: &ScalarValue) -> Option<Self> {
        match scalar {
            ScalarValue::Str(text) => Some(Self::Text(text.to_string())),
            ScalarValue::Boolean(true) => Some(Self::Flag),
            ScalarValue::Boolean(false) => Some(Self::Gone),
            ScalarValue::Int(number) => Some(Self::Number(*number)),
            ScalarValue::Uint(number) => Some(Self::Number((*number).try_into().ok()?)),
            _ => None,
        }
    }

    pub(crate) fn put(&self, tx: &mut impl Transactable, key: &str) -> Result<(), AutomergeError> {
        match self {
            Self::Text(text) => tx.put(ROOT, key, text.as_str()),
            Self::Flag => tx.put(ROOT, key, true),
            Self::Number(number) => tx.put(ROOT, key, *number),
            Self::Gone => tx.put(ROOT, key, false),
        }
    }
}

impl Fields {
    /// All scalars at a document's root that can be a field.
    pub(crate) fn of(document: &impl ReadDoc) -> Self {
        Self::known(document.map_range(ROOT, ..))
    }

    /// The same as they were when the document had these heads.
    pub(crate) fn at(document: &impl ReadDoc, heads: &[ChangeHash]) -> Self {
        Self::known(document.map_range_at(ROOT, .., heads))
    }

    fn known(range: MapRange<'_>) -> Self {
        let known = range.filter_map(|item| {
            let ValueRef::Scalar(value) = item.value else { return None };
            Some((item.key.into_owned(), Value::of(value).filter(|value| *value != Value::Gone)?))
        });
        Self(known.collect())
    }

    /// The fields in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Adds a field; `false` if there is one under this key.
    pub(crate) fn add(&mut self, key: &str, value: Value) -> bool {
        self.0.insert(key.to_owned(), value).is_none()
    }

    /// What lies under `prefix/…`, by the rest of the key; `None` where it is said that there is nothing.
    pub(crate) fn noted(document: &impl ReadDoc, prefix: &str) -> BTreeMap<String, Option<Value>> {
        let from = format!("{prefix}/");
        let noted = document.map_range(ROOT, from.clone()..).map_while(|item| {
            let key = item.key.strip_prefix(from.as_str())?.to_owned();
            Some((key, item.value))
        });
        let known = noted.filter_map(|(key, value)| {
            let ValueRef::Scalar(value) = value else { return None };
            Some((key, Some(Value::of(value)?).filter(|value| *value != Value::Gone)))
        });
        known.collect()
    }

    pub(crate) fn text(&self, key: &str) -> String {
        match self.0.get(key) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    pub(crate) fn date(&self, key: &str) -> Option<PartialDate> {
        match self.0.get(key) {
            Some(Value::Text(text)) => text.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        matches!(self.0.get(key), Some(Value::Flag))
    }

    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        match self.0.get(key) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// The members of the set whose members are the keys `prefix/…`.
    pub(crate) fn set(&self, prefix: &str) -> BTreeSet<String> {
        let members = self.under(prefix).filter(|(_, value)| **value == Value::Flag);
        members.map(|(member, _)| member.to_owned()).collect()
    }

    /// The texts under `prefix/…`.
    pub(crate) fn texts(&self, prefix: &str) -> BTreeMap<String, String> {
        let texts = self.under(prefix).filter_map(|(key, value)| match value {
            Value::Text(text) => Some((key.to_owned(), text.clone())),
            _ => None,
        });
        texts.collect()
    }

    /// The keys of the items under `collection/…/…`.
    pub(crate) fn items<'a>(&'a self, collection: &'a str) -> BTreeSet<&'a str> {
        let keys = self.under(collection).filter_map(|(key, _)| key.split_once('/'));
        keys.map(|(item, _)| item).filter(|item| !item.is_empty()).collect()
    }

    fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let first = format!("{prefix}/");
        self.0
            .range(first..)
            .map_while(move |(key, value)| Some((key.strip_prefix(prefix)?.strip_prefix('/')?, value)))
            .filter(|(rest, _)| !rest.is_empty())
    }

    pub(crate) fn put_text(&mut self, key: impl Into<String>, text: &str) {
        if !text.is_empty() {
            self.0.insert(key.into(), Value::Text(text.to_owned()));
        }
    }

    pub(crate) fn put_date(&mut self, key: impl Into<String>, date: Option<PartialDate>) {
        if let Some(date) = date {
            self.0.insert(key.into(), Value::Text(date.to_string()));
        }
    }

    pub(crate) fn put_flag(&mut self, key: impl Into<String>, set: bool) {
        if set {
            self.0.insert(key.into(), Value::Flag);
        }
    }

    pub(crate) fn put_number(&mut self, key: impl Into<String>, number: Option<i64>) {
        if let Some(number) = number {
            self.0.insert(key.into(), Value::Number(number));
        }
    }

    pub(crate) fn put_set(&mut self, prefix: &str, members: &BTreeSet<String>) {
        for member in members.iter().filter(|member| !member.is_empty()) {
            self.put_flag(format!("{prefix}/{member}"), true);
        }
    }

    pub(crate) fn put_texts(&mut self, prefix: &str, texts: &BTreeMap<String, String>) {
        for (key, text) in texts.iter().filter(|(key, _)| !key.is_empty()) {
            self.put_text(format!("{prefix}/{key}"), text);
        }
    }

    /// Writes what differs between `base` and `self`, and gives the number of operations.
    ///
    /// `present` is what a reader of this version sees in the document now. It equals `base`, unless somebody else
    /// wrote since `base` was read; then fields that only they changed stay as they are.
    pub(crate) fn write(
        &self,
        kind: DocumentKind,
        base: &Self,
        present: &Self,
        tx: &mut impl Transactable,
    ) -> Result<usize, WriteError> {
        let mut operations = 0;
        if DocumentKind::of(tx) != Some(kind) {
            tx.put(ROOT, "kind", kind.as_str())?;
            operations += 1;
        }
        for (key, value) in &self.0 {
            if base.0.get(key) != Some(value) && present.0.get(key) != Some(value) {
                value.put(tx, key)?;
                operations += 1;
            }
        }
        let removed = base.0.keys().filter(|key| !self.0.contains_key(*key)).cloned();
        for key in removed.chain(self.left_over(present, tx)) {
            if tx.get(ROOT, key.as_str())?.is_some() {
                tx.delete(ROOT, key.as_str())?;
                operations += 1;
            }
        }
        Ok(operations)
    }

    /// Keys in the document below items that are made anew by `self`.
    ///
    /// When one device deletes an item while another edits its label, the label alone survives, unseen. It must not
    /// come back when the same address is added again years later.
    fn left_over(&self, present: &Self, tx: &impl Transactable) -> Vec<String> {
        let seen = present.item_prefixes();
        let new: BTreeSet<&str> = self.item_prefixes().difference(&seen).copied().collect();
        if new.is_empty() {
            return Vec::new();
        }
        let keys = tx.keys(ROOT).filter(|key| !self.0.contains_key(key));
        keys.filter(|key| item_prefix(key).is_some_and(|item| new.contains(item))).collect()
    }

    fn item_prefixes(&self) -> BTreeSet<&str> {
        self.0.keys().filter_map(|key| item_prefix(key)).collect()
    }
}

/// `emails/k1` of `emails/k1/address`.
pub(crate) fn item_prefix(key: &str) -> Option<&str> {
    let (collection, rest) = key.split_once('/')?;
    let (item, _) = rest.split_once('/')?;
    let keyed = crate::layout::COLLECTIONS.contains(&collection);
    keyed.then(|| &key[..collection.len() + 1 + item.len()])
}
