"""Projects, their platforms and their API keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from litewrite.db import keys as key_rows
from litewrite.db import projects as project_rows
from litewrite.db.engine import Database, Transaction
from litewrite.entities import CONSOLE, Key, Platform, Project
from litewrite.errors import ArgumentInvalid, KeyNotFound, ProjectExists, ProjectNotFound
from litewrite.security import hash_secret, new_secret

_PROJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_HINT_LENGTH = 8
MOST_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class ProjectView:
    """A project with what every request asks of it."""

    project: Project
    platforms: tuple[Platform, ...]
    web_hosts: frozenset[str]
    """Host names of its web platforms."""
    app_hosts: frozenset[str]
    """Identifiers of its app platforms."""


def check_project_id(project_id: str) -> str:
    """The id when it may be that of a project. Raises `ArgumentInvalid`."""
    if not _PROJECT_ID.fullmatch(project_id):
        raise ArgumentInvalid(
            "projectId", "it must be 1 to 32 characters out of A-Z a-z 0-9 . _ - and start with a letter or digit"
        )
    return project_id


def ensure_project(project_id: str, name: str = "") -> Callable[[Transaction], bool]:
    """A unit that makes a project unless it exists, and says whether it did."""

    def unit(tx: Transaction) -> bool:
        if tx.run(project_rows.get(project_id)) is not None:
            return False
        tx.stores.projects.insert(tx, Project(id=project_id, name=name or project_id, created_at=tx.now))
        return True

    return unit


class Projects:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._views: dict[str, ProjectView] = {}
        self._generation = 0
        db.on_invalidate(self._forget)

    def _forget(self, kind: str, key: str) -> None:
        if kind == "project":
            self._generation += 1
            self._views.pop(key, None)

    async def view(self, project_id: str) -> ProjectView | None:
        """The project of a request, kept in memory until it changes; None when there is none."""
        known = self._views.get(project_id)
        if known is not None:
            return known
        generation = self._generation
        project = await self._db.read(project_rows.get(project_id))
        if project is None:
            return None
        platforms = await self._db.read(project_rows.platforms(project_id))
        view = ProjectView(
            project=project,
            platforms=platforms,
            web_hosts=frozenset(platform.hostname for platform in platforms if platform.type == "web"),
            app_hosts=frozenset(platform.key for platform in platforms if platform.type != "web"),
        )
        if generation == self._generation and len(self._views) < MOST_KEPT:
            self._views[project_id] = view
        return view

    async def list(self) -> tuple[Project, ...]:
        return await self._db.read(project_rows.list_all())

    async def create(self, project_id: str, name: str = "") -> Project:
        """Make a project. Raises `ArgumentInvalid` for a bad id and `ProjectExists` for one that is taken."""
        check_project_id(project_id)
        if project_id == CONSOLE:
            raise ProjectExists("The project console is built in")

        def unit(tx: Transaction) -> Project:
            if not ensure_project(project_id, name)(tx):
                raise ProjectExists(f"There is a project with the id {project_id} already")
            project = tx.run(project_rows.get(project_id))
            assert project is not None
            return project

        return await self._db.write(unit)

    async def delete(self, project_id: str) -> None:
        """Remove a project; what lies behind it is removed in the background."""
        if project_id == CONSOLE:
            raise ArgumentInvalid("projectId", "the built-in project console stays")

        def unit(tx: Transaction) -> None:
            if tx.run(project_rows.get(project_id)) is None:
                raise ProjectNotFound(f"There is no project with the id {project_id}")
            tx.stores.projects.delete(tx, project_id)
            tx.stores.removals.add(tx, "project", project_id, project_id)
            tx.invalidate("keys", project_id)

        await self._db.write(unit)


class Keys:
    """API keys. A secret is known only when it is made; afterwards there is its hash and its first characters."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(self, project_id: str, name: str, scopes: Iterable[str]) -> tuple[Key, str]:
        """Make a key and return it with its secret. The scopes are the dialect's to check."""
        secret = new_secret()
        chosen = tuple(dict.fromkeys(scopes))

        def unit(tx: Transaction) -> Key:
            if tx.run(project_rows.get(project_id)) is None:
                raise ProjectNotFound(f"There is no project with the id {project_id}")
            key = Key(
                id=tx.new_id(),
                project_id=project_id,
                name=name,
                scopes=chosen,
                secret_hash=hash_secret(secret),
                hint=secret[:_HINT_LENGTH],
                created_at=tx.now,
            )
            tx.stores.keys.insert(tx, key)
            return key

        return await self._db.write(unit), secret

    async def list(self, project_id: str) -> tuple[Key, ...]:
        return await self._db.read(key_rows.of_project(project_id))

    async def get(self, project_id: str, key_id: str) -> Key:
        key = await self._db.read(key_rows.get(project_id, key_id))
        if key is None:
            raise KeyNotFound
        return key

    async def update(self, project_id: str, key_id: str, name: str, scopes: Iterable[str]) -> Key:
        chosen = tuple(dict.fromkeys(scopes))

        def unit(tx: Transaction) -> Key:
            key = tx.run(key_rows.get(project_id, key_id))
            if key is None:
                raise KeyNotFound
            key = replace(key, name=name, scopes=chosen)
            tx.stores.keys.update(tx, key)
            return key

        return await self._db.write(unit)

    async def delete(self, project_id: str, key_id: str) -> None:
        def unit(tx: Transaction) -> None:
            if not tx.stores.keys.delete(tx, project_id, key_id):
                raise KeyNotFound

        await self._db.write(unit)
