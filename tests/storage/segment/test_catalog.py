"""Catalogs: what was packed comes back; nonsense is refused in bounded memory, whatever its checksums."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import zstandard
from fixtures.make_v1 import FOLDER, write
from fixtures.make_v1 import VERSIONED as VERSIONED_SCHEMA
from hypothesis import given
from hypothesis import strategies as st
from samples import arrow, content, create, rows, same
from sealed import Sealed

from audiomem_sql.blocks.bloom import MIN_BYTES
from audiomem_sql.blocks.integers import encode_integers
from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.errors import AudioMemError, DamagedFileError, FormatVersionError, QueryError, SchemaError
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.segment.catalog import MAX_EXTENT_BYTES, Catalog, Extent, Version
from audiomem_sql.storage.segment.catalog_packing import (
    CATALOG_HEADER,
    CATALOG_MAGIC,
    MAX_CATALOG_BYTES,
    MAX_LENGTH,
    pack_catalog,
    unpack_catalog,
)
from audiomem_sql.storage.segment.column_numbers import NEVER
from audiomem_sql.storage.segment.tombstones import MAX_TOMBSTONES, TOMBSTONES_HEADER
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

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
    assert unpack_catalog(pack_catalog(catalog)) == catalog
    assert unpack_catalog(pack_catalog(catalog) + b"the rest of the page") == catalog


def test_any_flip_is_found() -> None:
    catalog = Catalog(b"t" * 16, b"s" * 8, parse_columns(["a TEXT"]), 0, (Version(1, 0, 0, 0),), (None,), 0)
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


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files: one whose rowids are a run, and one whose rowids are stored, with a delta that deletes."""
    folder = tmp_path_factory.mktemp("hostile")
    with create(folder / "run.flac", 50) as table:
        assert len(table) == 50
    spread = [dict(row, id=row["id"] * 3) for row in rows(50)]
    with create(folder / "spread.flac", 0) as table:
        table.append(arrow(spread))
        table.checkpoint()
        table.begin()
        assert table.transaction is not None
        for rowid in range(3, 60, 3):
            table.transaction.delete(rowid)
        table.commit()
    return folder


def use(path: Path) -> None:
    """Open, read everything, and look up some rows."""
    with Table(path) as table:
        for batch in table.scan():
            batch.validate(full=True)
        table.get(3)
        table.to_arrow(where="code = 'K000003'")
        for segment in table.snapshot.segments:
            segment.rowids()
            segment.tombstones()
            segment.may_contain(-1, 7)
            segment.may_contain(10, "K000003")


def array(entry: bytes, dtype: str, **changes: int) -> bytes:
    values = np.frombuffer(entry, dtype).copy()
    for place, value in changes.items():
        values[int(place[1:])] = value
    return values.tobytes()


def column(sealed: Sealed, name: str) -> dict[str, Any]:
    names = [definition["name"] for definition in sealed.catalog["schema"]]
    found: dict[str, Any] = sealed.catalog["columns"][names.index(name)]
    return found


def change(*keys: Any, value: Any) -> Callable[[Sealed], None]:
    """Put ``value`` at a place of the catalog."""

    def action(sealed: Sealed) -> None:
        container: Any = sealed.catalog
        for key in keys[:-1]:
            container = container[key]
        container[keys[-1]] = value(container[keys[-1]]) if callable(value) else value

    action.__name__ = (
        "-".join(map(str, keys)) + "=" + (value.__name__ if callable(value) else repr(value)[:30])
    )
    return action


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


