"""What an ingest did, and what its next commit does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from audiomem_sql.ingest.identity import said
from audiomem_sql.versions import REMOVED


@dataclass(slots=True)
class Report:
    """What became of the sources.

    ``text_bytes`` are those of the bodies added; ``skipped`` is (source, reason), also of what is inside a
    source whose rest was read: a line, a member of an archive, an attachment. ``pruned``: sources whose
    files are gone, and whose rows were taken out. ``kept``: those that would have been, and why they were
    not. ``dropped``: sources that were read and not committed, as it was ``stopped``.
    """

    new: int = 0
    changed: int = 0
    renamed: int = 0
    pruned: int = 0
    unchanged: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    rows_added: int = 0
    rows_removed: int = 0
    text_bytes: int = 0
    commits: int = 0
    stopped: bool = False
    dropped: int = 0
    kept: tuple[int, str] | None = None

    @property
    def read(self) -> int:
        """Sources that could be read."""
        return self.new + self.changed + self.renamed + self.unchanged


@dataclass(slots=True)
class Pending:
    """What the next commit does.

    ``digests``: of sources by name, whose rows are in the buffer. ``moved``: new names of sources by old
    ones, whose rows stay. ``replaced``: new names by old ones, whose rows do not. ``pruned``: names of those
    that are taken out. ``notes``: further entries of the list of sources. ``copied``:
    sources that say the same as new ones, by the names of those. ``renamed``: sources whose files were moved.
    ``size``: about the characters in rows that are moved.
    """

    digests: dict[str, bytes] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    pruned: list[str] = field(default_factory=list)
    notes: dict[str, bytes] = field(default_factory=dict)
    copied: dict[str, str] = field(default_factory=dict)
    renamed: int = 0
    size: int = 0

    def __bool__(self) -> bool:
        return bool(self.digests or self.moved or self.pruned or self.notes)

    def entries(self) -> dict[str, bytes]:
        """What the list of sources says from then on."""
        out = (*self.moved, *self.replaced, *self.pruned)
        return self.notes | dict.fromkeys(out, REMOVED) | self.digests

    def leave_out_changed(self, known: Mapping[str, bytes], marks: Iterable[str]) -> set[str]:
        """Leave out what was to be moved, or marked, and is no longer as it was, as somebody else committed.

        known: digests of what the table has now. marks: the notes that are digests. The new names of what
        was to be moved are returned.
        """
        again = set()
        for old, new in list(self.moved.items()):
            if said(known.get(old, b"")) != said(self.digests[new]):
                del self.moved[old], self.digests[new]
                self.renamed -= 1
                again.add(new)
        for name in marks:
            if name in self.notes and said(known.get(name, b"")) != said(self.notes[name]):
                del self.notes[name]
        return again

    def split(self) -> list[Pending]:
        """What is moved, and the rest."""
        moved = {name: self.digests[name] for name in self.moved.values()}
        rest = {name: digest for name, digest in self.digests.items() if name not in moved}
        return [
            Pending(moved, self.moved, renamed=len(moved)),
            Pending(rest, {}, self.replaced, self.pruned, self.notes, self.copied, self.renamed - len(moved)),
        ]

    def message(self) -> str:
        """For the list of versions."""
        count = len(self.digests)
        done = [f"{count:,} source" if count == 1 else f"{count:,} sources"] if count else []
        if self.pruned:
            done.append(f"{len(self.pruned):,} pruned")
        return f"ingest: {', '.join(done) or 'names'}"
