"""How much memory there is, and what is said where a file asks for more."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from audiomem_sql.errors import LimitError
from audiomem_sql.machine import memory
from audiomem_sql.machine.memory import UNASKED_BYTES, available, check_room, out_of_memory


def told(monkeypatch: pytest.MonkeyPatch, folder: Path, **files: str) -> None:
    """Let the system say other figures; a file that is not named is not there."""
    for name, text in files.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(memory, "MEMORY_INFO", str(folder / "meminfo"))
    monkeypatch.setattr(memory, "CGROUP_MEMORY", (str(folder / "most"),))
    monkeypatch.setattr(memory, "CGROUP_USED", (str(folder / "used"),))


def test_what_there_is() -> None:
    assert 0 < available() <= psutil.virtual_memory().total


def test_what_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, tmp_path)
    whole = available()
    told(monkeypatch, tmp_path, meminfo="MemTotal: 9 kB\nMemAvailable:    1000 kB\nMemFree: 5 kB\n")
    assert available() == 1000 << 10 < whole
    told(monkeypatch, tmp_path, most="500000\n", used="200000\n")
    assert available() == 300000
    stat = "anon 120000\nfile 80000\ninactive_file 50000\nactive_file 20000\n"
    told(monkeypatch, tmp_path, **{"memory.stat": stat})
    assert available() == 370000  # what files take goes when there is no other room
    told(
        monkeypatch,
        tmp_path,
        **{"memory.stat": stat + "total_inactive_file 60000\ntotal_active_file 20001\n"},
    )
    assert available() == 380001
    told(monkeypatch, tmp_path, **{"memory.stat": "inactive_file\n"})
    assert available() == 300000
    told(monkeypatch, tmp_path, most="max\n")
    assert available() == 1000 << 10
    told(monkeypatch, tmp_path, meminfo="nothing\n")
    assert available() == whole


def test_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, tmp_path, meminfo=f"MemAvailable: {UNASKED_BYTES >> 9} kB\n")
    check_room(2 * UNASKED_BYTES, "t.flac")
    with pytest.raises(LimitError, match=r"t\.flac: 536,870,913 bytes must be held .*do not trust it"):
        check_room(2 * UNASKED_BYTES + 1, "t.flac")
    told(monkeypatch, tmp_path, meminfo="MemAvailable: 0 kB\n")
    check_room(UNASKED_BYTES, "t.flac")
    with pytest.raises(LimitError):
        check_room(UNASKED_BYTES + 1, "t.flac")


def test_the_error_for_a_memory_error() -> None:
    assert str(out_of_memory("t.flac")).startswith("t.flac: there is not enough memory for what is in it. ")
