"""FORMAT.md's entries and the bodies of all kinds, and what a relay reads."""

from collections import namedtuple

from notation import (
    BYTES,
    ID,
    STRING,
    U8,
    U16,
    U32,
    U64,
    H,
    decode,
    need,
    option,
    public,
    raw,
    record,
    several,
    sha256,
    sign,
    variant,
    verify,
    where,
)
from sealing import device_certificate, recovery_certificate

# ------------------------------------------------------------------------------------------------------------ Entries

NONE = bytes(32)
Entry = namedtuple("Entry", "name header log seq prev sealed")


def parse_entry(data):
    need(217 <= len(data) <= 1048576 and data[0] == 1, "length, or version and suite")
    seq, prev = int.from_bytes(data[33:41], "big"), data[41:73]
    need(seq > 0 and (seq == 1) == (prev == NONE), "a first entry, and no other, has none before it")
    return Entry(sha256(data), data[:73], data[1:33], seq, prev, data[73:-64])


def verify_entry(data):
    entry = parse_entry(data)
    verify(entry.log, data[-64:], "ties1/entry", data[:-64])
    return entry


def write_entry(log_seed, seq, prev, sealed_for):
    """`sealed_for` gives the sealed content for a header."""
    header = b"\1" + public(log_seed) + seq.to_bytes(8, "big") + prev
    start = header + sealed_for(header)
    return start + sign(log_seed, "ties1/entry", start)


def entry_context(space, epoch, header):
    return b"ties1/entry\0" + space + epoch + header


DEP = record("Dep", log=ID, seq=U64, name=ID)
DEPS = several(DEP, order=tuple)
CONTENT = record("Content", kind=U16, deps=DEPS, time=U64, body=BYTES)

# -------------------------------------------------------------------------------------------------------------- Kinds

SIGNATURE = where(BYTES, lambda value: len(value) == 64, "a signature is 64 bytes")
DEVICE, RECOVERY = (
    where(BYTES, device_certificate, "a certificate"),
    where(BYTES, recovery_certificate, "a certificate"),
)
PARENTS = several(ID, most=64, order=bytes)
ROLE = variant(None, None, None)
NAME = where(STRING, lambda value: len(value.encode()) <= 200, "a name is at most 200 bytes")
CHANGE = record("Change", document=raw(16), nonce=U16, chunk=BYTES)
MANNER = variant(None, several(DEP, most=1700, order=tuple))
WRAP = record("Wrap", recipient=ID, sealed=where(BYTES, lambda value: len(value) == 1168, "a wrap is 1168 bytes"))
WRAPS = several(WRAP, most=65, order=lambda wrap: wrap.recipient)
EARLIER = several(record("Earlier", epoch=ID, generation=U32, key=ID), order=lambda key: key.epoch, least=1)
MEMBER = record("Member", certificate=DEVICE, role=ROLE, name=NAME)
MEMBERS = several(MEMBER, most=64, order=lambda member: device_certificate(member.certificate).id, least=1)
ROAD = record("RelayRoad", address=STRING, relay=ID, mailbox=ID, statements=several(BYTES))
KNOWN = record("KnownPseudonym", device=ID, relay=ID, pseudonym=ID, signature=SIGNATURE)
OPENING = where(BYTES, lambda value: len(value) == 224, "a log opening is 224 bytes")
RECEIPT = record("Receipt", mailbox=ID, store=raw(16), seq=U64, name=ID)
CHANGES = where(
    record("Changes", nonces=several(raw(16)), items=several(CHANGE)),
    lambda body: all(change.nonce <= len(body.nonces) for change in body.items),
    "a nonce that is not there",
)

BODIES = {
    1: record("OpenLog", device=ID, signature=SIGNATURE),
    2: CHANGES,
    3: record("Beacon"),
    16: record("Genesis", random=ID, founder=DEVICE, name=NAME, recovery=option(RECOVERY)),
    17: record("Add", parents=PARENTS, certificate=DEVICE, role=ROLE, name=NAME),
    18: record("SetRole", parents=PARENTS, device=ID, role=ROLE),
    19: record("Rename", parents=PARENTS, device=ID, name=NAME),
    20: record("Remove", parents=PARENTS, device=ID, manner=MANNER),
    21: record("Rotate", parents=PARENTS, random=ID, generation=U32, check=ID, wraps=WRAPS, earlier=BYTES),
    22: record("Share", parents=PARENTS, epoch=ID, generation=U32, check=ID, wrap=WRAP),
    23: record("Reset", parents=PARENTS, members=MEMBERS, signature=SIGNATURE),
    24: record("Roads", parents=PARENTS, relays=several(ROAD), pseudonyms=several(KNOWN), openings=several(OPENING)),
    25: record("Admit", parents=PARENTS, certificate=DEVICE, role=ROLE, name=NAME, signature=SIGNATURE),
    26: record("NewRecovery", parents=PARENTS, certificate=RECOVERY, signature=SIGNATURE),
    27: record("Raise", parents=PARENTS, level=where(U16, lambda level: level > 0, "levels begin at 1")),
    33: variant(None, None),
    37: record("Receipts", relays=several(RECEIPT, most=64, order=tuple)),
    38: record("Reads", level=where(U16, lambda level: level > 0, "levels begin at 1")),
    39: record("Carried", log=ID, signature=SIGNATURE, changes=CHANGES),
}
ENVELOPE = record(
    "Envelope",
    space=ID,
    genesis=ID,
    epoch=ID,
    generation=U32,
    key=ID,
    mailboxes=several(record("Mailbox", address=STRING, mailbox=ID)),
    checkpoint=option(ID),
)


