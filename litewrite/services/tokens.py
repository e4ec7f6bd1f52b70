"""What users do with a secret that was mailed to them: recover a password, verify an address, log in.

A token works once, until it expires, and only as long as its user has the address that it was sent to: whoever reads a
mailbox that somebody has left gets nothing by an old link.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from litewrite.db import projects as project_rows
from litewrite.db import tokens as token_rows
from litewrite.db import users as user_rows
from litewrite.db.engine import Database, Transaction
from litewrite.entities import CONSOLE, Session, Token, User
from litewrite.errors import (
    ArgumentInvalid,
    InvalidToken,
    MailDisabled,
    PasswordMismatch,
    RegistrationClosed,
    ScopeMissing,
    UserBlocked,
    UserNotFound,
)
from litewrite.events import Event
from litewrite.permissions import Actor
from litewrite.security import Passwords, encode_session, hash_secret, new_secret
from litewrite.services.accounts import Accounts, ensure_room, record
from litewrite.services.mails import Mails, link_with

RECOVERY = "recovery"
VERIFICATION = "verification"
MAGIC_URL = "magic-url"

LIFETIMES = {
    RECOVERY: timedelta(hours=1),
    VERIFICATION: timedelta(days=7),
    MAGIC_URL: timedelta(days=7),
}


class Tokens:
    """The methods that create a token return it with its plain secret, which nobody but its user may see.

    They take a URL that has been checked already and raise `MailDisabled` when nothing can be mailed. Those that use
    one up raise `UserNotFound` and, for a secret that is wrong, expired or used, `InvalidToken`.
    """

    def __init__(self, db: Database, passwords: Passwords, accounts: Accounts, mails: Mails) -> None:
        self._db = db
        self._passwords = passwords
        self._accounts = accounts
        self._mails = mails

    async def create_recovery(self, actor: Actor, *, email: str, url: str) -> tuple[Token, str]:
        """Mail the user with an address (in lower case) a link for setting a new password.

        Raises `UserNotFound` and `UserBlocked`.
        """
        self._check_mail()
        secret = new_secret()

        def unit(tx: Transaction) -> Token:
            user = tx.run(user_rows.by_email(actor.project_id, email))
            if user is None:
                raise UserNotFound
            if user.is_blocked:
                raise UserBlocked
            token = self._send(tx, actor, user, RECOVERY, secret, url)
            _report(tx, actor, token, "create", secret)
            return token

        return await self._db.write(unit), secret

    async def update_recovery(
        self, actor: Actor, *, user_id: str, secret: str, password: str, password_again: str
    ) -> Token:
        """Set a new password, which also verifies the address. Sessions stay. Raises `PasswordMismatch`."""
        if password != password_again:
            raise PasswordMismatch
        # Spares the hash.
        if await self._db.read(user_rows.get(actor.project_id, user_id)) is None:
            raise UserNotFound
        if await self._db.read(token_rows.by_secret(actor.project_id, user_id, RECOVERY, hash_secret(secret))) is None:
            raise InvalidToken
        password_hash = await self._passwords.hash(password)

        def unit(tx: Transaction) -> Token:
            user, token = _find(tx, actor, user_id, RECOVERY, secret)
            tx.stores.tokens.delete(tx, token)
            user = replace(
                user,
                password_hash=password_hash,
                password_updated_at=tx.now,
                reset_required=False,
                email_verified=True,
            )
            tx.stores.users.update(tx, user)
            _report(tx, actor, token, "update", token.secret_hash)
            return token

        return await self._db.write(unit)

    async def create_verification(self, actor: Actor, *, url: str) -> tuple[Token, str]:
        """Mail the calling user a link that verifies its address. Raises `ArgumentInvalid` when it has none."""
        self._check_mail()
        secret = new_secret()

        def unit(tx: Transaction) -> Token:
            user = tx.run(user_rows.get(actor.project_id, actor.user_id))
            if user is None:
                raise ScopeMissing("This call needs a user, and the one who called is gone")
            if user.is_blocked:
                raise UserBlocked
            if not user.email:
                raise ArgumentInvalid("", "The user has no e-mail address that could be verified")
            token = self._send(tx, actor, user, VERIFICATION, secret, url)
            _report(tx, actor, token, "create", secret)
            return token

        return await self._db.write(unit), secret

    async def update_verification(self, actor: Actor, *, user_id: str, secret: str) -> Token:
        """Note that the address of a user is verified."""

        def unit(tx: Transaction) -> Token:
            user, token = _find(tx, actor, user_id, VERIFICATION, secret)
            tx.stores.tokens.delete(tx, token)
            tx.stores.users.update(tx, replace(user, email_verified=True))
            _report(tx, actor, token, "update", token.secret_hash)
            return token

        return await self._db.write(unit)

    async def create_magic_url(self, actor: Actor, *, email: str, url: str) -> tuple[Token, str]:
        """Mail a link that logs in to an address (in lower case), and register a user when nobody has it.

        Raises `UserBlocked`, `UserCountExceeded`, and, for a new address on the project of the administrators,
        `RegistrationClosed`.
        """
        self._check_mail()
        secret = new_secret()

        def unit(tx: Transaction) -> Token:
            user = tx.run(user_rows.by_email(actor.project_id, email))
            if user is None:
                user = _registered(tx, actor, email)
            if user.is_blocked:
                raise UserBlocked
            return self._send(tx, actor, user, MAGIC_URL, secret, url)

        return await self._db.write(unit), secret

    async def update_magic_url(self, actor: Actor, *, user_id: str, secret: str) -> tuple[Session, str]:
        """Log in with a mailed secret, which verifies the address; returns the session and the value of its cookie.

        Raises `UserBlocked`.
        """
        client = await self._accounts.detect(actor.user_agent)
        session_secret = new_secret()

        def unit(tx: Transaction) -> Session:
            user, token = _find(tx, actor, user_id, MAGIC_URL, secret)
            session = self._accounts.start_session(tx, actor, user, session_secret, client, provider=MAGIC_URL)
            tx.stores.tokens.delete(tx, token)
            if not user.email_verified:
                tx.stores.users.update(tx, replace(user, email_verified=True))
            return session

        return await self._db.write(unit), encode_session(user_id, session_secret)

    def _check_mail(self) -> None:
        if not self._mails.enabled:
            raise MailDisabled

    def _send(self, tx: Transaction, actor: Actor, user: User, kind: str, secret: str, url: str) -> Token:
        project = tx.run(project_rows.get(user.project_id))
        assert project is not None
        token = Token(
            id=tx.new_id(),
            project_id=user.project_id,
            user_id=user.id,
            kind=kind,
            email=user.email,
            secret_hash=hash_secret(secret),
            expires_at=(tx.now + LIFETIMES[kind]).replace(microsecond=0),
        )
        tx.stores.tokens.insert(tx, token)
        parameters = [
            ("userId", user.id),
            ("secret", secret),
            ("expire", str(int(token.expires_at.timestamp()))),
        ]
        is_magic = kind == MAGIC_URL
        if is_magic:
            parameters.append(("project", project.id))
        self._mails.queue(
            tx,
            project=project,
            kind="magic-link" if is_magic else kind,
            to=user.email,
            to_name="" if is_magic else user.name,
            locale=actor.locale,
            link=link_with(url, parameters),
            variables={},
        )
        return token


def _find(tx: Transaction, actor: Actor, user_id: str, kind: str, secret: str) -> tuple[User, Token]:
    """The user and the token behind a secret that works."""
    user = tx.run(user_rows.get(actor.project_id, user_id))
    if user is None:
        raise UserNotFound
    token = tx.run(token_rows.by_secret(actor.project_id, user_id, kind, hash_secret(secret)))
    if token is None or token.expires_at < tx.now or token.email != user.email:
        raise InvalidToken
    return user, token


def _registered(tx: Transaction, actor: Actor, email: str) -> User:
    """A user that has neither name nor password."""
    if actor.project_id == CONSOLE:
        raise RegistrationClosed
    ensure_room(tx, actor.project_id)
    user = User(
        id=tx.new_id(),
        project_id=actor.project_id,
        name="",
        email=email,
        registered_at=tx.now,
        password_updated_at=tx.now,
    )
    tx.stores.users.insert(tx, user)
    record(tx, actor, user.id, "users.create", f"users/{user.id}")
    return user


def _report(tx: Transaction, actor: Actor, token: Token, action: str, secret: str) -> None:
    record(tx, actor, token.user_id, f"account.{token.kind}.{action}", f"users/{token.user_id}")
    tx.emit(Event(token.kind, action, token, actor, {"secret": secret}))
