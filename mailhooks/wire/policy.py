"""The policy delegation protocol of Postfix, server side (SMTPD_POLICY_README, src/smtpd/smtpd_check.c).

A request is lines of ``name=value``, ended by an empty line; a reply is ``action=text`` and an empty line. Lines end in
LF only: a reply with CRLF makes smtpd wait for 200 seconds. Names that are not known are kept and not counted, for
each Postfix adds some. Traps kept shut here: an empty action or a bare code *accepts* the mail, and a line end inside a
text would be a second reply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from mailhooks.wire.errors import WireError
from mailhooks.wire.sentence import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

# Some thirty attributes, none longer than an SMTP line of 2,048 bytes but the names in a client's certificate.
MAX_REQUEST_BYTES = 65_536

DEFAULT_CONTEXT = "smtp"  # what an empty policy_context stands for: the port that strangers use

MAX_DIGITS = 18  # of a number: 64 bits, and int() raises on thousands

# What Postfix 3.7 to 3.10 say, in their order, in half the time that any order takes. The last two are 3.10's.
_USUAL = re.compile(
    "request=smtpd_access_policy\nprotocol_state=(.*)\nprotocol_name=.*\nclient_address=(.*)\nclient_name=.*\n"
    "client_port=(.*)\nreverse_client_name=.*\nserver_address=.*\nserver_port=.*\nhelo_name=.*\nsender=(.*)\n"
    f"recipient=(.*)\nrecipient_count=([0-9]{{0,{MAX_DIGITS}}})\nqueue_id=.*\ninstance=(.*)\n"
    f"size=([0-9]{{0,{MAX_DIGITS}}})\netrn_domain=.*\nstress=.*\nsasl_method=.*\nsasl_username=(.*)\nsasl_sender=.*\n"
    "ccert_subject=.*\nccert_issuer=.*\nccert_fingerprint=.*\nccert_pubkey_fingerprint=.*\nencryption_protocol=.*\n"
    "encryption_cipher=.*\nencryption_keysize=.*\npolicy_context=(.*)(?:\n(?:compatibility_level|mail_version)=.*)*"
)
_DSN = re.compile(r"[45]\.[0-9]{1,3}\.[0-9]{1,3}")
_HEADER_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 section 2.2


class Request(NamedTuple):
    """What smtpd knows at one step of a session; an attribute that it does not know is empty.

    A tuple of what the rules ask for, since they ask many times; everything that came is in ``attributes``.
    """

    state: str  # the step at which smtpd asks: CONNECT, EHLO, MAIL, RCPT, DATA, END-OF-MESSAGE, VRFY
    client_address: str  # the IP address of the SMTP client
    client_port: str  # its port, "" where Postfix does not say it
    sender: str  # the envelope sender as typed, empty for the null sender
    recipient: str  # as typed; after RCPT only when there is exactly one
    recipient_count: int  # known at DATA and END-OF-MESSAGE only: 0 at RCPT
    instance: str  # the same for all requests of one message; ``queue_id`` is not there yet at the first RCPT
    size: int  # bytes: what the client announced (0: nothing), at END-OF-MESSAGE what came
    sasl_username: str  # the login, empty when the client did not authenticate
    policy_context: str  # what main.cf calls the place that asks; "smtp" where it says nothing
    text: str  # all lines as they came, without the last line end

    @classmethod
    def of(cls, attributes: Mapping[str, str]) -> Request:
        """Make a request of its attributes. Raises ``WireError`` for a number that is none."""
        return _picked(attributes, "\n".join(f"{name}={value}" for name, value in attributes.items()))

    @property
    def attributes(self) -> dict[str, str]:
        """Every attribute by its name, also those that no rule asks for."""
        return _attributes(self.text)


def _attributes(text: str) -> dict[str, str]:
    return dict(map(str.split, text.split("\n"), repeat("="), repeat(1)))  # a comprehension takes 1 µs more


def _picked(attributes: Mapping[str, str], text: str) -> Request:
    get = attributes.get
    return Request(
        get("protocol_state", ""),
        get("client_address", ""),
        get("client_port", ""),
        get("sender", ""),
        get("recipient", ""),
        _number("recipient_count", get("recipient_count", "")),
        get("instance", ""),
        _number("size", get("size", "")),
        get("sasl_username", ""),
        get("policy_context") or DEFAULT_CONTEXT,
        text,
    )


def _number(name: str, text: str) -> int:
    if not text:
        return 0
    if not (text.isdecimal() and text.isascii() and len(text) <= MAX_DIGITS):
        raise WireError("field", f"{name} is not a number")
    return int(text)


class RequestParser:
    """Cuts a stream into requests of at most ``MAX_REQUEST_BYTES``."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()  # a request whose empty line has not come; only its last byte is looked at again

    @property
    def incomplete(self) -> bool:
        """Whether a request has begun that is not whole yet."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests that end in ``data``; ``WireError`` when one is too long or is no policy request."""
        held = self._held
        # Nearly always exactly one request comes, and in one piece: smtpd waits for the reply.
        if not held and 0 < data.find(b"\n\n") == len(data) - 2 <= MAX_REQUEST_BYTES - 2:
            return [parse_request(data[:-2])]
        scan = max(0, len(held) - 1)
        held += data
        requests: list[Request] = []
        at = 0
        try:
            while (end := held.find(b"\n\n", scan)) >= 0:
                _check_length(end + 2 - at)
                requests.append(parse_request(bytes(held[at:end])))
                at = scan = end + 2
            _check_length(len(held) - at)
        except WireError as error:
            held.clear()
            error.completed = tuple(requests)
            raise
        del held[:at]
        return requests


