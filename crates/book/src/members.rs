//! Changing whose devices they are, and what becomes of what a lost one wrote.

use std::collections::BTreeMap;

use automerge::{Automerge, ROOT, ReadDoc, ValueRef};
use ties_engine::{Device, DeviceId, MemberError, Quarantined, QuarantinedDocument, RemovedDevice, Role};

use crate::api::{
    BookError, Candidate, DeviceRow, ErrorKind, LevelRow, Levels, QuarantineRow, QuarantinedField, QuarantinedRecord,
    RemovedRow, Reply,
};
use crate::book::Book;
use crate::devices::{self, device_rows, instant};
use crate::engine::fault;
use crate::operations::{field, label_of};

impl Book {
    pub(crate) fn device_look_up(&self, word: &str) -> Result<Reply, BookError> {
        let (_, device) = self.device(word)?;
        let others = self.space.devices().map_err(fault)?;
        let unaware = others.iter().filter(|other| !other.this && other.name != device.name);
        let unaware = unaware.map(|other| other.name.clone()).collect();
        Ok(Reply::DeviceChanged { device, unaware })
    }

    pub(crate) fn device_revoke(&self, word: &str) -> Result<Reply, BookError> {
        let (id, device) = self.device(word)?;
        if device.this {
            return Err(BookError::new(ErrorKind::Guard, "this is the device you are sitting at").hint(
                "ties device retire signs it off; ties device revoke NAME, run on another device, shuts it out",
            ));
        }
        self.space.revoke(&id).map_err(|error| refused(&device.name, error))?;
        self.changed(device)
    }

    pub(crate) fn device_retire(&self) -> Result<Reply, BookError> {
        let devices = device_rows(&self.space.devices().map_err(fault)?);
        let this = devices.into_iter().find(|device| device.this).unwrap_or_default();
        self.space.retire().map_err(|error| refused(&this.name, error))?;
        self.changed(this)
    }

    pub(crate) fn device_role(&self, word: &str, role: &str) -> Result<Reply, BookError> {
        let (id, device) = self.device(word)?;
        let role = match role {
            "reader" => Role::Reader,
            "writer" => Role::Writer,
            "admin" => Role::Admin,
            _ => return Err(BookError::new(ErrorKind::Usage, "a role is reader, writer or admin")),
        };
        self.space.set_role(&id, role).map_err(|error| refused(&device.name, error))?;
        self.changed(DeviceRow { role: devices::role(role).to_owned(), ..device })
    }

    pub(crate) fn device_rename(&self, word: &str, name: &str) -> Result<Reply, BookError> {
        let ((id, device), name) = (self.device(word)?, devices::name(name)?);
        self.space.rename_device(&id, &name).map_err(|error| refused(&device.name, error))?;
        self.changed(DeviceRow { name, ..device })
    }

    pub(crate) fn levels(&self) -> Result<Levels, BookError> {
        let levels = self.space.levels().map_err(fault)?;
        let row = |(device, level): (Device, u16)| LevelRow { name: device.name, level, this: device.this };
        let devices = levels.devices.into_iter().map(row).collect();
        Ok(Levels { program: levels.program, network: levels.space, devices, newer: levels.newer })
    }

    pub(crate) fn raise_level(&self, level: u16, anyway: bool) -> Result<Reply, BookError> {
        let levels = self.levels()?;
        let below = levels.devices.iter().filter(|device| device.level < level);
        let below: Vec<&str> = below.map(|device| device.name.as_str()).collect();
        if !below.is_empty() && !anyway && level > levels.network && level <= levels.program {
            let message = format!("level {level} cuts off {}: they could read, and write no more", below.join(", "));
            return Err(BookError::new(ErrorKind::Guard, message)
                .hint("update ties on them and sync, or add --yes: they write again once they are updated"));
        }
        self.space.raise_level(level).map_err(|error| match error {
            MemberError::Unchanged => {
                BookError::new(ErrorKind::Failed, format!("the network asks for level {} already", levels.network))
            }
            MemberError::Level => {
                BookError::new(ErrorKind::Failed, format!("this program knows no level above {}", levels.program))
                    .hint("run a newer ties, here and on the other devices")
            }
            other => refused("this device", other),
        })?;
        self.levels().map(Reply::Levels)
    }

