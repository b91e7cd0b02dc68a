"""Changes of a table's columns, each a commit of its own: migrations, and vectors of another model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from audiomem_sql import search
from audiomem_sql.arrays import I64Array, distinct
from audiomem_sql.columns.creation import check_definitions
from audiomem_sql.errors import SchemaError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.migrations.changes import IndexColumn, SchemaChange, SetSemantic, checked_change
from audiomem_sql.scan import scan
from audiomem_sql.storage.segment import (
    TableOptions,
    check_backend,
    cuts_texts,
    default_backend,
    has_backends,
    passages_option,
)
from audiomem_sql.table.session import Session
from audiomem_sql.table.transactions import Transactions
from audiomem_sql.writing.altering import altered_schema
from audiomem_sql.writing.commit import Commit
from audiomem_sql.writing.commit_limits import shortened

#: Rows in a commit of :meth:`SchemaChanges.reembed`: at first, and at most; and for how many seconds of work
#: there are not more of them.
_LEAST_ROWS, _REEMBEDDED = 250, 2000
_SECONDS = 5


class SchemaChanges:
    """The changes of the columns of a session's table.

    The arguments are those of :class:`~audiomem_sql.table.table.Table`.
    """

    def __init__(self, session: Session, transactions: Transactions) -> None:
        self._session = session
        self._opened = session.opened
        self._transactions = transactions

    def alter(self, change: SchemaChange | str, message: str | None) -> int:
        """Change the columns; the new version."""
        session, opened = self._session, self._opened
        try:
            with session.writing():
                change = checked_change(change)
                if isinstance(change, IndexColumn):
                    change = change.written_out(opened.snapshot.schema)
                schema = altered_schema(opened.snapshot, change, opened.options, session.next_column())
                session.empty_log()
                content = Commit(
                    (), 0, message=message or shortened(str(change)), schema=schema, change=str(change)
                )
                return session.commit_segment(content)
        except SchemaError as error:
            error.at(file=opened.path)
            raise

    def reembed(
        self,
        model: str | None,
        model_backend: str | None,
        progress: Progress | None,
        passages: str | None = None,
        vector_codes: str | None = None,
    ) -> int:
        """Make all vectors anew, with ``model`` and its ``model_backend`` from now on; the new version."""
        opened = self._opened
        self._session.check_no_transaction()
        if not opened.schema.semantic_columns:
            raise SchemaError(
                "no column is searched by meaning",
                file=opened.path,
                remedy="Make one so: audiomem reindex FILE --add semantic, or Table.reindex(add='semantic').",
            )
        options, width, told = self._chosen(model, model_backend, passages, vector_codes)
        message = shortened(f"reembed with {options.model} ({options.model_backend}){told}")
        cuts = bool(opened.snapshot.schema.passages)
        if passages is not None:
            cuts = cuts_texts(options.passages, options.model)
        self._change_vectors(options, width, message, cuts)
        return self._fill(message, progress)

    def add_meaning(
        self,
        columns: Sequence[str],
        model: str | None,
        model_backend: str | None,
        progress: Progress | None,
        passages: str | None,
        vector_codes: str | None,
    ) -> int:
        """Search ``columns`` by meaning, too, and make the vectors that are missing; the new version.

        Those of other columns stay, unless another model, backend or cut of texts is named: then all are made
        anew. Where the columns are searched by meaning already, what is missing is made.
        """
        opened = self._opened
        self._session.check_no_transaction()
        others = bool(opened.schema.semantic_columns)
        if not others:  # nobody chose what runs it
            model_backend = model_backend or default_backend(model or opened.options.model)
        options, width, told = self._chosen(model, model_backend, passages, vector_codes)
        added = [column for column in columns if not opened.schema[column].semantic]
        kept = others and opened.options in (options, replace(options, model_digest=""))
        if others and not kept:
            told += ", all anew"
        names = " and ".join(str(SetSemantic(column)) for column in added) or "make vectors"
        message = shortened(f"{names} with {options.model} ({options.model_backend}){told}")
        cuts = cuts_texts(options.passages, options.model)
        if added or not kept:
            with self._session.writing():
                schema = opened.snapshot.schema
                schema = schema if kept else schema.visible
                for column in added:
                    schema = SetSemantic(column).apply(schema, self._session.next_column())
                check_definitions(schema.visible)
                following = self._session.next_column()
                cut = bool(schema.passages) if kept and passages is None else cuts
                schema = schema.with_vectors(width, following, passages=cut)
                self._session.empty_log()
                content = Commit((), 0, message=message, schema=schema, change=message)
                self._session.commit_segment(content, options)
                opened.options = options
        return self._fill(message, progress)

    def _chosen(
        self, model: str | None, model_backend: str | None, passages: str | None, vector_codes: str | None
    ) -> tuple[TableOptions, int, str]:
        """The options of the table from now on, numbers of a vector, and what is said of the rest."""
        opened = self._opened
        if model is not None:
            search.allow_model(model)
        model = model or opened.options.model
        backend = model_backend or _backend_of(model, opened.options)
        check_backend(model, backend)
        embedder = search.embedder_of(model, backend)
        width, digest = embedder.dimensions, embedder.digest.hex()
        options = replace(opened.options, model=model, model_backend=backend, model_digest=digest)
        told = ""
        if passages is not None:
            options = replace(options, passages=passages_option(passages))
            told = f", passages {options.passages}"
        if vector_codes is not None:
            options = options.changed({"vector_codes": vector_codes})
            told += f", vector_codes {options.vector_codes}"
        return options, width, told

    def _fill(self, message: str, progress: Progress | None) -> int:
        """Make the vectors that are missing, some thousand rows in a commit; the newest version."""
        rowids = self._rowids_without_vectors()
        done, size = 0, _LEAST_ROWS
        while done < len(rowids):
            started = time.perf_counter()
            part = rowids[done : done + size]
            self._embed(part, message)
            done += len(part)
            if progress is not None:
                progress(done, len(rowids))
            size = min(2 * size, _REEMBEDDED) if time.perf_counter() - started < _SECONDS else size
        return self._opened.snapshot.version

    def _change_vectors(self, options: TableOptions, width: int, change: str, cuts: bool) -> None:
        """Give the table other, empty columns of vectors, of ``width`` numbers. cuts: with passages.

        Nothing is written if the last change was this one: then it was stopped, and goes on.
        """
        session, opened = self._session, self._opened
        with session.writing():
            before = opened.snapshot.schema
            schema = before.visible.with_vectors(width, session.next_column(), passages=cuts)
            session.empty_log()
            migrations = opened.snapshot.migrations
            resumed = (
                migrations
                and migrations[-1].text == change
                and opened.options.model_digest == options.model_digest
                and opened.options.passages == options.passages
                and opened.options.vector_codes == options.vector_codes
            )
            if not resumed or len(before) == len(before.visible):
                session.commit_segment(Commit((), 0, message=change, schema=schema, change=change), options)
                opened.options = options

    def _rowids_without_vectors(self) -> I64Array:
        """Of the rows with a text that has no vector yet, int64 (n,), ascending."""
        snapshot = self._opened.snapshot
        found = [
            batch.rowids
            for filters in search.missing_vectors(snapshot)
            for batch in scan(snapshot, (), filters)
        ]
        return distinct(np.concatenate([np.empty(0, np.int64), *found]))

    def _embed(self, rowids: I64Array, message: str) -> None:
        """Write rows again, so that they get vectors, in a commit of their own."""
        opened = self._opened
        transaction = self._transactions.begin()
        try:
            for rowid in rowids.tolist():
                row = opened.snapshot.stored_row(rowid)
                if row is not None:
                    transaction.update(rowid, rowid, row[: len(opened.schema)])
            self._transactions.commit(message=message)
        except BaseException:
            self._transactions.rollback()
            raise


def _backend_of(model: str, options: TableOptions) -> str:
    """What runs ``model`` from now on, where nobody says: what ran the table's model, if it had a choice."""
    if has_backends(model) and has_backends(options.model):
        return options.model_backend
    return default_backend(model)
