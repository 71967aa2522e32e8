//! The configuration file: every option, in TOML.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::limits::Limits;
use crate::server::{Config, TlsFiles};

/// What an operator sets, in a file or on the command line; whatever is not set has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// See `--listen`.
    pub listen: Option<SocketAddr>,
    /// See `--data`.
    pub data: Option<PathBuf>,
    /// See `--open`.
    pub open: Option<bool>,
    /// See `--behind-proxy`.
    pub behind_proxy: Option<bool>,
    /// See `--host`.
    pub hosts: Option<Vec<String>>,
    /// See `--tls-cert`.
    pub tls_cert: Option<PathBuf>,
    /// See `--tls-key`.
    pub tls_key: Option<PathBuf>,
    /// See `--metrics`.
    pub metrics: Option<SocketAddr>,
    /// The bounds, one by one.
    pub limits: LimitSettings,
}

/// The bounds of a relay as a file names them; [`Limits`] says what each means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "each is a field of Limits, which says what it means")]
pub struct LimitSettings {
    pub mailbox_size: Option<Size>,
    pub prune: Option<bool>,
    pub pseudonyms_per_mailbox: Option<usize>,
    pub logs_per_mailbox: Option<usize>,
    pub mailboxes_per_key: Option<u32>,
    pub mailboxes_per_address: Option<u32>,
    pub statements: Option<usize>,
    pub sockets_per_key: Option<usize>,
    pub strangers_per_address: Option<usize>,
    pub connections: Option<usize>,
    pub requests_per_second: Option<u32>,
    pub burst: Option<u32>,
    pub rooms: Option<usize>,
    pub room_seconds: Option<u64>,
    pub room_size: Option<Size>,
    pub nameplates: Option<usize>,
    pub claims_per_address: Option<u32>,
    pub proof_seconds: Option<u64>,
    pub idle_seconds: Option<u64>,
    pub backlog_size: Option<Size>,
    pub send_seconds: Option<u64>,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file says what is not understood.
    #[error("the configuration {} is not valid: line {line}: {what}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// A limit on the command line is not understood.
    #[error("--limit {text}: {what}")]
    Limit {
        /// What was written.
        text: String,
        /// What is wrong with it.
        what: String,
    },
    /// A number that must be more than nothing is 0.
    #[error("the limit {0} must be at least 1")]
    Zero(&'static str),
    /// There is no folder to serve.
    #[error("it is not said which folder to serve")]
    NoData,
    /// A certificate without its key, or a key without a certificate.
    #[error("tls-cert and tls-key belong together: one of them is missing")]
    HalfTls,
    /// Who ends TLS cannot be both.
    #[error("behind-proxy and tls-cert exclude each other: either the proxy ends TLS or the relay does")]
    TwoEnds,
}

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// Names the line of whatever is not understood; unknown names are errors too.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|(line, what)| SettingsError::Line { path: path.to_owned(), line, what })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            (before.matches('\n').count() + 1, error.message().to_owned())
        })
    }

    /// Takes a limit as `--limit` writes it: `NAME=VALUE`.
    ///
    /// # Errors
    /// When there is no such limit or the value is not one for it.
    pub fn limit(&mut self, text: &str) -> Result<(), SettingsError> {
        let refused = |what: String| SettingsError::Limit { text: text.to_owned(), what };
        let (name, value) = text.split_once('=').ok_or_else(|| refused("write NAME=VALUE".to_owned()))?;
        let (name, value) = (name.trim(), value.trim());
        let is_bare = value.bytes().all(|byte| byte.is_ascii_digit()) || matches!(value, "true" | "false");
        let quoted = if is_bare { value.to_owned() } else { format!("{value:?}") };
        let line = format!("{name} = {quoted}");
        let limit: LimitSettings = toml::from_str(&line).map_err(|error| refused(error.message().to_owned()))?;
        self.limits = limit.over(std::mem::take(&mut self.limits));
        Ok(())
    }

    /// These settings where they say something, the others elsewhere.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            data: self.data.or(other.data),
            open: self.open.or(other.open),
            behind_proxy: self.behind_proxy.or(other.behind_proxy),
            hosts: self.hosts.or(other.hosts),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            metrics: self.metrics.or(other.metrics),
            limits: self.limits.over(other.limits),
        }
    }

    /// The address to listen on.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], PORT)))
    }

    /// How the relay is to be run.
    ///
    /// # Errors
    /// When something is missing or does not fit.
    pub fn config(self) -> Result<Config, SettingsError> {
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => return Err(SettingsError::HalfTls),
        };
        let behind_proxy = self.behind_proxy.unwrap_or(false);
        if behind_proxy && tls.is_some() {
            return Err(SettingsError::TwoEnds);
        }
        let hosts = self.hosts.unwrap_or_default();
        Ok(Config {
            open: self.open.unwrap_or(false),
            behind_proxy,
            hosts: hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect(),
            tls,
            metrics: self.metrics,
            limits: self.limits.limits()?,
            ..Config::new(self.data.ok_or(SettingsError::NoData)?)
        })
    }
}

