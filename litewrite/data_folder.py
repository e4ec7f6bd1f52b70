"""The folder with everything a server keeps: who may use it now, who may read it, and the secret that belongs to it.

    litewrite.db     the database, with -wal and -shm while it is open
    blobs/           uploaded files and code
    pictures/        previews and avatars that can be made again
    secret           the server secret, unless the settings give one
    lock             who has the folder; the lock itself is the operating system's
    control.json     where a running server takes commands

The folder is 0700 and its files are 0600. Both are set here again and again, since an archive that was unpacked or a
copy that was made may have opened them.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from litewrite.config import Config, new_server_secret
from litewrite.folder_lock import FolderLock, Holder, HolderKind
from litewrite.security import ServerSecret

__all__ = ["DataFolder", "DataFolderError", "FolderInUse", "FolderRefused", "SecretRefused"]

log = logging.getLogger(__name__)

DATABASE = "litewrite.db"
BLOBS = "blobs"
PICTURES = "pictures"
SECRET = "secret"
LOCK = "lock"
CONTROL = "control.json"
PRIVATE_FILES = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", SECRET, LOCK, CONTROL)

FOLDER_MODE = 0o700
FILE_MODE = 0o600
LEAST_SECRET = 32
"""Characters that a server secret has at least."""

COMMAND_SECONDS = 5.0
"""How long others wait for a short command to end."""
_SILENT_SECONDS = 1.0
"""How long a holder may take to say who it is."""
_STEP_SECONDS = 0.05
_MARKS = (DATABASE, SECRET, LOCK, BLOBS)
_NOTHING = frozenset(("lost+found", ".DS_Store", ".gitignore", ".gitkeep", ".keep"))
"""What file systems and version control put into a folder that is empty for people."""


class DataFolderError(Exception):
    """The data folder cannot be used. `str()` is a sentence for the person who chose it."""


class FolderRefused(DataFolderError):
    """The folder is none that a server could keep its data in."""


class SecretRefused(DataFolderError):
    """The server secret is missing or too short."""


class FolderInUse(DataFolderError):
    """Another process has the folder. `holder` says who, None when that cannot be told."""

    def __init__(self, path: Path, holder: Holder | None) -> None:
        super().__init__(_in_use(path, holder))
        self.holder = holder


class DataFolder:
    """A data folder that belongs to this process while the context is open.

    Entering makes the folder when there is none, closes it to other users, takes the lock and reads the server secret
    or makes one. Raises `FolderInUse` at once when a server has the folder, and after `patience` seconds when a command
    has it; `FolderRefused` and `SecretRefused` when the folder is none to be used.
    """

    def __init__(
        self, config: Config, *, kind: HolderKind = "server", command: str = "", patience: float = COMMAND_SECONDS
    ) -> None:
        self.path = Path(os.path.abspath(config.data_dir))
        self._given_secret = config.secret
        self._holder = Holder(kind, os.getpid(), command=command)
        self._patience = patience
        self._lock = FolderLock(self.path / LOCK)
        self._secret: ServerSecret | None = None

    @property
    def secret(self) -> ServerSecret:
        if self._secret is None:
            raise RuntimeError("the data folder is not open: enter it with async with")
        return self._secret

    def announce(self, url: str) -> None:
        """Say where the server listens, to whoever wants the folder too."""
        self._lock.describe(Holder(self._holder.kind, self._holder.pid, url, self._holder.command))

    async def __aenter__(self) -> Self:
        clock = asyncio.get_running_loop().time
        started = clock()
        while not await self._attempt():
            holder = self._lock.holder()
            patience = _SILENT_SECONDS if holder is None else self._patience if holder.kind == "command" else 0.0
            if clock() - started >= patience:
                raise FolderInUse(self.path, holder)
            await asyncio.sleep(_STEP_SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._secret = None
        self._lock.release()

    async def _attempt(self) -> bool:
        attempt = asyncio.get_running_loop().run_in_executor(None, self._try_to_open)
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            # The thread goes on, and a lock that nobody knows of would stay.
            await asyncio.wait((attempt,))
            self._lock.release()
            raise

    def _try_to_open(self) -> bool:
        try:
            prepare_folder(self.path)
            if not self._lock.acquire():
                return False
            self._lock.describe(self._holder)
            # Of a server that was killed: its token must not be taken for that of this process.
            (self.path / CONTROL).unlink(missing_ok=True)
            _close_files(self.path)
            self._secret = ServerSecret(_load_secret(self.path, self._given_secret).encode())
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise FolderRefused(_because(self.path, error)) from error
            raise
        return True


def prepare_folder(path: Path) -> None:
    """Make the folder, or close one that is ours to other users. Raises `FolderRefused` and OSError."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, mode=FOLDER_MODE)
        path.chmod(FOLDER_MODE)  # whatever the process leaves out of the modes of what it makes
        for folder in missing:
            _sync_folder(folder.parent)
        return
    except FileExistsError:
        pass
    if not path.is_dir():
        raise FolderRefused(f"{path} is a file: name a folder for the data")
    if not any((path / mark).exists() for mark in _MARKS):
        strange = sorted(set(os.listdir(path)) - _NOTHING)
        if strange:
            raise FolderRefused(
                f"{path} has no data of litewrite but other files, such as {strange[0]}: name a new or an empty folder"
            )
    if os.name == "posix":
        _close_folder(path)


