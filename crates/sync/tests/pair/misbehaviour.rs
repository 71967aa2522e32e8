//! Peers that break the protocol: an error each time, never a panic, and nothing grows without bound.

use std::convert::Infallible;
use std::time::Duration;

use proptest::prelude::*;
use serde_bytes::ByteBuf;
use ties_sealed_log::conformance::Scribe;
use ties_sealed_log::{Entry, EntryName, Log, LogId, MailboxId, Tip, TipRecord};
use ties_sync::{
    Event, Input, MAX_FRAME, MAX_LOGS, MAX_TIPS, Message, Output, PeerMisbehaved, Refusal, Session, SessionError,
    VERSION,
};

use crate::replica::MemoryReplica;
use crate::world::SUBJECT;

/// A session with a peer that a test plays itself.
struct Victim {
    session: Session,
    replica: MemoryReplica,
}

type Handled = Result<Vec<Output>, SessionError<Infallible>>;

impl Victim {
    fn started(replica: MemoryReplica) -> Self {
        let mut session = Session::new(SUBJECT);
        session.start(Duration::ZERO, &replica).unwrap();
        Self { session, replica }
    }

    /// The digests differed; its vector is out.
    fn comparing(replica: MemoryReplica) -> Self {
        let mut victim = Self::started(replica);
        victim.hear(&open([1; 32])).unwrap();
        victim
    }

    /// Both have the same.
    fn live(replica: MemoryReplica) -> Self {
        let mut victim = Self::started(replica);
        let digest = victim.replica.vector().unwrap().digest();
        victim.hear(&open(digest)).unwrap();
        assert!(victim.session.is_settled());
        victim
    }

    fn hear(&mut self, message: &Message) -> Handled {
        self.session.handle(Duration::ZERO, Input::Frame(&message.encode()), &mut self.replica)
    }

    fn write(&mut self, entry: &Entry) {
        self.replica.write(entry);
        self.session.handle(Duration::ZERO, Input::Changed, &mut self.replica).unwrap();
    }
}

fn open(digest: [u8; 32]) -> Message {
    Message::Open { version: VERSION, subject: SUBJECT, access: [0; 32], digest }
}

fn holding(entries: &[Entry]) -> MemoryReplica {
    let mut replica = MemoryReplica::default();
    replica.write_all(entries);
    replica
}

fn record(entry: &Entry) -> TipRecord {
    TipRecord { log: entry.log(), tip: Tip { seq: entry.seq(), name: entry.name() } }
}

fn entries(entries: &[Entry]) -> Message {
    Message::Entries(entries.iter().map(|entry| ByteBuf::from(entry.bytes())).collect())
}

fn fault(handled: Handled) -> PeerMisbehaved {
    match handled {
        Err(SessionError::Peer(fault)) => fault,
        other => panic!("a fault was expected, not {other:?}"),
    }
}

/// One message of each kind, each of the right shape in itself.
fn one_of_each(entry: &Entry) -> Vec<Message> {
    let log = entry.log();
    vec![
        open([1; 32]),
        Message::Access(vec![ByteBuf::from([1; 100])]),
        Message::Vector(vec![]),
        Message::Openings(vec![ByteBuf::from([1; 224])]),
        entries(std::slice::from_ref(entry)),
        Message::Ack { tips: vec![], credit: 1 },
        Message::Probe { log, points: vec![] },
        Message::Common { log, seq: 0 },
        Message::Refused { log, reason: Refusal::Quota },
        Message::Since { cursor: 1 },
        Message::Create { statement: ByteBuf::new(), token: None },
        Message::Created { mailbox: MailboxId([1; 32]) },
        Message::Which,
        Message::Mailboxes(vec![]),
        Message::Meet { room: [1; 32] },
        Message::Pass(ByteBuf::new()),
        Message::Sorry(Refusal::NoMailbox),
    ]
}

/// The places in [`one_of_each`] of what a victim does not call out of turn.
fn in_turn(victim: impl Fn() -> Victim, messages: &[Message]) -> Vec<usize> {
    let out_of_turn = |message| matches!(victim().hear(message), Err(SessionError::Peer(PeerMisbehaved::OutOfTurn)));
    (0..messages.len()).filter(|number| !out_of_turn(&messages[*number])).collect()
}

