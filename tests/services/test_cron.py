"""Schedules: which texts are one, and when they are due."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.services.cron import ALIASES, Cron

NOW = datetime(2022, 1, 5, 22, 23, 53, tzinfo=UTC)  # a Wednesday


def due(text: str, after: datetime = NOW, count: int = 1) -> list[str]:
    cron = Cron.parse(text)
    moments = []
    moment: datetime | None = after
    for _ in range(count):
        assert moment is not None
        moment = cron.next_after(moment)
        assert moment is not None
        moments.append(f"{moment:%Y-%m-%d %H:%M:%S}")
    return moments


@pytest.mark.parametrize(
    ("text", "moments"),
    [
        ("* * * * *", ["2022-01-05 22:24:00", "2022-01-05 22:25:00"]),
        ("*/15 * * * *", ["2022-01-05 22:30:00", "2022-01-05 22:45:00"]),
        ("5,10-12,50/5 3 * * *", ["2022-01-06 03:05:00", "2022-01-06 03:10:00", "2022-01-06 03:11:00"]),
        ("0 4 * * *", ["2022-01-06 04:00:00"]),
        ("0 9 * jan-mar MON-fri", ["2022-01-06 09:00:00", "2022-01-07 09:00:00", "2022-01-10 09:00:00"]),
        ("0 0 * * 0", ["2022-01-09 00:00:00"]),
        ("0 0 * * 7", ["2022-01-09 00:00:00"]),
        ("0 0 * * 5-7", ["2022-01-07 00:00:00", "2022-01-08 00:00:00", "2022-01-09 00:00:00"]),
        ("0 0 L * *", ["2022-01-31 00:00:00", "2022-02-28 00:00:00"]),
        ("0 0 LW * ?", ["2022-01-31 00:00:00", "2022-02-28 00:00:00", "2022-03-31 00:00:00", "2022-04-29 00:00:00"]),
        ("0 12 ? * 5L", ["2022-01-28 12:00:00", "2022-02-25 12:00:00"]),
        ("0 12 ? * friL", ["2022-01-28 12:00:00"]),
        ("0 12 ? * MON#2", ["2022-01-10 12:00:00", "2022-02-14 12:00:00"]),
        ("0 0 29 2 *", ["2024-02-29 00:00:00", "2028-02-29 00:00:00"]),
        # 15 January 2022 is a Saturday, 15 May a Sunday
        ("0 0 15W * *", ["2022-01-14 00:00:00", "2022-02-15 00:00:00", "2022-03-15 00:00:00"]),
        ("0 0 15W 5 *", ["2022-05-16 00:00:00"]),
        # 1 January 2022 is a Saturday, 31 July a Sunday: the month is not left
        ("0 0 1W * *", ["2022-02-01 00:00:00"]),
        ("0 0 31W 7 *", ["2022-07-29 00:00:00"]),
        ("0 0 31W 2-4 *", ["2022-03-31 00:00:00", "2023-03-31 00:00:00"]),
        ("0 0 15W,20 1 *", ["2022-01-14 00:00:00", "2022-01-20 00:00:00"]),
        # either a nearest weekday or a Sunday
        ("0 0 15W 1 SUN", ["2022-01-09 00:00:00", "2022-01-14 00:00:00", "2022-01-16 00:00:00"]),
        ("0 0 10 * 6", ["2022-01-08 00:00:00", "2022-01-10 00:00:00", "2022-01-15 00:00:00"]),
        ("@yearly", ["2023-01-01 00:00:00"]),
        ("@annually", ["2023-01-01 00:00:00"]),
        ("@monthly", ["2022-02-01 00:00:00"]),
        ("@weekly", ["2022-01-09 00:00:00"]),
        ("@daily", ["2022-01-06 00:00:00"]),
        ("@midnight", ["2022-01-06 00:00:00"]),
        ("@hourly", ["2022-01-05 23:00:00", "2022-01-06 00:00:00"]),
    ],
)
def test_due(text: str, moments: list[str]) -> None:
    assert due(text, count=len(moments)) == moments


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "*",
        "* * * *",
        "* * * * * *",
        "@reboot",
        "@Daily",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "a * * * *",
        "1.5 * * * *",
        "-1 * * * *",
        "? * * * *",
        "* * * ? *",
        "1,,2 * * * *",
        "* * 0W * *",
        "* * 32W * *",
        "* * W * *",
        "* * * * 5W",
        "* * * * MON#6",
        "* * * * MON#0",
        "٣ * * * *",
        "0\n0 * * *",
        "every day at noon now",
        "0 0 30 2 *",
        "0 0 31W 2 *",
        "0 0 31 4 *",
        "1," * 600 + "1 * * * *",
        "9" * 1_000 + " * * * *",
    ],
)
def test_no_schedule(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|has|is no|names"):
        Cron.parse(text)


def test_other_time_zones_are_converted() -> None:
    cron = Cron.parse("0 0 * * *")
    moment = datetime(2022, 1, 6, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    assert cron.next_after(moment) == datetime(2022, 1, 6, tzinfo=UTC)


def test_a_moment_that_is_due_is_not_its_own_next() -> None:
    cron = Cron.parse("0 4 * * *")
    assert cron.next_after(datetime(2022, 1, 6, 4, tzinfo=UTC)) == datetime(2022, 1, 7, 4, tzinfo=UTC)


@given(st.integers(1, 31), st.datetimes(datetime(2000, 1, 1), datetime(2080, 1, 1)))
def test_nearest_weekdays_are_weekdays_and_near(day: int, after: datetime) -> None:
    found = Cron.parse(f"0 0 {day}W * *").next_after(after.replace(tzinfo=UTC))
    assert found is not None
    assert found.tzinfo is UTC
    assert found > after.replace(tzinfo=UTC)
    assert found.weekday() < 5
    last = calendar.monthrange(found.year, found.month)[1]
    assert day <= last
    assert abs(found.day - day) <= (1 if 1 < day < last else 2)


@given(
    st.lists(st.text("0123456789*/,-LW#?AJN ", max_size=8), min_size=1, max_size=6).map(" ".join)
    | st.text(max_size=30)
    | st.sampled_from(sorted(ALIASES))
)
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        cron = Cron.parse(text)
    except ValueError:
        return
    found = cron.next_after(NOW)
    assert found is not None
    assert (found > NOW, found.second) == (True, 0)
