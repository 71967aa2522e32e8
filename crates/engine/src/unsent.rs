//! What a road is not known to have: how much it is, and how long it waits.

use ties_sealed_log::{Log, LogId};
use ties_store::{Read, StoredLog};

use crate::author::{Keyring, SPACE_NUMBER};
use crate::records::{Fault, Waiting};
use crate::roster::Roster;
use crate::space::Space;

/// What waits to be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unsent {
    /// Its bytes; of much, those of its beginning.
    pub(crate) bytes: u64,
    /// Whether these are not all.
    pub(crate) is_more: bool,
    /// When the first of it was written, as far as that can be read, in milliseconds since 1970.
    pub(crate) since: Option<u64>,
}

/// Looks at what follows these places of these logs.
pub(crate) fn unsent(
    read: &dyn Read,
    roster: &Roster,
    keys: &Keyring,
    from: impl IntoIterator<Item = (LogId, u64)>,
) -> Result<Unsent, Fault> {
    let stored = StoredLog::reading(read, SPACE_NUMBER);
    let mut unsent = Unsent::default();
    for (log, after) in from {
        let mut last = after;
        loop {
            if unsent.bytes > ENOUGH {
                unsent.is_more = true;
                break;
            }
            let part = stored.after(&log, last, PART)?;
            if last == after
                && let Some(first) = part.first()
                && let Ok((_, sealed)) = first.open(&roster.space.space, keys.iter().map(|(id, _, key)| (id, key)))
            {
                unsent.since = Some(unsent.since.map_or(sealed.time, |since| since.min(sealed.time)));
            }
            unsent.bytes += part.iter().map(|entry| entry.bytes().len() as u64).sum::<u64>();
            match part.last() {
                Some(end) => last = end.seq(),
                None => break,
            }
        }
    }
    Ok(unsent)
}

/// Since when entries wait for something, by what they wait for.
type Since = Vec<(Waiting, u64)>;
const WAITING_SINCE: &[u8] = b"waiting-since";

/// Since when entries wait, as far as somebody has looked.
pub(crate) fn waiting_since(read: &dyn Read) -> Result<Since, Fault> {
    Ok(crate::records::record(read, ties_store::Table::SETTINGS, WAITING_SINCE, "what waits")?.unwrap_or_default())
}

impl Space {
    /// Notes what waits now, so that it can be told later how long it does. Writes only if something began or ended to wait.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn note_waiting(&self) -> Result<(), Fault> {
        let snapshot = self.inner.store.read()?;
        let (before, now) = (waiting_since(&snapshot)?, self.now());
        let mut waits: Vec<Waiting> = crate::sync::waiting(&snapshot)?.into_iter().map(|(why, _)| why).collect();
        waits.sort_unstable();
        if waits.iter().eq(before.iter().map(|(why, _)| why)) {
            return Ok(());
        }
        drop(snapshot);
        let since = |why| before.iter().find(|(known, _)| *known == why).map_or(now, |(_, since)| *since);
        let after: Since = waits.into_iter().map(|why| (why, since(why))).collect();
        let mut transaction = self.inner.store.write()?;
        crate::records::put_record(&mut transaction, ties_store::Table::SETTINGS, WAITING_SINCE, &after)?;
        Ok(transaction.commit()?)
    }
}

const PART: usize = 1 << 20;
/// More is not counted to the byte.
const ENOUGH: u64 = 16 << 20;
