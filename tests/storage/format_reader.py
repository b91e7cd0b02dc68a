"""Reads a table with what docs/FORMAT.md says, and nothing of ours: FLAC, pages, segments, seals and log.

For pages that are the samples (modulation ``pcm``), without damage, and for the newest version only.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import numpy as np
import zstandard

from audiomem_sql.protection.crc32c import crc32c  # proved to be the one of the document in test_format.py

CELL = {0: (1020, 1016), 1: (892, 888), 2: (892, 888)}
CATALOG, DATA, PARITY, ANNOUNCE = range(4)
FLAGS = COMPACT, WHOLE, APPENDED = 1, 2, 4


def blake(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def zstd(data: bytes, dictionary: bytes | None = None) -> bytes:
    """The content of a frame; what stands behind it is not part of it."""
    known = None
    if dictionary is not None:
        known = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdDecompressor(dict_data=known).decompressobj().decompress(data)


def integers(data: bytes, count: int) -> tuple[list[int], int]:
    """Values of an integers header and its codes, and the bytes that they take."""
    mode, width, base, scale, first = struct.unpack_from("<BBqQq", data)
    coded = count - mode
    planes = np.frombuffer(data, np.uint8, coded * width, 26).reshape(width, coded).astype(object)
    codes = sum((planes[place] << 8 * place for place in range(width)), np.zeros(coded, object))
    values = [(base + scale * code) % 2**64 for code in codes.tolist()]
    if mode:
        total, steps = first, values
        values = [first]
        for step in steps:
            total += step
            values.append(total)
    return [(value + 2**63) % 2**64 - 2**63 for value in values], 26 + coded * width


@dataclass
class Head:
    """A head record."""

    state: int
    generation: int
    table: bytes
    sealed: int
    segment: bytes
    digest: bytes
    version: int
    session: bytes

    @classmethod
    def read(cls, data: bytes) -> Head:
        magic, version, state, *fields, zero, crc = struct.unpack("<4sBB2xQ16sQ8s16sQ8sII", data[:88])
        assert (magic, version, zero) == (b"AuMH", 1, 0)
        assert crc == crc32c(data[:84])
        return cls(state, *fields)


@dataclass
class Header:
    """A page header."""

    kind: int
    protection: int
    segment: bytes
    number: int
    count: int
    flags: int
    index: int

    @classmethod
    def read(cls, page: bytes) -> Header:
        magic, version, kind, protection, _, segment, number, count, block, flags, index, crc = struct.unpack(
            "<4sBBBB8sIIBBHI", page[:32]
        )
        assert (magic, version) == (b"AuMP", 2)
        assert crc == crc32c(page[:28])
        assert block >= 1
        assert page[: len(page) // 256].startswith(page[:32] * (len(page) // 256 // 32))
        return cls(kind, protection, segment, number, count, flags, index)

    def cells(self, page: bytes, place: int = 0) -> bytes:
        """The payloads of a page, each of which has its CRC. place: page number in the segment."""
        size, payload = CELL[self.protection]
        area, cells = len(page) // 256, len(page) // 1024
        parts = []
        for cell in range(cells):
            data = page[area + cell * size :][:size]
            start = (crc32c(self.segment) + place * cells + cell) % 2**32
            assert crc32c(data[:payload], start) == int.from_bytes(data[payload:], "little")
            parts.append(data[:payload])
        return b"".join(parts)


class Block(NamedTuple):
    """What a block directory says of a block."""

    rows: int
    nulls: int
    place: int
    stored: int
    raw: int
    encoding: int


def planes(data: bytes, element: str) -> np.ndarray[Any, Any]:
    """Numbers from byte planes."""
    size = np.dtype(element).itemsize
    return np.frombuffer(np.frombuffer(data, np.uint8).reshape(size, -1).T.tobytes(), element)


def read_page(
    page: bytes, count: int, place: int, bound: str | None
) -> tuple[list[Block], list[tuple[Any, Any]]]:
    """The blocks of a directory page, the first of which is at ``place``, and their bounds."""
    at, arrays = 0, list[Any]()
    for element in ("<u4", "<u4", "<i8", "<u4", "<u4", "u1", *((bound, bound) if bound else ())):
        size = count * np.dtype(element).itemsize
        part = page[at : at + size]
        arrays.append(np.frombuffer(part, element) if element in ("u1", "S16") else planes(part, element))
        at += size
    assert at == len(page)
    rows, nulls, steps, stored, raw, encodings, *bounds = (array.tolist() for array in arrays)
    places = (place + np.cumsum(steps)).tolist()
    return (
        [Block(*each) for each in zip(rows, nulls, places, stored, raw, encodings, strict=True)],
        list(zip(*bounds, strict=True)) if bounds else [],
    )


@dataclass
class ReadSegment:
    """A segment: its catalog, its digest, its data stream."""

    header: Header
    first: int
    catalog: dict[str, Any]
    digest: bytes
    data: bytes

    @classmethod
    def read(cls, pages: list[bytes], first: int, header: Header) -> ReadSegment:
        stream = b"".join(header.cells(pages[first + n], n) for n in range(header.count))
        magic, stored, raw, crc = struct.unpack_from("<4sIII", stream)
        blob = stream[: 16 + stored]
        assert magic == b"AuMC"
        assert crc == crc32c(blob[16:])
        packed = zstd(blob[16:])
        assert len(packed) == raw
        cells, payload = len(pages[0]) // 1024, CELL[header.protection][1]
        copy = header.index * payload * (1 if header.flags & COMPACT else cells)
        assert stream[-copy:][: len(blob)] == blob
        catalog = msgpack.unpackb(packed)
        data = stream[copy : copy + catalog["data_bytes"]]
        assert blake(data) == catalog["seal"]["data_digest"]
        assert catalog["segment"] == header.segment
        return cls(header, first, catalog, blake(blob), data)

    def extent(self, place: list[int]) -> bytes:
        return zstd(self.data[place[0] : place[0] + place[1]])

    def directory(self, entry: dict[str, Any], bound: str | None = "<i8") -> list[Block]:
        """The blocks of a column, whose bounds are of type ``bound``; None if they have none."""
        blocks = entry["blocks"]
        if "groups" in blocks:
            return self.paged(blocks["groups"], bound)
        places = np.cumsum(np.frombuffer(blocks["offsets"], "<i8"))
        zones = blocks["zones"]
        arrays = [np.frombuffer(zones[name], "<i8") for name in ("rows", "nulls")]
        arrays += [places, *(np.frombuffer(blocks[name], "<u4") for name in ("stored", "raw"))]
        return [
            Block(*map(int, numbers), code)
            for *numbers, code in zip(*arrays, blocks["encodings"], strict=True)
        ]

    def paged(self, groups: dict[str, Any], bound: str | None) -> list[Block]:
        """The same of a directory in two levels; all that the catalog says of a group is compared."""
        names = ["offsets", "lengths", "stored", "raw", "densest", "before", "after", "pages", "copies"]
        said = {name: np.frombuffer(groups[name], "<i8") for name in names}
        said |= {name: np.cumsum(said[name]) for name in ("offsets", "pages", "copies")}
        said["page"] = np.frombuffer(groups["pages_stored"], "<u4")
        zones, found = groups["zones"], list[Block]()
        said |= {name: np.frombuffer(zones[name], "<i8") for name in ("rows", "nulls")}
        assert len(said["rows"]) == -(-groups["blocks"] // groups["size"])
        bounds = [np.frombuffer(zones[name], bound) for name in ("low", "high")] if bound else []
        end = 0
        for group in range(len(said["rows"])):
            of = {name: int(values[group]) for name, values in said.items()}
            count = min(groups["size"], groups["blocks"] - group * groups["size"])
            page = zstd(self.data[of["pages"] : of["pages"] + of["page"]])
            assert page == zstd(self.data[of["copies"] : of["copies"] + of["page"]])
            blocks, ends = read_page(page, count, of["offsets"], bound)
            if bounds and (
                some := [end for end, block in zip(ends, blocks, strict=True) if block.rows > block.nulls]
            ):
                assert (min(low for low, _ in some), max(high for _, high in some)) == tuple(
                    values[group] for values in bounds
                )
            assert of["offsets"] >= end
            assert of["offsets"] == blocks[0].place
            end = blocks[-1].place + blocks[-1].stored
            assert of["lengths"] == end - of["offsets"]
            for name in ("rows", "nulls", "stored", "raw"):
                assert of[name] == sum(getattr(block, name) for block in blocks)
            assert of["densest"] == max(-(-block.raw // block.rows) for block in blocks)
            step, row = of["lengths"] * 65_536 // of["rows"], 0
            for block in blocks:
                for each in range(row, row + block.rows):
                    at = of["offsets"] + each * step // 65_536
                    assert at - of["before"] <= block.place
                    assert block.place + block.stored <= at + of["after"]
                row += block.rows
            found += blocks
        return found

    def values(self, entry: dict[str, Any]) -> list[int | None]:
        """A column of integers."""
        found = list[int | None]()
        for block in self.directory(entry):
            count = block.rows
            if block.nulls == count:
                found += [None] * count
                continue
            content = zstd(self.data[block.place : block.place + block.stored])
            valid = [True] * count
            if block.nulls:
                bits = np.frombuffer(content[: -(-count // 8)], np.uint8)
                valid = np.unpackbits(bits, bitorder="little")[:count].astype(bool).tolist()
                content = content[-(-count // 8) :]
            numbers, _ = integers(content, count)
            found += [number if is_valid else None for number, is_valid in zip(numbers, valid, strict=True)]
        return found

    def rowids(self) -> tuple[set[int], set[int]]:
        """Those that the segment's last version shows, and those that it deleted of earlier segments."""
        catalog, count = self.catalog, self.catalog["rows"]
        if catalog["first_rowid"] is not None:
            numbers: list[int | None] = list(range(catalog["first_rowid"], catalog["first_rowid"] + count))
        else:
            numbers = self.values(catalog["rowids"]) if count else []
        ended = self.values(catalog["ended"]) if catalog.get("ended") else [None] * count
        alive = {
            number for number, end in zip(numbers, ended, strict=True) if end is None and number is not None
        }
        if not catalog["tombstones"]:
            return alive, set()
        content = self.extent(catalog["tombstones"])
        (dead,) = struct.unpack_from("<Q", content)
        return alive, set(integers(content[8:], dead)[0])


