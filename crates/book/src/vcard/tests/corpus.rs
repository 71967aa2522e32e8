//! The cards of many programs that come with `calcard`, and `calcard` as a second opinion.

use std::path::PathBuf;
use std::process::Command;

use ties_model::{contact_key, mail_key};

use super::*;

/// Every vCard that `calcard` brings along, of all versions and many programs.
fn corpus() -> Vec<(PathBuf, Vec<u8>)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    // Without the platform cargo would want the packages of all others too.
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments = ["metadata", "--format-version", "1", "--filter-platform", host, "--manifest-path", manifest];
    let output = Command::new(cargo).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let calcard = packages.iter().find(|package| package["name"] == "calcard").unwrap();
    let folder = PathBuf::from(calcard["manifest_path"].as_str().unwrap()).with_file_name("resources").join("vcard");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "vcf"));
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

#[test]
fn the_corpus_survives_export_and_import() {
    let corpus = corpus();
    assert!(corpus.len() > 200);
    let mut cards = 0;
    for (path, bytes) in &corpus {
        for card in people(bytes).filter_map(Result::ok) {
            cards += 1;
            for dialect in Dialect::ALL {
                let text = written(&card, dialect);
                let again = read(&text).remove(0).unwrap();
                assert_eq!(again.notices, [], "{path:?}\n{text}");
                same_lines(&text, &written(&again, dialect), &path.display().to_string());
                if !dialect.is_for_one() {
                    assert_eq!(again.notes, card.notes, "{path:?}\n{text}");
                    let mut expected = card.person.clone();
                    expected.uid.clone_from(&again.person.uid);
                    expected.source = ties_model::Source::default();
                    assert_eq!(again.person, expected, "{path:?}\n{text}");
                }
            }
        }
    }
    assert!(cards > 250, "{cards}");
}

#[test]
fn of_the_corpus_nothing_is_rejected_that_is_a_card() {
    let mut rejects = Vec::new();
    for (path, bytes) in corpus() {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let bad = people(&bytes).filter_map(Result::err);
        rejects.extend(bad.map(|reject| format!("{file}:{}: {}", reject.line, reject.reason)));
    }
    let expected = [
        "055.vcf:1: the card is empty",
        "063.vcf:9: the card is empty",
        "068.vcf:1: the card is empty",
        "069.vcf:1: the card is empty",
        // It begins with `--BEGIN:VCARD`.
        "130.vcf:1: text outside of any card",
        "158.vcf:1: the card is empty",
    ];
    assert_eq!(rejects, expected);
}

#[test]
fn calcard_reads_the_same_names_and_addresses() {
    use calcard::vcard::{VCard, VCardProperty, VCardValue};
    let mut disagreements = Vec::new();
    for (path, bytes) in corpus() {
        let Ok(text) = String::from_utf8(bytes) else { continue };
        // It knows quoted-printable less well, and parts no files.
        if text.matches("BEGIN:VCARD").count() != 1 || text.contains("QUOTED-PRINTABLE") {
            continue;
        }
        let (Ok(theirs), Some(Ok(ours))) = (VCard::parse(&text), read(&text).pop()) else { continue };
        let texts = |name: VCardProperty| {
            let entries = theirs.entries.iter().filter(move |entry| entry.name == name);
            entries.filter_map(|entry| match entry.values.first() {
                Some(VCardValue::Text(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
                _ => None,
            })
        };
        let ours = ours.person;
        disagreements.extend(
            texts(VCardProperty::Fn)
                .take(1)
                .filter(|name| ours.name.full != *name)
                .map(|name| format!("{path:?}: {:?} and {name:?}", ours.name.full)),
        );
        let has = |mail: &String| ours.emails.contains_key(&contact_key("email", &mail_key(mail)));
        disagreements
            .extend(texts(VCardProperty::Email).filter(|mail| !has(mail)).map(|mail| format!("{path:?}: {mail}")));
    }
    assert_eq!(disagreements, Vec::<String>::new());
}
