//! Properties that hold for any person and for any bytes.

use std::collections::{BTreeMap, BTreeSet};

use ties_model::{
    Address, Anniversary, Email, Language, Link, Marks, Name, OnlineService, Organization, PartialDate, Phone,
    Relation, Tie, Title, TitleKind, contact_key,
};

use super::*;
use crate::sample::{self, Chance};

#[test]
fn any_person_survives_export_and_import() {
    for (seed, dialect) in (0..200).flat_map(|seed| [(seed, Dialect::V4), (seed, Dialect::V3)]) {
        let mut any = Any(Chance::new(seed));
        let (person, notes) = (any.person(), any.notes());
        let text = write(&person, &notes, ID, dialect);
        let again = read(&text).remove(0).unwrap();
        assert_eq!(again.person, person, "seed {seed}\n{text}");
        assert_eq!((again.notes, again.notices), (notes, vec![]), "{text}");
    }
}

#[test]
fn what_one_program_reads_of_any_person_reads_back_as_it_was_written() {
    for (seed, dialect) in (0..200).flat_map(|seed| Dialect::ALL.map(|dialect| (seed, dialect))) {
        let mut any = Any(Chance::new(seed));
        let (person, notes) = (any.person(), any.notes());
        let text = write(&person, &notes, ID, dialect);
        let again = read(&text).remove(0).unwrap();
        same_lines(&text, &written(&again, dialect), &format!("seed {seed}"));
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let whole = sample::vcards(20, 1).into_bytes();
    for seed in 0..150 {
        let mut chance = Chance::new(seed);
        let mut bytes = whole.clone();
        for _ in 0..=chance.below(20) {
            damage(&mut bytes, &mut chance);
        }
        for card in people(&bytes).filter_map(Result::ok) {
            let text = exported(&card);
            let again = read(&text);
            assert_eq!(again.len(), 1, "seed {seed}\n{text}");
            assert_eq!(
                again[0].as_ref().map(|again| &again.person.name.full),
                Ok(&card.person.name.full),
                "seed {seed}"
            );
        }
    }
}

fn damage(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let at = chance.below(bytes.len() as u64) as usize;
    let end = (at + chance.below(60) as usize).min(bytes.len());
    match chance.below(5) {
        0 => bytes[at] ^= 1 << chance.below(8),
        1 => drop(bytes.drain(at..end)),
        2 => bytes
            .splice(at..at, b"\r\n:;,=\"\\^. \t\xff\x00".iter().copied().cycle().skip(end % 14).take(3))
            .for_each(drop),
        3 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy).for_each(drop);
        }
        _ => bytes[at] = b";:=\\\",.\n\r"[chance.below(9) as usize],
    }
}

/// Makes things up.
struct Any(Chance);

impl Any {
    /// A text as it is after the import: not empty and without white space around it.
    fn text(&mut self) -> String {
        let pieces =
            ["a", "B", "ä", "王", " ", ",", ";", ":", "\\", "\"", "^", "\n", "'", "=", "n", ".", "1", "🙂", "%"];
        let text: String = (0..self.0.below(12)).map(|_| *self.0.pick(&pieces)).collect();
        if text.trim().is_empty() { "x".to_owned() } else { text.trim().to_owned() }
    }

    fn maybe(&mut self) -> String {
        if self.0.one_in(2) { self.text() } else { String::new() }
    }

    fn texts(&mut self) -> BTreeSet<String> {
        (0..self.0.below(3)).map(|_| self.text()).collect()
    }

    fn some_of(&mut self, words: &[&str]) -> BTreeSet<String> {
        words.iter().filter(|_| self.0.one_in(3)).map(|&word| word.to_owned()).collect()
    }

    fn marks(&mut self) -> Marks {
        let label = if self.0.one_in(3) { format!("L{}", self.text()) } else { String::new() };
        let params = *self.0.pick(&["", "", "PID=1.1", "X-A=\"b;c\",d;X-B=1"]);
        Marks {
            contexts: self.some_of(&["work", "private"]),
            pref: self.0.one_in(3).then(|| 1 + self.0.below(100) as u8),
            label,
            group: String::new(),
            params: params.to_owned(),
        }
    }

    fn date(&mut self) -> PartialDate {
        let (year, month, day) = (1700 + self.0.below(400), 1 + self.0.below(12), 1 + self.0.below(28));
        let (year, month, day) = (Some(year as u16), Some(month as u8), Some(day as u8));
        let forms =
            [(year, month, day), (None, month, day), (year, month, None), (year, None, None), (None, None, day)];
        let (year, month, day) = *self.0.pick(&forms);
        PartialDate::new(year, month, day).unwrap()
    }

    fn anniversary(&mut self, kind: AnniversaryKind) -> Anniversary {
        let (date, text) = match self.0.one_in(4) {
            true => (None, self.text()),
            false => (Some(self.date()), String::new()),
        };
        Anniversary { kind, date, text, marks: self.marks() }
    }

