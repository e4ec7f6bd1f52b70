from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from litewrite.api.v0_11.params import LOCALES
from litewrite.reference import ENGLISH, Names, Reference, data_folder

CONTINENTS = {"AF", "AN", "AS", "EU", "NA", "OC", "SA"}
GENERATOR = Path(__file__).parents[1] / "data" / "generate_locale.py"


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference()


def load_generator() -> ModuleType:
    missing = [name for name in ("babel", "pycountry") if importlib.util.find_spec(name) is None]
    if missing and not os.environ.get("LITEWRITE_REQUIRE_ALL"):
        pytest.skip(f"needs the extra data: {', '.join(missing)} not installed")
    spec = importlib.util.spec_from_file_location("generate_locale", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_what_the_generator_makes() -> None:
    generator = load_generator()
    folder = data_folder() / "locale"
    present = {f"names/{path.name}": path.read_bytes() for path in (folder / "names").iterdir()}
    assert generator.build() == present


def test_tables_agree_with_cldr_and_iso() -> None:
    assert load_generator().faults() == []


def test_the_generator_finds_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = load_generator()
    for path in (data_folder() / "locale").glob("*.tsv"):
        text = path.read_text(encoding="utf-8")
        text = text.replace("AF\t93\tAS\tAFN", "AF\t93\tXX\tEUR").replace("ur\tur\trtl", "ur\tur\tltr")
        (tmp_path / path.name).write_text(text.replace("\naa\t", "\nqx\t"), encoding="utf-8")
    monkeypatch.setattr(generator, "FOLDER", tmp_path)
    assert generator.faults() == [
        "AF pays with AFN, not with EUR",
        "AF is on an unknown continent XX",
        "language qx is unknown",
        "locale ur is not written ltr",
    ]
    assert generator.main(["--check"]) == 1
    assert not list((tmp_path / "names").iterdir())


def test_locales_are_those_of_the_dialect(reference: Reference) -> None:
    assert len(reference.locales) == 69
    assert set(reference.locales) == LOCALES


@pytest.mark.parametrize("locale", sorted(LOCALES))
def test_every_language_names_everything(reference: Reference, locale: str) -> None:
    names = reference.names(locale)
    assert names.locale == locale
    assert names.direction == ("rtl" if locale in {"ar", "fa", "he", "ur"} else "ltr")
    assert names.unknown
    assert names.countries.keys() == reference.tables().countries.keys()
    assert names.continents.keys() == CONTINENTS
    for found in (names.countries, names.continents):
        in_bytes = [name.encode() for name in found.values()]
        assert all(in_bytes)
        assert in_bytes == sorted(in_bytes)


def test_english_names_are_those_that_clients_know(reference: Reference) -> None:
    names = reference.names(ENGLISH)
    known = {
        "AG": "Antigua and Barbuda",
        "CD": "DR Congo",
        "CG": "Republic of the Congo",
        "CI": "Ivory Coast",
        "CV": "Cabo Verde",
        "HK": "Hong Kong SAR China",
        "MK": "North Macedonia",
        "MM": "Myanmar",
        "SZ": "Eswatini",
        "TR": "Türkiye",
        "US": "United States",
        "VC": "Saint Vincent and the Grenadines",
        "XK": "Kosovo",
    }
    assert {code: names.country(code) for code in known} == known


@pytest.mark.parametrize(
    ("locale", "code", "name"),
    [
        ("de", "DE", "Deutschland"),
        ("es", "AF", "Afganistán"),
        ("ar", "EG", "مصر"),
        ("he", "IL", "ישראל"),
        ("ja", "JP", "日本"),
        ("pt-br", "VN", "Vietnã"),
        ("pt-pt", "VN", "Vietname"),
        ("zh-cn", "NZ", "新西兰"),
        ("zh-tw", "NZ", "紐西蘭"),
        ("tl", "PH", "Pilipinas"),
        ("sa", "IN", "भारतः"),
        ("sa", "ES", "Spain"),
        ("bh", "IN", "India"),
    ],
)
def test_names_are_in_the_language(reference: Reference, locale: str, code: str, name: str) -> None:
    assert reference.names(locale).country(code) == name
    assert reference.names(locale).country(code.lower()) == name


@pytest.mark.parametrize(
    ("locale", "word"), [("en", "Unknown"), ("de", "Unbekannt"), ("fi", "Unknown"), ("bh", "अनजान"), ("ur", "نامعلوم")]
)
def test_unknown_has_a_word(reference: Reference, locale: str, word: str) -> None:
    names = reference.names(locale)
    assert [names.country("--"), names.country(""), names.country("QQ"), names.continent("--")] == [word] * 4


@pytest.mark.parametrize("locale", ["", "xx", "EN", "de-at", "../countries", "names/de"])
def test_a_language_without_names_is_english(reference: Reference, locale: str) -> None:
    assert reference.names(locale).locale == ENGLISH


def test_only_the_latest_languages_are_kept() -> None:
    reference = Reference(kept_languages=3)
    assert reference.loaded_names("de") is None
    assert reference.loaded_tables is None
    first = reference.names("de")
    reference.names("fr")
    assert reference.names("de") is first
    for locale in ("it", "es"):
        reference.names(locale)
    assert reference.loaded_names("fr") is None
    assert reference.loaded_names("de") is first
    for locale in reference.locales:
        reference.names(locale)
    assert sum(reference.loaded_names(locale) is not None for locale in reference.locales) == 3


def test_threads_may_read_at_once() -> None:
    reference = Reference(kept_languages=2)
    found: list[list[Names]] = []

    def read() -> None:
        found.append([reference.names(locale) for _ in range(5) for locale in ("de", "fr", "ja")])

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = ["Deutschland", "Allemagne", "ドイツ"] * 5
    assert [[names.country("DE") for names in each] for each in found] == [expected] * 6


def test_tables(reference: Reference) -> None:
    tables = reference.tables()
    assert reference.tables() is tables
    countries = tables.countries.values()
    assert len(countries) == 250
    assert sum(bool(country.dialling_code) for country in countries) == 194
    assert sum(country.in_eu for country in countries) == 27
    assert {country.continent for country in countries} == CONTINENTS
    assert all(country.dialling_code for country in countries if country.in_eu)
    assert [country.code for country in countries if not country.currency] == ["AQ"]
    assert [currency.code for currency in tables.currencies[:5]] == ["USD", "EUR", "GBP", "CAD", "AED"]
    by_code = [currency.code for currency in tables.currencies[4:]]
    assert by_code == sorted(by_code)
    assert {currency.code: currency.rounding for currency in tables.currencies if currency.rounding} == {"CHF": 0.05}
    dirham = tables.currencies[4]
    assert dirham.native_symbol.endswith(".\u200f")
    codes = [language.code for language in tables.languages]
    assert codes == sorted(codes)
    assert (codes[0], codes[-1]) == ("aa", "zu")


def test_nothing_is_read_or_imported_before_it_is_asked_for() -> None:
    script = """
import sys
from litewrite.reference import Reference
from litewrite.services.locale import Locale
from litewrite.countries import Countries
opened = []

def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith((".json", ".tsv")):
        opened.append(arguments[0])

sys.addaudithook(watch)
reference = Reference()
locale = Locale(reference, Countries())
assert opened == [], opened
assert locale.country_code("127.0.0.1") == "--"
assert "iptocc" not in sys.modules
assert reference.names("de").country("FR") == "Frankreich"
assert sorted(str(path).rsplit("/")[-1] for path in opened) == ["de.json", "en.json", "locales.tsv"], opened
reference.tables()
assert not {"babel", "pycountry", "pytz"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
