"""What reads and writes much, each row beside its peer in the same run.

``python -m benchmarks.speed --data FILE.parquet`` prints the table of docs/SPEED.md, which says how each row
is measured; without ``--data`` the rows are the docstrings of this Python. ``--only`` measures rows whose
names have these texts in them. ``--json``, ``--page`` and ``--picture`` keep the figures.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from benchmarks import speed_duckdb, speed_memory, speed_page, speed_sqlite, speed_starts, speed_writes
from benchmarks.__main__ import machine, rows_of
from benchmarks.picture import draw_goals
from benchmarks.speed_goals import GOALS, Figure, Goal, ratio, reached, shown, told
from benchmarks.speed_setting import Setting

#: What measures, and how the rows begin that it gives.
PARTS: tuple[tuple[Callable[[Setting], dict[str, Figure]], tuple[str, ...]], ...] = (
    (
        speed_duckdb.scans,
        (
            "all text",
            "LIKE, dataset",
            "LIKE, extension",
            "group by",
            "join",
            "top ten, dataset",
            "top ten, extension",
            "top ten, audiomem_top",
        ),
    ),
    (speed_duckdb.indexed_like, ("LIKE of INDEXED",)),
    (speed_sqlite.queries, ("top ten, SQLite", "sum(length(body))", "LIKE, SQLite", "range of ids")),
    (speed_sqlite.lookups, ("rows by id",)),
    (speed_sqlite.inserts, ("INSERTs",)),
    (speed_writes.load, ("load",)),
    (speed_writes.commits, ("commit",)),
    (speed_writes.vacuums, ("vacuum",)),
    (speed_starts.opening, ("open", "first row")),
    (speed_starts.words, ("first search by words", "two words")),
    (speed_starts.vectors, ("first search by vectors",)),
    (speed_starts.shell, ("shell",)),
    (speed_sqlite.cities, ("city",)),
    (speed_memory.peaks, ("peak memory", "size")),
)


def chosen(only: Sequence[str]) -> list[Goal]:
    """The rows whose names have one of these texts, or all. SystemExit for a text that none has."""
    for text in only:
        if not any(text in goal.row for goal in GOALS):
            rows = "\n".join(goal.row for goal in GOALS)
            raise SystemExit(f"no row is called {text!r}; the rows are\n{rows}")
    return [goal for goal in GOALS if not only or any(text in goal.row for text in only)]


def measured(setting: Setting, rows: Sequence[Goal], tell: Callable[[str], object]) -> dict[str, Figure]:
    """The figures of these rows. tell: called with what begins."""
    figures: dict[str, Figure] = {}
    for part, beginnings in PARTS:
        if any(goal.row.startswith(beginnings) for goal in rows):
            tell(f"measuring {', '.join(beginnings)} …")
            figures |= part(setting)
    return {goal.row: figures[goal.row] for goal in rows}


def grid_of(figures: Mapping[str, Figure]) -> Grid:
    """The table: ours, the peer's, how they compare, the goal, and whether it is met."""
    grid = Grid("row", "ours", "peer", "peer's", "times better", "goal", "met")
    for goal in GOALS:
        if (figure := figures.get(goal.row)) is None:
            continue
        share = reached(goal, figure)
        met = "–" if math.isnan(share) else "yes" if share >= 1 else "no"
        cells = (shown(figure.ours, goal.unit), goal.peer, shown(figure.peer, goal.unit))
        grid.add_row(goal.row, *cells, f"{ratio(goal, figure):.3g}", told(goal), met)
        for name, value in figure.others.items():
            grid.add_row(f"   {name}", f"{value:,.4g}")
    return grid


def report(setting: Setting, figures: Mapping[str, Figure]) -> dict[str, Any]:
    """The figures as ``--json`` has them."""
    rows = {}
    for goal in GOALS:
        if (figure := figures.get(goal.row)) is not None:
            share = reached(goal, figure)
            rows[goal.row] = {
                "ours": figure.ours,
                "peer": goal.peer,
                "peer_figure": figure.peer,
                "unit": goal.unit,
                "times_better": ratio(goal, figure),
                "goal": told(goal),
                "reached_by_goal": None if math.isnan(share) else share,
                "met": None if math.isnan(share) else share >= 1,
                "others": dict(figure.others),
            }
    sizes = {"rows": setting.rows, "big": setting.big, "repeat": setting.repeat, "threads": setting.threads}
    return {"machine": machine() | {"load": list(os.getloadavg())}, **sizes, "figures": rows}


def options(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="Parquet file with the columns id, source, title, created_at, body")
    parser.add_argument("--vectors", help="npy file with vectors (n, d) of the first rows")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of most tables")
    parser.add_argument("--big", type=int, default=1_000_000, help="rows of those that DuckDB scans")
    parser.add_argument("--repeat", type=int, default=5, help="turns, of which the shortest counts")
    parser.add_argument("--threads", type=int, default=2, help="threads of DuckDB")
    parser.add_argument("--level", type=int, default=9, help="zstd level of the tables that are read")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="rows with these texts in them")
    parser.add_argument("--folder", type=Path, help="where the files are, by default a temporary folder")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--figures", type=Path, help="show what --json wrote, and measure nothing")
    parser.add_argument("--page", type=Path, help="put the table into this page")
    parser.add_argument("--picture", type=Path, help="write the picture (PNG) here")
    return parser.parse_args(words)


def run(
    given: argparse.Namespace, rows: Sequence[Goal], tell: Callable[[str], object]
) -> tuple[dict[str, Any], dict[str, Figure]]:
    """Measure these rows in a folder that is removed then: what ``--json`` writes, and the figures."""
    folder = Path(tempfile.mkdtemp(prefix="audiomem-speed-", dir=given.folder))
    try:
        table = rows_of(given.data, None)
        sizes = (given.rows, given.big, given.repeat, given.threads, given.level, given.vectors)
        setting = Setting(folder, table, *sizes)
        figures = measured(setting, rows, tell)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report(setting, figures), figures


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write what is asked for."""
    given = options(words)
    rows = chosen(given.only)
    console = Console(width=None if sys.stdout.isatty() else 140)
    made, figures = (
        run(given, rows, console.print) if given.figures is None else speed_page.read(given.figures)
    )
    console.print(grid_of(figures))
    console.print("machine:", json.dumps(made["machine"]))
    if given.json is not None:
        given.json.write_text(json.dumps(made, indent=1) + "\n")
    if given.page is not None:
        speed_page.fill(given.page, made, figures)
    if given.picture is not None:
        bars = [
            (goal.row, told(goal), share)
            for goal in GOALS
            if goal.row in figures and not math.isnan(share := reached(goal, figures[goal.row]))
        ]
        draw_goals(bars, given.picture)


if __name__ == "__main__":
    main()
