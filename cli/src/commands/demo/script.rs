//! What happens in the demo, scene by scene.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::evidence::Words;
use super::stage::{Actor, Stage, size};
use super::told::Told;
use crate::errors::{Failure, Outcome};
use crate::render::amount::{bytes, count};

/// Plays everything; an error is a claim that did not hold, or a step that did not work.
pub(super) fn play(stage: &mut Stage, told: &mut Told<'_>, people: u32) -> Outcome {
    told.begin(&format!("A relay, two devices and {} invented people, as real processes:", count(people.into())))?;
    let sample = ties_book::sample::vcards(people as usize, SEED);
    let mut relay = Relay::open(stage, told)?;
    fill(stage, told, &sample, people)?;
    connect(stage, told, &relay.url)?;
    pair(stage, told)?;
    let edits = Edits::agree(stage)?;
    relay = edits.apart(stage, told, relay)?;
    edits.together(stage, told)?;
    relay.close()?;
    nothing_readable(stage, told, &sample, people)
}

/// The relay's process.
struct Relay {
    process: Actor,
    url: String,
}

impl Relay {
    fn open(stage: &Stage, told: &mut Told<'_>) -> Outcome<Self> {
        told.chapter("A relay that anybody could run")?;
        let started = Instant::now();
        let relay = Self::start(stage, "127.0.0.1:0")?;
        let place = relay.url.split('#').next().unwrap_or_default().to_owned();
        told.step("relay serve", started.elapsed(), &format!("ready at {place}"), json!({"url": place}))?;
        Ok(relay)
    }

    fn start(stage: &Stage, address: &str) -> Outcome<Self> {
        let data = stage.path(RELAY).display().to_string();
        let mut process =
            stage.start("nobody", &["relay", "serve", "--listen", address, "--data", &data, "--open"], "")?;
        let line = process.line()?;
        let url = line.strip_prefix("ready ").ok_or_else(|| wrong("the relay did not say that it is ready"))?;
        Ok(Self { url: url.to_owned(), process })
    }

    /// The address it listens on, to be taken again after a restart.
    fn address(&self) -> Outcome<String> {
        let host = self.url.split_once("://").and_then(|(_, rest)| rest.split(['#', '/']).next());
        host.map(str::to_owned).ok_or_else(|| wrong("the relay's address cannot be read"))
    }

    fn close(self) -> Outcome<Duration> {
        Ok(self.process.stop()?.took)
    }
}

/// The first device takes in the sample, twice.
fn fill(stage: &Stage, told: &mut Told<'_>, sample: &str, people: u32) -> Outcome {
    told.chapter("A first device takes in its contacts")?;
    let (created, took) = stage.ask(LAPTOP, &["init", "--name", LAPTOP])?;
    let words = created["recoveryWords"].as_str().map_or(0, |words| words.split_whitespace().count());
    told.step("init", took, &format!("{words} recovery words"), json!({"recoveryWords": words}))?;
    let file = stage.path("sample.vcf");
    fs::write(&file, sample)?;
    let file = file.display().to_string();
    let (report, took) = stage.ask(LAPTOP, &["import", &file])?;
    let report = &report["files"][0];
    let new = number(&report["people_created"]);
    let line = format!(
        "{} people, {} notes from {}",
        count(new),
        count(number(&report["notes_created"])),
        bytes(sample.len() as u64)
    );
    told.step(
        "import",
        took,
        &line,
        json!({"people": new, "notes": report["notes_created"], "fileBytes": sample.len()}),
    )?;
    held(new == u64::from(people), "every person of the sample went in")?;
    let before = export(stage, LAPTOP)?;
    let (again, took) = stage.ask(LAPTOP, &["import", &file])?;
    let known = number(&again["files"][0]["people_known"]);
    told.step("import the same again", took, &format!("{} known already", count(known)), json!({"known": known}))?;
    held(export(stage, LAPTOP)? == before, "importing the same file again changes nothing")?;
    told.proved("importing the same file again changes nothing")?;
    fs::remove_file(stage.path("sample.vcf"))?;
    Ok(())
}

/// The first device uses the relay.
fn connect(stage: &Stage, told: &mut Told<'_>, url: &str) -> Outcome {
    let (_, took) = stage.ask(LAPTOP, &["relay", "add", url])?;
    told.step("relay add", took, "its key is in the address", json!({}))?;
    sync(stage, told, LAPTOP)
}

