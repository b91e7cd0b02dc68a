"""Pages that are appended to a table's file: a segment, or the announcement of a log.

The sealed pages are never overwritten. What is new is written behind them and flushed; then the first sector,
which says how many samples there are and which state this is, is written and flushed. Before that, whoever
opens the file takes what is behind the sealed pages for torn.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace as changed

from audiomem_sql.audio import VerbatimPages
from audiomem_sql.bytes.file_end import FileEnd
from audiomem_sql.errors import StorageError
from audiomem_sql.machine.durable import storage_error
from audiomem_sql.machine.interrupts import apart
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.pages import (
    FRONT_BYTES,
    FileSpec,
    HeadRecord,
    PageHeader,
    announce_page,
    changed_front,
    lay_out,
    packed_frames,
)
from audiomem_sql.storage.segment.data_spool import DataSpool
from audiomem_sql.storage.segment.new_file import Placement
from audiomem_sql.storage.segment.seal import EarlierSegment, Link, Seal
from audiomem_sql.storage.segment.table_file import TableFile


def can_append(file: TableFile) -> bool:
    """Whether pages can be appended to ``file`` as frames: it is as we wrote it, and PCM."""
    source = file.newest.file.source
    return (
        isinstance(source, VerbatimPages)
        and source.starts_the_file
        and file.format_version > 1
        and not file.mixed
        and source.present >= file.stop
    )


def _open_end(file: TableFile, first: int, *, cut: bool = True) -> FileEnd:
    """The end of ``file`` from page ``first`` on; cut: remove what is there.

    StorageError if somebody changed the file.
    """
    file.check_unchanged()
    return FileEnd(file.path, file.state, _frames(file).offset(first), cut=cut)


def _frames(file: TableFile) -> VerbatimPages:
    """The frames of a file to which pages can be appended."""
    source = file.newest.file.source
    assert isinstance(source, VerbatimPages)
    return source


def _front(file: TableFile, end: FileEnd, frames: int, record: HeadRecord) -> bytes:
    """The first bytes of ``file`` once it has so many frames, in the state of ``record``."""
    return changed_front(end.front[:FRONT_BYTES], file.newest.file.profile, frames, record)


class AppendedPages(Placement):
    """A segment that is appended to ``file``.

    behind: another one that is laid out, and becomes part of the file together with this. Only the last of
    several is published, and only then are they flushed, all at once.
    """

    def __init__(
        self, file: TableFile, behind: AppendedPages | None = None, *, together: bool = False
    ) -> None:
        """together: more segments come behind it before the file is flushed."""
        self._file = file
        self._behind = behind
        self._together = together
        #: Its first page, counted in pages of the file. An announce page stays.
        self.first = file.stop + (0 if file.announced is None else 1)
        if behind is not None:
            self.first = behind._frames
        self._end: FileEnd | None = None
        self._frames: int = 0
        self._head: HeadRecord | None = None
        self._header: PageHeader | None = None

    def following(self, versions: tuple[int, int], seal: Seal) -> tuple[AppendedPages, Seal]:
        """Where another segment comes, which is published in the place of this one, and its seal.

        versions: the first and the last of this one, whose seal is ``seal``.
        """
        head, header = self._head, self._header
        assert head is not None
        assert header is not None
        link = Link(head.segment_id, head.digest, seal.generation)
        this = EarlierSegment(
            head.segment_id,
            self.first,
            header.page_count,
            header.index,
            int(header.flags),
            *versions,
            head.digest,
        )
        following = Seal(seal.generation + 1, link, (*seal.earlier, this), seal.folded)
        return AppendedPages(self._file, self, together=True), following

    def lay_out(
        self,
        spec: FileSpec,
        catalog: bytes,
        spool: DataSpool,
        parity_bytes: int,
        progress: Progress | None,
    ) -> None:
        """Write the segment behind the sealed pages, and flush it, unless others come behind it first."""
        behind = self._behind
        if behind is None:
            end = _open_end(self._file, self.first)
        else:
            assert behind._end is not None
            end = behind._end
        self._end = end
        try:
            if behind is None:
                self._say_so(end)
            with end.sink(_frames(self._file).offset(self.first)) as sink:
                self._header = lay_out(
                    sink,
                    spec,
                    catalog,
                    spool,
                    spool.length,
                    progress,
                    parity_bytes,
                    first=self.first,
                )
                size = sink.tell()
            self._frames = _frames(self._file).pages_up_to(size)
            self._head = spec.head
            if not self._together:
                apart(end.flush)
        except OSError as error:
            self.abandon()
            raise storage_error(error, self._file.path) from error
        except BaseException:
            self.abandon()
            raise

    def _say_so(self, end: FileEnd) -> None:
        """Let the front say, durably, that a segment is about to come, unless a log has what is in it.

        A part of a segment is then what a crash left, and nothing that was committed.
        """
        file, front = self._file, self._file.front
        told = front is not None and front.is_open and front.segment_id == file.newest.catalog.segment_id
        if file.announced is None and not told:
            known = file.generation if front is None else max(file.generation, front.generation)
            record = changed(file.head, generation=known, appending=True)
            end.change_front(_front(file, end, file.stop, record))
            end.flush()

    def publish(self, *, replace: bool = True) -> None:
        """Let the front say that the segment is part of the file, durably."""
        assert self._end is not None
        assert self._head is not None
        try:
            if self._together:
                apart(self._end.flush)
            head = changed(self._head, sealed=self._frames)
            self._end.change_front(_front(self._file, self._end, self._frames, head))
            self._end.flush()
        except OSError as error:
            raise storage_error(error, self._file.path) from error

    def take_back(self) -> None:
        """Remove the segment, also after it was published. StorageError if that fails."""
        if self._behind is not None:
            self._end = None
            self._behind.take_back()
            return
        if self._end is None:
            return
        try:
            self._end.take_back()
        except OSError as error:
            raise storage_error(error, self._file.path) from error
        finally:
            self.close()

    def abandon(self) -> None:
        """Remove what was written; what stays by some mishap is removed by the next writer."""
        with contextlib.suppress(StorageError):
            self.take_back()

    def close(self) -> None:
        """Close the file."""
        if self._behind is not None:
            self._behind.close()
        elif self._end is not None:
            self._end.close()
        self._end = None


def announce(file: TableFile, session: bytes, writer: str) -> HeadRecord:
    """Say in the samples and at the front of ``file``, durably, that the log ``session`` goes with it.

    The head record that the front has then. On any error the file is as it was.
    """
    newest = file.newest.file
    record = file.head.announcing(session, file.next_generation)
    end = _open_end(file, file.stop)
    try:
        page = announce_page(record, newest.header, newest.layout, time.time_ns() // 1000, writer)
        end.append(packed_frames(newest.profile, file.stop, page))
        end.change_front(_front(file, end, file.stop + 1, record))
        end.flush()
    except BaseException as error:
        with contextlib.suppress(OSError):
            end.take_back()
        if isinstance(error, OSError):
            raise storage_error(error, file.path) from error
        raise
    finally:
        end.close()
    return record


def retract(file: TableFile) -> None:
    """Take an announcement back, durably: the log that goes with ``file`` has no commits.

    The front says so first. Until then the announce page stays: no failure leaves the log unannounced. A
    front whose flush failed may never reach the disk, so it is put back, and the next try writes it again.
    """
    end = _open_end(file, file.stop, cut=False)
    try:
        record = changed(file.head, generation=file.next_generation)
        try:
            end.change_front(_front(file, end, file.stop, record))
            end.flush()
        except BaseException:
            with contextlib.suppress(OSError, StorageError):
                end.change_front(end.front)
            raise
        end.cut()
        end.flush()
    except OSError as error:
        raise storage_error(error, file.path) from error
    finally:
        end.close()
