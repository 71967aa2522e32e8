//! People and notes on one device, through the real program.

mod support;

use serde_json::Value;
use support::{Device, names};

const CARDS: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:ada-1\r\nN:Lovelace;Ada;;;\r\nFN:Ada Lovelace\r\n\
    EMAIL;TYPE=WORK:ada@acme.example\r\nORG:Acme\r\nNOTE:Likes engines\r\nEND:VCARD\r\n\
    BEGIN:VCARD\r\nVERSION:4.0\r\nUID:taro-1\r\nFN:山田太郎\r\nTEL;TYPE=cell:+81 3 1234 5678\r\nEND:VCARD\r\n";

#[test]
fn a_person_is_added_shown_listed_found_and_deleted() {
    let device = Device::started();
    let ran = device.run(["new", "Grace Hopper", "grace@navy.example", "org:Navy", "+compilers"]).ok();
    assert!(ran.out.contains("Grace Hopper (@grace)"), "{}", ran.out);
    device.run(["note", "grace", "wants", "to hear about CRDTs"]).ok();
    let shown = device.run(["show", "grace"]).ok().out;
    for part in ["Navy", "+compilers", "grace@navy.example", "wants to hear about CRDTs"] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    let listed = device.run(["ls", "+compilers"]).ok().out;
    assert!(listed.lines().count() == 2 && listed.contains("Grace Hopper"), "{listed}");
    assert!(device.run(["find", "crdts"]).ok().out.contains("Grace Hopper"));
    device.run(["find", "nothing-like-it"]).code(3);
    device.run(["rm", "grace"]).code(2);
    assert!(device.run(["rm", "grace", "--yes"]).ok().out.contains("Deleted"));
    device.run(["show", "grace"]).code(3);
}

#[test]
fn init_shows_twelve_words_once_and_never_again() {
    let device = Device::empty();
    let answer = device.json(["init", "--name", "desk"]);
    assert_eq!(answer["device"], "desk");
    let words = answer["recoveryWords"].as_str().unwrap().to_owned();
    assert_eq!(words.split_whitespace().count(), 12);
    device.run(["init"]).code(2);
    for file in names(&device.home()) {
        let bytes = std::fs::read(device.home().join(file)).unwrap_or_default();
        assert!(!bytes.windows(words.len()).any(|window| window == words.as_bytes()));
    }
}

#[test]
fn init_without_recovery_shows_no_words() {
    let device = Device::empty();
    assert_eq!(device.json(["init", "--no-recovery"])["recoveryWords"], Value::Null);
}

#[test]
fn an_ambiguous_name_lists_the_candidates_and_writes_nothing() {
    let device = Device::started();
    device.run(["new", "Ada Lovelace", "org:Acme"]).ok();
    device.run(["new", "Byron Lovelace", "org:Weizmann"]).ok();
    let ran = device.run(["note", "lovelace", "which one?", "--json"]).code(4);
    let error = ran.error();
    assert_eq!(error["kind"], "ambiguous");
    assert_eq!(error["candidates"].as_array().unwrap().len(), 2);
    let ran = device.run(["show", "lovelace"]).code(4);
    assert!(ran.err.contains("Ada Lovelace") && ran.err.contains("Weizmann"), "{}", ran.err);
    device.run(["find", "which"]).code(3);
}

#[test]
fn a_note_comes_from_standard_input_with_all_its_lines() {
    let device = Device::started();
    device.run(["new", "Ada"]).ok();
    device.run_with(["note", "ada", "-", "--topic"], "# Lab\n\n- ask\n").ok();
    let shown = device.run(["show", "ada"]).ok().out;
    assert!(shown.contains("topic") && shown.contains("- ask"), "{shown}");
    device.run_with(["note", "ada", "-"], " \n").code(1);
    device.run(["note", "ada"]).code(2);
}

#[test]
fn the_same_file_twice_changes_nothing_and_rejects_are_listed_by_line() {
    let device = Device::started();
    let file = device.file("cards.vcf", CARDS);
    let first = device.json(["import".as_ref(), file.as_os_str()]);
    assert_eq!(first["files"][0]["people_created"], 2);
    let before = device.run(["export", "--to", "json"]).ok().out;
    let second = device.json(["import".as_ref(), file.as_os_str()]);
    assert_eq!(second["files"][0]["people_known"], 2);
    assert_eq!(device.run(["export", "--to", "json"]).ok().out, before);
    let bad = device.file("bad.vcf", &format!("{CARDS}BEGIN:VCARD\r\nVERSION:4.0\r\nEND:VCARD\r\n"));
    let ran = device.run(["import".as_ref(), bad.as_os_str()]).code(6);
    assert!(ran.err.contains("bad.vcf:16: ") && ran.err.contains("1 card was rejected"), "{}", ran.err);
    assert!(ran.out.contains("2 people known already, 1 card rejected"), "{}", ran.out);
    let ran = device.run(["import".as_ref(), bad.as_os_str(), "--json".as_ref()]).code(6);
    assert_eq!((&ran.json()["files"][0]["rejects"][0]["line"], &ran.error()["kind"]), (&16.into(), &"rejects".into()));
}

