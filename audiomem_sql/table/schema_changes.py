"""Changes of a table's columns, each a commit of its own: migrations, and vectors of another model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import SchemaError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.migrations.changes import SchemaChange, checked_change
from audiomem_sql.scan import scan
from audiomem_sql.search import allow_model, embedder_of, missing_vectors
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

#: Rows in a commit of :meth:`SchemaChanges.reembed`.
_REEMBEDDED = 2000


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
    ) -> int:
        """Make all vectors anew, with ``model`` and its ``model_backend`` from now on; the new version."""
        opened = self._opened
        self._session.check_no_transaction()
        if not opened.schema.semantic_columns:
            raise SchemaError(
                "no column is searched by meaning", file=opened.path, remedy="Declare one SEMANTIC."
            )
        if model is not None:
            allow_model(model)
        model = model or opened.options.model
        backend = model_backend or _backend_of(model, opened.options)
        check_backend(model, backend)
        embedder = embedder_of(model, backend)
        width, digest = embedder.dimensions, embedder.digest.hex()
        options = replace(opened.options, model=model, model_backend=backend, model_digest=digest)
        told = ""
        if passages is not None:
            options = replace(options, passages=passages_option(passages))
            told = f", passages {options.passages}"
        message = shortened(f"reembed with {model} ({backend}){told}")
        cuts = bool(opened.snapshot.schema.passages)
        if passages is not None:
            cuts = cuts_texts(options.passages, model)
        self._change_vectors(options, width, message, cuts)
        rowids = self._rowids_without_vectors()
        for start in range(0, len(rowids), _REEMBEDDED):
            self._embed(rowids[start : start + _REEMBEDDED], message)
            if progress is not None:
                progress(min(start + _REEMBEDDED, len(rowids)), len(rowids))
        return opened.snapshot.version

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
            )
            if not resumed or len(before) == len(before.visible):
                session.commit_segment(Commit((), 0, message=change, schema=schema, change=change), options)
                opened.options = options

    def _rowids_without_vectors(self) -> I64Array:
        """Of the rows that have no vector yet, int64 (n,)."""
        snapshot = self._opened.snapshot
        batches = scan(snapshot, (), missing_vectors(snapshot))
        return np.concatenate([np.empty(0, np.int64), *(batch.rowids for batch in batches)])

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
