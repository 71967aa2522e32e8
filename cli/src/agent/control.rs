//! What commands and the agent say to each other: one line asks, the answer ends with the connection.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use super::place::Holder;
use super::state::Shared;

/// How do your roads stand?
pub(crate) const STATUS: &str = "status";
/// End.
pub(crate) const STOP: &str = "stop";
/// See whether the book may still be open, or may be opened.
pub(crate) const LOOK: &str = "look";

/// Something that the agent is asked to do.
pub(crate) enum Wish {
    /// End.
    Stop,
    /// See whether the book may be open; answer when that was heeded.
    Look(oneshot::Sender<()>),
}

/// Asks the agent, and waits for the answer.
pub(crate) fn ask(holder: &Holder, question: &str) -> std::io::Result<String> {
    let mut socket = UnixStream::connect(&holder.socket)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.write_all(format!("{question}\n").as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Answers whoever comes, one after the other.
pub(crate) async fn attend(listener: UnixListener, state: Shared, wishes: mpsc::Sender<Wish>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let (state, wishes) = (state.clone(), wishes.clone());
                tokio::spawn(tokio::time::timeout(PATIENCE, answer(socket, state, wishes)));
            }
            // Too many open files, say: it passes.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

async fn answer(mut socket: tokio::net::UnixStream, state: Shared, wishes: mpsc::Sender<Wish>) {
    let mut question = Vec::new();
    while question.len() < LONGEST && !question.ends_with(b"\n") {
        match socket.read_u8().await {
            Ok(byte) => question.push(byte),
            Err(_) => return,
        }
    }
    let question = String::from_utf8_lossy(&question);
    let answer = match question.trim_end() {
        STATUS => serde_json::to_string(&*state.lock()).unwrap_or_default(),
        STOP => {
            let _ = wishes.send(Wish::Stop).await;
            String::new()
        }
        LOOK => {
            let (done, is_done) = oneshot::channel();
            let _ = wishes.send(Wish::Look(done)).await;
            let _ = is_done.await;
            String::new()
        }
        _ => String::new(),
    };
    let _ = socket.write_all(answer.as_bytes()).await;
    let _ = socket.shutdown().await;
}

const LONGEST: usize = 32;
/// How long either side may take.
const PATIENCE: Duration = Duration::from_secs(5);
