"""The rows of ``benchmarks.speed``: what is measured, beside whom, and what it should reach."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Goal:
    """A row. unit: of ours and of the peer's figure.

    kind: ``times``, the peer's figure divided by ours (of MB/s the other way round) is at least ``goal``;
    ``most``, ours is at most ``goal``; ``least``, ours is at least ``goal``. goal: None where there is none.
    """

    row: str
    peer: str
    goal: float | None
    kind: str = "times"
    unit: str = "ms"


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured of a row. others: of further peers, and what else belongs to it."""

    ours: float
    peer: float
    others: Mapping[str, float] = field(default_factory=dict)


def ratio(goal: Goal, figure: Figure) -> float:
    """How many times better ours is than the peer."""
    return figure.ours / figure.peer if goal.unit == "MB/s" else figure.peer / figure.ours


def reached(goal: Goal, figure: Figure) -> float:
    """How many times better than the goal: 1 and more where it is met, NaN where there is none."""
    if goal.goal is None:
        return math.nan
    if goal.kind == "times":
        return ratio(goal, figure) / goal.goal
    return goal.goal / figure.ours if goal.kind == "most" else figure.ours / goal.goal


def told(goal: Goal) -> str:
    """A goal as the page has it."""
    if goal.goal is None:
        return "–"
    if goal.kind == "times":
        return f"≥ {goal.goal:g} x"
    return f"{'≤' if goal.kind == 'most' else '≥'} {goal.goal:g} {goal.unit}"


def shown(value: float, unit: str) -> str:
    """A figure as the page has it."""
    return f"{value:,.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"


def _cold_and_warm(what: str, door: str, cold: float | None, warm: float | None) -> tuple[Goal, Goal]:
    return (
        Goal(f"{what}, {door}, cold", "Parquet", cold),
        Goal(f"{what}, {door}, warm", "Parquet", warm),
    )


#: In the order of the page.
GOALS = (
    *_cold_and_warm("all text", "dataset", 0.9, 0.9),
    *_cold_and_warm("all text", "extension", 0.6, 0.6),
    *_cold_and_warm("LIKE", "dataset", 0.9, 0.9),
    *_cold_and_warm("LIKE", "extension", None, None),
    *_cold_and_warm("LIKE of INDEXED", "audiomem_scan", 5, 5),
    Goal("LIKE of INDEXED, SQLite, first", "SQLite", 5),
    Goal("LIKE of INDEXED, SQLite, again", "SQLite", 5),
    *_cold_and_warm("group by", "dataset", 0.8, 1),
    *_cold_and_warm("group by", "extension", 0.4, 0.4),
    Goal("join, dataset, cold", "Parquet", 1),
    Goal("join, extension, cold", "Parquet", None),
    Goal("top ten, dataset", "Parquet", 0.1),
    Goal("top ten, extension", "Parquet", 0.1),
    Goal("top ten, audiomem_top", "Parquet", 1),
    Goal("top ten, SQLite, first", "SQLite", 1),
    Goal("top ten, SQLite, again", "SQLite", 1),
    Goal("sum(length(body)), SQLite, first", "SQLite", 0.6),
    Goal("LIKE, SQLite, first", "SQLite", 1),
    Goal("LIKE, SQLite, again", "SQLite", 5),
    Goal("range of ids, SQLite, first", "SQLite", 0.2),
    Goal("rows by id, file", "SQLite", 1),
    Goal("rows by id, memory", "SQLite in memory", 0.5),
    Goal("INSERTs in one commit", "SQLite", 0.6),
    Goal("load", "SQLite", 1),
    Goal("commit, median", "SQLite WAL FULL", 0.8),
    Goal("commit, slowest / median", "SQLite WAL FULL", 5, "most", "x"),
    Goal("vacuum, blocks stay", "SQLite", 100, "least", "MB/s"),
    Goal("vacuum, rows change", "zstd, all cores", 0.9, "times", "MB/s"),
    Goal("open", "DuckDB", 0.25, "most"),
    Goal("first row with its text", "DuckDB", 4, "most"),
    Goal("first search by words", "FTS5", 4, "most"),
    Goal("first search by vectors", "FAISS", 15, "most"),
    Goal("two words again", "FTS5", 0.1, "most"),
    Goal("shell, .load alone", "shell alone", 20, "most"),
    Goal("shell, first row", "shell alone", 200, "most"),
    Goal("city again / first", "SQLite", 2, "most", "x"),
    Goal("peak memory, scan", "Parquet", None, "times", "MB"),
    Goal("peak memory, load", "SQLite", None, "times", "MB"),
    Goal("peak memory, vacuum", "SQLite", None, "times", "MB"),
    Goal("size after a vacuum", "Parquet", None, "times", "MB"),
)