    pub(crate) fn quarantine(&self) -> Result<Reply, BookError> {
        let held = self.space.quarantine().map_err(fault)?;
        Ok(Reply::Quarantine { held: held.into_iter().map(|held| self.row(held)).collect::<Result<_, _>>()? })
    }

    pub(crate) fn settle_quarantine(&self, word: Option<&str>, accept: bool) -> Result<Reply, BookError> {
        let held = self.space.quarantine().map_err(fault)?;
        let named = held.iter().filter(|held| word.is_none_or(|word| fits(word, &held.name, &held.device)));
        let named: Vec<&Quarantined> = named.collect();
        let one = match &named[..] {
            [] if held.is_empty() => {
                return Err(BookError::new(ErrorKind::NotFound, "nothing is in quarantine"));
            }
            [] => {
                let word = word.unwrap_or_default();
                return Err(BookError::new(ErrorKind::NotFound, format!("nothing of {word:?} is in quarantine"))
                    .hint("ties quarantine lists what is"));
            }
            [one] => one,
            several => {
                let candidates = several.iter().map(|held| candidate(&held.name, &held.device.to_string())).collect();
                return Err(BookError {
                    candidates,
                    ..BookError::new(ErrorKind::Ambiguous, "several devices have something in quarantine")
                        .hint("name one")
                });
            }
        };
        let settled = if accept { self.space.accept(&one.device) } else { self.space.discard(&one.device) };
        settled.map_err(|error| refused(&one.name, error))?;
        Ok(Reply::QuarantineSettled { name: one.name.clone(), entries: one.entries, accepted: accept })
    }

    /// Devices that were shut out or signed off.
    pub(crate) fn removed(&self) -> Result<Vec<RemovedRow>, BookError> {
        let removed = self.space.removed_devices().map_err(fault)?;
        let present = self.space.devices().map_err(fault)?;
        Ok(removed.iter().map(|one| removed_row(one, &removed, &present)).collect())
    }

    /// The device that a word means.
    fn device(&self, word: &str) -> Result<(DeviceId, DeviceRow), BookError> {
        let devices = self.space.devices().map_err(fault)?;
        let all: Vec<(DeviceId, DeviceRow)> =
            devices.iter().map(|device| device.id).zip(device_rows(&devices)).collect();
        let exact: Vec<_> = all.iter().filter(|(_, row)| row.name == word || row.id == word).collect();
        let near = || all.iter().filter(|(id, row)| fits(word, &row.name, id)).collect();
        let found = if exact.is_empty() { near() } else { exact };
        match &found[..] {
            [one] => Ok((*one).clone()),
            [] => Err(BookError::new(ErrorKind::NotFound, format!("no device is called {word:?}"))
                .hint("ties device list lists them")),
            several => Err(BookError {
                candidates: several.iter().map(|(_, row)| candidate(&row.name, &row.id)).collect(),
                ..BookError::new(ErrorKind::Ambiguous, format!("{word:?} fits {} devices", several.len()))
                    .hint("name one by its full name or the beginning of its id")
            }),
        }
    }

    fn changed(&self, device: DeviceRow) -> Result<Reply, BookError> {
        let removed = self.removed()?;
        let unaware = removed.into_iter().find(|one| one.id == device.id).map(|one| one.unaware).unwrap_or_default();
        Ok(Reply::DeviceChanged { device, unaware })
    }

