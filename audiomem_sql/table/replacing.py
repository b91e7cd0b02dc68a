"""All rows of a table replaced by others, with their columns, in one version: older ones keep theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.creation import check_definitions
from audiomem_sql.columns.replacement import Chosen, replaced, says_the_same
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import InFile, SchemaError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.search import recorded, table_embedder, with_vectors
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.table.appends import Appends
from audiomem_sql.table.session import Session
from audiomem_sql.table.source_list import forgotten_sources
from audiomem_sql.table.written import tell_written
from audiomem_sql.versions import Snapshot, pack_sources
from audiomem_sql.writing.altering import with_new_vectors
from audiomem_sql.writing.appending import as_batches, check_rows, check_sizes, matching_rowids, number_rows
from audiomem_sql.writing.commit import Commit

#: The message of a version that replaces all rows, where there is no other.
MESSAGE = "replace all rows"


class Replacing:
    """Replaces the rows of a session's table.

    The arguments are those of :meth:`~audiomem_sql.table.table.Table.overwrite`.
    """

    def __init__(self, session: Session, appends: Appends) -> None:
        self._session = session
        self._opened = session.opened
        self._appends = appends

    def overwrite(
        self,
        data: Any,
        primary_key: str | None,
        semantic: str | Iterable[str],
        index: bool | None,
        message: str | None,
        progress: Progress | None,
    ) -> int:
        """Put the rows of ``data`` in the place of all that are there, in one commit; the new version."""
        with InFile(self._opened.path):
            self._session.check_no_transaction()
            rows, wanted = to_table(data, None, primary_key, semantic, index)
            chosen = Chosen(
                new_key=primary_key is not None,
                new_meaning=bool(semantic),
                blank=frozenset(
                    name
                    for name, column in zip(rows.column_names, rows.columns, strict=True)
                    if pa.types.is_string(column.type) and column.null_count == len(column)
                ),
            )
            message = message or MESSAGE
            if isinstance(self._opened.snapshot, ShardedSnapshot):
                return self._of_shards(rows, wanted, chosen, message, progress)
            with self._session.writing():
                version = self._commit(rows, wanted, chosen, message, progress)
            tell_written(self._opened, version)
            return version

    def _commit(
        self, rows: Any, wanted: Schema, chosen: Chosen, message: str, progress: Progress | None
    ) -> int:
        """One commit with the rows, and with their columns where those are others."""
        session, opened = self._session, self._opened
        session.empty_log()
        snapshot, options = opened.snapshot, opened.options
        schema = replaced(snapshot.schema, wanted, session.next_column(), chosen)
        check_definitions(schema.visible)
        schema = with_new_vectors(snapshot.schema, schema, options, session.next_column())
        table, _ = to_table(rows, schema.visible)
        check_sizes(table, opened.path)
        if schema.vectors:
            embedder = table_embedder(options, schema, opened.path)
            table = with_vectors(table, schema, embedder, progress, options.passages)
            options = recorded(options, embedder)
        deleted, sources = _all_rows(snapshot), forgotten_sources(snapshot)
        seen = snapshot.at(snapshot.version, schema)
        rowids, table = number_rows(table, seen)
        check_rows(rowids, table, seen, opened.path, deleted)
        is_other = not schema.is_same(snapshot.schema)
        content = Commit(
            as_batches(rowids, table),
            table.num_rows,
            deleted,
            message,
            pack_sources(sources) if sources else None,
            None if says_the_same(schema, snapshot.schema) else schema,
            f"replace columns by {', '.join(schema.visible.names)}"[:200] if is_other else "",
        )
        version = session.commit_segment(content, options, progress)
        opened.options = options
        return version

    def _of_shards(
        self, rows: Any, wanted: Schema, chosen: Chosen, message: str, progress: Progress | None
    ) -> int:
        """Of a table of several files, whose columns must stay.

        What a frame says beside them is a commit of its own before.
        """
        session, opened = self._session, self._opened
        with session.writing():
            before = opened.snapshot.schema
            schema = replaced(before, wanted, session.next_column(), chosen)
            same = before.changed(sorted(schema.columns, key=lambda column: column.id))
            same = replace(same, metadata=schema.metadata)
            if not same.is_same(before):
                raise SchemaError(
                    f"the new rows have other columns than the table, which are {before.visible.sql()}",
                    file=opened.path,
                    remedy="Change the columns of a sharded table with Table.alter before",
                )
            if not says_the_same(same, before):
                session.commit_segment(Commit((), 0, message=message, schema=same, change=message))
            sources = forgotten_sources(opened.snapshot)
        return self._appends.exchange(rows, _all_rows, sources=sources, message=message, progress=progress)


def _all_rows(snapshot: Snapshot) -> I64Array:
    return matching_rowids(snapshot, [], None)
