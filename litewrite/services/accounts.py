"""The account of the calling user: registration, logins, credentials, preferences and the log of what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

import orjson

from litewrite.countries import Countries
from litewrite.db import audit as audit_rows
from litewrite.db import projects as project_rows
from litewrite.db import sessions as session_rows
from litewrite.db import users as user_rows
from litewrite.db.engine import Database, Transaction
from litewrite.entities import CONSOLE, EPOCH, AuditEntry, Client, Session, User, UserStatus
from litewrite.errors import (
    AnonymousConsoleProhibited,
    ArgumentInvalid,
    EmailTaken,
    InvalidCredentials,
    RegistrationClosed,
    ScopeMissing,
    SessionExists,
    SessionNotFound,
    SessionRequired,
    UserBlocked,
    UserCountExceeded,
    UserExists,
)
from litewrite.events import Event
from litewrite.permissions import Actor
from litewrite.security import Passwords, ServerSecret, encode_session, hash_secret, new_secret

T = TypeVar("T")

SESSION_LIFETIME = timedelta(seconds=31_536_000)
CURRENT = "current"
LARGEST_PREFERENCES = 65_535
LOG_ENTRIES = 10
LOGGED_EVENTS = (
    "account.create",
    "account.delete",
    "account.update.name",
    "account.update.email",
    "account.update.password",
    "account.update.prefs",
    "account.sessions.create",
    "account.sessions.delete",
    "account.recovery.create",
    "account.recovery.update",
    "account.verification.create",
    "account.verification.update",
)


class Detector(Protocol):
    def detect(self, user_agent: str) -> Client: ...


def record(tx: Transaction, actor: Actor, user_id: str, event: str, resource: str, data: str = "") -> None:
    """Append an entry to the audit log, of the user concerned rather than the caller."""
    tx.stores.audit.insert(
        tx,
        project_id=actor.project_id,
        user_id=user_id,
        event=event,
        resource=resource,
        user_agent=actor.user_agent,
        ip=actor.ip,
        data=data,
    )


def ensure_room(tx: Transaction, project_id: str) -> None:
    """Refuse one more user when the project has reached its limit."""
    project = tx.run(project_rows.get(project_id))
    limit = project.user_limit if project else 0
    if limit and tx.run(user_rows.count(project_id)) >= limit:
        raise UserCountExceeded


class Accounts:
    def __init__(
        self, db: Database, passwords: Passwords, secret: ServerSecret, detector: Detector, countries: Countries
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._secret = secret
        self._detector = detector
        self._countries = countries

    async def detect(self, user_agent: str) -> Client:
        """The client behind a User-Agent."""
        # The first header takes some 100 ms and each new one about 1 ms, too much for the event loop.
        return await asyncio.to_thread(self._detector.detect, user_agent)

    async def create(self, actor: Actor, *, email: str, password: str, name: str = "") -> User:
        """Register a user with an address in lower case.

        Raises `UserCountExceeded`, `UserExists`, and `RegistrationClosed` on the project of the administrators.
        """
        project_id = actor.project_id
        if project_id == CONSOLE:
            raise RegistrationClosed
        project = await self._db.read(project_rows.get(project_id))
        limited = project is not None and project.user_limit > 0
        # Spares the hash. A full project is told first, and that needs the unit.
        if not limited and await self._db.read(user_rows.by_email(project_id, email)) is not None:
            raise UserExists
        password_hash = await self._passwords.hash(password)

        def unit(tx: Transaction) -> User:
            ensure_room(tx, project_id)
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
            record(tx, actor, user.id, "account.create", f"users/{user.id}")
            tx.emit(Event("account", "create", user, actor))
            return user

        return await self._db.write(unit)

    async def create_session(self, actor: Actor, *, email: str, password: str) -> tuple[Session, str]:
        """Log in with address and password; returns the session and the value of its cookie.

        An unknown address, a wrong password and a user without password are `InvalidCredentials`, look alike and take
        the same time. Raises `UserBlocked` to who knows the password.
        """
        project_id = actor.project_id
        user = await self._db.read(user_rows.by_email(project_id, email))
        if not await self._passwords.verify(user.password_hash if user else "", password) or user is None:
            raise InvalidCredentials
        checked_hash, user_id = user.password_hash, user.id
        client = await self.detect(actor.user_agent)
        secret = new_secret()

        def unit(tx: Transaction) -> Session:
            found = tx.run(user_rows.get(project_id, user_id))
            if found is None or found.email != email or found.password_hash != checked_hash:
                raise InvalidCredentials
            return self.start_session(tx, actor, found, secret, client, provider="email", provider_uid=found.email)

        return await self._db.write(unit), encode_session(user_id, secret)

    def start_session(
        self,
        tx: Transaction,
        actor: Actor,
        user: User,
        secret: str,
        client: Client,
        *,
        provider: str,
        provider_uid: str = "",
        provider_token: bytes = b"",
        announced: bool = True,
    ) -> Session:
        """Store a session of a user inside a unit. Raises `UserBlocked`.

        One that is not announced belongs to another event, which tells of it.
        """
        if user.is_blocked:
            raise UserBlocked
        session = Session(
            id=tx.new_id(),
            project_id=user.project_id,
            user_id=user.id,
            secret_hash=hash_secret(secret),
            expires_at=tx.now + SESSION_LIFETIME,
            provider=provider,
            provider_uid=provider_uid,
            provider_token=provider_token,
            ip=actor.ip,
            client=client,
            country_code=self._countries.code(actor.ip),
        )
        tx.stores.sessions.insert(tx, session)
        if announced:
            record(tx, actor, user.id, "account.sessions.create", f"users/{user.id}")
            tx.emit(Event("session", "create", session, actor, {"current": True}))
        return session

    async def create_anonymous_session(self, actor: Actor) -> tuple[Session, str]:
        """Make a user without credentials and log it in.

        Raises `SessionExists` to users, `UserCountExceeded`, and `AnonymousConsoleProhibited`.
        """
        project_id = actor.project_id
        if project_id == CONSOLE:
            raise AnonymousConsoleProhibited
        if actor.user is not None:
            raise SessionExists
        client = await self.detect(actor.user_agent)
        secret = new_secret()

        def unit(tx: Transaction) -> Session:
            ensure_room(tx, project_id)
            user = User(
                id=tx.new_id(),
                project_id=project_id,
                name="",
                email="",
                registered_at=tx.now,
                password_updated_at=tx.now,
            )
            tx.stores.users.insert(tx, user)
            return self.start_session(tx, actor, user, secret, client, provider="anonymous")

        session = await self._db.write(unit)
        return session, encode_session(session.user_id, secret)

    def create_jwt(self, actor: Actor) -> str:
        """A JSON Web Token for the session of the request. Raises `SessionRequired` when there is none."""
        if actor.user is None or actor.via_jwt or not actor.session_id:
            raise SessionRequired
        return self._secret.make_jwt(actor.user.id, actor.session_id)

    async def sessions(self, actor: Actor) -> tuple[Session, ...]:
        user = _user(actor)
        return await self._db.read(session_rows.of_user(user.project_id, user.id, datetime.now(UTC)))

    async def session(self, actor: Actor, session_id: str) -> Session:
        """One session of the caller, by id or the word `current`. Raises `SessionNotFound`."""
        user = _user(actor)
        session_id = _resolve(actor, session_id)
        session = await self._db.read(session_rows.get(user.project_id, user.id, session_id))
        if session is None or session.expires_at < datetime.now(UTC):
            raise SessionNotFound
        return session

    async def logs(self, actor: Actor) -> tuple[tuple[AuditEntry, Client], ...]:
        """The ten newest entries about the caller, newest first, each with the client that its User-Agent tells."""
        user = _user(actor)
        return await self.logs_of(user.project_id, user.id)

    async def logs_of(self, project_id: str, user_id: str) -> tuple[tuple[AuditEntry, Client], ...]:
        """The same about any user."""
        entries = await self._db.read(audit_rows.newest_of_user(project_id, user_id, LOGGED_EVENTS, LOG_ENTRIES))
        return await asyncio.to_thread(lambda: tuple(self._interpreted(entry) for entry in entries))

    def _interpreted(self, entry: AuditEntry) -> tuple[AuditEntry, Client]:
        located = replace(entry, country_code=self._countries.code(entry.ip))
        return located, self._detector.detect(entry.user_agent)

    async def update_name(self, actor: Actor, name: str) -> User:
        return await self._change(actor, "update.name", lambda user, _: replace(user, name=name))

    async def update_password(self, actor: Actor, password: str, old_password: str) -> User:
        """Change the password; the old one is asked for unless the server had invented it."""
        user = _user(actor)
        checked_hash, invented = user.password_hash, user.password_updated_at == EPOCH
        if not invented and not await self._passwords.verify(checked_hash, old_password):
            raise InvalidCredentials
        password_hash = await self._passwords.hash(password)

        def change(user: User, tx: Transaction) -> User:
            if user.password_hash != checked_hash:
                raise InvalidCredentials
            return replace(user, password_hash=password_hash, password_updated_at=tx.now)

        return await self._change(actor, "update.password", change)

    async def update_email(self, actor: Actor, email: str, password: str) -> User:
        """Change the address, which is then unverified; an anonymous user gets the password along with it."""
        user = _user(actor)
        checked_hash, anonymous = user.password_hash, user.is_anonymous
        if not anonymous and not await self._passwords.verify(checked_hash, password):
            raise InvalidCredentials
        if await self._db.read(user_rows.by_email(user.project_id, email)) is not None:
            raise EmailTaken
        new_hash = await self._passwords.hash(password) if anonymous else checked_hash

        def change(user: User, tx: Transaction) -> User:
            if user.password_hash != checked_hash:
                raise InvalidCredentials
            if tx.run(user_rows.by_email(user.project_id, email)) is not None:
                raise EmailTaken
            return replace(user, email=email, email_verified=False, password_hash=new_hash)

        return await self._change(actor, "update.email", change)

    async def update_preferences(self, actor: Actor, preferences: dict[str, object]) -> User:
        """Replace the preferences. Raises `ArgumentInvalid` above 65,535 bytes of JSON."""
        text = orjson.dumps(preferences)
        if len(text) > LARGEST_PREFERENCES:
            raise ArgumentInvalid("prefs", f"it must not be longer than {LARGEST_PREFERENCES} bytes of JSON")
        stored = text.decode()
        return await self._change(actor, "update.prefs", lambda user, _: replace(user, preferences=stored))

    async def delete(self, actor: Actor) -> User:
        """Close the account: the user is blocked, and everything of it stays."""
        return await self._change(actor, "delete", lambda user, _: replace(user, status=UserStatus.BLOCKED))

    async def _change(self, actor: Actor, action: str, change: Callable[[User, Transaction], User]) -> User:
        known = _user(actor)

        def unit(tx: Transaction) -> User:
            user = tx.run(user_rows.get(known.project_id, known.id))
            if user is None:
                raise ScopeMissing("This call needs a user, and the one who called is gone")
            if user.is_blocked:
                raise UserBlocked
            user = change(user, tx)
            tx.stores.users.update(tx, user)
            record(tx, actor, user.id, f"account.{action}", f"users/{user.id}")
            tx.emit(Event("account", action, user, actor))
            return user

        return await self._db.write(unit)

    async def delete_session(self, actor: Actor, session_id: str) -> Session:
        """Log one session out. Raises `SessionNotFound`."""
        known = _user(actor)
        session_id = _resolve(actor, session_id)

        def unit(tx: Transaction) -> Session:
            session = tx.run(session_rows.get(known.project_id, known.id, session_id))
            if session is None:
                raise SessionNotFound
            tx.stores.sessions.delete(tx, session)
            record(tx, actor, known.id, "account.sessions.delete", f"/user/{known.id}")
            tx.emit(Event("session", "delete", session, actor, {"current": is_current(actor, session)}))
            return session

        return await self._db.write(unit)

    async def delete_sessions(self, actor: Actor) -> tuple[Session, ...]:
        """Log every session of the caller out, the current one included."""
        known = _user(actor)

        def unit(tx: Transaction) -> tuple[Session, ...]:
            sessions = tx.run(session_rows.of_user(known.project_id, known.id, tx.now))
            tx.stores.sessions.delete_of_user(tx, known.project_id, known.id)
            record(tx, actor, known.id, "account.sessions.delete", f"/user/{known.id}")
            tx.emit(Event("sessions", "delete", sessions, actor))
            return sessions

        return await self._db.write(unit)


def _user(actor: Actor) -> User:
    if actor.user is None:
        raise ScopeMissing("This call needs a user")
    return actor.user


def is_current(actor: Actor, session: Session) -> bool:
    """Whether a session is the one of the request; never under a JWT."""
    return not actor.via_jwt and session.id == actor.session_id


def _resolve(actor: Actor, session_id: str) -> str:
    if session_id != CURRENT:
        return session_id
    if actor.via_jwt or not actor.session_id:
        raise SessionNotFound
    return actor.session_id
