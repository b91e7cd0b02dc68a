"""Scans: blocks that cannot match are not read, and the rows are those that a plain loop would give."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter, count_rows, filters_of_text, scan
from audiomem_sql.scan.candidates import candidate_rows
from audiomem_sql.storage.segment import ROWID
from audiomem_sql.storage.segment.column_blocks import ColumnBlocks
from audiomem_sql.table.table import Table

COUNT = 40_000
KINDS = ["red", "green", "blue"]


def row(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    return {
        "id": number,
        "rising": number * 10,
        "any": rng.randrange(1000) if rng.random() < 0.9 else None,
        "kind": KINDS[min(number * 3 // COUNT, 2)] if number % 7 else None,
        "text": f"{number:06d} " + "x" * rng.randrange(60),
        "rare": f"key {number}" if number % 5000 == 0 else None,
    }


@pytest.fixture(scope="module")
def model() -> dict[int, dict[str, Any]]:
    found = {number: row(number) for number in range(COUNT) if number % 11}
    return found | {number: row(number) for number in range(10**6, 10**6 + 300)}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    path = tmp_path_factory.mktemp("scan") / "t.flac"
    columns = [
        "id INTEGER PRIMARY KEY",
        "rising INTEGER",
        '"any" INTEGER',
        "kind TEXT",
        "text TEXT",
        "rare TEXT UNIQUE",
    ]
    with Table.create(path, columns, {"profile": "embedded"}, cache=BlockCache(1 << 20)) as made:
        made.append(pa.Table.from_pylist([row(number) for number in range(COUNT)], made.schema.to_arrow()))
        made.begin()
        assert made.transaction is not None
        for number in range(0, COUNT, 11):
            made.transaction.delete(number)
        made.commit()
        made.append(pa.Table.from_pylist([row(n) for n in range(10**6, 10**6 + 300)], made.schema.to_arrow()))
        yield made


WHERE: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("id = 12345", lambda r: r["id"] == 12345),
    ("id IN (1, 11, 39999, 1000299, 5)", lambda r: r["id"] in (1, 39999, 1000299, 5)),
    ("id > 39990", lambda r: r["id"] > 39990),
    ("rising BETWEEN 99990 AND 100030", lambda r: 99990 <= r["rising"] <= 100030),
    ("rising < 200 OR rising > 399000", lambda r: r["rising"] < 200 or r["rising"] > 399000),
    ("any = 7", lambda r: r["any"] == 7),
    ("any IS NULL AND id < 500", lambda r: r["any"] is None and r["id"] < 500),
    ("any <> 7 AND kind = 'blue'", lambda r: r["any"] not in (7, None) and r["kind"] == "blue"),
    ("kind IS NULL", lambda r: r["kind"] is None),
    ("kind > 'g' AND rising < 3000", lambda r: (r["kind"] or "") > "g" and r["rising"] < 3000),
    ("text LIKE '0123%'", lambda r: r["text"].startswith("0123")),
    ("text = '020000'", lambda r: r["text"] == "020000"),
    ("rare = 'key 35000'", lambda r: r["rare"] == "key 35000"),
    ("rare = 'no key'", lambda r: False),
    ("rare IS NOT NULL", lambda r: r["rare"] is not None),
    ("rising > 99999999", lambda r: False),
]


@pytest.mark.parametrize(("where", "passes"), WHERE, ids=[where for where, _ in WHERE])
def test_filters(
    table: Table, model: dict[int, dict[str, Any]], where: str, passes: Callable[[dict[str, Any]], Any]
) -> None:
    where = where.replace("any", '"any"')
    expected = [model[key] for key in sorted(model) if passes(model[key])]
    assert table.to_arrow(where=where).to_pylist() == expected
    assert table.to_arrow(columns=["text"], where=where).column("text").to_pylist() == [
        r["text"] for r in expected
    ]
    limited = [r for batch in table.scan(["id"], where, limit=3) for r in batch.column("id").to_pylist()]
    assert limited == [r["id"] for r in expected[:3]]


def bound(column: int, op: Op, value: Any, kind: Kind) -> Filter:
    return Filter(column, bind(Predicate(column, op, value), ColumnType(kind)))


def test_blocks_that_cannot_match_are_not_read(table: Table) -> None:
    segment = table.snapshot.segments[0]
    all_rows = segment.rows
    near = candidate_rows(segment, [bound(1, Op.EQ, 123_450, Kind.INTEGER)])
    assert 0 < sum(stop - start for start, stop in near) < all_rows / 2
    assert candidate_rows(segment, [bound(1, Op.GT, 10**9, Kind.INTEGER)]) == []
    assert candidate_rows(segment, [bound(5, Op.EQ, "no key", Kind.TEXT)]) == []
    assert candidate_rows(segment, [bound(ROWID, Op.EQ, 17, Kind.INTEGER)]) == [(17, 18)]
    text = candidate_rows(segment, [bound(4, Op.LT, "000100", Kind.TEXT)])
    assert text[0][0] == 0
    assert text[-1][1] < all_rows / 4
    both = candidate_rows(segment, [bound(1, Op.LT, 1000, Kind.INTEGER), bound(4, Op.GT, "039", Kind.TEXT)])
    assert both == []


@pytest.mark.parametrize("skip", [0, 1, 5000, 36363, 36364, 36600, 36662, 36663, 10**6])
@pytest.mark.parametrize("descending", [False, True])
def test_either_direction_and_any_start(
    table: Table, model: dict[int, dict[str, Any]], skip: int, descending: bool
) -> None:
    ids = sorted(model, reverse=descending)
    for filters in ([], [bound(1, Op.GE, 0, Kind.INTEGER)]):
        found = list(scan(table.snapshot, [4], filters, descending=descending, skip=skip))
        assert all(len(batch) for batch in found)
        rowids = [int(rowid) for batch in found for rowid in batch.rowids]
        assert rowids == ids[skip:]
        texts = [text for batch in found for text in batch.arrays[0].to_pylist()]
        assert texts == [model[rowid]["text"] for rowid in rowids]


def test_batches_are_small_and_the_first_smaller(table: Table) -> None:
    batches = list(scan(table.snapshot, [4]))
    sizes = [batch.arrays[0].nbytes for batch in batches]
    assert max(sizes) < 4 << 20
    assert len(batches[0]) < len(batches[1])


def test_a_scan_that_is_dropped(table: Table) -> None:
    for _ in range(20):
        batches = scan(table.snapshot, [4, 1])
        next(batches)
        next(batches)
        del batches


def test_several_scans_at_once(table: Table, model: dict[int, dict[str, Any]]) -> None:
    scans = [scan(table.snapshot, [1]) for _ in range(4)]
    sums = [0] * 4
    while scans:
        for place, one in list(enumerate(scans)):
            batch = next(one, None)
            if batch is None:
                scans.pop(place)
                break
            sums[place % 4] += int(np.asarray(batch.arrays[0]).sum())
    assert sum(sums) == 4 * sum(r["rising"] for r in model.values())


def counted_blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The columns of the blocks that are decoded from now on."""
    columns: list[int] = []
    decode = ColumnBlocks._decode

    def noted(self: ColumnBlocks, column: int, *arguments: Any, **options: Any) -> Any:
        columns.append(column)
        return decode(self, column, *arguments, **options)

    monkeypatch.setattr(ColumnBlocks, "_decode", noted)
    return columns


