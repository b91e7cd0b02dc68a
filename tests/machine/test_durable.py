"""What is flushed, with what; and that nothing which only Linux has is needed to import the package."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import audiomem_sql
from audiomem_sql import Table
from audiomem_sql.audio.flac.comments import Picture
from audiomem_sql.machine import durable

PACKAGE = Path(audiomem_sql.__file__).parent
F_FULLFSYNC = 51  # of macOS
#: The doors of libraries that the tests' environment may lack.
EXTRAS = ("haystack", "langchain", "llamaindex", "mcp", "ray", "spark")
#: What Linux has and macOS has not, of the modules that the package uses.
LINUX_ONLY = {
    "os": (
        "copy_file_range eventfd fdatasync getrandom memfd_create pipe2 posix_fadvise posix_fallocate splice "
        "sched_getaffinity sched_setaffinity CLONE_FILES GRND_NONBLOCK O_DIRECT O_NOATIME O_PATH O_TMPFILE"
    ),
    "fcntl": "F_ADD_SEALS F_GETLEASE F_NOTIFY F_OFD_SETLK F_SEAL_WRITE F_SETLEASE F_SETPIPE_SZ",
    "mmap": "MAP_POPULATE MADV_DONTDUMP MADV_HUGEPAGE",
    "resource": "RLIMIT_MSGQUEUE RUSAGE_THREAD prlimit",
    "socket": "AF_NETLINK SO_PASSCRED",
    "select": "epoll EPOLLIN",
    "signal": "sigtimedwait sigwaitinfo SIGPOLL SIGPWR SIGSTKFLT SIGRTMIN",
    "errno": "EBADFD ENOTUNIQ EREMCHG EUCLEAN",
    "time": "CLOCK_BOOTTIME CLOCK_TAI",
}


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that flush, in order."""
    calls: list[str] = []

    def recorded(name: str, call: Callable[[int], None]) -> Callable[[int], None]:
        return lambda handle: (calls.append(name), call(handle))[1]

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, recorded(name, getattr(os, name)))
    return calls


def on_macos(monkeypatch: pytest.MonkeyPatch, calls: list[str], answer: OSError | None = None) -> None:
    """Let the system have the command that macOS has; it fails with ``answer``, if that is given."""
    real = fcntl.fcntl

    def control(handle: int, command: int, *arguments: Any) -> Any:
        if command != F_FULLFSYNC:
            return real(handle, command, *arguments)
        calls.append("F_FULLFSYNC")
        if answer is not None:
            raise answer
        return 0

    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(durable, "FULL_FSYNC", F_FULLFSYNC)


def work(folder: Path) -> None:
    """All that a table flushes something for: creation, log, checkpoint, merge, vacuum, repair, cover."""
    with Table.create(folder / "t.flac", ["v INTEGER"], {"protection": "standard"}) as table:
        for number in range(2):
            table.append([{"v": number}])
            table.checkpoint()
        table.append([{"v": 2}])
        table.merge()
        table.vacuum()
        table.repair()
        table.set_cover(Picture(b"a picture", "image/png", 1, 1))


def test_with_what_linux_flushes(tmp_path: Path, flushes: list[str]) -> None:
    assert getattr(fcntl, "F_FULLFSYNC", None) == durable.FULL_FSYNC
    work(tmp_path)
    assert set(flushes) == {"fsync", "fdatasync"}


def test_macos_flushes_the_drive(tmp_path: Path, flushes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    work(tmp_path)
    expected = len(flushes)
    flushes.clear()
    on_macos(monkeypatch, flushes)
    other = tmp_path / "other"
    other.mkdir()
    work(other)
    assert flushes == ["F_FULLFSYNC"] * expected


@pytest.mark.parametrize("code", [errno.ENOTSUP, errno.EINVAL, errno.ENOTTY])
def test_where_the_file_system_cannot(
    tmp_path: Path, flushes: list[str], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    on_macos(monkeypatch, flushes, OSError(code, os.strerror(code)))
    monkeypatch.delattr(os, "fdatasync")
    work(tmp_path)
    assert flushes[::2] == ["F_FULLFSYNC"] * (len(flushes) // 2)
    assert flushes[1::2] == ["fsync"] * (len(flushes) // 2)


def test_a_flush_that_failed_is_an_error(
    tmp_path: Path, flushes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Table.create(tmp_path / "t.flac", ["v INTEGER"]) as table:
        on_macos(monkeypatch, flushes, OSError(errno.EIO, os.strerror(errno.EIO)))
        flushes.clear()
        with pytest.raises(audiomem_sql.AudioMemError, match=re.escape(os.strerror(errno.EIO))):
            table.append([{"v": 1}])
        assert set(flushes) == {"F_FULLFSYNC"}
        monkeypatch.undo()
        assert len(table) == 0


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_error_of_the_system_has_a_remedy(number: int) -> None:
    error = durable.storage_error(OSError(number, os.strerror(number)), "notes.flac")
    assert error.file == "notes.flac"
    assert error.what == os.strerror(number)
    assert error.remedy


def test_a_failing_disk_is_not_written_to_again() -> None:
    error = durable.storage_error(OSError(errno.EIO, "gone"), "notes.flac")
    assert "copy the table to another disk" in str(error)
    assert durable.storage_error(OSError("no number"), "notes.flac").remedy


def test_nothing_else_flushes() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        flushing = re.findall(r"\bos\.(?:fsync|fdatasync|sync)\(", path.read_text())
        assert bool(flushing) == (path == PACKAGE / "machine" / "durable.py"), path


def test_every_module_is_imported_without_what_only_linux_has() -> None:
    names = [
        ".".join(("audiomem_sql", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for root in (PACKAGE, *(path for path in PACKAGE.iterdir() if path.is_symlink()))
        for path in sorted(root.rglob("*.py"))
        if path.stem != "__main__"
    ]
    assert len(names) > 200
    # What others import first may use what Linux has; a module of ours finds it gone.
    program = f"""
import importlib, sys
import urllib.request
import apsw, duckdb, numpy, pandas, polars, psutil, pyarrow.dataset
import rich.console, scipy.fft, soundfile, sqlalchemy, typer
import ctypes, multiprocessing, selectolax.lexbor, tempfile, matplotlib.figure
for module, gone in {LINUX_ONLY!r}.items():
    for name in gone.split():
        importlib.import_module(module).__dict__.pop(name, None)
sys.platform = "darwin"
from audiomem_sql.errors import MissingExtraError
for name in {names!r}:
    try:
        importlib.import_module(name)
    except (MissingExtraError, ModuleNotFoundError):  # of a door whose library the tests do not need
        assert name.split(".")[1] in {EXTRAS!r}, name
from audiomem_sql.machine import hardware
assert hardware.processors() >= 1
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )
    assert done.returncode == 0, done.stderr
