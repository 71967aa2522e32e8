//! Invented people as a file of vCards, for the demo, for tests and for measuring.
//!
//! The same seed gives the same bytes. Names come in several scripts, cards in the versions and manners that address
//! books write: Apple's groups and labels, quoted-printable of old phones, birthdays without a year.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A file of that many people; about every third has a note.
pub fn vcards(people: usize, seed: u64) -> String {
    Sample { chance: Chance::new(seed), mails: BTreeMap::new() }.file(people, None)
}

/// A file of that many people with so many notes of about 200 characters each.
pub fn vcards_with_notes(people: usize, notes_per_person: usize, seed: u64) -> String {
    Sample { chance: Chance::new(seed), mails: BTreeMap::new() }.file(people, Some(notes_per_person))
}

struct Sample {
    chance: Chance,
    /// How often a mail address was given out, so that everybody has one of their own.
    mails: BTreeMap<String, u32>,
}

/// Somebody invented.
struct Somebody {
    /// Given name and family name, each in its script and in Latin letters.
    given: (&'static str, &'static str),
    family: (&'static str, &'static str),
    family_first: bool,
    prefix: &'static str,
    organization: String,
    unit: &'static str,
    title: &'static str,
    mail: String,
    work_mail: String,
    phone: String,
    city: &'static City,
    birthday: Option<(Option<u64>, u64, u64)>,
    keywords: Vec<&'static str>,
    notes: Vec<String>,
}

impl Sample {
    fn file(mut self, people: usize, notes: Option<usize>) -> String {
        let mut file = String::new();
        for _ in 0..people {
            let somebody = self.somebody(notes);
            let uid = self.chance.uuid();
            match self.chance.below(10) {
                0..4 => self.apple(&mut file, &somebody, &uid),
                4..8 => self.modern(&mut file, &somebody, &uid),
                _ => self.old(&mut file, &somebody),
            }
        }
        file
    }

    fn somebody(&mut self, notes: Option<usize>) -> Somebody {
        let chance = &mut self.chance;
        let people = chance.pick(&PEOPLES);
        let (given, family) = (*chance.pick(people.given), *chance.pick(people.family));
        let city = chance.pick(&CITIES);
        let organization = format!("{} {}", chance.pick(&ORGANIZATIONS), chance.pick(&FORMS));
        let domain = format!("{}.example", latin(organization.split(' ').next().unwrap_or_default()));
        let user = format!("{}.{}", latin(given.1), latin(family.1));
        let birthday = chance.one_in(2).then(|| {
            let year = chance.one_in(2).then(|| 1945 + chance.below(60));
            (year, 1 + chance.below(12), 1 + chance.below(28))
        });
        let keywords: Vec<&str> = (0..chance.below(4)).map(|_| *chance.pick(&KEYWORDS)).collect();
        let count = notes.unwrap_or_else(|| usize::from(chance.one_in(3)));
        let notes = (0..count).map(|_| chance.note(given.1)).collect();
        let phone = format!("{} {:04}", city.phone, chance.below(10_000));
        let prefix = if chance.one_in(12) { "Dr." } else { "" };
        let (unit, title) = (chance.pick(&UNITS), chance.pick(&TITLES));
        let mail = self.mail(&format!("{user}@{}", MAILERS[user.len() % MAILERS.len()]));
        let work_mail = self.mail(&format!("{user}@{domain}"));
        let family_first = people.family_first;
        Somebody {
            given,
            family,
            family_first,
            prefix,
            organization,
            unit,
            title,
            mail,
            work_mail,
            phone,
            city,
            birthday,
            keywords,
            notes,
        }
    }

    fn mail(&mut self, address: &str) -> String {
        let times = self.mails.entry(address.to_owned()).or_default();
        *times += 1;
        match (*times, address.split_once('@')) {
            (2.., Some((user, domain))) => format!("{user}{times}@{domain}"),
            _ => address.to_owned(),
        }
    }

