"""The inner state of MD5 after one block (RFC 1321), which Dovecot's CRAM-MD5 scheme stores and hashlib hides.

Dovecot's src/lib/hmac-cram-md5.c keeps the two contexts of HMAC-MD5 (RFC 2104) after their key blocks, outer first,
so that a CRAM-MD5 login needs no plain password. About 0.1 ms per password in pure Python; nothing else uses it.
"""

from __future__ import annotations

import hashlib
import math
import struct

_BLOCK = 64
_MASK = 0xFFFFFFFF
_SINES = tuple(int(abs(math.sin(step + 1)) * 2**32) & _MASK for step in range(64))
_SHIFTS = ((7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21))
_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)


def after_block(block: bytes) -> bytes:
    """The 16-byte state of MD5 after exactly one 64-byte block, without padding."""
    words = struct.unpack("<16I", block)
    a, b, c, d = _START
    for step in range(64):
        kind, place = divmod(step, 16)
        if kind == 0:
            mixed, word = (b & c) | (~b & d), place
        elif kind == 1:
            mixed, word = (d & b) | (~d & c), (5 * place + 1) % 16
        elif kind == 2:  # noqa: PLR2004 - the third round of four
            mixed, word = b ^ c ^ d, (3 * place + 5) % 16
        else:
            mixed, word = c ^ (b | (~d & _MASK)), (7 * place) % 16
        turned = (a + mixed + _SINES[step] + words[word]) & _MASK
        shift = _SHIFTS[kind][step % 4]
        turned = ((turned << shift) | (turned >> (32 - shift))) & _MASK
        a, b, c, d = d, (b + turned) & _MASK, b, c
    return struct.pack("<4I", *((one + two) & _MASK for one, two in zip(_START, (a, b, c, d), strict=True)))


def hmac_states(key: bytes) -> bytes:
    """What {CRAM-MD5} stores: the outer and the inner state of HMAC-MD5 with ``key``, 32 bytes."""
    if len(key) > _BLOCK:
        key = hashlib.md5(key, usedforsecurity=False).digest()
    key = key.ljust(_BLOCK, b"\0")
    return after_block(bytes(byte ^ 0x5C for byte in key)) + after_block(bytes(byte ^ 0x36 for byte in key))
