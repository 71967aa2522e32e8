//! Compress, then pad: what the sealed length tells is a Padmé size, never the length itself.

use crate::MAX_ENTRY;

/// The smallest padded length; a change of one field fits.
pub const FLOOR: usize = 208;

/// The most bytes that a packed body may unpack to.
pub const MAX_UNPACKED: usize = 8 << 20;

/// A packed body that does not unpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// Not what [`pack`] makes.
    #[error("malformed packing")]
    Malformed,
    /// Something else than zeros after the body.
    #[error("padding that is not zero")]
    Padding,
    /// Unpacks to more than [`MAX_UNPACKED`].
    #[error("unpacks to more than {MAX_UNPACKED} bytes")]
    TooLarge,
}

/// The Padmé length for `length`: at most 12 % more, and only the order of magnitude and a few bits show.
/// Source: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", PETS 2019.
#[must_use]
pub fn padme(length: usize) -> usize {
    if length < FLOOR {
        return FLOOR;
    }
    let exponent = length.ilog2();
    let mantissa = exponent.ilog2() + 1;
    let mask = (1usize << (exponent - mantissa)) - 1;
    (length + mask) & !mask
}

/// Packs a body of at most [`MAX_UNPACKED`] bytes as method (0 stored, 1 zstd), length (u32, little-endian), bytes and zeros up to a Padmé length.
#[must_use]
pub fn pack(body: &[u8]) -> Vec<u8> {
    pack_at(body, 3)
}

/// The same with more effort, for what is packed once and read often.
pub(crate) fn pack_hard(body: &[u8]) -> Vec<u8> {
    pack_at(body, 9)
}

fn pack_at(body: &[u8], level: i32) -> Vec<u8> {
    let compressed = zstd::bulk::compress(body, level).ok().filter(|packed| packed.len() < body.len());
    let (method, bytes) = compressed.as_deref().map_or((0u8, body), |packed| (1, packed));
    let mut packed = Vec::with_capacity(padme(bytes.len() + 5));
    packed.push(method);
    packed.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    packed.extend_from_slice(bytes);
    packed.resize(padme(packed.len()), 0);
    packed
}

/// Unpacks what [`pack`] made, within bounds.
///
/// # Errors
/// Refuses unknown methods, padding that is not zero or not of the Padmé length, and bombs.
pub fn unpack(packed: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let (head, rest) = packed.split_at_checked(5).ok_or(UnpackError::Malformed)?;
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let (bytes, padding) = rest.split_at_checked(length).ok_or(UnpackError::Malformed)?;
    if packed.len() > MAX_ENTRY || packed.len() != padme(5 + length) || padding.iter().any(|byte| *byte != 0) {
        return Err(UnpackError::Padding);
    }
    match head[0] {
        0 => Ok(bytes.to_vec()),
        1 => inflate(bytes),
        _ => Err(UnpackError::Malformed),
    }
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, UnpackError> {
    // One frame and nothing after it: the library would take more, and skippable ones with anything in them.
    if zstd::zstd_safe::find_frame_compressed_size(bytes) != Ok(bytes.len()) {
        return Err(UnpackError::Malformed);
    }
    let claimed = zstd::zstd_safe::get_frame_content_size(bytes)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
        .ok_or(UnpackError::Malformed)?;
    if claimed > MAX_UNPACKED {
        return Err(UnpackError::TooLarge);
    }
    let body = zstd::bulk::decompress(bytes, claimed).map_err(|_| UnpackError::Malformed)?;
    // What does not get shorter is stored: an empty frame is not what `pack` makes of an empty body.
    if body.len() == claimed && bytes.len() < claimed { Ok(body) } else { Err(UnpackError::Malformed) }
}
