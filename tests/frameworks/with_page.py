"""docs/FRAMEWORKS.md is run, as other pages are in ``make test``."""

from __future__ import annotations

from pathlib import Path

import pytest
import test_docs

PAGE = Path(__file__).parents[2] / "docs" / "FRAMEWORKS.md"


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PAGE.parents[1]))
    test_docs.test_every_code_block_says_how_it_is_run(PAGE)
    test_docs.test_python_and_sql(PAGE, tmp_path, monkeypatch)
