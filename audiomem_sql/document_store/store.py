"""Documents in one table: added, replaced and deleted in one commit each, filtered and searched."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import numpy as np

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.document_store.conditions import FALSE, TRUE, Condition
from audiomem_sql.document_store.diversity import directions, diverse
from audiomem_sql.document_store.layout import Layout
from audiomem_sql.document_store.opened import OpenedTable
from audiomem_sql.document_store.rows import arrow_rows
from audiomem_sql.document_store.searching import read, searched
from audiomem_sql.document_store.stored import Stored
from audiomem_sql.errors import ConstraintError, DataTypeError, StorageError
from audiomem_sql.scan import filters_of_text
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.appending import NO_ROWIDS, matching_rowids

#: How often rows are read again that others changed before they were written.
_TRIES = 100


class _ChangedError(Exception):
    """Somebody committed since the rows were read."""


class DocumentStore:
    """The documents of the table at ``path``; it is made when the first ones are added.

    dimensions, metric: of the vectors that documents bring, for a new table; without dimensions it gets a
    column of vectors with the first vector. model: texts of a new table are embedded by it, as SEMANTIC
    columns are; it may then be loaded. text_column, vector_column: of a table that was made otherwise.
    version, as_of: the documents as they were, to read only. options: of a new table, such as ``profile``.

    Several stores, threads and processes may use one table: each call is one commit, or reads one version,
    the newest that there is. Raises what ``audiomem_sql.open`` raises, and SchemaError for a table that holds
    no documents.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        dimensions: int | None = None,
        metric: str = COSINE,
        model: str | None = None,
        text_column: str | None = None,
        vector_column: str | None = None,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self._opened = OpenedTable(
            self.path,
            dimensions=dimensions,
            metric=metric,
            model=model,
            text_column=text_column,
            vector_column=vector_column,
            version=version,
            as_of=as_of,
            options=options or {},
        )

    @property
    def table(self) -> Table | None:
        """The table; None as long as there is none."""
        return self._opened.table()

    @property
    def layout(self) -> Layout:
        """Which columns are what; of the table that will be made, as long as there is none."""
        return self._opened.layout()

    def at(self, version: int | str | None = None, as_of: str | datetime | None = None) -> DocumentStore:
        """The documents at a version (number or tag) or at a time, to read only."""
        opened = self._opened
        return DocumentStore(
            self.path,
            metric=opened.metric,
            model=opened.model,
            text_column=opened.names["text"],
            vector_column=opened.names["vector"],
            version=version,
            as_of=as_of,
        )

    def close(self) -> None:
        """Close the table."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- writing ---------------------------------------------------------------------------------------------

    def add(self, documents: Sequence[Stored], *, on_conflict: str = "replace") -> list[str]:
        """Add documents in one commit; the ids of those that were written, in their order.

        Those without an id get one. on_conflict, where an id is there: ``replace``, ``skip`` or ``fail``, a
        ConstraintError. Of several with the same id the last one counts, by ``skip`` the first.
        """
        given = [(_id_of(document), document) for document in documents]
        if not given:
            return []
        chosen = dict(given)
        if on_conflict == "skip":
            chosen = dict(reversed(given))
            chosen = {identity: chosen[identity] for identity, _ in given}
        elif on_conflict == "fail" and len(chosen) < len(given):
            raise ConstraintError(
                "two documents have the same id", file=self.path, remedy="Leave one of them out."
            )
        sizes = {len(document.vector) for document in chosen.values() if document.vector is not None}
        table = self._opened.ready_for(sizes)
        layout = self._opened.writable(table)
        if on_conflict == "skip":
            return self._add_new(table, layout, chosen)
        rows = arrow_rows(chosen, layout, table.schema)
        if on_conflict == "fail":
            table.append(rows)
        else:
            condition = self._opened.with_ids(layout, list(chosen))
            table.append(rows, replace=condition.sql, parameters=condition.parameters)
        return [identity for identity, _ in given]

    def _add_new(self, table: Table, layout: Layout, documents: Mapping[str, Stored]) -> list[str]:
        """Add those whose ids are not there."""
        condition = self._opened.with_ids(layout, list(documents))
        for _ in range(_TRIES):
            table.refresh()
            reader = table.pinned()
            there = set(reader.to_arrow([str(layout.id)], *condition).column(0).to_pylist())
            new = {identity: each for identity, each in documents.items() if identity not in there}
            if not new:
                return []
            if self._exchanged(table, arrow_rows(new, layout, table.schema), None, reader):
                return list(new)
        raise self._busy()

    def delete(self, condition: Condition | None) -> int:
        """Delete the documents that pass, None for all of them, in one commit; how many they were."""
        table = self.table
        if table is None:
            return 0
        table.refresh()
        filters, row_filter = filters_of_text(*(condition or TRUE), table.schema)
        count = 0

        def passing(snapshot: Snapshot) -> I64Array:
            nonlocal count
            rowids = matching_rowids(snapshot, filters, row_filter)
            count = len(rowids)
            return rowids

        table.exchange(table.schema.to_arrow().empty_table(), passing)
        return count

    def delete_ids(self, ids: Iterable[str]) -> int:
        """Delete documents by their ids, in one commit; how many there were."""
        condition = self.with_ids(ids)
        return 0 if condition is FALSE else self.delete(condition)

    def update(self, condition: Condition, change: Callable[[Stored], Stored]) -> int:
        """Replace the documents that pass by what ``change`` makes of them, in one commit; how many."""
        for _ in range(_TRIES):
            seen, table = self._opened.view(), self.table
            if seen is None or table is None:
                return 0
            reader, layout = seen
            self._opened.writable(table)
            changed = [change(each) for each in read(reader, layout, condition, None, vectors=True)]
            if not changed:
                return 0
            rows = arrow_rows({_id_of(each): each for each in changed}, layout, table.schema)
            if self._exchanged(table, rows, condition, reader):
                return len(changed)
        raise self._busy()

    def _exchanged(self, table: Table, rows: Any, condition: Condition | None, reader: TableReader) -> bool:
        """Whether ``rows`` took the place of those that pass; not if the table changed since ``reader``."""
        filters, row_filter = filters_of_text(*(condition or FALSE), reader.schema)

        def passing(snapshot: Snapshot) -> I64Array:
            if snapshot.version != reader.version:
                raise _ChangedError
            return NO_ROWIDS if condition is None else matching_rowids(snapshot, filters, row_filter)

        try:
            table.exchange(rows, passing)
        except _ChangedError:
            return False
        return True

    def _busy(self) -> StorageError:
        return StorageError("others keep changing these documents", file=self.path, remedy="Try again.")

    # -- reading ---------------------------------------------------------------------------------------------

    def with_ids(self, ids: Iterable[str]) -> Condition:
        """The documents with these ids."""
        return self._opened.with_ids(self.layout, list(ids))

    def count(self, condition: Condition | None = None) -> int:
        """How many documents there are, or pass."""
        seen = self._opened.view()
        if seen is None:
            return 0
        reader, layout = seen
        if condition is None:
            return len(reader)
        return sum(batch.num_rows for batch in reader.scan([layout.text], *condition))

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> list[Stored]:
        """The documents with these ids, in their order; those that are not there are left out."""
        seen = self._opened.view()
        if seen is None or not ids:
            return []
        found = read(*seen, self._opened.with_ids(seen[1], ids), None, vectors=vectors)
        by_id = {document.id: document for document in found}
        return [by_id[each] for each in dict.fromkeys(ids) if each in by_id]

    def find(
        self, condition: Condition | None = None, *, limit: int | None = None, vectors: bool = False
    ) -> list[Stored]:
        """The documents that pass, in the order in which they were added."""
        seen = self._opened.view()
        return [] if seen is None else read(*seen, condition, limit, vectors=vectors)

    def search(
        self,
        text: str | None = None,
        vector: Sequence[float] | F32Array | None = None,
        k: int = 10,
        condition: Condition | None = None,
        *,
        words: float | None = None,
        vectors: bool = False,
    ) -> list[Stored]:
        """The ``k`` documents that answer best, of those that pass, best first.

        vector: the nearest. text: by its words, or with ``vector`` by both. words: how much words count
        beside vectors or meaning, 0 to 1; 0 for none. A table that is searched by meaning ranks ``text`` by
        that where ``words`` is 0, by both otherwise, and by its words alone where it is 1.
        """
        seen = None if k < 1 else self._opened.view()
        if seen is None:
            return []
        return searched(*seen, text, vector, k, condition, words=words, vectors=vectors)

    def diverse_search(
        self,
        text: str | None = None,
        vector: Sequence[float] | F32Array | None = None,
        k: int = 10,
        condition: Condition | None = None,
        *,
        candidates: int = 20,
        weight: float = 0.5,
    ) -> list[Stored]:
        """Of the ``candidates`` best documents ``k`` that are near and unlike each other, and have vectors.

        weight: how much nearness counts beside difference, 0 to 1 (see :func:`.diversity.diverse`).
        """
        found = self.search(text, vector, max(k, candidates), condition, words=0.0, vectors=True)
        having = [(document, document.vector) for document in found if document.vector is not None]
        if not having:
            return []
        vectors = np.stack([each for _, each in having])
        if vector is not None:
            near = (directions(vectors) @ directions(np.asarray(vector, np.float32))).astype(np.float64)
        else:
            near = np.array([1.0 - (document.distance or 0.0) for document, _ in having])
        places, scores = diverse(near, vectors, k, weight)
        for place, score in zip(places, scores, strict=True):
            having[place][0].score = score
        return [having[place][0] for place in places]


def _id_of(document: Stored) -> str:
    if document.id is None:
        return str(uuid.uuid4())
    if not isinstance(document.id, str):
        raise DataTypeError(f"an id is a text, not {document.id!r:.60}", remedy="Pass str(id).")
    return document.id
