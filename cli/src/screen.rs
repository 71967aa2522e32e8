//! Shows what happens while the book works, and answers its one question.

use std::fmt;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use ties_book::api::{Answer, Event, Face, Guest};

use crate::render::{amount, inline, palette};
use crate::terminal::Shell;

/// A [`Face`] on a [`Shell`].
pub(crate) struct Screen<'a> {
    shell: &'a mut Shell,
    bar: Option<ProgressBar>,
    consent: Consent,
    watching: bool,
    refused: bool,
    /// Present if notices become part of a JSON answer.
    notices: Option<Vec<String>>,
}

/// Who says whether a new device may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Consent {
    /// Nobody: no guest is let in.
    Refuse,
    /// The user, now.
    Ask,
    /// The user, beforehand.
    Given,
}

impl<'a> Screen<'a> {
    /// A screen for requests that ask nothing.
    pub(crate) fn new(shell: &'a mut Shell) -> Self {
        Self { shell, bar: None, consent: Consent::Refuse, watching: false, refused: false, notices: None }
    }

    /// A screen that lets a guest in if the user says so, or has said so with `--yes`.
    pub(crate) fn pairing(shell: &'a mut Shell, yes: bool) -> Self {
        let mut screen = Self::new(shell);
        screen.consent = if yes { Consent::Given } else { Consent::Ask };
        screen
    }

    /// The same screen, which lets in a device that waits if the user says so, or has said so; where nobody can be asked it
    /// goes on waiting.
    pub(crate) fn letting_in(mut self, yes: bool) -> Self {
        self.consent = match yes {
            true => Consent::Given,
            false if self.shell.can_ask() => Consent::Ask,
            false => Consent::Refuse,
        };
        self
    }

    /// A screen that prints connections and exchanges as its answer.
    pub(crate) fn watching(shell: &'a mut Shell) -> Self {
        let mut screen = Self::new(shell);
        screen.watching = true;
        screen
    }

    /// The same screen, which keeps notices for an answer in JSON; otherwise it shows them.
    pub(crate) fn keeping_notices(mut self) -> Self {
        self.notices = self.shell.json().then(Vec::new);
        self
    }

    /// The notices that were kept.
    pub(crate) fn notices(mut self) -> Vec<String> {
        self.notices.take().unwrap_or_default()
    }

