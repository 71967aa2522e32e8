//! Rooms in which two devices meet that may know no mailbox in common.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ties_sealed_log::Pseudonym;
use ties_sync::{MAX_PASS, Refusal};

use crate::connection::ConnectionId;
use crate::limits::Limits;

/// The name of a room: whoever knows it may enter, if there is a place left.
pub(crate) type RoomName = [u8; 32];

/// All rooms. What is said in them passes through and is kept nowhere but here, for ten minutes at most.
#[derive(Debug, Default)]
pub(crate) struct Rooms(BTreeMap<RoomName, Room>);

#[derive(Debug)]
struct Room {
    until: Duration,
    parties: Vec<Party>,
}

/// One of two; it keeps its place when its connection breaks.
#[derive(Debug)]
struct Party {
    pseudonym: Pseudonym,
    connection: Option<ConnectionId>,
    /// What it said and the other one has not been there to hear.
    unheard: VecDeque<Vec<u8>>,
}

impl Rooms {
    /// Lets a pseudonym in; gives what the other one said before it came.
    pub(crate) fn enter(
        &mut self,
        name: RoomName,
        pseudonym: Pseudonym,
        connection: ConnectionId,
        now: Duration,
        limits: &Limits,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        if !self.0.contains_key(&name) && self.0.len() >= limits.rooms && !self.drop_an_empty_one() {
            return Err(Refusal::Busy);
        }
        let room = self.0.entry(name).or_insert_with(|| Room { until: now + limits.room_lasts, parties: Vec::new() });
        if let Some(party) = room.parties.iter_mut().find(|party| party.pseudonym == pseudonym) {
            party.connection = Some(connection);
        } else if room.parties.len() < 2 {
            room.parties.push(Party { pseudonym, connection: Some(connection), unheard: VecDeque::new() });
        } else {
            return Err(Refusal::RoomTaken);
        }
        let other = room.parties.iter_mut().find(|party| party.pseudonym != pseudonym);
        Ok(other.map(|party| party.unheard.drain(..).collect()).unwrap_or_default())
    }

    /// Passes a message on: gives the connection that must hear it now, or keeps it.
    pub(crate) fn pass(
        &mut self,
        name: &RoomName,
        pseudonym: &Pseudonym,
        message: Vec<u8>,
        limits: &Limits,
    ) -> Result<Option<(ConnectionId, Vec<u8>)>, Refusal> {
        if message.len() > MAX_PASS {
            return Err(Refusal::Invalid);
        }
        let room = self.0.get_mut(name).ok_or(Refusal::NotPermitted)?;
        let speaker = room.parties.iter().position(|party| party.pseudonym == *pseudonym);
        let speaker = speaker.ok_or(Refusal::NotPermitted)?;
        if let Some(connection) = room.parties.get(1 - speaker).and_then(|other| other.connection) {
            return Ok(Some((connection, message)));
        }
        let speaker = &mut room.parties[speaker];
        let waiting = speaker.unheard.iter().map(Vec::len).sum::<usize>();
        if waiting + message.len() > limits.room_bytes {
            return Err(Refusal::Busy);
        }
        speaker.unheard.push_back(message);
        Ok(None)
    }

    /// Notes that a connection is no more; its pseudonym keeps its place.
    pub(crate) fn leave(&mut self, name: &RoomName, connection: ConnectionId) {
        let parties = self.0.get_mut(name).into_iter().flat_map(|room| &mut room.parties);
        for party in parties.filter(|party| party.connection == Some(connection)) {
            party.connection = None;
        }
    }

