//! Leaves nothing behind when a command is interrupted.
//!
//! Committed data need no care: the database is either before or after a transaction, whenever the
//! process dies. What needs care is outside it: editor files, half-written exports, the demo's
//! processes. [`on_interrupt`] registers such things while they exist.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

use tokio::runtime;

/// Runs `cleanup` if the process is interrupted before the returned value is dropped.
pub(crate) fn on_interrupt(cleanup: impl FnOnce() + Send + 'static) -> Registration {
    WATCH.call_once(watch);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    registered().insert(id, Box::new(cleanup));
    Registration { id }
}

/// Lets interrupts pass this process by until the returned value is dropped.
///
/// A terminal sends Ctrl-C to the editor and to us; the editor knows what to do with it.
pub(crate) fn ignore() -> Ignored {
    WATCH.call_once(watch);
    IGNORED.store(true, Ordering::SeqCst);
    Ignored(())
}

/// Does not return if an interrupt is being dealt with: its exit code is the process's, and what it
/// brings about elsewhere is no news.
pub(crate) fn settle() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// Waits until the user or the system asks this process to stop.
pub(crate) async fn stop_requested() {
    let _ = wait().await;
}

/// A clean-up that waits for an interrupt; dropping it calls it off.
pub(crate) struct Registration {
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        registered().remove(&self.id);
    }
}

/// Proof that interrupts are being ignored.
pub(crate) struct Ignored(());

impl Drop for Ignored {
    fn drop(&mut self) {
        IGNORED.store(false, Ordering::SeqCst);
    }
}

type Cleanup = Box<dyn FnOnce() + Send>;

static WATCH: Once = Once::new();
static NEXT: AtomicU64 = AtomicU64::new(0);
static IGNORED: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static CLEANUPS: Mutex<BTreeMap<u64, Cleanup>> = Mutex::new(BTreeMap::new());

fn registered() -> std::sync::MutexGuard<'static, BTreeMap<u64, Cleanup>> {
    CLEANUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread that waits for signals; without it the default stands: the process dies.
fn watch() {
    let (ready, wait_until_ready) = std::sync::mpsc::channel();
    let watcher = move || {
        let Ok(runtime) = runtime::Builder::new_current_thread().enable_io().build() else { return };
        runtime.block_on(async move {
            let mut ready = Some(ready);
            loop {
                let code = wait_ready(ready.take()).await;
                if !IGNORED.load(Ordering::SeqCst) {
                    interrupted(code);
                }
            }
        });
    };
    if thread::Builder::new().name("signals".into()).spawn(watcher).is_ok() {
        // An error only says that the watcher could not start.
        let _ = wait_until_ready.recv();
    }
}

/// Cleans up in reverse order and leaves as a shell expects of an interrupted process.
fn interrupted(code: i32) -> ! {
    INTERRUPTED.store(true, Ordering::SeqCst);
    let cleanups = std::mem::take(&mut *registered());
    for (_, cleanup) in cleanups.into_iter().rev() {
        cleanup();
    }
    std::process::exit(code)
}

async fn wait() -> i32 {
    wait_ready(None).await
}

#[cfg(unix)]
async fn wait_ready(ready: Option<std::sync::mpsc::Sender<()>>) -> i32 {
    use tokio::signal::unix::{SignalKind, signal};
    let streams = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()));
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = streams else {
        return std::future::pending().await;
    };
    drop(ready);
    tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
        _ = hangup.recv() => 129,
    }
}

#[cfg(not(unix))]
async fn wait_ready(ready: Option<std::sync::mpsc::Sender<()>>) -> i32 {
    let wait = tokio::signal::ctrl_c();
    drop(ready);
    match wait.await {
        Ok(()) => 130,
        Err(_) => std::future::pending().await,
    }
}
