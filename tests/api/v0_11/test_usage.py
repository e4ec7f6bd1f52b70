"""Statistics of functions: which points there are, and what is counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from litewrite.db.engine import Transaction
from litewrite.db.query import Query, scalar
from tests.api.v0_11.callers import administrator, assert_refused, with_jwt
from tests.api.v0_11.test_functions import create, deploy, run
from tests.catcher import until
from tests.conftest import Client, World

HOUR, DAY = 3_600, 86_400
NOW = datetime(2026, 3, 2, 12, 10, tzinfo=UTC)


@pytest.fixture
def at(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the clock that statistics go by."""

    def set_to(moment: datetime) -> None:
        monkeypatch.setattr(world.backend.services.usage, "_clock", moment.timestamp)

    set_to(NOW)
    return set_to


async def count(world: World, function_id: str, moment: datetime, *, failed: bool = False, seconds: float = 1) -> None:
    def unit(tx: Transaction) -> None:
        tx.now = moment
        tx.stores.usage.add(tx, function_id, failed=failed, seconds=seconds)

    await world.backend.db.write(unit)


async def test_runs_are_counted(world: World, key: Client) -> None:
    good = await deploy(key, "print(1)")
    bad = await deploy(key, "raise SystemExit(3)")
    for function_id in (good, good, bad):
        await run(key, function_id)
    answer = await key.get(f"/functions/{good}/usage")
    assert answer.status == 200
    assert answer["range"] == "30d"
    assert set(answer.body) == {"range", "executions", "failures", "compute"}
    assert answer["executions"]["total"] == 2
    assert answer["executions"]["data"][-1]["value"] == 2
    assert answer["failures"]["total"] == 0
    assert 0 < answer["compute"]["total"] < 20
    answer = await key.get(f"/functions/{bad}/usage", params={"range": "24h"})
    assert (answer["executions"]["total"], answer["failures"]["total"]) == (1, 1)


@pytest.mark.parametrize(
    ("period", "points", "step", "first", "last"),
    [
        ("24h", 51, HOUR // 2, NOW.replace(day=1, minute=0), NOW.replace(hour=13, minute=0)),
        ("7d", 8, DAY, datetime(2026, 2, 23, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        ("30d", 31, DAY, datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        ("90d", 91, DAY, datetime(2025, 12, 2, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
    ],
)
async def test_points(
    world: World, key: Client, at: Any, period: str, points: int, step: int, first: datetime, last: datetime
) -> None:
    function_id = (await create(key))["$id"]
    await count(world, function_id, first - timedelta(seconds=1))
    await count(world, function_id, first, failed=True, seconds=0.25)
    await count(world, function_id, NOW, seconds=1.5)
    await count(world, function_id, NOW, failed=True, seconds=1.007)
    answer = await key.get(f"/functions/{function_id}/usage", params={"range": period})
    assert answer["range"] == period
    for figure in ("executions", "failures", "compute"):
        dates = [point["date"] for point in answer[figure]["data"]]
        assert dates == list(range(int(first.timestamp()), int(last.timestamp()) + 1, step))
        assert len(dates) == points
    shown = {
        figure: [point["value"] for point in answer[figure]["data"] if point["value"]]
        for figure in answer.body.keys() - {"range"}
    }
    assert shown == {"executions": [1, 2], "failures": [1, 1], "compute": [0.25, 2.51]}
    assert [answer[figure]["total"] for figure in ("executions", "failures", "compute")] == [3, 2, 2.76]


async def test_a_period_in_any_case(key: Client) -> None:
    function_id = (await create(key))["$id"]
    assert (await key.get(f"/functions/{function_id}/usage", params={"range": "24H"}))["range"] == "24h"
    answer = await key.get(f"/functions/{function_id}/usage", params={"range": "1h"})
    assert_refused(answer, 400, "general_argument_invalid")


async def test_who_may_look(world: World, key: Client, user: Client) -> None:
    function_id = (await create(key))["$id"]
    path = f"/functions/{function_id}/usage"
    assert (await (await world.key("functions.read")).get(path)).status == 200
    assert (await (await administrator(world)).get(path)).status == 200
    for client in (world.guest, user, await with_jwt(world, user), await world.key("functions.write")):
        assert_refused(await client.get(path), 401, "general_unauthorized_scope")
    assert_refused(await key.get("/functions/unknown/usage"), 404, "function_not_found")
    assert_refused(await key.get(f"/functions/{'x' * 33}/usage"), 400, "general_argument_invalid")


async def test_counts_go_with_their_time_and_their_function(world: World, key: Client) -> None:
    function_id = (await create(key))["$id"]
    now = datetime.now(UTC)
    for days in (0, 80, 100, 200):
        await count(world, function_id, now - timedelta(days=days))
    rows = Query("SELECT count(*) FROM function_usage", (), scalar)
    await world.backend.cleanup.expire()
    assert await world.backend.db.read(rows) == 2

    async def is_empty() -> bool:
        return bool(await world.backend.db.read(rows) == 0)

    await key.delete(f"/functions/{function_id}")
    await until(is_empty)


async def test_a_clock_that_was_set_back_breaks_nothing(world: World, key: Client, at: Any) -> None:
    function_id = (await create(key))["$id"]
    await count(world, function_id, NOW + timedelta(days=30))
    answer = await key.get(f"/functions/{function_id}/usage", params={"range": "24h"})
    assert answer["executions"]["total"] == 0
