//! Who may use a mailbox depends on what was said, not on the order in which it came, and a closed key lets nobody in.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use ties_sealed_log::{
    AccessError, AccessList, AccessStatement, CLOSED, GET, MANAGE, MAX_RECOVERY_STATEMENTS, MAX_STATEMENTS, MailboxId,
    PUT, Pseudonym, PseudonymKey, RECOVERY, RelayKey, Secret, StatementBody, StatementName,
};

const KEYS: usize = 6;
const ALL: u8 = PUT | GET | MANAGE;

static PSEUDONYMS: LazyLock<Vec<PseudonymKey>> =
    LazyLock::new(|| (0..90).map(|n| PseudonymKey::from_secret(&Secret::new([n; 32]))).collect());

fn who(n: usize) -> Pseudonym {
    PSEUDONYMS[n].id()
}

fn first(signer: usize) -> AccessStatement {
    let grants = vec![(who(signer), ALL)];
    let body = StatementBody {
        version: 1,
        mailbox: None,
        parents: vec![],
        grants,
        recovery: None,
        random: [1; 32],
        signer: who(signer),
    };
    AccessStatement::sign(body, &PSEUDONYMS[signer])
}

fn next(
    mailbox: MailboxId,
    parents: &[StatementName],
    signer: usize,
    grants: &[(usize, u8)],
    salt: u8,
) -> AccessStatement {
    let mut parents = parents.to_vec();
    parents.sort_unstable();
    parents.dedup();
    let grants: BTreeMap<Pseudonym, u8> = grants.iter().map(|(n, flags)| (who(*n), *flags)).collect();
    let body = StatementBody {
        version: 1,
        mailbox: Some(mailbox),
        parents,
        grants: grants.into_iter().collect(),
        recovery: None,
        random: [salt; 32],
        signer: who(signer),
    };
    let statement = AccessStatement::sign(body, &PSEUDONYMS[signer]);
    AccessStatement::verify(statement.bytes()).unwrap()
}

/// A list that pseudonym 0 began.
struct Story {
    list: AccessList,
    salt: u8,
}

impl Story {
    fn new() -> Self {
        Self { list: AccessList::begin(first(0)).unwrap(), salt: 0 }
    }

    fn root(&self) -> StatementName {
        StatementName(self.list.mailbox().0)
    }

    fn says(
        &mut self,
        signer: usize,
        parents: &[StatementName],
        grants: &[(usize, u8)],
    ) -> Result<StatementName, AccessError> {
        self.salt = self.salt.wrapping_add(1);
        let statement = next(self.list.mailbox(), parents, signer, grants, self.salt);
        let name = statement.name();
        self.list.add(statement).map(|_| name)
    }

    fn flags(&self, n: usize) -> u8 {
        self.list.flags(&who(n))
    }
}

#[test]
fn a_first_statement_begins_a_list_and_no_other() {
    let list = AccessList::begin(first(0)).unwrap();
    assert_eq!(list.mailbox().0, first(0).name().0);
    assert_eq!((list.flags(&who(0)), list.flags(&who(1))), (ALL, 0));
    let later = next(list.mailbox(), &[first(0).name()], 0, &[(1, PUT)], 1);
    assert_eq!(AccessList::begin(later), Err(AccessError::Signer));
    for flags in [PUT | GET, MANAGE | CLOSED] {
        let mut body = first(0).body().clone();
        body.grants = vec![(who(0), flags)];
        let powerless = AccessStatement::sign(body, &PSEUDONYMS[0]);
        assert_eq!(AccessList::begin(powerless), Err(AccessError::Signer));
    }
}

#[test]
fn two_first_statements_are_no_list() {
    assert_eq!(AccessList::from_statements([first(0), first(1)]), Err(AccessError::Mailbox));
    assert_eq!(AccessList::from_statements([]), Err(AccessError::Orphan));
}

