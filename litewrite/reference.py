"""The one reader of `data/`: the facts that are not code, out of a source tree or an installed package.

Nothing is read before somebody asks for it. The tables are small and stay once they are read; the names of one
language are read at its first use, and only the most recently used languages are kept. Reading blocks for well under a
millisecond, so whoever runs on an event loop reads in a thread what `loaded_names` does not have yet.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ENGLISH: Final = "en"
UNKNOWN_COUNTRY: Final = "--"
KEPT_LANGUAGES: Final = 16
"""A language takes about 50 KB of memory."""


@dataclass(frozen=True, slots=True)
class Country:
    """A country or territory. `dialling_code` is empty for those that the lists of countries leave out."""

    code: str
    """ISO 3166-1 alpha-2, in upper case; XK for Kosovo."""
    dialling_code: str
    """Digits without a plus sign."""
    continent: str
    """One of AF, AN, AS, EU, NA, OC and SA."""
    currency: str
    """ISO 4217 code of what is paid with there; empty where nobody lives."""
    in_eu: bool


@dataclass(frozen=True, slots=True)
class Currency:
    code: str
    symbol: str
    native_symbol: str
    name: str
    plural_name: str
    decimals: int
    rounding: float
    """The smallest amount in use; 0 when it follows from the decimals."""


@dataclass(frozen=True, slots=True)
class Language:
    code: str
    name: str
    native_name: str


@dataclass(frozen=True, slots=True)
class Tables:
    """What is the same in every language."""

    countries: Mapping[str, Country]
    """All countries and territories by code, in the order that breaks ties between dialling codes."""
    currencies: tuple[Currency, ...]
    """The four most used ones, then by code."""
    languages: tuple[Language, ...]
    """By code."""


@dataclass(frozen=True, slots=True)
class _Locale:
    code: str
    has_names: bool
    direction: str
    unknown: str


@dataclass(frozen=True, slots=True)
class Names:
    """What countries and continents are called in one language, each in the order of the names."""

    locale: str
    direction: str
    """`ltr` or `rtl`."""
    unknown: str
    """What an unknown country or continent is called."""
    countries: Mapping[str, str]
    continents: Mapping[str, str]

    def country(self, code: str) -> str:
        """The name of a country by its code in any case; the word for Unknown when there is no such country."""
        return self.countries.get(code.upper(), self.unknown)

    def continent(self, code: str) -> str:
        """The name of a continent by its two letters; the word for Unknown when there is no such continent."""
        return self.continents.get(code, self.unknown)


def data_folder() -> Path:
    """Where the facts lie: inside the installed package, else beside it in a source tree."""
    package = Path(__file__).parent
    installed = package / "_data"
    return installed if installed.is_dir() else package.parent / "data"


class Reference:
    """The facts of `data/` for one server. All methods may be called from any thread."""

    def __init__(self, folder: Path | None = None, *, kept_languages: int = KEPT_LANGUAGES) -> None:
        data = folder or data_folder()
        self._folder = data / "locale"
        self._mail_folder = data / "mail"
        self._kept_languages = kept_languages
        self._lock = threading.Lock()
        self._names: dict[str, Names] = {}
        self._tables: Tables | None = None
        self._mail_texts: dict[str, Mapping[str, Any]] = {}

    @functools.cached_property
    def _locales(self) -> Mapping[str, _Locale]:
        return {
            code: _Locale(code, bool(cldr), direction, unknown)
            for code, cldr, direction, unknown in self._rows("locales")
        }

    @property
    def locales(self) -> tuple[str, ...]:
        """The codes of the languages that there are names for."""
        return tuple(self._locales)

    def direction(self, locale: str) -> str:
        """`ltr` or `rtl`; that of English for a code that is unknown."""
        found = self._locales.get(locale)
        return found.direction if found else self._locales[ENGLISH].direction

    def mail_texts(self, locale: str) -> tuple[str, Mapping[str, Any]]:
        """What mails say in a language, and which one it is: English where the wanted one has no texts."""
        with self._lock:
            texts = self._mail_texts.get(locale)
        if texts is not None:
            return locale, texts
        file = self._mail_folder / f"{locale}.json"
        if locale not in self._locales or not file.is_file():
            return self.mail_texts(ENGLISH)
        texts = json.loads(file.read_bytes())
        with self._lock:
            self._mail_texts[locale] = texts
        return locale, texts

    @property
    def loaded_tables(self) -> Tables | None:
        """The tables when they are in memory; this reads nothing."""
        return self._tables

    def tables(self) -> Tables:
        """Countries, currencies and languages."""
        if self._tables is None:
            self._tables = Tables(
                countries={
                    code: Country(code, dialling_code, continent, currency, in_eu=bool(eu))
                    for code, dialling_code, continent, currency, eu in self._rows("countries")
                },
                currencies=tuple(
                    Currency(code, symbol, native, name, plural, int(decimals), float(rounding))
                    for code, symbol, native, name, plural, decimals, rounding in self._rows("currencies")
                ),
                languages=tuple(Language(code, name, native) for code, name, native in self._rows("languages")),
            )
        return self._tables

    def loaded_names(self, locale: str) -> Names | None:
        """The names of a language when they are in memory; this reads nothing."""
        with self._lock:
            names = self._names.pop(locale, None)
            if names is not None:
                self._names[locale] = names
            return names

    def names(self, locale: str) -> Names:
        """The names of a language; English for a code that there are no names for, and for a name that is missing."""
        names = self.loaded_names(locale)
        if names is not None:
            return names
        found = self._locales.get(locale)
        if found is None:
            return self.names(ENGLISH)
        names = self._read_names(found)
        with self._lock:
            self._names[locale] = names
            while len(self._names) > self._kept_languages:
                del self._names[next(iter(self._names))]
        return names

    def _read_names(self, locale: _Locale) -> Names:
        english = self._read_file(ENGLISH)
        found = self._read_file(locale.code) if locale.has_names else english
        return Names(
            locale=locale.code,
            direction=locale.direction,
            unknown=locale.unknown,
            countries=_by_name(english["countries"] | found["countries"]),
            continents=_by_name(english["continents"] | found["continents"]),
        )

    def _read_file(self, code: str) -> dict[str, dict[str, str]]:
        names: dict[str, dict[str, str]] = json.loads((self._folder / "names" / f"{code}.json").read_bytes())
        return names

    def _rows(self, table: str) -> list[list[str]]:
        text = (self._folder / f"{table}.tsv").read_text(encoding="utf-8")
        return [line.split("\t") for line in text.split("\n")[1:-1]]


def _by_name(names: Mapping[str, str]) -> dict[str, str]:
    """Sorted by name; the order of code points is that of the bytes of UTF-8."""
    return dict(sorted(names.items(), key=lambda item: item[1]))
