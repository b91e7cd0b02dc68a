"""Lines of the package that tests run, measured by SlipCover and reported by Coverage.py.

SlipCover changes the bytecode of each line to say that it ran, and back where it did so often; with the
tracer of Coverage.py the tests take about twice as long. Importing this module begins it where
AUDIOMEM_COVERAGE is set, as it is by `make test COVERAGE=1`.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent


class LineCoverage:
    """Lines of what is imported from here on."""

    def __init__(self) -> None:
        import coverage
        from slipcover import FileMatcher, ImportManager, Slipcover

        names = coverage.Coverage(config_file=str(ROOT / "pyproject.toml")).get_option("run:source")
        assert isinstance(names, list)
        self._folders = [ROOT / name for name in names]
        self._data = coverage.CoverageData(basename=str(ROOT / ".coverage"), suffix=str(os.getpid()))
        self._measured = Slipcover()
        matcher = FileMatcher(sources=[str(folder) for folder in self._folders])
        ImportManager(self._measured, matcher).__enter__()
        lock = self._measured.lock  # which another thread may hold while one forks
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)

    def save(self) -> None:
        """A file for `coverage combine`. Modules that were not imported have no lines in it."""
        paths = [path for folder in self._folders for path in folder.rglob("*.py") if path.resolve() == path]
        lines: dict[str, list[int]] = {str(path): [] for path in paths}
        for name, found in self._measured.get_coverage()["files"].items():
            lines[str((ROOT / name).resolve())] = found["executed_lines"]
        self._data.add_lines(lines)
        self._data.write()


MEASURED = LineCoverage() if os.environ.get("AUDIOMEM_COVERAGE") else None
