//! What a script can rely on: exit codes, candidates, and that a refusal wrote nothing.

use crate::support::{Running, World, cards};

#[test]
fn a_name_of_several_people_is_refused_with_candidates_and_nothing_is_written() {
    let world = World::new();
    let laptop = world.started("laptop");
    laptop.run(&["new", "Ada Lovelace", "ada@engine.example"]).ok();
    laptop.run(&["new", "Byron Lovelace", "byron@engine.example"]).ok();
    let before = laptop.export();
    for verb in [&["show"][..], &["note", "--fact"], &["edit", "--print"], &["rm", "--yes"]] {
        let words = [verb, &["lovelace"], if verb[0] == "note" { &["which one?"] } else { &[] }].concat();
        laptop.run(&words).code(4).complains("Ada Lovelace").complains("Byron Lovelace");
    }
    let told = laptop.run(&["note", "lovelace", "which one?", "--json"]).code(4);
    let error: serde_json::Value = serde_json::from_str(&told.err).unwrap();
    assert_eq!(error["error"]["kind"], "ambiguous");
    assert_eq!(error["error"]["candidates"].as_array().unwrap().len(), 2, "{error}");
    assert_eq!(laptop.export(), before);
}

#[test]
fn nobody_of_that_name_is_a_code_of_its_own() {
    let world = World::new();
    let laptop = world.started("laptop");
    let before = laptop.export();
    for words in
        [&["show", "xerxes"][..], &["note", "xerxes", "hi"], &["edit", "xerxes", "--print"], &["rm", "xerxes", "-y"]]
    {
        laptop.run(words).code(3).complains("xerxes");
    }
    laptop.run(&["import", "no-such-file.vcf"]).code(3).complains("no-such-file.vcf");
    world.device("fresh").run(&["ls"]).code(3).complains("ties init");
    assert_eq!(laptop.export(), before);
}

#[test]
fn rejected_cards_are_listed_and_the_rest_is_in() {
    let world = World::new();
    let laptop = world.started("laptop");
    let good = cards(&["Corvinius", "Haselgruber", "Uhrwerkstatt", "Zeigerpost", "metronomes"]);
    let nameless = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:;;;;\r\nEND:VCARD\r\n";
    let lines = good.lines().count();
    let file = laptop.file("some.vcf", &format!("{good}{nameless}{}", good.replace("Corvinius", "Philomena")));
    let ran = laptop.run(&["import", &file]).code(6);
    let place = format!("some.vcf:{}:", lines + 1);
    assert!(ran.err.contains(&place), "{place}\n{ran}");
    assert_eq!(laptop.names(), ["Corvinius Haselgruber", "Philomena Haselgruber"]);
}

#[test]
fn commands_at_once_on_one_folder_all_succeed() {
    let world = World::new();
    let laptop = world.started("laptop");
    laptop.run(&["new", "Ada Lovelace"]).ok();
    let names: Vec<String> = (0..6).map(|number| format!("Guest {number}")).collect();
    let mut running: Vec<Running> = names.iter().map(|name| laptop.start(&["new", name], "")).collect();
    running.extend((0..6).map(|number| laptop.start(&["note", "ada", &format!("remark {number}")], "")));
    running.extend((0..4).map(|_| laptop.start(&["ls", "--json"], "")));
    running.into_iter().for_each(|one| drop(one.finish().ok()));
    assert_eq!(laptop.names().len(), 7);
    let card = laptop.json(&["show", "ada"]);
    assert_eq!(card["notes"].as_object().unwrap().len(), 6, "{card}");
}

#[test]
fn a_command_that_is_killed_leaves_all_of_its_work_or_nothing() {
    let world = World::new();
    let laptop = world.started("laptop");
    let words: Vec<String> = (0..500).map(|number| format!("Person{number:05}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let file = laptop.file("many.vcf", &cards(&words));
    for pause in [5, 20, 40, 80] {
        let importing = laptop.start(&["import", &file], "");
        std::thread::sleep(std::time::Duration::from_millis(pause));
        importing.kill();
        laptop.run(&["ls"]).ok();
        laptop.run(&["status"]).ok();
    }
    laptop.run(&["import", &file]).ok();
    assert_eq!(laptop.names().len(), 100);
}

#[test]
fn a_beginning_that_is_killed_may_begin_again() {
    let world = World::new();
    let mut half_made = 0;
    for number in 0..12 {
        let laptop = world.device(&format!("laptop{number}"));
        let beginning = laptop.start(&["init", "--no-recovery"], "");
        while !laptop.home().join("database.new").exists() && !laptop.home().join("database").exists() {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(number));
        beginning.kill();
        if laptop.run(&["status"]).code != Some(0) {
            half_made += 1;
            laptop.run(&["status"]).code(3).complains("ties init");
            laptop.run(&["init", "--no-recovery"]).ok();
        }
        laptop.run(&["new", "Ada Lovelace"]).ok();
    }
    assert!(half_made > 0, "it was never killed in time");
}

#[test]
fn a_folder_of_something_else_does_not_become_a_device() {
    let world = World::new();
    let laptop = world.device("laptop");
    std::fs::create_dir(laptop.home()).unwrap();
    std::fs::write(laptop.home().join("letter.txt"), "Dear all").unwrap();
    laptop.run(&["init"]).code(2).complains("not empty");
    laptop.run_with(&["device", "join", "-"], "ticket").code(2).complains("not empty");
    laptop.run(&["ls"]).code(3).complains("ties init");
    assert_eq!(std::fs::read_dir(laptop.home()).unwrap().count(), 1);
}

#[test]
fn without_its_key_a_folder_is_locked() {
    let world = World::new();
    let (laptop, other) = (world.started("laptop"), world.started("other"));
    laptop.run(&["new", "Ada Lovelace"]).ok();
    let key = laptop.home().join("key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::copy(other.home().join("key"), &key).unwrap();
    laptop.run(&["ls"]).code(5).complains("key");
    std::fs::write(&key, b"nonsense").unwrap();
    laptop.run(&["ls"]).code(5).complains("damaged");
    std::fs::remove_file(&key).unwrap();
    laptop.run(&["new", "Grace Hopper"]).code(5).complains("missing");
    laptop.run(&["init"]).code(2).complains("not empty");
    std::fs::write(&key, kept).unwrap();
    assert_eq!(laptop.names(), ["Ada Lovelace"]);
}
