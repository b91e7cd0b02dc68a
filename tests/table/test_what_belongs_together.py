"""File and log at different moments: the rows of every commit are there, or an error names what is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import audiomem_sql as am
from audiomem_sql.audio import frame_size
from audiomem_sql.cli.main import run
from audiomem_sql.errors import ConstraintError, DamagedFileError, DamageWarning, StorageError

pytestmark = pytest.mark.damages

KILLED = """
import os, sys, audiomem_sql as am
table = am.open(sys.argv[1])
for key in sys.argv[2:]:
    table.append([{"id": int(key), "body": "new"}])
os._exit(0)
"""
LOG = "-wal"


@pytest.fixture(params=["one segment", "three segments"])
def kb(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Makes kb.flac, closed, in the working directory; its ids."""
    monkeypatch.chdir(tmp_path)
    count = 3 if request.param == "one segment" else 1000
    body = (lambda: "text") if count == 3 else (lambda: os.urandom(300).hex())
    am.write_flac([{"id": n, "body": body()} for n in range(count)], "kb.flac", primary_key="id").close()
    for n in (count, count + 1):
        with am.open("kb.flac") as table:
            table.append([{"id": n, "body": "more"}])
    with am.open("kb.flac") as table:
        assert len(table.snapshot.segments) == (1 if count == 3 else 3)
    return list(range(count + 2))


def killed(path: str, *keys: int) -> None:
    """A program commits rows, one by one, and is killed."""
    subprocess.run([sys.executable, "-c", KILLED, path, *map(str, keys)], check=True)
    assert Path(path + LOG).exists()


def put(file: str, log: str | None = None) -> Path:
    """x.flac, and its log: copies of others."""
    shutil.copy(file, "x.flac")
    Path("x.flac" + LOG).unlink(missing_ok=True)
    if log is not None:
        shutil.copy(log, "x.flac" + LOG)
    return Path("x.flac")


def ids(path: str | Path) -> list[int]:
    with am.open(path) as table:
        return table.to_arrow(["id"])["id"].to_pylist()  # type: ignore[no-any-return]


