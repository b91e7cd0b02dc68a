"""What writes rows to a file of one kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Protocol

import pyarrow as pa

from audiomem_sql.columns.column import Column


@dataclass(frozen=True, slots=True)
class Shape:
    """What is written: the columns, their Arrow schema, and the table's name, for kinds that have tables."""

    name: str
    columns: Sequence[Column]
    schema: pa.Schema


class Writer(Protocol):
    """A file that is being written."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        ...

    def close(self) -> None:
        """Complete the file."""
        ...

    def abandon(self) -> None:
        """Let go of the file, which is not wanted any more."""
        ...


class StreamOpener(Protocol):
    """What writes to a stream of bytes."""

    def __call__(self, stream: IO[bytes], shape: Shape) -> Writer:
        """A file on the stream."""
        ...


class FileOpener(Protocol):
    """What writes to a path, which is free."""

    def __call__(self, path: str, shape: Shape) -> Writer:
        """A file at the path."""
        ...
