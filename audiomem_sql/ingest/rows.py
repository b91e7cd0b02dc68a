"""Files to rows of the default table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import count
from typing import Any

from audiomem_sql.errors import DataTypeError
from audiomem_sql.ingest.chunking import SIZE, check_sizes, chunk
from audiomem_sql.ingest.documents import Document, Section
from audiomem_sql.ingest.readers import read_documents
from audiomem_sql.ingest.record_columns import default_columns
from audiomem_sql.ingest.records import read_records
from audiomem_sql.ingest.sources import RECORD_KINDS, Source, modified
from audiomem_sql.ingest.timestamps import parse_time


def rows_of(
    source: Source,
    *,
    size: int = SIZE,
    overlap: int = 0,
    body_column: str | None = None,
    title_column: str | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows ``{source, seq, title, body, created_at, importance}`` that `source` becomes.

    `seq` counts from 0.

    Prose is chunked, and so is the body of a record that is longer than `size`. Prose is dated by its file,
    records by their ``created_at`` column (NULL where it is no time) or else by the file; `created_at` is in
    UTC without a zone. A record with a blank body gets its text columns as ``name: value`` lines; a record
    with no text is no row. `body_column` and `title_column` concern files of records only.

    Raises `OptionError` for sizes or columns that cannot be, and what the readers raise for what they cannot
    read.
    """
    check_sizes(size, overlap)
    if source.kind in RECORD_KINDS:
        documents = _records(source, body_column, title_column)
    else:
        documents = _prose(source)
    numbers = count()
    return (
        {
            "source": source.name,
            "seq": next(numbers),
            "title": piece.title,
            "body": piece.text,
            "created_at": created_at,
            "importance": importance,
        }
        for document, created_at, importance in documents
        for piece in chunk(document, size=size, overlap=overlap)
    )


_Dated = Iterator[tuple[Document, datetime | None, float | None]]


def _prose(source: Source) -> _Dated:
    created_at = modified(source)
    for document in read_documents(source):
        yield document, created_at, None


def _records(source: Source, body_column: str | None, title_column: str | None) -> _Dated:
    file_time = modified(source)
    names: list[str] = []
    chosen: Mapping[str, str | None] = {}
    for row, place in read_records(source, body_column, title_column, plain_only=True):
        if not names or names != list(row):  # JSON objects may differ from line to line
            names = list(row)
            chosen = default_columns(
                names,
                body_column if body_column in row else None,
                title_column if title_column in row else None,
            )
        try:
            body = _text(row.get(chosen["body"] or ""))
            title = _text(row.get(chosen["title"] or "")).strip()
            if not body.strip():
                body = _joined(row, {chosen["created_at"], chosen["importance"]})
        except UnicodeError as error:
            raise DataTypeError(
                "the text has characters that are not Unicode",
                file=source.name,
                place=place,
                remedy="Replace lone surrogates and bytes that are not UTF-8.",
            ) from error
        when, weight = chosen["created_at"], chosen["importance"]
        yield (
            Document(title or None, [Section(None, body)]),
            file_time if when is None else parse_time(row[when]),
            None if weight is None else _number(row[weight]),
        )


def _text(value: object) -> str:
    """`value` as the text of a body or a title. Raises `UnicodeError` for what UTF-8 cannot say."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, bool | list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    text = str(value)
    if not text.isascii():
        text.encode("utf-8")
    return text


def _joined(row: Mapping[str, Any], apart: set[str | None]) -> str:
    """The text columns as lines; if the row has none, its numbers and times."""
    values = {name: value for name, value in row.items() if name not in apart and value is not None}
    texts = {name: value for name, value in values.items() if isinstance(value, str) and value.strip()}
    if not texts:
        texts = {n: _text(v) for n, v in values.items() if not isinstance(v, str | bytes | list | dict)}
    return "\n".join(_text(f"{name}: {value}") for name, value in texts.items())


def _number(value: object) -> float | None:
    """`value` as an importance; None for what is not a finite number."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
