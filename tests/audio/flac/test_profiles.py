from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from audiomem_sql.audio import PROFILES, Profile, resolve
from audiomem_sql.audio.flac.profiles import match
from audiomem_sql.errors import OptionError
from audiomem_sql.machine import hardware
from audiomem_sql.machine.hardware import AUTO_MINIMUMS, GIB, Hardware, measured


def test_page_sizes() -> None:
    assert {name: profile.page_size for name, profile in PROFILES.items()} == {
        "server": 98_304,
        "desktop": 24_576,
        "mobile": 12_288,
        "embedded": 8_192,
    }
    assert all(profile.page_size % 1024 == 0 for profile in PROFILES.values())


@pytest.mark.parametrize(
    ("shape", "word"),
    [
        ((48_000, 8, 2, 4096), "8 bits"),
        ((48_000, 32, 2, 4096), "32 bits"),
        ((48_000, 24, 0, 4096), "0 channels"),
        ((48_000, 24, 9, 4096), "9 channels"),
        ((48_000, 24, 2, 0), "block size 0"),
        ((48_000, 24, 2, 4000), "block size 4000"),
        ((48_000, 24, 2, 65_536), "block size 65536"),
        ((0, 24, 2, 4096), "sample rate 0"),
        ((-10, 24, 2, 4096), "sample rate -10"),
        ((65_537, 24, 2, 4096), "sample rate 65537"),
        ((655_360, 24, 2, 4096), "sample rate 655360"),
        ((48_000, 16, 1, 2048), "4096 bytes"),
    ],
)
def test_impossible_shapes_are_named(shape: tuple[int, int, int, int], word: str) -> None:
    with pytest.raises(OptionError, match=word):
        Profile("custom", *shape)


def test_resolve_and_match() -> None:
    assert resolve("desktop") is PROFILES["desktop"]
    with pytest.raises(OptionError, match="server, desktop, mobile, embedded and auto"):
        resolve("laptop")
    assert match(44_100, 24, 2, 2048) is PROFILES["mobile"]
    assert match(44_100, 24, 2, 4096).name == "custom"


def test_auto_measures_the_machine(tmp_path: Path) -> None:
    here = measured(tmp_path)
    assert here.processors == len(os.sched_getaffinity(0))
    assert 0 < here.memory <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert abs(here.free - shutil.disk_usage(tmp_path).free) < GIB
    assert resolve("auto", tmp_path).name == here.choice
    assert resolve("auto", tmp_path / "not" / "yet").name == here.choice


def test_the_kind_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of a tree as Linux has it: a partition is asked for the disk that it is part of."""
    number = os.stat(tmp_path).st_dev
    disk = tmp_path / "devices" / "disk"
    (disk / "part").mkdir(parents=True)
    (disk / "part" / "partition").write_text("1\n")
    (disk / "queue").mkdir()
    (tmp_path / f"{os.major(number)}:{os.minor(number)}").symlink_to(disk / "part")
    monkeypatch.setattr(hardware, "BLOCK_DEVICES", str(tmp_path))
    assert measured(tmp_path).rotating is None
    for told, expected in (("1\n", True), ("0\n", False), ("?", None)):
        (disk / "queue" / "rotational").write_text(told)
        assert measured(tmp_path / "not yet").rotating is expected
        assert measured(tmp_path / "not yet", kind=False).rotating is None


def test_a_container_has_less_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(hardware, "CGROUP_MEMORY", (str(tmp_path / "none"), str(limit)))
    whole = measured().memory
    assert whole == psutil.virtual_memory().total
    for told, expected in ((str(GIB // 3), GIB // 3), ("max\n", whole), (str(1 << 62), whole)):
        limit.write_text(told)
        assert measured().memory == expected


def test_groups_inside_others_have_less_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least of a group and all around it counts, in version 2 and in version 1."""
    groups, inner = tmp_path / "cgroup", tmp_path / "memory" / "slice" / "unit.service"
    inner.mkdir(parents=True)
    monkeypatch.setattr(hardware, "OWN_GROUPS", str(groups))
    monkeypatch.setattr(hardware, "CGROUP_MEMORY", (str(tmp_path / "memory" / "memory.max"),))
    (inner / "memory.max").write_text("max\n")
    (inner.parent / "memory.max").write_text(str(GIB))
    (inner.parent.parent / "memory.max").write_text(str(2 * GIB))
    assert measured().memory == 2 * GIB  # nothing says which group it is
    for told in ("0::/slice/unit.service\n", "5:cpu:/x\n4:cpuset,memory:/slice/unit.service\n"):
        groups.write_text(told)
        assert measured().memory == GIB
    (inner / "memory.max").write_text(str(GIB // 2))
    assert measured().memory == GIB // 2
    groups.write_text("4:cpu:/slice/unit.service\n")
    assert measured().memory == 2 * GIB


def test_a_container_has_fewer_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, quota, period = (tmp_path / name for name in ("cpu.max", "quota", "period"))
    monkeypatch.setattr(
        hardware, "CGROUP_PROCESSORS", ((str(tmp_path / "none"),), (str(new),), (str(quota), str(period)))
    )
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    assert hardware.processors() == 6
    cases = {"max 100000\n": 6, "150000 100000": 2, "100000 100000": 1, "1000 100000": 1, "900000 100000": 6}
    for told, expected in (*cases.items(), ("", 6), ("0 0", 6)):
        new.write_text(told)
        assert hardware.processors() == expected, told
    for told, expected in (("-1", 6), ("350000", 4)):
        quota.write_text(told)
        period.write_text("100000\n")
        assert hardware.processors() == expected


@pytest.mark.parametrize("answer", [-1, ValueError("unrecognized configuration name")])
def test_where_the_standard_library_does_not_know(
    answer: int | ValueError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sysconf(name: str) -> int:
        if isinstance(answer, ValueError):
            raise answer
        return answer if name == "SC_PHYS_PAGES" else 4096

    monkeypatch.setattr(hardware, "CGROUP_MEMORY", ())
    monkeypatch.setattr(os, "sysconf", sysconf)
    assert measured().memory == psutil.virtual_memory().total


def test_without_psutil() -> None:
    """The standard library does where it can."""
    code = (
        "import sys; sys.modules['psutil'] = None; from audiomem_sql.machine.hardware import measured; "
        "print(measured().memory)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == measured().memory


def test_auto_takes_the_first_profile_whose_minimums_are_met() -> None:
    for name, minimums in AUTO_MINIMUMS.items():
        assert minimums.choice == name
        assert minimums.reasons()[name] == ""
    assert Hardware(64, 512 * GIB, 63 * GIB).choice == "desktop"
    assert Hardware(1, 512 * GIB, 512 * GIB).choice == "mobile"
    assert Hardware(64, 512 * GIB, GIB - 1).choice == "embedded"
    assert Hardware(1, 512 * GIB, 512 * GIB).reasons() == {
        "server": "processors 1 of 8",
        "desktop": "processors 1 of 2",
        "mobile": "",
        "embedded": "",
    }


def test_a_profile_that_the_machine_cannot_serve() -> None:
    small = Hardware(1, GIB // 3, GIB)
    small.check("mobile")
    with pytest.raises(
        OptionError, match=r"desktop cannot be served.*memory 0\.333 GiB of 0\.5 GiB.*is embedded here"
    ):
        small.check("desktop")
