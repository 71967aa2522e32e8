//! Data under a passphrase: asked for at a terminal, read from standard input, and never anywhere else.
#![cfg(unix)]

mod support;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::pty::Terminal;
use support::{Device, Ran, finish};

const PASSPHRASE: &str = "correct horse battery";
const OTHER: &str = "entirely different";

/// A device with a folder for what is unlocked, and passphrases that are quickly tried.
struct Safe(Device);

impl Safe {
    /// With somebody in it and no passphrase.
    fn open() -> Self {
        let safe = Self(Device::started());
        fs::create_dir(safe.0.path("runtime")).expect("a folder");
        fs::create_dir(safe.0.path("tmp")).expect("a folder");
        safe.run(["new", "Zelda Example", "+friend"]).ok();
        safe
    }

    fn locked() -> Self {
        let safe = Self::open();
        safe.run_with(["passphrase", "-"], PASSPHRASE).ok();
        safe
    }

    fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.0.command(words);
        let folders = [("XDG_RUNTIME_DIR", "runtime"), ("TMPDIR", "tmp")];
        command.envs(folders.map(|(variable, name)| (variable, self.0.path(name)))).env("TIES_SEED", "1");
        command
    }

    fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Ran {
        self.run_with(words, "")
    }

    fn run_with<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>, input: &str) -> Ran {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command.spawn().expect("a started process"), input)
    }

    fn at_terminal(&self, words: &[&str]) -> Terminal {
        Terminal::start(self.command(words.iter().copied().chain(["--color", "never"])))
    }

    /// Whether this passphrase, or none, opens the data.
    fn opens_with(&self, passphrase: Option<&str>) -> bool {
        match passphrase {
            None => self.run(["show", "zelda"]).code == 0,
            Some(passphrase) => {
                let ran = self.run_with(["unlock", "-"], passphrase);
                let opens = ran.code == 0 && ran.out.starts_with("Unlocked") && self.run(["show", "zelda"]).code == 0;
                assert!(opens || ran.code == 5 || ran.out.starts_with("Nothing to unlock"), "{ran:?}");
                self.run(["lock"]);
                opens
            }
        }
    }

    fn key(&self) -> PathBuf {
        self.0.home().join("key")
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("something there").permissions().mode() & 0o777
}

