//! What the words say to relays: who may use the mailboxes from now on.

use std::collections::BTreeMap;

use ties_sealed_log::{
    AccessList, AccessStatement, CLOSED, DeviceId, MAX_GRANTS, Payload, Pseudonym, RECOVERY, RecoveryCert,
    RecoveryKeys, RelayRoad, Roads, StatementBody,
};
use ties_store::{Read, Transaction};

use crate::absorb::{absorb, keep_statement};
use crate::author::append;
use crate::document::Projection;
use crate::environment::Environment;
use crate::records::{Fault, PSEUDONYMS};
use crate::replica::access_list;
use crate::roads::{Road, flags, heads, own_pseudonym, roads};
use crate::roster::Roster;
use crate::secrets::device_keys;

/// What is said of those who are on a mailbox's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word<'c> {
    /// This device is let in; of the others nothing is said.
    LetIn,
    /// The members are let in, and nobody else.
    Renew,
    /// Another recovery key takes the place of the one that says it.
    Successor(&'c RecoveryCert),
}

/// Signs an access statement by the recovery key for each mailbox that knows it, and tells the other devices.
pub(super) fn speak(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    environment: &mut Environment,
    keys: &RecoveryKeys,
    word: Word<'_>,
) -> Result<(), Fault> {
    let key = keys.pseudonym();
    let space = Roster::load(transaction)?.space.space;
    let device = device_keys(transaction)?.ok_or(Fault::NoKey)?;
    let (mut relays, mut pseudonyms) = (Vec::new(), Vec::new());
    for road in roads(transaction)? {
        let Some(list) = access_list(transaction, &road.mailbox)? else { continue };
        // A mailbox of a time without words does not hear them.
        if !list.recovery().contains(&key.id().recovery_mark(&road.relay)) {
            continue;
        }
        let own = device.pseudonym(&space, &road.relay).id();
        pseudonyms.push(own_pseudonym(transaction, &road.relay, &own)?);
        let grants = grants(transaction, &road, &list, &own, word)?;
        let (mut statements, mut parents) = (Vec::new(), list.heads());
        for grants in grants.chunks(MAX_GRANTS) {
            let body = StatementBody {
                version: 1,
                mailbox: Some(road.mailbox),
                parents,
                grants: grants.to_vec(),
                recovery: Some(road.relay.0),
                random: environment.bytes(),
                signer: key.id(),
            };
            let statement = AccessStatement::sign(body, &key);
            keep_statement(transaction, &road.mailbox, statement.bytes())?;
            parents = vec![statement.name()];
            statements.push(statement.bytes().to_vec().into());
        }
        relays.push(RelayRoad { address: road.address, relay: road.relay, mailbox: road.mailbox, statements });
    }
    if relays.is_empty() {
        return Ok(());
    }
    let said = Roads { parents: heads(transaction)?, relays, pseudonyms, openings: Vec::new() };
    let entry = append(transaction, environment, &Payload::Roads(said))?;
    absorb(transaction, projection, vec![entry]).map(drop)
}

fn grants(
    read: &dyn Read,
    road: &Road,
    list: &AccessList,
    own: &Pseudonym,
    word: Word<'_>,
) -> Result<Vec<(Pseudonym, u8)>, Fault> {
    let roster = Roster::load(read)?;
    let members = roster.members.as_ref().ok_or(Fault::NoKey)?;
    let device = device_keys(read)?.ok_or(Fault::NoKey)?.id();
    let may = |device: &DeviceId| members.role(device).map_or(CLOSED, flags);
    Ok(match word {
        Word::LetIn => vec![(*own, may(&device))],
        Word::Successor(successor) => vec![(Pseudonym(successor.mark(&road.relay)), RECOVERY)],
        Word::Renew => {
            let mut all: BTreeMap<Pseudonym, u8> = list.members().into_keys().map(|who| (who, CLOSED)).collect();
            for (key, whose) in read.pairs(PSEUDONYMS, &road.relay.0)? {
                let who = Pseudonym(key[32..].try_into().map_err(|_| Fault::Damaged("a pseudonym"))?);
                let whose = DeviceId(whose.try_into().map_err(|_| Fault::Damaged("a pseudonym"))?);
                all.insert(who, may(&whose));
            }
            all.insert(*own, may(&device));
            // Of more than fit in one statement the members come first.
            let mut all: Vec<_> = all.into_iter().collect();
            all.sort_by_key(|(who, flags)| (*flags == CLOSED, *who));
            all
        }
    })
}
