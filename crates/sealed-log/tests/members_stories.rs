//! Who belongs, in stories: each is told once, and holds in whatever order its entries arrive.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use support::story::{DESK, FRESH, LAPTOP, PHONE, PUPPET, ROOT, Say, Story, TABLET, id, pin, recovery, roles};
use ties_sealed_log::{DeviceId, EpochId, KnownEpoch, Role};

use Role::{Admin, Reader, Writer};

/// The laptop made the space; phone and tablet are admins too, and all know it.
fn three_admins() -> Story {
    let mut story = Story::default();
    story.say(LAPTOP, Say::Add(PHONE, Admin));
    story.say(LAPTOP, Say::Add(TABLET, Admin));
    story.all_meet(&[LAPTOP, PHONE, TABLET]);
    story
}

fn now<const N: usize>(roles: [(usize, Role); N]) -> BTreeMap<usize, Role> {
    BTreeMap::from(roles)
}

#[test]
fn mutual_removal_shuts_out_both() {
    let mut story = three_admins();
    story.say(PHONE, Say::Revoke(TABLET, vec![]));
    story.say(TABLET, Say::Revoke(PHONE, vec![]));
    assert_eq!(story.roles(), now([(LAPTOP, Admin)]));
    let members = story.members();
    let removed: BTreeMap<_, _> = members.removed().collect();
    assert_eq!(removed[&id(PHONE)].by, [id(TABLET)]);
    assert_eq!(removed[&id(TABLET)].by, [id(PHONE)]);
    assert!(members.certificate(&id(PHONE)).is_some(), "its logs can still be verified");
}

#[test]
fn a_sock_puppet_goes_with_its_master() {
    let mut story = three_admins();
    story.say(PHONE, Say::Revoke(TABLET, vec![]));
    // The tablet has not heard of it, or says so, and lets in a puppet that is to stay behind.
    story.say(TABLET, Say::Add(PUPPET, Admin));
    story.meet(TABLET, PUPPET);
    story.say(PUPPET, Say::Add(DESK, Admin));
    story.say(PUPPET, Say::SetRole(LAPTOP, Admin));
    assert_eq!(roles(&story.seen_by(PUPPET)).len(), 5, "nobody there knows of the removal");
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin)]));
    let members = story.members();
    let puppet = members.removed().find(|(device, _)| **device == id(PUPPET)).unwrap().1;
    assert_eq!(puppet.by, [id(PHONE)], "who removed its master");
    assert!(!puppet.retired);
}

#[test]
fn who_was_removed_is_added_again_only_by_who_knows_of_it() {
    let mut story = three_admins();
    story.say(PHONE, Say::Revoke(TABLET, vec![]));
    story.say(LAPTOP, Say::Add(TABLET, Writer));
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin)]), "the laptop had not heard");
    story.meet(LAPTOP, PHONE);
    story.say(LAPTOP, Say::Add(TABLET, Writer));
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin), (TABLET, Writer)]));
    assert_eq!(story.members().removed().count(), 0);
    // A second removal, by somebody who has not heard of the new admission, wins again.
    story.say(PHONE, Say::Revoke(TABLET, vec![]));
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin)]));
}

#[test]
fn of_two_resets_those_stand_that_both_list() {
    let mut story = three_admins();
    story.say(LAPTOP, Say::Reset(vec![LAPTOP, PHONE], 0));
    story.say(PHONE, Say::Reset(vec![PHONE, TABLET], 0));
    assert_eq!(story.roles(), now([(PHONE, Admin)]));
    // The laptop stood in its own reset. What it does there adds nobody and removes nobody.
    story.say(LAPTOP, Say::Add(PUPPET, Admin));
    story.say(LAPTOP, Say::Revoke(PHONE, vec![]));
    assert_eq!(story.roles(), now([(PHONE, Admin)]));
    // A third that knows of both puts an end to it.
    story.all_meet(&[PHONE]);
    story.say(PHONE, Say::Reset(vec![LAPTOP, PHONE, TABLET], 0));
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin), (TABLET, Admin)]));
}

#[test]
fn a_removal_after_one_of_two_resets_still_counts() {
    let mut story = three_admins();
    story.say(LAPTOP, Say::Reset(vec![LAPTOP, PHONE, TABLET], 0));
    story.say(LAPTOP, Say::Revoke(TABLET, vec![]));
    story.say(PHONE, Say::Reset(vec![LAPTOP, PHONE, TABLET], 0));
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin)]));
}

