use super::*;
use crate::desk::testing::MemoryDesk;
use crate::{people, resolve};

fn desk() -> MemoryDesk {
    let mut desk = MemoryDesk::new();
    for words in
        [&["Ada", "org:Acme GmbH"], &["Bob", "org:ACME"], &["Cleo", "org:Acmeology"], &["Dora", "org:Acme Labs"]]
    {
        people::add(&mut desk, &words.map(str::to_owned)).unwrap();
    }
    desk
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn names(view: &OrganizationView) -> Vec<&str> {
    view.people.iter().map(|person| person.name.as_str()).collect()
}

#[test]
fn spellings_of_one_organization_have_one_key() {
    for name in
        ["Acme", "ACME Inc.", "acme, Inc", "Acmé GmbH & Co. KG", "Acme e.V.", "Acme S.p.A.", "  Acme  Co., Ltd. "]
    {
        assert_eq!(key(name), "acme", "{name}");
    }
    for (name, expected) in [("AG", "ag"), ("Acme Labs", "acme labs"), ("Inc Ltd", "inc"), ("🚀", "🚀"), ("", "")] {
        assert_eq!(key(name), expected, "{name}");
    }
    assert_eq!(key(&key("The Limited Company")), key("The Limited Company"));
}

#[test]
fn ids_of_organizations_are_frozen() {
    assert_eq!(id("Acme GmbH"), id("ACME"));
    assert_eq!(id("Acme").to_string(), Id::imported("organization", "acme").to_string());
}

#[test]
fn people_belong_to_a_company_by_its_name_never_by_a_piece_of_it() {
    let desk = desk();
    let view = show(&desk, "acme inc").unwrap();
    assert_eq!(names(&view), ["Ada", "Bob"]);
    assert_eq!((view.row.id.as_deref(), view.row.people), (None, 2));
    assert_eq!(show(&desk, "acm").unwrap_err().kind, ErrorKind::NotFound);
    let listed: Vec<_> = list(&desk, &[]).unwrap().into_iter().map(|one| (one.name, one.people)).collect();
    assert_eq!(listed, [("ACME".to_owned(), 2), ("Acme Labs".to_owned(), 1), ("Acmeology".to_owned(), 1)]);
    assert_eq!(list(&desk, &words("labs")).unwrap().len(), 1);
}

#[test]
fn the_first_write_makes_the_record_and_the_next_ones_use_it() {
    let mut desk = desk();
    let documents = desk.documents.len();
    let (id, changed) =
        write(&mut desk, "Acme", &words("kind:company domain:Acme.example https://acme.example +client")).unwrap();
    assert_eq!(changed, ["domains", "kind", "link", "tags"]);
    assert_eq!(desk.documents.len(), documents + 1);
    note(&mut desk, "acme gmbh", "Moved to Graz", NoteKind::Fact).unwrap();
    write(&mut desk, "ACME", &words("location:Graz kind:- alias:Acme-Labs")).unwrap();
    assert_eq!(desk.documents.len(), documents + 2, "the record and the note");
    let view = show(&desk, "Acme Ltd").unwrap();
    assert_eq!((view.row.location.as_str(), view.row.kind.as_str()), ("Graz", ""));
    assert_eq!(names(&view), ["Ada", "Bob", "Dora"], "also under the alias");
    assert_eq!(view.notes[0].body, "Moved to Graz");
    assert_eq!(resolve::record(&desk, view.row.short.as_deref().unwrap()), Ok(Record::Organization(id)));
    assert_eq!(resolve::record(&desk, "acme"), Ok(Record::Organization(id)));
    assert_eq!(matching(&desk, &words("graz")).unwrap(), [id]);
    assert_eq!(show(&desk, &id.to_string()).unwrap(), view);
}

#[test]
fn an_organization_may_have_nobody() {
    let mut desk = desk();
    write(&mut desk, "Rotary Club Wien", &words("kind:association")).unwrap();
    assert_eq!(show(&desk, "rotary club wien").unwrap().row.people, 0);
    assert_eq!(write(&mut desk, "x", &words("kind:circus")).unwrap_err().kind, ErrorKind::Usage);
    assert_eq!(write(&mut desk, "x", &words("colour:red")).unwrap_err().kind, ErrorKind::Usage);
    assert_eq!(write(&mut desk, " ", &words("kind:school")).unwrap_err().kind, ErrorKind::Usage);
}

#[test]
fn a_deleted_record_can_be_begun_again() {
    let mut desk = desk();
    let (id, _) = write(&mut desk, "Acme", &words("industry:Anvils")).unwrap();
    note(&mut desk, "Acme", "tea", NoteKind::Note).unwrap();
    assert_eq!(remove(&mut desk, id).unwrap().notes, 1);
    let view = show(&desk, "Acme").unwrap();
    assert_eq!((view.row.id.as_deref(), view.row.people, view.notes.len()), (None, 2, 0), "its people stay");
}