N, TITLE, CODE = 1, 3, 10
HOSTILE = [
    *(
        change(key, value=bad)
        for key in ("rows", "data_bytes")
        for bad in (-1, 2**48, 2**64 - 1, None, "9", 1.5, b"")
    ),
    *(change("rows", value=bad) for bad in (0, 49, 51, 2**40)),
    *(change("data_bytes", value=bad) for bad in (0, 1, 10**6)),
    *(change("table", value=bad) for bad in (2**40, b"", b"short", "text", None)),
    *(change("segment", value=bad) for bad in (2**40, b"other123", b"", None)),
    *(change("versions", value=bad) for bad in ([], None, [[1]], [[2, 0, 0, 0, None], [4, 0, 0, 0, None]])),
    change("versions", value=[[2**64 - 1, 0, 0, 0, None]]),
    change("versions", value=[[1, 2**63, 0, 0, None]]),
    change("versions", value=[["1", 0, 0, 0, None]]),
    *(change("columns", value=bad) for bad in ([], None, {}, [None] * 11, nested(300))),
    change("columns", value=lambda columns: columns[:-1]),
    change("columns", N, "blocks", value=None),
    change("columns", N, "blocks", "zones", value=None),
    *(change("columns", N, "blocks", name, value=b"") for name in ("offsets", "stored", "raw", "encodings")),
    change("columns", N, "blocks", "encodings", value=b"\x63"),
    change("columns", N, "blocks", "encodings", value=b"\x00"),
    change("columns", TITLE, "blocks", "encodings", value=b"\x01"),
    change("columns", N, "blocks", "offsets", value=lambda raw: array(raw, "<i8", _0=2**63 - 1)),
    change("columns", N, "blocks", "offsets", value=lambda raw: array(raw, "<i8", _0=-8)),
    change("columns", N, "blocks", "stored", value=lambda raw: array(raw, "<u4", _0=2**32 - 1)),
    change("columns", N, "blocks", "raw", value=lambda raw: array(raw, "<u4", _0=2**32 - 1)),
    change("columns", N, "blocks", "raw", value=lambda raw: array(raw, "<u4", _0=1 << 23)),
    change("columns", N, "blocks", "raw", value=lambda raw: array(raw, "<u4", _0=0)),
    change("columns", N, "blocks", "zones", "rows", value=lambda raw: array(raw, "<i8", _0=2**62)),
    change("columns", N, "blocks", "zones", "nulls", value=lambda raw: array(raw, "<i8", _0=50)),
    change("columns", N, "blocks", "zones", "nulls", value=lambda raw: array(raw, "<i8", _0=0)),
    change("columns", 2, "blocks", "zones", "low", value=np.array([np.nan], "<f8").tobytes()),
    change("columns", CODE, "bloom", value=[0, 1, 2**30]),
    change("columns", CODE, "bloom", value=[-1, 1, 8]),
    change("columns", CODE, "bloom", value=[0, 2**63, 8]),
    change("columns", CODE, "bloom", value=[0, 1]),
    change("columns", CODE, "bloom", value=[0, 20, MIN_BYTES]),
    change("columns", TITLE, "dictionary", value=[0, 10, 2**23]),
    change("columns", TITLE, "dictionary", value=[0, 10, 100]),
    *(change("schema", value=bad) for bad in ([], None, [1], [{"name": "a"}])),
    change("schema", value=[{"name": "a", "type": "FLOAT[0]"}]),
    change("schema", 2, "type", value="FLOAT[65535]"),
    change("schema", 2, "type", value="TEXT"),
    change("schema", 9, "type", value="FLOAT[60000]"),
    change("requires", value=None),
    change("options", value=None),
    change("options", value={"profile": []}),
    change("options", value={"profile": "moon"}),
    change("options", value={"compression_level": "9"}),
    change("options", value={"compression_level": 2**60}),
    change("tombstones", value=[0, 10, MAX_EXTENT_BYTES + 1]),
    change("sources", value=[0, 10**9, 10]),
]  # fmt: skip


@pytest.mark.parametrize("action", HOSTILE, ids=lambda action: action.__name__)
def test_nonsense_under_right_checksums(
    base: Path, tmp_path_factory: pytest.TempPathFactory, action: Callable[[Sealed], None]
) -> None:
    path = tmp_path_factory.mktemp("h") / "run.flac"
    sealed = Sealed.read(base / "run.flac")
    action(sealed)
    sealed.write(path)
    with pytest.raises((DamagedFileError, SchemaError)) as caught:
        use(path)
    assert caught.value.file is not None
    assert str(path) in caught.value.file


RUN = [
    change("first_rowid", value=2),
    change("first_rowid", value="1"),
    change("first_rowid", value=None),
    change("rowid_range", value=[1, 49]),
    change("rowid_range", value=[1]),
    change("rowid_range", value=[2**63 - 10, 2**63 + 39]),
]
SPREAD = [
    change("first_rowid", value=3),
    change("rowids", value=None),
    change("rowid_range", value=[3, 151]),
    change("rowid_range", value=[0, 150]),
    change("rowids", "blocks", "zones", "nulls", value=lambda raw: array(raw, "<i8", _0=1)),
    change("rowids", "bloom", value=[0, 0, 0]),
]


