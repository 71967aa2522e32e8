//! The cast that the tests share: fixed keys, one space, one of everything.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part, and fails where it cannot go on")]

pub(crate) mod by_the_words;
pub(crate) mod story;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_bytes::ByteBuf;
use ties_sealed_log::{
    AccessStatement, Add, Admit, Carried, Change, ChangeRecovery, Changes, Chunk, ChunkSeal, Decision, Dep, DeviceKeys,
    DocumentPiece, Entry, EntryName, EpochId, EpochKey, FloorRecord, GET, Genesis, KnownPseudonym, Listed, LogKey,
    LogOpening, MANAGE, MANIFEST_VERSION, MailboxId, Manifest, Manner, OpenLog, PUT, PartKind, Payload, Position,
    PseudonymKey, Raise, Reads, RecoveryEnvelope, RecoveryKeys, RecoveryWords, RelayKey, RelayRoad, RelaySecret,
    Remove, Rename, Reset, Roads, Role, Rotate, Sealed, Secret, SetRole, Share, SpaceId, StateRoot, StatementBody, Tip,
    TipRecord, Wrap, WrapContext, epoch_id,
};

pub(crate) const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

pub(crate) const OTHER_WORDS: &str = "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong";

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Bytes that do not compress: what a compressor makes is not frozen.
pub(crate) fn noise(label: &str) -> [u8; 32] {
    ties_sealed_log::hash("ties1/test", &[label.as_bytes()])
}

pub(crate) fn short(label: &str) -> [u8; 16] {
    noise(label)[..16].try_into().unwrap()
}

/// Everything is a function of fixed bytes, so that the frozen vectors can be made from it.
pub(crate) struct Cast {
    pub(crate) founder: DeviceKeys,
    pub(crate) guest: DeviceKeys,
    pub(crate) recovery: RecoveryKeys,
    pub(crate) genesis: Genesis,
    pub(crate) space: SpaceId,
    pub(crate) root: EntryName,
    pub(crate) epoch: EpochId,
    pub(crate) key: EpochKey,
    pub(crate) log: LogKey,
    pub(crate) other_log: LogKey,
    pub(crate) relay: RelayKey,
    pub(crate) pseudonym: PseudonymKey,
    pub(crate) mailbox: MailboxId,
}

impl Cast {
    pub(crate) fn new() -> Self {
        let founder = DeviceKeys::from_seed(Secret::new([1; 32]));
        let guest = DeviceKeys::from_seed(Secret::new([2; 32]));
        let recovery = RecoveryWords::parse(WORDS).unwrap().keys();
        let genesis = Genesis {
            random: [3; 32],
            founder: founder.certificate(),
            name: "laptop".to_owned(),
            recovery: Some(recovery.certificate()),
        };
        let space = genesis.space();
        let mut recipients = vec![founder.id(), recovery.certificate().id()];
        recipients.sort_unstable();
        let epoch = epoch_id(&space, &founder.id(), &[], &recipients, &[4; 32]);
        let relay = RelaySecret::from_secret(&Secret::new([7; 32])).id();
        let pseudonym = founder.pseudonym(&space, &relay);
        Self {
            root: EntryName([16; 32]),
            key: EpochKey::new(Secret::new([5; 32])),
            log: LogKey::from_secret(&Secret::new([6; 32])),
            other_log: LogKey::from_secret(&Secret::new([8; 32])),
            mailbox: MailboxId([17; 32]),
            founder,
            guest,
            recovery,
            genesis,
            space,
            epoch,
            relay,
            pseudonym,
        }
    }

    pub(crate) fn seal(&self, position: Position, content: &Sealed, seed: u64) -> Entry {
        Entry::seal(&self.log, position, &self.space, (&self.epoch, &self.key), content, &mut rng(seed)).unwrap()
    }

    pub(crate) fn beacon(&self) -> Entry {
        self.seal(Position::FIRST, &Sealed::new(&Payload::Beacon, vec![], 0), 1)
    }

    pub(crate) fn second(&self) -> Entry {
        let position = Position { seq: 2, prev: self.beacon().name() };
        self.seal(position, &Sealed::new(&self.changes(), vec![self.dep()], 1_700_000_000_000), 2)
    }

    pub(crate) fn dep(&self) -> Dep {
        Dep { log: self.other_log.id(), seq: 3, name: EntryName(noise("dep")) }
    }

    pub(crate) fn open_log(&self) -> Payload {
        let signature = ByteBuf::from(self.founder.sign_log(&self.space, &self.log.id()));
        Payload::OpenLog(OpenLog { device: self.founder.id(), signature })
    }

