//! People, organizations and notes as plain values, and how they lie in Automerge documents so that two devices' edits merge.
//!
//! Every record is a document of its own. All its fields are scalars under flat keys at the root
//! (`emails/8c1f…/address`), because two devices that create one nested map concurrently lose one of them. Reading
//! ([`Person::read`]) ignores what it does not know; writing ([`Person::write`]) touches only what differs, so fields
//! of a later version of this program stay, and edits of different fields on different devices both survive.
//!
//! The crate is pure: no clock, no randomness, no files. It knows nothing of vCard beyond the forms of a date.
//!
//! Start from [`Person`], [`OrganizationRecord`], [`Note`] and [`PartialDate`].
//!
//! ```
//! use automerge::{AutoCommit, ActorId};
//! use ties_model::{Email, Person, contact_key, mail_key};
//!
//! let mut document = AutoCommit::new().with_actor(ActorId::from(b"phone".as_slice()));
//! let mut ada = Person::default();
//! ada.name.full = "Ada Lovelace".into();
//! let key = contact_key("email", &mail_key("Ada@Example.org"));
//! ada.emails.insert(key, Email { address: "Ada@Example.org".into(), ..Email::default() });
//!
//! assert_eq!(ada.write(&mut document)?, 3);
//! assert_eq!(ada.write(&mut document)?, 0, "nothing differs any more");
//! assert_eq!(Person::read(&document), ada);
//! # Ok::<(), ties_model::WriteError>(())
//! ```

mod contested;
mod date;
mod fields;
mod items;
mod key;
mod layout;
mod note;
mod organization;
mod person;
mod reimport;
mod seed;

pub use contested::{Claim, Contested, Setting, contested_keys};
pub use date::{DateError, PartialDate};
pub use fields::{DocumentKind, WriteError};
pub use items::{
    Address, Anniversary, AnniversaryKind, Email, Language, Link, Marks, OnlineService, Organization, Phone, Relation,
    Title, TitleKind,
};
pub use key::{contact_key, mail_key, phone_key, text_key};
pub use note::{Note, NoteKind, Reference};
pub use organization::{OrganizationKind, OrganizationRecord};
pub use person::{Created, Name, Person, Source, Tie};
pub use reimport::Reimport;
pub use seed::Seed;