def refused(path: Path, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Reading, writing and verify say so, and leave every file as it was."""
    before = {entry: entry.read_bytes() for entry in Path().iterdir() if entry.is_file()}
    for use in (ids, lambda path: am.write_flac([{"id": 77}], path, if_exists="append")):
        with pytest.raises(DamagedFileError, match=words):
            use(path)
    capsys.readouterr()
    assert run(["verify", str(path)]) == 1
    assert {entry: entry.read_bytes() for entry in Path().iterdir() if entry.is_file()} == before


def test_the_newest_commits_are_missed(kb: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    with am.open("kb.flac") as table:
        last = table.version
    killed("kb.flac", 5000, 5001)
    alone = put("kb.flac")
    refused(alone, f"version {last + 1} and those after it are in .*x.flac-wal, which is not here", capsys)
    with pytest.warns(DamageWarning), am.open(alone, salvage=True) as left:
        assert left.to_arrow(["id"])["id"].to_pylist() == kb
    assert ids(put("kb.flac", "kb.flac" + LOG)) == [*kb, 5000, 5001]


def test_a_log_of_a_sibling_is_refused(kb: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """Both went on from one backup."""
    shutil.copy("kb.flac", "other.flac")
    killed("kb.flac", 5000)
    killed("other.flac", 6000)
    refused(put("kb.flac", "other.flac" + LOG), "the log is of session .* goes with session", capsys)
    with am.open("kb.flac") as table:
        table.checkpoint()
    refused(put("kb.flac", "other.flac" + LOG), "it is of another history", capsys)
    assert ids("other.flac") == [*kb, 6000]


def test_an_older_file_beside_a_newer_log(kb: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("kb.flac", "older.flac")
    with am.open("kb.flac") as table:
        table.append([{"id": 4000, "body": "folded"}])
    killed("kb.flac", 5000)
    refused(put("older.flac", "kb.flac" + LOG), "the log continues version", capsys)
    assert ids(put("older.flac")) == kb  # a restore: nothing in the file can tell


def test_a_log_that_became_a_segment_is_a_leftover(kb: list[int]) -> None:
    killed("kb.flac", 5000)
    shutil.copy("kb.flac" + LOG, "leftover")
    with am.open("kb.flac") as table:
        table.checkpoint()
    path = put("kb.flac", "leftover")
    assert ids(path) == [*kb, 5000]
    with am.open(path) as table:
        table.append([{"id": 6000, "body": "next"}])
    assert ids(path) == [*kb, 5000, 6000]
    assert not Path("x.flac" + LOG).exists()


def test_an_older_log_beside_a_newer_file(kb: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    killed("kb.flac", 5000)
    shutil.copy("kb.flac" + LOG, "older")
    killed("kb.flac", 5001)
    with am.open("kb.flac") as table:
        table.checkpoint()
    refused(put("kb.flac", "older"), "the log continues version", capsys)


def test_two_names_are_one_history(kb: list[int]) -> None:
    """A link that was open first writes to the same log."""
    Path("link.flac").symlink_to("kb.flac")
    with am.open("link.flac") as link, am.open("kb.flac") as table:
        link.append([{"id": 5000, "body": "by the link"}])
        with pytest.raises(ConstraintError, match="UNIQUE"):
            table.append([{"id": 5000, "body": "by the name"}])
    assert ids("kb.flac") == ids("link.flac") == [*kb, 5000]
    assert not Path("link.flac" + LOG).exists()


def foreign_tag(data: bytes) -> bytes:
    return data + b"TAG" + bytes(125)


def twice(data: bytes) -> bytes:
    return data + data


@pytest.mark.parametrize("change", [foreign_tag, twice])
def test_what_is_behind_the_last_frame_changes_nothing(
    kb: list[int], change: Callable[[bytes], bytes]
) -> None:
    path = Path("kb.flac")
    path.write_bytes(change(path.read_bytes()))
    assert ids(path) == kb
    with am.open(path) as table:
        table.append([{"id": 5000, "body": "new"}])
    assert ids(path) == [*kb, 5000]


@pytest.mark.parametrize("kb", ["three segments"], indirect=True)
def test_the_end_is_missing_where_a_segment_ends(kb: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    with am.open("kb.flac") as table:
        version = table.version
        newest = table.snapshot.segments[-1].file
        stop = newest.first + newest.page_count
        cut = sum(frame_size(newest.profile, number) for number in range(newest.first, stop))
    data = Path("kb.flac").read_bytes()
    assert data[-cut:][:2] == b"\xff\xf8"  # a frame begins there
    Path("x.flac").write_bytes(data[:-cut])
    refused(Path("x.flac"), f"it ended with version {version}", capsys)
    with pytest.warns(DamageWarning), am.open("x.flac", salvage=True) as left:
        assert left.to_arrow(["id"])["id"].to_pylist() == kb[:-1]


def test_a_commit_that_was_taken_back_makes_no_file_older(kb: list[int]) -> None:
    with am.open("kb.flac") as first, am.open("kb.flac") as second:
        first.begin().insert(None, (5000, "undone"))
        first.prepare()
        first.rollback()
        second.checkpoint()
        first.append([{"id": 5001, "body": "kept"}])
    assert ids("kb.flac") == [*kb, 5001]


@pytest.mark.parametrize("announced", [True, False])
def test_the_log_of_a_killed_writer_is_deleted_under_an_open_table(kb: list[int], announced: bool) -> None:
    """Also where that writer had not said yet that there is a log."""
    before = Path("kb.flac").read_bytes()
    killed("kb.flac", 5000)
    if not announced:
        Path("kb.flac").write_bytes(before)
    with am.open("kb.flac") as table:
        version = table.version
        Path("kb.flac-wal").unlink()
        with pytest.raises(
            (DamagedFileError, StorageError),
            match="which is not here" if announced else "the log, with versions up to",
        ):
            table.append([{"id": 5001, "body": "new"}])
        assert table.version == version


def test_an_older_file_is_put_in_place_under_an_open_table(kb: list[int]) -> None:
    before = Path("kb.flac").read_bytes()
    am.write_flac([{"id": 5000, "body": "new"}], "kb.flac", if_exists="append").close()
    with am.open("kb.flac") as table:
        Path("kb.flac").write_bytes(before)
        with pytest.raises(StorageError, match="replaced by an older state"):
            table.append([{"id": 5001, "body": "new"}])
    assert ids("kb.flac") == kb
