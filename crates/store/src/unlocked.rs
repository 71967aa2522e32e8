//! The key of an unlocked database, in a folder that nobody else may enter, until it expires.
//!
//! It lies where the system keeps what ends with a login (`$XDG_RUNTIME_DIR`, in memory), else in a folder of our own
//! among the temporary files. A file that somebody put there for us is no use to them: the folder has to be ours and
//! closed to others, and what lies in it names the key file it belongs to.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{OpenError, StorageKey};

/// A database that was unlocked for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlocked {
    /// When it locks itself.
    pub until: SystemTime,
    /// The folder that keeps the key meanwhile.
    pub folder: PathBuf,
    /// Whether that folder is in memory, as far as the system tells. Of what was on a disk, traces may stay.
    pub in_memory: bool,
}

/// Keeps a key for a database in `data` whose key file has this tag.
pub(crate) fn keep(
    data: &Path,
    tag: [u8; 32],
    key: &StorageKey,
    lifetime: Duration,
    now: &Moment,
) -> Result<Unlocked, OpenError> {
    let name = name(data)?;
    let session = Session::begin(tag, key, lifetime.min(LONGEST), now);
    let place = Place::make()?;
    let io = |error| OpenError::io(place.path(), error);
    place.replace(&name, &session.to_bytes()[..]).map_err(io)?;
    Ok(Unlocked {
        until: UNIX_EPOCH + Duration::from_millis(session.until_ms),
        folder: place.path().to_owned(),
        in_memory: place.is_in_memory(),
    })
}

/// The key that is kept for a database, and until when. What has expired, or belongs to an earlier key file, is removed.
pub(crate) fn kept(data: &Path, tag: [u8; 32], now: &Moment) -> Result<Option<(StorageKey, SystemTime)>, OpenError> {
    let name = name(data)?;
    for place in Place::found() {
        let io = |error| OpenError::io(place.path(), error);
        let mut bytes = Zeroizing::new([0; Session::LEN + 1]);
        let Some(length) = place.read(&name, &mut bytes[..]).map_err(io)? else { continue };
        match Session::from_bytes(&bytes[..length]).filter(|session| session.holds(tag, now)) {
            Some(session) => {
                let until = UNIX_EPOCH + Duration::from_millis(session.until_ms);
                return Ok(Some((session.key, until)));
            }
            None => place.remove(&name).map_err(io)?,
        }
    }
    Ok(None)
}

/// A path in the private folder that is this database's own.
pub(crate) fn meeting_place(data: &Path) -> Result<PathBuf, OpenError> {
    Ok(Place::make()?.path().join(name(data)?))
}

/// Forgets what is kept for a database; tells whether there was anything.
pub(crate) fn forget(data: &Path) -> Result<bool, OpenError> {
    let name = name(data)?;
    let mut there = false;
    for place in Place::found() {
        let io = |error| OpenError::io(place.path(), error);
        there |= place.has(&name).map_err(io)?;
        place.remove(&name).map_err(io)?;
    }
    Ok(there)
}

/// The time by two clocks: that of the wall, which can be set, and that since the machine started, which cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    wall_ms: u64,
    /// Which start of the machine, and how long ago; nothing where the system does not tell.
    boot: Option<([u8; 32], u64)>,
}

impl Moment {
    pub(crate) fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX), boot: since_boot() }
    }
}

/// Linux alone tells without more ado; it counts the time asleep as well.
fn since_boot() -> Option<([u8; 32], u64)> {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, rest) = uptime.split_once('.')?;
    let hundredths = rest.split(' ').next()?.get(..2)?;
    let ms = seconds.parse::<u64>().ok()?.checked_mul(1000)? + hundredths.parse::<u64>().ok()? * 10;
    Some((Sha256::digest(id).into(), ms))
}

/// What the file says (SCHEMA.md).
struct Session {
    tag: [u8; 32],
    since_ms: u64,
    until_ms: u64,
    /// Zeros where the system does not tell.
    boot: [u8; 32],
    boot_until_ms: u64,
    key: StorageKey,
}

impl Session {
    const LEN: usize = LABEL.len() + 32 + 8 + 8 + 32 + 8 + StorageKey::LEN + 32;

    fn begin(tag: [u8; 32], key: &StorageKey, lifetime: Duration, now: &Moment) -> Self {
        let lifetime = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let (boot, running) = now.boot.unwrap_or_default();
        Self {
            tag,
            since_ms: now.wall_ms,
            until_ms: now.wall_ms.saturating_add(lifetime),
            boot,
            boot_until_ms: running.saturating_add(lifetime),
            key: key.again(),
        }
    }

