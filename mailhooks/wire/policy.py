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

from mailhooks.wire.errors import WireError
from mailhooks.wire.sentence import clean

# Some thirty attributes, none longer than an SMTP line of 2,048 bytes but the names in a client's certificate.
MAX_REQUEST_BYTES = 65_536

DEFAULT_CONTEXT = "smtp"  # what an empty policy_context stands for: the port that strangers use

MAX_DIGITS = 18  # of a number: 64 bits, and int() raises on thousands

_NUMBERS = ("size", "recipient_count", "encryption_keysize")
_DSN = re.compile(r"[45]\.[0-9]{1,3}\.[0-9]{1,3}")
_HEADER_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 section 2.2


@dataclass(frozen=True, slots=True)
class Request:
    """What smtpd knows at one step of a session; an attribute that it does not know is empty."""

    attributes: dict[str, str]

    @property
    def state(self) -> str:
        """The step at which smtpd asks: ``CONNECT``, ``EHLO``, ``MAIL``, ``RCPT``, ``END-OF-MESSAGE``."""
        return self.attributes.get("protocol_state", "")

    @property
    def sender(self) -> str:
        """The envelope sender as typed, empty for the null sender."""
        return self.attributes.get("sender", "")

    @property
    def recipient(self) -> str:
        """The recipient as typed; after RCPT only when there is exactly one."""
        return self.attributes.get("recipient", "")

    @property
    def recipient_count(self) -> int:
        """Number of recipients, known at DATA and END-OF-MESSAGE only: 0 at RCPT."""
        return self._number("recipient_count")

    @property
    def size(self) -> int:
        """Bytes: what the client announced (0: nothing), at END-OF-MESSAGE what came."""
        return self._number("size")

    @property
    def instance(self) -> str:
        """The same for all requests of one message; ``queue_id`` is not there yet at the first RCPT."""
        return self.attributes.get("instance", "")

    @property
    def queue_id(self) -> str:
        """The queue file, empty until the first recipient is accepted."""
        return self.attributes.get("queue_id", "")

    @property
    def client_address(self) -> str:
        """The IP address of the SMTP client."""
        return self.attributes.get("client_address", "")

    @property
    def client_name(self) -> str:
        """The verified name of the SMTP client, or ``unknown``."""
        return self.attributes.get("client_name", "")

    @property
    def helo_name(self) -> str:
        """What the client calls itself."""
        return self.attributes.get("helo_name", "")

    @property
    def sasl_username(self) -> str:
        """The login, empty when the client did not authenticate."""
        return self.attributes.get("sasl_username", "")

    @property
    def sasl_method(self) -> str:
        """The SASL mechanism of the login."""
        return self.attributes.get("sasl_method", "")

    @property
    def encryption_protocol(self) -> str:
        """The TLS version, empty without TLS."""
        return self.attributes.get("encryption_protocol", "")

    @property
    def policy_context(self) -> str:
        """What main.cf calls the place that asks; ``smtp`` where it says nothing."""
        return self.attributes.get("policy_context") or DEFAULT_CONTEXT

    def _number(self, name: str) -> int:
        return int(self.attributes.get(name) or 0)


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
    try:
        lines = block.decode(errors="replace").split("\n")
        attributes = dict(map(str.split, lines, repeat("="), repeat(1)))  # a comprehension takes 1 µs more
    except ValueError as error:
        raise WireError("framing", "a line of the request has no =") from error
    if attributes.get("request") != "smtpd_access_policy":
        raise WireError("unknown_command", "the request is not smtpd_access_policy")
    for name in _NUMBERS:
        number = attributes.get(name)
        if number and not (number.isascii() and number.isdigit() and len(number) <= MAX_DIGITS):
            raise WireError("field", f"{name} is not a number")
    return Request(attributes)


def render_request(request: Request) -> bytes:
    """Make a request as smtpd does, for checks of our own socket."""
    return "".join(f"{name}={value}\n" for name, value in request.attributes.items()).encode() + b"\n"


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