    /// Whether the user has turned a guest away.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    fn progress(&mut self, what: &str, done: u64, total: Option<u64>) {
        if !self.shell.can_animate() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| new_bar(total));
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_message(inline(what).into_owned());
        bar.set_position(done);
    }

    /// Shows a line without tearing the bar.
    fn say(&mut self, line: &str) {
        let Self { shell, bar, .. } = self;
        match bar {
            Some(bar) => bar.suspend(|| shell.remark(line)),
            None => shell.remark(line),
        }
    }

    /// Shows a line that will be copied.
    fn say_to_copy(&mut self, line: &str) {
        let Self { shell, bar, .. } = self;
        match bar {
            Some(bar) => bar.suspend(|| shell.remark_to_copy(line)),
            None => shell.remark_to_copy(line),
        }
    }

    /// A line about a connection, which is what `sync --watch` is asked for.
    fn watched(&mut self, line: &str) {
        if self.watching {
            // A closed pipe ends the process inside; nothing else is to be done about the rest.
            let _ = self.shell.line(format!("{}  {line}", palette::faint(&now())));
        }
    }

    fn code(&mut self, code: &str, relay: Option<&str>, peer: Option<&str>, expires: Option<&str>) {
        self.say(&format!(
            "{} Nobody from support, and nobody who calls you, ever needs it.",
            palette::strong("One code, for a device in front of you.")
        ));
        let code = inline(code);
        let there = |more: String| palette::code(&format!("ties device join {code}{more}"));
        let at_relay = relay.map(|relay| there(format!(" --relay '{}'", inline(relay))));
        match (peer, &at_relay) {
            (None, Some(at_relay)) => self.say_to_copy(&format!("Type there: {at_relay}")),
            _ => self.say_to_copy(&format!("Type there: {}", there(String::new()))),
        }
        let _ = self.shell.line(&code);
        if let Some(peer) = peer {
            let peer = there(format!(" --peer {}", inline(peer)));
            self.say_to_copy(&format!("If it does not find this device: {peer}"));
            if let Some(at_relay) = at_relay {
                self.say_to_copy(&format!("On another network: {at_relay}"));
            }
        }
        let end = expires.and_then(local_time).map_or_else(String::new, |end| format!("at {end}, or "));
        self.say(&format!("It ends {end}with the first attempt. Waiting for the new device … (Ctrl-C ends it)"));
    }

    fn ticket(&mut self, ticket: &str, peer: Option<&str>, expires: Option<&str>) {
        self.say(&format!(
            "{} Hand this ticket to the new device by a way that you trust; whoever has it can ask to be let in.",
            palette::strong("One ticket, for a device in front of you.")
        ));
        if let Some(expires) = expires.and_then(local_time) {
            self.say(&format!("It ends at {expires}. There: {}", palette::code("ties device join -")));
        }
        let _ = self.shell.line(inline(ticket));
        if let Some(peer) = peer {
            let peer = palette::code(&format!("ties device join - --peer {}", inline(peer)));
            self.say_to_copy(&format!("If it does not find this device: {peer}"));
        }
        self.say("Waiting for the new device … (Ctrl-C ends it)");
    }

    fn folder_ticket(&mut self, ticket: &str, wait: bool) {
        self.say(&format!(
            "{} Hand this ticket to the new device by a way that you trust, and not by the folder itself; whoever has it can \
             ask to be let in. It is good for three days.",
            palette::strong("One ticket, for one device.")
        ));
        self.say(&format!("There: {}", palette::code("ties device join - --folder DIR")));
        let _ = self.shell.line(inline(ticket));
        if wait {
            self.say("Waiting for the new device … (Ctrl-C ends the waiting; ties sync --folder DIR asks later)");
        }
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Face for Screen<'_> {
    fn event(&mut self, event: Event) {
        if let (Some(kept), Event::Notice { text }) = (&mut self.notices, &event) {
            kept.push(text.clone());
            return;
        }
        if self.shell.json() && !matches!(event, Event::Progress { .. }) {
            if self.watching
                || matches!(
                    event,
                    Event::Code { .. } | Event::Ticket { .. } | Event::FolderTicket { .. } | Event::Fingerprint { .. }
                )
            {
                let _ = self.shell.record(&event);
            }
            return;
        }
        match event {
            Event::Progress { what, done, total } => self.progress(&what, done, total),
            Event::Ticket { ticket, peer, expires } => {
                self.ticket(ticket.expose(), peer.as_deref(), expires.as_deref());
            }
            Event::Looking => self.say("Looking on this network for the device that shows the code …"),
            Event::FolderTicket { ticket, wait, .. } => self.folder_ticket(ticket.expose(), wait),
            Event::Code { code, relay, peer, expires } => {
                self.code(code.expose(), relay.as_deref(), peer.as_deref(), expires.as_deref());
            }
            Event::Fingerprint { host, words } => {
                if let Some(host) = host {
                    let host = palette::strong(&inline(&host));
                    self.say(&format!("The code is right: {host} is asked to let this device in."));
                }
                let words = palette::strong(&inline(&words));
                self.say(&format!("This device's fingerprint: {words}"));
                self.say("Say yes on the other device if it shows the same words.");
            }
            Event::Listening { address } => {
                let address = inline(&address);
                let there = palette::code(&format!("ties sync --peer {address}"));
                self.watched(&format!("{}  {address}  on another device: {there}", palette::good("listening")));
            }
            Event::Connected { url } => {
                self.watched(&format!("{}  {}", palette::good("connected"), road(&url)));
            }
            Event::Disconnected { url, reason, retry_ms } => {
                let again = retry_ms.map_or_else(String::new, |retry| {
                    format!(", again in {}", amount::elapsed(Duration::from_millis(retry)))
                });
                let reason = inline(&reason);
                let lost = palette::warning("lost");
                self.watched(&format!("{lost}  {}  {reason}{again}", road(&url)));
            }
            Event::UpToDate { url } => {
                self.watched(&format!("{}  {}", palette::good("up to date"), road(&url)));
            }
            Event::Exchanged { url, sent, received } => {
                self.watched(&format!("sent {sent}, received {received}  {}", road(&url)));
            }
            Event::Notice { text } => self.say(&format!("{} {}", palette::warning("Note:"), inline(&text))),
        }
    }

    fn listens(&self) -> bool {
        self.shell.talkative() || self.notices.is_some() || (self.watching && self.shell.json())
    }

    fn answers(&self) -> bool {
        self.consent != Consent::Refuse
    }

    fn confirm(&mut self, guest: Guest) -> Answer<'_> {
        match self.consent {
            Consent::Refuse => Box::pin(std::future::ready(false)),
            Consent::Given => {
                let Guest { name, fingerprint, role } = &guest;
                self.say(&format!("Letting in {} ({}), {}.", inline(name), inline(role), inline(fingerprint)));
                Box::pin(std::future::ready(true))
            }
            Consent::Ask => Box::pin(self.ask(guest)),
        }
    }
}

