"""Which scopes a caller has, and which a key can have."""

from __future__ import annotations

PUBLIC = "public"
MAILS = "mails.read"
"""Reading the outbox, whose links log users in; no key can have it."""

KEY_SCOPES = (
    "users.read",
    "users.write",
    "teams.read",
    "teams.write",
    "collections.read",
    "collections.write",
    "documents.read",
    "documents.write",
    "files.read",
    "files.write",
    "functions.read",
    "functions.write",
    "execution.read",
    "execution.write",
    "locale.read",
    "avatars.read",
    "health.read",
)

_PEOPLE = (PUBLIC, "home", "console")
_MEMBER = (
    "teams.read",
    "teams.write",
    "documents.read",
    "documents.write",
    "files.read",
    "files.write",
    "locale.read",
    "avatars.read",
    "execution.read",
    "execution.write",
)
_PROJECTS = ("projects.read", "projects.write")
_ADMINISTRATION = frozenset(
    (
        *KEY_SCOPES,
        "platforms.read",
        "platforms.write",
        "keys.read",
        "keys.write",
        "webhooks.read",
        "webhooks.write",
        MAILS,
    )
)

SCOPES = {
    "guest": frozenset((*_PEOPLE, "documents.read", "files.read", "locale.read", "avatars.read")),
    "member": frozenset((*_PEOPLE, "account", *_PROJECTS, *_MEMBER)),
    "application": frozenset(("health.read",)),
    # Administrators, by their roles in the team that owns the project. They have no account in it.
    "owner": _ADMINISTRATION | {*_PEOPLE, *_PROJECTS},
    "developer": _ADMINISTRATION,
    "admin": _ADMINISTRATION,
    "colleague": frozenset((*_PEOPLE, *_PROJECTS, *_MEMBER)),
}
"""Scopes by kind of caller. `colleague` is an administrator with none of the three roles."""