#[test]
fn an_import_reads_standard_input_and_can_be_tried_out_first() {
    let device = Device::started();
    let ran = device.run_with(["import", "-", "--dry-run"], CARDS).ok();
    assert!(ran.out.contains("2 people would be new"), "{}", ran.out);
    assert!(device.run(["ls"]).ok().out.is_empty());
    device.run_with(["import", "-"], CARDS).ok();
    let listed = device.run(["ls"]).ok().out;
    assert!(listed.contains("山田太郎") && !listed.contains('…'), "{listed}");
}

#[test]
fn an_export_to_a_file_is_whole_private_and_leaves_no_scraps() {
    let device = Device::started();
    device.run_with(["import", "-"], CARDS).ok();
    let folder = device.path("out");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("people.vcf");
    device.run(["export".as_ref(), "--to".as_ref(), "vcf".as_ref(), "-o".as_ref(), file.as_os_str()]).ok();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches("BEGIN:VCARD").count(), 2);
    assert_eq!(names(&folder), ["people.vcf"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let one: Value = device.run(["export", "--to", "json", "org:acme"]).ok().json();
    assert_eq!(one.as_array().unwrap().len(), 1);
}

#[test]
fn lists_and_cards_are_the_same_json_as_the_export() {
    let device = Device::started();
    device.run_with(["import", "-"], CARDS).ok();
    let exported = device.run(["export", "--to", "json"]).ok().json();
    let mut listed = device.run(["ls", "--json"]).ok().json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let shown = device.json(["show", "ada"]);
    assert!(listed.as_array().unwrap().contains(&shown));
    for card in exported.as_array().unwrap() {
        assert!(listed.as_array_mut().unwrap().iter().any(|one| one["uid"] == card["uid"]));
    }
    assert_eq!(device.run(["ls", "--json", "nobody-at-all"]).ok().json(), serde_json::json!([]));
}

#[test]
fn a_hostile_name_is_shown_with_visible_escapes() {
    let device = Device::started();
    let card =
        "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Eve\u{202e}\u{1b}]0;owned\u{7}\r\nEMAIL:eve@evil.example\r\nEND:VCARD\r\n";
    device.run_with(["import", "-"], card).ok();
    for words in [&["ls"][..], &["show", "eve@evil.example"], &["find", "eve"]] {
        let out = device.run(words).ok().out;
        assert!(out.contains("Eve"), "{out}");
        assert!(!out.contains(['\u{202e}', '\u{1b}', '\u{7}']), "{words:?}: {out:?}");
    }
}

#[test]
fn an_edit_without_an_editor_changes_only_what_differs() {
    let device = Device::started();
    device.run(["new", "Ada Lovelace", "org:Acme"]).ok();
    let text = device.run(["edit", "ada", "--print"]).ok().out;
    let after = text.replace("Ada Lovelace", "Ada King");
    let ran = device.run_with(["edit", "ada", "--from", "-"], &after).ok();
    assert!(ran.out.contains("Changed") && ran.out.contains("name"), "{}", ran.out);
    assert!(device.run(["show", "ada"]).ok().out.contains("Ada King"));
    let ran = device.run_with(["edit", "ada", "--from", "-"], "+++\nname = \n+++\n").code(2);
    assert!(ran.err.contains("line 2"), "{}", ran.err);
    device.run_with(["edit", "ada", "--from", "-"], "\n").code(1);
    assert!(device.run(["show", "ada"]).ok().out.contains("Ada King"));
}

#[test]
fn a_closed_pipe_ends_a_list_quietly() {
    let device = Device::started();
    device.run_with(["import", "-"], CARDS).ok();
    let mut child = device
        .command(["ls"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = support::finish(child, "");
    assert!(!ran.err.contains("panicked") && !ran.err.contains("Error"), "{}", ran.err);
}

#[test]
fn status_and_the_bare_command_count_what_is_there() {
    let device = Device::started();
    device.run_with(["import", "-"], CARDS).ok();
    let status = device.json(["status"]);
    assert_eq!((&status["people"], &status["device"]), (&2.into(), &"laptop".into()));
    let overview = device.run([""; 0]).ok().out;
    assert!(overview.contains("2 people") && overview.contains("No relay"), "{overview}");
    let ran = device.run(["sync"]).code(1);
    assert!(ran.err.contains("ties relay add"), "{}", ran.err);
}

#[test]
fn handles_that_several_people_hold_are_conflicts_that_an_edit_settles() {
    let device = Device::started();
    let card = |uid: &str| format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{uid}\r\nFN:Ada Lovelace\r\nEND:VCARD\r\n");
    let cards = device.file("cards.vcf", &(card("a") + &card("b")));
    device.run(["import", cards.to_str().unwrap()]).ok();
    let status = device.json(["status"]);
    assert_eq!((&status["waiting"], &status["conflictCount"]), (&serde_json::json!([]), &1.into()), "{status}");
    assert_eq!(
        (&status["conflicts"][0]["handle"], &status["conflicts"][0]["holders"]),
        (&"ada-lovelace".into(), &2.into())
    );
    let shown = device.run(["status"]).ok().out;
    assert!(shown.contains("1 handle is given") && shown.contains("@ada-lovelace-2 Ada Lovelace"), "{shown}");
    let text = device.run(["edit", "ada-lovelace-2", "--print"]).ok().out;
    let text = text.replace("handle = \"ada-lovelace\"", "handle = \"countess\"");
    device.run_with(["edit", "ada-lovelace-2", "--from", "-"], &text).ok();
    assert_eq!(device.json(["status"])["conflictCount"], 0);
}
