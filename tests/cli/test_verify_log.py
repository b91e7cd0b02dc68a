"""``audiomem verify`` of a table whose log is missing or of another copy: exit code 1, and what it says."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from audiomem_sql.cli.main import run
from audiomem_sql.table.table import Table

pytestmark = pytest.mark.damages


@pytest.fixture(params=["inside", "beside"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A table that a killed program left, with versions 4 and 5 in its log, in a folder of its own."""
    source = tmp_path / "source" / "t.flac"
    source.parent.mkdir()
    columns, options = ["id INTEGER PRIMARY KEY"], {"profile": "embedded", "deltas": request.param}
    Table.create(source, columns, options).close()
    for number in (1, 2):
        with Table(source) as table:
            table.append([{"id": number}])
    shutil.copytree(source.parent, tmp_path / "closed")
    for name in ("ours", "sibling"):
        shutil.copytree(tmp_path / "closed", tmp_path / "open")
        with Table(tmp_path / "open" / "t.flac") as table:
            table.append([{"id": 3 if name == "ours" else 4}])
            table.append([{"id": 5}])
            shutil.copytree(tmp_path / "open", tmp_path / name)
        shutil.rmtree(tmp_path / "open")
    return tmp_path / "ours" / "t.flac"


def verified(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["verify", str(path)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_with_its_log(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = verified(path, capsys)
    assert (code, err) == (0, "")
    assert "all well: 4 rows" in out


def test_without_its_log(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.unlink(f"{path}-wal")
    code, out, err = verified(path, capsys)
    assert code == 1
    assert out == f"{path}: version 4 and those after it are in {path}-wal, which is not here\n"
    assert f"{path}: 1 problem" in err
    assert f"audiomem salvage {path} -o NEW" in err
    assert run(["verify", "--json", str(path)]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert not facts["ok"]
    (problem,) = facts["problems"]
    assert problem["file"] == str(path)
    assert problem["problem"].startswith("version 4 and those after it")
    assert problem["repair"] is None


@pytest.mark.parametrize("announced", [True, False])
def test_with_the_log_of_a_sibling(
    path: Path, tmp_path: Path, announced: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Announced: the file says which session it wants. Closed: the log says which segment it continues."""
    if not announced:
        with Table(path) as table:
            table.checkpoint()
    shutil.copy(tmp_path / "sibling" / "t.flac-wal", f"{path}-wal")
    before = {each: each.read_bytes() for each in path.parent.rglob("*") if each.is_file()}
    code, out, err = verified(path, capsys)
    assert code == 1
    assert out.startswith(f"{path}-wal: the log ")
    assert str(path) in out
    words = ("is of session", "goes with session") if announced else ("continues version", "another history")
    assert all(word in out for word in words)
    assert "1 problem" in err
    assert {each: each.read_bytes() for each in path.parent.rglob("*") if each.is_file()} == before


def test_with_the_log_of_an_older_state(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older closed file beside the newer log is just what the log continues: then it is read."""
    older = tmp_path / "closed" / "t.flac"
    shutil.copy(f"{path}-wal", f"{older}-wal")
    code, out, _ = verified(older, capsys)
    assert code == 0
    assert "4 rows" in out
    with Table(path) as table:
        table.append([{"id": 9}])
    with Table(path) as table:
        table.append([{"id": 10}])
        shutil.copy(f"{path}-wal", f"{older}-wal")
        code, out, _ = verified(older, capsys)
    assert code == 1
    assert out.startswith(f"{older}-wal: the log continues version 6 of segment ")
    assert "ends with version 3 of segment" in out
