"""What the DNS says about the hosted domains, asked of a real name server."""

from __future__ import annotations

import dataclasses
import sys

import dns.resolver
import pytest
from doctor_site import HOST, free_port, said
from name_server import serve

from mailhooks.config import Config
from mailhooks.doctor import examine
from mailhooks.doctor.facts import Facts
from mailhooks.doctor.reading import names

RIGHT = """
@ IN MX 10 mail
@ IN TXT "v=spf1 " "mx -all"
@ IN TXT "something=else"
_dmarc IN TXT "v=DMARC1; p=none"
mail._domainkey IN TXT "v=DKIM1; p=abc"
mail IN A 192.0.2.25
"""


@pytest.fixture(scope="module")
def resolver(tmp_path_factory):
    zones = {
        "example1.com": RIGHT,
        "bare.test": "@ IN A 192.0.2.80",
        "moved.test": '@ IN MX 5 mx.elsewhere.test.\n@ IN TXT "v=spf1 -all"\n@ IN TXT "v=spf1 mx"\n'
        '_dmarc IN TXT "v=DMARC1; p=none"\nx._domainkey IN TXT "v=DKIM1; p="\n',
        "other.test": "mail IN A 192.0.2.26\nnowhere IN TXT none",
        "2.0.192.in-addr.arpa": "25 IN PTR mail.example1.com.\n26 IN PTR dialin.provider.test.",
    }
    with serve(tmp_path_factory.mktemp("dns") / "nsd", zones) as running:
        yield running


def found(resolver, *domains: str, host: str = HOST) -> dict[str, list[str]]:
    """Ask, and judge: finding -> what was met."""
    asked, own, unread = names.read(domains, host, resolver)
    assert unread == ()
    facts = Facts(Config(), 0.0, host, names=asked, host=own)
    result: dict[str, list[str]] = {}
    for each in said(facts):
        if each.id.startswith("dns"):
            result.setdefault(each.id, []).append(each.what)
    return result


def test_a_domain_as_it_should_be(resolver):
    assert found(resolver, "example1.com") == {}


def test_a_domain_with_nothing(resolver):
    assert found(resolver, "bare.test") == {
        "dns-mx": ["bare.test has no MX record"],
        "dns-spf": ["bare.test has no SPF records"],
        "dns-dkim": ["there is no name below _domainkey.bare.test"],
        "dns-dmarc": ["bare.test has no DMARC record"],
    }


def test_a_domain_whose_mail_goes_elsewhere_and_that_has_two_spf_records(resolver):
    assert found(resolver, "moved.test") == {
        "dns-mx-elsewhere": ["mail for moved.test goes to mx.elsewhere.test, this server is mail.example1.com"],
        "dns-spf": ["moved.test has 2 SPF records"],
    }


def test_a_server_whose_address_leads_elsewhere(resolver):
    assert found(resolver, host="mail.other.test") == {
        "dns-ptr": ["192.0.2.26 leads to dialin.provider.test, not to mail.other.test"]
    }


def test_a_server_without_an_address(resolver):
    assert found(resolver, host="nowhere.other.test") == {
        "dns-no-address": ["nowhere.other.test has neither A nor AAAA"]
    }


def test_no_resolver_is_one_note_and_no_finding():
    nobody = dns.resolver.Resolver(configure=False)
    nobody.nameservers, nobody.port = ["127.0.0.1"], free_port()
    asked, host, unread = names.read(["example1.com"], HOST, nobody)
    assert (asked, host) == ((), None)
    areas = examine(Facts(Config(), 0.0, HOST, unread=unread))
    assert [each.id for area in areas for each in area.findings] == ["not-checked"]


def test_a_question_without_answer_is_no_finding(resolver):
    asked, _, _ = names.read(["bare.test"], HOST, resolver)
    silent = [dataclasses.replace(asked[0], mx=None, spf=None, dmarc=None, has_keys=None)]
    assert said(Facts(Config(), 0.0, HOST, names=tuple(silent))) == []


def test_of_thousands_of_domains_some_are_asked(resolver):
    asked, _, unread = names.read([f"d{number}.test" for number in range(60)], HOST, resolver)
    assert len(asked) == names.MAX_DOMAINS
    assert "10 of 60" in unread[0].what


def test_the_cure_for_a_missing_dnspython_names_what_can_be_installed(monkeypatch):
    """There is no package mailhooks in the index: its extra cannot be asked for by name."""
    monkeypatch.setitem(sys.modules, "dns.resolver", None)  # as import says it
    _, _, (unread,) = names.read(["example1.com"], HOST)
    assert unread.what.endswith("dnspython is not installed")
    assert unread.cure == f"{sys.executable} -m pip install dnspython"
