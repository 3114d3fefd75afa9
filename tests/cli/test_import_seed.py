"""The flat files of the replaced image, line by line, through the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailhooks import passwords
from mailhooks.store import Store

SHA = "{SHA512-CRYPT}$6$rounds=1000$abcdefgh$" + "x" * 86
TEAM = ("adam@example1.com", "bob@example1.com", "carol@example1.com", "joe@elsewhere.test")
FILES = {
    "main.cf": """\
# the image's own
myhostname = mail.$name
name = example1.com
relayhost = [smtp.example.net]:587
virtual_mailbox_domains = hash:/etc/postfix/domains
mynetworks = 127.0.0.0/8
   10.0.0.0/8
""",
    "domains": "# hosted\nexample1.com .\n\nexample2.com .\nEXAMPLE2.com .\n",
    "mailboxes": "adam@example1.com adam\nBob@Example1.com bob\ncarol@example1.com carol\nbob@example2.com x\n",
    "users": f"""\
# user:hash:uid:gid:gecos:home:shell:extra
adam@example1.com:{SHA}:5000:5000:Adam A:/var/mail/example1.com/adam::userdb_quota_rule=*:storage=1G
bob@example1.com:{{PLAIN}}secret
dora@example1.com:!:::::: userdb_quota_rule=*:bytes=1000 userdb_mail=maildir:~/x nologin=y
""",
    "aliases": """\
office@example1.com adam@example1.com
# a list
team@example1.com   adam@example1.com,
    bob@example1.com
    # and
    carol@example1.com, joe@elsewhere.test
