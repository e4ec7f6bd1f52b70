"""Which scopes a caller has, and which a key can have."""

from __future__ import annotations

PUBLIC = "public"

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

SCOPES = {
    "guest": frozenset((PUBLIC, "home", "console", "documents.read", "files.read", "locale.read", "avatars.read")),
    "member": frozenset(
        (
            PUBLIC,
            "home",
            "console",
            "account",
            "projects.read",
            "projects.write",
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
    ),
    "application": frozenset(("health.read",)),
    "owner": frozenset(
        (
            PUBLIC,
            "home",
            "console",
            *KEY_SCOPES,
            "projects.read",
            "projects.write",
            "platforms.read",
            "platforms.write",
            "keys.read",
            "keys.write",
            "webhooks.read",
            "webhooks.write",
        )
    ),
}
