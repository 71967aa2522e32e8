//! The example as real processes, over a real relay.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Cargo builds examples beside the folder that tests run from.
fn todo(folder: &Path) -> Command {
    let tests: PathBuf = std::env::current_exe().unwrap();
    let binary = tests.parent().unwrap().parent().unwrap().join("examples/todo");
    let mut command = Command::new(binary);
    command.arg(folder);
    command
}

fn run(folder: &Path, words: &[&str]) -> String {
    let output = todo(folder).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_share_a_list() {
    let home = tempfile::tempdir().unwrap();
    let (one, two) = (home.path().join("one"), home.path().join("two"));
    let mut config = ties_relay::Config::new(home.path().join("relay"));
    config.open = true;
    let server = ties_relay::Server::open(config).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.address(listener.local_addr().unwrap()).unwrap().to_string();
    tokio::spawn(server.run(listener, std::future::pending()));

    tokio::task::spawn_blocking(move || {
        run(&one, &["new"]);
        run(&one, &["add", "milk"]);
        run(&one, &["relay", &address]);
        let mut inviting = todo(&one).arg("invite").stdout(Stdio::piped()).spawn().unwrap();
        let mut ticket = String::new();
        BufReader::new(inviting.stdout.take().unwrap()).read_line(&mut ticket).unwrap();
        let mut joining = todo(&two).arg("join").stdin(Stdio::piped()).spawn().unwrap();
        joining.stdin.take().unwrap().write_all(ticket.as_bytes()).unwrap();
        assert!(joining.wait().unwrap().success());
        assert!(inviting.wait().unwrap().success());

        run(&one, &["done", "milk"]);
        run(&two, &["add", "bread"]);
        for device in [&one, &two, &one] {
            run(device, &["sync"]);
        }
        assert_eq!(run(&one, &[]), "[ ] bread\n[x] milk\n");
        assert_eq!(run(&two, &[]), run(&one, &[]));
    })
    .await
    .unwrap();
}
