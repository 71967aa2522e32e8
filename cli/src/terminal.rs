//! Where output goes and whether somebody is there to answer.
//!
//! The one rule that everything else leans on: without a terminal nothing is ever asked. A script
//! that meets a question would wait for ever, or read its own data as the answer.

use std::fmt::Display;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::errors::{Failure, Outcome};
use crate::render::width::{columns, wrap};
use crate::render::{escape, paragraph};

/// The way a command speaks: standard output for answers, standard error for everything else.
pub(crate) struct Shell {
    json: bool,
    quiet: bool,
    width: Option<usize>,
    side_width: Option<usize>,
    out: AutoStream<io::Stdout>,
    err: AutoStream<io::Stderr>,
}

impl Shell {
    /// A shell on this process's own streams.
    pub(crate) fn new(json: bool, quiet: bool, colour: ColorChoice) -> Self {
        let measured = |size: Option<(terminal_size::Width, _)>| {
            size.map_or(DEFAULT_WIDTH, |(terminal_size::Width(width), terminal_size::Height(_))| usize::from(width))
                .max(NARROWEST)
        };
        let width = io::stdout().is_terminal().then(|| measured(terminal_size::terminal_size_of(io::stdout())));
        let side_width = io::stderr().is_terminal().then(|| measured(terminal_size::terminal_size_of(io::stderr())));
        Self {
            json,
            quiet,
            width,
            side_width,
            // Each by itself: `2> log` must not get colours because the other stream is a terminal.
            out: AutoStream::new(io::stdout(), colour),
            err: AutoStream::new(io::stderr(), colour),
        }
    }

    /// Whether answers are JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether remarks are wanted beside the answer.
    pub(crate) fn talkative(&self) -> bool {
        !self.quiet && !self.json
    }

    /// The terminal's width, or `None` when standard output is no terminal and nothing may be cut.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Whether a question can be asked: both the keyboard and the place for the question exist.
    pub(crate) fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Whether moving bars and rewritten lines make sense on standard error.
    pub(crate) fn can_animate(&self) -> bool {
        let rewrites = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        self.talkative() && rewrites && io::stderr().is_terminal()
    }

    /// Prints one line of the answer; a terminal that it is too long for gets it broken between words.
    pub(crate) fn line(&mut self, line: impl Display) -> Outcome {
        written(writeln!(self.out, "{}", broken(line.to_string(), self.width)))
    }

    /// Prints lines of the answer.
    pub(crate) fn lines(&mut self, lines: impl IntoIterator<Item = impl Display>) -> Outcome {
        lines.into_iter().try_for_each(|line| self.line(line))
    }

    /// Prints the bytes of a file in another program's format.
    ///
    /// A pipe gets them exactly; a terminal gets what is safe to show.
    pub(crate) fn file(&mut self, bytes: &[u8]) -> Outcome {
        match self.width {
            Some(_) => self.raw(paragraph(&String::from_utf8_lossy(bytes)).as_bytes()),
            None => self.raw(bytes),
        }
    }

    /// Prints one JSON value of the answer, indented, keys in the order that the value has.
    pub(crate) fn value(&mut self, value: &impl Serialize) -> Outcome {
        self.json_line(serde_json::to_string_pretty(value))
    }

    /// Prints one JSON value on a line of its own, for streams of events.
    pub(crate) fn record(&mut self, value: &impl Serialize) -> Outcome {
        self.json_line(serde_json::to_string(value))
    }

    /// Prints one item of a JSON array that is too long to be held in memory.
    pub(crate) fn item(&mut self, item: &impl Serialize, first: bool) -> Outcome {
        let text = serde_json::to_string_pretty(item);
        let indented = text.map(|text| text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"));
        self.raw(if first { b"[\n" } else { b",\n" })?;
        self.json_text(indented, "")
    }

    /// Ends a JSON array begun with [`item`](Self::item), or prints an empty one.
    pub(crate) fn end_of_items(&mut self, empty: bool) -> Outcome {
        self.raw(if empty { b"[]\n" } else { b"\n]\n" })
    }

    fn json_line(&mut self, text: serde_json::Result<String>) -> Outcome {
        self.json_text(text, "\n")
    }

    fn json_text(&mut self, text: serde_json::Result<String>, end: &str) -> Outcome {
        let text = text.map_err(|error| Failure::failed("the answer has no JSON form").because(&error))?;
        let text = if self.width.is_some() { escape::json(&text) } else { text.as_str().into() };
        self.raw(format!("{text}{end}").as_bytes())
    }

    fn raw(&mut self, bytes: &[u8]) -> Outcome {
        let mut out = io::stdout().lock();
        written(out.write_all(bytes).and_then(|()| out.flush()))
    }

    /// Says something that is not the answer, on standard error; `--quiet` and `--json` silence it.
    pub(crate) fn remark(&mut self, line: impl Display) {
        if self.talkative() {
            self.complain(line);
        }
    }

    /// Says something on standard error whatever the flags.
    pub(crate) fn complain(&mut self, line: impl Display) {
        let line = broken(line.to_string(), self.side_width);
        // Nobody is left to tell when standard error itself is gone.
        let _ = writeln!(self.err, "{line}");
    }

    /// Says something to be copied, such as a long command, as a remark in one piece: a line break of ours would be
    /// copied along, one of the terminal's is not.
    pub(crate) fn remark_to_copy(&mut self, line: impl Display) {
        if self.talkative() {
            let _ = writeln!(self.err, "{line}");
        }
    }

    /// Asks a yes-or-no question; anything but yes is no. `None` if nobody can be asked.
    pub(crate) fn confirm(&mut self, question: &str) -> Outcome<Option<bool>> {
        if !self.can_ask() {
            return Ok(None);
        }
        let answer = self.ask(&format!("{question} [y/N] "))?;
        Ok(Some(means_yes(&answer)))
    }

    /// Asks for a number from 1 to `last` and gives its place counted from 0; anything else is none.
    pub(crate) fn pick(&mut self, question: &str, last: usize) -> Outcome<Option<usize>> {
        if !self.can_ask() {
            return Ok(None);
        }
        let number: Option<usize> = self.ask(question)?.trim().parse().ok();
        Ok(number.filter(|number| (1..=last).contains(number)).map(|number| number - 1))
    }

    /// Shows a question and leaves the cursor behind it.
    pub(crate) fn prompt(&mut self, question: &str) {
        let _ = write!(self.err, "{question}").and_then(|()| self.err.flush());
    }

    /// Asks for something that must not be shown while it is typed. `None` if nobody can be asked.
    pub(crate) fn ask_hidden(&mut self, question: &str) -> Outcome<Option<Zeroizing<String>>> {
        if !self.can_ask() {
            return Ok(None);
        }
        // First the echo, then the question: whoever types ahead is not shown either.
        let hidden = hidden::begin()?;
        self.prompt(question);
        let answer = hidden::read_line(LONGEST_ANSWER as usize);
        drop(hidden);
        // The Enter was not echoed.
        self.complain("");
        let answer = answer?;
        let text = std::str::from_utf8(&answer).map_err(|_| Failure::usage("this is no UTF-8 text"))?;
        Ok(Some(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned())))
    }