@dataclass
class ReadTable:
    """A table's file, and the log beside it."""

    front: Head
    announced: Head | None
    segments: list[ReadSegment]
    pages: list[bytes]
    commits: list[dict[str, Any]] = field(default_factory=list)

    def rowids(self) -> list[int]:
        """Those that the newest version shows."""
        alive: set[int] = set()
        for segment in self.segments:
            made, dead = segment.rowids()
            alive = (alive - dead) | made
        for commit in self.commits:
            alive -= set(commit["deleted"])
            alive |= {rowid for rowid, _ in commit["inserted"]}
        return sorted(alive)


def flac_pages(data: bytes) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    """The metadata blocks, and the pages: the samples of each frame."""
    blocks, at, last = [], 4, False
    assert data[:4] == b"fLaC"
    while not last:
        last, length = bool(data[at] & 128), int.from_bytes(data[at + 1 : at + 4], "big")
        blocks.append((data[at] & 127, data[at + 4 : at + 4 + length]))
        at += 4 + length
    info = blocks[0][1]
    block_size = int.from_bytes(info[:2], "big")
    packed = int.from_bytes(info[10:18], "big")
    channels, bits, samples = (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1, packed & 2**36 - 1
    assert (channels, bits) == (1, 16)
    pages = []
    while at < len(data):
        assert data[at : at + 2] == b"\xff\xf8"
        number = next(length for length, mark in ((1, 0x80), (2, 0xE0), (3, 0xF0)) if data[at + 4] < mark)
        head = (
            4
            + number
            + {6: 1, 7: 2}.get(data[at + 2] >> 4, 0)
            + {12: 1, 13: 2, 14: 2}.get(data[at + 2] & 15, 0)
        )
        assert data[at + head + 1] == 2  # a verbatim subframe, behind the CRC-8
        begin = at + head + 2
        pages.append(data[begin : begin + block_size * 2])
        at = begin + block_size * 2 + 2
    assert samples == len(pages) * block_size
    return blocks, pages


def read_table(path: Path) -> ReadTable:
    """The table at ``path``; AssertionError for anything that is not as the document says."""
    blocks, pages = flac_pages(path.read_bytes())
    assert [kind for kind, _ in blocks] == [0, 2, 3, 4, 1]
    application = blocks[1][1]
    assert application[:4] == b"AUDM"
    front = Head.read(application[36:])
    last, announced = len(pages) - 1, None
    header = Header.read(pages[last])
    if header.kind == ANNOUNCE:
        assert (header.number, header.count, header.flags, header.index) == (0, 1, 0, 0)
        payload = header.cells(pages[last])
        announced = Head.read(payload)
        assert payload == payload[: len(payload) // (len(pages[0]) // 1024)] * (len(pages[0]) // 1024)
        assert (announced.session, announced.sealed) == (header.segment, last)
        last -= 1
        header = Header.read(pages[last])
    newest = ReadSegment.read(pages, last - header.number, header)
    seal = newest.catalog["seal"]
    segments = []
    for segment, first, count, index, flags, first_version, last_version, digest in seal["earlier"]:
        own = Header.read(pages[first])
        assert (own.segment, own.number, own.count, own.index, own.flags) == (segment, 0, count, index, flags)
        found = ReadSegment.read(pages, first, own)
        versions = found.catalog["versions"]
        assert (found.digest, versions[0][0], versions[-1][0]) == (digest, first_version, last_version)
        segments.append(found)
    table = ReadTable(front, announced, [*segments, newest], pages)
    log = path.with_name(path.name + "-wal")
    if announced is not None:
        table.commits = read_log(log.read_bytes(), announced, newest)
    return table


def read_log(data: bytes, announced: Head, newest: ReadSegment) -> list[dict[str, Any]]:
    """The commits of the log that goes with a file; of a log in format 4 none, but its header is checked."""
    magic, version, table, after, salt, crc = struct.unpack_from("<4sI16sQII", data)
    assert magic == b"AuML"
    assert crc == crc32c(data[:36])
    session, segment, digest, quantum, copies, crc = struct.unpack_from("<8s8s16sIII", data, 40)
    assert crc == crc32c(data[:80])
    assert (session, table, after) == (announced.session, announced.table, announced.version)
    assert (segment, digest) == (newest.header.segment, newest.digest)
    assert len(data) % (quantum * copies) == 0
    assert (version, copies) == ((3, 1) if newest.header.protection == 0 else (4, copies))
    if version == 4:
        return []
    commits, at = list[dict[str, Any]](), 1536
    while length := int.from_bytes(data[at : at + 4], "little"):
        crc, (packed, told) = (
            int.from_bytes(data[at + 4 : at + 8], "little"),
            (data[at + 24 :][:length], data[at + 8 : at + 24]),
        )
        digest = blake(digest + packed)
        assert digest == told
        assert crc == crc32c(digest + packed, (salt + after + 1 + len(commits)) % 2**32)
        content = msgpack.unpackb(packed)
        commits += content if isinstance(content, list) else [content]
        at += 24 + length
    return commits
