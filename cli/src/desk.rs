//! What every command has at hand: the data folder, the shell, and a way to ask the book.

use std::future::Future;
use std::path::{Path, PathBuf};

use ties_book::Book;
use ties_book::api::{BookError, Candidate, Environment, ErrorKind, Key, Loosened, Reply, Request};

use crate::errors::{Failure, Outcome, candidate_line};
use crate::passphrase;
use crate::render::{inline, palette};
use crate::screen::Screen;
use crate::terminal::Shell;

/// A command's working place.
pub(crate) struct Desk<'a> {
    home: PathBuf,
    pub(crate) shell: &'a mut Shell,
    environment: Environment,
    book: Option<Book>,
}

impl<'a> Desk<'a> {
    /// A desk for the data folder `home`.
    pub(crate) fn new(home: PathBuf, shell: &'a mut Shell) -> Outcome<Self> {
        Ok(Self { home, shell, environment: environment()?, book: None })
    }

    /// Closes the book.
    pub(crate) fn close(&mut self) {
        self.book = None;
    }

    /// The data folder.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// The clock and the randomness.
    pub(crate) fn environment(&self) -> Environment {
        self.environment.clone()
    }

    /// The time now, by the same clock as the book's.
    pub(crate) fn now(&self) -> jiff::Timestamp {
        let given = self.environment.now_ms.and_then(|now| jiff::Timestamp::from_millisecond(now).ok());
        given.unwrap_or_else(jiff::Timestamp::now)
    }

    /// Whether the data folder holds a book already.
    pub(crate) fn has_book(&self) -> bool {
        // A folder of a later version must be reported by the book, not taken for no book at all.
        !Book::is_free(&self.home)
    }

    /// Asks the book something that this device answers alone.
    pub(crate) fn answer(&mut self, request: Request) -> Outcome<Reply> {
        self.open()?;
        let Some(book) = self.book.as_mut() else { return Err(unexpected()) };
        let mut screen = Screen::new(self.shell);
        Ok(book.answer(request, &mut screen)?)
    }

    /// The same, with the notices that came meanwhile if the answer is JSON: otherwise they were shown.
    pub(crate) fn answer_with_notices(&mut self, request: Request) -> Outcome<(Reply, Vec<String>)> {
        self.open()?;
        let Some(book) = self.book.as_mut() else { return Err(unexpected()) };
        let mut screen = Screen::new(self.shell).keeping_notices();
        let reply = book.answer(request, &mut screen)?;
        Ok((reply, screen.notices()))
    }

    /// Asks the book something about `who`; if several fit and somebody is there, lets them choose.
    pub(crate) fn answer_about(&mut self, who: &str, request: impl Fn(String) -> Request) -> Outcome<Reply> {
        self.open()?;
        let Some(book) = self.book.as_mut() else { return Err(unexpected()) };
        let mut screen = Screen::new(self.shell);
        match book.answer(request(who.to_owned()), &mut screen) {
            Err(error) if error.kind == ErrorKind::Ambiguous => {
                drop(screen);
                let chosen = self.choose(error)?;
                self.answer(request(chosen))
            }
            other => Ok(other?),
        }
    }

    /// Opens the book for the rest of the command.
    pub(crate) fn open(&mut self) -> Outcome<&mut Book> {
        if self.book.is_none() {
            if !self.has_book() {
                return Err(self.no_book());
            }
            self.close_to_others()?;
            self.book = Some(self.open_or_ask()?);
        }
        self.book.as_mut().ok_or_else(unexpected)
    }

    /// How the key of the book is kept, once the folder is as closed as it has to be.
    pub(crate) fn key(&mut self) -> Outcome<Key> {
        if !self.has_book() {
            return Err(self.no_book());
        }
        self.close_to_others()?;
        Ok(Book::key(&self.home)?)
    }

    /// Opens a book, after asking for its passphrase if it is locked and somebody is there.
    fn open_or_ask(&mut self) -> Outcome<Book> {
        let locked = match Book::open(&self.home, self.environment.clone()) {
            Err(error) if error.kind == ErrorKind::Locked => error,
            other => return Ok(other?),
        };
        // A key file that is missing or damaged is no matter of passphrases.
        let asks = matches!(Book::key(&self.home), Ok(Key::Passphrase { unlocked_until: None }));
        if !asks || !self.shell.can_ask() {
            return Err(locked.into());
        }
        let (home, environment) = (&self.home, &self.environment);
        passphrase::until_it_opens(self.shell, |secret| Ok(Book::open_with(home, secret, environment.clone())?))
    }

