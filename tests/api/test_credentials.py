"""Session cookies in and out, and the header for clients that cannot keep them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from litewrite import Config, Litewrite
from litewrite.api.credentials import SessionCookies, needs_fallback, read_credentials, set_cookie_headers
from litewrite.http.sites import Sites
from litewrite.security import encode_session
from tests.conftest import FAST, Client, World

ONE, OTHER = encode_session("one", "00ff"), encode_session("other", "11ee")
DAMAGED = ONE[:-1]


def read(cookie: str | list[str] = (), *, mode: str = "", project: str = "p", **headers: str) -> Any:  # type: ignore[assignment]
    values: CIMultiDict[str] = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    for each in [cookie] if isinstance(cookie, str) else cookie:
        values.add("Cookie", each)
    request: Any = SimpleNamespace(headers=values)  # a real one cannot be made with bytes that are no UTF-8
    return read_credentials(request, project, mode, SessionCookies().of(request))


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        (f"a_session_p={ONE}", ONE),
        (f"a_session_p={quote(ONE, safe='')}", ONE),
        (f'a_session_p="{ONE}"', ONE),
        (f"A_Session_P={ONE}", ONE),
        (f"other=1; a_session_p={ONE}; more=2", ONE),
        (f"a_session_p={ONE};other=1", ONE),
        (f"odd; =; ;;a_session_p={ONE}", ONE),
        (f"a_session_p_legacy={ONE}", ONE),
        (f"a_session_p_legacy={OTHER}; a_session_p={ONE}", ONE),
        (f"a_session_p={ONE}; a_session_p_legacy={OTHER}", ONE),
        (f"a_session_p={DAMAGED}; a_session_p_legacy={OTHER}", OTHER),
        (f"a_session_p=; a_session_p_legacy={OTHER}", OTHER),
        ([f"a_session_p={ONE}", "x=1"], ONE),
        (f"a_session_q={ONE}", ""),
        (f"xa_session_p={ONE}", ""),
        (f"a_session_p={DAMAGED}", ""),
        (f"a_session_p={ONE}x", ""),
        (f"a_session_p={quote(quote(ONE, safe=''), safe='')}", ""),
        ("a_session_p", ""),
        ("a_session_p=%zz", ""),
        ("a_session_p=\udcff", ""),
        ("", ""),
        ([], ""),
    ],
)
def test_which_cookie_is_the_session(cookie: Any, expected: str) -> None:
    credentials, from_cookie = read(cookie)
    assert credentials.session == expected
    assert from_cookie is bool(expected)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (json.dumps({"a_session_p": ONE}), ONE),
        (json.dumps({"x": 1, "A_SESSION_P": ONE}), ONE),
        (json.dumps({"a_session_q": ONE}), ""),
        (json.dumps({"a_session_p": [ONE]}), ""),
        (json.dumps({"a_session_p": None}), ""),
        ("{}", ""),
        ("[]", ""),
        ("", ""),
        ("null", ""),
        ("{", ""),
        ('{"a_session_p": ' + "[" * 5_000, ""),
        ('{"a_session_p": ' + "9" * 5_000 + "}", ""),
    ],
)
def test_the_fallback_header(header: str, expected: str) -> None:
    credentials, from_cookie = read(X_Fallback_Cookies=header)
    assert credentials.session == expected
    assert not from_cookie


def test_the_fallback_counts_only_when_no_cookie_decodes() -> None:
    fallback = json.dumps({"a_session_p": OTHER})
    assert read(f"a_session_p={ONE}", X_Fallback_Cookies=fallback) == (read(f"a_session_p={ONE}")[0], True)
    assert read(f"a_session_p={DAMAGED}", X_Fallback_Cookies=fallback)[0].session == OTHER


def test_key_and_jwt_are_taken_as_they_come() -> None:
    credentials, _ = read(X_Appwrite_Key="k", X_Appwrite_JWT="j")
    assert (credentials.key, credentials.jwt, credentials.session) == ("k", "j", "")


@pytest.mark.parametrize(
    ("mode", "project", "admin"),
    [("admin", "p", ONE), ("default", "p", ""), ("Admin", "p", ""), ("admin", "console", "")],
)
def test_the_session_of_an_administrator(mode: str, project: str, admin: str) -> None:
    credentials, from_cookie = read(f"a_session_console={ONE}", mode=mode, project=project)
    assert credentials.admin_session == admin
    assert from_cookie is (bool(admin) or project == "console")


@given(st.text())
def test_no_cookie_header_makes_it_raise(header: str) -> None:
    read(header)


@given(st.text())
def test_no_fallback_header_makes_it_raise(header: str) -> None:
    read(X_Fallback_Cookies=header)


def test_what_is_remembered_is_bounded() -> None:
    def sending(cookie: str) -> Any:
        return SimpleNamespace(headers=CIMultiDict(Cookie=cookie))

    cookies = SessionCookies()
    for number in range(SessionCookies._SIZE + 10):
        cookies.of(sending(f"x={number}"))
    assert len(cookies._known) == 10
    assert cookies.of(sending(f"a_session_p={ONE}; x={'y' * SessionCookies._LONGEST}")) == {"a_session_p": ONE}
    assert len(cookies._known) == 10


EXPIRES = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("localhost", ""),
        ("app.localhost", ""),
        ("127.0.0.1", ""),
        ("::1", ""),
        ("example.com", "; Domain=.example.com"),
        ("api.example.com", "; Domain=.api.example.com"),
    ],
)
@pytest.mark.parametrize("secure", [False, True])
def test_the_two_cookies_of_a_login(host: str, domain: str, secure: bool) -> None:
    made = set_cookie_headers("p", ONE, EXPIRES, secure=secure, host=host)
    shared = f"={quote(ONE, safe='')}; Expires=Mon, 03 Feb 2031 04:05:06 GMT; Path=/{domain}"
    shared += "; Secure; HttpOnly" if secure else "; HttpOnly"
    assert made == [f"a_session_p_legacy{shared}", f"a_session_p{shared}; SameSite=None"]
    assert made[1].partition(";")[0].endswith("%3D")


def test_the_cookies_of_a_logout_are_empty_and_over() -> None:
    for header in set_cookie_headers("p", "", None, secure=False, host="localhost"):
        assert "=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; HttpOnly" in header


@pytest.mark.parametrize(
    ("host", "page", "needed"),
    [
        ("localhost", "localhost", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("api.example.com", "", True),
        ("api.example.com", "app.example.com", False),
        ("api.example.com", "example.com", False),
        ("api.example.com", "example.org", True),
        ("api.example.co.uk", "other.co.uk", True),
        ("intranet", "intranet", True),
    ],
)
async def test_when_the_fallback_header_is_needed(host: str, page: str, needed: bool) -> None:
    assert await needs_fallback(Sites(), host, page) is needed


async def test_the_suffix_list_is_not_loaded_for_this_machine() -> None:
    sites = Sites()
    await needs_fallback(sites, "localhost", "localhost")
    await needs_fallback(sites, "10.0.0.1", "example.com")
    assert sites._suffixes is None
    await needs_fallback(sites, "example.com", "example.com")
    assert sites._suffixes is not None


def login(client: Client, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/account/sessions", {"email": "ada@example.com", "password": "password"}, headers=named)


def session_of(answer: Any) -> dict[str, str]:
    value = SimpleCookie(answer.headers.getall("Set-Cookie")[-1])["a_session_default"].value
    decoded: dict[str, str] = json.loads(base64.b64decode(unquote(value), validate=True))
    return decoded


class TestLogin:
    async def test_the_main_cookie_is_the_last(self, world: World, user: Client) -> None:
        answer = await login(world.guest)
        names = [header.partition("=")[0] for header in answer.headers.getall("Set-Cookie")]
        assert names == ["a_session_default_legacy", "a_session_default"]
        session = session_of(answer)
        assert list(session) == ["id", "secret"]
        assert session["id"] == user.user["$id"]
        assert len(session["secret"]) == 256

    async def test_the_fallback_header_holds_the_same_session(self, world: World, user: Client) -> None:
        answer = await login(world.guest, Origin="http://localhost:3000")
        fallback = json.loads(answer.headers["X-Fallback-Cookies"])
        assert json.loads(base64.b64decode(fallback["a_session_default"])) == session_of(answer)
        client = world.guest.with_headers(X_Fallback_Cookies=answer.headers["X-Fallback-Cookies"])
        assert (await client.get("/account"))["$id"] == user.user["$id"]

    async def test_logout_takes_both_back(self, world: World, user: Client) -> None:
        answer = await user.delete("/account/sessions/current")
        assert answer.headers["X-Fallback-Cookies"] == "[]"
        cookies = answer.headers.getall("Set-Cookie")
        assert [cookie.partition(";")[0] for cookie in cookies] == ["a_session_default_legacy=", "a_session_default="]
        assert all("Expires=Thu, 01 Jan 1970" in cookie for cookie in cookies)

    async def test_registering_sets_nothing(self, world: World) -> None:
        answer = await world.guest.post("/account", {"email": "new@example.com", "password": "password"})
        assert "Set-Cookie" not in answer.headers
        assert "X-Fallback-Cookies" not in answer.headers

    async def test_a_failed_login_sets_nothing(self, world: World, user: Client) -> None:
        answer = await world.guest.post("/account/sessions", {"email": "ada@example.com", "password": "wrong1"})
        assert answer.status == 401
        assert "Set-Cookie" not in answer.headers
        assert "X-Fallback-Cookies" not in answer.headers


@pytest.fixture
async def proxied(tmp_path: Any) -> Any:
    """A server behind a trusted https proxy, under a name of its own."""
    config = Config(
        data_dir=tmp_path / "p", port=0, allowed_hosts=("api.example.com",), trusted_proxies=("127.0.0.1",), **FAST
    )
    async with Litewrite(config) as server, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        world = World(server, http)
        await world.sign_up()
        yield world


class TestBehindAProxy:
    async def test_cookies_are_secure_and_for_the_forwarded_host(self, proxied: World) -> None:
        answer = await login(proxied.guest, X_Forwarded_Proto="https", X_Forwarded_Host="api.example.com")
        for cookie in answer.headers.getall("Set-Cookie"):
            assert "; Secure" in cookie
            assert "; Domain=.api.example.com" in cookie

    async def test_over_plain_http_they_are_not(self, proxied: World) -> None:
        answer = await login(proxied.guest, X_Forwarded_Proto="http", X_Forwarded_Host="api.example.com")
        assert not any("Secure" in cookie for cookie in answer.headers.getall("Set-Cookie"))

    async def test_a_page_of_the_same_site_gets_no_fallback(self, proxied: World) -> None:
        async def fallback(origin: str) -> bool:
            headers = {"Host": "api.example.com"}
            if origin:
                headers["Origin"] = origin
            answer = await proxied.guest.post(
                "/account/sessions", {"email": "ada@example.com", "password": "password"}, headers=headers
            )
            assert answer.status == 201, answer.body
            return "X-Fallback-Cookies" in answer.headers

        assert await fallback("")
        assert await fallback("http://localhost:5000")
        assert not await fallback("https://api.example.com")

    async def test_strangers_cannot_make_cookies_secure(self, world: World, user: Client) -> None:
        answer = await login(world.guest, X_Forwarded_Proto="https")
        assert not any("Secure" in cookie for cookie in answer.headers.getall("Set-Cookie"))
