"""The authorisation code flow (RFC 6749, with PKCE of RFC 7636) at any provider of the table.

Three steps: the URL to send the browser to, the access token for the code it comes back with, and the person.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from litewrite.errors import ProviderFailed
from litewrite.oauth.client import Client
from litewrite.oauth.profile import Grant, Profile, text
from litewrite.oauth.provider import Provider

SECONDS = 25.0
"""For all requests of one login together."""
LONGEST_TOKEN = 16_384


def challenge(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).decode().rstrip("=")


def all_scopes(provider: Provider, wanted: Iterable[str]) -> tuple[str, ...]:
    """The provider's own scopes and the wanted ones, each once."""
    return tuple(dict.fromkeys((*provider.scopes, *wanted)))


def redirect_url(provider: Provider, url: str) -> str:
    """The redirect URL as this provider wants it."""
    parts = urlsplit(url)
    if provider.numeric_loopback and parts.hostname == "localhost":
        netloc = "127.0.0.1" + (f":{parts.port}" if parts.port else "")
        return urlunsplit(parts._replace(netloc=netloc))
    return url


class Flow:
    def __init__(self, client: Client) -> None:
        self._client = client

    def authorization_url(
        self, provider: Provider, *, app_id: str, redirect_uri: str, scopes: Iterable[str], state: str, verifier: str
    ) -> str:
        """Where to send the browser. `redirect_uri` is the callback, and `scopes` come on top of the provider's own.

        That of the mock provider is a path of this server.
        """
        parameters = {
            "client_id": app_id,
            "redirect_uri": redirect_url(provider, redirect_uri),
            "scope": provider.separator.join(all_scopes(provider, scopes)),
            "state": state,
            "response_type": "code",
            **provider.parameters,
        }
        if provider.pkce:
            parameters |= {"code_challenge": challenge(verifier), "code_challenge_method": "S256"}
        sent = {name: value for name, value in parameters.items() if name not in provider.unwanted and value}
        return f"{self._client.address(provider.key, provider.authorize)}?{urlencode(sent)}"

    async def log_in(
        self,
        provider: Provider,
        *,
        app_id: str,
        secret: str,
        code: str,
        redirect_uri: str,
        scopes: Iterable[str],
        state: str,
        verifier: str,
    ) -> tuple[Grant, Profile]:
        """Change the code for a token and ask who the person is; takes the same arguments as the URL was made of.

        Raises `ProviderFailed` when the provider cannot be reached, refuses, or gives no token.
        """
        try:
            async with asyncio.timeout(SECONDS):
                grant = await self._exchange(
                    provider,
                    app_id=app_id,
                    secret=secret,
                    code=code,
                    redirect_uri=redirect_uri,
                    scopes=scopes,
                    state=state,
                    verifier=verifier,
                )
                return grant, await self._profile(provider, grant, app_id)
        except TimeoutError:
            raise ProviderFailed(f"{provider.name} took too long to answer") from None

    async def _exchange(
        self,
        provider: Provider,
        *,
        app_id: str,
        secret: str,
        code: str,
        redirect_uri: str,
        scopes: Iterable[str],
        state: str,
        verifier: str,
    ) -> Grant:
        client_secret = provider.make_secret(app_id, secret) if provider.make_secret else secret
        standard = {
            "code": code,
            "client_id": app_id,
            "client_secret": client_secret,
            "redirect_uri": redirect_url(provider, redirect_uri),
            "grant_type": "authorization_code",
        }
        extra = {"scope": provider.separator.join(all_scopes(provider, scopes)), "state": state}
        form = {name: value for name, value in standard.items() if name not in provider.token_unwanted}
        form |= {name: extra[name] for name in sorted(provider.token_wanted)}
        if provider.pkce:
            form["code_verifier"] = verifier
        answer: Any
        if provider.token_by_get:
            answer = await self._client.get(provider.key, provider.token, query=form)
        else:
            auth = (app_id, client_secret) if provider.basic else None
            answer = await self._client.post(provider.key, provider.token, form=form, auth=auth)
        token = text(answer.get("access_token")) if isinstance(answer, dict) else ""
        if not token or len(token) > LONGEST_TOKEN or not (token.isascii() and token.isprintable()):
            raise ProviderFailed(f"{provider.name} gave no access token")
        return Grant(token, answer)

    async def _profile(self, provider: Provider, grant: Grant, app_id: str) -> Profile:
        if provider.read is not None:
            return await provider.read(self._client, provider, grant, app_id)
        if provider.fields is None:
            raise ProviderFailed(f"{provider.name} cannot be asked for a profile")
        return provider.fields.read(await self._client.get(provider.key, provider.profile, token=grant.access_token))
