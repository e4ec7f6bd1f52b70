"""Ids and times as the database keeps them.

An id is 13 hexadecimal characters, 8 for the Unix second and 5 for the microsecond of its creation, so that sorting by
id is sorting by creation. As an integer it takes 52 bits, and tables with many rows use that integer as their key.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from litewrite.entities import EPOCH

MICROSECONDS = 1_000_000
_FRACTION_BITS = 20
_DIGITS = frozenset("0123456789abcdef")


def pack(id: str) -> int:
    """The integer of an id, or -1 when the text was never made by a server (it then matches no row)."""
    if len(id) != 13 or not _DIGITS.issuperset(id):
        return -1
    return int(id, 16)


def unpack(number: int) -> str:
    """The id of an integer made by `pack`."""
    return f"{number:013x}"


def first_id_of(moment: datetime) -> str:
    """The smallest id of a moment: every id made before it is smaller."""
    micros = to_micros(moment)
    return unpack(micros // MICROSECONDS << _FRACTION_BITS | micros % MICROSECONDS)


class IdGenerator:
    """Makes ids that only grow: the present microsecond, or one more than the last id.

    `mark` is the last id given out; it is persisted with the transaction that used it, so that a clock which steps back
    never leads to an id twice. Used on the writer's thread only.
    """

    def __init__(self, mark: int = 0) -> None:
        self.mark = mark

    def next(self) -> int:
        micros = time.time_ns() // 1000
        number = micros // MICROSECONDS << _FRACTION_BITS | micros % MICROSECONDS
        if number <= self.mark:
            number = self.mark + 1
            if number & 0xFFFFF >= MICROSECONDS:
                number = ((number >> _FRACTION_BITS) + 1) << _FRACTION_BITS
        self.mark = number
        return number


def to_micros(moment: datetime | None) -> int:
    """Microseconds since the epoch; 0 for None."""
    if moment is None:
        return 0
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * MICROSECONDS + delta.microseconds


def from_micros(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / MICROSECONDS, UTC)


def from_micros_or_none(micros: int) -> datetime | None:
    return from_micros(micros) if micros else None
