"""The table of a document store: opened when it is needed, made when the first documents come."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from audiomem_sql.columns.lexemes import quote
from audiomem_sql.columns.types import Kind
from audiomem_sql.document_store.conditions import FALSE, Condition
from audiomem_sql.document_store.layout import Layout, columns_of, vector_column
from audiomem_sql.errors import DataTypeError, SchemaError, StorageError, UnsupportedError
from audiomem_sql.machine.file_names import is_there
from audiomem_sql.machine.urls import is_url
from audiomem_sql.search import allow_model
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table


class OpenedTable:
    """The table at ``path``, for several threads. The arguments are those of a document store."""

    def __init__(
        self,
        path: str,
        *,
        dimensions: int | None,
        metric: str,
        model: str | None,
        text_column: str | None,
        vector_column: str | None,
        version: int | str | None,
        as_of: str | datetime | None,
        options: Mapping[str, Any],
    ) -> None:
        self.path, self.metric, self.model = path, metric, model
        self.names = {"text": text_column, "vector": vector_column}
        self._dimensions = dimensions
        self._when = {"version": version, "as_of": as_of}
        self._options = dict(options)
        self._lock = threading.RLock()
        self._table: Table | None = None
        if model is not None:
            allow_model(model)
        self.table()

    def table(self) -> Table | None:
        """The table; None as long as there is none."""
        with self._lock:
            if self._table is None:
                fixed = any(each is not None for each in self._when.values())
                if not is_url(self.path) and not is_there(self.path) and not fixed:
                    return None
                table = self._existing(fixed)
                if table is None:
                    return None
                try:
                    self.layout_of(table)
                except BaseException:
                    table.close()
                    raise
                self._table = table
            return self._table

    def _existing(self, fixed: bool) -> Table | None:
        try:
            return Table(self.path, **self._when)  # type: ignore[arg-type]
        except StorageError:
            if is_url(self.path) and not fixed and not is_there(self.path):
                return None
            raise

    def made(self, dimensions: int | None) -> Table:
        """The table; a new one, with vectors of so many numbers, if there is none."""
        with self._lock:
            table = self.table()
            if table is None:
                columns = columns_of(
                    semantic=self.model is not None,
                    dimensions=self._dimensions or dimensions,
                    metric=self.metric,
                )
                options = self._options if self.model is None else {**self._options, "model": self.model}
                try:
                    self._table = table = Table.create(self.path, columns, options)
                except StorageError:
                    table = self.table()  # another process was first
                    if table is None:
                        raise
            return table

    def ready_for(self, sizes: set[int]) -> Table:
        """The table, with a column of vectors if ``sizes`` has how many numbers there are in one.

        DataTypeError for several sizes.
        """
        if len(sizes) > 1:
            raise DataTypeError(
                f"vectors have {', '.join(map(str, sorted(sizes)))} numbers",
                file=self.path,
                remedy="Embed all documents of a table by one model.",
            )
        dimensions = next(iter(sizes), None)
        table = self.made(dimensions)
        table.refresh()
        if dimensions is not None and self.layout_of(table).vector is None:
            self.writable(table)
            with self._lock:
                try:
                    table.alter(f"add column {vector_column(dimensions, self.metric)}")
                except SchemaError:
                    table.refresh()  # another process was first
                    if self.layout_of(table).vector is None:
                        raise
        return table

    def close(self) -> None:
        """Close the table."""
        with self._lock:
            table, self._table = self._table, None
        if table is not None:
            table.close()

    # -- what is in it ---------------------------------------------------------------------------------------

    def layout_of(self, reader: TableReader) -> Layout:
        """Which columns are what."""
        return Layout.of(reader.schema, self.path, **self.names)

    def view(self) -> tuple[TableReader, Layout] | None:
        """The newest version, or the one that was chosen, and its layout; None as long as there is none."""
        table = self.table()
        if table is None:
            return None
        table.refresh()
        reader = table.pinned()
        return reader, self.layout_of(reader)

    def layout(self) -> Layout:
        """Which columns are what; of the table that will be made, as long as there is none."""
        seen = self.view()
        if seen is not None:
            return seen[1]
        vector = None if self._dimensions is None else "vector"
        semantic, metric = self.model is not None, self.metric
        names = ("id", "text", vector, "metadata", "metadata_types", ())
        return Layout(*names, semantic, Kind.TEXT, self._dimensions, metric)

    def writable(self, table: Table) -> Layout:
        """The layout; UnsupportedError for a table that documents cannot be added to."""
        layout = self.layout_of(table)
        if not layout.writable:
            raise UnsupportedError(
                "documents cannot be added to a table that has no columns id, metadata and metadata_types",
                file=self.path,
                remedy="Add rows by SQL or Table.append, or documents to a new file.",
            )
        return layout

    def with_ids(self, layout: Layout, ids: Sequence[str]) -> Condition:
        """The documents with these ids. UnsupportedError for a table without a primary key."""
        if layout.id is None:
            raise UnsupportedError("documents of a table without a primary key have no ids", file=self.path)
        keys: list[Any] = list(dict.fromkeys(map(str, ids)))
        if layout.key is Kind.INTEGER:
            keys = [int(each) for each in keys if each.lstrip("-").isdecimal() and len(each) < 20]
        if not keys:
            return FALSE
        return Condition(f"{quote(layout.id)} IN ({', '.join('?' * len(keys))})", tuple(keys))
