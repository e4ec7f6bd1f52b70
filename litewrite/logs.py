"""Log lines on standard error, as text or as JSON, one record a line.

Lines are written by a thread of their own from a bounded queue: whoever started the server may not read its output, and
a full pipe must not stop the server.
"""

from __future__ import annotations

import json
import logging
import queue
import sys
import threading
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

__all__ = ["JsonFormatter", "LogWriter", "TextFormatter"]

LogFormat = Literal["text", "json"]

QUEUE_LINES = 1_000
CLOSE_SECONDS = 0.5


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00+00:00 WARNING litewrite.db: message`, and a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if not message.isprintable():  # nothing that a client sent may look like a line of its own
            message = "".join(
                char if char.isprintable() else char.encode("unicode_escape").decode() for char in message
            )
        line = f"{_time(record)} {record.levelname} {record.name}: {message}"
        trace = _trace(self, record)
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, and exception when there is a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        trace = _trace(self, record)
        if trace:
            entry["exception"] = trace
        return json.dumps(entry)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""


class LogWriter(logging.Handler):
    """Takes warnings and errors of the whole program while the context is open. Never waits for the stream.

    When `QUEUE_LINES` lines wait already, further ones are dropped, and a line says how many.
    """

    def __init__(self, log_format: LogFormat, stream: TextIO | None = None) -> None:
        super().__init__(logging.WARNING)
        self.addFilter(_is_no_broken_request)
        self.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
        self._stream = stream or sys.stderr
        self._lines: queue.Queue[str | None] = queue.Queue(QUEUE_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="litewrite-log", daemon=True)

    def __enter__(self) -> LogWriter:
        self._thread.start()
        logging.captureWarnings(True)
        logging.getLogger().addHandler(self)
        self._old_hook = threading.excepthook
        threading.excepthook = _log_thread_error
        return self

    def __exit__(self, *error: object) -> None:
        threading.excepthook = self._old_hook
        logging.getLogger().removeHandler(self)
        logging.captureWarnings(False)
        try:
            self._lines.put(None, timeout=CLOSE_SECONDS)
        except queue.Full:
            return
        self._thread.join(CLOSE_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._dropped and self.formatter is not None:
                count, self._dropped = self._dropped, 0
                text = f"{count} log lines were dropped: nobody read standard error"
                notice = logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (), None)
                line += "\n" + self.formatter.format(notice)
            try:
                print(line, file=self._stream, flush=True)
            except (OSError, ValueError):
                return  # the stream is closed for good, and there is nowhere to say so


def _is_no_broken_request(record: logging.LogRecord) -> bool:
    """Leaves out what a client sent that is no HTTP: anybody can send it, and it is answered with 400."""
    kind = record.exc_info[0] if record.exc_info else None
    return not (record.name == "aiohttp.server" and kind is not None and kind.__module__ == "aiohttp.http_exceptions")


def _log_thread_error(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and args.exc_type is not SystemExit:
        name = args.thread.name if args.thread else "unknown"
        logging.getLogger(__name__).error(
            "the thread %s failed", name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback)
        )
