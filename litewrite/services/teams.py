"""Teams and who belongs to them.

The roles that a team gives come from its memberships, so here they are looked up in the unit itself instead of taken
from the caller: who was put out a moment ago can no longer do anything. Members may read a team, those with the role
`owner` may change it, and keys and administrators may do everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from litewrite.db import memberships as membership_rows
from litewrite.db import projects as project_rows
from litewrite.db import teams as team_rows
from litewrite.db import users as user_rows
from litewrite.db.engine import Database, Transaction
from litewrite.db.pages import Window
from litewrite.entities import EPOCH, Member, Membership, Page, Session, Team, User
from litewrite.errors import (
    InvitationMismatch,
    InvitationNotFound,
    InvitationSecretInvalid,
    MailDisabled,
    MembershipExists,
    MembershipMismatch,
    MembershipNotFound,
    ScopeMissing,
    TeamNotFound,
    Unauthorized,
    UserBlocked,
    UserNotFound,
)
from litewrite.events import Event
from litewrite.permissions import Actor
from litewrite.security import encode_session, hash_secret, new_secret, same
from litewrite.services.accounts import Accounts, ensure_room, record
from litewrite.services.mails import Mails, link_with

OWNER = "owner"
"""The one role of a team with a meaning of its own."""


class Teams:
    """Every method that takes a team's id raises `TeamNotFound` when there is none or the caller has not joined it."""

    def __init__(self, db: Database, accounts: Accounts, mails: Mails) -> None:
        self._db = db
        self._accounts = accounts
        self._mails = mails

    async def create(self, actor: Actor, *, name: str, roles: Sequence[str] = (OWNER,)) -> Team:
        """Make a team. A user becomes its first member, with the given roles; keys make it empty."""

        def unit(tx: Transaction) -> Team:
            user = None if actor.is_server else _caller(tx, actor)
            team = Team(
                id=tx.new_id(),
                project_id=actor.project_id,
                name=name,
                total=0 if user is None else 1,
                created_at=tx.now,
            )
            tx.stores.teams.insert(tx, team)
            if user is not None:
                membership = Membership(
                    id=tx.new_id(),
                    project_id=team.project_id,
                    team_id=team.id,
                    user_id=user.id,
                    roles=tuple(roles),
                    invited_at=tx.now,
                    joined_at=tx.now,
                    confirmed=True,
                )
                tx.stores.memberships.insert(tx, membership)
            tx.emit(Event("team", "create", team, actor))
            return team

        return await self._db.write(unit)

    async def list(
        self, actor: Actor, *, search: str = "", limit: int = 25, offset: int = 0, descending: bool = False
    ) -> Page[Team]:
        """A page of the teams that the caller has joined, or of all for keys, in the order of creation."""
        window = Window(limit, offset, descending, search)
        return await self._db.read(team_rows.list_page(actor.project_id, window, member_id=_reader(actor)))

    async def get(self, actor: Actor, team_id: str) -> Team:
        team = await self._db.read(team_rows.get(actor.project_id, team_id, member_id=_reader(actor)))
        if team is None:
            raise TeamNotFound
        return team

    async def update(self, actor: Actor, team_id: str, *, name: str) -> Team:
        """Rename a team. Raises `Unauthorized` to members who are no owners."""

        def unit(tx: Transaction) -> Team:
            team = _owned(tx, actor, team_id)
            tx.stores.teams.rename(tx, team, name)
            team = replace(team, name=name)
            tx.emit(Event("team", "update", team, actor))
            return team

        return await self._db.write(unit)

    async def delete(self, actor: Actor, team_id: str) -> None:
        """Remove a team with its memberships. Raises `Unauthorized` to members who are no owners."""

        def unit(tx: Transaction) -> None:
            team = _owned(tx, actor, team_id)
            tx.stores.memberships.delete_of_team(tx, team.project_id, team.id)
            tx.stores.teams.delete(tx, team)
            tx.emit(Event("team", "delete", team, actor))

        await self._db.write(unit)

    async def members(
        self,
        actor: Actor,
        team_id: str,
        *,
        search: str = "",
        limit: int = 25,
        offset: int = 0,
        descending: bool = False,
    ) -> Page[Member]:
        """A page of the memberships of a team, pending ones too, in the order of their creation."""
        window = Window(limit, offset, descending, search)
        page = await self._db.read(
            membership_rows.list_page(actor.project_id, team_id, window, member_id=_reader(actor))
        )
        if not page.total:
            await self.get(actor, team_id)
        return page

    async def create_membership(
        self, actor: Actor, team_id: str, *, email: str, roles: Sequence[str], url: str, name: str = ""
    ) -> Member:
        """Invite the user with an address (in lower case) by mail, or, for keys, add it at once.

        A user that does not exist is made, without a password that anybody knows. `url` is the page behind the link of
        the mail, which gets the secret; it has been checked already.

        Raises `MailDisabled`, `Unauthorized` to members who are no owners, `UserCountExceeded` and `MembershipExists`.
        """
        if not self._mails.enabled:
            raise MailDisabled
        called = name or email
        secret = "" if actor.is_server else new_secret()

        def unit(tx: Transaction) -> Member:
            team = _owned(tx, actor, team_id)
            user = tx.run(user_rows.by_email(team.project_id, email))
            if user is None:
                user = _invited_user(tx, team.project_id, email, called)
            elif tx.run(membership_rows.of_user(team.project_id, user.id, team.id)) is not None:
                raise MembershipExists
            membership = Membership(
                id=tx.new_id(),
                project_id=team.project_id,
                team_id=team.id,
                user_id=user.id,
                roles=tuple(roles),
                invited_at=tx.now,
                joined_at=None if secret else tx.now,
                confirmed=not secret,
                secret_hash=hash_secret(secret) if secret else "",
                invited_email=email,
            )
            tx.stores.memberships.insert(tx, membership)
            if secret:
                self._send(tx, actor, team, membership, secret, called=called, url=url)
            else:
                tx.stores.teams.count_in(tx, team.project_id, team.id)
            member = Member(membership, name=called, email=email)
            _report(tx, actor, "create", member, user.id)
            return member

        return await self._db.write(unit)

    def _send(
        self, tx: Transaction, actor: Actor, team: Team, membership: Membership, secret: str, *, called: str, url: str
    ) -> None:
        project = tx.run(project_rows.get(team.project_id))
        assert project is not None
        assert actor.user is not None
        link = link_with(
            url,
            (
                ("membershipId", membership.id),
                ("userId", membership.user_id),
                ("secret", secret),
                ("teamId", team.id),
            ),
        )
        self._mails.queue(
            tx,
            project=project,
            kind="invitation",
            to=membership.invited_email,
            to_name=called,
            locale=actor.locale,
            link=link,
            variables={"owner": actor.user.name or actor.user.email, "team": team.name},
        )

    async def update_roles(self, actor: Actor, team_id: str, membership_id: str, *, roles: Sequence[str]) -> Member:
        """Replace the roles of a member, which count from its next request on.

        Raises `MembershipNotFound`, `MembershipMismatch`, and `Unauthorized` to members who are no owners.
        """

        def unit(tx: Transaction) -> Member:
            team = _joined(tx, actor, team_id)
            membership = tx.run(membership_rows.get(team.project_id, membership_id))
            if membership is None:
                raise MembershipNotFound
            if membership.team_id != team.id:
                raise MembershipMismatch
            if not _is_owner(tx, actor, team.id):
                raise Unauthorized("User is not allowed to modify roles")
            membership = replace(membership, roles=tuple(roles))
            tx.stores.memberships.update(tx, membership)
            user = tx.run(user_rows.get(team.project_id, membership.user_id))
            member = Member(membership, name=user.name, email=user.email) if user else Member(membership)
            _report(tx, actor, "update", member, actor.user_id)
            return member

        return await self._db.write(unit)

    async def accept(
        self, actor: Actor, team_id: str, membership_id: str, *, user_id: str, secret: str
    ) -> tuple[Member, Session, str]:
        """Let an invitee join and log it in; returns the membership, the session and the value of its cookie.

        The address that the secret was sent to counts as verified, if the user still has it. Accepting again only logs
        in again.

        Raises `InvitationNotFound`, `MembershipMismatch`, `TeamNotFound`, `InvitationSecretInvalid`,
        `InvitationMismatch` and `UserBlocked`.
        """
        client = await self._accounts.detect(actor.user_agent)
        session_secret = new_secret()
        project_id = actor.project_id

        def unit(tx: Transaction) -> tuple[Member, Session]:
            membership = tx.run(membership_rows.get(project_id, membership_id))
            if membership is None:
                raise InvitationNotFound
            if membership.team_id != team_id:
                raise MembershipMismatch
            if tx.run(team_rows.get(project_id, team_id)) is None:
                raise TeamNotFound
            if not same(membership.secret_hash, hash_secret(secret)):
                raise InvitationSecretInvalid
            if membership.user_id != user_id or (actor.user is not None and actor.user.id != user_id):
                raise InvitationMismatch
            user = tx.run(user_rows.get(project_id, user_id))
            if user is None:
                raise UserNotFound
            session = self._accounts.start_session(
                tx, actor, user, session_secret, client, provider="email", provider_uid=user.email, announced=False
            )
            if not membership.confirmed:
                membership = replace(membership, joined_at=tx.now, confirmed=True)
                tx.stores.memberships.update(tx, membership)
                tx.stores.teams.count_in(tx, project_id, team_id)
                if user.email == membership.invited_email and not user.email_verified:
                    user = replace(user, email_verified=True)
                    tx.stores.users.update(tx, user)
            member = Member(membership, name=user.name, email=user.email)
            _report(tx, actor, "update.status", member, user.id)
            return member, session

        member, session = await self._db.write(unit)
        return member, session, encode_session(user_id, session_secret)

    async def delete_membership(self, actor: Actor, team_id: str, membership_id: str) -> None:
        """Take somebody out of a team, withdraw an invitation, or leave.

        Raises `InvitationNotFound`, `MembershipMismatch`, and `Unauthorized` to who is neither owner nor the member.
        """

        def unit(tx: Transaction) -> None:
            membership = tx.run(membership_rows.get(actor.project_id, membership_id))
            if membership is None or not _may_see(tx, actor, membership):
                raise InvitationNotFound
            if membership.team_id != team_id:
                raise MembershipMismatch
            team = _joined(tx, actor, team_id)
            if membership.user_id != actor.user_id and not _is_owner(tx, actor, team.id):
                raise Unauthorized
            tx.stores.memberships.delete(tx, membership)
            if membership.confirmed:
                tx.stores.teams.count_out(tx, team.project_id, team.id)
            _report(tx, actor, "delete", Member(membership), membership.user_id)

        await self._db.write(unit)


