"""Which hosts belong to one site: those with the same registrable domain, as browsers see it for cookies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


class Sites:
    """Compares hosts by the public suffix list, which is loaded off the event loop when it is first needed (40 ms)."""

    def __init__(self) -> None:
        self._suffixes: PublicSuffixList | None = None
        self._loading = asyncio.Lock()

    async def are_same(self, one: str, other: str) -> bool:
        """Whether two host names share a registrable domain; names without a known suffix have none."""
        if self._suffixes is None:
            async with self._loading:
                if self._suffixes is None:
                    self._suffixes = await asyncio.to_thread(_load)
        suffixes = self._suffixes
        domain = suffixes.privatesuffix(one)
        return domain is not None and domain == suffixes.privatesuffix(other)


def _load() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(accept_unknown=False)
