"""Administrators: the users of the project `console`, and the team that owns what is made from the command line.

Nobody can sign up to the console but the first administrator, with a token that the server tells its operator. Later
ones are made by command, or invited to a team. The first one to come makes the team, which takes over every project
that belongs to no team; so a server without administrators has none.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from litewrite.db import admins as admin_rows
from litewrite.db import projects as project_rows
from litewrite.db import teams as team_rows
from litewrite.db import users as user_rows
from litewrite.db.engine import Database, Transaction
from litewrite.entities import CONSOLE, Membership, Project, Team, User
from litewrite.errors import RegistrationClosed, UserExists, UserNotFound
from litewrite.events import Event
from litewrite.permissions import Actor
from litewrite.security import Passwords, hash_secret, same
from litewrite.services.accounts import record
from litewrite.services.project_access import OPERATOR
from litewrite.services.users import Users

TEAM_NAME = "Administrators"
OWNER = "owner"
TOKEN_BYTES = 24
_TEAM, _SETUP = "team", "setup_token"
"""Settings of the project `console`: the id of the team, and the hash of the token for the first sign-up."""


class Admins:
    def __init__(self, db: Database, passwords: Passwords, users: Users) -> None:
        self._db = db
        self._passwords = passwords
        self._users = users

    async def open_setup(self) -> str:
        """A token with which the first administrator can sign up, once; empty when there is an administrator.

        The token before it is void.
        """
        if await self._db.read(admin_rows.exist()):
            return ""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        token_hash = hash_secret(token)

        def unit(tx: Transaction) -> bool:
            if tx.run(admin_rows.exist()):
                return False
            _set(tx, _SETUP, token_hash)
            return True

        return token if await self._db.write(unit) else ""

    async def sign_up(self, actor: Actor, token: str, *, email: str, password: str, name: str = "") -> User:
        """Register the first administrator. Raises `RegistrationClosed`, and `UserExists` for one who is blocked."""
        token_hash = hash_secret(token)
        # Spares the hash of the password.
        if not _is_open(await self._db.read(project_rows.get(CONSOLE)), token_hash):
            raise RegistrationClosed
        password_hash = await self._passwords.hash(password)

        def unit(tx: Transaction) -> User:
            if tx.run(admin_rows.exist()) or not _is_open(tx.run(project_rows.get(CONSOLE)), token_hash):
                raise RegistrationClosed
            user = _insert(tx, email, name, password_hash)
            record(tx, actor, user.id, "account.create", f"users/{user.id}")
            tx.emit(Event("account", "create", user, actor))
            return user

        return await self._db.write(unit)

    async def create(self, *, email: str, password: str, name: str = "") -> User:
        """Make an administrator with an address in lower case, an owner of the team. Raises `UserExists`."""
        password_hash = await self._passwords.hash(password)
        return await self._db.write(lambda tx: _insert(tx, email, name, password_hash))

    async def list(self) -> tuple[User, ...]:
        """Every administrator, blocked and invited ones too, oldest first."""
        return await self._db.read(admin_rows.list_all())

    async def delete(self, email_or_id: str) -> User:
        """Remove an administrator from the console and its teams; their projects stay. Raises `UserNotFound`."""
        user = await self._db.read(user_rows.by_email(CONSOLE, email_or_id.lower()))
        user = user or await self._db.read(user_rows.get(CONSOLE, email_or_id))
        if user is None:
            raise UserNotFound(f"There is no administrator {email_or_id}")
        await self._users.delete(OPERATOR, user.id)
        return user


def owning_team(tx: Transaction) -> str:
    """Id of the console team that owns what is made from the command line; empty while there is none."""
    team = _team(tx)
    return team.id if team else ""


def _team(tx: Transaction) -> Team | None:
    console = tx.run(project_rows.get(CONSOLE))
    team_id = console.settings.get(_TEAM, "") if console else ""
    return tx.run(team_rows.get(CONSOLE, team_id)) if team_id else None


def _insert(tx: Transaction, email: str, name: str, password_hash: str) -> User:
    if tx.run(user_rows.by_email(CONSOLE, email)) is not None:
        raise UserExists
    user = User(
        id=tx.new_id(),
        project_id=CONSOLE,
        name=name,
        email=email,
        registered_at=tx.now,
        password_hash=password_hash,
        password_updated_at=tx.now,
    )
    tx.stores.users.insert(tx, user)
    team = _team(tx)
    if team is None:
        team = Team(id=tx.new_id(), project_id=CONSOLE, name=TEAM_NAME, total=0, created_at=tx.now)
        tx.stores.teams.insert(tx, team)
        _set(tx, _TEAM, team.id)
    tx.stores.memberships.insert(
        tx,
        Membership(
            id=tx.new_id(),
            project_id=CONSOLE,
            team_id=team.id,
            user_id=user.id,
            roles=(OWNER,),
            invited_at=tx.now,
            joined_at=tx.now,
            confirmed=True,
        ),
    )
    tx.stores.teams.count_in(tx, CONSOLE, team.id)
    tx.stores.projects.adopt(tx, team.id)
    _set(tx, _SETUP, "")
    return user


def _is_open(console: Project | None, token_hash: str) -> bool:
    expected = console.settings.get(_SETUP, "") if console else ""
    return bool(expected) and same(expected, token_hash)


def _set(tx: Transaction, name: str, value: str) -> None:
    """Change a setting of the console."""
    console = tx.run(project_rows.get(CONSOLE))
    assert console is not None
    if console.settings.get(name, "") != value:
        tx.stores.projects.update(tx, replace(console, settings={**console.settings, name: value}))
