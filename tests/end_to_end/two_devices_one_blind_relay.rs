//! The main job, from an imported file to the same network on two devices, and a relay that learned nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ties_engine::RelayAddress;

use crate::support::{
    Device, Needles, OLD_LABEL, Relay, Secrets, Signal, Tap, World, cards, files, pair, pair_by_code, plaintext,
};

#[test]
fn two_devices_one_blind_relay() {
    let world = World::new();
    let mut relay = world.open_relay();
    let tap = Tap::before(relay.socket());
    let (laptop, phone) = (world.device("laptop"), world.device("phone"));
    let url = tap.url(relay.url());

    let recovery = begin(&laptop, &url);
    let ticket = pair(&laptop, &phone, PHONE);
    together(&laptop, &phone);
    assert_eq!(phone.names().len(), PEOPLE.len() / 5);

    fields_and_a_note_of_both(&laptop, &phone, &mut relay, &tap);
    one_file_on_both(&laptop, &phone, &mut relay, &tap);
    a_watch_and_the_relay_are_killed(&laptop, &phone, &mut relay, &tap);
    let code = a_wiped_relay_is_refilled(&world, &laptop, &phone, &mut relay, &tap, &url);

    let known = together(&laptop, &phone);
    relay.stop();
    for device in [&laptop, &phone] {
        let status = device.json(&["status"]);
        assert_eq!((&status["stuck"], &status["waiting"]), (&false.into(), &serde_json::json!([])), "{status}");
        assert_eq!(status["relays"][0]["to_send"], 0, "{status}");
    }
    nobody_could_read([&laptop, &phone], &relay, &tap, &url, &known, [&recovery, &ticket, &code]);
    assert!(laptop.strays().is_empty() && phone.strays().is_empty(), "nothing lies outside the data folders");
}

/// The first device takes in its contacts and sends them away; gives its recovery words.
fn begin(laptop: &Device, url: &str) -> String {
    let created = laptop.json(&["init", "--name", LAPTOP]);
    let recovery = created["recoveryWords"].as_str().expect("words").to_owned();
    assert_eq!(recovery.split(' ').count(), 12);
    let file = laptop.file("contacts.vcf", &cards(&PEOPLE));
    let report = laptop.json(&["import", &file]);
    assert_eq!(report["files"][0]["people_created"], PEOPLE.len() / 5, "{report}");
    laptop.run(&["relay", "add", url]).ok();
    laptop.sync();
    recovery
}

/// Syncs until both have heard of everything; gives what both then hold, byte for byte the same.
fn together(laptop: &Device, phone: &Device) -> String {
    [laptop, phone, laptop].into_iter().for_each(Device::sync);
    let [here, there] = [laptop, phone].map(Device::export);
    assert_eq!(here, there);
    assert_eq!(laptop.run(&["ls", "--json"]).ok().out, phone.run(&["ls", "--json"]).ok().out);
    here
}

/// While nobody can reach anybody, each edits the same note and another field of the same person. The relay goes in
/// good order.
fn fields_and_a_note_of_both(laptop: &Device, phone: &Device, relay: &mut Relay, tap: &Tap) {
    let added = laptop.json(&["note", WHO, "Wants to hear about the lighthouse, and soon."]);
    let note = added["note"]["id"].as_str().expect("an id").to_owned();
    together(laptop, phone);

    relay.stop();
    laptop.edit(&note, |text| text.replace("hear about", "hear about Quarzwinkel and"));
    phone.edit(&note, |text| text.replace("and soon.", "and soon. Asked Dornhecke too."));
    laptop.edit(WHO, |text| text.replace("how_met = \"\"", "how_met = \"through Wolkenstein\""));
    phone.edit(WHO, |text| text.replace("nicknames = []", "nicknames = [\"Federkiel\"]"));
    assert_ne!(laptop.export(), phone.export(), "they differ while they are apart");
    laptop.run(&["sync"]).code(1);
    back(relay, tap);

    together(laptop, phone);
    let body = body_of(phone, &note);
    assert_eq!(body, "Wants to hear about Quarzwinkel and the lighthouse, and soon. Asked Dornhecke too.");
    let text = laptop.run(&["edit", WHO, "--print"]).ok().out;
    assert!(text.contains("how_met = \"through Wolkenstein\"") && text.contains("Federkiel"), "{text}");
}

