//! CPace over ristretto255 with SHA-512 (draft-irtf-cfrg-cpace-21, CPACE-RISTR255-SHA512, initiator and responder).
//!
//! Two sides that know one short password get one strong key; whoever does not know it gets one guess a run, and
//! learns nothing from listening. The appendix of the draft has the vectors that the tests below hold this to.

use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::traits::IsIdentity;
use curve25519_dalek::{RistrettoPoint, Scalar};
use rand_core::CryptoRng;
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, Zeroizing};

/// The other side's share is no point, or one that would make the key known to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadShare;

/// One side of a run, between sending its share and taking the other's.
pub(crate) struct Cpace {
    sid: Vec<u8>,
    scalar: Scalar,
    share: [u8; 32],
}

/// A share and what its sender states with it.
#[derive(Clone, Copy)]
pub(crate) struct Stated<'a> {
    pub(crate) share: &'a [u8; 32],
    pub(crate) data: &'a [u8],
}

impl Cpace {
    /// Begins a run about a password, a channel and a session, which both sides must agree on.
    pub(crate) fn new(password: &[u8], channel: &[u8], sid: &[u8], rng: &mut impl CryptoRng) -> Self {
        let mut wide = Zeroizing::new([0; 64]);
        rng.fill_bytes(&mut *wide);
        Self::with_scalar(password, channel, sid, Scalar::from_bytes_mod_order_wide(&wide))
    }

    fn with_scalar(password: &[u8], channel: &[u8], sid: &[u8], scalar: Scalar) -> Self {
        let mut generator = generator(password, channel, sid);
        let share = (generator * scalar).compress().to_bytes();
        generator.zeroize();
        Self { sid: sid.to_vec(), scalar, share }
    }

    /// What the other side must get.
    pub(crate) fn share(&self) -> [u8; 32] {
        self.share
    }

    /// The key, from both shares in the order initiator, responder; `other` is the one that is not this side's.
    pub(crate) fn key(
        &self,
        other: &[u8; 32],
        initiator: Stated<'_>,
        responder: Stated<'_>,
    ) -> Result<Zeroizing<[u8; 64]>, BadShare> {
        let point = Zeroizing::new(multiply(&self.scalar, other)?);
        let mut input = Zeroizing::new(Vec::with_capacity(512));
        for part in [DSI_ISK, &self.sid, &*point, initiator.share, initiator.data, responder.share, responder.data] {
            put(&mut input, part);
        }
        Ok(Zeroizing::new(Sha512::digest(&*input).into()))
    }
}

impl Drop for Cpace {
    fn drop(&mut self) {
        self.scalar.zeroize();
    }
}

/// `scalar_mult_vfy`: refuses what is not the one encoding of a point, and the identity before and after.
fn multiply(scalar: &Scalar, share: &[u8; 32]) -> Result<[u8; 32], BadShare> {
    let point = CompressedRistretto(*share).decompress().filter(|point| !point.is_identity()).ok_or(BadShare)?;
    let product = Zeroizing::new(point * scalar);
    if product.is_identity() { Err(BadShare) } else { Ok(product.compress().to_bytes()) }
}

/// `calculate_generator`: a point that nobody knows a logarithm of, fixed by what both sides must agree on.
fn generator(password: &[u8], channel: &[u8], sid: &[u8]) -> RistrettoPoint {
    let mut input = Zeroizing::new(Vec::with_capacity(512));
    put(&mut input, DSI);
    put(&mut input, password);
    // The password has the hash's first block for itself, whatever its length.
    let padding = (BLOCK - 1).saturating_sub(input.len());
    put(&mut input, &[0; BLOCK][..padding]);
    put(&mut input, channel);
    put(&mut input, sid);
    RistrettoPoint::from_uniform_bytes(&Zeroizing::new(Sha512::digest(&*input).into()))
}

