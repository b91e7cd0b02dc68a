"""Things inside files (members of archives, attachments) to documents, each by the reader of its kind."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from audiomem_sql.errors import AudioMemError, DamagedFileError, DataTypeError, LimitError
from audiomem_sql.ingest import contents
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.registry import reader_of, recognised


def read_inside(
    content: Content,
    name: str,
    data: bytes,
    place: str,
    modified: datetime | None = None,
    neighbour: Callable[[str], bytes | None] | None = None,
) -> Iterator[Document]:
    """The documents in ``data``, which is inside ``content`` under ``name``, at ``place``.

    What cannot be read is reported to ``content``, and the documents before it stay. Raises LimitError where
    all that is inside becomes too much; nothing else.
    """
    inner = replace(content.inside(name, data, modified), neighbour=neighbour)
    try:
        inner = _gunzipped(inner)
        for document in _documents(inner):
            if document.sections:
                yield document.inside(place, inner.modified)
    except LimitError as error:
        content.report(error)
        if content.budget.is_spent:
            raise
    except AudioMemError as error:
        content.report(error)


def is_hidden(path: str) -> bool:
    """Whether a path inside an archive is of a hidden file, or of one that macOS adds."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/")) or (
        path.startswith("__MACOSX/")
    )


def shown_name(name: str) -> str:
    """A name of a file inside another as text: bytes that are no UTF-8 are spelled as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "")


def kind_inside(name: str, suffix: str, start: bytes) -> tuple[str | None, str | None]:
    """The kind of a file inside another, and why it is not read if it is not."""
    from audiomem_sql.ingest.sources import RECORD_SUFFIXES

    kind = RECORD_SUFFIXES.get(suffix)
    if kind == "parquet":
        return kind, None
    reader = recognised(name, suffix, start) if kind else reader_of(name, suffix, start)
    if reader is not None and not reader.is_text:
        return reader.kind, None
    if reader is not None:
        kind = reader.kind
    reason = contents.binary_reason(start[: contents.HEAD_SIZE], utf8_only=kind is None)
    return kind or "text", reason


def _documents(inner: Content) -> Iterator[Document]:
    from audiomem_sql.ingest.documents.registry import readers
    from audiomem_sql.ingest.sources import RECORD_KINDS

    base = PurePosixPath(inner.name.rpartition("!")[2].replace("\\", "/")).name
    kind, reason = kind_inside(base, inner.suffix, inner.data[: contents.HEAD_SIZE])
    if reason is not None or kind is None:
        raise DataTypeError(reason or "of no kind that is read", file=inner.name)
    if kind in RECORD_KINDS:
        yield from rows_in(inner, kind)
    else:
        yield from readers()[kind].documents(inner)


def rows_in(inner: Content, kind: str) -> Iterator[Document]:
    """The rows of a file of rows, by way of a file of its own: Parquet is not read from its beginning."""
    from audiomem_sql.ingest.rows import dated_records
    from audiomem_sql.ingest.sources import Source

    with tempfile.TemporaryDirectory(prefix="audiomem-") as folder:
        path = Path(folder) / f"rows{inner.suffix}"
        path.write_bytes(inner.data)
        if inner.modified is not None:
            seconds = inner.modified.replace(tzinfo=UTC).timestamp()
            os.utime(path, (seconds, seconds))
        source = Source(path, inner.name, len(inner.data), kind)
        for document, created_at, importance in dated_records(source, problems=inner.problems):
            yield replace(document, created_at=created_at, importance=importance)


def _pieces(stream: gzip.GzipFile, room: int) -> Iterator[bytes]:
    """What a stream expands to, until it is more than ``room``."""
    while room >= 0 and (piece := stream.read(1 << 20)):
        room -= len(piece)
        yield piece


def _gunzipped(inner: Content) -> Content:
    """``inner`` without gzip, if its name says that it has that; an archive does it by itself."""
    if not inner.name.lower().endswith(".gz"):
        return inner
    room = inner.budget.left_bytes
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(inner.data)) as stream:
            data = b"".join(_pieces(stream, room))
    except (EOFError, OSError, zlib.error) as error:
        raise DamagedFileError(f"the gzip data cannot be read ({error})", file=inner.name) from error
    inner.budget.spend(len(data), inner.name)
    return replace(inner, name=inner.name[:-3], data=data)