    fn ask(&mut self, question: &str) -> Outcome<String> {
        self.prompt(question);
        let answer = read_answer()?;
        if !answer.ends_with('\n') {
            // End of input leaves the cursor behind the question.
            self.complain("");
        }
        Ok(answer)
    }
}

/// The text with lines that are too long for a terminal broken between words.
fn broken(text: String, width: Option<usize>) -> String {
    match width {
        Some(width) if text.lines().any(|line| columns(line) > width) => wrap(&text, width).join("\n"),
        _ => text,
    }
}

/// Reads one line from standard input.
pub(crate) fn read_answer() -> io::Result<String> {
    let mut answer = String::new();
    io::stdin().lock().take(LONGEST_ANSWER).read_line(&mut answer)?;
    Ok(answer)
}

/// Reads all of standard input for secrets, past the buffer that other reads share and that nobody wipes.
pub(crate) fn read_hidden_stdin(most: usize) -> Outcome<Zeroizing<Vec<u8>>> {
    let bytes = hidden::read(most + 1, |_| false)?;
    if bytes.len() > most {
        return Err(Failure::usage(format!("standard input holds more than {most} bytes")));
    }
    Ok(bytes)
}

/// Whether an answer is a yes; anything else is a no.
pub(crate) fn means_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Reads all of standard input as UTF-8, refusing more than `most` bytes.
pub(crate) fn read_stdin(most: u64) -> Outcome<String> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Failure::usage(format!("standard input holds more than {most} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::failed("standard input is not UTF-8 text"))
}

/// Turns a closed pipe into a quiet end: `ties ls | head` is no error.
fn written(result: io::Result<()>) -> Outcome {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(PIPE_CLOSED),
        other => Ok(other?),
    }
}

#[cfg(unix)]
mod hidden {
    use std::io;

    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
    use zeroize::Zeroizing;

    use crate::signals::{self, Registration};

    /// Switches the terminal's echo off until it is dropped, or the process is interrupted.
    pub(super) struct Hidden {
        _registration: Registration,
        before: Termios,
    }

    pub(super) fn begin() -> io::Result<Hidden> {
        let before = tcgetattr(io::stdin())?;
        let restored = before.clone();
        let registration = signals::on_interrupt(move || {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &restored);
            eprintln!();
        });
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Hidden { _registration: registration, before })
    }

    impl Drop for Hidden {
        fn drop(&mut self) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        }
    }

    pub(super) fn read_line(most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
        read(most, |bytes| bytes.ends_with(b"\n"))
    }

    /// Reads until `end` is content with what came, straight into memory that is wiped.
    pub(super) fn read(most: usize, end: impl Fn(&[u8]) -> bool) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(vec![0; most]);
        let mut length = 0;
        while length < most && !end(&bytes[..length]) {
            match rustix::io::read(io::stdin(), &mut bytes[length..]) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}

#[cfg(not(unix))]
mod hidden {
    use std::io::{self, Read as _};

    use zeroize::Zeroizing;

    pub(super) struct Hidden;

    pub(super) fn begin() -> io::Result<Hidden> {
        Err(io::Error::other("the echo of this terminal cannot be switched off; `-` reads from standard input"))
    }

    pub(super) fn read_line(most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
        read(most, |bytes| bytes.ends_with(b"\n"))
    }

    pub(super) fn read(most: usize, end: impl Fn(&[u8]) -> bool) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(vec![0; most]);
        let mut length = 0;
        while length < most && !end(&bytes[..length]) {
            match io::stdin().lock().read(&mut bytes[length..])? {
                0 => break,
                more => length += more,
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// The width of a terminal that does not tell its own.
const DEFAULT_WIDTH: usize = 80;
/// Narrower terminals get lines that the terminal breaks itself.
const NARROWEST: usize = 20;
/// Bytes of an answer that are read before giving up on finding its end.
const LONGEST_ANSWER: u64 = 64 * 1024;
/// What a shell reports for a process that SIGPIPE ended.
const PIPE_CLOSED: i32 = 141;
