"""Files whose checksums are right and whose content lies, to make a reader work: run by ``make fuzz``.

    python tests/fuzz/hostile.py [name …]

Each is read through every door in a process of its own, with a limit of memory. Whatever a file says, only
errors of ours leave the package; and the bytes that are read, the pages that are decoded and the memory that
is taken stay in proportion to the file.
"""

from __future__ import annotations

import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import apsw
import msgpack
import numpy as np
import zstandard
from sealed import Sealed

import audiomem_sql
from audiomem_sql.audio import FlacWriter, open_pages
from audiomem_sql.audio.finding.opening import VerbatimPages
from audiomem_sql.audio.flac.metadata import join_blocks
from audiomem_sql.bytes import open_source
from audiomem_sql.bytes.local_file import LocalFile
from audiomem_sql.errors import AudioMemError, DamageWarning, LimitError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.log.chain import (
    CHAIN_FIELDS,
    FIRST_RECORD,
    SLOTS,
    Predecessor,
    Watermark,
    record_crc,
    record_digest,
)
from audiomem_sql.storage.log.content import LOG_HEADER, LOG_MAGIC
from audiomem_sql.storage.log.protected import encode_piece
from audiomem_sql.storage.log.reader import RECORD_HEADER
from audiomem_sql.storage.log.writer import SMALL_QUANTUM
from audiomem_sql.storage.pages.announcement import announce_page
from audiomem_sql.storage.pages.head_record import HeadRecord
from audiomem_sql.storage.pages.header import PAGE_BYTES_PER_HEADER_BYTE, PAGE_HEADER, PageFlag, PageHeader
from audiomem_sql.storage.pages.headers import Probe, copies_in, page_number
from audiomem_sql.storage.pages.layout import PageLayout
from audiomem_sql.table.description import describe
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems
from fuzz.huge import huge_files

#: Address space beyond what a process has when it starts, and processor seconds for all doors.
MEMORY = 4 << 30
SECONDS = 60
#: The most memory that any door may take, MiB.
PEAK = 1000
#: The same where a file has a value of half a gigabyte.
PEAK_OF_VALUE = 3 << 10
#: What opening may read and decode: so many times the file, and so much more.
TIMES, BYTES, PAGES = 8, 16 << 20, 4000
#: Batches that are read of what a file says that it has.
BATCHES = 100
MANY = 300
Relabel = Callable[[int, PageHeader], PageHeader]


