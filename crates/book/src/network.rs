//! What a book does with others: relays, syncing, pairing.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use ties_engine::{
    Arrival, ConnectError, ConversationError, DialError, Doors, HandshakeError, Invitation, JoinOptions, LinkFailure,
    News, PairError, PairingError, Refusal, Road, RoadError, RoadReport, Role, SessionError, Space, SyncEvent,
};

use crate::api::{
    BookError, Environment, ErrorKind, Event, Face, Guest, Join, Joined, Pairing, RelaySync, Reply, Secret, SyncReport,
};
use crate::book::Book;
use crate::devices::{self, instant, role};
use crate::engine::{BookRows, fault};
use crate::peers::{self, addresses};
use crate::{environment, folders, opening};

impl Book {
    /// Makes the book of another device this device's too, as the guest of a code or ticket, and fetches everything. To be
    /// called on a tokio runtime with time and IO.
    ///
    /// # Errors
    /// When the folder holds a book, the code or ticket is void, the relay cannot be reached or the other device declines.
    /// Nothing is kept then. A first exchange that fails is no error but stands in [`Joined::sync`].
    pub async fn join(
        dir: &Path,
        join: Join,
        from: Environment,
        face: &mut dyn Face,
    ) -> Result<(Self, Joined), BookError> {
        opening::must_not_exist(dir)?;
        let device_name = devices::name(&join.device_name)?;
        let from = environment::of(&from, dir, 0)?;
        let invitation = join.invitation.expose().trim();
        let peers = addresses(join.peer.as_slice())?;
        let by_code = is_code(invitation);
        if by_code && join.relay.is_none() && peers.is_empty() && !join.lan {
            return Err(BookError::new(ErrorKind::Usage, "a code needs the relay to meet at").hint(
                "the other device shows it: ties device join CODE --relay URL; or --peer HOST, on one network with it",
            ));
        }
        if join.lan && peers.is_empty() && by_code && join.relay.is_none() {
            face.event(Event::Looking);
        }
        let mut announce = |host: Option<&str>, words: &str| {
            face.event(Event::Fingerprint { host: host.map(str::to_owned), words: words.to_owned() });
        };
        let options = JoinOptions { device_name: device_name.clone(), relay: join.relay, peers, lan: join.lan };
        let arrival = match by_code {
            true => Space::join_by_code(dir, BookRows, invitation, &options, from, announce).await,
            false => Space::join(dir, BookRows, invitation, &options, from, |words| announce(None, words)).await,
        };
        let Arrival { space, met } = arrival.map_err(|error| pairing(dir, Side::Guest, error))?;
        let book = Self::on(space);
        let sync = match met {
            Some(met) => SyncReport { devices: vec![peers::report(met)], ..SyncReport::default() },
            None => book.sync(face).await?,
        };
        let host_name = book.host_name()?;
        Ok((book, Joined { device_name, host_name, sync }))
    }

    pub(crate) async fn relay_add(&self, url: &str, token: Option<&Secret>) -> Result<Reply, BookError> {
        if let Some(path) = folders::path_of(url.trim()) {
            return match token {
                None => self.folder_add(path),
                Some(_) => Err(BookError::new(ErrorKind::Usage, "a folder asks for no token")),
            };
        }
        let token = token.map(|token| invite_token(token.expose())).transpose()?;
        let road = self.space.add_relay(url, token).await.map_err(|error| unusable(url, error))?;
        Ok(Reply::RelayAdded { url: road.address })
    }

    pub(crate) async fn sync(&self, face: &mut dyn Face) -> Result<SyncReport, BookError> {
        let mut folders = self.sync_standing_folders(face).await?;
        if folders.is_empty() && self.space.roads().map_err(fault)?.is_empty() {
            return Err(no_relay());
        }
        // What a stick brought goes on to the relays at once.
        let reports = self.space.sync(|event| self.tell(face, event)).await.map_err(fault)?;
        self.tell_newcomers(face)?;
        self.tell_logs(face)?;
        let received = |report: &RoadReport| report.outcome.as_ref().is_ok_and(|tally| tally.entries_received > 0);
        if reports.iter().any(received) {
            let again = self.sync_standing_folders(face).await?;
            folders = folders::both(folders, again);
        }
        let relays = reports.into_iter().map(relay_sync);
        Ok(SyncReport { relays: relays.chain(folders).collect(), ..SyncReport::default() })
    }