    /// vCard 3.0 in the manner of Apple's and Google's address books.
    fn apple(&mut self, file: &mut String, somebody: &Somebody, uid: &str) {
        let mut card = Card::begin(file, "3.0");
        card.names(somebody);
        if somebody.family.0 != somebody.family.1 {
            card.line(&format!("X-PHONETIC-FIRST-NAME:{}", somebody.given.1));
            card.line(&format!("X-PHONETIC-LAST-NAME:{}", somebody.family.1));
        }
        card.line(&format!("ORG:{};{}", somebody.organization, somebody.unit));
        card.line(&format!("TITLE:{}", somebody.title));
        card.line(&format!("EMAIL;type=INTERNET;type=HOME;type=pref:{}", somebody.mail));
        card.line(&format!("item1.EMAIL;type=INTERNET:{}", somebody.work_mail));
        card.line("item1.X-ABLabel:_$!<Work>!$_");
        card.line(&format!("TEL;type=CELL;type=VOICE;type=pref:{}", somebody.phone));
        if self.chance.one_in(2) {
            card.address("item2.ADR;type=HOME", somebody, 1 + self.chance.below(200));
            card.line(&format!("item2.X-ABADR:{}", somebody.city.country_code));
        }
        match somebody.birthday {
            Some((Some(year), month, day)) => card.line(&format!("BDAY:{year}-{month:02}-{day:02}")),
            Some((None, month, day)) => card.line(&format!("BDAY;X-APPLE-OMIT-YEAR=1604:1604-{month:02}-{day:02}")),
            None => {}
        }
        if self.chance.one_in(4) {
            let relative = self.chance.pick(&PEOPLES);
            card.line(&format!("item3.X-ABRELATEDNAMES;type=pref:{}", self.chance.pick(relative.given).0));
            card.line("item3.X-ABLabel:_$!<Sister>!$_");
        }
        if self.chance.one_in(4) {
            let user = latin(somebody.given.1);
            card.line(&format!("X-SOCIALPROFILE;type=mastodon;x-user={user}:https\\://social.example/@{user}"));
        }
        card.rest(somebody);
        card.line(&format!("UID:{}", uid.to_uppercase()));
        card.end();
    }

    /// vCard 4.0 to the letter.
    fn modern(&mut self, file: &mut String, somebody: &Somebody, uid: &str) {
        let mut card = Card::begin(file, "4.0");
        card.line(&format!("UID:urn:uuid:{uid}"));
        card.names(somebody);
        card.line(&format!("ORG:{}", somebody.organization));
        card.line(&format!("TITLE:{}", somebody.title));
        card.line(&format!("EMAIL;TYPE=work;PREF=1:{}", somebody.work_mail));
        card.line(&format!("EMAIL;TYPE=home:{}", somebody.mail));
        card.line(&format!("TEL;VALUE=uri;TYPE=\"cell,voice\":tel:{}", somebody.phone.replace(' ', "-")));
        if self.chance.one_in(2) {
            card.address("ADR;TYPE=work", somebody, 1 + self.chance.below(200));
        }
        match somebody.birthday {
            Some((Some(year), month, day)) => card.line(&format!("BDAY:{year}{month:02}{day:02}")),
            Some((None, month, day)) => card.line(&format!("BDAY:--{month:02}{day:02}")),
            None => {}
        }
        if self.chance.one_in(3) {
            card.line(&format!("LANG;PREF=1:{}", somebody.city.language));
            card.line(&format!("URL;TYPE=home:https://{}.example/", latin(somebody.family.1)));
        }
        if self.chance.one_in(6) {
            card.line(&format!("X-DEPARTMENT-CODE;X-SCHEME=internal:{:05}", self.chance.below(100_000)));
        }
        card.rest(somebody);
        card.end();
    }

    /// vCard 2.1 in the manner of old phones; without a UID.
    fn old(&mut self, file: &mut String, somebody: &Somebody) {
        let mut card = Card::begin(file, "2.1");
        let (given, family) = (somebody.given.0, somebody.family.0);
        card.quoted("N", &[family, given, "", somebody.prefix, ""]);
        card.quoted("FN", &[&somebody.full()]);
        card.quoted("ORG", &[&somebody.organization, somebody.unit]);
        card.line(&format!("EMAIL;INTERNET;PREF:{}", somebody.work_mail));
        card.line(&format!("TEL;CELL;VOICE:{}", somebody.phone));
        if let Some((Some(year), month, day)) = somebody.birthday {
            card.line(&format!("BDAY:{year}{month:02}{day:02}"));
        }
        for note in &somebody.notes {
            card.quoted("NOTE", &[note]);
        }
        card.end();
    }
}

