//! `ties agent`: a process that keeps the roads open in the background.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use ties_book::Book;
use ties_book::api::{Key, Nearby};

use super::sync::may_use_lan;
use super::{SCHEMA, status};
use crate::agent;
use crate::agent::daemon::{self, Orders};
use crate::agent::journal::Journal;
use crate::agent::place::Place;
use crate::agent::state::{Road, RoadState, State};
use crate::agent::{push, state_of};
use crate::desk::Desk;
use crate::errors::{Failure, Kind, Outcome};
use crate::render::{amount, inline, palette};
use crate::screen::road;

/// The words of `ties agent`.
#[derive(Debug, Subcommand)]
#[command(
    infer_subcommands = true,
    after_help = "The agent holds every road of this device open: relays, folders, and devices near by. What any command writes is with \
the others within a second, and what they write is here.

Examples:
  ties agent start
  ties agent status
  ties agent stop"
)]
pub(crate) enum Agent {
    /// Start it, for this data folder
    Start(Start),
    /// End it
    Stop(Stop),
    /// Say whether it runs, and how its roads stand
    Status(Status),
    /// Print what lets the system start it at each login
    Install(Install),
    /// Be the agent that `start` started
    #[command(hide = true)]
    Run(Roads),
    /// Bring the relays what a command wrote
    #[command(hide = true)]
    Push,
}

/// How devices near by are met.
#[derive(Debug, Default, Args)]
pub(crate) struct Roads {
    /// Let the other devices come, at all addresses of this machine and port 7701 unless told otherwise
    #[arg(long, value_name = "[ADDR:]PORT", num_args = 0..=1, default_missing_value = "")]
    listen: Option<String>,

    /// Keep in touch with the device that listens there, too (may be repeated)
    #[arg(long = "peer", value_name = "HOST[:PORT]")]
    peers: Vec<String>,

    /// Neither look for devices on the local network nor tell them of this one (as if TIES_NO_LAN were set)
    #[arg(long)]
    no_lan: bool,
}

/// The words of `ties agent start`.
#[derive(Debug, Args)]
#[command(
    after_help = "One agent runs for each data folder. It meets relays and folders that are added later too. Devices of the local network \
that listen are found by themselves; with --listen this one listens. Where a passphrase keeps the data, the agent has them \
open only while they are unlocked (ties unlock), and waits otherwise.

Examples:
  ties agent start
  ties agent start --listen"
)]
pub(crate) struct Start {
    #[command(flatten)]
    roads: Roads,

    /// Stay in the foreground, for a supervisor of processes
    #[arg(long)]
    foreground: bool,
}

/// The words of `ties agent stop`.
#[derive(Debug, Args)]
#[command(after_help = "Nothing is lost by it: what was not exchanged yet waits for the next sync.

Examples:
  ties agent stop
  ties agent stop --json")]
pub(crate) struct Stop {}

/// The words of `ties agent status`.
#[derive(Debug, Args)]
#[command(after_help = "The exit code is 3 if none runs.

Examples:
  ties agent status
  ties agent status --json")]
pub(crate) struct Status {}

/// The words of `ties agent install`.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints a unit for systemd, or on a Mac a property list for launchd, and on standard error where it belongs.

Examples:
  ties agent install
  ties agent install --for systemd --listen > ties-agent.service"
)]
pub(crate) struct Install {
    #[command(flatten)]
    roads: Roads,

    /// For which supervisor (default: this system's)
    #[arg(long = "for", value_name = "WHICH")]
    supervisor: Option<Supervisor>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Supervisor {
    Systemd,
    Launchd,
}

impl Agent {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        match self {
            Self::Start(start) => start.run(desk),
            Self::Stop(_) => stop(desk),
            Self::Status(_) => show(desk),
            Self::Install(install) => install.run(desk),
            Self::Run(roads) => run(desk, roads),
            Self::Push => push::serve(desk.home(), desk.environment()),
        }
    }
}

