//! Moments at which links may have died unnoticed: the machine woke, its clock was set, or it reaches the world another way.
//!
//! A link of which nothing is heard is given up after a minute, and a pause between attempts may last one; both are too
//! long for somebody who opens a laptop. So a process that stays asks to be told of such moments ([`watch_network`]);
//! links then probe at once ([`crate::Link`]), and pauses end ([`rest`]). The system tells of them without being asked
//! again and again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// One for the process, as there is one network for it.
static STIRRED: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// Changes at each such moment, while somebody watches.
pub(crate) fn stirrings() -> watch::Receiver<u64> {
    STIRRED.subscribe()
}

/// Has every link of this process probe whether it is alive, and ends every [`rest`].
pub fn stir() {
    STIRRED.send_modify(|times| *times += 1);
}

/// Waits; no longer than until the network may be another. Returns whether that cut it short.
pub async fn rest(pause: Duration) -> bool {
    let mut stirred = stirrings();
    tokio::select! {
        () = sleep(pause) => false,
        _ = stirred.changed() => true,
    }
}

/// Tells the links of this process of such moments, until dropped.
pub async fn watch_network() {
    tokio::join!(clock(), addresses());
}

/// The addresses that this machine would be seen with, for what leaves it by IPv4 and by IPv6. Nothing is sent: the system
/// only chooses the way. The addresses asked for are for examples (RFC 5737, RFC 3849).
fn ways() -> [Option<IpAddr>; 2] {
    let way = |from: SocketAddr, to: SocketAddr| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let documented = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    [
        way((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into()),
        way((Ipv6Addr::UNSPECIFIED, 0).into(), (documented, 9).into()),
    ]
}

#[cfg(target_os = "linux")]
mod linux {
    use std::future::pending;
    use std::os::fd::AsFd;

    use rustix::io::Errno;
    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::net::unix::pipe::Receiver;
    use tokio::time::sleep;

    use super::{GATHER, stir, ways};

    /// Waits until the system has something to say, and takes all of it; whether it said that a timer was cancelled.
    async fn hear(system: &Receiver) -> bool {
        let mut cancelled = false;
        if system.readable().await.is_err() {
            return pending().await;
        }
        // Too many words at once are an error too, and no more than that.
        for _ in 0..MOST_WORDS {
            match system.try_read(&mut [0; 4096]) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => cancelled |= error.raw_os_error() == Some(Errno::CANCELED.raw_os_error()),
                Ok(_) => {}
            }
        }
        cancelled
    }

    const MOST_WORDS: usize = 4096;

    /// A timer of the wall's clock that never comes, and is cancelled when that clock is set or the machine wakes
    /// (timerfd_create(2)).
    pub(super) async fn clock() {
        let Some(timer) = timer() else { return pending().await };
        loop {
            if hear(&timer).await {
                stir();
            }
            if arm(&timer).is_err() {
                return pending().await;
            }
        }
    }

    fn timer() -> Option<Receiver> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags).ok()?;
        arm(&timer).ok()?;
        // It is read as a pipe is.
        Receiver::from_owned_fd_unchecked(timer).ok()
    }

    fn arm(timer: &impl AsFd) -> Result<(), Errno> {
        let never = Timespec { tv_sec: i64::from(u32::MAX) * 2, tv_nsec: 0 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: never };
        match timerfd_settime(timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &once) {
            // It was set while this was being said, which is told by the next read.
            Ok(_) | Err(Errno::CANCELED) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Hears of every change of addresses and routes (rtnetlink(7)), most of which change nothing for us.
    pub(super) async fn addresses() {
        let Some(news) = news() else { return pending().await };
        let mut known = ways();
        loop {
            hear(&news).await;
            // One change is told by many words; what is said later than that is heard next.
            sleep(GATHER).await;
            let now = ways();
            if now != known {
                known = now;
                stir();
            }
        }
    }

    fn news() -> Option<Receiver> {
        const LINK: u32 = 0x1;
        const IPV4_ADDRESS: u32 = 0x10;
        const IPV4_ROUTE: u32 = 0x40;
        const IPV6_ADDRESS: u32 = 0x100;
        const IPV6_ROUTE: u32 = 0x400;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).ok()?;
        let groups = LINK | IPV4_ADDRESS | IPV4_ROUTE | IPV6_ADDRESS | IPV6_ROUTE;
        bind(&socket, &SocketAddrNetlink::new(0, groups)).ok()?;
        Receiver::from_owned_fd_unchecked(socket).ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::time::{Duration, Instant, SystemTime};

    use tokio::time::sleep;

    use super::{stir, ways};

    /// Compares the two clocks: the steady one stands still while the machine sleeps, or jumps with it.
    pub(super) async fn clock() {
        loop {
            let (wall, steady) = (SystemTime::now(), Instant::now());
            sleep(LOOK).await;
            let passed = SystemTime::now().duration_since(wall).unwrap_or_default();
            let overslept = steady.elapsed().saturating_sub(LOOK);
            if passed.abs_diff(steady.elapsed()) > APART || overslept > APART {
                stir();
            }
        }
    }

    pub(super) async fn addresses() {
        let mut known = ways();
        loop {
            sleep(LOOK).await;
            let now = ways();
            if now != known {
                known = now;
                stir();
            }
        }
    }

    const LOOK: Duration = Duration::from_secs(30);
    const APART: Duration = Duration::from_secs(5);
}

#[cfg(not(target_os = "linux"))]
use elsewhere::{addresses, clock};
#[cfg(target_os = "linux")]
use linux::{addresses, clock};

/// How long words about one change are gathered.
#[cfg(target_os = "linux")]
const GATHER: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rest_ends_when_the_network_may_be_another() {
        assert!(!rest(Duration::from_millis(5)).await);
        let resting = tokio::spawn(rest(Duration::from_secs(3600)));
        tokio::task::yield_now().await;
        stir();
        assert!(resting.await.unwrap());
    }

    #[tokio::test]
    async fn watching_lasts_and_a_way_that_stays_is_no_news() {
        let mut stirred = stirrings();
        stirred.mark_unchanged();
        assert_eq!(ways(), ways());
        assert!(tokio::time::timeout(Duration::from_millis(200), watch_network()).await.is_err());
    }
}