#[test]
fn whom_a_sponsor_let_in_before_its_removal_stays() {
    let mut story = three_admins();
    story.say(TABLET, Say::Add(DESK, Writer));
    story.meet(TABLET, PHONE);
    story.say(PHONE, Say::Revoke(TABLET, vec![]));
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin), (DESK, Writer)]));
    // Whom it lets in beside the removal does not.
    story.say(TABLET, Say::Add(PUPPET, Writer));
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin), (DESK, Writer)]));
}

#[test]
fn who_is_lowered_decides_nothing_beside_it() {
    let mut story = three_admins();
    let lowered = story.say(PHONE, Say::SetRole(TABLET, Reader));
    story.say(TABLET, Say::Add(PUPPET, Writer));
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin), (TABLET, Reader)]));
    assert_eq!(story.members().reader_since(&id(TABLET)), [lowered]);
    assert!(!story.members().may_write(&id(TABLET)));
    // Beside it the laptop makes the tablet a writer: the lower role wins.
    story.say(LAPTOP, Say::SetRole(TABLET, Writer));
    assert_eq!(story.roles()[&TABLET], Reader);
    // Who knows of all that raises it again.
    story.all_meet(&[PHONE]);
    story.say(PHONE, Say::SetRole(TABLET, Admin));
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin), (TABLET, Admin)]));
    assert!(story.members().reader_since(&id(TABLET)).is_empty());
}

#[test]
fn an_admin_who_was_offline_still_counts() {
    let mut story = three_admins();
    story.say(TABLET, Say::Add(DESK, Writer));
    story.say(LAPTOP, Say::Add(FRESH, Reader));
    story.say(LAPTOP, Say::Rename(PHONE, "my phone"));
    story.meet(LAPTOP, PHONE);
    story.say(PHONE, Say::Retire(PHONE));
    // Months later the tablet comes back.
    let members = story.members();
    assert_eq!(roles(&members), now([(LAPTOP, Admin), (TABLET, Admin), (DESK, Writer), (FRESH, Reader)]));
    let phone = members.removed().find(|(device, _)| **device == id(PHONE)).unwrap().1;
    assert!(phone.retired);
    assert_eq!((phone.member.name.as_str(), phone.by.as_slice()), ("my phone", &[id(PHONE)][..]));
    assert_eq!(members.heads().len(), 2);
}

#[test]
fn a_back_dated_removal_counts_as_if_it_had_come_in_time() {
    let mut story = three_admins();
    story.say(LAPTOP, Say::Revoke(TABLET, vec![3]));
    story.all_meet(&[LAPTOP, PHONE, TABLET]);
    story.say(TABLET, Say::Revoke(LAPTOP, vec![]));
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin)]), "it is no admin any more");
    // So it pretends not to have heard. Nobody can tell that from the truth: the laptop is out as well.
    let admitted = story.entries[1].name;
    story.say_upon(TABLET, &[admitted], Say::Revoke(LAPTOP, vec![]));
    story.say_upon(TABLET, &[admitted], Say::Add(PUPPET, Admin));
    assert_eq!(story.roles(), now([(PHONE, Admin)]));
}

#[test]
fn of_two_rotations_beside_each_other_both_count_and_one_is_chosen() {
    let mut story = three_admins();
    let all = |devices: &[usize]| -> Vec<DeviceId> {
        let ids = devices.iter().map(|device| id(*device));
        ids.chain([recovery(0).certificate().id()]).collect()
    };
    let three = all(&[LAPTOP, PHONE, TABLET]);
    let one = story.say(PHONE, Say::Rotate(three.clone()));
    let other = story.say(TABLET, Say::Rotate(three.clone()));
    let forgetful = story.say(LAPTOP, Say::Rotate(all(&[LAPTOP, PHONE])));
    let members = story.members();
    assert!(members.rotate_counts(&one) && members.rotate_counts(&other));
    assert!(!members.rotate_counts(&forgetful), "a member was left out");
    let epoch = |byte, generation, devices: &[usize]| KnownEpoch {
        id: EpochId([byte; 32]),
        generation,
        recipients: all(devices),
        counts: true,
    };
    let epochs = [epoch(9, 1, &[LAPTOP, PHONE, TABLET]), epoch(8, 1, &[LAPTOP, PHONE, TABLET])];
    assert_eq!(members.epoch_to_seal(&epochs), Some(EpochId([8; 32])));
    // The phone removes the tablet and rotates. The tablet's rotation still counts, and nobody seals under it.
    story.say(PHONE, Say::Revoke(TABLET, vec![]));
    let rotated = story.say(PHONE, Say::Rotate(all(&[LAPTOP, PHONE])));
    let late = story.say(TABLET, Say::Rotate(three));
    let members = story.members();
    assert!(members.rotate_counts(&rotated) && members.rotate_counts(&late));
    assert_eq!(members.epoch_to_seal(&epochs), None, "rotate first");
    let epochs = [epochs[0].clone(), epoch(10, 2, &[LAPTOP, PHONE]), epoch(7, 3, &[LAPTOP])];
    assert_eq!(members.epoch_to_seal(&epochs), Some(EpochId([10; 32])));
}

