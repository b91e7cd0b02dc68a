"""What a table that is closed says, and a rowid that is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import audiomem_sql as am
from audiomem_sql.bytes import LocalFile
from audiomem_sql.errors import DataTypeError, StorageError
from audiomem_sql.table.table import Table

USES: dict[str, Callable[[Table], object]] = {
    "search": lambda table: table.search("hello", k=1),
    "search by words": lambda table: table.search("keyword: hello"),
    "top": lambda table: table.top("year"),
    "get": lambda table: table.get(1),
    "scan": lambda table: list(table.scan()),
    "to_arrow": lambda table: table.to_arrow(["id"], "year > 0"),
    "to_pandas": lambda table: table.to_pandas(),
    "stream": lambda table: table.__arrow_c_stream__(),
    "append": lambda table: table.append([{"id": 3, "body": "c", "year": 3}]),
    "tag": lambda table: table.tag("x"),
    "vacuum": lambda table: table.vacuum(),
}


@pytest.fixture
def table(tmp_path: Path) -> Table:
    rows = [{"id": 1, "body": "hello", "year": 1}, {"id": 2, "body": "world", "year": 2}]
    return am.write_flac(rows, tmp_path / "t.flac", primary_key="id", semantic="body", model="hashing")


@pytest.mark.parametrize("use", USES)
def test_it_is_closed(table: Table, use: str) -> None:
    table.search("hello")
    table.close()
    with pytest.raises(StorageError, match=r"t\.flac: the table is closed\. Open it again\."):
        USES[use](table)


def test_its_file_says_so(table: Table) -> None:
    with table:
        file = LocalFile(table.files.base)
    file.close()
    with pytest.raises(StorageError, match=r"t\.flac: the file is closed\. Open the table again\."):
        file.read_at(0, 4)


@pytest.mark.parametrize("rowid", ["1", 1.0, None, b"1", "one"])
def test_a_rowid_is_an_integer(table: Table, rowid: object) -> None:
    with table, pytest.raises(DataTypeError, match=r"t\.flac: a rowid is an integer, not .*where="):
        table.get(rowid)  # type: ignore[arg-type]


def test_any_integer_is_a_rowid(table: Table) -> None:
    with table:
        assert table.get(np.int64(2)) == {"id": 2, "body": "world", "year": 2}  # type: ignore[arg-type]
        assert table.get(3) is table.get(2**70) is table.get(-(2**70)) is None
