"""Logins at other providers: who a person at a provider is here.

The rule. A login ends, in this order, as

1. the user who is logged in at its end, and an anonymous one becomes a regular user;
2. the user who has logged in as that person before;
3. the user with that address, if the provider vouches for it. If that user had never proved the address, whoever chose
   its password may be somebody else: the password, all sessions, open tokens and invitations, and identities at other
   providers then end, and the address counts as verified;
4. a new user.

An address that the provider does not vouch for never leads to an account: if somebody has it, the login is refused with
`UserExists`, and the way to connect the two is to log in first and then at the provider (1).

So nobody gets into another person's account by an address that was not proved, whether the stranger came first to the
provider or first to us. The link between person and user outlives the sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from litewrite.db import identities as identity_rows
from litewrite.db import users as user_rows
from litewrite.db.engine import Database, Transaction
from litewrite.entities import CONSOLE, EPOCH, Project, Session, User, UserStatus
from litewrite.errors import (
    LoginStateInvalid,
    ProviderDisabled,
    ProviderUnsupported,
    ProviderUserMissing,
    RegistrationClosed,
    UserBlocked,
    UserExists,
)
from litewrite.events import Event
from litewrite.oauth.flow import Flow
from litewrite.oauth.profile import Profile
from litewrite.oauth.provider import Provider
from litewrite.oauth.table import MOCK, PROVIDERS
from litewrite.permissions import Actor
from litewrite.security import Passwords, ServerSecret, encode_session, new_secret
from litewrite.services import mock_provider
from litewrite.services.accounts import Accounts, ensure_room, record
from litewrite.services.login_states import LoginState, LoginStates, is_browser
from litewrite.services.providers import Providers

_INVENTED_PASSWORD_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Begun:
    """A login that the browser is to be sent off with."""

    url: str
    """Of the provider; for the mock provider a path of this server."""
    browser: str
    """What the browser's cookie is to hold; empty when it needs none."""
    form_post: bool
    """Whether the browser comes back with a POST from the provider's site."""


class OAuth:
    def __init__(
        self,
        db: Database,
        secret: ServerSecret,
        passwords: Passwords,
        accounts: Accounts,
        providers: Providers,
        flow: Flow,
    ) -> None:
        self._db = db
        self._secret = secret
        self._passwords = passwords
        self._accounts = accounts
        self._providers = providers
        self._flow = flow
        self._states = LoginStates(secret)

    def start(
        self,
        project: Project,
        key: str,
        *,
        base: str,
        callback: str,
        success: str,
        failure: str,
        scopes: Sequence[str],
        browser: str,
    ) -> Begun:
        """Begin a login. `callback` is the URL the provider sends back to; `browser` ties the login to a cookie.

        Raises `ProviderUnsupported`, `ProviderDisabled`, and `ArgumentInvalid` for URLs that are too long.
        """
        provider, app_id, _ = self._provider(project, key)
        state = self._states.begin(
            project_id=project.id,
            provider=key,
            base=base,
            success=success,
            failure=failure,
            scopes=tuple(scopes) if "scope" in provider.token_wanted else (),
            browser="" if key == MOCK else browser,
        )
        url = self._flow.authorization_url(
            provider,
            app_id=app_id,
            redirect_uri=callback,
            scopes=scopes,
            state=self._states.seal(state),
            verifier=self._states.verifier(state),
        )
        return Begun(url, browser if state.browser else "", provider.form_post)

    def state(self, text: str) -> LoginState:
        """The login behind a `state`. Raises `LoginStateInvalid`."""
        return self._states.open(text)

    async def finish(
        self, actor: Actor, project: Project, state: LoginState, *, text: str, code: str, callback: str, browser: str
    ) -> tuple[Session, str]:
        """Log the person in; returns the session and the value of its cookie.

        `text` is the state as it came. Raises `LoginStateInvalid` when another browser began the login or when it came
        back before, `ProviderFailed`, `ProviderUserMissing`, `UserBlocked`, `UserExists`, `UserCountExceeded`,
        `RegistrationClosed`, and what `start` raises.
        """
        if not is_browser(state, browser):
            raise LoginStateInvalid("This login was begun in another browser, or under another address of this server")
        provider, app_id, secret = self._provider(project, state.provider)
        if not await self._db.write(lambda tx: tx.stores.identities.finish_login(tx, state.id, state.expires_at)):
            raise LoginStateInvalid("This login has come back already: begin a new one")
        if provider.key == MOCK:
            token = mock_provider.token_of(app_id, secret, code)
            profile = mock_provider.profile_of(mock_provider.person_behind(token))
        else:
            grant, profile = await self._flow.log_in(
                provider,
                app_id=app_id,
                secret=secret,
                code=code,
                redirect_uri=callback,
                scopes=state.scopes,
                state=text,
                verifier=self._states.verifier(state),
            )
            token = grant.access_token
        if not profile.uid:
            raise ProviderUserMissing(f"{provider.name} told no id of the user")
        return await self._log_in(actor, provider, profile, token)

    async def _log_in(self, actor: Actor, provider: Provider, profile: Profile, token: str) -> tuple[Session, str]:
        # For a user who needs one; whether it does is known in the unit alone.
        invented = await self._passwords.hash(new_secret()[:_INVENTED_PASSWORD_LENGTH])
        client = await self._accounts.detect(actor.user_agent)
        sealed = self._secret.encrypt(token)
        secret = new_secret()

        def unit(tx: Transaction) -> Session:
            user = _present(tx, actor, profile) or _known(tx, actor, provider, profile)
            user = user or _by_address(tx, actor, profile, invented) or _new(tx, actor, profile, invented)
            session = self._accounts.start_session(
                tx,
                actor,
                user,
                secret,
                client,
                provider=provider.key,
                provider_uid=profile.uid,
                provider_token=sealed,
                announced=False,
            )
            if tx.run(identity_rows.user_of(user.project_id, provider.key, profile.uid)) is None:
                tx.stores.identities.link(tx, user.project_id, provider.key, profile.uid, user.id)
            data = orjson.dumps({"provider": provider.key}).decode()
            record(tx, actor, user.id, "account.sessions.create", f"users/{user.id}", data)
            tx.emit(Event("session", "create", session, actor, {"current": False, "provider_token": token}))
            return session

        session = await self._db.write(unit)
        return session, encode_session(session.user_id, secret)

    def token_of(self, session: Session) -> str:
        """The provider's access token of a session, for its owner; empty when there is none."""
        return self._secret.decrypt(session.provider_token) if session.provider_token else ""

    def _provider(self, project: Project, key: str) -> tuple[Provider, str, str]:
        provider = PROVIDERS.get(key)
        if provider is None or (key == MOCK and not self._providers.with_mock):
            raise ProviderUnsupported
        app_id, secret = self._providers.credentials(project, key)
        if not app_id or not secret:
            raise ProviderDisabled
        return provider, app_id, secret


