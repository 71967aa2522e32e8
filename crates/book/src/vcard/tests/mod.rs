//! Cards in, people out, and back.

mod corpus;
mod random;

use ties_model::{AnniversaryKind, Person};

use super::*;

fn read(file: &str) -> Vec<Result<ImportedCard, Reject>> {
    people(file.as_bytes()).collect()
}

/// The people of a file, and what is no card.
fn people(file: &[u8]) -> impl Iterator<Item = Result<ImportedCard, Reject>> {
    let cards: Vec<_> = File::new(file).unwrap().cards().collect();
    cards.into_iter().filter_map(|card| match card {
        Ok(Card::Person(card)) => Some(Ok(*card)),
        Ok(Card::Group(_)) => None,
        Err(reject) => Some(Err(reject)),
    })
}

fn one(lines: &str) -> ImportedCard {
    let file = format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{}\r\nEND:VCARD\r\n", lines.replace('\n', "\r\n"));
    read(&file).remove(0).unwrap()
}

fn person(lines: &str) -> Person {
    one(lines).person
}

fn exported(card: &ImportedCard) -> String {
    written(card, Dialect::V4)
}

fn written(card: &ImportedCard, dialect: Dialect) -> String {
    write(&card.person, &card.notes, ID, dialect)
}

const ID: &str = "018f0000-0000-7000-8000-000000000000";

fn bodies(card: &ImportedCard) -> Vec<&str> {
    card.notes.iter().map(|note| note.body.as_str()).collect()
}

/// Fails with the first line that differs.
fn same_lines(one: &str, other: &str, context: &str) {
    let differ = one.split("\r\n").zip(other.split("\r\n")).find(|(one, other)| one != other);
    assert!(one == other, "{context}: {differ:?} in\n{one}");
}

#[test]
fn a_vcard_of_version_4_is_read() {
    let card = one(concat!(
        "FN:Dr. Ada Lovelace\nN;SORT-AS=\"Lovelace,Ada\":Lovelace;Ada;Augusta,King;Dr.;PhD,FRS\n",
        "EMAIL;TYPE=work;PREF=1:ada@example.org\nTEL;VALUE=uri;TYPE=\"cell,work\":tel:+44-20-7946-0001;ext=12\n",
        "BDAY:--1210\nORG:Analytical Engines;Research\nTITLE:Analyst\nROLE:Lead\nLANG;PREF=2:en-GB\n",
        "CATEGORIES:maths,a\\,b\nNICKNAME:Countess\nNOTE:Likes\\nengines\nUID:urn:uuid:ABC\nURL:https://ada.example\n",
        "ADR;TYPE=home;LABEL=\"12 Square^nLondon\";CC=gb:;;12 Square;London;;SW1;England\nREV:20260101T000000Z",
    ));
    let ada = &card.person;
    assert_eq!(ada.name.full, "Dr. Ada Lovelace");
    assert_eq!((ada.name.given.as_str(), ada.name.given2.as_str()), ("Ada", "Augusta King"));
    assert_eq!((ada.name.credential.as_str(), ada.name.sort_as.as_str()), ("PhD, FRS", "Lovelace,Ada"));
    let mail = ada.emails.values().next().unwrap();
    assert_eq!((mail.address.as_str(), mail.marks.pref), ("ada@example.org", Some(1)));
    assert!(mail.marks.contexts.contains("work"));
    let phone = ada.phones.values().next().unwrap();
    assert_eq!(phone.number, "+44-20-7946-0001 x12");
    assert!(phone.features.contains("mobile") && phone.marks.contexts.contains("work"));
    let birthday = ada.anniversaries.values().next().unwrap();
    assert_eq!((&birthday.kind, birthday.date), (&AnniversaryKind::Birth, Some("--12-10".parse().unwrap())));
    let organization = ada.organizations.values().next().unwrap();
    assert_eq!((organization.name.as_str(), &organization.units[..]), ("Analytical Engines", &["Research".into()][..]));
    assert_eq!(ada.titles.len(), 2);
    assert_eq!(ada.languages.values().next().unwrap().tag, "en-GB");
    assert!(ada.keywords.contains("a,b") && ada.keywords.contains("maths") && ada.nicknames.contains("Countess"));
    let address = ada.addresses.values().next().unwrap();
    assert_eq!((address.full.as_str(), address.country_code.as_str()), ("12 Square\nLondon", "GB"));
    assert_eq!((address.street.as_str(), address.postcode.as_str()), ("12 Square", "SW1"));
    assert_eq!(bodies(&card), ["Likes\nengines"]);
    assert_eq!((card.stable_key.as_str(), ada.source.revised.as_str()), ("uid:urn:uuid:ABC", "20260101T000000Z"));
    assert_eq!((ada.extra.len(), card.notices.len()), (0, 0));
}