#[test]
fn each_stage_takes_its_own_messages_and_no_others() {
    let chain = Scribe::new(1).chain(None, 2);
    let messages = one_of_each(&chain[0]);
    let new = || Victim { session: Session::new(SUBJECT), replica: holding(&chain) };
    assert_eq!(in_turn(new, &messages), Vec::<usize>::new(), "before it spoke, nothing");
    assert_eq!(in_turn(|| Victim::started(holding(&chain)), &messages), [0, 16], "the open, or a refusal");
    assert_eq!(in_turn(|| Victim::comparing(holding(&chain)), &messages), [1, 2, 16], "statements and the vector");
    // A common answers a probe, and there was none.
    assert_eq!(in_turn(|| Victim::live(holding(&chain)), &messages), [1, 3, 4, 5, 6, 8, 16]);
}

#[test]
fn another_version_or_subject_ends_the_session() {
    let Message::Open { subject, access, digest, .. } = open([1; 32]) else { unreachable!() };
    let newer = Message::Open { version: VERSION + 1, subject, access, digest };
    let handled = Victim::started(MemoryReplica::default()).hear(&newer);
    assert!(matches!(handled, Err(SessionError::Refused(Refusal::Version))));
    let other = Message::Open { version: VERSION, subject: [8; 32], access, digest };
    assert_eq!(fault(Victim::started(MemoryReplica::default()).hear(&other)), PeerMisbehaved::Subject);
}

#[test]
fn a_refusal_ends_the_session_with_its_reason() {
    let handled = Victim::started(MemoryReplica::default()).hear(&Message::Sorry(Refusal::NoMailbox));
    assert!(matches!(handled, Err(SessionError::Refused(Refusal::NoMailbox))));
}

#[test]
fn frames_that_are_cut_or_longer_than_they_should_are_malformed() {
    let chain = Scribe::new(2).chain(None, 1);
    for message in one_of_each(&chain[0]) {
        let frame = message.encode();
        let mut frames: Vec<Vec<u8>> = (0..frame.len()).map(|end| frame[..end].to_vec()).collect();
        frames.push([&frame[..], &[0]].concat());
        for bytes in frames {
            let mut victim = Victim::live(holding(&chain));
            let handled = victim.session.handle(Duration::ZERO, Input::Frame(&bytes), &mut victim.replica);
            assert!(matches!(fault(handled), PeerMisbehaved::Frame(_)));
        }
    }
    let mut victim = Victim::live(holding(&chain));
    let long = vec![0; MAX_FRAME + 1];
    let handled = victim.session.handle(Duration::ZERO, Input::Frame(&long), &mut victim.replica);
    assert!(matches!(fault(handled), PeerMisbehaved::Frame(_)));
}

#[test]
fn vectors_are_sorted_and_bounded() {
    let chain = Scribe::new(3).chain(None, 3);
    let tip =
        |log: u8, seq, name: u8| TipRecord { log: LogId([log; 32]), tip: Tip { seq, name: EntryName([name; 32]) } };
    let many = (0..=MAX_TIPS as u64).map(|seq| tip(1, seq + 1, 1)).collect();
    let bad: [Vec<TipRecord>; 5] = [
        vec![tip(2, 1, 1), tip(1, 1, 1)],
        vec![tip(1, 2, 1), tip(1, 1, 1)],
        vec![tip(1, 1, 1), tip(1, 1, 1)],
        vec![tip(1, 0, 1)],
        many,
    ];
    for records in bad {
        let mut victim = Victim::comparing(holding(&chain));
        assert_eq!(fault(victim.hear(&Message::Vector(records))), PeerMisbehaved::Bounds);
    }
    let most = (0..MAX_TIPS as u64).map(|seq| tip(1, seq + 1, 1)).collect();
    let mut victim = Victim::comparing(holding(&chain));
    victim.hear(&Message::Vector(most)).unwrap();
    assert!(!victim.session.is_settled(), "it waits for them, until its deadline");
}

#[test]
fn empty_and_endless_lists_are_refused() {
    let chain = Scribe::new(4).chain(None, 2);
    let log = chain[0].log();
    let points = |count: u64| (0..count).map(|seq| Tip { seq: seq + 1, name: EntryName([1; 32]) }).collect();
    let bad = [
        Message::Entries(vec![]),
        Message::Openings(vec![]),
        Message::Access(vec![]),
        Message::Openings(vec![ByteBuf::new(); MAX_LOGS + 1]),
        Message::Access(vec![ByteBuf::new(); 513]),
        Message::Probe { log, points: points(513) },
    ];
    for message in bad {
        assert_eq!(fault(Victim::live(holding(&chain)).hear(&message)), PeerMisbehaved::Bounds);
    }
    let most = Message::Probe { log, points: points(512) };
    assert!(Victim::live(holding(&chain)).hear(&most).is_ok());
}

