//! The twelve recovery words on a terminal: shown once, asked back, read again. They never stand on a command line.

use ties_book::api::Secret;
use zeroize::Zeroizing;

use crate::errors::{Failure, Outcome};
use crate::render::palette;
use crate::terminal::{self, Shell};

/// Shows the recovery words, set apart, numbered, three to a line.
pub(super) fn show(shell: &mut Shell, words: &Secret) -> Outcome {
    shell.line("")?;
    shell.line(palette::strong("Recovery words, shown this once. Write them on paper:"))?;
    grid(shell, words)?;
    shell.line("They open everything if all your devices are lost, for you or for whoever has them.")
}

fn grid(shell: &mut Shell, words: &Secret) -> Outcome {
    let words: Vec<&str> = words.expose().split_whitespace().collect();
    shell.line("")?;
    for (row, three) in words.chunks(3).enumerate() {
        let cells: Vec<String> =
            three.iter().enumerate().map(|(column, word)| format!("{:>2} {word:<12}", row * 3 + column + 1)).collect();
        shell.line(format!("    {}", cells.join("  ").trim_end()))?;
    }
    shell.line("")
}

/// Asks three of the words back, if somebody is there, until they are right; a wrong one shows them all again.
pub(super) fn ask_back(shell: &mut Shell, words: &Secret, skip: bool) -> Outcome {
    if skip || !shell.can_ask() {
        return Ok(());
    }
    let list: Vec<&str> = words.expose().split_whitespace().collect();
    shell.remark("");
    shell.remark("Now three of them, from the paper. (`skip` leaves it at that.)");
    loop {
        match three(shell, &list)? {
            Answer::Right => {
                shell.remark(format!(
                    "{} Keep the paper where a thief of the devices does not find it.",
                    palette::good("Right.")
                ));
                return Ok(());
            }
            Answer::Skipped => {
                shell.remark(format!(
                    "{} nobody has checked your copy of the words. They are not shown again; with one wrong word they open \
                     nothing. `ties key rotate-recovery` makes new ones as long as you have these.",
                    palette::warning("Note:")
                ));
                return Ok(());
            }
            Answer::Wrong(place) => {
                shell.remark(format!("{} word {place} is another one. Once more:", palette::bad("No:")));
                grid(shell, words)?;
            }
        }
    }
}

enum Answer {
    Right,
    Wrong(usize),
    Skipped,
}

fn three(shell: &mut Shell, list: &[&str]) -> Outcome<Answer> {
    for place in ties_book::three_places() {
        shell.prompt(&format!("Word {}: ", place + 1));
        let answer = Zeroizing::new(terminal::read_answer()?);
        let said = answer.trim().to_lowercase();
        // The end of input is nobody's answer.
        if answer.is_empty() || said == "skip" {
            return Ok(Answer::Skipped);
        }
        if list.get(place).is_none_or(|word| **word != said) {
            return Ok(Answer::Wrong(place + 1));
        }
    }
    Ok(Answer::Right)
}

/// Refuses words on the command line, which the shell keeps and other users see; `-` says that they come by standard
/// input.
pub(super) fn never_on_the_command_line(words: &[String], command: &str) -> Outcome {
    if words.is_empty() || words == ["-"] {
        return Ok(());
    }
    Err(Failure::usage("recovery words are a secret and do not belong on the command line").hint(format!(
        "{command} asks for them, {command} - reads them from standard input; these are in your shell's history now: clear it"
    )))
}

/// Reads the words: from standard input after `-`, else at a prompt, as often as it takes to type them well.
pub(super) fn read(shell: &mut Shell, piped: bool, question: &str, command: &str) -> Outcome<Secret> {
    if piped {
        let text = Zeroizing::new(terminal::read_stdin(MOST)?);
        return Ok(Secret::new(text.trim()));
    }
    if !shell.can_ask() {
        return Err(Failure::usage("nobody is there to type the recovery words")
            .hint(format!("{command} - reads them from standard input")));
    }
    shell.complain(question);
    let mut typed = Zeroizing::new(String::new());
    loop {
        let count = typed.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).count();
        if count >= 12 {
            match ties_book::check_spelling(&typed) {
                Ok(()) => return Ok(Secret::new(typed.as_str())),
                Err(why) => shell.complain(format!("{} {why}. Again, all twelve:", palette::bad("No:"))),
            }
            typed.clear();
            continue;
        }
        shell.prompt(if count == 0 { "> " } else { "… " });
        let line = Zeroizing::new(terminal::read_answer()?);
        if line.is_empty() {
            return Err(Failure::usage("there are no recovery words here"));
        }
        typed.push(' ');
        typed.push_str(&line);
    }
}

/// Twelve words are far shorter.
const MOST: u64 = 4096;