#[test]
fn apples_ways_are_understood() {
    let ada = person(concat!(
        "N:Lovelace;Ada;;;\nFN:Ada Lovelace\nitem1.EMAIL;type=INTERNET;type=pref:ada@example.org\n",
        "item1.X-ABLabel:_$!<Work>!$_\nitem2.TEL;type=CELL;type=VOICE:+1 555 0100\nitem2.X-ABLabel:\n",
        "BDAY;X-APPLE-OMIT-YEAR=1604:1604-12-10\nitem3.X-ABDATE;type=pref:1835-07-08\n",
        "item3.X-ABLabel:_$!<Anniversary>!$_\nitem4.X-ABDATE:1833-06-05\nitem4.X-ABLabel:First met\n",
        "item5.X-ABRELATEDNAMES;type=pref:Anne\nitem5.X-ABLabel:_$!<Mother>!$_\n",
        "X-SOCIALPROFILE;type=twitter;x-user=ada:http\\://twitter.com/ada\n",
        "IMPP;X-SERVICE-TYPE=Jabber;type=HOME:xmpp:ada@example.org\nitem6.ADR:;;1 Street;Town;;;\nitem6.X-ABADR:gb\n",
        "item7.URL:https://x.example\nitem7.X-ABLabel:_$!<HomePage>!$_\nX-AIM:ada1815\nitem8.TEL:5\nitem8.X-ABLabel:$!!$",
    ));
    let mail = ada.emails.values().next().unwrap();
    assert_eq!((mail.marks.label.as_str(), mail.marks.pref, mail.marks.params.as_str()), ("Work", Some(1), ""));
    let phone = ada.phones.values().find(|phone| phone.number == "+1 555 0100").unwrap();
    assert_eq!(phone.features, ["mobile".into(), "voice".into()].into());
    assert!(ada.phones.values().all(|phone| phone.marks.label.is_empty()));
    let date = |kind: AnniversaryKind| ada.anniversaries.values().find(|a| a.kind == kind).unwrap();
    assert_eq!(date(AnniversaryKind::Birth).date.unwrap().to_string(), "--12-10");
    assert_eq!(date(AnniversaryKind::Wedding).date.unwrap().to_string(), "1835-07-08");
    assert_eq!(date(AnniversaryKind::Other).marks.label, "First met");
    let service = |name: &str| ada.services.values().find(|service| service.service == name).unwrap();
    assert_eq!((service("twitter").user.as_str(), service("twitter").uri.as_str()), ("ada", "http://twitter.com/ada"));
    assert_eq!(
        (service("Jabber").uri.as_str(), service("Jabber").vcard_name.as_str()),
        ("xmpp:ada@example.org", "impp")
    );
    assert_eq!(service("AIM").user, "ada1815");
    assert_eq!(ada.addresses.values().next().unwrap().country_code, "GB");
    assert_eq!(ada.links.values().next().unwrap().marks.label, "HomePage");
    let mother = ada.relations.values().next().unwrap();
    assert_eq!((mother.name.as_str(), mother.marks.label.as_str()), ("Anne", "Mother"));
    assert_eq!(mother.kinds, ["parent".to_owned()].into());
    assert_eq!(ada.extra.len(), 0);
}

#[test]
fn a_vcard_of_version_2_1_is_read() {
    let file = concat!(
        "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=BCrgen;;;\r\n",
        "TEL;CELL;PREF:0171 230 05 95\r\nEMAIL;INTERNET:j@example.org\r\nBDAY:19800314\r\n",
        "NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:Zeile eins=0D=0A=\r\nZeile zwei; drei\r\n",
        "PHOTO;JPEG;ENCODING=BASE64:\r\n /9j/4AAQ\r\n SkZJRg==\r\n\r\nX-FOO;HOME;CHARSET=UTF-8:b\r\nEND:VCARD\r\n",
    );
    let card = read(file).remove(0).unwrap();
    assert_eq!(card.person.name.full, "Jürgen Müller");
    let phone = card.person.phones.values().next().unwrap();
    assert!(phone.features.contains("mobile") && phone.marks.pref == Some(1));
    assert_eq!(bodies(&card), ["Zeile eins\nZeile zwei; drei"]);
    let mut extra: Vec<&str> = card.person.extra.values().map(String::as_str).collect();
    extra.sort();
    assert_eq!(extra, ["PHOTO:data:image/jpeg;base64,/9j/4AAQSkZJRg==", "X-FOO;TYPE=HOME:b"]);
    assert!(card.stable_key.starts_with("hash:"));
}

