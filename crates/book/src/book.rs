//! The front door: a book is opened, asked and closed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use ties_engine::{CreateOptions, Ongoing, Space, View, WriteError};

use crate::api::{
    BookError, Created, Environment, ErrorKind, Face, FolderFile, Hit, Init, OrganizationView, Reply, Request, Secret,
};
use crate::desk::Desk;
use crate::engine::{BookRows, Transaction, fault, refused};
use crate::import::{Import, Member, Opened};
use crate::list::Filter;
use crate::peers::doors;
use crate::resolve::{self, Record};
use crate::{conflicts, devices, edit_text, environment, export, notes, opening, organizations, people, search};

/// A person's network on this device.
///
/// Everything that [`Book::answer`] does is done when it returns, and durable; several processes may have one book
/// open at once.
pub struct Book {
    pub(crate) space: Space,
    device: OnceLock<String>,
    wrote: AtomicBool,
    /// The contested fields that somebody who syncs was told of.
    pub(crate) contested: Mutex<conflicts::Known>,
}

impl Book {
    /// Makes a new book in a folder, on the first of its devices.
    ///
    /// # Errors
    /// When there is a book already, or the folder cannot be used.
    pub fn create(dir: &Path, init: Init, from: Environment) -> Result<(Self, Created), BookError> {
        opening::must_not_exist(dir)?;
        let device_name = devices::name(&init.device_name)?;
        let options = CreateOptions { device_name: device_name.clone(), recovery: init.recovery };
        let from = environment::of(&from, dir, 0)?;
        let (space, words) =
            Space::create(dir, BookRows, &options, from).map_err(|error| opening::error(dir, error))?;
        let recovery_words = words.map(|words| Secret::new(words.words().collect::<Vec<_>>().join(" ")));
        Ok((Self::on(space), Created { device_name, recovery_words }))
    }

    /// Whether [`Self::create`] and [`Self::join`] may use a folder: it is not there, is empty, or was left by one of the
    /// two that was stopped before its end.
    pub fn is_free(dir: &Path) -> bool {
        opening::is_free(dir)
    }

    /// Opens the book in a folder.
    ///
    /// # Errors
    /// When there is none, it is locked by a passphrase ([`ErrorKind::Locked`]; [`Self::open_with`]), or cannot be read.
    pub fn open(dir: &Path, from: Environment) -> Result<Self, BookError> {
        opening::must_exist(dir)?;
        environment::open(dir, &from, None).map(Self::on)
    }

    /// Opens the book in a folder only if there is one that can be read as it is, with no work of its own to do first:
    /// for completing a command line, which must neither fail nor write.
    pub fn glance(dir: &Path, from: Environment) -> Option<Self> {
        let from = environment::of(&from, dir, 0).ok()?;
        Space::open_as_it_is(dir, BookRows, from).ok().flatten().map(Self::on)
    }

    pub(crate) fn on(space: Space) -> Self {
        Self { space, device: OnceLock::new(), wrote: AtomicBool::new(false), contested: Mutex::default() }
    }

    /// Whether a request wrote something that [`Request::Undo`] would take back.
    pub fn has_written(&self) -> bool {
        self.wrote.load(Ordering::Relaxed)
    }

    /// Whether this process has committed anything to the book, of its own or from other devices.
    pub fn has_committed(&self) -> bool {
        self.space.has_committed()
    }

    /// Whether a sync drops single changes of which two checkpoints, each found right by two devices, say what came of them.
    /// It does not unless it is told to.
    pub fn set_prunes(&self, prunes: bool) {
        self.space.set_prunes(prunes);
    }

    /// Whether there is a relay to sync with.
    pub fn has_relays(&self) -> bool {
        self.space.roads().is_ok_and(|roads| !roads.is_empty())
    }

    /// Answers any request; one that needs the network waits for it. To be called on a tokio runtime with time and IO.
    ///
    /// Dropping the future ends the request; what was exchanged by then is kept.
    ///
    /// # Errors
    /// As the request goes wrong. A relay that fails during [`Request::Sync`] is no error but stands in the reply.
    pub async fn handle(&self, request: Request, face: &mut dyn Face) -> Result<Reply, BookError> {
        if request.syncs() {
            self.note_conflicts()?;
        }
        let reply = self.attend(request, face).await;
        if matches!(reply, Ok(Reply::Synced(_))) {
            // How long something waits is told by when somebody saw it wait first.
            let _ = self.space.note_waiting();
            self.tell_conflicts(face)?;
        }
        reply
    }

