"""Countries, continents, currencies and languages, in the language of the caller; and where a caller is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from litewrite.countries import Countries
from litewrite.reference import UNKNOWN_COUNTRY, Country, Currency, Language, Names, Reference, Tables


@dataclass(frozen=True, slots=True)
class Named:
    """A country or a continent with its name."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Phone:
    """The dialling code of a country, with its plus sign."""

    code: str
    country_code: str
    country_name: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address is. Codes are -- and the currency is empty when that is unknown."""

    ip: str
    country_code: str
    country_name: str
    continent_code: str
    continent_name: str
    in_eu: bool
    currency: str


class Locale:
    """Answers from the reference data. What is not in memory yet is read in a thread."""

    def __init__(self, reference: Reference, countries: Countries) -> None:
        self._reference = reference
        self._countries = countries

    def country_code(self, ip: str) -> str:
        """The country of an address: two lower-case letters, or -- when it is private or unknown."""
        return self._countries.code(ip)

    def country_name(self, code: str, locale: str) -> str:
        """The name of a country by its code in any case; the word for Unknown for -- and codes that do not exist.

        The first use of a language reads a small file; on the event loop ask `names` for it.
        """
        return self._reference.names(locale).country(code)

    async def names(self, locale: str) -> Names:
        """The names of countries and continents in a language; English when there are none in it."""
        names = self._reference.loaded_names(locale)
        return names if names is not None else await asyncio.to_thread(self._reference.names, locale)

    async def place(self, ip: str, locale: str) -> Place:
        """Where an address is, by the registries' assignments."""
        names = await self.names(locale)
        code = self._countries.code(ip).upper()
        country = None if code == UNKNOWN_COUNTRY else (await self._tables()).countries.get(code)
        if country is None:
            unknown = names.unknown
            return Place(ip, UNKNOWN_COUNTRY, unknown, UNKNOWN_COUNTRY, unknown, in_eu=False, currency="")
        return Place(
            ip,
            country.code,
            names.country(country.code),
            country.continent,
            names.continent(country.continent),
            country.in_eu,
            country.currency,
        )

    async def countries(self, locale: str) -> tuple[Named, ...]:
        """The members of the United Nations and the Vatican, by name."""
        return await self._named(locale, lambda country: bool(country.dialling_code))

    async def eu_countries(self, locale: str) -> tuple[Named, ...]:
        """The members of the European Union, by name."""
        return await self._named(locale, lambda country: country.in_eu)

    async def _named(self, locale: str, chosen: Callable[[Country], bool]) -> tuple[Named, ...]:
        names = await self.names(locale)
        countries = (await self._tables()).countries
        return tuple(Named(code, name) for code, name in names.countries.items() if chosen(countries[code]))

    async def phones(self, locale: str) -> tuple[Phone, ...]:
        """One dialling code for each country, by number."""
        names = await self.names(locale)
        countries = (await self._tables()).countries
        listed = [country for country in countries.values() if country.dialling_code]
        listed.sort(key=lambda country: int(country.dialling_code))
        return tuple(
            Phone(f"+{country.dialling_code}", country.code, names.country(country.code)) for country in listed
        )

    async def continents(self, locale: str) -> tuple[Named, ...]:
        """The seven continents, by name."""
        return tuple(Named(code, name) for code, name in (await self.names(locale)).continents.items())

    async def currencies(self) -> tuple[Currency, ...]:
        """Currencies, the four most used ones first, then by code."""
        return (await self._tables()).currencies

    async def languages(self) -> tuple[Language, ...]:
        """Languages by code."""
        return (await self._tables()).languages

    async def _tables(self) -> Tables:
        tables = self._reference.loaded_tables
        return tables if tables is not None else await asyncio.to_thread(self._reference.tables)
