#!/usr/bin/env python3
"""A second reader of sealed logs, written from the words of `crates/sealed-log/FORMAT.md` and of the standards it names.

It makes the frozen examples again out of the inputs that the document gives, where no chance is in them, reads each back,
opens what is sealed, and refuses what is signed or sealed with any one byte altered. It shares nothing with the program
that wrote them. Not read here: zstd (no example needs it), Automerge's own format, and the rules over sets of entries.

Run by `cargo xtask interop`: read.py VECTORS, where VECTORS is `crates/sealed-log/tests/vectors`. Needs `cryptography`.
"""

import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from entries import (
    BODIES,
    CONTENT,
    EARLIER,
    ENVELOPE,
    FLOOR_BODY,
    MANIFEST,
    NONE,
    PIECES,
    STATEMENT,
    check_seed_change,
    chunk_context,
    entry_context,
    parse_entry,
    read_body,
    read_floor,
    read_opening,
    read_statement,
    state_root,
    vector_digest,
    verify_entry,
    write_entry,
    write_floor,
)
from notation import BYTES, ORDER, H, Refused, decode, hkdf, need, public, several, sha256, sign, verify
from sealing import (
    Device,
    Recovery,
    check_kem_key,
    device_certificate,
    epoch_id,
    hpke_open,
    pack_stored,
    padded,
    recovery_certificate,
    seal,
    unpack,
    unseal,
    xwing,
)


class Examples:
    """One file of frozen examples. Each must be looked at."""

    def __init__(self, folder, topic):
        self.topic, self.seen, self.refused = topic, set(), 0
        read = json.loads((folder / topic).with_suffix(".json").read_text())
        self.frozen = {name: bytes.fromhex(value) for name, value in read.items()}

    def __getitem__(self, name):
        self.seen.add(name)
        return self.frozen[name]

    def agree(self, name, made):
        need(self[name] == made, f"{name}: this reader makes {made.hex()}")

    def altered(self, name, read):
        """The example is read, and is refused with any one byte altered."""
        data = self[name]
        read(data)
        for at in range(len(data)):
            self.refuse(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :], read, f"{name} altered at {at}")

    def refuse(self, data, read, what):
        try:
            read(data)
        except Refused:
            self.refused += 1
            return
        raise Refused(f"{what} was taken")

    def done(self):
        need(self.seen == set(self.frozen), f"examples nobody looked at: {sorted(set(self.frozen) - self.seen)}")
        print(f"{self.topic}.json: {len(self.seen)} examples agree, {self.refused} altered ones are refused")


def fill(byte, n=32):
    return bytes([byte]) * n


def test(word):
    return H("ties1/test", word.encode())


# The inputs, as the document's section "Examples" names them.
FOUNDER, GUEST = Device(fill(1)), Device(fill(2))
WORDS, NEW_WORDS = Recovery(fill(0x7F, 16)), Recovery(fill(0xFF, 16))
LOG_SEED, LOG, RELAY = fill(6), public(fill(6)), public(fill(7))
EPOCH_KEY = fill(5)
GENESIS = BODIES[16].write((fill(3), FOUNDER.certificate, "laptop", WORDS.certificate))
SPACE = H("ties1/space", GENESIS)
EPOCH = epoch_id(SPACE, FOUNDER.id, [], sorted([FOUNDER.id, WORDS.id]), fill(4))
PSEUDONYM_SEED = FOUNDER.pseudonym(SPACE, RELAY)
PSEUDONYM = public(PSEUDONYM_SEED)
MARK = H("ties1/recovery-mark", public(WORDS.sign), RELAY)
# The words of the English BIP-39 list at the places that the founder's fingerprint names.
LISTED = {70: "angle", 1030: "liar", 1413: "radar", 1787: "term"}


# The document's table.
PADDED = {
    0: 208, 208: 208, 209: 224, 240: 240, 241: 256, 256: 256, 257: 272, 512: 512, 513: 544, 1000: 1024, 1025: 1088,
    4097: 4352, 65537: 67584, 100000: 100352, 1000000: 1015808, 1032192: 1032192,
}  # fmt: skip