/// Both take in one file before they meet again, and each edits what came out of it. The relay is killed while it
/// takes in the first device's part.
fn one_file_on_both(laptop: &Device, phone: &Device, relay: &mut Relay, tap: &Tap) {
    relay.kill();
    for device in [laptop, phone] {
        let file = device.file("club.vcf", &cards(&CLUB));
        device.run(&["import", &file]).ok();
        // Once more, as it happens.
        let again = device.json(&["import", &file]);
        assert_eq!(again["files"][0]["people_created"], 0, "{again}");
    }
    let both = [laptop, phone].map(|device| notes_of(device, MEMBER));
    assert_eq!(both[0], both[1], "one file makes the same notes");
    let [note] = both[0].as_slice() else { panic!("one note, not {both:?}") };
    laptop.edit(MEMBER, |text| text.replace(OLD_LABEL, LABELS[0]));
    phone.edit(MEMBER, |text| text.replace(OLD_LABEL, LABELS[1]));
    laptop.edit(note, |text| text.replace("Talked about", "Yesterday Glockenblume and I talked about"));
    phone.edit(note, |text| text.replace("Erzählte viel.", "Erzählte viel, auch von Birkenhain."));

    back(relay, tap);
    let passed = tap.bytes();
    let sending = laptop.start(&["sync"], "");
    while tap.bytes() < passed + 2_000 && !sending.said().contains("up to date") {
        std::thread::yield_now();
    }
    relay.kill();
    sending.finish();
    back(relay, tap);

    together(laptop, phone);
    let body = body_of(phone, note);
    let expected = format!(
        "Yesterday Glockenblume and I talked about {} over lunch.\nErzählte viel, auch von Birkenhain.",
        CLUB[4]
    );
    assert_eq!(body, expected, "both edits, and no text twice");
    assert_eq!(notes_of(laptop, MEMBER), [note.as_str()]);
    let mut names = laptop.names();
    let listed = names.len();
    names.dedup();
    assert_eq!((listed, names.len()), (listed, (PEOPLE.len() + CLUB.len()) / 5), "nobody is there twice");
    let text = laptop.run(&["edit", MEMBER, "--print"]).ok().out;
    let labels = LABELS.map(|label| text.matches(label).count());
    assert!(labels == [0, 1] || labels == [1, 0], "one label, one of the two: {text}");
    assert!(!text.contains(OLD_LABEL), "{text}");
}

/// A device that watches, and the relay, end as in a power failure, and go on.
fn a_watch_and_the_relay_are_killed(laptop: &Device, phone: &Device, relay: &mut Relay, tap: &Tap) {
    let watching = phone.start(&["sync", "--watch"], "");
    watching.line("up to date");
    laptop.run(&["new", "Friederike Tannenzapf", "+gardener"]).ok();
    laptop.sync();
    watching.line("received 1");
    phone.run(&["show", "tannenzapf"]).ok();
    let watched = watching.kill();
    assert_eq!(watched.code, None);

    let watching = laptop.start(&["sync", "--watch"], "");
    watching.line("up to date");
    relay.kill();
    watching.line("lost");
    laptop.run(&["note", "tannenzapf", "Schaukelpferd for the little one"]).ok();
    back(relay, tap);
    watching.nth_line(2, "up to date");
    watching.signal(Signal::TERM);
    watching.finish().ok();
    phone.sync();
    assert!(phone.run(&["show", "tannenzapf"]).ok().out.contains("Schaukelpferd"));
}

/// The relay loses everything but its key; the devices notice and give it back. A third device joins by code; gives it.
fn a_wiped_relay_is_refilled(
    world: &World,
    laptop: &Device,
    phone: &Device,
    relay: &mut Relay,
    tap: &Tap,
    url: &str,
) -> String {
    relay.stop();
    relay.wipe_store();
    phone.run(&["note", "tannenzapf", "Written with the relay gone: Hagebutte"]).ok();
    back(relay, tap);
    let known = together(laptop, phone);
    assert!(known.contains("Hagebutte"));
    let tablet = world.device("tablet");
    let code = pair_by_code(laptop, &tablet, TABLET, url);
    tablet.sync();
    assert_eq!(tablet.export(), known, "who has only met the new relay gets everything");
    code
}

/// The relay runs again, where the devices look for it.
fn back(relay: &mut Relay, tap: &Tap) {
    relay.start();
    tap.lead_to(relay.socket());
}

/// The text of a note.
fn body_of(device: &Device, note: &str) -> String {
    let shown = device.json(&["show", note]);
    shown["note"]["body"].as_str().expect("a body").to_owned()
}

/// The ids of the notes about a person.
fn notes_of(device: &Device, who: &str) -> Vec<String> {
    let card = device.json(&["show", who]);
    card["notes"].as_object().expect("notes").keys().cloned().collect()
}

