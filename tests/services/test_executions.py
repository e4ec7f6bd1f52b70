"""The queue without HTTP: what happens when the database refuses, and what is left behind."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import tarfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from litewrite.blobs.local import LocalBlobStore
from litewrite.config import Config
from litewrite.db import removals
from litewrite.db.engine import Transaction
from litewrite.db.executions import Inputs, processing
from litewrite.db.query import Query, scalar
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import EPOCH, Execution, Session, User
from litewrite.errors import (
    ArgumentInvalid,
    DeploymentNotFound,
    FunctionNotFound,
    FunctionsDisabled,
    LitewriteError,
    Overloaded,
    StorageFull,
    Unauthorized,
)
from litewrite.events import Event
from litewrite.executor.process import Runner
from litewrite.permissions import Actor, ActorKind, user_roles
from litewrite.security import ServerSecret
from litewrite.services import executions as module
from litewrite.services.executions import Executions
from litewrite.services.files import Upload
from litewrite.services.functions import Functions
from litewrite.services.removal_slices import SLICES

PROJECT = "shop"
SECRET = ServerSecret(b"a secret of enough length for all")
KEY = Actor(ActorKind.KEY, PROJECT)
ADMIN = Actor(ActorKind.ADMIN, PROJECT, admin_id="61d5c1a2b3c99")
USER_ID = "61d5c1a2b3c00"
USER = Actor(
    ActorKind.USER,
    PROJECT,
    roles=user_roles(USER_ID, ()),
    user=User(USER_ID, PROJECT, "Ada", "ada@example.com", EPOCH),
    session_id="61d5c1a2b3c01",
)


class Database(SqliteDatabase):
    """One that can be told to refuse the next writes or reads."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, durability="normal")
        self.refusals: list[LitewriteError] = []

    async def write(self, unit: Any, **settings: Any) -> Any:
        if self.refusals:
            raise self.refusals.pop()
        return await super().write(unit, **settings)


@dataclass
class Place:
    db: Database
    blobs: LocalBlobStore
    functions: Functions
    runner: Runner
    config: Config
    events: list[Event]

    def executions(self, **settings: Any) -> Executions:
        return Executions(self.db, self.blobs, self.runner, SECRET, replace(self.config, **settings))

    async def deploy(self, source: str, **settings: Any) -> str:
        """A function that is ready to run; gives its id."""
        made = {"name": "resize", "runtime": "python-3.9", "execute": ["role:member"], "timeout": 20, **settings}
        function = await self.functions.create(KEY, **made)
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            info = tarfile.TarInfo("./main.py")
            info.size = len(source.encode())
            tar.addfile(info, io.BytesIO(source.encode()))
        writer = await self.blobs.writer()
        await writer.write(out.getvalue())
        deployment = await self.functions.create_deployment(
            KEY, function.id, command="python main.py", upload=Upload("code.tar.gz", writer)
        )
        await self.functions.deploy(KEY, function.id, deployment.id)
        return function.id

    async def ended(self, executions: Executions, execution: Execution) -> Execution:
        deadline = time.monotonic() + 20
        while True:
            found = await executions.get(KEY, execution.function_id, execution.id)
            if found.status in ("completed", "failed"):
                return found
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    async def until_processing(self, count: int) -> None:
        deadline = time.monotonic() + 20
        while len(await self.db.read(processing(100))) < count:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)

    async def count(self, table: str) -> int:
        return int(await self.db.read(Query(f"SELECT count(*) FROM {table}", (), scalar)))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Place]:
    os.makedirs(folder)
    async with (
        Database(folder / "data.db") as db,
        LocalBlobStore(folder / "blobs") as blobs,
        Runner() as runner,
    ):
        functions = Functions(db, blobs, SECRET, longest_timeout=60)
        place = Place(db, blobs, functions, runner, Config(data_dir=folder, function_slots=2), [])
        db.on_events(place.events.extend)
        yield place
        await functions.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(tmp_path / "data") as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)


async def test_the_order_of_the_checks(place: Place) -> None:
    executions = place.executions()
    with pytest.raises(FunctionNotFound):
        await executions.create(USER, "x")
    function = await place.functions.create(KEY, name="x", runtime="python-3.9")
    with pytest.raises(DeploymentNotFound):
        await executions.create(USER, function.id)
    function_id = await place.deploy("print(1)", execute=["user:somebody"])
    with pytest.raises(Unauthorized):
        await executions.create(USER, function_id)
    with pytest.raises(ArgumentInvalid):
        await executions.create(KEY, function_id, data="a\0b")
    with pytest.raises(FunctionsDisabled):
        await place.executions(functions="off").create(KEY, function_id)
    assert await place.count("executions") == 0


