"""``audiomem diff``: the rows in which two versions differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiomem_sql.cli.json_option import Json

if TYPE_CHECKING:
    from audiomem_sql.table.row_diff import RowDifference

#: Characters of a value that are shown.
_VALUE = 60
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def diff(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    first: Annotated[str, typer.Argument(help="A version, by number or by tag.", metavar="FROM")],
    second: Annotated[
        str | None, typer.Argument(help="Another one; the newest if it is left out.", metavar="[TO]")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", help="Rows to show, at most; 0 for all. All are counted.", min=0)
    ] = 50,
    stat: Annotated[bool, typer.Option("--stat", help="Count the rows, and show none.")] = False,
    json: Json = False,
) -> None:
    """Show the rows that were added, removed and changed from one version to another, by their key.

    Of a changed row the values are shown that differ. What happened in between does not count: `audiomem
    changes` lists every step.
    """
    from audiomem_sql.cli import output
    from audiomem_sql.table.reader import TableReader
    from audiomem_sql.table.row_diff import column_differences, differences

    counts: Counter[str] = Counter()
    shown: list[RowDifference] = []
    with TableReader(file) as table:
        old, new = table.at(first), table.at(second) if second is not None else table.snapshot
        columns = column_differences(old.schema, new.schema)
        for difference in differences(table, old.version, new.version):
            counts[difference.change] += 1
            if not stat and (not limit or len(shown) < limit):
                shown.append(difference)
    number = {change: counts[change] for change in _SIGNS}
    if json:
        facts = {"file": file, "from": old.version, "to": new.version, **number, "columns": columns}
        output.print_json({**facts, "rows": [_json(difference) for difference in shown]})
        return
    rows = ", ".join(f"{count:,} {change}" for change, count in number.items())
    print(f"{file}: version {old.version} to {new.version}: rows {rows}")
    for change, names in columns.items():
        if names:
            said = (name if isinstance(name, str) else f"{name[0]} to {name[1]}" for name in names)
            print(output.printable(f"columns {change}: {', '.join(said)}"))
    for difference in shown:
        print(output.printable(_line(difference)))
    if not stat and (more := sum(number.values()) - len(shown)):
        print(f"… and {more:,} more (--limit 0 shows all)")


def _json(difference: RowDifference) -> dict[str, Any]:
    values: dict[str, Any] = {"change": difference.change, "key": _json_values(difference.key)}
    if difference.change == "changed":
        before, after = _json_values(difference.before), _json_values(difference.after)
        values["columns"] = {name: {"from": value, "to": after[name]} for name, value in before.items()}
    else:
        values["row"] = _json_values(difference.before or difference.after)
    return values


def _json_values(row: Mapping[str, Any]) -> dict[str, Any]:
    from json import loads

    from audiomem_sql.cli.output import json_value

    return {name: loads(json_value(value)) for name, value in row.items()}


def _line(difference: RowDifference) -> str:
    key = "  ".join(f"{name}={_shown(value)}" for name, value in difference.key.items())
    if difference.change == "changed":
        parts = [
            f"{name}: {_shown(value)} → {_shown(difference.after[name])}"
            for name, value in difference.before.items()
        ]
    else:
        row = difference.before or difference.after
        parts = [
            f"{name}={_shown(value)}"
            for name, value in row.items()
            if value is not None and name not in difference.key
        ]
    return "  ".join([f"{_SIGNS[difference.change]} {key}", *parts])


def _shown(value: Any) -> str:
    from audiomem_sql.cli.output import cell

    text = "NULL" if value is None else cell(value)
    return text if len(text) <= _VALUE else text[: _VALUE - 1] + "…"
