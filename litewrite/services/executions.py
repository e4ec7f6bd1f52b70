"""Executions: asked for, queued, run, and looked up.

The queue is the table of executions that wait; in memory there are only a wake-up and the tasks of those that run. So
what was acknowledged survives a crash: what waited is run after it, and what ran is recorded as failed.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from litewrite.blobs.base import BlobMissing, BlobStore
from litewrite.config import Config
from litewrite.db import deployments as deployment_rows
from litewrite.db import executions as execution_rows
from litewrite.db import functions as function_rows
from litewrite.db import sessions as session_rows
from litewrite.db import users as user_rows
from litewrite.db.engine import Database, Transaction
from litewrite.db.executions import HTTP, Inputs, Started
from litewrite.db.pages import Window
from litewrite.entities import EPOCH, Execution, ExecutionStatus, Page, Permissions, User
from litewrite.errors import (
    ArgumentInvalid,
    DeadlineExceeded,
    DeploymentNotFound,
    ExecutionNotFound,
    FunctionNotFound,
    FunctionsDisabled,
    LitewriteError,
    Overloaded,
    Unauthorized,
)
from litewrite.events import Event
from litewrite.executor.process import Runner
from litewrite.permissions import Actor, ActorKind, allows, can_read
from litewrite.security import ServerSecret
from litewrite.services.runs import FOLDER, CannotRun, Order, Outcome, Runs
from litewrite.services.turns import Turns

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Executions of one function that may wait."""
SLICE = 100
RETRY_SECONDS = 1.0
ATTEMPTS = 30
"""Times that a run is prepared at most while the database is overloaded."""
LONGEST_RETRY_SECONDS = 10.0
CRASHED = "The server ended while the function was running."
STOPPED = "The server was stopped while the function was running."
BROKEN = "The server could not run the function because of an error of its own."
NONE = Inputs()


