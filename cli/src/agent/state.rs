//! What the agent knows of its roads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ties_book::api::{Answer, Event, Face, Guest};

use super::journal::Journal;

/// The agent and its roads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    /// The number of its process.
    pub(crate) process: u32,
    /// When it began.
    #[serde(with = "instant")]
    pub(crate) since: Timestamp,
    /// Whether it waits for `ties unlock`.
    pub(crate) locked: bool,
    /// Where it lets other devices come.
    pub(crate) listening: Option<String>,
    /// The roads it has tried, in the order in which it met them.
    pub(crate) roads: Vec<Road>,
}

/// A relay, folder or device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Road {
    /// Its address.
    pub(crate) url: String,
    /// How it stands.
    pub(crate) state: RoadState,
    /// Since when.
    #[serde(with = "instant")]
    pub(crate) since: Timestamp,
    /// Why it was lost, if it is.
    pub(crate) error: Option<String>,
    /// When it is tried again, if it is lost.
    #[serde(with = "instant::maybe")]
    pub(crate) next_attempt: Option<Timestamp>,
    /// Changes sent since the agent began.
    pub(crate) sent: u64,
    /// Changes received.
    pub(crate) received: u64,
}

/// How a road stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RoadState {
    /// There, and not everything is exchanged yet.
    Connected,
    /// Both sides have the same.
    UpToDate,
    /// Not there.
    Lost,
}

/// The state, among the tasks of the agent.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(crate) fn new() -> Self {
        let (process, since) = (std::process::id(), Timestamp::now());
        Self(Arc::new(Mutex::new(State { process, since, locked: false, listening: None, roads: Vec::new() })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the book is locked or open; either way all roads begin anew.
    pub(crate) fn begin(&self, locked: bool) {
        let mut state = self.lock();
        (state.locked, state.listening) = (locked, None);
        state.roads.clear();
    }
}

/// The agent's face: nobody sees it, so it takes note and lets nobody in.
pub(crate) struct Watcher {
    pub(crate) state: Shared,
    pub(crate) journal: Journal,
}

impl Face for Watcher {
    fn event(&mut self, event: Event) {
        self.journal.event(&event);
        self.state.lock().take(event, Timestamp::now());
    }

    // What is told once is left for a command that somebody sees.
    fn listens(&self) -> bool {
        false
    }

    fn confirm(&mut self, _: Guest) -> Answer<'_> {
        Box::pin(std::future::ready(false))
    }
}

impl State {
    fn take(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Listening { address } => self.listening = Some(address),
            Event::Connected { url } => self.turn(url, RoadState::Connected, now),
            Event::UpToDate { url } => self.turn(url, RoadState::UpToDate, now),
            Event::Disconnected { url, reason, retry_ms } => {
                self.turn(url.clone(), RoadState::Lost, now);
                let road = self.road(url, now);
                road.error = Some(reason);
                road.next_attempt = retry_ms.and_then(|ms| {
                    now.checked_add(jiff::SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))).ok()
                });
            }
            Event::Exchanged { url, sent, received } => {
                let road = self.road(url, now);
                road.sent += sent;
                road.received += received;
            }
            _ => {}
        }
    }

    fn turn(&mut self, url: String, state: RoadState, now: Timestamp) {
        let road = self.road(url, now);
        if road.state != state {
            (road.state, road.since) = (state, now);
        }
        (road.error, road.next_attempt) = (None, None);
    }

    fn road(&mut self, url: String, now: Timestamp) -> &mut Road {
        let at = match self.roads.iter().position(|road| road.url == url) {
            Some(at) => at,
            None => {
                if self.roads.len() >= MOST_ROADS {
                    // Devices come and go under ever new addresses.
                    let oldest = self.roads.iter().position(|road| road.state == RoadState::Lost).unwrap_or(0);
                    self.roads.remove(oldest);
                }
                let state = RoadState::Connected;
                let road = Road { url, state, since: now, error: None, next_attempt: None, sent: 0, received: 0 };
                self.roads.push(road);
                self.roads.len() - 1
            }
        };
        &mut self.roads[at]
    }
}

const MOST_ROADS: usize = 64;

/// Instants as RFC 3339.
mod instant {
    use jiff::Timestamp;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(instant: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(instant)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }

    pub(super) mod maybe {
        use jiff::Timestamp;
        use serde::de::Error as _;
        use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            instant: &Option<Timestamp>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            instant.map(|instant| instant.to_string()).serialize(to)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
            let text = Option::<String>::deserialize(from)?;
            text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_road_is_there_up_to_date_or_lost_until_its_next_attempt() {
        let shared = Shared::new();
        let mut state = shared.lock();
        let [first, later]: [Timestamp; 2] =
            ["2026-11-23T12:00:00Z", "2026-11-23T12:00:09Z"].map(|at| at.parse().unwrap());
        let url = || "ws://127.0.0.1:1#k".to_owned();
        state.take(Event::Connected { url: url() }, first);
        state.take(Event::Exchanged { url: url(), sent: 2, received: 1 }, first);
        state.take(Event::UpToDate { url: url() }, later);
        let road = state.roads[0].clone();
        assert_eq!((road.state, road.since, road.sent, road.received), (RoadState::UpToDate, later, 2, 1));
        let lost = Event::Disconnected { url: url(), reason: "gone".into(), retry_ms: Some(1000) };
        state.take(lost, later);
        let road = state.roads[0].clone();
        assert_eq!((road.state, road.error.as_deref()), (RoadState::Lost, Some("gone")));
        assert_eq!(road.next_attempt, Some("2026-11-23T12:00:10Z".parse().unwrap()));
        state.take(Event::Connected { url: url() }, later);
        assert_eq!((state.roads[0].error.clone(), state.roads[0].next_attempt), (None, None));
        for number in 0..2 * MOST_ROADS {
            state.take(Event::Connected { url: format!("{number}") }, later);
        }
        assert_eq!(state.roads.len(), MOST_ROADS);
    }
}
