"""The users of a project as its servers manage them. No permission is looked at: who gets here has the scope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson

from litewrite.db import sessions as session_rows
from litewrite.db import users as user_rows
from litewrite.db.engine import Database, Transaction
from litewrite.db.pages import Window
from litewrite.entities import AuditEntry, Client, Page, Session, User, UserStatus
from litewrite.errors import ArgumentInvalid, UserEmailTaken, UserExists, UserNotFound
from litewrite.events import Event
from litewrite.permissions import Actor
from litewrite.security import Passwords
from litewrite.services.accounts import LARGEST_PREFERENCES, Accounts, record

Change = Callable[[User, Transaction], User]


class Users:
    """Every method that takes a user's id raises `UserNotFound` when the project has no such user."""

    def __init__(self, db: Database, passwords: Passwords, accounts: Accounts) -> None:
        self._db = db
        self._passwords = passwords
        self._accounts = accounts

    async def create(self, actor: Actor, *, email: str, password: str, name: str = "") -> User:
        """Make a user with an address in lower case, whatever the limit of users. Raises `UserExists`."""
        project_id = actor.project_id
        # Spares the hash.
        if await self._db.read(user_rows.by_email(project_id, email)) is not None:
            raise UserExists
        password_hash = await self._passwords.hash(password)

        def unit(tx: Transaction) -> User:
            if tx.run(user_rows.by_email(project_id, email)) is not None:
                raise UserExists
            user = User(
                id=tx.new_id(),
                project_id=project_id,
                name=name,
                email=email,
                registered_at=tx.now,
                password_hash=password_hash,
                password_updated_at=tx.now,
            )
            tx.stores.users.insert(tx, user)
            tx.emit(Event("user", "create", user, actor))
            return user

        return await self._db.write(unit)

    async def list(
        self, actor: Actor, *, search: str = "", limit: int = 25, offset: int = 0, descending: bool = False
    ) -> Page[User]:
        """A page of the users of the project, blocked and anonymous ones too, in the order of registration."""
        return await self._db.read(user_rows.list_page(actor.project_id, Window(limit, offset, descending, search)))

    async def get(self, actor: Actor, user_id: str) -> User:
        user = await self._db.read(user_rows.get(actor.project_id, user_id))
        if user is None:
            raise UserNotFound
        return user

    async def sessions(self, actor: Actor, user_id: str) -> tuple[Session, ...]:
        """The sessions of a user that are stored, oldest first; some may have expired."""
        await self.get(actor, user_id)
        return await self._db.read(session_rows.stored_of_user(actor.project_id, user_id))

    async def logs(self, actor: Actor, user_id: str) -> tuple[tuple[AuditEntry, Client], ...]:
        """The ten newest entries about a user, newest first, each with the client that its User-Agent tells."""
        await self.get(actor, user_id)
        return await self._accounts.logs_of(actor.project_id, user_id)

    async def update_status(self, actor: Actor, user_id: str, status: UserStatus) -> User:
        """Block a user or let it in again; its sessions stay."""
        return await self._change(actor, user_id, "update.status", lambda user, _: replace(user, status=status))

    async def update_verification(self, actor: Actor, user_id: str, verified: bool) -> User:
        return await self._change(
            actor, user_id, "update.verification", lambda user, _: replace(user, email_verified=verified)
        )

    async def update_name(self, actor: Actor, user_id: str, name: str) -> User:
        return await self._change(
            actor, user_id, "update.name", lambda user, _: replace(user, name=name), recorded="users.update.name"
        )

    async def update_password(self, actor: Actor, user_id: str, password: str) -> User:
        """Change the password without the old one; sessions stay valid."""
        await self.get(actor, user_id)
        password_hash = await self._passwords.hash(password)
        return await self._change(
            actor,
            user_id,
            "update.password",
            lambda user, tx: replace(user, password_hash=password_hash, password_updated_at=tx.now),
            recorded="users.update.password",
        )

    async def update_email(self, actor: Actor, user_id: str, email: str) -> User:
        """Change the address, and not whether it is verified. Raises `UserEmailTaken`, also for the present address."""

        def change(user: User, tx: Transaction) -> User:
            if tx.run(user_rows.by_email(user.project_id, email)) is not None:
                raise UserEmailTaken
            return replace(user, email=email)

        return await self._change(actor, user_id, "update.email", change, recorded="account.update.email")

    async def update_preferences(self, actor: Actor, user_id: str, preferences: dict[str, object]) -> User:
        """Replace the preferences. Raises `ArgumentInvalid` above 65,535 bytes of JSON."""
        text = orjson.dumps(preferences)
        if len(text) > LARGEST_PREFERENCES:
            raise ArgumentInvalid("prefs", f"it must not be longer than {LARGEST_PREFERENCES} bytes of JSON")
        stored = text.decode()
        return await self._change(actor, user_id, "update.prefs", lambda user, _: replace(user, preferences=stored))

    async def _change(self, actor: Actor, user_id: str, action: str, change: Change, *, recorded: str = "") -> User:
        """One unit that changes a user; `recorded` is the name of its audit entry, if there is to be one."""

        def unit(tx: Transaction) -> User:
            user = change(_existing(tx, actor, user_id), tx)
            tx.stores.users.update(tx, user)
            if recorded:
                record(tx, actor, user.id, recorded, f"users/{user.id}")
            tx.emit(Event("user", action, user, actor))
            return user

        return await self._db.write(unit)

    async def delete_session(self, actor: Actor, user_id: str, session_id: str) -> None:
        """End one session of a user; nothing happens when it has no such session."""

        def unit(tx: Transaction) -> None:
            user = _existing(tx, actor, user_id)
            session = tx.run(session_rows.get(user.project_id, user.id, session_id))
            if session is None:
                return
            tx.stores.sessions.delete(tx, session)
            tx.emit(Event("user", "sessions.delete", user, actor))

        await self._db.write(unit)

    async def delete_sessions(self, actor: Actor, user_id: str) -> None:
        """End every session of a user."""

        def unit(tx: Transaction) -> None:
            user = _existing(tx, actor, user_id)
            tx.stores.sessions.delete_of_user(tx, user.project_id, user.id)
            tx.emit(Event("user", "sessions.delete", user, actor))

        await self._db.write(unit)

    async def delete(self, actor: Actor, user_id: str) -> None:
        """Remove a user with its sessions, tokens and memberships. Its documents and files stay, its id stays taken."""

        def unit(tx: Transaction) -> None:
            user = _existing(tx, actor, user_id)
            tx.stores.teams.count_out_user(tx, user.project_id, user.id)
            tx.stores.memberships.delete_of_user(tx, user.project_id, user.id)
            tx.stores.users.delete(tx, user.project_id, user.id)
            tx.emit(Event("user", "delete", user, actor))

        await self._db.write(unit)


def _existing(tx: Transaction, actor: Actor, user_id: str) -> User:
    user = tx.run(user_rows.get(actor.project_id, user_id))
    if user is None:
        raise UserNotFound
    return user