def _close_folder(path: Path) -> None:
    state = path.stat()
    if state.st_mode & stat.S_ISVTX:
        raise FolderRefused(f"{path} is a folder that users share: name one of your own, such as {path / 'litewrite'}")
    if stat.S_IMODE(state.st_mode) & 0o077:
        if state.st_uid == os.geteuid():
            path.chmod(FOLDER_MODE)
        else:
            log.warning("the data folder %s is open to other users and is not ours to close", path)


def _close_files(path: Path) -> None:
    if os.name != "posix":
        return
    for name in PRIVATE_FILES:
        try:
            state = os.lstat(path / name)
        except FileNotFoundError:
            continue
        if stat.S_ISREG(state.st_mode) and stat.S_IMODE(state.st_mode) & 0o077 and state.st_uid == os.geteuid():
            os.chmod(path / name, FILE_MODE)


def _load_secret(folder: Path, given: str) -> str:
    file = folder / SECRET
    if given:
        return _long_enough(given, "LITEWRITE_SECRET")
    try:
        return _long_enough(file.read_text(encoding="utf-8").strip(), f"The server secret in {file}")
    except FileNotFoundError:
        if (folder / DATABASE).exists():
            raise SecretRefused(
                f"The database in {folder} was written with a server secret that is missing: put the file {file.name} "
                "back from a backup, or set LITEWRITE_SECRET as before"
            ) from None
    except UnicodeDecodeError:
        raise SecretRefused(f"The server secret in {file} is no text: put the file back from a backup") from None
    secret = new_server_secret()
    write_private(file, secret + "\n")
    return secret


def _long_enough(secret: str, name: str) -> str:
    if len(secret) < LEAST_SECRET:
        raise SecretRefused(f"{name} must have at least {LEAST_SECRET} characters, it has {len(secret)}")
    return secret


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all, also when the power fails. Raises OSError."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(file)
    fresh.replace(path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    if os.name != "posix":  # folders cannot be synced elsewhere
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _in_use(path: Path, holder: Holder | None) -> str:
    if holder is None:
        return f"Another process uses the data folder {path} and does not say which: end it, or name another folder"
    if holder.kind == "command":
        return f"{str(holder)[0].upper()}{str(holder)[1:]} is using the data folder {path}: try again when it has ended"
    where = f"at {holder.url} " if holder.url else ""
    return (
        f"A server runs on the data folder {path} already, {where}(process {holder.pid}): "
        "stop it first, or name another folder with --data"
    )


def _because(path: Path, error: OSError) -> str:
    where = error.filename or path
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"The data folder {path} cannot be used: this user may not write {where}"
    if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
        return f"The data folder {path} is on a file system without locks: name a folder on a local disk"
    return f"The data folder {path} cannot be used: {error.strerror or error} ({where})"
