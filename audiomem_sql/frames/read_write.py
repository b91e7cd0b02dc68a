"""Data frames in, data frames out: the functions that pandas, Arrow and plain Python users call."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.errors import InFile, OptionError, StorageError, did_you_mean
from audiomem_sql.machine.file_names import is_there
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.urls import is_url
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.sharded_creation import SHARD_OPTIONS
from audiomem_sql.table.table import Table
from audiomem_sql.writing.streaming import example_of, is_stream

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["create", "open", "read_flac", "write_flac"]

#: What may become of a file that exists where one is written.
IF_EXISTS = ("fail", "append", "replace")


def create(path: str | os.PathLike[str], columns: Sequence[str], **options: Any) -> Table:
    """Create an empty table at ``path``, which must be free; the open table.

    columns: definitions such as ``"id INTEGER PRIMARY KEY"``. options: profile, protection, compression_level
    … as in CREATE VIRTUAL TABLE; shards=16 makes a folder of so many files (docs/SHARDS.md).
    """
    with InFile(path):
        TableOptions.check_names(options, SHARD_OPTIONS)
    return Table.create(path, columns, options)


def open(
    path: str | os.PathLike[str],
    *,
    version: int | str | None = None,
    as_of: str | datetime | None = None,
    salvage: bool = False,
    on_damage: str = "fail",
    cache: str | Sequence[str] | None = None,
    durability: str = "sync",
    partial: bool = False,
    replicas: str | Sequence[str] | None = None,
    restore: bool = False,
) -> Table:
    """Open the table in a FLAC file, in a stream (its playlist, ``.m3u8``), or in a folder of several files.

    version, as_of: the table as it was, by number, by tag or by time, with the columns that it had; to read
    only. salvage: where deltas are missing or cannot be read, read what the other files hold, and warn which
    versions are missing, instead of raising an error. Such a table cannot be written to. on_damage: ``fail``,
    or ``skip`` to leave out rows whose bytes cannot be recovered, and warn which they are. cache: of a URL,
    tiers of a cache, the fastest first, such as ``["memory:256MB", "disk:/var/cache/audiomem:10GB"]``
    (docs/TIERS.md); by default those that the environment variable ``AUDIOMEM_CACHE`` names. durability: of
    appends to a table in a store: ``sync``, or ``async`` for those that nobody waits for (docs/REMOTE.md).
    partial: the file or stream may not have arrived as a whole: the table has the rows that are there, and is
    only read (docs/STREAMING.md). replicas: other places, paths or URLs, that have a copy of the file; reads
    take the fastest, and what one has not whole is read from another (docs/REPLICAS.md). Such a table is only
    read. restore: ask for an object that is archived, and say in the StorageError when to try again
    (docs/REMOTE.md).

    Raises QueryError for a version that is not kept, NotAudioMemoryError for a file that is no table,
    DamagedFileError for one that cannot be read, StorageError for a path that cannot be opened,
    OptionError for what is no tier, and for tiers of a local file, or its ``durability="async"``. With
    replicas, StorageError for one that is no copy.
    """
    try:
        return Table(
            path,
            version=version,
            as_of=as_of,
            salvage=salvage,
            on_damage=on_damage,
            cache=cache,
            durability=durability,
            partial=partial,
            replicas=replicas,
        )
    except StorageError as error:
        if restore:
            _ask_for(error, os.fsdecode(path))
        raise


def _ask_for(error: StorageError, path: str) -> None:
    """Ask for what an error says is archived: StorageError that says when to try again.

    Of the table at ``path`` all that is archived is asked for at once, as each takes hours.
    """
    from audiomem_sql.remote import ArchivedError, archive
    from audiomem_sql.upkeep.storage_classes import restore_all

    if not isinstance(error, ArchivedError) or error.file is None:
        return
    own = error.file.startswith(path)
    waiting = [
        each
        for each in (restore_all(path) if own else [archive.restore(error.file)])
        if each.state != "ready"
    ]
    if not waiting:
        raise StorageError("its restore is done by now: open it again", file=error.file) from None
    slowest = max(waiting, key=lambda each: (each.state == "asked", each.until))
    count = f"{len(waiting)} objects are archived: " if len(waiting) > 1 else ""
    raise StorageError(f"{count}{archive.told(slowest)}", file=error.file) from None


def read_flac(
    path: str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    where: str | None = None,
    parameters: Sequence[Any] = (),
    *,
    dtype_backend: str | None = None,
    version: int | str | None = None,
    as_of: str | datetime | None = None,
    replicas: str | Sequence[str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Read a table, or the columns and rows asked for, into a pandas data frame.

    columns: names, in the order wanted. where: a filter such as ``"year > ? AND title LIKE 'a%'"``, with
    ``parameters`` for its question marks. dtype_backend: ``numpy_nullable`` or ``pyarrow``, as in pandas; by
    default each column has the dtype that it was written with. version, as_of, replicas: as in :func:`open`.
    options: ``categories``, names of columns that become categories, and those of
    ``pyarrow.Array.to_pandas``.
    """
    with Table(path, version=version, as_of=as_of, replicas=replicas) as table:
        return table.to_pandas(columns, where, parameters, dtype_backend=dtype_backend, **options)


