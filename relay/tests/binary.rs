//! The program itself, as an operator runs it.
#![allow(clippy::unwrap_used, reason = "tests")]
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const RELAY: &str = env!("CARGO_BIN_EXE_ties-relay");

#[test]
fn it_says_when_it_is_ready_and_stops_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let mut relay = Command::new(RELAY)
            .args(["--listen", "127.0.0.1:0", "--open", "--data"])
            .arg(folder.path().join("relay"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("ready ").unwrap().trim_end();
        let address: ties_net::RelayAddress = address.parse().unwrap();
        assert_ne!(address.port(), 0);
        addresses.push(address);
        assert!(Command::new("kill").args(["-TERM", &relay.id().to_string()]).status().unwrap().success());
        assert!(relay.wait().unwrap().success());
    }
    assert_eq!(addresses[0].key(), addresses[1].key());
}

#[test]
fn a_token_is_printed_once_and_nowhere_kept() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(RELAY).args(["token", "new", "--uses", "2", "--data"]).arg(folder.path()).output().unwrap();
    assert!(made.status.success());
    let token = String::from_utf8(made.stdout).unwrap();
    assert_eq!(token.trim_end().len(), 32);
    let again = Command::new(RELAY).args(["token", "new", "--data"]).arg(folder.path()).output().unwrap();
    assert_ne!(again.stdout, token.as_bytes());
}

#[test]
fn without_a_folder_it_says_what_is_missing() {
    let refused = Command::new(RELAY).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--data"));
}

/// Runs the program with these words; gives its exit code and what it said on its two streams.
fn said(words: &[&str]) -> (Option<i32>, String, String) {
    let ran = Command::new(RELAY).args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}

#[test]
fn a_mistake_in_the_words_is_told_as_any_other_failure() {
    let (code, _, error) = said(&["serve"]);
    assert_eq!(code, Some(2));
    assert!(error.starts_with("Error: unrecognized subcommand 'serve'\nHint: ties-relay --help"), "{error}");
    let (code, help, _) = said(&["--help"]);
    assert!(code == Some(0) && help.contains("Examples:"), "{help}");
}

#[test]
fn tokens_are_listed_and_revoked_by_id_or_label() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("relay");
    let data = data.to_str().unwrap();
    assert_eq!(said(&["token", "list", "--data", data]).0, Some(3), "there is no relay yet");
    let club = ["token", "new", "--data", data, "--label", "sailing club", "--uses", "2", "--quota", "1 GiB"];
    let token = said(&club).1;
    assert_eq!(said(&["token", "new", "--data", data, "--json"]).0, Some(0));
    let listed = said(&["token", "list", "--data", data]).1;
    assert!(listed.contains("2 of 2") && listed.contains("1 GiB") && listed.contains("sailing club"), "{listed}");
    assert!(!listed.contains(token.trim()));
    let (code, _, err) = said(&["token", "revoke", "--data", data, "sailing"]);
    assert!(code == Some(3) && err.contains("Hint: "), "{err}");
    assert_eq!(said(&["token", "revoke", "--data", data, "sailing club"]).0, Some(0));
    let left = said(&["token", "list", "--data", data, "--json"]).1;
    let left: serde_json::Value = serde_json::from_str(&left).unwrap();
    assert_eq!(left["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(said(&["token", "revoke", "--data", data, left["tokens"][0]["id"].as_str().unwrap()]).0, Some(0));
    assert_eq!(said(&["token", "new", "--data", data, "--quota", "much"]).0, Some(2));
}

#[test]
fn a_configuration_is_checked_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "data = \"x\"\n[limits]\nbrst = 3\n").unwrap();
    let (code, _, err) = said(&["check-config", "--config", path]);
    assert!(code == Some(2) && err.contains("line 3") && err.contains("brst"), "{err}");
    std::fs::write(&file, "data = \"x\"\ntls-cert = \"nowhere.pem\"\ntls-key = \"nowhere.pem\"\n").unwrap();
    let (code, _, err) = said(&["check-config", "--config", path]);
    assert!(code == Some(2) && err.contains("nowhere.pem"), "{err}");
    std::fs::write(&file, "data = \"x\"\n").unwrap();
    assert_eq!(said(&["check-config", "--config", path]).0, Some(0));
}

#[test]
fn metrics_are_numbers_on_a_listener_of_their_own() {
    use std::io::{Read as _, Write as _};

    let folder = tempfile::tempdir().unwrap();
    let mut relay = Command::new(RELAY)
        .args(["--listen", "127.0.0.1:0", "--open", "--metrics", "127.0.0.1:0", "--data"])
        .arg(folder.path().join("relay"))
        .env("RUST_LOG", "info")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(relay.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("/metrics")).unwrap();
    let address = line.split("http://").nth(1).unwrap().trim_end_matches("/metrics");
    let ask = |path: &str| {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut said = String::new();
        socket.read_to_string(&mut said).unwrap();
        said
    };
    let page = ask("/metrics");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("\nties_relay_connections 0\n"), "{page}");
    assert!(ask("/").starts_with("HTTP/1.1 404"));
    relay.kill().unwrap();
    relay.wait().unwrap();
}
