"""Which source of a table a file is, when it has another name by now."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from audiomem_sql.ingest.identity import FILE, Places, as_text, file_name, is_file, is_old, on_disk, said
from audiomem_sql.ingest.sources import (
    RECORD_KINDS,
    Found,
    Source,
    has_known_suffix,
    is_there,
    suffix_of,
)
from audiomem_sql.versions import APPLICATION

#: Kinds whose rows do not depend on the name of the file.
_NAMELESS = RECORD_KINDS | {"text", "markdown", "html"}


class Recognition:
    """What the sources of a table are called now.

    known: digests of the table's sources by name. sources: that are read now.
    """

    def __init__(self, known: Mapping[str, bytes], places: Places, sources: Iterable[Source]) -> None:
        self._known = known
        self._names = {source.name for source in sources}
        came_along = [name for name in self._names if not os.path.isabs(name) and name in known]
        if came_along:
            # the folder came along with the table, unless its files are where they were, too
            kept = (folder for folder in places.earlier if _has_any(folder, came_along))
            places = replace(places, earlier=tuple(kept))
        self._places = places
        self._by_content: dict[bytes, list[str]] | None = None
        self._folders: Counter[tuple[str, str]] = Counter()  # (old, new), and how many files say so

    def is_known(self, source: Source) -> bool:
        """Whether the table knows ``source`` under its name."""
        return source.name in self._known

    def earlier_name(self, source: Source) -> str | None:
        """What the table calls the file ``source``: before it was moved, or as somebody typed it."""
        if source.origin != FILE:
            return None
        path = os.path.realpath(source.path)
        for name in self._places.earlier_names(path):
            if self._is_free(name, path) and is_file(self._known[name]):
                return name
        for name in (source.shown, as_text(os.path.relpath(path)), as_text(path)):
            if self._is_free(name, path) and is_old(self._known[name]):
                return name
        return None

    def _is_free(self, name: str, path: str) -> bool:
        """Whether the table has a source of that name which may be the file at ``path``, and no other."""
        if name not in self._known or name in self._names or name.startswith(APPLICATION):
            return False
        here = os.path.join(self._places.folder or "", name)
        return not os.path.lexists(here) or os.path.realpath(here) == path

    def moved_from(self, source: Source, digest: bytes) -> str | None:
        """The source of the table that says the same, and whose file is gone."""
        if source.origin != FILE:
            return None
        for name in self._with(digest):
            if name in self._names or name.startswith(APPLICATION):
                continue
            if not (is_file(self._known[name]) or is_old(self._known[name])):
                continue
            if not any(os.path.lexists(each) for path in self._paths(name) for each in on_disk(path)):
                return name
        return None

    def same_as(self, digest: bytes) -> str | None:
        """A source of the table that says what ``digest`` is of."""
        return next(iter(self._with(digest)), None)

    def _with(self, digest: bytes) -> list[str]:
        if self._by_content is None:
            self._by_content = {}
            for name, known in self._known.items():
                self._by_content.setdefault(said(known), []).append(name)
        return self._by_content.get(said(digest), [])

    def _paths(self, name: str) -> Iterator[str]:
        yield from self._places.paths_of(name)
        yield os.path.abspath(name)

    def take(self, name: str, source: Source) -> None:
        """``source`` is what the table calls ``name``, and nobody else is."""
        self._names.add(name)
        old, new = Path(self.path_of(name)).parts, Path(os.path.realpath(source.path)).parts
        same = 0
        while same < min(len(old), len(new)) - 1 and old[-1 - same] == new[-1 - same]:
            same += 1
        folders = str(Path(*old[:-same])), str(Path(*new[:-same]))
        if (
            same
            and folders[0] != folders[1]
            and (folders in self._folders or not os.path.lexists(folders[0]))
        ):
            self._folders[folders] += 1

    def from_moved_folder(self, source: Source) -> str | None:
        """The source of the table that was where ``source`` is now, in a folder that was moved."""
        path = os.path.realpath(source.path)
        for (old, new), _ in self._folders.most_common():
            if path.startswith(os.path.join(new, "")):
                name = file_name(os.path.join(old, os.path.relpath(path, new)), self._places.folder)
                if name in self._known and name not in self._names and is_file(self._known[name]):
                    return name
        return None

    def _gone_with_folder(self, path: str, found: Found, *, explicit: bool) -> bool:
        """Whether a file was in a folder that was moved to where it would have been found."""
        for (old, new), count in self._folders.items():
            if path.startswith(os.path.join(old, "")):
                if not explicit and not self._is_sure(old, new, count):
                    continue
                if found.is_gone(os.path.join(new, os.path.relpath(path, old))):
                    return True
        return False

    def _is_sure(self, old: str, new: str, count: int) -> bool:
        """Whether a folder was moved, and is not on a disk that is away.

        So it is if half of its files were found where it is called otherwise now, or all of them anywhere.
        """
        parent, below = os.path.dirname(old), os.path.join(old, "")
        files = sum(self.path_of(name).startswith(below) for name in self._known)
        enough = 2 * count >= files if os.path.dirname(new) == parent else count >= files
        return enough and os.path.isdir(parent) and bool(os.listdir(parent))

    def gone(self, found: Found, *, explicit: bool) -> list[str]:
        """The sources whose files are gone from the folders that were looked at, sorted.

        explicit: also those from before names were resolved, and those of any folder that was moved there.
        """
        gone = []
        for name, digest in self._known.items():
            if name in self._names or name.startswith(APPLICATION):
                continue
            if not (is_file(digest) or (explicit and is_old(digest) and has_known_suffix(Path(name)))):
                continue
            paths = list(self._paths(name)) if is_old(digest) else self._places.paths_of(name)
            proofs = [found.is_gone(path) for path in paths]
            is_gone = any(proofs) or (
                self._folders and self._gone_with_folder(paths[0], found, explicit=explicit)
            )
            # a file that is there, and was not looked for, may be the one that is meant
            elsewhere = (is_there(path) for path, proof in zip(paths, proofs, strict=True) if not proof)
            if is_gone and found.present.isdisjoint(paths) and not any(elsewhere):
                gone.append(name)
        return sorted(gone)

    def doubt(self, gone: Iterable[str], found: Found) -> str | None:
        """Why sources may only look gone: a folder could not be read, or has nothing any more."""
        if found.walked.unlisted:
            return "a folder could not be read"
        read = [as_text(os.path.realpath(source.path)) for source in found.sources]
        was = [self.path_of(name) for name in gone]
        for top in (*found.tops, *found.linked()):
            inside = os.path.join(top, "")
            if any(path.startswith(inside) for path in was) and not any(
                path.startswith(inside) for path in read
            ):
                return f"{top} has nothing that can be read"
        return None

    def path_of(self, name: str) -> str:
        """Where the file of a source is, or was."""
        return self._places.paths_of(name)[0]


def _has_any(folder: str, names: Iterable[str]) -> bool:
    """Whether a folder has any of the files."""
    return os.path.isdir(folder) and any(is_there(os.path.join(folder, name)) for name in names)


def same_rows(old: str, source: Source) -> bool:
    """Whether the rows of a file stay as they are when it is moved from ``old``, as far as names matter."""
    return source.kind in _NAMELESS and suffix_of(Path(old)) == suffix_of(source.path)
