"""Looks for inputs that break the library which decodes and searches in C; run by ``make fuzz-native``.

    AUDIOMEM_FUZZ_SECONDS=60 python tests/fuzz/native_blocks.py LIBRARY

What it says is compared with Python. All that the library is given lies in memory of exactly its size, from
malloc, so that a library which was built with AddressSanitizer tells of every byte beyond.
"""

from __future__ import annotations

import ctypes
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent.parent))

from audiomem_sql.blocks.compression import Compressor, Decompressor
from audiomem_sql.blocks.encoding import decode_strings, encode
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.native import Pages, bound
from audiomem_sql.protection.crc32c import Crc32cCells

_C = ctypes.CDLL(None)
_C.malloc.restype, _C.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
_C.free.restype, _C.free.argtypes = None, (ctypes.c_void_p,)

TEXT, BLOB = ColumnType(Kind.TEXT), ColumnType(Kind.BLOB)
DICTIONARY = "".join(f"{n} words that come again and again, naïve ones; " for n in range(200)).encode()
#: Bytes of a block that an area has room for.
ROOM = 1 << 17


@contextmanager
def exactly(*contents: bytes | int) -> Iterator[list[int]]:
    """Addresses of pieces of memory with these bytes, or of so many."""
    places: list[int] = []
    try:
        for content in contents:
            size = content if isinstance(content, int) else len(content)
            places.append(_C.malloc(size))
            if isinstance(content, bytes):
                ctypes.memmove(places[-1], content, size)
        yield places
    finally:
        for place in places:
            _C.free(place)


class Undecided(Exception):
    """One release of zstd finds that a frame is damaged, and another one does not."""


@dataclass(frozen=True)
class Case:
    """Frames, and what is said of them."""

    data: bytes
    starts: tuple[int, ...]
    stored: tuple[int, ...]
    raw: tuple[int, ...]
    rows: tuple[int, ...]
    dictionary: bytes = b""
    text: bool = True

    def in_c(self, native: ctypes.CDLL) -> list[bytes] | int:
        """The values, or the number of the block that is refused."""
        numbers = [
            np.array(each, np.int64).tobytes() for each in (self.starts, self.stored, self.raw, self.rows)
        ]
        rows, most = (sum(max(0, min(each, ROOM)) for each in some) for some in (self.rows, self.raw))
        area = native.audiomem_area_new(self.dictionary, len(self.dictionary), ROOM)
        with exactly(self.data, *numbers, 4 * (rows + 1), most) as (data, *given, offsets, text):
            try:
                found = native.audiomem_decode_strings(
                    *(area, ctypes.cast(data, ctypes.c_char_p), len(self.data), len(self.rows), *given),
                    *(self.text, offsets, text, most),
                )
            finally:
                native.audiomem_area_free(area)
            if found < 0:
                return int(-1 - found)
            ends = np.frombuffer(ctypes.string_at(offsets, 4 * (rows + 1)), np.int32)
            values = ctypes.string_at(text, found)
            assert ends[0] == 0
            assert ends[-1] == found
            return [values[i:j] for i, j in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]

    def in_python(self) -> list[bytes] | int:
        """The same, by what says what is wrong. Undecided if it depends on the release of zstd."""
        type_, decompressor, found = TEXT if self.text else BLOB, Decompressor(self.dictionary or None), []
        for number, (start, stored, raw, rows) in enumerate(
            zip(self.starts, self.stored, self.raw, self.rows, strict=True)
        ):
            if min(start, stored, rows) < 0 or start + stored > len(self.data) or not 0 < raw <= ROOM:
                return number
            try:
                block = decompressor.decompress(self.data[start : start + stored], raw)
            except DamagedFileError as error:
                if "Data corruption detected" in str(error):
                    raise Undecided from None
                return number
            try:
                array = decode_strings([(block, rows)], rows, raw, type_)
            except DamagedFileError:
                return number
            found += array.cast(pa.binary()).to_pylist()
        return found


def case_of(
    parts: list[list[bytes]], *, dictionary: bytes = b"", text: bool = True, behind: bytes = b""
) -> Case:
    """Blocks of values, each with something behind its frame."""
    blocks = [encode(pa.array(part, pa.binary()), BLOB)[1] for part in parts]
    return stored(blocks, [len(part) for part in parts], dictionary, text, behind)


def stored(blocks: list[bytes], rows: list[int], dictionary: bytes, text: bool, behind: bytes = b"") -> Case:
    """Blocks as they are, compressed."""
    compressor = Compressor(5, dictionary or None, ROOM)
    frames = [compressor.compress(block) + behind for block in blocks]
    ends = np.cumsum([0, *map(len, frames)]).tolist()
    sizes = tuple(map(len, frames)), tuple(map(len, blocks))
    return Case(b"".join(frames), tuple(ends[:-1]), *sizes, tuple(rows), dictionary, text)


