"""Catalogs that contradict themselves or the file are refused, under right checksums."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sealed import Sealed

from audiomem_sql.blocks.bloom import MIN_BYTES
from audiomem_sql.errors import AudioMemError, DamagedFileError, SchemaError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.segment import Segment
from audiomem_sql.storage.segment.catalog import MAX_EXTENT_BYTES
from audiomem_sql.storage.segment.tombstones import MAX_TOMBSTONES, TOMBSTONES_HEADER
from audiomem_sql.table.table import Table
from audiomem_sql.versions.head_file import head_of, write_head
from storage.segment.hostile import array, change, column, found_by_verify, nested, use

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
        (first_block_twice, "the catalog names"),  # more bytes than there are: refused when it is opened
        (first_block_twice_and_room_for_it, "two things at one place"),
    ]
    for action, what in lies:
        sealed = Sealed.read(base / "run.flac")
        if what == "zone map":
            sealed.catalog["columns"][N]["blocks"]["zones"]["low"] = np.array([-(2**63)], "<i8").tobytes()
        action(sealed)
        sealed.write(folder / "run.flac")
        assert what in found_by_verify_or_error(folder / "run.flac")


def first_block_twice_and_room_for_it(sealed: Sealed) -> None:
    first_block_twice(sealed)
    sealed.store(random.Random(0).randbytes(10_000))


def found_by_verify_or_error(path: Path) -> str:
    try:
        return found_by_verify(path)
    except AudioMemError as error:
        return str(error)


def name_as_newest(delta: Path) -> None:
    """Let the head file beside ``delta`` name it, as it now is."""
    segment = Segment.open(str(delta), BlockCache(0))
    try:
        write_head(str(delta.parent / "head"), head_of(segment), str(delta))
    finally:
        segment.close()


def test_lists_of_deleted_rows_that_make_no_sense(
    base: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("h")
    (folder / "spread.flac.d").mkdir()
    (folder / "spread.flac").write_bytes((base / "spread.flac").read_bytes())
    (delta,) = (base / "spread.flac.d").glob("*.flac")
    good = Sealed.read(delta)
    raw = good.extent(good.catalog["tombstones"])
    for bad in [
        *(b"", raw[:7], raw[:-1], raw + b"\0"),
        *(TOMBSTONES_HEADER.pack(count) + raw[8:] for count in (MAX_TOMBSTONES + 1, 2**64 - 1)),
        TOMBSTONES_HEADER.pack(3) + raw[8:10] + bytes(24),
    ]:
        sealed = Sealed.read(delta)
        sealed.catalog["tombstones"] = sealed.store(bad)
        sealed.write(folder / "spread.flac.d" / delta.name)
        name_as_newest(folder / "spread.flac.d" / delta.name)
        with pytest.raises(
            DamagedFileError, match=r"00000003\.flac: page \d+: the list of deleted rows|block ends"
        ):
            Table(folder / "spread.flac")