    async fn attend(&self, request: Request, face: &mut dyn Face) -> Result<Reply, BookError> {
        match request {
            Request::DeviceAdd { by, relay, lan, listen } => {
                let added = match doors(relay, lan, listen.as_deref()) {
                    Ok(doors) => self.device_add(by, doors, face).await,
                    Err(error) => Err(error),
                };
                self.tell_parting(face);
                added
            }
            Request::DeviceAddByFolder { folder, wait } => {
                let added = self.device_add_by_folder(&folder, wait, face).await;
                self.tell_parting(face);
                added
            }
            Request::RelayAdd { url, token } => {
                let added = self.relay_add(&url, token.as_ref()).await;
                self.tell_parting(face);
                added
            }
            Request::Meet(nearby) => self.meet(&nearby, face).await.map(Reply::Synced),
            Request::Watch(nearby) => self.watch(&nearby, face).await,
            Request::Push { within } => self.push(within, face).await.map(Reply::Synced),
            Request::Sync => {
                let report = self.sync(face).await?;
                self.and_guests(report, face).await.map(Reply::Synced)
            }
            Request::SyncFolders { folders } => {
                let report = self.sync_folders(&folders, face).await?;
                self.and_guests(report, face).await.map(Reply::Synced)
            }
            Request::SyncWatch => self.sync_watch(face).await,
            Request::Doctor { repair, offline } => self.doctor(repair, offline, face).await,
            local => self.answer(local, face),
        }
    }

    /// Answers a request from this device alone.
    ///
    /// # Errors
    /// As the request goes wrong; a request that needs the network is refused ([`Request::is_local`]).
    pub fn answer(&self, request: Request, face: &mut dyn Face) -> Result<Reply, BookError> {
        let undoes = matches!(request, Request::Undo { .. });
        let reply = self.respond(request, face);
        // Whoever only reads is not made to write.
        if undoes || self.has_written() {
            self.tell_parting(face);
        }
        reply
    }

