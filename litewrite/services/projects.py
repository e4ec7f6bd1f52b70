"""Projects and their API keys: what every request asks of a project, and what its administrators change.

A method that takes an `actor` is for that caller: it raises `ProjectNotFound` for a project of a team that the caller
has not joined, and `Unauthorized` when the caller may see the project but not change it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from litewrite.db import keys as key_rows
from litewrite.db import projects as project_rows
from litewrite.db import removals
from litewrite.db import teams as team_rows
from litewrite.db import webhooks as webhook_rows
from litewrite.db.engine import Database, Transaction
from litewrite.db.pages import Window
from litewrite.entities import CONSOLE, PROJECT_ID, Key, Page, Platform, PlatformType, Project, Webhook
from litewrite.errors import (
    ArgumentInvalid,
    InvalidCredentials,
    KeyNotFound,
    ProjectExists,
    ProjectNotFound,
    ScopeMissing,
    TeamNotFound,
    Unauthorized,
)
from litewrite.permissions import Actor
from litewrite.security import Passwords, hash_secret, new_secret
from litewrite.services.admins import owning_team
from litewrite.services.project_access import (
    MASK,
    OPERATOR,
    changeable,
    ensure_readable,
    has_changing_role,
    may_change,
    reader,
)
from litewrite.services.providers import Providers, settings_of

_HINT_LENGTH = 8
MOST_KEPT = 1_000

DETAILS = (
    "description",
    "logo",
    "url",
    "legal_name",
    "legal_country",
    "legal_state",
    "legal_city",
    "legal_address",
    "legal_tax_id",
)
"""What people say about their project; each a setting of its own."""
AUTH_METHODS = ("email-password", "magic-url", "anonymous", "invites", "jwt", "phone")
"""Ways of logging in that can be switched off."""

Change = Callable[[Project], Project]


@dataclass(frozen=True, slots=True)
class ProjectView:
    """A project with what every request asks of it."""

    project: Project
    platforms: tuple[Platform, ...]
    web_hosts: frozenset[str]
    """Host names of its web platforms, in lower case."""
    app_hosts: frozenset[str]
    """Identifiers of its app platforms, in lower case, since the hosts of origins have no case, and whole origins."""


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """A project with everything that its administrators see of it."""

    project: Project
    platforms: tuple[Platform, ...]
    keys: tuple[Key, ...]
    webhooks: tuple[Webhook, ...]
    providers: Mapping[str, tuple[str, str]]
    """App id and secret by provider; the secret is a mask for those who may not see it."""


def check_project_id(project_id: str) -> str:
    """The id when it may be that of a project. Raises `ArgumentInvalid`."""
    if not PROJECT_ID.fullmatch(project_id):
        raise ArgumentInvalid(
            "projectId", "it must be 1 to 32 characters out of A-Z a-z 0-9 . _ - and start with a letter or digit"
        )
    return project_id


def ensure_project(project_id: str, name: str = "") -> Callable[[Transaction], bool]:
    """A unit that makes a project unless it exists, and says whether it did.

    It raises `ProjectExists` while a project of the same id is still being removed, whose removal would take what is in
    the new one.
    """

    def unit(tx: Transaction) -> bool:
        if tx.run(project_rows.get(project_id)) is not None:
            return False
        if tx.run(removals.of_project(project_id)) is not None:
            raise ProjectExists(
                f"The project {project_id} that was there before is still being removed: try again shortly"
            )
        team_id = "" if project_id == CONSOLE else owning_team(tx)
        project = Project(id=project_id, name=name or project_id, team_id=team_id, created_at=tx.now)
        tx.stores.projects.insert(tx, project)
        return True

    return unit


_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)(?:[/?#].*)?")
_WITHOUT_HOST = frozenset(("null", "file"))


def _declared(platforms: Iterable[Platform]) -> tuple[frozenset[str], frozenset[str]]:
    """The host names of web pages, and the identifiers of apps, that may call.

    A web platform may also name a whole origin, such as `tauri://localhost`, as its key or host name: some apps are
    pages of a scheme of their own.
    """
    hosts, apps = set(), set()
    for platform in platforms:
        key = _normal(platform.key)
        if platform.type != PlatformType.WEB:
            apps.add(key)
            continue
        host = _normal(platform.hostname)
        for text in (host, key):
            scheme, is_origin, netloc = text.partition("://")
            if scheme in ("http", "https") and is_origin:
                hosts.add(_host_of(netloc))
            elif is_origin or text in _WITHOUT_HOST:
                apps.add(text)
        if host not in _WITHOUT_HOST and "://" not in host:
            hosts.add(host)
    return frozenset(hosts - {""}), frozenset(apps - {""})


def _normal(text: str) -> str:
    """A key or host name as origins are compared with it: in lower case, and a URL cut down to its origin."""
    text = text.strip().lower()
    origin = _ORIGIN.fullmatch(text)
    return f"{origin[1]}://{origin[2]}" if origin else text


def _host_of(netloc: str) -> str:
    return netloc[1:].partition("]")[0] if netloc.startswith("[") else netloc.partition(":")[0]


class Projects:
    def __init__(self, db: Database, providers: Providers, passwords: Passwords) -> None:
        self._db = db
        self._providers = providers
        self._passwords = passwords
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
        if not PROJECT_ID.fullmatch(project_id):
            return None
        generation = self._generation
        project = await self._db.read(project_rows.get(project_id))
        if project is None:
            return None
        platforms = await self._db.read(project_rows.platforms(project_id))
        view = ProjectView(project, platforms, *_declared(platforms))
        if generation == self._generation and len(self._views) < MOST_KEPT:
            self._views[project_id] = view
        return view

    async def list(self) -> tuple[Project, ...]:
        """Every project, the built-in one too, oldest first."""
        return await self._db.read(project_rows.list_all())

    async def list_page(
        self, actor: Actor, *, search: str = "", limit: int = 25, offset: int = 0, descending: bool = False
    ) -> Page[ProjectRecord]:
        """A page of the projects of the caller's teams in the order of creation. Secrets are masked."""
        window = Window(limit, offset, descending, search)
        page = await self._db.read(project_rows.list_page(window, member_id=reader(actor)))
        return Page(page.total, tuple([await self._record(project, revealed=False) for project in page.items]))

    async def get(self, actor: Actor, project_id: str) -> ProjectRecord:
        """One project. The secrets of its providers are shown to those who may change them."""
        project = await self._db.read(project_rows.get(project_id, member_id=reader(actor)))
        if project is None:
            raise ProjectNotFound
        return await self._record(project, revealed=may_change(actor, project))

    async def _record(self, project: Project, *, revealed: bool) -> ProjectRecord:
        platforms = await self._db.read(project_rows.platforms(project.id))
        keys = await self._db.read(key_rows.of_project(project.id))
        webhooks = await self._db.read(webhook_rows.of_project(project.id))
        stored = settings_of(project)
        providers = {key: (value["app_id"], MASK if value["secret"] else "") for key, value in stored.items()}
        if revealed and providers:
            # The library behind it takes a while to load.
            providers = await asyncio.to_thread(
                lambda: {key: self._providers.credentials(project, key) for key in stored}
            )
        return ProjectRecord(project, platforms, keys, webhooks, providers)

    async def create(self, project_id: str, name: str = "") -> Project:
        """Make a project under an id that people chose, in the team of whoever works on the command line.

        Raises `ArgumentInvalid` for a bad id and `ProjectExists` for one that is taken.
        """
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

    async def create_in_team(
        self, actor: Actor, team_id: str, *, name: str, details: Mapping[str, str]
    ) -> ProjectRecord:
        """Make a project of a console team that the caller has joined. `details` are some of `DETAILS`.

        Raises `TeamNotFound`, and `Unauthorized` to members who are neither owner nor developer.
        """

        def unit(tx: Transaction) -> Project:
            if tx.run(team_rows.get(CONSOLE, team_id, member_id=reader(actor))) is None:
                raise TeamNotFound
            if not has_changing_role(tx, actor, team_id):
                raise Unauthorized("Only owners and developers of the team may make projects in it")
            project = Project(id=tx.new_id(), name=name, team_id=team_id, created_at=tx.now, settings=_details(details))
            tx.stores.projects.insert(tx, project)
            return project

        return await self._record(await self._db.write(unit), revealed=True)

    async def update(self, actor: Actor, project_id: str, *, name: str, details: Mapping[str, str]) -> ProjectRecord:
        """Replace the name and everything said about the project; what `details` leaves out becomes empty."""

        def change(project: Project) -> Project:
            return replace(project, name=name, settings={**project.settings, **_details(details)})

        return await self._change(actor, project_id, change)

    async def update_user_limit(self, actor: Actor, project_id: str, limit: int) -> ProjectRecord:
        """Set the most users that the project may have; 0 is no limit."""
        return await self._change(
            actor, project_id, lambda project: replace(project, settings={**project.settings, "user_limit": limit})
        )

    async def update_auth_method(self, actor: Actor, project_id: str, method: str, enabled: bool) -> ProjectRecord:
        """Switch one of `AUTH_METHODS` on or off. Sessions stay as they are."""

        def change(project: Project) -> Project:
            switches = {**project.settings.get("auth", {}), method: enabled}
            return replace(project, settings={**project.settings, "auth": switches})

        return await self._change(actor, project_id, change)

    async def update_provider(
        self, actor: Actor, project_id: str, provider: str, *, app_id: str, secret: str
    ) -> ProjectRecord:
        """Set the credentials at an OAuth2 provider; both empty switch it off. The mask leaves the secret as it is."""
        return await self._change(
            actor,
            project_id,
            lambda project: self._providers.with_credentials(
                project, provider, app_id, None if secret == MASK else secret
            ),
        )

    async def _change(self, actor: Actor, project_id: str, change: Change) -> ProjectRecord:
        def unit(tx: Transaction) -> Project:
            project = change(changeable(tx, actor, project_id))
            tx.stores.projects.update(tx, project)
            return project

        return await self._record(await self._db.write(unit), revealed=True)

    async def delete(self, project_id: str, *, actor: Actor = OPERATOR) -> None:
        """Remove a project; what lies behind it is removed in the background.

        The team that owns it goes with the last of its projects, unless it is that of the command line.
        """
        if project_id == CONSOLE:
            raise ArgumentInvalid("projectId", "the built-in project console stays")

        def unit(tx: Transaction) -> None:
            project = changeable(tx, actor, project_id)
            tx.stores.projects.delete(tx, project_id)
            tx.stores.removals.add(tx, "project", project_id, project_id)
            team = tx.run(team_rows.get(CONSOLE, project.team_id))
            if team and team.id != owning_team(tx) and not tx.run(project_rows.has_projects(team.id)):
                tx.stores.memberships.delete_of_team(tx, CONSOLE, team.id)
                tx.stores.teams.delete(tx, team)

        await self._db.write(unit)

    async def delete_with_password(self, actor: Actor, project_id: str, password: str) -> None:
        """The same for a console user who has to give its password. Raises `InvalidCredentials`."""
        if actor.user is None:
            raise ScopeMissing("This call needs a user")
        project = await self._db.read(project_rows.get(project_id, member_id=reader(actor)))
        if project is None:
            raise ProjectNotFound
        if not await self._passwords.verify(actor.user.password_hash, password):
            raise InvalidCredentials
        await self.delete(project_id, actor=actor)


