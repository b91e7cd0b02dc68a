"""A table in another process: it is pickled as its path and version."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
from pathlib import Path

import pytest

import audiomem_sql as am
from audiomem_sql.errors import QueryError, UnsupportedError
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention


def made(folder: Path) -> Table:
    return am.write_flac([{"id": 1, "word": "one"}], folder / "t.flac", primary_key="id")


def test_it_is_read_at_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made(tmp_path).close()
    os.mkdir("elsewhere")
    with am.open("t.flac") as table:
        packed = pickle.dumps(table)
        assert len(packed) < 1000
        table.append([{"id": 2, "word": "two"}])
        monkeypatch.chdir("elsewhere")  # the path was relative
        with pickle.loads(packed) as seen:
            assert type(seen) is Table
            assert seen.to_arrow().to_pylist() == [{"id": 1, "word": "one"}]
            assert seen.version == table.version - 1
            with pytest.raises(UnsupportedError, match="version"):
                seen.append([{"id": 3, "word": "three"}])
        with copy.copy(table) as other:
            assert len(other) == 2
        table.vacuum(retain=Retention.parse("1"))
        with pytest.raises(QueryError, match="version 2 is not kept"):
            pickle.loads(packed)


def test_a_reader_and_its_options(tmp_path: Path) -> None:
    made(tmp_path).close()
    with TableReader(tmp_path / "t.flac", on_damage="skip", version=1) as reader:
        packed = pickle.dumps(reader)
    with pickle.loads(packed) as seen:
        assert type(seen) is TableReader
        assert (seen.version, seen.on_damage, len(seen)) == (1, "skip", 0)
    with Table(tmp_path / "t.flac", salvage=True) as saved, pickle.loads(pickle.dumps(saved)) as seen:
        assert seen.salvage
        assert len(seen) == 1


def test_not_with_changes_that_nobody_else_sees(tmp_path: Path) -> None:
    with made(tmp_path) as table:
        table.begin().insert(5, [5, "five"])
        with pytest.raises(
            UnsupportedError, match=r"t\.flac: a table with an open transaction cannot be pickled"
        ):
            pickle.dumps(table)
        table.rollback()
        assert pickle.dumps(table)


def count(table: Table) -> int:
    with table:
        return len(table.to_arrow(where="id > 0"))


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_workers(tmp_path: Path, method: str) -> None:
    with made(tmp_path) as table, multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.map(count, [table, table]) == [1, 1]
