//! A folder on a disk whose power fails: what was not synced is there, in part, or not at all.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use ties_store::testing::Folder;
use ties_tests::Dice;

/// A folder in memory; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct CrashingFolder(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    files: Vec<Bytes>,
    names: Names,
    /// What the names were, from the last sync of the folder on: a crash goes back to one of these.
    history: Vec<Names>,
    power: Option<u64>,
    failed: bool,
}

type Names = BTreeMap<String, usize>;

/// A file's content as it is read, and as it was when it was last synced.
#[derive(Clone, Default)]
struct Bytes {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

impl CrashingFolder {
    /// A folder with one durable file in it.
    pub(crate) fn with(name: &str, bytes: &[u8]) -> Self {
        let names = Names::from([(name.to_owned(), 0)]);
        let files = vec![Bytes { seen: bytes.to_vec(), durable: bytes.to_vec() }];
        let state = State { files, history: vec![names.clone()], names, ..State::default() };
        Self(Rc::new(RefCell::new(state)))
    }

    /// Lets the power fail after so many more changes and syncs.
    pub(crate) fn fail_after(&self, operations: u64) {
        self.state().power = Some(operations);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.state().failed
    }

    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(name).map(|&file| state.files[file].seen.clone())
    }

    /// The process was killed; the machine goes on.
    pub(crate) fn recover(&self) {
        let mut state = self.state();
        (state.power, state.failed) = (None, false);
    }

    /// Loses power and gets it back. Names come through up to some change of them, as a journal keeps them; of a file's
    /// bytes that were not synced, any part.
    pub(crate) fn crash(&self, dice: &mut Dice) {
        let mut state = self.state();
        let State { files, names, history, .. } = &mut *state;
        *names = history[dice.index(history.len())].clone();
        *history = vec![names.clone()];
        for file in files {
            if file.seen != file.durable {
                file.seen = match dice.index(4) {
                    0 => file.durable.clone(),
                    1 => file.seen.clone(),
                    2 => file.seen[..dice.index(file.seen.len() + 1)].to_vec(),
                    // Its length came through, and some of its blocks.
                    _ => {
                        let mut bytes = file.seen.clone();
                        bytes.chunks_mut(16).filter(|_| dice.per_mille(500)).for_each(|block| block.fill(0));
                        bytes
                    }
                };
            }
            file.durable.clone_from(&file.seen);
        }
        (state.power, state.failed) = (None, false);
    }

    fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> io::Result<T> {
        let mut state = self.state();
        match &mut state.power {
            Some(0) => {
                state.failed = true;
                return Err(io::Error::other("the power failed"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(change(&mut state))
    }

    fn change_names(&self, change: impl FnOnce(&mut Names)) -> io::Result<()> {
        self.change(|state| {
            change(&mut state.names);
            let names = state.names.clone();
            state.history.push(names);
        })
    }
}

impl Folder for CrashingFolder {
    type File = usize;

    fn open(&self, name: &str) -> io::Result<Option<usize>> {
        Ok(self.state().names.get(name).copied())
    }

    fn create(&self, name: &str) -> io::Result<usize> {
        assert!(!self.state().names.contains_key(name), "{name} is there already");
        let file = self.change(|state| {
            state.files.push(Bytes::default());
            state.files.len() - 1
        })?;
        self.change_names(|names| {
            names.insert(name.to_owned(), file);
        })?;
        Ok(file)
    }

    fn write(&self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        self.change(|state| {
            let seen = &mut state.files[*file].seen;
            seen.resize(seen.len().max(bytes.len()), 0);
            seen[..bytes.len()].copy_from_slice(bytes);
        })
    }

    fn sync(&self, file: &mut usize) -> io::Result<()> {
        self.change(|state| {
            let file = &mut state.files[*file];
            file.durable.clone_from(&file.seen);
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change_names(|names| {
            let file = names.remove(from).expect("a file to be renamed");
            names.insert(to.to_owned(), file);
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change_names(|names| {
            names.remove(name);
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        self.change(|state| state.history = vec![state.names.clone()])
    }

    fn nameless_length(&self, file: &usize) -> io::Result<Option<u64>> {
        let state = self.state();
        let named = state.names.values().any(|other| other == file);
        Ok((!named).then_some(state.files[*file].seen.len() as u64))
    }
}