impl Somebody {
    fn full(&self) -> String {
        let (given, family) = (self.given.0, self.family.0);
        match (self.family_first, self.prefix) {
            (true, _) => format!("{family}{given}"),
            (false, "") => format!("{given} {family}"),
            (false, prefix) => format!("{prefix} {given} {family}"),
        }
    }
}

/// A card being written.
struct Card<'a> {
    file: &'a mut String,
}

impl<'a> Card<'a> {
    fn begin(file: &'a mut String, version: &str) -> Self {
        let mut card = Self { file };
        card.line("BEGIN:VCARD");
        card.line(&format!("VERSION:{version}"));
        card
    }

    fn end(mut self) {
        self.line("END:VCARD");
    }

    /// Writes a content line, folded at 75 octets.
    fn line(&mut self, line: &str) {
        let mut room = 75;
        for c in line.chars() {
            if c.len_utf8() > room {
                self.file.push_str("\r\n ");
                room = 74;
            }
            room -= c.len_utf8();
            self.file.push(c);
        }
        self.file.push_str("\r\n");
    }

    fn names(&mut self, somebody: &Somebody) {
        let (given, family) = (somebody.given.0, somebody.family.0);
        self.line(&format!("N:{family};{given};;{};", somebody.prefix));
        self.line(&format!("FN:{}", somebody.full()));
    }

    fn address(&mut self, property: &str, somebody: &Somebody, number: u64) {
        let City { name, street, postcode, country, .. } = somebody.city;
        self.line(&format!("{property}:;;{street} {number};{name};;{postcode};{country}"));
    }

    fn rest(&mut self, somebody: &Somebody) {
        if !somebody.keywords.is_empty() {
            self.line(&format!("CATEGORIES:{}", somebody.keywords.join(",")));
        }
        for note in &somebody.notes {
            self.line(&format!("NOTE:{}", note.replace('\n', "\\n").replace(',', "\\,").replace(';', "\\;")));
        }
    }

    /// Writes parts in quoted-printable, with soft line breaks.
    fn quoted(&mut self, name: &str, parts: &[&str]) {
        if parts.iter().all(|part| part.is_ascii() && !part.contains(['\n', ';', '='])) {
            return self.line(&format!("{name}:{}", parts.join(";")));
        }
        let mut line = format!("{name};CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:");
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                line.push(';');
            }
            for byte in part.replace('\n', "\r\n").bytes() {
                if line.len() > 70 {
                    self.file.push_str(&line);
                    self.file.push_str("=\r\n");
                    line.clear();
                }
                match byte {
                    b' '..=b'~' if !b"=;\\".contains(&byte) => line.push(char::from(byte)),
                    _ => write!(line, "={byte:02X}").expect("writing to a string cannot fail"),
                }
            }
        }
        self.file.push_str(&line);
        self.file.push_str("\r\n");
    }
}

/// SplitMix64: small, quick, and good enough for invented people. Not for keys.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = self.below(from.len() as u64);
        &from[index as usize]
    }

    fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xfff);
        let (d, e) = (low >> 48 & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
        format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}")
    }

    /// About 200 characters on somebody.
    fn note(&mut self, name: &str) -> String {
        let mut note = format!("{name} {}.", self.pick(&REMARKS));
        while note.len() < 150 {
            let joint = if self.one_in(4) { "\n- " } else { " " };
            let remark = *self.pick(&REMARKS);
            write!(note, "{joint}{} {remark}.", self.pick(&SUBJECTS)).expect("writing to a string cannot fail");
        }
        write!(note, " ({})", 1 + self.below(99_999)).expect("writing to a string cannot fail");
        note
    }
}

