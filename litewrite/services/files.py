"""Files: bytes in the blob store, and a row that gives them a name and permissions.

The bytes are there before the row and go after it. Whatever breaks off in between leaves a blob that nothing names;
`blob_sweep.py` finds those at the next start, and a unit of work that did not commit has its blob removed at once.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from litewrite.blobs.base import BlobKey, BlobMissing, BlobSpaceExhausted, BlobStore, BlobWriter
from litewrite.db import files as file_rows
from litewrite.db import projects as project_rows
from litewrite.db.engine import Database, Transaction
from litewrite.db.pages import Window
from litewrite.entities import File, Page, Permissions
from litewrite.errors import (
    FileMissing,
    FileNotFound,
    FileTooLarge,
    ProjectNotFound,
    StorageFull,
    Unauthorized,
)
from litewrite.events import Event
from litewrite.media_types import detect
from litewrite.permissions import Actor, can_read, can_write
from litewrite.services.accounts import record

log = logging.getLogger(__name__)

BUCKET = "default"
"""The one bucket that there is."""
BLOB_KIND = "files"


@dataclass(slots=True)
class Upload:
    """A file that was received and waits under a temporary name.

    `too_large` says that it went beyond the limit and was cut off. It vanishes unless it is stored.
    """

    name: str
    writer: BlobWriter
    too_large: bool = False


class Files:
    """The files of all projects. `close` waits for the removal of blobs whose row could not be written."""

    def __init__(self, db: Database, blobs: BlobStore) -> None:
        self._db = db
        self._blobs = blobs
        self._removals: set[asyncio.Task[None]] = set()
        self._closed = False

    async def close(self) -> None:
        """To be called before the blob store is closed."""
        self._closed = True
        while self._removals:
            await asyncio.wait(self._removals)

    async def begin_upload(self) -> BlobWriter:
        """Where the bytes of an upload go before it is known what becomes of it."""
        return await self._blobs.writer()

    async def create(
        self,
        actor: Actor,
        upload: Upload | None,
        *,
        read: Sequence[str] | None = None,
        write: Sequence[str] | None = None,
    ) -> File:
        """Store a file. A list that is None names the caller alone, or nobody when the caller is a key.

        Raises `FileMissing`, `FileTooLarge`, `StorageFull`, `Unauthorized` for a user without a role in `write`, and
        `ProjectNotFound` when the project was deleted meanwhile.
        """
        if upload is None:
            raise FileMissing
        if upload.too_large:
            raise FileTooLarge
        permissions = Permissions(
            read=actor.own_role if read is None else tuple(read),
            write=actor.own_role if write is None else tuple(write),
        )
        # Nothing stored has a say in this, so it is settled before the blob is published.
        _refuse_lock_out(permissions, actor)
        writer, name, project_id = upload.writer, upload.name, actor.project_id
        mime_type = await asyncio.to_thread(detect, writer.head, writer.size, name)
        blob_key = str(BlobKey(BLOB_KIND, project_id, secrets.token_hex(16)))
        try:
            await writer.finish(blob_key)
        except BlobSpaceExhausted as error:
            raise StorageFull from error
        signature, size = writer.md5, writer.size

        def unit(tx: Transaction) -> File:
            # It was there when the caller was identified, which for a long upload is a while ago.
            if tx.run(project_rows.get(project_id)) is None:
                raise ProjectNotFound
            file = File(
                id=tx.new_id(),
                project_id=project_id,
                bucket_id=BUCKET,
                permissions=permissions,
                name=name,
                mime_type=mime_type,
                signature=signature,
                size=size,
                blob_key=blob_key,
                created_at=tx.now,
            )
            tx.stores.files.insert(tx, file)
            _report(tx, actor, "create", file)
            return file

        # From the end of `finish` up to here there is no point at which the caller could be cancelled.
        return await self._db.write(unit, on_rollback=lambda: self._discard(blob_key))

    async def list(
        self, actor: Actor, *, search: str = "", limit: int = 25, offset: int = 0, descending: bool = False
    ) -> Page[File]:
        """A page of the files that the caller may read, in the order of creation."""
        window = Window(limit, offset, descending, search)
        roles = None if actor.is_server else actor.roles
        return await self._db.read(file_rows.of_bucket(actor.project_id, BUCKET, window, roles=roles))

    async def get(self, actor: Actor, file_id: str) -> File:
        """Raises `FileNotFound`, also for a file that the caller may not read."""
        return _readable(await self._db.read(file_rows.get(actor.project_id, BUCKET, file_id)), actor)

    async def content(self, actor: Actor, file_id: str) -> tuple[File, Path]:
        """A file and where its bytes lie, to be read and not changed. They vanish when the file is deleted.

        Raises `FileNotFound`, also when the bytes are missing.
        """
        file = await self.get(actor, file_id)
        try:
            return file, await self._blobs.path(file.blob_key)
        except BlobMissing as error:
            log.warning("the content of file %s of project %s is missing", file.id, file.project_id)
            raise FileNotFound from error

    async def update(self, actor: Actor, file_id: str, *, read: Sequence[str], write: Sequence[str]) -> File:
        """Replace both permission lists. Raises `FileNotFound` and `Unauthorized`."""
        permissions = Permissions(read=tuple(read), write=tuple(write))

        def unit(tx: Transaction) -> File:
            file = replace(_writable(tx, actor, file_id), permissions=permissions)
            _refuse_lock_out(permissions, actor, file.id)
            tx.stores.files.update_permissions(tx, file)
            _report(tx, actor, "update", file)
            return file

        return await self._db.write(unit)

    async def delete(self, actor: Actor, file_id: str) -> None:
        """Delete a file; its bytes are removed afterwards. Raises `FileNotFound` and `Unauthorized`."""

        def unit(tx: Transaction) -> None:
            file = _writable(tx, actor, file_id)
            tx.stores.files.delete(tx, file)
            _report(tx, actor, "delete", file)

        await self._db.write(unit)

    def _discard(self, blob_key: str) -> None:
        if self._closed:
            log.info("the blob %s has no file and is removed at the next start", blob_key)
            return
        task = asyncio.get_running_loop().create_task(self._remove(blob_key))
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)

    async def _remove(self, blob_key: str) -> None:
        try:
            await self._blobs.remove(blob_key)
        except OSError:
            log.exception("the blob %s has no file and could not be removed before the next start", blob_key)


def _readable(file: File | None, actor: Actor) -> File:
    if file is None or not can_read(file.permissions, actor, file.id):
        raise FileNotFound
    return file


def _writable(tx: Transaction, actor: Actor, file_id: str) -> File:
    file = _readable(tx.run(file_rows.get(actor.project_id, BUCKET, file_id)), actor)
    if not can_write(file.permissions, actor, file.id):
        raise Unauthorized
    return file


def _refuse_lock_out(permissions: Permissions, actor: Actor, file_id: str = "") -> None:
    """Users have to leave themselves the right to write. Raises `Unauthorized`."""
    if not can_write(permissions, actor, file_id):
        raise Unauthorized("The write permissions must name a role of the current user")


def _report(tx: Transaction, actor: Actor, action: str, file: File) -> None:
    record(tx, actor, actor.user_id, f"storage.files.{action}", f"storage/files/{file.id}")
    tx.emit(Event("file", action, file, actor))
