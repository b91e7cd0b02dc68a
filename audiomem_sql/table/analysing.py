"""The methods of a table that look at all its rows at once: k-NN joins, near-duplicates, clusters, a map."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from audiomem_sql.errors import InFile, QueryError
from audiomem_sql.table.analyses import Analysed

if TYPE_CHECKING:
    from audiomem_sql.table.table_map import TableMap


class Analysing:
    """What a table can tell of its rows by their vectors.

    ``column`` is one that is searched by meaning, or one of type FLOAT[n]; by default the only one with
    vectors. ``where`` is a filter with ``parameters`` for its question marks. Rows are named by their rowids.
    """

    @abstractmethod
    def _analysed(self, where: str | None = None, parameters: Sequence[Any] = ()) -> Analysed:
        """The rows that pass ``where``."""

    def knn_join(
        self,
        other: Analysing,
        k: int | None = 10,
        *,
        column: str | None = None,
        other_column: str | None = None,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        other_where: str | None = None,
        other_parameters: Sequence[Any] = (),
    ) -> pa.Table:
        """The ``k`` rows of ``other`` that are nearest to each row of this table, all at once.

        A table of ``left_row_id``, ``right_row_id``, ``place`` (from 1) and ``distance``: what ``other.vec
        MATCH this.vec AND other.k = …`` gives row by row. A row without a vector has no neighbours. Texts
        that have no vectors of the other table's model are embedded by it. QueryError, DataTypeError for
        vectors that cannot be compared.
        """
        if not isinstance(other, Analysing):
            raise QueryError(f"a {type(other).__name__} is no table", remedy="Pass one that is open.")
        right = other._analysed(other_where, other_parameters)
        return self._analysed(where, parameters).neighbours(column, right, other_column, k)

    def nearest_to(
        self,
        data: Any,
        k: int | None = 10,
        *,
        data_column: str | None = None,
        column: str | None = None,
        where: str | None = None,
        parameters: Sequence[Any] = (),
    ) -> pa.Table:
        """The ``k`` rows of this table that are nearest to each row of ``data``, which is no table of ours.

        data: vectors as an array (n, d) or a list, an Arrow array, table, reader or dataset, a data frame of
        pandas or polars or a column of it, a relation of DuckDB. data_column: which of its columns is meant,
        by default the only one, or the only one of vectors. A column SEMANTIC takes texts, too, which its
        model embeds. Gives what :meth:`knn_join` gives; ``left_row_id`` is the place in ``data``, from 0.
        What comes in batches may be larger than memory. QueryError, DataTypeError with column and row for
        what is no vector of the column's width.
        """
        from audiomem_sql.table.given_rows import given_rows

        analysed = self._analysed(where, parameters)
        with InFile(analysed.path):
            return analysed.nearest_to(given_rows(data, data_column), column, k)

    def duplicates(
        self,
        column: str | None = None,
        threshold: float = 0.95,
        *,
        where: str | None = None,
        parameters: Sequence[Any] = (),
    ) -> pa.Table:
        """Groups of rows that are nearly the same, the largest first.

        A table of ``group_id``, ``row_id``, ``representative`` (the row in the middle of the group) and
        ``similarity`` (to that one). Two rows belong together if the cosine of their vectors is
        ``threshold`` or more, or if their texts are equal. column: also one of TEXT without vectors, for
        equal texts alone.
        """
        return self._analysed(where, parameters).duplicates(column, threshold)

    def clusters(
        self,
        column: str | None = None,
        k: int | None = None,
        *,
        where: str | None = None,
        parameters: Sequence[Any] = (),
    ) -> pa.Table:
        """The rows in ``k`` clusters, the largest first, with three to five words that name each.

        A table of ``cluster``, ``size``, ``words`` and ``centre`` (the row in the middle). k: by default the
        root of half the rows, at most 20.
        """
        return self._analysed(where, parameters).clusters(column, k)

    def cluster_rows(
        self,
        column: str | None = None,
        k: int | None = None,
        *,
        where: str | None = None,
        parameters: Sequence[Any] = (),
    ) -> pa.Table:
        """Which row is in which of the :meth:`clusters`.

        A table of ``row_id``, ``cluster`` and ``distance`` (from the centre of the cluster).
        """
        return self._analysed(where, parameters).cluster_rows(column, k)

    def map(
        self,
        column: str | None = None,
        k: int | None = None,
        *,
        where: str | None = None,
        parameters: Sequence[Any] = (),
    ) -> TableMap:
        """The rows on a plane, near each other where their vectors are, and the :meth:`clusters` with words.

        Notebooks show it; ``save("map.png")`` draws it, ``to_arrow()`` gives ``row_id``, ``x``, ``y`` and
        ``cluster``.
        """
        from audiomem_sql.table.table_map import TableMap

        return TableMap.of(self._analysed(where, parameters), column, k)
