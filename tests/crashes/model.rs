//! What a space must hold, kept beside it.

use std::collections::BTreeMap;

use automerge::{ROOT, transaction::Transactable};
use ties_engine::{DocumentId, Edit, EditError};
use ties_tests::Dice;

/// Documents in a space: enough that bulk edits put values into packs, few enough that they meet again.
const DOCUMENTS: u64 = 160;
const MANY: u64 = 130;

/// One write to be made.
#[derive(Debug)]
pub(crate) enum Plan {
    /// A few documents are begun, changed or deleted.
    Few(u64),
    /// As an import: values go into packs.
    Seed(u64),
    /// Values in packs are replaced.
    Change(u64),
    /// Values in packs are taken out.
    Delete(u64),
}

impl Plan {
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        match dice.below(20) {
            0..=15 => Self::Few(dice.range(1..5)),
            16 | 17 => Self::Seed(dice.below(DOCUMENTS)),
            18 => Self::Change(dice.below(DOCUMENTS)),
            _ => Self::Delete(dice.below(DOCUMENTS)),
        }
    }

    pub(crate) fn is_bulk(&self) -> bool {
        !matches!(self, Self::Few(_))
    }
}

/// Every document with its fields; of a deleted one, nothing but that it was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model(BTreeMap<DocumentId, Option<BTreeMap<String, String>>>);

impl Model {
    /// Edits the space and this alike.
    pub(crate) fn carry_out(&mut self, plan: &Plan, edit: &mut Edit<'_>, dice: &mut Dice) -> Result<(), EditError> {
        match *plan {
            Plan::Few(many) => {
                for _ in 0..many {
                    let id = document(dice.below(DOCUMENTS));
                    match dice.below(10) {
                        0 => self.delete(id, edit)?,
                        1..=3 => self.seed(id, edit)?,
                        _ => self.change(id, edit, dice)?,
                    }
                }
                Ok(())
            }
            Plan::Seed(first) => some(first, MANY).try_for_each(|id| self.seed(id, edit)),
            Plan::Change(first) => some(first, MANY).try_for_each(|id| self.change(id, edit, dice)),
            // Not so many that nobody is left.
            Plan::Delete(first) => some(first, 12).try_for_each(|id| self.delete(id, edit)),
        }
    }

    pub(crate) fn ids(&self) -> Vec<DocumentId> {
        self.0.keys().copied().collect()
    }

    /// The rows that `Lines` makes.
    pub(crate) fn rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let fields = self.0.iter().flat_map(|(id, fields)| fields.iter().flatten().map(move |field| (id, field)));
        fields
            .map(|(id, (key, value))| ([&id.0[..], key.as_bytes()].concat(), format!("{value}\n").into_bytes()))
            .collect()
    }

    fn seed(&mut self, id: DocumentId, edit: &mut Edit<'_>) -> Result<(), EditError> {
        let name = format!("somebody of the sailing club, {id}");
        let seeded = edit.seed(id, |tx| tx.put(ROOT, "name", name.as_str()))?;
        assert_eq!(seeded, !self.0.contains_key(&id), "{id}");
        if seeded {
            self.0.insert(id, Some(BTreeMap::from([("name".to_owned(), format!("\"{name}\""))])));
        }
        Ok(())
    }

    fn change(&mut self, id: DocumentId, edit: &mut Edit<'_>, dice: &mut Dice) -> Result<(), EditError> {
        let fields = self.0.entry(id).or_insert_with(|| Some(BTreeMap::new()));
        // A deleted one stays deleted, whatever is written to it.
        let Some(fields) = fields else { return Ok(()) };
        let key = ["name", "town", "met"][dice.index(3)];
        let value = format!("{:032}", dice.below(u64::MAX));
        edit.change(id, |tx| tx.put(ROOT, key, value.as_str()).map_err(EditError::from))?;
        fields.insert(key.to_owned(), format!("\"{value}\""));
        Ok(())
    }

    fn delete(&mut self, id: DocumentId, edit: &mut Edit<'_>) -> Result<(), EditError> {
        let live = matches!(self.0.get(&id), Some(Some(_)));
        assert_eq!(edit.delete(id)?, live, "{id}");
        if live {
            self.0.insert(id, None);
        }
        Ok(())
    }
}

fn document(number: u64) -> DocumentId {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    DocumentId(id)
}

fn some(first: u64, many: u64) -> impl Iterator<Item = DocumentId> {
    (first..first + many).map(|number| document(number % DOCUMENTS))
}
