//! Admitting a device by a folder: the words of a ticket's pairing lie there as files, and both sides come when they can.
//!
//! The host keeps the invitation until it expires; the guest keeps its keys in a file of its own folder until it is let in. Three
//! of the words suffice: Hello, then Welcome or Declined. There is no mailbox whose list the guest would have to be put on; it
//! tells its pseudonyms in its own log, and the host's next meeting with a relay puts them on the list there.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use ties_net::{Depot, DepotError};
use ties_sealed_log::{DeviceId, DeviceKeys, Role, Secret, decode, encode};
use ties_store::{Store, Table, Transaction};
use ties_sync::{
    Guest, GuestStep, Hello, Host, HostStep, MAX_PASS, PairingError, Ticket, TicketError, place_name, word_name,
};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Asked, FolderReport, canonical};
use crate::document::Projection;
use crate::environment::Environment;
use crate::pairing::{GuestDevice, PairError, must_be_free};
use crate::records::{Fault, put_record, record};
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::Space;

/// Invitations that were made here, by room.
const INVITATIONS: Table = Table::named("engine/invitations");

/// What the ticket of a folder has in the place of a relay's address.
const ANY_FOLDER: &str = "folder:";
/// The most files that are looked at for words: more than both sides ever leave.
const WORDS: usize = 64;
/// How often whoever waits at a folder looks.
const LOOK: Duration = Duration::from_secs(1);

/// An invitation that waits for its guest, or for the guest to see its answer.
// Secret, yet Serialize: it is kept in the encrypted database.
#[derive(Serialize, Deserialize)]
struct InvitationRecord {
    ticket: String,
    expires: u64,
    /// The folder.
    path: String,
    /// The word that answers the guest, once its owner decided.
    answer: Option<ByteBuf>,
}

impl Drop for InvitationRecord {
    fn drop(&mut self) {
        self.ticket.zeroize();
    }
}

/// What a guest keeps until it is let in.
// Secret, yet Serialize: it is kept in a private file, as the key of a device without a passphrase is.
#[derive(Serialize, Deserialize)]
struct JoiningRecord {
    seed: [u8; 32],
    ticket: String,
    name: String,
}

impl Drop for JoiningRecord {
    fn drop(&mut self) {
        self.seed.zeroize();
        self.ticket.zeroize();
    }
}

/// A device that left its word in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderGuest {
    /// Who asks.
    pub device: GuestDevice,
    room: [u8; 32],
    hello: Hello,
    frame: Vec<u8>,
}

/// How a device joins by a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderJoin {
    /// The folder.
    pub folder: PathBuf,
    /// What the owner calls this device.
    pub device_name: String,
    /// How long to wait for the answer; zero looks once.
    pub patience: Duration,
}

impl Space {
    /// Invites a new device by a folder, where it leaves its word. The invitation is kept here until it expires; gives the
    /// ticket, a secret until it is used.
    ///
    /// # Errors
    /// When the folder is not there, or this device may not admit others.
    pub fn invite_by_folder(&self, folder: &Path, valid: Duration) -> Result<Zeroizing<String>, PairError> {
        Depot::at(folder, "")?;
        let path = canonical(folder).to_string_lossy().into_owned();
        let mut transaction = self.inner.store.write().map_err(Fault::from)?;
        let device = device_keys(&transaction)?.ok_or(Fault::NoKey)?.id();
        if !is_admin(&Roster::load(&transaction)?, &device) {
            return Err(PairError::NotAdmin);
        }
        let now = self.now() / 1000;
        for (room, kept) in invitations(&transaction)? {
            if kept.expires <= now {
                transaction.remove(INVITATIONS, &room).map_err(Fault::from)?;
            }
        }
        let secret = Secret::random(self.inner.environment().randomness());
        let ticket = Ticket::new(ANY_FOLDER.to_owned(), device, now + valid.as_secs(), secret);
        let text = ticket.to_text();
        let kept = InvitationRecord { ticket: text.to_string(), expires: ticket.expires, path, answer: None };
        put_record(&mut transaction, INVITATIONS, &ticket.room(), &kept)?;
        transaction.commit().map_err(Fault::from)?;
        Ok(text)
    }

    /// The devices that left their word in a folder for an invitation of this one and have no answer. Answers that were given
    /// and are not there any more are left again.
    ///
    /// # Errors
    /// When the folder or the database cannot be read; when two devices came with one ticket, which is void then.
    pub fn folder_guests(&self, folder: &Path) -> Result<Vec<FolderGuest>, PairError> {
        let path = canonical(folder).to_string_lossy().into_owned();
        let now = self.now() / 1000;
        let snapshot = self.inner.store.read().map_err(Fault::from)?;
        let kept = invitations(&snapshot)?;
        drop(snapshot);
        let mut guests = Vec::new();
        for (room, kept) in kept.into_iter().filter(|(_, kept)| kept.path == path && kept.expires > now) {
            let depot = Depot::at(folder, &place_name("ties1/pair-place", &room))?;
            if let Some(answer) = &kept.answer {
                self.leave_word(&depot, answer)?;
                continue;
            }
            let ticket = Ticket::parse(&kept.ticket, now)?;
            let mut found: BTreeMap<DeviceId, FolderGuest> = BTreeMap::new();
            for frame in words(&depot)? {
                // A host of its own for each word: none of them has been answered.
                if let Ok(HostStep::Ask(hello)) = Host::new(&ticket).handle(&frame) {
                    let device = GuestDevice::of(&hello);
                    found.entry(device.id).or_insert(FolderGuest { device, room, hello, frame });
                }
            }
            if found.len() > 1 {
                self.forget_invitation(&room)?;
                return Err(PairingError::Used.into());
            }
            guests.extend(found.into_values());
        }
        Ok(guests)
    }

