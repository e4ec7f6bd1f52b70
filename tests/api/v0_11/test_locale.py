from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from litewrite import Config, Litewrite
from litewrite.api.v0_11 import make_dialect
from litewrite.api.v0_11.params import LOCALES
from litewrite.permissions import Actor, ActorKind
from tests.conftest import Client, World

ENDPOINTS = (
    "/locale",
    "/locale/countries",
    "/locale/countries/eu",
    "/locale/countries/phones",
    "/locale/continents",
    "/locale/currencies",
    "/locale/languages",
)
FOREIGN = "193.0.6.139"


async def jwt(world: World) -> Client:
    token = await (await world.sign_up()).post("/account/jwt")
    return world.guest.with_headers(X_Appwrite_JWT=token["jwt"])


async def guest_of(world: World) -> Client:
    return world.guest


CALLERS: dict[str, Callable[[World], Awaitable[Client]]] = {
    "guest": guest_of,
    "session": lambda world: world.sign_up(),
    "jwt": jwt,
    "key": lambda world: world.key("locale.read"),
}


@pytest.mark.parametrize("caller", CALLERS)
async def test_everybody_may_ask(world: World, caller: str) -> None:
    client = await CALLERS[caller](world)
    for path in ENDPOINTS:
        answer = await client.get(path)
        assert answer.status == 200, path
        assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert "X-RateLimit-Limit" not in answer.headers


async def test_a_key_needs_the_scope(world: World) -> None:
    client = await world.key("health.read")
    for path in ENDPOINTS:
        answer = await client.get(path)
        assert (answer.status, answer["type"]) == (401, "general_unauthorized_scope")


def test_administrators_have_the_scope() -> None:
    assert make_dialect().has_scope(Actor(kind=ActorKind.ADMIN, project_id="default"), "locale.read")


async def test_a_wrong_key_is_refused(guest: Client) -> None:
    answer = await guest.with_headers(X_Appwrite_Key="f" * 256).get("/locale")
    assert answer.status == 401


async def test_the_console_has_it_too(world: World) -> None:
    console = Client(world.http, world.endpoint, {"X-Appwrite-Project": "console"})
    assert (await console.get("/locale/countries"))["sum"] == 194


@pytest.mark.parametrize("project", [None, "nobody"])
async def test_a_project_is_needed(world: World, project: str | None) -> None:
    client = Client(world.http, world.endpoint, {"X-Appwrite-Project": project} if project else {})
    for path in ENDPOINTS:
        answer = await client.get(path)
        assert (answer.status, answer["type"]) == (400, "project_unknown")


async def test_the_session_of_a_blocked_user_is_refused(user: Client) -> None:
    assert (await user.get("/locale/countries")).status == 200
    assert (await user.delete("/account")).status == 204
    for path in ENDPOINTS:
        answer = await user.get(path)
        assert (answer.status, answer["type"]) == (401, "user_blocked")


async def test_only_get(guest: Client) -> None:
    for path in ENDPOINTS:
        assert (await guest.post(path, {})).status == 404


async def test_a_local_caller_is_nowhere(guest: Client) -> None:
    answer = await guest.get("/locale", headers={"X-Forwarded-For": FOREIGN})
    assert answer.body == {
        "ip": "127.0.0.1",
        "countryCode": "--",
        "country": "Unknown",
        "continentCode": "--",
        "continent": "Unknown",
        "eu": False,
        "currency": "",
    }
    german = await guest.get("/locale", headers={"X-Appwrite-Locale": "de"})
    assert (german["country"], german["continent"]) == ("Unbekannt", "Unbekannt")


async def test_a_place_may_be_kept_by_the_caller_alone(guest: Client) -> None:
    answer = await guest.get("/locale")
    assert answer.headers.getall("Cache-Control") == ["private, max-age=3888000"]
    expires = parsedate_to_datetime(answer.headers.getone("Expires")).timestamp()
    assert abs(expires - time.time() - 3_888_000) < 60
    assert "Expires" not in (await guest.get("/locale/countries")).headers


