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
    NONE,
    STATEMENT,
    check_seed_change,
    entry_context,
    parse_entry,
    read_body,
    read_opening,
    read_statement,
    vector_digest,
    verify_entry,
    write_entry,
)
from notation import ORDER, H, Refused, decode, hkdf, need, public, sha256, sign, verify
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
    fields = fill(17) + LOG + PSEUDONYM
    signed = sign(PSEUDONYM_SEED, "ties1/log-opening", fields), sign(LOG_SEED, "ties1/log-opening-by-log", fields)
    examples.agree("log opening", fields + b"".join(signed))
    examples.altered("first statement", read_statement)
    examples.altered("second statement", read_statement)
    examples.altered("log opening", read_opening)


def bodies(examples, folder):
    numbers = {
        "add": 17, "admit": 25, "beacon": 3, "changes": 2, "decision, accept": 33, "decision, discard": 33, "genesis": 16,
        "open-log": 1, "receipts": 37, "recovery": 26, "remove, retire": 20, "remove, revoke": 20, "rename": 19, "reset": 23,
        "roads": 24, "role": 18, "rotate": 21, "share": 22,
    }  # fmt: skip
    read = {name: read_body(kind, examples[name]) for name, kind in numbers.items() if name in examples.frozen}
    examples.agree("genesis", GENESIS)
    examples.agree("open-log", BODIES[1].write((FOUNDER.id, OPEN_LOG)))
    examples.agree("add", BODIES[17].write(([fill(16)], GUEST.certificate, (1, None), "phone")))
    examples.agree("role", BODIES[18].write(([fill(16)], GUEST.id, (0, None))))
    examples.agree("rename", BODIES[19].write(([fill(16)], GUEST.id, "old phone")))
    examples.agree("remove, retire", BODIES[20].write(([fill(16)], GUEST.id, (0, None))))
    need(read["remove, revoke"].manner[0] == 1 and len(read["remove, revoke"].manner[1]) == 1, "a revoke with a pin")
    need(read["decision, accept"] == (0, None) and read["decision, discard"] == (1, None), "decisions")

    def signed(label, key, author, kind):
        def reader(data):
            body = read_body(kind, data)
            verify(public(key), body.signature, label, SPACE, author, data[:-65])

        return reader

    examples.altered("reset", signed("ties1/reset", WORDS.sign, FOUNDER.id, 23))
    examples.altered("admit", signed("ties1/admit", WORDS.sign, GUEST.id, 25))
    examples.altered("recovery", signed("ties1/recovery-change", WORDS.sign, FOUNDER.id, 26))

    rotate, share = read["rotate"], read["share"]
    recipients = [wrap.recipient for wrap in rotate.wraps]
    need(
        epoch_id(SPACE, FOUNDER.id, rotate.parents, recipients, rotate.random) == EPOCH,
        "the rotate is of another epoch",
    )
    need(rotate.check == share.check == check(EPOCH, EPOCH_KEY) and share.epoch == EPOCH, "key checks")
    for wrap in [*rotate.wraps, share.wrap]:
        (who,) = [who for who in (FOUNDER, GUEST, WORDS) if who.id == wrap.recipient]
        need(hpke_open(who.kem, wrap.sealed, wrap_info(who.id)) == EPOCH_KEY, "a wrap of another key")

    for road in read["roads"].relays:
        need(sha256(road.statements[0]) == road.mailbox, "another's mailbox")
        for made in road.statements:
            read_statement(made)
    for known in read["roads"].pseudonyms:
        who = public(FOUNDER.sign)
        verify(who, known.signature, "ties1/pseudonym", SPACE, known.relay, known.pseudonym)
    for opening in read["roads"].openings:
        read_opening(opening)

    envelope = decode(ENVELOPE, examples["recovery envelope"])
    need((envelope.space, envelope.epoch, envelope.key) == (SPACE, EPOCH, EPOCH_KEY), "the envelope's epoch")
    content = decode(CONTENT, examples["sealed content"])
    need(content.kind == 2 and content.body == examples["changes"], "the sealed content is of changes")
    unknown = decode(CONTENT, examples["sealed content of an unknown kind"])
    need(unknown.kind not in BODIES and unknown.deps == content.deps, "a kind that nobody knows")
    for name, kind in numbers.items():
        if name in read and examples[name]:
            examples.refuse(examples[name][:-1], lambda data, kind=kind: read_body(kind, data), f"{name} cut")
            examples.refuse(
                examples[name] + b"\0", lambda data, kind=kind: read_body(kind, data), f"{name} that goes on"
            )


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
    topics = (names, keys, packing, seeds, entries, wraps, access, bodies)
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
