"""New sharded tables: a folder that gets its name when all that is in it is durable."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from audiomem_sql.columns.creation import check_definitions
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import InFile, OptionError, UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.file_names import resolved
from audiomem_sql.machine.new_folder import new_folder
from audiomem_sql.machine.urls import file_name, is_url, shown
from audiomem_sql.shards import (
    EXTENSION,
    MANIFEST,
    MAX_SHARDS,
    Manifest,
    Pin,
    ShardedFiles,
    ShardedSnapshot,
    ShardedVersion,
    ShardEntry,
    ShardZones,
    is_sharded,
    key_columns,
    shard_name,
    spread,
    write_manifest,
    zone_columns,
)
from audiomem_sql.storage.segment import TableOptions, Version
from audiomem_sql.table.creation import completed, create_file, salvaged_columns
from audiomem_sql.table.reader import TableReader
from audiomem_sql.versions import Snapshot, TableFiles

#: Options of a sharded table alone: how many shards, the columns that place rows, those with zone maps.
SHARD_OPTIONS = ("shards", "shard_key", "shard_zones")
#: How many shards a table has that is called ``.shards`` where nobody says it.
DEFAULT_SHARDS = 16


def options_at(path: str | os.PathLike[str], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options of a new table at ``path``: with ``shards`` if it is called ``.shards``."""
    if "shards" in options or not is_folder_name(path):
        return options
    return {**options, "shards": DEFAULT_SHARDS}


def takes_shards(options: Mapping[str, Any]) -> bool:
    """Whether the options are those of a sharded table. OptionError for some of them without ``shards``."""
    given = [name for name in SHARD_OPTIONS if name in options]
    if given and "shards" not in options:
        raise OptionError(f"{given[0]} is for sharded tables", remedy="Say how many: shards=16.")
    return bool(given)


def create_new(path: str | os.PathLike[str], schema: Schema, options: Mapping[str, Any]) -> None:
    """Make an empty table at ``path``, which must be free: shards if options or its name say so."""
    chosen = options_at(path, options)
    (create_folder if takes_shards(chosen) else create_file)(path, schema, chosen)


def create_folder(path: str | os.PathLike[str], schema: Schema, options: Mapping[str, Any]) -> None:
    """Make an empty sharded table at ``path``, which must be free.

    options: those of ``SHARD_OPTIONS``, and of the table.
    """
    with InFile(path):
        count = _count(options["shards"])
        key = key_columns(schema, _names(options.get("shard_key")))
        zones = zone_columns(schema, _names(options.get("shard_zones")))
    chosen = {name: value for name, value in options.items() if name not in SHARD_OPTIONS}
    if is_url(path):
        from audiomem_sql.table.stored_sharded_creation import create_stored_shards

        url = os.fsdecode(path)
        if not is_sharded(url):
            raise OptionError(
                "the name of a sharded table in a store ends in .shards",
                file=shown(url),
                remedy="Choose such a name: s3://bucket/kb.shards.",
            )
        check_definitions(schema)
        stored, kept = completed(schema, TableOptions.parse(chosen), shown(url))
        create_stored_shards(url, count, stored, kept, key, zones)
        return
    folder = resolved(path)
    with new_folder(folder) as temporary:
        _fill(temporary, folder, count, schema, chosen, key, zones)


def check_same_shards(snapshot: Snapshot, options: MutableMapping[str, Any]) -> None:
    """Take the options of shards out of ``options``. OptionError unless the table was made with these."""
    given = {name: options.pop(name) for name in SHARD_OPTIONS if name in options}
    if not given:
        return
    manifest = snapshot.manifest if isinstance(snapshot, ShardedSnapshot) else None
    if takes_shards(given) and manifest is not None:
        schema = manifest.schema
        same = {
            "shards": len(manifest.shards) == _count(given["shards"]),
            "shard_key": key_columns(schema, _names(given.get("shard_key"))) == manifest.key
            or "shard_key" not in given,
            "shard_zones": set(zone_columns(schema, _names(given.get("shard_zones"))))
            == set(manifest.zones.columns)
            or "shard_zones" not in given,
        }
        wrong = [name for name in SHARD_OPTIONS if not same[name]]
    else:
        wrong = ["shards"]
    if wrong:
        raise OptionError(
            f"the table was made with another {wrong[0]}",
            remedy="Leave the option out: the table knows its own.",
        )


