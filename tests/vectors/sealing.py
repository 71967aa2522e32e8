"""FORMAT.md's keys and certificates, what they seal, and how content is packed."""

import hashlib
import hmac
import struct
from collections import namedtuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from notation import ID, SMALL_U, H, P, Refused, hkdf, need, public, several, sign, verify

# ---------------------------------------------------------------------------------------------------- Keys and X-Wing

KEM_KEY, KEM_TEXT = 1216, 1120
SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


def xwing(seed):
    """The two secret keys of draft-connolly-cfrg-xwing-kem, and the public key."""
    expanded = hashlib.shake_256(seed).digest(96)
    lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    curve = X25519PrivateKey.from_private_bytes(expanded[64:])
    return lattice, curve, lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def derive_key_pair(ikm):
    return xwing(hashlib.shake_256(ikm + b"HPKE-v1KEM\x64\x7a\x00\x0dDeriveKeyPair\x00\x20").digest(32))


def check_kem_key(key):
    need(len(key) == KEM_KEY, "length of an X-Wing key")
    for a, b, c in zip(*[iter(key[:1152])] * 3):  # two coefficients of twelve bits in three bytes
        need(a | (b & 15) << 8 < 3329 and b >> 4 | c << 4 < 3329, "the ML-KEM half is not canonical")
    u = int.from_bytes(key[1184:], "little")
    need(u < P and u not in SMALL_U, "the X25519 half is not canonical or of small order")


def hpke_open(pair, sealed, info):
    try:
        return SUITE.decrypt(sealed, hpke.MLKEM768X25519PrivateKey(pair[0], pair[1]), info)
    except (InvalidTag, ValueError) as error:
        raise Refused("HPKE does not open") from error


class Device:
    """The keys of a device, from its seed."""

    def __init__(self, seed):
        self.seed = seed
        self.sign, self.tls = (hkdf(seed, b"", "ties1/device/" + use) for use in ("sign", "tls"))
        self.kem = derive_key_pair(hkdf(seed, b"", "ties1/device/kem"))
        fields = b"\1" + public(self.sign) + public(self.tls) + self.kem[2]
        self.certificate = fields + sign(self.sign, "ties1/device-cert", fields)
        self.id = device_certificate(self.certificate).id

    def pseudonym(self, space, relay):
        return hkdf(self.seed, b"", "ties1/device/pseudonym", space + relay)


class Recovery:
    """The keys of twelve words, from their 16 bytes of entropy."""

    def __init__(self, entropy):
        seed = entropy + bytes(16)
        self.sign = hkdf(seed, b"", "ties1/recovery/sign")
        self.kem = derive_key_pair(hkdf(seed, b"", "ties1/recovery/kem"))
        fields = b"\1" + public(self.sign) + self.kem[2]
        self.certificate = fields + sign(self.sign, "ties1/recovery-cert", fields)
        self.id = recovery_certificate(self.certificate).id


Certificate = namedtuple("Certificate", "id sign kem")


def device_certificate(data):
    need(len(data) == 1345 and data[0] == 1, "length or version of a device certificate")
    verify(data[1:33], data[1281:], "ties1/device-cert", data[:1281])
    check_kem_key(data[65:1281])
    return Certificate(H("ties1/device-id", data[:1281]), data[1:33], data[65:1281])


def recovery_certificate(data):
    need(len(data) == 1313 and data[0] == 1, "length or version of a recovery certificate")
    verify(data[1:33], data[1249:], "ties1/recovery-cert", data[:1249])
    check_kem_key(data[33:1249])
    return Certificate(H("ties1/recovery-id", data[:1249]), data[1:33], data[33:1249])


def epoch_id(space, author, parents, recipients, random):
    return H("ties1/epoch", space, author, several(ID).write(parents), several(ID).write(recipients), random)


# ------------------------------------------------------------------------------------------------------------ Sealing


def hchacha20(key, nonce):
    """The key of XChaCha20 for the last 8 bytes of its nonce (draft-irtf-cfrg-xchacha)."""
    state = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            mixed = state[z] ^ state[x]
            state[z] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12)
    return struct.pack("<8I", *state[:4], *state[12:])


def sealing(key, salt, context):
    """The cipher, its nonce and the commitment."""
    made = hkdf(key, salt, "ties1/seal", context, 32 + 24 + 32)
    cipher = ChaCha20Poly1305(hchacha20(made[:32], made[32:48]))
    return cipher, bytes(4) + made[48:56], made[56:]


def seal(key, salt, context, plain):
    cipher, nonce, commitment = sealing(key, salt, context)
    return salt + commitment + cipher.encrypt(nonce, plain, context)


def unseal(key, context, sealed):
    need(len(sealed) >= 80, "too short to be sealed")
    cipher, nonce, commitment = sealing(key, sealed[:32], context)
    need(hmac.compare_digest(commitment, sealed[32:64]), "sealed under another key or for another place")
    try:
        return cipher.decrypt(nonce, sealed[64:], context)
    except InvalidTag as error:
        raise Refused("altered") from error


def padded(n):
    if n < 208:
        return 208
    e = n.bit_length() - 1
    unit = 1 << (e - e.bit_length())  # S = floor(log2 E) + 1 is the number of bits of E
    return -(-n // unit) * unit


def pack_stored(content):
    start = b"\0" + struct.pack("<I", len(content)) + content
    return start.ljust(padded(len(start)), b"\0")


def unpack(plain):
    need(len(plain) >= 5, "shorter than its head")
    method, length = struct.unpack("<BI", plain[:5])
    end = 5 + length
    need(end <= len(plain) == padded(end) and not any(plain[end:]), "padding")
    need(method == 0, "no frozen example is zstd, and this reader has none")
    return plain[5:end]
