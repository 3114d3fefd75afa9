"""What was exported and imported is exported again byte by byte, whatever the store holds."""

from __future__ import annotations

import contextlib
import string
from pathlib import Path

import hypothesis
from hypothesis import strategies as st

from mailhooks import seed
from mailhooks.address import AddressError, normalise, render
from mailhooks.seed import maincf, tables, users
from mailhooks.store import Mailbox, Service, State, open_store

DOMAINS = ("example1.com", "example2.com", "xn--bcher-kva.example")

LETTERS = string.ascii_lowercase + string.digits + "._-+!#$%&'*/=?^`{|}~ \"\\,:;<>()ßäж"


def is_local(text: str) -> bool:
    """Whether the store takes it before the @, and as its own canonical spelling."""
    try:
        return normalise(render(f"{text}@example1.com")) == f"{text}@example1.com"
    except AddressError:
        return False


locals_ = st.text(st.sampled_from(LETTERS), min_size=1, max_size=20).filter(is_local)
hashes = st.none() | st.sampled_from(
    ["{PLAIN}a:b", "{PLAIN} x ", "{CRYPT}$1$abcdefgh$xxxxxxxxxxxxxxxxxxxxxx", "{PLAIN}ж"]
)
sizes = st.none() | st.sampled_from([0, 1, 1023, 1024, 2**20, 2**30, 5 * 2**40, 2**63 - 1]) | st.integers(0, 2**50)
passwords = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=8)
names = st.text(st.characters(categories=("L", "N", "P", "Zs")), max_size=12).filter(str.isprintable)


@st.composite
def mailboxes(draw):
    return draw(
        st.dictionaries(
            st.tuples(locals_, st.sampled_from(DOMAINS)),
            st.tuples(hashes, sizes, names, st.sampled_from(State), st.sets(st.sampled_from(Service))),
            max_size=6,
        )
    )


def lines_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def imported(directory: Path, files: Path):
    store = open_store(f"sqlite:///{directory}/again.db", key_file=directory / "key", create=True)
    read, others = seed.read(files)
    assert others == []
    with store.change("test") as change:
        seed.load(store, change, read, seed.Options(keep_dangling=True))
    return store


@hypothesis.given(
    accounts=mailboxes(),
    outside=st.lists(st.tuples(locals_, st.sampled_from(("elsewhere.test", *DOMAINS))), max_size=4),
    secrets=st.lists(st.tuples(st.sampled_from(("u", "u@x", "#u")), passwords), max_size=3),
)
def test_export_import_export_is_identical(tmp_path_factory, accounts, outside, secrets):
    directory = tmp_path_factory.mktemp("export")
    store = open_store(f"sqlite:///{directory}/store.db", key_file=directory / "key", create=True)
    with store.change("test") as change:
        change.set_setting("hostname", "mail.example1.com")
        change.set_setting("relayhost", "[smtp.example.net]:587")
        for number, name in enumerate(DOMAINS):
            change.add_domain(name, quota=None if number else 2**31)
        change.add_domain("example3.net", alias_of="example1.com")
        for (local, domain), (hashed, quota, name, state, allow) in accounts.items():
            change.add_mailbox(
                render(f"{local}@{domain}"), name=name, quota=quota, password=hashed, state=state, allow=allow
            )
        for number, (local, domain) in enumerate(outside):
            change.add_alias(f'"#{number} x"@example2.com', [render(f"{local}@{domain}")], keep_dangling=True)
        for number, (username, password) in enumerate(secrets):
            sender = "" if number % 2 else f"@example{number + 1}.com"
            change.add_relay("[smtp.example.net]:587", username=username, password=password, sender=sender)
    first = seed.dump(store)
    store.close()
    seed.write(directory / "first", first.files)
    again = imported(directory, directory / "first")
    second = seed.dump(again)
    again.close()
    seed.write(directory / "second", second.files)
    assert lines_of(directory / "first") == lines_of(directory / "second")
    assert first.files == second.files


@hypothesis.given(local=locals_, domain=st.sampled_from(DOMAINS))
def test_an_address_is_one_word_in_every_file(local, domain):
    spelt = tables.spell(f"{local}@{domain}")
    assert tables.entry(f"{spelt} value") == (spelt, "value")
    assert tables.words(f"{spelt}, {spelt}") == [spelt, spelt]
    assert not spelt.startswith("#")
    line = users.line(Mailbox(f"{local}@{domain}", password="{PLAIN}x"), 5)
    assert users.parse(line).login == spelt
    assert users.parse(line).quota == 5


@hypothesis.given(st.text(max_size=60))
def test_rubbish_is_refused_and_nothing_else(text):
    line = text.replace("\n", " ") or "x"
    for parse in (users.parse, tables.entry, tables.words, tables.credentials):
        with contextlib.suppress(ValueError):
            parse(line)
    with contextlib.suppress(seed.SeedError):
        maincf.parse([line])
