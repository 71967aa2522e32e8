//! A person's professional network on the engine: people, notes, import, search, devices.
//!
//! One API for all faces: [`api`] holds plain requests, replies and events.

pub mod api;

mod capture;
mod desk;
mod edit_text;
mod fold;
mod front_matter;
mod handle;
mod id;
mod list;
mod notes;
mod people;
mod person_form;
mod points;
mod projection;
mod resolve;
mod rows;
mod search;
mod time;
