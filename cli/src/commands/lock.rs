//! `ties lock` and `ties unlock`: whether commands ask for the passphrase.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use ties_book::Book;
use ties_book::api::Key;

use super::SCHEMA;
use crate::desk::Desk;
use crate::errors::Outcome;
use crate::passphrase;
use crate::render::{inline, palette};

/// The words of `ties lock`.
#[derive(Debug, Args)]
#[command(
    after_help = "Commands ask for the passphrase from now on, and the agent (ties agent) lets go of the data. A command that is \
running, such as `ties sync --watch`, keeps the key until it ends.

Examples:
  ties lock
  ties lock --json"
)]
pub(crate) struct Lock {}

impl Lock {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        desk.key()?;
        let was_unlocked = Book::lock(desk.home())?;
        // The agent lets go of what is locked.
        #[cfg(unix)]
        crate::agent::look(desk.home());
        let running = Book::watchers(desk.home());
        if desk.shell.json() {
            return desk.shell.value(&json!({"schema": SCHEMA, "wasUnlocked": was_unlocked, "stillOpenIn": running}));
        }
        desk.shell.line(if was_unlocked { "Locked." } else { "Locked already." })?;
        for process in running {
            desk.shell.remark(format!(
                "{} process {process} (ties sync --watch) has the data open and keeps the key until it ends.",
                palette::warning("Note:")
            ));
        }
        Ok(())
    }
}

/// The words of `ties unlock`.
#[derive(Debug, Args)]
#[command(
    after_help = "The key lies meanwhile in a folder that only you may enter, in memory where the system has such a place \
($XDG_RUNTIME_DIR). It goes with `ties lock`, when the time is over, when the passphrase changes and when \
the computer restarts.

Examples:
  ties unlock
  ties unlock --for 30m
  ties unlock --for 2h - < secret.txt"
)]
pub(crate) struct Unlock {
    /// How long: 30m, 8h, 2d; at most 30d
    #[arg(long = "for", value_name = "TIME", default_value = "8h", value_parser = lifetime)]
    lifetime: Duration,

    /// `-`: read the passphrase from standard input
    #[arg(value_name = "-")]
    from: Option<String>,
}

impl Unlock {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        if desk.key()? == Key::File {
            if desk.shell.json() {
                return desk.shell.value(&json!({"schema": SCHEMA, "key": Key::File}));
            }
            desk.shell.line("Nothing to unlock: there is no passphrase, a file keeps the key.")?;
            return Ok(());
        }
        let secret = if passphrase::from_input(self.from.as_deref())? {
            passphrase::lines(1)?.remove(0)
        } else {
            passphrase::ask(desk.shell, passphrase::QUESTION)?
        };
        let unlocked = Book::unlock(desk.home(), &secret, self.lifetime)?;
        #[cfg(unix)]
        crate::agent::look(desk.home());
        if desk.shell.json() {
            return desk.shell.value(&json!({"schema": SCHEMA, "unlocked": unlocked}));
        }
        let until = until(&unlocked.until, desk.now(), &TimeZone::system());
        desk.shell.line(format!("Unlocked until {until}."))?;
        if !unlocked.in_memory {
            let folder = inline(&unlocked.folder);
            desk.shell.remark(format!(
                "{} {folder} is not in memory, as far as can be told: traces of the key may stay on that disk.",
                palette::warning("Note:")
            ));
        }
        desk.shell.remark(format!("{} ends it.", palette::code("ties lock")));
        Ok(())
    }
}

/// How the key is kept, in a few words.
pub(super) fn kept(key: &Key, now: Timestamp) -> String {
    match key {
        Key::File => "in a file".to_owned(),
        Key::Passphrase { unlocked_until: None } => "passphrase, locked".to_owned(),
        Key::Passphrase { unlocked_until: Some(end) } => {
            format!("passphrase, unlocked until {}", until(end, now, &TimeZone::system()))
        }
    }
}

/// An RFC 3339 instant as the time here, with the day unless that is today.
fn until(instant: &str, now: Timestamp, here: &TimeZone) -> String {
    let Ok(instant) = instant.parse::<Timestamp>() else { return inline(instant).into_owned() };
    let (end, now) = (instant.to_zoned(here.clone()), now.to_zoned(here.clone()));
    let form = if end.date() == now.date() { "%H:%M" } else { "%a %-d %b %H:%M" };
    end.strftime(form).to_string()
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let span: jiff::Span = text.parse().map_err(|_| "a time is written 30m, 8h or 2d".to_owned())?;
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours());
    let length = length.ok().and_then(|length| Duration::try_from(length).ok()).filter(|length| !length.is_zero());
    match length {
        Some(length) if length <= LONGEST => Ok(length),
        Some(_) => Err("it is more than 30 days".to_owned()),
        None => Err("a time is written 30m, 8h or 2d".to_owned()),
    }
}

const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, seconds) in [("30m", 1800), ("8h", 28_800), ("2d", 172_800), ("1h30m", 5400), ("30d", 2_592_000)] {
            assert_eq!(lifetime(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "8", "0s", "-1h", "31d", "1mo", "for ever"] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_end_on_another_day_says_which() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        assert_eq!(until("2026-11-23T20:00:00Z", now, &TimeZone::UTC), "20:00");
        assert_eq!(until("2026-11-24T01:30:00Z", now, &TimeZone::UTC), "Tue 24 Nov 01:30");
        assert_eq!(kept(&Key::File, now), "in a file");
        assert_eq!(kept(&Key::Passphrase { unlocked_until: None }, now), "passphrase, locked");
    }
}
