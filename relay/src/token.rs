//! Invite tokens: an operator's leave to make mailboxes.

use std::fmt;
use std::time::Duration;

use rand_core::CryptoRng;
use ties_sealed_log::hash;
use zeroize::Zeroizing;

/// 128 secret bits that allow a few mailboxes to be made. Its text is 32 hexadecimal digits.
pub struct InviteToken(Zeroizing<[u8; 16]>);

impl InviteToken {
    /// Draws a token.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 16]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// Takes a token as a device sends it.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes that a device sends.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// The text for a person to hand on.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// What a relay keeps instead of the token. A plain hash is enough for 128 random bits.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(hash("ties1/invite-token", &[&*self.0]))
    }
}

impl fmt::Debug for InviteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteToken(..)")
    }
}

/// The hash under which a relay knows a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// What is left of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRecord {
    /// Mailboxes that it still allows.
    pub uses: u32,
    /// When it ends, since 1970.
    pub expires: Duration,
}

impl TokenRecord {
    /// Spends one use, unless none is left or the time is over.
    #[must_use]
    pub fn spend(self, now: Duration) -> Option<Self> {
        let uses = self.uses.checked_sub(1)?;
        (now < self.expires).then_some(Self { uses, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_with_its_uses_and_with_its_time() {
        let (day, two) = (Duration::from_secs(86_400), TokenRecord { uses: 2, expires: Duration::from_secs(90_000) });
        let one = two.spend(day).unwrap();
        assert_eq!(one.uses, 1);
        assert_eq!(one.spend(day).unwrap().spend(day), None);
        assert_eq!(two.spend(Duration::from_secs(90_000)), None);
    }

    #[test]
    fn neither_form_shows_itself_in_logs() {
        let token = InviteToken::from_bytes([0xab; 16]);
        assert_eq!(format!("{token:?} {:?}", token.hash()), "InviteToken(..) TokenHash(..)");
        assert_eq!(token.text().as_str(), "ab".repeat(16));
    }
}
