"""What the bodies of the locale service of Appwrite 0.11 look like."""

from __future__ import annotations

from collections.abc import Iterable

from litewrite import reference
from litewrite.http.model import Field, Model
from litewrite.services import locale as service


class Locale(Model):
    """Where the caller is, by its address."""

    FIELDS = (
        Field("ip", "string", "Address of the caller.", "127.0.0.1"),
        Field("countryCode", "string", "Country, two upper-case letters; -- when unknown.", "US"),
        Field("country", "string", "Country in the language of the request.", "United States"),
        Field("continentCode", "string", "Continent, two letters; -- when unknown.", "NA"),
        Field("continent", "string", "Continent in the language of the request.", "North America"),
        Field("eu", "boolean", "Whether the country is a member of the European Union.", False),
        Field("currency", "string", "Code of the currency used there; empty when unknown.", "USD"),
    )

    @classmethod
    def of(cls, place: service.Place) -> Locale:
        return cls(
            {
                "ip": place.ip,
                "countryCode": place.country_code,
                "country": place.country_name,
                "continentCode": place.continent_code,
                "continent": place.continent_name,
                "eu": place.in_eu,
                "currency": place.currency,
            }
        )


class Country(Model):
    """A country."""

    FIELDS = (
        Field("name", "string", "Name in the language of the request.", "Spain"),
        Field("code", "string", "Two upper-case letters.", "ES"),
    )


class CountryList(Model):
    """Countries, by name."""

    FIELDS = (
        Field("sum", "integer", "How many there are.", 194),
        Field("countries", Country, "The countries.", is_list=True),
    )

    @classmethod
    def of(cls, countries: Iterable[service.Named]) -> CountryList:
        items = [{"name": country.name, "code": country.code} for country in countries]
        return cls({"sum": len(items), "countries": items})


class Phone(Model):
    """The dialling code of a country."""

    FIELDS = (
        Field("code", "string", "Dialling code with a plus sign.", "+34"),
        Field("countryCode", "string", "Country, two upper-case letters.", "ES"),
        Field("countryName", "string", "Country in the language of the request.", "Spain"),
    )


class PhoneList(Model):
    """Dialling codes, by number."""

    FIELDS = (
        Field("sum", "integer", "How many there are.", 194),
        Field("phones", Phone, "The dialling codes.", is_list=True),
    )

    @classmethod
    def of(cls, phones: Iterable[service.Phone]) -> PhoneList:
        items = [
            {"code": phone.code, "countryCode": phone.country_code, "countryName": phone.country_name}
            for phone in phones
        ]
        return cls({"sum": len(items), "phones": items})


class Continent(Model):
    """A continent."""

    FIELDS = (
        Field("name", "string", "Name in the language of the request.", "Europe"),
        Field("code", "string", "Two upper-case letters.", "EU"),
    )


class ContinentList(Model):
    """Continents, by name."""

    FIELDS = (
        Field("sum", "integer", "How many there are.", 7),
        Field("continents", Continent, "The continents.", is_list=True),
    )

    @classmethod
    def of(cls, continents: Iterable[service.Named]) -> ContinentList:
        items = [{"name": continent.name, "code": continent.code} for continent in continents]
        return cls({"sum": len(items), "continents": items})


class Currency(Model):
    """A currency."""

    FIELDS = (
        Field("symbol", "string", "Symbol that no other currency has.", "CA$"),
        Field("name", "string", "English name.", "Canadian Dollar"),
        Field("symbolNative", "string", "Symbol as used in the country.", "$"),
        Field("decimalDigits", "integer", "Number of decimals.", 2),
        Field("rounding", "number", "Smallest step in use; 0 when it follows from the decimals.", 0),
        Field("code", "string", "ISO 4217 code.", "CAD"),
        Field("namePlural", "string", "English plural.", "Canadian dollars"),
    )


class CurrencyList(Model):
    """Currencies."""

    FIELDS = (
        Field("sum", "integer", "How many there are.", 117),
        Field("currencies", Currency, "The currencies.", is_list=True),
    )

    @classmethod
    def of(cls, currencies: Iterable[reference.Currency]) -> CurrencyList:
        items = [
            {
                "symbol": currency.symbol,
                "name": currency.name,
                "symbolNative": currency.native_symbol,
                "decimalDigits": currency.decimals,
                "rounding": currency.rounding or 0,
                "code": currency.code,
                "namePlural": currency.plural_name,
            }
            for currency in currencies
        ]
        return cls({"sum": len(items), "currencies": items})


class Language(Model):
    """A language."""

    FIELDS = (
        Field("name", "string", "English name.", "Italian"),
        Field("code", "string", "ISO 639-1 code.", "it"),
        Field("nativeName", "string", "Name in the language itself.", "Italiano"),
    )


class LanguageList(Model):
    """Languages, by code."""

    FIELDS = (
        Field("sum", "integer", "How many there are.", 185),
        Field("languages", Language, "The languages.", is_list=True),
    )

    @classmethod
    def of(cls, languages: Iterable[reference.Language]) -> LanguageList:
        items = [
            {"name": language.name, "code": language.code, "nativeName": language.native_name} for language in languages
        ]
        return cls({"sum": len(items), "languages": items})
