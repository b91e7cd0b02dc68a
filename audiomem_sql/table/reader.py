"""A table opened for reading, at its newest version or at one that was chosen."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

import pyarrow as pa

from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DataTypeError, InFile, StorageError
from audiomem_sql.machine.block_cache import SHARED, BlockCache
from audiomem_sql.storage.segment import Migration, TableOptions, Version
from audiomem_sql.table.analyses import Analysed
from audiomem_sql.table.analysing import Analysing
from audiomem_sql.table.browsing import Browsing
from audiomem_sql.table.explanations import explanation_table, named_ranking
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.table.placed import Placed
from audiomem_sql.table.rows import Current, Rows, row_at
from audiomem_sql.versions import Snapshot, TableFiles

if TYPE_CHECKING:
    import pandas as pd

    from audiomem_sql.search import RankingOptions
    from audiomem_sql.storage.segment import Arrived
    from audiomem_sql.table.arrow_dataset import FlacDataset
    from audiomem_sql.versions import Tiers


class TableReader(Placed, Analysing, Browsing):
    """A table opened for reading, at its newest version or at one that was chosen.

    ``schema``, ``version`` and ``len(table)`` speak of the snapshot that was loaded last; :meth:`refresh`
    loads a newer one, unless a version was chosen. A context manager, closing its files at the end.

    cache: of decoded blocks, or the tiers of a cache in front of a URL (docs/TIERS.md), by default those that
    ``AUDIOMEM_CACHE`` names. replicas: other places, paths or URLs, that have the same file
    (docs/REPLICAS.md); the table is only read then.

    salvage: read what there is where files are missing, see :mod:`audiomem_sql.upkeep.salvage`; the table is
    not refreshed. on_damage: ``fail``, or ``skip`` to leave out the rows that cannot be recovered, with a
    DamageWarning that names them, or ``null`` to leave out only rows whose rowid is lost, and to put NULL
    where other values are; a DamageWarning names those, too.

    partial: the file may end before all of it has arrived; the table has the rows that are there, is only
    read, and :attr:`arrived` says how many they are of how many. :meth:`refresh` looks for more.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        cache: BlockCache | Tiers | None = SHARED,
        salvage: bool = False,
        on_damage: str = "fail",
        partial: bool = False,
        replicas: str | Sequence[str] | None = None,
    ) -> None:
        self._opened = OpenTable(
            path,
            version=version,
            as_of=as_of,
            cache=cache,
            salvage=salvage,
            on_damage=on_damage,
            partial=partial,
            replicas=replicas,
        )

    @classmethod
    def over(cls, opened: OpenTable) -> TableReader:
        """A reader of files that are open already."""
        reader = TableReader.__new__(TableReader)
        reader._opened = opened
        return reader

    # -- what it is ------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The path that the table was opened by."""
        return self._opened.path

    @property
    def name(self) -> str:
        """The name of the table: the file's, without folder and extension."""
        return self._opened.name

    @property
    def files(self) -> TableFiles:
        """The paths of the table's files."""
        return self._opened.files

    @property
    def options(self) -> TableOptions:
        """The options that the table is written with."""
        return self._opened.options

    @property
    def opener(self) -> Callable[..., TableReader]:
        """Opens a table by its path to be read; datasets take it to other processes."""
        replicas = self._opened.replicas
        return partial(TableReader, replicas=replicas) if replicas else TableReader

    @property
    def salvage(self) -> bool:
        """Whether the table was opened for salvage."""
        return self._opened.salvage

    @property
    def on_damage(self) -> str:
        """What a read does about rows that cannot be recovered: ``fail``, ``skip`` or ``null``."""
        return self._opened.on_damage

    @property
    def arrived(self) -> Arrived | None:
        """What has arrived of a table that was opened with ``partial``; None if all of it has."""
        return self._opened.arrived

    @property
    def snapshot(self) -> Snapshot:
        """The rows and versions that were loaded last."""
        return self._opened.snapshot

    @property
    def schema(self) -> Schema:
        """The columns."""
        return self._opened.schema

    @property
    def version(self) -> int:
        """The number of the newest commit that was loaded."""
        return self.snapshot.version

    @property
    def versions(self) -> list[Version]:
        """Every commit in the files, oldest first."""
        return self.snapshot.versions

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """Every change of the columns so far, oldest first."""
        return self.snapshot.migrations

    @property
    def tags(self) -> dict[str, int]:
        """The names of versions."""
        return self.snapshot.tags

    @property
    def sources(self) -> dict[str, bytes]:
        """The digest of every source that rows were ingested from, by name."""
        return self._opened.sources

    def __len__(self) -> int:
        return self.readable.rows

    # -- versions --------------------------------------------------------------------------------------------

    def at(
        self,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        schema: Schema | None = None,
    ) -> Snapshot:
        """The snapshot of a version: by number, by tag, or the newest at a time.

        as_of: UTC unless it says otherwise. schema: the columns to see it with, by default those that it had.
        QueryError, with the versions and tags that are kept, for one that is not.
        """
        return self._opened.at(version, as_of, schema)

    def pinned(self, version: int | str | None = None, as_of: str | datetime | None = None) -> TableReader:
        """The table at a version, or as it is now, without opening a file again.

        Later commits do not show in it.

        It shares what is open: it must not be closed, and fails when this reader is. QueryError as
        :meth:`at`.
        """
        return TableReader.over(self._opened.pinned(version, as_of))

    def refresh(self) -> bool:
        """Look for commits of others; True if there were any."""
        return self._opened.refresh()

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- reading ---------------------------------------------------------------------------------------------

    @property
    def readable(self) -> Current:
        """What a query reads now."""
        return self.snapshot

    @property
    def _rows(self) -> Rows:
        self._check_open()
        return Rows(self.readable, self.options, self.path)

    def _analysed(self, where: str | None = None, parameters: Sequence[Any] = ()) -> Analysed:
        self._check_open()
        return Analysed(self.readable, self.options, self.path, where, parameters)

    def _check_open(self) -> None:
        if self._opened.closed:
            raise StorageError("the table is closed", file=self.path, remedy="Open it again.")

    def scan(
        self,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        limit: int | None = None,
        whole: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        """The rows as record batches, decoded as they are asked for.

        columns: names, in the order wanted; all by default. where: a filter such as ``"year > ? AND title
        LIKE 'a%'"`` with ``parameters`` for its question marks. limit: most rows. whole: all of them will be
        asked for, most likely: more is read ahead.
        """
        return self._rows.scan(columns, where, parameters, limit=limit, whole=whole)

    def to_arrow(
        self, columns: Sequence[str] | None = None, where: str | None = None, parameters: Sequence[Any] = ()
    ) -> pa.Table:
        """The rows as an Arrow table; arguments as in :meth:`scan`."""
        return self._rows.to_arrow(columns, where, parameters)

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

        dtype_backend: ``numpy_nullable`` or ``pyarrow``, as in pandas, for all columns. options:
        ``categories``, names of columns that become categories, and those of ``pyarrow.Array.to_pandas``. See
        :mod:`audiomem_sql.columns.to_pandas`.
        """
        return self._rows.to_pandas(columns, where, parameters, dtype_backend=dtype_backend, **options)

    def dataset(self, *, live: bool = False) -> FlacDataset:
        """This table as a lazy ``pyarrow.dataset.Dataset`` for DuckDB, polars and pyarrow.

        It shows the snapshot of now; live: whenever it is queried, the newest one.
        """
        from audiomem_sql.table.arrow_dataset import FlacDataset

        return FlacDataset(self, live=live)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The Arrow PyCapsule interface: anything that reads Arrow reads the table, batch by batch."""
        return self._rows.to_stream().__arrow_c_stream__(requested_schema)

    def search(
        self,
        query: Any = None,
        k: int | None = 10,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        columns: Sequence[str] | None = None,
        column: str | None = None,
        vector: Any = None,
        weights: Mapping[str, float] | None = None,
        **ranking: Unpack[RankingOptions],
    ) -> pa.Table:
        """The ``k`` rows that answer ``query`` best, best first, and their cosine distances.

        The distances are a column ``distance``. k: None is the usual number, 10, as in every method with a k.

        query: for a column that is searched by meaning or by its words, a text. ``semantic:``, ``words:``
        (plain words, INDEXED columns), ``keyword:`` (FTS5's syntax) or ``hybrid:`` before it chooses;
        without, it is both where both can be had, and plain words where there is no meaning. A row that
        words alone brought has no distance. For a column of vectors float32 (n,), also an array, a list,
        bytes, or JSON. where: a filter, which is applied before the rows are ranked. column: which one to
        search, by default the only one that is declared SEMANTIC.

        fusion: how meaning and words are joined, where both count: ``standardised`` (the default) or ``rrf``,
        reciprocal ranks with the constant ``rank_constant`` (60). weight: the share of meaning, 0 to 1; 0.65,
        and 0.5 of ranks. rerank: what orders the best ``rerank_rows`` (100) rows anew, a callable
        ``(query, texts) -> scores``, or the name of a cross-encoder (``onnx:FOLDER``: an ONNX graph),
        which this allows to be loaded.
        column_weights: how much a word counts in each of several INDEXED columns, by name, such as
        ``{"title": 10}``; 1 in the others (:mod:`audiomem_sql.search.ranking.column_weights`).

        vector: what to search for in ``column``, by default in the only column of vectors, alone or together
        with a text, which is then asked of the whole table; or a dict of vectors by the names of columns.
        weights: how much ``words``, ``meaning`` and columns of vectors count, by name
        (:mod:`audiomem_sql.search.ranking.combined_search`). Rows that several vectors rank have no distance.
        """
        with InFile(self.path):
            how = named_ranking(**ranking)
        return self._rows.search(
            query,
            k,
            where,
            parameters,
            columns=columns,
            column=column,
            vector=vector,
            weights=weights,
            ranking=how,
        )

    def explain(
        self,
        query: Any = None,
        k: int | None = 10,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        column: str | None = None,
        vector: Any = None,
        weights: Mapping[str, float] | None = None,
        **ranking: Unpack[RankingOptions],
    ) -> pa.Table:
        """Why :meth:`search` gives these rows: a row for each, with the figures that its score is made of.

        The columns are those of :class:`~audiomem_sql.search.explanation.Explained`.
        """
        with InFile(self.path):
            how = named_ranking(**ranking)
        rows = self._rows.explain(
            query, k, where, parameters, column=column, vector=vector, weights=weights, ranking=how
        )
        return explanation_table(rows)

    def suggest(self, word: str, k: int | None = 5, *, column: str | None = None) -> list[str]:
        """The ``k`` words of the INDEXED columns, or of ``column``, that are written most like ``word``.

        It comes first itself if it is there. QueryError if nothing is searched by its words.
        """
        return self._rows.suggest(word, k, column)

    def top(
        self,
        ordering: str,
        k: int | None = 10,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """The first ``k`` rows in an order such as ``"year DESC, title"``, of those that pass ``where``.

        Columns that the order does not name are read of these rows only, see
        :mod:`audiomem_sql.scan.top_rows`.
        """
        return self._rows.top(ordering, k, where, parameters, columns=columns)

    def get(self, rowid: int) -> dict[str, Any] | None:
        """The row with ``rowid`` as SQL sees it, by column name; None if there is none.

        DataTypeError for what is no integer.
        """
        self._check_open()
        try:
            number = operator.index(rowid)
        except TypeError:
            raise DataTypeError(
                f"a rowid is an integer, not {rowid!r:.60}",
                file=self.path,
                remedy="Look for other values with where=: table.to_arrow(where='name = ?', parameters=[…])",
            ) from None
        return row_at(self.readable, number)