#[test]
fn what_is_not_understood_is_kept_with_its_group_and_parameters() {
    let card = one(
        "FN:A\nitem1.TEL;X-ODD=\"a;b\";PID=1.1;TYPE=car:1\nitem1.X-NOTE;x=y:a\\,b;c\nBDAY:1980\nBDAY:1981\nGEO:geo:1,2",
    );
    let phone = card.person.phones.values().next().unwrap();
    assert_eq!((phone.marks.group.as_str(), phone.marks.params.as_str()), ("item1", "X-ODD=\"a;b\";PID=1.1;TYPE=car"));
    let text = exported(&card);
    for line in ["item1.TEL;X-ODD=\"a;b\";PID=1.1;TYPE=car:1", "item1.X-NOTE;x=y:a\\,b;c", "BDAY:1981", "GEO:geo:1,2"] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} in {text}");
    }
    assert_eq!(read(&text).remove(0).unwrap().person, Person { uid: uid(&text), ..card.person });
}

fn uid(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("UID:")).unwrap();
    line.to_owned()
}

#[test]
fn dates_that_are_no_dates_keep_their_words() {
    for (written, date, again) in [
        ("BDAY;VALUE=text:circa 1800", None, "BDAY;VALUE=text:circa 1800"),
        ("BDAY:somewhen", None, "BDAY;VALUE=text:somewhen"),
        ("BDAY:1980-03-14T00:00:00Z", Some("1980-03-14"), "BDAY:19800314"),
        ("BDAY;VALUE=date-and-or-time:19960415T231000Z", Some("1996-04-15"), "BDAY:19960415T231000Z"),
        ("BDAY;VALUE=date:1980-03", Some("1980-03"), "BDAY:1980-03"),
    ] {
        let card = one(&format!("FN:A\n{written}"));
        let birthday = card.person.anniversaries.values().next().unwrap();
        assert_eq!(birthday.date.map(|date| date.to_string()).as_deref(), date, "{written}");
        assert!(exported(&card).contains(again), "{}", exported(&card));
    }
    assert_eq!(person("FN:A\nBDAY;CALSCALE=chinese:19800314").extra.len(), 1);
}

#[test]
fn cards_without_a_name_take_it_from_what_there_is() {
    for (lines, name) in [
        ("N:Lovelace;Ada;;Dr.;PhD", "Dr. Ada Lovelace, PhD"),
        ("NICKNAME:ada\nORG:Engines", "ada"),
        ("ORG:Engines;Unit\nEMAIL:a@b.example", "Engines"),
        ("EMAIL:a@b.example\nTEL:1", "a@b.example"),
        ("TEL:+1 555", "+1 555"),
        ("URL:https://a.example", "https://a.example"),
        ("ADR:;;1 Street;Town;;;", "1 Street"),
        ("NOTE:nobody knows\\nwho", "nobody knows"),
        ("BDAY:19800314", "(no name)"),
    ] {
        assert_eq!(person(lines).name.full, name);
    }
}

#[test]
fn rejects_tell_line_and_reason() {
    let file = concat!(
        "BEGIN:VCARD\nVERSION:3.0\nFN:A\nEND:VCARD\nBEGIN:VCARD\nREV:1\nEND:VCARD\nhello\n",
        "BEGIN:VCARD\nKIND:group\nFN:Friends\nEND:VCARD\nBEGIN:VCARD\nFN:B\nnonsense\n",
    );
    let all = read(file);
    let rejects: Vec<(usize, &str)> =
        all.iter().filter_map(|card| card.as_ref().err()).map(|reject| (reject.line, reject.reason.as_str())).collect();
    assert_eq!(rejects, [(5, "the card is empty"), (8, "text outside of any card")]);
    let last = all.last().unwrap().as_ref().unwrap();
    assert_eq!(last.notices.iter().map(|notice| notice.line).collect::<Vec<_>>(), [13, 15]);
}

