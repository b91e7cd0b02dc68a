"""What type checkers see of the verbs: what they give, and which words they take."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
from collections.abc import Iterator
from typing import Any, assert_type

import audiomem_sql as am

with am.open("t.flac") as table:
    assert_type(table, am.Table)
    assert_type(table.delete("n = ?", (1,)), am.ChangedRows)
    assert_type(table.update("true", {"a": 1}, sql={"b": "a + 1"}), am.ChangedRows)
    assert_type(table.upsert([{"a": 1}], key=["a"]), am.ChangedRows)
    assert_type(table.merge_rows([], "a", when_matched="ignore"), am.ChangedRows)
    assert_type(table.upsert([]).inserted, int)
    assert_type(table.upsert([]).updated, int)
    assert_type(table.upsert([]).deleted, int)
    assert_type(table.upsert([]).version, int)
    assert_type(table.columns, list[str])
    assert_type(table.dtypes, dict[str, str])
    assert_type(iter(table), Iterator[dict[str, Any]])
    assert_type(table.checkout(1).columns, list[str])
    table.merge_rows([], when_matched="replace")
    table.sample("half")
    table.upsert([]).added
"""


def test_a_type_checker_sees_results(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
    command = [sys.executable, "-m", "mypy", *settings, "--no-error-summary", str(tmp_path / "program.py")]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    lines = PROGRAM.splitlines()
    wrong = [lines[int(number) - 1].strip() for number in re.findall(r"program\.py:(\d+): error", told)]
    assert wrong == [line.strip() for line in lines[-3:]], told
