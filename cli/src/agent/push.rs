//! What a command wrote goes to the relays while its user goes on: a process of its own, gone after two seconds.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ties_book::Book;
use ties_book::api::{Environment, Reply, Request, Silent};

use crate::desk;
use crate::errors::{Failure, Outcome};
use crate::hook::{self, Hook};
use crate::settings::{SYNC_AUTO, Settings};

/// Starts such a process, if what was written would stay here otherwise. Nobody waits for it.
pub(crate) fn later(home: &Path, book: &Book) {
    let off = std::env::var_os("TIES_NO_AUTO").is_some_and(|set| !set.is_empty());
    // Somebody who watches has heard of it already.
    if off || !book.has_committed() || !book.has_relays() || !Book::watchers(home).is_empty() {
        return;
    }
    if !Settings::of(home).is_ok_and(|settings| settings.is_on(SYNC_AUTO)) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut command = Command::new(program);
    command.arg("--home").arg(home).args(["--quiet", "agent", "push"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(home);
    // If it does not start, the next sync brings what this one wrote.
    let _ = command.spawn();
}

/// Brings the relays what they lack. Of several that come at once, one waits for the one at work, which may have looked
/// before the last write; the others have nothing to do.
pub(crate) fn serve(home: &Path, environment: Environment) -> Outcome {
    let began = Instant::now();
    let _ = rustix::process::setsid();
    let Some(next) = lock(home, "push.next", Duration::ZERO)? else { return Ok(()) };
    let Some(now) = lock(home, "push.lock", WITHIN)? else { return Ok(()) };
    drop(next);
    let book = Book::open(home, environment)?;
    let hook = Hook::of(home)?;
    if hook.is_some() {
        book.arrivals()?;
    }
    let within = WITHIN.saturating_sub(began.elapsed());
    let reply = desk::wait(async { Ok(book.handle(Request::Push { within }, &mut Silent).await?) })?;
    drop(now);
    if let Some(hook) = hook {
        let changed = book.arrivals()?;
        if !changed.is_empty() {
            hook.run(&hook::telling(&book, &changed))?;
        }
    }
    match reply {
        Reply::Synced(_) => Ok(()),
        _ => Err(desk::unexpected()),
    }
}

fn lock(home: &Path, name: &str, patience: Duration) -> Outcome<Option<File>> {
    let path = home.join(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(|error| Failure::io(format!("cannot use {}", path.display()), &error))?;
    let began = Instant::now();
    while file.try_lock().is_err() {
        if began.elapsed() >= patience {
            return Ok(None);
        }
        std::thread::sleep(STEP);
    }
    Ok(Some(file))
}

/// How long all of it may take.
const WITHIN: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(20);
