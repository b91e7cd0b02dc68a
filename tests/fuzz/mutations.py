"""Ways to spoil a segment file.

Each takes a random number generator and the file's bytes, and gives other bytes. *Blind* ones change bytes
and leave every checksum as it was: a reader must find out. *Sealed* ones put the right checksums over what
makes no sense: a reader may not believe it.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import zstandard
from sealed import Sealed

from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.log.chain import (
    CHAIN_FIELDS,
    FIRST_RECORD,
    SLOTS,
    Watermark,
    record_crc,
    record_digest,
)
from audiomem_sql.storage.log.content import LOG_HEADER
from audiomem_sql.storage.log.reader import RECORD_HEADER

SECTOR = 4096
#: Numbers that programs stumble over.
NUMBERS = [
    0,
    1,
    2,
    7,
    8,
    255,
    256,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**48,
    2**63 - 1,
    2**63,
    2**64 - 1,
]
NUMBERS += [-1, -2, -(2**31), -(2**63)]


def flip_bits(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def set_bytes(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice((1, 2, 8))):
        at, size = rng.randrange(len(data)), rng.choice((1, 2, 4, 8, 100))
        data[at : at + size] = rng.randbytes(len(data[at : at + size]))
    return data


def zero_sectors(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(0, len(data), SECTOR)
        data[at : at + SECTOR] = bytes(len(data[at : at + SECTOR]))
    return data


def truncate(rng: random.Random, data: bytearray) -> bytearray:
    del data[rng.randrange(1, len(data)) :]
    return data


def repeat_region(rng: random.Random, data: bytearray) -> bytearray:
    """A region again: put in, or written over another one of the same size."""
    size = rng.choice((1, 100, SECTOR, 3 * SECTOR))
    source, target = rng.randrange(len(data)), rng.randrange(len(data))
    region = data[source : source + size]
    if rng.random() < 0.5:
        data[target:target] = region
    else:
        data[target : target + len(region)] = region
    return data


def remove_region(rng: random.Random, data: bytearray) -> bytearray:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 100, SECTOR))]
    return data or bytearray(b"x")


def append_noise(rng: random.Random, data: bytearray) -> bytearray:
    return data + rng.randbytes(rng.choice((1, 100, 3 * SECTOR)))


BLIND: list[Callable[[random.Random, bytearray], bytearray]] = [
    flip_bits, set_bytes, zero_sectors, truncate, repeat_region, remove_region, append_noise,
]  # fmt: skip


def any_value(rng: random.Random, value: Any) -> Any:
    """Something else in the place of ``value``."""
    choices: list[Callable[[], Any]] = [
        lambda: None,
        lambda: rng.choice(NUMBERS),
        list,
        dict,
        lambda: rng.randbytes(rng.choice((0, 1, 8, 16))),
        lambda: rng.choice(["", "x", "TEXT", "INTEGER", "FLOAT[65535]", "desktop"]),
        lambda: rng.choice((True, False, 1.5, float("nan"), float("inf"))),
        lambda: [value, value],
        lambda: [None] * 1000,
    ]
    if isinstance(value, int) and not isinstance(value, bool):
        choices += [lambda: max(-(2**63), min(2**63, value + rng.choice((-1, 1, 8, -8, 1000))))] * 8
    if isinstance(value, bytes) and value:
        choices += [lambda: bytes(mutate_bytes(rng, bytearray(value)))] * 12
    return rng.choice(choices)()


def mutate_bytes(rng: random.Random, data: bytearray) -> bytearray:
    """A few bytes of ``data`` changed, or its length; numbers in little-endian fields are made extreme."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        if not data:
            break
        at = rng.randrange(len(data))
        what = rng.randrange(6)
        if what == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            data[at] = rng.choice((0, 1, 2, 4, 8, 127, 128, 255))
        elif what == 2:
            size = rng.choice((1, 2, 4, 8))
            at -= at % size
            number = rng.choice(NUMBERS) & (1 << 8 * size) - 1
            data[at : at + size] = number.to_bytes(size, "little")[: len(data) - at]
        elif what == 3:
            del data[at : at + rng.choice((1, 8, 64))]
        elif what == 4:
            data[at:at] = rng.randbytes(rng.choice((1, 8)))
        else:
            size = rng.choice((1, 8, 64))
            data[at : at + size] = data[: len(data[at : at + size])]
    return data


