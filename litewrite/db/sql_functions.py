"""SQL functions of ours, registered on every connection.

Columns may be indexed by them, so they are deterministic and their results never change between releases: a new meaning
is a new name. Unicode itself promises that case folding and decomposition of an assigned character stay as they are.
"""

from __future__ import annotations

import sqlite3
from unicodedata import combining, normalize


def fold(value: str | int | float | bytes | None) -> str | bytes | None:
    """Text as comparisons see it: without case, accents and trailing blanks.

    NULL stays NULL, a number becomes its text, a blob stays as it is.
    """
    if isinstance(value, str):
        if value.isascii():
            return value.lower().rstrip(" ")
        bare = "".join([char for char in normalize("NFKD", value) if not combining(char)])
        return bare.casefold().rstrip(" ")
    if value is None or isinstance(value, bytes):
        return value
    return str(value)


def register_functions(connection: sqlite3.Connection) -> None:
    connection.create_function("fold", 1, fold, deterministic=True)