#[test]
fn only_managers_are_heard() {
    let mut story = Story::new();
    let root = story.root();
    let grant = story.says(0, &[root], &[(1, PUT | GET), (2, ALL)]).unwrap();
    assert_eq!(story.says(1, &[grant], &[(3, PUT)]), Err(AccessError::Signer), "not a manager");
    assert_eq!(story.says(3, &[grant], &[(3, ALL)]), Err(AccessError::Signer), "a stranger");
    assert_eq!(story.says(2, &[root], &[(3, PUT)]), Err(AccessError::Signer), "not a manager as of its past");
    assert!(story.says(2, &[grant], &[(3, PUT)]).is_ok());
    assert_eq!(story.says(2, &[StatementName([9; 32])], &[(4, PUT)]), Err(AccessError::Orphan));
    let elsewhere = next(MailboxId([9; 32]), &[root], 0, &[(4, PUT)], 1);
    assert_eq!(story.list.add(elsewhere), Err(AccessError::Mailbox));
}

#[test]
fn a_close_beats_what_is_beside_it_until_somebody_who_knows_it_lifts_it() {
    let mut story = Story::new();
    let root = story.root();
    let grant = story.says(0, &[root], &[(1, PUT | GET), (2, ALL)]).unwrap();
    let close = story.says(0, &[grant], &[(1, CLOSED)]).unwrap();
    let beside = story.says(2, &[grant], &[(1, PUT)]).unwrap();
    assert_eq!(story.flags(1), CLOSED);
    story.says(0, &[close, beside], &[(1, GET)]).unwrap();
    assert_eq!(story.flags(1), GET);
}

#[test]
fn grants_side_by_side_add_up_and_later_ones_replace() {
    let mut story = Story::new();
    let root = story.root();
    let one = story.says(0, &[root], &[(1, PUT)]).unwrap();
    let other = story.says(0, &[root], &[(1, GET)]).unwrap();
    assert_eq!(story.flags(1), PUT | GET);
    story.says(0, &[one, other], &[(1, PUT)]).unwrap();
    assert_eq!(story.flags(1), PUT);
}

#[test]
fn what_a_closed_key_grants_beside_its_close_is_void() {
    let mut story = Story::new();
    let root = story.root();
    let grant = story.says(0, &[root], &[(1, ALL)]).unwrap();
    let before = story.says(1, &[grant], &[(2, PUT | GET)]).unwrap();
    let close = story.says(0, &[before], &[(1, CLOSED)]).unwrap();
    assert_eq!(story.flags(2), PUT | GET, "what it did before stands");
    let puppet = story.says(1, &[before], &[(3, ALL)]).unwrap();
    assert_eq!(story.flags(3), 0, "what it did beside does not");
    story.says(3, &[puppet], &[(4, ALL), (3, ALL)]).unwrap();
    assert_eq!((story.flags(3), story.flags(4)), (0, 0), "nor what hangs on it");
    assert_eq!(story.says(1, &[close], &[(5, PUT)]), Err(AccessError::Signer), "and after it, nothing is heard");
}

#[test]
fn voiding_a_statement_gives_back_nothing_that_it_took() {
    let mut story = Story::new();
    let root = story.root();
    let grant = story.says(0, &[root], &[(1, ALL), (2, ALL), (3, ALL)]).unwrap();
    // 2 takes from 3; then the closed 1 closes 2 with an earlier date.
    story.says(2, &[grant], &[(3, GET)]).unwrap();
    story.says(0, &[grant], &[(1, CLOSED)]).unwrap();
    assert_eq!(story.flags(3), GET);
    story.says(1, &[grant], &[(2, CLOSED)]).unwrap();
    assert_eq!((story.flags(2), story.flags(3)), (CLOSED, GET));
}

#[test]
fn managers_who_close_each_other_are_both_closed() {
    let mut story = Story::new();
    let root = story.root();
    let grant = story.says(0, &[root], &[(1, ALL), (2, ALL)]).unwrap();
    story.says(1, &[grant], &[(2, CLOSED)]).unwrap();
    story.says(2, &[grant], &[(1, CLOSED)]).unwrap();
    assert_eq!((story.flags(0), story.flags(1), story.flags(2)), (ALL, CLOSED, CLOSED));
}

