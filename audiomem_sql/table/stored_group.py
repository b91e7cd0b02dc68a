"""Appends of several threads to a table in a store: one replacement of the manifest for those that wait.

A replacement costs a round trip, which threads share as those of a file share a flush
(:mod:`audiomem_sql.writing.group_commit`). Each append is a version of its own, and has errors of its own.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from audiomem_sql.errors import AudioMemError, BusyError, StorageError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.versions import StoredSnapshot
from audiomem_sql.writing import log_limits
from audiomem_sql.writing.group_commit import Append
from audiomem_sql.writing.stored_commit import SegmentFiles
from audiomem_sql.writing.writer_turn import Ticket, WriterTurn

if TYPE_CHECKING:
    from audiomem_sql.remote.commits.changes import Change
    from audiomem_sql.remote.commits.committer import Outcome


class Appending(Protocol):
    """What a group needs of a session."""

    opened: OpenTable
    turn: WriterTurn[Append]

    @property
    def snapshot(self) -> StoredSnapshot:
        """The newest snapshot."""

    def change_of(
        self, append: Append, files: SegmentFiles, progress: Progress | None = None
    ) -> Change | None:
        """The commit of an append on the newest state; None if there is nothing to commit."""

    def make_all(self, changes_to_make: Sequence[Change]) -> list[Outcome]:
        """Changes that become durable together, and what became of each."""


class StoredGroup:
    """The appends of the thread whose turn it is, and those that are collected."""

    def __init__(self, session: Appending, own: Sequence[Append]) -> None:
        self._session = session
        self._appends = list(own)
        self._taken: list[Ticket[Append]] = []

    def collect(self) -> None:
        """Take what other threads wait with."""
        self._taken = self._session.turn.take(log_limits.STORED_GROUP_BYTES)
        self._appends += [ticket.item for ticket in self._taken if ticket.item is not None]

    def commit(self, deadline: float, progress: Progress | None) -> None:
        """Decide about all of them: a version or an error. deadline: of ``time.monotonic``."""
        from audiomem_sql.remote.commits.committer import MOST_AT_ONCE

        left = list(self._appends)
        while left:
            busy = self._attempt(left[:MOST_AT_ONCE], progress)
            left = left[MOST_AT_ONCE:]
            if left or busy:
                self._session.opened.reload()
            if busy and time.monotonic() > deadline:
                return
            for append in busy:
                append.error = None
            left = busy + left

    def _attempt(self, appends: Sequence[Append], progress: Progress | None) -> list[Append]:
        """Commit on the newest state; those that others were faster than, with that as their error."""
        made: list[tuple[Append, Change]] = []
        with SegmentFiles() as files:
            for append in appends:
                try:
                    change = self._session.change_of(append, files, progress)
                except Exception as error:
                    append.error = error
                    continue
                if change is None:
                    append.version = self._session.snapshot.newest
                else:
                    made.append((append, change))
            if not made:
                return []
            try:
                outcomes = self._session.make_all([change for _, change in made])
            except AudioMemError as error:
                for append, _ in made:  # an exception belongs to one thread
                    append.error = copy.copy(error)
                    append.error.__cause__ = error.__cause__
                return []
        for (append, _), outcome in zip(made, outcomes, strict=True):
            if isinstance(outcome, int):
                append.version = outcome
            else:
                append.error = outcome
        return [append for append, _ in made if isinstance(append.error, BusyError)]

    def answer(self) -> None:
        """Wake the threads whose appends were collected."""
        for ticket in self._taken:
            if ticket.item is not None and not ticket.item.decided:
                ticket.item.error = StorageError(
                    "the thread that wrote these rows with its own was interrupted",
                    file=self._session.opened.path,
                    remedy="Look whether they are there before you append them again.",
                )
        self._session.turn.answer(self._taken)
