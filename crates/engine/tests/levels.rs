//! Programs of different ages in one space: what one does not know it keeps and passes on, and none is cut off unasked.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use automerge::ROOT;
use automerge::transaction::Transactable;
use support::{DOCUMENT, keys, meet, put};
use ties_engine::testing::ignore_kinds;
use ties_engine::{CreateOptions, EditError, Environment, Fault, Levels, MemberError, Road, Role, Space, WriteError};
use ties_store::{Sharing, Store};

/// The kind of entries that hold the changes of documents.
const CHANGES: u16 = 2;

struct Device {
    folder: tempfile::TempDir,
    space: Space,
}

impl Device {
    fn found() -> (Self, Road) {
        let folder = tempfile::tempdir().unwrap();
        let options = CreateOptions { device_name: "laptop".into(), recovery: false };
        let store = Store::create(folder.path(), Sharing::Processes).unwrap();
        let (space, _) = Space::create_in(store, (), &options, Environment::system()).unwrap();
        let road = space.offline().add_relay(&support::address()).unwrap();
        (Self { folder, space }, road)
    }

    fn admitted(&self, road: &Road, role: Role, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path(), Sharing::Processes).unwrap();
        let space = self.space.offline().admit(road, role, store, (), name, Environment::system()).unwrap();
        meet(&self.space, &space, road);
        Self { folder, space }
    }

    /// The same device with a program of another age.
    fn with_program(self, level: u16) -> Self {
        let Self { folder, space } = self;
        drop(space);
        let store = Store::open(folder.path(), Sharing::Processes).unwrap();
        let space = Space::open_in(store, (), Environment::system().of_level(level)).unwrap();
        Self { folder, space }
    }

    fn write(&self, key: &str) -> Result<(), Fault> {
        let written =
            self.space.write(|edit| edit.change(DOCUMENT, |tx| tx.put(ROOT, key, true).map_err(EditError::from)));
        match written {
            Ok(()) => Ok(()),
            Err(WriteError::Edit(EditError::Fault(fault)) | WriteError::Fault(fault)) => Err(fault),
            Err(other) => panic!("{other}"),
        }
    }

    fn levels(&self) -> Levels {
        self.space.levels().unwrap()
    }

    fn level_of(&self, name: &str) -> u16 {
        self.levels().devices.into_iter().find(|(device, _)| device.name == name).unwrap().1
    }
}

fn meet_tidily(one: &Device, other: &Device, road: &Road) {
    for device in [one, other] {
        device.space.offline().tidy(road).unwrap();
    }
    meet(&one.space, &other.space, road);
}

#[test]
fn what_a_program_does_not_know_it_keeps_and_passes_on_and_reads_once_it_is_updated() {
    let (laptop, road) = Device::found();
    let phone = laptop.admitted(&road, Role::Writer, "phone");
    let tablet = laptop.admitted(&road, Role::Writer, "tablet");
    meet(&phone.space, &laptop.space, &road);
    // The phone's program is from before there were changes.
    ignore_kinds(&phone.space, &[CHANGES]).unwrap();
    for key in ["a", "b", "c"] {
        put(&laptop.space, key);
    }
    meet(&laptop.space, &phone.space, &road);
    assert_eq!(keys(&phone.space), Vec::<String>::new());
    let status = phone.space.status().unwrap();
    assert_eq!((phone.levels().newer, status.waiting.len(), status.bad), (3, 0, 0));
    // It passes them on to one who knows them, and what that one makes of them back.
    meet(&phone.space, &tablet.space, &road);
    assert_eq!(keys(&tablet.space), ["a", "b", "c"]);
    put(&tablet.space, "d");
    meet(&phone.space, &tablet.space, &road);
    meet(&phone.space, &laptop.space, &road);
    assert_eq!(keys(&laptop.space), ["a", "b", "c", "d"]);
    // The update reads what was kept, once.
    ignore_kinds(&phone.space, &[]).unwrap();
    let phone = phone.with_program(2);
    assert_eq!((keys(&phone.space), phone.levels().newer), (keys(&laptop.space), 0));
    let serial = phone.space.view().unwrap().serial().unwrap();
    let phone = phone.with_program(2);
    assert_eq!(phone.space.view().unwrap().serial().unwrap(), serial, "nothing is left to read");
    put(&phone.space, "e");
    meet(&phone.space, &laptop.space, &road);
    assert_eq!(keys(&laptop.space), ["a", "b", "c", "d", "e"]);
}