    /// Takes the permissions of other users off the data, and says so: they may have used them.
    fn close_to_others(&mut self) -> Outcome {
        for Loosened { path, mode } in Book::close_to_others(&self.home)? {
            if !self.shell.json() {
                let note = palette::warning("Note:");
                let path = inline(&path);
                self.shell
                    .complain(format!("{note} {path} was open to other users (mode {mode:04o}); it is not any more."));
            }
        }
        Ok(())
    }

    /// The opened book and the shell, lent apart.
    pub(crate) fn parts(&mut self) -> Outcome<(&mut Book, &mut Shell)> {
        self.open()?;
        let book = self.book.as_mut().ok_or_else(unexpected)?;
        Ok((book, self.shell))
    }

    /// Has what the command wrote brought to the relays while its user goes on.
    #[cfg(unix)]
    pub(crate) fn push_later(&self) {
        if let Some(book) = &self.book {
            crate::agent::push::later(&self.home, book);
        }
    }

    /// Says how to take back what the command wrote, if it wrote anything.
    pub(crate) fn hint_at_undo(&mut self) {
        if self.book.as_ref().is_some_and(Book::has_written) {
            self.shell.remark(palette::faint("undo: ties undo"));
        }
    }

    /// What to say when the data folder is empty.
    pub(crate) fn no_book(&self) -> Failure {
        Failure::new(crate::errors::Kind::NotFound, format!("there is no network in {}", self.home.display()))
            .hint("`ties init` starts one; `ties device join` joins that of another device")
    }

    fn choose(&mut self, error: BookError) -> Outcome<String> {
        if self.shell.json() || !self.shell.can_ask() || error.candidates.is_empty() {
            return Err(error.into());
        }
        self.shell.complain(format!("{}:", inline(&error.message)));
        for (place, candidate) in error.candidates.iter().enumerate() {
            let place = palette::faint(&format!("{:>3}", place + 1));
            self.shell.complain(format!("{place}  {}", candidate_line(candidate)));
        }
        let last = error.candidates.len();
        match self.shell.pick(&format!("Which one? [1-{last}, Enter for none] "), last)? {
            Some(place) => Ok(exact(&error.candidates[place])),
            None => Err(BookError { candidates: Vec::new(), ..error }.into()),
        }
    }
}

/// Runs a future to its end on a runtime of its own.
///
/// What still blocks afterwards, such as a thread that reads the keyboard, is not waited for.
pub(crate) fn wait<T>(future: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed("cannot start the network loop").because(&error))?;
    let outcome = runtime.block_on(future);
    runtime.shutdown_background();
    outcome
}

/// A reply of another kind than the request calls for: a bug, said without falling over.
pub(crate) fn unexpected() -> Failure {
    Failure::failed("the book gave an answer to another question").hint("this is a bug in ties")
}

/// The word that means this candidate and no other.
fn exact(candidate: &Candidate) -> String {
    candidate.id.clone()
}

/// The system's clock and randomness; builds for tests take them from `TIES_NOW` and `TIES_SEED`, and
/// from `TIES_LEVEL` what programs of another age know.
fn environment() -> Outcome<Environment> {
    if !cfg!(debug_assertions) {
        return Ok(Environment::default());
    }
    let now_ms = match std::env::var("TIES_NOW") {
        Ok(text) => Some(instant(&text)?),
        Err(_) => None,
    };
    let seed = match std::env::var("TIES_SEED") {
        Ok(text) => Some(text.parse().map_err(|_| Failure::usage("TIES_SEED is no number"))?),
        Err(_) => None,
    };
    let level = match std::env::var("TIES_LEVEL") {
        Ok(text) => Some(text.parse().map_err(|_| Failure::usage("TIES_LEVEL is no number"))?),
        Err(_) => None,
    };
    Ok(Environment { now_ms, seed, level })
}

fn instant(text: &str) -> Outcome<i64> {
    let instant: jiff::Timestamp =
        text.parse().map_err(|error: jiff::Error| Failure::usage("TIES_NOW is no time").because(&error))?;
    Ok(instant.as_millisecond())
}
