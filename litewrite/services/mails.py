"""Mails that a unit of work sends: stored in the same transaction, then kept in the outbox or queued for delivery.

A request never waits for a mail server. Each project keeps its newest mails for those who read the outbox; what is
queued is limited too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from litewrite.db import mails as mail_rows
from litewrite.db.engine import Database, Transaction
from litewrite.entities import MailState, Project, StoredMail
from litewrite.errors import MailNotFound, Overloaded
from litewrite.mail import Mail, compose
from litewrite.reference import Reference
from litewrite.security import ServerSecret

if TYPE_CHECKING:
    from litewrite.config import Config

KEPT_MAILS = 1_000
"""Mails of a project that the outbox keeps, the newest ones."""
QUEUED_MAILS = 10_000
"""Mails of a project that may wait to be sent."""


class Mails:
    """`on_queued`, when set, is called on the event loop after the commit of a mail that is to be sent."""

    def __init__(self, db: Database, secret: ServerSecret, config: Config, reference: Reference) -> None:
        self._db = db
        self._secret = secret
        self._mode = config.mail_mode
        self._reference = reference
        self._arrived: asyncio.Event = asyncio.Event()
        self.on_queued: Callable[[], None] | None = None

    @property
    def mode(self) -> str:
        """`outbox`, `smtp` or `off`."""
        return self._mode

    @property
    def enabled(self) -> bool:
        """Whether mails are sent or kept at all."""
        return self._mode != "off"

    def queue(
        self,
        tx: Transaction,
        *,
        project: Project,
        kind: str,
        to: str,
        to_name: str,
        locale: str,
        link: str,
        variables: Mapping[str, str],
    ) -> None:
        """Write a mail inside a unit; it goes out when the unit has committed.

        `kind` is one of `mail.KINDS`. `to` is an address in lower case, `to_name` may be empty. Raises `Overloaded`
        when too many mails of the project wait to be sent.
        """
        language, texts = self._reference.mail_texts(locale)
        mail = compose(
            kind,
            texts,
            locale=language,
            direction=self._reference.direction(language),
            project=project.name or project.id,
            to=to,
            to_name=to_name,
            link=link,
            variables=variables,
        )
        is_sent = self._mode == "smtp"
        if is_sent and tx.run(mail_rows.count_queued(project.id, QUEUED_MAILS)) >= QUEUED_MAILS:
            raise Overloaded
        stored = StoredMail(
            id=tx.new_id(),
            project_id=project.id,
            kind=kind,
            recipient=to,
            content=self._secret.encrypt(mail.dump()),
            state=MailState.QUEUED if is_sent else MailState.KEPT,
            created_at=tx.now,
            due_at=tx.now,
        )
        tx.stores.mails.insert(tx, stored)
        tx.stores.mails.trim(tx, project.id, KEPT_MAILS)
        tx.after_commit(self._notice)

    def _notice(self) -> None:
        self._arrived.set()
        self._arrived = asyncio.Event()
        if self.on_queued is not None:
            self.on_queued()

    async def list(
        self, project_id: str, *, to: str = "", kind: str = "", after: str = "", limit: int = 100
    ) -> tuple[StoredMail, ...]:
        """The newest mails of a project, newest first; they do not tell what they say.

        `to` (an address), `kind` and `after` (the id of an earlier mail) narrow it down.
        """
        return await self._db.read(
            mail_rows.newest(project_id, recipient=to.lower(), kind=kind, after=after, limit=limit)
        )

    async def get(self, project_id: str, mail_id: str) -> StoredMail:
        """Raises `MailNotFound`."""
        stored = await self._db.read(mail_rows.get(project_id, mail_id))
        if stored is None:
            raise MailNotFound
        return stored

    async def wait(
        self, project_id: str, *, to: str = "", kind: str = "", after: str = "", seconds: float
    ) -> StoredMail | None:
        """The newest mail that there is, or else the first one that comes within some seconds; None when none does."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while True:
            arrived = self._arrived
            found = await self.list(project_id, to=to, kind=kind, after=after, limit=1)
            if found:
                return found[0]
            try:
                async with asyncio.timeout(until - clock()):
                    await arrived.wait()
            except TimeoutError:
                return None

    def read(self, stored: StoredMail) -> Mail:
        """What a mail says. Raises ValueError when it has been sent, or the server secret is another one."""
        if not stored.content:
            raise ValueError("the mail has been sent, and what it said is gone")
        return Mail.load(self._secret.decrypt(stored.content))


def link_with(url: str, parameters: Sequence[tuple[str, str]]) -> str:
    """The URL with parameters merged into its query.

    Present parameters stay in front, one of the same name is overwritten in its place; the fragment stays at the end.
    """
    parts = urlsplit(url)
    ours = dict(parameters)
    merged: list[tuple[str, str]] = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in ours:
            merged.append((name, value))
        elif all(name != known for known, _ in merged):
            merged.append((name, ours[name]))
    present = {name for name, _ in merged}
    merged += [pair for pair in parameters if pair[0] not in present]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(merged), parts.fragment))