const RELAY: RelayKey = RelayKey([7; 32]);
/// The pseudonyms that stand for the recovery key before and after its replacement.
const WORDS: usize = 80;
const NEW_WORDS: usize = 81;

/// A list that pseudonym 0 began, with a recovery key, and on which pseudonyms 0 to 3 manage.
fn recoverable() -> (Story, StatementName) {
    let mut body = first(0).body().clone();
    body.recovery = Some(who(WORDS).recovery_mark(&RELAY));
    let list = AccessList::begin(AccessStatement::sign(body, &PSEUDONYMS[0])).unwrap();
    let mut story = Story { list, salt: 0 };
    let root = story.root();
    let grant = story.says(0, &[root], &[(1, ALL), (2, ALL), (3, ALL)]).unwrap();
    (story, grant)
}

/// A statement by the recovery key `signer`, which may name the mark of its successor.
fn by_words(
    story: &mut Story,
    signer: usize,
    parents: &[StatementName],
    grants: &[(usize, u8)],
    successor: Option<usize>,
) -> Result<StatementName, AccessError> {
    story.salt = story.salt.wrapping_add(1);
    let mut body = next(story.list.mailbox(), parents, signer, grants, story.salt).body().clone();
    body.recovery = Some(RELAY.0);
    body.grants.extend(successor.map(|n| (Pseudonym(who(n).recovery_mark(&RELAY)), RECOVERY)));
    let signed = AccessStatement::sign(body, &PSEUDONYMS[signer]);
    let statement = AccessStatement::verify(signed.bytes())?;
    story.list.add(statement.clone())?;
    Ok(statement.name())
}

#[test]
fn the_recovery_key_is_heard_and_nobody_who_only_says_to_be_it() {
    let (mut story, grant) = recoverable();
    assert_eq!(by_words(&mut story, 5, &[grant], &[(5, ALL)], None), Err(AccessError::Signer));
    assert_eq!(by_words(&mut story, 1, &[grant], &[(5, ALL)], None), Err(AccessError::Signer), "not even a manager");
    assert_eq!(story.says(WORDS, &[grant], &[(5, ALL)]), Err(AccessError::Signer), "it has to say who it is");
    by_words(&mut story, WORDS, &[grant], &[(5, ALL), (1, CLOSED)], None).unwrap();
    assert_eq!((story.flags(5), story.flags(1), story.flags(2)), (ALL, CLOSED, ALL));
    assert!(Story::new().list.recovery().is_empty());
}

#[test]
fn whom_the_recovery_key_lets_in_no_manager_beside_it_shuts_out() {
    let (mut story, grant) = recoverable();
    // The thief holds 3: it has shut out everybody, and does so again with an earlier date.
    let coup = story.says(3, &[grant], &[(0, CLOSED), (1, CLOSED), (2, 0), (6, ALL)]).unwrap();
    let kept = [(0, ALL), (1, ALL), (2, ALL), (3, CLOSED), (6, CLOSED)];
    let words = by_words(&mut story, WORDS, &[coup], &kept, None).unwrap();
    let back = |story: &Story| {
        assert_eq!([0, 1, 2, 3, 6].map(|n| story.flags(n)), [ALL, ALL, ALL, CLOSED, CLOSED]);
    };
    back(&story);
    let puppet = story.says(3, &[grant], &[(0, CLOSED), (1, GET), (7, ALL)]).unwrap();
    story.says(3, &[coup], &[(2, CLOSED), (8, ALL)]).unwrap();
    story.says(7, &[puppet], &[(0, CLOSED)]).unwrap();
    back(&story);
    assert_eq!((story.flags(7), story.flags(8)), (0, 0));
    assert_eq!(story.says(3, &[words], &[(0, CLOSED)]), Err(AccessError::Signer));
    story.says(0, &[words], &[(1, CLOSED), (5, ALL)]).unwrap();
    assert_eq!((story.flags(1), story.flags(5)), (CLOSED, ALL), "and life goes on");
    let all = story.list.statements().into_iter().rev().cloned();
    assert_eq!(AccessList::from_statements(all).unwrap(), story.list);
}

