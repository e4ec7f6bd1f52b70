from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from litewrite.countries import UNKNOWN, Countries
from litewrite.reference import Reference
from litewrite.services.locale import Locale, Named, Phone, Place


class Known(Countries):
    """Addresses with countries of our choice."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known

    def code(self, ip: str) -> str:
        return self._known.get(ip, UNKNOWN)


@pytest.fixture
def locale() -> Locale:
    return Locale(
        Reference(), Known({"1.1.1.1": "es", "2.2.2.2": "hk", "3.3.3.3": "us", "4.4.4.4": "qq", "5.5.5.5": "aq"})
    )


async def test_a_place_is_told_in_the_language(locale: Locale) -> None:
    assert await locale.place("1.1.1.1", "de") == Place("1.1.1.1", "ES", "Spanien", "EU", "Europa", True, "EUR")
    assert await locale.place("1.1.1.1", "en") == Place("1.1.1.1", "ES", "Spain", "EU", "Europe", True, "EUR")
    assert await locale.place("3.3.3.3", "es") == Place(
        "3.3.3.3", "US", "Estados Unidos", "NA", "América del Norte", False, "USD"
    )


async def test_a_territory_has_a_name_and_a_currency(locale: Locale) -> None:
    assert await locale.place("2.2.2.2", "en") == Place(
        "2.2.2.2", "HK", "Hong Kong SAR China", "AS", "Asia", False, "HKD"
    )
    assert (await locale.place("5.5.5.5", "en")).currency == ""


@pytest.mark.parametrize(
    ("code", "word"), [("en", "Unknown"), ("de", "Unbekannt"), ("he", "לא ידוע"), ("xx", "Unknown")]
)
@pytest.mark.parametrize("ip", ["127.0.0.1", "4.4.4.4", ""])
async def test_an_unknown_place_has_every_field(locale: Locale, ip: str, code: str, word: str) -> None:
    assert await locale.place(ip, code) == Place(ip, "--", word, "--", word, False, "")


async def test_countries_of_sessions_have_names(locale: Locale) -> None:
    assert locale.country_code("1.1.1.1") == "es"
    assert locale.country_code("127.0.0.1") == "--"
    assert locale.country_name("es", "fr") == "Espagne"
    assert locale.country_name("hk", "de") == "Sonderverwaltungsregion Hongkong"
    assert locale.country_name("--", "ja") == "不明"
    names = await locale.names("fr")
    assert [names.country("es"), names.country("--")] == ["Espagne", "Inconnu"]


async def test_every_language_has_the_same_countries(locale: Locale) -> None:
    english = {country.code for country in await locale.countries("en")}
    members = {country.code for country in await locale.eu_countries("en")}
    phones = [phone.code for phone in await locale.phones("en")]
    assert (len(english), len(members), len(phones)) == (194, 27, 194)
    assert members < english
    for code in Reference().locales:
        countries = await locale.countries(code)
        assert {country.code for country in countries} == english
        assert len(countries) == 194
        assert [country.name for country in countries] == sorted(country.name for country in countries)
        assert {country.code for country in await locale.eu_countries(code)} == members
        assert len(await locale.continents(code)) == 7
        assert [phone.code for phone in await locale.phones(code)] == phones


async def test_members_of_the_union_are_sorted_by_bytes(locale: Locale) -> None:
    names = [country.name for country in await locale.eu_countries("de")]
    assert names[:4] == ["Belgien", "Bulgarien", "Deutschland", "Dänemark"]
    assert names[-1] == "Österreich"


async def test_dialling_codes_are_sorted_by_number(locale: Locale) -> None:
    phones = await locale.phones("en")
    assert phones[:6] == (
        Phone("+1", "CA", "Canada"),
        Phone("+1", "US", "United States"),
        Phone("+7", "RU", "Russia"),
        Phone("+7", "KZ", "Kazakhstan"),
        Phone("+20", "EG", "Egypt"),
        Phone("+27", "ZA", "South Africa"),
    )
    assert phones[-1] == Phone("+1876", "JM", "Jamaica")
    assert Phone("+1242", "BS", "Bahamas") in phones[-15:]


async def test_continents_are_sorted_by_name(locale: Locale) -> None:
    assert (await locale.continents("en"))[0] == Named("AF", "Africa")
    assert (await locale.continents("es"))[0] == Named("NA", "América del Norte")
    assert [continent.code for continent in await locale.continents("en")] == ["AF", "AN", "AS", "EU", "NA", "OC", "SA"]


async def test_files_are_read_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = Reference()
    in_thread: list[str] = []
    original = asyncio.to_thread

    async def watched(function: object, *arguments: object) -> object:
        in_thread.append(getattr(function, "__name__", ""))
        return await original(function, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "to_thread", watched)
    locale = Locale(reference, Known({}))
    for _ in range(3):
        await locale.phones("de")
        await locale.currencies()
        await locale.languages()
    assert in_thread == ["names", "tables"]