def compare(native: ctypes.CDLL, case: Case) -> bool:
    """Whether the blocks are accepted; AssertionError where C and Python do not say the same."""
    found = case.in_c(native)
    try:
        expected = case.in_python()
    except Undecided:
        return False
    assert found == expected, (str(found)[:200], str(expected)[:200], case)
    return not isinstance(found, int)


LETTERS = ["", "a", "word ", "é", "日本", "😀", "\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\uffff"]
#: What is no UTF-8, or is only near it.
NEARLY = [b"\xc0\x80", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\x9f\xbf", b"\xf0\x8f\xbf\xbf"]
NEARLY += [
    b"\xf4\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\x80",
    b"\xff",
    b"\xe6\x97",
    b"\xf0\x9f\x98",
]


def blocks_at_random(rng: random.Random) -> Case:
    """Blocks of values that are mostly text."""

    def value() -> bytes:
        made = b"".join(rng.choice(LETTERS).encode() for _ in range(int(rng.expovariate(0.2))))
        at = rng.randrange(len(DICTIONARY))
        made += DICTIONARY[at : at + rng.choice((0, 0, 40, 300))]
        return made if rng.random() < 0.98 else made + rng.choice(NEARLY) + made[:9]

    parts = [[value() for _ in range(1 + int(rng.expovariate(0.1)))] for _ in range(rng.randrange(1, 5))]
    if rng.random() < 0.2:
        parts[0].append(b"x" * rng.choice((255, 256, 3000, 1 << 16, ROOM)))
    dictionary = rng.choice((b"", DICTIONARY))
    return case_of(parts, dictionary=dictionary, text=rng.random() < 0.8, behind=rng.choice((b"", b"label")))


def lying(rng: random.Random, case: Case) -> Case:
    """A case of which something is changed: a block before it was compressed, its bytes, or a number."""
    kind = rng.randrange(4)
    if kind == 0:
        return case
    if kind == 1:
        data = bytearray(case.data)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return replace(case, data=bytes(data if rng.random() < 0.7 else data[: rng.randrange(len(data))]))
    if kind == 2:
        name = rng.choice(("starts", "stored", "raw", "rows"))
        numbers = list(getattr(case, name))
        at = rng.randrange(len(numbers))
        numbers[at] = rng.choice(
            (0, -1, 1 << 40, -(1 << 62), numbers[at] + 1, numbers[at] - 1, ROOM, ROOM + 1)
        )
        if name == "rows":
            numbers[at] = min(numbers[at], 1 << 12)
        return replace(case, **{name: tuple(numbers)})
    decompressor, blocks = Decompressor(case.dictionary or None), []
    for start, size, raw in zip(case.starts, case.stored, case.raw, strict=True):
        block = bytearray(decompressor.decompress(case.data[start : start + size], raw))
        if rng.random() < 0.5:
            block[rng.randrange(min(len(block), rng.choice((1, 30, 10_000))))] = rng.choice(
                (0, 1, 2, 3, 4, 127, 128, 255)
            )
        blocks.append(bytes(block) + b"x" * (rng.random() < 0.05))
    return stored(blocks, list(case.rows), case.dictionary, case.text)


def compare_cells(native: ctypes.CDLL, rng: random.Random) -> bool:
    """Whether all cells are intact; AssertionError where C and Python do not say the same."""
    channels, header, cells = rng.choice((1, 2, 3)), rng.choice((0, 16)), rng.choice((1, 4, 7))
    codec = Crc32cCells(rng.choice((5, 12, 100, 892, 1020)))
    spare = -(header + cells * codec.cell_bytes) % channels
    channel = (header + cells * codec.cell_bytes + spare) // channels
    count, seed = rng.randrange(1, 6), rng.choice((0, 7, 2**32 - 3))
    payload = np.frombuffer(rng.randbytes(count * cells * codec.payload_bytes), np.uint8)
    made = codec.encode(payload.reshape(count * cells, -1), seed, 0).reshape(count, -1)
    data, places = bytearray(), []
    for page in made:
        content = rng.randbytes(header) + page.tobytes() + bytes(spare)
        data += rng.randbytes(rng.randrange(9))
        places.append(len(data))
        data += b"\2".join(content[at : at + channel] for at in range(0, len(content), channel))
    first = rng.randrange(count * cells)
    wanted = rng.randrange(1, count * cells - first + 1)
    broken = rng.randrange(3)
    if broken == 1:
        data = data[: rng.randrange(len(data) + 1)]
    elif broken == 2:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    whole = b"".join(
        bytes(data[place + at + at // channel : place + at + at // channel + 1])
        for place in places
        for at in range(header, header + cells * codec.cell_bytes)
    )
    there = np.frombuffer(whole[: len(whole) // codec.cell_bytes * codec.cell_bytes], np.uint8)
    values, intact = codec.decode(there.reshape(-1, codec.cell_bytes), seed, 0)
    flags = [*intact.tolist(), *[False] * (count * cells - len(intact))][first : first + wanted]
    expected = flags.index(False) if False in flags else wanted
    moved = rng.choice((1, 1 << 50, -9, -(1 << 50))) if rng.random() < 0.1 else 0
    numbers = np.array([place + moved for place in places], np.int64).tobytes()
    with exactly(bytes(data), numbers, wanted * codec.payload_bytes) as (at, given, out):
        pages = Pages(at, len(data), given, channel, header, cells, codec.cell_bytes)
        found = native.audiomem_read_cells(
            ctypes.byref(pages), first, wanted, (seed + first) & 0xFFFFFFFF, out
        )
        if moved:
            return False
        assert found == expected, (found, expected)
        copied = ctypes.string_at(out, found * codec.payload_bytes)
    assert copied == values[first : first + found].tobytes()
    return bool(found == wanted)


def compare_matches(native: ctypes.CDLL, rng: random.Random) -> bool:
    """Whether all texts are looked at; AssertionError where C and Python do not say the same."""
    letters = rng.choice((b"ab", b"aAbB\0", b"kernel KERNEL", b"\0\xc3\xa9zZ@[`{"))

    def text(mean: float) -> bytes:
        return bytes(rng.choices(letters, k=int(rng.expovariate(1 / mean))))

    fold, until_nul = rng.random() < 0.5, rng.random() < 0.5
    words = [text(rng.choice((2, 2, 30))) for _ in range(rng.choice((1, 2, 3, 3, 4, 33)))]
    words = [word.lower() if fold else word for word in words]
    words = [word.replace(b"\0", b"a") if until_nul else word for word in words]
    texts = [text(rng.choice((3, 40, 200))) for _ in range(rng.randrange(1, 40))]
    if rng.random() < 0.3:
        texts = [b"".join(words[:1] + [each + text(1) for each in words[1:]]) for _ in texts]
    data, at = text(3) + b"".join(texts) + text(3), np.cumsum([0, *map(len, texts)])
    starts, ends = at[:-1].tolist(), at[1:].tolist()
    lies = rng.random() < 0.1
    if lies:
        wrong = rng.choice((starts, ends))
        wrong[rng.randrange(len(texts))] = rng.choice((-1, len(data) + 1, 1 << 62, -(1 << 62)))
    places = [np.array(each, np.int64).tobytes() for each in (starts, ends, list(map(len, words)))]
    with exactly(data, *places, b"".join(words), len(texts)) as (given, low, high, sizes, word, out):
        found = native.audiomem_match(
            *(given, len(data), len(texts), low, high, ctypes.cast(word, ctypes.c_char_p), sizes),
            *(len(words), fold, until_nul, out),
        )
        if found < 0:
            assert lies or len(words) > 32 or b"" in words[1:-1], (texts, words)
            return False
        said = ctypes.string_at(out, len(texts))
    assert found == len(texts)
    assert not lies
    for start, end, one in zip(starts, ends, said, strict=True):
        value = data[start:end].partition(b"\0")[0] if until_nul else data[start:end]
        value = value.lower() if fold else value
        whole = b".*".join(map(re.escape, words))
        assert one == (re.fullmatch(whole, value, re.DOTALL) is not None), (value, words, fold, until_nul)
    return True


def one(native: ctypes.CDLL, rng: random.Random) -> bool:
    """One input."""
    checks: list[Callable[[], bool]] = [
        lambda: compare(native, lying(rng, blocks_at_random(rng))),
        lambda: compare_matches(native, rng),
    ]
    if native.audiomem_reads_cells():
        checks.append(lambda: compare_cells(native, rng))
    return rng.choice(checks)()


def main() -> None:
    native = bound(sys.argv[1])
    assert native is not None, f"{sys.argv[1]} cannot be loaded"
    seed = int(os.environ.get("AUDIOMEM_FUZZ_SEED", time.time_ns()))
    end, tried, accepted = time.monotonic() + float(os.environ.get("AUDIOMEM_FUZZ_SECONDS", "60")), 0, 0
    while time.monotonic() < end:
        try:
            accepted += one(native, random.Random(seed + tried))
        except AssertionError:
            print(f"AUDIOMEM_FUZZ_SEED={seed + tried} breaks it")
            raise
        tried += 1
    print(f"{tried:,} inputs, {accepted:,} of them accepted, first seed {seed}")
    assert 0 < accepted < tried


if __name__ == "__main__":
    main()
