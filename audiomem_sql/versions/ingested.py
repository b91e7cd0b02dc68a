"""What was ingested: the name of each source, and a 16-byte digest of what it said when its rows were made.

Every segment stores the list of the sources that its commits ingested; the newest segment that names a source
is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgpack

from audiomem_sql.blocks.whole_values import check_whole
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.segment import ReadableSegment

DIGEST_BYTES = 16
#: Sources that one segment can name.
MAX_SOURCES = 1 << 24


def pack_sources(sources: Mapping[str, bytes]) -> bytes:
    """The list as stored: a MessagePack map of names to digests."""
    packed = msgpack.packb(dict(sources))
    assert isinstance(packed, bytes)
    return packed


def unpack_sources(packed: bytes) -> dict[str, bytes]:
    """The inverse; DamagedFileError (without a file) for anything else."""
    try:
        check_whole(packed)
        sources = msgpack.unpackb(packed, max_map_len=MAX_SOURCES)
    except (msgpack.UnpackException, ValueError, TypeError) as error:
        raise DamagedFileError(f"the list of sources cannot be understood ({type(error).__name__})") from None
    if not isinstance(sources, dict) or not all(
        isinstance(name, str) and isinstance(digest, bytes) and len(digest) == DIGEST_BYTES
        for name, digest in sources.items()
    ):
        raise DamagedFileError("the list of sources holds something else")
    return sources


def segment_sources(segment: ReadableSegment) -> dict[str, bytes]:
    """The sources that the commits of one segment ingested."""
    extent = segment.catalog.sources
    if extent is None:
        return {}
    try:
        return unpack_sources(segment.extent(extent))
    except DamagedFileError as error:
        error.at(file=segment.path, place="sources")
        raise


def known_sources(segments: Sequence[ReadableSegment], commits: Sequence[LogRecord] = ()) -> dict[str, bytes]:
    """Every source whose rows were ingested, with the digest of its newest reading."""
    sources: dict[str, bytes] = {}
    for segment in segments:
        sources |= segment_sources(segment)
    return sources | logged_sources(commits)


def logged_sources(commits: Sequence[LogRecord]) -> dict[str, bytes]:
    """The sources that commits in the log ingested."""
    sources: dict[str, bytes] = {}
    for record in commits:
        if record.sources is not None:
            sources |= unpack_sources(record.sources)
    return sources