async def test_the_queue_of_a_function_has_an_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    executions = place.executions()  # not entered, so nothing is taken out
    one, two = await place.deploy("print(1)"), await place.deploy("print(1)")
    for _ in range(3):
        await executions.create(KEY, one)
    with pytest.raises(Overloaded, match="3 executions"):
        await executions.create(KEY, one)
    await executions.create(KEY, two)
    assert await place.count("executions") == 4


@pytest.mark.parametrize(
    ("actor", "user_id", "readers"),
    [
        (USER, USER_ID, (f"user:{USER_ID}",)),
        (ADMIN, "admin-61d5c1a2b3c99", ("user:admin-61d5c1a2b3c99",)),
        (KEY, "", ()),
    ],
)
async def test_who_is_behind_the_events(place: Place, actor: Actor, user_id: str, readers: tuple[str, ...]) -> None:
    function_id = await place.deploy("import os\nprint(os.environ['APPWRITE_FUNCTION_USER_ID'], end='')")
    place.events.clear()
    async with place.executions() as executions:
        done = await place.ended(executions, await executions.create(actor, function_id))
    assert done.permissions.read == readers
    assert done.stdout == user_id
    assert [(event.action, event.actor.user_id, event.project_id) for event in place.events] == [
        ("create", user_id, PROJECT),
        ("update", user_id, PROJECT),
    ]
    assert place.events[1].subject == done


