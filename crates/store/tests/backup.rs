//! A backup gives back what was there, and nothing else: every flip and every cut is noticed.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Read;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_sealed_log::RecoveryWords;
use ties_store::{
    Backup, BackupError, BackupHeader, BackupLock, BackupWrap, Cost, Passphrase, Read as _, StorageKey, Store, Table,
    Target,
};

const THINGS: Table = Table::named("test/things");

fn words() -> RecoveryWords {
    RecoveryWords::random(&mut ChaCha20Rng::seed_from_u64(3))
}

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse").unwrap()
}

fn for_words() -> (BackupHeader, StorageKey) {
    let (salt, key) = (BackupHeader::salt().unwrap(), StorageKey::generate().unwrap());
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let wrap = words().keys().certificate().wrap_backup_key(key.expose(), &salt, &mut rng).unwrap();
    let wrap = BackupWrap(wrap.into_boxed_slice().try_into().unwrap());
    (BackupHeader::for_words(salt, vec![wrap]).unwrap(), key)
}

/// A store with packs, long values, an empty table key, and things beyond one chunk.
fn store(pairs: &[(Vec<u8>, Vec<u8>)]) -> Store {
    let store = Store::in_memory().unwrap();
    let mut transaction = store.write().unwrap();
    for (key, value) in pairs {
        transaction.put(THINGS, key, value).unwrap();
    }
    let rows = (0..300u32).map(|n| (n.to_be_bytes().to_vec(), Some(vec![n as u8; 40]))).collect();
    transaction.put_all(Table::ROWS, rows).unwrap();
    transaction.put_document(&[7; 16], b"a document").unwrap();
    transaction.commit().unwrap();
    store
}

fn backed_up(store: &Store, (header, key): &(BackupHeader, StorageKey)) -> Vec<u8> {
    let mut file = Vec::new();
    store.read().unwrap().back_up(header, key, b"about it", &mut file, &mut |_, _| {}).unwrap();
    file
}

fn restored(
    mut bytes: &[u8],
    open: impl Fn(&BackupHeader) -> Result<StorageKey, BackupError>,
) -> Result<Store, BackupError> {
    let header = BackupHeader::read(&mut bytes)?;
    let key = open(&header)?;
    let backup = Backup::open(&header, &key, &mut bytes)?;
    assert_eq!(backup.about(), b"about it");
    let store = Store::in_memory().unwrap();
    let mut transaction = store.write().unwrap();
    backup.restore(&mut transaction, &mut |_, _| {})?;
    transaction.commit().unwrap();
    Ok(store)
}

fn by_words(header: &BackupHeader) -> Result<StorageKey, BackupError> {
    header.open_by_words(&words().keys())
}

fn by_passphrase(header: &BackupHeader) -> Result<StorageKey, BackupError> {
    header.open_by_passphrase(&passphrase())
}

fn contents(store: &Store) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let read = store.read().unwrap();
    let mut all: Vec<_> = [THINGS, Table::ROWS, Table::SETTINGS].map(|table| read.pairs(table, b"").unwrap()).into();
    all.push(vec![(b"document".to_vec(), read.document(&[7; 16]).unwrap().unwrap_or_default())]);
    all
}

