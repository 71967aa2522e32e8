//! Relays that hang up in the middle, talk rubbish, play old recordings or have no room: the device says so, exits not
//! with 0, and local work goes on.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::support::{Device, Tap, World};

/// A listener that deals with each connection in its own way, for as long as the test runs.
fn listen(deal: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().filter_map(Result::ok).for_each(deal));
    address
}

/// Passes everything on to a relay, and from it only so many bytes; then it hangs up.
fn cut_after(relay: SocketAddr, bytes: u64) -> SocketAddr {
    listen(move |device| {
        let relay = TcpStream::connect(relay).unwrap();
        let (mut from_device, mut to_relay) = (device.try_clone().unwrap(), relay.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from_device, &mut to_relay));
        thread::spawn(move || {
            let _ = std::io::copy(&mut (&relay).take(bytes), &mut &device);
            let _ = (device.shutdown(Shutdown::Both), relay.shutdown(Shutdown::Both));
        });
    })
}

/// A device whose relay is reached through a tap, so that something else can stand in the relay's place.
fn device_behind_a_tap(world: &World) -> (Device, crate::support::Relay, Tap) {
    let (laptop, relay) = (world.started("laptop"), world.open_relay());
    let tap = Tap::before(relay.socket());
    laptop.run(&["relay", "add", &tap.url(relay.url())]).ok();
    laptop.sync();
    (laptop, relay, tap)
}

/// Sync fails and says why, the status too, and what is done meanwhile is done.
fn fails_and_goes_on(laptop: &Device, person: &str) -> String {
    let failed = laptop.run(&["sync"]).code(1).complains("Error: 1 relay of 1 failed").complains("Hint: ");
    laptop.run(&["new", person]).ok();
    assert!(laptop.run(&["find", person]).ok().out.contains(person));
    let status = laptop.run(&["status", "--json"]).code(1).json();
    assert!(status["relays"][0]["last_error"].is_string(), "{status}");
    failed.out.clone()
}

#[test]
fn a_relay_that_hangs_up_in_the_middle_of_anything_costs_nothing() {
    let world = World::new();
    let (laptop, relay, tap) = device_behind_a_tap(&world);
    laptop.run(&["new", "Ada Lovelace"]).ok();
    // In the upgrade, in its hello, behind its welcome, within its open.
    for (number, bytes) in [1, 60, 160, 210, 300, 330, 380].into_iter().enumerate() {
        tap.lead_to(cut_after(relay.socket(), bytes));
        fails_and_goes_on(&laptop, &format!("Guest {number}"));
    }
    tap.lead_to(relay.socket());
    laptop.sync();
    laptop.run(&["status"]).ok();
    assert_eq!(laptop.names().len(), 8);
}

#[test]
fn what_talks_rubbish_is_no_relay() {
    let world = World::new();
    let (laptop, relay, tap) = device_behind_a_tap(&world);
    let rubbish: [&'static [u8]; 4] =
        [b"", b"SSH-2.0-OpenSSH_10.0\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n", &[0xff; 4096]];
    for (number, rubbish) in rubbish.into_iter().enumerate() {
        tap.lead_to(listen(move |mut device| {
            let _ = device.read(&mut [0; 1024]);
            let _ = device.write_all(rubbish);
        }));
        fails_and_goes_on(&laptop, &format!("Guest {number}"));
    }
    // The real relay, in which one byte of every frame after the upgrade is another.
    let genuine = relay.socket();
    tap.lead_to(listen(move |device| {
        let relay = TcpStream::connect(genuine).unwrap();
        let (mut from_device, mut to_relay) = (device.try_clone().unwrap(), relay.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from_device, &mut to_relay));
        thread::spawn(move || {
            let (mut relay, mut device, mut bytes) = (relay, device, [0; 16 << 10]);
            let mut upgraded = false;
            while let Ok(read @ 1..) = relay.read(&mut bytes) {
                if upgraded {
                    bytes[read - 1] ^= 0x55;
                }
                upgraded = true;
                if device.write_all(&bytes[..read]).is_err() {
                    break;
                }
            }
        });
    }));
    fails_and_goes_on(&laptop, "Guest 5");
    tap.lead_to(relay.socket());
    laptop.sync();
}

#[test]
fn a_recording_of_a_relay_is_no_relay() {
    let world = World::new();
    let (laptop, relay, tap) = device_behind_a_tap(&world);
    laptop.run(&["new", "Ada Lovelace"]).ok();
    laptop.sync();
    // Everything that the relay ever said to this device, in the last of its connections.
    let recorded = tap.raw().pop().expect("a connection");
    assert!(recorded.starts_with(b"HTTP/1.1 101"), "it is the relay's direction");
    tap.lead_to(listen(move |mut device| {
        let mut request = [0; 1024];
        let read = device.read(&mut request).unwrap_or(0);
        // The answer to the upgrade has to fit the question; all the rest is as it was.
        let head = recorded.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let accept = accept_for(std::str::from_utf8(&request[..read]).unwrap_or_default());
        let _ = write!(
            device,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let _ = device.write_all(&recorded[head..]);
        let _ = device.read(&mut request);
    }));
    let said = fails_and_goes_on(&laptop, "Grace Hopper");
    assert!(said.contains("prove") || said.contains("signature"), "{said}");
    tap.lead_to(relay.socket());
    laptop.sync();
    assert_eq!(laptop.names().len(), 2);
}

#[test]
fn a_full_mailbox_is_said_by_sync_and_by_status_and_local_work_goes_on() {
    let world = World::new();
    let (laptop, relay) = (world.started("laptop"), world.relay(&["--open", "--limit", "mailbox-size=16 KiB"]));
    laptop.run(&["relay", "add", relay.url()]).ok();
    for number in 0..40 {
        laptop.run(&["new", &format!("Guest {number}")]).ok();
    }
    let failed = laptop.run(&["sync"]).code(1).complains("Hint: ").complains("more room");
    assert!(failed.out.contains("the mailbox is full"), "{failed}");
    let status = laptop.run(&["status"]).code(1);
    assert!(status.out.contains("the mailbox is full") && status.out.contains("to send"), "{status}");
    laptop.run(&["note", "guest-3", "still works"]).ok();
}

#[test]
fn a_used_up_token_is_told_from_a_wrong_one() {
    let world = World::new();
    let (laptop, other, relay) = (world.started("laptop"), world.started("other"), world.relay(&[]));
    let file = laptop.file("token.txt", &relay.token());
    laptop.run(&["relay", "add", relay.url(), "--token-file", &file]).ok();
    other.run(&["relay", "add", relay.url(), "--token-file", &file]).code(1).complains("used up").complains("Hint: ");
    let wrong = other.file("wrong.txt", &"0".repeat(32));
    other.run(&["relay", "add", relay.url(), "--token-file", &wrong]).code(1).complains("needs an invite token");
}

/// RFC 6455, 4.2.2: what answers the key of an upgrade.
fn accept_for(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
    tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.trim().as_bytes())
}
