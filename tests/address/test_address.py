from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.address import (
    AddressError,
    display,
    fold,
    fold_domain,
    normalise,
    normalise_domain,
    normalise_source,
    render,
    split_extension,
    with_extension,
)

SPELLINGS = [
    ("adam@example.com", "adam@example.com"),
    ("Adam+Work@EXAMPLE1.com", "adam+work@example1.com"),
    ('"adam"@example.com', "adam@example.com"),
    ('"a b"@Example.com', "a b@example.com"),
    (r'"a\"b\\c"@example.com', r'a"b\c@example.com'),
    (r'"\a"@example.com', "a@example.com"),
    ('"a@b"@example.com', "a@b@example.com"),
    ('"a..b"@example.com', "a..b@example.com"),
    ("JÖRG@example.com", "jörg@example.com"),
    ("jo\u0308rg@example.com", "jörg@example.com"),
    ("strasse@example.com", "strasse@example.com"),
    ("straße@example.com", "straße@example.com"),
    ("STRASSE@example.com", "strasse@example.com"),
    ("bo@exämple.com", "bo@xn--exmple-cua.com"),
    ("bo@EXÄMPLE.com", "bo@xn--exmple-cua.com"),
    ("bo@exa\u0308mple.com", "bo@xn--exmple-cua.com"),
    ("bo@XN--EXMPLE-CUA.com", "bo@xn--exmple-cua.com"),
    ("bo@straße.de", "bo@xn--strae-oqa.de"),
    ("bo@例え.テスト", "bo@xn--r8jz45g.xn--zckzah"),
    ("bo@例え。テスト", "bo@xn--r8jz45g.xn--zckzah"),
    ("bo@example.com.", "bo@example.com"),
    ("bo@localhost", "bo@localhost"),
    ("007@example.com", "007@example.com"),
    ("!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"),
    ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
]


@pytest.mark.parametrize(("text", "canonical"), SPELLINGS)
def test_every_spelling_is_one_address(text, canonical):
    assert normalise(text) == canonical
    assert fold(text) == canonical
    assert fold(canonical) == canonical
    assert normalise(render(canonical)) == canonical
    assert normalise(display(canonical)) == canonical


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "local-part@domain"),
        ("adam", "local-part@domain"),
        ("*", "local-part@domain"),
        ("<>", "local-part@domain"),
        ('""', "local-part@domain"),
        ("@example.com", "nothing before the @"),
        ("x" * 5000, "local-part@domain"),
        ("adam@", "domain is empty"),
        ("adam@.", "no domain name|domain is empty"),
        ("adam bob@example.com", "quoted one"),
        ("Adam <adam@example.com>", "quoted one"),
        ("adam,bob@example.com", "quoted one"),
        (".adam@example.com", "quoted one"),
        ("adam.@example.com", "quoted one"),
        ("a..b@example.com", "quoted one"),
        ('"adam@example.com', "unfinished quote"),
        ('"a"b"@example.com', "unfinished quote"),
        ('"a\\"@example.com', "unfinished quote"),
        ('""@example.com', "empty or begins with a quote"),
        (r'"\"a\""@example.com', "empty or begins with a quote"),
        ("adam@exam ple.com", "no domain name"),
        ("adam@example..com", "no domain name"),
        ("adam@.example.com", "no domain name"),
        ("adam@-example.com", "no domain name"),
        ("adam@example-.com", "no domain name"),
        ("adam@exam_ple.com", "no domain name"),
        ("adam@example.com>", "no domain name"),
        ("adam@xn--zzzzzzzz999.com", "no domain name"),
        ("adam@☃️.com", "no domain name"),
        ("adam@" + "a" * 64 + ".com", "no domain name"),
        ("adam@" + "a." * 127 + "com", "longer than 253"),
        ("adam@" + "ä" * 5000 + ".com", "no domain name"),
        ("adam@192.0.2.1", "not an IP address"),
        ("adam@[192.0.2.1]", "address literal"),
        ("ad\0am@example.com", "control"),
        ("ad\nam@example.com", "control"),
        ("ad\tam@example.com", "control"),
        ("ad\u200bam@example.com", "control"),
        ("ad\u202eam@example.com", "control"),
        ("ad\ud800am@example.com", "control"),
        ('"a\nb"@example.com', "control"),
        ("x" * 65 + "@example.com", "more than 64"),
        ("ä" * 33 + "@example.com", "more than 64"),
        ("x" * 64 + "@" + "a." * 95 + "com", "longer than 254"),
    ],
)
def test_what_is_no_address_says_why(text, says):
    with pytest.raises(AddressError, match=says) as caught:
        normalise(text)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "*",
        "<>",
        '"<>"',
        '""',
        '""@x',
        "@x",
        "x@",
        "@",
        "adam",
        "example.com",
        '"@x',
        '"adam@x',
        "a\0b@x",
        "a\nb@x",
        "a\ud800@x",
        "a@..",
        "a@x..",
        "ä@x..",
        "a@ä。",
    ],
)
def test_odd_keys_of_postfix_are_no_addresses(key):
    assert fold(key) is None


def test_postfix_asks_quoted_and_raw():
    assert fold('"a b"@example.com') == fold("a b@example.com") == "a b@example.com"
    assert fold('"a@b"@example.com') == fold("a@b@example.com") == "a@b@example.com"


def test_the_last_at_splits():
    assert fold("a@b@C") == "a@b@c"


@given(st.text())
def test_fold_never_raises(text):
    assert fold(text) is None or "@" in fold(text)
    domain = fold_domain(text)
    assert domain is None or fold_domain(domain) == domain