def _reader(actor: Actor) -> str | None:
    """Whose teams the caller may read; None for all. A guest's id is empty and that of no member."""
    return None if actor.is_server else actor.user_id


def _caller(tx: Transaction, actor: Actor) -> User:
    """The calling user as it is now."""
    user = tx.run(user_rows.get(actor.project_id, actor.user_id))
    if user is None:
        raise ScopeMissing("This call needs a user, and the one who called is gone")
    if user.is_blocked:
        raise UserBlocked
    return user


def _joined(tx: Transaction, actor: Actor, team_id: str) -> Team:
    team = tx.run(team_rows.get(actor.project_id, team_id, member_id=_reader(actor)))
    if team is None:
        raise TeamNotFound
    return team


def _is_owner(tx: Transaction, actor: Actor, team_id: str) -> bool:
    if actor.is_server:
        return True
    own = tx.run(membership_rows.of_user(actor.project_id, actor.user_id, team_id))
    return own is not None and own.confirmed and OWNER in own.roles


def _owned(tx: Transaction, actor: Actor, team_id: str) -> Team:
    team = _joined(tx, actor, team_id)
    if not _is_owner(tx, actor, team.id):
        raise Unauthorized
    return team


def _may_see(tx: Transaction, actor: Actor, membership: Membership) -> bool:
    """Whether the caller may know of a membership: an invited one is known to everybody who has its id."""
    if actor.is_server or membership.invited_email or membership.user_id == actor.user_id:
        return True
    own = tx.run(membership_rows.of_user(actor.project_id, actor.user_id, membership.team_id))
    return own is not None and own.confirmed


def _invited_user(tx: Transaction, project_id: str, email: str, name: str) -> User:
    """A user who was invited. No password fits it, and it sets its first one without an old one."""
    ensure_room(tx, project_id)
    user = User(
        id=tx.new_id(),
        project_id=project_id,
        name=name,
        email=email,
        registered_at=tx.now,
        password_updated_at=EPOCH,
    )
    tx.stores.users.insert(tx, user)
    return user


def _report(tx: Transaction, actor: Actor, action: str, member: Member, user_id: str) -> None:
    record(tx, actor, user_id, f"teams.memberships.{action}", f"teams/{member.membership.team_id}")
    tx.emit(Event("membership", action, member, actor))