impl Roads {
    fn nearby(self) -> Nearby {
        let lan = may_use_lan(self.no_lan);
        Nearby { peers: self.peers, folders: Vec::new(), lan, listen: self.listen, waits: true }
    }

    /// The same words again.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        match self.listen.as_deref() {
            None => {}
            Some("") => words.push("--listen".to_owned()),
            Some(place) => words.push(format!("--listen={place}")),
        }
        words.extend(self.peers.iter().map(|peer| format!("--peer={peer}")));
        words.extend(self.no_lan.then(|| "--no-lan".to_owned()));
        words
    }
}

impl Start {
    fn run(self, desk: &mut Desk<'_>) -> Outcome {
        // Nobody shall find out later that there is nothing to keep in sync, or that it cannot be opened.
        desk.key()?;
        let place = Place::of(desk.home());
        if place.holder().is_some() {
            return Err(daemon::already(&place));
        }
        if self.foreground {
            let orders = Orders { environment: desk.environment(), nearby: self.roads.nearby() };
            let home = desk.home().to_owned();
            let shell = &mut *desk.shell;
            return daemon::serve(&home, orders, |state| started(shell, state));
        }
        let state = spawn(desk.home(), &self.roads)?;
        started(desk.shell, &state);
        Ok(())
    }
}

/// Starts the agent's process, apart from this one, and waits until it is at work.
fn spawn(home: &Path, roads: &Roads) -> Outcome<State> {
    let failed = |error: std::io::Error| Failure::io("cannot start the agent", &error);
    // What it says once it is alone, such as where it broke, goes into its log.
    let log = Journal::of(home).open().map_err(failed)?;
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.arg("--home").arg(home).args(["agent", "run"]).args(roads.words());
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).current_dir(home).spawn().map_err(failed)?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line).map_err(failed)?;
    }
    let said: Value = serde_json::from_str(&line).unwrap_or_default();
    match serde_json::from_value(said["state"].clone()) {
        Ok(state) => Ok(state),
        Err(_) => {
            let _ = child.wait();
            Err(Failure::of_json(&said["error"])
                .unwrap_or_else(|| Failure::failed("the agent ended before it was at work"))
                .hint_if_none(&format!("{} may say more", Journal::of(home).path().display())))
        }
    }
}

/// The agent's process. Its first line, and the only one, says whether it is at work.
fn run(desk: &mut Desk<'_>, roads: Roads) -> Outcome {
    // Neither the end of a terminal's session nor Ctrl-C there is meant for it.
    let _ = rustix::process::setsid();
    let orders = Orders { environment: desk.environment(), nearby: roads.nearby() };
    let mut told = false;
    let result = daemon::serve(desk.home(), orders, |state| {
        tell(&json!({ "state": state }));
        told = true;
    });
    if let (Err(failure), false) = (&result, told) {
        tell(&failure.json());
    }
    result
}

fn tell(line: &Value) {
    let mut out = std::io::stdout().lock();
    // Whoever started it may be gone.
    let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}

fn started(shell: &mut crate::terminal::Shell, state: &State) {
    if shell.json() {
        let _ = shell.value(&json!({"schema": SCHEMA, "running": true, "agent": state}));
        return;
    }
    let process = state.process;
    if state.locked {
        let _ =
            shell.line(format!("{} process {process}, which waits: the data are locked.", palette::good("Started:")));
        shell.remark(format!("{} lets it open them; until then nothing is exchanged.", palette::code("ties unlock")));
        return;
    }
    let _ = shell.line(format!("{} process {process} keeps this device in sync.", palette::good("Started:")));
    shell.remark(format!("{} shows its roads.", palette::code("ties agent status")));
}

fn stop(desk: &mut Desk<'_>) -> Outcome {
    let stopped = agent::stop(desk.home())?;
    if desk.shell.json() {
        return desk.shell.value(&json!({"schema": SCHEMA, "stopped": stopped}));
    }
    desk.shell.line(if stopped { "Stopped." } else { "No agent is running." })
}