    pub(crate) async fn sync_watch(&self, face: &mut dyn Face) -> Result<Reply, BookError> {
        if self.space.roads().map_err(fault)?.is_empty() {
            return Err(no_relay());
        }
        self.watch_relays(face).await?;
        Err(BookError::new(ErrorKind::Failed, "watching ended by itself"))
    }

    /// Stays in touch with the relays there are and with those that are added.
    pub(crate) async fn watch_relays(&self, face: &mut dyn Face) -> Result<(), BookError> {
        let watched = |event| {
            let received = matches!(event, SyncEvent::News(_, News::Received { .. }));
            self.tell(face, event);
            if received {
                // What cannot be read now is told by the next command.
                let _ = self.tell_newcomers(face);
                let _ = self.tell_logs(face);
                let _ = self.tell_conflicts(face);
            }
        };
        self.space.sync_watch(watched).await.map_err(fault)
    }

    /// Brings every relay what it lacks, all at once and for no longer than `within`.
    pub(crate) async fn push(&self, within: Duration, face: &mut dyn Face) -> Result<SyncReport, BookError> {
        let reports = self.space.push(within, |event| self.tell(face, event)).await.map_err(fault)?;
        Ok(SyncReport { relays: reports.into_iter().map(relay_sync).collect(), ..SyncReport::default() })
    }

    pub(crate) async fn device_add(&self, by: Pairing, doors: Doors, face: &mut dyn Face) -> Result<Reply, BookError> {
        let here = |error| pairing(Path::new(""), Side::Host, error);
        let mut invitation = match by {
            Pairing::Code => self.invite_by_code(&doors, face).await.map_err(here)?,
            Pairing::Ticket => self.invite_by_ticket(&doors, face).await.map_err(here)?,
        };
        let guest = invitation.guest().await.map_err(here)?;
        let shown = Guest {
            name: guest.name.clone(),
            fingerprint: guest.fingerprint.clone(),
            role: role(GUESTS_ARE).to_owned(),
        };
        if !face.confirm(shown).await {
            invitation.decline().await.map_err(here)?;
            return Err(BookError::new(ErrorKind::Failed, "the device was turned away; nothing was changed"));
        }
        if let Some(met) = invitation.accept(&guest, GUESTS_ARE).await.map_err(here)? {
            if let Err(error) = &met.outcome {
                let why = in_one_line(error);
                let text = format!("not everything was exchanged ({why}); the next sync between the two does the rest");
                face.event(Event::Notice { text });
            }
            self.tell_relays().await;
        }
        Ok(Reply::DeviceAdded { name: guest.name })
    }

    /// Tells the relays, as far as they are there, of a device that did not come by them: it may want to go there next.
    async fn tell_relays(&self) {
        let telling = self.space.sync(|_| ());
        // They are told at the next sync otherwise.
        let _ = tokio::time::timeout(TELL_WITHIN, telling).await;
    }

    async fn invite_by_code(&self, doors: &Doors, face: &mut dyn Face) -> Result<Invitation, PairError> {
        let invitation = self.space.invite_by_code(doors).await?;
        if let Some(failure) = invitation.unreachable() {
            let why = in_one_line(failure);
            face.event(Event::Notice { text: format!("the new device has to be on this network: {why}") });
        }
        face.event(Event::Code {
            code: Secret::new(invitation.code()),
            relay: invitation.relay().map(str::to_owned),
            peer: invitation.place(),
            expires: instant(invitation.expires()),
        });
        invitation.tried().await
    }

    async fn invite_by_ticket(&self, doors: &Doors, face: &mut dyn Face) -> Result<Invitation, PairError> {
        let invitation = self.space.invite(doors, TICKET_LASTS).await?;
        let expires = instant(self.space.now().saturating_add(TICKET_LASTS.as_millis() as u64));
        let ticket = Secret::new(invitation.ticket().as_str());
        face.event(Event::Ticket { ticket, peer: invitation.place(), expires });
        Ok(invitation)
    }

