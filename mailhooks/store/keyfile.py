"""The key file: seals relay passwords, so that a stolen store or backup does not hand them out.

AES-256-GCM with a random nonce for each secret. A secret is bound to what it is for: the sealed password of one next
hop cannot be put into another's row. The file holds 32 random bytes in base64 and is readable by its owner only.

A store keeps one sealed constant, the key check, which tells whether a key file is the one that it was written with.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailhooks.store.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32
NONCE_BYTES = 12  # as NIST SP 800-38D recommends for GCM
MAX_FILE_BYTES = 1000  # a key is one short line
MODE = 0o600
CURE = "put the right key file back, or remove all relay credentials and add them anew (mailhooks relay)"

_CHECK = "mailhooks key check"


class KeyFile:
    """The key at ``path``; None where this process has no use for one."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._key: bytes | None = None

    def exists(self) -> bool:
        """Tell whether there is a key file."""
        return self.path is not None and os.path.lexists(self.path)

    def ensure(self) -> None:
        """Make a new key unless there is a key file. Raises Unavailable."""
        if not self.exists():
            self.create()

    def create(self) -> None:
        """Make a new key. Raises Unavailable; an existing file is never overwritten."""
        if self.path is None:
            raise Unavailable("no key file is configured ([store] key_file)")
        line = base64.b64encode(os.urandom(KEY_BYTES)) + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
            try:
                with os.fdopen(new, "wb") as stream:
                    stream.write(line)
                    stream.flush()
                    os.fsync(stream.fileno())
            except BaseException:
                self.path.unlink()  # half a key is none, and would be in the way of a whole one
                raise
        except OSError as error:
            raise Unavailable(f"cannot make the key file {self.path}: {error.strerror}") from error

    def check(self) -> bytes:
        """Make the value by which ``fits`` knows this key again."""
        return self.seal(_CHECK, _CHECK)

    def fits(self, check: bytes) -> bool:
        """Tell whether this is the key that made ``check``. Raises Unavailable when there is no key to be read."""
        self._key = None  # the file may have been put right since
        return self._try(check, _CHECK) is not None

    def seal(self, secret: str, purpose: str) -> bytes:
        """Encrypt a secret for one purpose. Raises Unavailable."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._read()).encrypt(nonce, secret.encode(), purpose.encode())

    def unseal(self, sealed: bytes, purpose: str) -> str:
        """Decrypt what ``seal`` made for the same purpose. Raises Unavailable."""
        secret = self._try(sealed, purpose)
        if secret is None:
            self._key = None  # the right file may have been put in place meanwhile
            secret = self._try(sealed, purpose)
        if secret is None:
            raise self.other()
        return secret

    def other(self) -> Unavailable:
        """Make the error to raise where this is not the key of the store."""
        return Unavailable(f"the store was written with another key than {self.path}: {CURE}")

    def _try(self, sealed: bytes, purpose: str) -> str | None:
        key = AESGCM(self._read())
        try:
            return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode()).decode()
        except (InvalidTag, ValueError):
            return None

    def _read(self) -> bytes:
        if self._key is not None:
            return self._key
        if self.path is None:
            raise Unavailable("no key file is configured ([store] key_file)")
        try:
            with self.path.open("rb") as stream:
                text = stream.read(MAX_FILE_BYTES)
        except OSError as error:
            raise Unavailable(f"cannot read the key file {self.path} ({error.strerror}): {CURE}") from error
        try:
            key = base64.b64decode(text.strip(), validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise Unavailable(f"{self.path} is no key file of mailhooks: {CURE}")
        self._key = key
        return key