#[test]
fn nobody_acknowledges_what_was_not_sent() {
    let mut scribe = Scribe::new(5);
    let chain = scribe.chain(None, 2);
    let next = scribe.write(chain.last(), 0);
    let size = next.bytes().len() as u32;
    for credit in [0, size + 1, u32::MAX] {
        let mut victim = Victim::live(holding(&chain));
        victim.write(&next);
        let handled = victim.hear(&Message::Ack { tips: vec![record(&next)], credit });
        assert_eq!(fault(handled), PeerMisbehaved::Credit);
    }
    let mut victim = Victim::live(holding(&chain));
    victim.write(&next);
    let mut invented = record(&next);
    invented.tip.seq += 1;
    let stranger = record(&Scribe::new(6).write(None, 0));
    let out = victim.hear(&Message::Ack { tips: vec![record(&next), invented, stranger], credit: size }).unwrap();
    let told = vec![
        Output::Event(Event::Acknowledged { tips: vec![record(&next)], entries: 1 }),
        Output::Event(Event::Settled),
    ];
    assert_eq!(out, told, "tips that nobody sent are not passed on");
    let handled = victim.hear(&Message::Ack { tips: vec![], credit: 1 });
    assert_eq!(fault(handled), PeerMisbehaved::Credit, "nothing is left to acknowledge");
}

#[test]
fn a_bad_entry_ends_the_session_and_what_came_before_it_stays() {
    let chain = Scribe::new(7).chain(None, 3);
    let mut altered = chain[1].bytes().to_vec();
    altered[200] ^= 1;
    let frames = [chain[0].bytes().to_vec(), altered].map(ByteBuf::from);
    let mut victim = Victim::live(MemoryReplica::default());
    assert!(matches!(fault(victim.hear(&Message::Entries(frames.to_vec()))), PeerMisbehaved::Entry(_)));
    assert_eq!(victim.replica.entries(&chain[0].log()), vec![chain[0].name()]);
}

#[test]
fn an_entry_without_its_predecessor_is_refused_and_acknowledged_as_credit_alone() {
    let chain = Scribe::new(8).chain(None, 3);
    let mut victim = Victim::live(MemoryReplica::default());
    let out = victim.hear(&entries(&chain[1..])).unwrap();
    let size = chain[1..].iter().map(|entry| entry.bytes().len()).sum::<usize>() as u32;
    let expected =
        [Message::Refused { log: chain[0].log(), reason: Refusal::Gap }, Message::Ack { tips: vec![], credit: size }];
    let sent: Vec<Message> = out.iter().filter_map(sent).collect();
    assert_eq!(sent, expected);
}

fn sent(output: &Output) -> Option<Message> {
    match output {
        Output::Send(frame) => Some(Message::decode(frame).unwrap()),
        Output::Event(_) => None,
    }
}

#[test]
fn refusing_a_log_that_nobody_spoke_of_is_out_of_turn() {
    let mut victim = Victim::live(holding(&Scribe::new(9).chain(None, 1)));
    let strange = Message::Refused { log: LogId([5; 32]), reason: Refusal::Quota };
    assert_eq!(fault(victim.hear(&strange)), PeerMisbehaved::OutOfTurn);
}

#[test]
fn a_refusal_while_a_probe_is_out_leaves_room_for_its_answer() {
    let mut scribe = Scribe::new(10);
    let trunk = scribe.chain(None, 4);
    let (ours, theirs) = (scribe.chain(trunk.last(), 3), scribe.chain(trunk.last(), 3));
    let mut victim = Victim::comparing(holding(&[trunk, ours].concat()));
    let out = victim.hear(&Message::Vector(vec![record(&theirs[2])])).unwrap();
    assert!(matches!(sent(&out[0]), Some(Message::Probe { .. })));
    let log = scribe.log();
    victim.hear(&Message::Refused { log, reason: Refusal::Quota }).unwrap();
    let out = victim.hear(&Message::Common { log, seq: 4 }).unwrap();
    assert!(out.iter().all(|output| sent(output).is_none()), "and nothing of a refused log is sent");
    assert_eq!(fault(victim.hear(&Message::Common { log, seq: 4 })), PeerMisbehaved::OutOfTurn);
}

