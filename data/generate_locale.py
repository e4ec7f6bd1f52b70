"""Makes `locale/names/` from CLDR, and holds the tables beside it against CLDR and the ISO lists.

Run it after a change of a table or of the pinned versions; it needs the extra `data` of the package:

    python data/generate_locale.py            write what is missing or different
    python data/generate_locale.py --check    write nothing; exit with 1 when something would be written

The four tables of `locale/` are kept by hand because no source has them in this choice and order. What the names of
countries and continents are called in each language comes from CLDR by way of `babel`; `pycountry` only tells which
codes exist, nothing of it is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import pycountry
from babel import Locale
from babel.numbers import get_territory_currencies

FOLDER = Path(__file__).parent / "locale"
ENGLISH = "en"
CONTINENTS = {"AF": "002", "AN": "AQ", "AS": "142", "EU": "150", "NA": "003", "OC": "009", "SA": "005"}
"""Our codes of continents, and those of CLDR."""
ENGLISH_NAMES = {
    "AG": "Antigua and Barbuda",
    "BA": "Bosnia and Herzegovina",
    "CD": "DR Congo",
    "CG": "Republic of the Congo",
    "CI": "Ivory Coast",
    "CV": "Cabo Verde",
    "KN": "Saint Kitts and Nevis",
    "LC": "Saint Lucia",
    "MM": "Myanmar",
    "ST": "São Tomé and Príncipe",
    "TT": "Trinidad and Tobago",
    "VC": "Saint Vincent and the Grenadines",
}
"""English names that clients know in another wording than that of CLDR."""
WITHOUT_CODE = {"XK"}
"""Countries that ISO 3166-1 does not have."""
NEW_TENDER = {"BG": "EUR"}
"""Currencies that came after the pinned CLDR."""
WITHDRAWN_LANGUAGES = {"bh", "mo"}
"""Codes that ISO 639-1 had once."""
SIZES = {"locales": 69, "countries with a dialling code": 194, "EU members": 27, "currencies": 117, "languages": 185}


def table(name: str) -> list[list[str]]:
    """The rows of a table without its headline."""
    lines = (FOLDER / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines[1:]]


def names(cldr: str, codes: Iterable[str], overrides: dict[str, str]) -> bytes:
    """The file of one language, with the names that CLDR has; those that it lacks are read in English."""
    territories = Locale.parse(cldr).territories
    found = {
        "continents": {code: territories[theirs] for code, theirs in CONTINENTS.items() if theirs in territories},
        "countries": {code: territories[code] for code in sorted(codes) if code in territories} | overrides,
    }
    return (json.dumps(found, ensure_ascii=False, indent=0, separators=(",", ":")) + "\n").encode()


def build() -> dict[str, bytes]:
    """Every generated file, by its name in `locale/`."""
    codes = [row[0] for row in table("countries")]
    return {
        f"names/{code}.json": names(cldr, codes, ENGLISH_NAMES if code == ENGLISH else {})
        for code, cldr, _, _ in table("locales")
        if cldr
    }


def faults() -> list[str]:
    """What is wrong with the tables, as sentences."""
    found = []
    countries, currencies, languages = table("countries"), table("currencies"), table("languages")
    counted = {
        "locales": len(table("locales")),
        "countries with a dialling code": sum(1 for row in countries if row[1]),
        "EU members": sum(1 for row in countries if row[4]),
        "currencies": len(currencies),
        "languages": len(languages),
    }
    found += [f"{what}: {counted[what]} instead of {size}" for what, size in SIZES.items() if counted[what] != size]
    official = {country.alpha_2 for country in pycountry.countries} | WITHOUT_CODE
    listed = [row[0] for row in countries]
    found += [f"country {code} is listed twice" for code in set(listed) if listed.count(code) > 1]
    found += [f"country {code} is missing or unknown" for code in official ^ set(listed)]
    for code, _, continent, currency, _ in countries:
        tender = get_territory_currencies(code) or [""]
        if currency not in tender and NEW_TENDER.get(code) != currency:
            found.append(f"{code} pays with {', '.join(tender) or 'nothing'}, not with {currency}")
        if continent not in CONTINENTS:
            found.append(f"{code} is on an unknown continent {continent}")
    known = Locale.parse(ENGLISH).currencies
    found += [f"currency {row[0]} is unknown" for row in currencies if row[0] not in known]
    for code, *_ in languages:
        if pycountry.languages.get(alpha_2=code) is None and code not in WITHDRAWN_LANGUAGES:
            found.append(f"language {code} is unknown")
    for code, cldr, direction, _ in table("locales"):
        if cldr and Locale.parse(cldr).text_direction != direction:
            found.append(f"locale {code} is not written {direction}")
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the tables of names in data/locale/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when something is different")
    only_check = parser.parse_args(arguments).check
    wrong = faults()
    for fault in wrong:
        print(fault, file=sys.stderr)
    built = build()
    folder = FOLDER / "names"
    folder.mkdir(exist_ok=True)
    present = {f"names/{path.name}" for path in folder.iterdir()}
    changed = sorted(present - built.keys())
    for name, content in built.items():
        path = FOLDER / name
        if name not in present or path.read_bytes() != content:
            changed.append(name)
    for name in changed:
        print(name)
        if only_check:
            continue
        if name in built:
            (FOLDER / name).write_bytes(built[name])
        else:
            (FOLDER / name).unlink()
    return 1 if wrong or (only_check and changed) else 0


if __name__ == "__main__":
    sys.exit(main())
