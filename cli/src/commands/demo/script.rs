//! What happens in the demo, scene by scene.

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};

use super::evidence::Words;
use super::relay::{self, Relay};
use super::stage::{Stage, size};
use super::told::Told;
use crate::errors::{Failure, Outcome};
use crate::render::amount::{bytes, count};

/// Plays everything; an error is a claim that did not hold, or a step that did not work.
pub(super) fn play(stage: &mut Stage, told: &mut Told<'_>, people: u32) -> Outcome {
    told.begin(&format!("A relay, two devices and {} invented people, as real processes:", count(people.into())))?;
    let sample = ties_book::sample::vcards(people as usize, SEED);
    let mut relay = Relay::open(stage, told)?;
    fill(stage, told, &sample, people)?;
    connect(stage, told, &relay.url())?;
    let mut entries = pair(stage, told)?;
    let edits = Edits::agree(stage, &mut entries)?;
    edits.apart(stage, told, &mut relay)?;
    edits.together(stage, told, &mut entries)?;
    relay.stop()?;
    nothing_readable(stage, told, &relay, &sample, entries)
}

/// The first device takes in the sample, twice.
fn fill(stage: &Stage, told: &mut Told<'_>, sample: &str, people: u32) -> Outcome {
    told.chapter("A first device takes in its contacts")?;
    let (created, took) = stage.ask(LAPTOP, &["init", "--name", LAPTOPS_NAME])?;
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
    sync(stage, told, LAPTOP).map(drop)
}

