//! Devices that meet with no relay in between, as real processes.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use crate::support::{Device, Needles, Relay, Running, Tap, World, pair};

/// A device that lets others come, and where.
struct Host {
    running: Running,
    address: String,
}

impl Host {
    fn of(device: &Device) -> Self {
        let running = device.start(&["sync", "--listen", "127.0.0.1:0"], "");
        let line = running.line("listening");
        let address = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:"));
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}")).trim_end_matches(',').to_owned();
        Self { running, address }
    }

    fn socket(&self) -> std::net::SocketAddr {
        self.address.parse().expect("an address with a port")
    }
}

/// A laptop and others that paired through a relay which is gone since.
fn paired<const N: usize>(world: &World, names: [&str; N]) -> (Device, [Device; N]) {
    let (laptop, mut relay) = (world.started("laptop"), world.open_relay());
    laptop.run(&["relay", "add", relay.url()]).ok();
    let others = names.map(|name| {
        let device = world.device(name);
        pair(&laptop, &device, name);
        device
    });
    (0..2).for_each(|_| others.iter().chain([&laptop]).for_each(Device::sync));
    Relay::kill(&mut relay);
    (laptop, others)
}

#[test]
fn edits_travel_between_two_devices_whose_relay_is_gone() {
    let world = World::new();
    let (laptop, [phone]) = paired(&world, ["phone"]);
    laptop.run(&["new", "Ada Lovelace"]).ok();
    phone.run(&["new", "Grace Hopper"]).ok();
    let host = Host::of(&laptop);
    // Whoever names a device means that one; the relay that cannot be reached is not asked for.
    let met = phone.run(&["sync", "--peer", &host.address]).ok();
    assert!(met.out.contains(&format!("up to date  laptop ({})  sent 1", host.address)), "{met}");
    for device in [&laptop, &phone] {
        assert_eq!(device.names(), ["Ada Lovelace", "Grace Hopper"]);
    }
    let answer = phone.json(&["sync", "--peer", &host.address]);
    let device = &answer["devices"][0];
    assert_eq!((&device["device"], &device["sent"], &device["error"]), (&"laptop".into(), &0.into(), &().into()));
    let status = phone.run(&["status"]).out;
    assert!(status.contains("last met"), "{status}");

    // Both stay: what one writes is there at once.
    let watching = phone.start(&["sync", "--watch", "--peer", &host.address], "");
    watching.line("up to date");
    laptop.run(&["new", "Mary Somerville"]).ok();
    watching.line("received 1");
    assert_eq!(phone.names().len(), 3);
    drop(host);
}

#[test]
fn a_device_that_one_has_not_heard_of_is_let_in_by_what_it_brings() {
    let world = World::new();
    let (laptop, relay) = (world.started("laptop"), world.open_relay());
    laptop.run(&["relay", "add", relay.url()]).ok();
    let [phone, tablet] = ["phone", "tablet"].map(|name| world.device(name));
    pair(&laptop, &phone, "phone");
    phone.sync();
    laptop.sync();
    pair(&laptop, &tablet, "tablet");
    drop(relay);
    tablet.run(&["new", "Ada Lovelace"]).ok();
    phone.run(&["new", "Grace Hopper"]).ok();
    // The phone knows nothing of the tablet that it dials.
    let host = Host::of(&tablet);
    let met = phone.run(&["sync", "--peer", &host.address]).ok();
    assert!(met.out.contains("up to date  "), "{met}");
    for device in [&tablet, &phone] {
        assert_eq!(device.names(), ["Ada Lovelace", "Grace Hopper"]);
    }
    assert!(met.err.contains("a new device: tablet"), "{met}");
}

#[test]
fn a_device_that_was_shut_out_and_a_stranger_are_refused() {
    let world = World::new();
    let (laptop, [phone]) = paired(&world, ["phone"]);
    laptop.run(&["device", "revoke", "phone", "--yes"]).ok();
    laptop.run(&["new", "Written Afterwards"]).ok();
    let host = Host::of(&laptop);
    phone.run(&["sync", "--peer", &host.address]).code(1);
    let refused = phone.run(&["sync", "--peer", &host.address]).code(1);
    assert!(refused.out.contains("this device was shut out of the network by laptop"), "{refused}");
    assert!(phone.names().is_empty(), "it is given nothing");
    host.running.line("phone does not belong to the network any more");

    let stranger = world.started("stranger");
    let refused = stranger.run(&["sync", "--peer", &host.address]).code(1).complains("1 device of 1 failed");
    assert!(refused.out.contains("no device of this network"), "{refused}");
    let nobody = stranger.run(&["sync", "--peer", "127.0.0.1:1"]).code(1).complains("ties sync --listen");
    assert!(nobody.out.contains("nobody answers"), "{nobody}");
    stranger.run(&["sync", "--peer", "not an address"]).code(2);
    stranger.run(&["sync", "--listen", "laptop"]).code(2);
    stranger.run(&["sync"]).code(1).complains("--peer");
}

