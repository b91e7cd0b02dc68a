"""Where the bytes of a table are: it is opened again there, and its copies make each other whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audiomem_sql.errors import UnsupportedError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.urls import shown
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.table.pickling import reduced
from audiomem_sql.table.rows import Current

if TYPE_CHECKING:
    from audiomem_sql.upkeep.heal import Healed


class Placed:
    """A table that is open, as files in one place or in several."""

    _opened: OpenTable

    @property
    def readable(self) -> Current:
        """What a query reads now."""
        raise NotImplementedError

    @property
    def replicas(self) -> dict[str, str]:
        """The places that have the file, its own first, and why one is not read from; "" if it is.

        Empty for a table that was opened without replicas.
        """
        files = self._opened.files
        left_out = dict(files.left_out_places)
        return {name: left_out.get(name, "") for name in map(shown, files.places)}

    def heal(self, *, progress: Progress | None = None) -> list[Healed]:
        """Make every damaged copy of the file whole, from the others; what was done, a place each.

        The table is opened anew where one was written, unless it was opened at a version.
        Local files are replaced as :meth:`~audiomem_sql.table.table.Table.repair` does, objects on the
        condition that nobody else replaced them; web servers cannot be written to. UnsupportedError without
        replicas; DamagedFileError if all copies together are not whole, StorageError for what cannot be read.
        """
        places = self._opened.files.places
        if not places:
            raise UnsupportedError(
                "was opened without replicas, so there is nothing to heal it from",
                file=self._opened.path,
                remedy="Name them: audiomem_sql.open(path, replicas=[…]).",
            )
        from audiomem_sql.upkeep.healing import heal

        healed = heal(places, progress)
        if any(each.changed for each in healed) and not self._opened.fixed:
            self._opened.files.forget()
            self._opened.reload()
        return healed

    def __reduce__(self) -> tuple[Any, ...]:
        """A table travels to other processes as its path and version, and is read there.

        UnsupportedError while a transaction is open that has changed rows: nobody else can see them.
        """
        return reduced(type(self), self.readable, self._opened)
