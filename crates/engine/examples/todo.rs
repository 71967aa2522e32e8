//! A shared to-do list in under a hundred lines: another program on the same engine, with no notion of a contact.
//!
//! ```text
//! todo DIR new                   make a list
//! todo DIR add TEXT | done TEXT  write
//! todo DIR                       read
//! todo DIR relay ADDRESS         meet at a relay (ties-relay prints its address)
//! todo DIR invite                print a ticket and wait for another device
//! todo DIR join < TICKET         be that device
//! todo DIR sync
//! ```

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT, ReadDoc};
use ties_engine::{
    CreateOptions, DocumentId, Doors, EditError, Environment, JoinOptions, Projection, Role, Row, Space,
};

/// One row per item, sorted by its text, so that the list prints without loading a document.
struct Items;

impl Projection for Items {
    fn version(&self) -> u32 {
        1
    }

    fn rows(&self, id: DocumentId, item: &Automerge) -> Vec<Row> {
        let text = |key| item.get(ROOT, key).ok().flatten().and_then(|(value, _)| value.as_str().map(str::to_owned));
        let done = item.get(ROOT, "done").ok().flatten().is_some();
        let Some(what) = text("text") else { return Vec::new() };
        vec![Row { key: [what.as_bytes(), b"\0", &id.0].concat(), value: vec![u8::from(done)] }]
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [folder, command @ ..] = &words[..] else { return Err("todo DIR [COMMAND]".into()) };
    let folder = Path::new(folder);
    let open = || Space::open(folder, Items, Environment::system());
    match command {
        ["new"] => {
            let options = CreateOptions { device_name: "todo".into(), recovery: false };
            Space::create(folder, Items, &options, Environment::system())?;
        }
        ["add", text] => open()?.write(|edit| {
            let id = edit.fresh_id();
            edit.change(id, |item| item.put(ROOT, "text", *text).map_err(EditError::from))
        })?,
        ["done", text] => open()?.write(|edit| {
            for (key, _) in edit.rows(&[text.as_bytes(), b"\0"].concat())? {
                let id = DocumentId(*key.last_chunk().ok_or(EditError::Seed)?);
                edit.change(id, |item| item.put(ROOT, "done", true).map_err(EditError::from))?;
            }
            Ok::<_, EditError>(())
        })?,
        ["relay", address] => drop(open()?.add_relay(address, None).await?),
        ["invite"] => {
            let mut invitation = open()?.invite(&Doors::default(), Duration::from_secs(600)).await?;
            println!("{}", &*invitation.ticket());
            let guest = invitation.guest().await?;
            invitation.accept(&guest, Role::Admin).await?;
        }
        ["join"] => {
            let ticket = std::io::read_to_string(std::io::stdin())?;
            let options = JoinOptions { device_name: "todo".into(), ..JoinOptions::default() };
            Space::join(folder, Items, &ticket, &options, Environment::system(), |_| ()).await.map(drop)?;
        }
        ["sync"] => {
            for report in open()?.sync(|_| ()).await? {
                report.outcome?;
            }
        }
        [] => {
            for row in open()?.view()?.rows(b"")? {
                let (key, done) = row?;
                let text = &key[..key.len() - 17];
                println!("[{}] {}", if done == [1] { 'x' } else { ' ' }, String::from_utf8_lossy(text));
            }
        }
        _ => return Err("unknown command".into()),
    }
    Ok(())
}
