//! What a device does by itself: a small file beside the data, which may be edited by hand.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::errors::{Failure, Outcome};

/// The settings of a data folder. What another version wrote there stays.
pub(crate) struct Settings {
    path: PathBuf,
    table: Table,
}

/// A setting.
pub(crate) struct Setting {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What it is for, in a line.
    pub(crate) about: &'static str,
    /// What holds where nothing is set.
    pub(crate) default: &'static str,
    read: fn(&str) -> Result<Value, &'static str>,
}

/// Every setting there is.
pub(crate) const ALL: [Setting; 3] = [
    Setting {
        name: SYNC_AUTO,
        about: "bring relays what a command wrote, in the background, where no agent runs",
        default: "on",
        read: on_or_off,
    },
    Setting {
        name: CHECKPOINT_PRUNE,
        about: "drop single changes below two checkpoints, each found right by two devices",
        default: "off",
        read: on_or_off,
    },
    Setting { name: ON_SYNC, about: "a program that is told what other devices changed", default: "", read: program },
];

pub(crate) const SYNC_AUTO: &str = "sync.auto";
pub(crate) const CHECKPOINT_PRUNE: &str = "checkpoint.prune";
pub(crate) const ON_SYNC: &str = "on-sync";

impl Settings {
    /// The settings of a data folder; none is set where there is no file.
    pub(crate) fn of(home: &Path) -> Outcome<Self> {
        let path = home.join("settings.toml");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| Failure::io(format!("cannot read {}", path.display()), &error))?,
        };
        let table = text.parse().map_err(|error: toml::de::Error| {
            Failure::failed(format!("{} makes no sense", path.display()))
                .because(&error)
                .hint("mend it, or remove it: every setting has a default")
        })?;
        Ok(Self { path, table })
    }

    /// By hand one writes `sync.auto = false`, which is a table in a table.
    fn find(&self, name: &str) -> Option<&Value> {
        let nested = || {
            let (table, name) = name.split_once('.')?;
            self.table.get(table)?.get(name)
        };
        self.table.get(name).or_else(nested)
    }

    /// What is set, as its user would write it.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        match self.find(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Boolean(on) => Some(if *on { "on" } else { "off" }.to_owned()),
            other => Some(other.to_string()),
        }
    }

    /// Whether something that is on or off is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        let default = ALL.iter().any(|setting| setting.name == name && setting.default == "on");
        self.find(name).and_then(Value::as_bool).unwrap_or(default)
    }

    /// Sets one, or with no text gives it back its default.
    pub(crate) fn set(&mut self, name: &str, text: Option<&str>) -> Outcome {
        let setting = ALL.iter().find(|setting| setting.name == name).ok_or_else(|| unknown(name))?;
        match text {
            None => self.remove(name),
            Some(text) => {
                let value =
                    (setting.read)(text).map_err(|why| Failure::usage(format!("{name} is not {text:?}: {why}")))?;
                self.remove(name);
                self.table.insert(name.to_owned(), value);
            }
        }
        self.write().map_err(|error| Failure::io(format!("cannot write {}", self.path.display()), &error))
    }

    fn remove(&mut self, name: &str) {
        self.table.remove(name);
        if let Some((table, name)) = name.split_once('.')
            && let Some(Value::Table(table)) = self.table.get_mut(table)
        {
            table.remove(name);
        }
    }

    /// As a whole or not at all.
    fn write(&self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        // Temporary files are their owner's alone.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(self.table.to_string().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

/// What to say of a name that means no setting.
pub(crate) fn unknown(name: &str) -> Failure {
    let names: Vec<&str> = ALL.iter().map(|setting| setting.name).collect();
    Failure::usage(format!("there is no setting {name:?}")).hint(format!("there are {}", names.join(" and ")))
}

fn on_or_off(text: &str) -> Result<Value, &'static str> {
    match text {
        "on" | "yes" | "true" => Ok(Value::Boolean(true)),
        "off" | "no" | "false" => Ok(Value::Boolean(false)),
        _ => Err("it is on or off"),
    }
}

fn program(text: &str) -> Result<Value, &'static str> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err("a program is named by its whole path");
    }
    #[cfg(unix)]
    let runs = std::os::unix::fs::PermissionsExt::mode(
        &path.metadata().map_err(|_| "there is no such program")?.permissions(),
    ) & 0o111
        != 0;
    #[cfg(not(unix))]
    let runs = true;
    if path.is_file() && runs { Ok(Value::String(text.to_owned())) } else { Err("it is no program that can be run") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_kept_beside_what_others_wrote_there() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Settings::of(folder.path()).unwrap_or_else(|failure| panic!("{failure:?}"));
        assert!(open().is_on(SYNC_AUTO) && open().get(SYNC_AUTO).is_none());
        fs::write(folder.path().join("settings.toml"), "\"of.later\" = 3\n").unwrap();
        open().set(SYNC_AUTO, Some("off")).unwrap_or_else(|failure| panic!("{failure:?}"));
        assert!(!open().is_on(SYNC_AUTO));
        assert_eq!((open().get(SYNC_AUTO).as_deref(), open().get("of.later").as_deref()), (Some("off"), Some("3")));
        open().set(SYNC_AUTO, None).unwrap_or_else(|failure| panic!("{failure:?}"));
        assert!(open().is_on(SYNC_AUTO));
        fs::write(folder.path().join("settings.toml"), "sync.auto = false\n").unwrap();
        assert!(!open().is_on(SYNC_AUTO), "as written by hand");
        open().set(SYNC_AUTO, None).unwrap_or_else(|failure| panic!("{failure:?}"));
        assert!(open().is_on(SYNC_AUTO));
        for (name, bad) in [(SYNC_AUTO, "maybe"), (ON_SYNC, "hook"), (ON_SYNC, "/nowhere/at/all"), ("other", "x")] {
            assert!(open().set(name, Some(bad)).is_err(), "{name} {bad}");
        }
        fs::write(folder.path().join("settings.toml"), "= what").unwrap();
        assert!(Settings::of(folder.path()).is_err());
    }
}
