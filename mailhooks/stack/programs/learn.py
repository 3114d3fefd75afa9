"""Teaches SpamAssassin what its owner moved into or out of Junk: run by the site's IMAPSieve scripts as the mail user.

``learn.py spam|ham SPAMD_PORT``: the message on standard input goes to ``spamc -L``, and into the one Bayes database of
the site. The exit code is always 0 and the time short, for the move itself must never fail or hang because of it: a
spamd that is away means one line on standard error and one message that is not learned. A message larger than is
scanned is not learned either.
"""

from __future__ import annotations

import subprocess
import sys

LEARN_BYTES = 512_000  # as the filter scans
LEARN_SECONDS = 8  # a person waits for the move; Dovecot ends programs after 10 (sieve_execute_exec_timeout)
SITE = "@GLOBAL"  # whose preferences count: what is learned is everybody's

# What spamc -L ends with (spamc/spamc.c): 0, or 5 and 6 for "learned" and "already learned" of some versions.
GOOD = (0, 5, 6)


def spamc(kind: str, port: str) -> list[str]:
    """Return the spamc command that learns one message."""
    options = ["-x", "-d", "127.0.0.1", "-p", port, "-t", str(LEARN_SECONDS), "-s", str(LEARN_BYTES)]
    return ["spamc", *options, "--connect-retries=1", "-u", SITE, "-L", kind]


def main() -> int:
    """Learn one message."""
    kind, port = sys.argv[1:3]
    message = sys.stdin.buffer.read(LEARN_BYTES + 1)
    if len(message) > LEARN_BYTES:
        return 0
    try:
        done = subprocess.run(
            spamc(kind, port), input=message, stdout=subprocess.DEVNULL, timeout=LEARN_SECONDS + 1, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"not learned as {kind}: {type(error).__name__}", file=sys.stderr)
        return 0
    if done.returncode not in GOOD:
        print(f"not learned as {kind}: spamc ended with {done.returncode}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
