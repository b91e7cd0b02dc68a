"""``audiomem`` without a verb: what there is to do, and which tables are here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

#: Tables that are listed.
MOST_TABLES = 12
#: Files that are looked at.
_MOST_FILES = 2000
#: The block of the metadata that says whose file it is: https://www.rfc-editor.org/rfc/rfc9639, section 8.4.
_APPLICATION, _OURS = 2, b"AUDM"

_STEPS = (
    ("audiomem ingest {table} ~/Documents", "read files and folders into a table"),
    ('audiomem search {table} "a question"', "find rows by words and meaning"),
    ("audiomem grep {table} PATTERN", "find lines"),
    ('audiomem sql {table} "SELECT count(*) FROM {name}"', "ask in SQL"),
    ("audiomem info {table}", "columns, rows, versions, sizes"),
    ("audiomem log {table}", "what was done"),
    ("audiomem verify {table}", "check every byte"),
)


def home() -> None:
    """Print what there is to do, with the tables in this folder."""
    from audiomem_sql import __version__
    from audiomem_sql.cli.output import printable, size

    tables = list(tables_in("."))
    print(f"audiomem {__version__}: tables kept in FLAC audio files\n")
    if tables:
        print("Tables in this folder:")
        width = max(len(printable(name)) for name, _, _ in tables[:MOST_TABLES])
        for name, length, changed in tables[:MOST_TABLES]:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(changed))
            how_large = "in shards" if length is None else size(length)
            print(f"  {printable(name):<{width}}  {how_large:>12}  {when}")
        if len(tables) > MOST_TABLES:
            print(f"  … and {len(tables) - MOST_TABLES:,} more")
        print()
    table = _in_shell(tables[0][0]) if tables else "kb.flac"
    name = os.path.splitext(os.path.basename(tables[0][0]))[0] if tables else "kb"
    name = name if name.isidentifier() else "…"
    print("Some things to do:")
    steps = [(line.format(table=table, name=name), what) for line, what in _STEPS]
    steps = steps if tables else steps[:3]
    width = max(len(line) for line, _ in steps)
    for line, what in steps:
        print(f"  {line:<{width}}  {what}")
    print("\nAll verbs: audiomem --help   One: audiomem VERB --help   Manual: audiomem man")


def tables_in(folder: str) -> Iterator[tuple[str, int | None, float]]:
    """(name, bytes or None for a folder of shards, time of the last change) of the tables in a folder.

    By name. Only the start of a file is read.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry, _ in zip(entries, range(_MOST_FILES), strict=False)]
    except OSError:
        return
    for entry in sorted(found, key=lambda entry: entry.name):
        try:
            if entry.name.endswith(".flac") and entry.is_file() and is_table(entry.path):
                status = entry.stat()
                yield entry.name, status.st_size, status.st_mtime
            elif entry.name.endswith(".shards") and entry.is_dir():
                yield entry.name, None, entry.stat().st_mtime
        except OSError:
            continue


def is_table(path: str) -> bool:
    """Whether the metadata of a FLAC file say that it is a table."""
    with open(path, "rb") as stream:
        if stream.read(4) != b"fLaC":
            return False
        for _ in range(64):
            header = stream.read(4)
            if len(header) < 4:
                return False
            length = int.from_bytes(header[1:], "big")
            if header[0] & 0x7F == _APPLICATION and stream.read(4) == _OURS:
                return True
            if header[0] & 0x80:
                return False
            position = 4 if header[0] & 0x7F == _APPLICATION else 0
            stream.seek(length - position, os.SEEK_CUR)
    return False


def _in_shell(name: str) -> str:
    """A name as an argument of a shell."""
    import shlex

    return shlex.quote(name)
