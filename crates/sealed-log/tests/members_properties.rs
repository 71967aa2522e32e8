//! What holds of every set of membership entries, however hostile: over random histories in which anybody, member or
//! not, writes anything upon anything that is there.
//!
//! `TIES_GRAPHS=20000 cargo test -p ties-sealed-log --test members_properties` runs more of them, and
//! `TIES_SEED=n` with `TIES_GRAPHS=1` the one that failed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use support::by_the_words::Words;
use support::story::{ROOT, Say, entry, id, recovery, resolve, roles};
use ties_sealed_log::{DeviceId, EntryName, Members, MembershipAct, MembershipEntry, Role};

/// Few, so that they have much to do with each other.
const DEVICES: usize = 6;

struct Chance(ChaCha20Rng);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        (self.0.next_u32() as usize) % end
    }

    fn of<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }

    fn device(&mut self) -> usize {
        self.below(DEVICES)
    }

    fn role(&mut self) -> Role {
        self.of(&[Role::Reader, Role::Writer, Role::Admin, Role::Admin])
    }

    fn devices(&mut self) -> Vec<usize> {
        let mask = 1 + self.below((1 << DEVICES) - 1);
        (0..DEVICES).filter(|device| mask >> device & 1 == 1).collect()
    }

    /// What a device can say without the twelve words.
    fn unsigned(&mut self) -> Say {
        match self.below(20) {
            0..8 => Say::Add(self.device(), self.role()),
            8..12 => Say::SetRole(self.device(), self.role()),
            12..14 => Say::Revoke(self.device(), vec![]),
            14..16 => Say::Retire(self.device()),
            16 => Say::Rename(self.device(), "renamed"),
            17 => Say::Raise(2 + self.below(3) as u16),
            _ => Say::Nothing,
        }
    }

    fn anything(&mut self, entries: &[MembershipEntry], parents: &[EntryName]) -> Say {
        match self.below(24) {
            0 => Say::Reset(self.devices(), self.below(2)),
            1 => Say::Admit(self.role(), self.below(2)),
            2 => Say::ChangeWords(self.below(2), 1 + self.below(2)),
            // Mostly what a rotate should name as of its parents, sometimes not.
            3..6 => {
                let known = resolve(&past(entries, parents));
                let drop = self.below(4) == 0;
                let recipients = known.iter().map(|(device, _)| *device).skip(usize::from(drop));
                Say::Rotate(recipients.chain(known.recovery().iter().map(|cert| cert.id())).collect())
            }
            _ => self.unsigned(),
        }
    }

    fn parents(&mut self, names: &[EntryName]) -> Vec<EntryName> {
        // Often late ones, so that histories are long as well as broad.
        let late = names.len().saturating_sub(4);
        let count = self.of(&[1, 1, 2, 3]);
        (0..count)
            .map(|_| if self.below(3) > 0 { names[late + self.below(names.len() - late)] } else { self.of(names) })
            .collect()
    }

    fn history(&mut self) -> Vec<MembershipEntry> {
        let mut entries: Vec<MembershipEntry> = Vec::new();
        let mut names = vec![ROOT];
        for number in 0..self.below(22) + 3 {
            let parents = self.parents(&names);
            // At first those speak who can, so that there is something to fight over.
            let (author, say) = match number {
                0..3 => (0, Say::Add(number + 1, Role::Admin)),
                _ => (self.device(), self.anything(&entries, &parents)),
            };
            let next = entry(number, author, &parents, &say);
            names.push(next.name);
            entries.push(next);
        }
        entries
    }

    fn shuffled(&mut self, entries: &[MembershipEntry]) -> Vec<MembershipEntry> {
        let mut all = entries.to_vec();
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
        all
    }

    /// A few entries by these devices upon anything, their own as well.
    fn attack(&mut self, by: &[usize], names: &[EntryName]) -> Vec<MembershipEntry> {
        let mut names = names.to_vec();
        (0..self.below(4) + 1)
            .map(|number| {
                let count = self.below(3) + 1;
                let parents: Vec<_> = (0..count).map(|_| self.of(&names)).collect();
                let next = entry(1_000 + number, self.of(by), &parents, &self.unsigned());
                names.push(next.name);
                next
            })
            .collect()
    }
}