/// The second device joins by ticket.
fn pair(stage: &Stage, told: &mut Told<'_>) -> Outcome {
    told.chapter("A second device joins, by a ticket handed over")?;
    let started = Instant::now();
    let mut host = stage.start(LAPTOP, &["device", "add", "--ticket", "--yes", "--quiet"], "")?;
    let ticket = host.line()?;
    let guest = stage.start(PHONE, &["device", "join", "-", "--name", PHONE], &format!("{ticket}\n"))?;
    guest.finish()?;
    host.finish()?;
    let line = format!("a ticket of {} characters, everything fetched", ticket.len());
    told.step("device add, device join", started.elapsed(), &line, json!({"ticketBytes": ticket.len()}))?;
    sync(stage, told, PHONE)?;
    sync(stage, told, LAPTOP)?;
    equal(stage, told, "the new device has everything")
}

/// What each device changes while they are apart.
struct Edits {
    /// The person whom both change.
    who: String,
    /// The note that both change.
    note: String,
}

impl Edits {
    /// Picks a person, writes a note about them and brings it to both devices.
    fn agree(stage: &Stage) -> Outcome<Self> {
        let list = stage.ties(LAPTOP, &["ls", "--limit", "1"], "")?.output;
        let who = list.lines().nth(1).and_then(|line| line.split_whitespace().next());
        let who = who.ok_or_else(|| wrong("the list of people is empty"))?.to_owned();
        let (added, _) = stage.ask(LAPTOP, &["note", &who, COMMON])?;
        let note = added["note"]["id"].as_str().ok_or_else(|| wrong("the note has no id"))?.to_owned();
        stage.ties(LAPTOP, &["sync"], "")?;
        stage.ties(PHONE, &["sync"], "")?;
        Ok(Self { who, note })
    }

    /// With the relay gone, each device changes the same note and another field of the same person.
    fn apart(&self, stage: &Stage, told: &mut Told<'_>, relay: Relay) -> Outcome<Relay> {
        told.chapter("Both change the same person and the same note, with no network")?;
        let address = relay.address()?;
        let stopping = Instant::now();
        relay.close()?;
        told.step("relay stopped", stopping.elapsed(), "nobody can reach anybody", json!({}))?;
        let started = Instant::now();
        self.edit(stage, LAPTOP, &self.who, |text| set(text, "how_met", &format!("\"{HOW_MET}\"")))?;
        self.edit(stage, LAPTOP, &self.note, |text| Ok(format!("{}\n{LAPTOPS_LINE}\n", text.trim_end())))?;
        told.step("laptop edits", started.elapsed(), "how they met; a line at the note's end", json!({}))?;
        let started = Instant::now();
        self.edit(stage, PHONE, &self.who, |text| set(text, "nicknames", &format!("[\"{NICKNAME}\"]")))?;
        self.edit(stage, PHONE, &self.note, |text| Ok(text.replacen(COMMON, &format!("{PHONES_LINE}\n{COMMON}"), 1)))?;
        told.step("phone edits", started.elapsed(), "a nickname; a line at the note's beginning", json!({}))?;
        held(export(stage, LAPTOP)? != export(stage, PHONE)?, "the devices differ while they are apart")?;
        let started = Instant::now();
        let relay = Relay::start(stage, &address)?;
        told.step("relay started again", started.elapsed(), "same folder, same address", json!({}))?;
        Ok(relay)
    }

    fn edit(&self, stage: &Stage, home: &str, what: &str, change: impl Fn(&str) -> Outcome<String>) -> Outcome {
        let before = stage.ties(home, &["edit", what, "--print"], "")?.output;
        let after = change(&before)?;
        held(after != before, "an edit changes the text")?;
        stage.ties(home, &["edit", what, "--from", "-"], &after)?;
        Ok(())
    }

    /// Both sync; everything that either wrote is on both.
    fn together(&self, stage: &Stage, told: &mut Told<'_>) -> Outcome {
        told.chapter("They meet again")?;
        sync(stage, told, LAPTOP)?;
        sync(stage, told, PHONE)?;
        sync(stage, told, LAPTOP)?;
        for home in [LAPTOP, PHONE] {
            let (person, _) = stage.ask(home, &["show", &self.who])?;
            let person = person.to_string();
            held(person.contains(HOW_MET) && person.contains(NICKNAME), "both fields are on both devices")?;
            let (note, _) = stage.ask(home, &["show", &self.note])?;
            let body = note["note"]["body"].as_str().unwrap_or_default();
            let once = |line: &str| body.matches(line).count() == 1;
            held(
                [LAPTOPS_LINE, PHONES_LINE, COMMON].into_iter().all(once),
                "the note has what both wrote, each once, on both devices",
            )?;
        }
        told.proved("the person has both changed fields, the note both added lines, each once")?;
        equal(stage, told, "both devices have the same network")?;
        let (report, took) = stage.ask(LAPTOP, &["sync"])?;
        let relay = &report["relays"][0];
        let line = format!("nothing to do: {} in all", bytes(number(&relay["bytes_in"]) + number(&relay["bytes_out"])));
        told.step("sync", took, &line, relay.clone())
    }
}