#[test]
fn a_reader_rotates_nothing_and_a_writer_may() {
    let mut story = Story::default();
    story.say(LAPTOP, Say::Add(PHONE, Writer));
    story.say(LAPTOP, Say::Add(DESK, Reader));
    story.all_meet(&[LAPTOP, PHONE, DESK]);
    let mut all: Vec<_> = [LAPTOP, PHONE, DESK].map(id).to_vec();
    all.push(recovery(0).certificate().id());
    let (by_reader, by_writer) = (story.say(DESK, Say::Rotate(all.clone())), story.say(PHONE, Say::Rotate(all)));
    let members = story.members();
    assert!(!members.rotate_counts(&by_reader) && members.rotate_counts(&by_writer));
}

#[test]
fn the_first_epoch_is_the_founders_and_has_no_parents() {
    let mut story = Story::default();
    let recipients = vec![id(LAPTOP), recovery(0).certificate().id()];
    let first = story.say_upon(LAPTOP, &[], Say::Rotate(recipients.clone()));
    let wide = story.say_upon(LAPTOP, &[], Say::Rotate([recipients.clone(), vec![id(PUPPET)]].concat()));
    let foreign = story.say_upon(PUPPET, &[], Say::Rotate(recipients));
    let members = story.members();
    assert!(members.rotate_counts(&first) && !members.rotate_counts(&wide) && !members.rotate_counts(&foreign));
    assert_eq!(members.heads(), [ROOT], "nothing follows it");
}

/// A member whose wrap is missing from the chosen epoch gets the key by a share: the epoch stays in use.
#[test]
fn an_epoch_that_a_newcomer_lacks_is_still_the_one_to_seal_under() {
    let mut story = three_admins();
    let recipients: Vec<_> = [LAPTOP, PHONE, TABLET].map(id).to_vec();
    let epoch = KnownEpoch { id: EpochId([1; 32]), generation: 0, recipients, counts: true };
    story.say(LAPTOP, Say::Add(DESK, Writer));
    assert_eq!(story.members().epoch_to_seal([&epoch]), Some(epoch.id));
    assert_eq!(story.members().epoch_to_seal([&KnownEpoch { counts: false, ..epoch }]), None);
}

#[test]
fn a_stolen_founder_is_powerless_against_the_words() {
    let mut story = three_admins();
    // The thief of the laptop shuts everybody out, and lets in a device of its own.
    story.say(LAPTOP, Say::Revoke(PHONE, vec![]));
    story.say(LAPTOP, Say::Revoke(TABLET, vec![]));
    story.say(LAPTOP, Say::Add(PUPPET, Admin));
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PUPPET, Admin)]));
    // The words overrule it: the phone, which is no member any more, says who belongs.
    story.all_meet(&[PHONE, PUPPET]);
    let reset = story.say(PHONE, Say::Reset(vec![PHONE, TABLET], 0));
    let freed = now([(PHONE, Admin), (TABLET, Admin)]);
    assert_eq!(story.roles(), freed);
    // Nothing that the thief writes now changes anything, whatever it pretends to know.
    let before = story.entries[1].name;
    for parents in [&[ROOT][..], &[before], &[reset], &[before, reset]] {
        for (author, target) in [(LAPTOP, PHONE), (PUPPET, TABLET), (LAPTOP, TABLET)] {
            story.say_upon(author, parents, Say::Revoke(target, vec![]));
            story.say_upon(author, parents, Say::Add(PUPPET, Admin));
            story.say_upon(author, parents, Say::SetRole(target, Reader));
            story.say_upon(author, parents, Say::Reset(vec![PUPPET], 1));
        }
    }
    assert_eq!(story.roles(), freed);
    let members = story.members();
    let laptop = members.removed().find(|(device, _)| **device == id(LAPTOP)).unwrap().1;
    assert_eq!((laptop.entries.as_slice(), laptop.by.as_slice()), (&[reset][..], &[id(PHONE)][..]));
    assert!(members.certificate(&id(PUPPET)).is_some());
}