    pub(crate) fn changes(&self) -> Payload {
        let items = vec![
            Change { document: short("one"), nonce: 0, chunk: ByteBuf::from([0x85, 0x6f, 0x4a, 0x83, 1]) },
            Change { document: short("other"), nonce: 1, chunk: ByteBuf::from([0x85, 0x6f, 0x4a, 0x83, 2]) },
        ];
        Payload::Changes(Changes { nonces: vec![short("nonce")], items })
    }

    pub(crate) fn carried(&self) -> Payload {
        let Payload::Changes(changes) = self.changes() else { unreachable!() };
        Payload::Carried(Carried::sign(&self.log, &self.space, &ties_sealed_log::LogId([9; 32]), changes))
    }

    pub(crate) fn add(&self) -> Payload {
        let parents = vec![self.root];
        let certificate = self.guest.certificate();
        Payload::Add(Add { parents, certificate, role: Role::Writer, name: "phone".to_owned() })
    }

    pub(crate) fn rotate(&self) -> Rotate {
        let (founder, recovery) = (self.founder.certificate(), self.recovery.certificate());
        let author = founder.id();
        let (one, other) = (founder.id(), recovery.id());
        let context = |recipient| WrapContext { space: &self.space, epoch: &self.epoch, recipient, author: &author };
        let mut wraps = vec![
            Wrap { recipient: one, bytes: founder.wrap(&self.key, context(&one), &mut rng(3)).unwrap().into() },
            Wrap { recipient: other, bytes: recovery.wrap(&self.key, context(&other), &mut rng(4)).unwrap().into() },
        ];
        wraps.sort_unstable_by_key(|wrap| wrap.recipient);
        let check = self.key.check(&self.epoch);
        Rotate { parents: vec![], random: [4; 32], generation: 0, check, wraps, earlier: ByteBuf::new() }
    }

    pub(crate) fn share(&self) -> Share {
        let (author, recipient) = (self.founder.id(), self.guest.id());
        let context = WrapContext { space: &self.space, epoch: &self.epoch, recipient: &recipient, author: &author };
        let bytes = self.guest.certificate().wrap(&self.key, context, &mut rng(5)).unwrap();
        Share {
            parents: vec![self.root],
            epoch: self.epoch,
            generation: 0,
            check: self.key.check(&self.epoch),
            wrap: Wrap { recipient, bytes: bytes.into() },
        }
    }

    pub(crate) fn roads(&self) -> Payload {
        let pseudonym = self.pseudonym.id();
        let signature = self.founder.sign_pseudonym(&self.space, &self.relay, &pseudonym);
        let road = RelayRoad {
            address: "wss://relay.example".to_owned(),
            relay: self.relay,
            mailbox: self.first_statement().name().0.into_mailbox(),
            statements: vec![ByteBuf::from(self.first_statement().bytes())],
        };
        let known = KnownPseudonym {
            device: self.founder.id(),
            relay: self.relay,
            pseudonym,
            signature: ByteBuf::from(signature),
        };
        Payload::Roads(Roads {
            parents: vec![self.root],
            relays: vec![road],
            pseudonyms: vec![known],
            openings: vec![ByteBuf::from(self.opening().as_bytes())],
        })
    }

    pub(crate) fn set_role(&self) -> SetRole {
        SetRole { parents: vec![self.root], device: self.guest.id(), role: Role::Reader }
    }

    pub(crate) fn rename(&self) -> Rename {
        Rename { parents: vec![self.root], device: self.guest.id(), name: "old phone".to_owned() }
    }

    pub(crate) fn remove(&self, manner: Manner) -> Remove {
        Remove { parents: vec![self.root], device: self.guest.id(), manner }
    }

    pub(crate) fn reset(&self) -> Reset {
        let listed = |keys: &DeviceKeys, name: &str| Listed {
            certificate: keys.certificate(),
            role: Role::Admin,
            name: name.to_owned(),
        };
        let members = vec![listed(&self.founder, "laptop"), listed(&self.guest, "phone")];
        Reset::sign(&self.recovery, &self.space, &self.founder.id(), vec![self.root], members)
    }

    pub(crate) fn admit(&self) -> Admit {
        let (certificate, name) = (self.guest.certificate(), "phone".to_owned());
        Admit::sign(&self.recovery, &self.space, vec![self.root], certificate, Role::Admin, name)
    }

    pub(crate) fn change_recovery(&self) -> ChangeRecovery {
        let new = RecoveryWords::parse(OTHER_WORDS).unwrap().keys().certificate();
        ChangeRecovery::sign(&self.recovery, &self.space, &self.founder.id(), vec![self.root], new)
    }

