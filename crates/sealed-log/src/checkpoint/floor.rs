//! The floor record: what relays and carriers see of a checkpoint, with the signatures of who stands behind it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use super::chunk::Chunk;
use super::manifest::Manifest;
use super::{MAX_CHUNK, MAX_CHUNKS, is_cut};
use crate::ids::{ChunkName, FloorName, LogId};
use crate::keys::{KeyError, LogKey, sign, verify};
use crate::log::Log;
use crate::seal::SEAL_OVERHEAD;
use crate::vector::{Tip, TipRecord};
use crate::{DecodeError, decode, encode};

const VERSION: u8 = 1;
const AUTHOR: &str = "ties1/floor";
const COSIGNER: &str = "ties1/floor-cosign";

/// Why bytes are not a floor record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FloorError {
    /// They do not parse, or break a rule of the format.
    #[error(transparent)]
    Shape(#[from] DecodeError),
    /// A signature or key is wrong.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Whoever wrote it cannot be the second to sign it.
    #[error("the author of a checkpoint cannot be its second signer")]
    Twice,
}

/// A floor record whose form and signatures were checked. Cheap to clone.
///
/// Everything up to its cut is in the checkpoint, so whoever has that can do without the entries; with two signatures by
/// logs of different devices, they may be dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct FloorRecord {
    body: Arc<Body>,
    cosigner: Option<LogId>,
    bytes: Arc<[u8]>,
    name: FloorName,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Body {
    version: u8,
    manifest: ChunkName,
    /// All chunks, the manifest among them, by name: nothing tells which holds what.
    chunks: Vec<(ChunkName, u32)>,
    cut: Vec<TipRecord>,
    author: LogId,
}

/// As it is written: the body as exact bytes, because these are signed.
#[derive(Serialize, Deserialize)]
struct Signed {
    body: ByteBuf,
    signature: ByteBuf,
    cosigned: Option<(LogId, ByteBuf)>,
}

impl FloorRecord {
    /// Signs the floor of a checkpoint with the key of a log of its author.
    ///
    /// # Errors
    /// When the manifest breaks a bound.
    pub fn sign(author: &LogKey, manifest: &Manifest, sealed: &Chunk) -> Result<Self, FloorError> {
        let parts = manifest.parts.iter().map(|part| (part.chunk, part.len));
        let mut chunks: Vec<_> = parts.chain([(sealed.name(), sealed.len())]).collect();
        chunks.sort_unstable();
        let cut = manifest.cut.clone();
        let body = Body { version: VERSION, manifest: sealed.name(), chunks, cut, author: author.id() };
        body.check()?;
        let body = encode(&body);
        let signature = sign(author.signing(), AUTHOR, &[&body]).to_vec();
        Self::verify(&encode(&Signed {
            body: ByteBuf::from(body),
            signature: ByteBuf::from(signature),
            cosigned: None,
        }))
    }

    /// The same record with a second signature, over everything before it; in place of one that it may have.
    ///
    /// # Errors
    /// When the log is the author's.
    pub fn cosign(&self, cosigner: &LogKey) -> Result<Self, FloorError> {
        let mut signed: Signed = decode(&self.bytes)?;
        let id = cosigner.id();
        let signature = sign(cosigner.signing(), COSIGNER, &[&id.0, &signed.signature, &signed.body]);
        signed.cosigned = Some((id, ByteBuf::from(signature.to_vec())));
        Self::verify(&encode(&signed))
    }

    /// Checks exact bytes: form, bounds, order and signatures.
    ///
    /// # Errors
    /// Says which of these fails.
    pub fn verify(bytes: &[u8]) -> Result<Self, FloorError> {
        let signed: Signed = decode(bytes)?;
        let body: Body = decode(&signed.body)?;
        body.check()?;
        verify(&body.author.0, AUTHOR, &[&signed.body], fixed(&signed.signature)?)?;
        let cosigner = signed.cosigned.as_ref().map(|(log, _)| *log);
        if let Some((log, signature)) = &signed.cosigned {
            if *log == body.author {
                return Err(FloorError::Twice);
            }
            verify(&log.0, COSIGNER, &[&log.0, &signed.signature, &signed.body], fixed(signature)?)?;
        }
        let name = FloorName(Sha256::digest(bytes).into());
        Ok(Self { body: Arc::new(body), cosigner, bytes: bytes.into(), name })
    }

    /// SHA-256 of the exact bytes: another one with the second signature than without.
    #[must_use]
    pub fn name(&self) -> FloorName {
        self.name
    }

    /// The exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The chunk that says what the others are.
    #[must_use]
    pub fn manifest(&self) -> ChunkName {
        self.body.manifest
    }

    /// All chunks with their lengths, by name, the manifest among them.
    #[must_use]
    pub fn chunks(&self) -> &[(ChunkName, u32)] {
        &self.body.chunks
    }

    /// The length of one of its chunks.
    #[must_use]
    pub fn length_of(&self, chunk: &ChunkName) -> Option<u32> {
        let at = self.body.chunks.binary_search_by_key(chunk, |(name, _)| *name).ok()?;
        Some(self.body.chunks[at].1)
    }

