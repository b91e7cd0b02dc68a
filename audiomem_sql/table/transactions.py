"""Transactions of an open table: begun, made durable, then kept or taken back.

Tags and restored versions are commits of their own.
"""

from __future__ import annotations

import logging
from datetime import datetime

from audiomem_sql import search
from audiomem_sql.errors import OptionError, QueryError, StorageError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.observe import hooks
from audiomem_sql.table.session import Session
from audiomem_sql.table.source_list import TouchedSources
from audiomem_sql.table.written import tell_written
from audiomem_sql.versions import changes
from audiomem_sql.writing.commit import LoggedCommit, PreparedCommit, commit_time
from audiomem_sql.writing.commit_limits import shortened
from audiomem_sql.writing.transaction import Transaction


class Transactions:
    """The transactions of a session, one at a time.

    A transaction that :meth:`prepare` made durable is a commit that can still be taken back.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._opened = session.opened
        self._prepared: PreparedCommit | None = None

    def begin(self, *, any_thread: bool = False) -> Transaction:
        """Become the writer, and open a transaction on the newest snapshot.

        This thread's open one is returned.
        """
        session = self._session
        if session.transaction is None or not session.turn.mine:
            session.enter()
            session.transaction = Transaction(self._opened.path, self._opened.snapshot)
            if any_thread:
                session.turn.lend()
        return session.transaction

    def embed_pending(self) -> None:
        """Make the vectors of what the open transaction has added so far."""
        transaction, opened = self._session.transaction, self._opened
        if transaction is not None and opened.snapshot.schema.vectors:
            embedder = search.table_embedder(opened.options, opened.snapshot.schema, opened.path)
            passages = opened.options.passages
            transaction.embed(
                lambda texts, known, cut: search.embed_texts(
                    texts, embedder, known, passages if cut else "off"
                )
            )
            opened.options = search.recorded(opened.options, embedder)

    def prepare(
        self, *, message: str | None = None, sources: bytes | None = None, progress: Progress | None = None
    ) -> None:
        """Make the transaction durable. Few bytes go to the log; many become a segment."""
        session, transaction = self._session, self._session.transaction
        if transaction is not None and not session.turn.mine:
            raise StorageError(
                "the transaction is another thread's",
                file=self._opened.path,
                remedy="End it where it was begun.",
            )
        if transaction is None or self._prepared is not None:
            return
        if not transaction.changed and sources is None:
            return
        self._make_durable(transaction, message, sources, progress)

    @hooks.staged("commit", lambda self, *given: self._opened.path, logging.DEBUG)
    def _make_durable(
        self,
        transaction: Transaction,
        message: str | None,
        sources: bytes | None,
        progress: Progress | None,
    ) -> None:
        session = self._session
        self.embed_pending()
        if transaction.logged_size() <= session.logged_bytes:
            snapshot = self._opened.snapshot
            record = transaction.record(snapshot.newest + 1, commit_time(snapshot), message, sources)
            self._prepared = session.append_to_log(record)
        else:
            session.make_way()
            content = transaction.commit_content(message, sources)
            self._prepared = session.write_segment(content, progress=progress)

    def commit(
        self, *, message: str | None = None, sources: bytes | None = None, progress: Progress | None = None
    ) -> int:
        """End the transaction and keep its changes; the version that the table has now."""
        session, opened = self._session, self._opened
        try:
            self.prepare(message=message, sources=sources, progress=progress)
        except BaseException:
            self.rollback()
            raise
        if not session.turn.mine:
            return opened.snapshot.version
        with session.leaving():
            prepared, self._prepared = self._prepared, None
            if prepared is not None:
                prepared.accept()
            if isinstance(prepared, LoggedCommit):
                opened.snapshot = opened.snapshot.after(prepared.after)
            elif prepared is not None:
                session.reload_after_commit()
            if prepared is not None:
                tell_written(opened, prepared.version)
                session.upkeep.after_commit()
            return opened.snapshot.version

    def rollback(self) -> None:
        """End this thread's transaction and drop its changes."""
        if self._session.turn.mine:
            self._drop()

    def rollback_any(self) -> None:
        """End the transaction of whichever thread has one open."""
        if self._session.transaction is not None and self._session.turn.busy:
            self._drop()

    def _drop(self) -> None:
        with self._session.leaving():
            prepared, self._prepared = self._prepared, None
            if prepared is not None:
                prepared.take_back()

    # -- commits of old versions and names -------------------------------------------------------------------

    def restore(self, version: int | str | None, as_of: str | datetime | None = None) -> int:
        """Make the rows of an old version the newest, in a commit of its own; the new version."""
        self._session.check_no_transaction()
        if version is None and as_of is None:
            raise QueryError(
                "there is no version to restore", file=self._opened.path, remedy="Pass a number or a tag."
            )
        transaction = self.begin()
        try:
            newest = self._opened.snapshot
            old = self._opened.at(version, as_of, newest.schema)
            rowids = {
                change.rowid
                for change in changes(newest, old.version, newest.version)
                if change.version > old.version
            }
            touched = TouchedSources(newest)
            for rowid in sorted(rowids):
                touched.add(rowid)
                transaction.delete(rowid)
            for rowid in sorted(rowids):
                row = old.stored_row(rowid)
                if row is not None:
                    touched.add_row(row)
                    transaction.insert(rowid, row)
            return self.commit(message=f"restore version {old.version}", sources=touched.packed())
        except BaseException:
            self.rollback()
            raise

    def tag(self, name: str, version: int | None = None) -> None:
        """Name a version, by default the newest; vacuum keeps it. An empty commit holds the name."""
        session, opened = self._session, self._opened
        session.check_no_transaction()
        if not isinstance(name, str) or not name or name.isdecimal():
            raise OptionError(f"{name!r} is no name for a version", file=opened.path, remedy="Use letters.")
        with session.writing():
            newest = opened.snapshot.newest
            number = newest if version is None else opened.snapshot.at(version).version
            session.name_version(name, number, shortened(f"tag {name}"))
