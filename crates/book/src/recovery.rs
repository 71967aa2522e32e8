//! The twelve words: a device made by them, a takeover overruled by them, and others in their place.

use std::path::Path;

use ties_engine::{
    Candidate, DeviceId, OpenError, RecoverOptions, RecoveryError, RecoveryWords, RoadError, Source, Space,
    StoreOpenError, system_randomness,
};

use crate::api::{
    BookError, CipherCopy, Environment, ErrorKind, Event, Face, KeyReport, Recover, RecoveredBook, ResetCandidate,
    Secret, SyncReport,
};
use crate::book::Book;
use crate::devices::{self, role};
use crate::engine::{BookRows, fault};
use crate::network::{in_one_line, unusable};
use crate::{environment, opening};

impl Book {
    /// Makes a device of this network in an empty folder by the twelve words, from any copy of what it wrote, and tells
    /// the others. To be called on a tokio runtime with time and IO.
    ///
    /// # Errors
    /// When the folder holds a book, the words are malformed or open nothing there, or the copy cannot be reached.
    /// Nothing is kept then. A first exchange that fails is no error but stands in [`RecoveredBook::sync`].
    pub async fn recover(
        dir: &Path,
        recover: Recover,
        from: Environment,
        face: &mut dyn Face,
    ) -> Result<(Self, RecoveredBook), BookError> {
        if !Self::is_free(dir) {
            return Err(BookError::new(ErrorKind::Guard, format!("there is a book in {} already", dir.display()))
                .hint(
                    "recovery makes a new device: --home DIR names an empty folder; against a takeover: ties reset",
                ));
        }
        let device_name = devices::name(&recover.device_name)?;
        let words = parse(&recover.words)?;
        let options = RecoverOptions { device_name: device_name.clone(), lost: recover.lost };
        // A folder that carries changes is told of the new device at once; another device's own folder is only read.
        let carried = match &recover.copy {
            CipherCopy::Folder(folder) if !Space::exists(folder) => Some(folder.clone()),
            _ => None,
        };
        let (source, there) = match recover.copy {
            CipherCopy::Relay(url) => (Source::Relay(url.clone()), url),
            CipherCopy::Folder(folder) => (Source::Folder(folder.clone()), folder.display().to_string()),
        };
        let from = environment::of(&from, dir, 0)?;
        let mut done = 0u64;
        let mut progress = |entries: usize| {
            done += entries as u64;
            face.event(Event::Progress { what: "recover".into(), done, total: None });
        };
        let made = Space::recover(dir, BookRows, &words, &source, &options, from, &mut progress).await;
        let (space, recovered) = made.map_err(|error| refused(&there, error))?;
        let book = Self::on(space);
        let roads = book.space.roads().map_err(fault)?;
        let mut sync = match roads.is_empty() {
            true => SyncReport::default(),
            false => book.sync(face).await?,
        };
        if let Some(folder) = carried {
            sync.relays.extend(book.sync_folders(&[folder], face).await?.relays);
        }
        let counted = book.status_numbers()?;
        Ok((
            book,
            RecoveredBook {
                device_name,
                people: counted.0,
                notes: counted.1,
                entries: recovered.entries as u64,
                devices: recovered.devices,
                lost: recover.lost,
                sync,
            },
        ))
    }

    /// Whether these are the words of this network.
    ///
    /// # Errors
    /// When they are malformed, or not.
    pub fn check_words(&self, words: &Secret) -> Result<(), BookError> {
        self.space.check_words(&parse(words)?).map_err(|error| refused("this device", error))
    }

    /// New words, which mean nothing until [`Self::replace_words`].
    pub fn draw_words(&self) -> Secret {
        Secret::new(self.space.draw_words().words().collect::<Vec<_>>().join(" "))
    }

    /// Puts new words in the place of the old.
    ///
    /// # Errors
    /// When the old ones are wrong. Nothing has changed then.
    pub fn replace_words(&self, old: &Secret, new: &Secret) -> Result<(), BookError> {
        self.space.replace_words(&parse(old)?, &parse(new)?).map_err(|error| refused("this device", error))
    }