/// Lower-case ASCII letters of a name in Latin letters, for mail addresses.
fn latin(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).collect()
}

/// A name in its script and in plain Latin letters.
type Spelled = (&'static str, &'static str);

/// Names that go together.
struct People {
    given: &'static [Spelled],
    family: &'static [Spelled],
    family_first: bool,
}

/// A place, with a phone range that is kept free for fiction or is too short to ring anywhere.
struct City {
    name: &'static str,
    street: &'static str,
    postcode: &'static str,
    country: &'static str,
    country_code: &'static str,
    language: &'static str,
    phone: &'static str,
}

#[rustfmt::skip]
const PEOPLES: [People; 15] = [
    People {
        given: &[("Grace", "Grace"), ("Alan", "Alan"), ("Margaret", "Margaret"), ("Dorothy", "Dorothy"),
            ("Edmund", "Edmund"), ("Harriet", "Harriet"), ("Percival", "Percival"), ("Rosalind", "Rosalind")],
        family: &[("Ashworth", "Ashworth"), ("Blackwood", "Blackwood"), ("Cartwright", "Cartwright"),
            ("Fairfax", "Fairfax"), ("Hathaway", "Hathaway"), ("O'Sullivan", "OSullivan"),
            ("Pemberton", "Pemberton"), ("Thornbury", "Thornbury")],
        family_first: false,
    },
    People {
        given: &[("Jürgen", "Juergen"), ("Käthe", "Kaethe"), ("Björn", "Bjoern"), ("Sören", "Soeren"),
            ("Lieselotte", "Lieselotte"), ("Günther", "Guenther"), ("Annegret", "Annegret")],
        family: &[("Müller-Lüdenscheidt", "MuellerLuedenscheidt"), ("Groß", "Gross"), ("Schäfer", "Schaefer"),
            ("Köhler", "Koehler"), ("Weißenböck", "Weissenboeck"), ("Hölderlin", "Hoelderlin"), ("Brandstetter", "Brandstetter")],
        family_first: false,
    },
    People {
        given: &[("Zoë", "Zoe"), ("François", "Francois"), ("Éloïse", "Eloise"), ("Benoît", "Benoit"), ("Océane", "Oceane")],
        family: &[("Lefèvre", "Lefevre"), ("d'Aubigné", "dAubigne"), ("Château-Thierry", "ChateauThierry"),
            ("Beauséjour", "Beausejour"), ("Gagné", "Gagne")],
        family_first: false,
    },
    People {
        given: &[("Íñigo", "Inigo"), ("Begoña", "Begona"), ("Ramón", "Ramon"), ("Lucía", "Lucia"), ("João", "Joao")],
        family: &[("Núñez Ibáñez", "NunezIbanez"), ("Gutiérrez", "Gutierrez"), ("Conceição", "Conceicao"),
            ("Peñalosa", "Penalosa"), ("Magalhães", "Magalhaes")],
        family_first: false,
    },
    People {
        given: &[("Łukasz", "Lukasz"), ("Małgorzata", "Malgorzata"), ("Zdeněk", "Zdenek"), ("Božena", "Bozena"), ("Øyvind", "Oyvind")],
        family: &[("Wiśniewska", "Wisniewska"), ("Dvořák", "Dvorak"), ("Błaszczyk", "Blaszczyk"),
            ("Šafařík", "Safarik"), ("Østergaard", "Ostergaard")],
        family_first: false,
    },
    People {
        given: &[("Анастасия", "Anastasia"), ("Дмитрий", "Dmitri"), ("Олена", "Olena"), ("Богдан", "Bohdan")],
        family: &[("Ковалевская", "Kovalevskaya"), ("Шевченко", "Shevchenko"), ("Чебышёв", "Chebyshev"), ("Лисенко", "Lysenko")],
        family_first: false,
    },
    People {
        given: &[("Ελένη", "Eleni"), ("Δημήτρης", "Dimitris"), ("Καλλιόπη", "Kalliopi")],
        family: &[("Παπαδοπούλου", "Papadopoulou"), ("Καραθεοδωρή", "Karatheodori"), ("Οικονόμου", "Oikonomou")],
        family_first: false,
    },
    People {
        given: &[("小明", "Xiaoming"), ("秀英", "Xiuying"), ("建国", "Jianguo"), ("雅婷", "Yating")],
        family: &[("王", "Wang"), ("欧阳", "Ouyang"), ("陳", "Chen"), ("司马", "Sima")],
        family_first: true,
    },
    People {
        given: &[("太郎", "Taro"), ("花子", "Hanako"), ("健一郎", "Kenichiro"), ("さくら", "Sakura")],
        family: &[("山田", "Yamada"), ("小鳥遊", "Takanashi"), ("渡邊", "Watanabe"), ("長谷川", "Hasegawa")],
        family_first: true,
    },
    People {
        given: &[("민준", "Minjun"), ("서연", "Seoyeon"), ("지훈", "Jihoon")],
        family: &[("김", "Kim"), ("남궁", "Namgung"), ("황보", "Hwangbo")],
        family_first: true,
    },
    People {
        given: &[("ليلى", "Layla"), ("يوسف", "Yusuf"), ("زينب", "Zaynab")],
        family: &[("الخوارزمي", "AlKhwarizmi"), ("حداد", "Haddad"), ("المنصوري", "AlMansouri")],
        family_first: false,
    },
    People {
        given: &[("נועה", "Noa"), ("איתן", "Eitan"), ("תמר", "Tamar")],
        family: &[("אברמוביץ", "Abramovich"), ("בן־דוד", "BenDavid"), ("רוזנצוויג", "Rosenzweig")],
        family_first: false,
    },
    People {
        given: &[("Ayşegül", "Aysegul"), ("İbrahim", "Ibrahim"), ("Çağla", "Cagla")],
        family: &[("Yıldırım", "Yildirim"), ("Öztürk", "Ozturk"), ("Küçükoğlu", "Kucukoglu")],
        family_first: false,
    },
    People {
        given: &[("आनंदी", "Anandi"), ("विक्रम", "Vikram"), ("लक्ष्मी", "Lakshmi")],
        family: &[("चट्टोपाध्याय", "Chattopadhyay"), ("देशपांडे", "Deshpande"), ("श्रीवास्तव", "Shrivastava")],
        family_first: false,
    },
    People {
        given: &[("Oluwaseun", "Oluwaseun"), ("Ngọc Ánh", "NgocAnh"), ("Þórdís", "Thordis"), ("Wanjikũ", "Wanjiku")],
        family: &[("Adébáyọ̀", "Adebayo"), ("Nguyễn", "Nguyen"), ("Sigurðardóttir", "Sigurdardottir"), ("Kamau", "Kamau")],
        family_first: false,
    },
];