/// The second device joins by ticket; gives how many entries the relay holds then.
fn pair(stage: &Stage, told: &mut Told<'_>) -> Outcome<u64> {
    told.chapter("A second device joins, by a ticket handed over")?;
    let started = Instant::now();
    let mut host = stage.start(LAPTOP, &["device", "add", "--ticket", "--yes", "--quiet"], "")?;
    let ticket = host.line()?;
    let guest =
        stage.start(PHONE, &["device", "join", "-", "--name", PHONES_NAME, "--json"], &format!("{ticket}\n"))?;
    let joined = guest.finish()?.output;
    host.finish()?;
    // Everything that the relay has is what the newcomer fetched and what was sent since.
    let joined: Value = joined.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let first = &joined["sync"]["relays"][0];
    let mut entries = number(&first["received"]) + number(&first["sent"]);
    let line = format!("a ticket of {} characters, everything fetched", ticket.len());
    told.step("device add, device join", started.elapsed(), &line, json!({"ticketBytes": ticket.len()}))?;
    entries += sync(stage, told, PHONE)?;
    entries += sync(stage, told, LAPTOP)?;
    equal(stage, told, "the new device has everything")?;
    Ok(entries)
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
    fn agree(stage: &Stage, entries: &mut u64) -> Outcome<Self> {
        let list = stage.ties(LAPTOP, &["ls", "--limit", "1"], "")?.output;
        let who = list.lines().nth(1).and_then(|line| line.split_whitespace().next());
        let who = who.ok_or_else(|| wrong("the list of people is empty"))?.to_owned();
        let (added, _) = stage.ask(LAPTOP, &["note", &who, COMMON])?;
        let note = added["note"]["id"].as_str().ok_or_else(|| wrong("the note has no id"))?.to_owned();
        for home in [LAPTOP, PHONE] {
            let (report, _) = stage.ask(home, &["sync"])?;
            *entries += number(&report["relays"][0]["sent"]);
        }
        Ok(Self { who, note })
    }

    /// With the relay gone, each device changes the same note and another field of the same person.
    fn apart(&self, stage: &Stage, told: &mut Told<'_>, relay: &mut Relay) -> Outcome {
        told.chapter("Both change the same person and the same note, with no network")?;
        told.step("relay stopped", relay.stop()?, "nobody can reach anybody", json!({}))?;
        let started = Instant::now();
        self.edit(stage, LAPTOP, &self.who, |text| set(text, "how_met", &format!("\"{HOW_MET}\"")))?;
        self.edit(stage, LAPTOP, &self.note, |text| Ok(format!("{}\n{LAPTOPS_LINE}\n", text.trim_end())))?;
        told.step("laptop edits", started.elapsed(), "how they met; a line at the note's end", json!({}))?;
        let started = Instant::now();
        self.edit(stage, PHONE, &self.who, |text| set(text, "nicknames", &format!("[\"{NICKNAME}\"]")))?;
        self.edit(stage, PHONE, &self.note, |text| Ok(text.replacen(COMMON, &format!("{PHONES_LINE}\n{COMMON}"), 1)))?;
        told.step("phone edits", started.elapsed(), "a nickname; a line at the note's beginning", json!({}))?;
        held(export(stage, LAPTOP)? != export(stage, PHONE)?, "the devices differ while they are apart")?;
        told.step("relay started again", relay.start_again(stage)?, "same folder, same address", json!({}))
    }

    fn edit(&self, stage: &Stage, home: &str, what: &str, change: impl Fn(&str) -> Outcome<String>) -> Outcome {
        let before = stage.ties(home, &["edit", what, "--print"], "")?.output;
        let after = change(&before)?;
        held(after != before, "an edit changes the text")?;
        stage.ties(home, &["edit", what, "--from", "-"], &after)?;
        Ok(())
    }

    /// Both sync; everything that either wrote is on both.
    fn together(&self, stage: &Stage, told: &mut Told<'_>, entries: &mut u64) -> Outcome {
        told.chapter("They meet again")?;
        for home in [LAPTOP, PHONE, LAPTOP] {
            *entries += sync(stage, told, home)?;
        }
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

/// Searches what the relay got to see, and what is on disk, for anything that a user wrote.
fn nothing_readable(stage: &Stage, told: &mut Told<'_>, relay: &Relay, sample: &str, entries: u64) -> Outcome {
    told.chapter("What the relay saw")?;
    let others = [COMMON, HOW_MET, NICKNAME, LAPTOPS_LINE, PHONES_LINE, LAPTOPS_NAME, PHONES_NAME];
    let words = Words::of(sample, &others);
    let control = [sample].into_iter().chain(others).collect::<Vec<_>>().join("\n");
    held(words.within(control.as_bytes()).len() == words.len(), "the search finds every word where it is")?;

    let started = Instant::now();
    let heard = relay.heard();
    held(heard.len() > sample.len() / 20, "what passed over the relay's socket was heard")?;
    held(words.within(&heard).is_empty(), "no word of the sample passes over the relay's socket")?;
    held(words.within(relay.log().as_bytes()).is_empty(), "no word of the sample is in the relay's log")?;
    let line = format!(
        "{} in {} connections: {} sealed entries",
        bytes(heard.len() as u64),
        relay.connections(),
        count(entries)
    );
    let figures =
        json!({"bytes": heard.len(), "connections": relay.connections(), "entries": entries, "words": words.len()});
    told.step("over its socket", started.elapsed(), &line, figures)?;

    let started = Instant::now();
    let folder = words.search(&stage.path(relay::FOLDER))?;
    unseen(&folder.found)?;
    let line = format!("{} in {} files", bytes(folder.bytes), folder.files);
    told.step("in its folder", started.elapsed(), &line, json!({"bytes": folder.bytes, "files": folder.files}))?;
    let number = count(words.len() as u64);
    told.proved(format!("none of {number} words that the sample is made of, in clear, anywhere at the relay"))?;

    let started = Instant::now();
    for home in [LAPTOP, PHONE] {
        unseen(&words.search(&stage.path(home))?.found)?;
    }
    let (laptop, phone) = (size(&stage.path(LAPTOP)), size(&stage.path(PHONE)));
    let line = format!("laptop {}, phone {}", bytes(laptop), bytes(phone));
    told.step(
        "the devices' own folders",
        started.elapsed(),
        &line,
        json!({"laptopBytes": laptop, "phoneBytes": phone}),
    )?;
    told.proved("nor in any file of the devices, which are encrypted at rest")
}

fn unseen(found: &[(String, std::path::PathBuf)]) -> Outcome {
    match found.first() {
        None => Ok(()),
        Some((word, file)) => Err(wrong(&format!("the word \"{word}\" can be read in {}", file.display()))),
    }
}

/// One sync of a device, told with its figures; gives how many entries went to the relay.
fn sync(stage: &Stage, told: &mut Told<'_>, home: &str) -> Outcome<u64> {
    let (report, took) = stage.ask(home, &["sync"])?;
    let relay = &report["relays"][0];
    let line = format!(
        "sent {} ({}), received {} ({})",
        count(number(&relay["sent"])),
        bytes(number(&relay["bytes_out"])),
        count(number(&relay["received"])),
        bytes(number(&relay["bytes_in"]))
    );
    told.step(&format!("{home} syncs"), took, &line, relay.clone())?;
    Ok(number(&relay["sent"]))
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

/// A claim that did not hold.
pub(super) fn wrong(message: &str) -> Failure {
    Failure::failed(message).hint("`ties demo --keep` leaves the folder for a look")
}

/// The same people every time.
const SEED: u64 = 2026;
const LAPTOP: &str = "laptop";
const PHONE: &str = "phone";
// Long enough to be searched for.
const LAPTOPS_NAME: &str = "demolaptop";
const PHONES_NAME: &str = "demophone";
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