    /// Says once which devices others let in: whoever got hold of one of them shall not do it unseen.
    pub(crate) fn tell_newcomers(&self, face: &mut dyn Face) -> Result<(), BookError> {
        if !face.listens() {
            return Ok(());
        }
        let newcomers = self.space.newcomers().map_err(fault)?;
        if newcomers.is_empty() {
            return Ok(());
        }
        let devices = self.space.devices().map_err(fault)?;
        for newcomer in newcomers {
            let host = devices.iter().find(|device| device.id == newcomer.added_by);
            let host = host.map_or_else(String::new, |host| format!(", let in by {}", host.name));
            let text = format!("a new device: {}{host} (fingerprint {})", newcomer.name, newcomer.id.fingerprint());
            face.event(Event::Notice { text });
        }
        Ok(())
    }

    pub(crate) fn tell(&self, face: &mut dyn Face, event: SyncEvent) {
        let said = match event {
            SyncEvent::News(_, News::Forked { log }) => self.fork(&log),
            event => said(event),
        };
        if let Some(event) = said {
            face.event(event);
        }
    }

    /// What the device that admitted this one is called.
    pub(crate) fn host_name(&self) -> Result<String, BookError> {
        let devices = self.space.devices().map_err(fault)?;
        let host = devices.iter().find(|device| device.this).map(|device| device.added_by);
        let host = devices.iter().find(|device| !device.this && Some(device.id) == host);
        Ok(host.map_or_else(|| "another device".to_owned(), |device| device.name.clone()))
    }
}

/// What came of one relay, for its user.
fn relay_sync(report: RoadReport) -> RelaySync {
    match report.outcome {
        Ok(tally) => RelaySync {
            url: report.road.address,
            sent: tally.entries_sent as u64,
            received: tally.entries_received as u64,
            bytes_out: tally.bytes_sent as u64,
            bytes_in: tally.bytes_received as u64,
            error: tally.refusal.map(|reason| format!("the relay takes no more: {reason}")),
            hint: tally.refusal.and_then(against).map(str::to_owned),
        },
        Err(error) => RelaySync {
            url: report.road.address,
            hint: help(&error).map(str::to_owned),
            error: Some(in_one_line(&error)),
            ..RelaySync::default()
        },
    }
}

/// What a paired device may do; who belongs is decided on the first one.
pub(crate) const GUESTS_ARE: Role = Role::Writer;

/// How long the relays are waited for after a pairing that had no need of them.
const TELL_WITHIN: Duration = Duration::from_secs(5);

/// How long a ticket is good for.
const TICKET_LASTS: Duration = Duration::from_secs(60 * 60);

/// What a step of a sync is to the user.
fn said(event: SyncEvent) -> Option<Event> {
    let url = |road: Road| road.address;
    Some(match event {
        SyncEvent::Connected(road) => Event::Connected { url: url(road) },
        SyncEvent::RelayReset(road) => {
            notice(&road, "was wiped or restored since the last time; it gets back what it lost")
        }
        SyncEvent::MailboxRestored(road) => notice(&road, "had lost the mailbox; it was made again"),
        SyncEvent::Folder(path, news) => folders::said(&path, &news),
        SyncEvent::News(road, News::Received { entries, .. }) => {
            Event::Exchanged { url: url(road), sent: 0, received: entries as u64 }
        }
        SyncEvent::News(road, News::Settled) => Event::UpToDate { url: url(road) },
        SyncEvent::News(road, News::Refused { reason, .. }) => {
            notice(&road, &format!("takes nothing more of a device's log: {reason}"))
        }
        SyncEvent::News(road, News::Alert(kind)) => notice(&road, devices::accusation(kind)),
        SyncEvent::News(_, News::Forked { .. } | News::Acknowledged { entries: 0 }) => return None,
        SyncEvent::News(road, News::Acknowledged { entries }) => {
            Event::Exchanged { url: url(road), sent: entries as u64, received: 0 }
        }
        SyncEvent::Retrying(road, reason, pause) => {
            let retry_ms = u64::try_from(pause.as_millis()).ok();
            Event::Disconnected { url: url(road), reason, retry_ms }
        }
    })
}

fn notice(road: &Road, what: &str) -> Event {
    Event::Notice { text: format!("{} {what}", road.address) }
}

/// 128 bits as an operator hands them on: 32 hexadecimal digits.
fn invite_token(text: &str) -> Result<[u8; 16], BookError> {
    let text = text.trim();
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
    number.map(u128::to_be_bytes).ok_or_else(|| {
        BookError::new(ErrorKind::Usage, "this is no invite token").hint("a token has 32 hexadecimal digits")
    })
}

