//! Contacts out for other programs, and in again.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ffi::OsStr;

use support::{Device, Ran, names};

const CARDS: &str = concat!(
    "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Lovelace;Ada;;;\r\nFN:Ada Lovelace\r\nUID:018f0000-0000-7000-8000-00000000000a\r\n",
    "item1.EMAIL;type=INTERNET;type=pref:ada@mail.example\r\nitem1.X-ABLabel:_$!<Work>!$_\r\n",
    "item2.TEL;type=CELL:+43 1 5123456\r\nitem2.X-ABLabel:Atelier\r\n",
    "BDAY;X-APPLE-OMIT-YEAR=1604:1604-12-10\r\nitem3.X-ABDATE:1835-07-08\r\nitem3.X-ABLabel:_$!<Anniversary>!$_\r\n",
    "item4.X-ABDATE:1833-06-05\r\nitem4.X-ABLabel:First met\r\nitem5.X-ABRELATEDNAMES:Anne\r\n",
    "item5.X-ABLabel:_$!<Mother>!$_\r\nX-SOCIALPROFILE;type=twitter;x-user=ada:http\\://twitter.com/ada\r\n",
    "IMPP;X-SERVICE-TYPE=Jabber;type=HOME:xmpp:ada@example.org\r\nitem6.ADR;type=HOME:;;1 Street;Town;;;\r\n",
    "item6.X-ABADR:gb\r\nPHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRg==\r\nitem7.X-ODD;X=1:kept\r\n",
    "NOTE;X-LANG=en:Likes tea\r\nNOTE:Likes trains\r\nCATEGORIES:maths\r\nEND:VCARD\r\n",
    "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Grace Hopper\r\nBDAY:1906-12-09\r\nADR:;;;Vienna;;1010;Austria\r\nTITLE:Admiral\r\n",
    "END:VCARD\r\n",
);

fn loaded() -> Device {
    let device = Device::started();
    device.run_with(["import", "-"], CARDS).ok();
    device
}

fn exported(device: &Device, words: &[&str]) -> String {
    device.run(["export", "--to"].iter().chain(words)).ok().out
}

#[track_caller]
fn holds(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} is not in\n{text}");
    }
}

#[test]
fn apple_gets_what_apple_wrote() {
    let text = exported(&loaded(), &["vcf3", "--for", "apple"]);
    holds(
        &text,
        &[
            "VERSION:3.0",
            "N:Lovelace;Ada;;;",
            "N:Hopper;Grace;;;",
            "UID:018f0000-0000-7000-8000-00000000000a",
            "BDAY;X-APPLE-OMIT-YEAR=1604:1604-12-10",
            "BDAY:1906-12-09",
            "X-SOCIALPROFILE;TYPE=twitter;x-user=ada:http://twitter.com/ada",
            "IMPP;X-SERVICE-TYPE=Jabber;TYPE=home:xmpp:ada@example.org",
            "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRg==",
            "item7.X-ODD;X=1:kept",
        ],
    );
    for (property, label) in [
        ("EMAIL;TYPE=internet;TYPE=pref:ada@mail.example", "X-ABLabel:_$!<Work>!$_"),
        ("TEL;TYPE=cell:+43 1 5123456", "X-ABLabel:Atelier"),
        ("X-ABDATE:1835-07-08", "X-ABLabel:_$!<Anniversary>!$_"),
        ("X-ABDATE:1833-06-05", "X-ABLabel:First met"),
        ("X-ABRELATEDNAMES;TYPE=parent:Anne", "X-ABLabel:_$!<Mother>!$_"),
        ("ADR;TYPE=home:;;1 Street;Town;;;", "X-ABADR:gb"),
    ] {
        let at = text.find(&format!(".{property}\r\n")).unwrap_or_else(|| panic!("{property} is not in\n{text}"));
        let line = text[..at].rfind('\n').unwrap() + 1;
        let (group, after) = (&text[line..at], &text[at + property.len() + 3..]);
        assert!(after.starts_with(&format!("{group}.{label}\r\n")), "{label} does not follow in\n{text}");
    }
    assert!(!text.contains("CHARSET"));
}

#[test]
fn each_program_gets_its_own_forms() {
    let device = loaded();
    holds(&exported(&device, &["vcf3", "--for", "google"]), &["BDAY:--12-10"]);
    let outlook = exported(&device, &["vcf3", "--for", "outlook"]);
    holds(&outlook, &["BDAY:1604-12-10", "X-MS-ANNIVERSARY:1835-07-08"]);
    holds(&exported(&device, &["vcf"]), &["BDAY:--1210", "ANNIVERSARY:18350708", "NOTE;X-LANG=en:Likes tea"]);
    holds(&exported(&device, &["vcf3"]), &["BDAY:--12-10", "X-ANNIVERSARY:1835-07-08", "NOTE:Likes trains"]);
    device.run(["export", "--to", "vcf", "--for", "apple"]).code(2);
    device.run(["export", "--to", "json", "--for", "apple"]).code(2);
}

#[test]
fn photos_go_along_as_asked() {
    let device = loaded();
    assert!(exported(&device, &["vcf"]).contains("PHOTO:data:image/jpeg;base64,/9j/4AAQSkZJRg=="));
    assert!(exported(&device, &["vcf", "--photo", "small"]).contains("PHOTO"));
    let none = device.run(["export", "--to", "vcf", "--photo", "none"]).ok();
    assert!(!none.out.contains("PHOTO") && none.err.contains("1 photo left out"), "{}", none.err);
}

