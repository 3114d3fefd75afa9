"""Dovecot's auth protocols, server side: ``client`` for who checks a login, ``master`` for who looks up a user.

Both are lines of TAB-separated fields (``mailhooks.wire.tabs``), begin with VERSION from both sides, and carry ids, so
that replies may come in any order. What may be said when (VERSION first, CPID before AUTH) is the server's to hold.
"""

from __future__ import annotations

from mailhooks.wire.auth.client import (
    AuthRequest,
    Cancel,
    ClientMessage,
    ClientParser,
    Continue,
    Cpid,
    cancelled,
    challenge,
    failure,
    greeting,
    success,
)
from mailhooks.wire.auth.master import (
    CacheFlush,
    ListRequest,
    LoginRequest,
    MasterMessage,
    MasterParser,
    PassRequest,
    UserRequest,
    fail,
    flushed,
    list_done,
    list_item,
    master_greeting,
    not_found,
    pass_reply,
    user_reply,
)
from mailhooks.wire.auth.shared import Generation, Version

__all__ = [
    "AuthRequest",
    "CacheFlush",
    "Cancel",
    "ClientMessage",
    "ClientParser",
    "Continue",
    "Cpid",
    "Generation",
    "ListRequest",
    "LoginRequest",
    "MasterMessage",
    "MasterParser",
    "PassRequest",
    "UserRequest",
    "Version",
    "cancelled",
    "challenge",
    "fail",
    "failure",
    "flushed",
    "greeting",
    "list_done",
    "list_item",
    "master_greeting",
    "not_found",
    "pass_reply",
    "success",
    "user_reply",
]