    /// Everybody who belongs or once did, this device first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn reset_candidates(&self) -> Result<Vec<ResetCandidate>, BookError> {
        let candidates = self.space.candidates().map_err(fault)?;
        Ok(candidates.iter().map(candidate_row).collect())
    }

    /// Says anew who belongs: this device and those to keep, given by the ids of [`Self::reset_candidates`].
    ///
    /// # Errors
    /// When the words are wrong, or somebody to keep never belonged. Nothing has changed then.
    pub fn reset(&self, words: &Secret, keep: &[String]) -> Result<(), BookError> {
        let known = self.space.candidates().map_err(fault)?;
        let find = |id: &String| -> Result<DeviceId, BookError> {
            let found = known.iter().find(|candidate| candidate.id.to_string() == *id);
            found.map(|candidate| candidate.id).ok_or_else(|| {
                BookError::new(ErrorKind::NotFound, format!("no device {id} ever belonged to this network"))
            })
        };
        let keep: Vec<DeviceId> = keep.iter().map(find).collect::<Result<_, _>>()?;
        self.space.reset(&parse(words)?, &keep).map_err(|error| refused("this device", error))
    }

    /// Which keys there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn keys(&self) -> Result<KeyReport, BookError> {
        let keys = self.space.keys().map_err(fault)?;
        Ok(KeyReport {
            device: keys.device.to_string(),
            fingerprint: keys.device.fingerprint(),
            recovery: keys.recovery.iter().map(|id| id.fingerprint()).collect(),
            generation: keys.generation,
            epochs: keys.epochs as u64,
        })
    }
}

/// Three of the twelve places, in order, to ask the words back at.
pub fn three_places() -> [usize; 3] {
    use rand_chacha::rand_core::Rng as _;
    let mut random = system_randomness();
    let mut places: Vec<usize> = (0..12).collect();
    let mut three = [0; 3];
    for place in &mut three {
        // A bias of 2^-60 helps nobody.
        let at = usize::try_from(random.next_u64() % places.len() as u64).unwrap_or(0);
        *place = places.swap_remove(at);
    }
    three.sort_unstable();
    three
}

fn candidate_row(candidate: &Candidate) -> ResetCandidate {
    ResetCandidate {
        id: candidate.id.to_string(),
        name: candidate.name.clone(),
        role: role(candidate.role).to_owned(),
        belongs: candidate.belongs,
        this: candidate.this,
    }
}

pub(crate) fn parse(words: &Secret) -> Result<RecoveryWords, BookError> {
    RecoveryWords::parse(words.expose()).map_err(|error| {
        BookError::new(ErrorKind::Usage, "these are not recovery words")
            .caused_by(error)
            .hint("twelve words, as `ties init` showed them; case, spaces and numbers before them do not matter")
    })
}

fn refused(there: &str, error: RecoveryError) -> BookError {
    let (kind, message, hint) = match error {
        RecoveryError::Open(OpenError::Store(StoreOpenError::Missing(_))) => {
            return BookError::new(ErrorKind::NotFound, format!("there is no book in {there}"))
                .hint("--from wants the data folder of a device: the one that --home or TIES_HOME named there");
        }
        RecoveryError::Open(error) => return opening::error(Path::new(there), error),
        RecoveryError::Fault(error) => return fault(error),
        RecoveryError::Road(RoadError::Fault(error)) => return fault(error),
        RecoveryError::Road(error) => return unusable(there, error),
        RecoveryError::Nothing => (
            ErrorKind::Locked,
            format!("the words open nothing at {there}"),
            "they may be those of another network, or this one is kept elsewhere: --relay URL or --from DIR",
        ),
        RecoveryError::Replaced => (
            ErrorKind::Locked,
            "the words do not open this network any more".into(),
            "newer words were made: use those",
        ),
        RecoveryError::WrongWords | RecoveryError::NoWords => (
            ErrorKind::Locked,
            "the words do not rule this network".into(),
            "ties key shows whether there are words, and since when",
        ),
        RecoveryError::Several(_) | RecoveryError::Incomplete => {
            (ErrorKind::Failed, format!("what is kept at {there} cannot be used"), "try another relay, or --from DIR")
        }
        RecoveryError::Unknown(_) => (ErrorKind::NotFound, "there is no such device".into(), "ties device list"),
        _ => (ErrorKind::Failed, "nothing was changed".into(), "try again; what was kept is as it was"),
    };
    BookError::new(kind, message).caused_by(in_one_line(&error)).hint(hint)
}

/// Whether a text is twelve recovery words; says what is wrong, never which word it read.
///
/// # Errors
/// When a word is not on the list, one is missing, or they do not fit together.
pub fn check_spelling(text: &str) -> Result<(), String> {
    RecoveryWords::parse(text).map(drop).map_err(|error| error.to_string())
}
