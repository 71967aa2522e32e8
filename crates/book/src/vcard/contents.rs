use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use ties_model::{Person, Source, mail_key};

use super::{Card, File, ImportedCard, Notice, Reject, TooLarge};

/// Everything that a file of cards holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// The people; those of groups in the file have the groups' names as tags.
    pub(crate) cards: Vec<ImportedCard>,
    /// The groups.
    pub(crate) groups: Vec<Group>,
    /// What is no card.
    pub(crate) rejects: Vec<Reject>,
}

/// A group of people (vCard `KIND:group`, Apple's `X-ADDRESSBOOKSERVER-KIND:group`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// The line in the file where it begins, from 1.
    pub(crate) line: usize,
    /// Its name.
    pub(crate) name: String,
    /// Its members by their stable keys, and those named by mail as `mailto:` and the address for comparison.
    pub(crate) members: BTreeSet<String>,
    /// Those of them who are in the file.
    pub(crate) here: BTreeSet<String>,
    /// How many properties it has beside its name and members, which are not kept.
    pub(crate) left_out: usize,
}

impl Contents {
    /// Reads a file.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, TooLarge> {
        let mut contents = Self::default();
        for card in File::new(bytes)?.cards() {
            match card {
                Ok(Card::Person(card)) => contents.cards.push(*card),
                Ok(Card::Group(group)) => contents.groups.push(group),
                Err(reject) => contents.rejects.push(reject),
            }
        }
        contents.part_namesakes();
        contents.tag_members();
        Ok(contents)
    }

    /// Sees to it that two different people are not taken for one.
    ///
    /// A card without a UID is known by its name, mail and phone. The second card of which these are the same and
    /// something else is not gets a key from all that it says; the first keeps its own, so that it stays the one it was
    /// when the second joins the file.
    fn part_namesakes(&mut self) {
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        for at in 0..self.cards.len() {
            let (before, rest) = self.cards.split_at_mut(at);
            let Some(card) = rest.first_mut() else { break };
            let there = match first.entry(card.stable_key.clone()) {
                Entry::Occupied(there) => &before[*there.get()],
                Entry::Vacant(free) => {
                    free.insert(at);
                    continue;
                }
            };
            if there.content == card.content || without_source(&there.person) == without_source(&card.person) {
                continue;
            }
            if card.stable_key.starts_with("uid:") {
                let text = format!("has the UID of the card in line {}; only its notes were taken", there.line);
                card.notices.push(Notice::new(card.line, text));
            } else {
                card.stable_key = format!("card:{}", card.content);
            }
        }
    }

    /// Gives the members of each group its name as a tag.
    fn tag_members(&mut self) {
        if self.groups.is_empty() {
            return;
        }
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, card) in self.cards.iter().enumerate() {
            places.entry(card.stable_key.clone()).or_default().push(at);
            for email in card.person.emails.values() {
                places.entry(format!("mailto:{}", mail_key(&email.address))).or_default().push(at);
            }
        }
        for group in &mut self.groups {
            for member in &group.members {
                let Some(cards) = places.get(member) else { continue };
                group.here.insert(member.clone());
                for &at in cards {
                    self.cards[at].person.keywords.insert(group.name.clone());
                }
            }
        }
    }
}

fn without_source(person: &Person) -> Person {
    Person { source: Source::default(), ..person.clone() }
}
