"""Upkeep that commits and closing bring along: it never makes them fail.

By then the commit is durable, and an error would make its caller do it again. So what fails here is told as
an UpkeepWarning, leaves the files as they were, and is tried again: after one more commit, then two, four,
and so on up to 256, so that a full disk does not cost every commit a checkpoint, and in any case at closing.
Whoever asks for upkeep (``checkpoint``, ``merge``, ``vacuum``) gets its errors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from audiomem_sql import upkeep
from audiomem_sql.errors import AudioMemError, DamagedFileError, UpkeepWarning
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.storage.segment import ReadableSegment
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.warn_once import warn_or_log, warned
from audiomem_sql.writing import log_limits
from audiomem_sql.writing.transaction import Transaction

#: Most commits between two attempts.
MOST_SKIPPED = 256
_NOT_EMPTIED = "the log was not turned into a delta"


class Committing(Protocol):
    """What upkeep needs of a session."""

    opened: OpenTable
    lock: WriterLock
    transaction: Transaction | None

    def empty_log(self) -> bool:
        """Turn the log into a delta; False if there was nothing in it."""


class CommitUpkeep:
    """What is due after the commits of ``session``. The turn must be this thread's for every call."""

    def __init__(self, session: Committing) -> None:
        self._session = session
        self._skipped = 0  # commits that are still to go by before the next attempt
        self._next_skip = 1
        self._unreadable: set[bytes] = set()  # ids of deltas that a merge found damaged

    def after_commit(self) -> None:
        """Turn a long log into a delta, and merge small deltas, if it is time for that."""
        if self._skipped:
            self._skipped -= 1
            return
        opened = self._session.opened
        log = opened.snapshot.log
        is_long = log is not None and (
            log.end > log_limits.checkpoint_bytes(opened.options.profile)
            or log.count >= log_limits.CHECKPOINT_COMMITS
        )
        if not is_long and log is not None:
            return
        self._session.transaction = None
        self.try_again_later(self.attempt(empty_log=is_long))

    def try_again_later(self, done: bool) -> None:
        """Say when upkeep is attempted next: soon after it was ``done``, later after each failure."""
        if done:
            self._skipped, self._next_skip = 0, 1
        else:
            self._skipped, self._next_skip = self._next_skip, min(2 * self._next_skip, MOST_SKIPPED)

    def attempt(self, *, empty_log: bool = True, at_the_end: bool = False) -> bool:
        """Do what is due now; False if something of it failed, which a warning told.

        at_the_end: no commit waits for it, so more is merged.
        """
        session = self._session
        emptied = not empty_log or self._forgiven(_NOT_EMPTIED, session.empty_log)
        merge_due = partial(self.merge_small, at_the_end=at_the_end)
        return self._forgiven("small deltas were not merged", merge_due) and emptied

    def prevented(self, error: AudioMemError) -> None:
        """Tell that the log cannot be emptied: the files are not as they must be."""
        tell(self._session.opened.path, f"{_NOT_EMPTIED}: {error}")

    def merge_small(self, *, at_the_end: bool = False) -> None:
        """Merge deltas of like size, a few at a time, until few are left of each.

        Each step lasts: writers that are killed in the middle lose one step. A delta that is damaged divides
        those before it from those behind, and its error is raised when these are merged.
        """
        opened, lock = self._session.opened, self._session.lock
        most = upkeep.LAST_MERGE_BYTES if at_the_end else None
        fault: DamagedFileError | None = None
        while deltas := upkeep.like_deltas(opened.snapshot, self._unreadable, most):
            try:
                upkeep.merge(opened.files, lock, opened.snapshot, opened.options, deltas)
            except DamagedFileError as error:
                damaged = {delta.catalog.segment_id for delta in deltas if _is_damaged(delta)}
                if not damaged:
                    raise
                self._unreadable |= damaged
                fault = fault or error
            else:
                opened.reload()
        if fault is not None:
            raise fault

    def _forgiven(self, failure: str, work: Callable[[], object]) -> bool:
        """Whether ``work`` went through; an error of it is told as a warning."""
        path = self._session.opened.path
        try:
            work()
        except Exception as error:
            cause = str(error) if isinstance(error, AudioMemError) else f"{type(error).__name__}: {error}"
            tell(path, f"{failure}: {cause}")
            return False
        for about in [key for key in warned if isinstance(key, tuple) and key[:2] == (path, failure)]:
            warned.discard(about)
        return True


def _is_damaged(delta: ReadableSegment) -> bool:
    """Whether a cell of ``delta`` is lost."""
    return any(
        not delta.file.recover(np.array(damage.cells) + damage.page * delta.file.layout.cells)[0].all()
        for damage in delta.file.damage()
        if damage.cells
    )


def tell(path: str, what: str) -> None:
    """Warn that upkeep of ``path`` failed, once until it succeeds.

    Where warnings are made errors the message is logged: the commit is durable, and must not seem to fail.
    """
    failure = what.split(":", 1)[0]
    message = f"{path}: {what} The commits are durable; this is tried again later."
    warn_or_log((path, failure, what), message, UpkeepWarning)