def _containers(value: Any, found: list[Any]) -> list[Any]:
    if isinstance(value, dict | list):
        found.append(value)
        for inner in value.values() if isinstance(value, dict) else value:
            _containers(inner, found)
    return found


def change_catalog(rng: random.Random, sealed: Sealed, path: Path) -> None:
    """One to three values anywhere in the catalog's map."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        container = rng.choice([c for c in _containers(sealed.catalog, []) if c])
        key = rng.choice(list(container) if isinstance(container, dict) else range(len(container)))
        if rng.random() < 0.05:
            del container[key]
        else:
            container[key] = any_value(rng, container[key])
    try:
        sealed.write(path)
    except (OverflowError, ValueError):  # a number that MessagePack cannot express
        path.write_bytes(b"fLaC")


def change_catalog_bytes(rng: random.Random, sealed: Sealed, path: Path) -> None:
    """Bytes of the map before compression."""
    sealed.write_raw(path, bytes(mutate_bytes(rng, bytearray(msgpack.packb(sealed.catalog)))))


def change_catalog_frame(rng: random.Random, sealed: Sealed, path: Path) -> None:
    """Bytes of the compressed map, or the size that its header claims."""
    raw = msgpack.packb(sealed.catalog)
    stored = zstandard.ZstdCompressor().compress(raw)
    if rng.random() < 0.3:
        sealed.write_raw(path, raw, size=rng.choice(NUMBERS) & 0xFFFFFFFF)
    else:
        sealed.write_raw(path, raw, stored=bytes(mutate_bytes(rng, bytearray(stored))))


def change_block(rng: random.Random, sealed: Sealed, path: Path) -> None:
    """Change a block before compression and move it to the end of the data stream, with the right entry."""
    choices = sealed.blocks()
    if not choices:
        return change_catalog(rng, sealed, path)
    entry, number = rng.choice(choices)
    blocks = entry["blocks"]
    offsets, stored, raws = (sealed.numbers(entry, name) for name in ("offsets", "stored", "raw"))
    shared, place = sealed.dictionary(entry), offsets[number]
    packed = bytes(sealed.data[place : place + stored[number]])
    plain = bytearray(sealed.decompress(entry, packed))
    if number != len(offsets) - 1:  # only the last block of a column can move to the end
        packed = bytes(mutate_bytes(rng, bytearray(packed)))[: stored[number]].ljust(stored[number], b"\0")
        sealed.data[place : place + stored[number]] = packed
    else:
        fresh = zstandard.ZstdCompressor(dict_data=shared).compress(bytes(mutate_bytes(rng, plain)))
        raws[number] = zstandard.frame_content_size(fresh)
        offsets[number], stored[number] = len(sealed.data), len(fresh)
        sealed.data += fresh
        sealed.catalog["data_bytes"] = len(sealed.data)
    steps = [after - before for before, after in zip([0, *offsets], offsets, strict=False)]
    blocks["offsets"] = b"".join(step.to_bytes(8, "little", signed=True) for step in steps)
    blocks["stored"] = b"".join(value.to_bytes(4, "little") for value in stored)
    blocks["raw"] = b"".join(value.to_bytes(4, "little") for value in raws)
    if rng.random() < 0.2:
        codes = bytearray(blocks["encodings"])
        codes[number] = rng.randrange(9)
        blocks["encodings"] = bytes(codes)
    return sealed.write(path)


def change_data(rng: random.Random, sealed: Sealed, path: Path) -> None:
    """Bytes of the data stream as they are stored."""
    size = len(sealed.data)
    if size:
        sealed.data = mutate_bytes(rng, sealed.data)[:size].ljust(size, b"\0")
    sealed.write(path)


def change_extent(rng: random.Random, sealed: Sealed, path: Path) -> None:
    """A dictionary, a Bloom filter or a list: other bytes, rightly stored."""
    owners = sealed.extents()
    if owners:
        owner, name = rng.choice(owners)
        owner[name] = sealed.store(bytes(mutate_bytes(rng, bytearray(sealed.extent(owner[name])))))
    sealed.write(path)


def change_segment(rng: random.Random, sealed: Sealed, path: Path) -> None:
    """Another identity in the pages than in the catalog, no data pages, or a hole in the catalog's bytes."""
    what = rng.randrange(3)
    if what == 0:
        sealed.segment_id = rng.randbytes(8)
    elif what == 1:
        sealed.data = bytearray()
    else:
        sealed.write_blob(path, rng.randbytes(rng.choice((16, 100, 20_000))))
        return
    sealed.write(path)


