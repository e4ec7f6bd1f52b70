"""The `state` that a login takes along to the provider and back: encrypted, so that the server keeps nothing meanwhile.

It says for which project and provider the login is, where the browser goes at the end, until when it counts, and which
browser began it. The verifier of PKCE is not in it: it is made out of the login's id and the server secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from litewrite.errors import ArgumentInvalid, LoginStateInvalid
from litewrite.security import ServerSecret, hash_secret, same

LIFETIME = timedelta(minutes=10)
LONGEST = 2_048
"""Characters that a state may have."""
_PURPOSE = "oauth2"


@dataclass(frozen=True, slots=True)
class LoginState:
    """One login on its way."""

    id: str
    project_id: str
    provider: str
    base: str
    """URL of this server as the browser reached it at the start."""
    success: str
    failure: str
    """Where to go when it fails; empty to tell it on a page of our own."""
    scopes: tuple[str, ...]
    """Those beyond the provider's own, when the provider wants to hear them again."""
    expires_at: datetime
    browser: str
    """Hash of the cookie of the browser that began the login; empty when any may finish it."""


class LoginStates:
    def __init__(self, secret: ServerSecret) -> None:
        self._secret = secret
        self._verifier_key = secret.derive("oauth2-verifier")

    def begin(
        self,
        *,
        project_id: str,
        provider: str,
        base: str,
        success: str,
        failure: str,
        scopes: tuple[str, ...] = (),
        browser: str = "",
    ) -> LoginState:
        """A login that begins now. `browser` is what its cookie holds."""
        return LoginState(
            id=secrets.token_urlsafe(16),
            project_id=project_id,
            provider=provider,
            base=base,
            success=success,
            failure=failure,
            scopes=scopes,
            expires_at=datetime.now(UTC).replace(microsecond=0) + LIFETIME,
            browser=hash_secret(browser) if browser else "",
        )

    def verifier(self, state: LoginState) -> str:
        """The PKCE verifier of a login: 43 characters, the same at its start and at its end."""
        digest = hmac.new(self._verifier_key, state.id.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def seal(self, state: LoginState) -> str:
        """A state for the URL, out of characters that no encoding touches.

        Raises `ArgumentInvalid` when its URLs are so long that it would exceed 2,048 characters.
        """
        members = [
            _PURPOSE,
            state.id,
            state.project_id,
            state.provider,
            state.base,
            state.success,
            state.failure,
            list(state.scopes),
            int(state.expires_at.timestamp()),
            state.browser,
        ]
        text = base64.urlsafe_b64encode(self._secret.encrypt(orjson.dumps(members).decode())).decode().rstrip("=")
        if len(text) > LONGEST:
            raise ArgumentInvalid("success", "success, failure and scopes are too long together")
        return text

    def open(self, text: str) -> LoginState:
        """The login behind a state. Raises `LoginStateInvalid` when it is none of ours or has expired."""
        try:
            sealed = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            purpose, *members = orjson.loads(self._secret.decrypt(sealed))
            if purpose != _PURPOSE:
                raise LoginStateInvalid
            login_id, project_id, provider, base, success, failure, scopes, expires, browser = members
        except (binascii.Error, ValueError, TypeError):
            raise LoginStateInvalid from None
        state = LoginState(
            login_id,
            project_id,
            provider,
            base,
            success,
            failure,
            tuple(scopes),
            datetime.fromtimestamp(expires, UTC),
            browser,
        )
        if state.expires_at <= datetime.now(UTC):
            raise LoginStateInvalid("This login was begun more than ten minutes ago: begin it again")
        return state


def is_browser(state: LoginState, cookie: str) -> bool:
    """Whether the browser with this cookie may finish the login."""
    return not state.browser or (bool(cookie) and same(state.browser, hash_secret(cookie)))
