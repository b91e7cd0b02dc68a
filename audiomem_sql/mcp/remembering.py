"""Texts that an assistant keeps, as rows of the columns that a table has."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from audiomem_sql.columns.column import fold
from audiomem_sql.document_store import Layout, Stored
from audiomem_sql.document_store.metadata import check_text
from audiomem_sql.document_store.rows import arrow_rows
from audiomem_sql.errors import QueryError, UnsupportedError
from audiomem_sql.mcp.tables import Tables
from audiomem_sql.table.reader import TableReader

#: What the rows say that they come from.
SOURCE = "remember"
_MOST_CHARACTERS = 100_000


def remember(
    tables: Tables, text: str, name: str | None, title: str | None, metadata: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Append a text in one commit; the version, and the key where the table shows it."""
    served = tables.table(name)
    writer = tables.writers.get(served.name)
    if writer is None:
        raise UnsupportedError("the tables are only read", remedy="Start the server with --writable.")
    if not text.strip():
        raise QueryError("there is nothing to remember", remedy="Pass a text.")
    if len(text) > _MOST_CHARACTERS:
        raise QueryError(
            f"a text of {len(text):,} characters is over the limit of {_MOST_CHARACTERS:,}",
            remedy="Remember parts of it.",
        )
    for what, value in (("the text", text), ("the title", title or ""), ("metadata", _json(metadata or {}))):
        check_text(value, what)
    reader = served.reader()
    layout = Layout.of(reader.schema, served.name)
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    key = str(uuid.uuid4()) if layout.writable else None
    rows = _rows(reader, layout, text, title, metadata or {}, now, key)
    version, _ = writer.append(rows, f"{SOURCE}: {title or text.strip().splitlines()[0][:60]}", None)
    answer: dict[str, Any] = {"table": served.name, "version": version}
    return answer if key is None else {**answer, "key": key}


def _json(metadata: Mapping[str, Any]) -> str:
    found = json.dumps(metadata, ensure_ascii=False)
    if len(found) > _MOST_CHARACTERS:
        raise QueryError(
            f"metadata of {len(found):,} characters are over the limit of {_MOST_CHARACTERS:,}",
            remedy="Keep long values as texts.",
        )
    return found


def _rows(
    reader: TableReader,
    layout: Layout,
    text: str,
    title: str | None,
    metadata: Mapping[str, Any],
    now: datetime,
    key: str | None,
) -> Any:
    known = {"title": title, "created_at": now.isoformat(sep=" "), "source": SOURCE}
    if key is not None:
        given = {name: value for name, value in known.items() if value is not None}
        return arrow_rows({key: Stored(key, text, {**given, **metadata})}, layout, reader.schema)
    columns = {fold(column.name): column.name for column in reader.schema.columns}
    row: dict[str, Any] = {columns[name]: value for name, value in known.items() if name in columns}
    if "seq" in columns and "source" in columns:
        last = reader.top("seq DESC", 1, "source = ?", [SOURCE], columns=["seq"])
        row[columns["seq"]] = last.column(0)[0].as_py() + 1 if last.num_rows else 0
    for name, value in metadata.items():
        if fold(name) not in columns:
            raise QueryError(f"the table has no column {name}", remedy=f"It has {', '.join(columns)}.")
        row[columns[fold(name)]] = json.dumps(value) if isinstance(value, dict | list) else value
    return [{**row, layout.text: text}]
