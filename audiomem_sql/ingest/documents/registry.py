"""The list of readers: which kinds of documents there are, and which of them a file is.

Other packages add theirs under the entry point ``audiomem_sql.readers``: the name of an object that is a
`Reader`. One of theirs comes before one of ours with the same suffix.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from audiomem_sql.errors import OptionError
from audiomem_sql.ingest.documents.kinds import OURS
from audiomem_sql.ingest.documents.reader import Read, Reader

__all__ = ["ENTRY_POINTS", "Read", "Reader", "reader_of", "readers", "recognised"]

#: The group of entry points that add readers.
ENTRY_POINTS = "audiomem_sql.readers"


@cache
def readers() -> dict[str, Reader]:
    """All readers by kind: ours, and those that other packages add. OptionError for one that is none."""
    known = {reader.kind: reader for reader in OURS}
    for point in entry_points(group=ENTRY_POINTS):
        reader = point.load()
        if not isinstance(reader, Reader):
            raise OptionError(
                f"the entry point {point.name} of {ENTRY_POINTS} is no Reader",
                remedy=f"Correct or remove the package that has it: {point.value}.",
            )
        known[reader.kind] = reader
    return known


@cache
def _by_suffix() -> dict[str, Reader]:
    return {suffix: reader for reader in readers().values() for suffix in reader.suffixes}


@cache
def _by_name() -> dict[str, Reader]:
    return {name: reader for reader in readers().values() for name in reader.names}


@cache
def _recognising() -> dict[str, list[Reader]]:
    known: dict[str, list[Reader]] = {}
    for reader in readers().values():
        for suffix in reader.among:
            known.setdefault(suffix, []).append(reader)
    return known


def recognised(name: str, suffix: str, start: bytes) -> Reader | None:
    """What reads a file whose content says more than its ``suffix``, such as a chat in a ``.txt``."""
    return next((reader for reader in _recognising().get(suffix, ()) if reader.recognises(name, start)), None)


def reader_of(name: str, suffix: str, start: bytes) -> Reader | None:
    """What reads a file of that ``name`` and ``suffix`` (lower case) whose content begins with ``start``.

    None if neither says. A suffix of a kind that is not text counts only where the content is not another
    kind's that is known by its first bytes.
    """
    found = recognised(name, suffix, start) if suffix else None
    if found is not None:
        return found
    named = _by_suffix().get(suffix) or _by_name().get(name.lower())
    if named is not None and (named.is_text or not named.starts or start.startswith(named.starts)):
        return named
    for reader in readers().values():
        if reader.starts and start.startswith(reader.starts):
            return reader
    return named or recognised(name, "", start)
