"""When the write-ahead log is carried over into the database file.

Under traffic the log is checkpointed (PASSIVE, which waits for nobody) once it is long enough to be worth a sync; it is
then used again from its start, and is not cut, since writing over a file is quicker than making one grow. It is cut
only when the server is idle. How much of it is in use cannot be seen from its size, so one of its frames is looked
at: it counts when it carries the salts of the log's header (sqlite.org/fileformat2.html, "The Write-Ahead Log").
"""

from __future__ import annotations

import logging
import sqlite3
import time
from io import FileIO
from pathlib import Path

from litewrite.db.connections import PAGE_SIZE, set_patience

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.02
_RETRY_SECONDS = 1.0
_IDLE_SECONDS = 2.0
_FRAMES = 2_000
_MORE_FRAMES = 1_000

_HEADER = 32
_HEADER_SALTS = 16
_FRAME_HEADER = 24
_FRAME_SALTS = 8
_SALTS = 8


class LogFile:
    """Looks at the log that SQLite writes, without its help and without its locks."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + "-wal")
        self._file: FileIO | None = None

    def salts(self) -> bytes:
        """Different after each start from the beginning; empty while there is no log."""
        return self._read(_HEADER_SALTS)

    def holds(self, frames: int, salts: bytes) -> bool:
        """Whether the log has at least so many frames under these salts."""
        offset = _HEADER + (frames - 1) * (PAGE_SIZE + _FRAME_HEADER) + _FRAME_SALTS
        return bool(salts) and self._read(offset) == salts

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, offset: int) -> bytes:
        if self._file is None:
            try:
                self._file = FileIO(self.path)
            except FileNotFoundError:
                return b""
        self._file.seek(offset)
        return self._file.read(_SALTS)


class Checkpoints:
    """Checkpoints the writer's connection. Used on the writer's thread."""

    def __init__(self, connection: sqlite3.Connection, database: Path) -> None:
        self.passive = 0
        self.truncating = 0
        self._connection = connection
        self._log = LogFile(database)
        self._salts = b""
        self._threshold = _FRAMES
        self._next_look = 0.0
        self._pending = True

    def after_commit(self) -> None:
        """Carry the log over when it has grown long. Looks at most every 20 ms."""
        self._pending = True
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        try:
            salts = self._log.salts()
            if salts != self._salts:
                self._salts = salts
                self._threshold = _FRAMES
            if self._log.holds(self._threshold, salts):
                _, frames, _ = self._run("PASSIVE")
                self.passive += 1
                # Readers may have kept the log in use: then it goes on growing, and is looked at again later.
                self._threshold = max(frames, self._threshold) + _MORE_FRAMES
        except (OSError, sqlite3.Error) as error:
            self._next_look = now + _RETRY_SECONDS
            log.warning("a checkpoint failed and will be tried again: %s", error)

    def idle_after(self) -> float | None:
        """Seconds without work after which `when_idle` is due; None when there is nothing to carry over."""
        return _IDLE_SECONDS if self._pending else None

    def when_idle(self) -> None:
        """Carry everything over and cut the log, unless a reader holds it."""
        set_patience(self._connection, False)
        try:
            busy, _, _ = self._run("TRUNCATE")
            self.truncating += 1
            self._pending = bool(busy)
        except sqlite3.Error as error:
            log.warning("a checkpoint failed and will be tried again: %s", error)
        finally:
            set_patience(self._connection, True)

    def close(self) -> None:
        self._log.close()
        self.when_idle()

    def log_bytes(self) -> int:
        """The size of the log's file. May be asked on any thread."""
        try:
            return self._log.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _run(self, mode: str) -> tuple[int, int, int]:
        row: tuple[int, int, int] = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return row