#[test]
fn the_words_let_a_fresh_device_in_and_wrong_words_do_not() {
    let mut story = three_admins();
    story.say_upon(FRESH, &[ROOT], Say::Admit(Admin, 1));
    assert!(!story.roles().contains_key(&FRESH), "other words");
    story.say_upon(FRESH, &[ROOT], Say::Admit(Admin, 0));
    assert_eq!(story.roles()[&FRESH], Admin);
    let members = story.members();
    assert_eq!(members.get(&id(FRESH)).unwrap().added_by, id(FRESH));
    assert_eq!(members.founder(), &id(LAPTOP));
    // A removal that it had not heard of shuts it out like any other device; it may come in again.
    let removed = story.say_upon(LAPTOP, &[story.entries[0].name], Say::Revoke(FRESH, vec![]));
    assert!(!story.roles().contains_key(&FRESH));
    story.say_upon(FRESH, &[removed], Say::Admit(Writer, 0));
    assert_eq!(story.roles()[&FRESH], Writer);
}

#[test]
fn nobody_can_copy_an_admission_or_a_reset_into_another_log() {
    for author in [TABLET, PUPPET] {
        let mut story = three_admins();
        story.say_upon(FRESH, &[ROOT], Say::Admit(Admin, 0));
        story.say(PHONE, Say::Reset(vec![PHONE], 0));
        // The signed words alone, in another's log.
        for (number, copy) in story.entries[2..].iter_mut().enumerate() {
            copy.author = id(author);
            copy.name.0[0] ^= 1 + number as u8;
        }
        assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin), (TABLET, Admin)]));
    }
}

#[test]
fn new_words_make_the_old_ones_worthless() {
    let mut story = three_admins();
    story.say_upon(FRESH, &[ROOT], Say::Admit(Writer, 0));
    story.all_meet(&[LAPTOP]);
    let changed = story.say(LAPTOP, Say::ChangeWords(0, 1));
    assert_eq!(story.members().recovery(), [recovery(1).certificate()]);
    assert_eq!(story.roles()[&FRESH], Writer, "admitted before");
    // Whoever finds the old words: beside the change, or after it, they do nothing.
    for parents in [&[ROOT][..], &[changed]] {
        story.say_upon(PUPPET, parents, Say::Admit(Admin, 0));
        story.say_upon(TABLET, parents, Say::Reset(vec![TABLET], 0));
    }
    story.say_upon(TABLET, &[changed], Say::ChangeWords(0, 2));
    let all = now([(LAPTOP, Admin), (PHONE, Admin), (TABLET, Admin), (FRESH, Writer)]);
    assert_eq!(story.roles(), all);
    assert_eq!(story.members().recovery(), [recovery(1).certificate()]);
    // The new ones do.
    story.all_meet(&[PHONE]);
    story.say(PHONE, Say::Reset(vec![PHONE], 1));
    assert_eq!(story.roles(), now([(PHONE, Admin)]));
}

/// Nothing tells who had the right to change the words: neither change counts for more, and nobody gains by it.
#[test]
fn two_changes_of_the_words_beside_each_other_leave_none() {
    let mut story = three_admins();
    story.say(PHONE, Say::ChangeWords(0, 1));
    story.say(TABLET, Say::ChangeWords(0, 2));
    assert!(story.members().recovery().is_empty());
    for words in 0..3 {
        story.say(PHONE, Say::Reset(vec![PHONE], words));
        story.say(TABLET, Say::Reset(vec![TABLET], words));
    }
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Admin), (TABLET, Admin)]));
}