/// Everything below a folder, and the folder.
fn all_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            found.extend(all_in(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn without_a_terminal_locked_data_are_refused_at_once() {
    let safe = Safe::locked();
    let before = fs::read(safe.0.home().join("database")).expect("a database");
    let commands: [&[&str]; 8] = [
        &["show", "zelda"],
        &["ls"],
        &["find", "zelda"],
        &["new", "Bob"],
        &["note", "zelda", "tea"],
        &["export", "--to", "vcf"],
        &["sync"],
        &["status"],
    ];
    for words in commands {
        let ran = safe.run(words).code(5);
        assert!(ran.out.is_empty() && ran.err.contains("Hint: ties unlock"), "{words:?}: {}", ran.err);
    }
    let ran = safe.run(["ls", "--json"]).code(5);
    assert_eq!((&ran.error()["kind"], &ran.error()["hint"]), (&"locked".into(), &"ties unlock".into()));
    let ran = safe.run(["unlock"]).code(5);
    assert!(ran.err.contains("no terminal"), "{}", ran.err);
    assert!(fs::read(safe.0.home().join("database")).expect("a database") == before);
}

#[test]
fn a_passphrase_is_asked_for_twice_and_never_shown() {
    let safe = Safe::open();
    let mut terminal = safe.at_terminal(&["passphrase"]);
    for answer in [PASSPHRASE, OTHER] {
        terminal.expect(if answer == PASSPHRASE { "New passphrase: " } else { "The same again: " });
        terminal.type_in(&format!("{answer}\n"));
    }
    terminal.expect("not the same");
    for question in ["New passphrase: ", "The same again: "] {
        terminal.expect(question);
        terminal.type_in(&format!("{PASSPHRASE}\n"));
    }
    terminal.expect("under a passphrase now");
    assert!(terminal.is_sane());
    let (code, screen) = terminal.finish();
    assert!(code == 0 && !screen.contains(PASSPHRASE) && !screen.contains(OTHER), "{screen}");

    let mut terminal = safe.at_terminal(&["show", "zelda"]);
    terminal.expect("Passphrase: ");
    terminal.type_in(&format!("{PASSPHRASE}\n"));
    terminal.expect("Zelda Example");
    let (code, screen) = terminal.finish();
    assert!(code == 0 && !screen.contains(PASSPHRASE), "{screen}");
    // Once opened is not unlocked.
    safe.run(["show", "zelda"]).code(5);
}

#[test]
fn three_wrong_passphrases_are_enough() {
    let safe = Safe::locked();
    let mut terminal = safe.at_terminal(&["new", "Bob"]);
    for _ in 0..3 {
        terminal.expect("Passphrase: ");
        terminal.type_in("wrong\n");
    }
    let (code, screen) = terminal.finish();
    assert!(code == 5 && screen.contains("not the passphrase"), "{screen}");
    safe.run_with(["unlock", "-"], "wrong").code(5);
    safe.run_with(["passphrase", "-"], &format!("wrong\n{OTHER}\n")).code(5);
    safe.run_with(["passphrase", "--remove", "-"], "wrong").code(5);
    assert!(safe.opens_with(Some(PASSPHRASE)));
}

#[test]
fn an_interrupted_question_gives_the_terminal_back() {
    let safe = Safe::locked();
    let mut terminal = safe.at_terminal(&["ls"]);
    terminal.expect("Passphrase: ");
    assert!(!terminal.is_sane(), "nothing is shown");
    terminal.interrupt();
    terminal.expect("\n");
    while !terminal.is_sane() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(terminal.finish().0, 130);
}

#[test]
fn a_passphrase_is_changed_and_removed() {
    let safe = Safe::locked();
    safe.run_with(["passphrase", "-"], &format!("{PASSPHRASE}\n{OTHER}\n")).ok();
    assert!(!safe.opens_with(Some(PASSPHRASE)) && safe.opens_with(Some(OTHER)));
    let missing = safe.run_with(["passphrase", "-"], OTHER).code(2);
    assert!(missing.err.contains("too few lines"), "{}", missing.err);
    safe.run_with(["passphrase", "--remove", "-"], OTHER).ok();
    assert!(safe.opens_with(None));
    safe.run(["lock"]).code(2);
    safe.run(["passphrase", "--remove"]).code(2);
    assert!(safe.run(["unlock"]).ok().out.contains("Nothing to unlock"));
    safe.run_with(["passphrase", "-"], "\n").code(2);
    assert!(safe.opens_with(None));
}

#[test]
fn unlocked_data_open_until_they_are_locked() {
    let safe = Safe::locked();
    assert!(safe.run_with(["unlock", "--for", "2h", "-"], PASSPHRASE).ok().out.starts_with("Unlocked until "));
    safe.run(["new", "Bob"]).ok();
    assert!(safe.run(["status"]).ok().out.contains("key: passphrase, unlocked until "));
    let status = safe.run(["status", "--json"]).ok().json();
    assert_eq!(status["key"]["kept"], "passphrase");
    let until: jiff::Timestamp =
        status["key"]["unlockedUntil"].as_str().and_then(|text| text.parse().ok()).expect("a time");
    let left = until.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((7000..=7200).contains(&left), "{left}");
    assert_eq!(safe.run(["lock", "--json"]).ok().json()["wasUnlocked"], true);
    safe.run(["ls"]).code(5);
    assert!(safe.run(["lock"]).ok().out.contains("already"));
    assert_eq!(all_in(&safe.0.path("runtime")).len(), 2, "the folder and nothing in it");

    safe.run_with(["unlock", "--for", "1s", "-"], PASSPHRASE).ok();
    std::thread::sleep(Duration::from_millis(1100));
    safe.run(["ls"]).code(5);
    assert_eq!(all_in(&safe.0.path("runtime")).len(), 2, "what has expired is removed");
    for wrong in ["8", "0s", "31d", "tomorrow"] {
        safe.run_with(["unlock", "--for", wrong, "-"], PASSPHRASE).code(2);
    }
    assert!(Safe::open().run(["status"]).ok().out.contains("key: in a file"));
}

#[test]
fn completions_name_nobody_while_the_data_are_locked() {
    let safe = Safe::locked();
    let home = safe.0.home().display().to_string();
    let complete = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ties"));
        command.args(["__complete", "bash", "4", "--", "ties", "--home", &home, "show", "ze"]);
        command.env("XDG_RUNTIME_DIR", safe.0.path("runtime")).stdin(Stdio::null());
        String::from_utf8(command.output().expect("a finished process").stdout).expect("UTF-8")
    };
    assert!(!complete().contains("zelda"));
    safe.run_with(["unlock", "-"], PASSPHRASE).ok();
    assert!(complete().contains("zelda"), "{}", complete());
    safe.run(["lock"]).ok();
    assert!(!complete().contains("zelda"));
}

#[test]
fn a_passphrase_on_the_command_line_is_refused_and_not_repeated() {
    let safe = Safe::locked();
    for words in [&["passphrase", "hunter2 hunter2"][..], &["unlock", "hunter2 hunter2"]] {
        let ran = safe.run(words).code(2);
        assert!(!ran.err.contains("hunter2") && ran.err.contains("command line"), "{}", ran.err);
    }
}

#[test]
fn a_runtime_folder_that_is_not_ours_alone_is_not_used() {
    let safe = Safe::locked();
    let (ours, fallback) = (safe.0.path("runtime/ties"), safe.0.path("tmp"));
    let elsewhere = safe.0.path("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    let unlocked_in = |folder: &Path| all_in(folder).iter().any(|path| path.is_file());

    fs::create_dir(&ours).expect("a folder");
    fs::set_permissions(&ours, Permissions::from_mode(0o755)).expect("a mode");
    safe.run_with(["unlock", "-"], PASSPHRASE).ok();
    assert!(!unlocked_in(&ours) && unlocked_in(&fallback));
    safe.run(["lock"]).ok();
    assert!(!unlocked_in(&fallback));

    fs::remove_dir(&ours).expect("gone");
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o700)).expect("a mode");
    symlink(&elsewhere, &ours).expect("a link");
    safe.run_with(["unlock", "-"], PASSPHRASE).ok();
    assert!(!unlocked_in(&elsewhere) && unlocked_in(&fallback));

    // With no place left the key is kept nowhere.
    safe.run(["lock"]).ok();
    let user = fs::metadata(safe.0.home()).expect("a folder").uid();
    let last = fallback.join(format!("ties-{user}"));
    fs::remove_dir(&last).expect("gone");
    symlink(&elsewhere, &last).expect("a link");
    safe.run_with(["unlock", "-"], PASSPHRASE).code(1);
    assert!(!unlocked_in(&elsewhere));
}

