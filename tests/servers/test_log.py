from __future__ import annotations

import io
import json

import pytest
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from mailhooks import log as logs
from mailhooks.log import Limited, Observer, describe


@pytest.fixture
def stream():
    return io.StringIO()


def logger(observer, namespace="mailhooks.test"):
    return Logger(namespace=namespace, observer=observer)


def failure():
    try:
        int("s3cret")
    except ValueError:
        return Failure()


def test_text_is_one_line_with_time_level_and_name(stream):
    logger(Observer(stream, "text", "info")).warn("lookup {table}", table="a\nb\x1b[1m")
    line = stream.getvalue()
    assert line.endswith(" warn mailhooks.test: lookup a b [1m\n")
    assert line.count("\n") == 1
    assert line[:2] == "20"


def test_json_is_one_object_a_line(stream):
    logger(Observer(stream, "json", "info")).error('a "quoted" {text}', text="ö")
    data = json.loads(stream.getvalue())
    assert data.pop("time").endswith("+00:00")
    assert data == {"level": "error", "logger": "mailhooks.test", "message": 'a "quoted" ö'}


def test_levels_below_are_left_out_and_can_be_changed(stream):
    observer = Observer(stream, "text", "warn")
    logger(observer).info("no")
    observer.configure("text", "debug")
    logger(observer).debug("yes")
    assert "no" not in stream.getvalue()
    assert "yes" in stream.getvalue()


def test_twisted_is_heard_from_warnings_on(stream):
    observer = Observer(stream, "text", "debug")
    logger(observer, "twisted.internet").info("Starting factory")
    logger(observer, "log_legacy").info("Port closed")
    logger(observer, "twisted.internet").warn("beware")
    assert stream.getvalue().count("\n") == 1
    assert "beware" in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_is_its_kind_and_places_not_its_text(stream, form):
    logger(Observer(stream, form, "info")).failure("could not", failure())
    assert "could not ValueError at test_log.py:" in stream.getvalue()
    assert "s3cret" not in stream.getvalue()


def test_a_failure_that_was_never_raised_can_be_described():
    assert describe(Failure(KeyError("x"))) == "KeyError at an unknown place"


def test_a_broken_stdout_loses_lines_and_nothing_else(stream):
    class Broken(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError

    logger(Observer(Broken(), "text", "info")).info("x")
    observer = Observer(stream, "text", "info")
    stream.close()
    logger(observer).info("x")


def test_a_very_long_line_is_cut(stream):
    logger(Observer(stream, "text", "info")).info("{x}", x="x" * 100_000)
    assert len(stream.getvalue()) < logs.MAX_LINE + 100


def test_an_event_that_cannot_be_formatted_is_still_a_line(stream):
    logger(Observer(stream, "text", "info")).emit(LogLevel.info, "{missing}")
    assert stream.getvalue().count("\n") == 1


def test_the_same_thing_passes_once_in_a_while():
    now = [0.0]
    limited = Limited(lambda: now[0])
    assert [limited.passes("a") for _ in range(3)] == [0, None, None]
    assert limited.passes("b") == 0
    now[0] = logs.FAULT_SECONDS
    assert limited.passes("a") == 2


def test_what_was_seen_is_bounded(monkeypatch):
    monkeypatch.setattr(logs, "MAX_FAULTS", 10)
    limited = Limited(lambda: 0.0)
    for number in range(100):
        limited.passes(str(number))
    assert len(limited._seen) <= 11
