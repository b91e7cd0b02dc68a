"""The contract of ``ReadableSegment`` as tests. A kind of segment passes them by a subclass that opens it.

    class TestMine(ReadableSegmentTests):
        def opened(self, path: Path) -> ReadableSegment: ...

``opened`` gets the path of a segment that :func:`write_segment` made; it may also replace the schema that is
expected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audiomem_sql.audio import PROFILES
from audiomem_sql.blocks.bloom import hash_keys
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.indexes.keys.combined import hash_rows
from audiomem_sql.indexes.words import match, parse_query
from audiomem_sql.protection.levels import NONE
from audiomem_sql.storage.segment import (
    CREATED,
    ENDED,
    NEVER,
    ROWID,
    ReadableSegment,
    SegmentWriter,
    Version,
    WriteOptions,
)

SCHEMA = parse_columns(
    [
        "id INTEGER PRIMARY KEY",
        "word TEXT INDEXED",
        "n INTEGER",
        "code TEXT UNIQUE",
        "body TEXT SEMANTIC",
        "UNIQUE (word, code)",
    ]
).with_vectors(2)
VECTOR = len(SCHEMA) - 1
WORDS = ("frame", "page", "cell", "sample")
TOMBSTONES = ([2, 3, 90], [4, 3, 4])
SHAPES = ("run", "versions")


@dataclass(frozen=True)
class Rows:
    """What a segment holds: rowids, versions, and the values of each stored column by name; vectors apart."""

    rowids: list[int]
    created: list[int]
    ended: list[int]
    values: dict[str, list[Any]]

    @classmethod
    def of(cls, shape: str) -> Rows:
        """A run of rowids made by one commit, or rowids that several commits made, replaced and deleted."""
        count = 700
        if shape == "run":
            rowids, created, ended = list(range(5, 5 + count)), [3] * count, [NEVER] * count
        else:
            rowids = sorted([*range(10, 10 + 3 * 500, 3), *range(10, 10 + 3 * 200, 3)])
            repeated = [number > 0 and rowids[number - 1] == rowid for number, rowid in enumerate(rowids)]
            created = [4 if again else 3 for again in repeated]
            ended = [4 if again else NEVER for again in [*repeated[1:], False]]
        numbers = range(count)
        return cls(
            rowids,
            created,
            ended,
            {
                "word": [None if n % 9 == 4 else f"{WORDS[n % 4]} {WORDS[n // 7 % 4]}" for n in numbers],
                "n": [None if n % 5 == 2 else n * 31 % 1009 - 500 for n in numbers],
                "code": [f"K{n:05d}" for n in numbers],
                "body": [f"text number {n}, and what follows" for n in numbers],
            },
        )

    def arrays(self) -> list[pa.Array]:
        """One array a column of SCHEMA."""
        vectors = [[float(n % 13), 1.0] for n in range(len(self.rowids))]
        values = {"id": self.rowids, **self.values}
        return [
            pa.array(vectors, pa.list_(pa.float32(), 2))
            if number == VECTOR
            else array_of(values[column.name], column.type)
            for number, column in enumerate(SCHEMA.columns)
        ]


def write_segment(path: Path, shape: str) -> Rows:
    """Write the rows of ``shape`` as one segment with many blocks."""
    rows = Rows.of(shape)
    options = WriteOptions(PROFILES["embedded"], NONE, level=3, block_bytes=1024)
    writer = SegmentWriter(str(path), SCHEMA, options, table_id=b"t" * 16, segment_id=b"s" * 8)
    arrays, rowids = rows.arrays(), np.array(rows.rowids, np.int64)
    for start in range(0, len(rowids), 100):
        part = slice(start, start + 100)
        versions = [np.array(column[part], np.int64) for column in (rows.created, rows.ended)]
        writer.add(
            rowids[part],
            [array.slice(start, 100) for array in arrays],
            *(versions if shape == "versions" else []),
        )
    deleted = [np.array(column, np.int64) for column in TOMBSTONES]
    if shape == "versions":
        commits = [Version(3, 10, 500, 2), Version(4, 20, 200, 201)]
        writer.finish(commits, tombstones=deleted[0], tombstone_versions=deleted[1])
    else:
        writer.finish([Version(3, 10, 700, 3)], tombstones=deleted[0])
    writer.publish()
    return rows


@pytest.mark.damages
class ReadableSegmentTests:
    """To subclass. Columns of the segment that are in SCHEMA by id hold what was written."""

    @pytest.fixture(params=SHAPES)
    def shape(self, request: pytest.FixtureRequest) -> str:
        shape: str = request.param
        return shape

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "segment.flac"

    @pytest.fixture
    def rows(self, path: Path, shape: str) -> Rows:
        return write_segment(path, shape)

    @pytest.fixture
    def segment(self, path: Path, rows: Rows) -> Iterator[ReadableSegment]:
        opened = self.opened(path)
        yield opened
        opened.close()

    def opened(self, path: Path) -> ReadableSegment:
        """The segment to test, made of the file at ``path``."""
        raise NotImplementedError

    def values_of(self, schema: Schema, rows: Rows) -> dict[int, list[Any]]:
        """The values of each column of ``schema`` that has blocks, by number; as stored."""
        names = {column.id: column.name for column in SCHEMA.columns}
        values = {**rows.values, "id": rows.rowids}
        return {
            number: values[names[column.id]]
            for number, column in enumerate(schema.columns)
            if not column.is_hidden and column.id in names
        }

    # -- what it is ------------------------------------------------------------------------------------------

    def test_it_is_one(self, segment: ReadableSegment, path: Path, rows: Rows) -> None:
        assert (segment.path, segment.rows) == (str(path), len(rows.rowids))
        assert segment.identity is not None
        assert segment.file.path == str(path)
        assert segment.limits.cache_bytes > 0
        assert segment.indexes == {}

    def test_damage_is_told_of_unless_it_is_passed_over(self, segment: ReadableSegment) -> None:
        assert not segment.skip_damage
        assert not segment.null_damage
        segment.skip_damage, segment.null_damage = True, True
        assert segment.skip_damage
        assert segment.null_damage

    def test_its_own_columns_need_no_other_view(self, segment: ReadableSegment) -> None:
        same = segment.with_schema(segment.schema)
        assert same is segment.with_schema(segment.schema)
        assert same.schema.is_same(segment.schema)
        assert same.slice(2, 0, 9).equals(segment.slice(2, 0, 9))

    def test_another_view_has_the_other_columns(self, segment: ReadableSegment) -> None:
        schema = SCHEMA.changed([column for column in SCHEMA.columns if column.name != "n"])
        view = segment.with_schema(schema)
        assert view.schema is schema
        assert view is segment.with_schema(schema)
        assert "n" not in view.schema.names

    # -- columns ---------------------------------------------------------------------------------------------

    def test_names_and_types(self, segment: ReadableSegment) -> None:
        for number, column in enumerate(segment.schema.columns):
            assert segment.column_name(number) == column.name
            assert segment.column_type(number) == column.type
            assert segment.is_derived(number) == column.is_hidden
        assert [segment.column_name(number) for number in (ROWID, CREATED, ENDED)] == [
            "rowid",
            "created",
            "ended",
        ]

    def test_directories_cover_all_rows(self, segment: ReadableSegment, rows: Rows) -> None:
        for number in (ROWID, CREATED, ENDED, *range(len(segment.schema))):
            entry, directory = segment.entry(number), segment.directory(number)
            assert (entry is None) == (directory is None)
            assert entry is None or entry.blocks is directory
            if directory is not None and not segment.is_index_only(number):
                assert int(directory.starts[-1]) == len(rows.rowids)
                assert (np.diff(directory.starts) == directory.zones.rows).all()

    def test_zone_maps_bound_their_blocks(self, segment: ReadableSegment) -> None:
        for number in (
            number for number, c in enumerate(segment.schema.columns) if c.type.kind.name == "INTEGER"
        ):
            directory = segment.directory(number)
            for block in range(0 if directory is None else directory.count):
                assert directory is not None
                present = [value for value in segment.block(number, block).to_pylist() if value is not None]
                zones = directory.zones
                assert zones.low is not None
                assert zones.high is not None
                assert not present or (min(present), max(present)) == (zones.low[block], zones.high[block])

    # -- values ----------------------------------------------------------------------------------------------

    def test_blocks_hold_the_rows_of_the_directory(self, segment: ReadableSegment, rows: Rows) -> None:
        for number, expected in self.values_of(segment.schema, rows).items():
            directory = segment.directory(number)
            if directory is not None:
                read = [segment.block(number, block).to_pylist() for block in range(directory.count)]
                assert [value for block in read for value in block] == expected
                assert [len(block) for block in read] == np.diff(directory.starts).tolist()

    @pytest.mark.parametrize(("start", "stop"), [(0, 700), (0, 0), (700, 700), (3, 4), (250, 611)])
    def test_slice(self, segment: ReadableSegment, rows: Rows, start: int, stop: int) -> None:
        for number, expected in self.values_of(segment.schema, rows).items():
            assert segment.slice(number, start, stop).to_pylist() == expected[start:stop]
        assert segment.slice(ROWID, start, stop).to_pylist() == rows.rowids[start:stop]

    @pytest.mark.parametrize("step", [1, 7, 699, 701])
    def test_take(self, segment: ReadableSegment, rows: Rows, step: int) -> None:
        chosen = np.arange(0, 700, step)
        for number, expected in self.values_of(segment.schema, rows).items():
            assert segment.take(number, chosen).to_pylist() == [expected[row] for row in chosen]
            assert segment.take(number, chosen[:0]).to_pylist() == []
        assert segment.take(ROWID, chosen).to_pylist() == [rows.rowids[row] for row in chosen]

    def test_coded_texts_are_the_same(self, segment: ReadableSegment) -> None:
        for number, column in enumerate(segment.schema.columns):
            if column.type.kind.name == "TEXT":
                for read in (
                    segment.slice(number, 20, 600, coded=True),
                    segment.take(number, np.arange(20, 600), coded=True),
                ):
                    assert pa.types.is_dictionary(read.type)
                    assert read.to_pylist() == segment.slice(number, 20, 600).to_pylist()

    def test_vectors_are_read_like_other_values(self, segment: ReadableSegment) -> None:
        for number, column in enumerate(segment.schema.columns):
            if column.is_hidden:
                whole, rows = segment.slice(number, 0, 700), np.arange(3, 700, 11)
                assert len(whole) == 700
                assert segment.take(number, rows).equals(whole.take(pa.array(rows)))

    def test_what_was_read_can_be_forgotten(self, segment: ReadableSegment) -> None:
        before = segment.slice(1, 0, 700)
        segment.forget()
        with segment.read_once():
            assert segment.slice(1, 0, 700).equals(before)

    # -- rows ------------------------------------------------------------------------------------------------

    def test_rowids_and_versions(self, segment: ReadableSegment, rows: Rows) -> None:
        assert segment.rowids().tolist() == rows.rowids
        assert [segment.rowid(row) for row in (0, 350, 699)] == [rows.rowids[row] for row in (0, 350, 699)]
        assert segment.created().tolist() == rows.created
        assert segment.ended().tolist() == rows.ended

    def test_find(self, segment: ReadableSegment, rows: Rows) -> None:
        for rowid in (*range(30), *range(690, 720), 1507, 1508, 2**63 - 1, -(2**63)):
            assert list(segment.find(rowid)) == [row for row, own in enumerate(rows.rowids) if own == rowid]

    def test_find_many(self, segment: ReadableSegment, rows: Rows) -> None:
        for wanted in ([], [0], [703, 10, 5], list(range(0, 4000, 9)), rows.rowids[::-1]):
            expected = [row for row, own in enumerate(rows.rowids) if own in set(wanted)]
            assert segment.find_many(np.array(wanted, np.int64)).tolist() == expected

    def test_tombstones(self, segment: ReadableSegment, shape: str) -> None:
        rowids, versions = segment.tombstones()
        assert rowids.tolist() == TOMBSTONES[0]
        assert versions.tolist() == (TOMBSTONES[1] if shape == "versions" else [3, 3, 3])

    # -- indexes ---------------------------------------------------------------------------------------------

    def test_filters_let_every_key_through(self, segment: ReadableSegment, rows: Rows) -> None:
        values = self.values_of(segment.schema, rows)
        for number, column in enumerate(segment.schema.columns):
            if column.unique and number in values:
                bloom = segment.bloom(number)
                assert bloom is None or bloom.may_contain(hash_keys(values[number])).all()
                assert all(segment.may_contain(number, key) for key in values[number][::50])
        assert all(segment.may_contain(ROWID, rowid) for rowid in rows.rowids[::50])

    def test_filters_of_keys_of_several_columns(self, segment: ReadableSegment) -> None:
        for number, columns in enumerate(segment.schema.combined_keys):
            bloom = segment.key_bloom(number)
            arrays = [segment.slice(column, 0, 700) for column in columns]
            _, hashes = hash_rows(arrays, [segment.schema.columns[column] for column in columns])
            assert bloom is None or bloom.may_contain(hashes).all()

    def test_indexes_stand_for_the_values(self, segment: ReadableSegment) -> None:
        for number in range(len(segment.schema)):
            index = segment.vector_index(number)
            assert (index is not None) == segment.is_index_only(number)
            assert index is None or index.rows == segment.rows
            assert index is None or segment.directory(number) is None

    def test_keyword_indexes_find_the_rows(self, segment: ReadableSegment, rows: Rows) -> None:
        for number, expected in self.values_of(segment.schema, rows).items():
            index = segment.keyword_index(number)
            if index is not None:
                name = segment.column_name(number)
                found = match(parse_query("sample", [name]), {name: index}).rows.tolist()
                assert found == [row for row, text in enumerate(expected) if text and "sample" in text]