#[rustfmt::skip]
const CITIES: [City; 8] = [
    City { name: "Wien", street: "Mühlgasse", postcode: "1040", country: "Österreich", country_code: "at", language: "de-AT", phone: "+43 1 5550" },
    City { name: "Zürich", street: "Seefeldquai", postcode: "8008", country: "Schweiz", country_code: "ch", language: "de-CH", phone: "+41 44 555" },
    City { name: "London", street: "Marchmont Street", postcode: "WC1N 1AB", country: "United Kingdom", country_code: "gb", language: "en-GB", phone: "+44 20 7946" },
    City { name: "Springfield", street: "Evergreen Terrace", postcode: "97477", country: "USA", country_code: "us", language: "en-US", phone: "+1 541 555" },
    City { name: "Kraków", street: "Ulica Świętego Jana", postcode: "31-017", country: "Polska", country_code: "pl", language: "pl", phone: "+48 12 555" },
    City { name: "京都市", street: "烏丸通", postcode: "604-8152", country: "日本", country_code: "jp", language: "ja", phone: "+81 75 555" },
    City { name: "São Paulo", street: "Rua das Figueiras", postcode: "01310-100", country: "Brasil", country_code: "br", language: "pt-BR", phone: "+55 11 5555" },
    City { name: "Αθήνα", street: "Οδός Πανεπιστημίου", postcode: "106 79", country: "Ελλάδα", country_code: "gr", language: "el", phone: "+30 210 555" },
];

