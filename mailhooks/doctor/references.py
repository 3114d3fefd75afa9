"""Where Postfix's configuration mentions a hook: lookup tables, policy services, the SASL socket."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mailhooks.stack.sockets import Address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mailhooks.doctor.facts import Facts, Postfix, Service

# The programs that ask lookup tables of main.cf, master(5).
READERS = ("smtpd", "cleanup", "trivial-rewrite", "smtp", "lmtp")

_TABLE = re.compile(
    r"(?P<proxy>proxy:)?(?:socketmap:(?:(?:unix|local):(?P<path>[^\s,:]+)|inet:(?P<host>\[[^]]+\]|[^\s,:]+):(?P<port>\d+))"
    r":(?P<name>[^\s,]+)|(?P<tcp>tcp:)(?P<tcphost>\[[^]]+\]|[^\s,:]+):(?P<tcpport>\d+))"
)
_POLICY = re.compile(
    r"check_policy_service\s+(?:\{\s*)?(?:unix:(?P<path>[^\s,}]+)|(?:inet:)?(?P<host>\[[^]]+\]|[^\s,:}]+):(?P<port>\d+))"
    r"(?P<options>[^}]*\})?"
)


@dataclass(frozen=True)
class Reference:
    """One mention: what Postfix would connect to, and from where."""

    hook: str  # socketmap, tcp_table, policy, postfix_auth
    parameter: str
    service: Service | None  # whose -o it is; None: main.cf
    written: Address  # as it stands there
    name: str = ""  # of the table
    options: str = ""  # of the policy service
    chroot: bool = False  # some program that uses it runs in the queue directory
    before: str = ""  # what stands before it in a list of restrictions

    @property
    def where(self) -> str:
        """Name the place for people."""
        return f"{self.parameter} of {self.service.name} in master.cf" if self.service else self.parameter

    def reached(self, queue: str, *, chroot: bool) -> Address:
        """Return where a program with or without chroot ends up."""
        path = self.written.path
        if not path:
            return self.written
        if not path.startswith("/"):
            return Address(path=str(PurePosixPath(queue, path)))
        return Address(path=str(PurePosixPath(queue + path))) if chroot else self.written

    def option(self, name: str) -> str:
        """Return an option of a policy service."""
        found = re.search(rf"\b{name}\s*=\s*(\{{[^}}]*\}}|[^,}}]*)", self.options)
        return found[1].strip(" {}") if found else ""


def references(postfix: Postfix) -> Iterator[Reference]:
    """Yield every mention in main.cf and master.cf."""
    tables = any(service.chroot for service in postfix.running(*READERS))
    smtpds = list(postfix.running("smtpd"))
    policies = any(service.chroot for service in smtpds)
    proxied = any(service.chroot for service in postfix.running("proxymap"))
    for name, value in postfix.given.items():
        yield from _in_value(name, value, None, (tables, proxied, policies))
    for service in postfix.services:
        for name, value in service.overrides.items():
            yield from _in_value(name, value, service, (service.chroot, proxied, service.chroot))
    for service in smtpds:
        if postfix.of(service, "smtpd_sasl_auth_enable") == "yes":
            path = postfix.of(service, "smtpd_sasl_path")
            own = service if "smtpd_sasl_path" in service.overrides else None
            yield Reference("postfix_auth", "smtpd_sasl_path", own, _sasl(path), chroot=service.chroot)


def is_ours(facts: Facts, postfix: Postfix, reference: Reference) -> bool:
    """Tell whether a mention means this mailhooks, be it spelled right or wrong."""
    queue, written = postfix["queue_directory"], reference.written
    hooks = [address for addresses in facts.hooks.values() for address in addresses]
    if any(reference.reached(queue, chroot=chroot) in hooks for chroot in (False, True)):
        return True
    # /run/mailhooks/socketmap for /var/spool/postfix/mailhooks/socketmap: the right name in the wrong place
    tails = {tuple(address.path.split("/")[-2:]) for address in hooks if address.path}
    return tuple(written.path.split("/")[-2:]) in tails


def ours(facts: Facts, postfix: Postfix) -> Iterator[Reference]:
    """Yield the mentions that mean this mailhooks, each place once."""
    seen = set()
    for reference in references(postfix):
        key = reference.hook, reference.where, reference.written, reference.name
        if key not in seen and is_ours(facts, postfix, reference):
            seen.add(key)
            yield reference


def smtpd_lists(postfix: Postfix, service: Service) -> Iterable[tuple[str, str]]:
    """Yield the restriction lists of one smtpd, by name (postconf(5))."""
    for stage in ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data", "etrn"):
        name = f"smtpd_{stage}_restrictions"
        yield name, postfix.of(service, name)


def _in_value(name: str, value: str, service: Service | None, chroot: tuple[bool, bool, bool]) -> Iterator[Reference]:
    tables, proxied, policies = chroot
    for found in _TABLE.finditer(value):
        if found["tcp"]:
            address, hook = Address(host=found["tcphost"], port=int(found["tcpport"])), "tcp_table"
        else:
            address, hook = _address(found["path"], found["host"], found["port"]), "socketmap"
        inside = proxied if found["proxy"] else tables
        yield Reference(hook, name, service, address, name=found["name"] or "", chroot=inside)
    for found in _POLICY.finditer(value):
        address = _address(found["path"], found["host"], found["port"])
        yield Reference(
            "policy", name, service, address, options=found["options"] or "", chroot=policies,
            before=value[: found.start()],
        )  # fmt: skip


def _sasl(path: str) -> Address:
    """Read smtpd_sasl_path, which takes a path with or without "unix:"."""
    found = re.fullmatch(r"inet:(.+):(\d+)", path)
    return Address(host=found[1], port=int(found[2])) if found else Address(path=path.removeprefix("unix:"))


def _address(path: str | None, host: str | None, port: str | None) -> Address:
    return Address(path=path) if path else Address(host=host or "", port=int(port or 0))