#[test]
fn what_was_there_is_there_again_under_words_and_under_a_passphrase() {
    // The second is longer than a chunk, and noise.
    let noise: Vec<u8> = (0..3u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let store = store(&[(b"a".to_vec(), vec![]), (b"b".to_vec(), noise), (vec![0xff; 70], vec![1])]);
    let sealed = backed_up(&store, &for_words());
    assert_eq!(contents(&restored(&sealed, by_words).unwrap()), contents(&store));
    let (header, key) = BackupHeader::under_passphrase(&passphrase(), Cost::LEAST).unwrap();
    assert!(matches!(header.lock(), BackupLock::Passphrase(_)));
    let sealed = backed_up(&store, &(header, key));
    let again = restored(&sealed, by_passphrase).unwrap();
    assert_eq!(contents(&again), contents(&store));
    // What is restored can be written to, in packs too.
    let mut transaction = again.write().unwrap();
    let rows = (0..300u32).map(|n| (n.to_be_bytes().to_vec(), Some(vec![n as u8; 41]))).collect();
    transaction.put_all(Table::ROWS, rows).unwrap();
    transaction.commit().unwrap();
    assert_eq!(again.read().unwrap().pairs(Table::ROWS, b"").unwrap().len(), 300);
}

#[test]
fn other_words_and_other_passphrases_open_nothing() {
    let sealed = backed_up(&store(&[]), &for_words());
    let others = RecoveryWords::random(&mut ChaCha20Rng::seed_from_u64(9));
    assert!(matches!(restored(&sealed, |header| header.open_by_words(&others.keys())), Err(BackupError::WrongKey)));
    assert!(matches!(restored(&sealed, by_passphrase), Err(BackupError::WrongKey)));
    let sealed = backed_up(&store(&[]), &BackupHeader::under_passphrase(&passphrase(), Cost::LEAST).unwrap());
    let other = Passphrase::new("correct hors").unwrap();
    assert!(matches!(restored(&sealed, |header| header.open_by_passphrase(&other)), Err(BackupError::WrongKey)));
    assert!(matches!(restored(&sealed, by_words), Err(BackupError::WrongKey)));
}

#[test]
fn a_file_that_is_cut_anywhere_or_goes_on_is_not_restored() {
    let sealed = backed_up(&store(&[(b"a".to_vec(), b"b".to_vec())]), &for_words());
    for length in (0..sealed.len()).step_by(if sealed.len() > 4_000 { 7 } else { 1 }) {
        let error = restored(&sealed[..length], by_words).map(drop).unwrap_err();
        let foreign = length < 12 && matches!(error, BackupError::Foreign);
        assert!(foreign || matches!(error, BackupError::Cut), "{length}: {error}");
    }
    let longer = [&sealed[..], &[0]].concat();
    assert!(matches!(restored(&longer, by_words), Err(BackupError::Damaged(_))));
}

#[test]
fn chunks_in_another_order_doubled_or_left_out_are_noticed() {
    let noise: Vec<u8> = (0..4u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let sealed = backed_up(&store(&[(b"a".to_vec(), noise)]), &for_words());
    let mut rest = &sealed[..];
    let header = BackupHeader::read(&mut rest).unwrap().to_bytes();
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize + 20;
        let (chunk, more) = rest.split_at(length);
        chunks.push(chunk.to_vec());
        rest = more;
    }
    assert!(chunks.len() > 3);
    let of = |order: &[usize]| -> Vec<u8> {
        header.iter().copied().chain(order.iter().flat_map(|at| chunks[*at].clone())).collect()
    };
    let whole: Vec<usize> = (0..chunks.len()).collect();
    assert!(restored(&of(&whole), by_words).is_ok());
    let last = chunks.len() - 1;
    for order in [&[1, 0][..], &[0, 0], &[0, last], &[0], &[last], &whole[..last], &[&whole[..], &[last]].concat()] {
        assert!(restored(&of(order), by_words).is_err(), "{order:?}");
    }
}

#[test]
fn other_files_and_later_versions_are_named_so() {
    let error = |bytes: &[u8]| restored(bytes, by_words).map(drop).unwrap_err();
    for foreign in [&b""[..], b"BEGIN:VCARD\r\nVERSION:4.0", b"ties-key\x01", &[0; 100]] {
        assert!(matches!(error(foreign), BackupError::Foreign));
    }
    let mut sealed = backed_up(&store(&[]), &for_words());
    sealed[12] = 2;
    assert!(matches!(error(&sealed), BackupError::Newer(2)));
}

#[test]
fn the_file_appears_as_a_whole_for_its_owner_alone_and_replaces_nothing_unasked() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let (path, part) = (folder.path().join("b"), folder.path().join("b.part"));
    let mut target = Target::create(&path, false).unwrap();
    target.write_all(b"one").unwrap();
    assert!(!path.exists() && part.exists());
    assert!(matches!(Target::create(&path, false), Err(BackupError::Busy)), "one at a time");
    assert_eq!(target.keep().unwrap(), 3);
    assert!(!part.exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(matches!(Target::create(&path, false), Err(BackupError::Exists)));
    drop(Target::create(&path, true).unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), b"one", "what was given up replaces nothing");
    // What somebody left who was killed is in nobody's way.
    std::fs::write(&part, b"half").unwrap();
    let mut target = Target::create(&path, true).unwrap();
    target.write_all(b"two").unwrap();
    target.keep().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    // A file that came meanwhile is not replaced either.
    let (late, mut target) = (folder.path().join("c"), Target::create(&folder.path().join("c"), false).unwrap());
    target.write_all(b"mine").unwrap();
    std::fs::write(&late, b"another's").unwrap();
    assert!(matches!(target.keep(), Err(BackupError::Exists)));
    assert_eq!(std::fs::read(&late).unwrap(), b"another's");
}

