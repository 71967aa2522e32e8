//! XTS-AES-256 (IEEE Std 1619) over a storage addressed in bytes, whole 16-byte blocks at a time.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroize;

use crate::StorageKey;
use crate::storage_key::scrub_stack;

/// The data unit whose number is the tweak; redb's page size.
pub(crate) const SECTOR: usize = 4096;
/// What can be rewritten without touching a neighbour.
pub(crate) const BLOCK: usize = 16;
const BLOCKS: usize = SECTOR / BLOCK;

type Block = aes::Block;

/// The cipher of one database.
///
/// XTS ties every block to its place: sector number (little-endian) and position in the sector.
/// Any run of whole blocks can therefore be read or rewritten alone. Blocks that are all zeros
/// were never written (grown space) and read as zeros; that a block should encrypt to zeros has
/// a chance of 2^-128, which is ignored.
pub(crate) struct Xts {
    data: Box<Aes256>,
    tweak: Box<Aes256>,
}

impl Xts {
    pub(crate) fn new(key: &StorageKey) -> Self {
        let (data, tweak) = key.halves();
        // Boxed, and the stack overwritten: round keys begin with the key itself, and they are moved here.
        let cipher = Self { data: Box::new(Aes256::new(data.into())), tweak: Box::new(Aes256::new(tweak.into())) };
        scrub_stack::<16>();
        cipher
    }

    /// Encrypts in place what will be written at `offset`. Both must be multiples of a block.
    pub(crate) fn encrypt(&self, offset: u64, bytes: &mut [u8]) {
        self.by_sector(offset, bytes, |blocks, tweaks| {
            mask(blocks, tweaks);
            self.data.encrypt_blocks(blocks);
            mask(blocks, tweaks);
        });
    }

    /// Decrypts in place what was read at `offset`. Both must be multiples of a block.
    pub(crate) fn decrypt(&self, offset: u64, bytes: &mut [u8]) {
        self.by_sector(offset, bytes, |blocks, tweaks| {
            let holes = Holes::of(blocks);
            if holes.is_everything(blocks) {
                return;
            }
            mask(blocks, tweaks);
            self.data.decrypt_blocks(blocks);
            mask(blocks, tweaks);
            holes.restore(blocks);
        });
    }

    fn by_sector(&self, offset: u64, mut bytes: &mut [u8], mut apply: impl FnMut(&mut [Block], &[u128])) {
        debug_assert!(offset.is_multiple_of(BLOCK as u64) && bytes.len().is_multiple_of(BLOCK));
        let mut tweaks = [0; BLOCKS];
        let mut sector = offset / SECTOR as u64;
        let mut first = (offset % SECTOR as u64) as usize / BLOCK;
        while !bytes.is_empty() {
            let length = bytes.len().min((BLOCKS - first) * BLOCK);
            let (piece, rest) = bytes.split_at_mut(length);
            let (blocks, _) = Block::slice_as_chunks_mut(piece);
            self.tweaks(sector, &mut tweaks[..first + blocks.len()]);
            apply(blocks, &tweaks[first..first + blocks.len()]);
            bytes = rest;
            sector += 1;
            first = 0;
        }
        tweaks.zeroize();
    }

    /// The tweaks of a sector's blocks: its encrypted number times alpha^j in GF(2^128).
    fn tweaks(&self, sector: u64, tweaks: &mut [u128]) {
        let mut number = Array(u128::from(sector).to_le_bytes());
        self.tweak.encrypt_block(&mut number);
        let mut tweak = u128::from_le_bytes(number.0);
        for slot in tweaks {
            *slot = tweak;
            tweak = (tweak << 1) ^ ((tweak >> 127) * 0x87);
        }
    }
}

fn mask(blocks: &mut [Block], tweaks: &[u128]) {
    for (block, tweak) in blocks.iter_mut().zip(tweaks) {
        block.0 = (u128::from_le_bytes(block.0) ^ tweak).to_le_bytes();
    }
}

/// The blocks of a piece that were never written; nearly always none.
struct Holes(Vec<usize>);