    fn respond(&self, request: Request, face: &mut dyn Face) -> Result<Reply, BookError> {
        match request {
            Request::New { words } => {
                let added = self.write("new", |desk| people::add(desk, &words))?;
                Ok(Reply::PersonAdded(added.reply(&self.view()?)?))
            }
            Request::Show { who } => self.show(&who),
            Request::List { filter, offset, limit, cards } => {
                let view = self.view()?;
                export::page(&view, &Filter::of(&filter)?, offset, limit, cards).map(Reply::People)
            }
            Request::Find { words, limit } => {
                let view = self.view()?;
                let (hits, more) = search::find(&view, &words, limit)?;
                let (hits, more) = with_organizations(&view, &words, limit, hits, more)?;
                Ok(Reply::Found { hits, more })
            }
            Request::Note { who, text, kind } if self.is_organization(&who)? => {
                let (note, about) = self.write("note", |desk| organizations::note(desk, &who, &text, kind))?;
                let view = self.view()?;
                let (note, organization) = (notes::show(&view, note)?, organizations::row(&view, about)?);
                Ok(Reply::OrganizationNoteAdded { note, organization })
            }
            Request::Note { who, text, kind } => {
                let (note, person) = self.write("note", |desk| notes::add(desk, &who, &text, kind))?;
                let view = self.view()?;
                Ok(Reply::NoteAdded { note: notes::show(&view, note)?, person: people::row(&view, person)? })
            }
            Request::EditText { what } => {
                let view = self.view()?;
                edit_text::text(&view, resolve::record(&view, &what)?).map(Reply::EditText)
            }
            Request::EditApply { id, before, after } => {
                let id = id.parse().map_err(|()| BookError::new(ErrorKind::Usage, format!("{id:?} is no id")))?;
                let (label, changed) = self.write("edit", |desk| edit_text::apply(desk, id, &before, &after))?;
                Ok(Reply::Edited { label, changed })
            }
            Request::Remove { what } => {
                let removed = self.write("rm", |desk| match resolve::record(desk, &what)? {
                    Record::Person(id) => people::remove(desk, id),
                    Record::Note(id) => notes::remove(desk, id),
                    Record::Organization(id) => organizations::remove(desk, id),
                })?;
                Ok(Reply::Removed(removed))
            }
            Request::Organizations { filter } => {
                Ok(Reply::Organizations { organizations: organizations::list(&self.view()?, &filter)? })
            }
            Request::Organization { name, words } => self.organization(&name, &words),
            Request::Import { file_name, bytes, dry_run } => {
                self.import(&Opened::file(&file_name, &bytes)?, &file_name, dry_run, face)
            }
            Request::ImportFolder { folder_name, files, dry_run } => {
                let member = |file: FolderFile| Member { name: file.name, bytes: Some(file.bytes) };
                let members = files.into_iter().map(member).collect();
                self.import(&Opened::archive(&folder_name, members)?, &folder_name, dry_run, face)
            }
            Request::Export { options, filter } => {
                let view = self.view()?;
                export::people(&view, options, &Filter::of(&filter)?).map(Reply::Exported)
            }
            Request::Operations { limit } => self.operations(limit),
            Request::Undo { which } => self.undo(&which, face),
            Request::DeviceList => self.device_list(),
            Request::DeviceRevoke { device } => self.device_revoke(&device),
            Request::DeviceRetire => self.device_retire(),
            Request::DeviceRole { device, role } => self.device_role(&device, &role),
            Request::DeviceRename { device, name } => self.device_rename(&device, &name),
            Request::DeviceLevels => self.levels().map(Reply::Levels),
            Request::RaiseLevel { level, anyway } => self.raise_level(level, anyway),
            Request::DeviceLookUp { device } => self.device_look_up(&device),
            Request::Quarantine => self.quarantine(),
            Request::QuarantineSettle { device, accept } => self.settle_quarantine(device.as_deref(), accept),
            Request::RelayList => self.relay_list(),
            Request::Conflicts { what } => self.conflicts(what.as_deref()),
            Request::Resolve { what, field, with } => {
                self.write("resolve", |desk| conflicts::settle(desk, &what, &field, &with)).map(Reply::Resolved)
            }
            Request::Status => {
                self.tell_newcomers(face)?;
                self.tell_logs(face)?;
                self.status()
            }
            Request::Complete { what, beginning } => {
                self.complete(what, &beginning).map(|words| Reply::Completions { words })
            }
            Request::RelayRemove { url } => self.relay_remove(&url),
            Request::DeviceAdd { .. }
            | Request::DeviceAddByFolder { .. }
            | Request::RelayAdd { .. }
            | Request::Meet(_)
            | Request::Watch(_)
            | Request::Push { .. }
            | Request::Sync
            | Request::SyncFolders { .. }
            | Request::Doctor { .. }
            | Request::SyncWatch => Err(BookError::new(ErrorKind::Usage, "this request needs the network")),
        }
    }

    pub(crate) fn view(&self) -> Result<View, BookError> {
        self.space.view().map_err(fault)
    }

    /// What this device is called.
    pub(crate) fn device_name(&self) -> Result<String, BookError> {
        if let Some(name) = self.device.get() {
            return Ok(name.clone());
        }
        let devices = self.space.devices().map_err(fault)?;
        let name = devices.into_iter().find(|device| device.this).map(|device| device.name).unwrap_or_default();
        Ok(self.device.get_or_init(|| name).clone())
    }

    /// One operation, listed under this name: all of it is kept, or none.
    fn write<T>(&self, name: &str, write: impl FnOnce(&mut dyn Desk) -> Result<T, BookError>) -> Result<T, BookError> {
        self.write_some(&mut self.space.operation(name), write)
    }

    /// A part of an operation that is too much for one transaction.
    fn write_some<T>(
        &self,
        operation: &mut Ongoing,
        write: impl FnOnce(&mut dyn Desk) -> Result<T, BookError>,
    ) -> Result<T, BookError> {
        let device = self.device_name()?;
        let written = operation.write(|edit| write(&mut Transaction::new(edit, &device)).map_err(Stop));
        self.wrote.fetch_or(operation.has_begun(), Ordering::Relaxed);
        written.map_err(|error| match error {
            WriteError::Edit(Stop(error)) => error,
            WriteError::Fault(error) => fault(error),
            _ => BookError::new(ErrorKind::Failed, "the change could not be written"),
        })
    }

