"""Files that can be made again: pictures that were rendered or fetched, up to a number of bytes.

One flat folder. Every name says what the file is, so that a start needs no table and a file that a power cut left short
is noticed: a hash of the group, a hash of the key, the size, and an extension for the media type. What was used least
recently goes first; after a start, age stands for use.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"([0-9a-f]{24})-([0-9a-f]{40})\.([0-9]{1,15})\.([a-z0-9]{1,8})")
_GROUP: Final = 24
"""Characters of a name that stand for the group."""
_ROOM: Final = 0.9
"""What is left of the limit when it was reached, so that not every new file has to remove one."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What a file is found by. A group is dropped as a whole, for example all previews of one upload."""

    group: str
    rest: str

    @property
    def stem(self) -> str:
        return f"{_hash(self.group)[:_GROUP]}-{_hash(self.rest)[:40]}"


@dataclass(frozen=True, slots=True)
class CachedFile:
    path: Path
    size: int
    """Bytes."""
    written: float
    """Unix seconds."""

    @property
    def suffix(self) -> str:
        """The extension without its dot."""
        return self.path.suffix[1:]


class FileCache:
    """The cache of one server in `folder`, of at most `limit` bytes.

    All methods may be called from any thread. `find` does no I/O; the others block. A file that was found can be gone
    by the time it is opened.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._lock = threading.Lock()
        self._files: OrderedDict[str, CachedFile] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return self._size

    def open(self) -> None:
        """Make the folder, find what is in it, and remove what is unfinished or too much. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found: list[tuple[str, CachedFile]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if not entry.is_file(follow_symlinks=False):
                    continue
                match, state = _NAME.fullmatch(entry.name), entry.stat()
                if match is None or int(match[3]) != state.st_size:
                    _unlink(Path(entry.path))
                else:
                    file = CachedFile(Path(entry.path), state.st_size, state.st_mtime)
                    found.append((f"{match[1]}-{match[2]}", file))
        found.sort(key=lambda each: each[1].written)
        with self._lock:
            for stem, file in found:
                self._put(stem, file)
            surplus = self._make_room()
        for path in surplus:
            _unlink(path)

    def temporary(self) -> Path:
        """A name in the folder that nothing has."""
        return self._folder / f"{secrets.token_hex(16)}.part"

    def find(self, key: CacheKey, max_age: float) -> CachedFile | None:
        """The file under a key, if it was written at most `max_age` seconds ago."""
        stem = key.stem
        with self._lock:
            file = self._files.get(stem)
            if file is None or not 0 <= time.time() - file.written <= max_age:
                return None
            self._files.move_to_end(stem)
            return file

    def add(self, key: CacheKey, temporary: Path, suffix: str) -> CachedFile:
        """Put a finished temporary file under a key, in place of what was there, mode 0600. Raises OSError."""
        stem = key.stem
        temporary.chmod(0o600)
        size = temporary.stat().st_size
        file = CachedFile(self._folder / f"{stem}.{size}.{suffix}", size, time.time())
        with self._lock:
            os.replace(temporary, file.path)
            surplus = self._put(stem, file) + self._make_room(keep=stem)
        for path in surplus:
            _unlink(path)
        return file

    def forget(self, key: CacheKey) -> None:
        """Take a file out."""
        with self._lock:
            paths = self._take(key.stem)
        for path in paths:
            _unlink(path)

    def drop(self, groups: Iterable[str]) -> None:
        """Take out every file of some groups."""
        hashes = {_hash(group)[:_GROUP] for group in groups}
        with self._lock:
            stems = [stem for stem in self._files if stem[:_GROUP] in hashes]
            paths = [path for stem in stems for path in self._take(stem)]
        for path in paths:
            _unlink(path)

    # Under the lock; each gives the files that are to be unlinked.

    def _put(self, stem: str, file: CachedFile) -> list[Path]:
        replaced = [path for path in self._take(stem) if path != file.path]
        self._files[stem] = file
        self._size += file.size
        return replaced

    def _take(self, stem: str) -> list[Path]:
        file = self._files.pop(stem, None)
        if file is None:
            return []
        self._size -= file.size
        return [file.path]

    def _make_room(self, keep: str = "") -> list[Path]:
        paths: list[Path] = []
        if self._size > self._limit:
            for stem in list(self._files):
                if self._size <= self._limit * _ROOM:
                    break
                if stem != keep:
                    paths += self._take(stem)
        return paths


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _unlink(path: Path) -> None:
    try:
        with suppress(FileNotFoundError):
            path.unlink()
    except OSError as error:
        # On Windows a file that is being sent cannot be removed; the next start finds it again.
        _log.info("%s cannot be removed now: %s", path, error)