#[test]
fn loosened_permissions_are_taken_back_and_told_once() {
    let safe = Safe::open();
    for (path, loose, tight) in [(safe.key(), 0o644, 0o600), (safe.0.home(), 0o755, 0o700)] {
        fs::set_permissions(&path, Permissions::from_mode(loose)).expect("a mode");
        let ran = safe.run(["ls"]).ok();
        let told = format!("{} was open to other users (mode 0{loose:o})", path.display());
        assert!(ran.err.contains(&told), "{}", ran.err);
        assert_eq!(mode(&path), tight);
        assert!(!safe.run(["ls"]).ok().err.contains("open to other users"));
    }
}

#[test]
fn everything_that_is_made_is_for_its_owner_alone() {
    let safe = Safe(Device::empty());
    for folder in ["runtime", "tmp"] {
        fs::create_dir(safe.0.path(folder)).expect("a folder");
    }
    let openly = |words: &[&str], input: &str| {
        let plain = safe.command(words);
        let mut command = Command::new("sh");
        command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
        for (variable, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command.spawn().expect("a started process"), input).ok()
    };
    let check = |after: &str| {
        let mut made = all_in(&safe.0.home());
        made.extend(all_in(&safe.0.path("runtime")).into_iter().skip(1));
        made.extend(all_in(&safe.0.path("tmp")).into_iter().skip(1));
        for path in made {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), expected, "{} after {after}", path.display());
        }
    };
    let cards = safe.0.file("people.vcf", "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Zelda Example\r\nEND:VCARD\r\n");
    let export = safe.0.path("out.vcf").display().to_string();
    let steps: [(&[&str], &str); 9] = [
        (&["init", "--name", "laptop"], ""),
        (&["import", &cards.display().to_string()], ""),
        (&["note", "zelda", "-"], "tea"),
        (&["passphrase", "-"], PASSPHRASE),
        (&["unlock", "-"], PASSPHRASE),
        (&["export", "--to", "vcf", "--output", &export], ""),
        (&["undo"], ""),
        (&["passphrase", "-"], "correct horse battery\nentirely different\n"),
        (&["unlock", "-"], OTHER),
    ];
    for (words, input) in steps {
        openly(words, input);
        check(&words.join(" "));
    }
    assert_eq!(mode(Path::new(&export)), 0o600, "an export");
}

#[test]
fn a_killed_change_leaves_one_passphrase_that_opens() {
    let safe = Safe::locked();
    let (mut current, mut next) = (PASSPHRASE, OTHER);
    for turn in 0..16 {
        let mut command = safe.command(["passphrase", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a started process");
        let input = format!("{current}\n{next}\n");
        std::io::Write::write_all(&mut child.stdin.take().expect("a piped input"), input.as_bytes()).expect("written");
        std::thread::sleep(Duration::from_millis(turn * 8));
        child.kill().expect("killed, or ended");
        let acknowledged = child.wait().expect("a status").success();
        let opens = [current, next].map(|passphrase| safe.opens_with(Some(passphrase)));
        assert!(opens[0] != opens[1], "{opens:?}");
        assert!(opens[1] || !acknowledged, "what was acknowledged is gone");
        if opens[1] {
            (current, next) = (next, current);
        }
    }
    let left: Vec<_> = all_in(&safe.0.home()).into_iter().filter(|path| path.ends_with("key.new")).collect();
    assert!(left.is_empty(), "{left:?}");
}