    /// Whether it is of this key file and neither clock is past its end, nor was one of them turned back.
    fn holds(&self, tag: [u8; 32], now: &Moment) -> bool {
        let (boot, running) = now.boot.unwrap_or_default();
        self.tag == tag
            && now.wall_ms < self.until_ms
            && now.wall_ms.saturating_add(TOLERANCE_MS) >= self.since_ms
            && boot == self.boot
            && (now.boot.is_none() || running < self.boot_until_ms)
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::LEN));
        bytes.extend_from_slice(LABEL);
        bytes.extend_from_slice(&self.tag);
        bytes.extend_from_slice(&self.since_ms.to_le_bytes());
        bytes.extend_from_slice(&self.until_ms.to_le_bytes());
        bytes.extend_from_slice(&self.boot);
        bytes.extend_from_slice(&self.boot_until_ms.to_le_bytes());
        bytes.extend_from_slice(self.key.bytes());
        let check = Sha256::digest(&bytes[..]);
        bytes.extend_from_slice(&check);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, check) = bytes.split_last_chunk::<32>()?;
        if *check != <[u8; 32]>::from(Sha256::digest(body)) {
            return None;
        }
        let mut rest = body.strip_prefix(LABEL)?;
        let tag = *take(&mut rest)?;
        let since_ms = u64::from_le_bytes(*take(&mut rest)?);
        let until_ms = u64::from_le_bytes(*take(&mut rest)?);
        let boot = *take(&mut rest)?;
        let boot_until_ms = u64::from_le_bytes(*take(&mut rest)?);
        let key = StorageKey::from_bytes(take(&mut rest)?)?;
        rest.is_empty().then_some(Self { tag, since_ms, until_ms, boot, boot_until_ms, key })
    }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(first)
}

/// One file for each data folder, wherever that is reached from.
fn name(data: &Path) -> Result<String, OpenError> {
    let data = data.canonicalize().map_err(|error| OpenError::io(data, error))?;
    let hash = Sha256::new().chain_update(b"ties/unlocked\0").chain_update(data.as_os_str().as_encoded_bytes());
    Ok(hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(unix)]
mod unix {
    use std::fs::{DirBuilder, File};
    use std::io::{self, Read as _, Write as _};
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    use std::path::{Path, PathBuf};

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, renameat, unlinkat};
    use rustix::io::Errno;
    use rustix::process::geteuid;

    use crate::OpenError;

    /// A folder that is ours and closed to everybody else, held open so that it cannot be exchanged.
    pub(super) struct Place {
        folder: File,
        path: PathBuf,
    }

    impl Place {
        /// The first place that can be used, made if need be.
        pub(super) fn make() -> Result<Self, OpenError> {
            let mut last = None;
            for path in candidates() {
                let made = match DirBuilder::new().mode(0o700).create(&path) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                    _ => Self::at(path.clone()),
                };
                match made {
                    Ok(place) => return Ok(place),
                    Err(error) => last = Some((path, error)),
                }
            }
            let (path, error) = last.unwrap_or_else(|| (std::env::temp_dir(), io::ErrorKind::NotFound.into()));
            Err(OpenError::io(&path, error))
        }

        /// The places that are there. One that others own or may enter is not looked at: what is in it is not ours.
        pub(super) fn found() -> impl Iterator<Item = Self> {
            candidates().into_iter().filter_map(|path| Self::at(path).ok())
        }

        pub(super) fn path(&self) -> &Path {
            &self.path
        }

        fn at(path: PathBuf) -> io::Result<Self> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = File::from(openat(CWD, &path, flags, Mode::empty())?);
            let about = folder.metadata()?;
            if about.uid() != geteuid().as_raw() || about.mode() & 0o077 != 0 {
                let why = "it belongs to another user, or others may enter it";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
            }
            Ok(Self { folder, path })
        }

        /// Puts a file in place as a whole.
        pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
            let new = format!("{name}{NEW}");
            self.wipe(&new)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(openat(&self.folder, &new, flags, Mode::RUSR | Mode::WUSR)?);
            file.write_all(bytes)?;
            self.wipe(name)?;
            Ok(renameat(&self.folder, &new, &self.folder, name)?)
        }

        /// Reads a file into `bytes`, which is longer than the file may be.
        pub(super) fn read(&self, name: &str, bytes: &mut [u8]) -> io::Result<Option<usize>> {
            let Some(mut file) = self.open(name, OFlags::RDONLY)? else { return Ok(None) };
            let mut length = 0;
            while length < bytes.len() {
                match file.read(&mut bytes[length..])? {
                    0 => break,
                    more => length += more,
                }
            }
            Ok(Some(length))
        }

        pub(super) fn has(&self, name: &str) -> io::Result<bool> {
            Ok(self.open(name, OFlags::RDONLY)?.is_some())
        }

        /// Removes a file, and one that was being made for its place.
        pub(super) fn remove(&self, name: &str) -> io::Result<()> {
            self.wipe(name)?;
            self.wipe(&format!("{name}{NEW}"))
        }

        #[cfg(target_os = "linux")]
        pub(super) fn is_in_memory(&self) -> bool {
            const TMPFS: u64 = 0x0102_1994;
            const RAMFS: u64 = 0x8584_58f6;
            rustix::fs::fstatfs(&self.folder).is_ok_and(|about| [TMPFS, RAMFS].contains(&(about.f_type as u64)))
        }

        #[cfg(not(target_os = "linux"))]
        pub(super) fn is_in_memory(&self) -> bool {
            false
        }

        fn wipe(&self, name: &str) -> io::Result<()> {
            let Some(mut file) = self.open(name, OFlags::WRONLY)? else { return Ok(()) };
            let length = file.metadata()?.len().min(4096);
            // Where it cannot be overwritten it is removed all the same.
            let _ = file.write_all(&vec![0; usize::try_from(length).unwrap_or(0)]);
            match unlinkat(&self.folder, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }

        fn open(&self, name: &str, access: OFlags) -> io::Result<Option<File>> {
            match openat(&self.folder, name, access | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
                Ok(file) => Ok(Some(File::from(file))),
                Err(Errno::NOENT) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
    }

    fn candidates() -> Vec<PathBuf> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let user = geteuid().as_raw();
        let mut places: Vec<PathBuf> = runtime.map(|path| path.join("ties")).into_iter().collect();
        places.push(std::env::temp_dir().join(format!("ties-{user}")));
        places
    }

    const NEW: &str = ".new";
}

