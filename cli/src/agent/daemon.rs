//! The agent's life: it opens the book when it may, keeps its roads open, and lets go of it when it is locked.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use ties_book::Book;
use ties_book::api::{Environment, ErrorKind, Key, Nearby, Request};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use super::control::{Wish, attend};
use super::journal::Journal;
use super::place::{Held, Holder, Place};
use super::state::{Shared, State, Watcher};
use crate::desk;
use crate::errors::{Failure, Outcome};
use crate::hook;
use crate::settings::{CHECKPOINT_PRUNE, Settings};
use crate::signals;

/// What an agent is told when it begins.
pub(crate) struct Orders {
    pub(crate) environment: Environment,
    /// How other devices are met.
    pub(crate) nearby: Nearby,
}

/// Is the agent of a data folder until it is told to stop. `ready` is called once, when it is at work or waits for the
/// passphrase.
pub(crate) fn serve(home: &Path, orders: Orders, ready: impl FnOnce(&State)) -> Outcome {
    let place = Place::of(home);
    let Some(held) = place.take()? else { return Err(already(&place)) };
    let journal = Journal::of(home);
    let result = desk::wait(live(home, held, orders, &journal, ready));
    match &result {
        Ok(()) => journal.line("stopped"),
        Err(failure) => journal.line(&format!("ended: {}", failure.message)),
    }
    result
}

/// What to say when a data folder has its agent.
pub(crate) fn already(place: &Place) -> Failure {
    let process = place.holder().map_or_else(String::new, |holder| format!(" (process {})", holder.process));
    Failure::failed(format!("an agent is running already{process}"))
        .hint("ties agent status shows its roads; ties agent stop ends it")
}

async fn live(home: &Path, mut held: Held, orders: Orders, journal: &Journal, ready: impl FnOnce(&State)) -> Outcome {
    let (socket, listener) = listen(home)?;
    let holder = Holder { process: std::process::id(), socket };
    held.sign(&holder).map_err(|error| Failure::io("cannot write the agent's lock", &error))?;
    let state = Shared::new();
    let (send, mut wishes) = mpsc::channel(8);
    let answering = tokio::spawn(attend(listener, state.clone(), send));
    journal.line(&format!("started, process {}", holder.process));
    let mut agent = Agent { home, orders, state, journal, heeded: None };
    let outcome = agent.run(&mut wishes, ready).await;
    answering.abort();
    let _ = std::fs::remove_file(&holder.socket);
    outcome
}

/// A socket in a folder that nobody else may enter. One that a dead agent left is in nobody's way: the place was free.
fn listen(home: &Path) -> Outcome<(std::path::PathBuf, UnixListener)> {
    let socket = Book::meeting_place(home)?.with_extension("agent");
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).map_err(|error| {
        Failure::io(format!("cannot make the socket {}", socket.display()), &error)
            .hint("XDG_RUNTIME_DIR or TMPDIR names another folder for it, with a shorter path")
    })?;
    Ok((socket, listener))
}

struct Agent<'a> {
    home: &'a Path,
    orders: Orders,
    state: Shared,
    journal: &'a Journal,
    /// Whoever waits for the book to be let go.
    heeded: Option<oneshot::Sender<()>>,
}

/// Why the work is over.
enum Over {
    Stopped,
    /// The lock has changed: open the book, or wait until it may be opened.
    Again,
    Failed(Failure),
}