def _present(tx: Transaction, actor: Actor, profile: Profile) -> User | None:
    """Whoever is logged in; an anonymous user takes name and address of the person."""
    if actor.user is None:
        return None
    user = tx.run(user_rows.get(actor.project_id, actor.user.id))
    if user is None:
        return None
    if user.is_anonymous:
        # Without a proof, the address of somebody else would be a way to get the mails to that person.
        free = profile.vouched or tx.run(user_rows.by_email(actor.project_id, profile.email)) is None
        user = replace(user, name=profile.name or user.name, email=profile.email if free else "")
    return _activated(tx, user)


def _known(tx: Transaction, actor: Actor, provider: Provider, profile: Profile) -> User | None:
    user = tx.run(identity_rows.user_of(actor.project_id, provider.key, profile.uid))
    return _activated(tx, user) if user is not None else None


def _by_address(tx: Transaction, actor: Actor, profile: Profile, invented: str) -> User | None:
    user = tx.run(user_rows.by_email(actor.project_id, profile.email)) if profile.email else None
    if user is None:
        return None
    if not profile.vouched:
        raise UserExists(
            "A user with this e-mail address exists already. Log in as that user first, then at the provider"
        )
    if user.is_blocked:
        raise UserBlocked
    if not user.email_verified:
        tx.stores.identities.revoke_access(tx, user)
        user = replace(user, email_verified=True, password_hash=invented, password_updated_at=EPOCH)
        tx.stores.users.update(tx, user)
    return _activated(tx, user)


def _new(tx: Transaction, actor: Actor, profile: Profile, invented: str) -> User:
    if actor.project_id == CONSOLE:
        raise RegistrationClosed
    ensure_room(tx, actor.project_id)
    user = User(
        id=tx.new_id(),
        project_id=actor.project_id,
        name=profile.name,
        email=profile.email,
        registered_at=tx.now,
        status=UserStatus.ACTIVE,
        email_verified=profile.vouched,
        password_hash=invented,
        password_updated_at=EPOCH,
    )
    tx.stores.users.insert(tx, user)
    return user


def _activated(tx: Transaction, user: User) -> User:
    """The user as one who has logged in at a provider. Raises `UserBlocked`."""
    if user.is_blocked:
        raise UserBlocked
    user = replace(user, status=UserStatus.ACTIVE)
    tx.stores.users.update(tx, user)
    return user
