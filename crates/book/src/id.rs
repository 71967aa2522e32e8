//! Ids of records, and the short form in which people type them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::BookError;
use crate::rows::{Index, Rows};

/// The id of a record: a UUID, of version 7 for records made here and of version 5 for imported ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Id(pub(crate) [u8; 16]);

impl Id {
    /// The id of what `source` calls `key`: the same on every device, so that imports of one file meet.
    pub(crate) fn imported(source: &str, key: &str) -> Self {
        Self(Uuid::new_v5(&IMPORTED, format!("{source}\0{key}").as_bytes()).into_bytes())
    }

    /// The last group of the UUID in hex. It is random in both versions, where the beginning is the time, which
    /// records made in one minute share; so short ids are beginnings of this.
    pub(crate) fn tail(self) -> String {
        self.0[10..].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The shortest beginning of the tail, four digits at least, that no other record here has.
    pub(crate) fn short(self, rows: &dyn Rows) -> Result<String, BookError> {
        let tail = self.tail();
        for length in SHORTEST..tail.len() {
            if rows.scan(&Index::Short.beginning(&tail[..length]))?.take(2).count() < 2 {
                return Ok(tail[..length].to_owned());
            }
        }
        Ok(tail)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).fmt(f)
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let hyphens = text.len() == 36;
        let uuid = Uuid::try_parse(text).map_err(|_| ())?;
        if hyphens { Ok(Self(uuid.into_bytes())) } else { Err(()) }
    }
}

/// How many digits a short id has at least.
pub(crate) const SHORTEST: usize = 4;

/// The namespace of imported records; never to be changed, or a re-import would double everybody.
const IMPORTED: Uuid = Uuid::from_u128(0x5f0e_9a3c_6c1b_4d57_9e42_71b3_0c8d_2fa6);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn imported_ids_are_frozen() {
        assert_eq!(Id::imported("vcard", "urn:uuid:1").to_string(), "a59fb2bb-26e9-5e21-aa74-36bcbb21b911");
        assert_ne!(Id::imported("a", "bc"), Id::imported("ab", "c"));
    }

    #[test]
    fn a_short_id_is_as_long_as_it_must_be() {
        let mut ids = [Id([0; 16]), Id([0; 16]), Id([0; 16])];
        ids[1].0[12] = 0x10;
        ids[2].0[10] = 0xab;
        let rows: BTreeMap<_, _> = ids.iter().map(|id| (Index::Short.key(&id.tail(), *id), b"p".to_vec())).collect();
        let short = ids.map(|id| id.short(&rows).unwrap());
        assert_eq!(short, ["00000", "00001", "ab00"]);
    }

    #[test]
    fn ids_are_read_as_they_are_shown() {
        let id = Id::imported("a", "b");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("0123456789abcdef0123456789abcdef".parse::<Id>().is_err());
    }
}