@pytest.mark.parametrize(
    ("name", "action"),
    [*(("run", a) for a in RUN), *(("spread", a) for a in SPREAD)],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_rowids_that_contradict_each_other(
    base: Path, tmp_path_factory: pytest.TempPathFactory, name: str, action: Callable[[Sealed], None]
) -> None:
    path = tmp_path_factory.mktemp("h") / f"{name}.flac"
    sealed = Sealed.read(base / f"{name}.flac")
    action(sealed)
    sealed.write(path)
    with pytest.raises(DamagedFileError, match=rf"{name}\.flac"):
        use(path)


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


def found_by_verify(path: Path) -> str:
    with Table(path) as table:
        return "\n".join(map(str, problems(table)))


def first_block_twice(sealed: Sealed) -> None:
    blocks = sealed.catalog["columns"][N]["blocks"]
    stored, raw = (int.from_bytes(blocks[name][:4], "little") for name in ("stored", "raw"))
    sealed.catalog["sources"] = [0, stored, raw]


def test_lies_that_only_verify_finds(base: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Queries believe zone maps and filters, as in any column store; verify compares them with the values."""
    folder = tmp_path_factory.mktemp("h")
    lies: list[tuple[Callable[[Sealed], None], str]] = [
        (
            change("columns", N, "blocks", "zones", "high", value=lambda raw: array(raw, "<i8", _0=5)),
            "zone map",
        ),
        (
            lambda sealed: column(sealed, "code").update(bloom=sealed.store(bytes(MIN_BYTES))),
            "Bloom filter lacks",
        ),
        (lambda sealed: sealed.store(b"nobody's") and None, "gaps"),
        (first_block_twice, "two things at one place"),
    ]
    for action, what in lies:
        sealed = Sealed.read(base / "run.flac")
        if what == "zone map":
            sealed.catalog["columns"][N]["blocks"]["zones"]["low"] = np.array([-(2**63)], "<i8").tobytes()
        action(sealed)
        sealed.write(folder / "run.flac")
        assert what in found_by_verify_or_error(folder / "run.flac")


def found_by_verify_or_error(path: Path) -> str:
    try:
        return found_by_verify(path)
    except AudioMemError as error:
        return str(error)


def test_lists_of_deleted_rows_that_make_no_sense(
    base: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("h")
    (folder / "spread.flac.d").mkdir()
    (folder / "spread.flac").write_bytes((base / "spread.flac").read_bytes())
    (delta,) = (base / "spread.flac.d").iterdir()
    good = Sealed.read(delta)
    raw = good.extent(good.catalog["tombstones"])
    for bad in [b"", raw[:7], raw[:-1], raw + b"\0", TOMBSTONES_HEADER.pack(MAX_TOMBSTONES + 1) + raw[8:],
                TOMBSTONES_HEADER.pack(2**64 - 1) + raw[8:], TOMBSTONES_HEADER.pack(3) + raw[8:10] + bytes(24)]:  # fmt: skip
        sealed = Sealed.read(delta)
        sealed.catalog["tombstones"] = sealed.store(bad)
        sealed.write(folder / "spread.flac.d" / delta.name)
        with pytest.raises(
            DamagedFileError, match=r"00000003\.flac: page \d+: the list of deleted rows|block ends"
        ):
            Table(folder / "spread.flac")


BOMBS = {
    "empty lists": lambda: b"\xdd" + MAX_LENGTH.to_bytes(4, "big") + (b"\xdd" + (200).to_bytes(4, "big") + b"\x90" * 200) * (1 << 20),
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
    for packed, size in [(stored, len(raw) + 1), (stored, 2**32 - 1), (stored, 0), (bare, len(raw)), (b"", 0),
                         (stored[:-1], len(raw)), (skippable, 10), (random.Random(1).randbytes(300), 300)]:  # fmt: skip
        sealed.write_raw(path, b"", size=size, stored=packed)
        with pytest.raises(DamagedFileError, match=r"run\.flac"):
            Table(path)
    for head in [b"", b"AuMX" + bytes(12), CATALOG_HEADER.pack(CATALOG_MAGIC, 2**32 - 1, 5, 0),
                 CATALOG_HEADER.pack(CATALOG_MAGIC, MAX_CATALOG_BYTES, 5, 0), CATALOG_HEADER.pack(CATALOG_MAGIC, 5, 5, crc32c(b"12345")) + b"12345"]:  # fmt: skip
        sealed.write_blob(path, head or b"\0")
        with pytest.raises(DamagedFileError, match=r"run\.flac"):
            Table(path)


def versioned(folder: Path, change_delta: Callable[[Sealed], None] | None = None) -> Path:
    """The fixture with several versions in a delta, changed, without its log; the path of the base."""
    (folder / "versions.flac.d").mkdir(exist_ok=True)
    path = folder / "versions.flac"
    path.write_bytes((FOLDER / "versions.flac").read_bytes())
    sealed = Sealed.read(FOLDER / "versions.flac.d" / "00000005.flac")
    if change_delta is not None:
        change_delta(sealed)
    sealed.write(folder / "versions.flac.d" / "00000005.flac")
    return path


def tombstones(rowids: list[int], versions: list[int]) -> Callable[[Sealed], None]:
    """Put another list of deleted rows into the segment."""

    def action(sealed: Sealed) -> None:
        content = TOMBSTONES_HEADER.pack(len(rowids)) + encode_integers(np.array(rowids, np.int64))
        sealed.catalog["tombstones"] = sealed.store(content + encode_integers(np.array(versions, np.int64)))

    action.__name__ = f"tombstones {rowids} {versions}"
    return action


NUMBERS = "blocks", "zones"
VERSIONED = [
    change("requires", value=[]),
    change("created", value=None),
    change("created", value={}),
    change("created", *NUMBERS, "nulls", value=lambda raw: array(raw, "<i8", _0=1)),
    change("created", *NUMBERS, "low", value=lambda raw: array(raw, "<i8", _0=2)),
    change("created", *NUMBERS, "high", value=lambda raw: array(raw, "<i8", _0=6)),
    change("created", *NUMBERS, "rows", value=lambda raw: array(raw, "<i8", _0=4)),
    change("ended", value={}),
    change("ended", *NUMBERS, "low", value=lambda raw: array(raw, "<i8", _0=2)),
    change("ended", *NUMBERS, "high", value=lambda raw: array(raw, "<i8", _0=2**62)),
    change("ended", *NUMBERS, "rows", value=lambda raw: array(raw, "<i8", _0=4)),
    change("versions", value=lambda versions: versions[1:]),
    change("versions", value=lambda versions: [*versions, [6, 0, 0, 0, None]]),
    change("first_rowid", value=2),
    *(change("tags", value=bad) for bad in (["start"], {"start": -1}, {"start": "2"}, {"start": None}, 7)),
    tombstones([2, 5], [3, 5, 4, 3]),
    tombstones([2, 5], [3, 6]),
    tombstones([2, 5], [2, 4]),
    tombstones([5, 2], [3, 4]),
    tombstones([2, 2], [3, 4]),
]  # fmt: skip


@pytest.mark.parametrize("action", VERSIONED, ids=lambda action: action.__name__)
def test_versions_that_contradict_each_other(
    tmp_path_factory: pytest.TempPathFactory, action: Callable[[Sealed], None]
) -> None:
    path = versioned(tmp_path_factory.mktemp("h"), action)
    with pytest.raises(DamagedFileError, match=r"versions\.flac"):
        use(path)


def columns_fixture(folder: Path, name: str, action: Callable[[Sealed], None]) -> Path:
    """The fixture whose columns change, with ``name`` changed; the path of the base."""
    shutil.copytree(FOLDER, folder / "copy")
    sealed = Sealed.read(folder / "copy" / name)
    action(sealed)
    sealed.write(folder / "copy" / name)
    return folder / "copy" / "columns.flac"


BASE, DELTA = "columns.flac", "columns.flac.d/00000007.flac"
COLUMN_LIES = [
    (BASE, change("schemas", value=None)),
    (BASE, change("schemas", value=lambda schemas: schemas[1:])),
    (BASE, change("schemas", value=lambda schemas: schemas[::-1])),
    (BASE, change("schemas", value=lambda schemas: [*schemas, [7, schemas[0][1]]])),
    (BASE, change("schemas", 1, 1, 3, "type", value="TEXT")),
    (BASE, change("schemas", 2, 1, 2, "id", value=0)),
    (BASE, change("schemas", 2, 1, 2, "id", value=-1)),
    (BASE, change("schemas", 2, 1, 2, "id", value=True)),
    (BASE, change("schema", 2, "id", value=9)),
    (BASE, change("next_column", value=3)),
    (BASE, change("next_column", value=2**32)),
    (BASE, change("migrations", value={})),
    (BASE, change("migrations", value=lambda steps: steps[::-1])),
    (BASE, change("migrations", value=lambda steps: [*steps, [4, 7, "later"]])),
    (BASE, change("migrations", 0, 0, value=0)),
    (DELTA, change("migrations", 0, 1, value=6)),
    (DELTA, change("migrations", value=[])),
    (DELTA, change("requires", value=[])),
    (DELTA, change("schema", 2, "type", value="TEXT")),
    (DELTA, change("schema", 3, "default", value="'no number'")),
    (DELTA, change("schema", 3, "default", value="random()")),
    (DELTA, change("schema", 3, "default", value="(SELECT 1)")),
    (DELTA, change("schema", 0, "id", value=5)),
]


@pytest.mark.damages
@pytest.mark.parametrize(("name", "action"), COLUMN_LIES, ids=lambda item: getattr(item, "__name__", "in"))
def test_columns_that_contradict_each_other(
    tmp_path: Path, name: str, action: Callable[[Sealed], None]
) -> None:
    path = columns_fixture(tmp_path, name, action)
    with pytest.raises((DamagedFileError, SchemaError), match=r"columns\.flac|column"):
        use(path)


def test_tags_without_a_version(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A number that is none of those kept is read, and told by verify; 0 takes a name back."""
    path = versioned(
        tmp_path_factory.mktemp("h"), change("tags", value={"start": 2, "far": 2**40, "gone": 0})
    )
    assert "the tag far names version 1099511627776, which is not kept" in found_by_verify(path)
    with Table(path) as table:
        assert table.tags == {"start": 2, "far": 2**40}
        with pytest.raises(QueryError, match="is not kept"):
            table.at("far")


@pytest.mark.parametrize(
    ("created", "ended", "what"),
    [
        ([3, 4], [4, 4], "row 7 was deleted before it was made"),
        ([3, 4], [3, 5], "row 7 was deleted before it was made"),
        ([3, 3], [5, NEVER], "row 7 was there twice in a version"),
        ([3, 4], [NEVER, NEVER], "row 7 was there twice in a version"),
    ],
)
def test_versions_of_rows_that_only_verify_looks_at(
    tmp_path_factory: pytest.TempPathFactory, created: list[int], ended: list[int], what: str
) -> None:
    path = versioned(tmp_path_factory.mktemp("h"))
    rows_of_7 = [(7, {"id": 7}, *both) for both in zip(created, ended, strict=True)]
    write(
        path.parent / "versions.flac.d" / "00000005.flac", "embedded", VERSIONED_SCHEMA, rows_of_7,
        [Version(number, 0, 0, 0) for number in (3, 4, 5)], b"segment5", [7], deleted_by=[3],
    )  # fmt: skip
    assert what in found_by_verify(path)


@pytest.mark.damages
@pytest.mark.parametrize(
    "changes",
    [
        {"checks": [{"expression": "nowhere(a)"}]},
        {"checks": [{"expression": "a IN (SELECT 1)"}]},
        {"checks": [{"expression": "load_extension('x') IS NULL"}]},
        {"checks": [{"expression": "1) ; ATTACH 'x' AS y; --"}]},
        {"checks": [{"expression": "z > 0"}]},
        {"checks": 5},
        {"keys": [{"columns": ["a", "z"]}]},
        {"keys": []},
        {
            "schema": [
                {"name": "a", "type": "TEXT", "default": "(load_extension('x'))"},
                {"name": "b", "type": "TEXT"},
            ]
        },
        {
            "schema": [
                {"name": "a", "type": "TEXT", "default": "1; DROP TABLE x"},
                {"name": "b", "type": "TEXT"},
            ]
        },
        {"schema": [{"name": "a", "type": "BLOB", "default": "5"}, {"name": "b", "type": "TEXT"}]},
    ],
)
def test_constraints_that_were_put_into_a_file(tmp_path: Path, changes: dict[str, Any]) -> None:
    """They are refused when the file is opened, or at the latest when a row is written."""
    columns = ["a TEXT", "b TEXT", "CHECK (a <> 'x')", "UNIQUE (a, b)"]
    Table.create(tmp_path / "t.flac", columns, {"profile": "embedded"}).close()
    sealed = Sealed.read(tmp_path / "t.flac")
    sealed.catalog |= changes
    sealed.write(tmp_path / "t.flac")
    before = sorted(os.listdir(tmp_path))
    try:
        with Table(tmp_path / "t.flac") as table:
            assert table.to_arrow().num_rows == 0
            with pytest.raises(AudioMemError):
                table.append([{"b": "y"}])
            assert table.version == 1
    except AudioMemError:
        pass
    assert sorted(os.listdir(tmp_path)) == before
