"""``audiomem_attach('folder')``: the statements that make a schema with a view for each table of a folder."""

from __future__ import annotations

import glob
import os
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.column import fold, quote
from audiomem_sql.columns.lexemes import text_literal
from audiomem_sql.errors import AudioMemError, QueryError, StorageError
from audiomem_sql.vtab.duckdb.many_files import tables_of
from audiomem_sql.vtab.duckdb.source import Source, source_of_rows

_COLUMNS = pa.schema([("name", pa.string()), ("path", pa.string()), ("statement", pa.string())])


def attaching(folder: Any, schema: str | None = None) -> list[tuple[str, str | None, str]]:
    """(name, path, statement) of the schema and of each view, in the order in which they are to be run.

    folder: its ``*.flac`` files that hold tables, not those of folders in it. schema: by default the name of
    the folder. A table that cannot be opened has a view that gives its error, so the others can be used.
    StorageError where there is no such folder, QueryError for two files whose names differ in capitals alone.
    """
    if not isinstance(folder, str):
        raise QueryError("there is no folder", remedy="Pass the path of one as text.")
    full = os.path.abspath(folder)
    if not os.path.isdir(full):
        raise StorageError("there is no such folder", file=folder, remedy="Check the path.")
    called = schema or os.path.basename(full) or "main"
    made: list[tuple[str, str | None, str]] = [
        (called, None, f"CREATE SCHEMA IF NOT EXISTS {quote(called)};")
    ]
    taken: dict[str, str] = {}
    for path, error in tables_of(os.path.join(glob.escape(full), "*.flac")):
        name = os.path.basename(path).removesuffix(".flac")
        if (other := taken.setdefault(fold(name), path)) != path:
            raise QueryError(
                f"the view would be called as that of {other}", file=path, remedy="Rename one of the files."
            )
        made.append(
            (name, path, f"CREATE OR REPLACE VIEW {quote(called)}.{quote(name)} AS {_rows(path, error)};")
        )
    return made


def _rows(path: str, error: AudioMemError | None) -> str:
    """The query of a view. The error stands in a condition, which no query of the view leaves out."""
    if error is None:
        return f"FROM audiomem_scan({text_literal(path)})"
    message = f"{error}. When it can be read again, attach the folder again"
    return f"SELECT NULL AS damaged WHERE error({text_literal(message)})"


def audiomem_attach(path: Any, schema: Any = None) -> Source:
    """The statements as rows."""
    rows = attaching(path, schema)  # a folder that is wrong is refused at once
    return source_of_rows(_COLUMNS, lambda: list(rows))


class AttachPragma:
    """``PRAGMA audiomem_attach('folder')``, where an extension may have DuckDB run statements."""

    name = "audiomem_attach"

    def statements(self, folder: Any) -> str:
        """What DuckDB runs in place of the pragma."""
        return "\n".join(statement for _, _, statement in attaching(folder))