def write_flac(
    data: Any,
    path: str | os.PathLike[str],
    *,
    primary_key: str | None = None,
    semantic: str | Iterable[str] = (),
    if_exists: str = "fail",
    index: bool | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Table:
    """Write a data frame to a new FLAC file; the open table.

    data: a pandas data frame, a polars data frame or lazy frame, an Arrow table, batch or reader, anything
    with ``__arrow_c_stream__``, or a list of dicts. A relation of DuckDB (``con.sql(…)``) or a dataset is
    written batch by batch, see ``Table.append_stream``. primary_key: a column whose values are unique; an
    INTEGER one becomes the rowid. semantic: text columns to be searched by meaning. if_exists: "fail",
    "append" to add the rows to the table that is there, or "replace" to put them in the place of its rows, as
    a new version of it: see ``Table.overwrite``. index: whether the index of a data frame of pandas becomes
    columns; by default, one that only counts does not, and is noted (docs/ANALYSIS.md). options: profile,
    protection, compression_level … as in CREATE VIRTUAL TABLE; shards=16 makes a folder of so many files
    (docs/SHARDS.md).

    Raises OptionError for another ``if_exists``, and StorageError for a file that exists with "fail".
    """
    with InFile(path):
        others = ("primary_key", "semantic", "if_exists", "index", "progress", *SHARD_OPTIONS)
        TableOptions.check_names(options, others)
        check_if_exists(if_exists)
    while True:
        if is_url(path) or not is_there(path):  # whether something is at a URL is told when it is made
            try:
                with InFile(path):
                    return _write_new(data, path, primary_key, semantic, options, progress, index)
            except StorageError:
                if if_exists == "fail" or not is_there(path):
                    raise  # else another process was first
        if if_exists == "fail":
            raise StorageError(
                "the file exists already",
                file=path,
                remedy='Choose another name, or pass if_exists="append", or "replace".',
            )
        try:
            if if_exists == "replace":
                return _replace(data, path, primary_key, semantic, options, progress, index)
            return _append(data, path, progress, index)
        except StorageError:
            if is_there(path):
                raise  # else who created it took it back, before anything was in it


def check_if_exists(word: object) -> None:
    """OptionError for what says nothing of a file that exists."""
    if word not in IF_EXISTS:
        raise OptionError(
            f"if_exists={word!r:.40} does not exist",
            remedy=f"{did_you_mean(str(word), IF_EXISTS)}Use one of: {', '.join(IF_EXISTS)}.",
        )


def _append(data: Any, path: str | os.PathLike[str], progress: Progress | None, index: bool | None) -> Table:
    with _to_change(path) as table:
        with InFile(path):
            rows = data if index is None else to_table(data, table.schema, index=index)[0]
        table.append(rows, progress=progress)
    return table


def _replace(
    data: Any,
    path: str | os.PathLike[str],
    primary_key: str | None,
    semantic: str | Iterable[str],
    options: dict[str, Any],
    progress: Progress | None,
    index: bool | None,
) -> Table:
    with _to_change(path) as table:
        with InFile(path):
            if changed := [name for name in options if table.options.says_otherwise(name, options[name])]:
                raise OptionError(
                    f"{', '.join(changed)} cannot be changed by a new version of the rows",
                    remedy="Leave it out, or change it with Table.transcode, or write to a new file.",
                )
        table.overwrite(data, primary_key=primary_key, semantic=semantic, index=index, progress=progress)
    return table


@contextlib.contextmanager
def _to_change(path: str | os.PathLike[str]) -> Iterator[Table]:
    """The table that is there, which is closed only after an error."""
    table = Table(path)
    try:
        yield table
    except BaseException:
        table.close()
        raise


def _write_new(
    data: Any,
    path: str | os.PathLike[str],
    primary_key: str | None,
    semantic: str | Iterable[str],
    options: dict[str, Any],
    progress: Progress | None,
    index: bool | None,
) -> Table:
    """A new table with the rows of ``data``; after an error none, unless others wrote to it."""
    if is_stream(data):
        _, schema = to_table(example_of(data), None, primary_key, semantic)
    else:
        data, schema = to_table(data, None, primary_key, semantic, index)
    table = Table.create(path, schema, options)
    try:
        table.append_stream(data, progress=progress)
    except BaseException:
        table.take_back_creation()
        raise
    return table