#[test]
fn one_address_named_twice_is_one() {
    let ada =
        person("FN:A\nEMAIL;TYPE=home:Ada@Example.org\nEMAIL;TYPE=work;PREF=3:ada@example.org\nTEL:+1 2\nTEL;CELL:+12");
    let mail = ada.emails.values().next().unwrap();
    assert_eq!((ada.emails.len(), mail.address.as_str(), mail.marks.contexts.len()), (1, "Ada@Example.org", 2));
    assert_eq!(ada.phones.len(), 1);
    let twice = person("FN:A\na.TEL:1\na.X-ABLABEL:One\nb.TEL:1\nb.X-ABLABEL:Two");
    assert_eq!(twice.phones.values().map(|phone| phone.marks.label.as_str()).collect::<Vec<_>>(), ["One", "Two"]);
}

#[test]
fn a_group_with_a_line_that_is_not_written_again_is_alone() {
    let ada = person("FN:A\nitem1.EMAIL:a@b.example\nitem1.VERSION:4.0");
    assert_eq!(ada.emails.values().map(|mail| mail.marks.group.as_str()).collect::<Vec<_>>(), [""]);
}

#[test]
fn a_line_that_begins_with_dots_keeps_them() {
    let ada = person("FN:A\n...X-ODD:1");
    assert_eq!(ada.extra.values().collect::<Vec<_>>(), ["...X-ODD:1"]);
}

#[test]
fn the_first_label_of_a_group_that_says_something_is_its_label() {
    let ada = person("FN:A\na.TEL:1\na.X-ABLABEL:$!!$\na.X-ABLABEL:❤\na.X-ABLABEL:Two");
    assert_eq!(ada.phones.values().map(|phone| phone.marks.label.as_str()).collect::<Vec<_>>(), ["❤"]);
    assert_eq!(ada.extra.values().collect::<Vec<_>>(), ["a.X-ABLABEL:Two"]);
}

#[test]
fn the_stable_key_is_the_same_whichever_program_wrote_the_card() {
    let key = |lines: &str| one(lines).stable_key;
    let uri = key("FN:A\nUID:urn:uuid:018f0000-0000-7000-8000-00000000000a");
    assert_eq!(uri, "uid:urn:uuid:018f0000-0000-7000-8000-00000000000a");
    assert_eq!(key("FN:B\nUID:018F0000-0000-7000-8000-00000000000A"), uri);
    assert_eq!(key("FN:A\nUID:Mixed"), "uid:Mixed");
    let hash = key("FN:Ada  LOVELACE\nTEL:+1 555 0100\nEMAIL:A@b.example");
    assert_eq!(key("N:;Ada\nFN:Ada Lovelace\nEMAIL:a@B.example\nTEL;CELL:001-555-0100"), hash);
    assert_ne!(key("FN:Ada Lovelace"), hash);
}

#[test]
fn a_large_photo_is_left_out_and_a_small_one_kept() {
    let photo = |bytes: usize| format!("FN:A\nPHOTO;ENCODING=b;TYPE=JPEG:{}", "A".repeat(bytes));
    let large = one(&photo(70_000));
    assert_eq!((large.person.extra.len(), large.notices.len()), (0, 1));
    assert_eq!(large.notices[0].text, "PHOTO of 69 KiB was left out; the most is 64 KiB");
    let small = one(&photo(60_000));
    assert_eq!((small.person.extra.len(), small.notices.len()), (1, 0));
}

#[test]
fn files_in_other_encodings_are_read() {
    let text = "BEGIN:VCARD\r\nFN:Jürgen 山田\r\nEND:VCARD\r\n";
    let little: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(people(&little).next().unwrap().unwrap().person.name.full, "Jürgen 山田");
    assert_eq!(people(&little[2..]).next().unwrap().unwrap().person.name.full, "Jürgen 山田", "without its mark");
    let latin = b"BEGIN:VCARD\nFN:J\xfcrgen\nEND:VCARD\n";
    assert_eq!(people(latin).next().unwrap().unwrap().person.name.full, "Jürgen");
}

#[test]
fn the_export_is_folded_and_framed() {
    let mut card = one("FN:A");
    card.person.keywords.insert("ä".repeat(200));
    card.person.extra.insert("evil".into(), "END:VCARD".into());
    card.person.extra.insert("worse".into(), "X-A:1\r\nBEGIN:VCARD".into());
    card.person.tie.how_met = "line\nEND:VCARD".into();
    let text = exported(&card);
    assert!(text.starts_with("BEGIN:VCARD\r\nVERSION:4.0\r\n") && text.ends_with("\r\nEND:VCARD\r\n"));
    assert!(text.split("\r\n").all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])));
    assert_eq!((text.matches("\nEND:").count(), text.matches("\nBEGIN:").count()), (1, 0));
    assert_eq!(read(&text).len(), 1);
}
