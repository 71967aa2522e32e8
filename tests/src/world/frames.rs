//! What devices and the relay say to each other, as lines to read: `TIES_SIM_TRACE` prints them.

use std::sync::OnceLock;

use ties_sealed_log::{Entry, FloorRecord, LogId, Tip, TipRecord};
use ties_sync::Message;

use crate::link::Side;

/// Prints a frame on its way, if somebody wants to read that.
pub(super) fn tell(now: u64, device: usize, to: Side, frame: &[u8]) {
    static WANTED: OnceLock<bool> = OnceLock::new();
    if *WANTED.get_or_init(|| std::env::var_os("TIES_SIM_TRACE").is_some()) {
        let way = if to == Side::Relay { "->" } else { "<-" };
        println!("{now:>9} device {device} {way} {}", line(frame));
    }
}

fn line(frame: &[u8]) -> String {
    match Message::decode(frame) {
        Ok(Message::Open { digest, .. }) => format!("open {}", short(&digest)),
        Ok(Message::Vector(records)) => format!("vector {}", join(records.iter().map(record))),
        Ok(Message::Openings(openings)) => format!("openings {}", openings.len()),
        Ok(Message::Access(statements)) => format!("access {}", statements.len()),
        Ok(Message::Entries(entries)) => {
            let entry = |bytes: &serde_bytes::ByteBuf| match Entry::verify(bytes) {
                Ok(entry) => place(&entry.log(), &Tip { seq: entry.seq(), name: entry.name() }),
                Err(bad) => bad.to_string(),
            };
            format!("entries {}", join(entries.iter().map(entry)))
        }
        Ok(Message::Ack { tips, credit }) => format!("ack {credit} {}", join(tips.iter().map(record))),
        Ok(Message::Probe { log, points }) => format!("probe {}", join(points.iter().map(|tip| place(&log, tip)))),
        Ok(Message::Common { log, seq }) => format!("common {}/{seq}", short(&log.0)),
        Ok(Message::Refused { log, reason }) => format!("refused {}: {reason}", short(&log.0)),
        Ok(Message::Floor(bytes)) => match FloorRecord::verify(&bytes) {
            Ok(floor) => {
                let signatures = 1 + u8::from(floor.cosigner().is_some());
                let cut = join(floor.cut().iter().map(record));
                format!(
                    "floor {} of {}, {signatures} signatures, up to {cut}",
                    short(&floor.name().0),
                    short(&floor.manifest().0)
                )
            }
            Err(bad) => bad.to_string(),
        },
        Ok(Message::OnFloor { floor, word }) => format!("on floor {}: {word:?}", short(&floor.0)),
        Ok(Message::Chunks(chunks)) => format!("chunks {}", chunks.len()),
        Ok(other) => format!("{other:?}").chars().take(60).collect(),
        Err(_) => format!("{} bytes", frame.len()),
    }
}

fn record(record: &TipRecord) -> String {
    place(&record.log, &record.tip)
}

fn place(log: &LogId, tip: &Tip) -> String {
    format!("{}/{}:{}", short(&log.0), tip.seq, short(&tip.name.0))
}

fn short(bytes: &[u8]) -> String {
    bytes.iter().take(2).map(|byte| format!("{byte:02x}")).collect()
}

fn join(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(" ")
}