@pytest.mark.parametrize(
    ("where", "passes", "most"),
    [
        ("rising >= 5000", lambda each: each["rising"] >= 5000, 1),
        ("rising BETWEEN 5000 AND 300000", lambda each: 5000 <= each["rising"] <= 300_000, 2),
        ("rising < -1", lambda each: False, 0),
        ("rising IS NOT NULL", lambda each: True, 0),
        ("rising < 5000 OR rising > 100000", lambda each: not 5000 <= each["rising"] <= 100_000, 2),
        ("id > 20000", lambda each: each["id"] > 20_000, 2),
        ('"any" >= 0', lambda each: each["any"] is not None, None),
        (
            "rising >= 5000 AND kind = 'red'",
            lambda each: each["rising"] >= 5000 and each["kind"] == "red",
            None,
        ),
    ],
)
def test_rows_are_counted_by_zone_maps(
    table: Table, model: dict[int, dict[str, Any]], where: str, passes: Any, most: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Some rows were deleted, some came later; only blocks that zone maps leave open are decoded."""
    filters, row_filter = filters_of_text(where, (), table.schema)
    wanted = [number for number, each in model.items() if passes(each)]
    table.snapshot.segments[0].forget()
    decoded = counted_blocks(monkeypatch)
    assert count_rows(table.snapshot, filters, row_filter) == len(wanted)
    if most is not None:
        assert len([column for column in decoded if column >= 0]) <= most
    batches = scan(table.snapshot, [], filters, row_filter=row_filter)
    assert sorted(rowid for batch in batches for rowid in batch.rowids.tolist()) == sorted(wanted)
