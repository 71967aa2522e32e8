//! Numbers under which a new device meets the one that lets it in, for as long as it takes them to agree on a code.
//!
//! A number is short, because a person types it, and so it proves nothing: whoever guesses it can spoil an attempt and
//! no more. It is good for one guest; afterwards, or when either side goes, it is nobody's.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use rand_core::CryptoRng;
use ties_sync::{MAX_NOTE, Refusal};

use crate::connection::ConnectionId;
use crate::limits::Limits;
use crate::origin::Origin;

/// All numbers that are in use.
#[derive(Debug, Default)]
pub(crate) struct Nameplates {
    in_use: BTreeMap<u32, Nameplate>,
    /// How often numbers were claimed lately, by address: so that nobody goes through all of them.
    claims: BTreeMap<Origin, Claims>,
}

#[derive(Debug)]
struct Nameplate {
    until: Duration,
    host: ConnectionId,
    guest: Option<ConnectionId>,
    /// What was said, by both together.
    said: u32,
}

#[derive(Debug)]
struct Claims {
    until: Duration,
    count: u32,
}

impl Nameplates {
    /// Gives out a number: a random one, of as few digits as there are half of them free.
    pub(crate) fn reserve(
        &mut self,
        host: ConnectionId,
        now: Duration,
        limits: &Limits,
        rng: &mut impl CryptoRng,
    ) -> Result<u32, Refusal> {
        if self.in_use.len() >= limits.nameplates {
            return Err(Refusal::Busy);
        }
        let mut below = 100;
        while self.in_use.range(..below).count() >= below as usize / 2 {
            below *= 10;
        }
        let number = loop {
            // Whether all numbers are exactly as likely does not matter: they are no secret.
            let number = rng.next_u32() % below;
            if number > 0 && !self.in_use.contains_key(&number) {
                break number;
            }
        };
        let until = now + limits.room_lasts;
        self.in_use.insert(number, Nameplate { until, host, guest: None, said: 0 });
        Ok(number)
    }

    /// Lets the one guest of a number in.
    pub(crate) fn claim(
        &mut self,
        number: u32,
        guest: ConnectionId,
        from: Option<IpAddr>,
        now: Duration,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        if let Some(from) = from {
            self.count(Origin::from(from), now, limits)?;
        }
        let nameplate = self.in_use.get_mut(&number).ok_or(Refusal::NoNameplate)?;
        match nameplate.guest {
            Some(_) => Err(Refusal::RoomTaken),
            None => {
                nameplate.guest = Some(guest);
                Ok(())
            }
        }
    }

    /// Passes a message on: gives the connection that must hear it.
    pub(crate) fn pass(&mut self, number: u32, from: ConnectionId, length: usize) -> Result<ConnectionId, Refusal> {
        let nameplate = self.in_use.get_mut(&number).ok_or(Refusal::NoNameplate)?;
        let other = nameplate.other(from).ok_or(Refusal::NotPermitted)?;
        if length > MAX_NOTE {
            return Err(Refusal::Invalid);
        }
        nameplate.said += 1;
        if nameplate.said > NOTES { Err(Refusal::Busy) } else { Ok(other) }
    }

    /// Frees a number because one of the two is gone; gives the other one.
    pub(crate) fn leave(&mut self, number: u32, who: ConnectionId) -> Option<ConnectionId> {
        // The number may have been given to others since.
        let its = self.in_use.get(&number).filter(|its| its.host == who || its.guest == Some(who))?;
        let other = its.other(who);
        self.in_use.remove(&number);
        other
    }

    /// Frees the numbers whose time is over; gives the connections that were under them.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<ConnectionId> {
        let mut left = Vec::new();
        self.in_use.retain(|_, its| {
            let stays = now < its.until;
            if !stays {
                left.push(its.host);
                left.extend(its.guest);
            }
            stays
        });
        self.claims.retain(|_, claims| now < claims.until);
        left
    }

    /// When the next number is freed.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.in_use.values().map(|its| its.until).min()
    }

    fn count(&mut self, from: Origin, now: Duration, limits: &Limits) -> Result<(), Refusal> {
        if self.claims.len() >= ORIGINS {
            self.claims.retain(|_, claims| now < claims.until);
        }
        let known = self.claims.contains_key(&from);
        if !known && self.claims.len() >= ORIGINS {
            return Err(Refusal::Busy);
        }
        let fresh = || Claims { until: now + limits.room_lasts, count: 0 };
        let claims = self.claims.entry(from).or_insert_with(fresh);
        if claims.until <= now {
            *claims = fresh();
        }
        claims.count += 1;
        if claims.count > limits.claims_per_address { Err(Refusal::Busy) } else { Ok(()) }
    }
}

impl Nameplate {
    fn other(&self, than: ConnectionId) -> Option<ConnectionId> {
        if self.host == than { self.guest } else { Some(self.host).filter(|_| self.guest == Some(than)) }
    }
}

