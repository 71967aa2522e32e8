//! What a user at a terminal sees and is asked.
#![cfg(unix)]

mod support;

use std::os::unix::fs::PermissionsExt as _;

use support::pty::Terminal;
use support::{Device, names};

fn at_terminal(device: &Device, words: &[&str]) -> Terminal {
    Terminal::start(device.command(words))
}

/// A shell script that stands in for an editor.
fn editor(device: &Device, script: &str) -> String {
    let path = device.file("editor.sh", &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("an executable script");
    path.display().to_string()
}

#[test]
fn a_terminal_gets_colours_unless_they_are_unwanted() {
    let device = Device::empty();
    let (code, screen) = at_terminal(&device, &[]).finish();
    assert!(code == 0 && screen.contains("\u{1b}["), "{screen:?}");
    let (_, screen) = at_terminal(&device, &["--color", "never"]).finish();
    assert!(!screen.contains('\u{1b}'), "{screen:?}");
    let mut command = device.command([""; 0]);
    command.env("NO_COLOR", "1");
    let (_, screen) = Terminal::start(command).finish();
    assert!(!screen.contains('\u{1b}'), "{screen:?}");
}

#[test]
fn lines_are_cut_to_the_terminal_and_nowhere_else() {
    let device = Device::started();
    let name = "Wolfeschlegelsteinhausenbergerdorff ".repeat(4);
    device.run(["new", name.trim(), "org:Gesellschaft für sehr lange Namen"]).ok();
    let (_, screen) = at_terminal(&device, &["ls", "--color", "never"]).finish();
    assert!(screen.contains('…'), "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    assert!(!device.run(["ls"]).ok().out.contains('…'));
}

#[test]
fn tables_fit_terminals_of_any_width_in_any_script() {
    let device = Device::started();
    for name in [
        "山田太郎山田太郎山田太郎",
        "👩\u{200d}💻👨\u{200d}👩\u{200d}👧\u{200d}👦 Family",
        "مریم میرزاخانی",
        "Zoe\u{308}\u{301} Long Name",
    ] {
        device.run(["new", name, "org:株式会社とても長い名前", "+tag", "a@b.example"]).ok();
    }
    for columns in [20, 40, 80, 200] {
        let (code, screen) = Terminal::start_sized(device.command(["ls", "--color", "never"]), columns).finish();
        assert_eq!(code, 0);
        for line in screen.lines().filter(|line| !line.ends_with("people")) {
            let wide = unicode_width::UnicodeWidthStr::width(line.trim_end());
            assert!(wide <= usize::from(columns), "{wide} columns of {columns}: {line}");
        }
    }
}

#[test]
fn a_narrow_terminal_breaks_lines_between_words_and_loses_none() {
    let device = Device::started();
    let ada = ["new", "Ada Lovelace", "ada.lovelace@analytical.example", "how:beside me at the workshop in Turin"];
    device.run(ada).ok();
    device.run(["note", "ada", "a note of more words than fit into one line of a narrow terminal"]).ok();
    let empty = Device::empty();
    let commands: [(&Device, &[&str]); 5] =
        [(&empty, &[]), (&device, &[]), (&device, &["show", "ada"]), (&device, &["status"]), (&device, &["--help"])];
    for (device, words) in commands {
        let plain = [words, &["--color", "never"]].concat();
        let (code, screen) = Terminal::start_sized(device.command(&plain), 40).finish();
        assert_eq!(code, 0, "{screen}");
        let ran = device.run(&plain).ok();
        let whole = ran.out + &ran.err;
        for line in screen.lines().filter(|line| line.trim_end().contains(' ')) {
            let wide = unicode_width::UnicodeWidthStr::width(line.trim_end());
            let one_word = line.split_whitespace().count() == 1;
            assert!(wide <= 40 || one_word, "{wide} columns: {line}");
        }
        // Tables leave columns out; of sentences every word must be found, whole.
        for word in screen.split_whitespace().filter(|word| !word.ends_with('…')) {
            assert!(whole.split_whitespace().any(|known| known == word), "{word:?} is no word of {whole}");
        }
    }
}

#[test]
fn what_acts_on_a_terminal_is_shown_and_does_not_act() {
    let device = Device::started();
    let evil = "Eve\u{1b}]52;c;aGk=\u{7}\u{1b}]8;;http://x\u{1b}\\\u{9b}2J\u{202e}";
    device.run(["new", evil, &format!("org:{evil}")]).ok();
    device.run(["note", "eve", evil]).ok();
    let commands: [&[&str]; 8] = [
        &["ls"],
        &["show", "eve"],
        &["find", "eve"],
        &["find", evil],
        &["show", evil],
        &["ls", "--json"],
        &["export", "--to", "vcf"],
        &["import", evil],
    ];
    for words in commands {
        let mut command = device.command(words.iter().copied().chain(["--color", "never"]));
        command.env("NO_COLOR", "1");
        let (_, screen) = Terminal::start(command).finish();
        let raw =
            screen.chars().find(|c| c.is_control() && !"\r\n".contains(*c) || ('\u{202a}'..='\u{202e}').contains(c));
        assert_eq!(raw, None, "{words:?}: {screen:?}");
    }
}

#[test]
fn colours_follow_the_environment() {
    let device = Device::empty();
    let mut command = device.command([""; 0]);
    command.env("CLICOLOR_FORCE", "1").stdout(std::process::Stdio::piped());
    let output = command.output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains('\u{1b}'), "forced into a pipe");
    // An error in a file has none, though the answer's stream is a terminal.
    let log = device.path("log");
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "exec \"$0\" --home \"$1\" ls 2> \"$2\"", env!("CARGO_BIN_EXE_ties")])
        .arg(device.home())
        .arg(&log);
    assert_eq!(Terminal::start(command).finish().0, 3);
    assert!(!std::fs::read_to_string(log).unwrap().contains('\u{1b}'));
}

