//! A damaged file is an error here, not a panic.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::thread;

use crate::StoreError;

/// Runs a piece of redb and makes an error of its panic.
///
/// redb trusts pages that it reads: a plain open "may panic if it was corrupted outside redb"
/// (its documentation), and of 3,000 random bit flips in a small database 22 did make it panic,
/// in opening, reading, writing and closing. Verifying every page before every use would cost a
/// command many times what it does. What redb shares with other calls is either behind locks that
/// such a panic poisons, so that later calls fail too, or is a transaction that is given up.
/// Callers' code must not run in here: its panics are bugs and stay panics.
pub(crate) fn shield<T>(redb: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    silence_shielded_panics();
    let depth = DEPTH.get();
    DEPTH.set(depth + 1);
    let result = catch_unwind(AssertUnwindSafe(redb));
    DEPTH.set(depth);
    result.unwrap_or_else(|_| Err(StoreError::Damaged("it does not hold together".into())))
}

/// Drops a part of redb; closing can stumble over damage too.
pub(crate) fn shielded_drop<T>(part: T) {
    let _ = shield(|| {
        drop(part);
        Ok(())
    });
}

thread_local! {
    /// How many shields this thread is behind.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Keeps the message of a panic that becomes an error from standard error, where it would stand
/// before the error and tell of a bug that there is not. All other panics go to the hook that was
/// there before.
fn silence_shielded_panics() {
    static HOOK: Once = Once::new();
    // A hook cannot be set by a thread that panics, and a drop may be part of that.
    if HOOK.is_completed() || thread::panicking() {
        return;
    }
    HOOK.call_once(|| set_hook(unless_shielded(take_hook())));
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send>;

fn unless_shielded(before: Hook) -> Hook {
    Box::new(move |about| {
        if DEPTH.try_with(Cell::get).unwrap_or(0) == 0 {
            before(about);
        }
    })
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn only_a_shielded_panic_is_silent() {
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let thread = thread::current().id();
        // Another test may have been behind a shield before, and then the hook is set once for all.
        silence_shielded_panics();
        set_hook(unless_shielded(Box::new(move |_| {
            if thread::current().id() == thread {
                count.fetch_add(1, Ordering::SeqCst);
            }
        })));
        let nested = shield(|| shield::<()>(|| panic_any("inner")).or(Ok(())).and_then(|()| panic_any("outer")));
        assert!(matches!(nested, Err::<(), _>(StoreError::Damaged(_))));
        assert_eq!(told.load(Ordering::SeqCst), 0);
        catch_unwind(|| panic_any("a bug")).expect_err("a panic");
        assert_eq!(told.load(Ordering::SeqCst), 1);
    }
}
