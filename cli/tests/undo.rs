//! Undoing through the real program: after it everything that can be printed is what it was, byte for byte.

mod support;

use support::Device;

const CARDS: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:ada-1\r\nN:Lovelace;Ada;;;\r\nFN:Ada Lovelace\r\n\
    EMAIL;TYPE=WORK:ada@acme.example\r\nORG:Acme\r\nNOTE:Likes engines\r\nX-ODD:kept\r\nEND:VCARD\r\n\
    BEGIN:VCARD\r\nVERSION:4.0\r\nUID:taro-1\r\nFN:山田太郎\r\nTEL;TYPE=cell:+81 3 1234 5678\r\nEND:VCARD\r\n";

/// Everything that a device shows of its people and notes.
fn everything(device: &Device) -> Vec<String> {
    let listed = device.json(["ls"]);
    let mut all = vec![
        listed.to_string(),
        device.run(["export", "--to", "json"]).ok().out,
        device.run(["export", "--to", "vcf"]).ok().out,
        device.run(["find", "e", "--json"]).out,
    ];
    let shown = all[1].clone();
    for id in shown.split("\"id\": \"").skip(1).filter_map(|rest| rest.split('"').next()) {
        all.push(device.run(["show", id, "--json"]).out);
    }
    all
}

/// Does it, undoes it, does it again by redo: three states, the last two equal to the first two.
#[track_caller]
fn comes_and_goes(device: &Device, words: &[&str], input: &str) {
    let before = everything(device);
    let ran = device.run_with(words, input).ok();
    assert!(ran.err.contains("undo: ties undo"), "{words:?}: {}", ran.err);
    let after = everything(device);
    assert_ne!(before, after, "{words:?}");
    device.run(["undo"]).ok();
    assert_eq!(everything(device), before, "{words:?} was undone");
    device.run(["redo"]).ok();
    assert_eq!(everything(device), after, "{words:?} was redone");
}

#[test]
fn every_command_that_writes_is_undone_to_the_byte_and_redone_to_the_byte() {
    let device = Device::started();
    let cards = device.file("cards.vcf", CARDS);
    comes_and_goes(&device, &["import", cards.to_str().unwrap()], "");
    comes_and_goes(&device, &["new", "Grace Hopper", "grace@navy.example", "org:Navy", "+compilers", "via:taro"], "");
    comes_and_goes(&device, &["note", "grace", "-", "--topic"], "# Lab\n\n- ask\n");
    let text = device.run(["edit", "grace", "--print"]).ok().out;
    let text =
        text.replace("Grace Hopper", "Grace Murray Hopper").replace("compilers", "cobol") + "\nA note by the way\n";
    comes_and_goes(&device, &["edit", "grace", "--from", "-"], &text);
    let card = device.json(["show", "grace"]);
    let note = card["notes"].as_object().unwrap().keys().next().unwrap().clone();
    let text = device.run(["edit", &note, "--print"]).ok().out.replace("ask", "ask about the new one");
    comes_and_goes(&device, &["edit", &note, "--from", "-"], &text);
    comes_and_goes(&device, &["rm", &note, "--yes"], "");
    comes_and_goes(&device, &["rm", "ada-lovelace", "--yes"], "");
    device.run(["undo", "7"]).ok();
    assert!(device.run(["ls"]).ok().out.is_empty());
    device.run(["undo"]).code(3);
}

#[test]
fn nothing_to_undo_or_redo_says_so() {
    let device = Device::started();
    let ran = device.run(["undo"]).code(3);
    assert!(ran.err.contains("nothing to undo") && ran.err.contains("Hint:"), "{}", ran.err);
    assert!(device.run(["redo"]).code(3).err.contains("nothing to redo"));
    assert_eq!(device.run(["undo", "--json"]).code(3).error()["kind"], "not-found");
    device.run(["undo", "0"]).code(2);
    device.run(["undo", "abc"]).code(2);
    device.run(["undo", "abcdef"]).code(3);
    device.run(["new", "Ada"]).ok();
    assert!(device.run(["undo", "2"]).code(3).err.contains("only 1"));
    assert!(device.run(["ls"]).ok().out.contains("Ada"));
}

