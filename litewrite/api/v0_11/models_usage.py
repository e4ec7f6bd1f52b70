"""What the statistics of Appwrite 0.11 look like: for each figure its points and their sum."""

from __future__ import annotations

from collections.abc import Sequence

from litewrite.http.model import Field, Model
from litewrite.services.usage import Point

_TIME = 1641421800


class UsagePoint(Model):
    """A figure for one interval."""

    FIELDS = (
        Field("value", "number", "The figure.", 3),
        Field("date", "integer", "Beginning of the interval, in Unix seconds.", _TIME),
    )


class UsageFigure(Model):
    """A figure over a period."""

    FIELDS = (
        Field("data", UsagePoint, "One point for every interval, oldest first.", is_list=True),
        Field("total", "number", "Sum of the points.", 3),
    )


def _figure(points: Sequence[tuple[int, float]]) -> dict[str, object]:
    data = [{"value": value, "date": start} for start, value in points]
    return {"data": data, "total": round(sum(value for _, value in points), 2)}


class FunctionUsage(Model):
    """What a function was used for."""

    FIELDS = (
        Field("range", "string", "The period.", "30d"),
        Field("executions", UsageFigure, "Runs that ended."),
        Field("failures", UsageFigure, "Of them, those that failed."),
        Field("compute", UsageFigure, "Their run time, in seconds."),
    )

    @classmethod
    def of(cls, period: str, points: Sequence[Point]) -> FunctionUsage:
        return cls(
            {
                "range": period,
                "executions": _figure([(point.start, point.executions) for point in points]),
                "failures": _figure([(point.start, point.failures) for point in points]),
                "compute": _figure([(point.start, round(point.milliseconds / 1_000, 2)) for point in points]),
            }
        )
