"""A machine without memory for a hash: that was answered as a wrong password."""

from __future__ import annotations

import subprocess
import sys

import pytest

ARGON2 = "$m=65536,t=1,p=1$wsoks6AzL5w4jthiE6MizA$hhoJco/Lma3KMhh0zSxJgQnulns5zU6oOg+LxMZUomI"
HASHES = {
    "libsodium": "{ARGON2ID}$argon2id$v=19" + ARGON2,
    "argon2-cffi": "{ARGON2ID}$argon2id$v=16" + ARGON2,
    "yescrypt": "{CRYPT}$y$j9T$abcdefgh$IUWJt2doU4Kf6E/JP1UkAT3S5O3Q7SSA8SJirXIlEu9",
    "gost-yescrypt": "{CRYPT}$gy$j9T$abcdefgh$NAkL1Ia7Spw8kbidIo9JnLv.8uU3TKX2T8WeWaWGIu2",
    "scrypt": "{CRYPT}$7$CU..../....abcdefgh$XWs9HxtpA2.6U5CDBBbcW.h3o9pYlC.MIIb8JqMgZx6",
}

# First the small hash of its kind, so that whatever is loaded at need is there before memory runs out.
VERIFY = """
import resource, sys
from mailhooks import passwords

kind, more, stored = sys.argv[1:]
small = {"argon2-cffi": "{ARGON2ID}$argon2id$v=16$m=8,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA"}
passwords.verify(small.get(kind, "{SHA256-CRYPT}$5$abc$x"), "x")
if int(more):
    with open("/proc/self/statm") as statm:
        size = int(statm.read().split()[0]) * resource.getpagesize() + int(more)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
for password in ("secret", "wrong"):
    try:
        print(passwords.verify(stored, password))
    except passwords.NotComputed:
        print("not computed")
"""


def verified(kind, memory):
    command = [sys.executable, "-P", "-c", VERIFY, kind, str(memory), HASHES[kind]]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


@pytest.mark.parametrize("kind", HASHES)
def test_a_hash_that_finds_no_memory_says_nothing_about_the_password(kind):
    assert verified(kind, 1_000_000) == ["not computed"] * 2


@pytest.mark.parametrize("kind", ["libsodium", "argon2-cffi", "yescrypt", "scrypt"])
def test_a_wrong_password_is_told_from_that(kind):
    right = str(kind != "argon2-cffi")  # whose digest is that of the other version
    assert verified(kind, 0) == [right, "False"]
