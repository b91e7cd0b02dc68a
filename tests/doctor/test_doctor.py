"""What ``audiomem doctor`` finds in an installation and in tables that have something wrong each."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import time
from pathlib import Path

import pytest

from audiomem_sql.cli.main import run
from audiomem_sql.doctor import FAIL, INFO, OK, WARN, Finding, check_installation, check_table, installation
from audiomem_sql.doctor.table import SAMPLED_PAGES, age, sampled
from audiomem_sql.table.table import Table


def filled(path: Path, rows: int = 200, **options: str) -> str:
    chosen = {"protection": "standard", **options}
    with Table.create(path, ["id INTEGER PRIMARY KEY", "a TEXT"], chosen) as made:
        made.append([{"id": n, "a": f"{n}" * 20} for n in range(rows)])
    return str(path)


def states(path: str) -> dict[str, str]:
    """The worst state of each check of a table."""
    found: dict[str, str] = {}
    for finding in check_table(path):
        assert finding.state == OK or finding.remedy
        if found.get(finding.check, OK) == OK:
            found[finding.check] = finding.state
    return found


def test_a_table_that_is_well(tmp_path: Path) -> None:
    found = states(filled(tmp_path / "kb.flac"))
    assert set(found) == {"disk", "locks", "clock", "open", "pages", "log", "age", "protection", "layout"}
    assert set(found.values()) == {OK}
    assert [file.name for file in tmp_path.iterdir()] == ["kb.flac"]


def test_what_does_not_open(tmp_path: Path) -> None:
    assert states(str(tmp_path / "none.flac"))["open"] == FAIL
    (tmp_path / "not.flac").write_bytes(b"RIFF" * 100)
    assert states(str(tmp_path / "not.flac"))["open"] == FAIL


@pytest.mark.damages
def test_damage_that_is_recovered(tmp_path: Path) -> None:
    path = Path(filled(tmp_path / "kb.flac", 3000))
    data = bytearray(path.read_bytes())
    for at in range(9000, len(data), 200):
        data[at] ^= 0xFF
    path.write_bytes(data)
    (finding,) = [each for each in check_table(str(path)) if each.check == "pages"]
    assert finding.state == WARN
    assert "all recovered" in finding.what
    assert "audiomem repair" in finding.remedy


@pytest.mark.damages
def test_damage_that_is_not(tmp_path: Path) -> None:
    path = Path(filled(tmp_path / "kb.flac", 3000, protection="none"))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 30_000])
    found = states(str(path))
    assert FAIL in (found["open"], found.get("pages"))


def test_no_protection(tmp_path: Path) -> None:
    assert states(filled(tmp_path / "kb.flac", protection="none"))["protection"] == WARN


def test_a_long_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = filled(tmp_path / "kb.flac")
    with Table(path) as writer:
        writer.append([{"id": 1000, "a": ""}])
        assert states(path)["log"] == OK
        monkeypatch.setattr("audiomem_sql.doctor.table.LONG_LOG", 10)
        assert states(path)["log"] == WARN


@pytest.mark.parametrize(("total", "state"), [(199, WARN), (200, OK)])
def test_large_deltas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: int, state: str) -> None:
    path = filled(tmp_path / "kb.flac")
    size = {"log": 0, "deltas": 100, "total": total}
    monkeypatch.setattr("audiomem_sql.table.description.sizes", lambda _: size)
    (found,) = [each for each in check_table(path) if each.check in ("log", "deltas")]
    assert found.state == state


def test_a_commit_from_the_future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = filled(tmp_path / "kb.flac")
    with Table(path) as opened:
        assert age(opened).state == OK
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now - 3600)
        found = age(opened)
    assert found.state == WARN
    assert "from now" in found.what


def test_sampled_pages() -> None:
    assert sampled(3) == [0, 1, 2]
    assert sampled(SAMPLED_PAGES) == list(range(SAMPLED_PAGES))
    many = sampled(10_000)
    assert (len(many), many[0], many[-1]) == (SAMPLED_PAGES, 0, 9999)


def test_the_installation(tmp_path: Path) -> None:
    found = list(check_installation(str(tmp_path)))
    by_check = {finding.check for finding in found}
    assert by_check == {"packages", "extension", "model", "memory", "disk", "locks", "clock", "bytecode"}
    assert not [finding for finding in found if finding.state == FAIL]
    assert any(finding.what == f"apsw {importlib.metadata.version('apsw')}" for finding in found)
    assert next(finding for finding in found if finding.check == "extension").state == OK
    assert list(tmp_path.iterdir()) == []


def packages(monkeypatch: pytest.MonkeyPatch, *requirements: str) -> list[Finding]:
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: list(requirements))
    return list(installation.packages())


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    found = packages(
        monkeypatch,
        "numpy>=1.0",
        "apsw>=9999.1",
        "not-there>=1",
        'not-there-either>=1; extra == "sound"',
        'pytest>=99999; extra == "test"',
        'audiomem-sql[pandas]; extra == "dask"',
    )
    assert [(finding.state, finding.what.split()[0]) for finding in found] == [
        (OK, "numpy"),
        (FAIL, "apsw"),
        (FAIL, "not-there"),
        (INFO, "not-there-either"),
    ]
    assert found[3].remedy == "If it is needed: pip install 'audiomem-sql[sound]'."


def test_locks_that_do_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert installation.locks(str(tmp_path)).state == OK
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    found = installation.locks(str(tmp_path))
    assert (found.state, "commits would be lost" in found.what) == (FAIL, True)


def test_locks_of_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nh:/x {tmp_path} nfs4 rw 0 0\nh:/y {tmp_path}2 cifs rw 0 0\n")
    assert installation.file_system(str(tmp_path), str(mounts)) == "nfs4"
    assert installation.file_system("/", str(mounts)) == "ext4"
    assert installation.file_system("/", str(tmp_path / "none")) == "unknown"
    monkeypatch.setattr(installation, "file_system", lambda _: "nfs4")
    assert installation.locks(str(tmp_path)).state == WARN


def test_clock_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert installation.clock().state == OK
    assert installation.clock(1000.0).state == FAIL
    monkeypatch.setattr("audiomem_sql.machine.memory.available", lambda: 1 << 20)
    assert installation.memory().state == WARN


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    filled(tmp_path / "kb.flac", protection="none")
    assert run(["doctor", "kb.flac"]) == 0
    out = capsys.readouterr().out
    assert "warn  protection: kb.flac: protection=none" in out
    assert "ok    " not in out
    assert "0 failed." in out
    assert run(["doctor", "none.flac", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert not said["ok"]
    assert [each["check"] for each in said["findings"] if each["state"] == "fail"] == ["open"]


def test_monitor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = filled(tmp_path / "kb.flac")
    assert run(["monitor", path, "--once"]) == 0
    shown = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert (shown["rows"], shown["table"]) == ("200", path)
    assert run(["monitor", path, "--once", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["segments"]) == (200, 1)
    assert said["total_bytes"] == Path(path).stat().st_size
