//! What one device can make a relay hold or do.

use std::time::Duration;

use ties_sealed_log::{MAX_RECOVERY_STATEMENTS, MAX_STATEMENTS};
use ties_sync::WINDOW;

/// The bounds of a relay. A device that keeps to the protocol meets none of them but the quota.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of entries and checkpoints in one mailbox.
    pub mailbox_bytes: u64,
    /// Whether entries are dropped that lie below two checkpoints with two signatures each.
    pub prunes: bool,
    /// Pseudonyms on one mailbox's list.
    pub pseudonyms: usize,
    /// Logs in one mailbox.
    pub logs: usize,
    /// Mailboxes that one pseudonym makes without a token, where none is needed.
    pub mailboxes_per_key: u32,
    /// Mailboxes that are made from one address in a day without a token, where none is needed.
    pub mailboxes_per_address: u32,
    /// Access statements that one connection may bring before it is at a mailbox.
    pub statements: usize,
    /// Connections of one pseudonym; a further one takes the place of the oldest.
    pub sockets_per_key: usize,
    /// Connections from one address that have proved no key yet.
    pub strangers_per_address: usize,
    /// Connections in all.
    pub connections: usize,
    /// Requests a second that one connection may go on making; see [`Limits::burst`].
    pub requests_per_second: u32,
    /// Requests that it may make at once. Beyond them it is read from more slowly, never refused. Entries, chunks and
    /// acknowledgements do not count: credit and the disk's pace already bound them.
    pub burst: u32,
    /// Rooms in which two devices meet.
    pub rooms: usize,
    /// How long a room lasts.
    pub room_lasts: Duration,
    /// Bytes that wait in a room for one who has yet to come.
    pub room_bytes: usize,
    /// Numbers at a time under which devices that pair by code meet.
    pub nameplates: usize,
    /// How often one address may claim such a number while one lasts: guessing them is no use, and spoils codes.
    pub claims_per_address: u32,
    /// How soon after dialing a key must be proved.
    pub proof_within: Duration,
    /// How long a connection may stay that neither syncs nor meets anybody.
    pub idle_for: Duration,
    /// Bytes that wait for one connection; one that reads too slowly is dropped.
    pub backlog: usize,
    /// How long one frame may take to be sent.
    pub send_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mailbox_bytes: 256 << 20,
            prunes: false,
            pseudonyms: 80,
            logs: 1024,
            mailboxes_per_key: 16,
            mailboxes_per_address: 64,
            // As many as a whole list has.
            statements: MAX_STATEMENTS + MAX_RECOVERY_STATEMENTS,
            sockets_per_key: 8,
            strangers_per_address: 64,
            connections: 4096,
            requests_per_second: 30,
            burst: 100,
            rooms: 1024,
            room_lasts: Duration::from_secs(600),
            room_bytes: 64 << 10,
            nameplates: 1024,
            claims_per_address: 20,
            proof_within: Duration::from_secs(5),
            idle_for: Duration::from_secs(60),
            // A window of entries, one place that exceeds it, and the small messages around them.
            backlog: 4 * WINDOW as usize,
            send_within: Duration::from_secs(120),
        }
    }
}

/// How fast one connection asks: a virtual clock that each request moves on, and that may run ahead by one burst.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    ahead_until: Duration,
}

impl Pace {
    /// Counts one request; gives how long the connection must not be read from, if at all.
    pub(crate) fn count(&mut self, now: Duration, limits: &Limits) -> Option<Duration> {
        let one = Duration::from_secs(1) / limits.requests_per_second.max(1);
        self.ahead_until = self.ahead_until.max(now) + one;
        let excess = (self.ahead_until - now).checked_sub(one * limits.burst)?;
        (!excess.is_zero()).then_some(excess)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_follows_is_spread_over_time() {
        let (mut pace, limits) = (Pace::default(), Limits::default());
        let now = Duration::from_secs(1000);
        assert!((0..100).all(|_| pace.count(now, &limits).is_none()));
        let wait = pace.count(now, &limits).unwrap();
        assert!(wait <= Duration::from_millis(34) && wait >= Duration::from_millis(33), "{wait:?}");
        assert!(pace.count(now + wait * 2, &limits).is_none());
    }

    #[test]
    fn a_quiet_connection_gets_its_burst_back() {
        let (mut pace, limits) = (Pace::default(), Limits::default());
        assert_eq!((0..200).filter_map(|_| pace.count(Duration::ZERO, &limits)).count(), 100);
        let later = Duration::from_secs(60);
        assert!((0..100).all(|_| pace.count(later, &limits).is_none()));
    }
}
