//! What a world has seen.

use std::collections::BTreeMap;

/// How often things happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<&'static str, u64>);

impl Counts {
    /// One more of these.
    pub fn add(&mut self, what: &'static str) {
        self.add_many(what, 1);
    }

    /// Some more of these.
    pub fn add_many(&mut self, what: &'static str, many: u64) {
        *self.0.entry(what).or_default() += many;
    }

    /// Everything of another count too.
    pub fn join(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, many)| self.add_many(what, *many));
    }
}
