"""One table over many files: a folder with a manifest, and a FLAC file for each shard (docs/SHARDS.md).

Other rooms import from here only.

- ``is_sharded`` tells whether a path is that of one, ``sharded_table_of`` which one a file is a shard of,
  ``check_no_shard`` refuses such a file, ``sharded_files`` gives the files of one,
  ``is_half_dropped`` tells whether one is being deleted
- ``ShardedFiles`` has the face of ``TableFiles``, ``ShardedSnapshot`` that of ``Snapshot``;
  ``SomeShards`` are the rows of a few shards, ``ShardFile`` is one that is opened when it is read
- ``Manifest`` with ``ShardEntry``, ``ShardedVersion`` and ``Pin`` is what the manifest says;
  ``manifest_at``, ``read_manifest`` and ``write_manifest`` are its file,
  ``pack_manifest`` and ``unpack_manifest`` its bytes, ``remember`` saves reading what was written
- ``key_columns``, ``spread``, ``zone_columns`` and ``ShardZones`` are what a new one is made of
- ``StoredShardedSnapshot`` is that of a table that is written to in a store; ``content_of`` is what
  its manifest says of its shards, ``with_content`` a manifest that says something else
- ``not_on_shards`` is the error of what does not work on one, ``restoring`` says what brings its files back
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from audiomem_sql.shards.buckets import BUCKETS, MAX_SHARDS, BoundColumn, Placement, key_columns, spread
from audiomem_sql.shards.files import (
    DROPPED,
    EXTENSION,
    MANIFEST,
    ShardedFiles,
    check_no_shard,
    is_half_dropped,
    is_shard_name,
    is_sharded,
    not_on_shards,
    read_manifest,
    remember,
    shard_name,
    sharded_table_of,
    write_manifest,
)
from audiomem_sql.shards.manifest import Manifest, ShardEntry
from audiomem_sql.shards.manifest_bytes import pack_manifest, unpack_manifest
from audiomem_sql.shards.opening import manifest_at, sharded_files
from audiomem_sql.shards.shard_file import ShardFile, restoring
from audiomem_sql.shards.snapshot import ShardedSnapshot, SomeShards
from audiomem_sql.shards.version_bytes import Pin, ShardedVersion
from audiomem_sql.shards.zones import ShardZones, zone_columns

if TYPE_CHECKING:
    from audiomem_sql.shards.stored_shards import StoredShardedSnapshot, content_of, with_content

#: What tables that are written to in stores need. Loaded when the first one is opened.
_RARE = {
    "StoredShardedSnapshot": "stored_shards",
    "content_of": "stored_shards",
    "with_content": "stored_shards",
}

__all__ = [
    "BUCKETS",
    "DROPPED",
    "EXTENSION",
    "MANIFEST",
    "MAX_SHARDS",
    "BoundColumn",
    "Manifest",
    "Pin",
    "Placement",
    "ShardEntry",
    "ShardFile",
    "ShardZones",
    "ShardedFiles",
    "ShardedSnapshot",
    "ShardedVersion",
    "SomeShards",
    "StoredShardedSnapshot",
    "check_no_shard",
    "content_of",
    "is_half_dropped",
    "is_shard_name",
    "is_sharded",
    "key_columns",
    "manifest_at",
    "not_on_shards",
    "pack_manifest",
    "read_manifest",
    "remember",
    "restoring",
    "shard_name",
    "sharded_files",
    "sharded_table_of",
    "spread",
    "unpack_manifest",
    "with_content",
    "write_manifest",
    "zone_columns",
]


def __getattr__(name: str) -> Any:
    """What is loaded only where it is used."""
    if name not in _RARE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_RARE[name]}"), name)
