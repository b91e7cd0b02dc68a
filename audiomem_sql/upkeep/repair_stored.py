"""Makes damaged objects of a table in a store what they were, each by its own parity."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.durable import storage_error
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.urls import shown
from audiomem_sql.shards import is_sharded
from audiomem_sql.storage.segment import NumberedElsewhereError, open_table_file
from audiomem_sql.upkeep.heal import copy_problems, parts_of, replace_copy
from audiomem_sql.upkeep.heal_stored import is_archived, is_page, names_of, old_names, page_problem
from audiomem_sql.upkeep.repair import Repair, repaired
from audiomem_sql.versions import Copy, StoredTable, as_numbered, open_copies

if TYPE_CHECKING:
    from audiomem_sql.bytes import ByteSource


def repair_stored(url: str, progress: Progress | None = None) -> list[Repair]:
    """Make every damaged object of the table at ``url`` what it was, byte for byte; what was done, one each.

    An object is replaced as a whole, on the condition that nobody else did so, after what is to be there was
    verified. One that cannot be repaired keeps nobody from repairing the others; then its error is raised:
    UnsupportedError without protection, DamagedFileError for what its parity does not bring back,
    StorageError for what is missing, or cannot be written. The manifest has no parity: what is raised if it
    cannot be read says what brings it back. progress: objects done and in all.
    """
    if not is_sharded(url):
        try:
            (copy,) = open_copies([url])
        except NumberedElsewhereError:
            pass
        else:
            return [_repaired_copy(copy)]
    table = StoredTable(url.rstrip("/"), _source)
    manifest = table.reader.load().manifest
    names, old = names_of(manifest), old_names(manifest)
    repairs: list[Repair] = []
    failed: list[AudioMemError] = []
    for number, name in enumerate(names):
        try:
            if not is_page(name):
                (copy,) = open_copies([table.url_of(name)], as_numbered)
                if name not in old or not is_archived(copy):
                    repairs.append(_repaired_copy(copy))
            elif fault := page_problem(table, name):
                raise DamagedFileError(
                    fault,
                    file=table.url_of(name),
                    remedy=f"{table.reader.remedy_of(name)} Replicas heal it, too.",
                )
        except AudioMemError as error:
            failed.append(error.with_traceback(None))
        if progress is not None:
            progress(number + 1, len(names))
    if failed:
        raise _all_of(failed, len(names))
    return repairs


def _all_of(failed: list[AudioMemError], count: int) -> AudioMemError:
    """The first error, which says how many others there are."""
    first = failed[0]
    if len(failed) == 1:
        return first
    return type(first)(
        f"{first.what} ({len(failed)} of {count} objects cannot be repaired)",
        file=first.file,
        place=first.place,
        remedy=first.remedy,
    )


def _source(url: str) -> ByteSource:
    from audiomem_sql.remote import RemoteFile

    return RemoteFile(url)


def _repaired_copy(copy: Copy) -> Repair:
    """Repair one object, and close it. Errors name it, and not the file that it was copied to."""
    name = shown(copy.address)
    try:
        if copy.source is None:
            assert copy.fault is not None
            raise copy.fault
        if next(copy_problems(copy), None) is None:
            return Repair(name, 0, 0, changed=False)
        with tempfile.TemporaryDirectory(prefix="audiomem-repair-") as folder:
            image = os.path.join(folder, "image.flac")
            try:
                return _written(copy, image, name)
            except OSError as error:
                raise storage_error(error, image) from error
            except AudioMemError as error:
                if error.file is None or not error.file.startswith(folder):
                    raise
                raise type(error)(error.what, file=name, place=error.place, remedy=error.remedy) from None
    finally:
        copy.close()


def _written(copy: Copy, image: str, name: str) -> Repair:
    """Repair a local copy of the object, and put that in its place when nothing is wrong with it."""
    assert copy.source is not None
    with open(image, "wb") as file:
        for _, data in parts_of(copy.source):
            file.write(data)
    local = open_table_file(image, BlockCache(0), numbering=copy.numbering)
    try:
        temporary, done = repaired(local, image, image)
    finally:
        local.close()
    (made,) = open_copies([temporary], copy.numbering)
    try:
        problem = next(copy_problems(made), None)
    finally:
        made.close()
    if problem is not None:
        raise DamagedFileError(
            f"cannot be repaired: {problem.what}", file=name, remedy="Save what is left: audiomem salvage"
        )
    replace_copy(copy, temporary)
    return Repair(name, done.inner, done.outer, changed=True)