#[test]
fn everybody_gets_a_file() {
    let device = loaded();
    let folder = device.path("cards");
    let words = ["export", "--to", "vcf3", "--for", "outlook", "--split"].map(OsStr::new);
    let ran = device.run(words.into_iter().chain([folder.as_os_str()])).ok();
    assert!(ran.err.contains("2 people"), "{}", ran.err);
    let mut files = names(&folder);
    files.sort();
    assert_eq!(files, ["ada-lovelace.vcf", "grace-hopper.vcf"]);
    let text = std::fs::read_to_string(folder.join("ada-lovelace.vcf")).unwrap();
    assert_eq!((text.matches("BEGIN:VCARD").count(), text.contains("FN:Ada")), (1, true));
}

/// A device whose processes live in a time zone.
fn run_in(zone: &str, device: &Device, words: &[&str], input: &str) -> Ran {
    let mut command = device.command(words);
    command.env("TZ", zone);
    command.stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    support::finish(command.spawn().unwrap(), input)
}

#[test]
fn ten_rounds_in_any_time_zone_move_no_date() {
    const DATES: &str = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:1\r\nFN:Ada\r\nBDAY:--0229\r\nANNIVERSARY:19800101\r\nDEATHDATE:1852-11\r\n\
        item1.X-ABDATE:20001231\r\nitem1.X-ABLabel:New Year\r\nX-TIES-MET-ON:1833-06\r\nEND:VCARD\r\n";
    let forms: [&[&str]; 5] =
        [&["vcf"], &["vcf3"], &["vcf3", "--for", "apple"], &["vcf3", "--for", "google"], &["vcf3", "--for", "outlook"]];
    for zone in ["Europe/Berlin", "Pacific/Auckland", "America/New_York"] {
        let mut text = DATES.to_owned();
        for round in 0..10 {
            let device = Device::started();
            run_in(zone, &device, &["import", "-"], &text).ok();
            let form = forms[round % forms.len()];
            text = run_in(zone, &device, &[&["export", "--to"], form].concat(), "").ok().out;
            let json = run_in(zone, &device, &["export", "--to", "json"], "").ok().json();
            let mut dates: Vec<String> = json[0]["anniversaries"]
                .as_object()
                .unwrap()
                .values()
                .map(|one| {
                    let part = |name: &str| one["date"][name].as_i64().map_or("-".to_owned(), |part| part.to_string());
                    format!("{} {} {} {}", one["kind"].as_str().unwrap(), part("year"), part("month"), part("day"))
                })
                .collect();
            dates.sort();
            let expected = ["birth - 2 29", "death 1852 11 -", "other 2000 12 31", "wedding 1980 1 1"];
            assert_eq!(dates, expected, "{zone}, round {round}");
            assert_eq!(json[0]["ties.local:tie"]["metOn"], "1833-06", "{zone}, round {round}");
        }
    }
}

#[test]
fn good_cards_land_among_bad_ones() {
    let device = Device::started();
    let mut file: Vec<u8> =
        b"BEGIN:VCARD\nFN:Ada\nNOTE:a\0b\xff\nEND:VCARD\nBEGIN:VCARD\nVERSION:3.0\nEND:VCARD\n".to_vec();
    file.extend(b"BEGIN:VCARD\nFN:Big\n");
    file.extend(b"X-A:1\n".repeat(3_000));
    file.extend(
        b"END:VCARD\nrubbish\nBEGIN:VCARD\nFN;CHARSET=x-unknown;ENCODING=QUOTED-PRINTABLE:=C3=28=\n=ZZ\nEND:VCARD\n",
    );
    file.extend(b"BEGIN:VCARD\nFN:Folded\nNOTE:");
    file.extend(b"\n x".repeat(200_000));
    file.extend(b"\nEND:VCARD\nBEGIN:VCARD\nFN:Cut");
    let path = device.path("bad.vcf");
    std::fs::write(&path, file).unwrap();
    let ran = device.run(["import".as_ref(), path.as_os_str(), "--json".as_ref()]).code(6);
    let report = &ran.json()["files"][0];
    let rejects: Vec<i64> =
        report["rejects"].as_array().unwrap().iter().map(|one| one["line"].as_i64().unwrap()).collect();
    assert_eq!(rejects, [5, 8, 3011]);
    assert_eq!(report["people_created"], 4);
    let listed = device.run(["ls"]).ok().out;
    assert!(listed.contains("Ada") && listed.contains("Folded") && listed.contains("Cut"), "{listed}");
}

#[test]
fn a_card_of_64_mb_is_refused_and_costs_little() {
    let device = Device::started();
    let mut file = b"BEGIN:VCARD\nFN:Ada\nEND:VCARD\nBEGIN:VCARD\nFN:Big\n".to_vec();
    let line = [&b"X-A:"[..], &b"a".repeat(1_000), b"\n"].concat();
    file.extend(line.repeat(60 * 1_000));
    file.extend(b"END:VCARD\n");
    let path = device.path("big.vcf");
    std::fs::write(&path, &file).unwrap();
    let ran = device.run(["import".as_ref(), path.as_os_str()]).code(6);
    assert!(ran.err.contains("big.vcf:4: rejected: the card is too large for a person"), "{}", ran.err);
    assert!(ran.out.contains("1 person new"), "{}", ran.out);
    file.extend(b"BEGIN:VCARD\n");
    file.extend(line.repeat(7_000));
    std::fs::write(&path, &file).unwrap();
    let ran = device.run(["import".as_ref(), path.as_os_str()]).code(1);
    assert!(ran.err.contains("is larger than"), "{}", ran.err);
}
