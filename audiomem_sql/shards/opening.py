"""The files of a sharded table, whatever its place is: a folder, or a URL."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from audiomem_sql.machine.urls import is_url
from audiomem_sql.shards.files import ShardedFiles, read_manifest
from audiomem_sql.shards.manifest import Manifest

if TYPE_CHECKING:
    from audiomem_sql.versions import Tiers


def sharded_files(path: str | os.PathLike[str], tiers: Tiers | None = None) -> ShardedFiles:
    """The files of the sharded table that a path or a URL leads to. tiers: of a cache in front of a URL."""
    if is_url(path):
        from audiomem_sql.shards.remote_files import RemoteShardedFiles

        return RemoteShardedFiles.of_url(os.fsdecode(path), tiers)
    return ShardedFiles.of_folder(path)


def manifest_at(place: str) -> tuple[Manifest, str | None]:
    """The manifest at a path or a URL, and what is wrong with one of its copies; errors as of its reader."""
    if is_url(place):
        from audiomem_sql.shards.remote_files import read_remote_manifest

        return read_remote_manifest(place)[:2]
    return read_manifest(place)
