"""Who is asking, and whether they may.

An `Actor` is built once a request and carries the roles of the caller. Permission is decided here for single things;
lists are filtered inside the query by the same roles, so that paging and totals stay right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from litewrite.entities import Permissions, User

ANY = "*"
GUEST = "role:guest"
MEMBER = "role:member"
APPLICATION = "role:app"
SELF = "{self}"

GUEST_ROLES = frozenset((ANY, GUEST))


class ActorKind(Enum):
    GUEST = "guest"
    USER = "member"
    KEY = "application"
    ADMIN = "owner"


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller of one request, on one project."""

    kind: ActorKind
    project_id: str
    roles: frozenset[str] = GUEST_ROLES
    user: User | None = None
    """The user of the project who is calling; None for guests, keys and administrators, who are no users of it."""
    session_id: str = ""
    """The session the request was made with, also when a JWT named it; empty for guests and keys."""
    via_jwt: bool = False
    with_key: bool = False
    """Whether the request carried a valid API key, which also a user may do, whom the key then gives nothing."""
    scopes: frozenset[str] = frozenset()
    """The scopes of an API key or an administrator; those of guests and users belong to the dialect."""
    admin_id: str = ""
    """The console user behind an administrator."""
    ip: str = ""
    user_agent: str = ""
    locale: str = "en"

    @property
    def is_server(self) -> bool:
        """Keys and administrators: no permission check applies to them."""
        return self.kind is ActorKind.KEY or self.kind is ActorKind.ADMIN

    @property
    def user_id(self) -> str:
        """Id of the acting user; empty for guests and keys, `admin-<id>` for administrators."""
        if self.user is not None:
            return self.user.id
        return f"admin-{self.admin_id}" if self.admin_id else ""

    @property
    def own_role(self) -> tuple[str, ...]:
        """The role list a new resource gets when the caller names none: the caller alone, or nobody for keys."""
        user_id = self.user_id
        return (f"user:{user_id}",) if user_id else ()


def user_roles(user_id: str, memberships: Iterable[tuple[str, Iterable[str]]]) -> frozenset[str]:
    """The roles of a user who has confirmed the given memberships, each a team id and its roles."""
    roles = {ANY, MEMBER, f"user:{user_id}"}
    for team_id, team_roles in memberships:
        roles.add(f"team:{team_id}")
        roles.update(f"team:{team_id}/{role}" for role in team_roles)
    return frozenset(roles)


def allows(listed: tuple[str, ...], actor: Actor, resource_id: str = "") -> bool:
    """Whether one of the listed roles is held by the actor. `{self}` in a role stands for the resource's id."""
    if actor.is_server:
        return True
    roles = actor.roles
    for role in listed:
        if role in roles:
            return True
        if SELF in role and role.replace(SELF, resource_id) in roles:
            return True
    return False


def can_read(permissions: Permissions, actor: Actor, resource_id: str = "") -> bool:
    return allows(permissions.read, actor, resource_id)


def can_write(permissions: Permissions, actor: Actor, resource_id: str = "") -> bool:
    return allows(permissions.write, actor, resource_id)
