"""The embeddings that `llm` keeps in a SQLite file: tables `collections` and `embeddings`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from audiomem_sql.conversion.collection import Wishes, rows_at_once
from audiomem_sql.conversion.read_only import ask
from audiomem_sql.conversion.records import RecordCollection, Records, VectorColumn
from audiomem_sql.errors import DamagedFileError

if TYPE_CHECKING:
    import apsw

_NEEDED = {"collection_id", "id", "embedding", "content", "metadata"}


def is_there(connection: apsw.Connection) -> bool:
    """Whether the file is one of llm."""
    rows = ask(connection, "SELECT name FROM pragma_table_info('embeddings')")
    columns = {name for (name,) in rows}
    tables = {name for (name,) in ask(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return "collections" in tables and columns >= _NEEDED


def collections(connection: apsw.Connection, source: str, wishes: Wishes) -> list[RecordCollection]:
    """The collections that have embeddings."""
    rows = ask(
        connection,
        "SELECT c.id, c.name, c.model, count(*), max(length(e.embedding)) / 4 FROM collections AS c "
        "JOIN embeddings AS e ON e.collection_id = c.id GROUP BY c.id ORDER BY c.id",
    )
    return [
        RecordCollection(
            name,
            count,
            {"vec": VectorColumn(width)},
            _reader(connection, source, number, width),
            source,
            wishes,
            (f"the model of its vectors is {model}",),
            "content",
        )
        for number, name, model, count, width in rows
    ]


def _reader(
    connection: apsw.Connection, source: str, collection: int, width: int
) -> Callable[[bool], Iterator[Records]]:
    columns = {name for (name,) in ask(connection, "SELECT name FROM pragma_table_info('embeddings')")}
    more = [name for name in ("content_blob", "updated") if name in columns]

    def read(vectors: bool) -> Iterator[Records]:
        shown = ", ".join(["id", "content", "metadata", "embedding" if vectors else "NULL", *more])
        rows = ask(
            connection, f"SELECT {shown} FROM embeddings WHERE collection_id = ? ORDER BY id", (collection,)
        )
        while some := [row for _, row in zip(range(rows_at_once(width)), rows, strict=False)]:
            yield Records(
                [row[0] for row in some],
                [row[1] for row in some],
                [_metadata(row[0], row[2], dict(zip(more, row[4:], strict=True)), source) for row in some],
                {"vec": [_vector(row[0], row[3], source) for row in some]},
            )

    return read


def _vector(identity: Any, blob: Any, source: str) -> Any:
    if blob is None:
        return None
    if not isinstance(blob, bytes) or len(blob) % 4:
        raise DamagedFileError(
            "the embedding holds no numbers of four bytes",
            file=source,
            place=f"embeddings, {identity}",
            remedy="Embed it anew with llm, or delete it.",
        )
    return np.frombuffer(blob, "<f4")


def _metadata(identity: Any, text: str | None, more: dict[str, Any], source: str) -> dict[str, Any]:
    try:
        given = json.loads(text) if text else {}
    except ValueError as error:
        raise DamagedFileError(
            "the metadata are no JSON", file=source, place=f"embeddings, {identity}", remedy="Correct them."
        ) from error
    return {**more, **(given if isinstance(given, dict) else {"value": given})}
