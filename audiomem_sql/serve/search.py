"""A search as a client asks for it: its ranking, its rows, and the snippets that show why."""

from __future__ import annotations

import re

import pyarrow as pa

from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import QueryError
from audiomem_sql.search import RankingOptions, snippet
from audiomem_sql.serve.requests import bound
from audiomem_sql.serve.schemas import SearchBody
from audiomem_sql.table.reader import TableReader

#: What a query may begin with to say how it is searched; the words behind it are those of a snippet.
_KINDS = ("semantic:", "words:", "hybrid:")
_MOST_WORDS = 64


def search_parts(reader: TableReader, body: SearchBody) -> tuple[pa.Table, list[ColumnType]]:
    """The rows that were found, and the types of their columns: the table's, distance, snippet."""
    if body.query is None and body.vector is None:
        raise QueryError("there is nothing to search for", remedy="Pass a query, a vector, or both.")
    ranking = RankingOptions()
    if body.fusion is not None:
        ranking["fusion"] = body.fusion
    if body.weight is not None:
        ranking["weight"] = body.weight
    wanted = body.columns
    shown = body.snippet
    if shown is not None and reader.schema[shown].type.kind is not Kind.TEXT:
        raise QueryError(f"column {shown} holds no text", remedy="A snippet is of a TEXT column.")
    columns = wanted
    if wanted is not None and shown is not None and shown not in wanted:
        columns = [*wanted, shown]
    found = reader.search(
        body.query,
        body.k,
        body.where,
        [bound(value) for value in body.parameters],
        columns=columns,
        column=body.column,
        vector=body.vector,
        weights=body.weights,
        **ranking,
    )
    given = len(reader.schema) if columns is None else len(columns)
    names = found.column_names
    types = [reader.schema[name].type for name in names[:given]]
    for number in range(given, found.num_columns):  # distance, and where a passage is
        is_real = pa.types.is_floating(found.schema.field(number).type)
        types.append(ColumnType(Kind.REAL if is_real else Kind.TEXT))
        if is_real:
            found = found.set_column(number, names[number], found.column(number).cast(pa.float64()))
    if shown is not None:
        texts = found.column(found.column_names.index(reader.schema[shown].name)).to_pylist()
        found = found.append_column(_free("snippet", names), pa.array(_snippets(texts, body), pa.string()))
        types.append(ColumnType(Kind.TEXT))
    if wanted is not None and columns is not None and len(columns) > len(wanted):
        found, types = found.remove_column(len(wanted)), types[: len(wanted)] + types[len(wanted) + 1 :]
    return found, types


def _free(name: str, taken: list[str]) -> str:
    return f"audiomem_{name}" if name in taken else name


def _snippets(texts: list[str | None], body: SearchBody) -> list[str | None]:
    query = _any_word(body.query or "")
    before, behind = body.snippet_marks
    return [snippet(text, query, before, behind, "…", body.snippet_words) for text in texts]


def _any_word(query: str) -> str:
    """The query of FTS5 whose words are marked: of a question any of its words."""
    if query.startswith("keyword:"):
        return query.removeprefix("keyword:")
    for kind in _KINDS:
        query = query.removeprefix(kind)
    words = re.findall(r"\w+", query)[:_MOST_WORDS]
    return " OR ".join(f'"{word}"' for word in words) or '""'
