"""Where the stock daemons find mailhooks: the endpoint strings of ``[listen]``, spelled as each daemon wants them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING

from mailhooks.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIELD = re.compile(r"((?:[^:\\]|\\.)*)(?::|$)", re.DOTALL)


@dataclass(frozen=True)
class Address:
    """One end of a hook: a path, or host and port."""

    path: str = ""
    host: str = ""
    port: int = 0

    def for_postfix(self, queue: PurePath) -> str:
        """Spell it for main.cf: below the queue directory relative, so that a chroot makes no difference."""
        if not self.path:
            return f"inet:{self.host}:{self.port}"
        path = PurePosixPath(self.path)
        return f"unix:{path.relative_to(queue) if path.is_relative_to(queue) else path}"


def find(endpoints: Sequence[str], key: str) -> Address:
    """Return where a client connects to reach the hook ``key``. Raises ConfigError when that cannot be known."""
    if not endpoints:
        raise ConfigError(f"listen.{key} is empty: the stock daemons need this hook")
    kind, *rest = split(endpoints[0])
    named = dict(field.split("=", 1) for field in rest if "=" in field)
    plain = [field for field in rest if "=" not in field]
    if kind == "unix":
        path = named.get("address", plain[0] if plain else "")
        if path.startswith("/"):
            return Address(path=path)
    if kind == "tcp":
        port = named.get("port", plain[0] if plain else "")
        host = named.get("interface", "") or "127.0.0.1"
        if port.isdigit():
            return Address(host=f"[{host}]" if ":" in host else host, port=int(port))
    raise ConfigError(f"listen.{key} begins with {endpoints[0]!r}: the first one must be unix:/PATH or tcp:PORT here")


def find_behind_tls(endpoint: str, key: str) -> Address:
    """Return where a client of ours connects, which speaks TLS where the string says ``ssl:``. Raises ConfigError."""
    return find([endpoint.replace("ssl:", "tcp:", 1) if endpoint.startswith("ssl:") else endpoint], key)


def find_path(endpoints: Sequence[str], key: str) -> str:
    """Return the path of a hook that Dovecot reaches only as a unix socket. Raises ConfigError."""
    address = find(endpoints, key)
    if not address.path:
        raise ConfigError(f"listen.{key} must begin with unix:/PATH: Dovecot connects to a path")
    return address.path


def split(endpoint: str) -> list[str]:
    """Take a Twisted endpoint string apart (twisted.internet.endpoints): colons divide, a backslash escapes."""
    fields = [found[1] for found in _FIELD.finditer(endpoint)]
    if endpoint and not endpoint.endswith(":"):
        fields.pop()  # the empty match at the end
    return [re.sub(r"\\(.)", r"\1", field) for field in fields]
