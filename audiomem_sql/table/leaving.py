"""The end of a writer's turn, whatever its body did."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Protocol

from audiomem_sql.errors import AudioMemError
from audiomem_sql.table.open_table import OpenTable


class _Left(Protocol):
    """What ends: a session."""

    opened: OpenTable

    def leave(self) -> None:
        """End the transaction and the turn."""


class Leaving:
    """The context manager of :meth:`Session.leaving`.

    A class, because a generator would cost every commit a microsecond.
    """

    __slots__ = ("_session",)

    def __init__(self, session: _Left) -> None:
        self._session = session

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                with contextlib.suppress(AudioMemError):  # the error of the body is the one to tell
                    self._session.opened.reload()
        finally:
            self._session.leave()
