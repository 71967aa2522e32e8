//! Checkpoints that say something else than their maker's entries, for tests: what others must see through.

use automerge::ROOT;
use automerge::transaction::Transactable;
use ties_sealed_log::{ChunkSeal, FloorRecord, Manifest};
use ties_store::{Table, Transaction};

use crate::author::{keyring, log_key};
use crate::checkpoint::shelf::pairs;
use crate::document::DocumentId;
use crate::documents::load_stored;
use crate::records::{Fault, SPACE, SpaceRecord, record};
use crate::space::Space;

/// What a checkpoint says that is not so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// It has all documents but this one.
    LeavesOut(DocumentId),
    /// It has this one with a value that nobody wrote.
    Alters(DocumentId),
    /// Its root is of other documents than it has.
    OtherRoot,
}

impl Space {
    pub(crate) fn make_false_checkpoint(&self, lie: Lie) -> Result<bool, Fault> {
        let epoch = self.name_all()?;
        // What the lie does to the documents is sealed and then forgotten: the liar's own stay as they are.
        let mut transaction = self.inner.store.write()?;
        falsify(&mut transaction, lie)?;
        let sealed = self.seal_all(&transaction, &epoch)?;
        drop(transaction);
        let Some((mut floor, mut chunks)) = sealed else { return Ok(false) };
        if lie == Lie::OtherRoot {
            let read = self.inner.store.read()?;
            let space: SpaceRecord = record(&read, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
            let keys = keyring(&read)?;
            let (id, _, key) = keys.iter().find(|(id, ..)| *id == epoch).ok_or(Fault::NoKey)?;
            let author = log_key(&read)?.ok_or(Fault::NoKey)?;
            let honest = chunks.pop().ok_or(Fault::Damaged("a checkpoint"))?;
            let mut manifest =
                Manifest::open(&honest, &space.space, pairs(&keys)).map_err(|_| Fault::Damaged("a checkpoint"))?;
            manifest.root[0] ^= 1;
            let seal = ChunkSeal { space: &space.space, epoch: id, key };
            let sealed = manifest.seal(seal, self.inner.environment().randomness()).map_err(|_| Fault::TooLarge)?;
            floor = FloorRecord::sign(&author, &manifest, &sealed).map_err(|_| Fault::TooLarge)?;
            chunks.push(sealed);
        }
        self.keep_own(&epoch, &floor, &chunks)?;
        Ok(true)
    }
}

fn falsify(transaction: &mut Transaction, lie: Lie) -> Result<(), Fault> {
    match lie {
        Lie::LeavesOut(id) => transaction.remove_document(&id.0)?,
        Lie::Alters(id) => {
            let mut document = load_stored(transaction, id)?.ok_or(Fault::Damaged("a document"))?;
            let mut changing = document.transaction();
            changing.put(ROOT, "name/full", "nobody wrote this").map_err(|_| Fault::Damaged("a document"))?;
            changing.commit();
            transaction.put_document(&id.0, &document.save())?;
        }
        Lie::OtherRoot => {}
    }
    Ok(())
}
