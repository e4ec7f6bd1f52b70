"""Unpacks the archives that functions are uploaded as: tar, compressed with gzip, made by strangers.

`tarfile` only parses here. Decompression, limits and every write are ours: the archive is read as a stream, members are
copied piece by piece, no link is ever made (so no path can lead through one), and what the parser may read between two
members is bounded, since it holds extended headers in memory.
"""

from __future__ import annotations

import os
import tarfile
import time
import zlib
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

__all__ = ["ArchiveError", "ArchiveLimits", "unpack"]

_CHUNK = 64 * 1024
_HEADER_BUDGET = 256 * 1024
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class ArchiveError(Exception):
    """The archive cannot be unpacked; the text says why, in one sentence fit for the developer who uploaded it."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may cost. Directories count as entries, also those that only occur inside paths."""

    entries: int = 10_000
    unpacked_bytes: int = 200_000_000
    path_length: int = 1_024
    depth: int = 64
    seconds: float = 60.0


def unpack(archive_path: str | os.PathLike[str], target_dir: str | os.PathLike[str], limits: ArchiveLimits) -> None:
    """Unpacks the archive into `target_dir`, which is made when missing and must be empty. Blocking.

    The first component of every path is removed, so `./index.php` and `project/index.php` both become `index.php`; a
    file without any folder keeps its name. Files are written with their executable bits, without setuid, setgid and
    sticky bits. Of two entries for one path the later one counts. Nothing is ever written outside `target_dir`.

    Raises ArchiveError when the file is no gzip-compressed tar archive, is damaged or truncated, holds a link, device
    or pipe, an absolute path, `..`, or exceeds a limit. What was unpacked until then stays for the caller to remove.
    """
    target = os.path.abspath(os.fspath(target_dir))
    try:
        os.makedirs(target, exist_ok=True)
        if os.listdir(target):
            raise ArchiveError("The folder to unpack into is not empty.")
        with open(archive_path, "rb") as packed:
            stream = _GzipStream(packed, limits)
            _Unpacker(target, limits, stream).run()
    except OSError as error:
        raise ArchiveError(f"The archive could not be unpacked: {error.strerror or error}.") from error