impl Holes {
    fn of(blocks: &[Block]) -> Self {
        let is_hole = |block: &Block| u128::from_le_bytes(block.0) == 0;
        if !blocks.iter().any(is_hole) {
            return Self(Vec::new());
        }
        Self((0..blocks.len()).filter(|&at| is_hole(&blocks[at])).collect())
    }

    fn is_everything(&self, blocks: &[Block]) -> bool {
        self.0.len() == blocks.len()
    }

    fn restore(&self, blocks: &mut [Block]) {
        for &at in &self.0 {
            blocks[at] = Array([0; BLOCK]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256, Sha512};

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// Three sectors of known content and the key of the OpenSSL comparison.
    fn sample() -> (Xts, Vec<u8>) {
        let key = Sha512::digest(b"ties at rest vector");
        let text = (0..3 * SECTOR as u32 / 32).flat_map(|n| Sha256::digest(n.to_le_bytes())).collect();
        let key = StorageKey::from_bytes(key.as_slice().try_into().unwrap()).unwrap();
        (Xts::new(&key), text)
    }

    #[test]
    fn vectors_of_ieee_1619_hold() {
        let file = include_str!("../tests/vectors/ieee1619_xts_aes_256.txt");
        let vectors: Vec<_> = file.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(vectors.len(), 5);
        for vector in vectors {
            let fields: Vec<_> = vector.split(';').skip(1).map(hex).collect();
            let [key1, key2, number, plain, sealed] = &fields[..] else {
                panic!("five fields");
            };
            let key = [&key1[..], key2].concat().try_into().unwrap();
            let cipher = Xts::new(&StorageKey::from_bytes(&key).unwrap());
            let sector = u64::from_le_bytes(number[..8].try_into().unwrap());
            let mut bytes = plain.clone();
            cipher.encrypt(sector * SECTOR as u64, &mut bytes);
            assert_eq!(&bytes, sealed);
            cipher.decrypt(sector * SECTOR as u64, &mut bytes);
            assert_eq!(&bytes, plain);
        }
    }

    #[test]
    fn sectors_of_4096_bytes_agree_with_openssl() {
        let (cipher, mut bytes) = sample();
        cipher.encrypt(5 * SECTOR as u64, &mut bytes);
        let expected = "bf5fadc4d8ac74edda44895fda83c7e75f69b44e343c44387bb515f79750b6a4";
        assert_eq!(Sha256::digest(&bytes).as_slice(), hex(expected));
    }

    #[test]
    fn any_run_of_blocks_can_be_handled_alone() {
        let (cipher, plain) = sample();
        let mut whole = plain.clone();
        cipher.encrypt(0, &mut whole);
        for (start, end) in [(0, 16), (16, 32), (4080, 4112), (320, 8192), (4096, 12288)] {
            let mut part = plain[start..end].to_vec();
            cipher.encrypt(start as u64, &mut part);
            assert_eq!(part, whole[start..end]);
            cipher.decrypt(start as u64, &mut part);
            assert_eq!(part, plain[start..end]);
        }
    }

    #[test]
    fn space_never_written_reads_as_zeros_beside_written_blocks() {
        let (cipher, plain) = sample();
        let mut disk = vec![0; SECTOR];
        disk[320..640].copy_from_slice(&plain[320..640]);
        cipher.encrypt(320, &mut disk[320..640]);
        cipher.decrypt(0, &mut disk);
        assert_eq!(disk[320..640], plain[320..640]);
        assert!(disk[..320].iter().chain(&disk[640..]).all(|&byte| byte == 0));
    }

    #[test]
    fn zeros_that_are_written_do_not_stay_zeros() {
        let (cipher, _) = sample();
        let mut disk = vec![0; SECTOR];
        cipher.encrypt(0, &mut disk);
        assert!(disk.chunks(BLOCK).all(|block| block != [0; BLOCK]));
        cipher.decrypt(0, &mut disk);
        assert_eq!(disk, vec![0; SECTOR]);
    }
}