    /// One of each kind that has a body.
    pub(crate) fn payloads(&self) -> Vec<(&'static str, Payload)> {
        vec![
            ("open-log", self.open_log()),
            ("changes", self.changes()),
            ("beacon", Payload::Beacon),
            ("genesis", Payload::Genesis(self.genesis.clone())),
            ("add", self.add()),
            ("rotate", Payload::Rotate(self.rotate())),
            ("share", Payload::Share(self.share())),
            ("roads", self.roads()),
            ("role", Payload::SetRole(self.set_role())),
            ("rename", Payload::Rename(self.rename())),
            ("remove, retire", Payload::Remove(self.remove(Manner::Retire))),
            ("remove, revoke", Payload::Remove(self.remove(Manner::Revoke { pins: vec![self.dep()] }))),
            ("reset", Payload::Reset(self.reset())),
            ("admit", Payload::Admit(self.admit())),
            ("recovery", Payload::ChangeRecovery(self.change_recovery())),
            ("raise", Payload::Raise(Raise { parents: vec![self.root], level: 2 })),
            ("reads", Payload::Reads(Reads { level: 300 })),
            ("carried", self.carried()),
            ("decision, accept", Payload::Decision(Decision::Accept)),
            ("decision, discard", Payload::Decision(Decision::Discard)),
        ]
    }

    pub(crate) fn envelope_body(&self) -> RecoveryEnvelope {
        RecoveryEnvelope {
            space: self.space,
            genesis: self.root,
            epoch: self.epoch,
            generation: 0,
            key: *self.key.expose(),
            mailboxes: vec![("wss://relay.example".to_owned(), self.mailbox)],
            checkpoint: None,
        }
    }

    pub(crate) fn envelope(&self) -> Entry {
        let position = Position { seq: 2, prev: self.beacon().name() };
        let recovery = self.recovery.certificate();
        Entry::seal_envelope(&self.log, position, &recovery, &self.envelope_body(), &mut rng(6)).unwrap()
    }

    pub(crate) fn opening(&self) -> LogOpening {
        LogOpening::new(&self.mailbox, &self.log, &self.pseudonym)
    }

    pub(crate) fn chunk_seal(&self) -> ChunkSeal<'_> {
        ChunkSeal { space: &self.space, epoch: &self.epoch, key: &self.key }
    }

    /// A checkpoint of one document and one entry.
    pub(crate) fn checkpoint(&self) -> (Manifest, Vec<Chunk>) {
        // Not a beacon: the zeros in a first entry compress.
        let entries = [ByteBuf::from(self.second().bytes())];
        let documents: Vec<_> = DocumentPiece::cut(short("one"), &noise("saved")).collect();
        let mut sealed = PartKind::Membership.seal(&entries, self.chunk_seal(), &mut rng(8)).unwrap();
        sealed.extend(PartKind::Documents.seal(&documents, self.chunk_seal(), &mut rng(9)).unwrap());
        let (parts, mut chunks): (Vec<_>, Vec<_>) = sealed.into_iter().unzip();
        let mut root = StateRoot::new();
        root.add(short("one"), &[noise("head"), noise("another head")]);
        let tip = |log: &LogKey, seq, name| TipRecord { log: log.id(), tip: Tip { seq, name: EntryName(noise(name)) } };
        let mut cut = vec![tip(&self.log, 2, "tip"), tip(&self.other_log, 3, "dep")];
        cut.sort_unstable();
        let manifest = Manifest { version: MANIFEST_VERSION, space: self.space, cut, root: root.finish(), parts };
        chunks.push(manifest.seal(self.chunk_seal(), &mut rng(10)).unwrap());
        (manifest, chunks)
    }

    pub(crate) fn floor(&self) -> FloorRecord {
        let (manifest, chunks) = self.checkpoint();
        FloorRecord::sign(&self.log, &manifest, chunks.last().unwrap()).unwrap()
    }

    pub(crate) fn first_statement(&self) -> AccessStatement {
        let body = StatementBody {
            version: 1,
            mailbox: None,
            parents: vec![],
            grants: vec![(self.pseudonym.id(), PUT | GET | MANAGE)],
            recovery: Some(self.recovery.certificate().mark(&self.relay)),
            random: [12; 32],
            signer: self.pseudonym.id(),
        };
        AccessStatement::sign(body, &self.pseudonym)
    }

    pub(crate) fn second_statement(&self) -> AccessStatement {
        let first = self.first_statement();
        let body = StatementBody {
            version: 1,
            mailbox: Some(first.name().0.into_mailbox()),
            parents: vec![first.name()],
            grants: vec![(self.guest.pseudonym(&self.space, &self.relay).id(), PUT | GET)],
            recovery: None,
            random: [13; 32],
            signer: self.pseudonym.id(),
        };
        AccessStatement::sign(body, &self.pseudonym)
    }
}

/// A mailbox is named by its first statement.
pub(crate) trait IntoMailbox {
    fn into_mailbox(self) -> MailboxId;
}

impl IntoMailbox for [u8; 32] {
    fn into_mailbox(self) -> MailboxId {
        MailboxId(self)
    }
}

/// Each single-bit change of `bytes`.
pub(crate) fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit, flipped)
    })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
