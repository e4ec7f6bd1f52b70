"""From which country an address is, by a table that comes with a library and needs no network.

The table is made from what the five regional registries publish: the country to which a block of addresses was
assigned, which is not always the one where it is used.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
from collections.abc import Callable

UNKNOWN = "--"
_NO_COUNTRIES = frozenset(("AP", "EU", "ZZ"))
"""Codes that registries use for regions and for nothing in particular."""

log = logging.getLogger(__name__)


class Countries:
    """Finds the country of an address. The table is loaded at the first address that could be in it."""

    @functools.cached_property
    def _find(self) -> Callable[[str], str | None]:
        try:
            from iptocc import country_code
        except ModuleNotFoundError:
            log.warning("The package iptocc is not installed here: the country of every address is unknown")
            return lambda ip: None
        return country_code

    def code(self, ip: str) -> str:
        """Two lower-case letters; -- for an address that is private, unknown or malformed. Any thread may ask."""
        try:
            address = ipaddress.ip_address(ip.partition("%")[0])
        except ValueError:
            return UNKNOWN
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if not address.is_global:
            return UNKNOWN
        found = self._find(str(address))
        return UNKNOWN if found is None or found in _NO_COUNTRIES else found.lower()
