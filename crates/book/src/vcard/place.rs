use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ties_model::{
    Address, Anniversary, Email, Language, Link, Marks, OnlineService, Organization, Person, Phone, Relation, Title,
};

use super::property::{Param, split_quoted};

/// An item with marks, as far as putting it among others goes.
pub(super) trait Placed: Clone + PartialEq {
    fn marks(&mut self) -> &mut Marks;

    /// Takes on another item that is the same thing, or gives it back.
    fn absorb(&mut self, mut other: Self) -> Option<Self> {
        let theirs = std::mem::take(other.marks());
        let ours = std::mem::take(self.marks());
        let same = *self == other && unite(&ours, &theirs).is_some();
        *self.marks() = if same { unite(&ours, &theirs).unwrap_or_default() } else { ours };
        *other.marks() = theirs;
        (!same).then_some(other)
    }
}

/// Puts an item in under its key. Where something else has that key already, it gets a number after it.
///
/// Which one gets the number follows from the order in the card alone, so it is the same on every device.
pub(super) fn place<T: Placed>(items: &mut BTreeMap<String, T>, key: &str, item: T) {
    let mut item = item;
    let mut slot = key.to_owned();
    for number in 2.. {
        match items.entry(slot) {
            Entry::Vacant(vacant) => {
                vacant.insert(item);
                return;
            }
            Entry::Occupied(mut there) => match there.get_mut().absorb(item) {
                Some(back) => item = back,
                None => return,
            },
        }
        slot = format!("{key}-{number}");
    }
}

/// The marks of all items of a person.
pub(super) fn all_marks(person: &mut Person) -> impl Iterator<Item = &mut Marks> {
    let emails = person.emails.values_mut().map(Placed::marks);
    let phones = person.phones.values_mut().map(Placed::marks);
    let services = person.services.values_mut().map(Placed::marks);
    let links = person.links.values_mut().map(Placed::marks);
    let addresses = person.addresses.values_mut().map(Placed::marks);
    let anniversaries = person.anniversaries.values_mut().map(Placed::marks);
    let organizations = person.organizations.values_mut().map(Placed::marks);
    let titles = person.titles.values_mut().map(Placed::marks);
    let languages = person.languages.values_mut().map(Placed::marks);
    let relations = person.relations.values_mut().map(Placed::marks);
    let points = emails.chain(phones).chain(services).chain(links).chain(addresses);
    points.chain(anniversaries).chain(organizations).chain(titles).chain(languages).chain(relations)
}

/// The marks of one thing that was named twice, unless they contradict each other.
fn unite(ours: &Marks, theirs: &Marks) -> Option<Marks> {
    let either = |a: &String, b: &String| match (a.is_empty(), b.is_empty()) {
        (_, true) => Some(a.clone()),
        (true, _) => Some(b.clone()),
        _ => (a == b).then(|| a.clone()),
    };
    let pref = [ours.pref, theirs.pref].into_iter().flatten().min();
    let params = either(&ours.params, &theirs.params)?;
    // A preference that could not be read is kept as a parameter; beside one that could it would be read no more.
    let is_pref = |text: &str| Param::read(text).is_some_and(|param| param.name == "PREF");
    if pref.is_some() && split_quoted(&params, ';').into_iter().any(is_pref) {
        return None;
    }
    Some(Marks {
        contexts: ours.contexts.union(&theirs.contexts).cloned().collect(),
        pref,
        label: either(&ours.label, &theirs.label)?,
        // A group binds a property to its label. Without one it says nothing, and is not given out again.
        group: if ours.label.is_empty() && !theirs.label.is_empty() || ours.group.is_empty() {
            theirs.group.clone()
        } else {
            ours.group.clone()
        },
        params,
    })
}

impl Placed for Email {
    fn marks(&mut self) -> &mut Marks {
        &mut self.marks
    }

    fn absorb(&mut self, other: Self) -> Option<Self> {
        // The key already says that the addresses are one; the first spelling stays.
        let Some(marks) = unite(&self.marks, &other.marks) else { return Some(other) };
        self.marks = marks;
        None
    }
}

impl Placed for Phone {
    fn marks(&mut self) -> &mut Marks {
        &mut self.marks
    }

    fn absorb(&mut self, other: Self) -> Option<Self> {
        let Some(marks) = unite(&self.marks, &other.marks) else { return Some(other) };
        self.marks = marks;
        self.features.extend(other.features);
        None
    }
}

impl Placed for Relation {
    fn marks(&mut self) -> &mut Marks {
        &mut self.marks
    }

    fn absorb(&mut self, other: Self) -> Option<Self> {
        let Some(marks) = unite(&self.marks, &other.marks) else { return Some(other) };
        self.marks = marks;
        self.kinds.extend(other.kinds);
        None
    }
}

macro_rules! placed {
    ($($item:ty),*) => {
        $(impl Placed for $item {
            fn marks(&mut self) -> &mut Marks {
                &mut self.marks
            }
        })*
    };
}

placed!(OnlineService, Link, Address, Anniversary, Organization, Title, Language);
