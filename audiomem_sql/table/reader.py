"""Reading a table: the newest snapshot of a FLAC file, its deltas and its log, or the snapshot of one version."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.columns.timestamps import parse, render
from audiomem_sql.errors import DamagedFileError, OptionError, QueryError
from audiomem_sql.machine.block_cache import SHARED, BlockCache
from audiomem_sql.machine.limits import LIMITS
from audiomem_sql.machine.malloc import spare, trim
from audiomem_sql.scan.fetch import found_rows
from audiomem_sql.scan.lookup import value_at
from audiomem_sql.scan.scan import Filter, Readable, RowFilter, scan
from audiomem_sql.scan.top_rows import first_rows, parse_order
from audiomem_sql.search.request import WHOLE, results
from audiomem_sql.storage.segment.catalog import Version
from audiomem_sql.storage.segment.options import TableOptions
from audiomem_sql.upkeep.salvage import SalvagedSnapshot, load_salvaged
from audiomem_sql.upkeep.torn_log import tell_torn_log
from audiomem_sql.versions.files import TableFiles
from audiomem_sql.versions.ingested import known_sources
from audiomem_sql.versions.snapshot import Snapshot
from audiomem_sql.writing.transaction import Transaction

if TYPE_CHECKING:
    import pandas as pd

    from audiomem_sql.table.arrow_dataset import FlacDataset


class TableReader:
    """A table opened for reading, at its newest version or at one that was asked for.

    ``schema``, ``version`` and ``len(table)`` speak of the snapshot that was looked at last; :meth:`refresh` looks again,
    unless a version was asked for. A context manager, closing its files at the end.

    salvage: read what there is where files are missing, see :mod:`audiomem_sql.upkeep.salvage`; it stays as it was found.
    on_damage: ``fail``, or ``skip`` to leave out the rows that cannot be recovered, with a DamageWarning that names them, or
    ``null`` to leave out only rows whose rowid is lost, and to put NULL where other values are; a DamageWarning names those, too.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        cache: BlockCache = SHARED,
        salvage: bool = False,
        on_damage: str = "fail",
    ) -> None:
        if on_damage not in ("fail", "skip", "null"):
            raise OptionError(f"on_damage is fail, skip or null, not {on_damage!r}")
        self.on_damage = on_damage
        self.path = os.fspath(path)
        self._cache = cache
        self.files = TableFiles(os.path.abspath(self.path))
        self.salvage = salvage
        self.snapshot: Snapshot = load_salvaged(self.files, cache) if salvage else self.files.load(cache)
        self._mark_segments()
        self.options = self._read_options()
        if LIMITS[self.options.profile].sparing:
            spare()
        tell_torn_log(self.files, self.snapshot)
        self._pinned = version is not None or as_of is not None
        if self._pinned:
            try:
                self.snapshot = self.at(version, as_of)
                self.options = self._read_options()
            except BaseException:
                self.snapshot.close()
                raise

    def _mark_segments(self) -> None:
        """Tell the segments what to do about damage."""
        for segment in self.snapshot.segments:
            segment.skip_damage = self.on_damage != "fail"
            segment.null_damage = self.on_damage == "null"

    def _read_options(self) -> TableOptions:
        try:
            snapshot = self.snapshot
            holding = [s for s in snapshot.segments if s.catalog.first_version <= snapshot.version]
            return TableOptions.from_catalog((holding or snapshot.segments)[-1].catalog.options)
        except DamagedFileError as error:
            self.snapshot.close()
            error.at(file=self.path, place="catalog")
            raise

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the table: the file's, without folder and extension."""
        return os.path.splitext(os.path.basename(self.path))[0]

    @property
    def schema(self) -> Schema:
        """The columns."""
        return self.snapshot.schema.visible

    @property
    def version(self) -> int:
        """The number of the newest commit seen."""
        return self.snapshot.version

    @property
    def versions(self) -> list[Version]:
        """Every commit in the files, oldest first."""
        return self.snapshot.versions

    @property
    def sources(self) -> dict[str, bytes]:
        """What was ingested: the digest of every source, by name."""
        try:
            return known_sources(self.snapshot.segments, self.snapshot.logged)
        except DamagedFileError as error:
            error.at(file=self.files.log, place="sources")
            raise

    def __len__(self) -> int:
        return self.readable.rows

    def __repr__(self) -> str:
        return f"<Table {self.path!r}: {len(self)} rows, {len(self.schema)} columns, version {self.version}>"

    @property
    def tags(self) -> dict[str, int]:
        """Names of versions."""
        return self.snapshot.tags

    def at(
        self,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        schema: Schema | None = None,
    ) -> Snapshot:
        """The snapshot of a version: by number, by tag, or the newest at a time (UTC unless it says otherwise).

        schema: the columns to see it with, by default those that it had. QueryError, with the versions and tags that are kept, for one that is not.
        """
        snapshot = self.snapshot
        if as_of is not None:
            moment = parse(as_of)
            numbers = [v.number for v in snapshot.versions if v.time <= moment]
            if not numbers:
                first = render(snapshot.versions[0].time)
                raise snapshot.not_kept(
                    f"the oldest version that is kept is of {first}, after {render(moment)}"
                )
            if isinstance(snapshot, SalvagedSnapshot):
                snapshot.check_moment(numbers[-1], moment)
            return snapshot.at(numbers[-1], schema)
        if isinstance(version, str) and not version.isdecimal():
            if version not in snapshot.tags:
                raise snapshot.not_kept(f"there is no tag {version!r}")
            return snapshot.at(snapshot.tags[version], schema)
        return snapshot.at(snapshot.version if version is None else int(version), schema)

    def pinned(self, version: int | str | None = None, as_of: str | datetime | None = None) -> TableReader:
        """The table at a version, or as it is now, without opening a file again; later commits do not show in it.

        It shares what is open: it must not be closed, and fails when this reader is. QueryError as :meth:`at`.
        """
        view = copy.copy(self)
        view.snapshot, view._pinned = self.at(version, as_of), True
        view.options = view._read_options()
        return view

    def refresh(self) -> bool:
        """Look for commits of others; True if there were any."""
        if self._pinned or self.salvage or not self.files.changed(self.snapshot):
            return False
        self._reload()
        self.options = self._read_options()
        return True

    def _reload(self) -> None:
        self.snapshot = self.files.load(self._cache, self.snapshot)
        self._mark_segments()
        if LIMITS[self.options.profile].sparing:
            trim()

    def close(self) -> None:
        """Close the files."""
        self.snapshot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def readable(self) -> Transaction | Snapshot:
        """What a query reads now."""
        return self.snapshot

    def scan(
        self,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        limit: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """The rows as record batches, decoded as they are asked for.

        columns: names, in the order wanted; all by default. where: a filter such as ``"year > ? AND title LIKE 'a%'"``
        with ``parameters`` for its question marks. limit: most rows.
        """
        numbers, schema = self._projection(columns)
        filters, row_filter = self._where(where, parameters)
        return self._batches(self.readable, numbers, schema, filters, row_filter, limit)

    def _batches(
        self,
        readable: Readable,
        numbers: list[int],
        schema: pa.Schema,
        filters: list[Filter],
        row_filter: RowFilter | None,
        limit: int | None,
    ) -> Iterator[pa.RecordBatch]:
        left = limit
        if left is not None and left <= 0:
            return
        for batch in scan(readable, numbers, filters, row_filter=row_filter):
            arrays = list(batch.arrays)
            if left is not None and left < len(batch):
                arrays = [array.slice(0, left) for array in arrays]
            yield _record_batch(arrays, min(len(batch), left if left is not None else len(batch)), schema)
            if left is not None:
                left -= len(batch)
                if left <= 0:
                    return

    def _projection(self, columns: Sequence[str] | None) -> tuple[list[int], pa.Schema]:
        names = list(self.schema.names) if columns is None else list(columns)
        numbers = [self.schema.index(name) for name in names]
        arrow = self.schema.to_arrow()
        whole = len(set(numbers)) == len(self.schema)  # a constraint speaks of several columns
        fields = [arrow.field(number) for number in numbers]
        return numbers, pa.schema(fields, arrow.metadata if whole else None)

    def _where(self, where: str | None, parameters: Sequence[Any]) -> tuple[list[Filter], RowFilter | None]:
        if where is None:
            return [], None
        from audiomem_sql.predicates.where import parse_where
        from audiomem_sql.scan.where_filter import filters_of

        return filters_of(parse_where(where, self.schema.names, parameters), self.schema)

    def to_arrow(
        self, columns: Sequence[str] | None = None, where: str | None = None, parameters: Sequence[Any] = ()
    ) -> pa.Table:
        """The rows as an Arrow table; arguments as in :meth:`scan`."""
        _, schema = self._projection(columns)
        return pa.Table.from_batches(list(self.scan(columns, where, parameters)), schema)

    def to_pandas(
        self,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        dtype_backend: str | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """The rows as a pandas data frame, with the dtypes that they were written with.

        dtype_backend: ``numpy_nullable`` or ``pyarrow``, as in pandas, for all columns. options: ``categories``, names of columns
        that become categories, and those of ``pyarrow.Array.to_pandas``. See :mod:`audiomem_sql.columns.to_pandas`.
        """
        from audiomem_sql.columns.to_pandas import frame_of

        table = self.to_arrow(columns, where, parameters)
        origins = [self.schema[name].origin for name in table.column_names]
        return frame_of(table, origins, dtype_backend, **options)

    def _repr_html_(self) -> str:
        """What notebooks show, see :mod:`audiomem_sql.table.display`."""
        from audiomem_sql.table.display import html_of

        return html_of(self)

    def dataset(self, *, live: bool = False) -> FlacDataset:
        """This table as a lazy ``pyarrow.dataset.Dataset`` for DuckDB, polars and pyarrow.

        It shows the snapshot of now; live: whenever it is queried, the newest one.
        """
        from audiomem_sql.table.arrow_dataset import dataset

        return dataset(self, live=live)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The Arrow PyCapsule interface: anything that reads Arrow reads the table, batch by batch."""
        _, schema = self._projection(None)
        reader = pa.RecordBatchReader.from_batches(schema, self.scan())
        return reader.__arrow_c_stream__(requested_schema)

    def search(
        self,
        query: Any,
        k: int = 10,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        columns: Sequence[str] | None = None,
        column: str | None = None,
    ) -> pa.Table:
        """The ``k`` rows that answer ``query`` best, the best first, with their cosine distances in a column ``distance``.

        query: a text, by meaning, by words (INDEXED columns, FTS5's syntax) or by both, which ``semantic:``, ``keyword:`` and
        ``hybrid:`` before it can choose; a row found by words alone has no distance. For a column that is searched by meaning; for that or a column of vectors float32 (n,), as an array, a
        list, bytes, or JSON. where: a filter, which is applied before the rows are ranked. column: which one to search, by
        default the only one that is declared SEMANTIC.
        """
        if k < 1:
            raise QueryError(f"k = {k} is no number of rows", file=self.path, remedy="Ask for 1 or more.")
        full = self.snapshot.schema
        place = WHOLE if column is None else full.index(column)
        filters, row_filter = self._where(where, parameters)
        numbers, schema = self._projection(columns)
        answers = results(
            self.readable, full, place, query, self.options, self.path, filters, row_filter=row_filter, k=k
        )
        found = list(answers)
        schema = schema.remove_metadata().append(pa.field("distance", pa.float32()))
        if not found:
            return schema.empty_table()
        rowids = np.concatenate([part.rowids for part in found])
        there, arrays = found_rows(self.readable, rowids, numbers)
        if not there.any():  # damage is passed over
            return schema.empty_table()
        values = np.concatenate([part.distances for part in found])[there]
        distances = pa.array(values, mask=np.isnan(values))
        return pa.Table.from_arrays([*arrays, distances], schema=schema)

    def top(
        self,
        ordering: str,
        k: int = 10,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """The first ``k`` rows in an order such as ``"year DESC, title"``, of those that pass ``where``.

        Columns that the order does not name are read of these rows only, see :mod:`audiomem_sql.scan.top_rows`.
        """
        if k < 1:
            raise QueryError(f"k = {k} is no number of rows", file=self.path, remedy="Ask for 1 or more.")
        readable = self.readable
        filters, row_filter = self._where(where, parameters)
        numbers, schema = self._projection(columns)
        rowids = first_rows(readable, parse_order(ordering, self.schema), k, filters, row_filter)
        there, arrays = found_rows(readable, rowids, numbers)
        return pa.Table.from_arrays(arrays, schema=schema) if there.any() else schema.empty_table()

    def get(self, rowid: int) -> dict[str, Any] | None:
        """The row with ``rowid`` as SQL sees it, by column name; None if there is none."""
        readable = self.readable
        own = readable.own_row(rowid)
        if own is not None:
            return {c.name: as_sql(value, c.type) for c, value in zip(self.schema.columns, own, strict=False)}
        for view in reversed(readable.views):
            row = view.find(rowid)
            if row >= 0:
                return {
                    name: value_at(view.segment, place, row) for place, name in enumerate(self.schema.names)
                }
        return None


def _record_batch(arrays: list[pa.Array], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    if arrays:
        return pa.RecordBatch.from_arrays(arrays, schema=schema)
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