/// Nothing that anybody wrote, and no key or id of a device or space, is anywhere at the relay; nor can anything be read
/// in the devices' own files.
fn nobody_could_read(devices: [&Device; 2], relay: &Relay, tap: &Tap, url: &str, known: &str, told: [&str; 3]) {
    let [recovery, ticket, code] = told;
    let words = every_word(known, recovery);
    let secrets = devices.map(|device| Secrets::of(&device.home()));
    let mut hidden = every_word(known, recovery);
    secrets.iter().for_each(|secret| hide(&mut hidden, secret));
    hidden.word(ticket);
    let (_, three) = code.split_once('-').expect("a number before the words");
    hidden.word(three);
    hidden.word(&three.replace('-', " "));
    let opened = URL_SAFE_NO_PAD.decode(&ticket["ties1-".len()..]).expect("a ticket");
    hidden.bytes("a ticket's secret", &opened[opened.len() - 32..]);

    let heard = tap.understood();
    for stream in tap.raw().iter().chain(&heard) {
        assert_eq!(hidden.within(stream), [].into(), "over the relay's socket");
    }
    assert_eq!(hidden.within(relay.said().as_bytes()), [].into(), "in what the relay prints");
    assert_eq!(hidden.within(&plaintext(relay.data())), [].into(), "in the relay's database, opened with its key");
    for (file, bytes) in files(relay.data()) {
        assert_eq!(hidden.within(&bytes), [].into(), "in {}", file.display());
    }

    // What the search finds where there is something: or it would prove nothing.
    let heard = heard.concat();
    let relay_key = url.parse::<RelayAddress>().expect("an address").key();
    for (device, secret) in devices.into_iter().zip(&secrets) {
        let mut visible = Needles::default();
        visible.bytes("a pseudonym", &secret.pseudonym(&relay_key));
        assert_eq!(visible.within(&heard).len(), 1, "a device proves its pseudonym in masked frames");
        let opened = plaintext(&device.home());
        let found = words.within(&opened);
        assert!(found.len() >= 50, "its owner can read a device's database: {found:?}");
        let mut own = Needles::default();
        hide(&mut own, secret);
        assert_eq!(own.within(&opened).len(), own.len(), "and finds its keys there");
        for (file, bytes) in files(&device.home()) {
            assert_eq!(words.within(&bytes), [].into(), "in {}", file.display());
        }
    }
}

/// The words to look for, each of which was planted.
fn every_word(known: &str, recovery: &str) -> Needles {
    let mut needles = Needles::default();
    let planted = PEOPLE.iter().chain(&CLUB).chain(&WRITTEN);
    for word in planted.clone() {
        needles.word(word);
    }
    assert_eq!(needles.within(known.as_bytes()).len(), planted.count(), "each of them was planted");
    // Names of devices are in no export; of two labels one remains, and of neither is the old one left.
    for word in [LAPTOP, PHONE, TABLET, LABELS[0], LABELS[1], recovery] {
        needles.word(word);
    }
    needles
}

/// What tells a device or a space apart, or opens what it wrote.
fn hide(needles: &mut Needles, secret: &Secrets) {
    needles.bytes("a device's id", &secret.device.id().0);
    needles.bytes("a device's seed", secret.device.seed().expose());
    needles.bytes("a device's certificate", secret.device.certificate().as_bytes());
    needles.bytes("the space's id", &secret.space.0);
    needles.bytes("a log's secret", &secret.log);
    for (id, key) in &secret.epochs {
        needles.bytes("an epoch's id", id);
        needles.bytes("an epoch's key", key);
    }
}

/// Given name, family name, employer, mail host and a word of the note, of each person.
#[rustfmt::skip]
const PEOPLE: [&str; 60] = [
    "Quillonda", "Brackenfeather", "Thistlewerk", "Moorhenpost", "beekeepers",
    "Ottoklara", "Wintersperger", "Kupferstich", "Lerchenmail", "glassblowing",
    "Marisette", "Achterdeck", "Segelmacher", "Nordlichtnet", "seamanship",
    "Benedikta", "Rosskastanie", "Dachziegel", "Ziegelbote", "roofgardens",
    "Corvinius", "Haselgruber", "Uhrwerkstatt", "Zeigerpost", "metronomes",
    "Philomena", "Steinbrecher", "Granitwerk", "Felsenmail", "quarrying",
    "Tancredina", "Vogelweider", "Notenschluessel", "Taktstrich", "madrigals",
    "Ildefonso", "Pfefferminzer", "Kraeuterstube", "Salbeipost", "infusions",
    "Rosamundel", "Kirchschlager", "Glockenguss", "Kirchturmnet", "carillons",
    "Severindo", "Mandelbluether", "Backstubenring", "Ofenwaerme", "sourdoughs",
    "Leokadina", "Schneeberger", "Skiwachserei", "Gletscherpost", "snowshoeing",
    "Amadeusz", "Tintenfasser", "Federhalter", "Loeschpapier", "calligraphy",
];

/// The same of the people of a second file.
#[rustfmt::skip]
const CLUB: [&str; 10] = [
    "Kunigundis", "Zwetschkenbaum", "Ruderverein", "Donauwelle", "scullboats",
    "Hildebrandt", "Nussknacker", "Holzdrechsler", "Drehbankpost", "woodturning",
];

/// Words of what is written on the devices.
const WRITTEN: [&str; 9] = [
    "Quarzwinkel",
    "Dornhecke",
    "Wolkenstein",
    "Federkiel",
    "Glockenblume",
    "Birkenhain",
    "Tannenzapf",
    "Schaukelpferd",
    "Hagebutte",
];

/// What each device calls the same mail address.
const LABELS: [&str; 2] = ["Sternwarte", "Wasserturm"];

/// Whom both edit.
const WHO: &str = PEOPLE[1];
/// Whom both import.
const MEMBER: &str = CLUB[1];

const LAPTOP: &str = "Zirbenholzrechner";
const PHONE: &str = "Rucksacktelefon";
const TABLET: &str = "Kuechentablett";