/// Bytes of which each read gives a few.
struct Slow<'b>(&'b [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let many = buffer.len().min(self.0.len()).min(7);
        buffer[..many].copy_from_slice(&self.0[..many]);
        self.0 = &self.0[many..];
        Ok(many)
    }
}

#[test]
fn it_does_not_matter_how_much_each_read_gives() {
    let store = store(&[(b"a".to_vec(), b"b".to_vec())]);
    let sealed = backed_up(&store, &for_words());
    let mut file = Slow(&sealed);
    let header = BackupHeader::read(&mut file).unwrap();
    let key = by_words(&header).unwrap();
    let backup = Backup::open(&header, &key, &mut file).unwrap();
    let again = Store::in_memory().unwrap();
    let mut transaction = again.write().unwrap();
    backup.restore(&mut transaction, &mut |_, _| {}).unwrap();
    transaction.commit().unwrap();
    assert_eq!(contents(&again), contents(&store));
}

/// Files of the first version, which every later one opens.
#[test]
fn frozen_backups_open_for_ever() {
    let (by_words, by_passphrase): (&[u8], &[u8]) =
        (include_bytes!("vectors/words.backup"), include_bytes!("vectors/passphrase.backup"));
    let expected = contents(&store(&frozen()));
    assert_eq!(contents(&restored(by_words, self::by_words).unwrap()), expected);
    assert_eq!(contents(&restored(by_passphrase, self::by_passphrase).unwrap()), expected);
}

fn frozen() -> [(Vec<u8>, Vec<u8>); 2] {
    [(b"a".to_vec(), b"what it says".to_vec()), (b"b".to_vec(), Vec::new())]
}

#[test]
#[ignore = "writes the frozen files, which are never written again"]
fn write_the_frozen_backups() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    std::fs::create_dir_all(&folder).unwrap();
    let locks = [for_words(), BackupHeader::under_passphrase(&passphrase(), Cost::LEAST).unwrap()];
    for (name, lock) in ["words.backup", "passphrase.backup"].into_iter().zip(locks) {
        std::fs::write(folder.join(name), backed_up(&store(&frozen()), &lock)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_flipped_bit_is_noticed(at in any::<proptest::sample::Index>(), bit in 0..8u8) {
        thread_local! {
            static SEALED: Vec<u8> = backed_up(&store(&[(b"a".to_vec(), b"b".to_vec())]), &for_words());
        }
        let mut sealed = SEALED.with(Vec::clone);
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(restored(&sealed, by_words).is_err(), "byte {at}");
    }

    #[test]
    fn any_bytes_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300), begins in any::<bool>()) {
        let bytes = if begins { [&b"ties-backup\0\x01"[..], &bytes].concat() } else { bytes };
        prop_assert!(restored(&bytes, by_words).is_err());
    }
}
