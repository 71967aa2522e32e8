//! The file that keeps a relay's key: lose it, and every device has to be told a new address.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ties_sealed_log::{Secret, hash};
use zeroize::Zeroizing;

/// Why the relay's key cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file is not whole; it may be in a backup.
    #[error("the relay's key file {} is damaged", .0.display())]
    Damaged(PathBuf),
    /// Others may read it, and this cannot be changed here.
    #[error("the relay's key file {} can be read by other users", .0.display())]
    Exposed(PathBuf),
    /// The operating system refused.
    #[error("cannot use the relay's key file {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// Reads the seed of the relay's key from a folder, or draws one and keeps it there.
pub(crate) fn load_or_create(folder: &Path) -> Result<Secret, KeyFileError> {
    let path = folder.join(NAME);
    match File::open(&path) {
        Ok(file) => load(file, &path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(folder, &path).map_err(|source| KeyFileError::Io { path, source })
        }
        Err(source) => Err(KeyFileError::Io { path, source }),
    }
}

fn load(mut file: File, path: &Path) -> Result<Secret, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    if !is_private(&file).map_err(io)? {
        return Err(KeyFileError::Exposed(path.to_owned()));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH + 1));
    (&mut file).take(LENGTH as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    parse(&bytes).ok_or_else(|| KeyFileError::Damaged(path.to_owned()))
}

/// Writes under another name first, so that the file is whole or not there.
fn create(folder: &Path, path: &Path) -> io::Result<Secret> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(io::Error::other)?;
    let unfinished = folder.join(UNFINISHED);
    let _ = fs::remove_file(&unfinished);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(&to_bytes(&seed)[..])?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(Secret::new(*seed))
}

fn to_bytes(seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
    bytes.extend_from_slice(LABEL);
    bytes.extend_from_slice(seed);
    let check = check(&bytes);
    bytes.extend_from_slice(&check);
    bytes
}

fn parse(bytes: &[u8]) -> Option<Secret> {
    let (body, tail) = bytes.split_last_chunk::<8>()?;
    let seed: &[u8; 32] = body.strip_prefix(LABEL)?.try_into().ok()?;
    (check(body) == *tail).then(|| Secret::new(*seed))
}

/// Tells a damaged file from another key; it lies beside the key and keeps no secret of its own.
fn check(body: &[u8]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = hash("ties-relay/key-file", &[body]);
    [a, b, c, d, e, f, g, h]
}

/// Takes the permissions of others away and looks again: some file systems only pretend.
#[cfg(unix)]
fn is_private(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let shut = |file: &File| Ok::<_, io::Error>(file.metadata()?.permissions().mode() & 0o77 == 0);
    if shut(file)? {
        return Ok(true);
    }
    let _ = file.set_permissions(fs::Permissions::from_mode(0o600));
    shut(file)
}

#[cfg(not(unix))]
fn is_private(_file: &File) -> io::Result<bool> {
    Ok(true)
}

const NAME: &str = "relay-key";
const UNFINISHED: &str = "relay-key.new";
/// The kind of file and its version.
const LABEL: &[u8; 12] = b"ties-relay-1";
const LENGTH: usize = 12 + 32 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let made = load_or_create(folder.path()).unwrap();
        let read = load_or_create(folder.path()).unwrap();
        assert_eq!(made.expose(), read.expose());
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_is_noticed() {
        let bytes = to_bytes(&[3; 32]);
        assert!(parse(&bytes).is_some());
        for bit in 0..8 * LENGTH {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&flipped).is_none(), "bit {bit}");
        }
        (0..LENGTH).for_each(|length| assert!(parse(&bytes[..length]).is_none()));
        assert!(parse(&[&bytes[..], &[0]].concat()).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        load_or_create(folder.path()).unwrap();
        let path = folder.path().join(NAME);
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        load_or_create(folder.path()).unwrap();
        assert_eq!(mode(), 0o600);
    }
}