def statement(mailbox, parents, grants, recovery, random):
    body = STATEMENT.write((1, mailbox, parents, grants, recovery, random, PSEUDONYM))
    return body + sign(PSEUDONYM_SEED, "ties1/access", body)


FIRST = statement(None, [], [(PSEUDONYM, 7)], MARK, fill(12))
MAILBOX = sha256(FIRST)
OPEN_LOG = sign(FOUNDER.sign, "ties1/open-log", SPACE, LOG)
LOG_OPENING_FIELDS = fill(17) + LOG + PSEUDONYM
LOG_OPENING = LOG_OPENING_FIELDS + b"".join(
    [
        sign(PSEUDONYM_SEED, "ties1/log-opening", LOG_OPENING_FIELDS),
        sign(LOG_SEED, "ties1/log-opening-by-log", LOG_OPENING_FIELDS),
    ]
)
CLAIM = sign(FOUNDER.sign, "ties1/pseudonym", SPACE, RELAY, PSEUDONYM)


def wrap_info(recipient):
    return b"ties1/wrap\0" + SPACE + EPOCH + recipient + FOUNDER.id


def check(epoch, key):
    return hkdf(key, b"", "ties1/key-check", epoch)


def names(examples, folder):
    examples.agree("hash of a label and two parts", H("ties1/example", b"one", b"two"))
    examples.agree("device", FOUNDER.id)
    examples.agree("recovery", WORDS.id)
    examples.agree("recovery mark", MARK)
    examples.agree("space", SPACE)
    examples.agree("epoch without parents", EPOCH)
    examples.agree("epoch with parents", epoch_id(SPACE, FOUNDER.id, [fill(1), fill(2)], [GUEST.id], fill(4)))
    examples.agree("key check", check(EPOCH, EPOCH_KEY))
    examples.agree("actor", H("ties1/actor", LOG, fill(11, 16))[:16])
    examples.agree("entry", sha256(Examples(folder, "entries")["beacon"]))
    examples.agree("mailbox", MAILBOX)
    lines = [(fill(2), 7, fill(3)), (fill(1), 2, fill(9)), (fill(1), 2, fill(4))]
    examples.agree("vector digest", vector_digest(lines))
    examples.agree("vector digest of nothing", vector_digest([]))
    examples.agree("access digest", H("ties1/access-digest", MAILBOX))
    bits = int.from_bytes(FOUNDER.id, "big") >> 256 - 44
    words = [LISTED.get(bits >> shift & 2047, "?") for shift in (33, 22, 11, 0)]
    examples.agree("fingerprint", " ".join(words).encode())


def keys(examples, _folder):
    examples.agree("device certificate", FOUNDER.certificate)
    examples.agree("recovery certificate", WORDS.certificate)
    examples.agree("log", LOG)
    examples.agree("relay", RELAY)
    examples.agree("pseudonym", PSEUDONYM)
    examples.agree("log claim", OPEN_LOG)
    examples.agree("pseudonym claim", CLAIM)
    examples.agree("derived key", hkdf(EPOCH_KEY, b"", "ties1/example"))
    examples.altered("device certificate", device_certificate)
    examples.altered("recovery certificate", recovery_certificate)
    sign_key = public(FOUNDER.sign)
    examples.altered("log claim", lambda made: verify(sign_key, made, "ties1/open-log", SPACE, LOG))
    examples.altered("pseudonym claim", lambda made: verify(sign_key, made, "ties1/pseudonym", SPACE, RELAY, PSEUDONYM))
    # By a key of small order, the signature (identity, 0) would be good for every message.
    identity = b"\1" + bytes(31)
    examples.refuse(identity, lambda key: verify(key, identity + bytes(32), "ties1/entry"), "a key of small order")
    late = OPEN_LOG[:32] + (int.from_bytes(OPEN_LOG[32:], "little") + ORDER).to_bytes(32, "little")
    examples.refuse(late, lambda made: verify(sign_key, made, "ties1/open-log", SPACE, LOG), "an s above the order")


def packing(examples, _folder):
    for n, expected in PADDED.items():
        need(padded(n) == expected, f"padded({n}) is {padded(n)} here")
    for name, content in (("nothing", b""), ("short", b"too short to compress")):
        examples.agree(name, pack_stored(content))
        need(unpack(examples[name]) == content, "packed is not unpacked")
        examples.refuse(examples[name] + bytes(16), unpack, "longer padding")
        for at in range(5 + len(content), len(examples[name])):
            examples.refuse(examples[name][:at] + b"\1" + examples[name][at + 1 :], unpack, "padding that is not zero")