#[test]
fn a_replaced_recovery_key_says_nothing_more_whatever_date_it_gives() {
    let (mut story, grant) = recoverable();
    let before = by_words(&mut story, WORDS, &[grant], &[(4, ALL)], None).unwrap();
    let change = by_words(&mut story, WORDS, &[before], &[], Some(NEW_WORDS)).unwrap();
    assert_eq!(story.list.recovery(), [who(NEW_WORDS).recovery_mark(&RELAY)].into());
    assert_eq!(story.flags(4), ALL, "what it said before stands");
    assert_eq!(by_words(&mut story, WORDS, &[change], &[(5, ALL)], None), Err(AccessError::Signer));
    by_words(&mut story, WORDS, &[grant], &[(5, ALL), (0, CLOSED)], None).unwrap();
    assert_eq!((story.flags(5), story.flags(0)), (0, ALL), "beside its replacement it is not heard");
    by_words(&mut story, NEW_WORDS, &[change], &[(5, ALL)], None).unwrap();
    assert_eq!(story.flags(5), ALL);
    assert!(!story.list.members().contains_key(&Pseudonym(who(NEW_WORDS).recovery_mark(&RELAY))));
}

#[test]
fn only_the_recovery_key_names_its_successor() {
    let (story, grant) = recoverable();
    let mut body = next(story.list.mailbox(), &[grant], 1, &[], 9).body().clone();
    body.grants = vec![(Pseudonym(who(NEW_WORDS).recovery_mark(&RELAY)), RECOVERY)];
    let signed = AccessStatement::sign(body.clone(), &PSEUDONYMS[1]);
    assert_eq!(AccessStatement::verify(signed.bytes()), Err(AccessError::Shape));
    body.grants = vec![(who(1), RECOVERY | PUT)];
    body.recovery = Some(RELAY.0);
    let signed = AccessStatement::sign(body, &PSEUDONYMS[1]);
    assert_eq!(AccessStatement::verify(signed.bytes()), Err(AccessError::Shape));
}

#[test]
fn a_full_list_still_takes_what_the_recovery_key_says() {
    let (mut story, mut last) = recoverable();
    while let Ok(name) = story.says(3, &[last], &[(4, PUT)]) {
        last = name;
        assert!(story.list.statements().len() <= MAX_STATEMENTS);
    }
    by_words(&mut story, WORDS, &[last], &[(3, CLOSED)], None).unwrap();
    assert_eq!(story.flags(3), CLOSED);
    for _ in 1..MAX_RECOVERY_STATEMENTS {
        by_words(&mut story, WORDS, &[last], &[(5, PUT)], None).unwrap();
    }
    assert_eq!(by_words(&mut story, WORDS, &[last], &[(5, PUT)], None), Err(AccessError::Shape));
}

#[test]
fn a_mailbox_has_room_for_so_many_statements() {
    let mut story = Story::new();
    let mut last = story.root();
    for n in 1..MAX_STATEMENTS {
        let statement = next(story.list.mailbox(), &[last], 0, &[(1 + n % 80, PUT)], n as u8);
        last = statement.name();
        assert_eq!(story.list.add(statement.clone()), Ok(true));
        assert_eq!(story.list.add(statement), Ok(false));
    }
    let one_more = next(story.list.mailbox(), &[last], 0, &[], 0);
    assert_eq!(story.list.add(one_more), Err(AccessError::Shape));
    let mut all: Vec<_> = story.list.statements().into_iter().cloned().collect();
    all.reverse();
    assert_eq!(AccessList::from_statements(all).unwrap(), story.list);
}

