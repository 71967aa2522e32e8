//! The agent's log: when a road came and went, and how much passed. Never what.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ties_book::api::Event;

use crate::render::inline;
use crate::screen::road;

/// A file that keeps the last few thousand lines.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    path: PathBuf,
}

impl Journal {
    pub(crate) fn of(home: &Path) -> Self {
        Self { path: home.join("agent.log") }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to write at its end; one that has grown long is set aside first, in the place of the one before.
    pub(crate) fn open(&self) -> std::io::Result<File> {
        if fs::metadata(&self.path).is_ok_and(|about| about.len() > LONGEST) {
            let _ = fs::rename(&self.path, self.path.with_extension("log.1"));
        }
        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)
    }

    /// A line. What cannot be written is not worth a sync.
    pub(crate) fn line(&self, text: &str) {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        let _ = self.open().and_then(|mut file| file.write_all(format!("{now} {text}\n").as_bytes()));
    }

    /// What happened, if it is worth a line: a notice may speak of records, and is for whoever reads it in a command.
    pub(crate) fn event(&self, event: &Event) {
        match event {
            Event::Listening { address } => self.line(&format!("listening at {}", inline(address))),
            Event::Connected { url } => self.line(&format!("connected {}", road(url))),
            Event::Disconnected { url, reason, .. } => self.line(&format!("lost {}: {}", road(url), inline(reason))),
            Event::Exchanged { url, sent, received } => {
                self.line(&format!("sent {sent}, received {received} {}", road(url)));
            }
            _ => {}
        }
    }
}

const LONGEST: u64 = 512 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_that_and_never_what_and_stays_short() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::of(folder.path());
        journal.event(&Event::Notice { text: "Ada Lovelace".into() });
        assert!(!journal.path().exists());
        journal.event(&Event::Connected { url: "ws://127.0.0.1:7700#secretkey".into() });
        let text = fs::read_to_string(journal.path()).unwrap();
        assert!(text.ends_with("connected ws://127.0.0.1:7700\n"), "{text}");
        fs::write(journal.path(), vec![b'x'; LONGEST as usize + 1]).unwrap();
        journal.line("on");
        assert!(fs::read_to_string(journal.path()).unwrap().ends_with("Z on\n"));
        assert!(fs::metadata(folder.path().join("agent.log.1")).unwrap().len() > LONGEST);
    }
}
