"""``deltas=beside``: commits do not touch the table's file; sealed files beside it are one chain with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiomem_sql.errors import DamagedFileError, OptionError
from audiomem_sql.table.dropping import drop
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.versions import TableFiles

COLUMNS = ["id INTEGER PRIMARY KEY", "v TEXT"]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def rows(table: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_arrow().sort_by("id").to_pylist()
    return found


def history(table: Table) -> list[Any]:
    return [(version, rows(table.checkout(version=version.number))) for version in table.versions]


def make(path: Path, **options: str) -> None:
    """A base with two versions."""
    Table.create(path, COLUMNS, {"profile": "embedded", "deltas": "beside", **options}).close()
    with Table(path) as table:
        table.append([{"v": str(number)} for number in range(50)])


def session(path: Path, text: str) -> None:
    """Three versions more, folded when the table is closed."""
    with Table(path) as table:
        table.append([{"v": text}])
        transaction = table.begin()
        transaction.delete(table.version)
        table.commit()
        table.append([{"v": text + text}], message=text)


@pytest.mark.parametrize("protection", ["none", "standard"])
def test_the_base_is_not_touched(tmp_path: Path, protection: str) -> None:
    path = tmp_path / "t.flac"
    make(path, protection=protection)
    base, status = path.read_bytes(), path.stat()
    assert names(tmp_path) == ["t.flac"]
    with Table(path) as table:
        table.append([{"v": "logged"}])
        assert names(tmp_path) == ["t.flac", "t.flac-wal", "t.flac.d/head"]
        table.append([{"v": "x" * 900} for _ in range(5000)])  # a commit that is a segment of its own
        assert "t.flac.d/00000004.flac" in names(tmp_path)
        assert list(problems(table)) == []
    session(path, "more")
    assert names(tmp_path) == [
        "t.flac", "t.flac.d/00000003.flac", "t.flac.d/00000004.flac", "t.flac.d/00000007.flac",
        "t.flac.d/head",
    ]  # fmt: skip
    assert path.read_bytes() == base
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    with Table(path) as table:
        before = history(table)
        generations = [segment.catalog.seal.generation for segment in table.snapshot.segments]  # type: ignore[union-attr]
        assert generations == sorted(set(generations))
        assert list(problems(table)) == []
        table.backup(tmp_path / "copy.flac")
        with Table(tmp_path / "copy.flac") as copy:
            assert history(copy) == before
        table.merge()
        assert [name for name in names(tmp_path) if ".d" in name] == [
            "t.flac.d/00000007.flac",
            "t.flac.d/head",
        ]
        assert path.read_bytes() == base
        assert history(table) == before
    with Table(path) as table:
        assert history(table) == before
        assert list(problems(table)) == []
        newest = table.snapshot.segments[-1]
        table.vacuum()
        assert names(tmp_path) == ["copy.flac", "t.flac"]
        seal = table.snapshot.segments[0].catalog.seal
        assert seal is not None
        assert seal.before is not None
        assert (seal.before.segment_id, seal.before.digest) == (newest.catalog.segment_id, newest.digest)
        assert history(table) == before
        assert table.options.deltas == "beside"


def test_the_option(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with pytest.raises(OptionError, match="deltas 'above' does not exist"):
        Table.create(path, COLUMNS, {"deltas": "above"})
    make(path)
    session(path, "one")
    with Table(path) as table:
        before = history(table)
        table.transcode({"deltas": "inside"})
        assert "deltas" not in table.options.to_catalog()
        table.append([{"v": "inside"}])
    assert names(tmp_path) == ["t.flac"]
    with Table(path) as table:
        assert history(table)[: len(before)] == before
        table.transcode({"deltas": "beside"})
    session(path, "two")
    assert names(tmp_path) == ["t.flac", "t.flac.d/00000009.flac", "t.flac.d/head"]


def remove(name: str) -> Callable[[Path, Path], None]:
    def change(path: Path, other: Path) -> None:
        os.unlink(path.parent / name)

    return change


def take_from_other(name: str) -> Callable[[Path, Path], None]:
    def change(path: Path, other: Path) -> None:
        shutil.copy(other.parent / name, path.parent / name)

    return change


@pytest.mark.damages
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove("t.flac.d/00000005.flac"), "version 3 is missing"),
        (
            remove("t.flac.d/00000008.flac"),
            "newest delta is missing .*: the table ended with version 8",
        ),
        (take_from_other("t.flac.d/00000005.flac"), "continues segment .* one of them is of another history"),
        (take_from_other("t.flac.d/00000008.flac"), "continues segment .* one of them is of another history"),
        (take_from_other("t.flac.d/head"), "newest delta is missing or another one"),
        (lambda path, other: (path.parent / "t.flac.d/head").write_bytes(b"0" * 96), "is damaged"),
    ],
)
def test_what_is_missing_or_of_a_sibling_is_told(
    tmp_path: Path, change: Callable[[Path, Path], Any], words: str
) -> None:
    path, other = tmp_path / "one" / "t.flac", tmp_path / "two" / "t.flac"
    path.parent.mkdir()
    make(path)
    shutil.copytree(path.parent, other.parent)
    for each in (path, other):
        session(each, each.parent.name)
        session(each, each.parent.name)
    change(path, other)
    before = {name: (path.parent / name).read_bytes() for name in names(path.parent)}
    with pytest.raises(DamagedFileError, match=words):
        Table(path)
    assert before == {name: (path.parent / name).read_bytes() for name in names(path.parent)}


@pytest.mark.damages
def test_a_log_that_is_missing_is_told(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    path, copy = tmp_path / "one" / "t.flac", tmp_path / "two" / "t.flac"
    make(path)
    session(path, "one")
    with Table(path) as table:
        table.append([{"v": "logged"}])
        shutil.copytree(path.parent, copy.parent)
        expected = history(table)
    with Table(copy) as table:
        assert history(table) == expected
    with Table(path) as table:
        table.append([{"v": "again"}])
        shutil.copytree(path.parent, tmp_path / "four")
        os.unlink(tmp_path / "four" / "t.flac-wal")
        with pytest.raises(DamagedFileError, match=r"version 7 and those after it are in .*t.flac-wal"):
            Table(tmp_path / "four" / "t.flac")


def test_many_small_deltas_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    make(path)
    base = path.read_bytes()
    for number in range(34):
        with Table(path) as table:
            table.append([{"v": str(number)}])
    assert len(TableFiles.at(path).deltas()) < 5
    assert path.read_bytes() == base
    with Table(path) as table:
        assert len(table) == 84
        assert list(problems(table)) == []


@pytest.mark.parametrize("work", ["fold", "merge", "vacuum", "announce"])
def test_a_kill_between_any_two_steps(tmp_path: Path, work: str) -> None:
    """Whatever step is the last, the next who opens the table finds every version, and goes on."""
    first = tmp_path / "first"
    first.mkdir()
    make(first / "t.flac")
    session(first / "t.flac", "one")
    session(first / "t.flac", "two")
    steps = 0
    while True:
        folder = tmp_path / str(steps)
        shutil.copytree(first, folder)
        path = folder / "t.flac"
        pid = os.fork()
        if pid == 0:
            ended = 1
            try:
                ended = die_after(path, work, steps)
            finally:
                os._exit(ended)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, 9)
        with Table(path) as table:
            found = history(table)
            assert len(found) in ((8, 9) if work in ("announce", "fold") else (8,))
            if code == 0 and work in ("announce", "fold"):
                assert len(found) == 9
            table.append([{"v": "after"}])
        with Table(path) as table:
            assert history(table)[: len(found)] == found
            assert list(problems(table)) == []
        if code == 0:
            break
        steps += 1
    assert steps > 3


def die_after(path: Path, work: str, steps: int) -> int:
    """Do the work, but end the process before step ``steps`` that changes a name or makes one durable."""
    left = steps

    def counted(call: Any) -> Any:
        def step(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            if left == 0:
                os._exit(9)
            left -= 1
            return call(*arguments, **named)

        return step

    table = Table(path)
    if work == "fold":
        table.append([{"v": "logged"}])
    for name in ("replace", "unlink", "rmdir", "link", "fsync", "rename"):
        setattr(os, name, counted(getattr(os, name)))
    if work == "announce":
        table.append([{"v": "logged"}])
        return 0
    {"fold": table.checkpoint, "merge": table.merge, "vacuum": table.vacuum}[work]()
    return 0


def test_drop_deletes_all_of_it(tmp_path: Path) -> None:
    make(tmp_path / "t.flac")
    session(tmp_path / "t.flac", "one")
    drop(tmp_path / "t.flac")
    assert names(tmp_path) == []
    assert not (tmp_path / "t.flac.d").exists()
