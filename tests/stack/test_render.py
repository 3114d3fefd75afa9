"""What is rendered, for both generations, judged also by the real parsers."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from mailhooks import config
from mailhooks.config import ConfigError
from mailhooks.stack import generation, render
from mailhooks.stack.generation import Generation

OLD = Generation("2.3", (3, 7))
NEW = Generation("2.4", (3, 10))


def text(name: str, given: dict | None = None, found: Generation = OLD, **options) -> str:
    daemon = {"main.cf": "postfix", "master.cf": "postfix", "local.cf": "spamassassin"}.get(name, "dovecot")
    files = render.files(config.parse(given or {}), found, daemon, **options)
    return next(file.text for file in files if file.path.name == name)


def parameters(main_cf: str) -> dict[str, str]:
    lines = (line.split(" =", 1) for line in main_cf.splitlines() if line and not line.startswith("#"))
    return {name: value.strip() for name, value in lines}


def services(master_cf: str) -> dict[str, str]:
    logical = re.sub(r"\n[ \t]+", " ", "\n".join(x for x in master_cf.splitlines() if not x.startswith("#")))
    return {line.split()[0] + "/" + line.split()[1]: line for line in logical.splitlines() if line.strip()}


@pytest.mark.parametrize("found", [OLD, NEW])
@pytest.mark.parametrize("daemon", render.DAEMONS)
def test_nothing_is_left_to_fill_in(found, daemon):
    for file in render.files(config.Config(), found, daemon):
        assert "@{" not in file.text or file.path.suffix == ".py"
        assert not re.search(r"^\[", file.text, re.MULTILINE)


# --- Postfix ------------------------------------------------------------------------------------------------------


def test_no_exposed_port_trusts_an_address():
    main = parameters(text("main.cf"))
    assert not [name for name, value in main.items() if "permit_mynetworks" in value]
    assert main["mynetworks"].split()[0] == "127.0.0.0/8"
    for name, line in services(text("master.cf")).items():
        assert ("permit_mynetworks" in line) == (name == "127.0.0.1:10026/inet")


def test_port_25_offers_no_auth_and_submission_no_plain_text():
    main, master = parameters(text("main.cf")), services(text("master.cf"))
    assert main["smtpd_tls_auth_only"] == "yes"
    assert "smtpd_sasl_auth_enable=no" in master["25/inet"]
    assert "smtpd_tls_security_level=encrypt" in master["587/inet"]
    assert "smtpd_tls_wrappermode=yes" in master["465/inet"]
    assert "smtpd_sasl_auth_enable" not in main


def test_sender_ownership_is_asked_on_submission_only():
    master = services(text("master.cf"))
    assert "smtpd_sender_login_maps" not in parameters(text("main.cf"))
    assert [name for name, line in master.items() if "smtpd_sender_login_maps" in line] == ["587/inet", "465/inet"]


def test_only_mail_from_outside_is_scanned_and_never_twice():
    master = services(text("master.cf"))
    assert "content_filter=spamfilter:" in master["25/inet"]
    assert "content_filter" not in master["587/inet"] + master["465/inet"]
    assert "content_filter= " in master["127.0.0.1:10026/inet"]
    assert "no_address_mappings" in master["127.0.0.1:10026/inet"]
    assert "no_address_mappings" not in master["25/inet"]
    assert "null_sender= " in master["spamfilter/unix"]
    assert parameters(text("main.cf"))["spamfilter_destination_recipient_limit"] == "1"


def test_without_the_spam_filter_nothing_of_it_is_there():
    given = {"server": {"spam_filter": False}}
    assert "spamfilter" not in text("main.cf", given) + text("master.cf", given)
    assert "10026" not in text("master.cf", given)


def test_both_kinds_of_domain_are_named_and_every_table_is_asked_by_its_parameter():
    main = parameters(text("main.cf"))
    for name in ("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_alias_domains", "virtual_alias_maps",
                 "smtp_sasl_password_maps", "sender_dependent_relayhost_maps"):  # fmt: skip
        assert main[name] == f"socketmap:unix:mailhooks/socketmap:{name}"


def test_a_port_of_zero_switches_a_service_off():
    given = {"server": {"ports": {"submission": 0, "smtp": 0}}}
    assert {name for name in services(text("master.cf", given)) if name.endswith("/inet")} == {
        "465/inet",
        "127.0.0.1:10026/inet",
    }


def test_interface_and_ipv6():
    given = {"server": {"interface": "::1"}}
    assert "[::1]:25/inet" in services(text("master.cf", given))
    assert "\nlisten = ::1\n" in text("dovecot.conf", given)
    assert parameters(text("main.cf", ipv6=False))["inet_protocols"] == "ipv4"
    assert "::" not in parameters(text("main.cf", ipv6=False))["mynetworks"]
    assert "\nlisten = *\n" in text("dovecot.conf", ipv6=False)


def test_a_relay_password_needs_tls_unless_the_admin_says_otherwise():
    relay = {"server": {"relayhost": "[smtp.example.net]:587"}}
    main = parameters(text("main.cf", relay))
    assert main["smtp_tls_security_level"] == "encrypt"
    assert main["smtp_sasl_security_options"] == "noanonymous, noplaintext"
    main = parameters(text("main.cf", {"server": {"relayhost": "[x.test]:25", "relay_tls": "may"}}))
    assert (main["smtp_tls_security_level"], main["smtp_sasl_security_options"]) == ("may", "noanonymous")


def test_a_senders_relay_without_a_default_one_is_asked_for_the_same_tls():
    """relay_tls was ignored where there is no relayhost: a password went to whoever stood in between."""
    main = parameters(text("main.cf", {"server": {"relay_tls": "verify"}}))
    assert main["smtp_tls_security_level"] == "may"  # the world's servers
    table = "socketmap:unix:mailhooks/socketmap:smtp_tls_policy_maps"
    assert main["smtp_tls_policy_maps"] == f"pipemap:{{{table}, static:verify}}"
    assert "smtp_tls_policy_maps" not in parameters(text("main.cf", {"server": {"relay_tls": "may"}}))


def test_without_submission_nothing_of_it_is_left_for_postconf_to_call_unused():
    given = {"server": {"ports": {"submission": 0, "submissions": 0}}}
    assert not [name for name in parameters(text("main.cf", given)) if name.startswith("submission_")]
    given = {"server": {"ports": {"submission": 0}}}
    assert "submission_recipient_restrictions" in parameters(text("main.cf", given))


def test_a_name_without_a_domain_is_refused_before_the_policy_hears_it():
    main = parameters(text("main.cf"))
    assert main["smtpd_relay_restrictions"].startswith("reject_non_fqdn_recipient, ")
    assert main["submission_recipient_restrictions"].startswith("reject_non_fqdn_recipient, ")


def test_smuggling_guards_are_named_only_to_a_postfix_that_knows_them():
    plain = text("main.cf", found=Generation("2.3", (3, 7), frozenset()))
    assert "smtpd_forbid_bare_newline" not in plain
    assert parameters(plain)["smtpd_data_restrictions"] == "reject_unauth_pipelining"
    assert parameters(text("main.cf"))["smtpd_forbid_bare_newline"] == "normalize"
    assert parameters(text("main.cf"))["smtpd_forbid_bare_newline_exclusions"] == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hostname", "mail example"),
        ("hostname", "mail\nmynetworks = 0.0.0.0/0"),
        ("hostname", "1.2.3.4"),
        ("message_size_limit", 1),
        ("relayhost", "[smtp.example.net]:nosuchport"),
        ("relayhost", "smtp.example.net; x"),
        ("relayhost", "a b"),
        ("interface", "eth0"),
        ("certificate", "/etc/ssl/my cert.pem"),
        ("ports", {"smtp": 70_000}),
        ("ports", {"imap": 993}),
        ("ports", {"spamd": 0}),
    ],
)
def test_a_setting_that_would_break_a_file_is_refused_by_name(key, value):
    with pytest.raises(ConfigError, match=rf"server\.{key}"):
        text("main.cf", {"server": {key: value}})


# --- Dovecot ------------------------------------------------------------------------------------------------------


def test_dovecot_23_and_24_get_their_own_words():
    old, new = text("dovecot.conf"), text("dovecot.conf", found=NEW)
    for word in ("disable_plaintext_auth", "executable = imap-login /run/mailhooks/login", "quota_grace = 0"):
        assert word in old
        assert word not in new
    for word in ("auth_allow_cleartext = no", "login_socket_path = /run/mailhooks/login", "quota_storage_grace = 0"):
        assert word in new
        assert word not in old
    for both in ("executable = imap -a /run/mailhooks/auth-master", "auth_socket_path = /run/mailhooks/auth-userdb"):
        assert both in old
        assert both in new


@pytest.mark.parametrize("found", [OLD, NEW])
def test_last_login_is_for_people_only(found):
    lines = text("dovecot.conf", found=found).splitlines()
    protocol = ""
    seen = set()
    for line in lines:
        if line.startswith("protocol "):
            protocol = line.split()[1]
        elif line == "}":
            protocol = ""
        if ("last_login" in line and "mail_plugins" in line) or line.strip() == "last_login = yes":
            seen.add(protocol)
    assert seen == {"imap", "pop3"}


def test_protocols_follow_the_ports():
    assert "\nprotocols = lmtp imap sieve\n" in text("dovecot.conf")
    ports = {"pop3s": 995, "imap": 0, "imaps": 0, "sieve": 0}
    assert "\nprotocols = lmtp pop3\n" in text("dovecot.conf", {"server": {"ports": ports}})


def test_the_quota_code_is_the_one_of_the_policy():
    assert "quota_status_overquota = 452 5.2.2" in text("dovecot.conf", {"policy": {"quota_code": 452}})


# --- SpamAssassin -------------------------------------------------------------------------------------------------


def test_spamd_reads_the_published_file_and_not_the_store():
    local = text("local.cf")
    assert "dbname=/var/lib/mailhooks/spam/preferences.db" in local
    assert "mailhooks.db" not in local
    assert "ORDER BY prio ASC" in local


# --- the real parsers ---------------------------------------------------------------------------------------------


@pytest.fixture
def ports():
    return {"pop3": 110}


@pytest.fixture
def written(tmp_path, ports):
    """Everything rendered for the daemons of this machine, in a private root."""
    found = generation.find()
    given = config.parse({"server": {"root": str(tmp_path), "ports": ports}})
    for daemon in render.DAEMONS:
        files = render.files(given, found, daemon)
        files[0].path.parent.mkdir(parents=True)
        assert render.write(files)
        assert not render.write(files)  # nothing changed
    return tmp_path / "run/mailhooks-stack"


def run(*command: str, given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("ports", [{"pop3": 110}, {"submission": 0, "submissions": 0}], ids=str)
def test_postfix_understands_every_line(written):
    said = run("postconf", "-c", str(written / "postfix"), "-n")
    assert "warning" not in said
    assert "virtual_transport = lmtp:unix:private/dovecot-lmtp" in said
    assert "warning" not in run("postconf", "-c", str(written / "postfix"), "-M")


def test_dovecot_understands_every_line(written, tmp_path):
    for name in ("cert.pem", "key.pem"):
        (tmp_path / "etc/ssl").mkdir(parents=True, exist_ok=True)
        (tmp_path / "etc/ssl" / name).write_text("not read by doveconf")
    said = run("doveconf", "-c", str(written / "dovecot/dovecot.conf"), "-n")
    assert "Warning" not in said
    for script in ("default.sieve", "folder.sieve"):
        run("sievec", "-c", str(written / "dovecot/dovecot.conf"), str(written / "dovecot" / script))


def test_spamassassin_understands_every_line(written):
    run("spamassassin", "--lint", "-L", "-x", f"--siteconfigpath={written / 'spamassassin'}")


def test_the_parsers_are_there():
    """The tests above mean something only with the real programs: scripts/install-debian brings them."""
    assert [name for name in ("postconf", "doveconf", "sievec", "spamassassin") if not shutil.which(name)] == []
