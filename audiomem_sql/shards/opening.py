"""The files of a sharded table, whatever its place is: a folder, or a URL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiomem_sql.machine.urls import is_url
from audiomem_sql.shards.files import ShardedFiles, not_on_shards, read_manifest
from audiomem_sql.shards.manifest import Manifest

if TYPE_CHECKING:
    from audiomem_sql.versions import Tiers


def sharded_files(
    path: str | os.PathLike[str],
    tiers: Tiers | None = None,
    replicas: str | Sequence[str] | None = None,
) -> ShardedFiles:
    """The files of the sharded table that a path or a URL leads to.

    tiers: of a cache in front of a URL. replicas: other URLs that have the same objects; UnsupportedError for
    those of a folder.
    """
    if replicas:
        from audiomem_sql.remote.replica_names import parse_replicas
        from audiomem_sql.shards.replicated_files import ReplicatedShardedFiles

        name = os.fsdecode(path)
        others = parse_replicas(replicas, name)
        if others and not all(map(is_url, (name, *others))):
            raise not_on_shards(
                "is opened with replicas in stores alone", name, "Leave replicas out, or name URLs."
            )
        if others:
            return ReplicatedShardedFiles.of(name, others, tiers)
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