def parse_request(block: bytes) -> Request:
    """Parse the lines of one request, without the LF of its last line and the empty line behind it.

    Bytes that are not UTF-8 become U+FFFD: HELO name and addresses are what a stranger typed, smtpd passes them on as
    they are, and they must neither stop the policy nor match anything.
    """
    text = block.decode(errors="replace")
    usual = _USUAL.fullmatch(text)
    if usual is not None:
        state, client, port, sender, recipient, count, instance, size, login, context = usual.groups()
        return Request(
            state, client, port, sender, recipient, int(count or 0), instance, int(size or 0), login,
            context or DEFAULT_CONTEXT, text,
        )  # fmt: skip
    try:
        attributes = _attributes(text)
    except ValueError as error:
        raise WireError("framing", "a line of the request has no =") from error
    if attributes.get("request") != "smtpd_access_policy":
        raise WireError("unknown_command", "the request is not smtpd_access_policy")
    return _picked(attributes, text)


def render_request(request: Request) -> bytes:
    """Make a request as smtpd does, for checks of our own socket."""
    return f"{request.text}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Dunno:
    """No objection: the next restriction decides. ``OK`` would end the list, so that there is no such action here."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse this step, for good (5xx) or for now (4xx)."""

    code: int
    dsn: str
    text: str

    def __post_init__(self) -> None:
        if not _DSN.fullmatch(self.dsn) or self.code // 100 != int(self.dsn[0]):
            raise ValueError(
                f"a rejection has a code from 400 to 599 and a dsn of its class, not {self.code} {self.dsn}"
            )


@dataclass(frozen=True, slots=True)
class DeferIfPermit:
    """Answer 450 unless a later restriction rejects for good: the reply to an outage of our own."""

    dsn: str
    text: str

    def __post_init__(self) -> None:
        if not _DSN.fullmatch(self.dsn) or self.dsn[0] != "4":
            raise ValueError(f"a deferral has a dsn of class 4, not {self.dsn}")


@dataclass(frozen=True, slots=True)
class Prepend:
    """Put a header before the message; smtpd ignores it at END-OF-MESSAGE."""

    name: str
    value: str

    def __post_init__(self) -> None:
        if not _HEADER_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no header name")


@dataclass(frozen=True, slots=True)
class Hold:
    """Put the whole message, for all its recipients, into the hold queue."""

    text: str


Action = Dunno | Reject | DeferIfPermit | Prepend | Hold

_DUNNO = b"action=DUNNO\n\n"


def render(action: Action) -> bytes:
    """Make the reply for an action; its text is one line and never empty."""
    match action:
        case Dunno():
            return _DUNNO
        case Reject(code, dsn, text):
            sentence = clean(text, "not accepted")
            return f"action={code} {dsn} {sentence}\n\n".encode()
        case DeferIfPermit(dsn, text):
            sentence = clean(text, "try again later")
            return f"action=DEFER_IF_PERMIT {dsn} {sentence}\n\n".encode()
        case Prepend(name, value):
            sentence = clean(value, "-")
            return f"action=PREPEND {name}: {sentence}\n\n".encode()
        case Hold(text):
            sentence = clean(text, "held by policy")
            return f"action=HOLD {sentence}\n\n".encode()


def _check_length(length: int) -> None:
    if length > MAX_REQUEST_BYTES:
        raise WireError("oversized", f"a request is longer than {MAX_REQUEST_BYTES} bytes")
