use super::*;
use crate::api::{ErrorKind, ExportOptions};
use crate::desk::testing::MemoryDesk;
use crate::{export, organizations, people, resolve};

const FILE: &str = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:urn:uuid:1\r\nFN:Ada Lovelace\r\nNOTE:Likes tea\r\nEND:VCARD\r\n\
    BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Grace Hopper\r\nN:Hopper;Grace;;;\r\nEMAIL:grace@navy.example\r\nEND:VCARD\r\n\
    BEGIN:VCARD\r\nVERSION:4.0\r\nUID:urn:uuid:1\r\nFN:Ada Lovelace\r\nNOTE:Likes trains\r\nEND:VCARD\r\n";

fn import(desk: &mut MemoryDesk, file: &str) -> ImportReport {
    let opened = Opened::file("a.vcf", file.as_bytes()).unwrap();
    let mut import = Import::of(&opened, "a.vcf", false);
    while import.take_some(desk, &mut |_, _| ()).unwrap() {}
    assert_eq!(import.progress().0, import.progress().1);
    import.report()
}

fn vcf_of(desk: &MemoryDesk) -> String {
    let exported = export::people(desk, ExportOptions::default(), &list::Filter::default()).unwrap();
    String::from_utf8(exported.files[0].bytes.clone()).unwrap()
}

fn card(uid: &str, rest: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{uid}\r\n{rest}\r\nEND:VCARD\r\n")
}

#[test]
fn a_file_goes_in_once() {
    let mut desk = MemoryDesk::new();
    let report = import(&mut desk, FILE);
    assert_eq!((report.people_created, report.people_known, report.notes_created), (2, 1, 2));
    assert_eq!(report.examples, ["Ada Lovelace", "Grace Hopper"]);
    let rows = desk.rows.clone();
    let report = import(&mut desk, FILE);
    assert_eq!((report.people_created, report.people_known, report.notes_created), (0, 3, 0));
    assert_eq!(desk.rows, rows);
    let ada = resolve::person(&desk, "ada-lovelace").unwrap();
    assert_eq!(people::show(&desk, ada).unwrap().notes.len(), 2);
}

#[test]
fn two_devices_make_the_same_records() {
    let (mut one, mut other) = (MemoryDesk::new(), MemoryDesk::new());
    other.here.now_ms += 1_000_000;
    other.here.device = "other".into();
    import(&mut one, FILE);
    import(&mut other, FILE);
    assert_eq!(one.rows, other.rows);
}

#[test]
fn who_was_deleted_stays_deleted_and_is_listed() {
    let mut desk = MemoryDesk::new();
    import(&mut desk, FILE);
    let ada = resolve::person(&desk, "ada-lovelace").unwrap();
    people::remove(&mut desk, ada).unwrap();
    let report = import(&mut desk, FILE);
    assert_eq!(report.removed_before, ["Ada Lovelace", "Ada Lovelace"]);
    assert_eq!((report.people_known, report.notes_created), (1, 0));
}

#[test]
fn a_bad_card_is_listed_and_the_rest_goes_in() {
    let mut desk = MemoryDesk::new();
    let report = import(&mut desk, &format!("BEGIN:VCARD\r\nVERSION:4.0\r\nEND:VCARD\r\n{FILE}"));
    assert_eq!(report.people_created, 2);
    assert_eq!(report.rejects.len(), 1);
    assert_eq!(report.rejects[0].line, 1);
}

#[test]
fn a_job_change_is_taken_over_and_an_edit_stays_and_both_are_reported() {
    let mut desk = MemoryDesk::new();
    import(&mut desk, &card("a", "FN:Ada Lovelace\r\nORG:Acme\r\nTITLE:CTO"));
    let report = import(&mut desk, &card("a", "FN:Ada Lovelace\r\nORG:Beta\r\nTITLE:CTO"));
    assert_eq!((report.records_changed, report.people_known), (1, 0));
    let change = &report.changes[0];
    assert_eq!((change.field.as_str(), change.before.as_str(), change.now.as_str()), ("organization", "Acme", "Beta"));
    let ada = resolve::person(&desk, "ada-lovelace").unwrap();
    assert_eq!(people::show(&desk, ada).unwrap().row.organization, "Beta");

    desk.change(ada, &mut |tx| {
        let mut person = Person::read(tx);
        person.name.full = "Countess Lovelace".to_owned();
        person.write(tx).map(drop)
    })
    .unwrap();
    let newer = card("a", "FN:Ada King\r\nORG:Beta\r\nTITLE:CTO");
    let report = import(&mut desk, &newer);
    assert_eq!((report.records_changed, report.records_kept), (0, 1));
    assert_eq!(report.changes[0].kept.as_deref(), Some("Countess Lovelace"));
    let report = import(&mut desk, &newer);
    assert_eq!((report.records_changed, report.records_kept, report.people_known), (0, 0, 1), "told once");
}

const ORGANIZATION: &str = "FN:Acme GmbH\r\nORG:Acme GmbH\r\nKIND:org\r\nTEL:+43 1 5550100\r\nURL:https://acme.example\r\n\
    CATEGORIES:client\r\nROLE:Anvils\r\nX-ODD;X-P=1:kept\r\nNOTE:Closed in August";

