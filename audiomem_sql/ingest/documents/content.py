"""What a reader of documents is given: the bytes of a file, or of something inside one."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO

from audiomem_sql.errors import AudioMemError, LimitError
from audiomem_sql.ingest import contents

#: Files inside files inside files …: so deep are they read.
DEPTH_LIMIT = 5
#: Bytes that all that is inside one file may expand to, and how many things may be inside.
EXPANDED_LIMIT = contents.SIZE_LIMIT
INNER_LIMIT = 100_000
#: Faults of things inside one file that are listed; the others are counted.
PROBLEMS_LIMIT = 1000


@dataclass(slots=True)
class Budget:
    """What the things inside one file may still cost together; ``limit``: bytes in all."""

    left_bytes: int = EXPANDED_LIMIT
    left_inner: int = INNER_LIMIT
    limit: int = EXPANDED_LIMIT

    @classmethod
    def of_file(cls, size: int) -> Budget:
        """That of a file of ``size`` bytes."""
        limit = contents.most_expanded(size)
        return cls(left_bytes=limit, limit=limit)

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be read."""
        return self.left_bytes < 0 or self.left_inner < 0

    def spend(self, size: int, name: str) -> None:
        """Count one thing of ``size`` bytes inside a file. LimitError when it is too much."""
        self.left_bytes -= size
        self.left_inner -= 1
        if self.left_bytes < 0:
            raise LimitError(
                f"what is inside expands to more than {self.limit >> 20} MiB",
                file=name,
                remedy="Unpack it, and ingest the folder.",
            )
        if self.left_inner < 0:
            raise LimitError(
                f"there are more than {INNER_LIMIT:,} files inside",
                file=name,
                remedy="Unpack it, and ingest the folder.",
            )


@dataclass(slots=True)
class Problems:
    """What could not be read inside one file whose rest was: ``listed``, and how many ``more`` there are."""

    listed: list[AudioMemError] = field(default_factory=list)
    more: int = 0

    def add(self, problem: AudioMemError) -> None:
        """One more."""
        if len(self.listed) < PROBLEMS_LIMIT:
            self.listed.append(problem)
        else:
            self.more += 1

    def take(self, others: Problems) -> None:
        """All of ``others`` too."""
        for problem in others.listed:
            self.add(problem)
        self.more += others.more

    def all(self, name: str) -> list[AudioMemError]:
        """The problems of the file called ``name``, with one at the end for those that are only counted."""
        if not self.more:
            return self.listed
        rest = LimitError(f"{self.more:,} more things inside cannot be read", file=name)
        return [*self.listed, rest]


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a file, or of a thing inside one: a member of an archive, an attachment.

    ``name``: for messages; its suffix tells the kind. ``path``: where it lies, None inside a file.
    ``modified``: when it was last changed, UTC without a zone, where that is known. ``depth``: 0 for a file.
    ``problems``: what was reported, by this content and by all that is inside it. ``neighbour``: gives the
    bytes of another member of the same archive, None if there is none of that name.
    """

    name: str
    path: Path | None = None
    data: bytes = b""
    modified: datetime | None = None
    depth: int = 0
    budget: Budget = field(default_factory=Budget)
    problems: Problems = field(default_factory=Problems)
    neighbour: Callable[[str], bytes | None] | None = None

    def report(self, problem: AudioMemError) -> None:
        """List a thing inside that cannot be read while the others are, as one of the skipped sources."""
        self.problems.add(problem.at(file=self.name))

    def beside(self, name: str) -> bytes | None:
        """The bytes of a file beside this one, such as ``../users.json``; None if there is none."""
        if self.path is None:
            return self.neighbour(name) if self.neighbour is not None else None
        path = self.path.parent / name
        try:
            return contents.read_bytes(path, str(path))
        except AudioMemError:
            return None

    @property
    def suffix(self) -> str:
        """The extension in lower case: ``.txt`` of ``notes.TXT`` and ``notes.txt.gz``."""
        name = PurePosixPath(self.name.replace("\\", "/"))
        return (PurePosixPath(name.stem) if name.suffix.lower() == ".gz" else name).suffix.lower()

    def open(self) -> IO[bytes]:
        """A binary stream of the content, gunzipped; seekable. Errors as of `contents.open_bytes`."""
        return io.BytesIO(self.data) if self.path is None else contents.open_bytes(self.path, self.name)

    def read(self) -> bytes:
        """All bytes of the content. LimitError beyond `contents.SIZE_LIMIT`, errors as of `open`."""
        return self.data if self.path is None else contents.read_bytes(self.path, self.name)

    def text(self, *, declared: bool = False) -> str:
        r"""All characters of the content, every line ending in ``\n``.

        ``declared``: a character set that the file names counts. Errors as of `contents.read_text`.
        """
        return contents.decode(self.read(), self.name, declared=declared)

    def inside(self, name: str, data: bytes, modified: datetime | None = None) -> Content:
        """What is inside this content under ``name``. LimitError when that is too much, or too deep."""
        self.budget.spend(len(data), self.name)
        if self.depth + 1 > DEPTH_LIMIT:
            raise LimitError(
                f"there are files inside files, more than {DEPTH_LIMIT} deep",
                file=self.name,
                remedy="Unpack it, and ingest the folder.",
            )
        return Content(
            name=f"{self.name}!{name}",
            data=data,
            modified=modified or self.modified,
            depth=self.depth + 1,
            budget=self.budget,
            problems=self.problems,
        )
