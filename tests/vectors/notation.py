"""How FORMAT.md writes things down: labelled hashes, strict signatures, postcard."""

import hashlib
from collections import namedtuple
from itertools import pairwise

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class Refused(Exception):
    """The bytes break a rule of the document."""


def need(holds, why):
    if not holds:
        raise Refused(why)


P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
# The y of the points of small order of edwards25519, and the u of those of curve25519.
EIGHTH = 2707385501144840649318225287225658788936804267575313519463743609750303402022
SMALL_Y = {0, 1, P - 1, EIGHTH, P - EIGHTH}
SMALL_U = {
    0,
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
}


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def H(label, *parts):
    return sha256(label.encode(), b"\0", *parts)


def hkdf(key, salt, label, context=b"", n=32):
    return HKDF(SHA256(), n, salt, label.encode() + b"\0" + context).derive(key)


def public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed, label, *parts):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(b"".join([label.encode(), b"\0", *parts]))


def verify(key, signature, label, *parts):
    need(len(key) == 32 and len(signature) == 64, "lengths of key and signature")
    for point in (key, signature[:32]):
        y = int.from_bytes(point, "little") % 2**255
        need(y < P and y not in SMALL_Y, "a point that is not canonical or of small order")
    need(int.from_bytes(signature[32:], "little") < ORDER, "s is not below the group order")
    try:  # Computes R again from s, key and message, and compares its bytes: no cofactor.
        Ed25519PublicKey.from_public_bytes(key).verify(signature, b"".join([label.encode(), b"\0", *parts]))
    except (InvalidSignature, ValueError) as error:
        raise Refused("the signature is another's") from error


# ----------------------------------------------------------------------------------------------------------- Postcard

Type = namedtuple("Type", "read write")  # read(stream) gives a value, write(value) its bytes


class Stream:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(self.at + n <= len(self.data), "ends early")
        self.at += n
        return self.data[self.at - n : self.at]


def decode(kind, data):
    """The value that is written in exactly these bytes."""
    stream = Stream(data)
    value = kind.read(stream)
    need(stream.at == len(data), "goes on")
    need(kind.write(value) == data, "not the one encoding")
    return value


def uint(bits):
    def read(stream):
        value, shift = 0, 0
        while True:
            byte = stream.take(1)[0]
            value |= (byte & 127) << shift
            need(value < 2**bits, "the number is too large")
            if byte < 128:
                return value
            shift += 7
            need(shift < bits, "the number is too long")

    def write(value):
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes([*out, value])

    return Type(read, write)


def raw(n):
    return Type(lambda stream: stream.take(n), lambda value: value)


def text(data):
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refused("not UTF-8") from error


U8 = Type(lambda stream: stream.take(1)[0], lambda value: bytes([value]))
U16, U32, U64 = uint(16), uint(32), uint(64)
ID = raw(32)
BYTES = Type(lambda stream: stream.take(U32.read(stream)), lambda value: U32.write(len(value)) + value)
STRING = Type(lambda stream: text(BYTES.read(stream)), lambda value: BYTES.write(value.encode()))


def where(kind, holds, why):
    """Values of a type for which something holds."""

    def read(stream):
        value = kind.read(stream)
        need(holds(value), why)
        return value

    return Type(read, kind.write)


def several(kind, most=2**32, order=None, least=0):
    """A list; with an order, strictly ascending by what it gives for each."""

    def read(stream):
        count = U32.read(stream)
        need(least <= count <= most, "too few or too many")
        values = [kind.read(stream) for _ in range(count)]
        keys = [order(value) for value in values] if order else []
        need(all(a < b for a, b in pairwise(keys)), "not sorted")
        return values

    return Type(read, lambda values: U32.write(len(values)) + b"".join(map(kind.write, values)))


def option(kind):
    def read(stream):
        there = stream.take(1)[0]
        need(there < 2, "an option is 0 or 1")
        return kind.read(stream) if there else None

    return Type(read, lambda value: b"\0" if value is None else b"\1" + kind.write(value))


def record(title, /, **fields):
    made = namedtuple(title, fields)
    return Type(
        lambda stream: made(*[kind.read(stream) for kind in fields.values()]),
        lambda value: b"".join(kind.write(part) for kind, part in zip(fields.values(), value)),
    )


def variant(*parts):
    """One of several, as its number and its part; a part may be None, for nothing."""

    def read(stream):
        number = U32.read(stream)
        need(number < len(parts), "no such variant")
        return number, parts[number] and parts[number].read(stream)

    return Type(read, lambda value: U32.write(value[0]) + (parts[value[0]].write(value[1]) if parts[value[0]] else b""))
