//! A person's professional network on the engine: people, notes, import, search, devices.
//!
//! One API for all faces: [`api`] holds plain requests, replies and events.

pub mod api;