/// `prepend_len`: the length in LEB128, then the bytes.
fn put(to: &mut Vec<u8>, part: &[u8]) {
    let mut length = part.len();
    while length >= 0x80 {
        to.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    to.push(length as u8);
    to.extend_from_slice(part);
}

const DSI: &[u8] = b"CPaceRistretto255";
const DSI_ISK: &[u8] = b"CPaceRistretto255_ISK";
/// Bytes of a block of SHA-512.
const BLOCK: usize = 128;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pakery_cpace::{CpaceInitiator, CpaceMode, CpaceResponder};
    use pakery_crypto::CpaceRistretto255;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn vectors() -> BTreeMap<&'static str, Vec<u8>> {
        let text = include_str!("../tests/proofs/vectors/cpace-ristretto255.txt");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let unhex = |hex: &str| hex.as_bytes().chunks(2).map(byte).collect();
        lines.map(|line| line.split_once(' ').unwrap()).map(|(name, hex)| (name, unhex(hex))).collect()
    }

    fn array(bytes: &[u8]) -> [u8; 32] {
        bytes.try_into().unwrap()
    }

    fn scalar(bytes: &[u8]) -> Scalar {
        Option::from(Scalar::from_canonical_bytes(array(bytes))).unwrap()
    }

    #[test]
    fn a_run_gives_what_the_draft_says() {
        let vectors = vectors();
        let of = |name: &str| vectors[name].as_slice();
        let g = generator(of("PRS"), of("CI"), of("sid"));
        assert_eq!(g.compress().as_bytes(), of("g"));
        let side = |name| Cpace::with_scalar(of("PRS"), of("CI"), of("sid"), scalar(of(name)));
        let (a, b) = (side("ya"), side("yb"));
        assert_eq!((a.share().as_slice(), b.share().as_slice()), (of("Ya"), of("Yb")));
        assert_eq!(multiply(&a.scalar, &b.share()).unwrap().as_slice(), of("K"));
        let (ya, yb) = (a.share(), b.share());
        let (initiator, responder) = (Stated { share: &ya, data: of("ADa") }, Stated { share: &yb, data: of("ADb") });
        for key in [a.key(&yb, initiator, responder), b.key(&ya, initiator, responder)] {
            assert_eq!(key.unwrap().as_slice(), of("ISK_IR"));
        }
    }

    #[test]
    fn points_are_taken_and_refused_as_the_draft_says() {
        let vectors = vectors();
        let s = scalar(&vectors["valid-s"]);
        assert_eq!(multiply(&s, &array(&vectors["valid-X"])).unwrap().as_slice(), vectors["valid-result"]);
        for bad in ["invalid-Y1", "invalid-Y2"] {
            assert_eq!(multiply(&s, &array(&vectors[bad])), Err(BadShare), "{bad}");
        }
    }

    /// The field's prime is 2^255 - 19; p and 2p - 1 are second encodings, and odd values are negative ones.
    #[test]
    fn no_second_encoding_of_a_point_is_taken() {
        let side = Cpace::new(b"acid-zoo-lunch", b"", b"", &mut ChaCha20Rng::seed_from_u64(1));
        let mut p = [0xff; 32];
        (p[0], p[31]) = (0xed, 0x7f);
        let mut one = [0; 32];
        one[0] = 1;
        for bad in [p, one, [0xff; 32], [0; 32]] {
            assert_eq!(multiply(&side.scalar, &bad), Err(BadShare));
        }
        let mut high = side.share();
        high[31] |= 0x80;
        assert_eq!(multiply(&side.scalar, &high), Err(BadShare));
        // The eight points of small order, as Edwards curves encode them.
        for low in curve25519_dalek::constants::EIGHT_TORSION {
            assert_eq!(multiply(&side.scalar, &low.compress().to_bytes()), Err(BadShare));
        }
        assert_eq!(multiply(&Scalar::ZERO, &side.share()), Err(BadShare), "nor a product that is the identity");
    }

    proptest! {
        #[test]
        fn another_implementation_agrees(
            password in proptest::collection::vec(any::<u8>(), 0..200),
            channel in proptest::collection::vec(any::<u8>(), 0..200),
            sid in proptest::collection::vec(any::<u8>(), 0..40),
            data in proptest::collection::vec(any::<u8>(), 0..200),
            seed in any::<u64>(),
        ) {
            type Theirs = CpaceRistretto255;
            let rng = &mut ChaCha20Rng::seed_from_u64(seed);
            // They begin, we answer.
            let (ya, state) = CpaceInitiator::<Theirs>::start(&password, &channel, &sid, &data, rng).unwrap();
            let ya = array(&ya);
            let ours = Cpace::new(&password, &channel, &sid, rng);
            let yb = ours.share();
            let a = Stated { share: &ya, data: &data };
            let b = Stated { share: &yb, data: b"ADb" };
            let theirs = state.finish(&yb, b"ADb", CpaceMode::InitiatorResponder).unwrap();
            let key = ours.key(&ya, a, b).unwrap();
            prop_assert_eq!(key.as_slice(), theirs.isk.as_bytes());
            // We begin, they answer.
            let ours = Cpace::new(&password, &channel, &sid, rng);
            let ya = ours.share();
            let mode = CpaceMode::InitiatorResponder;
            let (yb, theirs) =
                CpaceResponder::<Theirs>::respond(&ya, &password, &channel, &sid, &data, b"ADb", mode, rng).unwrap();
            let yb = array(&yb);
            let (a, b) = (Stated { share: &ya, data: &data }, Stated { share: &yb, data: b"ADb" });
            let key = ours.key(&yb, a, b).unwrap();
            prop_assert_eq!(key.as_slice(), theirs.isk.as_bytes());
        }
    }
}
