"""Messages with rows: what a search found, and the chunks of a table."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import InFile, OptionError
from audiomem_sql.serve.formats import JSON, Shape, written
from audiomem_sql.serve.live_schemas import RowsMessage, SearchMessage
from audiomem_sql.serve.pages import Cursor, Page
from audiomem_sql.serve.parts import BatchPart
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.requests import bound
from audiomem_sql.serve.search import search_parts
from audiomem_sql.serve.served_table import ServedTable

#: Bytes of one message, and bytes of rows, in memory, at which a chunk ends early.
_MOST_BYTES = 8 << 20
_CHUNK_BYTES = 2 << 20


def found_message(table: ServedTable, message: SearchMessage) -> str:
    """What a search found."""
    reader = table.reader(None if message.version is None else str(message.version), message.as_of)
    with InFile(reader.path):
        found, types = search_parts(reader, message)
    before = {"type": "found", "id": message.id, "sequence": message.sequence, "version": reader.version}
    shape = Shape(found.schema.names, [str(kind) for kind in types], before, dict)
    return _text(shape, found.combine_chunks().to_batches(max_chunksize=1024), found.schema, types)


class RowChunks:
    """The rows that a message asks for, chunk by chunk, all of one version."""

    def __init__(self, table: ServedTable, asked: RowsMessage) -> None:
        if asked.after is not None and (asked.version is not None or asked.as_of is not None):
            raise OptionError("after names the version already", remedy="Leave the others out.")
        cursor = None if asked.after is None else Cursor.parse(asked.after)
        version = asked.version if cursor is None else cursor.version
        self._reader = table.reader(None if version is None else str(version), asked.as_of)
        self._asked = asked
        self._parameters = [bound(value) for value in asked.parameters]
        self._rowid = None if cursor is None else cursor.rowid
        self._left = asked.limit
        self._size = asked.size
        self._sequence = 0
        self.ended = False

    def message(self) -> str:
        """The next one; ``ended`` is then whether it is the last."""
        asked, reader, left = self._asked, self._reader, self._left
        page, batches = self._next_page(self._size if left is None else min(self._size, left))
        behind = page.last if page.more else None
        if left is not None:
            self._left = left = left - sum(batch.num_rows for batch in batches)
        self.ended = behind is None or left == 0
        cursor = None if behind is None else Cursor(reader.version, behind).text()
        before = {
            "type": "rows",
            "id": asked.id,
            "sequence": self._sequence,
            "version": reader.version,
        }
        names, types = page.schema.names, [str(kind) for kind in page.types]
        shape = Shape(names, types, before, lambda: {"next": cursor, "end": self.ended})
        self._rowid, self._sequence = behind, self._sequence + 1
        return _text(shape, batches, page.schema, page.types)

    def _next_page(self, size: int) -> tuple[Page, list[pa.RecordBatch]]:
        """The next rows: ``size``, or as many as a message holds well."""
        asked = self._asked
        while True:
            page = Page(self._reader, asked.columns, asked.where, self._parameters, self._rowid, size)
            batches: list[pa.RecordBatch] = []
            held = 0
            for batch in page:
                batches.append(batch)
                held += batch.nbytes
                if held >= _CHUNK_BYTES:
                    page.more = True  # perhaps; else the next chunk is empty
                    break
            count = sum(batch.num_rows for batch in batches)
            if held <= 2 * _CHUNK_BYTES or count <= 1:
                return page, batches
            self._size = size = max(1, count * _CHUNK_BYTES // held)


def _text(
    shape: Shape, batches: Sequence[pa.RecordBatch], schema: pa.Schema, types: Sequence[ColumnType]
) -> str:
    """A message. Problem 413 for one that would be too long."""
    parts = [BatchPart(batch, types) for batch in batches]
    made: list[bytes] = []
    size = 0
    nothing = BatchPart(pa.RecordBatch.from_pylist([], schema=schema), types)
    for piece in written(parts or [nothing], JSON.writer(shape)):
        made.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise Problem(413, "the answer is too long for a message; ask for fewer columns, or size: 1")
    return b"".join(made).decode()
