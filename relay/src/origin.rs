//! Where connections come from, and what is counted by it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::limits::Limits;

/// An address, or as much of it as one customer of a provider has: 64 bits of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin([u8; 8]);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => (u64::from(address.to_bits()) | 0xffff << 32).to_be_bytes(),
            IpAddr::V6(address) => *address.octets().first_chunk().expect("8 of 16 bytes"),
        })
    }
}

/// Mailboxes made without a token, by where from, within a day. In memory alone: addresses are not written down.
#[derive(Debug, Default)]
pub(crate) struct Makers(BTreeMap<Origin, Made>);

#[derive(Debug)]
struct Made {
    since: Duration,
    count: u32,
}

impl Makers {
    /// Whether one more may be made from there.
    pub(crate) fn has_room(&self, origin: Origin, now: Duration, limits: &Limits) -> bool {
        let made = self.0.get(&origin).filter(|made| made.is_recent(now)).map_or(0, |made| made.count);
        made < limits.mailboxes_per_address
    }

    pub(crate) fn count(&mut self, origin: Origin, now: Duration) {
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, made| made.is_recent(now));
        }
        let made = self.0.entry(origin).or_insert(Made { since: now, count: 0 });
        if !made.is_recent(now) {
            *made = Made { since: now, count: 0 };
        }
        made.count += 1;
    }
}

impl Made {
    fn is_recent(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) < DAY
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Above this many origins those of yesterday are forgotten; each of today cost a connection, a proof and a mailbox.
const REMEMBERED: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_counted_by_address_for_a_day() {
        let limits = Limits { mailboxes_per_address: 2, ..Limits::default() };
        let origin = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());
        let (mut makers, mut now) = (Makers::default(), Duration::from_secs(1_000_000));
        for _ in 0..2 {
            assert!(makers.has_room(origin("10.0.0.1"), now, &limits));
            makers.count(origin("10.0.0.1"), now);
        }
        assert!(!makers.has_room(origin("::ffff:10.0.0.1"), now, &limits));
        assert!(makers.has_room(origin("10.0.0.2"), now, &limits));
        now += DAY;
        assert!(makers.has_room(origin("10.0.0.1"), now, &limits));
        makers.count(origin("10.0.0.1"), now);
        assert!(makers.has_room(origin("10.0.0.1"), now, &limits));
    }

    #[test]
    fn neighbours_in_one_network_of_64_bits_are_one() {
        let origin = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
    }
}