fn names(entries: &[MembershipEntry]) -> Vec<EntryName> {
    std::iter::once(ROOT).chain(entries.iter().map(|entry| entry.name)).collect()
}

/// The entries that these parents stand for.
fn past(entries: &[MembershipEntry], parents: &[EntryName]) -> Vec<MembershipEntry> {
    let mut known: BTreeSet<EntryName> = parents.iter().copied().collect();
    let mut past = Vec::new();
    for entry in entries.iter().rev().filter(|entry| entry.name != ROOT) {
        if known.contains(&entry.name) {
            known.extend(entry.act.parents());
            past.push(entry.clone());
        }
    }
    past
}

fn with(entries: &[MembershipEntry], more: &[MembershipEntry]) -> Members {
    resolve(entries.iter().chain(more))
}

fn everybody() -> Vec<DeviceId> {
    (0..DEVICES).map(id).collect()
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Runs a property over many histories; a failure names the seed that repeats it.
fn over_histories(own: u64, property: impl Fn(&mut Chance, &[MembershipEntry], &Members) + std::panic::RefUnwindSafe) {
    let graphs = number("TIES_GRAPHS", 3_000);
    // Each property has histories of its own, so that together they see more of them.
    let first = number("TIES_SEED", own * 1_000_000);
    for seed in first..first + graphs {
        let run = std::panic::catch_unwind(|| {
            let mut chance = Chance(ChaCha20Rng::seed_from_u64(seed));
            let entries = chance.history();
            let members = resolve(&entries);
            property(&mut chance, &entries, &members);
        });
        assert!(run.is_ok(), "seed {seed}: repeat with TIES_SEED={seed} TIES_GRAPHS=1");
    }
}

#[test]
fn no_order_of_arrival_matters() {
    over_histories(0, |chance, entries, members| {
        let mut shuffled = chance.shuffled(entries);
        shuffled.extend(entries.first().cloned());
        assert_eq!(&resolve(&shuffled), members);
    });
}

#[test]
fn the_members_are_those_of_the_words() {
    over_histories(1, |chance, entries, members| {
        // Some came without their parents.
        let known: Vec<_> = entries.iter().filter(|_| chance.below(30) > 0).cloned().collect();
        let resolved = if known.len() == entries.len() { members.clone() } else { resolve(&known) };
        let mut words = Words::read(&known);
        let is: BTreeMap<_, _> = resolved.iter().map(|(device, member)| (*device, member.role)).collect();
        assert_eq!(is, words.roles(words.all(), &everybody()));
        assert_eq!(resolved.recovery(), words.recovery(words.all()).as_slice());
        assert_eq!(resolved.level(), words.level(words.all()));
        let rotates = known.iter().map(|entry| entry.name).filter(|name| resolved.rotate_counts(name));
        assert_eq!(rotates.collect::<BTreeSet<_>>(), words.rotates(&everybody()));
    });
}

#[test]
fn whoever_is_no_member_adds_nobody_and_raises_nothing() {
    over_histories(2, |chance, entries, members| {
        let strangers: Vec<usize> = (0..DEVICES).filter(|device| members.get(&id(*device)).is_none()).collect();
        if strangers.is_empty() {
            return;
        }
        let attack = chance.attack(&strangers, &names(entries));
        let after = with(entries, &attack);
        for (device, member) in after.iter() {
            assert!(members.role(device) >= Some(member.role), "{device:?} by {attack:#?}");
        }
        assert!(after.level() <= members.level(), "{attack:#?}");
    });
}

#[test]
fn a_reader_or_writer_changes_nothing_but_itself() {
    over_histories(3, |chance, entries, members| {
        let admin = |device: &usize| members.role(&id(*device)) == Some(Role::Admin);
        let below: Vec<usize> = (0..DEVICES).filter(|device| !admin(device)).collect();
        // What they may have been before they cannot be asked: upon all that is known they say it as what they are.
        let Some(author) = below.first().map(|_| chance.of(&below)) else { return };
        let said = entry(1_000, author, members.heads(), &chance.unsigned());
        let after = with(entries, std::slice::from_ref(&said));
        let others = |members: &Members| {
            let mut roles = roles(members);
            roles.remove(&author);
            roles
        };
        assert_eq!(others(&after), others(members), "{said:#?}");
        assert_eq!(after.level(), members.level(), "{said:#?}");
        assert!(after.role(&id(author)) <= members.role(&id(author)));
    });
}

#[test]
fn a_removal_wins_over_everything_beside_it() {
    over_histories(4, |chance, entries, members| {
        let admins: Vec<usize> =
            (0..DEVICES).filter(|device| members.role(&id(*device)) == Some(Role::Admin)).collect();
        if admins.is_empty() {
            return;
        }
        let target = chance.device();
        let removal = entry(2_000, chance.of(&admins), members.heads(), &Say::Revoke(target, vec![]));
        let mut all = entries.to_vec();
        all.push(removal);
        let before = resolve(&all);
        assert!(before.get(&id(target)).is_none());
        // Beside it anybody says anything; what the target says upon it is nothing as well.
        all.extend(chance.attack(&[0, 1, 2, 3, 4, 5], &names(entries)));
        let removed = [entry(3_000, target, before.heads(), &Say::Add(target, Role::Admin))];
        let after = with(&all, &removed);
        assert!(after.get(&id(target)).is_none());
        let before = resolve(&all);
        assert_eq!(roles(&after), roles(&before));
    });
}

/// As the rule says it: a removal by who was an admin in its own past is undone only by an admission that knew of it.
#[test]
fn a_removal_stands_until_somebody_who_knows_of_it_admits_again() {
    over_histories(5, |_, entries, members| {
        if entries.iter().any(|entry| matches!(entry.act, MembershipAct::Reset(_))) {
            return;
        }
        for removal in entries {
            let MembershipAct::Remove(remove) = &removal.act else { continue };
            let then = resolve(&past(entries, remove.parents.as_slice()));
            if then.role(&removal.author) != Some(Role::Admin) {
                continue;
            }
            let admits = |entry: &&MembershipEntry| match &entry.act {
                MembershipAct::Add(add) => add.certificate.id() == remove.device,
                MembershipAct::Admit(admit) => admit.certificate.id() == remove.device,
                _ => false,
            };
            let knew = |entry: &MembershipEntry| {
                past(entries, entry.act.parents()).iter().any(|known| known.name == removal.name)
            };
            if !entries.iter().filter(admits).any(knew) {
                assert!(members.get(&remove.device).is_none());
            }
        }
    });
}

#[test]
fn after_a_reset_nobody_outside_its_list_changes_anything() {
    over_histories(6, |chance, entries, members| {
        let listed = chance.devices();
        let outside: Vec<usize> = (0..DEVICES).filter(|device| !listed.contains(device)).collect();
        let Some(words) = (0..3).find(|words| members.recovery() == [recovery(*words).certificate()]) else { return };
        // Whoever has the words writes it, member or not.
        let reset = entry(2_000, chance.device(), members.heads(), &Say::Reset(listed.clone(), words));
        let mut all = entries.to_vec();
        all.push(reset);
        let freed = resolve(&all);
        let expected: BTreeMap<_, _> = listed.iter().map(|device| (*device, Role::Admin)).collect();
        assert_eq!(roles(&freed), expected);
        if outside.is_empty() {
            return;
        }
        let attack = chance.attack(&outside, &names(&all));
        let after = with(&all, &attack);
        assert_eq!(roles(&after), expected, "{attack:#?}");
        let told = |members: &Members| members.iter().map(|(_, member)| member.clone()).collect::<Vec<_>>();
        assert_eq!(told(&after), told(&freed));
    });
}

#[test]
fn every_device_that_belongs_or_did_is_known_by_its_certificate() {
    over_histories(7, |chance, entries, members| {
        let shorter = past(entries, &[chance.of(&names(entries))]);
        let then = resolve(&shorter);
        for (device, member) in then.iter() {
            assert_eq!(members.certificate(device), Some(&member.certificate));
            let out = members.removed().any(|(removed, _)| removed == device);
            assert_eq!(members.get(device).is_none(), out);
        }
    });
}
