//! What the operations of a change do, read from its bytes without making them.

/// Whether a change marks ranges of text. `None` if its bytes are not those of an uncompressed change.
///
/// A mark out of place makes the library panic, and panic again while it cleans up, which no caller can catch: such a change
/// must not reach it. The layout is that of <https://automerge.org/automerge-binary-format-spec/>.
pub(crate) fn has_marks(chunk: &[u8]) -> Option<bool> {
    let mut body = Bytes(chunk.get(HEADER..)?);
    let length = body.unsigned()?;
    let mut body = Bytes(body.take(length)?);
    let deps = body.unsigned()?;
    body.take(deps.checked_mul(32)?)?;
    body.counted()?; // the actor
    body.unsigned()?; // seq
    body.unsigned()?; // first operation
    body.signed()?; // time
    body.counted()?; // message
    for _ in 0..body.unsigned()? {
        body.counted()?; // another actor
    }
    for (column, length) in body.columns()? {
        let content = body.take(length)?;
        if column == ACTIONS && Bytes(content).any_above(LAST_PLAIN)? {
            return Some(true);
        }
    }
    Some(false)
}

/// How many operations a saved document holds. `None` if its bytes are not those of one document chunk and nothing else, or
/// if it is one that must not reach the library: with compressed columns, which inflate without bound, or with marks.
pub(crate) fn operations_of_document(chunk: &[u8]) -> Option<usize> {
    if chunk.get(HEADER - 1) != Some(&DOCUMENT) {
        return None;
    }
    let mut whole = Bytes(chunk.get(HEADER..)?);
    let length = whole.unsigned()?;
    let mut body = Bytes(whole.take(length)?);
    if !whole.0.is_empty() {
        return None;
    }
    for _ in 0..body.unsigned()? {
        body.counted()?; // an actor
    }
    let heads = body.unsigned()?;
    body.take(heads.checked_mul(32)?)?;
    let (of_changes, of_operations) = (body.columns()?, body.columns()?);
    if of_changes.iter().chain(&of_operations).any(|(column, _)| column & DEFLATED != 0) {
        return None;
    }
    for (_, length) in of_changes {
        body.take(length)?;
    }
    let mut operations = 0;
    for (column, length) in of_operations {
        let content = body.take(length)?;
        if column == ACTIONS {
            if Bytes(content).any_above(LAST_PLAIN)? {
                return None;
            }
            operations = Bytes(content).count()?;
        }
    }
    Some(operations)
}

/// The type of a chunk that holds a whole document.
const DOCUMENT: u8 = 0;
/// Set in the specification of a column that is compressed.
const DEFLATED: usize = 8;

/// Magic, checksum and type.
const HEADER: usize = 9;
/// The column of what operations do: id 4, run-length encoded numbers.
const ACTIONS: usize = 4 << 4 | 2;
/// What comes after it is marks, and what is not known yet.
const LAST_PLAIN: usize = 6;

struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn counted(&mut self) -> Option<&'b [u8]> {
        let length = self.unsigned()?;
        self.take(length)
    }

    /// What columns follow, with their lengths.
    fn columns(&mut self) -> Option<Vec<(usize, usize)>> {
        let mut columns = Vec::new();
        for _ in 0..self.unsigned()? {
            columns.push((self.unsigned()?, self.unsigned()?));
        }
        Some(columns)
    }

    /// How many values a run-length encoded column stands for.
    fn count(&mut self) -> Option<usize> {
        let mut count = 0usize;
        while !self.0.is_empty() {
            let more = match self.signed()? {
                0 => self.unsigned()?,
                length @ 1.. => {
                    self.unsigned()?;
                    usize::try_from(length).ok()?
                }
                literal => {
                    let values = usize::try_from(literal.unsigned_abs()).ok()?;
                    for _ in 0..values {
                        self.unsigned()?;
                    }
                    values
                }
            };
            count = count.checked_add(more)?;
        }
        Some(count)
    }

    /// Unsigned LEB128.
    fn unsigned(&mut self) -> Option<usize> {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).ok();
            }
        }
        None
    }

    /// Signed LEB128.
    fn signed(&mut self) -> Option<i64> {
        let mut value = 0i64;
        for shift in (0..70).step_by(7) {
            let byte = *self.take(1)?.first()?;
            if shift < 64 {
                value |= i64::from(byte & 0x7f) << shift;
            }
            if byte & 0x80 == 0 {
                let unused = 64 - (shift + 7);
                return Some(if unused > 0 { value << unused >> unused } else { value });
            }
        }
        None
    }

    /// Whether a run-length encoded column has a number above this.
    fn any_above(&mut self, most: usize) -> Option<bool> {
        while !self.0.is_empty() {
            let values = match self.signed()? {
                0 => {
                    self.unsigned()?;
                    continue;
                }
                1.. => 1,
                literal => literal.unsigned_abs(),
            };
            for _ in 0..values {
                if self.unsigned()? > most {
                    return Some(true);
                }
            }
        }
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use automerge::marks::{ExpandMark, Mark};
    use automerge::transaction::Transactable;
    use automerge::{Automerge, ObjType, ROOT};

    use super::*;

    fn change(make: impl FnOnce(&mut automerge::transaction::Transaction<'_>)) -> Vec<u8> {
        let mut document = Automerge::new();
        let mut changing = document.transaction();
        make(&mut changing);
        changing.commit();
        document.get_last_local_change().unwrap().raw_bytes().to_vec()
    }

    #[test]
    fn a_mark_is_seen_and_nothing_else_is_taken_for_one() {
        let plain = change(|changing| {
            let text = changing.put_object(ROOT, "body", ObjType::Text).unwrap();
            changing.splice_text(&text, 0, 0, "hello").unwrap();
            changing.put(ROOT, "count", 1).unwrap();
            changing.delete(ROOT, "count").unwrap();
        });
        assert_eq!(has_marks(&plain), Some(false));
        let marked = change(|changing| {
            let text = changing.put_object(ROOT, "body", ObjType::Text).unwrap();
            changing.splice_text(&text, 0, 0, "hello").unwrap();
            changing.mark(&text, Mark::new("bold".into(), true, 0, 3), ExpandMark::After).unwrap();
        });
        assert_eq!(has_marks(&marked), Some(true));
        for end in 0..plain.len() {
            assert_eq!(has_marks(&plain[..end]), None, "{end}");
        }
    }

    #[test]
    fn operations_of_a_saved_document_are_counted_and_compressed_ones_are_not_looked_into() {
        let mut document = Automerge::new();
        let mut changing = document.transaction();
        let text = changing.put_object(ROOT, "body", ObjType::Text).unwrap();
        changing.splice_text(&text, 0, 0, &"a".repeat(1000)).unwrap();
        for key in 0..500 {
            changing.put(ROOT, format!("key {key}"), key).unwrap();
        }
        changing.commit();
        let plain = document.save_nocompress();
        assert_eq!(operations_of_document(&plain), Some(1501));
        assert_eq!(operations_of_document(&document.save()), None);
        assert_eq!(operations_of_document(&[&plain[..], &[0]].concat()), None);
        for end in 0..plain.len() {
            assert_eq!(operations_of_document(&plain[..end]), None, "{end}");
        }
        let mut changing = document.transaction();
        changing.mark(&text, Mark::new("bold".into(), true, 0, 3), ExpandMark::After).unwrap();
        changing.commit();
        assert_eq!(operations_of_document(&document.save_nocompress()), None);
    }
}