@dataclass(frozen=True)
class Base:
    """A small table to begin from: its pages, and a header."""

    path: Path
    pages: np.ndarray[Any, Any]
    headers: list[PageHeader]
    application: bytes
    level: str

    @classmethod
    def make(cls, folder: Path, protection: str) -> Base:
        path = folder / f"{protection}.flac"
        options = {"profile": "embedded", "protection": protection}
        with Table.create(path, ["id INTEGER PRIMARY KEY", "a TEXT"], options) as table:
            table.append([{"id": number, "a": "x" * 50 + str(number)} for number in range(300)])
        source = open_pages(open_source(str(path)), Probe(str(path)), page_number)
        pages = source.read(0, source.present)
        size = source.page_size // PAGE_BYTES_PER_HEADER_BYTE
        headers = [next(each for each in copies_in(page[:size].tobytes()) if each) for page in pages]
        application = source.application or b""
        source.close()
        return cls(path, pages, headers, application, protection)

    def write(self, path: Path, pages: np.ndarray[Any, Any], head: HeadRecord | None = None) -> None:
        """A FLAC file with these pages; in front the head record of the table, or another."""
        source = Sealed.read(self.path)
        application = self.application
        if head is not None:
            application = application[: PAGE_HEADER.size] + head.pack()
        with path.open("wb") as sink:
            writer = FlacWriter(sink, source.profile, len(pages), application, {"TITLE": "a"})
            writer.write_pages(pages)
            writer.close()

    @property
    def head(self) -> HeadRecord:
        head = HeadRecord.unpack(self.application[PAGE_HEADER.size :])
        assert head is not None
        return head

    def relabelled(self, copies: int, relabel: Relabel) -> np.ndarray[Any, Any]:
        """The table, then its last page ``copies`` times with other headers."""
        pages = np.concatenate([self.pages, np.repeat(self.pages[-1:], copies, 0)])
        size = pages.shape[1] // PAGE_BYTES_PER_HEADER_BYTE
        for number in range(len(self.pages), len(pages)):
            header = relabel(number, self.headers[-1]).pack()
            area = header * (size // len(header))
            pages[number, : len(area)] = np.frombuffer(area, np.uint8)
        return pages


def _candidate(**changes: Any) -> Relabel:
    """Every page says that a segment of its own begins there."""
    return lambda number, header: replace(
        header, segment_id=struct.pack(">Q", number), page_number=0, **changes
    )


def _alternating(number: int, header: PageHeader) -> PageHeader:
    return replace(header, segment_id=bytes([number % 2]) * 8, page_number=number // 2, page_count=2**31)


WHOLE, COMPACT, APPENDED = (int(flag) for flag in (PageFlag.WHOLE, PageFlag.COMPACT, PageFlag.APPENDED))
RELABELS: dict[str, Relabel] = {
    "candidates": _candidate(page_count=3, index=1, flags=0),
    "endless candidates": _candidate(page_count=2**32 - 1, index=1, flags=0),
    "whole candidates": _candidate(page_count=3, index=1, flags=WHOLE),
    "compact candidates": _candidate(page_count=1, index=1, flags=COMPACT),
    "appended candidates": _candidate(page_count=1, index=1, flags=COMPACT | APPENDED),
    "whole single pages": _candidate(page_count=1, index=1, flags=COMPACT | WHOLE),
    "wide catalogs": _candidate(page_count=2**31, index=2**16 - 1, flags=WHOLE),
    "alternating": _alternating,
    "old headers": lambda number, header: replace(
        header, format_version=1, page_number=number, page_count=2**32 - 1
    ),
    "far pages": lambda number, header: replace(header, page_number=2**32 - 1),
    "unknown flags": lambda number, header: replace(header, flags=255),
}


def page_files(base: Base) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Headers, announcements and head records that lie."""
    for name, relabel in RELABELS.items():
        yield name, lambda path, relabel=relabel: base.write(path, base.relabelled(MANY, relabel))
    for name, relabel in list(RELABELS.items())[:6]:
        head = replace(base.head, sealed=2**32)
        yield (
            f"{name}, sealed",
            lambda path, relabel=relabel, head=head: base.write(path, base.relabelled(MANY, relabel), head),
        )
    yield "announcements", lambda path: base.write(path, announced(base, MANY))
    for name, head in {
        "head ahead": replace(base.head, sealed=2**63, generation=2**63),
        "head behind": replace(base.head, sealed=0, generation=0),
        "foreign head": replace(base.head, table_id=b"x" * 16, segment_id=b"y" * 8),
        "head with a session": replace(base.head, session=b"session!"),
    }.items():
        yield name, lambda path, head=head: base.write(path, base.pages, head)


def announced(base: Base, count: int) -> np.ndarray[Any, Any]:
    """The table and so many announce pages, each of another session."""
    sealed = Sealed.read(base.path)
    layout = PageLayout(base.pages.shape[1], sealed.level)
    pages = [
        announce_page(
            replace(base.head, sealed=len(base.pages), session=struct.pack(">Q", number + 1)),
            base.headers[-1],
            layout,
            0,
            "x",
        )
        for number in range(count)
    ]
    return np.concatenate([base.pages, *pages])


def _seal(base: Base, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        sealed = Sealed.read(base.path)
        seal = sealed.catalog.setdefault(
            "seal",
            {"generation": 1, "before": None, "earlier": [], "folded": None, "data_digest": bytes(16)},
        )
        change(seal)
        sealed.write(path)

    return write


def _earlier(count: int, first: int = 1, step: int = 1, pages: int = 1) -> list[list[Any]]:
    return [[b"segment!", first + number * step, pages, 1, WHOLE, 1, 1, bytes(16)] for number in range(count)]


def seal_files(base: Base) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Seals that name segments which are not there."""
    changes: dict[str, dict[str, Any]] = {
        "a million earlier": {"earlier": _earlier(400_000)},
        "one place": {"earlier": _earlier(1000, 0, 0)},
        "beyond": {"earlier": _earlier(10, 2**31, 1)},
        "many pages": {"earlier": _earlier(1, 0, 1, 2**32 - 1)},
        "no pages": {"earlier": _earlier(1000, 0, 0, 0)},
        "generation": {"generation": 2**63},
        "flags": {"earlier": [[b"segment!", 0, 1, 2**32 - 1, 255, 1, 1, bytes(16)]]},
        "itself": {"before": [b"segment!", bytes(16), 2**63 - 1]},
    }
    for name, change in changes.items():
        yield name, _seal(base, lambda seal, change=change: seal.update(change))


def _nested(depth: int, claims: int) -> bytes:
    return (b"\xdd" + struct.pack(">I", claims)) * depth


def catalog_files(base: Base) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Catalogs that grow when they are unpacked, and places that are named again and again."""

    def raw(content: bytes, **options: Any) -> Callable[[Path], None]:
        return lambda path: Sealed.read(base.path).write_raw(path, content, **options)

    def changed(change: Callable[[Sealed], None]) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            sealed = Sealed.read(base.path)
            change(sealed)
            sealed.write(path)

        return write

    yield "zeros", raw(bytes(1 << 26))
    yield "a size that is not", raw(b"\xc0", size=1 << 28)
    yield "nested lists", raw(_nested(1000, (1 << 20) - 1) + bytes(1 << 20))
    yield "empty lists", raw(b"\xdd" + struct.pack(">I", 1 << 20) + b"\x90" * (1 << 20))
    yield "many lists", raw((b"\xdd" + struct.pack(">I", 1 << 20) + b"\x90" * (1 << 20)) * 8)
    yield "one extent", changed(one_extent)
    yield "one block for all", changed(one_block_for_all)
    yield "a large option", changed(lambda sealed: sealed.catalog["options"].update(x=bytes(1 << 26)))
    yield (
        "versions",
        changed(
            lambda sealed: sealed.catalog.update(versions=[[n + 1, 0, 0, 0, None] for n in range(500_000)])
        ),
    )
    yield "rows", changed(lambda sealed: sealed.catalog.update(rows=2**48, rowid_range=[1, 2**48]))
    for pattern in ("(a+)+$" + "a" * 5000, "%" * 2000 + "a"):
        yield (
            f"a CHECK with {pattern[:6]}",
            changed(
                lambda sealed, pattern=pattern: sealed.catalog.update(
                    requires=[*sealed.catalog["requires"], "checks"],
                    checks=[{"expression": f"a LIKE '{pattern}' OR a REGEXP '{pattern}'"}],
                )
            ),
        )


def one_extent(sealed: Sealed) -> None:
    """A gigabyte of zeros, named by everything that may name an extent."""
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 30))
    place = [len(sealed.data), len(bomb), 1 << 30]
    sealed.data += bomb
    sealed.catalog |= {"data_bytes": len(sealed.data), "tombstones": place, "sources": place}


def one_block_for_all(sealed: Sealed) -> None:
    """Columns by the hundred, all of which have the same block."""
    columns, schema = sealed.catalog["columns"], sealed.catalog["schema"]
    for number in range(500):
        columns.append(columns[1])
        schema.append({**schema[1], "name": f"a{number}"})


def log_of(
    head: HeadRecord, record: bytes, *, quantum: int = SMALL_QUANTUM, form: int = 3, **claims: Any
) -> bytes:
    """A log in format 3 or 4 that continues the segment of ``head``, with one record."""
    before = Predecessor(head.segment_id, head.digest, head.last_version)
    copies = claims.get("copies", 1 if form == 3 else 2)
    packed = LOG_HEADER.pack(LOG_MAGIC, form, head.table_id, before.version, 7, 0)[:-4]
    packed += crc32c(packed).to_bytes(4, "little")
    packed += CHAIN_FIELDS.pack(b"session!", before.segment_id, before.digest, quantum, copies, 0)[:-4]
    packed += crc32c(packed).to_bytes(4, "little")
    digest = record_digest(before.digest, record)
    length = claims.get("length", len(record))
    body = RECORD_HEADER.pack(length, record_crc(record, 7, before.version + 1, digest), digest) + record
    mark = Watermark(
        before.version + claims.get("ahead", 1), FIRST_RECORD + len(body), digest, b"session!"
    ).pack(7)
    if form == 4:
        packed, mark = encode_piece(packed, 0), encode_piece(mark, 7)
    out = (packed.ljust(SLOTS[0], b"\0") + mark).ljust(FIRST_RECORD, b"\0") + body
    return out.ljust(-(-len(out) // SMALL_QUANTUM) * SMALL_QUANTUM, b"\0")


def log_files(base: Base) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Logs that claim lengths, copies and quanta."""
    empty = msgpack.packb(
        {"version": 1, "time": 0, "inserted": [], "deleted": [], "message": None, "sources": None, "tags": {}}
    )
    logs: dict[str, tuple[bytes, dict[str, Any]]] = {
        "no quantum": (empty, {"quantum": 0}),
        "a huge quantum": (empty, {"quantum": 2**32 - 1}),
        "copies, no quantum": (empty, {"quantum": 0, "form": 4}),
        "copies, a tiny quantum": (empty, {"quantum": 1, "form": 4}),
        "copies, a huge quantum": (empty, {"quantum": 2**32 - 1, "form": 4, "copies": 8}),
        "a long record": (empty, {"length": 2**32 - 1}),
        "a watermark ahead": (empty, {"ahead": 2**40}),
        "nested lists": (_nested(1000, 1 << 20) + bytes(1 << 20), {}),
        "empty lists": (b"\xdd" + struct.pack(">I", 1 << 20) + b"\x90" * (1 << 20), {}),
    }
    for name, (record, claims) in logs.items():

        def write(path: Path, record: bytes = record, claims: dict[str, Any] = claims) -> None:
            head = replace(base.head, session=b"session!", generation=base.head.generation + 1)
            sealed = Sealed.read(base.path)
            layout = PageLayout(base.pages.shape[1], sealed.level)
            announcement = announce_page(
                replace(head, sealed=len(base.pages)), base.headers[-1], layout, 0, "x"
            )
            base.write(path, np.concatenate([base.pages, announcement]), head)
            Path(f"{path}-wal").write_bytes(log_of(base.head, record, **claims))

        yield f"log: {name}", write


def metadata_files(base: Base) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """FLAC metadata, tags in front, and syncs without frames."""
    audio = base.path.read_bytes()
    end = audio.index(b"\xff\xf8")
    blocks: list[tuple[int, bytes]] = []
    at = 4
    while at < end:
        length = int.from_bytes(audio[at + 1 : at + 4], "big")
        blocks.append((audio[at] & 127, audio[at + 4 : at + 4 + length]))
        last, at = audio[at] & 128, at + 4 + length
        if last:
            break
    comments = struct.pack("<I", 0) + struct.pack("<I", 2**32 - 1) + bytes(4 << 20)

    def with_blocks(more: list[tuple[int, bytes]]) -> Callable[[Path], None]:
        return lambda path: path.write_bytes(join_blocks([blocks[0], *more, *blocks[1:]]) + audio[at:])

    yield "many blocks", with_blocks([(1, b"")] * 100_000)
    yield "pictures", with_blocks([(6, struct.pack(">IIIIIIII", 3, 0, 0, 1, 1, 24, 0, 2**32 - 1))] * 50)
    yield "comments", with_blocks([(4, comments)])
    yield "a seek table", with_blocks([(3, b"\xff" * 18 * 100_000)])
    yield "a tag", lambda path: path.write_bytes(b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + audio)
    yield (
        "syncs",
        lambda path: path.write_bytes(audio[:at] + b"\xff\xf8\xca\x1c\x00+" * 100_000),
    )
    yield (
        "a length beyond",
        lambda path: path.write_bytes(audio[:at].replace(audio[42:46], b"\x02\xff\xff\xff") + audio[at:]),
    )


def files(folder: Path) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Every hostile file: its name, and what writes it."""
    for protection in ("none", "archive"):
        base = Base.make(folder, protection)
        kinds = [page_files, seal_files, catalog_files, metadata_files]
        kinds += [log_files] if protection == "none" else []
        for kind in kinds:
            for name, write in kind(base):
                yield f"{protection}: {name}", write
        for name, write in huge_files(protection):
            yield f"{protection}: {name}", write


@dataclass
class Work:
    """What a reader did."""

    bytes: int = 0
    pages: int = 0


@contextmanager
def counted() -> Iterator[Work]:
    """Count the bytes that are read of files, and the pages that are taken out of them."""
    work = Work()
    read_at, read_checked = LocalFile.read_at, VerbatimPages.read_checked

    def counting_bytes(self: LocalFile, at: int, length: int) -> bytes:
        data = read_at(self, at, length)
        work.bytes += len(data)
        return data

    def counting_pages(self: VerbatimPages, first: int, count: int) -> Any:
        work.pages += count
        return read_checked(self, first, count)

    LocalFile.read_at, VerbatimPages.read_checked = counting_bytes, counting_pages  # type: ignore[method-assign]
    try:
        yield work
    finally:
        LocalFile.read_at, VerbatimPages.read_checked = read_at, read_checked  # type: ignore[method-assign]


def _read(path: Path) -> None:
    with Table(path, cache=BlockCache(8 << 20)) as table:
        for batch in islice(table.scan(), BATCHES):
            batch.validate(full=True)


def _verify(path: Path) -> None:
    with Table(path) as table:
        sum(1 for _ in problems(table))


def _salvage(path: Path) -> None:
    with Table(path, salvage=True) as table:
        sum(batch.num_rows for batch in islice(table.scan(), BATCHES))


def _info(path: Path) -> None:
    with Table(path) as table:
        describe(table)


def _sql(path: Path) -> None:
    connection = audiomem_sql.connect(str(path))
    try:
        for query in ("WHERE id > 3 LIMIT 300", "ORDER BY rowid DESC LIMIT 3"):
            connection.execute(f"SELECT * FROM {path.stem} {query}").fetchall()
    except apsw.TooBigError as error:  # SQLite has no values of half a gigabyte
        raise LimitError(str(error)) from None


DOORS: dict[str, Callable[[Path], None]] = {
    "open": lambda path: Table(path).close(),
    "read": _read,
    "info": _info,
    "sql": _sql,
    "verify": _verify,
    "salvage": _salvage,
}


def through(door: str, path: Path) -> tuple[str, Work]:
    """How reading ended, and what it took. Errors that are not ours go through."""
    with counted() as work, warnings.catch_warnings():
        warnings.simplefilter("ignore", DamageWarning)
        try:
            DOORS[door](path)
        except AudioMemError as error:
            return type(error).__name__, work
    return "read", work


def room_for(path: Path) -> tuple[int, int]:
    """Bytes and pages that opening may take."""
    size = path.stat().st_size
    return TIMES * size + BYTES, PAGES


def most_memory() -> int:
    """The most memory that the process had so far, KiB; not that of the one which started it."""
    return next(
        int(line.split()[1])
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )


def _child(path: Path) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    base = most_memory()
    for door in DOORS:
        start = time.process_time()
        try:
            end, work = through(door, path)
        except Exception as error:
            end, work = f"NOT OURS {type(error).__name__}: {error!s:.200}", Work()
        peak = (most_memory() - base) >> 10
        facts = [door, end, work.bytes, work.pages, round(time.process_time() - start, 1), peak]
        print(json.dumps(facts), flush=True)


def main() -> int:
    """Read every file in a process of its own; 1 if something was out of proportion."""
    if len(sys.argv) > 2 and sys.argv[1] == "--read":
        _child(Path(sys.argv[2]))
        return 0
    broken = count = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "t.flac"
        for file, write in files(folder):
            if sys.argv[1:] and not any(wanted in file for wanted in sys.argv[1:]):
                continue
            Path(f"{path}-wal").unlink(missing_ok=True)
            write(path)
            count += 1
            most_bytes, most_pages = room_for(path)
            ran = subprocess.run(
                [sys.executable, __file__, "--read", str(path)], capture_output=True, text=True, check=False
            )
            lines = [json.loads(line) for line in ran.stdout.splitlines()]
            wrong = ran.returncode != 0 or any("NOT OURS" in line[1] for line in lines)
            wrong = wrong or any(
                line[0] == "open" and (line[2] > most_bytes or line[3] > most_pages) for line in lines
            )
            wrong = wrong or any(line[5] > (PEAK_OF_VALUE if "a value" in file else PEAK) for line in lines)
            broken += wrong
            size = path.stat().st_size
            print(f"{'WRONG ' if wrong else ''}{file} ({size >> 10} KiB, rc {ran.returncode})")
            for line in lines:
                print("   ", *line)
            if ran.returncode:
                print(ran.stderr[-2000:])
    print(f"{count} files, {broken} out of proportion")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
