"""The files of a table, whatever its place is: a disk, a store, or a stream."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiomem_sql.machine.file_names import resolved
from audiomem_sql.machine.urls import is_playlist, is_url, shown
from audiomem_sql.versions.files import TableFiles

if TYPE_CHECKING:
    from audiomem_sql.versions.remote_files import Tiers


def table_files(
    path: str | os.PathLike[str],
    tiers: Tiers | None = None,
    replicas: str | Sequence[str] | None = None,
    *,
    partial: bool = False,
) -> TableFiles:
    """The files of the table that a path or a URL leads to; it need not be there.

    tiers: of a cache in front of a URL, the fastest first; by default those of the environment, which local
    files and streams do without. replicas: other places that have the same file. partial: the table may not
    have arrived as a whole. StorageError as of ``TableFiles.at``, OptionError for tiers of a local file
    alone, and for what is no list of places, UnsupportedError for tiers and replicas of a stream.
    """
    name = os.fspath(path)
    if is_playlist(name):
        from audiomem_sql.versions.streamed_files import (
            StreamedTableFiles,
            no_replicas_of_a_stream,
            no_tiers_of_a_stream,
        )

        if tiers:
            raise no_tiers_of_a_stream(shown(name))
        if replicas:
            raise no_replicas_of_a_stream(shown(name))
        return StreamedTableFiles.of_playlist(name, partial=partial)
    if replicas:
        from audiomem_sql.remote.replica_names import parse_replicas
        from audiomem_sql.versions.replicated_files import ReplicatedTableFiles

        others = parse_replicas(replicas, name)
        if others:
            return ReplicatedTableFiles.of(name, others, tiers)
    if is_url(name):
        from audiomem_sql.versions.remote_files import RemoteTableFiles

        return RemoteTableFiles.of_url(name, tiers, partial=partial)
    if tiers:
        from audiomem_sql.remote.tiers import local_file_is_not_cached

        raise local_file_is_not_cached(name)
    return TableFiles(resolved(name), partial)
