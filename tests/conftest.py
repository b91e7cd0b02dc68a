"""Every table that a test leaves behind in its folder is verified, unless the test is marked ``damages``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import line_coverage  # first, since it measures what is imported from here on
import pytest
from hypothesis import settings
from samples import verify

# How long an example takes says something about the machine.
settings.register_profile("audiomem", deadline=None)
settings.load_profile("audiomem")


def pytest_configure(config: pytest.Config) -> None:
    _keep_bytecode()
    if not config.getoption("numprocesses", None):  # tests run here; what they start is not measured
        os.environ.pop("AUDIOMEM_COVERAGE", None)
    if (
        signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    ):  # as in the background of a shell: children would ignore it, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _build_extension()
    os.environ["AUDIOMEM_MODEL"] = "off"  # tables are the same whether a model is installed, or not
    config.addinivalue_line("markers", "damages: the test damages files on purpose, so they are not verified")
    config.addinivalue_line("markers", "slow: left out by make quick; set by tests/slow.txt")


def pytest_sessionfinish() -> None:
    if line_coverage.MEASURED is not None:
        line_coverage.MEASURED.save()


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = frozenset(Path(__file__).with_name("slow.txt").read_text().split())
    for item in items:
        name = item.name.partition("[")[0]
        if name == "runTest" and item.parent is not None:  # a state machine
            name = item.parent.name
        if name in slow:
            item.add_marker(pytest.mark.slow)


def _keep_bytecode() -> None:
    """Where the environment forbids it, each program that a test starts would compile the package anew."""
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = str(Path(__file__).parent.parent / ".pytest_cache" / "bytecode")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


def _build_extension() -> None:
    """The loadable extensions of this tree, unless they are newer than their sources."""
    root = Path(__file__).parent.parent
    names = ("audiomem.so", *(f"audiomem{end}.duckdb_extension" for end in ("", "_2_0_0", "_2_0_1")))
    built = [root / "audiomem_sql" / name for name in names]
    if (
        blocks := root / "audiomem_sql" / "audiomem_blocks.so"
    ).exists():  # there is none without zstd's headers
        built.append(blocks)
    sources = [root / "setup.py", *(root / "vtab" / "native").glob("*.[ch]")]
    newest = max(source.stat().st_mtime for source in sources)
    if not all(file.exists() and file.stat().st_mtime >= newest for file in built):
        command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "--force"]
        subprocess.run(command, cwd=root, check=True, capture_output=True)


@pytest.fixture(autouse=True)
def _verified(request: pytest.FixtureRequest) -> Iterator[None]:
    folder: Path | None = None
    of_audio = (
        Path(__file__).parent / "audio"
    ) in request.path.parents  # those tests damage sound that holds no tables
    if "tmp_path" in request.fixturenames and not of_audio and not request.node.get_closest_marker("damages"):
        folder = request.getfixturevalue("tmp_path")
    yield
    if folder is not None:
        for path in sorted(folder.rglob("*.flac")):
            if path.is_file() and path.parent.suffix != ".d":
                verify(path)
