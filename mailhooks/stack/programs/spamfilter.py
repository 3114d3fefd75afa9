"""The after-queue spam filter that Postfix's pipe(8) runs: spamd scans one message for one recipient.

``spamfilter.py SPAMD_PORT REINJECT_PORT SENDER RECIPIENT USER DOMAIN``: the message on standard input goes through
``spamc -x`` as USER@DOMAIN (without the extension), then over SMTP on loopback to the smtpd that neither expands nor
filters again. Every failure is exit 75: the mail waits in the queue. It is never bounced, and never passed on unscanned
because spamd is down. A message larger than spamc's limit passes unscanned, as with any SpamAssassin.

Addresses go back byte for byte. SMTPUTF8 is never asked for: Postfix would insist on it towards Dovecot's LMTP, which
does not offer it, and bounce; port 25, from which all mail here came, does not offer it either.
"""

from __future__ import annotations

import contextlib
import os
import re
import smtplib
import subprocess
import sys

EX_TEMPFAIL = 75
SCAN_BYTES = 512_000  # spamc's own default; larger messages are hardly ever spam and slow to scan
SCAN_SECONDS = 120
SMTP_SECONDS = 120

_LINE_END = re.compile(rb"\n")
_LEADING_DOT = re.compile(rb"(?m)^\.")


def spamc(port: str, user: str) -> list[str]:
    """Return the spamc command; -x: an unreachable spamd is an error, not a clean message."""
    options = ["-x", "-d", "127.0.0.1", "-p", port, "-t", str(SCAN_SECONDS), "-s", str(SCAN_BYTES)]
    return ["spamc", *options, "--connect-retries=1", "-u", user]


def preference_user(user: str, domain: str) -> str:
    """Return the address under which the preferences are stored: folded, the domain as an A-label."""
    folded = domain.lower()
    with contextlib.suppress(UnicodeError):  # else spamd finds the site's preferences
        folded = folded.encode("idna").decode("ascii")
    return f"{user.lower()}@{folded}"


def wire(message: bytes) -> bytes:
    """Return the message as DATA sends it. pipe(8) writes lines that end in LF; a stray CR stays what it was."""
    body = _LEADING_DOT.sub(b"..", message if message.endswith(b"\n") else message + b"\n")
    return _LINE_END.sub(b"\r\n", body) + b".\r\n"


def envelope(verb: str, address: str, message: bytes = b"") -> str:
    """Return a MAIL or RCPT argument with the SMTP extensions that the message needs."""
    options = ""
    if verb == "FROM" and not message.isascii():
        options += " BODY=8BITMIME"
    return f"{verb}:<{address}>{options}"


def send(port: int, sender: str, recipient: str, message: bytes) -> None:
    """Give the scanned message back to Postfix. Raises OSError or SMTPException."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="localhost", timeout=SMTP_SECONDS) as smtp:
        _expect(250, smtp.ehlo())
        for command in (f"MAIL {envelope('FROM', sender, message)}", f"RCPT {envelope('TO', recipient)}"):
            smtp.send(os.fsencode(command) + b"\r\n")
            _expect(250, smtp.getreply())
        _expect(354, smtp.docmd("DATA"))
        smtp.send(wire(message))
        _expect(250, smtp.getreply())


def _expect(code: int, reply: tuple[int, bytes]) -> None:
    if reply[0] != code:
        raise smtplib.SMTPResponseException(*reply)


def main() -> int:
    """Scan and give back; the one line printed appears in Postfix's log and in ``postqueue -p``."""
    spamd_port, reinject_port, sender, recipient, user, domain = sys.argv[1:7]
    try:
        scanned = subprocess.run(
            spamc(spamd_port, preference_user(user, domain)), stdin=sys.stdin, stdout=subprocess.PIPE, check=False
        )
    except OSError as error:
        print(f"spamc does not run: {error.strerror}")
        return EX_TEMPFAIL
    if scanned.returncode or not scanned.stdout:
        print(f"spamd does not answer (spamc ended with {scanned.returncode})")
        return EX_TEMPFAIL
    try:
        send(int(reinject_port), sender, recipient, scanned.stdout)
    except (OSError, smtplib.SMTPException) as error:
        print(f"scanned, but not taken back: {error}")
        return EX_TEMPFAIL
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:  # noqa: BLE001 - pipe(8) would bounce the mail for any other exit code
        print(f"the filter failed: {type(error).__name__}")
        sys.exit(EX_TEMPFAIL)
