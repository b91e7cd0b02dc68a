"""A file that COPY replaces: nothing of the old table is read with the new one, or stands in its way."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

import audiomem_sql as am
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.versions import TableFiles
from audiomem_sql.vtab.duckdb import replacing

#: SQLite has no part in this.
DOORS = ("extension",)


def leave_a_log(path: str, **options: Any) -> None:
    """A table whose last commit is in its log, as a killed process leaves it."""
    os.mkdir("alive")
    with am.write_flac([{"id": 1, "s": "old"}], "alive/x.flac", primary_key="id", **options) as table:
        table.append([{"id": 2, "s": "from the log"}])
        for name in os.listdir("alive"):
            copy = shutil.copytree if os.path.isdir(f"alive/{name}") else shutil.copy
            copy(f"alive/{name}", path + name.removeprefix("x.flac"))
    shutil.rmtree("alive")
    assert os.path.exists(f"{path}-wal")


NEW = "SELECT 9 AS id, 'new' AS s"


def rows(path: str) -> list[dict[str, Any]]:
    with am.open(path) as table:
        found: list[dict[str, Any]] = table.to_arrow().to_pylist()
    return found


@pytest.mark.parametrize(
    "options", ["", "(FORMAT audiomem, USE_TMP_FILE false)", "(FORMAT audiomem, USE_TMP_FILE true)"]
)
def test_the_old_log_is_never_replayed(loaded: Any, options: str) -> None:
    leave_a_log("x.flac")
    loaded.execute(f"COPY ({NEW}) TO 'x.flac' {options}")
    assert os.listdir() == ["x.flac"]
    assert rows("x.flac") == [{"id": 9, "s": "new"}]
    with am.open("x.flac") as table:
        table.append([{"id": 10, "s": "next"}])
    assert loaded.execute("SELECT id FROM 'x.flac'").fetchall() == [(9,), (10,)]


@pytest.mark.parametrize(
    "options", ["OVERWRITE", "OVERWRITE_OR_IGNORE", "OVERWRITE_OR_IGNORE, FILE_EXTENSION 'flac'"]
)
def test_the_old_log_of_a_partition(loaded: Any, options: str) -> None:
    os.makedirs("parts/w=0")
    leave_a_log("parts/w=0/data_0.flac")
    loaded.execute(
        f"COPY (SELECT *, 0 AS w FROM ({NEW})) TO 'parts' (FORMAT flac, PARTITION_BY w, {options})"
    )
    assert os.listdir("parts/w=0") == ["data_0.flac"]
    assert rows("parts/w=0/data_0.flac") == [{"id": 9, "s": "new"}]


def test_the_old_log_of_what_a_function_overwrites(loaded: Any) -> None:
    leave_a_log("x.flac")
    loaded.execute(f"SELECT audiomem_write('x.flac', t, {{'overwrite': true}}) FROM ({NEW}) AS t")
    assert os.listdir() == ["x.flac"]
    assert rows("x.flac") == [{"id": 9, "s": "new"}]


def test_an_open_transaction(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "TIMEOUT", 0.05)
    am.write_flac([{"id": 1, "s": "old"}], "x.flac").close()
    with contextlib.closing(am.connect("x.flac")) as writer:
        writer.execute("BEGIN")
        writer.execute("INSERT INTO x VALUES (2, 'later')")
        for statement in (
            f"COPY ({NEW}) TO 'x.flac'",
            f"SELECT audiomem_write('x.flac', t, {{'overwrite': true}}) FROM ({NEW}) AS t",
        ):
            with pytest.raises(duckdb.Error, match=r"x\.flac: another connection .* is writing"):
                loaded.execute(statement)
        writer.execute("COMMIT")
        assert rows("x.flac") == [{"id": 1, "s": "old"}, {"id": 2, "s": "later"}]
        loaded.execute(f"COPY ({NEW}) TO 'x.flac'")
        with pytest.raises(am.errors.StorageError, match="replaced"):
            writer.execute("INSERT INTO x VALUES (3, 'too late')")
    assert os.listdir() == ["x.flac"]
    assert rows("x.flac") == [{"id": 9, "s": "new"}]


def test_deltas_beside_the_file(loaded: Any) -> None:
    leave_a_log("x.flac", deltas="beside")
    with am.open("x.flac") as table:
        table.append([{"id": number, "s": "delta"} for number in range(10, 90_000)])
    assert os.path.isdir("x.flac.d")
    loaded.execute(f"COPY ({NEW}) TO 'x.flac'")
    assert os.listdir() == ["x.flac"]
    assert rows("x.flac") == [{"id": 9, "s": "new"}]


def test_a_file_that_is_called_like_duckdbs_temporary_one(loaded: Any) -> None:
    leave_a_log("x.flac")
    loaded.execute(f"COPY ({NEW}) TO 'tmp_x.flac'")
    assert rows("tmp_x.flac") == [{"id": 9, "s": "new"}]
    assert rows("x.flac") == [{"id": 1, "s": "old"}, {"id": 2, "s": "from the log"}]
    with am.open("x.flac") as table:  # nobody has its lock any more
        table.append([{"id": 3, "s": "next"}])


def test_a_log_without_its_table_is_in_the_way(loaded: Any) -> None:
    leave_a_log("x.flac")
    os.rename("x.flac", "elsewhere.flac")
    log = Path("x.flac-wal").read_bytes()
    with pytest.raises(duckdb.Error, match="log of another table is in the way"):
        loaded.execute(f"COPY ({NEW}) TO 'x.flac'")
    assert sorted(os.listdir()) == ["elsewhere.flac", "x.flac-wal"]
    assert Path("x.flac-wal").read_bytes() == log
    os.rename("elsewhere.flac", "x.flac")


@pytest.mark.damages
def test_a_log_that_cannot_be_read(loaded: Any) -> None:
    leave_a_log("x.flac")
    with Path("x.flac-wal").open("r+b") as file:
        file.seek(0)
        file.write(b"\xff" * 4096)
    before = {name: Path(name).read_bytes() for name in os.listdir()}
    with pytest.raises(duckdb.Error, match=r"the table cannot be replaced.*Delete it first"):
        loaded.execute(f"COPY ({NEW}) TO 'x.flac'")
    assert {name: Path(name).read_bytes() for name in os.listdir()} == before


def test_somebody_writes_to_the_old_table(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "TIMEOUT", 0.05)
    am.write_flac([{"id": 1, "s": "old"}], "x.flac").close()
    lock = WriterLock(os.path.abspath("x.flac"))
    lock.acquire(0)
    with pytest.raises(duckdb.Error, match="is writing"):
        loaded.execute(f"COPY ({NEW}) TO 'x.flac'")
    assert os.listdir() == ["x.flac"]
    lock.release()
    lock.close()
    loaded.execute(f"COPY ({NEW}) TO 'x.flac'")
    assert rows("x.flac") == [{"id": 9, "s": "new"}]


def test_a_table_that_is_open(loaded: Any) -> None:
    with am.write_flac([{"id": 1, "s": "old"}], "x.flac", primary_key="id") as table:
        table.append([{"id": 2, "s": "logged"}])
        loaded.execute(f"COPY ({NEW}) TO 'x.flac'")
        with pytest.raises(am.errors.StorageError):
            table.append([{"id": 3, "s": "too late"}])
    assert rows("x.flac") == [{"id": 9, "s": "new"}]


def test_a_commit_just_before_the_old_table_is_held(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fold = replacing._fold
    late = iter([3])

    with am.write_flac([{"id": 1, "s": "old"}], "x.flac", primary_key="id") as table:

        def fold_then_commit(files: TableFiles) -> None:
            fold(files)
            for number in late:
                table.append([{"id": number, "s": "late"}])

        monkeypatch.setattr(replacing, "_fold", fold_then_commit)
        loaded.execute(f"COPY ({NEW}) TO 'x.flac'")
        assert os.listdir() == ["x.flac"]
        assert rows("x.flac") == [{"id": 9, "s": "new"}]
    assert os.listdir() == ["x.flac"]


def test_a_symbolic_link_is_replaced_and_not_what_it_leads_to(loaded: Any) -> None:
    os.mkdir("real")
    leave_a_log("real/x.flac")
    os.symlink("real/x.flac", "x.flac")
    loaded.execute(f"COPY ({NEW}) TO 'x.flac'")
    assert rows("x.flac") == [{"id": 9, "s": "new"}]
    assert rows("real/x.flac") == [{"id": 1, "s": "old"}, {"id": 2, "s": "from the log"}]


@pytest.mark.damages
def test_what_is_no_table_is_replaced_as_any_file(loaded: Any) -> None:
    Path("x.flac").write_bytes(b"no table")
    loaded.execute(f"COPY ({NEW}) TO 'x.flac'")
    assert rows("x.flac") == [{"id": 9, "s": "new"}]


def test_a_statement_that_reads_the_file_that_it_replaces(loaded: Any) -> None:
    loaded.execute("COPY (SELECT i AS id FROM range(60_000) AS r(i)) TO 'x.flac'")
    loaded.execute("COPY (SELECT id + 1 AS id FROM 'x.flac') TO 'x.flac'")
    assert loaded.execute("SELECT min(id), max(id), count(*) FROM 'x.flac'").fetchone() == (1, 60_000, 60_000)
