//! The body of a backup: a stream of bytes in chunks, each compressed and sealed by itself.
//!
//! A chunk's nonce is its number and whether it is the last, so that none can be left out, doubled or moved, and a file
//! that was cut is noticed even between two chunks. The key follows from the whole header.

use std::io::{Read, Write};

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::StorageKey;
use crate::backup::BackupError;
use crate::backup::header::fill;

/// Takes bytes, and writes sealed chunks.
pub(super) struct Sealer<'f> {
    file: &'f mut dyn Write,
    cipher: XChaCha20Poly1305,
    number: u64,
    waiting: Zeroizing<Vec<u8>>,
}

impl<'f> Sealer<'f> {
    pub(super) fn new(file: &'f mut dyn Write, key: &StorageKey, header: &[u8]) -> Self {
        let waiting = Zeroizing::new(Vec::with_capacity(FULL));
        Self { file, cipher: cipher(key, header), number: 0, waiting }
    }

    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Result<(), BackupError> {
        while !bytes.is_empty() {
            // Before more comes: what fills the last chunk must not be written as if others followed.
            if self.waiting.len() == FULL {
                self.write(false)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(FULL - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Writes the last chunk.
    pub(super) fn finish(mut self) -> Result<(), BackupError> {
        self.write(true)
    }

    fn write(&mut self, last: bool) -> Result<(), BackupError> {
        let packed = zstd::bulk::compress(&self.waiting, LEVEL)?;
        let mut sealed = Zeroizing::new(packed);
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce(self.number, last), &[], (&mut sealed[..]).into())
            .expect("a chunk is shorter than what the cipher takes");
        let length = u32::try_from(sealed.len()).expect("zstd makes a chunk little longer, if at all");
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(&sealed)?;
        self.file.write_all(&tag)?;
        self.number += 1;
        self.waiting.clear();
        Ok(())
    }
}

/// Reads sealed chunks, and gives bytes.
pub(super) struct Opener<'f> {
    file: &'f mut dyn Read,
    cipher: XChaCha20Poly1305,
    number: u64,
    chunk: Zeroizing<Vec<u8>>,
    at: usize,
    last: bool,
}

impl<'f> Opener<'f> {
    pub(super) fn new(file: &'f mut dyn Read, key: &StorageKey, header: &[u8]) -> Self {
        let cipher = cipher(key, header);
        Self { file, cipher, number: 0, chunk: Zeroizing::default(), at: 0, last: false }
    }

    /// So many bytes, which may lie in several chunks.
    pub(super) fn take(&mut self, many: usize) -> Result<Vec<u8>, BackupError> {
        let mut taken = Vec::with_capacity(many.min(FULL));
        while taken.len() < many {
            if self.at == self.chunk.len() {
                self.read()?;
            }
            let now = (many - taken.len()).min(self.chunk.len() - self.at);
            taken.extend_from_slice(&self.chunk[self.at..self.at + now]);
            self.at += now;
        }
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], BackupError> {
        Ok(self.take(N)?.try_into().expect("as many were taken"))
    }

    /// Sees that nothing follows.
    pub(super) fn finish(self) -> Result<(), BackupError> {
        if self.at != self.chunk.len() || !self.last {
            return Err(BackupError::Damaged("there is more in it than it says"));
        }
        if fill(self.file, &mut [0])? == 0 { Ok(()) } else { Err(BackupError::Damaged("something follows its end")) }
    }

    fn read(&mut self) -> Result<(), BackupError> {
        if self.last {
            return Err(BackupError::Damaged("its last chunk ends too early"));
        }
        let mut length = [0; 4];
        self.exactly(&mut length)?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Err(BackupError::Damaged("a chunk has an impossible length"));
        }
        let mut sealed = Zeroizing::new(vec![0; length]);
        let mut tag = [0; 16];
        self.exactly(&mut sealed)?;
        self.exactly(&mut tag)?;
        let packed = self.opened(sealed, &Tag::from(tag))?;
        let plain = zstd::bulk::decompress(&packed, FULL);
        self.chunk = Zeroizing::new(plain.map_err(|_| BackupError::Damaged("a chunk does not unpack"))?);
        // An empty chunk before the last would be read for ever.
        if self.chunk.is_empty() && !self.last {
            return Err(BackupError::Damaged("an empty chunk"));
        }
        (self.at, self.number) = (0, self.number + 1);
        Ok(())
    }

    fn opened(&mut self, sealed: Zeroizing<Vec<u8>>, tag: &Tag) -> Result<Zeroizing<Vec<u8>>, BackupError> {
        for last in [false, true] {
            let mut plain = sealed.clone();
            let nonce = nonce(self.number, last);
            if self.cipher.decrypt_inout_detached(&nonce, &[], (&mut plain[..]).into(), tag).is_ok() {
                self.last = last;
                return Ok(plain);
            }
        }
        Err(BackupError::Damaged("a chunk was altered, or stands in another place"))
    }

    fn exactly(&mut self, buffer: &mut [u8]) -> Result<(), BackupError> {
        if fill(self.file, buffer)? == buffer.len() { Ok(()) } else { Err(BackupError::Cut) }
    }
}

fn cipher(key: &StorageKey, header: &[u8]) -> XChaCha20Poly1305 {
    let mut derived = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(&Sha256::digest(header)), key.bytes())
        .expand(b"ties1/backup-chunks\0", &mut derived[..])
        .expect("never more than 255 blocks are asked for");
    XChaCha20Poly1305::new((&*derived).into())
}

/// Number and whether it is the last; the key is of one file alone.
fn nonce(number: u64, last: bool) -> XNonce {
    let mut nonce = [0; 24];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    nonce[8] = u8::from(last);
    XNonce::from(nonce)
}

/// Bytes of a chunk before it is compressed; the last has fewer.
const FULL: usize = 1 << 20;
/// What zstd makes of a full chunk of noise, and a little more.
const LONGEST: usize = FULL + (FULL >> 7);
const LEVEL: i32 = 3;