def seeds(examples, _folder):
    examples.altered("stamped", check_seed_change)


def entries(examples, folder):
    stated = Examples(folder, "bodies")
    unsealed = unseal(EPOCH_KEY, b"where it stands", examples["sealed bytes"])
    need(unsealed == b"what it says", "sealed bytes say something else")
    examples.agree("sealed bytes", seal(EPOCH_KEY, fill(14), b"where it stands", unsealed))
    examples.altered("sealed bytes", lambda sealed: unseal(EPOCH_KEY, b"where it stands", sealed))

    def open_entry(data):
        entry = parse_entry(data)
        return unpack(unseal(EPOCH_KEY, entry_context(SPACE, EPOCH, entry.header), entry.sealed))

    def open_envelope(data):
        entry = parse_entry(data)
        need(len(entry.sealed) == 3136, "length of a recovery envelope")
        plain = hpke_open(WORDS.kem, entry.sealed, b"ties1/recovery-envelope\0" + entry.header)
        length = int.from_bytes(plain[:4], "little")
        need(length <= len(plain) - 4 and not any(plain[4 + length :]), "padding of an envelope")
        return plain[4 : 4 + length]

    before = NONE
    for name, kind, seq, opened in (
        ("beacon", 3, 1, open_entry),
        ("changes", 2, 2, open_entry),
        ("recovery envelope", None, 2, open_envelope),
    ):
        data = examples[name]
        entry = verify_entry(data)
        need((entry.log, entry.seq, entry.prev) == (LOG, seq, before), f"{name}: its place")
        plain = opened(data)
        if kind is None:
            need(plain == stated["recovery envelope"], "the envelope says something else")
        else:
            content = decode(CONTENT, plain)
            need(content.kind == kind, f"{name} is of kind {content.kind}")
            need(content.body == stated[name], f"{name} says something else")
            sealed = seal(EPOCH_KEY, entry.sealed[:32], entry_context(SPACE, EPOCH, entry.header), pack_stored(plain))
            examples.agree(name, write_entry(LOG_SEED, seq, before, lambda _header, sealed=sealed: sealed))
        examples.altered(name, verify_entry)
        # Without its signature it is refused as well: header and sealed content hold each other.
        signature = data[-64:]
        for at in range(len(data) - 64):
            altered = data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 : -64] + signature
            examples.refuse(altered, opened, f"{name} altered at {at}, its signature apart,")
        before = entry.name if name == "beacon" else before


def wraps(examples, _folder):
    for name, who in (("to a device", GUEST), ("to the recovery key", WORDS)):
        need(hpke_open(who.kem, examples[name], wrap_info(who.id)) == EPOCH_KEY, f"{name}: another key")
        examples.altered(name, lambda sealed, who=who: hpke_open(who.kem, sealed, wrap_info(who.id)))
        examples.refuse(
            examples[name], lambda sealed, who=who: hpke_open(who.kem, sealed, wrap_info(FOUNDER.id)), "another's wrap"
        )
    context = b"ties1/earlier\0" + SPACE + EPOCH
    earlier = decode(EARLIER, unseal(EPOCH_KEY, context, examples["earlier keys"]))
    need(earlier == [(fill(19), 7, fill(15))], f"earlier keys are {earlier}")
    examples.altered("earlier keys", lambda sealed: unseal(EPOCH_KEY, context, sealed))


def access(examples, _folder):
    examples.agree("first statement", FIRST)
    guest = public(GUEST.pseudonym(SPACE, RELAY))
    examples.agree("second statement", statement(MAILBOX, [MAILBOX], [(guest, 3)], None, fill(13)))
    examples.agree("log opening", LOG_OPENING)
    examples.altered("first statement", read_statement)
    examples.altered("second statement", read_statement)
    examples.altered("log opening", read_opening)


