//! The twelve words at a terminal: shown once, asked back, typed in again, and never on a command line.
#![cfg(unix)]

mod support;

use support::Device;
use support::pty::Terminal;

const COMMANDS: [&[&str]; 3] = [&["recover", "--relay", "x"], &["reset"], &["key", "rotate-recovery"]];

/// Reads the twelve words from the screen.
fn shown(terminal: &mut Terminal) -> Vec<String> {
    terminal.expect("shown this once");
    let grid = terminal.until("They open everything");
    let words: Vec<String> = grid
        .split_whitespace()
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect();
    // Before them stands the rest of the line above.
    words[words.len().checked_sub(12).expect("twelve words")..].to_vec()
}

/// Answers the next question rightly.
fn answer(terminal: &mut Terminal, words: &[String]) {
    terminal.expect("Word ");
    let place: usize = terminal.until(": ").parse().expect("a place");
    terminal.type_in(&format!("{}\n", words[place - 1]));
}

#[test]
fn init_asks_three_of_the_words_back_and_shows_them_again_after_a_wrong_one() {
    let device = Device::empty();
    let mut terminal = Terminal::start(device.command(["init", "--name", "desk", "--color", "never"]));
    let words = shown(&mut terminal);
    answer(&mut terminal, &words);
    terminal.expect("Word ");
    terminal.type_in("nonsense\n");
    terminal.expect("is another one");
    terminal.expect(&words[11]);
    (0..3).for_each(|_| answer(&mut terminal, &words));
    terminal.expect("Right.");
    assert_eq!(terminal.finish().0, 0);
}

#[test]
fn the_check_can_be_left_with_a_warning_or_by_a_flag() {
    let device = Device::empty();
    let mut terminal = Terminal::start(device.command(["init", "--color", "never"]));
    shown(&mut terminal);
    terminal.expect("Word ");
    terminal.type_in("skip\n");
    terminal.expect("nobody has checked");
    assert_eq!(terminal.finish().0, 0);
    let other = Device::empty();
    let (code, screen) = Terminal::start(other.command(["init", "--skip-check"])).finish();
    assert!(code == 0 && !screen.contains("Word "), "{screen}");
}

#[test]
fn a_network_without_words_is_told_what_that_costs() {
    let ran = Device::empty().run(["init", "--no-recovery"]).ok();
    assert!(ran.err.contains("everything is lost"), "{}", ran.err);
}

#[test]
fn words_on_the_command_line_are_refused_without_being_repeated() {
    let device = Device::started();
    let empty = Device::empty();
    for command in COMMANDS {
        for device in [&device, &empty] {
            let ran = device.run(command.iter().chain(&["zebra", "quantum"])).code(2);
            assert!(ran.err.contains("do not belong on the command line"), "{}", ran.err);
            assert!(!ran.err.contains("zebra"), "{}", ran.err);
        }
    }
}

#[test]
fn nobody_is_asked_where_nobody_is() {
    let device = Device::empty();
    let ran = device.run(["recover", "--relay", "x"]).code(2);
    assert!(ran.err.contains("ties recover -"), "{}", ran.err);
    Device::started().run(["recover", "--relay", "x", "-"]).code(7);
    Device::started().run(["reset"]).code(2);
}

#[test]
fn words_are_typed_at_a_prompt_and_a_slip_is_named() {
    let device = Device::empty();
    let words = device.json(["init", "--name", "desk"])["recoveryWords"].as_str().expect("words").to_owned();
    device.run(["new", "Ada Lovelace"]).ok();
    let other = Device::empty();
    let from = device.home();
    let from = from.to_str().expect("a path");
    let mut terminal = Terminal::start(other.command(["recover", "--from", from, "--color", "never"]));
    terminal.expect("> ");
    terminal.type_in(&format!("{}\n", words.replacen(' ', " tiess ", 1)));
    terminal.expect("word 2 is not on the list");
    terminal.expect("> ");
    let (one, two) = words.split_at(words.find(' ').expect("a space"));
    terminal.type_in(&format!("1. {one}\n"));
    terminal.expect("… ");
    terminal.type_in(&format!("{}\n", two.to_uppercase()));
    terminal.expect("gone for good?");
    terminal.type_in("y\n");
    terminal.expect("1 person");
    terminal.expect("Shut out: desk");
    assert_eq!(terminal.finish().0, 0);
    assert_eq!(other.run(["export", "--to", "json"]).ok().out, device.run(["export", "--to", "json"]).ok().out);
}

#[test]
fn new_words_are_asked_back_before_they_count() {
    let device = Device::empty();
    let old = device.json(["init", "--name", "desk"])["recoveryWords"].as_str().expect("words").to_owned();
    let mut terminal = Terminal::start(device.command(["key", "rotate-recovery", "--color", "never"]));
    terminal.expect("> ");
    terminal.type_in(&format!("{old}\n"));
    let new = shown(&mut terminal);
    (0..3).for_each(|_| answer(&mut terminal, &new));
    terminal.expect("Replaced.");
    assert_eq!(terminal.finish().0, 0);
    device.run_with(["reset", "--yes", "-"], &old).code(5);
    device.run_with(["reset", "--yes", "-"], &new.join("\n")).ok();
    let key = device.run(["key"]).ok();
    assert!(key.out.contains("twelve words") && key.out.contains("generation 2"), "{}", key.out);
}
