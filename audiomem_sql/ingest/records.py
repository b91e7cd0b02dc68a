"""Files of rows to dicts, and which of their columns are the text, the title and the time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from audiomem_sql.errors import OptionError
from audiomem_sql.ingest.sources import Source

BODY_NAMES = ("body", "text", "content", "document", "description", "abstract")
TITLE_NAMES = ("title", "name", "subject", "heading")
CREATED_NAMES = ("created_at", "date", "timestamp", "time", "published")
IMPORTANCE_NAMES = ("importance",)

Choose = Callable[[Collection[str]], Mapping[str, str | None]]
Numbered = Iterator[tuple[dict[str, Any], str]]
"""Rows, each with its place in the file: "line 7", "row 3"."""


def default_columns(
    names: Collection[str], body_column: str | None = None, title_column: str | None = None
) -> Mapping[str, str | None]:
    """Which of `names` fill ``body``, ``title``, ``created_at`` and ``importance``; None where there is none.

    The given columns, otherwise the usual names in the order of the lists above, upper or lower case. Without a
    ``body`` the text columns are joined. Raises `OptionError` for a given column that is not in `names`.
    """
    for given in (body_column, title_column):
        if given is not None and given not in names:
            listed = ", ".join(map(repr, names)) or "none"
            raise OptionError(f"there is no column {given!r}", remedy=f"The columns are: {listed}.")
    by_folded: dict[str, str] = {}
    for name in names:
        by_folded.setdefault(name.strip().casefold(), name)
    taken = {name for name in (body_column, title_column) if name is not None}

    def choose(given: str | None, usual: Sequence[str]) -> str | None:
        if given is not None:
            return given
        return next((by_folded[n] for n in usual if n in by_folded and by_folded[n] not in taken), None)

    return {
        "body": choose(body_column, BODY_NAMES),
        "title": choose(title_column, TITLE_NAMES),
        "created_at": choose(None, CREATED_NAMES),
        "importance": choose(None, IMPORTANCE_NAMES),
    }


def read_records(
    source: Source,
    body_column: str | None = None,
    title_column: str | None = None,
    *,
    plain_only: bool = False,
) -> Numbered:
    """The rows of a CSV, JSON Lines or Parquet file, one dict each, with its place in the file.

    Values are text for CSV (None where a line is short), what JSON says for JSON Lines, and Python values for
    Parquet. Column names stay as they are. `body_column` and `title_column` are only checked: `OptionError` if the
    header, the first object or the Parquet schema does not have them.

    Raises `DataTypeError` for malformed rows and `DamagedFileError` for a Parquet file that cannot be read, naming the
    line or row; `SchemaError` for column names that are missing or double; `LimitError` for a value beyond
    `VALUE_LIMIT`; `StorageError` for a file that cannot be read.

    `plain_only` leaves out Parquet columns that hold bytes, lists or structures, unless `default_columns` chose them.
    """

    def choose(names: Collection[str]) -> Mapping[str, str | None]:
        try:
            return default_columns(names, body_column, title_column)
        except OptionError as error:
            error.at(file=source.name)
            raise

    if source.kind == "csv":
        from audiomem_sql.ingest.delimited import read_delimited

        return read_delimited(source, choose)
    if source.kind == "jsonl":
        from audiomem_sql.ingest.json_lines import read_json_lines

        return read_json_lines(source, choose)
    if source.kind == "parquet":
        from audiomem_sql.ingest.parquet import read_parquet

        return read_parquet(source, choose, plain_only=plain_only)
    raise OptionError(f"{source.kind} holds prose, not rows", file=source.name, remedy="Use read_documents.")
