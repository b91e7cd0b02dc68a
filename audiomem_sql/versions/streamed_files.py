"""A table that is a stream, to read: a playlist, beside which its files are, on a disk or in a store."""

from __future__ import annotations

from dataclasses import dataclass

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.machine.file_names import resolved
from audiomem_sql.machine.urls import is_url, shown
from audiomem_sql.versions.remote_files import RemoteTableFiles
from audiomem_sql.versions.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class StreamedTableFiles(RemoteTableFiles):
    """The stream whose playlist is at ``url``, a URL or an absolute path; ``base`` is that for messages."""

    @classmethod
    def of_playlist(cls, where: str, *, partial: bool = False) -> StreamedTableFiles:
        """The stream whose playlist is at ``where``, a path or a URL; it need not be there."""
        if is_url(where):
            return cls(shown(where), partial, where)
        path = resolved(where)
        return cls(path, partial, path)

    def changed(self, snapshot: Snapshot) -> bool:
        """Whether the playlist was replaced, or more has arrived. A disk is asked each time."""
        if not is_url(self.url):
            return not snapshot.segments[0].file.source.file.is_current()
        return RemoteTableFiles.changed(self, snapshot)

    def _source(self, url: str) -> ByteSource:
        from audiomem_sql.remote.streamed_file import StreamedFile

        return StreamedFile(url, partial=self.partial)


def no_tiers_of_a_stream(where: str) -> UnsupportedError:
    """The error of tiers of a cache in front of a stream."""
    return UnsupportedError(
        "the files of a stream are read without a cache", file=where, remedy="Leave cache out."
    )


def no_replicas_of_a_stream(where: str) -> UnsupportedError:
    """The error of other places of a stream."""
    return UnsupportedError(
        "the files of a stream are read from one place",
        file=where,
        remedy="Leave replicas out, or copy the stream to a FLAC file with `audiomem backup`.",
    )
