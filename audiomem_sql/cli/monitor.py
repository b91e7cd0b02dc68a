"""``audiomem monitor``: a table as it is now, again and again."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from audiomem_sql.observe.figures import TableFigures


def monitor(
    file: Annotated[str, typer.Argument(help="The table: a path or a URL.", metavar="TABLE")],
    every: Annotated[float, typer.Option("--every", help="Seconds between two looks.", min=0.1)] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, for a script.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, a line each time.")] = False,
) -> None:
    """Show rows, version, log, deltas, compression and the health of the bands of a table, live."""
    from audiomem_sql.table.figures import figures_of
    from audiomem_sql.table.reader import TableReader

    before: TableFigures | None = None
    with TableReader(file) as table:
        while True:
            figures = figures_of(table)
            _show(figures, before, every, json, clear=sys.stdout.isatty() and not (once or json))
            if once:
                return
            before = figures
            time.sleep(every)
            table.refresh()


def _show(
    figures: TableFigures, before: TableFigures | None, every: float, json: bool, *, clear: bool
) -> None:
    from audiomem_sql.cli import output

    if json:
        import json as encoder

        print(encoder.dumps(asdict(figures)), flush=True)
        return
    if clear:
        sys.stdout.write("\x1b[H\x1b[2J")
    for name, value in lines(figures, before, every):
        print(f"{name:12} {output.printable(str(value))}")
    sys.stdout.flush()


def lines(figures: TableFigures, before: TableFigures | None, every: float) -> list[tuple[str, Any]]:
    """What is shown, a name and a value each."""
    from audiomem_sql.cli import output

    age = max(0.0, time.time() - figures.committed)
    shown: list[tuple[str, Any]] = [
        ("table", figures.path),
        ("rows", f"{figures.rows:,}"),
        ("version", f"{figures.version}, {output.seconds(age)} old"),
        ("files", output.size(figures.total_bytes)),
        ("log", output.size(figures.log_bytes)),
        ("deltas", f"{figures.segments - 1}, {output.size(figures.delta_bytes)}"),
        ("compression", f"{figures.ratio:.2f}"),
    ]
    shown += [(f"band {name}", f"{health:.4f}") for name, health in figures.bands.items()]
    if before is not None:
        rows = (figures.rows - before.rows) / every
        commits = (figures.version - before.version) / every
        shown.append(("now", f"{rows:+,.1f} rows/s, {commits:,.1f} commits/s"))
    return shown
