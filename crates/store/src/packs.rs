//! Values that lie together: thousands of small ones compress to a third in company, and hardly at all alone.
//!
//! A transaction that writes much puts its values into packs, in the order of their keys, and leaves in the table where
//! each one lies. A value that is replaced is taken out of its pack, so that nothing stays that was overwritten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use zstd::bulk::Decompressor;

use crate::StoreError;
use crate::tables::Table;

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored<'a> {
    Here(&'a [u8]),
    Packed(Place),
}

/// A value's place in the packs of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) pack: u32,
    pub(crate) slot: u16,
}

impl<'a> Stored<'a> {
    /// Reads what a table with packs holds under a key.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, StoreError> {
        match bytes {
            [] => Ok(Self::Here(&[])),
            [HERE, value @ ..] => Ok(Self::Here(value)),
            [PACKED, a, b, c, d, e, f] => Ok(Self::Packed(Place {
                pack: u32::from_le_bytes([*a, *b, *c, *d]),
                slot: u16::from_le_bytes([*e, *f]),
            })),
            _ => Err(StoreError::Damaged("a value is neither here nor in a pack".into())),
        }
    }

    /// What the table holds; the inverse of [`Self::parse`].
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Here([]) => Vec::new(),
            Self::Here(value) => [&[HERE], value].concat(),
            Self::Packed(place) => [&[PACKED], &place.pack.to_le_bytes()[..], &place.slot.to_le_bytes()].concat(),
        }
    }
}

const HERE: u8 = 0;
const PACKED: u8 = 1;

/// Values that lie together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pack {
    /// Where each value ends in `bytes`.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Pack {
    /// Whether this value should lie with others, if many are written.
    pub(crate) fn wants(value: &[u8]) -> bool {
        (SMALLEST..=LARGEST).contains(&value.len())
    }

    /// Adds a value and tells its slot.
    pub(crate) fn push(&mut self, value: &[u8]) -> u16 {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        u16::try_from(self.ends.len() - 1).expect("a pack is full long before it has so many values")
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    pub(crate) fn get(&self, slot: u16) -> Option<&[u8]> {
        let slot = usize::from(slot);
        let start = if slot == 0 { 0 } else { *self.ends.get(slot - 1)? };
        self.bytes.get(start..*self.ends.get(slot)?)
    }

    /// The same pack with some values taken out, the slots of the others being what they were; nothing if none is left.
    pub(crate) fn without(&self, slots: &BTreeSet<u16>) -> Option<Self> {
        let mut left = Self::default();
        for slot in 0..self.ends.len() as u16 {
            let value = if slots.contains(&slot) { None } else { self.get(slot) };
            left.push(value.unwrap_or_default());
        }
        (!left.bytes.is_empty()).then_some(left)
    }

    /// The length of everything below, u32, then by zstd: how many values, u16; their lengths, u32 each; the values. All
    /// little-endian.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, StoreError> {
        let mut plain = Vec::with_capacity(2 + 4 * self.ends.len() + self.bytes.len());
        plain.extend_from_slice(&(self.ends.len() as u16).to_le_bytes());
        let mut start = 0;
        for end in &self.ends {
            plain.extend_from_slice(&((end - start) as u32).to_le_bytes());
            start = *end;
        }
        plain.extend_from_slice(&self.bytes);
        let mut bytes = (plain.len() as u32).to_le_bytes().to_vec();
        bytes.extend(zstd::bulk::compress(&plain, LEVEL)?);
        Ok(bytes)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::parse_with(&mut Decompressor::new()?, bytes)
    }

    fn parse_with(decompressor: &mut Decompressor<'_>, bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged("a pack does not parse".into());
        let (length, compressed) = bytes.split_first_chunk().ok_or_else(damaged)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| damaged())?;
        if length > LONGEST {
            return Err(damaged());
        }
        let plain = decompressor.decompress(compressed, length).map_err(|_| damaged())?;
        let (count, rest) = plain.split_first_chunk().ok_or_else(damaged)?;
        let count = usize::from(u16::from_le_bytes(*count));
        let (lengths, values) = rest.split_at_checked(4 * count).ok_or_else(damaged)?;
        let mut ends = Vec::with_capacity(count);
        let mut end = 0_usize;
        for length in lengths.as_chunks().0 {
            end += usize::try_from(u32::from_le_bytes(*length)).map_err(|_| damaged())?;
            ends.push(end);
        }
        if end != values.len() {
            return Err(damaged());
        }
        Ok(Self { ends, bytes: values.to_vec() })
    }
}