fn show(desk: &mut Desk<'_>) -> Outcome {
    if !desk.has_book() {
        return Err(desk.no_book());
    }
    let place = Place::of(desk.home());
    let Some(holder) = place.holder() else {
        if desk.shell.json() {
            desk.shell.value(&json!({"schema": SCHEMA, "running": false}))?;
        }
        return Err(Failure::new(Kind::NotFound, "no agent is running").hint("ties agent start"));
    };
    let state = state_of(desk.home()).ok_or_else(|| {
        Failure::failed(format!("the agent (process {}) does not answer", holder.process))
            .hint("ties agent stop ends it, ties agent start starts another")
    })?;
    if desk.shell.json() {
        return desk.shell.value(&json!({"schema": SCHEMA, "running": true, "agent": state}));
    }
    let now = Timestamp::now();
    desk.shell.lines(lines(&state, now))?;
    if state.roads.is_empty() && !state.locked && Book::key(desk.home())? == Key::File {
        desk.shell.remark("It has met nobody yet. A road: ties relay add URL, or --listen on another device near by.");
    }
    Ok(())
}

/// How the agent and its roads stand.
fn lines(state: &State, now: Timestamp) -> Vec<String> {
    let since = status::since(&state.since.to_string(), now);
    let mut lines = vec![format!("{} process {}, started {since}", palette::good("running"), state.process)];
    if state.locked {
        lines.push(format!(
            "{} the data are locked: nothing is exchanged until {}",
            palette::warning("waits  "),
            palette::code("ties unlock")
        ));
    }
    lines.extend(state.listening.iter().map(|place| format!("listens {}", inline(place))));
    lines.extend(state.roads.iter().map(|road| line(road, now)));
    lines
}

fn line(one: &Road, now: Timestamp) -> String {
    let url = palette::strong(&road(&one.url));
    let since = status::since(&one.since.to_string(), now);
    let passed = match (one.sent, one.received) {
        (0, 0) => String::new(),
        (sent, received) => format!(", sent {}, received {}", amount::count(sent), amount::count(received)),
    };
    match one.state {
        RoadState::UpToDate => format!("{}  {url}  since {since}{passed}", palette::good("up to date")),
        RoadState::Connected => format!("{}   {url}  since {since}{passed}", palette::good("connected")),
        RoadState::Lost => {
            let why = one.error.as_deref().map(|why| format!("  {}", inline(why))).unwrap_or_default();
            format!("{}        {url}{why}, {}", palette::bad("lost"), next(one, now))
        }
    }
}

/// When a lost road is tried again.
pub(super) fn next(one: &Road, now: Timestamp) -> String {
    let left = one.next_attempt.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    match left {
        None => "not tried again by itself".to_owned(),
        Some(left) if left < Duration::from_secs(1) => "tried again now".to_owned(),
        Some(left) => format!("tried again in {}", amount::elapsed(left)),
    }
}

impl Install {
    fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let supervisor = self.supervisor.unwrap_or(match cfg!(target_os = "macos") {
            true => Supervisor::Launchd,
            false => Supervisor::Systemd,
        });
        let program = std::env::current_exe().map_err(|error| Failure::io("cannot tell where ties is", &error))?;
        let mut words = vec![text(&program)?, "--home".to_owned(), text(desk.home())?];
        words.extend(["agent", "start", "--foreground"].map(str::to_owned));
        words.extend(self.roads.words());
        let (unit, place, then) = match supervisor {
            Supervisor::Systemd => (
                systemd(&words),
                "~/.config/systemd/user/ties-agent.service",
                "systemctl --user enable --now ties-agent",
            ),
            Supervisor::Launchd => (
                launchd(&words),
                "~/Library/LaunchAgents/ties.agent.plist",
                "launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/ties.agent.plist",
            ),
        };
        if desk.shell.json() {
            return desk.shell.value(&json!({"schema": SCHEMA, "unit": unit, "place": place, "then": then}));
        }
        desk.shell.file(unit.as_bytes())?;
        desk.shell.remark(format!("It belongs in {place}; then: {}", palette::code(then)));
        Ok(())
    }
}

