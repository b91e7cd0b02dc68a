"""A table whose deltas are files beside it, at every door, and what is left of a broken one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import audiomem_sql as am
from audiomem_sql.cli.main import run
from audiomem_sql.errors import DamageWarning
from audiomem_sql.table.scrubbing import scrub
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

COLUMNS = ["id INTEGER PRIMARY KEY", "v TEXT"]
D = "t.flac.d"


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def texts(table: Any) -> list[str]:
    found: list[str] = table.to_arrow(["v"])["v"].to_pylist()
    return sorted(found)


def make(path: Path, **options: str) -> None:
    """A file with row ``base``, deltas with ``one``, ``two`` and ``three``, and a log with ``logged``."""
    first = path.parent / "first"
    first.mkdir()
    source = first / path.name
    Table.create(source, COLUMNS, {"profile": "embedded", "deltas": "beside", **options}).close()
    for text in ("base", "one", "two", "three"):
        with Table(source) as table:
            table.append([{"v": text}])
    with Table(source) as table:
        table.append([{"v": "logged"}])
        shutil.copytree(first, path.parent, dirs_exist_ok=True)
    shutil.rmtree(first)


ALL = sorted(["base", "one", "two", "three", "logged"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "t.flac", protection="standard")
    assert names(tmp_path) == [
        "t.flac", "t.flac-wal", f"{D}/00000003.flac", f"{D}/00000004.flac", f"{D}/00000005.flac", f"{D}/head"
    ]  # fmt: skip
    return tmp_path / "t.flac"


def well(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["verify", str(path)]) == 0
    return capsys.readouterr().out


def test_what_only_reads(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    assert "5 rows" in well(path, capsys)
    assert run(["scrub", str(path)]) == 0
    with Table(path) as table:
        assert list(scrub(table)) == []
        assert texts(table) == ALL
    capsys.readouterr()
    assert run(["info", str(path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["options"]["deltas"] == "beside"
    assert [segment["versions"] for segment in facts["segments"]] == [[1, 2], [3, 3], [4, 4], [5, 5]]
    assert facts["log"]["versions"] == [6, 6]
    assert facts["size"]["total"] == sum(map(len, before.values())) - len(before[f"{D}/head"])
    assert run(["spectrogram", str(path), str(tmp_path / "s.png")]) == 0
    assert run(["snapshots", str(path)]) == 0
    assert run(["changes", str(path), "3", "6"]) == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("one", "two", "three", "logged"))
    (tmp_path / "s.png").unlink()
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


@pytest.mark.parametrize("door", ["python", "sql", "cli"])
def test_backup(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], door: str) -> None:
    """One sealed file, of the newest version or of an older one; the table goes on beside as before."""
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    target = tmp_path / "copies" / "copy.flac"
    target.parent.mkdir()
    if door == "python":
        with Table(path) as table:
            table.backup(target)
    elif door == "sql":
        connection = am.connect(path)
        connection.execute("INSERT INTO t(t, rank) VALUES ('backup', ?)", (str(target),))
        connection.close()
    else:
        assert run(["backup", str(path), str(target)]) == 0
    assert run(["backup", str(path), str(target.with_name("old.flac")), "--version", "4"]) == 0
    assert names(target.parent) == ["copy.flac", "old.flac"]
    assert {
        name: (tmp_path / name).read_bytes() for name in names(tmp_path) if "copies" not in name
    } == before
    well(target, capsys)
    with Table(target) as copy, Table(path) as table:
        assert copy.versions == table.versions
        assert copy.options.deltas == "beside"
        for version in copy.versions:
            assert texts(copy.checkout(version.number)) == texts(table.checkout(version.number))
        copy.append([{"v": "of the copy"}])
    assert names(target.parent) == ["copy.flac", "copy.flac.d/00000007.flac", "copy.flac.d/head", "old.flac"]
    with Table(target.with_name("old.flac")) as old:
        assert texts(old) == ["base", "one", "two"]


@pytest.mark.damages
@pytest.mark.parametrize("door", ["python", "sql", "cli"])
def test_repair(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], door: str) -> None:
    """File, deltas and head file are what they were, byte for byte, while a log goes with them."""
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    for name in ("t.flac", f"{D}/00000004.flac", f"{D}/head"):
        damaged = bytearray(before[name])
        place = 0 if name.endswith("head") else len(damaged) // 2
        damaged[place : place + 512] = bytes(512)
        (tmp_path / name).write_bytes(damaged)
    assert run(["verify", str(path)]) == 1
    told = capsys.readouterr()
    assert all(name in told.out for name in ("t.flac: page", "00000004.flac: page", "head: 1 of 3 copies"))
    assert "`audiomem repair` makes the file what it was" in told.err
    if door == "python":
        with Table(path) as table:
            assert sum(repair.changed for repair in table.repair()) == 3
    elif door == "sql":
        connection = am.connect(path)
        connection.execute("INSERT INTO t(t) VALUES ('repair')")
        connection.close()
    else:
        assert run(["repair", str(path), "-o", str(tmp_path / "new.flac")]) == 0
        well(tmp_path / "new.flac", capsys)
        with Table(tmp_path / "new.flac") as table:
            assert texts(table) == ALL
        made = {name for name in names(tmp_path) if name.startswith("new")}
        assert made == {name.replace("t.flac", "new.flac") for name in before}
        assert all((tmp_path / name).read_bytes() == before[name.replace("new", "t")] for name in made)
        assert run(["repair", str(path)]) == 0
    after = {name: (tmp_path / name).read_bytes() for name in before}
    assert [name for name in before if after[name] != before[name]] == []
    well(path, capsys)


@pytest.mark.parametrize("door", ["python", "sql", "cli"])
def test_vacuum_puts_all_into_the_file(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], door: str
) -> None:
    """The option stays: the next commit is beside the file again, and so is the way back."""
    if door == "python":
        with Table(path) as table:
            table.vacuum()
    elif door == "sql":
        connection = am.connect(path)
        connection.execute("INSERT INTO t(t) VALUES ('vacuum')")
        connection.close()
    else:
        assert run(["vacuum", str(path)]) == 0
    assert names(tmp_path) == ["t.flac"]
    with Table(path) as table:
        assert len(table.versions) == 6
        table.append([{"v": "next"}])
    assert names(tmp_path) == ["t.flac", f"{D}/00000007.flac", f"{D}/head"]
    well(path, capsys)
    assert run(["transcode", str(path), "--deltas", "inside"]) == 0
    with Table(path) as table:
        table.append([{"v": "inside"}])
    assert names(tmp_path) == ["t.flac"]
    well(path, capsys)
    assert run(["transcode", str(path), "--deltas", "beside"]) == 0
    with Table(path) as table:
        assert len(table.versions) == 8
        table.append([{"v": "beside"}])
    assert names(tmp_path) == ["t.flac", f"{D}/00000009.flac", f"{D}/head"]
    with Table(path) as table:
        assert texts(table) == sorted([*ALL, "next", "inside", "beside"])


def test_what_else_commits(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SQL, tags, columns, restore, ingest and a commit that is a segment: the file is not touched."""
    base = path.read_bytes()
    connection = am.connect(path)
    connection.execute("INSERT INTO t(v) VALUES ('sql'); DELETE FROM t WHERE v = 'one'")
    connection.execute("BEGIN; INSERT INTO t(v) VALUES ('x'); ROLLBACK")
    connection.execute("BEGIN; SAVEPOINT s; INSERT INTO t(v) VALUES ('x'); ROLLBACK TO s; COMMIT")
    connection.execute("INSERT INTO t(t, rank) VALUES ('tag', 'first')")
    connection.execute("INSERT INTO t(t, rank) VALUES ('add column', 'n INTEGER')")
    connection.execute("UPDATE t SET n = 1 WHERE v = 'sql'")
    connection.execute("INSERT INTO t(t, rank) VALUES ('checkpoint', NULL)")
    connection.execute("INSERT INTO t(v) SELECT printf('%.*c', 900000, 'y')")
    connection.execute("INSERT INTO t(t) VALUES ('merge')")
    connection.close()
    with Table(path) as table:
        last = table.version
        table.append([{"v": "z"}])
        table.restore(last)
    assert path.read_bytes() == base
    assert not Path(f"{path}-wal").exists()
    well(path, capsys)
    with Table(path) as table:
        found = table.to_arrow().to_pylist()
        assert sorted(row["v"][:6] for row in found) == sorted(
            ["base", "two", "three", "logged", "sql", "yyyyyy"]
        )
        assert [row["n"] for row in found if row["v"] == "sql"] == [1]
        assert "first" in table.tags