@pytest.fixture
async def behind_proxy(config: Config) -> AsyncIterator[Client]:
    settings = {name: getattr(config, name) for name in config.__slots__}
    async with (
        Litewrite(Config(**{**settings, "trusted_proxies": ("127.0.0.1",), "locale": "fr"})) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield World(server, http).guest


async def test_a_caller_behind_a_proxy_is_somewhere(behind_proxy: Client) -> None:
    pytest.importorskip("iptocc")
    answer = await behind_proxy.get("/locale?locale=en", headers={"X-Forwarded-For": FOREIGN})
    assert answer.body == {
        "ip": FOREIGN,
        "countryCode": "NL",
        "country": "Netherlands",
        "continentCode": "EU",
        "continent": "Europe",
        "eu": True,
        "currency": "EUR",
    }
    japanese = await behind_proxy.get("/locale?locale=ja", headers={"X-Forwarded-For": FOREIGN})
    assert japanese.body == {**answer.body, "country": "オランダ", "continent": "ヨーロッパ"}
    local = await behind_proxy.get("/locale?locale=en", headers={"X-Forwarded-For": "10.0.0.7"})
    assert (local["ip"], local["countryCode"]) == ("10.0.0.7", "--")


async def test_sessions_and_logs_tell_the_country(behind_proxy: Client) -> None:
    pytest.importorskip("iptocc")
    credentials = {"email": "ada@example.com", "password": "password"}
    abroad = {"X-Forwarded-For": FOREIGN}
    assert (await behind_proxy.post("/account", credentials)).status == 201
    answer = await behind_proxy.post("/account/sessions", credentials, headers=abroad)
    assert (answer["ip"], answer["countryCode"], answer["countryName"]) == (FOREIGN, "nl", "Pays-Bas")
    user = behind_proxy.with_headers(Cookie=answer.headers.getall("Set-Cookie")[-1].split(";")[0])
    for path in ("/account/sessions/current", f"/account/sessions/{answer['$id']}"):
        session = await user.get(path, params={"locale": "de"})
        assert (session["countryCode"], session["countryName"], session["current"]) == ("nl", "Niederlande", True)
    listed = (await user.get("/account/sessions?locale=xx"))["sessions"]
    assert [session["countryName"] for session in listed] == ["Pays-Bas"]
    entries = (await user.get("/account/logs?locale=es"))["logs"]
    assert [(entry["event"], entry["countryCode"], entry["countryName"]) for entry in entries] == [
        ("account.sessions.create", "nl", "Países Bajos"),
        ("account.create", "--", "Desconocido"),
    ]


async def test_the_default_language_is_a_setting(behind_proxy: Client) -> None:
    assert (await behind_proxy.get("/locale"))["country"] == "Inconnu"
    assert (await behind_proxy.get("/locale?locale=xx"))["country"] == "Inconnu"
    assert (await behind_proxy.get("/locale?locale=es"))["country"] == "Desconocido"


async def test_countries(guest: Client) -> None:
    answer = await guest.get("/locale/countries")
    assert answer.body.keys() == {"sum", "countries"}
    assert answer["sum"] == len(answer["countries"]) == 194
    assert answer["countries"][0] == {"name": "Afghanistan", "code": "AF"}
    spanish = await guest.get("/locale/countries", headers={"X-Appwrite-Locale": "es"})
    assert spanish["sum"] == 194
    assert spanish["countries"][0] == {"name": "Afganistán", "code": "AF"}
    assert "Afganistán".encode() in spanish.raw


async def test_members_of_the_union(guest: Client) -> None:
    answer = await guest.get("/locale/countries/eu?locale=de")
    assert answer["sum"] == len(answer["countries"]) == 27
    assert answer["countries"][0] == {"name": "Belgien", "code": "BE"}
    assert answer["countries"][-1] == {"name": "Österreich", "code": "AT"}


async def test_phones(guest: Client) -> None:
    answer = await guest.get("/locale/countries/phones")
    assert answer.body.keys() == {"sum", "phones"}
    assert answer["sum"] == len(answer["phones"]) == 194
    assert answer["phones"][0] == {"code": "+1", "countryCode": "CA", "countryName": "Canada"}
    german = await guest.get("/locale/countries/phones?locale=de")
    assert german["phones"][4] == {"code": "+20", "countryCode": "EG", "countryName": "Ägypten"}


async def test_continents(guest: Client) -> None:
    answer = await guest.get("/locale/continents")
    assert answer.body.keys() == {"sum", "continents"}
    assert answer["sum"] == len(answer["continents"]) == 7
    assert answer["continents"][0] == {"name": "Africa", "code": "AF"}
    spanish = await guest.get("/locale/continents?locale=es")
    assert spanish["continents"][0] == {"name": "América del Norte", "code": "NA"}
    azerbaijani = await guest.get("/locale/continents?locale=az")
    assert all(continent["name"] and "{{" not in continent["name"] for continent in azerbaijani["continents"])


async def test_currencies(guest: Client) -> None:
    answer = await guest.get("/locale/currencies?locale=de")
    assert answer.body.keys() == {"sum", "currencies"}
    assert answer["sum"] == len(answer["currencies"]) == 117
    by_code: dict[str, Any] = {currency["code"]: currency for currency in answer["currencies"]}
    assert list(by_code)[:4] == ["USD", "EUR", "GBP", "CAD"]
    assert by_code["CAD"] == {
        "symbol": "CA$",
        "name": "Canadian Dollar",
        "symbolNative": "$",
        "decimalDigits": 2,
        "rounding": 0,
        "code": "CAD",
        "namePlural": "Canadian dollars",
    }
    assert by_code["CHF"]["rounding"] == 0.05
    assert by_code["JPY"]["decimalDigits"] == 0
    assert b'"rounding":0,' in answer.raw


async def test_languages(guest: Client) -> None:
    answer = await guest.get("/locale/languages?locale=de")
    assert answer.body.keys() == {"sum", "languages"}
    assert answer["sum"] == len(answer["languages"]) == 185
    assert answer["languages"][0] == {"code": "aa", "name": "Afar", "nativeName": "Afar"}
    assert answer["languages"][184] == {"code": "zu", "name": "Zulu", "nativeName": "isiZulu"}


async def test_every_language_lists_the_same_codes(guest: Client) -> None:
    countries = {country["code"] for country in (await guest.get("/locale/countries"))["countries"]}
    for locale in sorted(LOCALES):
        answer = await guest.get("/locale/countries", headers={"X-Appwrite-Locale": locale})
        assert {country["code"] for country in answer["countries"]} == countries
        assert answer["sum"] == 194
        answer = await guest.get("/locale/continents", headers={"X-Appwrite-Locale": locale})
        assert {continent["code"] for continent in answer["continents"]} == {"AF", "AN", "AS", "EU", "NA", "OC", "SA"}
        assert answer["sum"] == 7


@pytest.mark.parametrize(
    ("query", "header", "word"),
    [
        ("", None, "Unknown"),
        ("", "de", "Unbekannt"),
        ("?locale=de", None, "Unbekannt"),
        ("?locale=de", "es", "Unbekannt"),
        ("?locale=xx", "es", "Unknown"),
        ("?locale=", "es", "Desconocido"),
        ("", "xx", "Unknown"),
        ("", "de-AT", "Unknown"),
        ("?locale=pt-br", None, "Desconhecido"),
        ("?locale=PT_BR", None, "Desconhecido"),
        ("", "pt-BR", "Desconhecido"),
        ("", "zh_TW", "未知"),
        ("", "AR", "مجهول"),
        ("?locale[]=de", None, "Unknown"),
    ],
)
async def test_the_language_is_chosen(guest: Client, query: str, header: str | None, word: str) -> None:
    headers = {"X-Appwrite-Locale": header} if header is not None else {}
    answer = await guest.get(f"/locale{query}", headers=headers)
    assert (answer.status, answer["country"]) == (200, word)


async def test_browsers_languages_do_not_count(guest: Client) -> None:
    assert (await guest.get("/locale", headers={"Accept-Language": "de"}))["country"] == "Unknown"


@pytest.mark.parametrize("locale", [{"a": 1}, ["de"], 5, True, None])
async def test_a_locale_that_is_no_text_is_ignored(guest: Client, locale: Any) -> None:
    body = {"email": "bea@example.com", "password": "password", "locale": locale}
    assert (await guest.post("/account", body)).status == 201