/// Searches what the relay and the devices have on disk for anything of the sample.
fn nothing_readable(stage: &Stage, told: &mut Told<'_>, sample: &str, people: u32) -> Outcome {
    told.chapter("What the relay saw")?;
    let started = Instant::now();
    let others = [COMMON, HOW_MET, NICKNAME, LAPTOPS_LINE, PHONES_LINE, LAPTOP, PHONE];
    let words = Words::of(sample, &others);
    held(words.within(sample.as_bytes()).len() > people as usize / 10, "the search finds the words where they are")?;
    let relay = words.search(&stage.path(RELAY))?;
    unseen(&relay.found)?;
    let line =
        format!("{} in {} files, searched for {} words", bytes(relay.bytes), relay.files, count(words.len() as u64));
    told.step(
        "the relay's folder",
        started.elapsed(),
        &line,
        json!({"bytes": relay.bytes, "files": relay.files, "words": words.len()}),
    )?;
    told.proved(format!("none of the sample's {} words is readable on the relay", count(words.len() as u64)))?;
    let started = Instant::now();
    for home in [LAPTOP, PHONE] {
        unseen(&words.search(&stage.path(home))?.found)?;
    }
    let (laptop, phone) = (size(&stage.path(LAPTOP)), size(&stage.path(PHONE)));
    let line = format!("laptop {}, phone {}", bytes(laptop), bytes(phone));
    told.step("the devices' folders", started.elapsed(), &line, json!({"laptopBytes": laptop, "phoneBytes": phone}))?;
    told.proved("nor in any file of the devices, which are encrypted at rest")
}

fn unseen(found: &[(String, std::path::PathBuf)]) -> Outcome {
    match found.first() {
        None => Ok(()),
        Some((word, file)) => Err(wrong(&format!("the word \"{word}\" can be read in {}", file.display()))),
    }
}

/// One sync of a device, told with its figures.
fn sync(stage: &Stage, told: &mut Told<'_>, home: &str) -> Outcome {
    let (report, took) = stage.ask(home, &["sync"])?;
    let relay = &report["relays"][0];
    let line = format!(
        "sent {} ({}), received {} ({})",
        count(number(&relay["sent"])),
        bytes(number(&relay["bytes_out"])),
        count(number(&relay["received"])),
        bytes(number(&relay["bytes_in"]))
    );
    told.step(&format!("{home} syncs"), took, &line, relay.clone())
}

/// Checks that both devices export the same bytes.
fn equal(stage: &Stage, told: &mut Told<'_>, claim: &str) -> Outcome {
    let (laptop, phone) = (export(stage, LAPTOP)?, export(stage, PHONE)?);
    held(laptop == phone, claim)?;
    told.proved(format!("{claim}: {} of export, byte for byte", bytes(laptop.len() as u64)))
}

fn export(stage: &Stage, home: &str) -> Outcome<String> {
    Ok(stage.ties(home, &["export", "--to", "json"], "")?.output)
}

/// The editable text with one field given another value.
fn set(text: &str, field: &str, value: &str) -> Outcome<String> {
    let mut changed = String::with_capacity(text.len() + value.len());
    let mut found = false;
    for line in text.split_inclusive('\n') {
        if !found && line.split('=').next().map(str::trim) == Some(field) {
            changed.push_str(&format!("{field} = {value}\n"));
            found = true;
        } else {
            changed.push_str(line);
        }
    }
    if found { Ok(changed) } else { Err(wrong(&format!("the text to edit has no field {field}"))) }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn held(holds: bool, claim: &str) -> Outcome {
    if holds { Ok(()) } else { Err(wrong(&format!("this did not hold: {claim}"))) }
}

fn wrong(message: &str) -> Failure {
    Failure::failed(message).hint("`ties demo --keep` leaves the folder for a look")
}

/// The same people every time.
const SEED: u64 = 2026;
const LAPTOP: &str = "laptop";
const PHONE: &str = "phone";
const RELAY: &str = "relay";
const COMMON: &str = "Compared lighthouse blueprints.";
const HOW_MET: &str = "introduced by the organisers of the demonstration";
const NICKNAME: &str = "Demonstrandum";
const LAPTOPS_LINE: &str = "Promised to send the slides afterwards.";
const PHONES_LINE: &str = "Prefers telephone calls before lunchtime.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_set_in_its_own_line_alone() {
        let text = "+++\nname = \"Ada\"\nhow_met = \"\"\n[emails.k]\nhow_met = \"x\"\n+++\n";
        let changed = set(text, "how_met", "\"at lunch\"").unwrap();
        assert_eq!(changed, "+++\nname = \"Ada\"\nhow_met = \"at lunch\"\n[emails.k]\nhow_met = \"x\"\n+++\n");
        assert!(set(text, "title", "\"\"").is_err());
    }
}
