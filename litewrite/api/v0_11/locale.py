"""The locale service: where the caller is, and what countries, currencies and languages there are."""

from __future__ import annotations

import time
from email.utils import formatdate

from litewrite.api.context import Context
from litewrite.api.v0_11 import models_locale as models
from litewrite.http.endpoint import Routes

routes = Routes()

SCOPE = "locale.read"
CALLERS = ("session", "jwt", "key")
PLACE_AGE = 3_888_000
"""Seconds for which a client may keep what it was told about its place: 45 days."""


@routes.get("/v1/locale", name="locale.get", summary="Get User Locale", scope=SCOPE, auth=CALLERS)
async def get(ctx: Context) -> models.Locale:
    """Country, continent and currency of the caller, from its address."""
    assert ctx.caller is not None
    place = await ctx.services.locale.place(ctx.caller.ip, ctx.locale)
    ctx.add_header("Cache-Control", f"private, max-age={PLACE_AGE}")
    ctx.add_header("Expires", formatdate(time.time() + PLACE_AGE, usegmt=True))
    return models.Locale.of(place)


@routes.get("/v1/locale/countries", name="locale.getCountries", summary="List Countries", scope=SCOPE, auth=CALLERS)
async def get_countries(ctx: Context) -> models.CountryList:
    """The members of the United Nations and the Vatican, sorted by their names in the language of the request."""
    return models.CountryList.of(await ctx.services.locale.countries(ctx.locale))


@routes.get(
    "/v1/locale/countries/eu",
    name="locale.getCountriesEU",
    summary="List EU Countries",
    scope=SCOPE,
    auth=CALLERS,
)
async def get_countries_eu(ctx: Context) -> models.CountryList:
    """The members of the European Union, sorted by their names in the language of the request."""
    return models.CountryList.of(await ctx.services.locale.eu_countries(ctx.locale))


@routes.get(
    "/v1/locale/countries/phones",
    name="locale.getCountriesPhones",
    summary="List Countries Phone Codes",
    scope=SCOPE,
    auth=CALLERS,
)
async def get_countries_phones(ctx: Context) -> models.PhoneList:
    """One dialling code for each country, sorted by number."""
    return models.PhoneList.of(await ctx.services.locale.phones(ctx.locale))


@routes.get("/v1/locale/continents", name="locale.getContinents", summary="List Continents", scope=SCOPE, auth=CALLERS)
async def get_continents(ctx: Context) -> models.ContinentList:
    """The seven continents, sorted by their names in the language of the request."""
    return models.ContinentList.of(await ctx.services.locale.continents(ctx.locale))


@routes.get("/v1/locale/currencies", name="locale.getCurrencies", summary="List Currencies", scope=SCOPE, auth=CALLERS)
async def get_currencies(ctx: Context) -> models.CurrencyList:
    """Currencies with their symbols, in English: the four most used ones, then by code."""
    return models.CurrencyList.of(await ctx.services.locale.currencies())


@routes.get("/v1/locale/languages", name="locale.getLanguages", summary="List Languages", scope=SCOPE, auth=CALLERS)
async def get_languages(ctx: Context) -> models.LanguageList:
    """Languages with their English and native names, by code."""
    return models.LanguageList.of(await ctx.services.locale.languages())