class _GzipStream:
    """Reads what a gzip file holds; enforces the deadline, the budget for headers, and checksums (zlib's own)."""

    def __init__(self, packed: BinaryIO, limits: ArchiveLimits) -> None:
        self._packed = packed
        self._inflate = zlib.decompressobj(wbits=31)
        self._pending = b""
        self._started = False
        self._seconds = limits.seconds
        self._deadline = time.monotonic() + limits.seconds
        self.budget = _HEADER_BUDGET

    def check_deadline(self) -> None:
        if time.monotonic() > self._deadline:
            raise ArchiveError(f"Unpacking took longer than {self._seconds:g} seconds.")

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end. Raises ArchiveError, also when the budget is used up."""
        self.check_deadline()
        parts: list[bytes] = []
        missing = size
        while missing > 0:
            part = self._inflate_some(missing)
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        self.budget -= size - missing
        if self.budget < 0:
            raise ArchiveError("The archive has headers that are too long.")
        return b"".join(parts)

    def _inflate_some(self, size: int) -> bytes:
        while True:
            if self._inflate.eof:
                rest = self._inflate.unused_data or self._packed.read(_CHUNK)
                # Several gzip streams in a row are one file; anything else behind the last one is ignored, as by gzip.
                if not rest.startswith(b"\x1f\x8b"):
                    return b""
                self._inflate = zlib.decompressobj(wbits=31)
                self._pending = rest
            data = self._pending or self._packed.read(_CHUNK)
            if not data:
                raise ArchiveError("The archive is truncated." if self._started else "The archive is empty.")
            self._started = True
            try:
                part = self._inflate.decompress(data, size)
            except zlib.error as error:
                raise ArchiveError("The archive is not a valid gzip file.") from error
            self._pending = self._inflate.unconsumed_tail
            if part:
                return part
            self.check_deadline()


class _Unpacker:
    def __init__(self, target: str, limits: ArchiveLimits, stream: _GzipStream) -> None:
        self._target = target
        self._limits = limits
        self._stream = stream
        self._entries = 0
        self._bytes = 0
        self._folders = {target}

    def run(self) -> None:
        try:
            with tarfile.open(fileobj=cast("IO[bytes]", self._stream), mode="r|") as tar:
                while True:
                    self._stream.budget = _HEADER_BUDGET
                    member = tar.next()
                    if member is None:
                        break
                    self._unpack_member(member, tar)
        except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError) as error:
            raise ArchiveError("The archive is not a valid tar file.") from error
        # Reading to the end is what checks the checksum; padding may follow the last member.
        while True:
            self._stream.budget = _HEADER_BUDGET
            data = self._stream.read(_CHUNK)
            if not data:
                return
            self._count_bytes(len(data))

    def _unpack_member(self, member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        self._count_entry()
        path = self._destination(member)
        if member.isdir():
            if path is not None:
                self._make_folder(path)
        elif not member.isreg() or member.issparse():
            raise ArchiveError(f"The archive holds {_kind(member)} ({_shown(member.name)}).")
        elif path is None:
            raise ArchiveError("The archive holds a file without a name.")
        else:
            self._write_file(path, member, tar)

    def _count_entry(self) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise ArchiveError(f"The archive has more than {self._limits.entries} entries.")

    def _count_bytes(self, count: int) -> None:
        self._bytes += count
        if self._bytes > self._limits.unpacked_bytes:
            raise ArchiveError(f"The archive is larger than {self._limits.unpacked_bytes} bytes when unpacked.")

    def _destination(self, member: tarfile.TarInfo) -> str | None:
        """Where the member goes, None for the top folder itself. Raises ArchiveError on a path that is not harmless."""
        name = member.name
        if name.startswith("/") or "\0" in name:
            raise ArchiveError(f"The archive holds a path that is absolute or invalid ({_shown(name)}).")
        if len(name) > self._limits.path_length:
            raise ArchiveError(f"The archive holds a path longer than {self._limits.path_length} characters.")
        parts = [part for part in name.split("/") if part]
        if ".." in parts:
            raise ArchiveError(f"The archive holds a path that leaves its folder ({_shown(name)}).")
        if os.name == "nt" and any(char in part for part in parts for char in '\\:*?"<>|'):
            raise ArchiveError(f"The archive holds a path that this system does not allow ({_shown(name)}).")
        if len(parts) > self._limits.depth:
            raise ArchiveError(f"The archive holds a path of more than {self._limits.depth} levels.")
        if len(parts) > 1 or member.isdir():
            parts = parts[1:]
        parts = [part for part in parts if part != "."]
        return os.path.join(self._target, *parts) if parts else None

    def _make_folder(self, path: str) -> None:
        if path in self._folders:
            return
        self._make_folder(os.path.dirname(path))
        self._count_entry()
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            raise ArchiveError("The archive holds a file and a folder of the same name.") from None
        self._folders.add(path)

    def _write_file(self, path: str, member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        if member.size < 0:
            raise ArchiveError("The archive is not a valid tar file.")
        if self._bytes + member.size > self._limits.unpacked_bytes:
            self._count_bytes(member.size)
        self._make_folder(os.path.dirname(path))
        if path in self._folders:
            raise ArchiveError("The archive holds a file and a folder of the same name.")
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        content = tar.extractfile(member)
        if content is None:
            raise ArchiveError("The archive is not a valid tar file.")
        mode = 0o755 if member.mode & 0o111 else 0o644
        with content, os.fdopen(os.open(path, _NEW_FILE, mode), "wb", buffering=0) as out:
            missing = member.size
            while missing > 0:
                self._stream.budget = 2 * _CHUNK + _HEADER_BUDGET
                data = content.read(min(_CHUNK, missing))
                if not data:
                    raise ArchiveError("The archive is truncated.")
                self._count_bytes(len(data))
                missing -= len(data)
                _write_all(out, data)


def _write_all(out: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[out.write(view) :]


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym():
        return "a symbolic link, which is not allowed"
    if member.islnk():
        return "a hard link, which is not allowed"
    if member.isdev():
        return "a device or pipe, which is not allowed"
    return "an entry of a kind that is not allowed"


def _shown(name: str) -> str:
    """A path as it may stand in a message: short, printable."""
    shown = ascii(name)
    return shown if len(shown) <= 100 else shown[:97] + "..."