#[test]
fn an_interrupt_at_a_question_leaves_everything_as_it_was() {
    let device = Device::started();
    device.run(["new", "Bob"]).ok();
    let mut terminal = at_terminal(&device, &["rm", "bob"]);
    terminal.expect("[y/N] ");
    terminal.interrupt();
    assert!(terminal.is_sane());
    assert_ne!(terminal.finish().0, 0);
    device.run(["show", "bob"]).ok();
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    let device = Device::started();
    device.run(["new", "Bob"]).ok();
    for words in [&["ls"][..], &["ls", "--json"], &["export", "--to", "vcf"], &["completions", "bash"]] {
        let mut command = device.command(words);
        // Closed before the start: a process that another test starts meanwhile could hold the other end open.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stdout(writer).stderr(std::process::Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
        assert_eq!(output.status.code(), Some(141), "{words:?}");
    }
}

#[test]
fn a_deletion_is_asked_about_and_only_a_yes_is_a_yes() {
    let device = Device::started();
    device.run(["new", "Bob"]).ok();
    let mut terminal = at_terminal(&device, &["rm", "bob"]);
    terminal.expect("Delete Bob (@bob)? [y/N] ");
    terminal.type_in("\n");
    assert_eq!(terminal.finish().0, 1);
    let mut terminal = at_terminal(&device, &["rm", "bob"]);
    terminal.expect("[y/N] ");
    terminal.type_in("y\n");
    terminal.expect("Deleted");
    assert_eq!(terminal.finish().0, 0);
    device.run(["show", "bob"]).code(3);
}

#[test]
fn an_ambiguous_name_is_chosen_from_a_list() {
    let device = Device::started();
    device.run(["new", "Ada Lovelace"]).ok();
    device.run(["new", "Byron Lovelace"]).ok();
    let mut terminal = at_terminal(&device, &["note", "lovelace", "hello"]);
    terminal.expect("Which one? [1-2");
    terminal.type_in("2\n");
    terminal.expect("about");
    assert_eq!(terminal.finish().0, 0);
    let mut terminal = at_terminal(&device, &["show", "lovelace"]);
    terminal.expect("Which one?");
    terminal.type_in("\n");
    assert_eq!(terminal.finish().0, 4);
}

