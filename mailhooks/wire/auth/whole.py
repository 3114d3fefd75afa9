"""One whole login by PLAIN in one line: what nearly every AUTH is, taken apart in a quarter of the time.

It takes only what the general way (``ClientParser``, ``mailhooks.wire.sasl``) takes for the very same login, and of
that only what Postfix (xsasl_dovecot_server.c) and Dovecot's login processes (auth-client-request.c) really write: each
parameter once and in their order, ``resp=`` at the end, ASCII, nothing escaped, no authorization identity. Everything
else, good or bad, is None: ask the general way, which knows what to say.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from typing import Final

from mailhooks.wire.auth.shared import MAX_LINE, in_clear_from_here

# What a login says: its id, the service, whether nobody will collect it, the client's address, login and password. A
# bare tuple, for one is made with every login. None of service, login and password is empty; the login is ASCII.
PlainLogin = tuple[str, str, bool, str | None, str, str]

# An id is below MAX_ID by its digits alone. A value is of one range of characters, which is the quickest to match, and
# all of it or nothing (``++``), so that a long one is not tried again at each length.
_BEGINS: Final = r"AUTH\t([1-9][0-9]{0,8})\tPLAIN\t"
_ENDS: Final = r"\tresp=([!-~]++)\n"
_POSTFIX: Final = re.compile(_BEGINS + r"service=([!-~]++)(\tnologin)()\tlip=([!-~]++)\trip=([!-~]++)\tsecured" + _ENDS)
_OTHERS: Final = re.compile(
    _BEGINS + r"(?:service|protocol)=([!-~]++)(\tnologin)?(?:\tfinal-resp-ok)?(?:\tsecured(=tls)?)?"
    r"(?:\tsession=[!-~]*+)?(?:\tlip=([!-~]*+))?(?:\trip=([!-~]*+))?"
    r"(?:\t(?:[lr]port|real_[lr](?:ip|port)|local_name|client_id|ssl_[a-z0-9_]++)=[!-~]*+)*" + _ENDS
)


def plain_login(data: bytes) -> PlainLogin | None:
    """Take apart what was read, if it is exactly one such line."""
    try:
        line = data.decode("ascii")
        found = _POSTFIX.fullmatch(line) or _OTHERS.fullmatch(line)
        if found is None or len(line) > MAX_LINE:
            return None
        number, service, nologin, tls, local, remote, encoded = found.groups()
        authzid, login, password = a2b_base64(encoded, strict_mode=True).split(b"\0")
        if (
            authzid
            or not (login and password)
            or len(encoded) % 4  # strict mode forgives one = too many
            or (remote == local and remote != "127.0.0.1" and _is_in_clear(local, remote, tls))
        ):
            return None
        return number, service, nologin is not None, remote, login.decode("ascii"), password.decode()
    except ValueError:  # no ASCII, no base64, not three parts, no text
        return None


def _is_in_clear(local: str | None, remote: str | None, tls: str | None) -> bool:
    if local is None or remote is None:
        return False
    return in_clear_from_here({"lip": local, "rip": remote, "secured": "tls" if tls else ""})
