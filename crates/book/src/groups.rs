//! Groups of people in an address book, which become tags.

use ties_model::Person;

use crate::api::{BookError, Reject};
use crate::desk::Desk;
use crate::id::Id;
use crate::import::person_id;
use crate::people::loaded;
use crate::rows::{self, Index};
use crate::vcard::Group;

/// Gives those members of a group its name as a tag who came from elsewhere than its file, and says what became of it.
///
/// Those in the file got it with their first state: whoever took the tag off them since does not get it back.
pub(crate) fn tag(desk: &mut dyn Desk, group: &Group) -> Result<Reject, BookError> {
    let mut tagged = group.here.len();
    for member in group.members.difference(&group.here) {
        let Some(id) = find(desk, member)? else { continue };
        let (document, _) = loaded(desk, id)?;
        let mut person = Person::read(&document);
        if person.keywords.insert(group.name.clone()) {
            desk.change(id, &mut |tx| person.write(tx).map(drop))?;
        }
        tagged += 1;
    }
    let missing = group.members.len() - tagged;
    let mut reason = format!("the group {}: its members have the tag of that name ({tagged})", group.name);
    if missing > 0 {
        reason.push_str(&format!("; not in this book: {missing}"));
    }
    if group.left_out > 0 {
        reason.push_str(&format!("; {} of its own properties were left out", group.left_out));
    }
    Ok(Reject { line: group.line, reason })
}

fn find(desk: &dyn Desk, member: &str) -> Result<Option<Id>, BookError> {
    if let Some(mail) = member.strip_prefix("mailto:") {
        return Ok(rows::ids(desk, &Index::Mail.exactly(mail))?.first().copied());
    }
    let id = person_id(desk, member)?;
    Ok(rows::person(desk, id)?.map(|_| id))
}