/// What two devices may say before they have agreed; they need four messages.
const NOTES: u32 = 8;
/// Addresses whose claims are counted at a time.
const ORIGINS: usize = 4096;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const HOST: ConnectionId = ConnectionId(1);
    const GUEST: ConnectionId = ConnectionId(2);
    const THIRD: ConnectionId = ConnectionId(3);

    fn reserved() -> (Nameplates, u32) {
        let mut nameplates = Nameplates::default();
        let number = nameplates.reserve(HOST, NOW, &Limits::default(), &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        (nameplates, number)
    }

    fn claim(nameplates: &mut Nameplates, number: u32, who: ConnectionId) -> Result<(), Refusal> {
        nameplates.claim(number, who, None, NOW, &Limits::default())
    }

    #[test]
    fn two_meet_under_a_number_and_a_third_does_not() {
        let (mut nameplates, number) = reserved();
        assert_eq!(nameplates.pass(number, HOST, 10), Err(Refusal::NotPermitted), "nobody is there to hear it");
        assert_eq!(claim(&mut nameplates, number, GUEST), Ok(()));
        assert_eq!(nameplates.pass(number, HOST, 10), Ok(GUEST));
        assert_eq!(nameplates.pass(number, GUEST, 10), Ok(HOST));
        assert_eq!(claim(&mut nameplates, number, THIRD), Err(Refusal::RoomTaken));
        assert_eq!(nameplates.pass(number, THIRD, 10), Err(Refusal::NotPermitted));
    }

    #[test]
    fn a_number_is_free_again_as_soon_as_one_of_the_two_is_gone() {
        for who in [HOST, GUEST] {
            let (mut nameplates, number) = reserved();
            claim(&mut nameplates, number, GUEST).unwrap();
            assert_eq!(nameplates.leave(number, THIRD), None, "a third has no say");
            assert_eq!(nameplates.leave(number, who), Some(if who == HOST { GUEST } else { HOST }));
            assert_eq!(claim(&mut nameplates, number, THIRD), Err(Refusal::NoNameplate));
            assert_eq!(nameplates.pass(number, HOST, 1), Err(Refusal::NoNameplate));
        }
        let (mut nameplates, number) = reserved();
        assert_eq!(nameplates.leave(number, HOST), None, "nobody else was there");
        assert_eq!(nameplates.deadline(), None);
    }

    #[test]
    fn a_number_ends_after_ten_minutes() {
        let (mut nameplates, number) = reserved();
        claim(&mut nameplates, number, GUEST).unwrap();
        let end = nameplates.deadline().unwrap();
        assert_eq!(end, NOW + Duration::from_secs(600));
        assert_eq!(nameplates.expire(end - Duration::from_nanos(1)), []);
        assert_eq!(nameplates.expire(end), [HOST, GUEST]);
        assert_eq!(nameplates.pass(number, GUEST, 1), Err(Refusal::NoNameplate));
    }

    #[test]
    fn what_passes_is_bounded_in_size_and_number() {
        let (mut nameplates, number) = reserved();
        claim(&mut nameplates, number, GUEST).unwrap();
        assert_eq!(nameplates.pass(number, HOST, MAX_NOTE + 1), Err(Refusal::Invalid));
        for _ in 0..NOTES {
            assert_eq!(nameplates.pass(number, GUEST, MAX_NOTE), Ok(HOST));
        }
        assert_eq!(nameplates.pass(number, HOST, 1), Err(Refusal::Busy));
    }

    #[test]
    fn numbers_are_short_used_again_and_grow_with_need() {
        let limits = Limits { nameplates: 200, ..Limits::default() };
        let (mut nameplates, rng) = (Nameplates::default(), &mut ChaCha20Rng::seed_from_u64(2));
        let given: Vec<u32> =
            (0..200).map(|id| nameplates.reserve(ConnectionId(id), NOW, &limits, rng).unwrap()).collect();
        assert!(given[..50].iter().all(|number| (1..100).contains(number)), "{given:?}");
        assert!(given[50..].iter().any(|number| *number >= 100) && given.iter().all(|number| *number < 1000));
        assert_eq!(nameplates.reserve(HOST, NOW, &limits, rng), Err(Refusal::Busy));
        nameplates.expire(NOW + limits.room_lasts);
        assert!(nameplates.reserve(HOST, NOW, &limits, rng).unwrap() < 100);
    }

    #[test]
    fn one_address_cannot_try_all_numbers() {
        let (mut nameplates, number) = reserved();
        let limits = Limits::default();
        let from = |text: &str| Some(text.parse().unwrap());
        for _ in 0..limits.claims_per_address {
            let refused = nameplates.claim(number + 1, THIRD, from("2001:db8::1"), NOW, &limits);
            assert_eq!(refused, Err(Refusal::NoNameplate));
        }
        let neighbour = from("2001:db8::ffff:2");
        assert_eq!(nameplates.claim(number, THIRD, neighbour, NOW, &limits), Err(Refusal::Busy));
        assert_eq!(nameplates.claim(number, GUEST, from("192.0.2.1"), NOW, &limits), Ok(()));
        let later = NOW + limits.room_lasts;
        assert_eq!(nameplates.claim(number + 1, THIRD, neighbour, later, &limits), Err(Refusal::NoNameplate));
    }
}
