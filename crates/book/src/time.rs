//! Times as faces see them.

use jiff::Timestamp;

/// Milliseconds since 1970 as RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339(ms: i64) -> Option<String> {
    let time = Timestamp::from_millisecond(ms).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// RFC 3339 as milliseconds since 1970.
pub(crate) fn milliseconds(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(rfc3339(1_795_000_000_123).as_deref(), Some("2026-11-18T11:06:40Z"));
        assert_eq!(milliseconds("2026-11-18T12:06:40+01:00"), Some(1_795_000_000_000));
        assert_eq!(rfc3339(i64::MAX), None);
    }
}