#[cfg(not(unix))]
mod other {
    use std::convert::Infallible;
    use std::io;
    use std::path::Path;

    use crate::OpenError;

    /// Nothing is known here of folders that are closed to others, so no key is kept.
    pub(super) struct Place(Infallible);

    impl Place {
        pub(super) fn make() -> Result<Self, OpenError> {
            Err(OpenError::io(Path::new("a private folder"), io::ErrorKind::Unsupported.into()))
        }

        pub(super) fn found() -> impl Iterator<Item = Self> {
            std::iter::empty()
        }

        pub(super) fn path(&self) -> &Path {
            match self.0 {}
        }

        pub(super) fn replace(&self, _: &str, _: &[u8]) -> io::Result<()> {
            match self.0 {}
        }

        pub(super) fn read(&self, _: &str, _: &mut [u8]) -> io::Result<Option<usize>> {
            match self.0 {}
        }

        pub(super) fn has(&self, _: &str) -> io::Result<bool> {
            match self.0 {}
        }

        pub(super) fn remove(&self, _: &str) -> io::Result<()> {
            match self.0 {}
        }

        pub(super) fn is_in_memory(&self) -> bool {
            match self.0 {}
        }
    }
}

#[cfg(not(unix))]
use other::Place;
#[cfg(unix)]
use unix::Place;

const LABEL: &[u8; 14] = b"ties-unlocked\x01";
/// Nobody means to keep a database open for longer; `--for` takes large words too.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Clocks are corrected by a little now and then; by more, time was turned back.
const TOLERANCE_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: [u8; 32] = [3; 32];

    fn at(wall_ms: u64, boot: u8, running: u64) -> Moment {
        Moment { wall_ms, boot: Some(([boot; 32], running)) }
    }

    fn session() -> Session {
        let key = StorageKey::from_bytes(&std::array::from_fn(|n| n as u8)).unwrap();
        Session::begin(TAG, &key, Duration::from_secs(3600), &at(1_000_000_000, 1, 50_000))
    }

    #[test]
    fn it_ends_by_whichever_clock_comes_first() {
        let session = session();
        let hour = 3_600_000;
        for (wall, running, holds) in [
            (1_000_000_000, 50_000, true),
            (1_000_000_000 + hour - 1, 50_000 + hour - 1, true),
            (1_000_000_000 + hour, 50_000 + 10, false),
            // The clock on the wall stands still, or was turned back a little.
            (1_000_000_000, 50_000 + hour, false),
            (1_000_000_000 - 30_000, 50_000, true),
            (1_000_000_000 - 60_001, 50_000, false),
        ] {
            assert_eq!(session.holds(TAG, &at(wall, 1, running)), holds, "{wall} {running}");
        }
    }

    #[test]
    fn another_start_of_the_machine_or_another_key_file_ends_it() {
        let session = session();
        assert!(!session.holds(TAG, &at(1_000_000_000, 2, 50_000)));
        assert!(!session.holds([4; 32], &at(1_000_000_000, 1, 50_000)));
        assert!(!session.holds(TAG, &Moment { wall_ms: 1_000_000_000, boot: None }));
    }

    #[test]
    fn it_comes_back_from_its_bytes_and_from_no_others() {
        let bytes = session().to_bytes();
        assert_eq!(bytes.len(), Session::LEN);
        let read = Session::from_bytes(&bytes).unwrap();
        assert_eq!((read.until_ms, read.key.bytes()), (session().until_ms, session().key.bytes()));
        for length in 0..bytes.len() {
            assert!(Session::from_bytes(&bytes[..length]).is_none());
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(Session::from_bytes(&bytes).is_none(), "byte {at}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_tells_since_when_it_runs() {
        let (one, two) = (Moment::now(), Moment::now());
        let ((id, ms), (same, later)) = (one.boot.unwrap(), two.boot.unwrap());
        assert!(id == same && ms > 0 && ms <= later);
    }
}
