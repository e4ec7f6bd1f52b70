"""Who is calling: sessions, JSON Web Tokens, API keys and administrators become an identity.

What was found is kept in memory by the credential until the user, its sessions, its memberships or the keys of the
project change, so that an ordinary request needs no look-up at all. Every change is told by the engine before
its caller is answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from litewrite.db import keys as key_rows
from litewrite.db import sessions as session_rows
from litewrite.db import users as user_rows
from litewrite.db.engine import Database
from litewrite.entities import CONSOLE, Project, User
from litewrite.errors import PasswordResetRequired, ScopeMissing, UserBlocked
from litewrite.permissions import ANY, APPLICATION, GUEST_ROLES, Actor, ActorKind, user_roles
from litewrite.security import ServerSecret, decode_session, hash_secret

MOST_KEPT = 10_000
_ACTORS_KEPT = 4
ADMIN_ROLES = ("owner", "developer", "admin")
COLLEAGUE = "colleague"
"""What an administrator is who has none of these roles."""
NO_SCOPES: frozenset[str] = frozenset()
KEY_ROLES = frozenset((ANY, APPLICATION))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request presents, as it came; empty strings for what it does not."""

    session: str = ""
    jwt: str = ""
    key: str = ""
    admin_session: str = ""
    """The session of a console user, when the request asks to act as an administrator."""


NO_CREDENTIALS = Credentials()


@dataclass(frozen=True, slots=True)
class KnownSession:
    """A live session with its user and that user's roles."""

    user: User
    session_id: str
    expires_at: datetime
    roles: frozenset[str]
    actors: dict[tuple[str, str, str], Actor] = field(default_factory=dict)
    """Callers made of it, by address, User-Agent and locale: most requests of a session are alike."""