    /// As [`Self::folder_guests`], once there is one.
    ///
    /// # Errors
    /// As [`Self::folder_guests`]; a folder that is away for a while is waited for.
    pub async fn await_folder_guests(&self, folder: &Path) -> Result<Vec<FolderGuest>, PairError> {
        loop {
            match self.folder_guests(folder) {
                Ok(guests) if !guests.is_empty() => return Ok(guests),
                // A stick that is taken to the new device comes back.
                Ok(_) | Err(PairError::Depot(DepotError::Absent(_))) => tokio::time::sleep(LOOK).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Admits a guest that [`Self::folder_guests`] gave: writes it down, visits the folder, so that it finds itself admitted
    /// there, and leaves the keys for it.
    ///
    /// # Errors
    /// When the database or the folder cannot be written. Once it is written down, the next look leaves the answer.
    pub async fn admit_from_folder(
        &self,
        folder: &Path,
        guest: &FolderGuest,
        role: Role,
    ) -> Result<FolderReport, PairError> {
        let (ticket, mut host) = self.host_of(guest)?;
        let answer = self.admit_without_relay(&guest.hello, role, |transaction, welcome| {
            let device = device_keys(transaction)?.ok_or(Fault::NoKey)?;
            let frame = host.welcome(welcome, &device, self.inner.environment().randomness());
            keep_answer(transaction, &ticket, &frame)?;
            Ok(frame)
        })?;
        let outcome = self.visit(folder, Asked::ByName, &mut |_| ()).await;
        self.leave_word(&Depot::at(folder, &place_name("ties1/pair-place", &guest.room))?, &answer)?;
        Ok(FolderReport { path: folder.to_owned(), outcome })
    }

    /// Turns a guest away that [`Self::folder_guests`] gave; its ticket is void.
    ///
    /// # Errors
    /// When the database or the folder cannot be written.
    pub fn decline_from_folder(&self, folder: &Path, guest: &FolderGuest) -> Result<(), PairError> {
        let (ticket, mut host) = self.host_of(guest)?;
        let frame = host.decline(self.inner.environment().randomness());
        let mut transaction = self.inner.store.write().map_err(Fault::from)?;
        keep_answer(&mut transaction, &ticket, &frame)?;
        transaction.commit().map_err(Fault::from)?;
        self.leave_word(&Depot::at(folder, &place_name("ties1/pair-place", &guest.room))?, &frame)
    }

    /// Makes this device part of a space, as the guest of a ticket, by a folder. `announce` hears this device's fingerprint once
    /// its word is there. Where no answer is there in time, what was begun is kept, and the same call goes on with it.
    ///
    /// # Errors
    /// [`PairError::NotYet`] without an answer; when the ticket is void, the folder cannot be used, the other side declines, or
    /// `home` holds a space.
    pub async fn join_by_folder(
        home: &Path,
        projection: impl Projection,
        ticket: &str,
        join: &FolderJoin,
        mut environment: Environment,
        announce: impl FnOnce(&str),
    ) -> Result<Self, PairError> {
        must_be_free(home)?;
        let text = ticket;
        let ticket = Ticket::parse(text, environment.now() / 1000)?;
        if ticket.relay != ANY_FOLDER {
            return Err(PairError::NotByFolder);
        }
        let depot = Depot::at(&join.folder, &place_name("ties1/pair-place", &ticket.room()))?;
        let joining = begin_joining(home, text, &ticket, join, &mut environment)?;
        let device = DeviceKeys::from_seed(Secret::new(joining.seed));
        let (mut guest, hello) = Guest::greet(&ticket, &device, &joining.name, environment.randomness());
        // A word that is there already is not left once more, though it would be sealed differently.
        let asked = words(&depot)?.iter().any(|frame| {
            matches!(Host::new(&ticket).handle(frame), Ok(HostStep::Ask(known)) if known.certificate == device.certificate())
        });
        if !asked {
            depot.put(&word_name(&hello), &hello, environment.bytes())?;
        }
        announce(&device.id().fingerprint());
        let began = std::time::Instant::now();
        loop {
            if environment.now() / 1000 >= ticket.expires {
                return Err(TicketError::Expired.into());
            }
            if let Some(accepted) = answered(&mut guest, &depot)? {
                let space = Self::moved_in(home, projection, &device, &joining.name, &accepted, environment)?;
                let _ = fs::remove_file(home.join(Store::JOINING));
                return Ok(space);
            }
            if began.elapsed() >= join.patience {
                return Err(PairError::NotYet);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn host_of(&self, guest: &FolderGuest) -> Result<(Ticket, Host), PairError> {
        let snapshot = self.inner.store.read().map_err(Fault::from)?;
        let kept: Option<InvitationRecord> = record(&snapshot, INVITATIONS, &guest.room, "an invitation")?;
        let kept = kept.filter(|kept| kept.answer.is_none()).ok_or(PairingError::Used)?;
        let ticket = Ticket::parse(&kept.ticket, self.now() / 1000)?;
        let mut host = Host::new(&ticket);
        host.handle(&guest.frame)?;
        Ok((ticket, host))
    }

    fn leave_word(&self, depot: &Depot, frame: &[u8]) -> Result<(), PairError> {
        let name = word_name(frame);
        let there = |file: &ties_net::Listed| file.name == *name && file.length == frame.len() as u64;
        if !depot.list()?.iter().any(there) {
            let passing = self.inner.environment().bytes();
            depot.put(&name, frame, passing)?;
        }
        Ok(())
    }

    fn forget_invitation(&self, room: &[u8; 32]) -> Result<(), Fault> {
        let mut transaction = self.inner.store.write()?;
        transaction.remove(INVITATIONS, room)?;
        Ok(transaction.commit()?)
    }
}

fn is_admin(roster: &Roster, device: &DeviceId) -> bool {
    let member = roster.members.as_ref().and_then(|members| members.get(device));
    member.is_some_and(|member| member.role == Role::Admin)
}

fn invitations(read: &dyn ties_store::Read) -> Result<Vec<([u8; 32], InvitationRecord)>, Fault> {
    let mut all = Vec::new();
    for (room, bytes) in read.pairs(INVITATIONS, &[])? {
        let bytes = Zeroizing::new(bytes);
        let room = room.try_into().map_err(|_| Fault::Damaged("an invitation"))?;
        all.push((room, decode(&bytes).map_err(|_| Fault::Damaged("an invitation"))?));
    }
    Ok(all)
}

fn keep_answer(transaction: &mut Transaction, ticket: &Ticket, frame: &[u8]) -> Result<(), PairError> {
    let room = ticket.room();
    let kept: Option<InvitationRecord> = record(transaction, INVITATIONS, &room, "an invitation")?;
    // Another process of this device may have answered meanwhile.
    let mut kept = kept.filter(|kept| kept.answer.is_none()).ok_or(PairingError::Used)?;
    kept.answer = Some(ByteBuf::from(frame));
    Ok(put_record(transaction, INVITATIONS, &room, &kept)?)
}

/// What lies there and may be a word; whoever knows the place may leave rubbish.
fn words(depot: &Depot) -> Result<Vec<Vec<u8>>, DepotError> {
    let mut frames = Vec::new();
    let small = depot.list()?.into_iter().filter(|file| file.length <= MAX_PASS as u64);
    for file in small.take(WORDS) {
        frames.extend(depot.read(&file.name, MAX_PASS)?);
    }
    Ok(frames)
}

/// The host's answer, if it is there.
fn answered(guest: &mut Guest<'_>, depot: &Depot) -> Result<Option<ties_sync::Accepted>, PairError> {
    let frames = match words(depot) {
        // A stick that is taken to the other device comes back.
        Err(DepotError::Absent(_)) => return Ok(None),
        frames => frames?,
    };
    for frame in frames {
        match guest.handle(&frame) {
            Ok(GuestStep::Welcome(accepted)) => return Ok(Some(*accepted)),
            Ok(GuestStep::Again | GuestStep::Done) | Err(PairingError::Foreign) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// This device's keys for a ticket: those that were drawn for it before, or new ones, kept before anything is said.
fn begin_joining(
    home: &Path,
    text: &str,
    ticket: &Ticket,
    join: &FolderJoin,
    environment: &mut Environment,
) -> Result<JoiningRecord, PairError> {
    let path = home.join(Store::JOINING);
    let kept = fs::read(&path).ok().map(Zeroizing::new);
    let kept: Option<JoiningRecord> = kept.and_then(|bytes| decode(&bytes).ok());
    let same = |kept: &JoiningRecord| Ticket::parse(&kept.ticket, 0).is_ok_and(|known| known.room() == ticket.room());
    if let Some(kept) = kept.filter(same) {
        return Ok(kept);
    }
    let fresh = JoiningRecord {
        seed: *Secret::random(environment.randomness()).expose(),
        ticket: text.split_whitespace().collect(),
        name: join.device_name.clone(),
    };
    let bytes = Zeroizing::new(encode(&fresh));
    write_private(home, &path, &bytes).map_err(|error| PairError::Depot(DepotError::Write(path.clone(), error)))?;
    Ok(fresh)
}

/// Writes a file that its owner alone may read.
fn write_private(home: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    folder.create(home)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
