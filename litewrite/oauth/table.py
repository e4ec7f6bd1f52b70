"""All providers, one row each. Where a provider has changed since Appwrite 0.11, the row says what is right today.

Whether an address is vouched for decides if it may lead to an account that exists already. It is so when the answer
says that the address was checked, or when the provider documents that it tells no other. It is never so where the
administrator of some organisation can write any address into the accounts of its people (Microsoft, Salesforce, Slack),
nor where nothing is said (Amazon, Box, Facebook, Spotify, Tradeshift, VK, Yandex).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from litewrite.oauth import apple
from litewrite.oauth.client import Client
from litewrite.oauth.profile import Grant, Profile, dig, is_true, make_profile, text
from litewrite.oauth.provider import Fields, Provider

MOCK = "mock"
_GRANT_TYPE = frozenset(("grant_type",))
_ONLY_CODE = frozenset(("client_id", "client_secret", "redirect_uri"))


async def _github(client: Client, provider: Provider, grant: Grant, app_id: str) -> Profile:
    person = await client.get(provider.key, provider.profile, token=grant.access_token)
    addresses = await client.get(provider.key, f"{provider.profile}/emails", token=grant.access_token)
    return make_profile(
        uid=dig(person, "id"),
        name=dig(person, "name"),
        email=_address(addresses, "email", primary="primary", checked="verified"),
        vouched=True,
    )


async def _bitbucket(client: Client, provider: Provider, grant: Grant, app_id: str) -> Profile:
    person = await client.get(provider.key, provider.profile, token=grant.access_token)
    answer = await client.get(provider.key, f"{provider.profile}/emails", token=grant.access_token)
    addresses = dig(answer, "values")
    checked = _address(addresses, "email", primary="is_primary", checked="is_confirmed")
    return make_profile(
        uid=dig(person, "uuid"),
        name=dig(person, "display_name"),
        email=checked or dig(addresses, "0.email"),
        vouched=bool(checked),
    )


async def _bitly(client: Client, provider: Provider, grant: Grant, app_id: str) -> Profile:
    person = await client.get(provider.key, provider.profile, token=grant.access_token)
    addresses = dig(person, "emails")
    checked = _address(addresses, "email", primary="is_primary", checked="is_verified")
    return make_profile(
        uid=dig(person, "login"),
        name=dig(person, "name"),
        email=checked or dig(addresses, "0.email"),
        vouched=bool(checked),
    )


def _address(addresses: Any, name: str, *, primary: str, checked: str) -> str:
    """The primary address of a list if it was checked, else nothing."""
    if not isinstance(addresses, list):
        return ""
    found = (entry for entry in addresses if is_true(dig(entry, primary)) and is_true(dig(entry, checked)))
    return text(dig(next(found, None), name))


async def _dropbox(client: Client, provider: Provider, grant: Grant, app_id: str) -> Profile:
    assert provider.fields is not None
    return provider.fields.read(await client.post(provider.key, provider.profile, token=grant.access_token))


async def _gitlab(client: Client, provider: Provider, grant: Grant, app_id: str) -> Profile:
    person = await client.get(provider.key, provider.profile, token=grant.access_token)
    # An address that waits for its confirmation stands elsewhere in the answer.
    return make_profile(
        uid=dig(person, "id"),
        name=dig(person, "name"),
        email=dig(person, "email"),
        vouched=bool(text(dig(person, "confirmed_at"))),
    )


async def _twitch(client: Client, provider: Provider, grant: Grant, app_id: str) -> Profile:
    assert provider.fields is not None
    answer = await client.get(provider.key, provider.profile, token=grant.access_token, headers={"Client-Id": app_id})
    return provider.fields.read(answer)


async def _vk(client: Client, provider: Provider, grant: Grant, app_id: str) -> Profile:
    answer = await client.get(
        provider.key, provider.profile, query={"v": _VK_VERSION, "access_token": grant.access_token}
    )
    names = (text(dig(answer, f"response.0.{name}")) for name in ("first_name", "last_name"))
    return make_profile(
        uid=grant.answer.get("user_id"), email=grant.answer.get("email"), name=" ".join(name for name in names if name)
    )


async def _yandex(client: Client, provider: Provider, grant: Grant, app_id: str) -> Profile:
    assert provider.fields is not None
    answer = await client.get(
        provider.key,
        provider.profile,
        query={"format": "json"},
        headers={"Authorization": f"OAuth {grant.access_token}"},
    )
    return provider.fields.read(answer)


_VK_VERSION = "5.101"
_FACEBOOK = "v24.0"

_PAYPAL = Provider(
    key="paypal",
    name="PayPal",
    authorize="https://www.paypal.com/connect/",
    parameters={"flowEntry": "static"},
    numeric_loopback=True,
    scopes=("openid", "profile", "email"),
    token="https://api.paypal.com/v1/oauth2/token",
    basic=True,
    token_unwanted=_ONLY_CODE,
    profile="https://api.paypal.com/v1/identity/oauth2/userinfo?schema=paypalv1.1",
    fields=Fields(uid="payer_id", email="emails.0.value", name=("name",), vouched="emails.0.confirmed"),
)
_TRADESHIFT = Provider(
    key="tradeshift",
    name="Tradeshift",
    authorize="https://api.tradeshift.com/tradeshift/auth/login",
    numeric_loopback=True,
    scopes=("openid", "offline"),
    token="https://api.tradeshift.com/tradeshift/auth/token",
    basic=True,
    token_unwanted=_ONLY_CODE,
    profile="https://api.tradeshift.com/tradeshift/rest/external/account/info/user",
    fields=Fields(uid="Id", email="Username", name=("FirstName", "LastName")),
)

_ROWS = (
    Provider(
        key="amazon",
        name="Amazon",
        authorize="https://www.amazon.com/ap/oa",
        scopes=("profile",),
        token="https://api.amazon.com/auth/o2/token",
        pkce=True,
        profile="https://api.amazon.com/user/profile",
        fields=Fields(uid="user_id", email="email", name=("name",)),
    ),
    Provider(
        key="apple",
        name="Apple",
        authorize="https://appleid.apple.com/auth/authorize",
        parameters={"response_mode": "form_post"},
        form_post=True,
        scopes=("name", "email"),
        token="https://appleid.apple.com/auth/token",
        make_secret=apple.make_secret,
        read=apple.read,
    ),
    Provider(
        key="bitbucket",
        name="BitBucket",
        authorize="https://bitbucket.org/site/oauth2/authorize",
        unwanted=frozenset(("redirect_uri",)),
        token="https://bitbucket.org/site/oauth2/access_token",
        token_unwanted=frozenset(("redirect_uri",)),
        profile="https://api.bitbucket.org/2.0/user",
        read=_bitbucket,
    ),
    Provider(
        key="bitly",
        name="Bitly",
        authorize="https://bitly.com/oauth/authorize",
        unwanted=frozenset(("scope", "response_type")),
        token="https://api-ssl.bitly.com/oauth/access_token",
        token_unwanted=_GRANT_TYPE,
        token_wanted=frozenset(("state",)),
        profile="https://api-ssl.bitly.com/v4/user",
        read=_bitly,
    ),
    Provider(
        key="box",
        name="Box",
        authorize="https://account.box.com/api/oauth2/authorize",
        separator=",",
        scopes=("manage_app_users",),
        token="https://api.box.com/oauth2/token",
        token_wanted=frozenset(("scope",)),
        profile="https://api.box.com/2.0/users/me",
        fields=Fields(uid="id", email="login", name=("name",)),
    ),
    Provider(
        key="discord",
        name="Discord",
        authorize="https://discord.com/api/oauth2/authorize",
        scopes=("identify", "email"),
        token="https://discord.com/api/oauth2/token",
        token_wanted=frozenset(("scope",)),
        pkce=True,
        profile="https://discord.com/api/users/@me",
        fields=Fields(uid="id", email="email", name=("username",), vouched="verified"),
    ),
    Provider(
        key="dropbox",
        name="Dropbox",
        authorize="https://www.dropbox.com/oauth2/authorize",
        unwanted=frozenset(("scope",)),
        token="https://api.dropboxapi.com/oauth2/token",
        pkce=True,
        profile="https://api.dropboxapi.com/2/users/get_current_account",
        fields=Fields(uid="account_id", email="email", name=("name.display_name",), vouched="email_verified"),
        read=_dropbox,
    ),
    Provider(
        key="facebook",
        name="Facebook",
        authorize=f"https://www.facebook.com/{_FACEBOOK}/dialog/oauth",
        unwanted=frozenset(("response_type",)),
        scopes=("email",),
        token=f"https://graph.facebook.com/{_FACEBOOK}/oauth/access_token",
        token_by_get=True,
        token_unwanted=_GRANT_TYPE,
        profile=f"https://graph.facebook.com/{_FACEBOOK}/me?fields=email,name",
        fields=Fields(uid="id", email="email", name=("name",)),
    ),
    Provider(
        key="github",
        name="GitHub",
        authorize="https://github.com/login/oauth/authorize",
        unwanted=frozenset(("response_type",)),
        scopes=("user:email",),
        token="https://github.com/login/oauth/access_token",
        token_unwanted=_GRANT_TYPE,
        pkce=True,
        profile="https://api.github.com/user",
        read=_github,
    ),
    Provider(
        key="gitlab",
        name="GitLab",
        authorize="https://gitlab.com/oauth/authorize",
        scopes=("read_user",),
        token="https://gitlab.com/oauth/token",
        pkce=True,
        profile="https://gitlab.com/api/v4/user",
        read=_gitlab,
    ),
    Provider(
        key="google",
        name="Google",
        authorize="https://accounts.google.com/o/oauth2/v2/auth",
        scopes=(
            "https://www.googleapis.com/auth/userinfo.email",
            "https://www.googleapis.com/auth/userinfo.profile",
            "openid",
        ),
        token="https://oauth2.googleapis.com/token",
        pkce=True,
        profile="https://www.googleapis.com/oauth2/v2/userinfo",
        fields=Fields(uid="id", email="email", name=("name",), vouched="verified_email"),
    ),
    Provider(
        key="linkedin",
        name="LinkedIn",
        authorize="https://www.linkedin.com/oauth/v2/authorization",
        scopes=("openid", "profile", "email"),
        token="https://www.linkedin.com/oauth/v2/accessToken",
        profile="https://api.linkedin.com/v2/userinfo",
        fields=Fields(uid="sub", email="email", name=("name",), vouched="email_verified"),
    ),
    Provider(
        key="microsoft",
        name="Microsoft",
        authorize="https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
        parameters={"response_mode": "query"},
        scopes=("offline_access", "user.read"),
        token="https://login.microsoftonline.com/common/oauth2/v2.0/token",
        token_wanted=frozenset(("scope",)),
        pkce=True,
        profile="https://graph.microsoft.com/v1.0/me",
        fields=Fields(uid="id", email="userPrincipalName", name=("displayName",)),
    ),
    _PAYPAL,
    replace(
        _PAYPAL,
        key="paypalSandbox",
        authorize="https://www.sandbox.paypal.com/connect/",
        token="https://api.sandbox.paypal.com/v1/oauth2/token",
        profile="https://api.sandbox.paypal.com/v1/identity/oauth2/userinfo?schema=paypalv1.1",
        # Whoever has a developer's account makes people up there.
        fields=Fields(uid="payer_id", email="emails.0.value", name=("name",)),
    ),
    Provider(
        key="salesforce",
        name="Salesforce",
        authorize="https://login.salesforce.com/services/oauth2/authorize",
        scopes=("openid",),
        token="https://login.salesforce.com/services/oauth2/token",
        basic=True,
        token_unwanted=frozenset(("client_id", "client_secret")),
        pkce=True,
        profile="https://login.salesforce.com/services/oauth2/userinfo",
        fields=Fields(uid="user_id", email="email", name=("name",)),
    ),
    Provider(
        key="slack",
        name="Slack",
        authorize="https://slack.com/openid/connect/authorize",
        scopes=("openid", "profile", "email"),
        token="https://slack.com/api/openid.connect.token",
        profile="https://slack.com/api/openid.connect.userInfo",
        fields=Fields(uid="sub", email="email", name=("name",)),
    ),
    Provider(
        key="spotify",
        name="Spotify",
        authorize="https://accounts.spotify.com/authorize",
        scopes=("user-read-email",),
        token="https://accounts.spotify.com/api/token",
        basic=True,
        token_unwanted=frozenset(("client_id", "client_secret")),
        pkce=True,
        profile="https://api.spotify.com/v1/me",
        fields=Fields(uid="id", email="email", name=("display_name",)),
    ),
    _TRADESHIFT,
    replace(
        _TRADESHIFT,
        key="tradeshiftBox",
        authorize="https://api-sandbox.tradeshift.com/tradeshift/auth/login",
        token="https://api-sandbox.tradeshift.com/tradeshift/auth/token",
        profile="https://api-sandbox.tradeshift.com/tradeshift/rest/external/account/info/user",
    ),
    Provider(
        key="twitch",
        name="Twitch",
        authorize="https://id.twitch.tv/oauth2/authorize",
        parameters={"force_verify": "1"},
        scopes=("user:read:email",),
        token="https://id.twitch.tv/oauth2/token",
        profile="https://api.twitch.tv/helix/users",
        fields=Fields(uid="data.0.id", email="data.0.email", name=("data.0.display_name",), always_vouched=True),
        read=_twitch,
    ),
    Provider(
        key="vk",
        name="VK",
        authorize="https://oauth.vk.com/authorize",
        parameters={"v": _VK_VERSION},
        scopes=("openid", "email"),
        token="https://oauth.vk.com/access_token",
        token_unwanted=_GRANT_TYPE,
        profile="https://api.vk.com/method/users.get",
        read=_vk,
    ),
    Provider(
        key="yahoo",
        name="Yahoo",
        authorize="https://api.login.yahoo.com/oauth2/request_auth",
        scopes=("openid", "profile", "email"),
        token="https://api.login.yahoo.com/oauth2/get_token",
        basic=True,
        profile="https://api.login.yahoo.com/openid/v1/userinfo",
        fields=Fields(uid="sub", email="email", name=("name",), vouched="email_verified"),
    ),
    Provider(
        key="yandex",
        name="Yandex",
        authorize="https://oauth.yandex.com/authorize",
        unwanted=frozenset(("redirect_uri",)),
        token="https://oauth.yandex.com/token",
        basic=True,
        token_unwanted=_ONLY_CODE,
        pkce=True,
        profile="https://login.yandex.ru/info",
        fields=Fields(uid="id", email="default_email", name=("display_name",)),
        read=_yandex,
    ),
    Provider(
        key="wordpress",
        name="WordPress",
        authorize="https://public-api.wordpress.com/oauth2/authorize",
        scopes=("auth",),
        token="https://public-api.wordpress.com/oauth2/token",
        profile="https://public-api.wordpress.com/rest/v1/me",
        fields=Fields(uid="ID", email="email", name=("username",), vouched="email_verified"),
    ),
    Provider(
        key=MOCK,
        name="Mock",
        # Pages of this server, whose address is known at the time of a request only; no requests are made.
        authorize="/v1/mock/tests/general/oauth2",
        unwanted=frozenset(("response_type",)),
        scopes=("email",),
        token="",
    ),
)

PROVIDERS: Mapping[str, Provider] = MappingProxyType({provider.key: provider for provider in _ROWS})
"""By key, in the order of the published list."""
