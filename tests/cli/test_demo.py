"""The demonstration, on a few modules."""

from __future__ import annotations

import importlib.util
import io
import shutil
import sqlite3
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

import audiomem_sql as am

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


@pytest.fixture
def demo() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("demo", DEMO)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_demo(demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [
        (package, path)
        for package, path in demo.source_files()
        if package in ("json", "email", "socketserver")
    ]
    assert len(files) > 20
    for has_flac in (True, False):
        if not has_flac:
            monkeypatch.setattr(shutil, "which", lambda name: None)
        out = io.StringIO()
        assert demo.main(tmp_path, files, Console(file=out, width=80, highlight=False)) == 0
        shown = out.getvalue()
        assert "every checksum matches" in shown
        assert ("`flac --test` says: ok" if has_flac else "`flac` is not installed") in shown
        assert "…" not in shown.replace("… after gzip", "")
    with am.open(tmp_path / "pydocs.flac") as table:
        rows = [tuple(row.values()) for row in table.to_arrow().to_pylist()]
    assert (
        rows
        == sqlite3.connect(tmp_path / "pydocs.sqlite").execute("SELECT * FROM pydocs ORDER BY id").fetchall()
    )
    names = {(row[2], row[3], row[4]) for row in rows}
    assert {
        ("json", "json", "module"),
        ("json", "dumps", "function"),
        ("socketserver", "TCPServer", "class"),
    } <= names
