"""Who may see and who may change a project with its platforms, keys, webhooks and settings.

A project belongs to a team of the project `console`. Everybody who has joined that team may see it, `owner` and
`developer` may change it. For a change that is looked up in the unit itself: who was put out of the team a moment ago
can no longer do anything.
"""

from __future__ import annotations

from litewrite.db import memberships as membership_rows
from litewrite.db import projects as project_rows
from litewrite.db.engine import Database, Transaction
from litewrite.entities import CONSOLE, Project
from litewrite.errors import ProjectNotFound, Unauthorized
from litewrite.permissions import Actor, ActorKind

CHANGING_ROLES = ("owner", "developer")
OPERATOR = Actor(kind=ActorKind.ADMIN, project_id=CONSOLE)
"""Who gives commands on the machine itself, and may do everything."""
MASK = "••••••••"
"""What is shown of a secret that stays hidden. Sent back, it stands for the secret that is stored."""


def reader(actor: Actor) -> str | None:
    """Whose projects the caller may see; None for all. A guest's id is empty and that of no member."""
    return None if actor.is_server else actor.user_id


def may_change(actor: Actor, project: Project) -> bool:
    """By the roles that the caller came with, which is enough to decide what it is shown."""
    return actor.is_server or any(f"team:{project.team_id}/{role}" in actor.roles for role in CHANGING_ROLES)


def has_changing_role(tx: Transaction, actor: Actor, team_id: str) -> bool:
    """Whether the caller may change the projects of a console team."""
    if actor.is_server:
        return True
    own = tx.run(membership_rows.of_user(CONSOLE, actor.user_id, team_id))
    return own is not None and own.confirmed and any(role in own.roles for role in CHANGING_ROLES)


def changeable(tx: Transaction, actor: Actor, project_id: str) -> Project:
    """The project when the caller may change it. Raises `ProjectNotFound`, and `Unauthorized` to those who may look."""
    project = tx.run(project_rows.get(project_id, member_id=reader(actor)))
    if project is None:
        raise ProjectNotFound(f"There is no project with the id {project_id}")
    if not has_changing_role(tx, actor, project.team_id):
        raise Unauthorized("Only owners and developers of the team may change its projects")
    return project


async def ensure_readable(db: Database, actor: Actor, project_id: str) -> None:
    """Raises `ProjectNotFound` unless the caller may see the project."""
    if await db.read(project_rows.get(project_id, member_id=reader(actor))) is None:
        raise ProjectNotFound(f"There is no project with the id {project_id}")
