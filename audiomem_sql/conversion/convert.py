"""Collections of a store into new tables, each in one piece: a table has its name when all rows are in it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.conversion.collection import Collection, Wishes
from audiomem_sql.conversion.known import opener_of
from audiomem_sql.conversion.reading import read_from, reading
from audiomem_sql.errors import InFile, OptionError, StorageError, did_you_mean
from audiomem_sql.machine.durable import storage_error
from audiomem_sql.machine.file_names import is_there
from audiomem_sql.machine.urls import is_url
from audiomem_sql.table.table import Table

#: Bytes of rows in a commit. They are in memory together.
COMMIT_BYTES = 64 << 20

#: Called with the collection, the rows that are done, and how many there are.
Told = Callable[[str, int, int], object]


@dataclass(frozen=True, slots=True)
class Converted:
    """A collection that became a table, or would become one (``file`` is None).

    ``kind``: of the store. ``columns``: as SQL has them. ``vectors``: by column, how many numbers a vector
    has. ``source_bytes``: of the whole source.
    """

    kind: str
    collection: str
    file: str | None
    rows: int
    columns: str
    vectors: Mapping[str, int]
    source_bytes: int
    file_bytes: int | None
    notes: Sequence[str]

    def facts(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    collection: str | None = None,
    wishes: Wishes | None = None,
    options: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    told: Told | None = None,
) -> Iterator[Converted]:
    """Make a table of a collection, or one of each in the folder ``target``; what became of each, in turn.

    target: a file that is not there, or a folder that is. collection: the name of one of several. options: of
    the tables, as `Table.create` takes them. dry_run: nothing is written. The source is only read. After an
    error, or when the process is killed, there is no file for the collection it was at; whole ones stay.
    """
    origin, place = os.fspath(source), os.fspath(target)
    if is_url(origin) or is_url(place):
        raise OptionError(
            "a conversion is between local files",
            file=place if is_url(place) else origin,
            remedy="Convert to a local file; audiomem backup copies it to a URL.",
        )
    before = size_of(origin)
    with contextlib.ExitStack() as stack:
        with reading(origin):
            store = stack.enter_context(opener_of(origin)(origin, wishes or Wishes()))
        chosen = _chosen(store.collections, collection, origin)
        targets = _targets(chosen, place, origin)
        for file in targets.values():
            if is_there(file):
                raise StorageError(
                    "the file exists already", file=file, remedy="Choose another name, or move it away."
                )
        for each in chosen:
            with reading(origin, each.name):
                schema, total, notes = each.schema(), each.rows, each.notes
            file = targets[each.name]
            if not dry_run:
                with InFile(file):
                    rows = _write(each, origin, schema, file, options or {}, told)
            yield Converted(
                store.kind,
                each.name,
                None if dry_run else file,
                total if dry_run else rows,
                schema.sql(),
                {
                    column.name: column.type.width
                    for column in schema.columns
                    if column.type.kind is Kind.FLOAT
                },
                before,
                None if dry_run else os.path.getsize(file),
                notes,
            )


def size_of(path: str) -> int:
    """The bytes of a file, or of all in a folder."""
    if not os.path.isdir(path):
        return os.path.getsize(path) if os.path.exists(path) else 0
    return sum(os.lstat(os.path.join(top, name)).st_size for top, _, names in os.walk(path) for name in names)


def _chosen(collections: Sequence[Collection], name: str | None, source: str) -> Sequence[Collection]:
    names = [each.name for each in collections]
    if not names:
        raise StorageError(
            "there are no collections", file=source, remedy="Check that this is the right one."
        )
    if name is None:
        return collections
    if name not in names:
        raise OptionError(
            f"there is no collection {name}",
            file=source,
            remedy=f"{did_you_mean(name, names)}There are {', '.join(names)}.",
        )
    return [each for each in collections if each.name == name]


def _targets(collections: Sequence[Collection], target: str, source: str) -> dict[str, str]:
    """The file of each collection."""
    if os.path.isdir(target):
        files = {each.name: os.path.join(target, f"{_file_name(each.name)}.flac") for each in collections}
        if len({file.casefold() for file in files.values()}) < len(files):
            raise OptionError(
                "two collections would have one file",
                file=source,
                remedy="Convert them one by one: --collection.",
            )
        return files
    if len(collections) > 1:
        raise OptionError(
            f"there are {len(collections)} collections: {', '.join(each.name for each in collections)}",
            file=source,
            remedy="Choose one with --collection, or name a folder that is there, for a file each.",
        )
    if not target.endswith(".flac"):
        raise OptionError(
            "a table is made in a file whose name ends in .flac",
            file=target,
            remedy="Name such a file, or a folder that is there.",
        )
    return {collections[0].name: target}


def _file_name(name: str) -> str:
    kept = "".join("_" if letter in '/\\:*?"<>|' or ord(letter) < 32 else letter for letter in name)
    return kept.strip(". ")[:100] or "collection"


def _write(
    collection: Collection,
    source: str,
    schema: Schema,
    file: str,
    options: Mapping[str, Any],
    told: Told | None,
) -> int:
    """Write a new table beside ``file``, and give it its name when it is whole; its rows."""
    folder, name = os.path.split(os.path.abspath(file))
    try:
        with (
            tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=".tmp", dir=folder) as temporary,
            Table.create(os.path.join(temporary, name), schema, options) as table,
        ):
            rows = 0
            for part in _commits(read_from(collection, source)):
                table.append(part, message=f"converted from {collection.name}")
                rows += part.num_rows
                if told is not None:
                    told(collection.name, rows, collection.rows)
            table.vacuum()
            table.backup(file)
            return rows
    except OSError as error:
        raise storage_error(error, file) from error


def _commits(batches: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The rows of the batches, as much at a time as a commit takes."""
    waiting: list[pa.Table] = []
    size = 0
    for batch in batches:
        waiting.append(batch)
        size += batch.nbytes
        if size >= COMMIT_BYTES:
            yield pa.concat_tables(waiting)
            waiting, size = [], 0
    if waiting:
        yield pa.concat_tables(waiting)
