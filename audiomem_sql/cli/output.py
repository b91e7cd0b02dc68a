"""What people and programs get to see: tables, JSON, CSV, sizes. Values come as SQL has them."""

from __future__ import annotations

import base64
import csv
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as Grid

#: Rows that are laid out together; a longer result is printed as several tables.
ROWS_AT_ONCE = 1000
#: Longest cell where there is no terminal to fit into.
CELL_CHARACTERS = 200

#: Characters that would steer a terminal; JSON escapes those below U+0020 itself.
_STEERING = re.compile(r"[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NAMED = {"\n": "⏎", "\t": "→", "\r": "␍"}


def note(message: str) -> None:
    """A line on stderr, where it does not mix with the result. It may quote what a stranger wrote."""
    print(printable(" ".join(message.split())), file=sys.stderr)


def size(count: int) -> str:
    """Bytes, for people."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{count:,} bytes" if unit == "bytes" else f"{value:,.1f} {unit}"


def counted(number: int, noun: str) -> str:
    """``1 row``, ``2 rows``, ``0 deltas``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def seconds(duration: float) -> str:
    """A time span, for people."""
    whole = int(duration)
    if duration < 60:
        return f"{duration:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def console(stream: TextIO | None = None) -> Console:
    """A console for ``stream``, stdout by default: as wide as the terminal, or else as the content."""
    from rich.console import Console

    class Plain(Console):
        """A console that leaves a broken pipe to the caller."""

        def on_broken_pipe(self) -> None:
            """Rich calls this where whoever reads the output is gone; by default the exit code would be 1."""
            raise BrokenPipeError

    out = stream or sys.stdout
    return Plain(
        file=out, width=None if out.isatty() else 100_000, highlight=False, markup=False, emoji=False
    )


def grid(*columns: str, title: str | None = None, right: Sequence[str] = ()) -> Grid:
    """An empty table for people; the columns in ``right`` hold numbers."""
    from rich import box
    from rich.table import Table as Grid

    table = Grid(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        title=title,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
    )
    for column in columns:
        table.add_column(
            printable(column),
            justify="right" if column in right else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    return table


def printable(text: str) -> str:
    """``text`` on one line and without characters that would steer the terminal."""
    return _CONTROLS.sub(lambda match: _NAMED.get(match[0]) or f"\\x{ord(match[0]):02x}", text)


def cell(value: Any) -> str:
    """A value as a person reads it."""
    if isinstance(value, bytes):
        head = value[:16].hex()
        return f"x'{head}'" if len(value) <= 16 else f"x'{head}…' ({len(value):,} bytes)"
    text = str(value)
    if len(text) > 4 * CELL_CHARACTERS:
        text = text[: 4 * CELL_CHARACTERS]
    text = printable(text)
    return text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + "…"


def print_rows(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Print a result as tables for people; the number of rows."""
    out = console()
    total = 0
    remaining = iter(rows)
    while True:
        block = list(islice(remaining, ROWS_AT_ONCE))
        if block or not total:
            out.print(_block([printable(name) for name in names], block, out.width))
        total += len(block)
        if len(block) < ROWS_AT_ONCE:
            return total


def _block(names: Sequence[str], rows: Sequence[Sequence[Any]], width: int) -> Grid:
    """Some rows as a table of at most ``width`` characters."""
    from rich.cells import cell_len
    from rich.text import Text

    columns = [
        [None if row[index] is None else cell(row[index]) for row in rows] for index in range(len(names))
    ]
    widths = [
        max(map(cell_len, (name, *(text or "NULL" for text in column))))
        for name, column in zip(names, columns, strict=True)
    ]
    table = grid()
    for index, width_limit in enumerate(shares(widths, width - 3 * (len(names) - 1))):
        values = [row[index] for row in rows if row[index] is not None]
        numbers = bool(values) and all(isinstance(value, int | float) for value in values)
        table.add_column(
            Text(names[index]),
            justify="right" if numbers else "left",
            max_width=width_limit,
            no_wrap=True,
            overflow="ellipsis",
        )
    for texts in zip(*columns, strict=True):
        table.add_row(*(Text("NULL", style="dim") if text is None else Text(text) for text in texts))
    return table


def shares(widths: Sequence[int], available: int) -> list[int]:
    """Widths for columns that want so much: small ones get it, the others equal parts of the rest."""
    shares = [0] * len(widths)
    by_size = sorted(range(len(widths)), key=widths.__getitem__)
    for done, index in enumerate(by_size):
        shares[index] = max(1, min(widths[index], available // (len(widths) - done)))
        available -= shares[index]
    return shares


def json_value(value: Any) -> str:
    """A SQL value as JSON.

    A blob as ``{"$base64": true, "encoded": …}``, infinity as a number that overflows to it.
    """
    if isinstance(value, bytes):
        return json.dumps({"$base64": True, "encoded": base64.b64encode(value).decode("ascii")})
    if isinstance(value, float) and math.isinf(value):
        return "9e999" if value > 0 else "-9e999"
    return _json(value)


def _json(content: Any, indent: int | None = None) -> str:
    """JSON in UTF-8, with what would steer a terminal as escapes: all of it stands in strings."""
    text = json.dumps(content, ensure_ascii=False, indent=indent)
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def print_json_rows(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Print a result as a JSON array of objects, row by row; the number of rows."""
    keys = [_json(name) for name in _distinct(names)]
    total = 0
    for row in rows:
        pairs = ", ".join(f"{key}: {json_value(value)}" for key, value in zip(keys, row, strict=True))
        sys.stdout.write(f"{',' if total else '['}\n {{{pairs}}}")
        total += 1
    sys.stdout.write("\n]\n" if total else "[]\n")
    return total


def _distinct(names: Sequence[str]) -> Iterator[str]:
    """The names, later ones of the same name with a number behind them."""
    taken: set[str] = set()
    for name in names:
        number, chosen = 1, name
        while chosen in taken:
            number += 1
            chosen = f"{name}_{number}"
        taken.add(chosen)
        yield chosen


def print_csv_rows(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Print a result as CSV with a header; NULL is empty, a blob in base64. The number of rows."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    total = 0
    for row in rows:
        writer.writerow(
            [base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value for value in row]
        )
        total += 1
    return total


def print_json(content: Any) -> None:
    """Print plain lists and dicts as JSON."""
    print(_json(content, indent=1))


def tell(facts: Any, line: str, json: bool) -> None:
    """Print ``facts`` as JSON, or the line that says them to people."""
    if json:
        print_json(facts)
    else:
        print("\n".join(map(printable, line.split("\n"))))