#[test]
fn the_pins_of_several_removers_add_up() {
    let mut story = three_admins();
    story.say(LAPTOP, Say::Revoke(TABLET, vec![4, 2]));
    story.say(PHONE, Say::Revoke(TABLET, vec![7, 4]));
    let members = story.members();
    let tablet = members.removed().find(|(device, _)| **device == id(TABLET)).unwrap().1;
    assert_eq!(tablet.pins, [2, 4, 7].map(|seq| pin(TABLET, seq)));
    let mut by = vec![id(LAPTOP), id(PHONE)];
    by.sort_unstable();
    assert_eq!((&tablet.by, tablet.retired), (&by, false));
    // It signed itself off as well: a revoke outweighs that.
    story.say(TABLET, Say::Retire(TABLET));
    assert!(!story.members().removed().next().unwrap().1.retired);
}

#[test]
fn only_an_admin_or_the_device_itself_gives_a_name() {
    let mut story = Story::default();
    story.say(LAPTOP, Say::Add(PHONE, Writer));
    story.say(LAPTOP, Say::Add(DESK, Reader));
    story.all_meet(&[LAPTOP, PHONE, DESK]);
    story.say(PHONE, Say::Rename(DESK, "mine"));
    assert_eq!(story.members().get(&id(DESK)).unwrap().name, "3 by 0");
    story.say(DESK, Say::Rename(DESK, "desk"));
    assert_eq!(story.members().get(&id(DESK)).unwrap().name, "desk");
    story.all_meet(&[LAPTOP]);
    story.say(LAPTOP, Say::Rename(DESK, "office"));
    assert_eq!(story.members().get(&id(DESK)).unwrap().name, "office");
}

#[test]
fn a_member_signs_itself_off_and_nobody_else_without_leave() {
    let mut story = Story::default();
    story.say(LAPTOP, Say::Add(PHONE, Writer));
    story.say(LAPTOP, Say::Add(DESK, Reader));
    story.all_meet(&[PHONE, DESK]);
    story.say(PHONE, Say::Retire(DESK));
    story.say(PHONE, Say::Revoke(LAPTOP, vec![]));
    assert_eq!(story.roles().len(), 3);
    story.say(DESK, Say::Retire(DESK));
    assert_eq!(story.roles(), now([(LAPTOP, Admin), (PHONE, Writer)]));
}

/// Entries beyond the bound say nothing, and what is said upon them neither.
#[test]
fn a_log_has_a_bounded_number_of_words() {
    let mut story = three_admins();
    let late = story.say(PHONE, Say::Add(DESK, Writer));
    story.entries.last_mut().unwrap().number = 512;
    story.say_upon(PHONE, &[late], Say::Add(PUPPET, Writer));
    story.entries.last_mut().unwrap().number = 513;
    let beyond = story.entries.last().unwrap().name;
    story.say_upon(LAPTOP, &[beyond], Say::Add(FRESH, Writer));
    let all = now([(LAPTOP, Admin), (PHONE, Admin), (TABLET, Admin), (DESK, Writer)]);
    assert_eq!(story.roles(), all);
    assert_eq!(story.members().heads(), [late]);
}

#[test]
fn the_level_rises_by_an_admins_word_and_falls_by_a_reset_alone() {
    let mut story = three_admins();
    assert_eq!(story.members().level(), 1);
    story.say(LAPTOP, Say::Add(DESK, Writer));
    story.all_meet(&[LAPTOP, DESK]);
    story.say(DESK, Say::Raise(9));
    assert_eq!(story.members().level(), 1, "a writer's word does not count");
    story.say(TABLET, Say::Raise(3));
    story.say(PHONE, Say::Raise(2));
    assert_eq!(story.members().level(), 3);
    // The tablet was stolen; beside its removal its word is nothing.
    story.say(LAPTOP, Say::Revoke(TABLET, vec![]));
    assert_eq!(story.members().level(), 2);
    // Whoever knew the raise when it removed the tablet leaves it in place.
    let mut story = three_admins();
    story.say(TABLET, Say::Raise(3));
    story.all_meet(&[LAPTOP, TABLET]);
    story.say(LAPTOP, Say::Revoke(TABLET, vec![]));
    assert_eq!(story.members().level(), 3);
    story.say(LAPTOP, Say::Reset(vec![LAPTOP], 0));
    assert_eq!(story.members().level(), 1);
}