impl LimitSettings {
    fn over(self, other: Self) -> Self {
        Self {
            mailbox_size: self.mailbox_size.or(other.mailbox_size),
            prune: self.prune.or(other.prune),
            pseudonyms_per_mailbox: self.pseudonyms_per_mailbox.or(other.pseudonyms_per_mailbox),
            logs_per_mailbox: self.logs_per_mailbox.or(other.logs_per_mailbox),
            mailboxes_per_key: self.mailboxes_per_key.or(other.mailboxes_per_key),
            mailboxes_per_address: self.mailboxes_per_address.or(other.mailboxes_per_address),
            statements: self.statements.or(other.statements),
            sockets_per_key: self.sockets_per_key.or(other.sockets_per_key),
            strangers_per_address: self.strangers_per_address.or(other.strangers_per_address),
            connections: self.connections.or(other.connections),
            requests_per_second: self.requests_per_second.or(other.requests_per_second),
            burst: self.burst.or(other.burst),
            rooms: self.rooms.or(other.rooms),
            room_seconds: self.room_seconds.or(other.room_seconds),
            room_size: self.room_size.or(other.room_size),
            nameplates: self.nameplates.or(other.nameplates),
            claims_per_address: self.claims_per_address.or(other.claims_per_address),
            proof_seconds: self.proof_seconds.or(other.proof_seconds),
            idle_seconds: self.idle_seconds.or(other.idle_seconds),
            backlog_size: self.backlog_size.or(other.backlog_size),
            send_seconds: self.send_seconds.or(other.send_seconds),
        }
    }

    fn limits(self) -> Result<Limits, SettingsError> {
        let usual = Limits::default();
        let size =
            |size: Option<Size>, usual: usize| size.map_or(usual, |size| usize::try_from(size.0).unwrap_or(usize::MAX));
        let time = |seconds: Option<u64>, usual: Duration| seconds.map_or(usual, Duration::from_secs);
        let limits = Limits {
            mailbox_bytes: self.mailbox_size.map_or(usual.mailbox_bytes, |size| size.0),
            prunes: self.prune.unwrap_or(usual.prunes),
            pseudonyms: self.pseudonyms_per_mailbox.unwrap_or(usual.pseudonyms),
            logs: self.logs_per_mailbox.unwrap_or(usual.logs),
            mailboxes_per_key: self.mailboxes_per_key.unwrap_or(usual.mailboxes_per_key),
            mailboxes_per_address: self.mailboxes_per_address.unwrap_or(usual.mailboxes_per_address),
            statements: self.statements.unwrap_or(usual.statements),
            sockets_per_key: self.sockets_per_key.unwrap_or(usual.sockets_per_key),
            strangers_per_address: self.strangers_per_address.unwrap_or(usual.strangers_per_address),
            connections: self.connections.unwrap_or(usual.connections),
            requests_per_second: self.requests_per_second.unwrap_or(usual.requests_per_second),
            burst: self.burst.unwrap_or(usual.burst),
            rooms: self.rooms.unwrap_or(usual.rooms),
            room_lasts: time(self.room_seconds, usual.room_lasts),
            room_bytes: size(self.room_size, usual.room_bytes),
            nameplates: self.nameplates.unwrap_or(usual.nameplates),
            claims_per_address: self.claims_per_address.unwrap_or(usual.claims_per_address),
            proof_within: time(self.proof_seconds, usual.proof_within),
            idle_for: time(self.idle_seconds, usual.idle_for),
            backlog: size(self.backlog_size, usual.backlog),
            send_within: time(self.send_seconds, usual.send_within),
        };
        let least_one = [
            ("pseudonyms-per-mailbox", limits.pseudonyms),
            ("logs-per-mailbox", limits.logs),
            ("sockets-per-key", limits.sockets_per_key),
            ("strangers-per-address", limits.strangers_per_address),
            ("connections", limits.connections),
            ("requests-per-second", limits.requests_per_second as usize),
            ("burst", limits.burst as usize),
            ("proof-seconds", usize::from(!limits.proof_within.is_zero())),
            ("idle-seconds", usize::from(!limits.idle_for.is_zero())),
            ("send-seconds", usize::from(!limits.send_within.is_zero())),
        ];
        match least_one.into_iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(SettingsError::Zero(name)),
            None => Ok(limits),
        }
    }
}

