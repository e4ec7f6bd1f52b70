"""Files as rows: single ones, pages by role, search, removal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litewrite.db import files, removals
from litewrite.db.engine import Transaction
from litewrite.db.pages import Window
from litewrite.db.query import Query, scalar
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import File, Page, Permissions

PROJECT = "shop"
BUCKET = "default"
MOMENT = datetime(2022, 1, 5, 22, 23, 53, 123_456, tzinfo=UTC)


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    async with SqliteDatabase(tmp_path / "data.db", durability="normal") as database:
        yield database


def a_file(
    id: str, *, read: Iterable[str] = (), write: Iterable[str] = (), project: str = PROJECT, **other: str
) -> File:
    values = {"name": "photo.png", "bucket_id": BUCKET, **other}
    return File(
        id=id,
        project_id=project,
        permissions=Permissions(tuple(read), tuple(write)),
        mime_type="image/png",
        signature="9e107d9d372bb6826bd81d3542a419d6",
        size=7,
        blob_key=f"files/{project}/b{id}",
        created_at=MOMENT,
        **values,
    )


async def insert(db: SqliteDatabase, *made: File) -> None:
    def unit(tx: Transaction) -> None:
        for file in made:
            tx.stores.files.insert(tx, file)

    await db.write(unit)


async def listed(
    db: SqliteDatabase,
    *roles: str,
    search: str = "",
    limit: int = 25,
    offset: int = 0,
    descending: bool = False,
    project: str = PROJECT,
) -> Page[File]:
    """A page as somebody with these roles sees it; without roles as a key does."""
    window = Window(limit, offset, descending, search)
    return await db.read(files.of_bucket(project, BUCKET, window, roles=frozenset(roles) or None))


def ids(page: Page[File]) -> list[str]:
    return [file.id for file in page.items]


async def test_a_file_comes_back_as_it_was_stored(db: SqliteDatabase) -> None:
    file = a_file("61d5c1a2b3c4d", read=("*", "role:member", "*"), write=("team:x/owner",))
    await insert(db, file)
    assert await db.read(files.get(PROJECT, BUCKET, file.id)) == file


@pytest.mark.parametrize(
    ("project", "bucket", "id"),
    [
        ("other", BUCKET, "61d5c1a2b3c4d"),
        (PROJECT, "other", "61d5c1a2b3c4d"),
        (PROJECT, BUCKET, "61d5c1a2b3c4e"),
        (PROJECT, BUCKET, "61D5C1A2B3C4D"),
        (PROJECT, BUCKET, ""),
        (PROJECT, BUCKET, "unknown"),
    ],
)
async def test_a_file_is_found_by_project_bucket_and_id_only(
    db: SqliteDatabase, project: str, bucket: str, id: str
) -> None:
    await insert(db, a_file("61d5c1a2b3c4d"))
    assert await db.read(files.get(project, bucket, id)) is None


async def test_permissions_are_replaced_and_nothing_else(db: SqliteDatabase) -> None:
    file = a_file("61d5c1a2b3c4d", read=("*",), write=("user:a",))
    await insert(db, file)
    changed = replace(file, permissions=Permissions(("user:b",), ()))
    await db.write(lambda tx: tx.stores.files.update_permissions(tx, changed))
    assert await db.read(files.get(PROJECT, BUCKET, file.id)) == changed
    assert ids(await listed(db, "*")) == []
    assert ids(await listed(db, "user:b")) == [file.id]


async def test_a_deleted_file_leaves_its_blob_to_be_removed(db: SqliteDatabase) -> None:
    file = a_file("61d5c1a2b3c4d")
    await insert(db, file)
    await db.write(lambda tx: tx.stores.files.delete(tx, file))
    assert await db.read(files.get(PROJECT, BUCKET, file.id)) is None
    assert await db.read(Query("SELECT count(*) FROM files", (), scalar)) == 0
    removal = await db.read(removals.oldest())
    assert removal is not None
    assert (removal.kind, removal.project_id, removal.key) == ("blob", PROJECT, file.blob_key)
    assert (await listed(db, search="photo")).total == 0
    assert await db.read(Query("SELECT count(*) FROM search WHERE search MATCH 'photo'", (), scalar)) == 0


async def test_pages_keep_the_order_of_creation_and_count_everything(db: SqliteDatabase) -> None:
    made = [a_file(f"61d5c1a2b3c{n:02d}") for n in (3, 1, 4, 2, 5)]
    await insert(db, *made, a_file("61d5c1a2b3c99", project="other"), a_file("61d5c1a2b3c98", bucket_id="other"))
    order = sorted(file.id for file in made)
    everything = await listed(db)
    assert everything.total == 5
    assert everything.items == tuple(sorted(made, key=lambda file: file.id))
    assert ids(await listed(db, descending=True)) == order[::-1]
    assert ids(await listed(db, limit=2, offset=1)) == order[1:3]
    assert ids(await listed(db, limit=2, offset=1, descending=True)) == order[::-1][1:3]


@pytest.mark.parametrize(("limit", "offset"), [(0, 0), (25, 3), (25, 2000)])
async def test_a_page_without_files_still_has_the_total(db: SqliteDatabase, limit: int, offset: int) -> None:
    await insert(db, *(a_file(f"61d5c1a2b3c{n:02d}") for n in range(3)))
    assert await listed(db, limit=limit, offset=offset) == Page(3, ())


async def test_nothing_stored_gives_an_empty_page(db: SqliteDatabase) -> None:
    assert await listed(db) == Page(0, ())
    assert await listed(db, "*", search="photo") == Page(0, ())


async def test_names_are_searched_by_word_within_the_project(db: SqliteDatabase) -> None:
    await insert(
        db,
        a_file("61d5c1a2b3c01", name="Summer photo.png"),
        a_file("61d5c1a2b3c02", name="winter-photo.jpeg", read=("*",)),
        a_file("61d5c1a2b3c03", name="notes.txt"),
        a_file("61d5c1a2b3c04", name="photo.png", project="other"),
    )
    assert ids(await listed(db, search="photo")) == ["61d5c1a2b3c01", "61d5c1a2b3c02"]
    assert ids(await listed(db, search="photo", descending=True, limit=1)) == ["61d5c1a2b3c02"]
    assert (await listed(db, search="photo", limit=1)).total == 2
    assert ids(await listed(db, "*", search="photo")) == ["61d5c1a2b3c02"]
    assert ids(await listed(db, search="+photo -summer")) == ["61d5c1a2b3c02"]
    assert ids(await listed(db, search="not*")) == ["61d5c1a2b3c03"]
    assert ids(await listed(db, search="*")) == ["61d5c1a2b3c01", "61d5c1a2b3c02", "61d5c1a2b3c03"]
    assert ids(await listed(db, search="files_shop")) == []


async def test_blobs_are_told_apart_by_whether_a_file_has_them(db: SqliteDatabase) -> None:
    kept = a_file("61d5c1a2b3c01")
    await insert(db, kept)
    assert await db.read(files.with_blobs([kept.blob_key, "files/shop/unknown"])) == {kept.blob_key}


async def test_the_files_of_a_project_are_deleted_in_slices(db: SqliteDatabase) -> None:
    made = [a_file(f"61d5c1a2b3c{n:02d}") for n in range(5)]
    other = a_file("61d5c1a2b3c99", project="other")
    await insert(db, *made, other)
    counts = [await db.write(lambda tx: tx.stores.files.delete_of_project(tx, PROJECT, 2)) for _ in range(4)]
    assert counts == [2, 2, 1, 0]
    assert (await listed(db)).total == 0
    assert ids(await listed(db, project="other")) == [other.id]
    assert await db.read(Query("SELECT count(*) FROM removals WHERE kind = 'blob'", (), scalar)) == 5


ROLES = ("*", "role:member", "user:a", "user:b", "team:x", "team:x/owner")
ROLE_LISTS = st.lists(st.sampled_from(ROLES), max_size=3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lists=st.lists(ROLE_LISTS, max_size=8),
    held=st.sets(st.sampled_from(ROLES), min_size=1),
    limit=st.integers(0, 4),
    offset=st.integers(0, 4),
    descending=st.booleans(),
)
async def test_a_page_holds_exactly_what_the_roles_may_read(
    tmp_path: Path, lists: list[list[str]], held: set[str], limit: int, offset: int, descending: bool
) -> None:
    path = tmp_path / "property.db"
    async with SqliteDatabase(path, durability="normal") as db:
        while await db.write(lambda tx: tx.stores.files.delete_of_project(tx, PROJECT, 100)):
            pass
        made = [a_file(f"61d5c1a2b3c{n:02d}", read=read) for n, read in enumerate(lists)]
        await insert(db, *made)
        visible = [file for file in made if held & set(file.permissions.read)]
        expected = visible[::-1] if descending else visible
        page = await listed(db, *held, limit=limit, offset=offset, descending=descending)
        assert page == Page(len(visible), tuple(expected[offset : offset + limit]))


async def test_a_page_is_walked_in_order_and_counted_without_the_table(db: SqliteDatabase) -> None:
    for roles in (None, frozenset(("*", "user:a"))):
        query = files.of_bucket(PROJECT, BUCKET, Window(), roles=roles)
        plan: list[str] = await db.read(
            Query(f"EXPLAIN QUERY PLAN {query.sql}", query.params, lambda rows: [row[3] for row in rows])
        )
        counted, walked = (step for step in plan if "files" in step)
        assert counted.startswith("SEARCH files USING COVERING INDEX files_"), plan
        assert walked.startswith("SEARCH files USING INDEX files_order"), plan