def read_body(kind, data):
    need(not 16 <= kind <= 31 or len(data) <= 131072, "a membership body is at most 131,072 bytes")
    return decode(BODIES[kind], data)


def check_seed_change(chunk):
    need(chunk[:4] == b"\x85\x6f\x4a\x83" and chunk[8:9] == b"\1", "not an Automerge change")
    need(chunk[4:8] == sha256(chunk[8:])[:4], "checksum")
    body = decode(BYTES, chunk[9:])
    need(body[:2] == b"\x00\x10" and body[18:23] == b"\1\1\0\0\0", "not a first change")
    blank = body[:2] + bytes(16) + body[18:]
    need(body[2:18] == H("ties1/seed-actor", blank)[:16], "the actor is another's")


# ------------------------------------------------------------------------------------------------- What a relay reads

GRANT = where(record("Grant", pseudonym=ID, flags=U8), lambda grant: grant.flags <= 16, "flags")
STATEMENT = record(
    "Statement",
    version=where(U8, lambda version: version == 1, "version"),
    mailbox=option(ID),
    parents=PARENTS,
    grants=several(GRANT, most=80, order=lambda grant: grant.pseudonym),
    recovery=option(ID),
    random=ID,
    signer=ID,
)


def read_statement(data):
    body = decode(STATEMENT, data[:-64])
    need((body.mailbox is None) == (not body.parents), "the first statement, and no other, has no parents")
    verify(body.signer, data[-64:], "ties1/access", data[:-64])
    return body


def read_opening(data):
    need(len(data) == 224, "length of a log opening")
    verify(data[64:96], data[96:160], "ties1/log-opening", data[:96])
    verify(data[32:64], data[160:], "ties1/log-opening-by-log", data[:96])


def vector_digest(lines):
    return H("ties1/vector", *sorted(log + seq.to_bytes(8, "big") + name for log, seq, name in lines))


# ----------------------------------------------------------------------------------------------------------- Checkpoints


def is_cut(cut):
    logs = [record.log for record in cut]
    return all(record.seq > 0 for record in cut) and all(logs.count(log) <= 8 for log in set(logs))


CUT = where(several(DEP, most=8192, order=tuple, least=1), is_cut, "a cut names at most eight tips of a log, none at 0")
VERSION = where(U8, lambda version: version == 1, "version")
PART = record(
    "Part",
    kind=where(U8, lambda kind: kind > 0, "a part is no manifest"),
    chunk=ID,
    length=where(U32, lambda length: 0 < length <= 1048576, "length of a chunk"),
    items=where(U32, lambda items: items > 0, "an empty part"),
)
PARTS = where(
    several(PART, most=4095), lambda parts: len({part.chunk for part in parts}) == len(parts), "a chunk named twice"
)
MANIFEST = record("Manifest", version=VERSION, space=ID, cut=CUT, root=ID, parts=PARTS)
PIECES = several(record("Piece", document=raw(16), saved=BYTES))
CHUNK_LENGTH = where(U32, lambda length: 81 <= length <= 1048576, "length of a chunk")
CHUNKS = several(record("Chunk", name=ID, length=CHUNK_LENGTH), most=4096, order=lambda chunk: chunk.name)
FLOOR_BODY = where(
    record("FloorBody", version=VERSION, manifest=ID, chunks=CHUNKS, cut=CUT, author=ID),
    lambda body: body.manifest in {chunk.name for chunk in body.chunks},
    "the manifest is not among the chunks",
)
FLOOR = record(
    "Floor", body=BYTES, signature=SIGNATURE, cosigned=option(record("Cosigned", log=ID, signature=SIGNATURE))
)


def chunk_context(space, epoch, kind):
    return b"ties1/chunk\0" + space + epoch + bytes([kind])


def state_root(documents):
    heads = lambda heads: len(heads).to_bytes(4, "big") + b"".join(sorted(heads))
    return H("ties1/state-root", *[document + heads(documents[document]) for document in sorted(documents)])


def write_floor(author_seed, body, cosigner_seed=None):
    signature = sign(author_seed, "ties1/floor", body)
    cosigned = None
    if cosigner_seed:
        log = public(cosigner_seed)
        cosigned = (log, sign(cosigner_seed, "ties1/floor-cosign", log, signature, body))
    return FLOOR.write((body, signature, cosigned))


def read_floor(data):
    floor = decode(FLOOR, data)
    body = decode(FLOOR_BODY, floor.body)
    verify(body.author, floor.signature, "ties1/floor", floor.body)
    if floor.cosigned:
        log, signature = floor.cosigned
        need(log != body.author, "the author signs twice")
        verify(log, signature, "ties1/floor-cosign", log, floor.signature, floor.body)
    return body
