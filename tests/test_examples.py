"""The examples run, and say what they should."""

from __future__ import annotations

import base64
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from entry_points import ROOT, write_entry_points

EXAMPLES = ROOT / "examples"
SHORT = ("ad_hoc", "with_pandas", "rag_memory")


def load(name: str) -> Any:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SHORT)
def test_they_are_short_and_run_as_they_say(name: str, tmp_path: Path) -> None:
    script = EXAMPLES / f"{name}.py"
    assert len(script.read_text().splitlines()) < 60
    assert f"python examples/{name}.py [FOLDER]" in script.read_text()
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), str(tmp_path / "made")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert list((tmp_path / "made").glob("*.flac"))


def test_ad_hoc(tmp_path: Path) -> None:
    example = load("ad_hoc")
    first = example.main(tmp_path)
    assert {country for country, _, _ in first} == {"Norway", "Portugal", "Spain"}
    assert example.main(tmp_path) == first  # the files that are there now
    assert sum(plays for _, plays, _ in first) < 20_000 / 6


def test_with_pandas(tmp_path: Path) -> None:
    means = load("with_pandas").main(tmp_path)
    assert list(means.index) == ["monday", "now"]
    assert sorted(means.columns) == ["cellar", "roof", "yard"]
    assert ((means > 11) & (means < 13)).all(axis=None)


def test_rag_memory(tmp_path: Path) -> None:
    answers = load("rag_memory").main(tmp_path)
    today, spring = answers["what may a hotel cost"]
    assert "140 euros" in today[0]
    assert "120 euros" in spring[0]
    assert "error 809" in answers["error 809"][0][0]


def test_the_notebook(tmp_path: Path) -> None:
    """Every cell runs, with %sql of jupysql and all, and the pictures are there, in the kept file as well."""
    kept = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    path = [str(ROOT), str(write_entry_points(tmp_path / "path"))]
    code = (
        "import sys, nbformat, nbclient; book = nbformat.read(sys.argv[1], as_version=4);"
        "nbclient.NotebookClient(book, timeout=300, kernel_name='python3').execute();"
        "nbformat.write(book, sys.argv[2])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(EXAMPLES / "tour.ipynb"), str(tmp_path / "ran.ipynb")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(path),
            "PLOOMBER_STATS_ENABLED": "false",  # jupysql would report its use
            # jupysql imports Spark where that is, which warns of pandas 3
            "PYTHONWARNINGS": "ignore:::pyspark.sql.connect.utils,ignore:::pyspark.testing.utils",
            "HOME": str(tmp_path),
            "IPYTHONDIR": str(tmp_path / "ipython"),
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ran = nbformat.read(tmp_path / "ran.ipynb", as_version=4)
    for book in (kept, ran):
        outputs = [item for cell in book.cells if cell.cell_type == "code" for item in cell.outputs]
        assert not [item for item in outputs if item.output_type == "error" or item.get("name") == "stderr"]
        shown = [item.data for item in outputs if "data" in item]
        pictures = [base64.b64decode(data["image/png"]) for data in shown if "image/png" in data]
        assert [picture[:4] for picture in pictures] == [b"\x89PNG"] * 2
        tables = [data["text/html"] for data in shown if "text/html" in data]
        assert sum("data:image/png;base64," in table for table in tables) == 1
    assert [cell.source for cell in ran.cells] == [cell.source for cell in kept.cells]
