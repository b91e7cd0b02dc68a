"""Appends: rows that arrive together become one commit, in the log or as a segment of its own.

Several threads may append through one session at the same time: few rows share a flush, see
:mod:`audiomem_sql.writing.group_commit`. Each append has a version and errors of its own.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from audiomem_sql import search
from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import InFile
from audiomem_sql.machine.progress import Progress
from audiomem_sql.observe import hooks
from audiomem_sql.scan import filters_of_text
from audiomem_sql.table.session import Session
from audiomem_sql.table.sharded_session import ShardedSession
from audiomem_sql.table.written import tell_written
from audiomem_sql.versions import Snapshot, pack_sources
from audiomem_sql.writing import log_limits
from audiomem_sql.writing.appending import (
    NO_ROWIDS,
    as_batches,
    check_rows,
    check_sizes,
    matching_rowids,
    number_rows,
)
from audiomem_sql.writing.commit import Commit
from audiomem_sql.writing.group_commit import Append, Group
from audiomem_sql.writing.streaming import (
    UnorderedError,
    can_follow,
    can_stream,
    is_stream,
    numbered,
    stream_of,
)

if TYPE_CHECKING:
    from audiomem_sql.search import KnownVectors

#: The rowids that a commit deletes, int64 (n,), ascending, of the snapshot that it is made on.
Deleted = Callable[[Snapshot], I64Array]


class Appends:
    """The appends of a session.

    The arguments of the methods are those of :class:`~audiomem_sql.table.table.Table`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._opened = session.opened

    def append(
        self,
        data: Any,
        *,
        replace: str | None = None,
        parameters: Sequence[Any] = (),
        sources: Mapping[str, bytes] | None = None,
        message: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Add rows, and delete those that the filter ``replace`` passes, in one commit; the new version."""
        with InFile(self._opened.path):
            filters, row_filter = filters_of_text(replace, parameters, self._opened.schema)

        def matching(snapshot: Snapshot) -> I64Array:
            return NO_ROWIDS if replace is None else matching_rowids(snapshot, filters, row_filter)

        return self.exchange(data, matching, sources=sources, message=message, progress=progress)

    @hooks.staged("commit", lambda self, *given, **how: self._opened.path, logging.DEBUG)
    def exchange(
        self,
        data: Any,
        deleted: Deleted,
        *,
        sources: Mapping[str, bytes] | None = None,
        message: str | None = None,
        progress: Progress | None = None,
        encoded: Sequence[str] = (),
        known: KnownVectors | None = None,
    ) -> int:
        """Add and delete rows in one commit; the new version."""
        with InFile(self._opened.path):
            before = self._opened.snapshot.newest
            if encoded and isinstance(self._session, ShardedSession):
                version = self._exchange_encoded(data, deleted, sources, message, encoded)
            else:
                append = self._converted(data, deleted, sources, message, progress, known)
                version = self._made(append, progress)
            if version > before:
                tell_written(self._opened, version)
            return version

    def _exchange_encoded(
        self,
        data: Any,
        deleted: Deleted,
        sources: Mapping[str, bytes] | None,
        message: str | None,
        encoded: Sequence[str],
    ) -> int:
        """With rows that are encoded; they are read and encoded again if they do not fit the table."""
        from audiomem_sql.table.encoded_part import EncodedPart
        from audiomem_sql.table.encoded_rows import commit_parts, rows_of

        session, schema = self._session, self._opened.schema
        assert isinstance(session, ShardedSession)
        parts = [EncodedPart.read(path) for path in encoded]
        append = self._converted(data, deleted, sources, message, None)
        version = commit_parts(session, append, parts)
        if version is None:
            rows = append.table.select(list(schema.names))
            whole = pa.concat_tables([rows, *(rows_of(part).cast(rows.schema) for part in parts)])
            version = self._made(self._converted(whole, deleted, sources, message, None), None)
        return version

    def _converted(
        self,
        data: Any,
        deleted: Deleted,
        sources: Mapping[str, bytes] | None,
        message: str | None,
        progress: Progress | None,
        known: KnownVectors | None = None,
    ) -> Append:
        from audiomem_sql.columns.arrow_input import to_table

        opened = self._opened
        schema = opened.schema
        table, _ = to_table(data, schema)
        check_sizes(table, opened.path)
        self._session.check_no_transaction()
        full = opened.snapshot.schema
        if full.vectors and full.visible is schema:
            embedder = search.table_embedder(opened.options, full, opened.path)
            table = search.with_vectors(table, full, embedder, progress, opened.options.passages, known)
            opened.options = search.recorded(opened.options, embedder)
        return Append(table, schema, deleted, pack_sources(sources) if sources else None, message)

    def _made(self, append: Append, progress: Progress | None) -> int:
        table = append.table
        version = self._session.append_rows(append, progress)
        if version is not None:
            return version
        if table.num_rows <= log_limits.LOGGED_ROWS and table.nbytes <= self._session.logged_bytes:
            version = self._append_logged(append)
            if version is not None:
                return version
        return self._append_segment(append, progress)

    def _append_logged(self, append: Append) -> int | None:
        """Through the log, with what other threads append meanwhile; None if it is too large after all."""
        session, opened = self._session, self._opened
        if isinstance(session, ShardedSession):
            return session.append_alone(append)
        if session.enter(append=append):
            with session.leaving():
                session.upgrade()
                group = Group(opened.path, opened.snapshot, session.logged_bytes)
                try:
                    group.add(append)
                    group.collect(session.turn, log_limits.checkpoint_bytes(opened.options.profile))
                    opened.snapshot = group.flush(session.prepared_log)
                finally:
                    group.answer(session.turn)
                session.upkeep.after_commit()
        return append.outcome()

    def _append_segment(self, append: Append, progress: Progress | None) -> int:
        """As a segment of its own, without a Python value a row."""
        session, opened = self._session, self._opened
        with session.writing():
            append.check_schema(opened.snapshot)
            deleted = append.deleted(opened.snapshot)
            session.make_way()
            snapshot = opened.snapshot
            if not append.table.num_rows and not len(deleted) and append.sources is None:
                return snapshot.version
            rowids, table = number_rows(append.table, snapshot)
            check_rows(rowids, table, snapshot, opened.path, deleted)
            batches = as_batches(rowids, table)
            content = Commit(batches, table.num_rows, deleted, append.message, append.sources)
            return session.commit_segment(content, progress=progress)

    def append_stream(
        self, data: Any, *, message: str | None = None, progress: Progress | None = None
    ) -> int:
        """Add rows in one commit, where that can be without having all of them in memory.

        The new version.
        """
        if is_stream(data) and self._can_stream():
            with InFile(self._opened.path):
                version = self._stream(data, message, progress)
            if version is not None:
                tell_written(self._opened, version)
                return version
        return self.append(data, message=message, progress=progress)

    def _can_stream(self) -> bool:
        """Whether rows can be written as they come: into a new table, or behind the rows of one file."""
        snapshot = self._opened.snapshot
        alone = type(self._session) is Session and not self._opened.files.is_remote
        return can_stream(snapshot) or (alone and can_follow(snapshot))

    @hooks.staged("commit", lambda self, *given: self._opened.path, logging.DEBUG)
    def _stream(self, data: Any, message: str | None, progress: Progress | None) -> int | None:
        """Batch by batch; None if the rows are to be read first."""
        session, opened = self._session, self._opened
        full, schema, passages = opened.snapshot.schema, opened.schema, opened.options.passages
        embedder = search.table_embedder(opened.options, full, opened.path) if full.vectors else None

        def complete(table: pa.Table) -> pa.Table:
            return table if embedder is None else search.with_vectors(table, full, embedder, None, passages)

        with session.writing():
            if self._can_stream() and opened.snapshot.schema == full:
                session.make_way()
                high = max(opened.snapshot.high_rowid, 0)
                with stream_of(data) as reader, contextlib.suppress(UnorderedError):
                    batches = numbered(reader, schema, opened.path, complete, high)
                    return session.commit_segment(Commit(batches, None, message=message), progress=progress)
        return None
