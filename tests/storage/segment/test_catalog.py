"""Catalogs: what was packed comes back; nonsense is refused in bounded memory, whatever its checksums."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from samples import content, rows, same
from sealed import Sealed

from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.errors import DamagedFileError, FormatVersionError, LimitError
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.segment.catalog import Catalog, Extent, Version
from audiomem_sql.storage.segment.catalog_packing import (
    CATALOG_HEADER,
    CATALOG_MAGIC,
    MAX_CATALOG_BYTES,
    MAX_LENGTH,
    pack_catalog,
    pack_staged,
    unpack_catalog,
)
from audiomem_sql.table.table import Table

INT64 = st.integers(-(2**63), 2**63 - 1)
COUNT = st.integers(0, 2**63 - 1)


@given(
    st.binary(min_size=16, max_size=16),
    st.lists(st.tuples(INT64, COUNT, COUNT, st.none() | st.text()), min_size=1, max_size=5),
    st.integers(0, 2**40),
    st.none() | st.tuples(st.integers(0, 100), st.integers(0, 100), st.integers(0, 1000)),
    st.dictionaries(st.text(), st.none() | st.text() | INT64),
)
def test_round_trip(
    table: bytes, commits: list[Any], first: int, place: tuple[int, int, int] | None, options: dict[str, Any]
) -> None:
    catalog = Catalog(
        table_id=table,
        segment_id=b"12345678",
        schema=parse_columns(["id INTEGER PRIMARY KEY"]),
        rows=17,
        versions=tuple(Version(number, *commit) for number, commit in enumerate(commits, 3)),
        entries=(None,),
        data_bytes=200,
        first_rowid=first,
        low_rowid=first,
        high_rowid=first + 16,
        tombstones=None if place is None else Extent(*place),
        options=options,
    )
    packed = pack_catalog(catalog)
    first, again = unpack_catalog(packed), unpack_catalog(packed)
    assert first == again == catalog
    assert first is not again
    assert unpack_catalog(pack_catalog(catalog) + b"the rest of the page") == catalog


def test_a_staged_catalog_is_looked_at_where_it_is_placed() -> None:
    schema = parse_columns(["id INTEGER PRIMARY KEY"])
    catalog = Catalog(
        b"t" * 16,
        b"segment1",
        schema,
        3,
        (Version(1, 0, 3, 0),),
        (None,),
        0,
        first_rowid=5,
        low_rowid=5,
        high_rowid=7,
    )
    staged = unpack_catalog(pack_staged(catalog))
    assert staged == catalog
    moved = replace(staged, first_rowid=50, low_rowid=50, high_rowid=52, data_bytes=9)
    packed = pack_catalog(moved, staged)
    assert packed == pack_catalog(moved)
    assert unpack_catalog(packed) == moved
    wrong = replace(moved, high_rowid=60)
    for known in (None, staged):
        with pytest.raises(LimitError, match="could not be read again"):
            pack_catalog(wrong, known)
    with pytest.raises(DamagedFileError, match="contradicts itself on rowids"):
        unpack_catalog(pack_staged(wrong))


def test_what_was_packed_last_is_no_other_catalog() -> None:
    """A catalog need not be read again right after it was written; any other is."""
    schema = parse_columns(["id INTEGER PRIMARY KEY"])
    one, two = (
        Catalog(b"t" * 16, segment, schema, 0, (Version(1, 0, 0, 0),), (None,), 0, first_rowid=0)
        for segment in (b"segment1", b"segment2")
    )
    large = replace(one, versions=tuple(Version(n, n, 0, 0, f"a message {n}") for n in range(1, 5_000)))
    packed = {1: pack_catalog(one), 2: pack_catalog(two), 3: pack_catalog(large)}
    for number in (3, 2, 1, 2, 3):
        assert unpack_catalog(packed[number]) == {1: one, 2: two, 3: large}[number]
    packed[1] = pack_catalog(one)
    assert [unpack_catalog(packed[number]) for number in (2, 1, 1)] == [two, one, one]
    damaged = bytearray(pack_catalog(one))
    damaged[-1] ^= 1
    with pytest.raises(DamagedFileError):
        unpack_catalog(bytes(damaged))


def test_any_flip_is_found() -> None:
    schema = parse_columns(["id INTEGER PRIMARY KEY"])
    catalog = Catalog(b"t" * 16, b"s" * 8, schema, 0, (Version(1, 0, 0, 0),), (None,), 0, first_rowid=0)
    packed = bytearray(pack_catalog(catalog))
    for at in range(len(packed)):
        for mask in (1, 0x80):
            packed[at] ^= mask
            with pytest.raises(DamagedFileError):
                unpack_catalog(bytes(packed))
            packed[at] ^= mask
    for length in range(len(packed)):
        with pytest.raises(DamagedFileError):
            unpack_catalog(bytes(packed[:length]))


def test_features_of_the_future(base: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("h") / "run.flac"
    sealed = Sealed.read(base / "run.flac")
    sealed.catalog["requires"] = ["time travel"]
    sealed.write(path)
    with pytest.raises(FormatVersionError, match=r"run\.flac: .*time travel"):
        Table(path)


def test_keys_of_the_future_are_ignored(base: Path, tmp_path: Path) -> None:
    sealed = Sealed.read(base / "run.flac")
    sealed.catalog |= {"colour": "blue"}
    sealed.catalog["columns"][1] |= {"histogram": b"x"}
    sealed.catalog["options"] |= {"volume": 11}
    sealed.write(tmp_path / "run.flac")
    with Table(tmp_path / "run.flac") as table:
        assert same(content(table), rows(50))


BOMBS = {
    "empty lists": lambda: (
        b"\xdd"
        + MAX_LENGTH.to_bytes(4, "big")
        + (b"\xdd" + (200).to_bytes(4, "big") + b"\x90" * 200) * (1 << 20)
    ),
    "long lists": lambda: b"\xdd\xff\xff\xff\xff" * 500,
    "deep lists": lambda: b"\x91" * 100_000,
    "zeros": lambda: bytes(MAX_CATALOG_BYTES),
    "maps": lambda: b"\x81\xa1a" * 400 + b"\xdf\xff\xff\xff\xff",
    "extensions": lambda: b"\x91" + b"\xc9\xff\xff\xff\xff\x01",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_go_off_in_bounded_memory(
    base: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    """In a process that may not take more than 1.5 GiB."""
    path = tmp_path_factory.mktemp("h") / "run.flac"
    Sealed.read(base / "run.flac").write_raw(path, BOMBS[name]())
    assert path.stat().st_size < 1 << 20
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29));"
        "from audiomem_sql.errors import DamagedFileError\n"
        "import audiomem_sql\n"
        "try: audiomem_sql.open(sys.argv[1])\n"
        "except DamagedFileError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(path) in done.stdout


def test_sizes_that_are_claimed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("h") / "run.flac"
    sealed = Sealed.read(base / "run.flac")
    raw = msgpack.packb(sealed.catalog)
    stored = zstandard.ZstdCompressor().compress(raw)
    bare = zstandard.ZstdCompressor(write_content_size=False).compress(raw)
    skippable = b"\x50\x2a\x4d\x18" + (2**32 - 1).to_bytes(4, "little")
    for packed, size in [
        *((stored, len(raw) + 1), (stored, 2**32 - 1), (stored, 0), (bare, len(raw)), (b"", 0)),
        *((stored[:-1], len(raw)), (skippable, 10), (random.Random(1).randbytes(300), 300)),
    ]:
        sealed.write_raw(path, b"", size=size, stored=packed)
        with pytest.raises(DamagedFileError, match=r"run\.flac"):
            Table(path)
    for head in [
        b"",
        b"AuMX" + bytes(12),
        CATALOG_HEADER.pack(CATALOG_MAGIC, 2**32 - 1, 5, 0),
        CATALOG_HEADER.pack(CATALOG_MAGIC, MAX_CATALOG_BYTES, 5, 0),
        CATALOG_HEADER.pack(CATALOG_MAGIC, 5, 5, crc32c(b"12345")) + b"12345",
    ]:
        sealed.write_blob(path, head or b"\0")
        with pytest.raises(DamagedFileError, match=r"run\.flac"):
            Table(path)
