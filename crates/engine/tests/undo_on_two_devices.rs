//! Two devices edit, undo, redo and meet in any order: they end equal, and nobody's word is undone by another's undo.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT, ReadDoc};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_engine::{
    Conversation, CreateOptions, DocumentId, EditError, Effect, Environment, Input, Road, Role, Space, Turn,
    last_change,
};
use ties_store::Store;

const KEYS: [&str; 3] = ["a", "b", "c"];
const DOCUMENTS: u8 = 3;

fn environment(seed: u64) -> Environment {
    Environment::new(|| 1_760_000_000_000, ChaCha20Rng::seed_from_u64(seed))
}

fn two() -> ([Space; 2], Road) {
    let options = CreateOptions { device_name: "one".into(), recovery: false };
    let (one, _) = Space::create_in(Store::in_memory().unwrap(), (), &options, environment(1)).unwrap();
    let relay = ties_sealed_log::RelaySecret::from_secret(&ties_sealed_log::Secret::new([7; 32])).id();
    let address = ties_engine::RelayAddress::new(ties_net::Scheme::Loopback, "127.0.0.1", 7700, relay).unwrap();
    let road = one.offline().add_relay(&address.to_string()).unwrap();
    let other =
        one.offline().admit(&road, Role::Writer, Store::in_memory().unwrap(), (), "another", environment(2)).unwrap();
    let both = [one, other];
    meet(&both, &road);
    (both, road)
}

fn meet([one, other]: &[Space; 2], road: &Road) {
    let mut sides = [one, other].map(|space| Conversation::new(space, road.mailbox, road.relay));
    let mut under_way = sides.each_mut().map(|side| side.start(Duration::ZERO).unwrap().frames);
    while !under_way.iter().all(Vec::is_empty) {
        let [from_one, from_other] = std::mem::take(&mut under_way);
        for (side, (frames, said)) in sides.iter_mut().zip([from_other, from_one].iter().zip(&mut under_way)) {
            let inputs: Vec<_> = frames.iter().map(|frame| Input::Frame(frame)).collect();
            let Turn { frames, .. } = side.handle(Duration::ZERO, &inputs).unwrap();
            *said = frames;
        }
    }
    assert!(sides.iter().all(Conversation::is_settled));
}

#[derive(Debug, Clone)]
enum Step {
    Put { document: u8, key: usize, value: u8 },
    Unset { document: u8, key: usize },
    Remove { document: u8 },
    Undo(usize),
    Redo,
    Meet,
}

fn step() -> impl Strategy<Value = Step> {
    let place = (0..DOCUMENTS, 0..KEYS.len());
    prop_oneof![
        4 => (place.clone(), 0..9u8).prop_map(|((document, key), value)| Step::Put { document, key, value }),
        1 => place.prop_map(|(document, key)| Step::Unset { document, key }),
        1 => (0..DOCUMENTS).prop_map(|document| Step::Remove { document }),
        3 => (1..3usize).prop_map(Step::Undo),
        2 => Just(Step::Redo),
        2 => Just(Step::Meet),
    ]
}

fn id(document: u8) -> DocumentId {
    DocumentId([document + 1; 16])
}

fn shown(document: &Automerge) -> Vec<String> {
    let values = document.map_range(ROOT, ..).map(|item| format!("{}={:?}", item.key, item.value));
    values.chain([format!("{:?}", last_change(document))]).collect()
}

fn state(space: &Space) -> Vec<Option<Vec<String>>> {
    (0..DOCUMENTS).map(|document| space.read(id(document), shown).unwrap()).collect()
}

fn put(space: &Space, document: u8, key: usize, value: u8) {
    // A deleted document is written to no more, as a program would have it.
    space
        .write(|edit| {
            if edit.exists(id(document))? && edit.document(id(document))?.is_none() {
                return Ok(());
            }
            edit.change(id(document), |tx| Ok::<_, EditError>(tx.put(ROOT, KEYS[key], i64::from(value))?))
        })
        .unwrap();
}

fn unset(space: &Space, document: u8, key: usize) {
    space
        .write(|edit| {
            let there = edit.document(id(document))?.is_some_and(|doc| doc.get(ROOT, KEYS[key]).unwrap().is_some());
            if !there {
                return Ok(());
            }
            edit.change(id(document), |tx| Ok::<_, EditError>(tx.delete(ROOT, KEYS[key])?))
        })
        .unwrap();
}

