//! Where a relay is and which key it must prove.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ties_sealed_log::RelayKey;

use crate::raw_key::is_strong;

/// How a relay is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `ties://`: TLS 1.3 with the relay's raw public key, no certificate authority.
    Pinned,
    /// `wss://`: TLS 1.3 with a certificate, a public authority's where a proxy before the relay ends it.
    WebPki,
    /// `ws://`: no TLS, between programs of one machine alone.
    Loopback,
}

/// The address of a relay: `ties://<key>@host[:port]`, `wss://host[:port][/path]#<key>` or `ws://127.0.0.1:port#<key>`.
///
/// The key is 43 characters of base64url without padding, one spelling per key; weak keys are refused.
/// [`Display`](fmt::Display) writes the one canonical form: host in lower case, the port always for `ties://` and
/// `ws://` and never 443 for `wss://`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayAddress {
    scheme: Scheme,
    host: String,
    port: u16,
    path: String,
    key: RelayKey,
}

impl RelayAddress {
    /// Puts an address together from its parts; the path is `/`.
    ///
    /// # Errors
    /// Refuses weak keys, port 0, malformed hosts, and for [`Scheme::Loopback`] other machines.
    pub fn new(scheme: Scheme, host: &str, port: u16, key: RelayKey) -> Result<Self, AddressError> {
        check_key(&key)?;
        Ok(Self { scheme, host: parse_host(scheme, host)?, port: non_zero(port)?, path: "/".to_owned(), key })
    }

    /// How the relay is reached.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host name or IP address, in lower case, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path of the WebSocket request, `/` unless a `wss://` address names one.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The key that the relay must prove.
    pub fn key(&self) -> RelayKey {
        self.key
    }

    /// Host and port as an HTTP `Host` header has them.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", Bracketed(&self.host), self.port)
    }
}

impl FromStr for RelayAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::UnknownScheme)?;
        match scheme {
            "ties" => {
                let (key, authority) = rest.split_once('@').ok_or(AddressError::NoKeyBefore)?;
                let (host, port) = parse_authority(Scheme::Pinned, authority.strip_suffix('/').unwrap_or(authority))?;
                Self::new(Scheme::Pinned, host, port.unwrap_or(DEFAULT_PORT), parse_key(key)?)
            }
            "wss" => {
                let (location, key) = rest.split_once('#').ok_or(AddressError::NoKeyAfter)?;
                let (authority, path) = split_path(location)?;
                let (host, port) = parse_authority(Scheme::WebPki, authority)?;
                let address = Self::new(Scheme::WebPki, host, port.unwrap_or(HTTPS_PORT), parse_key(key)?)?;
                Ok(Self { path, ..address })
            }
            "ws" => {
                let (location, key) = rest.split_once('#').ok_or(AddressError::NoKeyAfter)?;
                let (authority, path) = split_path(location)?;
                if path != "/" {
                    return Err(AddressError::Path);
                }
                let (host, port) = parse_authority(Scheme::Loopback, authority)?;
                Self::new(Scheme::Loopback, host, port.ok_or(AddressError::Port)?, parse_key(key)?)
            }
            _ => Err(AddressError::UnknownScheme),
        }
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port, path) = (Bracketed(&self.host), self.port, &self.path);
        let key = URL_SAFE_NO_PAD.encode(self.key.0);
        match self.scheme {
            Scheme::Pinned => write!(f, "ties://{key}@{host}:{port}"),
            Scheme::Loopback => write!(f, "ws://{host}:{port}#{key}"),
            Scheme::WebPki if port == HTTPS_PORT && path == "/" => write!(f, "wss://{host}#{key}"),
            Scheme::WebPki if port == HTTPS_PORT => write!(f, "wss://{host}{path}#{key}"),
            Scheme::WebPki if path == "/" => write!(f, "wss://{host}:{port}#{key}"),
            Scheme::WebPki => write!(f, "wss://{host}:{port}{path}#{key}"),
        }
    }
}

/// Why a text is not the address of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text does not begin with one of the three schemes.
    #[error("a relay's address begins with ties://, wss:// or, on this machine, ws://")]
    UnknownScheme,
    /// A `ties://` address has no key before the host.
    #[error("the relay's key is missing: write ties://<relay key>@host:port, as the relay printed it")]
    NoKeyBefore,
    /// A `wss://` or `ws://` address has no key behind it.
    #[error("the relay's key is missing: put #<relay key> at the end, as the relay printed it")]
    NoKeyAfter,
    /// The key is malformed or weak.
    #[error("the relay's key is not 43 characters of base64url that name an Ed25519 public key")]
    Key,
    /// The host is neither a name in ASCII nor an IP address.
    #[error("the host is neither an ASCII name nor an IP address (write IPv6 in brackets)")]
    Host,
    /// The port is missing or not between 1 and 65535.
    #[error("the port is missing or not between 1 and 65535")]
    Port,
    /// The path has characters that a request line cannot carry, or the scheme takes none.
    #[error("the path is not one that a relay's address can have")]
    Path,
    /// `ws://` names another machine.
    #[error("ws:// has no encryption and is for this machine alone: use ties:// or wss:// for other hosts")]
    PlainAway,
}

fn parse_key(text: &str) -> Result<RelayKey, AddressError> {
    // The engine refuses padding and non-zero trailing bits, so each key has exactly one text.
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| AddressError::Key)?;
    Ok(RelayKey(bytes.try_into().map_err(|_| AddressError::Key)?))
}

