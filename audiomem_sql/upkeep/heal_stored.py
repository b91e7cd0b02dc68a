"""Makes the objects of a table with a manifest whole in every place, each from the places that have it.

Objects but the manifest never change, so one that is missing is put there, and a place that has none of them
becomes a copy. The manifest of the first place is the table's: the others get it when they have all objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from audiomem_sql.errors import DamagedFileError, InFile, NotAudioMemoryError, StorageError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.urls import shown
from audiomem_sql.upkeep.heal import Healed, copy_problems, heal_copies
from audiomem_sql.versions import Copy, StoredTable, as_numbered, open_copies, stored_tables
from audiomem_sql.warn_once import warn_once

if TYPE_CHECKING:
    from audiomem_sql.bytes import ByteSource
    from audiomem_sql.remote.commits import Manifest
    from audiomem_sql.remote.commits.store import Stored

#: Bytes that go up at once.
_PART_BYTES = 8 << 20


@dataclass(slots=True)
class _Place:
    """One place, its manifest, and what was done there."""

    table: StoredTable
    manifest: Stored | None
    parsed: Manifest | None
    done: Healed

    @property
    def name(self) -> str:
        """How messages name it."""
        return shown(self.table.url)

    def add(self, healed: Healed) -> None:
        """Take up what was done with one object; the first fault stays."""
        fault = f"{healed.place}: {healed.fault}" if healed.fault else ""
        self.done = replace(
            self.done,
            changed=self.done.changed or healed.changed,
            different=self.done.different + healed.different,
            fault=self.done.fault or fault,
        )


def heal_stored(places: Sequence[str], progress: Progress | None = None) -> list[Healed]:
    """What :func:`audiomem_sql.upkeep.healing.heal` does, for a table with a manifest.

    The error of the first place's manifest if that cannot be read: which version is the newest must be known.
    StorageError if another place has another table, or a later state. progress: objects done and in all.
    """
    newest, found = _open(places)
    names, old = names_of(newest), old_names(newest)
    for number, name in enumerate(names):
        _heal_object(found, name, may_be_archived=name in old)
        if progress is not None:
            progress(number + 1, len(names))
    first = found[0].manifest
    assert first is not None
    for place in found[1:]:
        if not place.done.fault and (place.manifest is None or place.manifest.data != first.data):
            _put_manifest(place, first.data)
    return [place.done for place in found]


def stored_problems(
    places: Sequence[str], progress: Progress | None = None
) -> Iterator[tuple[str, list[str]]]:
    """For each place, what its objects lack. Raises as :func:`heal_stored`."""
    newest, found = _open(places)
    for number, place in enumerate(found):
        faults = []
        if place.parsed is None:
            what = "there is no manifest" if place.manifest is None else "the manifest is damaged"
            faults.append(f"{place.name}: {what}")
        elif place.parsed.seq < newest.seq:
            had = place.parsed.version
            faults.append(f"{place.name}: has version {had}, and {newest.version} is the newest")
        old = old_names(newest)
        for name in names_of(newest):
            faults += _object_problems(place.table, name, may_be_archived=name in old)
        yield place.name, faults
        if progress is not None:
            progress(number + 1, len(found))


def _open(places: Sequence[str]) -> tuple[Manifest, list[_Place]]:
    """The manifest of the first place, and all places with theirs."""
    found = [_place(table) for table in stored_tables(places, _source)]
    first = found[0].parsed
    if first is None:
        found[0].table.reader.load()  # raises why
        raise StorageError("was replaced meanwhile", file=found[0].name, remedy="Try again.")
    for place in found[1:]:
        if place.parsed is not None:
            with InFile(place.name):
                _check_no_later(place.parsed, first)
    return first, found


def _source(url: str) -> ByteSource:
    from audiomem_sql.remote import RemoteFile

    return RemoteFile(url)


def _place(table: StoredTable) -> _Place:
    """A place with its manifest, if that is there and whole."""
    from audiomem_sql.remote.commits.store import Missing

    reader = table.reader
    place = _Place(table, None, None, Healed(shown(table.url), changed=False, different=0))
    try:
        place.manifest = reader.answered(lambda: reader.store.get(reader.paths.manifest))
        head = reader.parsed(place.manifest)
    except (Missing, DamagedFileError):
        return place
    place.parsed = head.manifest if head.mark == place.manifest.mark else None
    return place


def _check_no_later(other: Manifest, first: Manifest) -> None:
    if other.table != first.table:
        raise StorageError("holds another table", remedy="Leave it out, or choose another place.")
    if other.seq > first.seq or (other.seq == first.seq and other != first):
        raise StorageError(
            f"holds another history of the table (version {other.version}, and {first.version} in the first "
            "place)",
            remedy="Name the place first that has what you want, or leave one out.",
        )


def names_of(manifest: Manifest) -> list[str]:
    """All objects, the manifest not among them: that of the table's own key first, if it has one."""
    from audiomem_sql.remote.commits.paths import BASE

    own = [] if manifest.shards else [BASE]
    pages = [page.name for page in manifest.pages]
    segments = [entry.name for each in (manifest, *manifest.shards) for entry in each.segments]
    segments += [entry.name for entry in manifest.history]
    return [*own, *pages, *(name for name in segments if name != BASE)]


