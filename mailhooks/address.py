"""What a mail address is: the one place that folds, splits, quotes and spells addresses and domains.

Rules
    An address is kept in one canonical text: Unicode NFC, ``str.lower()`` (never casefold: ``ß`` is not ``ss``),
    the local part without its quotes, ``@``, and the domain as an ASCII A-label (``xn--``). The *last* ``@`` splits.
    Postfix asks for one mailbox in many spellings (any case, quoted and raw, domain in UTF-8): ``fold`` brings all of
    them to the canonical text and says ``None`` to what is no address. It never raises, for it stands on the lookup
    path. People and files are read by the strict ``normalise``, which names what is wrong.

What it does not do
    It knows no store, no display names, no source routes and no address literals (``user@[192.0.2.1]``): a literal
    never names a mailbox here, so it is refused when written and simply not found when asked for.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import idna

MAX_LOCAL = 64  # octets of UTF-8, RFC 5321 section 4.5.3.1.1
MAX_ADDRESS = 254  # octets of UTF-8: a path of 256 (RFC 5321 section 4.5.3.1.3) without its angle brackets
MAX_DOMAIN = 253  # octets as an A-label: what fits into a DNS name (RFC 1035 section 2.3.4)
# Characters of a domain that is worth an IDNA conversion, whose cost grows with the length. No U-label is longer than
# its A-label, and one letter may stand for four before NFC.
MAX_DOMAIN_INPUT = 4 * MAX_DOMAIN
DOMAIN_CACHE = 1024  # conversions remembered: 30 µs each, and a server hosts few international domains

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"  # RFC 5322 section 3.2.3, RFC 6532 section 3.2
_DOT_ATOM = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_QUOTED_PAIR = re.compile(r"\\(.)")
_TO_QUOTE = re.compile(r'(["\\])')
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DOMAIN_KEY = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


class AddressError(ValueError):
    """The text is no address or domain; the message says what is wrong and what is expected."""


def normalise(text: str) -> str:
    """Bring what a person or a file says to canonical text, or raise ``AddressError``.

    A local part that holds blanks or specials must be quoted (``"a b"@example.com``), so that ``adam bob@example.com``
    is a mistake and not a mailbox: ``normalise(render(address)) == address`` for every canonical address.
    """
    local, at, domain = text.rpartition("@")
    if not at:
        raise AddressError(f"{_short(text)} is no address: expected local-part@domain")
    if not local:
        raise AddressError(f"{_short(text)} has nothing before the @")
    address = f"{_strict_local(text, local)}@{normalise_domain(domain)}"
    if len(address.encode()) > MAX_ADDRESS:
        raise AddressError(f"{_short(text)} is longer than {MAX_ADDRESS} octets")
    return address


@lru_cache(maxsize=DOMAIN_CACHE)
def normalise_domain(text: str) -> str:
    """Bring a domain in either IDN spelling to its A-label, or raise ``AddressError``."""
    name = text.removesuffix(".")
    if not name:
        raise AddressError("the domain is empty: expected a name like example.com")
    if name.startswith("["):
        raise AddressError(f"{_short(text)} is an address literal: expected a domain name")
    name = _a_label(name) or ""
    labels = name.split(".")
    if not name or not all(_LABEL.fullmatch(label) and _is_sound(label) for label in labels):
        raise AddressError(f"{_short(text)} is no domain name: expected letters, digits and hyphens between dots")
    if len(name) > MAX_DOMAIN:
        raise AddressError(f"{_short(text)} is longer than {MAX_DOMAIN} octets")
    if labels[-1].isdigit():
        raise AddressError(f"{_short(text)} ends in a number: expected a domain name, not an IP address")
    return name


def normalise_source(text: str) -> str:
    """Bring an address, or ``@domain`` (a catch-all, the scope of a grant), to canonical text."""
    if text.startswith("@"):
        return "@" + normalise_domain(text[1:])
    return normalise(text)


def fold(text: str) -> str | None:
    """Return the canonical address behind a lookup key as Postfix or Dovecot sends it, or None when it is no address.

    Agrees with ``normalise`` wherever that accepts the text, and takes raw local parts besides: Postfix asks for
    ``"a b"@example.com`` and then for ``a b@example.com``.
    """
    at = text.rfind("@")
    if at < 1 or at == len(text) - 1 or not text.isprintable():
        return None
    if text.isascii() and text[0] != '"' and text[-1] != ".":
        return text.lower()
    local = text[:at]
    if local[0] == '"':
        quoted = _QUOTED.fullmatch(local)
        local = _QUOTED_PAIR.sub(r"\1", quoted[1]) if quoted else ""
        # A raw local part that begins with a quote would be unquoted once more by the next reader.
        if not local or local[0] == '"':
            return None
    domain = _a_label(text[at + 1 :].removesuffix("."))
    return f"{_lower(local)}@{domain}" if domain and domain[-1] != "." else None


def fold_domain(text: str) -> str | None:
    """Return the canonical domain behind a lookup key, or None when it is no domain (``*``, an address, ``<>``)."""
    text = text.removesuffix(".")
    name = _a_label(text) or ""
    return name if _DOMAIN_KEY.fullmatch(name) else None


def split_extension(address: str, delimiter: str) -> tuple[str, str]:
    """Split ``adam+work@example.com`` into ``("adam@example.com", "work")``; without extension the second is empty.

    ``delimiter`` is Postfix's recipient_delimiter: any of its characters splits, the first one in the local part does,
    none does where nothing would be left before it. Names that Postfix never splits (src/global/split_addr.c) stay.
    """
    end = address.rfind("@")
    if len(delimiter) == 1:  # nearly always, and on the path of every lookup
        at = address.find(delimiter, 0, end)
    else:
        at = min((at for at in (address.find(char, 0, end) for char in delimiter) if at >= 0), default=-1)
    if at < 1 or _never_split(address[:end], delimiter):
        return address, ""
    return address[:at] + address[end:], address[at + 1 : end]


def with_extension(address: str, extension: str, delimiter: str) -> str:
    """Append an extension to an address that has none of its own."""
    if not extension or not delimiter or split_extension(address, delimiter)[0] != address:
        return address
    local, _, domain = address.rpartition("@")
    return f"{local}{delimiter[0]}{extension}@{domain}"


def render(address: str) -> str:
    """Spell a canonical address as SMTP wants it: the local part quoted when it must be (RFC 5321 section 4.1.2)."""
    local, at, domain = address.rpartition("@")
    if not local or local.isalnum() or _DOT_ATOM.fullmatch(local):  # letters and digits alone are the usual case
        return address
    quoted = _TO_QUOTE.sub(r"\\\1", local)
    return f'"{quoted}"{at}{domain}'


def display(address: str) -> str:
    """Spell a canonical address, ``@domain`` or domain for people: international domains in their own letters."""
    if "xn--" not in address:
        return render(address)
    local, at, domain = render(address).rpartition("@")
    return f"{local}{at}{'.'.join(_u_label(label) for label in domain.split('.'))}"


def _strict_local(text: str, local: str) -> str:
    """Return the canonical local part, or raise ``AddressError``."""
    if not text.isprintable():
        raise AddressError(f"{_short(text)} contains a control or invisible character")
    if local.startswith('"'):
        quoted = _QUOTED.fullmatch(local)
        if not quoted:
            raise AddressError(f'{_short(text)} has an unfinished quote: expected "local part"@domain')
        local = _QUOTED_PAIR.sub(r"\1", quoted[1])
        if not local or local.startswith('"'):
            raise AddressError(f"{_short(text)} has a local part that is empty or begins with a quote")
    elif not _DOT_ATOM.fullmatch(local):
        raise AddressError(
            f"{_short(text)} has blanks, specials or misplaced dots before the @: expected a plain local part, "
            'or a quoted one ("local part"@domain)'
        )
    local = _lower(local)
    if len(local.encode()) > MAX_LOCAL:
        raise AddressError(f"{_short(text)} has more than {MAX_LOCAL} octets before the @")
    return local


def _lower(text: str) -> str:
    """Fold case and composition; NFC on both sides because each of the two steps can undo the other."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def _a_label(name: str) -> str | None:
    """Return the A-label of a domain in any spelling, or None when there is none."""
    if name.isascii():
        return name.lower()
    return _encode(name) if len(name) <= MAX_DOMAIN_INPUT else None


@lru_cache(maxsize=DOMAIN_CACHE)
def _encode(name: str) -> str | None:
    """Convert a domain with letters beyond ASCII (UTS 46, non-transitional: ``ß`` stays itself)."""
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return None


def _is_sound(label: str) -> bool:
    """Whether an ASCII label, where it claims to be an A-label, is the one its own letters lead to."""
    return not label.startswith("xn--") or _u_label(label) != label


def _u_label(label: str) -> str:
    """Return the letters behind an A-label, or the label itself when it is none."""
    try:
        return idna.decode(label)
    except (idna.IDNAError, UnicodeError):
        return label


def _never_split(local: str, delimiter: str) -> bool:
    """Whether Postfix leaves this local part whole whatever the delimiter (src/global/split_addr.c)."""
    if local in ("postmaster", "mailer-daemon", "double-bounce"):
        return True
    return "-" in delimiter and (
        local.startswith("owner-") or (local.endswith("-request") and len(local) > len("-request"))
    )


def _short(text: str) -> str:
    """Quote input for an error message, cut to what a line holds."""
    return repr(text) if len(text) <= MAX_LOCAL else repr(text[:MAX_LOCAL]) + "…"