#[test]
fn a_card_of_an_organization_becomes_one_and_goes_out_whole() {
    let mut desk = MemoryDesk::new();
    let apple = card("b", "N:;;;;\r\nFN:Pizza Hut\r\nORG:Pizza Hut;\r\nX-ABShowAs:COMPANY\r\nTEL:1234567");
    let file = format!("{}{apple}", card("a", ORGANIZATION));
    let report = import(&mut desk, &file);
    assert_eq!((report.organizations_created, report.people_created, report.notes_created), (2, 0, 1), "{report:?}");
    let view = organizations::show(&desk, "acme").unwrap();
    assert_eq!((view.phones.len(), view.links.len(), view.notes.len()), (1, 1, 1));
    assert_eq!(view.row.tags, ["client"]);
    let vcf = vcf_of(&desk);
    for line in ["KIND:org", "ROLE:Anvils", "X-ODD;X-P=1:kept", "NOTE:Closed in August", "UID:a", "TEL:+43 1 5550100"] {
        assert!(vcf.contains(line), "{line}: {vcf}");
    }
    let report = import(&mut desk, &file);
    assert_eq!(
        (report.organizations_known, report.organizations_created, report.records_changed),
        (2, 0, 0),
        "{report:?}"
    );
    let mut other = MemoryDesk::new();
    import(&mut other, &vcf);
    let again = vcf_of(&other);
    assert_eq!(again, vcf, "and comes in and goes out the same");
}

#[test]
fn an_organization_with_a_department_goes_out_with_one_name() {
    let mut desk = MemoryDesk::new();
    import(&mut desk, &card("a", "FN:Acme Corp.\r\nORG:Acme Corp.;Sales\r\nX-ABShowAs:COMPANY"));
    let vcf = vcf_of(&desk);
    let names: Vec<&str> = vcf.lines().filter(|line| line.starts_with("ORG:")).collect();
    assert_eq!(names, ["ORG:Acme Corp.;Sales"], "{vcf}");
}

#[test]
fn two_branches_of_one_name_are_two_and_a_record_begun_here_is_filled() {
    let mut desk = MemoryDesk::new();
    organizations::write(&mut desk, "Acme", &["location:Graz".to_owned()]).unwrap();
    let branches = format!("{}{}", card("a", ORGANIZATION), card("b", "FN:Acme GmbH\r\nKIND:org\r\nTEL:7654321"));
    let report = import(&mut desk, &branches);
    assert_eq!((report.organizations_created, report.records_changed), (1, 1), "{report:?}");
    let view = organizations::show(&desk, "Acme").unwrap();
    assert_eq!((view.row.location.as_str(), view.phones.len()), ("Graz", 1));
    assert_eq!(organizations::of_name(&desk, "Acme").unwrap().records.len(), 2);
    let report = import(&mut desk, &branches);
    assert_eq!((report.organizations_known, report.records_changed), (2, 0), "{report:?}");
}

#[test]
fn files_are_known_by_what_they_hold_and_others_are_refused_with_a_reason() {
    let cause = |bytes: &[u8]| {
        let error = Opened::file("contacts.vcf", bytes).map(drop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Failed);
        assert!(error.hint.is_some() || error.cause.as_deref() == Some("it is empty"), "{error:?}");
        error.cause.unwrap()
    };
    for (bytes, words) in [
        (&b" \n"[..], "empty"),
        (b"Dear Ada", "neither cards nor a table"),
        (b"%PDF-1.7", "PDF"),
        (b"\x00\x01\x02\x03", "neither text nor an archive"),
        (b"BEGIN:VCALENDAR\nEND:VCALENDAR", "calendar"),
        (b"{\"a\": 1, \"b\": 2}", "JSON"),
        (b"<!DOCTYPE html><p>a, b", "web page"),
        (b"city,population\nWien,2\n", "city, population"),
        (b"Conversation ID,From,Content\n1,a,b\n", "messages.csv"),
        (b"First Name,E-mail Address,Business Street\n", "Outlook"),
        (b"PK\x03\x04 and then nothing", "cut off"),
    ] {
        let cause = cause(bytes);
        assert!(cause.contains(words), "{cause}");
    }
    let xlsx = archive::testing::zipped(&[("[Content_Types].xml", b"<x/>"), ("xl/workbook.xml", b"<x/>")]);
    assert!(cause(&xlsx).contains("Excel"));
    assert!(cause(&archive::testing::zipped(&[("photo.jpg", b"x")])).contains("photo.jpg"));
    let zeros = vec![b' '; (64 << 20) + 1];
    assert!(cause(&zeros).contains("64 MiB"));
}

#[test]
fn a_card_file_may_be_in_utf_16_or_begin_late() {
    let mut desk = MemoryDesk::new();
    let wide: Vec<u8> = FILE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in
        [wide, [b"\n\n".to_vec(), FILE.as_bytes().to_vec()].concat(), format!("Exported\r\n{FILE}").into_bytes()]
    {
        let opened = Opened::file("x", &bytes).unwrap();
        let mut import = Import::of(&opened, "x", false);
        while import.take_some(&mut desk, &mut |_, _| ()).unwrap() {}
        let report = import.report();
        assert_eq!((report.kind.as_str(), report.people_created + report.people_known), ("vCard", 3));
    }
}

