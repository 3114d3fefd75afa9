"""The one error of every codec: the peer did not keep to the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal[
    "oversized",  # a line, frame or request is longer than its limit
    "framing",  # lengths, line ends or separators are wrong
    "encoding",  # not UTF-8, base64 or %XX where the protocol wants it
    "unknown_command",  # a verb that the protocol does not have
    "version",  # a major version that is not spoken here
    "field",  # a field is missing, superfluous or has no sense
    "order",  # a command before the handshake, a second handshake
]
KINDS: frozenset[str] = frozenset(get_args(Kind))


class WireError(Exception):
    """The peer broke the protocol: answer with an error where there is one, then drop the connection.

    ``kind`` is a label for metrics. The text never repeats what the peer sent, which may be a password. ``completed``
    holds the values that the same ``feed`` had finished before: they were asked in good order and may be answered.
    """

    def __init__(self, kind: Kind, text: str, completed: Sequence[Any] = ()) -> None:
        super().__init__(text)
        self.kind: Kind = kind
        self.completed = tuple(completed)
