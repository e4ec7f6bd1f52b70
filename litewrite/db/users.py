"""Users, as rows, and their names and addresses in the search index, which no caller has to think of."""

from __future__ import annotations

from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, to_micros
from litewrite.db.pages import Window, page
from litewrite.db.query import Query, Row, Value, one, scalar
from litewrite.db.search import clause, scope_of
from litewrite.entities import Page, User, UserStatus

COLUMNS = (
    "project_id, id, name, email, email_verified, status, password_hash, password_updated_at, reset_required, "
    "preferences, registered_at"
)


def make(row: Row) -> User:
    return User(
        project_id=row[0],
        id=row[1],
        name=row[2],
        email=row[3],
        email_verified=bool(row[4]),
        status=UserStatus(row[5]),
        password_hash=row[6],
        password_updated_at=from_micros(row[7]),
        reset_required=bool(row[8]),
        preferences=row[9],
        registered_at=from_micros(row[10]),
    )


def values(user: User) -> tuple[str | int, ...]:
    return (
        user.project_id,
        user.id,
        user.name,
        user.email,
        int(user.email_verified),
        int(user.status),
        user.password_hash,
        to_micros(user.password_updated_at),
        int(user.reset_required),
        user.preferences,
        to_micros(user.registered_at),
    )


def get(project_id: str, user_id: str) -> Query[User | None]:
    return Query(f"SELECT {COLUMNS} FROM users WHERE project_id = ? AND id = ?", (project_id, user_id), one(make))


def by_email(project_id: str, email: str) -> Query[User | None]:
    """The user who took the address first; `email` is in lower case."""
    return Query(
        f"SELECT {COLUMNS} FROM users WHERE project_id = ? AND email = ? AND email <> '' ORDER BY id LIMIT 1",
        (project_id, email),
        one(make),
    )


def list_page(project_id: str, window: Window) -> Query[Page[User]]:
    """A page of the users of a project in the order of registration."""
    condition = "project_id = ?"
    params: list[Value] = [project_id]
    found = clause(_scope(project_id), window.search, "id", packed=False)
    if found is not None:
        condition += f" AND {found[0]}"
        params += found[1]
    return page(COLUMNS, "users", condition, params, window, make)


def count(project_id: str) -> Query[int]:
    return Query("SELECT count(*) FROM users WHERE project_id = ?", (project_id,), scalar)


def memberships(project_id: str, user_id: str) -> Query[tuple[tuple[str, str], ...]]:
    """Team id and roles (a JSON array) of every membership that the user has confirmed."""
    return Query(
        "SELECT team_id, roles FROM memberships WHERE project_id = ? AND user_id = ? AND confirmed = 1",
        (project_id, user_id),
        lambda rows: tuple((row[0], row[1]) for row in rows),
    )


def _scope(project_id: str) -> str:
    return scope_of("users", project_id)


class UserStore:
    def insert(self, tx: Transaction, user: User) -> None:
        tx.execute(f"INSERT INTO users ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values(user))
        tx.stores.search.add(tx, _scope(user.project_id), user.id, (user.name, user.email))

    def update(self, tx: Transaction, user: User) -> None:
        """Store every field of a user that exists, and tell the caches."""
        project_id, user_id, *rest = values(user)
        indexed = tx.row("SELECT name, email FROM users WHERE project_id = ? AND id = ?", (project_id, user_id))
        if indexed is None:
            return
        tx.execute(
            "UPDATE users SET name = ?, email = ?, email_verified = ?, status = ?, password_hash = ?, "
            "password_updated_at = ?, reset_required = ?, preferences = ?, registered_at = ? "
            "WHERE project_id = ? AND id = ?",
            (*rest, project_id, user_id),
        )
        tx.stores.search.replace(tx, _scope(user.project_id), user.id, indexed, (user.name, user.email))
        tx.invalidate("user", user.id)

    def delete(self, tx: Transaction, project_id: str, user_id: str) -> None:
        """Remove a user with its sessions and tokens; what it has made stays, and its memberships are rows of teams."""
        indexed = tx.row("SELECT name, email FROM users WHERE project_id = ? AND id = ?", (project_id, user_id))
        if indexed is None:
            return
        for table in ("sessions", "tokens", "identities"):
            tx.execute(f"DELETE FROM {table} WHERE project_id = ? AND user_id = ?", (project_id, user_id))
        tx.execute("DELETE FROM users WHERE project_id = ? AND id = ?", (project_id, user_id))
        tx.stores.search.remove(tx, _scope(project_id), user_id, indexed)
        tx.invalidate("user", user_id)

    def delete_of_project(self, tx: Transaction, project_id: str, limit: int) -> int:
        """Delete up to `limit` users of a project and return how many there were."""
        rows = tx.rows("SELECT id FROM users WHERE project_id = ? LIMIT ?", (project_id, limit))
        for row in rows:
            self.delete(tx, project_id, row[0])
        return len(rows)