/// Values shorter than this stay in the table: their place would take as much room.
const SMALLEST: usize = 24;
/// Longer ones compress well alone and would make their neighbours dear to read.
const LARGEST: usize = 64 << 10;
/// A pack takes values until it has so many bytes: reading one value costs some 20 microseconds.
const FULL: usize = 16 << 10;
/// No pack is longer than a full one with a longest value on top, even of the shortest values.
const LONGEST: usize = 2 + (FULL + LARGEST) + 4 * (FULL / SMALLEST + 2);
const LEVEL: i32 = 3;

/// The packs that were read. Rows in the order of a name lie in all of them, at random.
#[derive(Default)]
pub(crate) struct PackCache(Mutex<Cached>);

#[derive(Default)]
struct Cached {
    packs: BTreeMap<(Table, u32), Arc<Pack>>,
    /// Making one costs as much as a pack.
    decompressor: Option<Decompressor<'static>>,
}

impl PackCache {
    /// A pack of a table, read by `read` unless it is here.
    fn pack(
        &self,
        table: Table,
        number: u32,
        read: impl FnOnce() -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<Arc<Pack>, StoreError> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Cached { packs, decompressor } = &mut *cached;
        if let Some(pack) = packs.get(&(table, number)) {
            return Ok(Arc::clone(pack));
        }
        let bytes = read()?.ok_or_else(|| StoreError::Damaged("a pack is missing".into()))?;
        let decompressor = match decompressor {
            Some(made) => made,
            none => none.insert(Decompressor::new()?),
        };
        let pack = Arc::new(Pack::parse_with(decompressor, &bytes)?);
        if packs.len() >= CACHED {
            packs.clear();
        }
        packs.insert((table, number), Arc::clone(&pack));
        Ok(pack)
    }

    /// A value at a place.
    pub(crate) fn value(
        &self,
        table: Table,
        place: Place,
        read: impl FnOnce() -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        let pack = self.pack(table, place.pack, read)?;
        let value = pack.get(place.slot).ok_or_else(|| StoreError::Damaged("a pack lacks a value".into()))?;
        Ok(value.to_vec())
    }
}

/// Four megabytes, in general.
const CACHED: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_pack_gives_back_what_was_put_in(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..60)) {
            let mut pack = Pack::default();
            let slots: Vec<u16> = values.iter().map(|value| pack.push(value)).collect();
            let pack = Pack::parse(&pack.to_bytes().unwrap()).unwrap();
            for (slot, value) in slots.iter().zip(&values) {
                prop_assert_eq!(pack.get(*slot).unwrap(), &value[..]);
            }
            prop_assert_eq!(pack.get(values.len() as u16), None);
        }

        #[test]
        fn what_is_taken_out_is_gone_and_the_rest_stays(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 1..30),
            gone in prop::collection::btree_set(0_u16..30, 0..30),
        ) {
            let mut pack = Pack::default();
            for value in &values {
                pack.push(value);
            }
            let left = pack.without(&gone);
            prop_assert_eq!(left.is_none(), (0..values.len() as u16).all(|slot| gone.contains(&slot)));
            for (slot, value) in left.iter().flat_map(|left| (0..).map(move |slot| left.get(slot))).zip(&values).enumerate() {
                let (found, value) = value;
                let expected = if gone.contains(&(slot as u16)) { &[][..] } else { value };
                prop_assert_eq!(found.unwrap(), expected);
            }
        }

        #[test]
        fn damaged_packs_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..100), plain in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Pack::parse(&bytes);
            let compressed = zstd::bulk::compress(&plain, LEVEL).unwrap();
            let _ = Pack::parse(&[&(plain.len() as u32).to_le_bytes()[..], &compressed].concat());
            let _ = Stored::parse(&bytes);
        }
    }

    #[test]
    fn a_value_lies_here_or_in_a_pack() {
        let place = Place { pack: 0x0403_0201, slot: 0x0605 };
        for stored in [Stored::Here(b""), Stored::Here(b"value"), Stored::Here(&[PACKED]), Stored::Packed(place)] {
            assert_eq!(Stored::parse(&stored.to_bytes()).unwrap(), stored);
        }
        assert_eq!(Stored::Packed(place).to_bytes(), [1, 1, 2, 3, 4, 5, 6]);
        assert!(Stored::parse(&[PACKED, 1, 2]).is_err());
        assert!(Stored::parse(&[2]).is_err());
    }

    #[test]
    fn no_pack_is_longer_than_what_is_read() {
        let mut pack = Pack::default();
        while pack.bytes.len() + SMALLEST < FULL {
            pack.push(&[7; SMALLEST]);
        }
        pack.push(&[7; LARGEST]);
        assert!(Pack::parse(&pack.to_bytes().unwrap()).is_ok());
    }
}
