"""Writing a store back as flat files, and saying what they cannot hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailhooks.passwords.scram import DIGESTS
from mailhooks.seed import maincf, tables, users
from mailhooks.store.model import ALL_SERVICES, Posting, State

if TYPE_CHECKING:
    from mailhooks.store import Store
    from mailhooks.store.model import Mailbox


@dataclass(slots=True)
class Dump:
    """The lines of each file, and one sentence for each kind of thing that is left out."""

    files: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def dump(store: Store) -> Dump:
    """Return the files of a store, each in the store's order. Raises Unavailable."""
    found = Dump()
    settings = {name: value for name in ("hostname", "relayhost") if (value := store.setting(name))}
    domains = list(store.domains())
    mailboxes = list(store.mailboxes())
    aliases = list(store.aliases())
    found.files = {
        "main.cf": maincf.lines(settings),
        "domains": [f"{domain.name} ." for domain in domains if domain.alias_of is None],
        "mailboxes": [_mailbox_line(mailbox) for mailbox in mailboxes],
        "users": [users.line(mailbox, mailbox.quota) for mailbox in mailboxes if _has_user_line(mailbox)],
        "aliases": [
            *(f"@{domain.name} @{domain.alias_of}" for domain in domains if domain.alias_of is not None),
            *(tables.alias_line(alias.source, alias.targets) for alias in aliases),
        ],
        "relay-sasl": [],
    }
    _relays(store, found, settings.get("relayhost", "").lower())
    addresses = [mailbox.address for mailbox in mailboxes]
    lost = {
        "names with a colon": sum(users.name(mailbox) != mailbox.name for mailbox in mailboxes),
        "reasons and dates of states": sum(mailbox.state is not State.ACTIVE for mailbox in mailboxes),
        "who may post to an alias": sum(alias.posting is not Posting.ANYONE for alias in aliases),
        "default quotas of domains (each mailbox has its own now)": sum(domain.quota is not None for domain in domains),
        "send-as grants": sum(1 for _ in store.grants()),
        "spam preferences": sum(1 for _ in store.preferences()),
        "app passwords": sum(len(store.app_passwords(address)) for address in addresses),
        "SCRAM keys (until a password is set again)": sum(_has_scram(store, address) for address in addresses),
        "networks that accounts log in from": sum(bool(mailbox.networks) for mailbox in mailboxes),
        "ends of accounts": sum(mailbox.expires is not None for mailbox in mailboxes),
        "ends of aliases": sum(alias.expires is not None for alias in aliases),
        "limits": sum(1 for _ in store.send_limits()),
        "suspensions": len(store.suspensions()),
        "Sieve scripts": sum(len(store.sieve_scripts(address)) for address in addresses),
        "attributes of folders (IMAP METADATA)": sum(len(store.attribute_sizes(address)) for address in addresses),
        "users whose folders are shared": sum(bool(store.readers_of(address)) for address in addresses),
    }
    found.left_out += (f"{what}: {count}" for what, count in lost.items() if count)
    return found


def _mailbox_line(mailbox: Mailbox) -> str:
    address = tables.spell(mailbox.address)
    return f"{address} {address.rpartition('@')[0]}"


def _has_scram(store: Store, address: str) -> bool:
    return any(store.scram_keys(address, mechanism) for mechanism in DIGESTS)


def _has_user_line(mailbox: Mailbox) -> bool:
    return (
        mailbox.password is not None
        or mailbox.quota is not None
        or bool(users.name(mailbox))
        or mailbox.state is not State.ACTIVE
        or mailbox.allow != ALL_SERVICES
    )


def _relays(store: Store, found: Dump, relayhost: str) -> None:
    lines = found.files["relay-sasl"]
    for relay in store.relays():
        credentials = store.relay_credentials(relay.nexthop, relay.sender)
        if credentials is None:
            continue
        username, password = credentials
        key = tables.spell(relay.sender) if relay.sender else relay.nexthop
        value = f"{username}:{password}"
        if relay.sender and relay.nexthop != relayhost:
            found.left_out.append(
                f"the relay host {relay.nexthop} of {relay.sender}: the file knows one for all senders"
            )
        elif not username or ":" in username or not value.isprintable() or value != value.strip():
            found.left_out.append(f"the credentials for {key}: the file cannot hold them")
        else:
            lines.append(f"{key} {value}")
