"""Scripts by the command line; what Dovecot does with them is tested end to end."""

from __future__ import annotations

import shutil

import pytest

from mailhooks.store.sieve_changes import MAX_SCRIPT_BYTES, MAX_SCRIPTS

ADAM = "adam@example1.com"
KEEP = "keep;\n"
needs_sievec = pytest.mark.skipif(shutil.which("sievec") is None, reason="Pigeonhole is not installed")


def test_put_get_list_activate_remove(site, tmp_path):
    script = tmp_path / "mine.sieve"
    script.write_bytes("# größer\r\nkeep;\r\n".encode())
    site.ok("sieve", "put", ADAM, "mine", str(script))
    site.ok("sieve", "put", "ADAM@Example1.com", "holidays", given=KEEP)
    assert site.run("sieve", "get", ADAM, "mine").stdout_bytes.decode() == "# größer\r\nkeep;\r\n"
    listed = site.json("sieve", "list", ADAM)
    assert [(each["name"], each["active"], each["size"]) for each in listed] == [
        ("holidays", False, 6),
        ("mine", True, 19),
    ]
    site.ok("sieve", "activate", ADAM, "holidays")
    assert [each["active"] for each in site.json("sieve", "list", ADAM)] == [True, False]
    site.ok("sieve", "activate", ADAM, "--none")
    assert [each["active"] for each in site.json("sieve", "list", ADAM)] == [False, False]
    site.ok("sieve", "remove", ADAM, "mine")
    assert site.ok("sieve", "list", ADAM).startswith("holidays\t-\t6\t")


def test_the_id_changes_with_the_script_and_what_is_active_stays(site):
    site.ok("sieve", "put", ADAM, "mine", given=KEEP)
    before = site.store().sieve_id(ADAM, None)
    site.ok("sieve", "put", ADAM, "mine", given="discard;\n")
    after = site.store().sieve_id(ADAM, None)
    assert after != before
    assert site.store().sieve_text(ADAM, after) == "discard;\n"
    assert site.store().sieve_text("bob@example1.com", after) is None
    site.ok("sieve", "remove", ADAM, "mine")
    site.ok("sieve", "put", ADAM, "mine", "--inactive", given=KEEP)
    assert site.store().sieve_id(ADAM, None) is None
    assert site.store().sieve_id(ADAM, "mine") > after


def test_what_is_refused(site):
    put = ("sieve", "put", ADAM)
    assert "more than" in site.fails(2, *put, "mine", given=b"#" * (MAX_SCRIPT_BYTES + 1))
    assert "UTF-8" in site.fails(2, *put, "mine", given=b"# \xff\n")
    for name in ("active", "a/b", "", " ", "x" * 200, "a\nb"):
        site.fails(2, *put, name, given=KEEP)
    site.fails(2, "sieve", "activate", ADAM)
    site.ok(*put, "mine", given=KEEP)
    site.fails(2, "sieve", "activate", ADAM, "mine", "--none")
    for words in (("activate", ADAM, "no"), ("remove", ADAM, "no"), ("get", ADAM, "no"), ("list", "no@example1.com")):
        site.fails(1, "sieve", *words)
    site.fails(1, "sieve", "put", "no@example1.com", "mine", given=KEEP)
    assert site.store().sieve_id(ADAM, None)


def test_how_many_scripts_an_account_has(site):
    with site.store().change("test") as change:
        for number in range(MAX_SCRIPTS):
            change.put_sieve(ADAM, f"number {number}", KEEP)
    assert str(MAX_SCRIPTS) in site.fails(2, "sieve", "put", ADAM, "one more", given=KEEP)
    site.ok("sieve", "put", ADAM, "number 7", given=KEEP)


@needs_sievec
def test_a_script_that_does_not_compile_is_refused_with_the_line(site):
    said = site.fails(2, "sieve", "put", ADAM, "mine", given='keep;\nrequire ["nonsense"];\n')
    assert "line 2" in said


def test_without_a_compiler_a_script_is_taken_as_it_is(site, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    site.ok("sieve", "put", ADAM, "mine", given="nonsense\n")


@needs_sievec
def test_a_compiler_that_cannot_work_is_a_warning(site, tmp_path):
    (tmp_path / "mailhooks.toml").write_text(
        (tmp_path / "mailhooks.toml").read_text() + f'[server]\nroot = "{tmp_path}"\n'
    )
    rendered = tmp_path / "run/mailhooks-stack/dovecot/dovecot.conf"
    rendered.parent.mkdir(parents=True)
    rendered.write_text("nonsense\n")
    result = site.run("sieve", "put", ADAM, "mine", given=KEEP)
    assert result.exit_code == 0
    assert "could not be checked" in result.stderr
