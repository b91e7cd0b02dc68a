"""How a table's file says that a log goes with it, and takes that back: in one of three ways.

AnnouncedBeside    in the head file of the folder of deltas: the table's file must not be touched
AnnouncedBehind    by a page that is appended to the file
AnnouncedAnew      by a page of a file that is written anew: where frames cannot be appended
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from audiomem_sql.protection.levels import level_named
from audiomem_sql.storage import segment as storing
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.versions import head_of
from audiomem_sql.writing.commit import now

if TYPE_CHECKING:
    from audiomem_sql.storage.segment import TableFile

#: Lets a file take the place of another: temporary name, path.
PutInPlace = Callable[[str, str], None]


class Announcement(Protocol):
    """One of the ways, for an open table. The writer's lock must be held; what is said is durable."""

    def announce(self, file: TableFile, session: bytes) -> TableFile:
        """Say that the log ``session`` goes with ``file``; the file as it is then."""
        ...

    def retract(self, file: TableFile) -> None:
        """Say that no log goes with ``file``."""
        ...


def announcement_of(
    opened: OpenTable, file: TableFile, put_in_place: PutInPlace, *, beside: bool
) -> Announcement:
    """The way for ``file``. beside: its deltas are files, and so is what is said of the log."""
    if beside:
        return AnnouncedBeside(opened)
    return AnnouncedBehind() if storing.can_append(file) else AnnouncedAnew(opened, put_in_place)


@dataclass(frozen=True, slots=True)
class AnnouncedBeside(Announcement):
    """By the head file."""

    opened: OpenTable

    def announce(self, file: TableFile, session: bytes) -> TableFile:
        """Write the head file."""
        generation = file.generation + 1
        record = head_of(self.opened.snapshot.segments[-1]).announcing(session, generation)
        self.opened.files.write_head(record, self._copies)
        return replace(file, beside=record)

    def retract(self, file: TableFile) -> None:
        """Write the head file, which makes it durable; without deltas the folder goes then."""
        newest = self.opened.snapshot.segments[-1]
        self.opened.files.write_head(head_of(newest, file.generation + 1), self._copies)
        if newest.path == file.path:
            self.opened.files.remove_folder()

    @property
    def _copies(self) -> int:
        """How often the head record is written."""
        return level_named(self.opened.options.protection).log_copies


@dataclass(frozen=True, slots=True)
class AnnouncedBehind(Announcement):
    """By a page behind the segments."""

    def announce(self, file: TableFile, session: bytes) -> TableFile:
        """Append the page."""
        record = storing.announce(file, session, _writer())
        state = storing.FileState.of(file.path)
        assert state is not None
        front = record if file.front is not None else None
        return replace(file, state=state, front=front, announced=record, torn=False)

    def retract(self, file: TableFile) -> None:
        """Cut the page off."""
        storing.retract(file)


@dataclass(frozen=True, slots=True)
class AnnouncedAnew(Announcement):
    """By a page of a copy that takes the place of the file."""

    opened: OpenTable
    put_in_place: PutInPlace

    def announce(self, file: TableFile, session: bytes) -> TableFile:
        """Write the file with the page."""
        temporary, _ = storing.announced_copy(file, session, _writer(), _comments(file), now())
        self.put_in_place(temporary, file.path)
        return self.opened.files.table_file(self.opened.cache, self.opened.snapshot)

    def retract(self, file: TableFile) -> None:
        """Write the file without the page."""
        head = replace(file.head, generation=file.next_generation)
        temporary = storing.copied_file(file, file.path, file.path, _comments(file), head=head)
        self.put_in_place(temporary, file.path)


def _comments(file: TableFile) -> storing.Comments:
    """The comments of the file, as they must be."""
    return storing.Comments(*storing.repaired_comments(file.path, file.newest.catalog.comments))


def _writer() -> str:
    """Who announces a log, for messages."""
    return f"{socket.gethostname()}:{os.getpid()}"
