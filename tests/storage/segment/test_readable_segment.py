"""Every kind of segment keeps the contract; and what only one kind has."""

from __future__ import annotations

import gc
import random
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from damage.catalogs import without_catalog

from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.segment import ReadableSegment, Segment, UnlistedSegment
from storage.segment.readable_segment import SCHEMA, VECTOR, ReadableSegmentTests, Rows, write_segment

ADDED = parse_columns(["year INTEGER NOT NULL DEFAULT 1999", "note TEXT DEFAULT 'none'", "empty TEXT"])


def evolved_schema() -> Schema:
    """SCHEMA with its columns in another order, two dropped, one renamed and three added."""
    following = max(SCHEMA.ids) + 1
    kept = [column for column in SCHEMA.columns if column.name not in ("n", "body") and not column.is_hidden]
    renamed = [replace(column, name="token") if column.name == "code" else column for column in kept]
    keys = [
        replace(key, columns=tuple("token" if name == "code" else name for name in key.columns))
        for key in SCHEMA.keys
    ]
    added = [replace(column, id=following + number) for number, column in enumerate(ADDED.columns)]
    return Schema((*renamed[::-1], *added), (), tuple(keys))


class TestListed(ReadableSegmentTests):
    def opened(self, path: Path) -> ReadableSegment:
        return Segment.open(str(path), BlockCache(1 << 20))


class TestUnlisted(ReadableSegmentTests):
    def opened(self, path: Path) -> ReadableSegment:
        path.write_bytes(without_catalog(path, random.Random(1), "zeroed"))
        segment = UnlistedSegment.open(str(path), BlockCache(1 << 20))
        assert not segment.lost
        assert not segment.notes
        return segment


class TestEvolved(ReadableSegmentTests):
    def opened(self, path: Path) -> ReadableSegment:
        self.stored = Segment.open(str(path), BlockCache(1 << 20))
        return self.stored.with_schema(evolved_schema())

    def test_added_columns_have_their_default(self, segment: ReadableSegment) -> None:
        for name, value in (("year", 1999), ("note", "none"), ("empty", None)):
            number = segment.schema.names.index(name)
            assert segment.slice(number, 3, 690).to_pylist() == [value] * 687
            assert segment.take(number, np.arange(0, 700, 3)).to_pylist() == [value] * 234
            assert segment.bloom(number) is None
            assert segment.may_contain(number, "any")

    def test_it_does_not_close_the_file(self, segment: ReadableSegment, rows: Rows) -> None:
        segment.close()
        assert self.stored.slice(3, 0, 700).to_pylist() == rows.values["code"]


class TestEvolvedUnlisted(TestUnlisted):
    def opened(self, path: Path) -> ReadableSegment:
        self.stored = super().opened(path)
        return self.stored.with_schema(evolved_schema())


def test_vectors_are_stored_as_an_index(tmp_path: Path) -> None:
    write_segment(tmp_path / "segment.flac", "run")
    segment = Segment.open(str(tmp_path / "segment.flac"))
    assert segment.is_index_only(VECTOR)
    assert segment.entry(VECTOR) is None
    segment.close()


@pytest.mark.parametrize("shape", ["run", "versions"])
def test_a_segment_that_nobody_has_is_closed_at_once(tmp_path: Path, shape: str) -> None:
    """Without a garbage collection, whatever was read of it."""
    write_segment(tmp_path / "segment.flac", shape)
    cache = BlockCache(1 << 24)
    gc.disable()
    try:
        segment = Segment.open(str(tmp_path / "segment.flac"), cache)
        evolved = segment.with_schema(evolved_schema())
        for number in range(len(segment.schema)):
            segment.slice(number, 0, 700)
        assert segment.keyword_index(1) is not None
        assert segment.vector_index(VECTOR) is not None
        assert list(segment.find(13))
        assert evolved.slice(0, 0, 700)
        assert cache.bytes
        file = weakref.ref(segment)
        del segment, evolved
        assert file() is None
        assert cache.bytes == 0
    finally:
        gc.enable()


@pytest.mark.damages
def test_another_type_is_refused(tmp_path: Path) -> None:
    write_segment(tmp_path / "segment.flac", "run")
    segment = Segment.open(str(tmp_path / "segment.flac"))
    columns = [
        replace(column, type=SCHEMA.columns[2].type) if column.name == "code" else column
        for column in SCHEMA.columns
    ]
    with pytest.raises(DamagedFileError, match=r"segment\.flac: catalog: column code has another type"):
        segment.with_schema(Schema(tuple(columns), (), SCHEMA.keys))
    segment.close()
