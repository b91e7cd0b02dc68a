"""Files to rows of the default table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from audiomem_sql.errors import DataTypeError
from audiomem_sql.ingest.chunking import SIZE, check_sizes, chunk
from audiomem_sql.ingest.documents.content import Problems
from audiomem_sql.ingest.documents.document import Document, Section
from audiomem_sql.ingest.json_array import has_rows
from audiomem_sql.ingest.readers import read_documents
from audiomem_sql.ingest.record_columns import default_columns
from audiomem_sql.ingest.records import read_records
from audiomem_sql.ingest.sources import RECORD_KINDS, Source, modified
from audiomem_sql.ingest.timestamps import parse_time

#: Numbers from which on a list of numbers is a vector, and no text.
_VECTOR = 32


def rows_of(
    source: Source,
    *,
    size: int = SIZE,
    overlap: int = 0,
    body_column: str | None = None,
    title_column: str | None = None,
    problems: Problems | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows ``{source, place, seq, title, body, created_at, importance}`` that `source` becomes.

    `seq` counts from 0.

    `place` is where the row stands in the file (`place_of`), None if that is nowhere in particular.

    Prose is chunked, and so is the body of a record that is longer than `size`. Prose is dated by its file,
    records by their ``created_at`` column (NULL where it is no time) or else by the file; `created_at` is in
    UTC without a zone. A record with a blank body gets its text columns as ``name: value`` lines, and
    lists and objects as JSON; a record with no text is no row. `body_column` and `title_column` concern files
    of records only.
    With `problems`, what cannot be read inside a file, while its rest can, is added to them, and left out: a
    record, a member of an archive. A file of which no record can be read is refused nevertheless.

    Raises `OptionError` for sizes or columns that cannot be, and what the readers raise for what they cannot
    read.
    """
    check_sizes(size, overlap)
    if source.kind == "json" and not has_rows(source):
        documents = _prose(replace(source, kind="plain"), problems)
    elif source.kind in RECORD_KINDS:
        documents = dated_records(source, body_column, title_column, problems)
    else:
        documents = _prose(source, problems)
    numbers = count()
    return (
        {
            "source": source.name,
            "place": piece.place,
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


def _prose(source: Source, problems: Problems | None) -> _Dated:
    created_at = modified(source)
    for document in read_documents(source, problems):
        yield document, document.created_at or created_at, document.importance


def dated_records(
    source: Source,
    body_column: str | None = None,
    title_column: str | None = None,
    problems: Problems | None = None,
) -> _Dated:
    """A document for each row of a file of rows, when it was created, and its importance."""
    file_time = modified(source)
    is_read = False
    waiting = Problems()  # up to the first record that can be read

    def skip(place: str, reason: str) -> None:
        known = problems if is_read and problems is not None else waiting
        known.add(_refused(source, place, reason))

    names: list[str] = []
    chosen: Mapping[str, str | None] = {}
    rows = read_records(
        source, body_column, title_column, plain_only=True, report=None if problems is None else skip
    )
    for row, place in rows:
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
            fault = "the text has characters that are not Unicode"
            if problems is None:
                raise _refused(source, place, fault) from error
            skip(place, fault)
            continue
        if not is_read and problems is not None:
            problems.take(waiting)
        is_read = True
        when, weight = chosen["created_at"], chosen["importance"]
        yield (
            Document(title or None, [Section(None, body)], _fragment(place)),
            file_time if when is None else parse_time(row[when]),
            None if weight is None else _number(row[weight]),
        )
    if waiting.listed and not is_read:
        raise waiting.listed[0]


def _refused(source: Source, place: str, fault: str) -> DataTypeError:
    remedy = "Replace lone surrogates and bytes that are not UTF-8." if "Unicode" in fault else "Correct it."
    return DataTypeError(fault, file=source.label, place=place, remedy=remedy)


def _fragment(place: str) -> str:
    """``line 3, row 2`` as a fragment of a URL."""
    return place.replace(", ", "&").replace(" ", "=")


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
    """The text columns as lines, and as JSON those that hold values; if no column is text, all of them."""
    values = {name: value for name, value in row.items() if name not in apart and _says_something(value)}
    has_text = any(isinstance(value, str) for value in values.values())
    return "\n".join(
        _text(f"{name}: {_text(value)}")
        for name, value in values.items()
        if not has_text or isinstance(value, str | list | dict)
    )


def _says_something(value: object) -> bool:
    """Whether a value is text, holds values, or is a number or a time; a vector is none of these."""
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, list) and len(value) >= _VECTOR:
        return not all(isinstance(item, int | float) for item in value)
    return bool(value) if isinstance(value, list | dict) else not isinstance(value, bytes | None)


def _number(value: object) -> float | None:
    """`value` as an importance; None for what is not a finite number."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
