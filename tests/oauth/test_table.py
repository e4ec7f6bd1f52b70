"""Each provider of the table: what its requests look like, and who its answers say a person is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from litewrite.errors import ProviderFailed
from litewrite.oauth.client import Client
from litewrite.oauth.flow import Flow, challenge, redirect_url
from litewrite.oauth.profile import Profile
from litewrite.oauth.table import PROVIDERS
from tests.oauth.provider_server import Asked, serving

KEYS = (
    "amazon apple bitbucket bitly box discord dropbox facebook github gitlab google linkedin microsoft paypal "
    "paypalSandbox salesforce slack spotify tradeshift tradeshiftBox twitch vk yahoo yandex wordpress mock"
)
CALLBACK = "http://localhost:8700/v1/account/sessions/oauth2/callback/x/default"
TOKEN = {"access_token": "token-1"}
VERIFIER = "v" * 43
ADA = Profile("7", "Ada Example", "ada@example.com", True)
UNVOUCHED = Profile("7", "Ada Example", "ada@example.com", False)
PLAIN = {"id": "7", "email": "Ada@Example.com", "name": "Ada Example"}
OPENID = {"sub": "7", "email": "ada@example.com", "name": "Ada Example"}
MAIN, OTHER = "ada@example.com", "other@example.com"


@dataclass
class Case:
    """One way a provider answers: bodies by path, the person they tell, and how a few requests must look."""

    key: str
    answers: dict[str, Any]
    person: Profile
    token_query: dict[str, str] = field(default_factory=dict)
    profile_headers: dict[str, str] = field(default_factory=lambda: {"Authorization": "Bearer token-1"})


CASES = [
    Case("amazon", {"/auth/o2/token": TOKEN, "/user/profile": {**PLAIN, "user_id": "7"}}, UNVOUCHED),
    Case(
        "bitbucket",
        {
            "/site/oauth2/access_token": TOKEN,
            "/2.0/user": {"uuid": "7", "display_name": "Ada Example"},
            "/2.0/user/emails": {
                "values": [
                    {"email": OTHER, "is_primary": False, "is_confirmed": True},
                    {"email": MAIN, "is_primary": True, "is_confirmed": True},
                ]
            },
        },
        ADA,
    ),
    Case(
        "bitbucket",
        {
            "/site/oauth2/access_token": TOKEN,
            "/2.0/user": {"uuid": "7", "display_name": "Ada Example"},
            "/2.0/user/emails": {"values": [{"email": MAIN, "is_primary": True, "is_confirmed": False}]},
        },
        UNVOUCHED,
    ),
    Case(
        "bitly",
        {
            "/oauth/access_token": "access_token=token-1&login=7",
            "/v4/user": {
                "login": "7",
                "name": "Ada Example",
                "emails": [{"email": MAIN, "is_primary": True, "is_verified": True}],
            },
        },
        ADA,
    ),
    Case("box", {"/oauth2/token": TOKEN, "/2.0/users/me": {**PLAIN, "login": MAIN}}, UNVOUCHED),
    Case(
        "discord",
        {"/api/oauth2/token": TOKEN, "/api/users/@me": {**PLAIN, "username": "Ada Example", "verified": True}},
        ADA,
    ),
    Case(
        "discord",
        {"/api/oauth2/token": TOKEN, "/api/users/@me": {**PLAIN, "username": "Ada Example", "verified": False}},
        UNVOUCHED,
    ),
    Case(
        "dropbox",
        {
            "/oauth2/token": TOKEN,
            "/2/users/get_current_account": {
                "account_id": "7",
                "email": MAIN,
                "email_verified": True,
                "name": {"display_name": "Ada Example"},
            },
        },
        ADA,
    ),
    Case(
        "facebook",
        {"/v24.0/oauth/access_token": TOKEN, "/v24.0/me": PLAIN},
        UNVOUCHED,
        token_query={"client_id": "app", "client_secret": "secret", "redirect_uri": CALLBACK, "code": "code"},
    ),
    Case(
        "github",
        {
            "/login/oauth/access_token": "access_token=token-1&token_type=bearer",
            "/user": {"id": 7, "name": "Ada Example", "email": OTHER},
            "/user/emails": [
                {"email": OTHER, "primary": False, "verified": True},
                {"email": MAIN, "primary": True, "verified": True},
            ],
        },
        ADA,
    ),
    Case(
        "github",
        {
            "/login/oauth/access_token": TOKEN,
            "/user": {"id": 7, "name": None},
            "/user/emails": [{"email": MAIN, "primary": True, "verified": False}],
        },
        Profile("7"),
    ),
    Case(
        "gitlab",
        {"/oauth/token": TOKEN, "/api/v4/user": {**PLAIN, "id": 7, "confirmed_at": "2012-05-23T09:05:22Z"}},
        ADA,
    ),
    Case("gitlab", {"/oauth/token": TOKEN, "/api/v4/user": {**PLAIN, "id": 7, "confirmed_at": None}}, UNVOUCHED),
    Case("google", {"/token": TOKEN, "/oauth2/v2/userinfo": {**PLAIN, "verified_email": True}}, ADA),
    Case("linkedin", {"/oauth/v2/accessToken": TOKEN, "/v2/userinfo": {**OPENID, "email_verified": "true"}}, ADA),
    Case(
        "microsoft",
        {
            "/common/oauth2/v2.0/token": TOKEN,
            "/v1.0/me": {"id": "7", "displayName": "Ada Example", "userPrincipalName": MAIN},
        },
        UNVOUCHED,
    ),
    Case(
        "paypal",
        {
            "/v1/oauth2/token": TOKEN,
            "/v1/identity/oauth2/userinfo": {
                "payer_id": "7",
                "name": "Ada Example",
                "emails": [{"value": MAIN, "primary": True, "confirmed": True}],
            },
        },
        ADA,
    ),
    Case(
        "paypalSandbox",
        {
            "/v1/oauth2/token": TOKEN,
            "/v1/identity/oauth2/userinfo": {
                "payer_id": "7",
                "name": "Ada Example",
                "emails": [{"value": MAIN, "confirmed": True}],
            },
        },
        UNVOUCHED,
    ),
    Case(
        "salesforce",
        {
            "/services/oauth2/token": TOKEN,
            "/services/oauth2/userinfo": {**PLAIN, "user_id": "7", "email_verified": True},
        },
        UNVOUCHED,
    ),
    Case(
        "slack",
        {"/api/openid.connect.token": TOKEN, "/api/openid.connect.userInfo": {**OPENID, "email_verified": True}},
        UNVOUCHED,
    ),
    Case("spotify", {"/api/token": TOKEN, "/v1/me": {**PLAIN, "display_name": "Ada Example"}}, UNVOUCHED),
    *(
        Case(
            key,
            {
                "/tradeshift/auth/token": TOKEN,
                "/tradeshift/rest/external/account/info/user": {
                    "Id": "7",
                    "Username": MAIN,
                    "FirstName": "Ada",
                    "LastName": "Example",
                },
            },
            UNVOUCHED,
        )
        for key in ("tradeshift", "tradeshiftBox")
    ),
    Case(
        "twitch",
        {
            "/oauth2/token": TOKEN,
            "/helix/users": {"data": [{"id": "7", "email": MAIN, "display_name": "Ada Example"}]},
        },
        ADA,
        profile_headers={"Authorization": "Bearer token-1", "Client-Id": "app"},
    ),
    Case(
        "vk",
        {
            "/access_token": {**TOKEN, "user_id": 7, "email": MAIN},
            "/method/users.get": {"response": [{"id": 7, "first_name": "Ada", "last_name": "Example"}]},
        },
        UNVOUCHED,
        profile_headers={},
    ),
    Case("yahoo", {"/oauth2/get_token": TOKEN, "/openid/v1/userinfo": {**OPENID, "email_verified": True}}, ADA),
    Case(
        "yandex",
        {"/token": TOKEN, "/info": {"id": "7", "default_email": MAIN, "display_name": "Ada Example"}},
        UNVOUCHED,
        profile_headers={"Authorization": "OAuth token-1"},
    ),
    Case(
        "wordpress",
        {
            "/oauth2/token": TOKEN,
            "/rest/v1/me": {"ID": 7, "username": "Ada Example", "email": MAIN, "email_verified": True},
        },
        ADA,
    ),
]

BASIC = {"paypal", "paypalSandbox", "salesforce", "spotify", "tradeshift", "tradeshiftBox", "yahoo", "yandex"}
FORMS = {
    "bitbucket": "code client_id client_secret grant_type",
    "bitly": "code client_id client_secret redirect_uri state",
    "box": "code client_id client_secret redirect_uri grant_type scope",
    "discord": "code client_id client_secret redirect_uri grant_type scope code_verifier",
    "facebook": "",
    "github": "code client_id client_secret redirect_uri code_verifier",
    "microsoft": "code client_id client_secret redirect_uri grant_type scope code_verifier",
    "paypal": "code grant_type",
    "paypalSandbox": "code grant_type",
    "salesforce": "code redirect_uri grant_type code_verifier",
    "spotify": "code redirect_uri grant_type code_verifier",
    "tradeshift": "code grant_type",
    "tradeshiftBox": "code grant_type",
    "vk": "code client_id client_secret redirect_uri",
    "yandex": "code grant_type code_verifier",
}
USUAL_FORM = "code client_id client_secret redirect_uri grant_type"


async def log_in(key: str, answers: dict[str, Any], *, secret: str = "secret") -> tuple[Profile, list[Asked]]:
    async with serving(answers) as server, Client({key: server.base}) as client:
        grant, person = await Flow(client).log_in(
            PROVIDERS[key],
            app_id="app",
            secret=secret,
            code="code",
            redirect_uri=CALLBACK,
            scopes=("extra",),
            state="state",
            verifier=VERIFIER,
        )
    assert grant.access_token == "token-1"
    return person, server.asked


def test_the_keys_are_the_published_ones_in_order() -> None:
    assert list(PROVIDERS) == KEYS.split()


def test_every_provider_has_a_case() -> None:
    assert {case.key for case in CASES} | {"apple", "mock"} == set(PROVIDERS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.key}-{'checked' if case.person.vouched else 'not'}")
async def test_logging_in(case: Case) -> None:
    provider = PROVIDERS[case.key]
    person, (exchange, *profile) = await log_in(case.key, case.answers)
    assert person == case.person
    assert exchange.method == ("GET" if provider.token_by_get else "POST")
    assert exchange.query == case.token_query
    usual = USUAL_FORM + (" code_verifier" if provider.pkce else "")
    assert sorted(exchange.form) == sorted(FORMS.get(case.key, usual).split())
    assert exchange.form.get("code_verifier", VERIFIER) == VERIFIER
    assert exchange.form.get("grant_type", "authorization_code") == "authorization_code"
    assert exchange.headers.get("Authorization") == ("Basic YXBwOnNlY3JldA==" if case.key in BASIC else None)
    assert profile
    for asked in profile:
        assert {name: asked.headers[name] for name in case.profile_headers} == case.profile_headers
        if case.key != "vk":
            assert "token-1" not in str(asked.query)


@pytest.mark.parametrize("key", PROVIDERS)
def test_the_authorization_url(key: str) -> None:
    provider = PROVIDERS[key]
    url = Flow(Client()).authorization_url(
        provider, app_id="app", redirect_uri=CALLBACK, scopes=("extra", "extra"), state="state", verifier=VERIFIER
    )
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == provider.authorize or key == "mock"
    assert parts.scheme == "https" or key == "mock"
    assert (query["client_id"], query["state"]) == ("app", "state")
    assert query.get("redirect_uri") == (
        None if "redirect_uri" in provider.unwanted else redirect_url(provider, CALLBACK)
    )
    assert query.get("response_type") == (None if "response_type" in provider.unwanted else "code")
    if "scope" not in provider.unwanted:
        assert query["scope"].split(provider.separator) == [*provider.scopes, "extra"]
    assert query.get("code_challenge") == (challenge(VERIFIER) if provider.pkce else None)
    assert VERIFIER not in url
    for name, value in provider.parameters.items():
        assert query[name] == value


def test_the_challenge_is_that_of_the_standard() -> None:
    # RFC 7636, appendix B
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_some_want_a_numeric_loopback_address() -> None:
    assert redirect_url(PROVIDERS["paypal"], CALLBACK) == CALLBACK.replace("localhost", "127.0.0.1")
    assert redirect_url(PROVIDERS["github"], CALLBACK) == CALLBACK


@pytest.mark.parametrize(
    "answer", [{}, {"access_token": ""}, {"access_token": ["x"]}, [], "scope=x", {"access_token": "x" * 20_000}]
)
async def test_no_token(answer: Any) -> None:
    with pytest.raises(ProviderFailed, match="no access token"):
        await log_in("google", {"/token": answer})


async def test_a_profile_that_is_refused() -> None:
    with pytest.raises(ProviderFailed, match="404"):
        await log_in("google", {"/token": TOKEN})


# Apple


def private_key() -> tuple[Any, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def id_token(**changes: Any) -> str:
    claims = {
        "iss": "https://appleid.apple.com",
        "aud": "app",
        "exp": int(time.time()) + 600,
        "sub": "7",
        "email": "Ada@example.com",
        "email_verified": "true",
        **changes,
    }
    return jwt.encode(claims, "not looked at, since the token came straight from Apple", algorithm="HS256")


@pytest.mark.parametrize("written_out", [False, True])
async def test_apple(written_out: bool) -> None:
    key, pem = private_key()
    secret = orjson.dumps(
        {"p8": pem.replace("\n", "\\n") if written_out else pem, "keyID": "key", "teamID": "team"}
    ).decode()
    person, (asked,) = await log_in("apple", {"/auth/token": {**TOKEN, "id_token": id_token()}}, secret=secret)
    assert person == Profile("7", "Ada@example.com", "ada@example.com", True)
    sent = asked.form["client_secret"]
    claims = jwt.decode(sent, key.public_key(), algorithms=["ES256"], audience="https://appleid.apple.com")
    assert (claims["iss"], claims["sub"]) == ("team", "app")
    assert 0 < claims["exp"] - time.time() <= 15_777_000
    assert jwt.get_unverified_header(sent)["kid"] == "key"
    assert asked.form["redirect_uri"] == CALLBACK


@pytest.mark.parametrize("verified", [False, "false", None])
async def test_apple_tells_no_address_that_it_has_not_checked(verified: Any) -> None:
    secret = orjson.dumps({"p8": private_key()[1], "keyID": "key", "teamID": "team"}).decode()
    token = id_token(email_verified=verified)
    person, _ = await log_in("apple", {"/auth/token": {**TOKEN, "id_token": token}}, secret=secret)
    assert person == Profile("7")


@pytest.mark.parametrize("wrong", [{"aud": "other"}, {"iss": "https://evil.test"}, {"exp": 1_000}, {"sub": None}])
async def test_apple_tokens_for_others(wrong: dict[str, Any]) -> None:
    secret = orjson.dumps({"p8": private_key()[1], "keyID": "key", "teamID": "team"}).decode()
    with pytest.raises(ProviderFailed, match="ID token"):
        await log_in("apple", {"/auth/token": {**TOKEN, "id_token": id_token(**wrong)}}, secret=secret)


@pytest.mark.parametrize("secret", ["", "secret", "[]", "{}", '{"p8": "x", "keyID": "k", "teamID": "t"}', '{"p8": 1}'])
async def test_apple_secrets_that_are_none(secret: str) -> None:
    with pytest.raises(ProviderFailed, match="p8"):
        await log_in("apple", {}, secret=secret)