fn no_relay() -> BookError {
    BookError::new(ErrorKind::Failed, "there is no relay to sync with")
        .hint("ties relay add URL, or ties sync --folder DIR for a stick or a synced folder")
}

pub(crate) fn unusable(url: &str, error: RoadError) -> BookError {
    let kind = match error {
        RoadError::Address(_) => ErrorKind::Usage,
        _ => ErrorKind::Failed,
    };
    let hint = match error {
        RoadError::Address(_) => Some("ties relay serve prints the address of a relay when it is ready"),
        RoadError::NotAdmin => Some("run this on the device that the network was started on"),
        _ => help(&error),
    };
    let failed = BookError::new(kind, format!("the relay {url} cannot be used")).caused_by(in_one_line(&error));
    BookError { hint: hint.map(str::to_owned), ..failed }
}

/// What helps when a relay cannot be talked to.
fn help(error: &RoadError) -> Option<&'static str> {
    match error {
        RoadError::Link(LinkFailure::Refused(reason) | LinkFailure::Handshake(HandshakeError::Refused(reason)))
        | RoadError::Conversation(ConversationError::Session(SessionError::Refused(reason))) => against(*reason),
        RoadError::Link(LinkFailure::Handshake(HandshakeError::WrongRelay))
        | RoadError::Link(LinkFailure::Connect(ConnectError::WrongKey)) => Some(
            "compare the address with what the relay printed; if its key was lost, add it again with the new address",
        ),
        RoadError::Link(LinkFailure::Connect(failure)) => match failure {
            ConnectError::Certificate(_) => Some(
                "behind a proxy a public authority must have signed the certificate; a relay's own --tls-cert may be any",
            ),
            ConnectError::Busy => Some("try again in a moment"),
            ConnectError::Unknown { .. } | ConnectError::Unreachable(_) | ConnectError::TimedOut => {
                Some("everything is kept here; sync again when the relay can be reached")
            }
            _ => Some("is this the address that the relay printed when it was ready?"),
        },
        RoadError::Link(LinkFailure::Protocol(_))
        | RoadError::Conversation(ConversationError::Session(SessionError::Peer(_))) => {
            Some("what answers there is broken or not a relay; everything is kept here, ask its operator")
        }
        _ => None,
    }
}

/// What helps against a refusal.
fn against(reason: Refusal) -> Option<&'static str> {
    match reason {
        Refusal::Token => Some("ask the relay's operator for a token, then: ties relay add URL --token-file FILE"),
        Refusal::Spent => Some("ask the relay's operator for a new token, then: ties relay add URL --token-file FILE"),
        Refusal::Quota | Refusal::Logs | Refusal::Pseudonyms => Some(
            "everything is kept here; ask the relay's operator for more room, or add another relay: ties relay add URL",
        ),
        Refusal::Branches => Some(
            "this disk was set back to one state more often than can be merged: keep what it holds with ties export, then \
             pair it anew (--home DIR, ties device join), and sync before writing whenever it is set back",
        ),
        Refusal::Mailboxes => Some("ask the relay's operator for a token, or try again tomorrow"),
        Refusal::NotPermitted => Some(
            "this device was shut out, or the relay has not heard of it yet: ties device list on another device tells",
        ),
        Refusal::Busy => Some("try again in a moment"),
        Refusal::Version => Some("this program or the relay is too old: upgrade the older one"),
        _ => None,
    }
}

/// Whether somebody means a code rather than a ticket.
fn is_code(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

/// Which of two devices that pair something went wrong on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Host,
    Guest,
}