#[rustfmt::skip]
const ORGANIZATIONS: [&str; 14] = [
    "Brightwater", "Kestrel", "Nordlicht", "Quillfeather", "Silberbach", "Tangerine", "Umbrellabird", "Velvetine",
    "Windmühle", "Zephyrion", "Ostwind", "Marigold", "Farnborough", "Lanternhouse",
];

const FORMS: [&str; 6] = ["GmbH", "Ltd", "Collective", "Foundry", "e.V.", "S.A."];

const UNITS: [&str; 6] = ["Forschung", "Compilers", "Purchasing", "Réception", "Fieldwork", "Illustration"];

#[rustfmt::skip]
const TITLES: [&str; 10] = [
    "Typographer", "Bookbinder", "Lead Illustrator", "Steuerberaterin", "Chief Botanist", "Beekeeper", "Translator",
    "Harbour Pilot", "Professor", "Clockmaker",
];

#[rustfmt::skip]
const KEYWORDS: [&str; 12] = [
    "rustaceans", "climbing", "chamber-music", "typography", "beekeeping", "woodwork", "alumni", "mentors", "vienna",
    "volunteering", "customers", "neighbours",
];

const MAILERS: [&str; 4] = ["posteo.example", "pigeonpost.example", "heliogram.example", "postkasten.example"];

const SUBJECTS: [&str; 6] = ["Also", "At dinner she said that she", "Says that he", "Apparently", "Later", "Once"];

#[rustfmt::skip]
const REMARKS: [&str; 18] = [
    "prefers oolong to coffee", "is writing a book on moss", "knows everybody at the harbour",
    "asked about the walking tour in Graubünden", "plays the viola on Thursdays", "collects maps of imaginary islands",
    "looks for a carpenter in Leipzig", "was at the same school as Konstantin", "has twins called Mirjam and Tobias",
    "wants to learn Esperanto", "lent me the umbrella with the parrot", "grew up beside a lighthouse",
    "recommends the bakery in Neubaugasse", "moves to Lisboa in spring", "is allergic to hazelnuts",
    "promised an introduction to Friederike", "keeps three greyhounds", "sails a boat named Wagtail",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::vcard::Contents;

    #[test]
    fn every_card_goes_in_without_a_remark() {
        let file = vcards(500, 2026);
        let cards = Contents::read(file.as_bytes()).unwrap().cards;
        assert_eq!(cards.len(), 500);
        assert!(cards.iter().all(|card| card.notices.is_empty() && !card.person.name.full.is_empty()));
        let keys: BTreeSet<&str> = cards.iter().map(|card| card.stable_key.as_str()).collect();
        assert_eq!(keys.len(), 500, "everybody is somebody else");
        let some = |test: fn(&ties_model::Person) -> bool| cards.iter().filter(|card| test(&card.person)).count();
        assert!(some(|person| !person.extra.is_empty()) > 20);
        assert!(some(|person| person.anniversaries.values().any(|a| a.date.is_some_and(|d| d.year().is_none()))) > 50);
        assert!(some(|person| person.emails.values().any(|mail| mail.marks.label == "Work")) > 100);
        assert!(some(|person| !person.name.full.is_ascii()) > 100);
        assert!(some(|person| person.uid.is_empty()) > 50);
        assert!(cards.iter().filter(|card| !card.notes.is_empty()).count() > 100);
    }

    #[test]
    fn one_seed_gives_one_file() {
        assert_eq!(vcards(50, 7), vcards(50, 7));
        assert_ne!(vcards(50, 7), vcards(50, 8));
        assert!(vcards(50, 7).starts_with(&vcards(20, 7)));
    }

    #[test]
    fn notes_come_in_the_number_and_length_asked_for() {
        let file = vcards_with_notes(100, 3, 1);
        for card in Contents::read(file.as_bytes()).unwrap().cards {
            assert_eq!(card.notes.len(), 3);
            assert!(card.notes.iter().all(|note| (150..300).contains(&note.body.chars().count())));
        }
    }
}
