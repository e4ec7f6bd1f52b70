"""Who a user is at the providers of logins, as rows; and the logins that were finished, each of which counts once."""

from __future__ import annotations

from datetime import datetime

from litewrite.db.engine import Transaction
from litewrite.db.ids import to_micros
from litewrite.db.query import Query, one
from litewrite.db.users import COLUMNS as USER_COLUMNS
from litewrite.db.users import make as make_user
from litewrite.entities import User

_SLICE = 100
_USER = ", ".join(f"users.{column.strip()}" for column in USER_COLUMNS.split(","))


def user_of(project_id: str, provider: str, uid: str) -> Query[User | None]:
    """The user who is this person at the provider."""
    return Query(
        f"SELECT {_USER} FROM identities "
        "JOIN users ON users.project_id = identities.project_id AND users.id = identities.user_id "
        "WHERE identities.project_id = ? AND provider = ? AND provider_uid = ?",
        (project_id, provider, uid),
        one(make_user),
    )


class IdentityStore:
    def link(self, tx: Transaction, project_id: str, provider: str, uid: str, user_id: str) -> None:
        """Remember that a person at a provider is this user; whoever it was before, no longer."""
        tx.execute(
            "INSERT INTO identities (project_id, provider, provider_uid, user_id) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (project_id, provider, provider_uid) DO UPDATE SET user_id = excluded.user_id",
            (project_id, provider, uid, user_id),
        )

    def revoke_access(self, tx: Transaction, user: User) -> None:
        """Take away everything, but a password, by which somebody else may so far have acted as the user.

        That is its sessions, its tokens for recovery, verification and magic links, its identities at providers, and
        the secrets of invitations that went to another address than the user's.
        """
        for table in ("sessions", "tokens", "identities"):
            tx.execute(f"DELETE FROM {table} WHERE project_id = ? AND user_id = ?", (user.project_id, user.id))
        tx.execute(
            "UPDATE memberships SET secret_hash = '' WHERE project_id = ? AND user_id = ? AND invited_email <> ?",
            (user.project_id, user.id, user.email),
        )
        tx.invalidate("user", user.id)

    def finish_login(self, tx: Transaction, login_id: str, expires_at: datetime) -> bool:
        """Note that a login came back; False when it had done so before. Those that have expired are forgotten."""
        tx.execute(
            "DELETE FROM finished_logins WHERE id IN (SELECT id FROM finished_logins WHERE expires_at <= ? LIMIT ?)",
            (to_micros(tx.now), _SLICE),
        )
        return bool(
            tx.execute(
                "INSERT INTO finished_logins (id, expires_at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
                (login_id, to_micros(expires_at)),
            )
        )