class Auth:
    def __init__(self, db: Database, secret: ServerSecret) -> None:
        self._db = db
        self._secret = secret
        self._sessions: dict[tuple[str, str], KnownSession] = {}
        self._by_user: dict[str, set[tuple[str, str]]] = {}
        self._keys: dict[tuple[str, str], frozenset[str]] = {}
        self._generation = 0
        db.on_invalidate(self._forget)

    def _forget(self, kind: str, key: str) -> None:
        if kind == "user":
            self._generation += 1
            for known in self._by_user.pop(key, ()):
                self._sessions.pop(known, None)
        elif kind == "keys":
            self._generation += 1
            self._keys = {known: scopes for known, scopes in self._keys.items() if known[0] != key}

    async def identify(
        self, project: Project, credentials: Credentials, *, ip: str = "", user_agent: str = "", locale: str = "en"
    ) -> Actor:
        """The caller of a request on a project. A JWT wins over a session, and a user or administrator over a key.

        A session of the console wins over one of the project, which browsers send along when both are on one host;
        that of somebody who does not administer the project is that of a guest.

        Raises `JwtInvalid` for a bad JWT and `ScopeMissing` for a key that is none of the project's, whoever else the
        request is from; for an administrator also `UserBlocked` and `PasswordResetRequired`.
        """
        known: KnownSession | None = None
        admin: tuple[str, frozenset[str]] | None = None
        seen = (ip, user_agent, locale)
        if credentials.admin_session and not credentials.jwt:
            admin = await self._administrator(project, credentials.admin_session)
        elif credentials.session and not credentials.jwt and not credentials.key:
            known = await self.session(project.id, credentials.session)
            if known is not None and seen in known.actors:
                return known.actors[seen]
        elif credentials.jwt:
            known = await self.known_session(project.id, *self._secret.read_jwt(credentials.jwt))
        elif credentials.session:
            known = await self.session(project.id, credentials.session)
        scopes = await self._scopes_of_key(project.id, credentials.key) if credentials.key else NO_SCOPES
        if scopes is None:
            raise ScopeMissing("The API key is not a key of this project (role: guest)")
        kind, roles, admin_id = ActorKind.GUEST, GUEST_ROLES, ""
        if known is not None:
            kind, roles, scopes = ActorKind.USER, known.roles, NO_SCOPES
        elif admin is not None:
            kind, (admin_id, roles), scopes = ActorKind.ADMIN, admin, NO_SCOPES
        elif credentials.key:
            kind, roles = ActorKind.KEY, KEY_ROLES
        actor = Actor(
            kind=kind,
            project_id=project.id,
            roles=roles,
            user=known.user if known else None,
            session_id=known.session_id if known else "",
            via_jwt=bool(known and credentials.jwt),
            with_key=bool(credentials.key),
            scopes=scopes,
            admin_id=admin_id,
            ip=ip,
            user_agent=user_agent,
            locale=locale,
        )
        if known is not None and not actor.via_jwt and not actor.with_key and len(known.actors) < _ACTORS_KEPT:
            known.actors[seen] = actor
        return actor

    def check_jwt(self, token: str) -> None:
        """Raises `JwtInvalid` for a bad JWT; for requests on no project, which cannot be of anybody."""
        self._secret.read_jwt(token)

    async def session(self, project_id: str, value: str) -> KnownSession | None:
        """The live session behind a cookie value, or None when it does not decode, is unknown or has expired."""
        key = (project_id, value)
        known = self._sessions.get(key)
        if known is None:
            known = await self._load(key)
        if known is None or known.expires_at < datetime.now(UTC):
            return None
        return known

    async def _load(self, key: tuple[str, str]) -> KnownSession | None:
        parts = decode_session(key[1])
        if parts is None:
            return None
        project_id = key[0]
        user_id, secret = parts
        generation = self._generation
        session = await self._db.read(session_rows.by_secret(project_id, user_id, hash_secret(secret)))
        user = await self._db.read(user_rows.get(project_id, user_id)) if session else None
        if session is None or user is None:
            return None
        known = KnownSession(user, session.id, session.expires_at, await self._roles(project_id, user_id))
        if generation == self._generation:
            if len(self._sessions) >= MOST_KEPT:
                self._sessions.clear()
                self._by_user.clear()
            self._sessions[key] = known
            self._by_user.setdefault(user_id, set()).add(key)
        return known

    async def _roles(self, project_id: str, user_id: str) -> frozenset[str]:
        memberships = await self._db.read(user_rows.memberships(project_id, user_id))
        return user_roles(user_id, ((team_id, orjson.loads(roles)) for team_id, roles in memberships))

    async def known_session(self, project_id: str, user_id: str, session_id: str) -> KnownSession | None:
        """A session that was known before, as it is now; None when it or its user is gone or it has expired."""
        session = await self._db.read(session_rows.get(project_id, user_id, session_id))
        user = await self._db.read(user_rows.get(project_id, user_id)) if session else None
        if session is None or user is None or session.expires_at < datetime.now(UTC):
            return None
        return KnownSession(user, session_id, session.expires_at, await self._roles(project_id, user_id))

    async def _scopes_of_key(self, project_id: str, secret: str) -> frozenset[str] | None:
        secret_hash = hash_secret(secret)
        known = self._keys.get((project_id, secret_hash))
        if known is not None:
            return known
        generation = self._generation
        key = await self._db.read(key_rows.by_secret(project_id, secret_hash))
        if key is None:
            return None
        scopes = frozenset(key.scopes)
        if generation == self._generation:
            if len(self._keys) >= MOST_KEPT:
                self._keys.clear()
            self._keys[project_id, secret_hash] = scopes
        return scopes

    async def _administrator(self, project: Project, value: str) -> tuple[str, frozenset[str]] | None:
        """Id and roles of a console user who has joined the team that owns the project."""
        known = await self.session(CONSOLE, value)
        if known is None or project.id == CONSOLE or f"team:{project.team_id}" not in known.roles:
            return None
        if known.user.is_blocked:
            raise UserBlocked
        if known.user.reset_required:
            raise PasswordResetRequired
        held = {role for role in ADMIN_ROLES if f"team:{project.team_id}/{role}" in known.roles}
        return known.user.id, frozenset({ANY, *(f"role:{role}" for role in held or {COLLEAGUE})})