class Executions:
    """The executions of all projects. While the context is open, those that wait are run, a few at a time.

    Functions take turns. Leaving the context ends the programs that run and records their executions as failed; what
    waits stays in the queue.
    """

    def __init__(self, db: Database, blobs: BlobStore, runner: Runner, secret: ServerSecret, config: Config) -> None:
        self._db = db
        self._blobs = blobs
        self._secret = secret
        self._enabled = config.functions_enabled
        self._slots = config.function_slots
        self._runs = Runs(
            runner,
            config.data_dir / FOLDER,
            python=config.python,
            timeout=config.function_timeout,
            memory=config.function_memory,
            processes=config.function_processes,
        )
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._dispatcher: asyncio.Task[None] | None = None
        self._turns = Turns()

    async def __aenter__(self) -> Self:
        await self._fail_processing(CRASHED)
        if self._enabled:
            self._wake.set()
            self._dispatcher = asyncio.create_task(self._dispatch(), name="litewrite-executions")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._dispatcher is not None:
                self._dispatcher.cancel()
                await asyncio.wait((self._dispatcher,))
            for task in self._running:
                task.cancel()
            if self._running:
                await asyncio.wait(self._running)
            await self._fail_processing(STOPPED)
        except LitewriteError as failure:
            log.warning("executions that were broken off are recorded at the next start: %s", failure)
        finally:
            self._runs.close()

    async def create(self, actor: Actor, function_id: str, *, data: str = "") -> Execution:
        """Queue a run of a function and return at once.

        Raises `FunctionNotFound`, `DeploymentNotFound` when none is active, `Unauthorized` when the caller may not run
        it, `FunctionsDisabled`, `Overloaded` when too many runs of it wait, and `ArgumentInvalid` for a NUL character.
        """
        if "\0" in data:
            raise ArgumentInvalid("data", "it must not contain NUL characters")
        if not self._enabled:
            raise FunctionsDisabled
        project_id = actor.project_id
        inputs = Inputs(data=data, session_id="" if actor.user is None or actor.via_jwt else actor.session_id)

        def unit(tx: Transaction) -> Execution:
            target = tx.run(function_rows.target(project_id, function_id))
            if target is None:
                raise FunctionNotFound
            if not target.deployment_id:
                raise DeploymentNotFound
            if not allows(target.execute, actor):
                raise Unauthorized
            if tx.run(execution_rows.count_waiting(function_id, MOST_WAITING)) >= MOST_WAITING:
                raise Overloaded(f"{MOST_WAITING} executions of this function wait already: try again later")
            execution = _new(tx, project_id, function_id, HTTP, ExecutionStatus.WAITING, actor.own_role)
            tx.stores.executions.insert(tx, execution, actor.user_id, inputs)
            tx.emit(Event("execution", "create", execution, actor))
            tx.after_commit(self.wake)
            return execution

        return await self._db.write(unit)

    def queue(
        self, tx: Transaction, project_id: str, function_id: str, trigger: str, user_id: str = "", inputs: Inputs = NONE
    ) -> bool:
        """In a unit: queue a run that nobody has asked for, of a function that has an active deployment.

        Nobody but applications and administrators can read it. False when too many runs of the function wait.
        """
        if tx.run(execution_rows.count_waiting(function_id, MOST_WAITING)) >= MOST_WAITING:
            return False
        execution = _new(tx, project_id, function_id, trigger, ExecutionStatus.PROCESSING)
        tx.stores.executions.insert(tx, execution, user_id, inputs)
        tx.after_commit(self.wake)
        return True

    def wake(self) -> None:
        """Have the queue looked at."""
        self._wake.set()

    async def list(
        self,
        actor: Actor,
        function_id: str,
        *,
        search: str = "",
        limit: int = 25,
        offset: int = 0,
        descending: bool = False,
    ) -> Page[Execution]:
        """A page of the executions that the caller may read, in the order of creation. Raises `FunctionNotFound`."""
        await self._require(actor.project_id, function_id)
        window = Window(limit, offset, descending, search)
        roles = None if actor.is_server else actor.roles
        return await self._db.read(execution_rows.of_function(actor.project_id, function_id, window, roles))

    async def get(self, actor: Actor, function_id: str, execution_id: str) -> Execution:
        """Raises `FunctionNotFound`, and `ExecutionNotFound` also for one that the caller may not read."""
        await self._require(actor.project_id, function_id)
        execution = await self._db.read(execution_rows.get(actor.project_id, function_id, execution_id))
        if execution is None or not can_read(execution.permissions, actor):
            raise ExecutionNotFound
        return execution

    async def _require(self, project_id: str, function_id: str) -> None:
        if not await self._db.read(function_rows.exists(project_id, function_id)):
            raise FunctionNotFound

    # The queue

    async def _dispatch(self) -> None:
        await self._runs.sweep()
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._fill()
            except LitewriteError as error:
                log.warning("the queue of executions pauses: %s", error)
            except Exception:
                log.exception("the queue of executions pauses")
            else:
                continue
            await asyncio.sleep(RETRY_SECONDS)
            self._wake.set()

    async def _fill(self) -> None:
        """Start executions until every slot is taken or none waits."""
        while len(self._running) < self._slots:
            waiting = await self._db.read(execution_rows.waiting())
            execution_id = self._turns.take(waiting)
            if execution_id is None:
                return
            begun = await self._start(execution_id)
            if begun is None:
                continue
            task = asyncio.create_task(self._carry_out(*begun), name=f"litewrite-execution-{execution_id}")
            self._running.add(task)
            task.add_done_callback(self._ended)

    async def _start(self, execution_id: str) -> tuple[Started, Inputs] | None:
        return await self._db.write(lambda tx: tx.stores.executions.start(tx, execution_id))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _carry_out(self, started: Started, inputs: Inputs) -> None:
        try:
            outcome = await self._runs.carry_out(await self._patient_order(started, inputs))
        except CannotRun as error:
            outcome = Outcome.failure(str(error))
        except LitewriteError as error:
            outcome = Outcome.failure(f"{error}.")
        except Exception:
            log.exception("execution %s failed", started.execution.id)
            outcome = Outcome.failure(BROKEN)
        await self._record(started, outcome)

    async def _patient_order(self, started: Started, inputs: Inputs) -> Order:
        """`_order`, tried again for a while when the database has too much to do."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._order(started, inputs)
            except (Overloaded, DeadlineExceeded) as error:
                log.warning("execution %s cannot start yet: %s", started.execution.id, error)
            await asyncio.sleep(RETRY_SECONDS)
        return await self._order(started, inputs)

    async def _order(self, started: Started, inputs: Inputs) -> Order:
        """Everything that the run needs, as it is now. Raises `CannotRun`."""
        execution = started.execution
        project_id, function_id = execution.project_id, execution.function_id
        function = await self._db.read(function_rows.get(project_id, function_id, self._secret))
        if function is None:
            raise CannotRun("The function was deleted.")
        deployment = await self._db.read(deployment_rows.get(project_id, function_id, function.deployment_id))
        if deployment is None:
            raise CannotRun("The function has no active tag.")
        try:
            archive = await self._blobs.path(deployment.blob_key)
        except BlobMissing:
            raise CannotRun("The archive of the active tag is missing.") from None
        return Order(
            execution=execution,
            function=function,
            deployment=deployment,
            archive=archive,
            user_id=started.user_id,
            jwt=await self._jwt(project_id, started.user_id, inputs.session_id),
            data=inputs.data,
            event=inputs.event,
            event_data=self._secret.decrypt(inputs.event_data) if inputs.event_data else "",
        )

    async def _jwt(self, project_id: str, user_id: str, session_id: str) -> str:
        """A token for the session that started the execution; empty when there is none, or no more."""
        if not session_id:
            return ""
        session = await self._db.read(session_rows.get(project_id, user_id, session_id))
        user = await self._db.read(user_rows.get(project_id, user_id)) if session else None
        if session is None or user is None or session.expires_at < datetime.now(UTC):
            return ""
        return await asyncio.to_thread(self._secret.make_jwt, user_id, session_id)

    async def _record(self, started: Started, outcome: Outcome) -> None:
        """Store how a run ended, however long the database refuses that; the slot stays taken meanwhile."""
        pause = RETRY_SECONDS
        while True:
            try:
                await self._db.write(lambda tx: _finish(tx, started, outcome))
                return
            except LitewriteError as error:
                log.warning("the end of execution %s cannot be recorded yet: %s", started.execution.id, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)

    async def _fail_processing(self, reason: str) -> None:
        """Record as failed what is processing and no longer runs."""

        def unit(tx: Transaction) -> None:
            for started in tx.run(execution_rows.processing(SLICE)):
                _finish(tx, started, Outcome.failure(reason))

        while await self._db.read(execution_rows.processing(1)):
            await self._db.write(unit)


def _new(
    tx: Transaction,
    project_id: str,
    function_id: str,
    trigger: str,
    status: ExecutionStatus,
    read: tuple[str, ...] = (),
) -> Execution:
    execution_id = tx.new_id()
    return Execution(
        id=execution_id,
        project_id=project_id,
        function_id=function_id,
        permissions=Permissions(read=read),
        trigger=trigger,
        status=status,
        created_at=execution_rows.created_at(execution_id),
    )


def _finish(tx: Transaction, started: Started, outcome: Outcome) -> None:
    execution = replace(
        started.execution,
        status=ExecutionStatus.COMPLETED if outcome.exit_code == 0 else ExecutionStatus.FAILED,
        exit_code=outcome.exit_code,
        stdout=outcome.stdout,
        stderr=outcome.stderr,
        duration=outcome.duration,
        deployment_id=outcome.deployment_id,
    )
    # It is gone when the function or the project was deleted meanwhile.
    if tx.stores.executions.finish(tx, execution):
        tx.stores.usage.add(
            tx, execution.function_id, failed=execution.status is ExecutionStatus.FAILED, seconds=execution.duration
        )
        tx.emit(Event("execution", "update", execution, _causer(execution.project_id, started.user_id)))


def _causer(project_id: str, user_id: str) -> Actor:
    """Whom the end of an execution is told of: the one who started it, of whom only the id is known by then."""
    if not user_id:
        return Actor(kind=ActorKind.KEY, project_id=project_id)
    if user_id.startswith("admin-"):
        return Actor(kind=ActorKind.ADMIN, project_id=project_id, admin_id=user_id.removeprefix("admin-"))
    user = User(id=user_id, project_id=project_id, name="", email="", registered_at=EPOCH)
    return Actor(kind=ActorKind.USER, project_id=project_id, user=user)
