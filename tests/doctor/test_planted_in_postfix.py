"""Each pitfall of Postfix that configuration can cause, planted in the rendered files and found; nothing else is."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from doctor_site import age, ids, said

from mailhooks.stack import generation, render


def setting(name: str, value: str | None):
    """Set a parameter of main.cf; None removes it."""

    def spoil(text: str) -> str:
        without = re.sub(rf"(?m)^{name} =.*\n", "", text)
        return without if value is None else f"{without}{name} = {value}\n"

    return spoil


def swap(old: str, new: str):
    """Replace a text everywhere."""
    return lambda text: text.replace(old, new)


def several(*spoils):
    """One after the other."""

    def spoil(text: str) -> str:
        for each in spoils:
            text = each(text)
        return text

    return spoil


SOCKETMAP = "socketmap:unix:mailhooks/socketmap:"
POLICY = "check_policy_service { unix:mailhooks/policy, policy_context=smtp }"
RELAYS_FOR_MYNETWORKS = setting("smtpd_relay_restrictions", "permit_mynetworks, reject_unauth_destination")
CHROOTED = (" inet n - n - - smtpd", " inet n - y - - smtpd")

MAIN = [
    ("postfix-open-relay", several(setting("mynetworks", "0.0.0.0/0"), RELAYS_FOR_MYNETWORKS)),
    ("postfix-open-relay", several(setting("mynetworks", "0.0.0.0/1, 128.0.0.0/1"), RELAYS_FOR_MYNETWORKS)),
    ("postfix-open-relay", several(setting("mynetworks", "[::]/0"), RELAYS_FOR_MYNETWORKS)),
    ("postfix-open-relay", several(setting("mynetworks", "static:all"), RELAYS_FOR_MYNETWORKS)),
    ("postfix-open-relay", setting("smtpd_relay_restrictions", "permit")),
    ("postfix-open-relay", setting("smtpd_relay_restrictions", "permit, reject_unauth_destination")),
    ("postfix-open-relay", setting("smtpd_relay_restrictions", "warn_if_reject reject_unauth_destination")),
    ("postfix-open-relay", setting("smtpd_relay_restrictions", "check_client_access inline:{{ a = reject }}")),
    ("postfix-open-relay", setting("relay_domains", "static:all")),
    ("postfix-open-relay", several(setting("submission_relay_restrictions", "permit"),
        swap("reject_unlisted_recipient, permit_sasl_authenticated, reject", "reject_unlisted_recipient"))),
    ("postfix-smuggling", setting("smtpd_forbid_bare_newline", "no")),
    ("postfix-smuggling", setting("smtpd_forbid_bare_newline_exclusions", "0.0.0.0/0")),
    ("postfix-unknown-socket", swap("unix:mailhooks/socketmap:", "unix:/run/mailhooks/socketmap:")),
    ("postfix-unknown-socket", swap("unix:mailhooks/policy", "unix:mailhooks/socketmap")),
    ("postfix-domains-at-default", setting("virtual_alias_domains", None)),
    ("postfix-domains-at-default", setting("virtual_mailbox_domains", None)),
    ("postfix-domain-twice", setting("mydestination", "localhost, example1.com")),
    ("postfix-domain-twice", setting("virtual_alias_domains", "example1.com")),
    ("postfix-domain-twice", setting("relay_domains", "example1.com")),
    ("postfix-local-delivery", setting("virtual_transport", "virtual")),
    ("postfix-local-delivery", setting("virtual_transport", None)),
    ("postfix-wrong-table", setting("virtual_mailbox_domains", f"{SOCKETMAP}virtual_mailbox_maps")),
    ("postfix-wrong-table", setting("virtual_alias_maps", f"{SOCKETMAP}virtual_aliases")),
    ("postfix-unlisted-recipients", lambda text: text.replace(", reject_unlisted_recipient", "")
        + "smtpd_reject_unlisted_recipient = no\n"),
    ("postfix-delimiter-differs", setting("recipient_delimiter", "-")),
    ("postfix-expansion-limit", setting("virtual_alias_expansion_limit", "100")),
    ("postfix-warns", setting("virtual_mailbox_mapps", "hash:/etc/postfix/typo")),
    ("postfix-sasl-type", setting("smtpd_sasl_type", None)),
    ("postfix-policy-default-action", setting("smtpd_policy_service_default_action", "DUNNO")),
    ("postfix-policy-default-action", setting("smtpd_policy_service_default_action", "550 5.7.1 no")),
    ("postfix-policy-default-action", swap("policy_context=smtp }", "policy_context=smtp, default_action=OK }")),
    ("postfix-policy-behind-permit", swap(POLICY, f"permit_mynetworks, {POLICY}")),
    ("postfix-policy-context", swap("policy_context=submission", "policy_context=submit")),
    ("postfix-policy-context", swap(", policy_context=submission", "")),
    ("postfix-policy-no-end", setting("smtpd_end_of_data_restrictions", None)),
    ("postfix-policy-timeout", setting("smtpd_policy_service_timeout", None)),
    ("postfix-relay-auth-off", setting("smtp_sasl_auth_enable", None)),
    ("postfix-relay-auth-off", setting("smtp_sender_dependent_authentication", "no")),
    ("spam-filter-many-recipients", setting("spamfilter_destination_recipient_limit", None)),
    ("dovecot-lmtp-elsewhere", setting("virtual_transport", "lmtp:unix:private/lmtp")),
]  # fmt: skip

MASTER = [
    ("postfix-open-relay", swap("-o smtpd_discard_ehlo",
        "-o smtpd_relay_restrictions=permit\n  -o smtpd_discard_ehlo")),
    ("postfix-open-relay", swap("-o smtpd_discard_ehlo", "-o mynetworks=0.0.0.0/0\n"
        "  -o { smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination }\n  -o smtpd_discard_ehlo")),
    ("postfix-open-relay", swap("-o smtpd_discard_ehlo", "-o relay_domains=static:all\n  -o smtpd_discard_ehlo")),
    ("postfix-smuggling", swap("-o smtpd_discard_ehlo",
        "-o smtpd_forbid_bare_newline=no\n  -o smtpd_discard_ehlo")),
    ("postfix-policy-too-early", swap("-o smtpd_discard_ehlo",
        f"-o smtpd_delay_reject=no\n  -o {{ smtpd_helo_restrictions = {POLICY} }}\n  -o smtpd_discard_ehlo")),
    ("postfix-auth-on-port-25", swap("smtpd_sasl_auth_enable=no\n  -o smtpd_discard",
        "smtpd_sasl_auth_enable=yes\n  -o smtpd_discard")),
    ("spam-filter-before-aliases", swap("-o content_filter=spamfilter:mailbox",
        "-o content_filter=spamfilter:mailbox\n  -o receive_override_options=no_address_mappings")),
    ("spam-filter-expands-twice", swap("no_address_mappings,", "")),
    ("spam-filter-null-sender", swap(" null_sender=", "")),
    ("spam-filter-fails-open", lambda text: re.sub("argv=.*",
        "argv=/usr/bin/spamc -u ${user}@${domain} -e /usr/sbin/sendmail -oi -f ${sender} ${recipient}", text)),
]  # fmt: skip


@pytest.mark.parametrize(("found", "spoil"), MAIN)
def test_planted_in_main_cf(site, tmp_path, found, spoil):
    assert ids(site.spoiled(tmp_path, "main.cf", spoil)) == {found}


@pytest.mark.parametrize(("found", "spoil"), MASTER)
def test_planted_in_master_cf(site, tmp_path, found, spoil):
    assert ids(site.spoiled(tmp_path, "master.cf", spoil)) == {found}


@pytest.mark.parametrize("file", ["main.cf", "master.cf"])
def test_the_cure_of_an_open_relay_and_of_smuggling_is_one(site, tmp_path, file):
    """What is printed is done, as it stands, and nothing is found any more."""
    plants = {"main.cf": MAIN, "master.cf": MASTER}[file]
    for number, (found, spoil) in enumerate(plants):
        if found in {"postfix-open-relay", "postfix-smuggling"}:
            directory = tmp_path / str(number)
            facts = site.spoiled(directory, file, spoil)
            for cure in dict.fromkeys(each.cure for each in said(facts)):
                subprocess.run(cure, shell=True, check=True, timeout=60)
            for changed in (directory / "postfix").iterdir():
                age(changed)
            assert found not in ids(site.facts(directory / "postfix")), facts


RELAYED_BY = "permit_mynetworks, reject_unauth_destination"
CLOSED = [
    {
        "mynetworks": "127.0.0.0/8 10.0.0.0/8 192.0.2.0/24 [fe80::]/10",
        "smtpd_relay_restrictions": RELAYED_BY,
    },
    {"mynetworks": "0.0.0.0/0"},  # nobody is let in for it
    {"smtpd_relay_restrictions": "", "smtpd_sender_restrictions": "permit_sasl_authenticated, reject"},
    {"smtpd_relay_restrictions": "mine", "smtpd_restriction_classes": "mine", "mine": "reject_unauth_destination"},
    {"smtpd_relay_restrictions": "permit_sasl_authenticated permit_mynetworks defer_unauth_destination"},
    {"smtpd_relay_restrictions": "check_client_access inline:{{ a = permit }}, reject_unauth_destination"},
]


@pytest.mark.parametrize("settings", CLOSED)
def test_what_refuses_strangers_is_no_open_relay(site, tmp_path, settings):
    facts = site.spoiled(tmp_path, "main.cf", several(*(setting(*each) for each in settings.items())))
    assert ids(facts) == set()


def test_what_is_printed_for_the_distribution_relays_for_nobody(site):
    """``mailhooks config postfix``, as the file stands that ``--output`` writes."""
    with tempfile.TemporaryDirectory(dir=site.root) as name:
        for file in render.for_distribution(site.config, generation.find(), "postfix"):
            (Path(name) / file.path.name).write_text(file.text)
            age(Path(name) / file.path.name)
        assert not {"postfix-open-relay", "postfix-smuggling"} & ids(site.facts(Path(name)))


def test_a_healthy_site_has_no_finding(site):
    assert said(site.facts()) == []


def test_an_absolute_path_is_out_of_reach_only_for_what_is_chrooted(site, tmp_path):
    """The worst of all: 451 for all mail, or no greeting."""
    queue = site.layout.queue
    absolute = site.spoiled(tmp_path / "open", "main.cf", swap("unix:mailhooks/", f"unix:{queue}/mailhooks/"))
    assert said(absolute) == []

    def chrooted(text: str) -> str:
        return text.replace(*CHROOTED)

    def both(facts_text: str) -> str:
        return facts_text.replace("unix:mailhooks/", f"unix:{queue}/mailhooks/")

    assert ids(site.spoiled(tmp_path / "chroot", "master.cf", chrooted)) == set()  # relative paths do not mind
    spoilt = tmp_path / "both"
    site.spoiled(spoilt, "main.cf", both)
    master = spoilt / "postfix/master.cf"
    master.write_text(chrooted(master.read_text()))
    age(master)
    facts = site.facts(spoilt / "postfix")
    assert ids(facts) == {"postfix-socket-path"}
    assert "unix:mailhooks/policy" in " ".join(each.cure for each in said(facts))


def test_the_socket_of_dovecot_is_none_for_postfix(site, tmp_path):
    login = site.config.listen.login[0].split(":")[1]
    facts = site.spoiled(tmp_path, "main.cf", setting("smtpd_sasl_path", login))
    assert ids(facts) == {"postfix-sasl-socket-of-dovecot"}
    assert any("smtpd_sasl_path = mailhooks/auth" in each.cure for each in said(facts))


def test_passwords_in_clear(site, tmp_path):
    directory = tmp_path / "both"
    site.spoiled(directory, "main.cf", setting("smtpd_tls_auth_only", "no"))
    master = directory / "postfix/master.cf"
    master.write_text(master.read_text().replace("smtpd_tls_security_level=encrypt", "smtpd_tls_security_level=may"))
    age(master)
    assert ids(site.facts(directory / "postfix")) == {"postfix-auth-in-clear"}


def test_outside_senders_with_our_addresses_are_refused_on_port_25(site, tmp_path):
    spoil = setting("smtpd_sender_restrictions", "reject_sender_login_mismatch")
    maps = f"smtpd_sender_login_maps = {SOCKETMAP}smtpd_sender_login_maps\n"
    facts = site.spoiled(tmp_path, "main.cf", lambda text: spoil(text) + maps)
    assert ids(facts) == {"postfix-sender-login-on-port-25"}


def test_tables_by_tcp(site, tmp_path):
    spoil = swap(f"{SOCKETMAP}virtual_mailbox_maps", f"tcp:127.0.0.1:{_http_port(site)}")
    assert "postfix-tcp-table" in ids(site.spoiled(tmp_path, "main.cf", spoil))


def test_a_postfix_that_asks_us_nothing(site, tmp_path):
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    (tmp_path / "master.cf").write_text("smtp inet n - y - - smtpd\n")
    age(tmp_path / "main.cf")
    age(tmp_path / "master.cf")
    assert ids(site.facts(tmp_path)) == {"postfix-not-connected"}


def test_a_postfix_that_cannot_be_read(site, tmp_path):
    facts = site.spoiled(tmp_path, "master.cf", lambda text: text + "  nonsense\nsmtp inet\n")
    assert ids(facts) == {"postfix-refuses-configuration"}
    assert "bad field count" in said(facts)[0].what


def _http_port(site):
    return site.config.listen.http[0].split(":")[1]