#[test]
fn heads_are_never_more_than_a_statement_may_name() {
    let mut story = Story::new();
    let root = story.root();
    for n in 0..100 {
        story.says(0, &[root], &[(1 + n % 80, PUT)]).unwrap();
    }
    let heads = story.list.heads();
    assert_eq!(heads.len(), 64);
    story.says(0, &heads, &[(5, GET)]).unwrap();
    assert_eq!(story.list.heads().len(), 37);
}

/// Who says it, upon what, and what.
type Saying = (usize, Vec<prop::sample::Index>, Vec<(usize, u8)>);

/// Anybody says anything upon anything that is there.
fn sayings(signers: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Saying>> {
    let flags = prop_oneof![1 => 0u8..16, 2 => Just(ALL), 1 => Just(CLOSED)];
    let grants = prop::collection::vec((0..KEYS, flags), 0..4);
    prop::collection::vec((signers, prop::collection::vec(any::<prop::sample::Index>(), 1..4), grants), 0..16)
}

/// Says what is heard, and gives the statements back.
fn tell(list: &mut AccessList, upon: &mut Vec<StatementName>, sayings: &[Saying], salt: u8) {
    for (number, (signer, parents, grants)) in sayings.iter().enumerate() {
        let parents: Vec<_> = parents.iter().map(|index| upon[index.index(upon.len())]).collect();
        let statement = next(list.mailbox(), &parents, *signer, grants, salt + number as u8);
        if list.add(statement.clone()) == Ok(true) {
            upon.push(statement.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_list_does_not_depend_on_the_order(sayings in sayings(0..KEYS), seed: u64) {
        let mut list = AccessList::begin(first(0)).unwrap();
        let mut names = vec![first(0).name()];
        tell(&mut list, &mut names, &sayings, 0);
        let mut shuffled: Vec<_> = list.statements().into_iter().cloned().collect();
        let mut state = seed;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        let again = AccessList::from_statements(shuffled).unwrap();
        prop_assert_eq!(&again, &list);
        prop_assert_eq!(again.digest(), list.digest());
        prop_assert_eq!(again.members(), list.members());
    }

    /// Pseudonym 1 is a manager whose key is stolen. It is closed by 0, who knows all of `before`. Whatever the thief
    /// then signs with that key and with puppets' keys, upon whatever is older, nobody may do more than before.
    #[test]
    fn a_closed_key_gives_nobody_anything(before in sayings(0..4), theft in sayings(1..2), puppets in sayings(1..KEYS)) {
        let mut list = AccessList::begin(first(0)).unwrap();
        let mailbox = list.mailbox();
        let all = next(mailbox, &[first(0).name()], 0, &[(1, ALL), (2, ALL)], 200);
        list.add(all.clone()).unwrap();
        let mut older = vec![first(0).name(), all.name()];
        // Nobody closes the founder in this story, or there is no story.
        let before: Vec<_> = before.into_iter().map(|(signer, parents, mut grants)| {
            grants.retain(|(n, _)| *n != 0);
            (signer, parents, grants)
        }).collect();
        tell(&mut list, &mut older, &before, 0);
        // Keys 3 and up belong to the thief from here on, and are closed as well if they were on the list.
        let closes: Vec<_> = [1, 3, 4, 5].map(|n| (n, CLOSED)).into_iter().collect();
        let close = next(mailbox, &list.heads(), 0, &closes, 201);
        list.add(close).unwrap();
        let settled = list.members();
        let stolen = |sayings: Vec<_>| sayings.into_iter().filter(|(signer, ..): &Saying| *signer != 2).collect::<Vec<_>>();
        tell(&mut list, &mut older, &stolen(theft), 50);
        tell(&mut list, &mut older, &stolen(puppets), 100);
        for (pseudonym, flags) in list.members() {
            let had = settled.get(&pseudonym).copied().unwrap_or(0);
            prop_assert!(flags & CLOSED != 0 || flags & !had == 0, "{pseudonym:?} had {had} and has {flags}");
        }
    }
}
