"""The formats of an answer: their names in ``format=`` and ``Accept``, and what writes each."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from audiomem_sql.serve.parts import Part
from audiomem_sql.serve.problems import Problem

#: Bytes of rows that a group of Parquet has, unless there are fewer.
_GROUP_BYTES = 8 << 20


class Writer(Protocol):
    """Writes an answer: ``head``, ``part`` for each part, then ``tail``; each gives bytes to send."""

    def head(self, first: Part) -> bytes:
        """What stands before the rows; ``first``: the first part, which may have none."""

    def part(self, part: Part) -> bytes:
        """Some rows."""

    def tail(self) -> bytes:
        """What stands behind the rows."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What an answer says beside its rows.

    names, types: of the columns. before: members of JSON before the rows. behind: gives those behind them,
    once the last row was given.
    """

    names: Sequence[str]
    types: Sequence[str | None]
    before: Mapping[str, Any]
    behind: Callable[[], Mapping[str, Any]]


class _JsonWriter:
    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._names = list(shape.names)
        self._comma = b""

    def head(self, first: Part) -> bytes:
        columns = [
            {"name": name, "type": kind} for name, kind in zip(self._names, self._shape.types, strict=True)
        ]
        text = _dumped({**self._shape.before, "columns": columns})
        return text[:-1] + b',"rows":['

    def part(self, part: Part) -> bytes:
        if not part.count:
            return b""
        names = self._names
        rows = [dict(zip(names, row, strict=True)) for row in zip(*part.lists(), strict=True)]
        text = self._comma + _dumped(rows)[1:-1]
        self._comma = b","
        return text

    def tail(self) -> bytes:
        behind = _dumped(self._shape.behind())[1:]
        return b"]" + (b"," if len(behind) > 1 else b"") + behind + b"\n"


class _LinesWriter:
    def __init__(self, shape: Shape) -> None:
        self._names = list(shape.names)

    def head(self, first: Part) -> bytes:
        return b""

    def part(self, part: Part) -> bytes:
        names = self._names
        rows = zip(*part.lists(), strict=True)
        return b"".join(_dumped(dict(zip(names, row, strict=True))) + b"\n" for row in rows)

    def tail(self) -> bytes:
        return b""


class _CsvWriter:
    """RFC 4180. A NULL is empty, an empty text is ``""``, as PostgreSQL's COPY has them."""

    def __init__(self, shape: Shape) -> None:
        self._names = list(shape.names)

    def head(self, first: Part) -> bytes:
        return _csv_line(self._names)

    def part(self, part: Part) -> bytes:
        return b"".join(map(_csv_line, zip(*part.lists(), strict=True)))

    def tail(self) -> bytes:
        return b""


class _Sink(io.RawIOBase):
    """A file that is only written to, whose bytes are taken out again and again."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held.append(bytes(data))
        return len(self._held[-1])

    def take(self) -> bytes:
        """What was written since this was called before."""
        held, self._held = self._held, []
        return b"".join(held)


class _ArrowWriter:
    def __init__(self, shape: Shape) -> None:
        self._sink = _Sink()
        self._writer: Any = None

    def head(self, first: Part) -> bytes:
        self._writer = pa.ipc.new_stream(self._sink, first.batch().schema)
        return self._sink.take()

    def part(self, part: Part) -> bytes:
        if part.count:
            self._writer.write_batch(part.batch())
        return self._sink.take()

    def tail(self) -> bytes:
        self._writer.close()
        return self._sink.take()


class _ParquetWriter:
    def __init__(self, shape: Shape) -> None:
        self._sink = _Sink()
        self._writer: Any = None
        self._held: list[pa.RecordBatch] = []
        self._size = 0

    def head(self, first: Part) -> bytes:
        from pyarrow import parquet

        self._writer = parquet.ParquetWriter(self._sink, first.batch().schema, compression="zstd")
        return self._sink.take()

    def part(self, part: Part) -> bytes:
        if part.count:
            batch = part.batch()
            self._held.append(batch)
            self._size += batch.nbytes
        if self._size >= _GROUP_BYTES:
            self._write()
        return self._sink.take()

    def tail(self) -> bytes:
        self._write()
        self._writer.close()
        return self._sink.take()

    def _write(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held))
            self._held, self._size = [], 0


@dataclass(frozen=True, slots=True)
class Format:
    """A format. pages: it says what comes behind a page, so that a page may end early."""

    name: str
    media_type: str
    writer: Callable[[Shape], Writer]
    pages: bool = False

    @property
    def content_type(self) -> str:
        """The header of an answer."""
        return f"{self.media_type}; charset=utf-8; header=present" if self.name == "csv" else self.media_type


JSON = Format("json", "application/json", _JsonWriter, pages=True)
FORMATS = (
    JSON,
    Format("ndjson", "application/x-ndjson", _LinesWriter),
    Format("csv", "text/csv", _CsvWriter),
    Format("arrow", "application/vnd.apache.arrow.stream", _ArrowWriter),
    Format("parquet", "application/vnd.apache.parquet", _ParquetWriter),
)
NAMES = tuple(each.name for each in FORMATS)


def chosen(name: str | None, accept: str | None) -> Format:
    """The format that ``format=`` names, or else the one that ``Accept`` likes best; JSON where it likes all.

    Problem 400 for an unknown name, 406 where none is liked.
    """
    if name is not None:
        for each in FORMATS:
            if each.name == name:
                return each
        raise Problem(400, f"there is no format {name!r:.40}; the formats are {', '.join(NAMES)}")
    if not accept or not accept.strip():
        return JSON
    liked = _ranges(accept)
    best, quality = None, 0.0
    for each in FORMATS:
        value = _quality(each.media_type, liked)
        if value > quality:
            best, quality = each, value
    if best is None:
        types = ", ".join(each.media_type for each in FORMATS)
        raise Problem(406, f"an answer can be {types}")
    return best


def written(parts: Iterable[Part], writer: Writer) -> Iterator[bytes]:
    """The bytes of an answer, which is made as they are asked for."""
    stream = iter(parts)
    first = next(stream, None)
    assert first is not None
    yield writer.head(first) + writer.part(first)
    for part in stream:
        yield writer.part(part)
    yield writer.tail()


def _ranges(accept: str) -> dict[str, float]:
    """The media ranges of a header, and how much each is liked (RFC 9110, 12.5.1)."""
    liked: dict[str, float] = {}
    for item in accept.split(",")[:50]:
        name, *parameters = (text.strip().lower() for text in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = min(max(float(parameter[2:]), 0.0), 1.0)
                except ValueError:
                    quality = 0.0
        liked[name] = quality
    return liked


def _quality(media_type: str, liked: Mapping[str, float]) -> float:
    for name in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        if name in liked:
            return liked[name]
    return 0.0


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _csv_line(values: Iterable[Any]) -> bytes:
    return (",".join(map(_csv_cell, values)) + "\r\n").encode()


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if value is True or value is False:
        return "true" if value else "false"
    text = value if isinstance(value, str) else json.dumps(value)
    if not text or any(mark in text for mark in ',"\r\n') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text