impl Agent<'_> {
    async fn run(&mut self, wishes: &mut mpsc::Receiver<Wish>, ready: impl FnOnce(&State)) -> Outcome {
        let mut stop = pin!(signals::stop_requested());
        let mut ready = Some(ready);
        loop {
            let book = self.open()?;
            self.state.begin(book.is_none());
            if book.is_none()
                && let Some(ready) = ready.take()
            {
                ready(&self.state.lock());
            }
            let over = match book {
                Some(book) => {
                    let over = self.work(&book, wishes, stop.as_mut(), &mut ready).await;
                    drop(book);
                    // Tasks that were ended let go of the book when their turn comes.
                    for _ in 0..TURNS {
                        tokio::task::yield_now().await;
                    }
                    over
                }
                None => self.wait(wishes, stop.as_mut()).await,
            };
            if let Some(heeded) = self.heeded.take() {
                let _ = heeded.send(());
            }
            match over {
                Over::Stopped => return Ok(()),
                Over::Failed(failure) => return Err(failure),
                Over::Again => {}
            }
        }
    }

    /// The book, unless it is locked: the key is here only while `ties unlock` lets it be.
    fn open(&self) -> Outcome<Option<Book>> {
        match Book::open(self.home, self.orders.environment.clone()) {
            Ok(book) => {
                book.set_prunes(Settings::of(self.home)?.is_on(CHECKPOINT_PRUNE));
                Ok(Some(book))
            }
            Err(error) if error.kind == ErrorKind::Locked && is_locked(self.home) => {
                self.journal.line("locked: waiting for ties unlock");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn work(
        &mut self,
        book: &Book,
        wishes: &mut mpsc::Receiver<Wish>,
        mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
        ready: &mut Option<impl FnOnce(&State)>,
    ) -> Over {
        let mut face = Watcher { state: self.state.clone(), journal: self.journal.clone() };
        let watching = book.handle(Request::Watch(self.orders.nearby.clone()), &mut face);
        let (mut watching, mut hooks) = (
            pin!(watching),
            pin!(hook::follow(book, self.home, |failure| {
                self.journal.line(&format!("on-sync: {}", failure.message));
            })),
        );
        let mut locking = pin!(locking(self.home));
        let mut begun = pin!(tokio::time::sleep(BEGIN));
        loop {
            tokio::select! {
                ended = &mut watching => return Over::Failed(match ended {
                    Ok(_) => desk::unexpected(),
                    Err(error) => error.into(),
                }),
                () = &mut hooks => {}
                // What cannot begin, such as listening at a port in use, has failed by now.
                () = &mut begun, if ready.is_some() => {
                    if let Some(ready) = ready.take() {
                        ready(&self.state.lock());
                    }
                }
                () = &mut locking => return Over::Again,
                () = &mut stop => return Over::Stopped,
                wish = wishes.recv() => match wish {
                    None | Some(Wish::Stop) => return Over::Stopped,
                    Some(Wish::Look(done)) if is_locked(self.home) => {
                        self.heeded = Some(done);
                        return Over::Again;
                    }
                    Some(Wish::Look(done)) => {
                        // How long it is unlocked may have changed.
                        locking.set(self::locking(self.home));
                        let _ = done.send(());
                    }
                },
            }
        }
    }

    /// Waits until the book may be opened.
    async fn wait(
        &mut self,
        wishes: &mut mpsc::Receiver<Wish>,
        mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
    ) -> Over {
        loop {
            tokio::select! {
                () = &mut stop => return Over::Stopped,
                wish = wishes.recv() => match wish {
                    None | Some(Wish::Stop) => return Over::Stopped,
                    Some(Wish::Look(done)) => {
                        let locked = is_locked(self.home);
                        self.heeded = Some(done);
                        if !locked {
                            return Over::Again;
                        }
                        self.heeded = None;
                    }
                },
            }
        }
    }
}

fn is_locked(home: &Path) -> bool {
    matches!(Book::key(home), Ok(Key::Passphrase { unlocked_until: None }))
}

/// Comes when the book locks itself; never where a file keeps the key.
async fn locking(home: &Path) {
    loop {
        match Book::key(home) {
            Ok(Key::File) => return std::future::pending().await,
            Ok(Key::Passphrase { unlocked_until: Some(until) }) => {
                let left = until
                    .parse()
                    .map_or(jiff::SignedDuration::ZERO, |until: Timestamp| until.duration_since(Timestamp::now()));
                // A clock that is set, and a machine that slept, end the pause too.
                ties_book::rest(Duration::try_from(left).unwrap_or_default() + SLACK).await;
            }
            Ok(Key::Passphrase { unlocked_until: None }) | Err(_) => return,
        }
    }
}

/// More than it takes for ended tasks to be dropped.
const TURNS: usize = 64;
/// How soon it shows whether the work can begin.
const BEGIN: Duration = Duration::from_millis(100);
/// The lock has to have come when it is looked for.
const SLACK: Duration = Duration::from_millis(200);
