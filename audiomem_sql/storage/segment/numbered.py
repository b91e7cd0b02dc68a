"""Segments of a table in a store: the manifest says which versions and rowids they have.

Such a file names the feature ``manifest-numbers``, so that nobody takes it for a table by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from audiomem_sql.errors import DamagedFileError, UnsupportedError
from audiomem_sql.storage.pages import PagedFile
from audiomem_sql.storage.segment.catalog import Catalog, Migration, SchemaHistory
from audiomem_sql.storage.segment.catalog_copies import StoredCatalog, any_catalog
from audiomem_sql.storage.segment.catalog_features import NUMBERED_BY

#: Makes the catalog that a segment has of the one that is stored in it.
Numbering = Callable[[Catalog], Catalog]


class NumberedElsewhereError(UnsupportedError):
    """A file that is a segment of a table in a store, opened by itself."""


def numbered_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a catalog, with the word that a manifest numbers the segment."""
    return options | dict([NUMBERED_BY])


def check_own_numbers(catalog: Catalog, path: str) -> None:
    """NumberedElsewhereError for a segment that a manifest numbers."""
    if catalog.options.get(NUMBERED_BY[0]) == NUMBERED_BY[1]:
        raise NumberedElsewhereError(
            "is one segment of a table in an object store, whose rows and versions the manifest beside it "
            "numbers",
            file=path,
            remedy="Open the table by its URL, or copy all of it: audiomem backup URL copy.flac",
        )


def renumbered(catalog: Catalog, version: int, time: int, low_rowid: int, high_rowid: int) -> Catalog:
    """The catalog of the one commit of a segment, as version ``version``, with the rowids that it was given.

    Rowids that are not one run were given by the writer, and stay. DamagedFileError if the segment has
    several commits, or another number of rows.
    """
    if len(catalog.versions) != 1:
        raise DamagedFileError("the segment holds several commits, and the manifest says one")
    history = catalog.history
    migrations = tuple(Migration(step.number, version, step.text) for step in history.migrations)
    changed = replace(
        catalog,
        versions=(replace(catalog.versions[0], number=version, time=time),),
        history=SchemaHistory((), migrations, history.next_column) if migrations else history,
    )
    if catalog.first_rowid is None or not catalog.rows or low_rowid == catalog.first_rowid:
        return changed
    if high_rowid - low_rowid + 1 != catalog.rows:
        raise DamagedFileError("the manifest says another number of rows than the segment has")
    return replace(changed, first_rowid=low_rowid, low_rowid=low_rowid, high_rowid=high_rowid)


def numbered_catalog(
    own: PagedFile, stored: StoredCatalog | None, numbering: Numbering | None
) -> StoredCatalog:
    """The catalog of a segment, which may be read already: with the numbers of a manifest, or its own."""
    stored = stored or any_catalog(own)
    if numbering is None:
        check_own_numbers(stored.catalog, own.path)
        return stored
    return replace(stored, catalog=numbering(stored.catalog))