    /// Bytes of all its chunks.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.body.chunks.iter().map(|(_, len)| u64::from(*len)).sum()
    }

    /// How far it reaches, sorted.
    #[must_use]
    pub fn cut(&self) -> &[TipRecord] {
        &self.body.cut
    }

    /// How far it reaches in one log, lowest tip first; empty for a log that it does not know.
    #[must_use]
    pub fn cut_of(&self, log: &LogId) -> Vec<Tip> {
        let from = self.body.cut.partition_point(|record| record.log < *log);
        let its = self.body.cut[from..].iter().take_while(|record| record.log == *log);
        its.map(|record| record.tip).collect()
    }

    /// The logs that it knows, sorted.
    pub fn logs(&self) -> impl Iterator<Item = LogId> + '_ {
        self.body.cut.chunk_by(|a, b| a.log == b.log).map(|tips| tips[0].log)
    }

    /// The log whose key signed first.
    #[must_use]
    pub fn author(&self) -> LogId {
        self.body.author
    }

    /// The log whose key signed second.
    #[must_use]
    pub fn cosigner(&self) -> Option<LogId> {
        self.cosigner
    }

    /// Whether both speak of the same checkpoint, by the same author.
    #[must_use]
    pub fn is_of_the_same(&self, other: &Self) -> bool {
        self.body == other.body
    }

    /// Whether this is the floor of that checkpoint.
    #[must_use]
    pub fn matches(&self, manifest: &Manifest) -> bool {
        let mut chunks: Vec<_> = manifest.parts.iter().map(|part| (part.chunk, part.len)).collect();
        chunks.extend(self.length_of(&self.manifest()).map(|len| (self.manifest(), len)));
        chunks.sort_unstable();
        chunks == self.body.chunks && manifest.cut == self.body.cut
    }

    /// Whether it reaches at least as far as another in every log. Where a log is forked this counts branches, which
    /// only ever become more; whether one tip follows another is in the entries alone.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.logs().all(|log| {
            let (mine, theirs) = (self.cut_of(&log), other.cut_of(&log));
            let reached = |tip: &Tip| mine.iter().any(|own| own == tip || own.seq > tip.seq);
            mine.len() >= theirs.len() && theirs.iter().all(reached)
        })
    }

    /// Which of two is to be started from, by a rule that gives everybody the same: the one that covers the other;
    /// if neither or each does, the one with two signatures, then the one with the lower name.
    #[must_use]
    pub fn supersedes(&self, other: &Self) -> bool {
        match (self.covers(other), other.covers(self)) {
            (true, false) => true,
            (false, true) => false,
            _ => {
                let rank = |record: &Self| (record.cosigner.is_none(), record.name);
                rank(self) < rank(other)
            }
        }
    }

    /// Puts what has floor records into the order in which it is to be started from: each before all that it supersedes. Of
    /// three of which none covers all others each may supersede the next; then the one with the lowest name comes first.
    pub fn newest_first<T>(records: Vec<T>, record: impl Fn(&T) -> &Self) -> Vec<T> {
        let mut rest = records;
        let mut sorted = Vec::with_capacity(rest.len());
        while !rest.is_empty() {
            let is_first = |at: &usize| rest.iter().all(|other| !record(other).supersedes(record(&rest[*at])));
            let first = (0..rest.len()).find(is_first);
            let first = first.or_else(|| (0..rest.len()).min_by_key(|at| record(&rest[*at]).name));
            sorted.push(rest.remove(first.unwrap_or(0)));
        }
        sorted
    }
}

/// Whether a log went two ways at or below a cut, and the cut has not all of them: whoever begins there never gets what stands
/// on the others.
///
/// # Errors
/// When the storage fails.
pub fn is_outgrown<L: Log>(cut: &[TipRecord], log: &L) -> Result<bool, L::Error> {
    for ends in cut.chunk_by(|one, next| one.log == next.log) {
        let id = ends[0].log;
        let fork = log.forked_at(&id)?;
        let forks_below = fork.is_some_and(|fork| ends.iter().any(|end| fork <= end.tip.seq));
        if forks_below && ends.len() < log.tips(&id)?.len() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Body {
    fn check(&self) -> Result<(), DecodeError> {
        let shortest = SEAL_OVERHEAD as u32 + 1;
        let holds = self.version == VERSION
            && self.chunks.len() <= MAX_CHUNKS
            && self.chunks.is_sorted_by(|a, b| a.0 < b.0)
            && self.chunks.iter().all(|(_, len)| (shortest..=MAX_CHUNK as u32).contains(len))
            && self.chunks.binary_search_by_key(&self.manifest, |(name, _)| *name).is_ok()
            && is_cut(&self.cut);
        if holds { Ok(()) } else { Err(DecodeError::Bounds) }
    }
}

impl std::fmt::Debug for FloorRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FloorRecord")
            .field("name", &self.name)
            .field("chunks", &self.body.chunks.len())
            .field("tips", &self.body.cut.len())
            .field("cosigned", &self.cosigner.is_some())
            .finish_non_exhaustive()
    }
}

fn fixed(signature: &[u8]) -> Result<&[u8; 64], DecodeError> {
    signature.try_into().map_err(|_| DecodeError::Bounds)
}