#[test]
fn what_crosses_the_wire_holds_no_word_and_nothing_that_stays_the_same() {
    let world = World::new();
    let (laptop, [phone]) = paired(&world, ["phone"]);
    let mut needles = Needles::default();
    ["Brackenfeather", "Quillfeather"].iter().for_each(|word| needles.word(word));
    let status = laptop.run(&["device", "list", "--json"]).ok().json();
    for device in status["devices"].as_array().expect("devices") {
        let id = device["id"].as_str().expect("an id");
        let bytes: Vec<u8> =
            (0..32).map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).expect("digits")).collect();
        needles.bytes("a device's id", &bytes);
    }
    let runs = [("Brackenfeather", "one"), ("Quillfeather", "two")].map(|(word, _)| {
        laptop.run(&["new", word]).ok();
        let host = Host::of(&laptop);
        let tap = Tap::before(host.socket());
        let met = phone.run(&["sync", "--peer", &tap.address().to_string()]).ok();
        assert!(met.out.contains("received 1"), "{met}");
        tap.raw()
    });
    // Two others, who share nothing with these but the program.
    let elsewhere = World::new();
    let (other, [guest]) = paired(&elsewhere, ["guest"]);
    let host = Host::of(&other);
    let tap = Tap::before(host.socket());
    guest.run(&["sync", "--peer", &tap.address().to_string()]).ok();

    // TLS says the same things in another order each time, with few different bytes. What looks random, as bytes (of 24 such,
    // nearly always 21 differ) or as digits, shall not come again.
    let varied = |part: &[u8]| part.iter().collect::<BTreeSet<_>>().len();
    let windows = |streams: &[Vec<u8>]| -> BTreeSet<Vec<u8>> {
        let bytes = streams.iter().flat_map(|stream| stream.windows(24)).filter(|part| varied(part) >= 21);
        let digits = streams.iter().flat_map(|stream| stream.windows(16));
        let digits = digits.filter(|part| part.iter().all(u8::is_ascii_hexdigit) && varied(part) >= 6);
        bytes.chain(digits).map(<[u8]>::to_vec).collect()
    };
    let [first, second] = runs.each_ref().map(|run| windows(run));
    let protocol = windows(&tap.raw());
    let same: Vec<_> = first.intersection(&second).filter(|part| !protocol.contains(*part)).collect();
    assert!(same.is_empty(), "in both runs, and not part of the protocol: {same:02x?}");
    for stream in runs.iter().flatten() {
        assert!(needles.within(stream).is_empty(), "{:?}", needles.within(stream));
    }
}

#[test]
fn devices_of_one_network_find_each_other_by_themselves() {
    if !hears_itself() {
        println!(
            "SKIPPED: this machine lets no multicast through, so that devices cannot find each other by themselves"
        );
        return;
    }
    let world = World::new();
    let (laptop, [phone]) = paired(&world, ["phone"]);
    laptop.run(&["new", "Ada Lovelace"]).ok();
    let on_the_lan = |device: &Device, words: &[&str]| {
        let mut command = device.command(words);
        command.env_remove("TIES_NO_LAN");
        Running::start(command, "")
    };
    let listening = on_the_lan(&laptop, &["sync", "--listen", "0"]);
    listening.line("listening");
    // The relay is gone; who is near is found all the same.
    let met =
        (0..5).map(|_| on_the_lan(&phone, &["sync"]).finish()).find(|met| met.out.contains("up to date  laptop ("));
    let met = met.expect("one of five attempts finds it");
    assert!(met.out.contains("received 1"), "{met}");
    assert_eq!(phone.names(), ["Ada Lovelace"]);

    // Another network's device hears the same and makes nothing of it.
    let stranger = world.started("stranger");
    on_the_lan(&stranger, &["sync"]).finish().code(1).complains("nobody to sync with");
    // So does whoever wants to be left alone.
    let alone = on_the_lan(&phone, &["sync", "--no-lan"]).finish().code(1);
    assert!(!alone.out.contains("laptop ("), "{alone}");

    let watching = on_the_lan(&phone, &["sync", "--watch"]);
    watching.line("connected  laptop (");
    laptop.run(&["new", "Grace Hopper"]).ok();
    watching.line("received 1");
    assert_eq!(phone.names().len(), 2);
}

/// Whether what this machine announces comes back to it.
pub(crate) fn hears_itself() -> bool {
    let call = ties_net::LanCall {
        nonce: std::process::id().to_be_bytes().repeat(4).try_into().unwrap(),
        tag: [0; 8],
        port: 9,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (Ok(_announced), Ok(ears)) = (ties_net::Announcement::new(&call), ties_net::LanEars::open()) else {
        return false;
    };
    let heard = async {
        let hearing = async { while ears.next().await.call != call {} };
        tokio::time::timeout(std::time::Duration::from_secs(3), hearing).await.is_ok()
    };
    runtime.block_on(heard)
}