/// Undoes if there is something to undo; whatever comes of it, a redo at once must bring back what was.
fn undo(space: &Space, count: usize) {
    let which = space.undoable(count).unwrap();
    if which.is_empty() {
        return;
    }
    let before = state(space);
    let undone = space.undo("undo", &which, &mut |_, _| {}).unwrap();
    let Some(operation) = undone.operation else {
        assert!(undone.documents.iter().all(|one| one.effect == Effect::None));
        assert_eq!(state(space), before);
        return;
    };
    let after = state(space);
    let redone = space.undo("redo", &[operation], &mut |_, _| {}).unwrap();
    assert!(redone.documents.iter().all(|one| one.kept.is_empty()), "nothing came between");
    assert_eq!(state(space), before, "an undo that is undone was never there");
    let again = space.undo("undo", &[redone.operation.unwrap()], &mut |_, _| {}).unwrap();
    assert!(again.documents.iter().all(|one| one.kept.is_empty()));
    assert_eq!(state(space), after);
}

fn take(both: &[Space; 2], road: &Road, device: usize, step: &Step) {
    let space = &both[device];
    match step {
        Step::Put { document, key, value } => put(space, *document, *key, *value),
        Step::Unset { document, key } => unset(space, *document, *key),
        Step::Remove { document } => drop(space.write(|edit| edit.delete(id(*document))).unwrap()),
        Step::Undo(count) => undo(space, *count),
        Step::Redo => {
            if let Some(which) = space.redoable().unwrap() {
                space.undo("redo", &[which], &mut |_, _| {}).unwrap();
            }
        }
        Step::Meet => meet(both, road),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn devices_that_undo_and_meet_in_any_order_end_equal(steps in prop::collection::vec((0..2usize, step()), 1..40)) {
        let (both, road) = two();
        for (device, step) in &steps {
            take(&both, &road, *device, step);
        }
        meet(&both, &road);
        prop_assert_eq!(state(&both[0]), state(&both[1]));
        let before = both.each_ref().map(state);
        both.iter().for_each(|space| space.rebuild_documents().unwrap());
        prop_assert_eq!(both.each_ref().map(state), before);
    }

    #[test]
    fn undoing_everything_one_did_alone_leaves_nothing(steps in prop::collection::vec(step(), 1..30)) {
        let (both, road) = two();
        for step in steps.iter().filter(|step| !matches!(step, Step::Meet)) {
            take(&both, &road, 0, step);
        }
        while let Some(which) = both[0].undoable(1).unwrap().first() {
            let undone = both[0].undo("undo", &[*which], &mut |_, _| {}).unwrap();
            prop_assert!(undone.documents.iter().all(|one| one.kept.is_empty()));
        }
        prop_assert!(state(&both[0]).iter().all(Option::is_none));
        meet(&both, &road);
        prop_assert!(state(&both[1]).iter().all(Option::is_none));
    }

    #[test]
    fn what_the_other_device_wrote_since_survives_an_undo(
        mine in prop::collection::vec((0..KEYS.len(), 0..9u8), 1..6),
        theirs in prop::collection::vec((0..KEYS.len(), 10..19u8), 1..6),
        met_before in any::<bool>(),
    ) {
        let (both, road) = two();
        put(&both[0], 0, 0, 1);
        meet(&both, &road);
        mine.iter().for_each(|(key, value)| put(&both[0], 0, *key, *value));
        if met_before {
            meet(&both, &road);
        }
        theirs.iter().for_each(|(key, value)| put(&both[1], 0, *key, *value));
        meet(&both, &road);
        let read = |space: &Space, key: usize| {
            let value = |doc: &Automerge| doc.get(ROOT, KEYS[key]).unwrap().map(|(value, _)| value.to_string());
            space.read(id(0), value).unwrap().flatten()
        };
        let before: Vec<_> = (0..KEYS.len()).map(|key| read(&both[0], key)).collect();
        undo(&both[0], mine.len() + 1);
        meet(&both, &road);
        for (key, _) in &theirs {
            prop_assert_eq!(&read(&both[0], *key), &before[*key]);
            prop_assert_eq!(&read(&both[1], *key), &before[*key]);
        }
    }
}