#[test]
fn an_update_also_judges_anew_what_looked_wrong() {
    let (laptop, road) = Device::found();
    let phone = laptop.admitted(&road, Role::Writer, "phone");
    meet(&laptop.space, &phone.space, &road);
    // To a program that skips the first change, the second builds on nothing.
    ignore_kinds(&phone.space, &[CHANGES]).unwrap();
    put(&laptop.space, "first");
    meet(&laptop.space, &phone.space, &road);
    ignore_kinds(&phone.space, &[]).unwrap();
    put(&laptop.space, "second");
    meet(&laptop.space, &phone.space, &road);
    assert_eq!(keys(&phone.space), Vec::<String>::new(), "it cannot be applied");
    let phone = phone.with_program(2);
    assert_eq!(keys(&phone.space), keys(&laptop.space));
    let status = phone.space.status().unwrap();
    assert_eq!((status.bad, status.waiting, phone.levels().newer), (0, vec![], 0));
}

#[test]
fn the_level_rises_by_an_explicit_word_and_whoever_is_below_reads_and_does_not_write() {
    let (laptop, road) = Device::found();
    let phone = laptop.admitted(&road, Role::Writer, "phone");
    let tablet = laptop.admitted(&road, Role::Admin, "tablet");
    meet(&phone.space, &laptop.space, &road);
    put(&laptop.space, "before");
    assert!(matches!(laptop.space.raise_level(2), Err(MemberError::Level)), "it knows no such level itself");
    let laptop = laptop.with_program(2);
    meet_tidily(&laptop, &tablet, &road);
    meet_tidily(&laptop, &phone, &road);
    assert_eq!((laptop.level_of("laptop"), tablet.level_of("laptop")), (2, 2), "it says what it knows");
    assert_eq!((laptop.level_of("phone"), laptop.level_of("tablet")), (1, 1), "these two would be cut off");
    assert_eq!(phone.levels().space, 1);
    phone.write("still allowed").unwrap();

    laptop.space.raise_level(2).unwrap();
    assert!(matches!(laptop.space.raise_level(2), Err(MemberError::Unchanged)));
    assert!(matches!(laptop.space.raise_level(1), Err(MemberError::Unchanged)), "it never falls");
    laptop.write("anew").unwrap();
    meet_tidily(&laptop, &phone, &road);
    assert_eq!(phone.levels().space, 2);
    assert!(matches!(phone.write("too late"), Err(Fault::Outdated(2))));
    assert_eq!(keys(&phone.space), ["anew", "before", "still allowed"]);
    // It still passes on what it gets, and an admin like it still decides who belongs.
    meet(&phone.space, &tablet.space, &road);
    assert!(matches!(tablet.write("too late"), Err(Fault::Outdated(2))));
    assert_eq!(keys(&tablet.space), keys(&phone.space));
    let lost = tablet.levels().devices.into_iter().find(|(device, _)| device.name == "phone").unwrap().0.id;
    tablet.space.revoke(&lost).unwrap();
    // Updated, it writes again, and says so.
    let tablet = tablet.with_program(2);
    tablet.write("back").unwrap();
    meet_tidily(&tablet, &laptop, &road);
    assert_eq!(laptop.level_of("tablet"), 2);
    assert_eq!(keys(&laptop.space), keys(&tablet.space));
}

#[test]
fn a_writer_does_not_raise_the_level() {
    let (laptop, road) = Device::found();
    let phone = laptop.admitted(&road, Role::Writer, "phone").with_program(2);
    meet(&phone.space, &laptop.space, &road);
    assert!(matches!(phone.space.raise_level(2), Err(MemberError::NotAdmin)));
    assert_eq!(laptop.levels().space, 1);
}