def checkpoints(examples, folder):
    key = hkdf(EPOCH_KEY, b"", "ties1/chunk")
    examples.agree("state root", state_root({test("one")[:16]: [test("head"), test("another head")]}))
    membership = several(BYTES).write([Examples(folder, "entries")["changes"]])
    documents = PIECES.write([(test("one")[:16], test("saved"))])
    parts = [(1, sha256(examples["membership"]), len(examples["membership"]), 1)]
    parts.append((3, sha256(examples["documents"]), len(examples["documents"]), 1))
    other = public(fill(8))
    cut = sorted([(LOG, 2, test("tip")), (other, 3, test("dep"))])
    manifest = MANIFEST.write((1, SPACE, cut, examples["state root"], parts))
    examples.agree("content of the manifest", manifest)
    for name, kind, content in (("membership", 1, membership), ("documents", 3, documents), ("manifest", 0, manifest)):
        chunk, context = examples[name], chunk_context(SPACE, EPOCH, kind)
        need(unpack(unseal(key, context, chunk)) == content, f"{name} say something else")
        examples.agree(name, seal(key, chunk[:32], context, pack_stored(content)))
        examples.altered(name, lambda sealed, context=context: unseal(key, context, sealed))
        examples.refuse(chunk, lambda sealed, kind=kind: unseal(key, chunk_context(SPACE, EPOCH, kind + 1), sealed), "as another kind")
    chunks = sorted([(name, length) for _, name, length, _ in parts] + [(sha256(chunk), len(chunk))])
    body = FLOOR_BODY.write((1, sha256(chunk), chunks, cut, LOG))
    examples.agree("floor record", write_floor(LOG_SEED, body))
    examples.agree("floor record signed twice", write_floor(LOG_SEED, body, fill(8)))
    examples.altered("floor record", read_floor)
    examples.altered("floor record signed twice", read_floor)
    examples.refuse(write_floor(LOG_SEED, body, LOG_SEED), read_floor, "one that its author signed twice")


# Number of the kind and value of each example of a body, where no chance is in it.
BEFORE = [fill(16)]
ADMIN, WRITER, READER = (2, None), (1, None), (0, None)
OTHER_TIP = (public(fill(8)), 3, test("dep"))
CHANGED = [(test("one")[:16], 0, b"\x85\x6f\x4a\x83\x01"), (test("other")[:16], 1, b"\x85\x6f\x4a\x83\x02")]
LISTED_MEMBERS = [(GUEST.certificate, ADMIN, "phone"), (FOUNDER.certificate, ADMIN, "laptop")]
ROADS = [("wss://relay.example", RELAY, MAILBOX, [FIRST])]
MADE = {
    "open-log": (1, (FOUNDER.id, OPEN_LOG)),
    "changes": (2, ([test("nonce")[:16]], CHANGED)),
    "beacon": (3, ()),
    "genesis": (16, (fill(3), FOUNDER.certificate, "laptop", WORDS.certificate)),
    "add": (17, (BEFORE, GUEST.certificate, WRITER, "phone")),
    "role": (18, (BEFORE, GUEST.id, READER)),
    "rename": (19, (BEFORE, GUEST.id, "old phone")),
    "raise": (27, (BEFORE, 2)),
    "reads": (38, (300,)),
    "carried": (39, (LOG, sign(LOG_SEED, "ties1/carried", SPACE, fill(9)), ([test("nonce")[:16]], CHANGED))),
    "remove, retire": (20, (BEFORE, GUEST.id, (0, None))),
    "remove, revoke": (20, (BEFORE, GUEST.id, (1, [OTHER_TIP]))),
    "roads": (24, (BEFORE, ROADS, [(FOUNDER.id, RELAY, PSEUDONYM, CLAIM)], [LOG_OPENING])),
    "decision, accept": (33, (0, None)),
    "decision, discard": (33, (1, None)),
}
# Those that the recovery key signs: the label and the author too; the value lacks the signature.
SIGNED = {
    "reset": (23, "ties1/reset", FOUNDER.id, (BEFORE, LISTED_MEMBERS)),
    "admit": (25, "ties1/admit", GUEST.id, (BEFORE, GUEST.certificate, ADMIN, "phone")),
    "recovery": (26, "ties1/recovery-change", FOUNDER.id, (BEFORE, NEW_WORDS.certificate)),
}


