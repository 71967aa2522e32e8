//! Disks that are full, may not be written to, or give back other bytes than they got.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use support::{Device, Ran, finish};

/// A device with something in it.
fn filled() -> Device {
    let device = Device::started();
    device.run(["new", "Ada Lovelace", "ada@engine.example"]).ok();
    device.run(["note", "ada", "met at the fair"]).ok();
    device
}

/// Runs a command whose files may not grow beyond so many blocks of 512 bytes.
fn limited(device: &Device, blocks: u64, words: &[&str]) -> Ran {
    let command = device.command(words);
    let mut shell = Command::new("sh");
    // The signal would kill the program where a disk that is full gives it an error.
    shell.args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "sh", &blocks.to_string()]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(shell.spawn().unwrap(), "")
}

#[test]
fn a_full_disk_is_named_and_nothing_is_lost() {
    let device = filled();
    let before = device.run(["export", "--to", "json"]).ok().out;
    let card = |number| format!("BEGIN:VCARD\nVERSION:4.0\nFN:Guest {number}\nNOTE:{}\nEND:VCARD\n", noise(number));
    let file = device.file("guests.vcf", &(0..300).map(card).collect::<String>());
    let words = ["import", file.to_str().unwrap()];
    let blocks = fs::metadata(device.home().join("database")).unwrap().len() / 512;
    for blocks in [8, blocks / 2, blocks] {
        let ran = limited(&device, blocks, &words).code(1);
        assert!(ran.err.contains("Error:") && ran.err.contains("File too large"), "{blocks}: {ran:?}");
        assert!(ran.err.contains("Hint: nothing was lost: make room"), "{ran:?}");
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        assert_eq!(limited(&device, blocks, &["export", "--to", "json"]).ok().out, before);
    }
    device.run(words).ok();
    assert_eq!(device.json(["ls"]).as_array().unwrap().len(), 301);
}

/// Text that cannot be packed.
fn noise(seed: u64) -> String {
    let mut dice = ChaCha20Rng::seed_from_u64(seed);
    (0..100).map(|_| format!("{:016x}", dice.next_u64())).collect()
}

#[test]
fn a_folder_that_may_not_be_written_to_can_be_read() {
    let device = filled();
    let shown = device.run(["ls"]).ok().out;
    let set = |folder, file| {
        fs::set_permissions(device.home().join("database"), fs::Permissions::from_mode(file)).unwrap();
        fs::set_permissions(device.home(), fs::Permissions::from_mode(folder)).unwrap();
    };
    set(0o500, 0o400);
    // Permissions do not bind root.
    let bound = fs::write(device.home().join("probe"), "").is_err();
    let (read, written) = (device.run(["ls"]), device.run(["new", "Byron"]));
    set(0o700, 0o600);
    assert_eq!(read.ok().out, shown);
    if bound {
        let written = written.code(1);
        assert!(written.err.contains("Permission denied") && written.err.contains("writable for you"), "{written:?}");
        assert_eq!(device.run(["ls"]).ok().out, shown);
    }
}

#[test]
fn a_flipped_bit_is_an_error_at_worst() {
    let device = filled();
    let path = device.home().join("database");
    let whole = fs::read(&path).unwrap();
    let mut dice = ChaCha20Rng::seed_from_u64(7);
    let (mut places, mut refused) = (Vec::new(), 0);
    // The header, where every bit counts, and everywhere.
    places.extend((0..40).map(|_| dice.next_u64() % (320 * 8)));
    places.extend((0..160).map(|_| dice.next_u64() % (whole.len() as u64 * 8)));
    for place in places {
        let mut bytes = whole.clone();
        bytes[(place / 8) as usize] ^= 1 << (place % 8);
        fs::write(&path, bytes).unwrap();
        for words in [&["ls"][..], &["new", "Byron"]] {
            let began = Instant::now();
            let ran = device.run(words);
            assert!(began.elapsed() < Duration::from_secs(20), "bit {place}: {words:?} takes its time");
            assert!([0, 1, 5].contains(&ran.code), "bit {place}: {words:?}: {ran:?}");
            assert!(!ran.err.contains("panicked"), "bit {place}: {words:?}: {ran:?}");
            assert_eq!(ran.code != 0, ran.err.contains("Error:"), "bit {place}: {words:?}: {ran:?}");
            refused += u32::from(ran.code != 0);
        }
    }
    assert!(refused > 0, "some of them are noticed");
}
