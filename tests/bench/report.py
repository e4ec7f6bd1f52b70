"""Results as a table for people, or as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: ours, the peer's where there is one, and what is aimed at.

    `aim` is a ratio to the peer when there is a peer, else a value of its own; `at_most` says that less is better.
    """

    name: str
    ours: float
    unit: str
    peer: float | None = None
    aim: float | None = None
    at_most: bool = False
    remark: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    """More of what was measured, for programs."""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.peer if self.peer else None

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is met; None when there is nothing to compare it with."""
        measured = self.ratio if self.is_relative else self.ours
        if self.aim is None or measured is None:
            return None
        return measured <= self.aim if self.at_most else measured >= self.aim

    @property
    def is_relative(self) -> bool:
        return self.peer is not None

    def cells(self) -> list[str]:
        sign = "<=" if self.at_most else ">="
        aim = "" if self.aim is None else f"{sign} {self.aim:g}{'x' if self.is_relative else ' ' + self.unit}"
        verdict = {True: "met", False: "NOT MET", None: ""}[self.is_met]
        return [
            self.name,
            f"{number(self.ours)} {self.unit}",
            "" if self.peer is None else f"{number(self.peer)} {self.unit}",
            "" if self.ratio is None else f"{self.ratio:.2f}x",
            aim,
            verdict,
            self.remark,
        ]


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one program and under which circumstances they came about."""

    title: str
    rows: Sequence[Row]
    peer: str = ""
    notes: Sequence[str] = ()

    def show(self, *, as_json: bool) -> None:
        print(self.to_json() if as_json else self.to_text(), flush=True)

    def to_json(self) -> str:
        rows = [{**asdict(row), "ratio": row.ratio, "met": row.is_met} for row in self.rows]
        return json.dumps(
            {"title": self.title, "machine": machine(), "peer": self.peer, "rows": rows, "notes": list(self.notes)},
            indent=2,
        )

    def to_text(self) -> str:
        heads = ["", "litewrite", self.peer, "ratio", "aim", "", ""]
        lines = [heads, *(row.cells() for row in self.rows)]
        used = [column for column in range(len(heads)) if any(line[column] for line in lines[1:])]
        widths = {column: max(len(line[column]) for line in lines) for column in used}
        table = ["  ".join(_pad(line[column], widths[column], column) for column in used).rstrip() for line in lines]
        return "\n".join([self.title, "", *table, "", *self.notes, _machine_line()])


def _pad(text: str, width: int, column: int) -> str:
    return text.rjust(width) if 1 <= column <= 3 else text.ljust(width)


def number(value: float) -> str:
    """A figure with as many digits as mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def machine() -> dict[str, Any]:
    """What figures depend on."""
    return {
        "system": platform.platform(terse=True),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def _machine_line() -> str:
    found = machine()
    load = "" if found["load"] is None else f", load {found['load']:.1f}"
    return f"{found['system']}, {found['cores']} cores{load}, Python {found['python']}, SQLite {found['sqlite']}"