spelt = st.tuples(
    st.text(st.sampled_from('aZ0.+-_ä\u0308Öß"\\ @İΣς\u212b'), max_size=6),
    st.sampled_from(["Example.com", "exÄmple.com", "xn--exmple-cua.com", "a\u0308.de", "例え.テスト"]),
    st.booleans(),
).map(lambda parts: (f'"{parts[0]}"' if parts[2] else parts[0]) + "@" + parts[1])


@given(spelt | st.text())
def test_fold_agrees_with_normalise(text):
    folded = fold(text)
    if folded is not None:
        assert fold(folded) == folded
        assert folded.isprintable()
    try:
        canonical = normalise(text)
    except AddressError:
        return
    assert folded == canonical
    assert fold(canonical) == canonical
    assert fold(render(canonical)) == canonical
    assert normalise(render(canonical)) == canonical
    assert normalise(display(canonical)) == canonical


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_upper_and_lower_case_are_one_where_unicode_agrees(local):
    if local.upper().lower() == local.lower():
        assert fold(f"x{local}@example.com") == fold(f"x{local.lower()}@example.com")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("exämple.com", "xn--exmple-cua.com"),
        ("xn--exmple-cua.com", "xn--exmple-cua.com"),
    ],
)
def test_domains(text, canonical):
    assert normalise_domain(text) == fold_domain(text) == canonical
    assert normalise_source("@" + text) == "@" + canonical
    assert normalise_source("Bo@" + text) == "bo@" + canonical


@pytest.mark.parametrize("text", ["", ".", "@", "@@example.com", "a@b@", "@a b"])
def test_what_is_no_source(text):
    with pytest.raises(AddressError):
        normalise_source(text)


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "*",
        "<>",
        "a@example.com",
        "a@exämple.com",
        ".example.com",
        "[192.0.2.1]",
        "example..com",
        "exämple.com..",
        "a b",
        "a\0b",
    ],
)
def test_keys_that_are_no_domain(key):
    assert fold_domain(key) is None


@pytest.mark.parametrize(
    ("address", "delimiter", "expected"),
    [
        ("adam+work@e.com", "+", ("adam@e.com", "work")),
        ("adam+a+b@e.com", "+", ("adam@e.com", "a+b")),
        ("adam@e.com", "+", ("adam@e.com", "")),
        ("adam+@e.com", "+", ("adam@e.com", "")),
        ("+adam@e.com", "+", ("+adam@e.com", "")),
        ("+adam+x@e.com", "+", ("+adam+x@e.com", "")),
        ("adam@e+x.com", "+", ("adam@e+x.com", "")),
        ("adam+work@e.com", "", ("adam+work@e.com", "")),
        ("adam-a+b@e.com", "+-", ("adam@e.com", "a+b")),
        ("adam+a-b@e.com", "+-", ("adam@e.com", "a-b")),
        ("adam-a@e.com", "+", ("adam-a@e.com", "")),
        ("owner-list@e.com", "-", ("owner-list@e.com", "")),
        ("list-request@e.com", "-", ("list-request@e.com", "")),
        ("-request@e.com", "-", ("-request@e.com", "")),
        ("double-bounce@e.com", "-", ("double-bounce@e.com", "")),
        ("mailer-daemon@e.com", "-", ("mailer-daemon@e.com", "")),
        ("owner-list+x@e.com", "+", ("owner-list@e.com", "x")),
    ],
)
def test_split_extension(address, delimiter, expected):
    assert split_extension(address, delimiter) == expected


@pytest.mark.parametrize(
    ("address", "extension", "expected"),
    [
        ("bo@e.com", "work", "bo+work@e.com"),
        ("bo+own@e.com", "work", "bo+own@e.com"),
        ("bo@e.com", "", "bo@e.com"),
        ("a@b@e.com", "x", "a@b+x@e.com"),
    ],
)
def test_with_extension(address, extension, expected):
    assert with_extension(address, extension, "+") == expected
    assert with_extension(address, extension, "") == address


@given(st.from_regex(r"[a-z@.+-]{1,12}@e\.com", fullmatch=True), st.sampled_from(["+", "-", "+-", "=", ""]))
def test_split_extension_loses_nothing_but_the_delimiter(address, delimiter):
    bare, extension = split_extension(address, delimiter)
    if bare == address:
        assert extension == ""
    else:
        assert any(bare.replace("@e.com", char + extension + "@e.com") == address for char in delimiter)
        assert with_extension(address, "x", delimiter) == address


@pytest.mark.parametrize(
    ("canonical", "rendered"),
    [
        ("adam@example.com", "adam@example.com"),
        ("a b@example.com", '"a b"@example.com'),
        (r'a"b\c@example.com', r'"a\"b\\c"@example.com'),
        ("a@b@example.com", '"a@b"@example.com'),
        ("a..b@example.com", '"a..b"@example.com'),
        ("jörg@example.com", "jörg@example.com"),
        ("@example.com", "@example.com"),
    ],
)
def test_render(canonical, rendered):
    assert render(canonical) == rendered


@pytest.mark.parametrize(
    ("canonical", "shown"),
    [
        ("bo@xn--exmple-cua.com", "bo@exämple.com"),
        ("@xn--exmple-cua.com", "@exämple.com"),
        ("xn--exmple-cua.com", "exämple.com"),
        ("a b@xn--exmple-cua.com", '"a b"@exämple.com'),
        ("a b@example.com", '"a b"@example.com'),
        ("bo@xn--zzzzzzzz999.com", "bo@xn--zzzzzzzz999.com"),
    ],
)
def test_display(canonical, shown):
    assert display(canonical) == shown
