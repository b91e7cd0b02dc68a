"""What was ingested: the name of each source, and a 16-byte digest of what it said when its rows were made.

Every segment stores the list of the sources that its commits ingested; the newest segment that names a source
is right. One that is no longer there has the digest ``REMOVED``. Names that begin with ``NOTE`` are no
sources: they say something about where sources come from (:mod:`audiomem_sql.ingest.identity`).
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
#: The digest of a source that was taken out.
REMOVED = b"\xff" * DIGEST_BYTES
#: What the name of an entry begins with that is no source.
NOTE = "\0"
#: How the digest of a source ends: of a file by its resolved path, of a text with a name, of a page. Digests
#: of versions before, and numbers of applications, have another end.
FILE, GIVEN, PAGE = b"file", b"text", b"page"
#: Bytes of a digest before its end: what the source said, and how it was read. Zeros are nobody's.
SAID_BYTES = DIGEST_BYTES - len(FILE)
#: What the name of an entry begins with that keeps which batch of an application was committed last.
APPLICATION = "application:"


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


def present_sources(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """The sources among the entries of a list: neither those that were taken out, nor notes."""
    return {
        name: digest for name, digest in entries.items() if digest != REMOVED and not name.startswith(NOTE)
    }


def without_removed(entries: Mapping[str, bytes], versions: int = 1) -> dict[str, bytes]:
    """The entries but for those that say that something was taken out.

    versions: that are kept. If there are several, sources that were taken out stay in the list: a restore may
    bring their rows back.
    """
    return {
        name: digest
        for name, digest in entries.items()
        if digest != REMOVED or (versions > 1 and not name.startswith(NOTE))
    }


def is_old(digest: bytes) -> bool:
    """Whether a digest is from before names were resolved, or the number of an application."""
    return digest[SAID_BYTES:] not in (FILE, GIVEN, PAGE)


def unknown_source(name: str, digest: bytes) -> bytes | None:
    """The entry of a source whose rows are no longer those that ``digest`` is of; None for one of others.

    The next ingest reads such a source again, or takes it out.
    """
    if digest == REMOVED:
        return bytes(SAID_BYTES) + (PAGE if name.startswith(("http:", "https:")) else FILE)
    return None if is_old(digest) else bytes(SAID_BYTES) + digest[SAID_BYTES:]


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
    """Every source whose rows were ingested, with the digest of its newest reading; all entries."""
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