    fn row(&self, held: Quarantined) -> Result<QuarantineRow, BookError> {
        let view = self.view()?;
        let mut records = Vec::new();
        for document in &held.documents {
            let Some(shown) = document.after.as_ref().or(document.before.as_ref()) else { continue };
            records.push(QuarantinedRecord {
                id: document.id.to_string(),
                label: label_of(&view, shown)?,
                effect: match (&document.before, &document.after) {
                    (None, _) => "new",
                    (Some(_), None) => "removed",
                    (Some(_), Some(_)) => "changed",
                }
                .to_owned(),
                fields: fields(document),
            });
        }
        Ok(QuarantineRow {
            device: held.name,
            id: held.device.to_string(),
            entries: held.entries,
            first: held.times.and_then(|(first, _)| instant(first)),
            last: held.times.and_then(|(_, last)| instant(last)),
            discarded: held.discarded,
            records,
        })
    }
}

fn removed_row(one: &RemovedDevice, removed: &[RemovedDevice], present: &[Device]) -> RemovedRow {
    let name = |id: &DeviceId| {
        let present = present.iter().find(|device| device.id == *id).map(|device| device.name.clone());
        let gone = || removed.iter().find(|device| device.id == *id).map(|device| device.name.clone());
        present.or_else(gone).unwrap_or_else(|| id.to_string())
    };
    RemovedRow {
        name: one.name.clone(),
        id: one.id.to_string(),
        this: one.this,
        by: one.by.iter().map(name).collect(),
        removed: instant(one.removed),
        retired: one.retired,
        unaware: one.unaware.iter().map(name).collect(),
    }
}

/// Whether a word means a device: the beginning of its name in whatever case, or four digits of its id.
fn fits(word: &str, name: &str, id: &DeviceId) -> bool {
    let (word, name) = (word.trim().to_lowercase(), name.to_lowercase());
    !word.is_empty() && (name.starts_with(&word) || (word.len() >= SHORTEST && id.to_string().starts_with(&word)))
}

/// How many digits of an id there must be.
const SHORTEST: usize = 4;

fn candidate(name: &str, id: &str) -> Candidate {
    let short = id.chars().take(8).collect();
    Candidate { id: id.to_owned(), short, handle: String::new(), name: name.to_owned(), detail: String::new() }
}

/// What differs between a record as it is and as it would be.
fn fields(document: &QuarantinedDocument) -> Vec<QuarantinedField> {
    let (before, after) = (values(document.before.as_ref()), values(document.after.as_ref()));
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let differing = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    let shown = differing.filter(|key| !is_plumbing(key)).map(|key| QuarantinedField {
        name: field(key).to_owned(),
        before: before.get(key).cloned(),
        after: after.get(key).cloned(),
    });
    shown.collect()
}

/// Keys that say nothing to a reader: the kind of a record, and what was read from an import.
fn is_plumbing(key: &str) -> bool {
    ["kind", "schema", "imported", "source"].iter().any(|plumbing| key.split('/').next() == Some(plumbing))
}

/// What stands at a document's root, as text.
fn values(document: Option<&Automerge>) -> BTreeMap<String, String> {
    let Some(document) = document else { return BTreeMap::new() };
    let read = |key: &str, value: ValueRef<'_>| match value {
        ValueRef::Scalar(value) => Some(automerge::ScalarValue::from(value).to_string().trim_matches('"').to_owned()),
        ValueRef::Object(_) => {
            let text = document.get(ROOT, key).ok().flatten().map(|(_, id)| id);
            text.and_then(|id| document.text(id).ok())
        }
    };
    let items = document.map_range(ROOT, ..);
    items.filter_map(|item| read(&item.key, item.value).map(|value| (item.key.into_owned(), value))).collect()
}

fn refused(name: &str, error: MemberError) -> BookError {
    match error {
        MemberError::Fault(error) => fault(error),
        MemberError::NotAdmin => BookError::new(ErrorKind::Guard, "this device may not decide who belongs")
            .hint("run this on a device that is an admin: ties device list"),
        MemberError::LastAdmin => BookError::new(ErrorKind::Guard, format!("{name} is the only admin"))
            .hint("ties device role NAME admin makes another one first"),
        MemberError::Unchanged => BookError::new(ErrorKind::Failed, format!("{name} is so already")),
        error => BookError::new(ErrorKind::NotFound, error.to_string()).hint("ties device list lists the devices"),
    }
}
