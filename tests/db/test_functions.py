"""Functions, deployments and executions as rows; the queue."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litewrite.db import deployments, executions, functions
from litewrite.db.engine import Transaction
from litewrite.db.executions import Inputs
from litewrite.db.pages import Window
from litewrite.db.query import Query, scalar
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import Deployment, Execution, ExecutionStatus, Function, Page, Permissions
from litewrite.permissions import user_roles
from litewrite.security import ServerSecret
from litewrite.services.turns import Turns

T = TypeVar("T")

PROJECT = "shop"
SECRET = ServerSecret(b"a secret of enough length for all")
MOMENT = datetime(2022, 1, 5, 22, 23, 53, 123_456, tzinfo=UTC)
ALL = Window(limit=100)


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    async with SqliteDatabase(tmp_path / "data.db", durability="normal") as database:
        yield database


def a_function(id: str = "61d5c1a2b3c4d", **other: Any) -> Function:
    values = {"name": "resize", "variables": {"KEY": "hidden words"}, "events": ("storage.files.create",), **other}
    return Function(
        id=id,
        project_id=values.pop("project_id", PROJECT),
        execute=("role:member", "user:x"),
        runtime="python-3.9",
        deployment_id="",
        schedule="0 4 * * *",
        timeout=15,
        created_at=MOMENT,
        updated_at=MOMENT,
        schedule_next=MOMENT,
        **values,
    )


def a_deployment(id: str, function_id: str = "61d5c1a2b3c4d", command: str = "python main.py") -> Deployment:
    return Deployment(id, PROJECT, function_id, command, 7, f"code/{PROJECT}/b{id}", MOMENT)


def an_execution(id: str, function_id: str = "61d5c1a2b3c4d", *read: str) -> Execution:
    return Execution(
        id=id,
        project_id=PROJECT,
        function_id=function_id,
        permissions=Permissions(read=read),
        trigger="http",
        status=ExecutionStatus.WAITING,
        created_at=executions.created_at(id),
    )


async def queue(db: SqliteDatabase, *made: Execution, inputs: Inputs = Inputs(), user_id: str = "") -> None:
    def unit(tx: Transaction) -> None:
        for execution in made:
            tx.stores.executions.insert(tx, execution, user_id, inputs)

    await db.write(unit)


async def end(db: SqliteDatabase, execution_id: str, **outcome: Any) -> Execution:
    def unit(tx: Transaction) -> Execution:
        begun = tx.stores.executions.start(tx, execution_id)
        assert begun is not None
        ended = replace(begun[0].execution, status=ExecutionStatus.COMPLETED, **outcome)
        assert tx.stores.executions.finish(tx, ended)
        return ended

    return await db.write(unit)


async def count(db: SqliteDatabase, table: str) -> int:
    return await db.read(Query(f"SELECT count(*) FROM {table}", (), scalar))


def ids(page: Page[Any]) -> list[str]:
    return [item.id for item in page.items]


# Functions


async def test_a_function_comes_back_as_it_was(db: SqliteDatabase) -> None:
    function = a_function()
    await db.write(lambda tx: tx.stores.functions.insert(tx, function, SECRET))
    assert await db.read(functions.get(PROJECT, function.id, SECRET)) == function
    assert await db.read(functions.target(PROJECT, function.id)) == functions.Target(function.execute, "")
    assert await db.read(functions.exists(PROJECT, function.id)) is True
    assert await db.read(functions.get("other", function.id, SECRET)) is None
    assert await db.read(functions.exists("other", function.id)) is False
    assert await db.read(functions.target(PROJECT, "x")) is None


async def test_variables_are_encrypted(db: SqliteDatabase, tmp_path: Path) -> None:
    function = a_function()
    await db.write(lambda tx: tx.stores.functions.insert(tx, function, SECRET))
    stored = await db.read(Query("SELECT variables FROM functions", (), scalar))
    assert b"hidden" not in stored
    with pytest.raises(ValueError, match="another server secret"):
        await db.read(functions.get(PROJECT, function.id, ServerSecret(b"another secret")))
    assert not any(b"hidden words" in (tmp_path / name).read_bytes() for name in os.listdir(tmp_path))


@given(
    variables=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.text(st.characters(exclude_categories=["Cs"])) | st.none() | st.booleans() | st.integers(0, 2**40),
        max_size=3,
    )
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_variables_come_back(db: SqliteDatabase, variables: dict[str, Any]) -> None:
    function_id = await db.write(lambda tx: tx.new_id())
    function = a_function(function_id, variables=variables)
    await db.write(lambda tx: tx.stores.functions.insert(tx, function, SECRET))
    found = await db.read(functions.get(PROJECT, function.id, SECRET))
    assert found is not None
    assert found.variables == variables


async def test_functions_are_found_by_their_texts(db: SqliteDatabase) -> None:
    one, two = a_function("61d5c1a2b3c4d"), a_function("61d5c1a2b3c4e", name="mailer", events=())
    other = a_function("61d5c1a2b3c4f", project_id="other")

    def unit(tx: Transaction) -> None:
        for function in (two, one, other):
            tx.stores.functions.insert(tx, function, SECRET)

    await db.write(unit)

    async def found(search: str = "", **window: Any) -> Page[Function]:
        return await db.read(functions.of_project(PROJECT, Window(search=search, **window), SECRET))

    assert await found() == Page(2, (one, two))
    assert ids(await found(descending=True)) == [two.id, one.id]
    assert await found(limit=0) == Page(2, ())
    assert await found(offset=5) == Page(2, ())
    assert ids(await found(offset=1)) == [two.id]
    assert ids(await found("mailer")) == [two.id]
    assert ids(await found("python")) == [one.id, two.id]
    assert ids(await found("files")) == [one.id]
    assert await found("hidden") == Page(0, ())
    renamed = replace(two, name="postman")
    await db.write(lambda tx: tx.stores.functions.update(tx, two, renamed, SECRET))
    assert ids(await found("mailer")) == []
    assert ids(await found("postman")) == [two.id]
    await db.write(lambda tx: tx.stores.functions.delete(tx, renamed))
    assert ids(await found("postman")) == []
    assert ids(await found()) == [one.id]


async def test_functions_of_a_project_go_in_slices(db: SqliteDatabase) -> None:
    made = [a_function(f"61d5c1a2b3c4{digit}") for digit in "0123"]
    kept = a_function("61d5c1a2b3c4f", project_id="other")

    def unit(tx: Transaction) -> None:
        for function in (*made, kept):
            tx.stores.functions.insert(tx, function, SECRET)

    await db.write(unit)
    first = await db.write(lambda tx: tx.stores.functions.delete_slice(tx, PROJECT, 3))
    second = await db.write(lambda tx: tx.stores.functions.delete_slice(tx, PROJECT, 3))
    assert (len(first), len(second)) == (3, 1)
    assert set(first + second) == {function.id for function in made}
    assert await db.write(lambda tx: tx.stores.functions.delete_slice(tx, PROJECT, 3)) == ()
    assert await db.read(functions.of_project(PROJECT, Window(search="resize"), SECRET)) == Page(0, ())
    assert await db.read(functions.of_project("other", Window(search="resize"), SECRET)) == Page(1, (kept,))


# Deployments


async def test_deployments(db: SqliteDatabase) -> None:
    one, two = a_deployment("61d5c1a2b3c50"), a_deployment("61d5c1a2b3c51", command="node index.js")
    other = a_deployment("61d5c1a2b3c52", function_id="61d5c1a2b3c99")

    def unit(tx: Transaction) -> None:
        for deployment in (two, one, other):
            tx.stores.deployments.insert(tx, deployment)

    await db.write(unit)
    function_id = one.function_id

    async def found(search: str = "", **window: Any) -> Page[Deployment]:
        return await db.read(deployments.of_function(PROJECT, function_id, Window(search=search, **window)))

    assert await found() == Page(2, (one, two))
    assert await found(limit=1, descending=True) == Page(2, (two,))
    assert await found("index") == Page(1, (two,))
    assert await db.read(deployments.get(PROJECT, function_id, one.id)) == one
    assert await db.read(deployments.get(PROJECT, function_id, other.id)) is None
    assert await db.read(deployments.with_blobs([one.blob_key, "code/shop/x"])) == {one.blob_key}
    await db.write(lambda tx: tx.stores.deployments.delete(tx, two))
    assert await found("index") == Page(0, ())
    slices = [
        await db.write(lambda tx: tx.stores.deployments.delete_slice(tx, PROJECT, function_id, 10)) for _ in range(2)
    ]
    assert slices == [(1, (one.blob_key,)), (0, ())]
    assert await count(db, "deployments") == 1
    assert await found("python") == Page(0, ())


# Executions


async def test_an_execution_from_the_queue_to_its_end(db: SqliteDatabase) -> None:
    waiting = an_execution("61d5c1a2b3c60", "61d5c1a2b3c4d", "user:ada")
    inputs = Inputs("data", "session", "account.create", b"sealed")
    await queue(db, waiting, inputs=inputs, user_id="ada")
    get = executions.get(PROJECT, waiting.function_id, waiting.id)
    assert await db.read(get) == waiting
    assert await db.read(executions.get(PROJECT, "61d5c1a2b3c99", waiting.id)) is None
    assert await db.read(executions.get("other", waiting.function_id, waiting.id)) is None

    begun = await db.write(lambda tx: tx.stores.executions.start(tx, waiting.id))
    processing = replace(waiting, status=ExecutionStatus.PROCESSING)
    assert begun == (executions.Started(processing, "ada"), inputs)
    assert await db.write(lambda tx: tx.stores.executions.start(tx, waiting.id)) is None
    assert await count(db, "execution_inputs") == 0
    assert await db.read(executions.processing(10)) == (executions.Started(processing, "ada"),)

    ended = replace(
        processing,
        status=ExecutionStatus.FAILED,
        deployment_id="61d5c1a2b3c50",
        exit_code=3,
        stdout="out \0 ü",
        stderr="err",
        duration=1.25,
    )
    assert await db.write(lambda tx: tx.stores.executions.finish(tx, ended)) is True
    assert await db.read(get) == ended
    assert await db.write(lambda tx: tx.stores.executions.finish(tx, ended)) is False
    assert await db.read(executions.processing(10)) == ()


def test_the_moment_of_creation_is_in_the_id() -> None:
    assert executions.created_at("61d5c1a2b3c4d") == datetime.fromtimestamp(0x61D5C1A2, UTC).replace(
        microsecond=0xB3C4D
    )


async def test_lists_show_what_a_caller_may_read(db: SqliteDatabase) -> None:
    function_id = "61d5c1a2b3c4d"
    mine = [an_execution(f"61d5c1a2b3c6{digit}", function_id, "user:ada") for digit in "02"]
    others = [an_execution("61d5c1a2b3c61", function_id, "user:bob"), an_execution("61d5c1a2b3c63", function_id)]
    await queue(db, *mine, *others, an_execution("61d5c1a2b3c64", "61d5c1a2b3c99", "user:ada"))

    async def seen(roles: frozenset[str] | None, window: Window = ALL) -> Page[Execution]:
        return await db.read(executions.of_function(PROJECT, function_id, window, roles))

    assert await seen(user_roles("ada", ())) == Page(2, tuple(mine))
    assert await seen(user_roles("eve", ())) == Page(0, ())
    assert ids(await seen(None)) == [f"61d5c1a2b3c6{digit}" for digit in "0123"]
    assert await seen(user_roles("ada", ()), Window(limit=1, descending=True)) == Page(2, (mine[1],))


async def test_search_finds_what_has_ended(db: SqliteDatabase) -> None:
    function_id = "61d5c1a2b3c4d"
    one, two = an_execution("61d5c1a2b3c60", function_id, "user:ada"), an_execution("61d5c1a2b3c61", function_id)
    await queue(db, one, two)

    async def found(search: str, roles: frozenset[str] | None = None) -> list[str]:
        return ids(await db.read(executions.of_function(PROJECT, function_id, Window(search=search), roles)))

    assert await found("hello") == []
    await end(db, one.id, stdout="hello world")
    await end(db, two.id, stderr="hello there")
    assert await found("hello") == [one.id, two.id]
    assert await found("world") == [one.id]
    assert await found("hello", user_roles("ada", ())) == [one.id]
    assert await found("completed") == [one.id, two.id]
    assert await db.write(lambda tx: tx.stores.executions.delete_slice(tx, PROJECT, function_id, 10)) == 2
    assert await found("hello") == []
    assert await db.read(Query("SELECT count(*) FROM search WHERE search MATCH 'hello OR completed'", (), scalar)) == 0


async def test_functions_take_turns(db: SqliteDatabase) -> None:
    first, second, third = "61d5c1a2b3c01", "61d5c1a2b3c02", "61d5c1a2b3c03"
    made = [an_execution(f"61d5c1a2b3c6{number}", first) for number in range(3)]
    made += [an_execution("61d5c1a2b3c70", second), an_execution("61d5c1a2b3c71", third)]
    await queue(db, *made)
    assert await db.read(executions.count_waiting(first, 10)) == 3
    assert await db.read(executions.count_waiting(first, 2)) == 2
    turns, order = Turns(), []
    assert await db.read(executions.waiting()) == (
        (first, "61d5c1a2b3c60"),
        (second, "61d5c1a2b3c70"),
        (third, "61d5c1a2b3c71"),
    )
    while (execution_id := turns.take(await db.read(executions.waiting()))) is not None:
        assert await db.write(lambda tx, id=execution_id: tx.stores.executions.start(tx, id)) is not None
        order.append(execution_id)
    assert order == ["61d5c1a2b3c60", "61d5c1a2b3c70", "61d5c1a2b3c71", "61d5c1a2b3c61", "61d5c1a2b3c62"]


async def test_old_executions_go_when_they_have_ended(db: SqliteDatabase) -> None:
    made = [an_execution(f"61d5c1a2b3c6{number}") for number in range(5)]
    await queue(db, *made)
    for execution in (made[0], made[1], made[4]):
        await end(db, execution.id, stdout="words of the output")
    await db.write(lambda tx: tx.stores.executions.start(tx, made[2].id))
    before = made[4].id
    removed = [await db.write(lambda tx: tx.stores.executions.delete_ended_before(tx, before, 1)) for _ in range(3)]
    assert removed == [1, 1, 0]
    page = await db.read(executions.of_function(PROJECT, made[0].function_id, ALL, None))
    assert ids(page) == [made[2].id, made[3].id, made[4].id]
    page = await db.read(executions.of_function(PROJECT, made[0].function_id, Window(search="words"), None))
    assert ids(page) == [made[4].id]


async def test_executions_of_a_function_go_in_slices(db: SqliteDatabase) -> None:
    await queue(db, *(an_execution(f"61d5c1a2b3c6{number}") for number in range(5)))
    await queue(db, an_execution("61d5c1a2b3c70", "61d5c1a2b3c99"))

    def remove(limit: int) -> Callable[[Transaction], int]:
        return lambda tx: tx.stores.executions.delete_slice(tx, PROJECT, "61d5c1a2b3c4d", limit)

    assert [await db.write(remove(3)) for _ in range(3)] == [3, 2, 0]
    assert await count(db, "executions") == await count(db, "execution_inputs") == 1


@pytest.mark.parametrize(
    "query",
    [
        executions.waiting(),
        executions.count_waiting("61d5c1a2b3c4d", 10),
        executions.processing(1),
        executions.of_function(PROJECT, "61d5c1a2b3c4d", ALL, None),
        executions.of_function(PROJECT, "61d5c1a2b3c4d", ALL, frozenset(("role:member",))),
    ],
)
async def test_no_query_looks_at_every_execution(db: SqliteDatabase, query: Query[Any]) -> None:
    plan = await db.read(
        Query(f"EXPLAIN QUERY PLAN {query.sql}", query.params, lambda rows: [str(row[3]) for row in rows])
    )
    assert any("USING" in step and "executions_" in step for step in plan)
    assert not [step for step in plan if step.startswith("SCAN executions") and "INDEX" not in step], plan
