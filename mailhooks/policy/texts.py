"""Every text that a rule refuses with; ``[policy.texts]`` replaces them by name.

What stands in braces is filled in; a text may leave it out. Postfix puts the address before each text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXTS: Mapping[str, str] = {
    # sender_ownership
    "not_yours": "this is not your sender address: use your own, or ask to be granted this one",
    "null_sender": "a user who has logged in does not send with an empty sender: use your own address",
    "no_account": "the account that you logged in with does not exist any more",
    "may_not_send": "this account may not send mail",
    # recipient_access
    "send_only": "this address only sends mail: nobody reads what is sent to it",
    "closed": "this account is closed",
    "expired": "this address has expired",
    "routed": "write the address alone, without a host in brackets behind it",
    "nobody": "nobody behind this address receives mail any more",
    # list_posting
    "list_members": "only members of this list may post to it",
    "list_domain": "only senders of this list's own domain may post to it",
    "list_moderators": "only moderators of this list may post to it",
    "list_authenticated": "only users who have logged in here may post to this list",
    # quota
    "full": "the mailbox is full and cannot take this message: {cure}",
    "all_full": "every mailbox behind this address is full: {cure}",
    # limits
    "limit_user": "you may send to {limit} recipients: try again in {minutes} minutes, or ask for a higher limit",
    "limit_domain": "your domain may send to {limit} recipients: try again in {minutes} minutes",
    "limit_credential": "this app password may send to {limit} recipients: try again in {minutes} minutes",
    "limit_network": "your network may send to {limit} recipients: try again in {minutes} minutes",
    # the breaker
    "suspended": "sending is suspended, this account may be in the hands of somebody else: "
    "change its password and ask the administrator to lift the suspension",
    # the flood rule
    "flood": "too many unknown recipients from your network: try again later",
}


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of their names in braces; other braces stay as they are."""
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text
