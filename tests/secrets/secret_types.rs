//! No secret can be copied, written or printed by accident, says the text of the sources.
//!
//! A secret type that is `Clone`, `Serialize` or `Display` all the same says why beside its `derive`:
//! `// Secret, yet Clone and Serialize: …`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Types that hold a secret themselves, in every crate; a type that has one of these for a field is secret, too.
pub(crate) const BASIC: [&str; 24] = [
    "Code",
    "Cpace",
    "DeviceKeys",
    "DeviceRecord",
    "Derived",
    "EarlierKey",
    "EpochKey",
    "EpochRecord",
    "InviteToken",
    "KemSecret",
    "LogKey",
    "Passphrase",
    "PseudonymKey",
    "RecoveryEnvelope",
    "RecoveryKeys",
    "RecoveryWords",
    "RelaySecret",
    "Secret",
    "Session",
    "SigningKey",
    "StorageKey",
    "Ticket",
    "Xts",
    "Zeroizing",
];

/// Words of the list that are also names of things that are no secret, by the file that has them.
const NAMESAKES: [(&str, &str); 1] = [("crates/sync/src/session.rs", "Session")];

const FORBIDDEN: [&str; 3] = ["Clone", "Serialize", "Display"];

/// A struct or enum of the sources.
struct Type {
    file: String,
    name: String,
    /// What stands before it: comments and attributes.
    before: String,
    body: String,
}

#[test]
fn no_secret_type_is_copied_written_or_printed_without_a_reason() {
    let types = types();
    let secrets: Vec<&Type> = types.iter().filter(|one| is_secret(one)).collect();
    assert!(secrets.len() > 30, "only {}: the sources are not read rightly", secrets.len());
    let by_hand = implementations();
    let mut wrong = Vec::new();
    for secret in secrets {
        let reason = secret.before.lines().find(|line| line.trim_start().starts_with("// Secret, yet "));
        let derived = derives(&secret.before);
        for forbidden in FORBIDDEN {
            let here = derived.contains(forbidden)
                || by_hand.get(&(secret.file.clone(), secret.name.clone())).is_some_and(|all| all.contains(forbidden));
            if here && !reason.is_some_and(|reason| reason.contains(forbidden)) {
                wrong.push(format!("{}: {} is {forbidden}", secret.file, secret.name));
            }
        }
    }
    assert!(wrong.is_empty(), "without a reason beside it:\n{}", wrong.join("\n"));
}

#[test]
fn every_type_of_the_list_is_somewhere() {
    let foreign = ["KemSecret", "SigningKey", "Zeroizing"];
    let names: BTreeSet<String> = types().into_iter().map(|one| one.name).collect();
    let aliases = sources().iter().any(|(_, text)| text.contains("type KemSecret"));
    for name in BASIC {
        assert!(names.contains(name) || foreign.contains(&name), "{name} is nowhere (aliases: {aliases})");
    }
}

fn is_secret(one: &Type) -> bool {
    let namesake = |name: &str| NAMESAKES.contains(&(one.file.as_str(), name));
    let itself = BASIC.contains(&one.name.as_str()) && !namesake(&one.name);
    let words: BTreeSet<&str> = words(&one.body).collect();
    // In a field's type, not as its variant's or the type's own name.
    let holds = BASIC.iter().any(|basic| {
        let field = [format!(": {basic}"), format!("<{basic}"), format!("({basic}"), format!("&'d {basic}")];
        words.contains(basic) && !namesake(basic) && field.iter().any(|field| one.body.contains(field.as_str()))
    });
    // Raw bytes that call themselves one.
    let raw = ["key: [u8; ", "seed: [u8; ", "secret: [u8; "].iter().any(|field| one.body.contains(field));
    itself || holds || raw
}

fn derives(before: &str) -> BTreeSet<String> {
    let lists = before.split("derive(").skip(1).filter_map(|rest| rest.split(')').next());
    lists.flat_map(words).map(str::to_owned).collect()
}

/// Traits that are implemented by hand, by file and type.
fn implementations() -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut found: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in sources() {
        for line in text.lines().filter(|line| line.starts_with("impl")) {
            let Some((traits, of)) = line.split_once(" for ") else { continue };
            let Some(name) = words(of).next() else { continue };
            let traits = words(traits).map(str::to_owned);
            found.entry((file.clone(), name.to_owned())).or_default().extend(traits);
        }
    }
    found
}

fn types() -> Vec<Type> {
    let mut found = Vec::new();
    for (file, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let declaration = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            let declaration = declaration.trim_start_matches("pub(super) ");
            let Some(rest) = declaration.strip_prefix("struct ").or_else(|| declaration.strip_prefix("enum ")) else {
                continue;
            };
            let Some(name) = words(rest).next() else { continue };
            let before = lines[..at].iter().rev().take_while(|line| {
                let line = line.trim_start();
                line.starts_with("//") || line.starts_with("#[")
            });
            let before: Vec<&str> = before.copied().collect();
            found.push(Type {
                file: file.clone(),
                name: name.to_owned(),
                before: before.into_iter().rev().collect::<Vec<_>>().join("\n"),
                body: body(&lines[at..]),
            });
        }
    }
    found
}

/// From a declaration to its end, without comments.
fn body(lines: &[&str]) -> String {
    let (mut body, mut depth) = (String::new(), 0_i32);
    for line in lines {
        let code = line.split("//").next().unwrap_or_default();
        body.push_str(code);
        body.push('\n');
        depth += code.chars().map(|c| i32::from("{(".contains(c)) - i32::from("})".contains(c))).sum::<i32>();
        if depth <= 0 && code.trim_end().ends_with(['}', ';']) {
            break;
        }
    }
    body
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The programs' sources without their tests, by their path from the root.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut folders: Vec<PathBuf> = vec![root.join("relay/src"), root.join("cli/src")];
    folders.extend(fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path().join("src")));
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("\nmod tests {").next().unwrap_or_default().to_owned();
                found.push((path.strip_prefix(root).unwrap().display().to_string(), text));
            }
        }
    }
    found
}
