"""Which generation a binary is, from what it prints."""

from __future__ import annotations

import pytest

from mailhooks.stack import generation
from mailhooks.stack.generation import MissingBinaryError, dovecot_line, postfix_version


@pytest.mark.parametrize(
    ("answer", "line"),
    [("2.3.19.1 (9b53102964)\n", "2.3"), ("2.4.1-4 (7d8c0e5759)\n", "2.4"), ("2.4.4\n", "2.4"), ("2.5.0\n", "2.4")],
)
def test_dovecot(answer, line):
    assert dovecot_line(answer) == line


@pytest.mark.parametrize("answer", ["", "2.2.36 (1f10bfa63)", "3.0", "doveconf: Fatal"])
def test_a_dovecot_of_another_age_is_refused(answer):
    with pytest.raises(MissingBinaryError, match=r"2\.3 or 2\.4"):
        dovecot_line(answer)


@pytest.mark.parametrize(("answer", "version"), [("3.7.11\n", (3, 7)), ("3.10.13\n", (3, 10)), ("4.0", (4, 0))])
def test_postfix(answer, version):
    assert postfix_version(answer) == version


@pytest.mark.parametrize("answer", ["", "3.4.23", "2.11.0"])
def test_an_old_postfix_is_refused(answer):
    with pytest.raises(MissingBinaryError, match=r"3\.5"):
        postfix_version(answer)


def test_a_missing_program_names_its_package():
    with pytest.raises(MissingBinaryError, match="apt-get install nosuch-package"):
        generation.binary("nosuch-program", "nosuch-package")