def bodies(examples, folder):
    for name, (kind, value) in MADE.items():
        examples.agree(name, BODIES[kind].write(value))
        body = read_body(kind, examples[name])
        need(tuple(body) == value, f"{name} reads as {body}")
        reads = lambda data, kind=kind: read_body(kind, data)
        examples.refuse(examples[name] + b"\0", reads, f"{name} that goes on")
        if examples[name]:
            examples.refuse(examples[name][:-1], reads, f"{name} cut")

    for name, (kind, label, author, value) in SIGNED.items():
        fields = BODIES[kind].write(value)  # as far as the value goes: all but the signature
        examples.agree(name, fields + BYTES.write(sign(WORDS.sign, label, SPACE, author, fields)))

        def read(data, kind=kind, label=label, author=author):
            body = read_body(kind, data)
            verify(public(WORDS.sign), body.signature, label, SPACE, author, data[:-65])

        examples.altered(name, read)

    for known in read_body(24, examples["roads"]).pseudonyms:
        verify(public(FOUNDER.sign), known.signature, "ties1/pseudonym", SPACE, known.relay, known.pseudonym)

    # What HPKE makes is another each time: those bytes are taken as they are, opened, and written back.
    rotate, share = read_body(21, examples["rotate"]), read_body(22, examples["share"])
    shown = check(EPOCH, EPOCH_KEY)
    examples.agree("rotate", BODIES[21].write(([], fill(4), 0, shown, rotate.wraps, b"")))
    examples.agree("share", BODIES[22].write((BEFORE, EPOCH, 0, shown, share.wrap)))
    recipients = [wrap.recipient for wrap in rotate.wraps]
    need(epoch_id(SPACE, FOUNDER.id, [], recipients, rotate.random) == EPOCH, "the rotate is of another epoch")
    for wrap in [*rotate.wraps, share.wrap]:
        (who,) = [who for who in (FOUNDER, GUEST, WORDS) if who.id == wrap.recipient]
        need(hpke_open(who.kem, wrap.sealed, wrap_info(who.id)) == EPOCH_KEY, "a wrap of another key")

    envelope = (SPACE, fill(16), EPOCH, 0, EPOCH_KEY, [("wss://relay.example", fill(17))], None)
    examples.agree("recovery envelope", ENVELOPE.write(envelope))
    need(decode(ENVELOPE, examples["recovery envelope"]) == envelope, "the envelope reads otherwise")
    for name, kind, body in (("", 2, examples["changes"]), (" of an unknown kind", 300, b"\1\2")):
        content = (kind, [OTHER_TIP], 1700000000000, body)
        examples.agree("sealed content" + name, CONTENT.write(content))
        need(decode(CONTENT, examples["sealed content" + name]) == content, "the content reads otherwise")


def xwing_draft(folder):
    """The draft's own file: the key of a seed, and the secret of a ciphertext."""
    cases = json.loads((folder / "x-wing-draft.json").read_text())
    for case in cases:
        seed, sent, secret, key = (bytes.fromhex(case[name]) for name in ("seed", "ct", "ss", "pk"))
        lattice, curve, made = xwing(seed)
        need(made == key, "the key of a seed")
        check_kem_key(key)
        halves = lattice.decapsulate(sent[:1088]), curve.exchange(X25519PublicKey.from_public_bytes(sent[1088:]))
        parts = b"".join([*halves, sent[1088:], key[1184:], rb"\.//^" + b"\\"])
        need(hashlib.sha3_256(parts).digest() == secret, "the secret of a ciphertext")
    print(f"x-wing-draft.json: {len(cases)} examples agree")


def main(folder):
    topics = (names, keys, packing, seeds, entries, wraps, access, checkpoints, bodies)
    have = {file.stem for file in folder.glob("*.json")}
    need(have == {topic.__name__ for topic in topics} | {"x-wing-draft"}, f"files nobody reads: {sorted(have)}")
    for topic in topics:
        examples = Examples(folder, topic.__name__)
        try:
            topic(examples, folder)
            examples.done()
        except Refused as difference:
            sys.exit(f"{topic.__name__}.json: {difference}")
    xwing_draft(folder)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except Refused as difference:
        sys.exit(str(difference))
