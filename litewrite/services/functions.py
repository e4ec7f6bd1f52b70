"""Functions and their deployments: what is to run, in which runtime, and who may run it.

An archive is in the blob store before the row of its deployment and goes after it. What is behind a deleted function is
removed in slices, so deleting takes no longer for one with many executions.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from litewrite.blobs.base import BlobKey, BlobSpaceExhausted, BlobStore
from litewrite.db import deployments as deployment_rows
from litewrite.db import functions as function_rows
from litewrite.db.engine import Database, Transaction
from litewrite.db.pages import Window
from litewrite.entities import Deployment, Function, Page
from litewrite.errors import (
    ArgumentInvalid,
    DeploymentNotFound,
    FileMissing,
    FileTooLarge,
    FileTypeUnsupported,
    FunctionNotFound,
    StorageFull,
)
from litewrite.events import Event
from litewrite.executor.runtimes import RUNTIMES
from litewrite.permissions import Actor
from litewrite.security import ServerSecret
from litewrite.services.cron import Cron
from litewrite.services.files import Upload

log = logging.getLogger(__name__)

RUNTIME_KEYS = tuple(RUNTIMES)
BLOB_KIND = "code"
DEFAULT_TIMEOUT = 15
LARGEST_VARIABLES = 1_000_000


class Functions:
    """The functions of all projects. Their variables are encrypted with the server secret.

    `longest_timeout` is in seconds. `close` waits for the removal of archives whose row could not be written.
    """

    def __init__(self, db: Database, blobs: BlobStore, secret: ServerSecret, *, longest_timeout: int = 900) -> None:
        self._db = db
        self._blobs = blobs
        self._secret = secret
        self._longest_timeout = longest_timeout
        self._removals: set[asyncio.Task[None]] = set()
        self._closed = False

    async def close(self) -> None:
        """To be called before the blob store is closed."""
        self._closed = True
        while self._removals:
            await asyncio.wait(self._removals)

    async def create(
        self,
        actor: Actor,
        *,
        name: str,
        runtime: str,
        execute: Sequence[str] = (),
        variables: Mapping[str, Any] | None = None,
        events: Sequence[str] = (),
        schedule: str = "",
        timeout: int = DEFAULT_TIMEOUT,
    ) -> Function:
        """Make a function without code. It is planned only once a deployment is active.

        Raises `ArgumentInvalid` for an unknown runtime, a bad schedule or timeout, and for variables above 1 MB of JSON
        or with a NUL character, which no environment can hold.
        """
        if runtime not in RUNTIMES:
            raise ArgumentInvalid("runtime", f"it must be one of {', '.join(RUNTIME_KEYS)}")
        self._check(variables or {}, schedule, timeout)

        def unit(tx: Transaction) -> Function:
            function = Function(
                id=tx.new_id(),
                project_id=actor.project_id,
                name=name,
                execute=tuple(execute),
                runtime=runtime,
                deployment_id="",
                variables=dict(variables or {}),
                events=tuple(events),
                schedule=schedule,
                timeout=timeout,
                created_at=tx.now,
                updated_at=tx.now,
            )
            tx.stores.functions.insert(tx, function, self._secret)
            tx.emit(Event("function", "create", function, actor))
            return function

        return await self._db.write(unit)

    def _check(self, variables: Mapping[str, Any], schedule: str, timeout: int) -> None:
        text = orjson.dumps(variables)
        if len(text) > LARGEST_VARIABLES:
            raise ArgumentInvalid("vars", f"it must not be longer than {LARGEST_VARIABLES} bytes of JSON")
        if has_nul(variables):
            raise ArgumentInvalid("vars", "it must not contain NUL characters")
        if schedule:
            try:
                Cron.parse(schedule)
            except ValueError as error:
                raise ArgumentInvalid("schedule", f"it {error}") from None
        if not 1 <= timeout <= self._longest_timeout:
            raise ArgumentInvalid("timeout", f"it must be from 1 to {self._longest_timeout} seconds on this server")

    async def list(
        self, actor: Actor, *, search: str = "", limit: int = 25, offset: int = 0, descending: bool = False
    ) -> Page[Function]:
        """A page of the functions of the project, in the order of creation."""
        window = Window(limit, offset, descending, search)
        return await self._db.read(function_rows.of_project(actor.project_id, window, self._secret))

    async def get(self, actor: Actor, function_id: str) -> Function:
        """Raises `FunctionNotFound`."""
        function = await self._db.read(function_rows.get(actor.project_id, function_id, self._secret))
        if function is None:
            raise FunctionNotFound
        return function

    async def update(
        self,
        actor: Actor,
        function_id: str,
        *,
        name: str,
        execute: Sequence[str] = (),
        variables: Mapping[str, Any] | None = None,
        events: Sequence[str] = (),
        schedule: str = "",
        timeout: int = DEFAULT_TIMEOUT,
    ) -> Function:
        """Replace the settings of a function, all but its runtime. Raises `FunctionNotFound` and as `create`."""
        self._check(variables or {}, schedule, timeout)

        def unit(tx: Transaction) -> Function:
            old = self._load(tx, actor, function_id)
            function = replace(
                old,
                name=name,
                execute=tuple(execute),
                variables=dict(variables or {}),
                events=tuple(events),
                schedule=schedule,
                schedule_next=next_run(schedule, tx.now) if old.deployment_id else None,
                timeout=timeout,
                updated_at=tx.now,
            )
            tx.stores.functions.update(tx, old, function, self._secret)
            tx.emit(Event("function", "update", function, actor))
            return function

        return await self._db.write(unit)

    async def deploy(self, actor: Actor, function_id: str, deployment_id: str) -> Function:
        """Make a deployment the active one; the first one starts the schedule.

        Raises `FunctionNotFound`, and `DeploymentNotFound` also for a deployment of another function.
        """

        def unit(tx: Transaction) -> Function:
            old = self._load(tx, actor, function_id)
            if tx.run(deployment_rows.get(actor.project_id, function_id, deployment_id)) is None:
                raise DeploymentNotFound
            planned = old.schedule_next if old.deployment_id else next_run(old.schedule, tx.now)
            function = replace(old, deployment_id=deployment_id, schedule_next=planned)
            tx.stores.functions.update(tx, old, function, self._secret)
            tx.emit(Event("function", "update.deployment", function, actor))
            return function

        return await self._db.write(unit)

    async def delete(self, actor: Actor, function_id: str) -> None:
        """Remove a function; its deployments and executions go in the background. Raises `FunctionNotFound`."""

        def unit(tx: Transaction) -> None:
            function = self._load(tx, actor, function_id)
            tx.stores.functions.delete(tx, function)
            tx.stores.removals.add(tx, "function", function.project_id, function.id)
            tx.emit(Event("function", "delete", function, actor))

        await self._db.write(unit)

    def _load(self, tx: Transaction, actor: Actor, function_id: str) -> Function:
        function = tx.run(function_rows.get(actor.project_id, function_id, self._secret))
        if function is None:
            raise FunctionNotFound
        return function

    async def create_deployment(
        self, actor: Actor, function_id: str, *, command: str, upload: Upload | None
    ) -> Deployment:
        """Store an archive as a deployment, which is not active yet. What is in the archive shows when it runs.

        Raises `FunctionNotFound`, `FileMissing`, `FileTypeUnsupported` for a name that does not end in `.gz`,
        `FileTooLarge` and `StorageFull`.
        """
        project_id = actor.project_id
        await self._require(project_id, function_id)
        if upload is None:
            raise FileMissing
        if not upload.name.endswith(".gz"):
            raise FileTypeUnsupported("The code must be a file whose name ends in .gz: a compressed tar archive")
        if upload.too_large:
            raise FileTooLarge
        blob_key = str(BlobKey(BLOB_KIND, project_id, secrets.token_hex(16)))
        try:
            await upload.writer.finish(blob_key)
        except BlobSpaceExhausted as error:
            raise StorageFull from error
        size = upload.writer.size

        def unit(tx: Transaction) -> Deployment:
            if not tx.run(function_rows.exists(project_id, function_id)):
                raise FunctionNotFound
            deployment = Deployment(
                id=tx.new_id(),
                project_id=project_id,
                function_id=function_id,
                command=command,
                size=size,
                blob_key=blob_key,
                created_at=tx.now,
            )
            tx.stores.deployments.insert(tx, deployment)
            tx.emit(Event("deployment", "create", deployment, actor))
            return deployment

        return await self._db.write(unit, on_rollback=lambda: self._discard(blob_key))

    async def list_deployments(
        self,
        actor: Actor,
        function_id: str,
        *,
        search: str = "",
        limit: int = 25,
        offset: int = 0,
        descending: bool = False,
    ) -> Page[Deployment]:
        """A page of the deployments of a function, in the order of creation. Raises `FunctionNotFound`."""
        await self._require(actor.project_id, function_id)
        window = Window(limit, offset, descending, search)
        return await self._db.read(deployment_rows.of_function(actor.project_id, function_id, window))

    async def get_deployment(self, actor: Actor, function_id: str, deployment_id: str) -> Deployment:
        """Raises `FunctionNotFound`, and `DeploymentNotFound` also for a deployment of another function."""
        await self._require(actor.project_id, function_id)
        deployment = await self._db.read(deployment_rows.get(actor.project_id, function_id, deployment_id))
        if deployment is None:
            raise DeploymentNotFound
        return deployment

    async def delete_deployment(self, actor: Actor, function_id: str, deployment_id: str) -> None:
        """Remove a deployment and its archive; when it was active, none is, and nothing is planned any more.

        Raises `FunctionNotFound`, and `DeploymentNotFound` also for a deployment of another function.
        """

        def unit(tx: Transaction) -> None:
            function = self._load(tx, actor, function_id)
            deployment = tx.run(deployment_rows.get(actor.project_id, function_id, deployment_id))
            if deployment is None:
                raise DeploymentNotFound
            tx.stores.deployments.delete(tx, deployment)
            tx.stores.removals.add(tx, "blob", deployment.project_id, deployment.blob_key)
            if function.deployment_id == deployment.id:
                stopped = replace(function, deployment_id="", schedule_next=None)
                tx.stores.functions.update(tx, function, stopped, self._secret)
            tx.emit(Event("deployment", "delete", deployment, actor))

        await self._db.write(unit)

    async def _require(self, project_id: str, function_id: str) -> None:
        if not await self._db.read(function_rows.exists(project_id, function_id)):
            raise FunctionNotFound

    def _discard(self, blob_key: str) -> None:
        if self._closed:
            log.info("the archive %s has no deployment and is removed at the next start", blob_key)
            return
        task = asyncio.get_running_loop().create_task(self._remove(blob_key))
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)

    async def _remove(self, blob_key: str) -> None:
        try:
            await self._blobs.remove(blob_key)
        except OSError:
            log.exception("the archive %s has no deployment and could not be removed before the next start", blob_key)


def next_run(schedule: str, moment: datetime) -> datetime | None:
    """When a schedule, which was checked when it was stored, is due next; None when there is none."""
    return Cron.parse(schedule).next_after(moment) if schedule else None


def has_nul(value: Any) -> bool:
    """Whether a JSON value contains a NUL character, in a text or in a key."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any("\0" in key or has_nul(inner) for key, inner in value.items())
    if isinstance(value, list):
        return any(map(has_nul, value))
    return False