fn check_key(key: &RelayKey) -> Result<(), AddressError> {
    if is_strong(&key.0) { Ok(()) } else { Err(AddressError::Key) }
}

/// Says whether a host, as an address writes it, is this machine.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn split_path(location: &str) -> Result<(&str, String), AddressError> {
    let (authority, path) = match location.find('/') {
        Some(at) => location.split_at(at),
        None => (location, "/"),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    if path.len() > MAX_PATH || !path.bytes().all(plain) {
        return Err(AddressError::Path);
    }
    Ok((authority, path.to_owned()))
}

pub(crate) fn parse_authority(scheme: Scheme, authority: &str) -> Result<(&str, Option<u16>), AddressError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(AddressError::Host)?;
            host.parse::<Ipv6Addr>().map_err(|_| AddressError::Host)?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':').ok_or(AddressError::Port)?)),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    parse_host(scheme, host)?;
    Ok((host, port.map(parse_port).transpose()?))
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if !canonical {
        return Err(AddressError::Port);
    }
    text.parse().map_err(|_| AddressError::Port)
}

fn non_zero(port: u16) -> Result<u16, AddressError> {
    if port == 0 { Err(AddressError::Port) } else { Ok(port) }
}

fn parse_host(scheme: Scheme, host: &str) -> Result<String, AddressError> {
    let host = match host.parse::<IpAddr>() {
        Ok(ip) => ip.to_string(),
        Err(_) if is_name(host) => host.to_ascii_lowercase(),
        Err(_) => return Err(AddressError::Host),
    };
    if scheme == Scheme::Loopback && !is_loopback(&host) {
        return Err(AddressError::PlainAway);
    }
    Ok(host)
}

fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.len() <= 253 && host.split('.').all(label)
}

pub(crate) struct Bracketed<'a>(pub(crate) &'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

/// The port of a relay that nobody moved.
const DEFAULT_PORT: u16 = 7700;
const HTTPS_PORT: u16 = 443;
const MAX_PATH: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn parse(text: &str) -> Result<RelayAddress, AddressError> {
        text.replace("KEY", KEY).parse()
    }

    #[test]
    fn every_scheme_keeps_its_text() {
        for text in [
            "ties://KEY@relay.example:7700",
            "ties://KEY@[2001:db8::1]:9",
            "wss://relay.example#KEY",
            "wss://relay.example/some/path#KEY",
            "wss://relay.example:8443/some/path#KEY",
            "wss://relay.example:8443#KEY",
            "ws://127.0.0.1:7700#KEY",
            "ws://[::1]:7700#KEY",
            "ws://localhost:7700#KEY",
        ] {
            let address = parse(text).expect(text);
            assert_eq!(address.to_string(), text.replace("KEY", KEY));
        }
    }

    #[test]
    fn spellings_of_one_address_become_one_text() {
        for (text, canonical) in [
            ("ties://KEY@Relay.Example", "ties://KEY@relay.example:7700"),
            ("ties://KEY@relay.example/", "ties://KEY@relay.example:7700"),
            ("wss://relay.example:443/#KEY", "wss://relay.example#KEY"),
            ("ws://[0:0:0:0:0:0:0:1]:1/#KEY", "ws://[::1]:1#KEY"),
        ] {
            assert_eq!(parse(text).expect(text), parse(canonical).expect(canonical));
            assert_eq!(parse(text).expect(text).to_string(), canonical.replace("KEY", KEY));
        }
    }

    #[test]
    fn plain_websocket_away_from_this_machine_is_refused() {
        for host in ["relay.example", "192.168.1.2", "[2001:db8::1]", "127.0.0.1.example.com", "0.0.0.0"] {
            assert_eq!(parse(&format!("ws://{host}:7700#KEY")), Err(AddressError::PlainAway));
        }
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for (text, error) in [
            ("relay.example:7700", AddressError::UnknownScheme),
            ("https://relay.example#KEY", AddressError::UnknownScheme),
            ("ties://relay.example:7700", AddressError::NoKeyBefore),
            ("wss://relay.example", AddressError::NoKeyAfter),
            ("ws://127.0.0.1#KEY", AddressError::Port),
            ("ws://127.0.0.1:0#KEY", AddressError::Port),
            ("ws://127.0.0.1:65536#KEY", AddressError::Port),
            ("ws://127.0.0.1:+1#KEY", AddressError::Port),
            ("ws://127.0.0.1:1/path#KEY", AddressError::Path),
            ("wss://relay.example/a?b#KEY", AddressError::Path),
            ("wss://relay.example/a b#KEY", AddressError::Path),
            ("wss://user@relay.example#KEY", AddressError::Host),
            ("wss://a..b#KEY", AddressError::Host),
            ("wss://räley.example#KEY", AddressError::Host),
            ("ties://KEY@2001:db8::1", AddressError::Port),
            ("wss://relay.example#KEYx", AddressError::Key),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_key_has_one_spelling() {
        let spare_bits = format!("{}p", &KEY[..42]);
        for key in [spare_bits, format!("{KEY}="), KEY[1..].to_owned(), String::new()] {
            assert_eq!(parse(&format!("ties://{key}@relay.example")), Err(AddressError::Key));
        }
    }

    #[test]
    fn a_weak_key_is_refused() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        for key in [neutral, [0; 32]] {
            let address = RelayAddress::new(Scheme::Pinned, "relay.example", 1, RelayKey(key));
            assert_eq!(address, Err(AddressError::Key));
        }
    }
}
