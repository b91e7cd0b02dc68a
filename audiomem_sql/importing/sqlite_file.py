"""A table of a SQLite file: types by what its rows hold, dates and truth values where it declares them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from audiomem_sql.columns.column import quote
from audiomem_sql.conversion.read_only import ask, open_read_only
from audiomem_sql.importing.bad_lines import REFUSE, BadLines
from audiomem_sql.importing.contract import Wishes
from audiomem_sql.importing.inputs import Inputs
from audiomem_sql.importing.python_columns import PythonColumns, json_text
from audiomem_sql.importing.python_rows import Line, PythonRows, Row
from audiomem_sql.importing.tables import chosen_table

_TABLES = (
    "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_' "
    "ORDER BY rootpage, name"
)


@contextlib.contextmanager
def open_rows(inputs: Inputs, wishes: Wishes, bad: BadLines) -> Iterator[PythonRows]:
    """The rows of a table of a SQLite file."""
    (file,) = inputs.files
    with open_read_only(file.path) as connection:
        table = chosen_table([str(name) for (name,) in ask(connection, _TABLES)], wishes.table, file.label)
        told = "SELECT name, upper(type), pk FROM pragma_table_xinfo(?) WHERE hidden <> 1"
        known = list(ask(connection, told, (table,)))
        keys = [name for name, _, place in known if place]
        columns = PythonColumns(wishes, file.label)
        for name, declared, _ in known:
            columns.known(name, dated="DATE" in declared or "TIME" in declared)
        names = [name for name, _, _ in known]
        truths = [name for name, declared, _ in known if declared.startswith("BOOL")]
        truths = [name for name in truths if _are_truths(connection, table, name)]
        ((total,),) = ask(connection, f"SELECT count(*) FROM {quote(table)}")

        def rows(told: Callable[[int], object]) -> Iterator[Row]:
            shown = ", ".join(map(quote, names))
            for number, values in enumerate(ask(connection, f"SELECT {shown} FROM {quote(table)}"), 1):
                row = dict(zip(names, values, strict=True))
                for name in truths:
                    row[name] = None if row[name] is None else bool(row[name])
                told(file.size * number // total)
                yield row if bad.mode == REFUSE else Line(row, json_text(row), file.label, f"row {number}")

        key = keys[0] if len(keys) == 1 else None
        yield PythonRows(inputs, bad, rows, columns, key)


def _are_truths(connection: Any, table: str, name: str) -> bool:
    """Whether a column has nothing but 0, 1 and NULL."""
    other = (
        f"SELECT 1 FROM {quote(table)} WHERE {quote(name)} NOT IN (0, 1) OR typeof({quote(name)}) = 'real'"
    )
    return next(ask(connection, f"{other} LIMIT 1"), None) is None
