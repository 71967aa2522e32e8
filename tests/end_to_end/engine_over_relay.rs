//! Devices and a relay in one process, over real sockets.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};
use ties_engine::{
    CreateOptions, DocumentId, Doors, EditError, Environment, JoinOptions, RecoverOptions, Role, Source, Space,
    SyncEvent,
};

type Running = (String, tokio::task::JoinHandle<()>, tokio::sync::oneshot::Sender<()>, u16);

async fn relay(data: &Path, port: u16) -> Running {
    let mut config = ties_relay::Config::new(data);
    config.open = true;
    serve(config, port).await
}

async fn serve(config: ties_relay::Config, port: u16) -> Running {
    let server = ties_relay::Server::open(config).unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let listening = listener.local_addr().unwrap();
    let address = server.address(listening).unwrap().to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let running = tokio::spawn(async move {
        server.run(listener, async move { drop(stopped.await) }).await.unwrap();
    });
    (address, running, stop, listening.port())
}

fn create(folder: &Path) -> Space {
    let options = CreateOptions { device_name: "laptop".into(), recovery: true };
    Space::create(folder, (), &options, Environment::system()).unwrap().0
}

fn set(space: &Space, id: DocumentId, key: &str, value: &str) {
    space.write(|edit| edit.change(id, |tx| tx.put(ROOT, key, value).map_err(EditError::from))).unwrap();
}

fn get(space: &Space, id: DocumentId, key: &str) -> Option<String> {
    let read = space
        .read(id, |document| document.get(ROOT, key).unwrap().map(|(value, _)| value.as_str().unwrap().to_owned()));
    read.unwrap().flatten()
}

async fn sync(space: &Space) -> Vec<SyncEvent> {
    let mut events = Vec::new();
    for report in space.sync(|event| events.push(event)).await.unwrap() {
        let tally = report.outcome.unwrap();
        println!("{tally:?}");
    }
    events
}

async fn pair(host: &Space, folder: &Path) -> Space {
    let mut invitation = host.invite(&Doors::default(), Duration::from_secs(60)).await.unwrap();
    let ticket = invitation.ticket();
    let options = JoinOptions { device_name: "phone".into(), ..JoinOptions::default() };
    let mut announced = String::new();
    let joining = Space::join(folder, (), &ticket, &options, Environment::system(), |words| announced.push_str(words));
    let admitting = async {
        let guest = invitation.guest().await.unwrap();
        assert_eq!(guest.name, "phone");
        invitation.accept(&guest, Role::Writer).await.unwrap();
        guest
    };
    let (joined, guest) = tokio::join!(joining, admitting);
    let joined = joined.unwrap().space;
    assert_eq!(joined.fingerprint().unwrap(), guest.fingerprint);
    assert_eq!(announced, guest.fingerprint);
    joined
}

#[tokio::test]
async fn two_devices_end_equal_and_a_wiped_relay_is_refilled() {
    let folder = tempfile::tempdir().unwrap();
    let (address, running, stop, port) = relay(&folder.path().join("relay"), 0).await;
    let one = create(&folder.path().join("one"));
    let id = DocumentId([7; 16]);
    set(&one, id, "name", "Ada");
    one.add_relay(&address, None).await.unwrap();
    sync(&one).await;
    let two = pair(&one, &folder.path().join("two")).await;
    sync(&two).await;
    assert_eq!(get(&two, id, "name").as_deref(), Some("Ada"));
    assert_eq!(two.devices().unwrap().len(), 2);

    set(&one, id, "email", "ada@example.org");
    set(&two, id, "phone", "+1");
    sync(&two).await;
    sync(&one).await;
    sync(&two).await;
    for device in [&one, &two] {
        assert_eq!(get(device, id, "email").as_deref(), Some("ada@example.org"));
        assert_eq!(get(device, id, "phone").as_deref(), Some("+1"));
        let status = device.status().unwrap();
        assert!(status.waiting.is_empty() && status.bad == 0, "{status:?}");
        assert_eq!(status.roads[0].to_send, 0);
    }
    for device in [&one, &two] {
        let tally = device.sync(drop).await.unwrap().remove(0).outcome.unwrap();
        assert_eq!((tally.frames_sent, tally.frames_received), (1, 1), "nothing to do is a digest each way: {tally:?}");
    }

    drop(stop);
    running.await.unwrap();
    std::fs::remove_file(folder.path().join("relay/database")).unwrap();
    let (again, _running, _stop, _) = relay(&folder.path().join("relay"), port).await;
    assert_eq!(address, again);
    set(&two, id, "phone", "+2");
    let events = sync(&two).await;
    assert!(events.iter().any(|event| matches!(event, SyncEvent::MailboxRestored(_))), "{events:?}");
    sync(&one).await;
    assert_eq!(get(&one, id, "phone").as_deref(), Some("+2"));
}

#[tokio::test]
async fn a_relay_that_dropped_entries_is_enough_for_a_new_device_and_for_the_twelve_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = ties_relay::Config::new(folder.path().join("relay"));
    config.open = true;
    config.limits.prunes = true;
    let (address, _running, _stop, _) = serve(config, 0).await;
    let options = CreateOptions { device_name: "laptop".into(), recovery: true };
    let (one, words) = Space::create(&folder.path().join("one"), (), &options, Environment::system()).unwrap();
    one.add_relay(&address, None).await.unwrap();
    sync(&one).await;
    let two = pair(&one, &folder.path().join("two")).await;
    sync(&two).await;
    let id = |number: usize| DocumentId([number as u8; 16]);
    for generation in 0..2 {
        for number in 0..100 {
            set(&one, id(number), "name", &format!("generation {generation} of {number}"));
        }
        sync(&one).await;
        sync(&two).await;
        assert!(two.make_checkpoint().unwrap());
        sync(&two).await;
        // With the entries first, it stands at the cut in the next one.
        sync(&one).await;
        sync(&one).await;
        assert_eq!(one.checkpoints().unwrap()[0].second.as_deref(), Some("laptop"), "a sync compares and signs");
        sync(&two).await;
    }
    set(&one, id(200), "name", "above both");
    sync(&one).await;
    let received = |report: ties_engine::RoadReport| report.outcome.unwrap().entries_received;
    let three = pair(&one, &folder.path().join("three")).await;
    let first = received(three.sync(drop).await.unwrap().remove(0));
    assert!(first < 60, "{first} entries: what lies below the checkpoint is not there any more");
    sync(&three).await;
    let words = words.unwrap();
    let options = RecoverOptions { device_name: "new".into(), lost: true };
    let (source, home) = (Source::Relay(address), folder.path().join("new"));
    let recovered = Space::recover(&home, (), &words, &source, &options, Environment::system(), &mut |_| {}).await;
    let (new, found) = recovered.unwrap();
    assert_eq!(found.devices.len(), 3);
    for device in [&three, &new] {
        for number in 0..100 {
            assert_eq!(get(device, id(number), "name"), Some(format!("generation 1 of {number}")));
        }
        assert_eq!(get(device, id(200), "name").as_deref(), Some("above both"));
        assert!(device.check_documents(&mut |_, _| {}).unwrap().lacking.is_empty());
    }
    set(&new, id(201), "name", "after the return");
    sync(&new).await;
}
