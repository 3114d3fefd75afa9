"""The flat files written back."""

from __future__ import annotations

import stat

from mailhooks import seed


def test_files_are_for_their_owner_only_and_replace_links(site, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "precious").write_text("precious")
    (out / "users").symlink_to(tmp_path / "precious")
    site.ok("export", "seed", str(out))
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    assert sorted(path.name for path in out.iterdir()) == sorted(seed.NAMES)
    assert (tmp_path / "precious").read_text() == "precious"
    assert (out / "users").read_text().startswith("adam@example1.com:{PLAIN}secret:")
    assert (out / "aliases").read_text() == "@example1.net @example1.com\n"


def test_what_the_files_cannot_hold_is_said(site, tmp_path):
    site.ok("app-password", "add", "adam@example1.com")
    site.ok("sender", "allow", "adam@example1.com", "@example1.com")
    said = site.run("export", "seed", str(tmp_path / "out")).stderr
    assert "app passwords: 1" in said
    assert "send-as grants: 1" in said
    assert "default quotas of domains" in said


def test_limits_scripts_ends_and_networks_were_left_out_silently(site, tmp_path):
    site.ok("limit", "set", "default", "--recipients", "100/1h")
    site.ok("sieve", "put", "adam@example1.com", "main", given="keep;\n")
    site.ok("user", "set", "adam@example1.com", "--networks", "192.0.2.0/24", "--expires", "90d")
    site.ok("alias", "add", "x@example1.com", "bob@example1.com", "--expires", "90d")
    with site.store().change("test") as change:
        change.set_scram("bob@example1.com", {"SCRAM-SHA-256": "4096,a,b,c"})
        change.suspend("bob@example1.com", "too much", None)
    said = site.run("export", "seed", str(tmp_path / "out")).stderr
    for what in (
        "limits: 1",
        "Sieve scripts: 1",
        "ends of accounts: 1",
        "ends of aliases: 1",
        "networks that accounts log in from: 1",
        "SCRAM keys (until a password is set again): 1",
        "suspensions: 1",
    ):
        assert f"not in these files: {what}\n" in said


def test_an_exported_relay_without_credentials_could_not_be_imported(site, tmp_path):
    with site.store().change("test") as change:
        change.set_setting("relayhost", "[a.test]")
    site.ok("relay", "add", "[a.test]", "--for-sender", "adam@example1.com")
    assert "adam@example1.com" in site.run("export", "seed", str(tmp_path / "out")).stderr
    site.ok("import", "seed", "--dry-run", str(tmp_path / "out"))


def test_a_place_that_cannot_be_written(site, tmp_path):
    (tmp_path / "file").write_text("")
    site.fails(2, "export", "seed", str(tmp_path / "file"))
    site.fails(2, "export", "seed", str(tmp_path / "file/below"))
