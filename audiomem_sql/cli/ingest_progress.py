"""How far an ingest is: bytes of its sources, and what is being done with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiomem_sql.cli.progress import Bar

#: What of a new source is done when it has been read: the rest is done when it is committed.
READ = 0.5
READ_TO_EMBED = 0.02


class IngestProgress:
    """Shows an ingest on ``bar``, so that the time left is that of all that is still to do.

    A source that is as it was is done when it was looked at. One that is read is done to a part, and the
    rest of it is done as its texts are embedded, or with its commit.
    """

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._model: str | None = None
        self._rows = ""
        self._is_loaded = False
        self._share = READ
        self._total = 0
        self._settled = 0  # bytes of sources that are committed, or need not be
        self._waiting = 0  # of those that were read, and wait for their commit
        self._committing = 0  # those of them that are in the commit that is under way
        self._fraction = 0.0  # of that
        self._reading = 0  # of the one that is being read
        self._shown = 0.0

    def begin(self, model: str | None, *, is_slow: bool) -> None:
        """A table is read into. model: what embeds texts, if any. is_slow: whether loading it takes time."""
        self._model, self._is_loaded = model, self._is_loaded or not is_slow
        self._share = READ if model is None else READ_TO_EMBED

    def reading(self, size: int, total: int) -> None:
        """So many bytes of a source were read, of so many in all sources."""
        self._end_commit()
        self._reading, self._total = size, total
        self._show()

    def read(self, size: int, total: int, *, waits: bool) -> None:
        """A source of so many bytes, of so many in all, was read. waits: whether a commit has to follow."""
        self._end_commit()
        self._reading, self._total = 0, total
        if waits:
            self._waiting += size
        else:
            self._settled += size
        self._show()

    def commit(self, rows: str) -> None:
        """A commit of what was read begins; ``rows`` says how many rows it has."""
        self._end_commit()
        self._committing, self._fraction, self._rows = self._waiting, 0.0, rows
        if self._model is None:
            self._bar.doing(f"writing {rows}")
        elif self._is_loaded:
            self._bar.doing(f"embedding {rows}")
        else:
            self._bar.doing(f"loading {self._model}")

    def embed(self, done: int, total: int) -> None:
        """So many texts of the commit are embedded."""
        if not self._is_loaded:
            self._is_loaded = True
            self._bar.doing(f"embedding {self._rows}")
        self._bar.part(f"with {self._model}", done, total, "texts")
        self._fraction = done / total if total else 0.0
        self._show()

    def write(self) -> None:
        """The commit is being written."""
        self._bar.end_part()
        self._bar.doing(f"writing {self._rows}")

    def end(self) -> None:
        """All is committed."""
        self._end_commit()
        self._bar.end_part()
        self._show()

    def _end_commit(self) -> None:
        if self._committing:
            self._settled += self._committing
            self._waiting -= self._committing
            self._committing = 0
            self._bar.end_part()

    def _show(self) -> None:
        read = self._share * (self._waiting + self._reading)
        written = (1 - self._share) * self._fraction * self._committing
        # two commits for the same sources are one that begins anew
        self._shown = max(self._shown, self._settled + read + written)
        self._bar.to(round(self._shown), self._total)
