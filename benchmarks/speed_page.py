"""The figures of ``benchmarks.speed`` in docs/SPEED.md, and out of the file that ``--json`` wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.speed_goals import GOALS, Figure, ratio, reached, shown, told

#: What the table stands between.
MARKS = ("<!-- speed: table -->", "<!-- speed: end -->")


def read(path: Path) -> tuple[dict[str, Any], dict[str, Figure]]:
    """What ``--json`` wrote: all of it, and the figures. Rows that there are no more are left out."""
    report = json.loads(path.read_text())
    known = {goal.row for goal in GOALS}
    figures = {
        row: Figure(each["ours"], each["peer_figure"], each["others"])
        for row, each in report["figures"].items()
        if row in known
    }
    return report, figures


def table(report: Mapping[str, Any], figures: Mapping[str, Figure]) -> str:
    """All rows as Markdown, with a dash where one was not measured, and what it was measured on."""
    lines = [
        "| row | beside | goal | ours | peer | times better | reached ÷ goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for goal in GOALS:
        cells = ["–"] * 4
        if (figure := figures.get(goal.row)) is not None:
            share = reached(goal, figure)
            part = "–" if math.isnan(share) else f"{share:.2g}" if share < 1 else f"**{share:.2g}**"
            cells = [shown(figure.ours, goal.unit), shown(figure.peer, goal.unit)]
            cells += [f"{ratio(goal, figure):.2g} x", part]
        lines.append(f"| {goal.row} | {goal.peer} | {told(goal)} | {' | '.join(cells)} |")
    on = report["machine"]
    lines.append(
        f"\n{on['date']}: {report['rows']:,} rows, and {report['big']:,} that DuckDB scans, the least of "
        f"{report['repeat']} turns; {on['cores']} cores ({on['processor']}), {on['memory_gib']} GiB, load "
        f"{on['load'][0]:.1f} at the end; Python {on['python']}, SQLite {on['sqlite']}, "
        f"DuckDB {on['packages']['duckdb']}."
    )
    return "\n".join(lines)


def fill(page: Path, report: Mapping[str, Any], figures: Mapping[str, Figure]) -> None:
    """Put the table in the place of the one in ``page``. SystemExit if it has no such place."""
    text = page.read_text()
    if not all(mark in text for mark in MARKS):
        raise SystemExit(f"{page} has no place for the table: write {MARKS[0]} and {MARKS[1]} into it")
    before, _, rest = text.partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    page.write_text(f"{before}{MARKS[0]}\n{table(report, figures)}\n{MARKS[1]}{after}")
