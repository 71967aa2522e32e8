//! Where the devices of a space meet: relays and mailboxes, and keeping their lists complete.

use ties_net::RelayAddress;
use ties_sealed_log::{
    AccessStatement, CLOSED, DeviceId, GET, KnownPseudonym, MANAGE, MailboxId, PUT, Payload, Pseudonym, PseudonymKey,
    RelayKey, RelayRoad, Roads, Role, StatementBody, decode,
};
use ties_store::{Read, Table, Transaction};
use ties_sync::Message;

use crate::absorb::{absorb_warily, keep_statement};
use crate::attempts::Attempts;
use crate::author::append;
use crate::environment::Environment;
use crate::epochs::{lacking, share};
use crate::level::{owes_level, tell};
use crate::records::{
    CONTACTS, ContactRecord, Fault, PSEUDONYMS, ROADS, RoadRecord, SPACE, SpaceRecord, put_record, record,
};
use crate::relay_link::{LinkFailure, RelayLink};
use crate::removal::owes_word;
use crate::replica::access_list;
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::{Inner, Space};

/// A relay that this space meets at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Road {
    /// The relay's address.
    pub address: String,
    /// Its key.
    pub relay: RelayKey,
    /// The mailbox there.
    pub mailbox: MailboxId,
}

/// Why a road cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoadError {
    /// The address is not one.
    #[error("not a relay's address: {0}")]
    Address(#[from] ties_net::AddressError),
    /// The relay cannot be talked to.
    #[error(transparent)]
    Link(#[from] LinkFailure),
    /// This device's database.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A session broke off.
    #[error(transparent)]
    Conversation(#[from] crate::conversation::ConversationError),
    /// Only an admin can do this.
    #[error("only a device that is an admin can do this")]
    NotAdmin,
}

impl Space {
    /// The relays of this space.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn roads(&self) -> Result<Vec<Road>, Fault> {
        roads(&self.inner.store.read()?)
    }

    /// Meets at a relay from now on: makes a mailbox there, and tells the other devices. A relay that is known already
    /// only gets a new address or its lost mailbox back.
    ///
    /// # Errors
    /// When the relay cannot be reached or refuses. Nothing has changed here then.
    pub async fn add_relay(&self, address: &str, token: Option<[u8; 16]>) -> Result<Road, RoadError> {
        let address: RelayAddress = address.trim().parse()?;
        let known = self.roads()?.into_iter().find(|road| road.relay == address.key());
        let key = self.inner.pseudonym(&address.key())?;
        let mut link = self.inner.dial(&address, &key).await?;
        let statements = match &known {
            Some(road) => statements(&self.inner.store.read().map_err(Fault::from)?, &road.mailbox)?,
            None => vec![self.first_statement(&key, &address.key())?],
        };
        let mailbox = create(&mut link, &statements, token).await?;
        let store = link.greeted.store;
        link.close().await;
        let road = Road { address: address.to_string(), relay: address.key(), mailbox };
        self.inner.adopt(&road, &statements, &key, Some(store))?;
        Ok(road)
    }

    pub(crate) fn first_statement(&self, key: &PseudonymKey, relay: &RelayKey) -> Result<Vec<u8>, RoadError> {
        let snapshot = self.inner.store.read().map_err(Fault::from)?;
        let roster = Roster::load(&snapshot)?;
        let device = device_keys(&snapshot)?.ok_or(Fault::NoKey)?;
        let members = roster.members.as_ref().ok_or(Fault::NoKey)?;
        if members.get(&device.id()).is_none_or(|member| member.role != Role::Admin) {
            return Err(RoadError::NotAdmin);
        }
        let body = StatementBody {
            version: 1,
            mailbox: None,
            parents: Vec::new(),
            grants: vec![(key.id(), PUT | GET | MANAGE)],
            recovery: members.recovery().first().map(|recovery| recovery.mark(relay)),
            random: self.inner.environment().bytes(),
            signer: key.id(),
        };
        Ok(AccessStatement::sign(body, key).bytes().to_vec())
    }
}

/// Asks for a mailbox by its first statement, and brings the later ones: whoever makes a lost mailbox anew need not be
/// on the first.
pub(crate) async fn create(
    link: &mut RelayLink,
    statements: &[Vec<u8>],
    token: Option<[u8; 16]>,
) -> Result<MailboxId, RoadError> {
    let first = statements.first().ok_or(Fault::Damaged("a road without statements"))?;
    link.say(&Message::Create { statement: first.clone().into(), token }).await?;
    let Message::Created { mailbox } = link.answer().await? else {
        return Err(LinkFailure::Protocol(ties_sealed_log::DecodeError::Malformed).into());
    };
    bring(link, statements).await?;
    Ok(mailbox)
}

/// Brings a mailbox's later statements to a relay that may not have them.
pub(crate) async fn bring(link: &mut RelayLink, statements: &[Vec<u8>]) -> Result<(), RoadError> {
    if let [_, later @ ..] = statements
        && !later.is_empty()
    {
        link.say(&Message::Access(later.iter().map(|one| one.clone().into()).collect())).await?;
    }
    Ok(())
}

/// The relays of a space, as far as they are known here.
pub(crate) fn roads(read: &dyn Read) -> Result<Vec<Road>, Fault> {
    let mut roads = Vec::new();
    for (mailbox, bytes) in read.pairs(ROADS, &[])? {
        let mailbox = MailboxId(mailbox.try_into().map_err(|_| Fault::Damaged("a road"))?);
        let kept: RoadRecord = decode(&bytes).map_err(|_| Fault::Damaged("a road"))?;
        roads.push(Road { address: kept.address, relay: kept.relay, mailbox });
    }
    Ok(roads)
}

/// The access statements of a mailbox, parents before children.
pub(crate) fn statements(read: &dyn Read, mailbox: &MailboxId) -> Result<Vec<Vec<u8>>, Fault> {
    let list = access_list(read, mailbox)?;
    Ok(list.map_or_else(Vec::new, |list| list.statements().iter().map(|one| one.bytes().to_vec()).collect()))
}

impl Inner {
    /// The key that this device is known by at a relay.
    pub(crate) fn pseudonym(&self, relay: &RelayKey) -> Result<PseudonymKey, Fault> {
        own_key(&self.store.read()?, relay)
    }

    pub(crate) async fn dial(&self, address: &RelayAddress, key: &PseudonymKey) -> Result<RelayLink, LinkFailure> {
        // The environment cannot be held while waiting; a link's two nonces come from the system.
        RelayLink::open(address, key, &mut Environment::system()).await
    }

    /// Writes down a road, and tells the other devices.
    pub(crate) fn adopt(
        &self,
        road: &Road,
        statements: &[Vec<u8>],
        key: &PseudonymKey,
        store: Option<[u8; 16]>,
    ) -> Result<(), Fault> {
        let mut transaction = self.store.write()?;
        for statement in statements {
            keep_statement(&mut transaction, &road.mailbox, statement)?;
        }
        let kept: Option<RoadRecord> = record(&transaction, ROADS, &road.mailbox.0, "a road")?;
        if kept.is_none_or(|kept| kept.address != road.address) {
            let relays = vec![RelayRoad {
                address: road.address.clone(),
                relay: road.relay,
                mailbox: road.mailbox,
                statements: statements.iter().map(|one| one.clone().into()).collect(),
            }];
            let mine = own_pseudonym(&transaction, &road.relay, &key.id())?;
            self.write_roads(&mut transaction, Roads { relays, pseudonyms: vec![mine], ..Roads::default() })?;
        }
        let contact = ContactRecord { store, ..ContactRecord::default() };
        put_record(&mut transaction, CONTACTS, &road.mailbox.0, &contact)?;
        transaction.commit()?;
        self.committed();
        Ok(())
    }

    /// Seals a roads entry into this device's log and learns from it as any device does.
    pub(crate) fn write_roads(&self, transaction: &mut Transaction, mut roads: Roads) -> Result<(), Fault> {
        roads.parents = heads(transaction)?;
        let entry = append(transaction, &mut self.environment(), &Payload::Roads(roads))?;
        let mut attempts = Attempts::in_folder(self.folder.as_deref());
        absorb_warily(transaction, &*self.projection, vec![entry], &mut attempts)?;
        Ok(())
    }

    /// Keeps what the others rely on complete, before a session: this device's pseudonym is told to them, a manager brings
    /// the mailbox's list to what the members may do, members that lack a key get it, and whoever watches a removal learns
    /// that it is known here. Returns whether anything was missing; writes nothing if not.
    pub(crate) fn tidy(&self, road: &Road) -> Result<bool, Fault> {
        self.tidy_at(Some(road))
    }

    /// As [`Self::tidy`], for all relays, where none of them is met: with no relay at all there are keys and removals still.
    pub(crate) fn tidy_everywhere(&self) -> Result<bool, Fault> {
        let roads = roads(&self.store.read()?)?;
        if roads.is_empty() {
            return self.tidy_at(None);
        }
        let mut any = false;
        for road in &roads {
            any |= self.tidy(road)?;
        }
        Ok(any)
    }

    fn tidy_at(&self, road: Option<&Road>) -> Result<bool, Fault> {
        let snapshot = self.store.read()?;
        let known = road.map(|road| self.pseudonym(&road.relay).map(|key| (road, key))).transpose()?;
        let (mut told, mut wrong) = (true, Vec::new());
        if let Some((road, key)) = &known {
            told = snapshot.get(PSEUDONYMS, &[road.relay.0, key.id().0].concat())?.is_some();
            wrong = mislisted(&snapshot, road, &key.id())?;
        }
        let lacking = lacking(&snapshot)?;
        let owes_word = owes_word(&snapshot)?;
        let receipts = crate::receipts::due(&snapshot, self.now())?.is_some();
        let owes_level = owes_level(&snapshot, self.environment().level())?;
        let nothing = wrong.is_empty() && lacking.is_empty() && !owes_word && !owes_level && !receipts;
        if (told && nothing) || !is_member(&snapshot)? {
            return Ok(false);
        }
        drop(snapshot);
        let mut transaction = self.store.write()?;
        if let Some((road, key)) = &known {
            if !told {
                let mine = own_pseudonym(&transaction, &road.relay, &key.id())?;
                self.write_roads(&mut transaction, Roads { pseudonyms: vec![mine], ..Roads::default() })?;
            }
            if !wrong.is_empty() {
                self.enlist(&mut transaction, road, key, &wrong, Vec::new())?;
            }
        }
        for lack in &lacking {
            share(&mut transaction, &mut self.environment(), lack)?;
        }
        if owes_word && crate::removal::owes_word(&transaction)? {
            append(&mut transaction, &mut self.environment(), &Payload::Beacon)?;
        }
        if owes_level {
            tell(&mut transaction, &mut self.environment())?;
        }
        if receipts {
            crate::receipts::write(&mut transaction, &mut self.environment())?;
        }
        transaction.commit()?;
        self.committed();
        Ok(true)
    }

    /// Puts pseudonyms on a mailbox's list and tells the other devices.
    pub(crate) fn enlist(
        &self,
        transaction: &mut Transaction,
        road: &Road,
        key: &PseudonymKey,
        grants: &[(Pseudonym, u8)],
        pseudonyms: Vec<KnownPseudonym>,
    ) -> Result<(), Fault> {
        let list = access_list(transaction, &road.mailbox)?.ok_or(Fault::Damaged("an access list"))?;
        let body = StatementBody {
            version: 1,
            mailbox: Some(road.mailbox),
            parents: list.heads(),
            grants: grants.to_vec(),
            recovery: None,
            random: self.environment().bytes(),
            signer: key.id(),
        };
        let statement = AccessStatement::sign(body, key);
        keep_statement(transaction, &road.mailbox, statement.bytes())?;
        let relays = vec![RelayRoad {
            address: road.address.clone(),
            relay: road.relay,
            mailbox: road.mailbox,
            statements: vec![statement.bytes().to_vec().into()],
        }];
        self.write_roads(transaction, Roads { relays, pseudonyms, ..Roads::default() })
    }
}

/// Whether this device knows itself to be a member; right after pairing it does not yet.
fn is_member(read: &dyn Read) -> Result<bool, Fault> {
    let device = device_keys(read)?.ok_or(Fault::NoKey)?.id();
    let roster = Roster::load(read)?;
    Ok(roster.members.as_ref().is_some_and(|members| members.get(&device).is_some()))
}

/// What a member of this role may do at a mailbox.
pub(crate) fn flags(role: Role) -> u8 {
    match role {
        // A reader, too, says in its log what it knows; content of it counts for nobody.
        Role::Reader | Role::Writer => PUT | GET,
        Role::Admin => PUT | GET | MANAGE,
    }
}

/// This device's pseudonym at a relay, signed for the other members.
pub(crate) fn own_pseudonym(read: &dyn Read, relay: &RelayKey, pseudonym: &Pseudonym) -> Result<KnownPseudonym, Fault> {
    let space: SpaceRecord = record(read, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let device = device_keys(read)?.ok_or(Fault::NoKey)?;
    let signature = device.sign_pseudonym(&space.space, relay, pseudonym).to_vec().into();
    Ok(KnownPseudonym { device: device.id(), relay: *relay, pseudonym: *pseudonym, signature })
}

/// All maximal membership entries known here.
pub(crate) fn heads(read: &dyn Read) -> Result<Vec<ties_sealed_log::EntryName>, Fault> {
    let roster = Roster::load(read)?;
    Ok(roster.members.as_ref().ok_or(Fault::NoKey)?.heads().to_vec())
}

/// What a mailbox's list should say and does not, if this device may say it: of members what they may do, of devices that
/// were shut out that they are closed.
pub(crate) fn mislisted(read: &dyn Read, road: &Road, own: &Pseudonym) -> Result<Vec<(Pseudonym, u8)>, Fault> {
    let Some(list) = access_list(read, &road.mailbox)? else { return Ok(Vec::new()) };
    if list.flags(own) & (MANAGE | CLOSED) != MANAGE {
        return Ok(Vec::new());
    }
    let known = read.pairs(PSEUDONYMS, &road.relay.0)?;
    let roster = Roster::load(read)?;
    let Some(members) = &roster.members else { return Ok(Vec::new()) };
    let mut wrong = Vec::new();
    for (key, device) in known {
        let pseudonym = Pseudonym(key[32..].try_into().map_err(|_| Fault::Damaged("a pseudonym"))?);
        let device = DeviceId(device.try_into().map_err(|_| Fault::Damaged("a pseudonym"))?);
        let (said, wanted) = (list.flags(&pseudonym), members.get(&device).map(|member| flags(member.role)));
        match wanted {
            Some(wanted) if said != wanted => wrong.push((pseudonym, wanted)),
            None if said & CLOSED == 0 && said != 0 => wrong.push((pseudonym, CLOSED)),
            _ => {}
        }
    }
    Ok(wrong)
}

/// The key that this device is known by at a relay.
pub(crate) fn own_key(read: &dyn Read, relay: &RelayKey) -> Result<PseudonymKey, Fault> {
    let space: SpaceRecord = record(read, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    Ok(device_keys(read)?.ok_or(Fault::NoKey)?.pseudonym(&space.space, relay))
}
