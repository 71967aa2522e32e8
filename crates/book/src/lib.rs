//! A person's professional network on the engine: people, organizations and notes, import and export, search, devices.
//!
//! A face (command line, terminal UI, web page) opens a [`Book`], asks it [`api::Request`]s, and shows the
//! [`api::Reply`] and the [`api::Event`]s on the way. All of that is plain data: no type of the storage, the documents
//! or the network shows. A book prints nothing, asks nothing but whether a new device may come in, and never goes to
//! the network unless a request says so.
//!
//! ```
//! use ties_book::Book;
//! use ties_book::api::{Environment, Init, Reply, Request, Silent};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let folder = folder.path().join("data");
//! let init = Init { device_name: "laptop".into(), recovery: false };
//! let (book, _) = Book::create(&folder, init, Environment::default())?;
//! let words = ["Ada Lovelace", "ada@example.org", "+maths"].map(String::from).to_vec();
//! book.answer(Request::New { words }, &mut Silent)?;
//! let Reply::Person(ada) = book.answer(Request::Show { who: "ada".into() }, &mut Silent)? else { unreachable!() };
//! assert_eq!(ada.row.email, "ada@example.org");
//! # Ok::<(), ties_book::api::BookError>(())
//! ```

pub mod api;
pub mod sample;
#[cfg(feature = "test-support")]
pub mod testing;

mod arrivals;
mod backup;
mod book;
mod capture;
mod complete;
mod conflicts;
mod custody;
mod desk;
mod devices;
mod doctor;
mod edit_text;
mod engine;
mod environment;
mod export;
mod findings;
mod fold;
mod folders;
mod front_matter;
mod groups;
mod handle;
mod id;
mod import;
mod jscontact;
mod list;
mod logs;
mod members;
mod network;
mod notes;
mod opening;
mod operations;
mod organizations;
mod peers;
mod people;
mod person_form;
mod person_view;
mod points;
mod projection;
mod recovery;
mod resolve;
mod rows;
mod said;
mod search;
mod time;
mod vcard;

pub use backup::{BackupKey, BackupReader};
pub use book::Book;
pub use recovery::{check_spelling, three_places};
pub use ties_engine::rest;
