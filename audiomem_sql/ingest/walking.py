"""The files below a folder, and which of them are left out: hidden ones, and those that patterns name."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from audiomem_sql.errors import OptionError
from audiomem_sql.ingest.identity import as_text

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

#: Files of patterns, one a line as git has them, for the folder that they are in and those below it.
IGNORE_FILES = (".gitignore", ".audiomemignore")
#: Bytes that are read of one of them.
_MOST_PATTERNS = 1 << 20

#: A folder, and the patterns for what is below it.
_Level = tuple[Path, "GitIgnoreSpec"]
#: Called with a path and the reason why it is left out.
Skip = Callable[[Path, str], object]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is left out of folders.

    ``exclude``: patterns as in a ``.gitignore``, relative to the folder that was named. ``hidden``: whether
    names that begin with a dot count. ``ignore_files``: whether ``IGNORE_FILES`` do.
    """

    exclude: tuple[str, ...] = ()
    hidden: bool = False
    ignore_files: bool = True


@dataclass(slots=True)
class Walked:
    """What was seen on the way, as resolved paths.

    ``listed``: folders whose names were all read. ``unlisted``: those that could not be. ``ignored``: files
    and folders that an ignore file names.
    """

    listed: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: its ``path`` below the folder as it was named, ``resolved``, and its ``status``."""

    path: Path
    resolved: str
    status: os.stat_result


def walk(top: Path, rules: Rules, walked: Walked, skip: Skip, fault: Skip) -> Iterator[Entry]:
    """Every entry below ``top`` that is not a folder, by name, depth first; links are followed.

    No folder is visited twice. skip: called for a link to nothing, fault: for what cannot be looked at.
    OptionError for patterns that are none.
    """
    excluded = ((top, _spec(rules.exclude)),) if rules.exclude else ()
    visited: set[tuple[int, int]] = set()
    waiting: list[tuple[Path, str, tuple[_Level, ...]]] = [
        (top, os.path.realpath(top), _levels_above(top, skip) if rules.ignore_files else ())
    ]
    while waiting:
        path, resolved, levels = waiting.pop()
        status = _status(path, skip, fault)
        if status is None:
            continue
        is_folder = stat.S_ISDIR(status.st_mode)
        if path != top:
            if _matches(excluded, path, is_folder):
                continue
            if _matches(levels, path, is_folder):
                walked.ignored.add(as_text(resolved))
                continue
        if not is_folder:
            yield Entry(path, resolved, status)
            continue
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        found = _listed(path, resolved, walked, fault)
        if rules.ignore_files:
            levels = (*levels, *_level(path, {name for name, _ in found}, skip))
        for name, is_link in reversed(found):
            if rules.hidden or not name.startswith("."):
                below = path / name
                target = os.path.realpath(below) if is_link else os.path.join(resolved, name)
                waiting.append((below, target, levels))


def _status(path: Path, skip: Skip, fault: Skip) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError as error:
        if path.is_symlink() and not os.path.exists(path):
            skip(path, "a link to nothing")
        else:
            fault(path, f"cannot be read ({error.strerror or error})")
        return None


def _listed(path: Path, resolved: str, walked: Walked, fault: Skip) -> list[tuple[str, bool]]:
    """The names in a folder, sorted, and whether each is a link."""
    try:
        with os.scandir(path) as entries:
            found = sorted((entry.name, entry.is_symlink()) for entry in entries)
    except OSError as error:
        walked.unlisted.add(as_text(resolved))
        fault(path, f"cannot be read ({error.strerror or error})")
        return []
    walked.listed.add(as_text(resolved))
    return found


def _spec(lines: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise OptionError(
            f"a pattern cannot be understood ({error})",
            file="--exclude",
            remedy="Write it as in a .gitignore.",
        ) from error


def _understood(lines: list[str], path: Path, skip: Skip) -> list[str]:
    """The lines of an ignore file that are patterns, or say nothing; the others are told."""
    good: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            _spec([line])
        except OptionError:
            skip(path, f"line {number}: {line:.100} is no pattern")
        else:
            good.append(line)
    return good


def _level(folder: Path, names: set[str], skip: Skip) -> tuple[_Level, ...]:
    """The patterns in a folder, whose ignore files are among ``names``; none if there are not any."""
    lines: list[str] = []
    for name in IGNORE_FILES:
        if name in names:
            try:
                with open(folder / name, encoding="utf-8", errors="surrogateescape") as stream:
                    read = stream.read(_MOST_PATTERNS).splitlines()
            except OSError:
                continue  # a folder of that name, or one of another user
            lines += _understood(read, folder / name, skip)
    return ((folder, _spec(lines)),) if lines else ()


def _levels_above(top: Path, skip: Skip) -> tuple[_Level, ...]:
    """The patterns above ``top``, if it lies in a repository of git: from its root on."""
    above = Path(os.path.realpath(top))
    # what is below top is asked for by the path that was typed: here it stands for the resolved one
    levels: list[_Level] = []
    for folder in (above, *above.parents):
        if folder != above:
            levels = [*_moved(_level(folder, set(IGNORE_FILES), skip), folder, above, top), *levels]
        if os.path.exists(folder / ".git"):  # False where nobody may look
            return tuple(levels)
    return ()


class _Moved:
    """Patterns of a folder above, asked with paths relative to a folder below it."""

    def __init__(self, spec: GitIgnoreSpec, prefix: str) -> None:
        self._spec = spec
        self._prefix = prefix

    def check_file(self, file: str) -> object:
        return self._spec.check_file(f"{self._prefix}/{file}")


def _moved(levels: tuple[_Level, ...], folder: Path, above: Path, top: Path) -> tuple[_Level, ...]:
    prefix = above.relative_to(folder).as_posix()
    return tuple((top, _Moved(spec, prefix)) for _, spec in levels)  # type: ignore[misc]


def _matches(levels: tuple[_Level, ...], path: Path, is_folder: bool) -> bool:
    """Whether the patterns leave ``path`` out; those of the nearest folder decide."""
    for folder, spec in reversed(levels):
        relative = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
        include = spec.check_file(relative).include
        if include is not None:
            return include
    return False