pub(crate) fn pairing(dir: &Path, side: Side, error: PairError) -> BookError {
    let (message, hint) = match error {
        PairError::Open(error) => return opening::error(dir, error),
        PairError::Road(RoadError::Fault(error)) => return fault(error),
        PairError::Ticket(_) => ("the ticket cannot be used", Some("on the other device: ties device add --ticket")),
        PairError::Code(_) => {
            ("this is no code", Some("nothing was sent, so it is still good: look again and retype it"))
        }
        PairError::NoSuchCode | PairError::CodeTaken => ("the code cannot be used", Some(NEW_CODE_THERE)),
        PairError::Pairing(PairingError::WrongCode) => match side {
            Side::Guest => ("the code is wrong, and used up now", Some(NEW_CODE_THERE)),
            Side::Host => (
                "a device came with a wrong code; this one is used up now, and nothing was changed",
                Some("ties device add makes a new code; if nobody mistyped it, somebody tried to guess"),
            ),
        },
        PairError::PartnerLeft => match side {
            Side::Guest => ("the other device went away before it let this one in", Some(NEW_CODE_THERE)),
            Side::Host => ("the new device went away; nothing was changed", Some(NEW_CODE_HERE)),
        },
        PairError::Depot(_) => {
            ("the folder to meet in cannot be used", Some("is the stick or drive there, and may it be written?"))
        }
        PairError::ByFolder => (
            "this ticket is for meeting in a folder",
            Some("ties device join - --folder DIR, with the same folder here"),
        ),
        PairError::NotByFolder => ("this ticket is for meeting at a relay", Some("ties device join -")),
        PairError::NobodyCame => ("no device came in time", Some("ties device add makes a new code or ticket")),
        PairError::NoRoad => (
            "there is no relay to meet at",
            Some(
                "ties relay add URL; or meet on this network: ties device add without --no-lan and TIES_NO_LAN, or --listen",
            ),
        ),
        PairError::NobodyNear => (
            "no device of this network waits for this one",
            Some(
                "are both on one network? if it hides them from each other, add --peer HOST:PORT as the other device shows it",
            ),
        ),
        PairError::SeveralNear => (
            "more than one device of this network waits under this number; nothing was sent",
            Some("add --peer HOST:PORT as the other device shows it, or have it make a new code"),
        ),
        PairError::Lan(_) => (
            "this network cannot be searched",
            Some("add --peer HOST:PORT, or --relay URL, as the other device shows it"),
        ),
        PairError::Dial(DialError::NotRecognised) => (
            "the other device does not wait for this one",
            Some("on the other device: ties device add makes a new code or ticket"),
        ),
        PairError::Dial(_) => (
            "the other device cannot be reached",
            Some("is it still waiting, on this network, and at the address that it shows?"),
        ),
        PairError::Listen(_) => {
            ("this device cannot wait for the new one", Some("is another ties there? --listen PORT takes another port"))
        }
        PairError::NotAdmin => {
            ("this device may not let others in", Some("run this on the device that the network was started on"))
        }
        PairError::Cut(_) | PairError::Road(RoadError::Link(LinkFailure::Closed | LinkFailure::Link(_))) => {
            ("the relay was lost while pairing", Some(if side == Side::Guest { NEW_CODE_THERE } else { NEW_CODE_HERE }))
        }
        PairError::Road(RoadError::Link(LinkFailure::Refused(Refusal::Busy))) => {
            ("the relay has too much to do", Some("try again in ten minutes"))
        }
        PairError::Road(RoadError::Link(LinkFailure::Refused(Refusal::NotPermitted))) => {
            ("the relay does not know this device yet", Some("ties sync, then try again"))
        }
        PairError::Road(RoadError::Address(_)) if side == Side::Guest => {
            let failed = BookError::new(ErrorKind::Usage, "this is no address of a relay");
            return failed.caused_by(in_one_line(&error)).hint("the other device shows it beside the code");
        }
        PairError::Road(_) if side == Side::Guest => (
            "the relay to meet at cannot be used",
            Some("check the address: the other device shows it beside the code"),
        ),
        PairError::Road(_) => ("the relay to meet at cannot be used", Some("ties status shows how the relays are")),
        _ => ("the devices were not paired", None),
    };
    let kind = if matches!(error, PairError::Code(_)) { ErrorKind::Usage } else { ErrorKind::Failed };
    let failed = BookError::new(kind, message).caused_by(in_one_line(&error));
    BookError { hint: hint.map(str::to_owned), ..failed }
}

const NEW_CODE_THERE: &str = "on the other device: ties device add makes a new code";
const NEW_CODE_HERE: &str = "ties device add makes a new code";

/// An error with what is behind it.
pub(crate) fn in_one_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_token_is_32_digits() {
        assert_eq!(invite_token(" 000102030405060708090a0b0c0d0e0f\n").unwrap()[15], 15);
        for bad in ["", "+00102030405060708090a0b0c0d0e0f", "0", "zz0102030405060708090a0b0c0d0e0f"] {
            assert_eq!(invite_token(bad).unwrap_err().kind, ErrorKind::Usage, "{bad}");
        }
    }
}
