//! New words take the place of the old.

use ties_sealed_log::{ChangeRecovery, Payload, RecoveryEnvelope, RecoveryWords};

use super::mailboxes::{Word, speak};
use super::{RecoveryError, check};
use crate::absorb::absorb;
use crate::author::{append, keyring};
use crate::birth::write_envelope;
use crate::epochs::rotate_now;
use crate::records::Fault;
use crate::roads::heads;
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::Space;

impl Space {
    /// Draws new words, which mean nothing until [`Self::replace_words`].
    #[must_use]
    pub fn draw_words(&self) -> RecoveryWords {
        RecoveryWords::random(self.inner.environment().randomness())
    }

    /// Puts new words in the place of the old: what is written from now on opens for the new ones, and the old ones are
    /// heard by no device and no relay that has learnt of it.
    ///
    /// # Errors
    /// When the old words are wrong. Nothing has changed then.
    pub fn replace_words(&self, old: &RecoveryWords, new: &RecoveryWords) -> Result<(), RecoveryError> {
        let inner = &self.inner;
        let projection = &*inner.projection;
        let mut transaction = inner.store.write()?;
        let roster = Roster::load(&transaction)?;
        let keys = old.keys();
        check(&roster, &keys)?;
        let successor = new.keys().certificate();
        let author = device_keys(&transaction)?.ok_or(Fault::NoKey)?.id();
        let mut environment = inner.environment();
        let parents = heads(&transaction)?;
        let change = ChangeRecovery::sign(&keys, &roster.space.space, &author, parents, successor.clone());
        let entry = append(&mut transaction, &mut environment, &Payload::ChangeRecovery(change))?;
        absorb(&mut transaction, projection, vec![entry])?;
        if check(&Roster::load(&transaction)?, &new.keys()).is_err() {
            return Err(RecoveryError::Refused);
        }
        let place = roster.space;
        let earlier = keyring(&transaction)?;
        rotate_now(&mut transaction, &mut environment)?;
        // The rotate itself is sealed under an earlier key, and the new words have none.
        for (epoch, generation, key) in earlier {
            let envelope = RecoveryEnvelope {
                space: place.space,
                genesis: place.genesis,
                epoch,
                generation,
                key: *key.expose(),
                mailboxes: Vec::new(),
                checkpoint: None,
            };
            write_envelope(&mut transaction, &mut environment, &successor, &envelope)?;
        }
        speak(&mut transaction, projection, &mut environment, &keys, Word::Successor(&successor))?;
        drop(environment);
        transaction.commit()?;
        inner.committed();
        Ok(())
    }
}