def test_drop(path: Path, tmp_path: Path) -> None:
    (tmp_path / D / "notes.txt").write_text("of somebody else")
    assert run(["drop", "--yes", str(path)]) == 0
    assert names(tmp_path) == [f"{D}/notes.txt"]


# -- salvage -------------------------------------------------------------------------------------------------


def lost(*gone: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        for name in gone:
            os.unlink(path.parent / name)

    return change


def damaged(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        (path.parent / name).write_bytes(b"no head")

    return change


def of_sibling(*taken: str) -> Callable[[Path], None]:
    """Files of a table that went on from the same file with other rows."""

    def change(path: Path) -> None:
        sibling = path.parent / "sibling" / "t.flac"
        sibling.parent.mkdir()
        shutil.copy(path, sibling)
        for text in ("1", "2", "3"):
            with Table(sibling) as table:
                table.append([{"v": f"sibling {text}"}])
        with Table(sibling) as table:
            table.append([{"v": "sibling logged"}])
            for name in taken:
                shutil.copy(sibling.parent / name, path.parent / name)
        shutil.rmtree(sibling.parent)

    return change


@pytest.mark.damages
@pytest.mark.parametrize(
    ("change", "left", "words"),
    [
        (lost(f"{D}/head"), ALL, "head.*is missing|is missing"),
        (damaged(f"{D}/head"), ALL, "head: is damaged"),
        (lost("t.flac-wal"), ["base", "one", "three", "two"], "version 6 and those after it are in"),
        (lost(f"{D}/head", "t.flac-wal"), ["base", "one", "three", "two"], "is missing"),
        (lost(f"{D}/head", f"{D}/00000005.flac"), ["base", "logged", "one", "two"], "version 5 of 1 to 6"),
        (lost(f"{D}/00000004.flac"), ["base", "logged", "one", "three"], "version 4 of 1 to 6 is missing"),
        (lost(f"{D}/00000005.flac", "t.flac-wal"), ["base", "one", "two"], "table ended with version 5"),
        (lost("t.flac"), ["logged", "one", "three", "two"], "versions 1 to 2 of 1 to 6 are missing"),
        (of_sibling(f"{D}/00000004.flac"), ["base", "logged", "one", "three"], "4.flac: it is of another"),
        (
            of_sibling(f"{D}/00000003.flac", f"{D}/00000004.flac"),
            ["base", "logged", "three"],
            "3.flac: it is of another",
        ),
        (of_sibling(f"{D}/00000005.flac"), ["base", "logged", "one", "two"], "5.flac: it is of another"),
        (of_sibling("t.flac-wal"), ["base", "one", "three", "two"], "it continues another history"),
        (of_sibling("t.flac-wal", f"{D}/head"), ["base", "one", "three", "two"], "another"),
    ],
)
def test_salvage(
    path: Path,
    tmp_path: Path,
    change: Callable[[Path], None],
    left: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    with pytest.warns(DamageWarning, match=words), Table(path, salvage=True) as table:
        assert texts(table) == left
    new = tmp_path / "new.flac"
    assert run(["salvage", str(path), "-o", str(new)]) == 0
    with Table(new) as saved:
        assert texts(saved) == left
        assert list(problems(saved)) == []
    new.unlink()
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