#[test]
fn operations_are_listed_newest_first_with_what_they_were_about() {
    let device = Device::started();
    let cards = device.file("cards.vcf", CARDS);
    device.run(["import", cards.to_str().unwrap()]).ok();
    device.run(["import", cards.to_str().unwrap()]).ok();
    device.run(["note", "ada-lovelace", "wants the paper"]).ok();
    device.run(["undo"]).ok();
    let listed = device.json(["ops"]);
    let what = |at: usize, field: &str| listed["operations"][at][field].clone();
    assert_eq!(listed["operations"].as_array().unwrap().len(), 3, "an import of nothing new is none");
    assert_eq!((what(0, "what"), what(0, "undoes")), ("undo".into(), serde_json::json!([what(1, "id")])));
    assert_eq!((what(1, "what"), what(1, "undone")), ("note".into(), true.into()));
    assert_eq!(what(1, "about"), serde_json::json!(["note about Ada Lovelace"]));
    assert_eq!((what(2, "records"), what(2, "undone")), (3.into(), false.into()));
    assert!(what(2, "what").as_str().unwrap().starts_with("import "));
    let shown = device.run(["ops"]).ok().out;
    assert!(shown.contains("note about Ada Lovelace") && shown.contains("undone"), "{shown}");
    assert_eq!(device.json(["ops", "--limit", "1"])["more"], true);
    let id = what(2, "id");
    device.run(["undo", &id.as_str().unwrap()[..8]]).ok();
    assert!(device.run(["ls"]).ok().out.is_empty());
    assert!(device.run(["undo", id.as_str().unwrap()]).code(1).err.contains("undone already"));
}

#[test]
fn what_was_changed_later_is_left_and_said() {
    let device = Device::started();
    device.run(["new", "Ada Lovelace", "+maths"]).ok();
    let edit = |from: &str, to: &str| {
        let text = device.run(["edit", "ada", "--print"]).ok().out;
        assert!(text.contains(from), "{text}");
        device.run_with(["edit", "ada", "--from", "-"], &text.replace(from, to)).ok();
    };
    edit("Ada Lovelace", "Ada King");
    let id = device.json(["ops"])["operations"][0]["id"].as_str().unwrap().to_owned();
    edit("Ada King", "Countess Lovelace");
    let ran = device.run(["undo", &id]).code(1);
    assert!(ran.err.contains("changed later"), "{}", ran.err);
    assert!(ran.out.contains("left, for it was changed later: name"), "{}", ran.out);
    assert!(device.run(["show", "ada"]).ok().out.contains("Countess Lovelace"));
    device.run(["undo", "2"]).ok();
    assert!(device.run(["show", "ada"]).ok().out.contains("Ada Lovelace"));
}

#[test]
fn an_import_that_was_undone_can_be_done_again() {
    let device = Device::started();
    let cards = device.file("cards.vcf", CARDS);
    device.run(["import", cards.to_str().unwrap()]).ok();
    let before = everything(&device);
    device.run(["undo"]).ok();
    let again = device.json(["import", cards.to_str().unwrap()]);
    assert_eq!(again["files"][0]["people_created"], 2, "{again}");
    assert_eq!(everything(&device), before);
    device.run(["undo"]).ok();
    let changed = device.file("changed.vcf", &CARDS.replace("Acme", "Initech"));
    device.run(["import", changed.to_str().unwrap()]).ok();
    assert!(device.run(["show", "ada-lovelace"]).ok().out.contains("Initech"));
}

#[test]
fn quiet_and_json_say_nothing_of_undoing() {
    let device = Device::started();
    assert_eq!(device.run(["new", "Ada", "-q"]).ok().err, "");
    assert_eq!(device.run(["new", "Bob", "--json"]).ok().err, "");
    assert!(!device.run(["ls"]).ok().err.contains("undo"));
    assert_eq!(device.run(["undo", "--json"]).ok().json()["removed"], 1);
}
