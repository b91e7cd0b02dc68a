"""The contract of a table that is read: what descriptions, displays and datasets may ask of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from audiomem_sql.columns.schema import Schema
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.versions import Snapshot, TableFiles

if TYPE_CHECKING:
    import pyarrow as pa

    from audiomem_sql.storage.segment import Arrived


class ReadableTable(Protocol):
    """A table that is open, at its newest version or at one that was chosen.

    The properties speak of the snapshot that was loaded last; :meth:`refresh` loads a newer one if there is
    one.
    """

    @property
    def path(self) -> str:
        """The path that the table was opened by."""
        ...

    @property
    def arrived(self) -> Arrived | None:
        """What has arrived of a table that is opened in part; None if all of it has."""
        ...

    @property
    def opener(self) -> Callable[..., ReadableTable]:
        """What opens a table by its path, and takes ``version``; it can be pickled."""
        ...

    @property
    def name(self) -> str:
        """The name of the table: the file's, without folder and extension."""
        ...

    @property
    def files(self) -> TableFiles:
        """The paths of the table's files."""
        ...

    @property
    def options(self) -> TableOptions:
        """The options that the table is written with."""
        ...

    @property
    def snapshot(self) -> Snapshot:
        """The rows and versions."""
        ...

    @property
    def schema(self) -> Schema:
        """The columns that users see."""
        ...

    @property
    def sources(self) -> dict[str, bytes]:
        """The digest of every source that rows were ingested from, by name."""
        ...

    def __len__(self) -> int:
        """The number of rows."""
        ...

    def head(self, n: int = 5, columns: Sequence[str] | None = None) -> pa.Table:
        """The first ``n`` rows."""
        ...

    def at(
        self,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        schema: Schema | None = None,
    ) -> Snapshot:
        """The snapshot of a version: by number, by tag, or the newest at a time.

        QueryError if it is not kept.
        """
        ...

    def refresh(self) -> bool:
        """Look for commits of others; True if there were any."""
        ...

    def close(self) -> None:
        """Close the files."""
        ...
