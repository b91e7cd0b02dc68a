"""A segment file that is laid out at a temporary name until it is whole and on the disk."""

from __future__ import annotations

import contextlib
import os
from typing import Protocol

from audiomem_sql.errors import StorageError
from audiomem_sql.machine.durable import flush, link_durably, replace_durably, storage_error, temporary_file
from audiomem_sql.machine.interrupts import apart
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.pages import NO_PAGES, EarlierPages, FileSpec, lay_out
from audiomem_sql.storage.segment.data_spool import DataSpool
from audiomem_sql.storage.segment.seal import Seal


class Placement(Protocol):
    """Where a segment that is written goes: a file of its own, or the end of one."""

    def lay_out(
        self,
        spec: FileSpec,
        catalog: bytes,
        spool: DataSpool,
        parity_bytes: int,
        progress: Progress | None,
    ) -> None:
        """Write the segment durably, where no reader takes it for part of the table yet."""
        ...

    def publish(self, *, replace: bool = True) -> None:
        """Make it part of the table, durably."""
        ...

    def abandon(self) -> None:
        """Remove what was laid out."""
        ...


class NewFile(Placement):
    """The file that will be at ``path``.

    earlier: pages of other segments that come first in it. otherwise: where the segment goes, with its seal,
    if these are damaged beyond what their parity brings back: no parity is made of such pages.
    """

    def __init__(
        self,
        path: str,
        like: str | None = None,
        earlier: EarlierPages = NO_PAGES,
        otherwise: tuple[Seal, Placement] | None = None,
    ) -> None:
        """like: the file whose mode and owner it has, by default that of the file at ``path``."""
        self._path = path
        self._like = like
        self._earlier = earlier
        self.otherwise = otherwise
        self._temporary: str | None = None

    def lay_out(
        self,
        spec: FileSpec,
        catalog: bytes,
        spool: DataSpool,
        parity_bytes: int,
        progress: Progress | None,
    ) -> None:
        """Write earlier pages, catalog, data and catalog beside ``path``, and fsync.

        StorageError if that cannot be done.

        parity_bytes: memory for the parity. progress: called with bytes done and bytes in all.
        """
        try:
            handle, self._temporary = temporary_file(self._path, self._like)
            with os.fdopen(handle, "w+b") as sink:
                lay_out(
                    sink, spec, catalog, spool, spool.length, progress, parity_bytes, earlier=self._earlier
                )
                sink.flush()
                apart(flush, sink.fileno())
        except OSError as error:
            raise storage_error(error, self._path) from error
        except StorageError as error:
            error.at(file=self._path)
            raise

    @property
    def temporary(self) -> str:
        """The name of the finished file until ``publish``."""
        if self._temporary is None:
            raise StorageError("there is nothing to publish", file=self._path)
        return self._temporary

    def publish(self, *, replace: bool = True) -> None:
        """Give the file its name, durably; StorageError if ``replace`` is False and the name is taken."""
        if replace:
            replace_durably(self.temporary, self._path)
        else:
            link_durably(self.temporary, self._path)
        self._temporary = None

    def abandon(self) -> None:
        """Remove what was laid out."""
        if self._temporary is not None:
            with contextlib.suppress(OSError):  # what stays is removed by the next writer
                os.unlink(self._temporary)
            self._temporary = None
