//! The program itself, as an operator runs it.
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
