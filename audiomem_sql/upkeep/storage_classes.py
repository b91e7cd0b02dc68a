"""Moves objects that only old versions use to a cheaper storage class; tells which those are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from audiomem_sql.errors import OptionError, UnsupportedError, did_you_mean
from audiomem_sql.machine.urls import is_url

if TYPE_CHECKING:
    from audiomem_sql.remote.archive import Bucket, Restored, StoredAs
    from audiomem_sql.remote.commits import Manifest
    from audiomem_sql.remote.commits.manifest import SegmentEntry

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
#: What is in the key of everything that belongs to a table with a manifest.
_FOLDER = ".flac.d/"


@dataclass(frozen=True, slots=True)
class Moved:
    """An object that was moved, or would be. fault: why it was not; "" if it was."""

    url: str
    size: int
    before: str
    after: str
    fault: str = ""


def parse_age(text: str) -> timedelta:
    """An age such as ``90d`` (s, m, h, d, w)."""
    if text[:-1].isdecimal() and text[-1:] in _UNITS:
        return timedelta(seconds=min(int(text[:-1]) * _UNITS[text[-1]], 10**11))
    raise OptionError(f"{text!r:.40} is no age", remedy="Write such as 90d, or 12w.")


def move_old(
    place: str,
    older_than: timedelta,
    storage_class: str,
    *,
    dry_run: bool = False,
    now: datetime | None = None,
) -> list[Moved]:
    """Move what only versions older than ``older_than`` use, to ``storage_class``; what was moved.

    place: ``s3://bucket/folder/``, with a slash at its end: the table files below it, as backups are, that
    were written before; but for the newest one, and what belongs to a table with a manifest. Or the URL of a
    table with a manifest: the segments that a vacuum or a merge has replaced, and that only readers of
    versions before may still read; those that a vacuum with ``history`` made of rows that had ended, which
    older versions alone are read from; and, to a class whose objects can be read at once, segments of the
    newest version whose last commit is older. Objects that are archived already stay.

    dry_run: say it, and move nothing. UnsupportedError for a table that is one object, or a local file;
    OptionError for a class that there is not; StorageError for what the store refuses. What is refused of one
    object is its ``fault``.
    """
    from audiomem_sql.errors import StorageError
    from audiomem_sql.remote.archive import CLASSES, HOURS, Bucket

    if storage_class not in CLASSES:
        raise OptionError(
            f"{storage_class!r:.40} is no storage class",
            remedy=f"{did_you_mean(storage_class, CLASSES)}There are {', '.join(CLASSES)}.",
        )
    if not is_url(place):
        raise UnsupportedError(
            "is a local file, which has no storage class",
            file=place,
            remedy="Copy old versions with audiomem backup, and put the copies into a folder of a store.",
        )
    bucket = Bucket(place)
    limit = (now or datetime.now(UTC)) - older_than
    moved = []
    for stored in _old(bucket, place, limit, is_archive=storage_class in HOURS):
        if stored.storage_class == storage_class or stored.storage_class in HOURS:
            continue
        fault = ""
        if not dry_run:
            try:
                bucket.move(stored, storage_class)
            except (StorageError, UnsupportedError) as error:
                fault = error.what
        moved.append(Moved(stored.url, stored.size, stored.storage_class, storage_class, fault))
    return moved


def restore_all(place: str, days: int = 7, speed: str = "Standard") -> list[Restored]:
    """Ask for what is archived at ``place``, an object, or all of a table with a manifest; what became of it.

    Of such a table these are the objects that the manifest names, those that were replaced included: older
    versions are read from them while they are kept. Raises as ``archive.restore``.
    """
    from audiomem_sql.remote import archive
    from audiomem_sql.remote.commits.paths import BASE, TablePaths

    if place.endswith("/"):
        raise OptionError("a folder is not restored", file=place, remedy="Name one of the files in it.")
    bucket = archive.Bucket(place)
    archive.check_days(days)
    manifest, paths = _found_manifest(bucket, place), TablePaths(bucket.key)
    if manifest is None:
        return [archive.restore(place, days, speed)]
    named = {bucket.url_of(paths.object(name)) for name in {BASE, *manifest.names}}
    found = (each for each in bucket.below(bucket.key) if each.url in named)
    asked = [each for each in found if each.storage_class in archive.HOURS]
    return [bucket.restore(each.url.removeprefix(bucket.url_of("")), days, speed) for each in asked]


def _old(bucket: Bucket, place: str, limit: datetime, *, is_archive: bool) -> Iterator[StoredAs]:
    """The objects that may be moved. is_archive: to where they cannot be read at once."""
    if place.endswith("/"):
        yield from (each for each in _copies(list(bucket.below(bucket.key))) if each.modified < limit)
        return
    from audiomem_sql.remote.commits.paths import TablePaths

    manifest, paths = _manifest(bucket, place), TablePaths(bucket.key)
    names = replaced_before(manifest, limit) + history_before(manifest, limit)
    if not is_archive:
        names += [entry.name for entry in segments_before(manifest, limit)]
    old = {paths.object(name) for name in names}
    for stored in bucket.below(paths.segments):
        if stored.url.removeprefix(bucket.url_of("")) in old:
            yield stored


def _copies(found: Sequence[StoredAs]) -> Iterator[StoredAs]:
    """The table files of a folder that can be read at once, but for the newest one.

    Moving an object changes its time. So one that was moved before counts as older than all that were not.
    """
    from audiomem_sql.remote.archive import HOURS

    own = {each.url.partition(_FOLDER)[0] for each in found if _FOLDER in each.url}
    copies = [
        each
        for each in found
        if each.url.endswith(".flac")
        and _FOLDER not in each.url
        and each.url.removesuffix(".flac") not in own
        and each.storage_class not in HOURS
    ]
    copies.sort(key=lambda each: (each.storage_class == "STANDARD", each.modified, each.url))
    yield from copies[:-1]


def _manifest(bucket: Bucket, place: str) -> Manifest:
    """The manifest of the table at ``place``. UnsupportedError for a file, StorageError where nothing is."""
    manifest = _found_manifest(bucket, place, look=True)
    if manifest is None:
        raise UnsupportedError(
            "is one object, which its newest version is read from: nothing of it can be moved",
            file=bucket.name,
            remedy="Keep old versions as backups in a folder, and name that: audiomem tier s3://bucket/backups/",
        )
    return manifest


def _found_manifest(bucket: Bucket, place: str, *, look: bool = False) -> Manifest | None:
    """The same; None for a file. look: StorageError where there is none, either."""
    from audiomem_sql.remote.commits import ManifestReader, Missing, ObstoreStore
    from audiomem_sql.remote.options import RemoteOptions
    from audiomem_sql.remote.stores import store_of

    options = RemoteOptions.of_environment()
    store = ObstoreStore(store_of(place, options.timeout)[0], f"s3://{bucket.bucket}")
    reader = ManifestReader(store, bucket.key, seconds=options.budget)
    try:
        return reader.load().manifest
    except Missing:
        if look:
            bucket.look(bucket.key)
        if reader.has_segments():
            raise
        return None


def segments_before(manifest: Manifest, limit: datetime) -> list[SegmentEntry]:
    """The segments that the newest version is read from, and whose last commit is older than ``limit``."""
    microseconds = limit.timestamp() * 1e6
    tables = (manifest, *manifest.shards)
    return [entry for table in tables for entry in table.segments if entry.time < microseconds]


def history_before(manifest: Manifest, limit: datetime) -> list[str]:
    """The names of segments that only versions older than ``limit`` are read from."""
    microseconds = limit.timestamp() * 1e6
    return [entry.name for entry in manifest.history if entry.time < microseconds]


def replaced_before(manifest: Manifest, limit: datetime) -> list[str]:
    """The names of objects that no version since ``limit`` uses.

    An object that was replaced when version v was the newest is used by v and those before. It is old when
    version v + 1 was made before ``limit``; a segment says the time of its last version only, so one that
    begins behind v must have ended by then.
    """
    microseconds = limit.timestamp() * 1e6
    made = [(entry.first_version, entry.time) for entry in manifest.segments]
    made += [(entry.version, entry.time) for entry in manifest.inline]
    ended = [first for first, time in made if time < microseconds]
    newest = max(ended, default=0)
    return [each.name for each in manifest.retired if each.version < newest]
