"""Schedules: what a CRON expression means, and when it is due next.

CronSim does the parsing and the calendar. Around it stands what it leaves to others: exactly five fields, the aliases,
`?`, names in front of `L`, and `15W`, the weekday nearest to the 15th. Days with `W` differ from month to month, so
they are looked for one month at a time, with their numbers put in.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

__all__ = ["Cron"]

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
LONGEST = 1_024
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_FIELD = re.compile(r"[0-9A-Z*/,#-]+")
_NEAREST = re.compile(r"([0-9]{1,2})W")
_LAST_NAMED = re.compile(r"\b(SUN|MON|TUE|WED|THU|FRI|SAT)L\b")
_DAYS = {name: str(number) for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))}
_MONTHS_AHEAD = 12 * 50
_REFERENCE = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule in UTC with a resolution of one minute: five fields, or one of the aliases.

    When day of month and day of week are both restricted, a day that fits one of them will do; when one of the two
    begins with `*`, a day has to fit both.
    """

    text: str
    """As it was written."""
    _plain: str
    """For CronSim: all that needs no look at the month; may be empty."""
    _nearest: tuple[str, str, str, str]
    """Minute, hour, month and day of week of what falls on a nearest weekday."""
    _days: frozenset[int]
    """The days that nearest weekdays are wanted of; may be empty."""

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Raises ValueError with the reason when the text is no schedule, or one that never comes."""
        if len(text) > LONGEST:
            raise ValueError(f"must not be longer than {LONGEST} characters")
        expanded = ALIASES.get(text.strip(" \t"), text)
        fields = [field.upper() for field in re.split(r"[ \t]+", expanded.strip(" \t"))]
        if len(fields) != len(_FIELDS):
            raise ValueError("must have five fields (minute, hour, day of month, month, day of week) or be an alias")
        for position in (2, 4):
            if fields[position] == "?":
                fields[position] = "*"
        fields[4] = _LAST_NAMED.sub(lambda match: _DAYS[match[1]] + "L", fields[4])
        for name, field in zip(_FIELDS, fields, strict=True):
            if not _FIELD.fullmatch(field):
                raise ValueError(f"has a bad {name}")
        minute, hour, day, month, weekday = fields
        items = day.split(",")
        days = frozenset(int(match[1]) for item in items if (match := _NEAREST.fullmatch(item)))
        others = [item for item in items if not _NEAREST.fullmatch(item)]
        if not all(1 <= number <= 31 for number in days):
            raise ValueError("has a bad day of month")
        nearest = (minute, hour, month, weekday)
        plain = ""
        if days:
            # Union of what lies on a nearest weekday and of what the other items, or the days of the week, ask for.
            if others:
                plain = f"{minute} {hour} {','.join(others)} {month} {weekday}"
            elif not weekday.startswith("*"):
                plain = f"{minute} {hour} * {month} {weekday}"
            if not weekday.startswith("*"):
                nearest = (minute, hour, month, "*")
        else:
            plain = " ".join(fields)
        cron = cls(text, plain, nearest, days)
        cron._check()
        return cron

    def _check(self) -> None:
        from cronsim import CronSim, CronSimError

        try:
            if self._plain:
                CronSim(self._plain, _REFERENCE)
            if self._days:
                minute, hour, month, weekday = self._nearest
                CronSim(f"{minute} {hour} 1 {month} {weekday}", _REFERENCE)
        except CronSimError as error:
            raise ValueError(f"is no CRON expression: {str(error).lower().replace('-', ' ')}") from None
        if self.next_after(_REFERENCE) is None:
            raise ValueError("names days that never come")

    def next_after(self, moment: datetime) -> datetime | None:
        """The first minute of the schedule after an aware moment, in UTC; None when there is none within 50 years."""
        after = moment.astimezone(UTC)
        due = [found for found in (self._next_plain(after), self._next_nearest(after)) if found is not None]
        return min(due, default=None)

    def _next_plain(self, after: datetime) -> datetime | None:
        from cronsim import CronSim

        return next(CronSim(self._plain, after), None) if self._plain else None

    def _next_nearest(self, after: datetime) -> datetime | None:
        from cronsim import CronSim

        if not self._days:
            return None
        minute, hour, month, weekday = self._nearest
        wanted = CronSim(f"{minute} {hour} 1 {month} {weekday}", after).months
        for start in _months(after):
            if start.month not in wanted:
                continue
            numbers = {_nearest_weekday(start.year, start.month, day) for day in self._days} - {0}
            if not numbers:
                continue
            days = ",".join(map(str, sorted(numbers)))
            since = max(after, start - timedelta(seconds=1))
            found = next(CronSim(f"{minute} {hour} {days} {start.month} {weekday}", since), None)
            if found is not None and (found.year, found.month) == (start.year, start.month):
                return found
        return None


def _months(after: datetime) -> Iterator[datetime]:
    """The first moment of each month from that of `after` on."""
    start = after.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(_MONTHS_AHEAD):
        yield start
        start = (start + timedelta(days=32)).replace(day=1)


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """The day from Monday to Friday nearest to a day, in the same month; 0 when the month has no such day."""
    last = calendar.monthrange(year, month)[1]
    if day > last:
        return 0
    weekday = calendar.weekday(year, month, day)
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < last else day - 2
    return day
