"""Apple: the client secret is a token that we sign, and the person stands in the ID token beside the access token."""

from __future__ import annotations

import time
from typing import Any

import orjson

from litewrite.errors import ProviderFailed
from litewrite.oauth.client import Client
from litewrite.oauth.profile import Grant, Profile, is_true, make_profile, text
from litewrite.oauth.provider import Provider

ISSUER = "https://appleid.apple.com"
SECRET_SECONDS = 300
"""Life of a client secret; each login makes its own."""
LEEWAY_SECONDS = 60


def make_secret(app_id: str, stored: str) -> str:
    """The client secret of one login. `stored` is a JSON object with `p8`, `keyID` and `teamID`.

    Raises `ProviderFailed` when it is not, or when the key is no private key.
    """
    import jwt

    try:
        parts: Any = orjson.loads(stored)
        key, key_id, team_id = (text(parts.get(name)) for name in ("p8", "keyID", "teamID"))
        now = int(time.time())
        return jwt.encode(
            {"iss": team_id, "iat": now, "exp": now + SECRET_SECONDS, "aud": ISSUER, "sub": app_id},
            # Keys are pasted with their line ends written out as often as not.
            key.replace("\\n", "\n"),
            algorithm="ES256",
            headers={"kid": key_id},
        )
    except (orjson.JSONDecodeError, AttributeError, ValueError, TypeError, jwt.PyJWTError):
        raise ProviderFailed(
            "The secret of Apple must be a JSON object with p8 (a private key), keyID and teamID"
        ) from None


async def read(client: Client, provider: Provider, grant: Grant, app_id: str) -> Profile:
    """The person in the ID token.

    It came straight from Apple over TLS, so its signature tells nothing more (OpenID Connect Core 3.1.3.7); for whom
    it was made and until when is checked.
    """
    import jwt

    try:
        claims = jwt.decode(
            text(grant.answer.get("id_token")),
            options={
                "verify_signature": False,
                "verify_aud": True,
                "verify_iss": True,
                "verify_exp": True,
                "require": ["aud", "iss", "exp", "sub"],
            },
            audience=app_id,
            issuer=ISSUER,
            leeway=LEEWAY_SECONDS,
        )
    except (jwt.PyJWTError, ValueError, TypeError):
        raise ProviderFailed("Apple sent no ID token that is good for this app") from None
    vouched = is_true(claims.get("email_verified"))
    email = claims.get("email") if vouched else ""
    return make_profile(uid=claims.get("sub"), name=email, email=email, vouched=vouched)
