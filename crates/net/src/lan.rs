//! Finding devices on the local network by multicast DNS (RFC 6762, 6763).
//!
//! A listening device announces a service under names drawn at random, with a nonce and a tag in its TXT record. Who holds the
//! key that the tag was made under recognises it; to everybody else it says that some device listens at this port, and
//! nothing that another announcement says again. What a tag means is decided above this.

use std::net::IpAddr;
use std::time::Duration;

use mdns_sd::{Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};

/// What a listening device announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanCall {
    /// Fresh for each announcement.
    pub nonce: [u8; 16],
    /// Made of the nonce and the port under a key of the space.
    pub tag: [u8; 8],
    /// Where it listens.
    pub port: u16,
}

/// A call that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanHeard {
    /// The call.
    pub call: LanCall,
    /// Where it came from, as it says: the likeliest address first.
    pub addresses: Vec<IpAddr>,
}

/// Why the local network cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("the local network cannot be asked for devices")]
pub struct LanError(#[from] mdns_sd::Error);

/// An announcement, until dropped.
pub struct Announcement {
    daemon: ServiceDaemon,
}

impl Announcement {
    /// Announces a call on every network of this machine.
    ///
    /// # Errors
    /// When the system gives no socket for it.
    pub fn new(call: &LanCall) -> Result<Self, LanError> {
        let name = format!("{:016x}", getrandom::u64().unwrap_or(u64::from(call.port)));
        let host = format!("{:016x}.local.", getrandom::u64().unwrap_or(u64::from(call.port)));
        let properties = [("n", digits(&call.nonce)), ("t", digits(&call.tag))];
        // The machine's own name would say whose it is.
        let service = ServiceInfo::new(SERVICE, &name, &host, (), call.port, &properties[..])?.enable_addr_auto();
        let daemon = ServiceDaemon::new()?;
        daemon.register(service)?;
        Ok(Self { daemon })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // It says goodbye on its own thread, if the process lasts that long.
        let _ = self.daemon.shutdown();
    }
}

impl std::fmt::Debug for Announcement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Announcement(..)")
    }
}

/// Asks the local network for listening devices, and hears those that come later, until dropped.
pub struct LanEars {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
}

impl LanEars {
    /// Asks.
    ///
    /// # Errors
    /// When the system gives no socket for it.
    pub fn open() -> Result<Self, LanError> {
        let daemon = ServiceDaemon::new()?;
        let events = daemon.browse(SERVICE)?;
        Ok(Self { daemon, events })
    }

    /// The next call; the same one may come again. Safe to cancel.
    pub async fn next(&self) -> LanHeard {
        loop {
            match self.events.recv_async().await {
                Ok(ServiceEvent::ServiceResolved(service)) => {
                    if let Some(heard) = heard(&service) {
                        return heard;
                    }
                }
                Ok(_) => {}
                // The daemon's thread is gone: nothing will ever be heard.
                Err(_) => std::future::pending().await,
            }
        }
    }
}

impl Drop for LanEars {
    fn drop(&mut self) {
        let _ = self.daemon.shutdown();
    }
}

impl std::fmt::Debug for LanEars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LanEars(..)")
    }
}

fn heard(service: &ResolvedService) -> Option<LanHeard> {
    let nonce = service.txt_properties.get_property_val_str("n")?;
    let tag = service.txt_properties.get_property_val_str("t")?;
    let call = LanCall { nonce: bytes(nonce)?, tag: bytes(tag)?, port: service.port };
    Some(LanHeard { call, addresses: likeliest(service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr)) })
}

/// The addresses that can be dialled, IPv4 first; an address of one link alone would need to be told which.
fn likeliest(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let dialled = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_unspecified() && !address.is_multicast(),
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast() && !address.is_unicast_link_local(),
    };
    let mut addresses: Vec<IpAddr> = addresses.filter(dialled).collect();
    addresses.sort_unstable_by_key(|address| (address.is_loopback(), address.is_ipv6(), *address));
    addresses.truncate(MOST_ADDRESSES);
    addresses
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let known = digits.len() == 2 * N && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)).filter(|_| known) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    known.then_some(bytes)
}

/// How long an answer from the local network may take when nobody else is waited for.
pub const LAN_WAIT: Duration = Duration::from_millis(300);

const SERVICE: &str = "_ties-p2p._tcp.local.";
const MOST_ADDRESSES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_one_spelling() {
        assert_eq!(bytes::<2>("00ff"), Some([0, 255]));
        assert_eq!(bytes::<8>(&digits(&[7; 8])), Some([7; 8]));
        for bad in ["", "00f", "00fF", "00ff0", "0x0f", "+1ff", "é00"] {
            assert_eq!(bytes::<2>(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_that_need_no_link_named_come_first_and_few() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let all = ["127.0.0.1", "fe80::1", "fd00::2", "192.168.1.5", "0.0.0.0", "224.0.0.251", "10.0.0.1", "fd00::3"];
        let chosen = likeliest(all.into_iter().map(address));
        assert_eq!(chosen, ["10.0.0.1", "192.168.1.5", "fd00::2", "fd00::3"].map(address));
    }
}