def is_folder_name(path: str | os.PathLike[str]) -> bool:
    """Whether a new table at ``path`` is to be sharded: it is called ``.shards``."""
    return file_name(path).lower().endswith(EXTENSION)


def check_one_file(path: str | os.PathLike[str]) -> None:
    """UnsupportedError for a name that only a table of shards has, where a table of one file is copied."""
    if is_folder_name(path):
        raise UnsupportedError(
            "a table of one file is not copied to shards",
            file=os.fsdecode(path),
            remedy="Call the copy .flac, or write the rows to a sharded table: "
            "audiomem_sql.write_flac(audiomem_sql.dataset(path), copy, shards=16).",
        )


def create_salvaged(
    path: str | os.PathLike[str], broken: TableReader, options: Mapping[str, Any], like: str | None
) -> None:
    """Make an empty table at ``path``, which must be free, for the rows of ``broken``.

    like: the file whose mode and owner it gets, if there is one.
    """
    columns = salvaged_columns(broken)
    if is_folder_name(path):
        create_folder(path, columns, {**options, **_salvaged_shards(broken)})
    else:
        create_file(path, columns, options, like)


def _salvaged_shards(broken: TableReader) -> dict[str, Any]:
    """The options of shards of a table that takes the rows of ``broken``."""
    if not isinstance(broken.snapshot, ShardedSnapshot):
        return {"shards": 1}
    key = [broken.schema.columns[number].name for number in broken.snapshot.placement.columns]
    return {"shards": len(broken.snapshot.shard_files), **({"shard_key": key} if key else {})}


def remove_new(files: TableFiles) -> None:
    """Delete the files of a table that was just created, and is empty. Objects of shards in a store stay."""
    if files.is_remote:
        if not isinstance(files, ShardedFiles):
            from audiomem_sql.table.stored_dropping import remove_new_stored

            remove_new_stored(files.address)
        return
    os.unlink(files.base)
    if isinstance(files, ShardedFiles):
        from shutil import rmtree

        rmtree(files.address)


def _fill(
    temporary: str,
    folder: str,
    count: int,
    schema: Schema,
    options: Mapping[str, Any],
    key: tuple[int, ...],
    zones: tuple[int, ...],
) -> None:
    """Write the shards and the manifest."""
    shards: list[ShardEntry] = []
    cache = BlockCache(0)
    stored, kept = schema, TableOptions.parse(dict(options), os.path.dirname(folder))
    for number in range(count):
        name = shard_name(number)
        create_file(os.path.join(temporary, name), schema, options)
        snapshot = TableFiles(os.path.join(temporary, name)).load(cache)
        catalog = snapshot.segments[0].catalog
        stored, kept = snapshot.schema, TableOptions.from_catalog(catalog.options)
        shards.append(ShardEntry(name, catalog.table_id, Pin(snapshot.newest, snapshot.newest_time)))
        snapshot.close()
    manifest = Manifest(
        table_id=os.urandom(16),
        schema=stored,
        options=kept.to_catalog(),
        key=key,
        tables=((1, spread(count)),),
        shards=tuple(shards),
        versions=(ShardedVersion(Version(1, max(shard.oldest.time for shard in shards), 0, 0)),),
        zones=ShardZones.empty(stored, zones, count),
    )
    path = os.path.join(temporary, MANIFEST)
    os.rename(write_manifest(path, manifest), path)


def _count(given: Any) -> int:
    try:
        count = int(given)
    except (TypeError, ValueError):
        count = 0
    if not 1 <= count <= MAX_SHARDS:
        raise OptionError(f"shards is a number from 1 to {MAX_SHARDS:,}, not {given!r:.60}")
    return count


def _names(given: Any) -> Sequence[str] | None:
    """The columns that an option names: a list, or text with commas."""
    if given is None:
        return None
    names = given.split(",") if isinstance(given, str) else given
    return [str(name).strip() for name in names]
