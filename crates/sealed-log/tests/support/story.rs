//! A space whose devices write membership entries, each knowing what it has heard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use ties_sealed_log::{
    Add, Admit, ChangeRecovery, Dep, DeviceCert, DeviceId, DeviceKeys, EntryName, Genesis, Listed, LogId, Manner,
    Members, MembershipAct, MembershipEntry, Raise, RecoveryKeys, RecoveryWords, Remove, Rename, Reset, Role, Secret,
    SetRole, SpaceId, hash,
};

/// The cast, by place: the founder is the first.
pub(crate) const LAPTOP: usize = 0;
pub(crate) const PHONE: usize = 1;
pub(crate) const TABLET: usize = 2;
pub(crate) const DESK: usize = 3;
pub(crate) const PUPPET: usize = 4;
pub(crate) const FRESH: usize = 5;

static CERTIFICATES: LazyLock<Vec<DeviceCert>> =
    LazyLock::new(|| (0..100).map(|n| DeviceKeys::from_seed(Secret::new([n; 32])).certificate()).collect());

pub(crate) const WORDS: [&str; 3] = [
    "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
    "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong",
];

static RECOVERY: LazyLock<Vec<RecoveryKeys>> =
    LazyLock::new(|| WORDS.iter().map(|words| RecoveryWords::parse(words).unwrap().keys()).collect());

static GENESIS: LazyLock<Genesis> = LazyLock::new(|| Genesis {
    random: [1; 32],
    founder: CERTIFICATES[LAPTOP].clone(),
    name: "laptop".to_owned(),
    recovery: Some(RECOVERY[0].certificate()),
});

static SPACE: LazyLock<SpaceId> = LazyLock::new(|| GENESIS.space());

pub(crate) const ROOT: EntryName = EntryName([0xaa; 32]);

static IDS: LazyLock<Vec<DeviceId>> = LazyLock::new(|| CERTIFICATES.iter().map(DeviceCert::id).collect());

pub(crate) fn id(device: usize) -> DeviceId {
    IDS[device]
}

pub(crate) fn certificate(device: usize) -> DeviceCert {
    CERTIFICATES[device].clone()
}

pub(crate) fn genesis() -> &'static Genesis {
    &GENESIS
}

/// The keys behind the twelve words: the first are those of the genesis entry.
pub(crate) fn recovery(words: usize) -> &'static RecoveryKeys {
    &RECOVERY[words]
}

pub(crate) fn resolve<'e>(entries: impl IntoIterator<Item = &'e MembershipEntry>) -> Members {
    let entries: Vec<_> = entries.into_iter().cloned().collect();
    Members::resolve((ROOT, &GENESIS, 0), &entries)
}

/// What somebody may want to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Say {
    Add(usize, Role),
    SetRole(usize, Role),
    Rename(usize, &'static str),
    Retire(usize),
    Revoke(usize, Vec<u64>),
    Reset(Vec<usize>, usize),
    Admit(Role, usize),
    ChangeWords(usize, usize),
    Raise(u16),
    Rotate(Vec<DeviceId>),
    Nothing,
}

/// A tip of a device's log, for pins.
pub(crate) fn pin(device: usize, seq: u64) -> Dep {
    Dep { log: LogId([device as u8; 32]), seq, name: EntryName([seq as u8; 32]) }
}

/// Writes an entry with these parents.
pub(crate) fn entry(number: usize, author: usize, parents: &[EntryName], say: &Say) -> MembershipEntry {
    let parents: Vec<EntryName> = parents.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let name = EntryName(hash("ties1/test", &[&number.to_be_bytes()]));
    MembershipEntry { name, author: id(author), time: number as u64, number: 1, act: act(author, parents, say) }
}

