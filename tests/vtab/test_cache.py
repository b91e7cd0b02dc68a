"""``audiomem_cache()``: what the tiers of the process did, by every door, and in ``audiomem info``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import duckdb
import pytest
from bytes.memory_source import MemorySource

import audiomem_sql as am
from audiomem_sql.cli.main import run
from audiomem_sql.remote.tiers import CacheRow, cache_rows, cached

NAMES = list(CacheRow._fields)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[list[CacheRow]]:
    source = cached(MemorySource(bytes(500_000)), ["memory:2MB", f"disk:{tmp_path}/cache:2MB"])
    source.read([(0, 100), (300_000, 5000)])
    source.read([(0, 100)])
    yield cache_rows()
    source.close()


def test_in_sqlite(rows: list[CacheRow]) -> None:
    connection = apsw.Connection(":memory:")
    am.load(connection)
    found = connection.execute("SELECT * FROM audiomem_cache()")
    assert [column for column, *_ in found.get_description()] == NAMES
    assert found.fetchall() == rows
    assert connection.execute("SELECT * FROM audiomem_cache WHERE tier = 'store'").fetchall() == rows[-1:]
    told = connection.execute(
        "SELECT hits, held, state FROM audiomem_cache() WHERE tier LIKE 'disk:%cache:2MB'"
    )
    assert told.fetchall()[-1:] == [(0, 12_288, "ok")]
    with pytest.raises(apsw.SQLError, match="too many arguments"):
        connection.execute("SELECT * FROM audiomem_cache('t')")
    connection.execute("CREATE VIEW told AS SELECT * FROM audiomem_cache()")
    connection.execute("PRAGMA trusted_schema = OFF")
    with pytest.raises(apsw.SQLError, match="unsafe use of virtual table"):
        connection.execute("SELECT * FROM told").fetchall()


def in_duckdb(connection: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
    found = connection.execute("FROM audiomem_cache()")
    return [column[0] for column in found.description], found.fetchall()


def test_in_duckdb(rows: list[CacheRow]) -> None:
    with (
        duckdb.connect() as package,
        duckdb.connect(config={"allow_unsigned_extensions": "true"}) as extension,
    ):
        am.register_duckdb(package)
        am.load(extension)
        for connection in (package, extension):
            assert in_duckdb(connection) == (NAMES, rows)
            told = "SELECT hits, cost > 0 FROM audiomem_cache() WHERE tier = 'store' AND requests > 1"
            assert connection.execute(told).fetchall() == [(0, True)]


def test_in_the_shell(
    rows: list[CacheRow], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    am.write_flac([{"id": 1}], tmp_path / "t.flac").close()
    assert run(["info", str(tmp_path / "t.flac"), "--json"]) == 0
    assert [tuple(row.values()) for row in json.loads(capsys.readouterr().out)["cache"]] == rows
    assert run(["info", str(tmp_path / "t.flac")]) == 0
    printed = capsys.readouterr().out
    for words in ("memory:2MB", "cache:2MB", "store", "hits", "cost", "0.00000", "$"):
        assert words in printed