async def test_an_end_is_recorded_in_spite_of_a_full_disk(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    function_id = await place.deploy("import time\ntime.sleep(0.3)\nprint('kept')")
    async with place.executions() as executions:
        execution = await executions.create(KEY, function_id)
        await place.until_processing(1)
        place.db.refusals += [StorageFull(), Overloaded()]
        done = await place.ended(executions, execution)
    assert (done.status, done.stdout) == ("completed", "kept\n")
    assert place.db.refusals == []
    assert "cannot be recorded yet" in caplog.text


async def test_the_queue_outlives_refusals(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    function_id = await place.deploy("print(1)")
    waiting = await place.executions().create(KEY, function_id)
    async with place.executions() as executions:
        place.db.refusals += [StorageFull(), Overloaded()]
        done = await place.ended(executions, waiting)
    assert done.status == "completed"
    assert "the queue of executions pauses" in caplog.text


async def test_a_run_waits_for_an_overloaded_database(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    function_id = await place.deploy("print(1)")
    executions = place.executions()
    order = executions._order
    refusals = [Overloaded(), Overloaded()]

    async def refusing(*arguments: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return await order(*arguments)

    monkeypatch.setattr(executions, "_order", refusing)
    async with executions:
        done = await place.ended(executions, await executions.create(KEY, function_id))
    assert done.status == "completed"
    assert caplog.text.count("cannot start yet") == 2


async def test_an_error_of_ours_fails_the_execution(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    function_id = await place.deploy("print(1)")
    executions = place.executions()

    async def broken(*arguments: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(executions, "_order", broken)
    async with executions:
        with caplog.at_level(logging.ERROR):
            done = await place.ended(executions, await executions.create(KEY, function_id))
    assert (done.status, done.exit_code, done.stderr) == ("failed", 1, module.BROKEN)
    assert "ZeroDivisionError" in caplog.text


async def test_a_missing_archive_is_told(place: Place) -> None:
    function_id = await place.deploy("print(1)")
    key = await place.db.read(Query("SELECT blob_key FROM deployments", (), scalar))
    await place.blobs.remove(key)
    async with place.executions() as executions:
        done = await place.ended(executions, await executions.create(KEY, function_id))
    assert (done.status, done.stderr) == ("failed", "The archive of the active tag is missing.")


@pytest.mark.parametrize(
    ("expires", "has_token"), [(timedelta(hours=1), True), (timedelta(seconds=-1), False), (None, False)]
)
async def test_a_token_needs_a_live_session(place: Place, expires: timedelta | None, has_token: bool) -> None:
    function_id = await place.deploy("import os\nprint(os.environ['APPWRITE_FUNCTION_JWT'], end='')")

    def unit(tx: Transaction) -> None:
        assert USER.user is not None
        tx.stores.users.insert(tx, USER.user)
        if expires is not None:
            expiry = datetime.now(UTC) + expires
            tx.stores.sessions.insert(tx, Session(USER.session_id, PROJECT, USER_ID, "hash", expiry, "email"))

    await place.db.write(unit)
    async with place.executions() as executions:
        done = await place.ended(executions, await executions.create(USER, function_id))
        by_token = await place.ended(executions, await executions.create(replace(USER, via_jwt=True), function_id))
    assert bool(done.stdout) is has_token
    if has_token:
        assert SECRET.read_jwt(done.stdout) == (USER_ID, USER.session_id)
    assert by_token.stdout == ""


async def test_a_queued_event_arrives(place: Place) -> None:
    """What starts without a caller goes through the same queue, with its event."""
    function_id = await place.deploy(
        "import os\nprint(*(os.environ['APPWRITE_FUNCTION_' + name] for name in ('TRIGGER', 'EVENT', 'EVENT_DATA')))"
    )
    executions = place.executions()
    waiting = await executions.create(KEY, function_id)
    await place.db.write(lambda tx: tx.stores.executions.delete_slice(tx, PROJECT, function_id, 10))
    queued = replace(waiting, trigger="event")
    inputs = Inputs(event="account.create", event_data=SECRET.encrypt('{"a": 1}'))
    await place.db.write(lambda tx: tx.stores.executions.insert(tx, queued, USER_ID, inputs))
    async with executions:
        done = await place.ended(executions, queued)
    assert done.stdout == 'event account.create {"a": 1}\n'


async def test_switched_off_nothing_runs_and_nothing_is_lost(place: Place) -> None:
    function_id = await place.deploy("print(1)")
    waiting = await place.executions().create(KEY, function_id)
    async with place.executions(functions="off") as executions:
        await asyncio.sleep(0.2)
        assert (await executions.get(KEY, function_id, waiting.id)).status == "waiting"
    async with place.executions() as executions:
        assert (await place.ended(executions, waiting)).status == "completed"


async def test_leaving_ends_what_runs_within_moments(place: Place) -> None:
    function_id = await place.deploy("import time\ntime.sleep(50)", timeout=60)
    async with place.executions() as executions:
        made = [await executions.create(KEY, function_id) for _ in range(3)]
        await place.until_processing(2)
        await asyncio.sleep(0.2)
        left_at = time.monotonic()
    assert time.monotonic() - left_at < 5
    states = [await executions.get(KEY, function_id, one.id) for one in made]
    assert sorted(state.status for state in states) == ["failed", "failed", "waiting"]
    assert {state.stderr for state in states} == {"", module.STOPPED}


async def test_what_is_behind_a_function_goes_in_slices(place: Place) -> None:
    function_id = await place.deploy("print(1)")
    executions = place.executions()
    for _ in range(3):
        await executions.create(KEY, function_id)
    await place.functions.delete(KEY, function_id)
    removal = await place.db.read(removals.oldest())
    assert removal is not None
    assert (removal.kind, removal.project_id, removal.key) == ("function", PROJECT, function_id)
    removed = 0
    for remove in SLICES["function"]:
        while count := await place.db.write(lambda tx, remove=remove: remove(tx, removal, 2)):
            assert count <= 2
            removed += count
    assert removed == 4
    blob = await place.db.read(removals.oldest(removal.id))
    assert blob is not None
    assert blob.kind == "blob"
    assert await place.blobs.exists(blob.key)
    assert [await place.count(table) for table in ("executions", "execution_inputs", "deployments")] == [0, 0, 0]


async def test_an_archive_whose_row_is_refused_is_removed(place: Place) -> None:
    function = await place.functions.create(KEY, name="x", runtime="python-3.9")
    writer = await place.blobs.writer()
    await writer.write(b"code")

    class Deleting:
        """A writer whose function is deleted while its bytes are stored."""

        size = 4

        async def finish(self, key: str) -> None:
            await writer.finish(key)
            await place.functions.delete(KEY, function.id)

    with pytest.raises(FunctionNotFound):
        await place.functions.create_deployment(
            KEY,
            function.id,
            command="x",
            upload=Upload("x.gz", Deleting()),  # type: ignore[arg-type]
        )
    await place.functions.close()
    assert [key async for key in place.blobs.keys(min_age=0)] == []


async def test_timeouts_above_the_servers_own_are_refused(place: Place) -> None:
    with pytest.raises(ArgumentInvalid, match="from 1 to 60 seconds"):
        await place.functions.create(KEY, name="x", runtime="python-3.9", timeout=61)