    fn show(&self, who: &str) -> Result<Reply, BookError> {
        let view = self.view()?;
        let record = match resolve::record(&view, who) {
            Err(error) if error.kind == ErrorKind::NotFound => {
                let organization = organizations::find(&view, who)?.ok_or(error)?;
                return Ok(Reply::Organization(Box::new(organization)));
            }
            other => other?,
        };
        match record {
            Record::Organization(id) => Ok(Reply::Organization(Box::new(organizations::show(&view, &id.to_string())?))),
            Record::Person(id) => {
                let mut shown = people::show(&view, id)?;
                shown.row.card = Some(export::card(&view, id)?);
                Ok(Reply::Person(Box::new(shown)))
            }
            Record::Note(id) => notes::show(&view, id).map(Reply::Note),
        }
    }

    /// Whether a name means an organization and nobody else.
    fn is_organization(&self, who: &str) -> Result<bool, BookError> {
        let view = self.view()?;
        match resolve::record(&view, who) {
            Ok(record) => Ok(matches!(record, Record::Organization(_))),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(organizations::find(&view, who)?.is_some()),
            Err(_) => Ok(false),
        }
    }

    fn organization(&self, name: &str, words: &[String]) -> Result<Reply, BookError> {
        if words.is_empty() {
            return Ok(Reply::Organization(Box::new(organizations::show(&self.view()?, name)?)));
        }
        let (id, changed) = self.write("org", |desk| organizations::write(desk, name, words))?;
        let view = organizations::show(&self.view()?, &id.to_string())?;
        Ok(Reply::Organization(Box::new(OrganizationView { changed, ..view })))
    }

    fn import(&self, opened: &Opened, name: &str, dry: bool, face: &mut dyn Face) -> Result<Reply, BookError> {
        let mut import = Import::of(opened, name, dry);
        let mut operation = self.space.operation(format!("import {name}"));
        let mut tell = |done, total| {
            face.event(crate::api::Event::Progress { what: "import".to_owned(), done, total: Some(total) });
        };
        loop {
            let (done, total) = import.progress();
            tell(done, total);
            let some = if dry {
                self.try_out(&mut import, &mut tell)?
            } else {
                self.write_some(&mut operation, |desk| import.take_some(desk, &mut tell))?
            };
            if !some {
                return Ok(Reply::Imported(import.report()));
            }
        }
    }

    /// Does everything but keep it.
    fn try_out(&self, import: &mut Import<'_>, tell: &mut dyn FnMut(u64, u64)) -> Result<bool, BookError> {
        let mut some = Ok(false);
        let undone = self.write("import", |desk| {
            some = import.take_some(desk, tell);
            Err::<(), _>(BookError::new(ErrorKind::Failed, "a preview keeps nothing"))
        });
        if some.is_ok() && undone.is_ok() {
            return Err(BookError::new(ErrorKind::Failed, "the preview was not undone"));
        }
        some
    }
}

/// Puts the organizations in which all of the words occur before the rest, and names those that notes are about.
fn with_organizations(
    view: &View,
    words: &[String],
    limit: Option<usize>,
    mut hits: Vec<Hit>,
    mut more: bool,
) -> Result<(Vec<Hit>, bool), BookError> {
    for hit in &mut hits {
        let about = hit.note.as_ref().and_then(|note| note.organizations.first()).filter(|_| hit.person.is_none());
        if let Some(Ok(id)) = about.map(|id| id.parse()) {
            hit.organization = Some(organizations::row(view, id)?);
        }
    }
    let mut found = Vec::new();
    for id in organizations::matching(view, words)? {
        found.push(Hit { organization: Some(organizations::row(view, id)?), ..Hit::default() });
    }
    found.append(&mut hits);
    let limit = limit.unwrap_or(usize::MAX);
    more |= found.len() > limit;
    found.truncate(limit);
    Ok((found, more))
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Book(..)")
    }
}

/// What ends a transaction.
struct Stop(BookError);

impl From<ties_engine::EditError> for Stop {
    fn from(error: ties_engine::EditError) -> Self {
        Self(refused(error))
    }
}
