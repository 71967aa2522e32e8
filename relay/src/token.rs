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
    /// Takes a hash as a storage gives it back.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Eight digits by which an operator names the token; they tell nothing of it.
    #[must_use]
    pub fn id(&self) -> String {
        self.0[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// What is known of a token, and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Mailboxes that it still allows.
    pub uses: u32,
    /// Mailboxes that it allowed when it was made.
    pub of: u32,
    /// When it was made, since 1970.
    pub made: Duration,
    /// When it ends, since 1970.
    pub expires: Duration,
    /// Bytes that a mailbox made with it may hold, if not as many as any other.
    pub quota: Option<u64>,
    /// The operator's own words for it.
    pub label: String,
}

impl TokenRecord {
    /// A token without a label or a quota of its own.
    #[must_use]
    pub fn new(uses: u32, made: Duration, expires: Duration) -> Self {
        Self { uses, of: uses, made, expires, quota: None, label: String::new() }
    }

    /// Whether a mailbox can still be made with it.
    #[must_use]
    pub fn is_good(&self, now: Duration) -> bool {
        self.uses > 0 && now < self.expires
    }

    /// Spends one use, unless none is left or the time is over.
    #[must_use]
    pub fn spend(self, now: Duration) -> Option<Self> {
        self.is_good(now).then(|| Self { uses: self.uses - 1, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_with_its_uses_and_with_its_time() {
        let day = Duration::from_secs(86_400);
        let two = TokenRecord::new(2, Duration::ZERO, Duration::from_secs(90_000));
        let one = two.clone().spend(day).unwrap();
        assert_eq!((one.uses, one.of), (1, 2));
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
