//! Poly1305 binds no key: a ciphertext can be made that two keys open. The commitment is what stops it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use hkdf::Hkdf;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::Sha256;
use ties_sealed_log::{EpochKey, SealError, Secret};

const SALT: [u8; 32] = [3; 32];
const CONTEXT: &[u8] = b"sixteen bytes !!";

#[test]
fn a_ciphertext_that_two_keys_open_opens_under_the_committed_one_alone() {
    let (one, other) = ([1; 32], [2; 32]);
    let (mine, yours) = (derived(&one), derived(&other));
    let ciphertext = forged(&poly_key(&mine), &poly_key(&yours));
    let under = |commitment: &[u8]| [&SALT[..], commitment, &ciphertext].concat();
    let key = |bytes| EpochKey::new(Secret::new(bytes));

    let to_one = under(&mine[56..]);
    assert!(key(one).open(CONTEXT, &to_one).is_ok());
    assert_eq!(key(other).open(CONTEXT, &to_one).err(), Some(SealError::OtherKey));

    // The cipher itself takes the same ciphertext and tag under both.
    let to_other = under(&yours[56..]);
    assert!(key(other).open(CONTEXT, &to_other).is_ok());
    assert_eq!(key(one).open(CONTEXT, &to_other).err(), Some(SealError::OtherKey));
}

/// Key, nonce and commitment, as FORMAT.md derives them.
fn derived(key: &[u8; 32]) -> [u8; 88] {
    let mut out = [0; 88];
    let info = [b"ties1/seal\0", CONTEXT].concat();
    Hkdf::<Sha256>::new(Some(&SALT), key).expand(&info, &mut out).unwrap();
    out
}

/// The one-time key of Poly1305: the first 32 bytes of the cipher's block 0 under the key that HChaCha20 gives.
fn poly_key(derived: &[u8; 88]) -> [u8; 32] {
    let word = |at: usize| u64::from_le_bytes(derived[at..at + 8].try_into().unwrap());
    let block = |key: [u8; 32], counter: u64, stream: u64| {
        let mut chacha = ChaCha20Rng::from_seed(key);
        chacha.set_stream(stream);
        chacha.set_word_pos(u128::from(counter) << 4);
        let mut block = [0; 64];
        chacha.fill_bytes(&mut block);
        block
    };
    // HChaCha20 is the block before its input is added to it: words 0 to 3 and 12 to 15.
    let mixed = block(derived[..32].try_into().unwrap(), word(32), word(40));
    let input = [b"expand 32-byte k", &derived[32..48]].concat();
    let mut subkey = [0; 32];
    for (at, from) in [0, 4, 8, 12, 48, 52, 56, 60].into_iter().enumerate() {
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
        let mine = number(&mixed[from..]).wrapping_sub(number(&input[at * 4..]));
        subkey[at * 4..at * 4 + 4].copy_from_slice(&mine.to_le_bytes());
    }
    block(subkey, 0, word(48))[..32].try_into().unwrap()
}

/// Two ciphertext blocks and the tag that both one-time keys give. The first block is solved for; the second is varied
/// until the solution is a block.
fn forged(mine: &[u8; 32], yours: &[u8; 32]) -> Vec<u8> {
    let keys = [mine, yours].map(|key| {
        let clamp = 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff;
        let half = |at: usize| u128::from_le_bytes(key[at..at + 16].try_into().unwrap());
        (Number::from(half(0) & clamp), half(16))
    });
    let block = |bytes: &[u8]| Number { high: 1, low: u128::from_le_bytes(bytes.try_into().unwrap()) };
    let lengths = [16u64.to_le_bytes(), 32u64.to_le_bytes()].concat();
    for filler in 0u128.. {
        let filler = filler.to_le_bytes();
        // Blocks: context, X, filler, lengths; so X stands with r^3.
        let [others, other_others] = keys.map(|(r, _)| {
            let powers = [r, r.times(r), r.times(r).times(r), r.times(r).times(r).times(r)];
            block(CONTEXT).times(powers[3]).plus(block(&filler).times(powers[1])).plus(block(&lengths).times(powers[0]))
        });
        let cubes = keys.map(|(r, _)| r.times(r).times(r));
        let slope = cubes[0].minus(cubes[1]).inverse();
        for turns in 0..4 {
            let gap = Number { high: turns, low: keys[1].1.wrapping_sub(keys[0].1) }.reduced();
            let x = gap.minus(others).plus(other_others).times(slope);
            if x.high != 1 {
                continue;
            }
            let tags = [0, 1].map(|which: usize| {
                let sum = [others, other_others][which].plus(x.times(cubes[which]));
                sum.low.wrapping_add(keys[which].1)
            });
            if tags[0] == tags[1] {
                return [x.low.to_le_bytes(), filler, tags[0].to_le_bytes()].concat();
            }
        }
    }
    unreachable!("one filler in a few has a solution")
}

/// A number modulo 2^130 - 5.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    high: u64,
    low: u128,
}

impl Number {
    const P: Self = Self { high: 3, low: u128::MAX - 4 };

    fn from(low: u128) -> Self {
        Self { high: 0, low }
    }

    fn reduced(self) -> Self {
        if self < Self::P { self } else { self.less(Self::P).reduced() }
    }

    fn less(self, other: Self) -> Self {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        Self { high: self.high - other.high - u64::from(borrow), low }
    }

    fn plus(self, other: Self) -> Self {
        let (low, carry) = self.low.overflowing_add(other.low);
        Self { high: self.high + other.high + u64::from(carry), low }.reduced()
    }

    fn minus(self, other: Self) -> Self {
        self.plus(Self::P.less(other.reduced()))
    }

    fn times(self, other: Self) -> Self {
        (0..130).rev().fold(Self::from(0), |product, bit| {
            let doubled = product.plus(product);
            if other.bit(bit) { doubled.plus(self) } else { doubled }
        })
    }

    fn bit(self, bit: u32) -> bool {
        if bit < 128 { self.low >> bit & 1 == 1 } else { self.high >> (bit - 128) & 1 == 1 }
    }

    /// By Fermat: x^(p - 2).
    fn inverse(self) -> Self {
        let exponent = Self::P.less(Self::from(2));
        (0..130).rev().fold(Self::from(1), |power, bit| {
            let square = power.times(power);
            if exponent.bit(bit) { square.times(self) } else { square }
        })
    }
}
