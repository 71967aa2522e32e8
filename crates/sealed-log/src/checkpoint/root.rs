//! The state root: one hash for what all documents hold.

use sha2::{Digest, Sha256};

/// Hashes documents, by id, each with its heads: equal for two devices that hold the same changes.
#[derive(Debug, Clone)]
pub struct StateRoot {
    hasher: Sha256,
    last: Option<[u8; 16]>,
}

impl StateRoot {
    /// Begins.
    #[must_use]
    pub fn new() -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"ties1/state-root\0");
        Self { hasher, last: None }
    }

    /// Takes the next document. Its heads may come in any order.
    ///
    /// # Panics
    /// When documents come out of order: two devices would differ about nothing.
    pub fn add(&mut self, document: [u8; 16], heads: &[[u8; 32]]) {
        assert!(self.last.is_none_or(|last| last < document), "documents come by ascending id");
        self.last = Some(document);
        let mut heads = heads.to_vec();
        heads.sort_unstable();
        self.hasher.update(document);
        self.hasher.update(u32::try_from(heads.len()).unwrap_or(u32::MAX).to_be_bytes());
        heads.iter().for_each(|head| self.hasher.update(head));
    }

    /// The root.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.hasher.finalize().into()
    }
}

impl Default for StateRoot {
    fn default() -> Self {
        Self::new()
    }
}