impl Screen<'_> {
    async fn ask(&mut self, guest: Guest) -> bool {
        let Guest { name, fingerprint, role } = &guest;
        self.shell.complain(format!(
            "A device asks to be let in.\n  name         {}\n  may become   {}\n  fingerprint  {}",
            palette::strong(&inline(name)),
            inline(role),
            palette::strong(&inline(fingerprint)),
        ));
        self.shell
            .complain("Only for a device in front of you that shows the same words; nobody from support needs this.");
        self.shell.prompt(&format!("Add '{}'? [y/N] ", inline(name)));
        // The keyboard is read on a thread of its own, so that the connection stays alive.
        let answer = tokio::task::spawn_blocking(crate::terminal::read_answer).await;
        let yes = answer.is_ok_and(|answer| answer.is_ok_and(|text| crate::terminal::means_yes(&text)));
        self.refused = !yes;
        yes
    }
}

/// A relay's address as shown: without the key, which says nothing to a reader.
pub(crate) fn road(url: &str) -> String {
    if url.starts_with("folder:") {
        return inline(url).into_owned();
    }
    let short = url.split('#').next().unwrap_or(url);
    let short = match short.split_once("://").map(|(scheme, rest)| (scheme, rest.split_once('@'))) {
        Some((scheme, Some((_, host)))) => format!("{scheme}://{host}"),
        _ => short.to_owned(),
    };
    inline(&short).into_owned()
}

/// An RFC 3339 instant as the time of day here.
fn local_time(instant: &str) -> Option<String> {
    let instant: jiff::Timestamp = instant.parse().ok()?;
    let here = instant.to_zoned(jiff::tz::TimeZone::system());
    Some(here.strftime("%H:%M").to_string())
}

fn now() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S").to_string()
}

fn new_bar(total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{msg:>8} {bar:30.cyan} {human_pos}/{human_len}  {left}",
        None => "{msg:>8} {spinner} {human_pos}",
    };
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("left", |state: &ProgressState, text: &mut dyn fmt::Write| {
            // Before the first step there is nothing to tell the rest by: "0s left" would be a lie.
            if state.pos() > 0 {
                let _ = write!(text, "{} left", HumanDuration(state.eta()));
            }
        })
        .progress_chars("━╸ ");
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(style);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_road_is_shown_without_its_key() {
        assert_eq!(road("ws://127.0.0.1:7700#abc"), "ws://127.0.0.1:7700");
        assert_eq!(road("ties://abc@relay.example:7700"), "ties://relay.example:7700");
        assert_eq!(road("wss://relay.example/x#abc"), "wss://relay.example/x");
        assert_eq!(road("odd\u{1b}"), "odd\\u{1b}");
    }
}
