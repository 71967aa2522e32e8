//! The grammar, the exit codes and the rule that nothing is asked without a terminal.

mod support;

use support::Device;

#[test]
fn without_a_network_the_bare_command_shows_the_first_steps() {
    let ran = Device::empty().run([""; 0]).ok();
    assert!(ran.out.contains("ties init") && ran.out.contains("ties device join CODE"), "{}", ran.out);
    assert!(!ran.out.contains('\u{1b}'), "a pipe gets no colours");
}

#[test]
fn a_command_without_a_network_says_how_to_get_one() {
    let ran = Device::empty().run(["ls"]).code(3);
    assert!(ran.err.contains("Error: there is no network in") && ran.err.contains("Hint: `ties init`"), "{}", ran.err);
    assert!(ran.out.is_empty());
}

#[test]
fn an_error_is_json_when_answers_are() {
    let error = Device::empty().run(["ls", "--json"]).code(3).error();
    assert_eq!(error["kind"], "not-found");
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("ties init")));
    let error = Device::empty().run(["--json", "frobnicate"]).code(2).error();
    assert_eq!(error["kind"], "usage");
}

#[test]
fn help_is_no_error_and_a_wrong_word_is() {
    let device = Device::empty();
    assert!(device.run(["help"]).ok().out.contains("Capture"));
    assert!(device.run(["note", "--help"]).ok().out.contains("Examples:"));
    assert!(device.run(["help", "device", "add"]).ok().out.contains("--ticket"));
    assert!(device.run(["--version"]).ok().out.starts_with("ties "));
    device.run(["frobnicate"]).code(2);
    device.run(["show"]).code(2);
    assert!(!device.home().exists(), "asking for help makes nothing");
}

#[test]
fn what_needs_an_answer_fails_at_once_without_a_terminal() {
    let device = Device::empty();
    for words in [&["rm", "ada"][..], &["edit", "ada"], &["device", "add", "--ticket"]] {
        let ran = device.run(words).code(2);
        assert!(ran.err.contains("Hint:"), "{words:?}: {}", ran.err);
    }
}

#[test]
fn a_ticket_on_the_command_line_is_refused_and_not_repeated() {
    let ran = Device::empty().run(["device", "join", "ties-ticket-SECRET"]).code(2);
    assert!(ran.err.contains("ties device join"), "{}", ran.err);
    assert!(!ran.err.contains("SECRET"));
}

#[test]
fn an_empty_input_is_no_ticket() {
    let ran = Device::empty().run(["device", "join", "-"]).code(2);
    assert!(ran.err.contains("no ticket"), "{}", ran.err);
}

#[test]
fn what_is_no_code_is_refused_before_anything_is_sent() {
    let device = Device::empty();
    let ran = device.run(["device", "join", "17", "acid", "zoo", "lanch", "--relay", "ws://127.0.0.1:1#x"]).code(2);
    assert!(ran.err.contains("this is no code") && ran.err.contains("word 3"), "{}", ran.err);
    let ran = device.run(["device", "join", "17-acid-zoo-lunch"]).code(2);
    assert!(ran.err.contains("--relay"), "{}", ran.err);
    assert!(!device.home().exists());
}

#[test]
fn a_missing_file_stops_an_import_before_anything_is_made() {
    let device = Device::empty();
    let ran = device.run(["import", "/nowhere/at/all.vcf"]).code(3);
    assert!(ran.err.contains("cannot read /nowhere/at/all.vcf"), "{}", ran.err);
    assert!(!device.home().exists());
}

#[test]
fn the_home_folder_comes_from_the_environment_as_well() {
    let device = Device::empty();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ties"));
    let output = command.env("TIES_HOME", device.home()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(&*device.home().to_string_lossy()));
}
