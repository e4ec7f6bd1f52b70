"""Collections and the attributes that they declare. They are managed by servers; their read list says who uses them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from litewrite.db import collections as collection_rows
from litewrite.db.collections import StoredCollection
from litewrite.db.engine import Database, Transaction
from litewrite.db.pages import Window
from litewrite.entities import Attribute, Collection, Page, Permissions
from litewrite.errors import CollectionNotFound
from litewrite.events import Event
from litewrite.permissions import Actor
from litewrite.services.accounts import record

MOST_KEPT = 1_000


class Collections:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._stored: dict[tuple[str, str], StoredCollection] = {}
        self._generation = 0
        db.on_invalidate(self._forget)

    def _forget(self, kind: str, key: str) -> None:
        if kind == "collection":
            self._generation += 1
            for known in [known for known in self._stored if known[1] == key]:
                del self._stored[known]

    async def stored(self, project_id: str, collection_id: str) -> StoredCollection | None:
        """A collection as lists of its documents need it, kept in memory until it changes; None when there is none."""
        known = self._stored.get((project_id, collection_id))
        if known is not None:
            return known
        generation = self._generation
        found = await self._db.read(collection_rows.get_stored(project_id, collection_id))
        if found is not None and generation == self._generation:
            if len(self._stored) >= MOST_KEPT:
                self._stored.clear()
            self._stored[project_id, collection_id] = found
        return found

    async def create(
        self, actor: Actor, *, name: str, read: Sequence[str], write: Sequence[str], attributes: Sequence[Attribute]
    ) -> Collection:
        def unit(tx: Transaction) -> Collection:
            collection = Collection(
                id=tx.new_id(),
                project_id=actor.project_id,
                name=name,
                permissions=Permissions(tuple(read), tuple(write)),
                attributes=_with_ids(tx, attributes, ()),
                created_at=tx.now,
                updated_at=tx.now,
            )
            tx.stores.collections.insert(tx, collection)
            resource = f"database/collection/{collection.id}"
            self._conclude(tx, actor, "create", collection, resource)
            return collection

        return await self._db.write(unit)

    async def get(self, actor: Actor, collection_id: str) -> Collection:
        """Raises `CollectionNotFound`."""
        return _found(await self._db.read(collection_rows.get(actor.project_id, collection_id)))

    async def list(
        self, actor: Actor, *, search: str = "", limit: int = 25, offset: int = 0, descending: bool = False
    ) -> Page[Collection]:
        """The collections of the project that a search finds, in the order of creation."""
        window = Window(limit, offset, descending, search)
        return await self._db.read(collection_rows.of_project(actor.project_id, window))

    async def update(
        self,
        actor: Actor,
        collection_id: str,
        *,
        name: str,
        read: Sequence[str] | None,
        write: Sequence[str] | None,
        attributes: Sequence[Attribute],
    ) -> Collection:
        """Replace name and attributes, and the role lists that are given. Documents are neither touched nor checked.

        Raises `CollectionNotFound`.
        """

        def unit(tx: Transaction) -> Collection:
            old = _found(tx.run(collection_rows.get(actor.project_id, collection_id)))
            new = replace(
                old,
                name=name,
                permissions=Permissions(
                    old.permissions.read if read is None else tuple(read),
                    old.permissions.write if write is None else tuple(write),
                ),
                attributes=_with_ids(tx, attributes, old.attributes),
                updated_at=tx.now,
            )
            tx.stores.collections.update(tx, old, new)
            self._conclude(tx, actor, "update", new, f"database/collections/{new.id}")
            return new

        return await self._db.write(unit)

    async def delete(self, actor: Actor, collection_id: str) -> None:
        """Remove a collection; its documents are out of reach at once and removed in the background.

        Raises `CollectionNotFound`.
        """

        def unit(tx: Transaction) -> None:
            collection = _found(tx.run(collection_rows.get(actor.project_id, collection_id)))
            tx.stores.collections.delete(tx, collection)
            tx.stores.removals.add(tx, "collection", actor.project_id, collection.id)
            self._conclude(tx, actor, "delete", collection, f"database/collections/{collection.id}")

        await self._db.write(unit)

    @staticmethod
    def _conclude(tx: Transaction, actor: Actor, action: str, collection: Collection, resource: str) -> None:
        record(tx, actor, actor.user_id, f"database.collections.{action}", resource)
        tx.emit(Event("collection", action, collection, actor))


def _found(collection: Collection | None) -> Collection:
    if collection is None:
        raise CollectionNotFound
    return collection


def _with_ids(tx: Transaction, attributes: Iterable[Attribute], known: Iterable[Attribute]) -> tuple[Attribute, ...]:
    """The attributes, each with its id: the one it was sent with when the collection knows it, or else a new one."""
    left = {attribute.id for attribute in known}
    result = []
    for attribute in attributes:
        if attribute.id in left:
            left.discard(attribute.id)
        else:
            attribute = replace(attribute, id=tx.new_id())
        result.append(attribute)
    return tuple(result)
