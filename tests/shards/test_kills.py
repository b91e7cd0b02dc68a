"""A writer that is killed at any point leaves all of its commit, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash.forked import Writers

from audiomem_sql.table.table import Table
from audiomem_sql.versions import changes
from shards import killed
from shards.sharded import check, codes, create, row

BEFORE = {f"c{number}" for number in range(40)}
AFTER = BEFORE - {f"c{number}" for number in range(5)} | {f"new{number}" for number in range(30)}
#: Points behind which the commit stands.
DONE = ("manifest in place", "first shard accepted", "third shard accepted")


@pytest.fixture(scope="module")
def writers() -> Iterator[Writers]:
    with Writers(killed.__file__) as served:
        yield served


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "t.shards"
    create(path, 40).close()
    return path


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("point", [point for point in killed.POINTS if "taken back" not in point])
def test_a_kill(tmp_path: Path, made: Path, writers: Writers, point: str, many: bool) -> None:
    path = tmp_path / "t.shards"
    shutil.copytree(made, path)
    assert writers.start(str(path), point, many) == "there\n"
    with Table(path) as reader:  # it is alive, and has the lock
        alive = codes(reader)
    writers.kill()
    expected = AFTER if point in DONE else BEFORE
    with Table(path) as table:
        assert codes(table) == alive == expected
        assert len(table) == len(expected)
        check(table)
        assert codes(table, 2) == BEFORE
        table.append([row(number) for number in range(100, 140)])
        after = expected | {f"c{number}" for number in range(100, 140)}
        assert codes(table) == after
        assert table.version == (4 if point in DONE else 3)
        check(table)
        made_now = changes(table.snapshot, table.version, table.version)
        assert {change.kind for change in made_now} == {"insert"}
        assert len(made_now) == 40
    assert not list(path.glob(".*"))
    with Table(path) as again:
        assert codes(again) == after
        assert codes(again, 2) == BEFORE
        if point in DONE:
            assert codes(again, 3) == AFTER
        again.vacuum()
        check(again)
        assert codes(again, 2) == BEFORE


def test_kills_one_after_another(tmp_path: Path, made: Path, writers: Writers) -> None:
    """Who undoes what a killed writer left may be killed, too."""
    path = tmp_path / "t.shards"
    shutil.copytree(made, path)
    for point, many in (
        ("third shard", True),
        ("taken back", False),
        ("first shard", False),
        ("taken back", True),
        ("manifest written", True),
        ("third shard", False),
    ):
        assert writers.start(str(path), point, many) == "there\n"
        writers.kill()
        with Table(path) as table:
            assert codes(table) == BEFORE
            assert table.version == 2
    with Table(path) as table:
        table.append([{"code": f"new{number}", "year": number, "body": None} for number in range(30)])
        assert codes(table) == BEFORE | AFTER
        assert {version.number for version in table.versions} == {1, 2, 3}
        check(table)