@example2.com bob@example2.com
@example3.net @example1.com
bob@example1.com bob@example1.com, joe@elsewhere.test
""",
    "relay-sasl": "[smtp.example.net]:587 username:pass:word\nadam@example1.com her:own\n",
}


def write(directory: Path, **files: str | bytes) -> str:
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        path = directory / name.replace("_", "-").replace("main-cf", "main.cf")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(directory)


@pytest.fixture
def seed(tmp_path):
    return write(tmp_path / "seed", **{name.replace(".", "_"): text for name, text in FILES.items()})


def test_every_kind_of_line(shell, seed):
    report = shell.ok("import", "seed", seed).splitlines()
    assert report == [
        "main.cf:2: made hostname mail.example1.com",
        "main.cf:3: name is not used",
        "main.cf:4: made relayhost [smtp.example.net]:587",
        "main.cf:5: hash:/etc/postfix/domains is a table: domains are read from the file domains",
        "main.cf:6: mynetworks is not used",
        "domains:2: made domain example1.com",
        "domains:4: made domain example2.com",
        "domains:5: example2.com stands in domains:4 already",
        "mailboxes:1: made mailbox adam@example1.com",
        "mailboxes:2: made mailbox bob@example1.com",
        "mailboxes:3: made mailbox carol@example1.com, which receives only",
        "mailboxes:4: made mailbox bob@example2.com, which receives only",
        "users:2: made user adam@example1.com (uid, gid, home not used)",
        "users:3: made user bob@example1.com",
        "users:4: made user dora@example1.com without a password: receives only, no-login (userdb_mail not used)",
        "aliases:1: made alias office@example1.com for adam@example1.com",
        f"aliases:3: made alias team@example1.com for {', '.join(TEAM)}",
        "aliases:7: made alias @example2.com for bob@example2.com",
        "aliases:8: made domain example3.net, an alias of example1.com",
        "aliases:9: made alias bob@example1.com for bob@example1.com, joe@elsewhere.test",
        "relay-sasl:1: made credentials for [smtp.example.net]:587",
        "relay-sasl:2: made credentials for [smtp.example.net]:587 and adam@example1.com",
    ]
    store = shell.store()
    adam = store.mailbox("adam@example1.com")
    assert (adam.password, adam.name, adam.quota) == (SHA, "Adam A", 2**30)
    assert passwords.verify(store.mailbox("bob@example1.com").password, "secret")
    assert store.mailbox("carol@example1.com").password is None
    dora = store.mailbox("dora@example1.com")
    assert (dora.password, dora.quota, dora.state) == (None, 1000, "no-login")
    assert store.relay_credentials("[smtp.example.net]:587") == ("username", "pass:word")
    assert store.relay_credentials("[smtp.example.net]:587", "adam@example1.com") == ("her", "own")
    assert dict(store.settings()) == {"hostname": "mail.example1.com", "relayhost": "[smtp.example.net]:587"}
    store.close()


def test_once_more_changes_nothing(shell, seed):
    shell.ok("import", "seed", seed)
    before = shell.contents()
    result = shell.run("import", "seed", seed)
    assert result.exit_code == 0
    assert "0 were made" in result.stderr
    assert "made " not in result.stdout
    assert shell.contents() == before


def test_what_was_changed_since_stays(shell, seed):
    shell.ok("import", "seed", seed)
    shell.ok("user", "passwd", "adam@example1.com", "--password-stdin", given="new\n")
    shell.ok("alias", "set", "office@example1.com", "carol@example1.com")
    before = shell.contents()
    report = shell.ok("import", "seed", seed)
    assert "users:2: adam@example1.com is there already and stays as it is, which differs" in report
    assert "aliases:1: alias office@example1.com is there already and stays as it is, which differs" in report
    assert shell.contents() == before


def test_what_was_missing_is_added(shell, tmp_path):
    seed = write(tmp_path / "a", domains="example1.com .\n", mailboxes="adam@example1.com adam\n")
    shell.ok("import", "seed", seed)
    write(tmp_path / "a", users="adam@example1.com:{PLAIN}x:::Adam:::userdb_quota_rule=*:storage=2M\n")
    assert "users:1: made password and quota and name of adam@example1.com" in shell.ok("import", "seed", seed)
    store = shell.store()
    adam = store.mailbox("adam@example1.com")
    store.close()
    assert (adam.password, adam.quota, adam.name) == ("{PLAIN}x", 2 * 2**20, "Adam")


def test_a_dry_run_says_all_and_changes_nothing(shell, seed):
    rehearsed = shell.ok("import", "seed", seed, "--dry-run")
    assert not shell.store_path.exists()
    shell.ok("domain", "add", "example9.com")
    before = shell.contents()
    assert shell.ok("import", "seed", seed, "--dry-run") == rehearsed
    assert shell.contents() == before
    assert shell.ok("import", "seed", seed) == rehearsed.replace("would make", "made")


def test_a_dry_run_finds_what_only_the_store_finds(shell, tmp_path):
    seed = write(
        tmp_path / "a",
        domains="example1.com .\n",
        aliases="a@example1.com b@example1.com\nb@example1.com a@example1.com\n",
    )
    for options in ((), ("--dry-run",)):
        assert "loop" in shell.fails(2, "import", "seed", seed, *options)


def test_a_domain_for_names_without_one(shell, tmp_path):
    seed = write(
        tmp_path / "a",
        domains="example1.com .\n",
        users="adam:{PLAIN}x\nbob@example1.com:{PLAIN}y\n",
        aliases="office adam, bob\n",
    )
    assert "--domain" in shell.run("import", "seed", seed).stderr
    shell.ok("import", "seed", seed, "--domain", "example1.com")
    assert [each["address"] for each in shell.json("user", "list")] == ["adam@example1.com", "bob@example1.com"]
    assert shell.json("alias", "list")[0]["targets"] == ["adam@example1.com", "bob@example1.com"]


def test_domains_that_are_not_hosted(shell, tmp_path):
    seed = write(tmp_path / "a", mailboxes="adam@example1.com adam\n", aliases="x@example2.com adam@example1.com\n")
    said = shell.run("import", "seed", seed)
    assert said.exit_code == 2
    assert "mailboxes:1: the domain example1.com is not hosted" in said.stderr
    assert "aliases:1: the domain example2.com is not hosted" in said.stderr
    assert said.stderr.count("--add-domains") == 2
    shell.ok("import", "seed", seed, "--add-domains")
    assert [each["domain"] for each in shell.json("domain", "list")] == ["example1.com", "example2.com"]


def test_dangling_targets(shell, tmp_path):
    seed = write(tmp_path / "a", domains="example1.com .\n", aliases="x@example1.com gone@example1.com\n")
    assert "aliases:1: x@example1.com names gone@example1.com, which nobody has" in shell.fails(
        2, "import", "seed", seed
    )
    result = shell.run("import", "seed", seed, "--keep-dangling")
    assert result.exit_code == 0
    assert "warning: aliases:1" in result.stderr
    assert len(shell.json("alias", "list")) == 1


@pytest.mark.parametrize(
    "target",
    ["adam+x@example1.com", "adam@example3.net", "all@example1.com", "whoever@example2.com", "x@elsewhere.test"],
)
def test_targets_that_somebody_has(shell, tmp_path, target):
    seed = write(
        tmp_path / "a",
        domains="example1.com .\nexample2.com .\n",
        mailboxes="adam@example1.com adam\n",
        aliases=f"x@example1.com {target}\nall@example1.com adam@example1.com\n"
        "@example2.com adam@example1.com\n@example3.net @example1.com\n",
    )
    shell.ok("import", "seed", seed)


def test_all_wrong_lines_are_named_at_once(shell, tmp_path):
    seed = write(
        tmp_path / "a",
        domains="example1.com .\nexa mple.com\n-bad- .\n",
        mailboxes="adam@example1.com\nadam@@example1.com x\n@example1.com x\n",
        users="adam@example1.com:{NOPE}abcdef\nadam@example1.com:{PLAIN}x\nnonsense\nx@example1.com:{PLAIN}y:::::"
        ":userdb_quota_rule=*:storage=lots\n",
        aliases="x@example1.com\ny@example1.com |/bin/sh\nz@example1.com /var/mail/z\nadam@example1.com :include:/x\n"
        'q@example1.com "open\nd@example1.com adam@example1.com\nd@example1.com x@y.test\n@example1.com @y.test\n',
        relay_sasl="[a.test]:587\n[a.test] nocolon\n",
        main_cf="nonsense\nmyhostname = $mydomain\nrelayhost = a b\n",
    )
    result = shell.run("import", "seed", seed)
    assert (result.exit_code, result.stdout) == (2, "")
    places = [":".join(line.split(":")[1:3]).strip() for line in result.stderr.splitlines()]
    assert (
        places
        == [
            *("main.cf:1", "main.cf:2", "main.cf:3", "domains:3", "mailboxes:2", "mailboxes:3"),
            *("users:1", "users:3", "users:4", "aliases:1", "aliases:2", "aliases:3", "aliases:4", "aliases:5"),
            *("aliases:7", "aliases:8", "relay-sasl:1", "relay-sasl:2"),
        ]
        or result.stderr
    )
    assert "abcdef" not in result.stderr
    assert "nocolon" not in result.stderr


HOSTILE = {
    "a NUL": ({"domains": b"example1.com\0 .\n"}, "control character"),
    "not UTF-8": ({"domains": b"example1.com .\nex\xe4mple.com .\n"}, "domains:2: is not UTF-8"),
    "a long line": ({"aliases": "x@example1.com " + "a" * 100_001}, "aliases:1: has more than 100000 characters"),
    "a long continued line": ({"aliases": "x@example1.com a\n" + " bbbbbbbbbb\n" * 10_000}, "more than 100000"),
    "a continuation of nothing": ({"aliases": "  x\n"}, "continues a line"),
    "a blank of another kind": ({"domains": "\u3000\n"}, "domains:1: has no key"),
    "no file of ours": ({"other": "x"}, "none of the files"),
    "a value that names itself": ({"main_cf": "myhostname = $a\na = $b\nb = $a\n"}, "names itself"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files(shell, tmp_path, case):
    files, cure = HOSTILE[case]
    assert cure in shell.fails(2, "import", "seed", write(tmp_path / "a", **files))


def test_links_pipes_and_directories_are_not_read(shell, tmp_path):
    seed = Path(write(tmp_path / "a", domains="example1.com .\n"))
    (tmp_path / "secret").write_text("adam@example1.com:{PLAIN}x\n")
    (seed / "users").symlink_to(tmp_path / "secret")
    assert "users: is a link" in shell.fails(2, "import", "seed", str(seed))
    (seed / "users").unlink()
    os.mkfifo(seed / "users")
    assert "no regular file" in shell.fails(2, "import", "seed", str(seed))
    (seed / "users").unlink()
    (seed / "users").mkdir()
    shell.fails(2, "import", "seed", str(seed))


def test_a_file_that_is_too_large_is_refused_before_it_is_read(shell, tmp_path):
    seed = Path(write(tmp_path / "a", domains=""))
    with (seed / "users").open("wb") as stream:
        stream.truncate(257 * 2**20)  # sparse
    assert "has more than 256 MB" in shell.fails(2, "import", "seed", str(seed))


def test_a_directory_that_is_not_there(shell, tmp_path):
    assert "No such file" in shell.fails(2, "import", "seed", str(tmp_path / "none"))


def test_windows_line_ends(shell, tmp_path):
    seed = write(tmp_path / "a", domains=b"\xef\xbb\xbfexample1.com .\r\n", mailboxes=b"adam@example1.com adam\r\n")
    shell.ok("import", "seed", seed)
    assert shell.json("user", "list")[0]["address"] == "adam@example1.com"


def test_an_import_is_one_change(shell, seed):
    shell.ok("domain", "add", "example9.com")
    store: Store = shell.store()
    store.renew()
    before = store.change_number
    shell.ok("import", "seed", seed)
    store.renew()
    assert store.change_number == before + 1
    store.close()


def test_an_address_that_was_removed_lately_is_not_imported(site):
    path = site.directory / "mailhooks.toml"
    path.write_text(path.read_text().replace("[mail]\n", "[mail]\naddress_hold_days = 30\n"))
    site.ok("alias", "add", "office@example1.com", "bob@example1.com")
    site.ok("alias", "remove", "office@example1.com")
    site.ok("user", "remove", "adam@example1.com")
    seed = site.directory / "seed"
    seed.mkdir()
    (seed / "mailboxes").write_text("carol@example1.com x\nadam@example1.com x\n")
    said = site.fails(2, "import", "seed", str(seed))
    assert "mailboxes:2: adam@example1.com was removed lately and is free in 30 days: --reuse" in said
    (seed / "mailboxes").write_text("carol@example1.com x\n")
    (seed / "aliases").write_text("office@example1.com carol@example1.com\n")
    assert "aliases:1: office@example1.com was removed lately" in site.fails(2, "import", "seed", str(seed))
    assert "carol@example1.com" not in site.ok("user", "list")
    site.ok("import", "seed", "--reuse", str(seed))
    assert "carol@example1.com" in site.ok("user", "list")