const GROUP: &str = "BEGIN:VCARD\nVERSION:3.0\nN:Friends\nFN:Friends\nX-ADDRESSBOOKSERVER-KIND:group\n\
    X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:018f0000-0000-7000-8000-00000000000a\nMEMBER:mailto:Grace@navy.example\n\
    MEMBER:urn:uuid:018f0000-0000-7000-8000-00000000000b\nNOTE:x\nEND:VCARD\n";

const MEMBERS: &str = "BEGIN:VCARD\nUID:018F0000-0000-7000-8000-00000000000A\nFN:Ada\nEND:VCARD\n\
    BEGIN:VCARD\nFN:Grace Hopper\nEMAIL:grace@navy.example\nEND:VCARD\n";

fn tags(desk: &MemoryDesk, who: &str) -> Vec<String> {
    let id = resolve::person(desk, who).unwrap();
    people::show(desk, id).unwrap().row.tags
}

#[test]
fn the_members_of_a_group_get_its_name_as_a_tag() {
    for files in [vec![format!("{GROUP}{MEMBERS}")], vec![MEMBERS.to_owned(), GROUP.to_owned()]] {
        let mut desk = MemoryDesk::new();
        let report = files.iter().map(|file| import(&mut desk, file)).last().unwrap();
        assert_eq!(report.rejects, []);
        let told = "the group Friends: its members have the tag of that name (2); not in this book: 1; 1 of its own \
                    properties were left out";
        assert_eq!(report.warnings.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>(), [told]);
        assert_eq!((tags(&desk, "ada"), tags(&desk, "grace")), (vec!["Friends".into()], vec!["Friends".into()]));
        let rows = desk.rows.clone();
        files.iter().for_each(|file| drop(import(&mut desk, file)));
        assert_eq!(desk.rows, rows, "a second time changes nothing");
    }
}

#[test]
fn two_people_without_a_uid_and_of_one_name_are_two() {
    let mut desk = MemoryDesk::new();
    let file = "BEGIN:VCARD\nFN:Mom\nADR:;;1 Street;;;;\nEND:VCARD\nBEGIN:VCARD\nFN:Mom\nADR:;;2 Street;;;;\n\
        END:VCARD\nBEGIN:VCARD\nFN:Mom\nADR:;;1 Street;;;;\nEND:VCARD\n";
    assert_eq!((import(&mut desk, file).people_created, import(&mut desk, file).people_created), (2, 0));
    let first = "BEGIN:VCARD\nFN:Mom\nADR:;;1 Street;;;;\nEND:VCARD\n";
    assert_eq!(import(&mut desk, first).people_known, 1);
}

#[test]
fn two_different_cards_with_one_uid_are_reported() {
    let mut desk = MemoryDesk::new();
    let file = "BEGIN:VCARD\nUID:1\nFN:Ada\nEND:VCARD\nBEGIN:VCARD\nUID:1\nFN:Bob\nNOTE:n\nEND:VCARD\n";
    let report = import(&mut desk, file);
    assert_eq!((report.people_created, report.notes_created), (1, 1));
    assert_eq!((report.warnings.len(), report.warnings[0].line), (1, 5));
}

#[test]
fn what_notes_say_beside_their_text_survives_an_edit() {
    let mut desk = MemoryDesk::new();
    import(&mut desk, "BEGIN:VCARD\nFN:Ada\nNOTE;LANGUAGE=de;X-A=\"b;c\":Tee\ng.NOTE:Kuchen\ng.X-ODD:1\nEND:VCARD\n");
    let ada = resolve::person(&desk, "ada").unwrap();
    for (id, mut note) in list::notes_about(&desk, ada).unwrap() {
        note.body.push('!');
        desk.change(id, &mut |tx| note.write(tx).map(drop)).unwrap();
    }
    let exported = crate::export::people(&desk, Default::default(), &list::Filter::default()).unwrap();
    let text = String::from_utf8(exported.files[0].bytes.clone()).unwrap();
    for line in ["NOTE;LANGUAGE=de;X-A=\"b;c\":Tee!", "g.NOTE:Kuchen!", "g.X-ODD:1"] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} in {text}");
    }
}

#[test]
fn a_card_from_an_export_for_one_program_brings_no_new_notes() {
    let mut desk = MemoryDesk::new();
    import(&mut desk, FILE);
    let options = ExportOptions { format: crate::api::ExportFormat::Apple, ..ExportOptions::default() };
    let exported = crate::export::people(&desk, options, &list::Filter::default()).unwrap();
    let text = String::from_utf8(exported.files[0].bytes.clone()).unwrap();
    assert!(
        text.contains("NOTE:Likes tea\\n\\nLikes trains") || text.contains("NOTE:Likes trains\\n\\nLikes tea"),
        "{text}"
    );
    let report = import(&mut desk, &text);
    assert_eq!((report.people_created, report.people_known, report.notes_created), (0, 2, 0));
}
