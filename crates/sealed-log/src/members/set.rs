//! Sets of small numbers that share what they have in common.

use std::rc::Rc;

const WORDS: usize = 16;
const BITS: usize = WORDS * 64;

/// A set whose copies share their pages: the pasts of a long line of entries, each one larger than the one before, cost
/// a page each.
#[derive(Debug, Clone, Default)]
pub(super) struct Set {
    pages: Vec<Rc<[u64; WORDS]>>,
}

impl Set {
    /// All numbers below `end`.
    pub(super) fn below(end: usize) -> Self {
        let mut all = Self::default();
        (0..end).for_each(|number| all.insert(number));
        all
    }

    pub(super) fn has(&self, number: usize) -> bool {
        let page = self.pages.get(number / BITS);
        page.is_some_and(|page| page[number % BITS / 64] >> (number % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, number: usize) {
        while self.pages.len() <= number / BITS {
            self.pages.push(Rc::new([0; WORDS]));
        }
        Rc::make_mut(&mut self.pages[number / BITS])[number % BITS / 64] |= 1 << (number % 64);
    }

    /// Takes in all of another.
    pub(super) fn extend(&mut self, other: &Self) {
        for (at, theirs) in other.pages.iter().enumerate() {
            match self.pages.get_mut(at) {
                None => self.pages.push(Rc::clone(theirs)),
                Some(ours) if Rc::ptr_eq(ours, theirs) => {}
                Some(ours) => {
                    let words = Rc::make_mut(ours).iter_mut().zip(theirs.iter());
                    words.for_each(|(ours, theirs)| *ours |= theirs);
                }
            }
        }
    }

    /// Whether it holds all of another.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.pages.iter().enumerate().all(|(at, theirs)| match self.pages.get(at) {
            Some(ours) if Rc::ptr_eq(ours, theirs) => true,
            ours => (0..WORDS).all(|word| theirs[word] & !ours.map_or(0, |page| page[word]) == 0),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.pages.iter().flat_map(|page| page.iter()).map(|word| word.count_ones() as usize).sum()
    }
}
