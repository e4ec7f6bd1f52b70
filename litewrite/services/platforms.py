"""The platforms of a project: which web pages and apps may call it."""

from __future__ import annotations

from dataclasses import replace

from litewrite.db import projects as project_rows
from litewrite.db.engine import Database, Transaction
from litewrite.entities import Platform
from litewrite.errors import PlatformNotFound
from litewrite.permissions import Actor
from litewrite.services.project_access import changeable, ensure_readable


class Platforms:
    """All methods raise `ProjectNotFound`, those that change something `Unauthorized`, and those that take the id of a
    platform `PlatformNotFound`. A change counts from the next request on.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(
        self,
        actor: Actor,
        project_id: str,
        *,
        type: str,
        name: str,
        key: str = "",
        hostname: str = "",
        store: str = "",
    ) -> Platform:
        """Declare a client. A web page is known by its host name, an app by its key.

        An app that is a page of a scheme of its own is a web platform too, with its origin as the key:
        `tauri://localhost`, `app://` for every host of a scheme, `file://` for pages without an origin.
        """

        def unit(tx: Transaction) -> Platform:
            changeable(tx, actor, project_id)
            platform = Platform(
                id=tx.new_id(),
                project_id=project_id,
                type=type,
                name=name,
                key=key,
                hostname=hostname,
                store=store,
                created_at=tx.now,
                updated_at=tx.now,
            )
            tx.stores.platforms.insert(tx, platform)
            return platform

        return await self._db.write(unit)

    async def list(self, actor: Actor, project_id: str) -> tuple[Platform, ...]:
        """The platforms of a project, oldest first."""
        await ensure_readable(self._db, actor, project_id)
        return await self._db.read(project_rows.platforms(project_id))

    async def get(self, actor: Actor, project_id: str, platform_id: str) -> Platform:
        await ensure_readable(self._db, actor, project_id)
        platform = await self._db.read(project_rows.platform(project_id, platform_id))
        if platform is None:
            raise PlatformNotFound
        return platform

    async def update(
        self,
        actor: Actor,
        project_id: str,
        platform_id: str,
        *,
        name: str,
        key: str = "",
        hostname: str = "",
        store: str = "",
    ) -> Platform:
        """Replace everything but the type."""

        def unit(tx: Transaction) -> Platform:
            changeable(tx, actor, project_id)
            platform = tx.run(project_rows.platform(project_id, platform_id))
            if platform is None:
                raise PlatformNotFound
            platform = replace(platform, name=name, key=key, hostname=hostname, store=store, updated_at=tx.now)
            tx.stores.platforms.update(tx, platform)
            return platform

        return await self._db.write(unit)

    async def delete(self, actor: Actor, project_id: str, platform_id: str) -> None:
        def unit(tx: Transaction) -> None:
            changeable(tx, actor, project_id)
            if not tx.stores.platforms.delete(tx, project_id, platform_id):
                raise PlatformNotFound

        await self._db.write(unit)