#[test]
fn a_common_place_beyond_the_log_sends_nothing() {
    let mut scribe = Scribe::new(11);
    let trunk = scribe.chain(None, 4);
    let (ours, theirs) = (scribe.chain(trunk.last(), 3), scribe.chain(trunk.last(), 3));
    let mut victim = Victim::comparing(holding(&[trunk, ours].concat()));
    victim.hear(&Message::Vector(vec![record(&theirs[2])])).unwrap();
    let out = victim.hear(&Message::Common { log: scribe.log(), seq: u64::MAX }).unwrap();
    assert!(out.iter().all(|output| sent(output).is_none()));
}

#[derive(Debug, Clone)]
enum Move {
    Say(Message),
    Write,
    Tick,
}

fn a_tip(chain: Vec<Entry>) -> impl Strategy<Value = TipRecord> {
    let known = proptest::sample::select(chain).prop_map(|entry| record(&entry));
    let strange = (0..3_u8, 0..12_u64, any::<u8>()).prop_map(|(log, seq, name)| TipRecord {
        log: LogId([log; 32]),
        tip: Tip { seq, name: EntryName([name; 32]) },
    });
    (known, strange, 0..5_u8, any::<u64>()).prop_map(|(known, strange, which, seq)| match which {
        0 => strange,
        1 => TipRecord { log: known.log, tip: Tip { seq, ..known.tip } },
        2 => TipRecord { log: known.log, tip: Tip { seq: known.tip.seq, ..strange.tip } },
        _ => known,
    })
}

/// Moves of a peer that knows the logs and sticks to no rule.
fn a_move(chain: Vec<Entry>) -> impl Strategy<Value = Move> {
    let tip = a_tip(chain.clone()).boxed();
    let sorted = proptest::collection::btree_set(tip.clone(), 0..6).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    let some = proptest::sample::subsequence(chain.clone(), 0..chain.len());
    let points = proptest::collection::vec(tip.clone(), 0..6);
    let message = prop_oneof![
        1 => proptest::sample::select(one_of_each(&chain[0])),
        4 => sorted.clone().prop_map(Message::Vector),
        4 => some.prop_map(|some| entries(&some)),
        3 => (sorted, 0..4_000_u32).prop_map(|(tips, credit)| Message::Ack { tips, credit }),
        3 => (tip.clone(), points).prop_map(|(record, points)| Message::Probe {
            log: record.log,
            points: points.into_iter().map(|record| record.tip).collect(),
        }),
        3 => tip.clone().prop_map(|record| Message::Common { log: record.log, seq: record.tip.seq }),
        1 => tip.prop_map(|record| Message::Refused { log: record.log, reason: Refusal::Quota }),
    ];
    prop_oneof![8 => message.prop_map(Move::Say), 1 => Just(Move::Write), 1 => Just(Move::Tick)]
}

/// A forked log, a little more of it than the victim begins with.
fn forked_log() -> Vec<Entry> {
    let mut scribe = Scribe::new(12);
    let trunk = scribe.chain(None, 4);
    let (left, right) = (scribe.chain(trunk.last(), 3), scribe.chain(Some(&trunk[1]), 3));
    [trunk, left, right].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_messages_makes_a_session_panic(
        live in any::<bool>(),
        moves in proptest::collection::vec(a_move(forked_log()), 1..24),
    ) {
        let log = forked_log();
        let mut scribe = Scribe::new(13);
        let mut own = scribe.chain(None, 2);
        let begin = holding(&[&log[..6], &own].concat());
        let mut victim = if live { Victim::live(begin) } else { Victim::comparing(begin) };
        for one in moves {
            match one {
                // What ends a session ends it; here it goes on, which is worse than any host does.
                Move::Say(message) => drop(victim.hear(&message)),
                Move::Tick => drop(victim.session.handle(Duration::ZERO, Input::Tick, &mut victim.replica)),
                Move::Write => {
                    own.push(scribe.write(own.last(), 0));
                    victim.write(own.last().unwrap());
                }
            }
        }
        let held = victim.replica.vector().unwrap();
        prop_assert!(held.records().all(|record| victim.replica.holds(&record.log, &record.tip)));
    }
}