def old_names(manifest: Manifest) -> frozenset[str]:
    """Those that only old versions are read from, and that may therefore be archived."""
    return frozenset(entry.name for entry in manifest.history)


def is_archived(copy: Copy) -> bool:
    """Whether an object must be restored before it can be read; then it is closed, and a warning says so."""
    from audiomem_sql.remote import ArchivedError

    if not isinstance(copy.fault, ArchivedError):
        return False
    name = shown(copy.address)
    warn_once(("archived", name), f"{name} is archived, and was not looked at")
    copy.close()
    return True


def _heal_object(places: Sequence[_Place], name: str, *, may_be_archived: bool) -> None:
    urls = [place.table.url_of(name) for place in places]
    try:
        if is_page(name):
            healed = _heal_page(places, name)
        else:
            copies = open_copies(urls, as_numbered)
            if may_be_archived:
                both = [each for each in zip(places, copies, strict=True) if not is_archived(each[1])]
                places, copies = [place for place, _ in both], [copy for _, copy in both]
                urls = [copy.address for copy in copies]
            healed = heal_copies(copies, fill=_fill) if copies else []
    except (DamagedFileError, NotAudioMemoryError, StorageError) as error:
        healed = [Healed(shown(url), changed=False, different=0, fault=error.what) for url in urls]
    for place, each in zip(places, healed, strict=True):
        place.add(each)


def is_page(name: str) -> bool:
    """Whether it is a part of the manifest; all others are FLAC files."""
    return name.endswith(".page")


def _fill(url: str, path: str) -> None:
    """Put the file at ``path`` where there is no object."""
    from audiomem_sql.remote import RemoteOptions
    from audiomem_sql.remote.commits import table_store

    store, key = table_store(url, RemoteOptions.of_environment().timeout)

    def parts() -> Iterator[bytes]:
        with open(path, "rb") as file:
            while part := file.read(_PART_BYTES):
                yield part

    store.put_parts(key, parts())


def _heal_page(places: Sequence[_Place], name: str) -> list[Healed]:
    contents = [_stored(place.table, name) for place in places]
    sound = [each is not None and _is_whole(each.data) for each in contents]
    whole = next((each for each, ok in zip(contents, sound, strict=True) if ok and each is not None), None)
    if whole is None:
        raise DamagedFileError("is whole in no place")
    healed = []
    for place, content, ok in zip(places, contents, sound, strict=True):
        done = Healed(shown(place.table.url_of(name)), changed=False, different=0)
        if not ok:
            try:
                _put(place.table, name, whole.data, content)
                done = replace(done, changed=True, different=len(whole.data))
            except StorageError as error:
                done = replace(done, fault=error.what)
        healed.append(done)
    return healed


def _stored(table: StoredTable, name: str) -> Stored | None:
    from audiomem_sql.remote.commits.store import Missing

    reader = table.reader
    try:
        return reader.answered(lambda: reader.store.get(reader.paths.object(name)))
    except Missing:
        return None


def _is_whole(page: bytes) -> bool:
    from audiomem_sql.remote.commits.manifest_bytes import unpack_page

    try:
        unpack_page(page)
    except DamagedFileError:
        return False
    return True


def _put(table: StoredTable, name: str, data: bytes, before: Stored | None) -> None:
    store, key = table.reader.store, table.reader.paths.object(name)
    if before is None:
        store.put_if_absent(key, data)
    else:
        store.put_if_match(key, data, before.mark)


def _put_manifest(place: _Place, manifest: bytes) -> None:
    """Let a place have the manifest of the first one."""
    store, key = place.table.reader.store, place.table.reader.paths.manifest
    try:
        if place.manifest is None:
            store.put_if_absent(key, manifest)
        else:
            store.put_if_match(key, manifest, place.manifest.mark)
    except StorageError as error:
        place.add(Healed(_manifest_name(place), changed=False, different=0, fault=error.what))
    else:
        place.add(Healed(place.name, changed=True, different=len(manifest)))


def _manifest_name(place: _Place) -> str:
    return f"{place.table.store.name}/{place.table.reader.paths.manifest}"


def _object_problems(table: StoredTable, name: str, *, may_be_archived: bool) -> list[str]:
    url = table.url_of(name)
    if is_page(name):
        fault = page_problem(table, name)
        return [f"{shown(url)}: {fault}"] if fault else []
    (copy,) = open_copies([url], as_numbered)
    if may_be_archived and is_archived(copy):
        return []
    with closing(copy):
        return [str(problem) for problem in copy_problems(copy)]


def page_problem(table: StoredTable, name: str) -> str:
    """What is wrong with a page of the manifest; "" if nothing is."""
    stored = _stored(table, name)
    if stored is None:
        return "there is no such object"
    return "" if _is_whole(stored.data) else "is damaged"
