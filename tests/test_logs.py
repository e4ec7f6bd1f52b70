"""Log lines: their two forms, and that a reader who does not read stops nobody."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
import warnings

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from litewrite import logs
from litewrite.logs import LogWriter

log = logging.getLogger("litewrite.test")


class Stuck(io.StringIO):
    """A stream whose reader has stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = threading.Event()

    def write(self, text: str) -> int:
        self.reader.wait(10)
        return super().write(text)


def test_text_lines() -> None:
    stream = io.StringIO()
    with LogWriter("text", stream):
        log.info("left out")
        log.warning("path %s", "/a\nERROR forged\x1b[0m ü")
    (line,) = stream.getvalue().splitlines()
    time_of_day, _, rest = line.partition(" ")
    assert time_of_day.endswith("+00:00")
    assert rest == "WARNING litewrite.test: path /a\\nERROR forged\\x1b[0m ü"


def test_a_traceback_follows_in_text() -> None:
    stream = io.StringIO()
    with LogWriter("text", stream):
        try:
            raise ZeroDivisionError("why")
        except ZeroDivisionError:
            log.exception("it failed")
    lines = stream.getvalue().splitlines()
    assert lines[0].endswith("ERROR litewrite.test: it failed")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: why"


def test_json_lines() -> None:
    stream = io.StringIO()
    with LogWriter("json", stream):
        log.warning("one\ntwo")
        try:
            raise ZeroDivisionError("why")
        except ZeroDivisionError:
            log.exception("it failed")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", UserWarning, stacklevel=1)
    one, two, three = map(json.loads, stream.getvalue().splitlines())
    assert set(one) == {"time", "level", "logger", "message"}
    assert (one["level"], one["logger"], one["message"]) == ("warning", "litewrite.test", "one\ntwo")
    assert two["level"] == "error"
    assert two["exception"].endswith("ZeroDivisionError: why")
    assert "UserWarning: old" in three["message"]


def test_broken_requests_are_left_out() -> None:
    stream = io.StringIO()
    server = logging.getLogger("aiohttp.server")
    with LogWriter("text", stream):
        for error in (BadHttpMessage("what a client sent"), ZeroDivisionError("our own")):
            try:
                raise error
            except Exception:
                server.exception("Error handling request")
    assert "our own" in stream.getvalue()
    assert "client" not in stream.getvalue()


def test_a_failed_thread_is_logged() -> None:
    stream = io.StringIO()
    before = threading.excepthook
    with LogWriter("json", stream):
        thread = threading.Thread(target=lambda: 1 / 0, name="worker")
        thread.start()
        thread.join()
    assert threading.excepthook is before
    entry = json.loads(stream.getvalue())
    assert entry["message"] == "the thread worker failed"
    assert "ZeroDivisionError" in entry["exception"]


def test_nobody_waits_for_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "QUEUE_LINES", 5)
    stream = Stuck()
    with LogWriter("json", stream):
        started = time.monotonic()
        for number in range(50):
            log.warning("%d", number)
        assert time.monotonic() - started < 1
        stream.reader.set()
    messages = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    dropped = [text for text in messages if text.endswith("dropped: nobody read standard error")]
    assert len(messages) - len(dropped) + sum(int(text.split()[0]) for text in dropped) == 50
    assert messages[:2] == ["0", dropped[0]] or messages[:1] == ["0"]
    assert len(messages) < 15


def test_leaving_does_not_wait_for_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "CLOSE_SECONDS", 0.05)
    stream = Stuck()
    started = time.monotonic()
    with LogWriter("text", stream):
        log.warning("x")
    assert time.monotonic() - started < 2
    stream.reader.set()


def test_a_closed_stream_is_given_up() -> None:
    stream = io.StringIO()
    with LogWriter("text", stream):
        stream.close()
        log.warning("x")
        log.warning("y")
    assert not any(handler.__class__ is LogWriter for handler in logging.getLogger().handlers)