    /// Closes the rooms whose time is over; gives the connections that were in them.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<ConnectionId> {
        let mut expelled = Vec::new();
        self.0.retain(|_, room| {
            let stays = now < room.until;
            if !stays {
                expelled.extend(room.parties.iter().filter_map(|party| party.connection));
            }
            stays
        });
        expelled
    }

    /// When the next room closes.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.0.values().map(|room| room.until).min()
    }

    /// Makes place: the oldest room that nobody is in goes.
    fn drop_an_empty_one(&mut self) -> bool {
        let empty = |room: &Room| room.parties.iter().all(|party| party.connection.is_none());
        let oldest = self.0.iter().filter(|(_, room)| empty(room)).min_by_key(|(_, room)| room.until);
        match oldest.map(|(name, _)| *name) {
            Some(name) => self.0.remove(&name).is_some(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomName = [9; 32];
    const NOW: Duration = Duration::from_secs(100);

    fn who(number: u8) -> Pseudonym {
        Pseudonym([number; 32])
    }

    fn enter(rooms: &mut Rooms, number: u8, connection: u64) -> Result<Vec<Vec<u8>>, Refusal> {
        rooms.enter(ROOM, who(number), ConnectionId(connection), NOW, &Limits::default())
    }

    fn pass(rooms: &mut Rooms, number: u8, text: &[u8]) -> Result<Option<(ConnectionId, Vec<u8>)>, Refusal> {
        rooms.pass(&ROOM, &who(number), text.to_vec(), &Limits::default())
    }

    #[test]
    fn the_second_hears_what_the_first_said_before() {
        let mut rooms = Rooms::default();
        assert_eq!(enter(&mut rooms, 1, 1), Ok(vec![]));
        assert_eq!(pass(&mut rooms, 1, b"one"), Ok(None));
        assert_eq!(pass(&mut rooms, 1, b"two"), Ok(None));
        assert_eq!(enter(&mut rooms, 2, 2), Ok(vec![b"one".to_vec(), b"two".to_vec()]));
        assert_eq!(pass(&mut rooms, 2, b"three"), Ok(Some((ConnectionId(1), b"three".to_vec()))));
    }

    #[test]
    fn a_third_is_refused() {
        let mut rooms = Rooms::default();
        enter(&mut rooms, 1, 1).unwrap();
        enter(&mut rooms, 2, 2).unwrap();
        assert_eq!(enter(&mut rooms, 3, 3), Err(Refusal::RoomTaken));
        assert_eq!(pass(&mut rooms, 3, b"let me in"), Err(Refusal::NotPermitted));
    }

    #[test]
    fn a_place_outlives_its_connection() {
        let mut rooms = Rooms::default();
        enter(&mut rooms, 1, 1).unwrap();
        enter(&mut rooms, 2, 2).unwrap();
        rooms.leave(&ROOM, ConnectionId(1));
        assert_eq!(pass(&mut rooms, 2, b"are you there"), Ok(None));
        assert_eq!(enter(&mut rooms, 3, 3), Err(Refusal::RoomTaken));
        assert_eq!(enter(&mut rooms, 1, 4), Ok(vec![b"are you there".to_vec()]));
        assert_eq!(pass(&mut rooms, 2, b"good"), Ok(Some((ConnectionId(4), b"good".to_vec()))));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut rooms = Rooms::default();
        enter(&mut rooms, 1, 1).unwrap();
        assert_eq!(pass(&mut rooms, 1, &[0; MAX_PASS + 1]), Err(Refusal::Invalid));
        assert_eq!(pass(&mut rooms, 1, &[0; MAX_PASS]), Ok(None));
        assert_eq!(pass(&mut rooms, 1, &[0; MAX_PASS]), Ok(None));
        assert_eq!(pass(&mut rooms, 1, &[0; 1]), Err(Refusal::Busy));
    }

    #[test]
    fn a_room_ends_after_ten_minutes() {
        let mut rooms = Rooms::default();
        enter(&mut rooms, 1, 1).unwrap();
        let end = rooms.deadline().unwrap();
        assert_eq!(end, NOW + Duration::from_secs(600));
        assert_eq!(rooms.expire(end - Duration::from_nanos(1)), []);
        assert_eq!(rooms.expire(end), [ConnectionId(1)]);
        assert_eq!(pass(&mut rooms, 1, b"hello"), Err(Refusal::NotPermitted));
    }

    #[test]
    fn empty_rooms_make_place_and_occupied_ones_do_not() {
        let limits = Limits { rooms: 1, ..Limits::default() };
        let mut rooms = Rooms::default();
        rooms.enter([1; 32], who(1), ConnectionId(1), NOW, &limits).unwrap();
        assert_eq!(rooms.enter([2; 32], who(2), ConnectionId(2), NOW, &limits), Err(Refusal::Busy));
        rooms.leave(&[1; 32], ConnectionId(1));
        assert!(rooms.enter([2; 32], who(2), ConnectionId(2), NOW, &limits).is_ok());
    }
}