fn act(author: usize, parents: Vec<EntryName>, say: &Say) -> MembershipAct {
    let remove = |device: &usize, manner| Remove { parents: parents.clone(), device: id(*device), manner };
    match say {
        Say::Add(device, role) => MembershipAct::Add(Add {
            parents,
            certificate: certificate(*device),
            role: *role,
            name: format!("{device} by {author}"),
        }),
        Say::SetRole(device, role) => MembershipAct::SetRole(SetRole { parents, device: id(*device), role: *role }),
        Say::Rename(device, name) => {
            MembershipAct::Rename(Rename { parents, device: id(*device), name: (*name).to_owned() })
        }
        Say::Retire(device) => MembershipAct::Remove(remove(device, Manner::Retire)),
        Say::Revoke(device, seqs) => {
            let pins = seqs.iter().map(|seq| pin(*device, *seq)).collect();
            MembershipAct::Remove(remove(device, Manner::Revoke { pins }))
        }
        Say::Reset(devices, words) => {
            let listed = |device: &usize| Listed {
                certificate: certificate(*device),
                role: Role::Admin,
                name: format!("{device} anew"),
            };
            let listed = devices.iter().map(listed).collect();
            MembershipAct::Reset(Reset::sign(&RECOVERY[*words], &SPACE, &id(author), parents, listed))
        }
        Say::Admit(role, words) => {
            let name = format!("{author} again");
            let certificate = certificate(author);
            MembershipAct::Admit(Admit::sign(&RECOVERY[*words], &SPACE, parents, certificate, *role, name))
        }
        Say::ChangeWords(old, new) => {
            let new = RECOVERY[*new].certificate();
            MembershipAct::ChangeRecovery(ChangeRecovery::sign(&RECOVERY[*old], &SPACE, &id(author), parents, new))
        }
        Say::Raise(level) => MembershipAct::Raise(Raise { parents, level: *level }),
        Say::Rotate(recipients) => MembershipAct::Rotate { parents, recipients: recipients.clone() },
        Say::Nothing => MembershipAct::Other { parents },
    }
}

/// What each device has heard, and everything that was said.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) entries: Vec<MembershipEntry>,
    heard: BTreeMap<usize, BTreeSet<usize>>,
}

impl Story {
    /// A device says something to itself, upon all that it has heard.
    pub(crate) fn say(&mut self, author: usize, say: Say) -> EntryName {
        let heads = self.seen_by(author).heads().to_vec();
        self.say_upon(author, &heads, say)
    }

    /// A device pretends not to have heard of more than these.
    pub(crate) fn say_upon(&mut self, author: usize, parents: &[EntryName], say: Say) -> EntryName {
        let number = self.entries.len();
        let entry = entry(number, author, parents, &say);
        let name = entry.name;
        self.entries.push(entry);
        self.heard.entry(author).or_default().insert(number);
        name
    }

    /// Two devices tell each other all that they have heard.
    pub(crate) fn meet(&mut self, one: usize, other: usize) {
        let both: BTreeSet<usize> =
            [one, other].iter().filter_map(|device| self.heard.get(device)).flatten().copied().collect();
        self.heard.insert(one, both.clone());
        self.heard.insert(other, both);
    }

    /// Everybody hears everything.
    pub(crate) fn all_meet(&mut self, devices: &[usize]) {
        let all: BTreeSet<usize> = (0..self.entries.len()).collect();
        devices.iter().for_each(|device| {
            self.heard.insert(*device, all.clone());
        });
    }

    /// Who belongs, as far as a device has heard.
    pub(crate) fn seen_by(&self, device: usize) -> Members {
        resolve(self.heard.get(&device).into_iter().flatten().map(|number| &self.entries[*number]))
    }

    /// Who belongs, with all that was said; whatever the order in which it came.
    pub(crate) fn members(&self) -> Members {
        let members = resolve(&self.entries);
        assert_eq!(resolve(self.entries.iter().rev()), members, "in the reverse order");
        for turn in 1..self.entries.len() {
            let (late, early) = self.entries.split_at(turn);
            assert_eq!(resolve(early.iter().chain(late)), members, "with the first {turn} last");
        }
        members
    }

    /// The members and what they may do.
    pub(crate) fn roles(&self) -> BTreeMap<usize, Role> {
        roles(&self.members())
    }
}

pub(crate) fn roles(members: &Members) -> BTreeMap<usize, Role> {
    let place = |device: &DeviceId| IDS.iter().position(|id| id == device).unwrap();
    members.iter().map(|(device, member)| (place(device), member.role)).collect()
}
