"""Reading the manifest: whole, with its pages, or only whether it is a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from audiomem_sql.errors import DamagedFileError, InFile, StorageError
from audiomem_sql.remote.commits.manifest import Manifest, PageEntry, SegmentEntry
from audiomem_sql.remote.commits.manifest_bytes import DroppedError, unpack_manifest, unpack_page
from audiomem_sql.remote.commits.paths import TablePaths
from audiomem_sql.remote.commits.store import Mark, Missing, ObjectStore, Stored, Unanswered
from audiomem_sql.remote.commits.waiting import Patience, Surroundings

__all__ = ["DroppedError", "Head", "ManifestReader", "check_goes_on"]

_T = TypeVar("_T")
#: How often a manifest is read anew whose pages are gone, because it was replaced meanwhile.
_ATTEMPTS = 5
_BACK = "Bring the object {} back from an older version that the store keeps, or restore a backup."


@dataclass(frozen=True, slots=True)
class Head:
    """A manifest, and the mark that its object has."""

    manifest: Manifest
    mark: Mark


class ManifestReader:
    """Reads the manifest of the table ``key``. Each call tries for ``seconds`` to get an answer."""

    def __init__(
        self, store: ObjectStore, key: str, *, seconds: float = 20, surroundings: Surroundings | None = None
    ) -> None:
        self.store = store
        self.paths = TablePaths(key)
        self.seconds = seconds
        self.surroundings = surroundings or Surroundings()
        self._pages: dict[str, tuple[SegmentEntry, ...]] = {}

    @property
    def where(self) -> str:
        """How messages name the table."""
        return f"{self.store.name}/{self.paths.key}"

    def load(self) -> Head:
        """The newest manifest. Missing if there is none, Unanswered if the store does not answer."""
        with InFile(self.where):
            try:
                stored = self.answered(lambda: self.store.get(self.paths.manifest))
            except Missing as error:
                raise self._gone() from error
            return self.parsed(stored)

    def refresh(self, head: Head) -> Head:
        """The newest manifest: ``head`` itself if it still is."""
        with InFile(self.where):
            key, mark = self.paths.manifest, head.mark
            try:
                stored = self.answered(lambda: self.store.get_if_none_match(key, mark))
            except Missing as error:
                raise self._gone() from error
            newer = head if stored is None else self.parsed(stored)
            check_goes_on(head.manifest, newer.manifest)
            return newer

    def read(self, name: str) -> bytes:
        """An object that a manifest names. StorageError if its version is not kept any more."""
        with InFile(self.where):
            try:
                return self.answered(lambda: self.store.get(self.paths.object(name))).data
            except Missing as error:
                raise StorageError(
                    f"the object {name} is gone: its version is no longer kept",
                    remedy="Open the newest version.",
                ) from error

    def remedy_of(self, name: str) -> str:
        """What to do where an object is gone, or is not what it was."""
        return _BACK.format(self.paths.object(name))

    def answered(self, ask: Callable[[], _T]) -> _T:
        """What ``ask`` gives, which may be asked again. Unanswered in the end."""
        patience = Patience(self.seconds, self.surroundings)
        while True:
            try:
                return ask()
            except Unanswered:
                if not patience.wait():
                    raise

    def parsed(self, stored: Stored) -> Head:
        """What a manifest says that was read; a newer one if that is gone by now. DamagedFileError."""
        for _ in range(_ATTEMPTS):
            try:
                manifest = unpack_manifest(stored.data, self._page)
                named = {page.name for page in manifest.pages}
                self._pages = {name: page for name, page in self._pages.items() if name in named}
                return Head(manifest, stored.mark)
            except DamagedFileError as error:
                error.at(remedy=_BACK.format(self.paths.manifest))
                raise
            except Missing:  # a page, which was removed: the manifest was replaced meanwhile
                newer = self.answered(lambda: self.store.get(self.paths.manifest))
                if newer.mark == stored.mark:
                    break
                stored = newer
        raise DamagedFileError("the manifest names a page that is not there", remedy="Restore a backup.")

    def _gone(self) -> Missing:
        """The error of a manifest that is not there."""
        return Missing(
            f"its manifest, {self.paths.manifest}, is not there",
            file=self.where,
            remedy="If the table was dropped, or never finished, create it again; if the object was deleted, "
            "bring it back from an older version that the store keeps, or restore a backup.",
        )

    def has_segments(self) -> bool:
        """Whether there are objects of a table; no segment comes before the first manifest."""
        return bool(self.answered(lambda: self.store.keys(self.paths.segments)))

    def _page(self, entry: PageEntry) -> tuple[SegmentEntry, ...]:
        if entry.name not in self._pages:
            data = self.answered(lambda: self.store.get(self.paths.object(entry.name))).data
            self._pages[entry.name] = unpack_page(data)
        return self._pages[entry.name]


def check_goes_on(known: Manifest, newer: Manifest) -> None:
    """StorageError if ``newer`` is no later state of the same table."""
    if known.table != newer.table or newer.seq < known.seq:
        what = "another table" if known.table != newer.table else "an older state of the table"
        raise StorageError(f"{what} took its place", remedy="Open the table again.")