SEALED: list[Callable[[random.Random, Sealed, Path], None]] = [
    change_catalog, change_catalog, change_catalog, change_catalog_bytes, change_catalog_frame, change_block,
    change_block, change_block, change_data, change_extent, change_segment,
]  # fmt: skip


def spoil(rng: random.Random, data: bytes) -> bytes:
    """A blind mutation of a file."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2))):
        out = rng.choice(BLIND)(rng, out)
    return bytes(out)


def spoil_sealed(rng: random.Random, sealed: Sealed, path: Path) -> None:
    """A sealed mutation of a segment, written to ``path``."""
    rng.choice(SEALED)(rng, copy.deepcopy(sealed), path)


def spoil_log(rng: random.Random, data: bytes) -> bytes:
    """A log spoiled blindly, or with other values in a record or in the header, under right checksums."""
    used = data[: len(data.rstrip(b"\0")) + 100]
    what = rng.randrange(3)
    if what == 0:
        return spoil(rng, used)
    fields = list(LOG_HEADER.unpack_from(used))
    session, segment, digest, quantum, copies, _ = CHAIN_FIELDS.unpack_from(used, LOG_HEADER.size)
    first, salt, at = fields[3] + 1, fields[4], FIRST_RECORD
    records: list[Any] = []
    while length := RECORD_HEADER.unpack_from(used, at)[0]:
        at += RECORD_HEADER.size
        records.append(msgpack.unpackb(used[at : at + length]))
        at += length
    if what == 1:
        fields[rng.choice((1, 3))] = rng.choice(NUMBERS) & 0xFFFFFFFF
    else:
        for _ in range(rng.choice((1, 1, 2, 3))):
            container = rng.choice([c for c in _containers(records, []) if c and c is not records])
            key = rng.choice(list(container) if isinstance(container, dict) else range(len(container)))
            container[key] = any_value(rng, container[key])
    head = LOG_HEADER.pack(*fields)[:-4]
    head += crc32c(head).to_bytes(4, "little")
    head += CHAIN_FIELDS.pack(session, segment, digest, quantum, copies, 0)[:-4]
    head += crc32c(head).to_bytes(4, "little")
    mark = Watermark(first - 1, FIRST_RECORD, digest, session).pack(salt)
    out = (head.ljust(SLOTS[0], b"\0") + mark).ljust(FIRST_RECORD, b"\0")
    for number, record in enumerate(records, first):
        try:
            packed = msgpack.packb(record)
        except (OverflowError, ValueError):  # a number that MessagePack cannot express
            packed = b"\xc0"
        if rng.random() < 0.1:
            packed = bytes(mutate_bytes(rng, bytearray(packed)))
        digest = record_digest(digest, packed)
        out += RECORD_HEADER.pack(len(packed), record_crc(packed, salt, number, digest), digest) + packed
    return out + bytes(-len(out) % quantum)