#[test]
fn a_note_is_written_in_the_editor_in_a_private_file_that_goes_away() {
    let device = Device::started();
    device.run(["new", "Ada"]).ok();
    let runtime = device.path("run");
    std::fs::create_dir(&runtime).unwrap();
    let modes = device.path("modes");
    let script = format!(
        "stat -c %a \"$1\" > {0}\nstat -c %a \"$(dirname \"$1\")\" >> {0}\necho 'from the editor' >> \"$1\"",
        modes.display()
    );
    let mut command = device.command(["note", "ada"]);
    command.env("EDITOR", editor(&device, &script)).env("XDG_RUNTIME_DIR", &runtime);
    let (code, screen) = Terminal::start(command).finish();
    assert_eq!(code, 0, "{screen}");
    assert!(device.run(["show", "ada"]).ok().out.contains("from the editor"));
    assert_eq!(std::fs::read_to_string(modes).unwrap(), "600\n700\n");
    assert!(names(&runtime).is_empty());
}

#[test]
fn an_editor_survives_ctrl_c_and_its_text_is_kept() {
    let device = Device::started();
    device.run(["new", "Ada"]).ok();
    let script = "echo READY\nsleep 1\necho 'still here' >> \"$1\"";
    let mut command = device.command(["note", "ada"]);
    command.env("EDITOR", editor(&device, script));
    let mut terminal = Terminal::start(command);
    terminal.expect("READY");
    terminal.interrupt();
    assert_eq!(terminal.finish().0, 0);
    assert!(device.run(["show", "ada"]).ok().out.contains("still here"));
}

#[test]
fn a_mistake_reopens_the_editor_with_the_message_on_top() {
    let device = Device::started();
    device.run(["new", "Ada Lovelace"]).ok();
    // The first visit breaks the text, the second keeps a copy of what it saw and mends it.
    let copy = device.path("seen");
    let script = format!(
        "if grep -q '^#> Error' \"$1\"; then cp \"$1\" {0}; sed -i 's/^name = .*/name = \"Ada King\"/' \"$1\"\n\
         else sed -i 's/^name = .*/name = broken/' \"$1\"; fi",
        copy.display()
    );
    let mut command = device.command(["edit", "ada"]);
    command.env("VISUAL", editor(&device, &script));
    let (code, screen) = Terminal::start(command).finish();
    assert_eq!(code, 0, "{screen}");
    assert!(std::fs::read_to_string(copy).unwrap().contains("name = broken"));
    assert!(device.run(["show", "ada"]).ok().out.contains("Ada King"));
}

#[test]
fn a_mistake_left_as_it_is_gives_up_and_changes_nothing() {
    let device = Device::started();
    device.run(["new", "Ada Lovelace"]).ok();
    let mut command = device.command(["edit", "ada"]);
    let script = editor(&device, "sed -i -e 's/Lovelace/King/' -e 's/^handle.*/nonsense/' \"$1\"");
    command.env("EDITOR", script);
    let (code, screen) = Terminal::start(command).finish();
    assert_eq!(code, 2, "{screen}");
    assert!(device.run(["show", "ada"]).ok().out.contains("Ada Lovelace"));
}

#[test]
fn a_failing_or_absent_editor_is_an_error_with_a_hint() {
    let device = Device::started();
    device.run(["new", "Ada"]).ok();
    for missing in ["false", "/no/such/editor"] {
        let mut command = device.command(["edit", "ada"]);
        command.env("EDITOR", missing);
        let (code, screen) = Terminal::start(command).finish();
        assert_eq!(code, 1, "{screen}");
        assert!(screen.contains("EDITOR"), "{screen}");
    }
}