    fn name(&mut self) -> Name {
        let mut name = Name {
            full: self.text(),
            prefix: self.maybe(),
            given: self.maybe(),
            given2: self.maybe(),
            surname: self.maybe(),
            surname2: self.maybe(),
            credential: self.maybe(),
            generation: self.maybe(),
            phonetic_given: self.maybe(),
            phonetic_given2: self.maybe(),
            phonetic_surname: self.maybe(),
            sort_as: self.maybe(),
            params: BTreeMap::new(),
        };
        if self.0.one_in(3) {
            name.params.insert("N".into(), "LANGUAGE=de".into());
            name.params.insert("FN".into(), "LANGUAGE=de;X-A=\"b:c\"".into());
        }
        name
    }

    fn address(&mut self) -> Address {
        let mut address = Address {
            po_box: self.maybe(),
            extended: self.maybe(),
            street: self.text(),
            locality: self.maybe(),
            region: self.maybe(),
            postcode: self.maybe(),
            country: self.maybe(),
            full: self.maybe().replace('\\', "/"),
            country_code: (*self.0.pick(&["", "AT"])).to_owned(),
            time_zone: (*self.0.pick(&["", "Europe/Vienna"])).to_owned(),
            coordinates: (*self.0.pick(&["", "geo:48.2,16.4"])).to_owned(),
            marks: self.marks(),
            ..Address::default()
        };
        for kind in self.some_of(&["room", "floor", "district", "direction"]) {
            address.detail.insert(kind, self.text());
        }
        address.marks.contexts.extend(self.some_of(&["billing", "delivery"]));
        address
    }

    fn service(&mut self) -> OnlineService {
        let (user, uri) = match self.0.below(3) {
            0 => (self.text(), String::new()),
            1 => (String::new(), self.text()),
            _ => (self.text(), self.text()),
        };
        let vcard_name = (*self.0.pick(&["", "impp"])).to_owned();
        OnlineService { service: self.maybe(), user, uri, vcard_name, marks: self.marks() }
    }

    fn tie(&mut self) -> Tie {
        let met_on = self.0.one_in(2).then(|| self.date());
        Tie { how_met: self.maybe(), met_on, met_at: self.maybe(), met_through: self.maybe() }
    }

    fn relation(&mut self) -> Relation {
        let (name, uri) = match self.0.one_in(2) {
            true => (self.text(), String::new()),
            false => (String::new(), format!("urn:x:{}", self.text())),
        };
        Relation { name, uri, kinds: self.some_of(&["friend", "spouse", "parent"]), marks: self.marks() }
    }

    fn notes(&mut self) -> Vec<CardNote> {
        let bodies: BTreeSet<String> = (0..self.0.below(3)).map(|_| self.text()).collect();
        let note = |body| {
            let params = *self.0.pick(&["", "LANGUAGE=de", "PID=1.1;X-A=\"b;c\""]);
            CardNote { body, group: String::new(), params: params.to_owned() }
        };
        bodies.into_iter().map(note).collect()
    }

    fn few<T>(&mut self, make: impl Fn(&mut Self) -> T, key: impl Fn(&T) -> String) -> BTreeMap<String, T> {
        let items = (0..self.0.below(3)).map(|_| make(self));
        items.map(|item| (key(&item), item)).collect()
    }

    fn person(&mut self) -> Person {
        let mut anniversaries = self.few(|any| any.anniversary(AnniversaryKind::Other), Anniversary::key);
        for kind in [AnniversaryKind::Birth, AnniversaryKind::Death, AnniversaryKind::Wedding] {
            let anniversary = self.anniversary(kind);
            anniversaries.insert(anniversary.key(), anniversary);
        }
        let number = |any: &mut Self| format!("+{} {}", any.0.below(99), any.text());
        let title = |any: &mut Self| Title {
            name: any.text(),
            kind: if any.0.one_in(2) { TitleKind::Role } else { TitleKind::Title },
            organization: String::new(),
            marks: any.marks(),
        };
        let features = ["mobile", "voice", "text", "video", "fax", "pager", "textphone", "main-number"];
        Person {
            uid: self.text(),
            handle: self.maybe(),
            name: self.name(),
            nicknames: self.texts(),
            emails: self.few(|any| Email { address: any.text(), status: any.maybe(), marks: any.marks() }, Email::key),
            phones: self.few(
                |any| Phone { number: number(any), features: any.some_of(&features), marks: any.marks() },
                Phone::key,
            ),
            services: self.few(Self::service, OnlineService::key),
            links: self.few(|any| Link { uri: any.text(), marks: any.marks() }, Link::key),
            addresses: self.few(Self::address, Address::key),
            anniversaries,
            organizations: self.few(
                |any| Organization {
                    name: any.maybe(),
                    units: (0..=any.0.below(2)).map(|_| any.text()).collect(),
                    marks: any.marks(),
                },
                Organization::key,
            ),
            titles: self.few(title, Title::key),
            languages: self.few(|any| Language { tag: any.text(), marks: any.marks() }, Language::key),
            keywords: self.texts(),
            tie: self.tie(),
            relations: self.few(Self::relation, Relation::key),
            extra: self.few(
                |any| format!("g{}.X-ANY;A=b:{}", any.0.below(9), any.text().replace('\n', "\\n")),
                |line| contact_key("extra", line),
            ),
            ..Person::default()
        }
    }
}
