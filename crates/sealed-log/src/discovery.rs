//! How devices of one space find and trust each other without a relay: names and proofs that only who holds an epoch's
//! key can make or recognise.

use subtle::ConstantTimeEq;

use crate::keys::Secret;
use crate::seal::EpochKey;

/// What an epoch's key is worth between devices that meet. It opens nothing.
pub struct DiscoveryKey(Secret);

/// Which of the two devices of a link says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkSide {
    /// The one that dialled.
    Dialler,
    /// The one that listened.
    Listener,
}

impl EpochKey {
    /// The key under which devices that hold this one find each other.
    #[must_use]
    pub fn discovery(&self) -> DiscoveryKey {
        DiscoveryKey(self.derive("ties1/disc"))
    }
}

impl DiscoveryKey {
    /// The name to dial a listening device by: a nonce and what only holders of the key make of it and the day (days
    /// since 1970). No two are alike, and without the key none says whose it is.
    #[must_use]
    pub fn name(&self, day: u64, nonce: [u8; 8]) -> String {
        let tag = self.tag("ties1/disc/name", &[&nonce, &day.to_be_bytes()]);
        let bytes = nonce.iter().chain(&tag[..NAME_TAG]);
        let digits: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        digits + SUFFIX
    }

    /// Whether a name was made under this key, today, yesterday or tomorrow: clocks differ.
    #[must_use]
    pub fn recognises(&self, day: u64, name: &str) -> bool {
        let Some(nonce) = nonce_of(name) else { return false };
        (day.saturating_sub(1)..=day.saturating_add(1))
            .any(|day| self.name(day, nonce).as_bytes().ct_eq(name.as_bytes()).into())
    }

    /// Shows the other end of a link that this one holds the key. `exporter` is the TLS session's, so that the proof is
    /// good for this link alone and no stranger in between can pass it on.
    #[must_use]
    pub fn proof(&self, side: LinkSide, exporter: &[u8; 32]) -> [u8; 32] {
        let label = match side {
            LinkSide::Dialler => "ties1/disc/dialler",
            LinkSide::Listener => "ties1/disc/listener",
        };
        self.tag(label, &[exporter])
    }

    /// Whether a proof is the one of that side; compares in constant time.
    #[must_use]
    pub fn proves(&self, side: LinkSide, exporter: &[u8; 32], proof: &[u8; 32]) -> bool {
        self.proof(side, exporter).ct_eq(proof).into()
    }

    /// What a listening device lets everybody on its network hear, with the nonce and the port: only who holds the key
    /// learns from it that this is a device of the space.
    #[must_use]
    pub fn call(&self, nonce: &[u8; 16], port: u16) -> [u8; 8] {
        let tag = self.tag("ties1/disc/call", &[nonce, &port.to_be_bytes()]);
        let mut call = [0; 8];
        call.copy_from_slice(&tag[..8]);
        call
    }

    /// Whether a call was made under this key.
    #[must_use]
    pub fn hears(&self, nonce: &[u8; 16], port: u16, call: &[u8; 8]) -> bool {
        self.call(nonce, port).ct_eq(call).into()
    }

    fn tag(&self, label: &str, context: &[&[u8]]) -> [u8; 32] {
        *self.0.derive32(label, context).expose()
    }
}

impl std::fmt::Debug for DiscoveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DiscoveryKey(..)")
    }
}

fn nonce_of(name: &str) -> Option<[u8; 8]> {
    let digits = name.strip_suffix(SUFFIX)?;
    let known = digits.len() == 2 * (8 + NAME_TAG) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let nonce = u64::from_str_radix(digits.get(..16)?, 16).ok().filter(|_| known)?;
    Some(nonce.to_be_bytes())
}

/// Bytes of a name's tag; with the nonce they make a label of 56 digits, and a label has at most 63.
const NAME_TAG: usize = 20;
/// No resolver knows it, should the name ever reach one.
const SUFFIX: &str = ".p.invalid";

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> DiscoveryKey {
        EpochKey::new(Secret::new([byte; 32])).discovery()
    }

    #[test]
    fn a_name_is_recognised_under_its_key_for_a_day_around() {
        let name = key(1).name(20_000, [7; 8]);
        assert_eq!((name.len(), name.find('.')), (56 + 10, Some(56)));
        for day in 19_999..=20_001 {
            assert!(key(1).recognises(day, &name));
            assert!(!key(2).recognises(day, &name));
        }
        assert!(!key(1).recognises(19_998, &name) && !key(1).recognises(20_002, &name));
        assert!(key(1).recognises(0, &key(1).name(0, [0; 8])), "no day lies before the first");
        assert_ne!(name, key(1).name(20_000, [8; 8]));
        assert_ne!(name[16..], key(1).name(20_001, [7; 8])[16..]);
    }

    #[test]
    fn no_other_spelling_of_a_name_is_recognised() {
        let name = key(1).name(20_000, [0xab; 8]);
        for at in 0..name.len() {
            let mut other = name.clone().into_bytes();
            other[at] ^= 1;
            assert!(!key(1).recognises(20_000, &String::from_utf8_lossy(&other)), "digit {at}");
        }
        for other in
            [name.to_uppercase(), name[1..].to_owned(), format!("a{name}"), String::new(), "é.p.invalid".into()]
        {
            assert!(!key(1).recognises(20_000, &other), "{other:?}");
        }
    }

    #[test]
    fn a_proof_is_good_for_one_side_of_one_link() {
        use LinkSide::{Dialler, Listener};
        let proof = key(1).proof(Dialler, &[3; 32]);
        assert!(key(1).proves(Dialler, &[3; 32], &proof));
        assert!(!key(1).proves(Listener, &[3; 32], &proof));
        assert!(!key(1).proves(Dialler, &[4; 32], &proof));
        assert!(!key(2).proves(Dialler, &[3; 32], &proof));
    }

    #[test]
    fn a_call_is_heard_under_its_key_at_its_port() {
        let call = key(1).call(&[5; 16], 7701);
        assert!(key(1).hears(&[5; 16], 7701, &call));
        assert!(!key(1).hears(&[5; 16], 7702, &call));
        assert!(!key(1).hears(&[6; 16], 7701, &call));
        assert!(!key(2).hears(&[5; 16], 7701, &call));
    }
}