def _details(given: Mapping[str, str]) -> dict[str, str]:
    return {name: given.get(name, "") for name in DETAILS}


class Keys:
    """API keys. A secret is known only when it is made; afterwards there is its hash and its first characters.

    Without an actor a method is for whoever works on the machine itself. All raise `ProjectNotFound`, and those that
    take the id of a key `KeyNotFound`.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(
        self, project_id: str, name: str, scopes: Iterable[str], *, actor: Actor = OPERATOR
    ) -> tuple[Key, str]:
        """Make a key and return it with its secret. The scopes are the dialect's to check."""
        secret = new_secret()
        chosen = tuple(dict.fromkeys(scopes))

        def unit(tx: Transaction) -> Key:
            changeable(tx, actor, project_id)
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

    async def list(self, project_id: str, *, actor: Actor = OPERATOR) -> tuple[Key, ...]:
        """The keys of a project, oldest first."""
        await ensure_readable(self._db, actor, project_id)
        return await self._db.read(key_rows.of_project(project_id))

    async def get(self, project_id: str, key_id: str, *, actor: Actor = OPERATOR) -> Key:
        await ensure_readable(self._db, actor, project_id)
        key = await self._db.read(key_rows.get(project_id, key_id))
        if key is None:
            raise KeyNotFound
        return key

    async def update(
        self, project_id: str, key_id: str, name: str, scopes: Iterable[str], *, actor: Actor = OPERATOR
    ) -> Key:
        """Replace name and scopes; the secret stays."""
        chosen = tuple(dict.fromkeys(scopes))

        def unit(tx: Transaction) -> Key:
            changeable(tx, actor, project_id)
            key = tx.run(key_rows.get(project_id, key_id))
            if key is None:
                raise KeyNotFound
            key = replace(key, name=name, scopes=chosen)
            tx.stores.keys.update(tx, key)
            return key

        return await self._db.write(unit)

    async def delete(self, project_id: str, key_id: str, *, actor: Actor = OPERATOR) -> None:
        def unit(tx: Transaction) -> None:
            changeable(tx, actor, project_id)
            if not tx.stores.keys.delete(tx, project_id, key_id):
                raise KeyNotFound

        await self._db.write(unit)