/// A number of bytes: `65536`, `64 KiB`, `256 MiB`, `1 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
        let unit = match unit.trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err(SizeError),
        };
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).map(Self).ok_or(SizeError)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole = |shift: &u32| self.0 > 0 && self.0.trailing_zeros() >= *shift;
        match units.iter().find(|(shift, _)| whole(shift)) {
            Some((shift, unit)) => write!(f, "{} {unit}", self.0 >> shift),
            None => write!(f, "{} B", self.0),
        }
    }
}

/// A text is no number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a size is a whole number with B, KiB, MiB, GiB or TiB behind it, such as \"256 MiB\"")]
pub struct SizeError;

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl de::Visitor<'_> for Either {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 65536 or \"256 MiB\"")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Size, E> {
                u64::try_from(number).map(Size).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

const PORT: u16 = 7700;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_sets_every_option_to_its_default_or_shows_it_in_a_comment() {
        let example = include_str!("../ties-relay.example.toml");
        let config = Settings::parse(example).unwrap().config().unwrap();
        assert_eq!(format!("{:?}", config.limits), format!("{:?}", Limits::default()));
        // With every comment that is an option taken as one, it still holds.
        let all: String =
            example.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
        let all = Settings::parse(&all).unwrap();
        let shown = format!("{all:?}");
        assert!(!shown.contains("None"), "{shown}");
    }

    #[test]
    fn what_is_not_known_is_an_error_with_its_line() {
        for (text, line, what) in [
            ("listen = \"127.0.0.1:1\"\nlisten-on = 3\n", 2, "listen-on"),
            ("\n\n[limits]\nburst = 3\nmailbox-sice = 4\n", 5, "mailbox-sice"),
            ("[limits]\nmailbox-size = \"many\"\n", 2, "256 MiB"),
            ("[limits]\nmailbox-size = -1\n", 2, ""),
            ("data = 3\n", 1, "string"),
            ("listen = \"here\"\n", 1, "socket address"),
            ("open = yes\n", 1, ""),
        ] {
            let (at, said) = Settings::parse(text).unwrap_err();
            assert_eq!(at, line, "{text}");
            assert!(said.contains(what), "{text}: {said}");
        }
    }

    #[test]
    fn what_the_command_line_says_wins() {
        let file = "data = \"/file\"\nopen = true\n[limits]\nburst = 3\nrooms = 4\nmailbox-size = \"1 GiB\"\n";
        let file = Settings::parse(file).unwrap();
        let mut words = Settings { data: Some("/words".into()), ..Settings::default() };
        words.limit("burst=9").unwrap();
        words.limit("room-size = 2 KiB").unwrap();
        words.limit("prune=true").unwrap();
        let config = words.over(file).config().unwrap();
        assert_eq!((config.data, config.open), (PathBuf::from("/words"), true));
        let limits = config.limits;
        assert_eq!((limits.burst, limits.rooms, limits.room_bytes, limits.mailbox_bytes), (9, 4, 2048, 1 << 30));
        assert!(limits.prunes);
    }

    #[test]
    fn limits_that_are_none_are_refused() {
        let mut settings = Settings { data: Some("/x".into()), ..Settings::default() };
        for text in ["burst", "bursts=3", "burst=many", "burst=-1", "mailbox-size=3 miles", "burst=1\nrooms=2"] {
            assert!(matches!(settings.limit(text), Err(SettingsError::Limit { .. })), "{text}");
        }
        settings.limit("burst=0").unwrap();
        assert!(matches!(settings.config(), Err(SettingsError::Zero("burst"))));
    }

    #[test]
    fn a_certificate_comes_with_its_key_and_without_a_proxy() {
        let with = |text: &str| Settings::parse(&format!("data = \"/x\"\n{text}")).unwrap().config();
        assert!(matches!(with("tls-cert = \"a\""), Err(SettingsError::HalfTls)));
        assert!(matches!(with("tls-key = \"a\""), Err(SettingsError::HalfTls)));
        assert!(matches!(with("tls-cert = \"a\"\ntls-key = \"b\"\nbehind-proxy = true"), Err(SettingsError::TwoEnds)));
        assert!(with("tls-cert = \"a\"\ntls-key = \"b\"").unwrap().tls.is_some());
        assert!(matches!(Settings::default().config(), Err(SettingsError::NoData)));
    }

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, size) in [("0", 0), ("65536", 65_536), ("64 KiB", 65_536), ("3MiB", 3 << 20), ("5 GiB", 5 << 30)] {
            assert_eq!(text.parse::<Size>().unwrap().0, size);
        }
        for text in ["", "MiB", "1.5 MiB", "-1", "3 MB", "99999999999 TiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        for size in [0, 1, 1023, 1024, 3 << 20, 256 << 20, 5 << 30, (1 << 20) + 1] {
            assert_eq!(Size(size).to_string().parse(), Ok(Size(size)));
        }
    }
}