fn text(path: &Path) -> Outcome<String> {
    let text = path.to_str().filter(|text| !text.contains(char::is_control));
    text.map(str::to_owned).ok_or_else(|| Failure::failed(format!("{} cannot stand in a unit", path.display())))
}

/// systemd.service(5). In a quoted word `\`, `"`, `%` and `$` have a meaning.
fn systemd(words: &[String]) -> String {
    let quoted = words.iter().map(|word| {
        let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
        format!("\"{escaped}\"")
    });
    let command = quoted.collect::<Vec<_>>().join(" ");
    format!(
        "[Unit]\nDescription=ties: keeps this device in sync\n\n[Service]\nExecStart={command}\nRestart=on-failure\n\
         RestartSec=30\nNice=5\nUMask=0077\nNoNewPrivileges=yes\n\n[Install]\nWantedBy=default.target\n"
    )
}

/// launchd.plist(5).
fn launchd(words: &[String]) -> String {
    let strings = words.iter().map(|word| {
        let escaped = word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        format!("    <string>{escaped}</string>\n")
    });
    let words: String = strings.collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  \
         <string>ties.agent</string>\n  <key>ProgramArguments</key>\n  <array>\n{words}  </array>\n  \
         <key>RunAtLoad</key>\n  <true/>\n  <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  \
         </dict>\n  <key>Umask</key>\n  <integer>63</integer>\n</dict>\n</plist>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_holds_every_word_as_it_is() {
        let words = ["/opt/my ties/ties", "--home", "/home/a\"b\\c/100%$x"].map(str::to_owned);
        let unit = systemd(&words);
        assert!(unit.contains("ExecStart=\"/opt/my ties/ties\" \"--home\" \"/home/a\\\"b\\\\c/100%%$$x\"\n"), "{unit}");
        let list = launchd(&["a<b>&c".to_owned()]);
        assert!(list.contains("<string>a&lt;b&gt;&amp;c</string>"), "{list}");
    }

    #[test]
    fn the_words_of_a_start_reach_the_process_that_it_starts() {
        let roads = Roads { listen: Some(String::new()), peers: vec!["a:1".into()], no_lan: true };
        assert_eq!(roads.words(), ["--listen", "--peer=a:1", "--no-lan"]);
        let roads = Roads { listen: Some("127.0.0.1:0".into()), ..Roads::default() };
        assert_eq!(roads.words(), ["--listen=127.0.0.1:0"]);
    }

    #[test]
    fn every_state_of_a_road_has_its_line() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let later = now.checked_add(jiff::SignedDuration::from_secs(5)).unwrap();
        let road = |state| Road {
            url: "ws://127.0.0.1:1#k".into(),
            state,
            since: now,
            error: Some("gone".into()),
            next_attempt: Some(later),
            sent: 1,
            received: 2,
        };
        let roads = vec![road(RoadState::UpToDate), road(RoadState::Connected), road(RoadState::Lost)];
        let state = State { process: 7, since: now, locked: true, listening: Some("[::]:7701".into()), roads };
        let plain = |lines: Vec<String>| anstream::adapter::strip_str(&lines.join("\n")).to_string();
        let text = plain(lines(&state, now));
        for part in [
            "running process 7, started just now",
            "waits   the data are locked: nothing is exchanged until ties unlock",
            "listens [::]:7701",
            "up to date  ws://127.0.0.1:1  since just now, sent 1, received 2",
            "connected   ws://127.0.0.1:1",
            "lost        ws://127.0.0.1:1  gone, tried again in 5",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let mut lost = road(RoadState::Lost);
        lost.next_attempt = Some(now);
        assert!(line(&lost, now).ends_with("tried again now"));
        lost.next_attempt = None;
        assert!(line(&lost, now).ends_with("not tried again by itself"));
    }
}
