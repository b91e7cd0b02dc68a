"""Makes damaged copies of one file whole, from copies in other places."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from audiomem_sql.bytes import ByteSource, open_source
from audiomem_sql.errors import AudioMemError, DamagedFileError, NotAudioMemoryError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.durable import flush, replace_durably, storage_error, temporary_file
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.urls import is_url
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.storage.segment import open_table_file
from audiomem_sql.upkeep.repair import repaired
from audiomem_sql.upkeep.verify import Problem, problems
from audiomem_sql.versions import (
    Copy,
    Snapshot,
    TableFiles,
    check_alone,
    check_same,
    leader,
    open_copies,
    snapshot_of,
)

#: Bytes that are asked for at once, and those of a stretch that counts as different as a whole.
_STEP_BYTES, _STRETCH_BYTES = 4 << 20, 4096
#: Bytes that are asked for at once where some of them may be missing.
_JOINED_BYTES = 64 << 10
#: Seconds that another writer of a local file is waited for.
_LOCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Healed:
    """What was done in one place.

    changed: whether it was written anew. different: bytes that it had otherwise, in stretches of 4 KiB.
    fault: why it is still not whole; "" if it is.
    """

    place: str
    changed: bool
    different: int
    fault: str = ""


@dataclass(frozen=True, slots=True)
class _Alone:
    """What ``problems`` reads of one copy."""

    snapshot: Snapshot
    files: TableFiles


def copy_problems(copy: Copy, progress: Progress | None = None) -> Iterator[Problem]:
    """Every fault of one copy, as ``problems`` says it; its ``fault`` where it cannot be read at all."""
    if copy.source is None or copy.signature is None:
        fault = copy.fault
        assert fault is not None
        yield Problem(copy.name, None, (), f"{fault.place}: {fault.what}" if fault.place else fault.what)
        return
    snapshot, files = snapshot_of(copy, BlockCache(0))
    try:
        yield from problems(_Alone(snapshot, files), progress)
    finally:
        snapshot.close()


def heal_copies(
    copies: Sequence[Copy], progress: Progress | None = None, fill: Callable[[str, str], None] | None = None
) -> list[Healed]:
    """Write every damaged copy of a file anew, as a whole; what was done, a copy each. They are closed.

    What is written is a copy without a fault, or, if there is none, the file as it was made, out of all
    copies and their parity. It is verified before anything is written. StorageError if they are no copies of
    one file, DamagedFileError if all together are not whole; then nothing is written. fill: puts a file where
    there is no object, which otherwise is only told. progress: called with copies done and in all.
    """
    try:
        check_same(copies)
        leader(copies)
        sound = [copy for copy in copies if next(copy_problems(copy), None) is None]
        if len(sound) == len(copies):
            return [Healed(copy.name, changed=False, different=0) for copy in copies]
        with tempfile.TemporaryDirectory(prefix="audiomem-heal-") as folder:
            image = os.path.join(folder, "image.flac")
            try:
                _make_image(image, copies, sound)
            except OSError as error:
                raise storage_error(error, image) from error
            done = []
            for copy in copies:
                done.append(_healed(copy, image, fill, is_sound=copy in sound))
                if progress is not None:
                    progress(len(done), len(copies))
            return done
    finally:
        for copy in copies:
            copy.close()


def whole_copy(places: Sequence[str], snapshot: Snapshot, target: str) -> str:
    """Write what the copies in ``places`` have together beside ``target``, durably; the name of the file.

    snapshot: what they must hold. Raises as :func:`heal_copies`, and StorageError if they hold another state
    by now.
    """
    copies = open_copies(places)
    name = ""
    try:
        check_same(copies)
        signature, file = leader(copies).signature, snapshot.table_file
        assert signature is not None
        assert file is not None
        if signature.segments != tuple(segment.digest for segment in file.segments):
            raise StorageError("was replaced meanwhile", file=copies[0].address, remedy="Try again.")
        handle, name = temporary_file(target)
        with os.fdopen(handle, "wb"):
            _make_image(name, copies, [copy for copy in copies if next(copy_problems(copy), None) is None])
        with open(name, "rb") as made:
            flush(made.fileno())
    except BaseException as error:
        if name:
            with contextlib.suppress(OSError):
                os.unlink(name)
        if isinstance(error, OSError):
            raise storage_error(error, target) from error
        raise
    finally:
        for copy in copies:
            copy.close()
    return name


def _make_image(image: str, copies: Sequence[Copy], sound: Sequence[Copy]) -> None:
    """Write the whole file to ``image``, and look whether it is."""
    if sound:
        assert sound[0].source is not None
        with open(image, "wb") as file:
            for _, data in parts_of(sound[0].source):
                file.write(data)
    else:
        _join(image, copies)
    made = open_copies([image], copies[0].numbering)
    try:
        check_same([leader(copies), *made] if sound else made)
        problem = next(copy_problems(made[0]), None)
    finally:
        made[0].close()
    if problem is not None:
        raise DamagedFileError(
            f"all copies together are not whole: {problem.what}",
            file=copies[0].address,
            remedy="Save what is left: audiomem salvage",
        )


def _join(image: str, copies: Sequence[Copy]) -> None:
    """Write the file as it was made, out of what is whole in any copy, and their parity.

    The first copy is read; for each damaged cell in it a place is looked for where it is whole, and from
    there its bytes are taken then. What is not in cells, such as page headers, is there several times in each
    copy: it is written anew.
    """
    from audiomem_sql.remote.paces import InOrder
    from audiomem_sql.remote.replicas import ReplicatedSource

    readable = [each.source for each in copies if each.signature is not None]
    sources = [each.reopen() for each in readable if each is not None]
    source = ReplicatedSource(sources, paces=InOrder(len(sources)))
    numbering = copies[0].numbering
    file = open_table_file(source, BlockCache(0), numbering=numbering)
    try:
        for segment in file.segments:
            for damage in segment.file.damage():
                with contextlib.suppress(DamagedFileError):  # what parity brings back is written below
                    segment.file.payload_of_page(damage.page)
        with open(image, "wb") as joined:  # with the choices that were made
            for _, data in parts_of(file.newest.file.source.file, _JOINED_BYTES):
                joined.write(data)
    finally:
        file.close()
    local = open_table_file(image, BlockCache(0), numbering=numbering)
    try:
        temporary, _ = repaired(local, image, image, has_copies=True)
    finally:
        local.close()
    os.replace(temporary, image)


def parts_of(source: ByteSource, step: int = _STEP_BYTES) -> Iterator[tuple[int, bytes]]:
    """All bytes with their offsets. StorageError where some are missing."""
    for start in range(0, source.size, step):
        check_interrupt()
        length = min(step, source.size - start)
        data = source.read_at(start, length)
        if len(data) != length:
            raise StorageError("is shorter than it was", file=source.name, remedy="Try again.")
        yield start, data


def _healed(copy: Copy, image: str, fill: Callable[[str, str], None] | None, *, is_sound: bool) -> Healed:
    """Write one copy anew if it is damaged; a sound one is left as it is. fill: what is missing, too."""
    if copy.source is None:
        assert copy.fault is not None
        if fill is None or not is_missing(copy):
            return Healed(copy.name, changed=False, different=0, fault=copy.fault.what)
        try:
            fill(copy.address, image)
        except AudioMemError as error:
            return Healed(copy.name, changed=False, different=0, fault=error.what)
        return Healed(copy.name, changed=True, different=os.path.getsize(image))
    if is_sound:
        return Healed(copy.name, changed=False, different=0)
    different = _different(copy.source, image)
    try:
        if is_url(copy.address):
            replace_copy(copy, image)
        else:
            _replace_file(copy, image)
    except AudioMemError as error:
        return Healed(copy.name, changed=False, different=different, fault=error.what)
    return Healed(copy.name, changed=True, different=different)


def is_missing(copy: Copy) -> bool:
    """Whether there is no object where a copy should be, or an empty one."""
    from audiomem_sql.remote import NoObjectError

    return isinstance(copy.fault, (NoObjectError, NotAudioMemoryError)) and copy.source is None


def _different(source: ByteSource, image: str) -> int:
    """Bytes of the image in stretches that ``source`` has otherwise, or not at all."""
    found = 0
    with contextlib.closing(open_source(image)) as right:
        for start, data in parts_of(right):
            try:
                other = source.read_at(start, len(data))
            except StorageError:
                other = b""
            if other != data:
                found += sum(
                    len(data[low : low + _STRETCH_BYTES])
                    for low in range(0, len(data), _STRETCH_BYTES)
                    if data[low : low + _STRETCH_BYTES] != other[low : low + _STRETCH_BYTES]
                )
    return found


def replace_copy(copy: Copy, image: str) -> None:
    """Put the image in the place of an object, and look whether it is there: an answer may be lost."""
    from audiomem_sql.remote import RemoteFile, replace_object

    assert isinstance(copy.source, RemoteFile)
    fault: StorageError | None = None
    try:
        replace_object(copy.address, copy.source.pin, image)
    except StorageError as error:
        fault = error
    written = RemoteFile(copy.address)
    try:
        if written.size != os.path.getsize(image) or _different(written, image):
            raise fault or StorageError("does not hold what was written", file=copy.address)
    finally:
        written.close()


def _replace_file(copy: Copy, image: str) -> None:
    """Put the image in the place of a local file, as a repair does: durably, with its mode and owner."""
    path, source = copy.address, copy.source
    lock = WriterLock(path)
    lock.acquire(_LOCK_SECONDS)
    temporary = ""
    try:
        check_alone(path)
        TableFiles.at(path).check_one_name()
        if source is None or not source.is_current():
            raise StorageError("was replaced meanwhile", file=path, remedy="Try again.")
        handle, temporary = temporary_file(path)
        with open(image, "rb") as right, os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(right, file)
            file.flush()
            flush(file.fileno())
        replace_durably(temporary, path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        lock.release()
        lock.close()
